# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One NETCONF session to a Junos device by PyEZ: the verbs that a change is made of, with their errors explained.

Runs on the controller, or wherever the module is delegated to. PyEZ is junos-eznc (2.8 and later was tried).
"""

from __future__ import annotations

import contextlib
import traceback
import warnings
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils.junos_error import (
    JunosError,
    SessionLost,
    check_jump,
    explain_connection,
    explain_lock,
    explain_refusal,
    messages_of,
)
from ansible_collections.vmcluster.network.plugins.module_utils.junos_secret import mask_secrets
from ansible_collections.vmcluster.network.plugins.module_utils.junos_text import Config, read_configuration
from ansible_collections.vmcluster.network.plugins.module_utils.junos_wanted import Place

PYEZ_MISSING: Optional[str] = None
try:
    from jnpr.junos import Device
    from jnpr.junos import exception as pyez
    from jnpr.junos.utils.config import Config as CandidateConfig
    from lxml import etree
except ImportError:
    PYEZ_MISSING = traceback.format_exc()

COMMIT_TIMEOUT = 600  # seconds; a commit on a router with a large configuration and two routing engines takes minutes
# What planning reads. Nothing outside can be ours, or refer to what is.
SUBTREES = ("policy-options", "protocols", "routing-options", "routing-instances")


class JunosSession:
    """An open session. Every answer that does not come raises SessionLost; every other error is a JunosError too."""

    def __init__(self, device: Any, secrets: Sequence[str]) -> None:
        self._device = device
        self._candidate = CandidateConfig(device)
        self._secrets = secrets
        self._locked = False
        self._lost = False

    def read_config(self, place: Place) -> Config:
        """Return the committed configuration, as far as planning needs it.

        Statements inherited from configuration groups (`apply-groups`) are not there, except the AS number: nothing
        that is inherited could be deleted, and an AS number counts wherever it comes from.
        """
        found = self._read(place, SUBTREES, {"database": "committed"})
        inherited = self._read(place, ("routing-options",), {"database": "committed", "inherit": "inherit"})
        for base in (place.instance, place.system):
            where = base + ("routing-options", "autonomous-system")
            if where in inherited.statements:
                found.statements.setdefault(where, inherited.statements[where])
        return found

    def lock(self) -> None:
        """Lock the candidate configuration, exclusively. Raises LockFailed saying who has it, or what is in it."""
        with self._answers():
            try:
                self._candidate.lock()
            except pyez.LockError as error:
                raise explain_lock(error, self._uncommitted()) from error
        self._locked = True

    def load(self, lines: Sequence[str]) -> None:
        """Load lines in set form into the candidate configuration."""
        with self._answers(), self._refusals("lines that were loaded"):
            self._candidate.load("\n".join(lines) + "\n", format="set", ignore_warning=True)

    def diff(self) -> str:
        """Return Junos's own patch, from the active configuration to the candidate, masked; empty when there is
        none."""
        with self._answers():
            return mask_secrets((self._candidate.diff() or "").strip("\n"), self._secrets)

    def check(self) -> None:
        """Have the candidate checked. While a commit waits for its confirmation this would confirm it."""
        with self._answers(), self._refusals("configuration (commit check)"):
            self._candidate.commit_check(timeout=COMMIT_TIMEOUT)

    def commit(self, comment: str, minutes: Optional[int] = None) -> None:
        """Commit; with minutes, such that Junos rolls back by itself when no other commit follows in that time."""
        with self._answers(), self._refusals("commit"):
            self._candidate.commit(comment=comment, confirm=minutes, timeout=COMMIT_TIMEOUT)

    def rollback(self, number: int) -> None:
        """Make an earlier configuration the candidate; 0 is the active one."""
        with self._answers():
            self._candidate.rollback(number)

    def rpc(self, name: str, **arguments: Any) -> Any:
        """Ask something; arguments that are None are left out. Returns the answer's first element."""
        given = {key: value for key, value in arguments.items() if value is not None}
        with self._answers():
            return getattr(self._device.rpc, name)(**given)

    def close(self) -> None:
        """Take back what was loaded, give the lock back, close; the end of every run, so it raises nothing.

        Of a session that was lost Junos does it itself.
        """
        if self._lost:
            return
        steps = [lambda: self._candidate.rollback(0), self._candidate.unlock] if self._locked else []
        for step in [*steps, self._device.close]:
            with contextlib.suppress(Exception):
                step()

    def _uncommitted(self) -> Optional[str]:
        with contextlib.suppress(Exception):
            return self.diff()
        return None

    def _read(self, place: Place, names: Sequence[str], options: Mapping[str, str]) -> Config:
        root = etree.Element("configuration")
        parent = root
        if place.logical_system:
            parent = etree.SubElement(root, "logical-systems")
            etree.SubElement(parent, "name").text = place.logical_system
        for name in names:
            etree.SubElement(parent, name)
        with self._answers():
            return read_configuration(self._device.rpc.get_config(filter_xml=root, options=dict(options)))

    @contextlib.contextmanager
    def _answers(self) -> Iterator[None]:
        """Tell an answer that does not come, and what PyEZ raises, in our words."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyEZ warns on standard error, which is Ansible's
                yield
        except JunosError:
            raise
        except (pyez.RpcTimeoutError, pyez.ConnectClosedError) as error:
            self._lost = True
            raise SessionLost(f"the session was lost ({error})") from error
        except pyez.PermissionError as error:
            raise JunosError(
                f"Junos denies permission ({self._mask(messages_of(error))}): the user's class needs "
                "view-configuration, configure, routing-control and routing") from error
        except pyez.RpcError as error:
            raise JunosError(f"Junos says: {self._mask(messages_of(error))}") from error
        except Exception as error:
            said = f"{type(error).__name__}: {self._mask(str(error))}"
            if not self._device.connected or isinstance(error, (OSError, EOFError)) or "Session" in said:
                self._lost = True
                raise SessionLost(f"the session was lost ({said})") from error
            raise JunosError(said) from error

    @contextlib.contextmanager
    def _refusals(self, stage: str) -> Iterator[None]:
        try:
            yield
        except (pyez.RpcTimeoutError, pyez.PermissionError):
            raise
        except pyez.RpcError as error:
            refused = explain_refusal(stage, error)
            raise type(refused)(self._mask(str(refused))) from error

    def _mask(self, text: str) -> str:
        return mask_secrets(text, self._secrets)


@contextlib.contextmanager
def open_session(options: Mapping[str, Any], secrets: Sequence[str]) -> Iterator[JunosSession]:
    """Lend a session; whatever happens, the candidate is left clean, the lock given back, the session closed."""
    session = JunosSession(_connect(options), secrets)
    try:
        yield session
    finally:
        session.close()


def _connect(options: Mapping[str, Any]) -> Any:
    arguments: Dict[str, Any] = {
        "host": options["host"], "port": options["port"], "user": options["user"], "passwd": options["password"],
        "ssh_private_key_file": options["private_key_file"], "ssh_config": options["ssh_config"],
        "hostkey_verify": options["host_key_checking"], "conn_open_timeout": options["timeout"],
        "gather_facts": False, "huge_tree": True,
    }
    check_jump(options)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            device = Device(**{key: value for key, value in arguments.items() if value is not None})
            device.open()
    except Exception as error:
        raise explain_connection(error, options) from error
    device.timeout = options["timeout"]
    return device
