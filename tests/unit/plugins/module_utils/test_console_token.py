# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of consoles: what the module writes, what websockify makes of it, and when it is gone."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import console_token

PLUGIN = Path(__file__).parents[4] / "roles" / "console" / "files" / "vmcluster_console.py"
NOW = 1_800_000_000.0


@pytest.fixture(name="clock")
def fixture_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what time it is, for the module and for websockify."""

    def turn(now: float) -> None:
        monkeypatch.setattr("time.time", lambda: now)

    turn(NOW)
    return turn


def run(folder: Path, check_mode: bool = False, **keys: Any) -> dict[str, Any]:
    asked = {"vm": "web1", "state": "present", "host": "10.20.0.11", "port": 5900, "lifetime": 600, **keys}
    return console_token.run({"folder": str(folder), **asked}, check_mode)


def lookup(folder: Path, token: str) -> Any:
    """What websockify is told, by the plugin that the role installs."""
    spec = importlib.util.spec_from_file_location("vmcluster_console", PLUGIN)
    assert spec is not None and spec.loader is not None
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    return plugin.Tokens(str(folder)).lookup(token)


def test_a_token_leads_to_its_display_until_it_expires(tmp_path: Path, clock: Any) -> None:
    made = run(tmp_path, host="fd20::11", port=5901)
    assert made["changed"] and made["expires"] == "2027-01-15 08:10:00 UTC"
    clock(NOW + 599)
    assert lookup(tmp_path, made["token"]) == ["fd20::11", "5901"]
    clock(NOW + 600)
    assert lookup(tmp_path, made["token"]) is None


@pytest.fixture(name="display")
def fixture_display() -> Iterator[Callable[[bytes, bytes], int]]:
    """Displays that tell these ways of authentication and this name (RFC 6143), one connection each: their port."""
    with contextlib.ExitStack() as opened:

        def serve(types: bytes, name: bytes) -> int:
            listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))

            def talk() -> None:
                with contextlib.suppress(OSError), listener.accept()[0] as wire:
                    wire.settimeout(5)
                    wire.sendall(b"RFB 003.008\n")
                    wire.recv(12, socket.MSG_WAITALL)
                    wire.sendall(bytes([len(types)]) + types)
                    if wire.recv(1) == b"\1":
                        wire.sendall(bytes(4))
                        wire.recv(1)
                        wire.sendall(bytes(20) + len(name).to_bytes(4, "big") + name)

            thread = threading.Thread(target=talk)
            thread.start()
            opened.callback(thread.join, 10)
            return int(listener.getsockname()[1])

        yield serve


@pytest.mark.parametrize(("types", "name", "opens"), [
    (b"\1", b"QEMU (web1)", True), (b"\1", b"QEMU (web2)", False), (b"\1", b"", False), (b"\2", b"", True)])
def test_a_token_opens_no_display_of_a_vm_that_was_started_at_the_same_port(
    tmp_path: Path, clock: Any, display: Callable[[bytes, bytes], int], types: bytes, name: bytes, opens: bool
) -> None:
    port = display(types, name)
    token = run(tmp_path, host="127.0.0.1", port=port, desktop="QEMU (web1)")["token"]
    assert lookup(tmp_path, token) == (["127.0.0.1", str(port)] if opens else None)


def test_a_display_that_is_gone_is_not_led_to(tmp_path: Path, clock: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert lookup(tmp_path, run(tmp_path, host="127.0.0.1", port=port, desktop="QEMU (web1)")["token"]) is None


def test_what_is_no_token_leads_nowhere(tmp_path: Path, clock: Any) -> None:
    token = run(tmp_path)["token"]
    (kept,) = tmp_path.iterdir()
    (tmp_path / "broken").write_text("{")
    for wrong in ("", "0" * 64, token[:-1], token.upper(), kept.name, f"../{tmp_path.name}/{kept.name}", "broken"):
        assert lookup(tmp_path, wrong) is None, wrong


def test_tokens_are_random_and_the_folder_holds_none_of_them(tmp_path: Path, clock: Any) -> None:
    tokens = {run(tmp_path)["token"] for _number in range(5)}
    assert len(tokens) == 5 and all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert not any(token in file.name + file.read_text() for token in tokens)


def test_check_mode_makes_no_token(tmp_path: Path) -> None:
    told = run(tmp_path, check_mode=True)
    assert told["changed"] and "token" not in told
    assert told["diff"]["after"].splitlines()[-1] == "web1 at 10.20.0.11 port 5900 for 600 s"
    assert list(tmp_path.iterdir()) == []


def test_any_call_removes_what_has_expired_and_what_cannot_be_read(tmp_path: Path, clock: Any) -> None:
    run(tmp_path, vm="old", lifetime=30)
    (tmp_path / ("f" * 64)).write_text("{")
    (tmp_path / "of-somebody-else").write_text("stays")
    clock(NOW + 30)
    assert run(tmp_path)["actions"] == ["2 tokens: have expired", "a token of web1: is asked for"]
    assert len(list(tmp_path.iterdir())) == 2


def test_withdrawing_takes_the_tokens_of_one_vm_and_then_nothing(tmp_path: Path, clock: Any) -> None:
    mine, other = run(tmp_path)["token"], run(tmp_path, vm="web2")["token"]
    assert run(tmp_path, state="absent")["actions"] == ["1 tokens of web1: are withdrawn"]
    assert lookup(tmp_path, mine) is None and lookup(tmp_path, other) == ["10.20.0.11", "5900"]
    assert not run(tmp_path, state="absent")["changed"]


def test_a_host_that_serves_no_consoles_is_told(tmp_path: Path) -> None:
    told = run(tmp_path / "missing")
    assert told["failed"] and "run configure_console" in told["msg"]
