# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A browser that looks at pages of the lab: headless Chromium, told what to do by its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .errors import LabError

ANSWER_TIMEOUT = 60.0
# It has no display and no sandbox of its own as root, and asks nobody outside for anything.
OPTIONS = (
    "--headless --no-sandbox --no-zygote --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe"
).split()


def _pipe() -> tuple[int, int]:
    """A pipe of which no end is one of the descriptors that Chromium is to have."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


class Browser:
    """A Chromium in a network namespace, with one page.

    netns: path of the namespace; folder: an empty one, for its profile; trusted: SHA-256 of the public keys, as base64,
    of self-signed certificates that it takes; size: of the page.
    """

    def __init__(self, netns: Path, folder: Path, trusted: str = "", size: tuple[int, int] = (1024, 768)) -> None:
        self.unread, self.number, self.session = b"", 0, ""
        orders, self.ours_out = _pipe()
        self.ours_in, answers = _pipe()
        options = [*OPTIONS, f"--user-data-dir={folder}", f"--ignore-certificate-errors-spki-list={trusted}"]
        # Chromium reads orders from descriptor 3 and writes answers to 4.
        script = f'exec "$@" 3<&{orders} 4>&{answers}'
        argv = ["nsenter", f"--net={netns}", "bash", "-c", script, "bash", "chromium", *options, "about:blank"]
        with open(folder.with_suffix(".log"), "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(orders, answers),
                env={**os.environ, "HOME": str(folder)}, start_new_session=True)
        os.close(orders)
        os.close(answers)
        try:
            page = self.execute("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.execute("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
            self.execute("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1,
                         mobile=False)
        except LabError:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.ours_in)
        os.close(self.ours_out)

    def execute(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have it do something and return its answer; a LabError when it refuses or does not answer."""
        self.number += 1
        order: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            order["sessionId"] = self.session
        with contextlib.suppress(BrokenPipeError):
            os.write(self.ours_out, json.dumps(order).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while (answer := self.read_message(deadline)).get("id") != self.number:
            pass
        if "error" in answer:
            raise LabError(f"Chromium refuses {method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def read_message(self, deadline: float) -> dict[str, Any]:
        """The next answer or event."""
        while b"\0" not in self.unread:
            if not select.select([self.ours_in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise LabError(f"Chromium does not answer within {ANSWER_TIMEOUT} s")
            data = os.read(self.ours_in, 1 << 20)
            if not data:
                raise LabError("Chromium has ended")
            self.unread += data
        message, _, self.unread = self.unread.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read

    def open(self, link: str) -> None:
        """Go to a page."""
        # From another page, as a link that differs in its fragment alone would load nothing.
        self.execute("Page.navigate", url="about:blank")
        failed = self.execute("Page.navigate", url=link).get("errorText")
        if failed:
            raise LabError(f"Chromium does not open {link.partition('#')[0]}: {failed}")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; that of a promise when it is kept."""
        answer = self.execute("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise LabError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, part: dict[str, float]) -> bytes:
        """What a part of the page shows, as PNG. part: x, y, width and height in pixels."""
        shot = self.execute("Page.captureScreenshot", format="png", clip={**part, "scale": 1})
        return base64.b64decode(shot["data"])
