# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of a VM of an isolated cluster, seen by a browser outside, through the master."""

from __future__ import annotations

import base64
import json
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.browser import Browser
from vmlab.cluster import Cluster
from vmlab.hypervisors import BOOT, install_guest_image
from vmlab.module_calls import ModuleCalls
from vmlab.netns import named_netns
from vmlab.pictures import Picture, read_picture
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

CONSOLE, VNC = "198.51.100.10", "10.20.0.11"
WEB1: dict[str, Any] = {
    "name": "web1", "node": "node1", "driver": "libvirt",
    "guest": {"memory": 128, "machine": "pc-i440fx-7.2",
              "boot": {**BOOT, "cmdline": "console=tty0 panic=-1 mitigations=off vt.global_cursor_default=0"}}}
SIZE = (720, 432)  # the page's line above the screen, and a guest's text screen as it is
SCREEN = "document.querySelector('#screen canvas')"
PATIENCE = 90  # seconds that an emulated guest or a browser may take on a busy machine
KEY = f"""
openssl x509 -pubkey -noout -in /etc/vmcluster/console/self-signed-{CONSOLE}.pem \
    | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "console.yml", unique_lab_name("console"))
    try:
        yield Cluster(lab, Path(__file__).parent / "console.yml")
    finally:
        lab.down()


@pytest.fixture(scope="module")
def serving(cluster: Cluster) -> Cluster:
    """The cluster with its console and a guest that runs."""
    cluster.play("configure_console.yml")
    cluster.play("site.yml")
    install_guest_image(cluster.lab, "node1")
    cluster.attach(WEB1)
    return cluster


@pytest.fixture(scope="module")
def link(serving: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A link to the guest's console."""
    kept = tmp_path_factory.mktemp("link") / "link"
    run = serving.play("vm_console.yml", extra={"vm": "web1", "console_link_file": str(kept)})
    made = kept.read_text().strip()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert re.fullmatch(rf"https://{re.escape(CONSOLE)}/#[0-9a-f]{{64}}", made), made
    assert made.partition("#")[2] not in run.output, "whoever reads the run's output must not get in"
    return made


@pytest.fixture(scope="module")
def browser(serving: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser outside, which trusts the certificate that the console's host has."""
    trusted = serving.shell("master", KEY).strip()
    netns = named_netns(serving.lab.state.wires_netns)
    with Browser(netns, tmp_path_factory.mktemp("browser"), trusted, SIZE) as opened:
        yield opened


def state_of(browser: Browser) -> Any:
    return browser.evaluate("document.body && document.body.dataset.state")


def knock(browser: Browser, token: str) -> Any:
    """What comes of a WebSocket with this token: the first bytes that come, or nothing."""
    return browser.evaluate(f"""new Promise((tell) => {{
        const socket = new WebSocket("wss://{CONSOLE}/websockify?token={token}");
        // The first word counts: the bytes are told before the closing, which may be over before they are read.
        socket.onmessage = (event) => {{ tell(event.data.text()); socket.close(); }};
        socket.onclose = () => tell("nothing");
    }})""")


def shown_screen(browser: Browser) -> bytes:
    """The part of the page that is the guest's screen, as PNG."""
    edges = json.loads(browser.evaluate(f"JSON.stringify({SCREEN}.getBoundingClientRect())"))
    return browser.screenshot({key: edges[key] for key in ("x", "y", "width", "height")})


def dumped_screen(cluster: Cluster) -> Picture:
    """The guest's screen as its qemu has it."""
    dumped = "virsh -q screenshot web1 /run/web1.screen >/dev/null && base64 /run/web1.screen"
    return read_picture(base64.b64decode(cluster.shell("node1", dumped)))


def test_check_mode_on_a_bare_host_predicts_and_changes_nothing(cluster: Cluster) -> None:
    run = cluster.play("configure_console.yml", "--check")
    assert run.recap["master"]["changed"] == 1, run.output
    assert "nginx" not in cluster.shell("master", "ls /etc")


def test_configuring_the_console_again_changes_nothing(serving: Cluster) -> None:
    run = serving.play("configure_console.yml")
    assert run.changed == 0, run.output


def test_the_vnc_display_listens_in_the_management_network_alone(serving: Cluster) -> None:
    listening = {line.split()[3] for line in serving.shell("node1", "ss -Htlnp").splitlines() if "qemu" in line}
    assert listening == {f"{VNC}:5900"}


def test_the_page_of_the_link_shows_the_screen_of_the_guest(serving: Cluster, link: str, browser: Browser) -> None:
    browser.open(link)
    wait_until(lambda: state_of(browser) == "connected", PATIENCE, "the page is connected")
    reports = CHECKOUT / "reports"
    reports.mkdir(exist_ok=True)
    seen: dict[str, float] = {}

    def alike() -> bool:
        shown = shown_screen(browser)
        (reports / "console.png").write_bytes(shown)
        dumped = dumped_screen(serving)
        seen.update(lit=dumped.lit(), differing=read_picture(shown).differing(dumped))
        return seen["lit"] > 0.02 and seen["differing"] < 0.01

    # While the guest says something, a picture may be later than the other.
    try:
        wait_until(alike, PATIENCE, "the page shows what the guest shows", pause=0.5)
    finally:
        print(seen)
    assert link.partition("#")[2] not in browser.evaluate("location.href"), "the browser remembers no token"


def test_keys_that_are_typed_into_the_page_reach_the_guest(serving: Cluster, link: str, browser: Browser) -> None:
    before = dumped_screen(serving)
    for kind in ("keyDown", "keyUp"):
        browser.execute("Input.dispatchKeyEvent", type=kind, key="x", code="KeyX", windowsVirtualKeyCode=88,
                        **({"text": "x"} if kind == "keyDown" else {}))
    wait_until(lambda: dumped_screen(serving).differing(before) > 0, PATIENCE, "the guest's terminal echoes", pause=0.5)


def test_a_wrong_and_an_expired_token_get_nothing(
    serving: Cluster, link: str, browser: Browser, tmp_path: Path
) -> None:
    good = link.partition("#")[2]
    calls = ModuleCalls(serving.lab, tmp_path, {"master": {}})
    target = {"vm": "other", "host": VNC, "port": 5900}
    expired = calls.module("console_token", {**target, "lifetime": 1})["master"]
    until = time.time() + 1
    wait_until(lambda: time.time() > until, 5, "the token has expired")
    # The token of a VM that has ended, at whose port this one was started.
    before = calls.module("console_token", {**target, "desktop": "QEMU (other)"})["master"]
    for token in ("0" * 64, expired["token"], good.upper(), good[:-1], "../" + good, "", before["token"]):
        assert knock(browser, token) == "nothing", token
    assert knock(browser, good).startswith("RFB 003"), "the good one still leads to the display"
    browser.open(link.replace(good, expired["token"]))
    wait_until(lambda: state_of(browser) == "closed", PATIENCE, "the page says that there is no console")
    assert browser.evaluate(f"{SCREEN} === null") and "expired" in browser.evaluate("document.body.innerText")


def test_a_token_is_in_no_log_no_file_and_no_command_line(serving: Cluster, link: str) -> None:
    token = link.partition("#")[2]
    looked = serving.shell("master", f"""
        journalctl --no-pager -o cat > /run/journal
        grep -rl {token[:40]} /var/log /run /etc /root 2>/dev/null || echo nowhere
        cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '{token[:40]}[0-9a-f]' || true""")
    assert looked.split() == ["nowhere", "0"], looked


def test_the_page_is_served_by_new_tls_with_strict_headers_and_nothing_else_is(
    serving: Cluster, link: str, browser: Browser
) -> None:
    browser.open(link)
    headers = browser.evaluate("fetch('/').then((got) => JSON.stringify(Object.fromEntries(got.headers)))")
    told = json.loads(headers)
    assert "default-src 'self'" in told["content-security-policy"] and told["x-frame-options"] == "DENY", told
    for path in ("/vnc.html", "/etc/passwd", "/core/../../../etc/passwd", "/websockify"):
        assert browser.evaluate(f"fetch('{path}').then((got) => got.status)") in (403, 404), path
    old = f"openssl s_client -connect {CONSOLE}:443 -tls1_1 -cipher ALL@SECLEVEL=0 </dev/null 2>&1 || true"
    assert "Cipher is (NONE)" in serving.shell("master", old)


def test_links_that_are_withdrawn_get_nothing_and_a_vm_without_console_is_told(
    serving: Cluster, link: str, browser: Browser
) -> None:
    checked = serving.play("vm_console.yml", "--check", extra={"vm": "web1"})
    assert "https://" not in checked.output, checked.output
    serving.play("vm_console.yml", extra={"vm": "web1", "console_state": "absent"})
    assert knock(browser, link.partition("#")[2]) == "nothing"
    serving.shell("node1", "virsh destroy web1")
    refused = serving.play("vm_console.yml", extra={"vm": "web1"}, check=False)
    assert refused.returncode != 0 and "has no VNC display of web1" in refused.output, refused.output
