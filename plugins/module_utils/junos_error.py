# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a Junos device, told apart, each with its remedy."""

from __future__ import annotations

import os
import re
import socket
from typing import Any, List, Mapping, Optional, Tuple

try:
    import paramiko
    from jnpr.junos import exception as pyez
    from ncclient.transport import errors as ncclient_errors
except ImportError:
    pass  # junos_session tells it


class JunosError(Exception):
    """Something went wrong; the message says what, in Junos's words where there are any, and what to do."""


class ConnectionFailed(JunosError):
    """There is no NETCONF session to the device."""


class LockFailed(JunosError):
    """Another user holds the lock, or has left changes in the candidate configuration."""


class Refused(JunosError):
    """Junos refused what was loaded."""


class SessionLost(JunosError):
    """The session ended, or an answer did not come, in the middle of the work."""


def explain_connection(error: BaseException, options: Mapping[str, Any]) -> ConnectionFailed:
    """Return why there is no session.

    PyEZ takes most of ncclient's errors for "refused" when they come within three seconds; the real one is behind.
    """
    host, port = options["host"], _ssh_settings(options).get("port", options["port"])
    cause = getattr(error, "_orig", None) or error.__context__ or error
    if isinstance(error, pyez.ConnectUnknownHostError) or isinstance(cause, socket.gaierror):
        return ConnectionFailed(
            f"{host}: this name does not resolve here: see `host`, DNS, and Host in ssh_config where a jump host is "
            "used")
    if isinstance(cause, ncclient_errors.SSHUnknownHostError):
        return ConnectionFailed(_explain_host_key(cause, options))
    if isinstance(error, pyez.ConnectAuthError):
        how = "the password" if options["password"] else "a key"
        return ConnectionFailed(
            f"{host} refused the login of {options['user'] or 'the default user'} with {how}: see user, password, "
            "private_key_file or the SSH agent, and that the user's class on the device may configure routing")
    if isinstance(cause, ncclient_errors.SSHError) and "Could not open socket" in str(cause):
        return ConnectionFailed(_explain_socket(host, port, options["timeout"]))
    said = f"{type(cause).__name__}: {cause}".rstrip(": ")
    if _is_jumping(options) and "SSH" in said:
        return ConnectionFailed(
            f"{host} port {port}: no SSH session by the ProxyCommand of ssh_config ({said}): try it by hand: "
            f"ssh -p {port} -s {host} netconf")
    return ConnectionFailed(
        f"{host} port {port} answers, and no NETCONF session came about ({said}): is NETCONF enabled there (set system "
        "services netconf ssh), is this its port, and has it room for another session (connection-limit)?")


def check_jump(options: Mapping[str, Any]) -> None:
    """Raise ConnectionFailed when ssh_config asks for a way that PyEZ does not know, and would go without."""
    settings = _ssh_settings(options)
    if "proxyjump" in settings and "proxycommand" not in settings:
        raise ConnectionFailed(
            f"ssh_config has ProxyJump for {options['host']}, which PyEZ does not know: write ProxyCommand ssh -W "
            f"%h:%p {settings['proxyjump']}")


def explain_lock(error: Any, changes: Optional[str]) -> LockFailed:
    """Return why the candidate configuration cannot be locked. changes: what is uncommitted in it, masked."""
    said = messages_of(error)
    if "modified" in said:
        shown = f":\n{changes.strip()}" if changes else ""
        return LockFailed(
            f"the candidate configuration has changes that somebody has not committed ({said}), so it is left alone. "
            f"Commit them, or discard them (rollback 0), then run this again{shown}")
    return LockFailed(
        f"the configuration is locked: {said}. Nothing was changed. Wait until that session ends, or end it (request "
        "system logout pid), then run this again")


def explain_refusal(stage: str, error: Any) -> Refused:
    """Return what Junos refused, in its words."""
    return Refused(f"Junos refused the {stage}; the candidate configuration is as it was:\n{messages_of(error)}")


def messages_of(error: Any) -> str:
    """Return all that Junos said, one message a line, with the place in the configuration."""
    lines: List[str] = []
    for told in getattr(error, "errs", None) or []:
        text = " ".join((told.get("message") or "").split())
        place = " ".join((told.get("edit_path") or "").split())
        element = " ".join((told.get("bad_element") or "").split())
        line = f"{place} {text}".strip() + (f" ({element})" if element and element not in text else "")
        if line and line not in lines:
            lines.append(line)
    return "\n".join(lines) or " ".join((getattr(error, "message", "") or str(error)).split())


def _explain_host_key(error: Any, options: Mapping[str, Any]) -> str:
    path, keys = _known_keys(options)
    host, port = options["host"], options["port"]
    if keys:
        return (
            f"{host} shows another host key (MD5 {error.fingerprint}) than {path} has of it. Either the device was "
            f"replaced, or somebody is in between: nothing was sent. If it was replaced, remove the old key "
            f"(ssh-keygen -f {path} -R '[{host}]:{port}') and add the new one after comparing it with the device")
    return (
        f"the host key of {host} is not known (MD5 {error.fingerprint}; looked for in {path}): compare it with the "
        f"device (show system ssh-key-fingerprint, or on its console), then add it: ssh-keyscan -p {port} {host} >> "
        f"{path}")


def _known_keys(options: Mapping[str, Any]) -> Tuple[str, Mapping[str, Any]]:
    settings = _ssh_settings(options)
    path = os.path.expanduser(settings.get("userknownhostsfile") or "~/.ssh/known_hosts")
    host = settings.get("hostname", options["host"])
    known = paramiko.HostKeys()
    if os.path.isfile(path):
        known.load(path)
    found = dict(known.lookup(host) or {})
    found.update(known.lookup(f"[{host}]:{options['port']}") or {})
    return path, found


def _is_jumping(options: Mapping[str, Any]) -> bool:
    return "proxycommand" in _ssh_settings(options)


def _ssh_settings(options: Mapping[str, Any]) -> Mapping[str, Any]:
    path = os.path.expanduser(options["ssh_config"] or "~/.ssh/config")
    if not os.path.isfile(path):
        return {}
    found: Mapping[str, Any] = paramiko.SSHConfig.from_path(path).lookup(options["host"])
    return found


def _explain_socket(host: str, port: int, timeout: int) -> str:
    """Return why there is no connection, by trying once more: ncclient forgets the reason."""
    try:
        socket.create_connection((host, port), timeout).close()
    except ConnectionRefusedError:
        return (f"{host} refuses connections to port {port}: is NETCONF enabled (set system services netconf ssh; "
                "`port` if it is another), and does a filter on the device let this controller in?")
    except OSError as error:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
        return (f"{host} does not answer at port {port} within {timeout} s ({reason}): see the route to it, filters on "
                "the way, and whether a jump host is needed (ssh_config)")
    return f"{host} answered at port {port} only at the second time: run this again"
