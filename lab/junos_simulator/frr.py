# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backend with FRR: brings a host's FRR to the committed configuration, and reads what came of it."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from . import bgp_rpcs, frr_delta, route_rpcs
from .database import CommitError
from .translate import FrrPlan, find_untranslatable, translate
from .tree import ConfigurationError, Node

LOG = logging.getLogger(__name__)
TIMEOUT = 30.0
# What an FRR without a configuration says of itself.
BARE = ("frr ", "hostname ", "log ", "service ", "line ", "ip forwarding", "ipv6 forwarding", "no ip forwarding",
        "no ipv6 forwarding", "agentx", "end", "exit", "!", "Building ", "Current ")
# Lines come by standard input: they hold keys, which stand in no argument and stay in no file.
RUN = ('umask 077; f=$(mktemp); trap "rm -f $f" EXIT; cat > "$f"; '
       'vtysh --dryrun -f "$f" > /dev/null && vtysh -f "$f"')


class FrrBackend:
    """FRR in a host; `enter` are the words before a command that bring it there, none for this very machine."""

    def __init__(self, enter: Sequence[str]) -> None:
        self.enter = list(enter)

    async def run(self, argv: Sequence[str], text: str = "") -> str:
        """What a command in the host says; a CommitError when it fails."""
        return await asyncio.to_thread(self.run_now, argv, text)

    def run_now(self, argv: Sequence[str], text: str) -> str:
        """Run a command in the host."""
        try:
            done = subprocess.run([*self.enter, *argv], input=text, capture_output=True, text=True, check=False,
                                  timeout=TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommitError([ConfigurationError(f"Junos simulator: {argv[0]}: {error}")]) from error
        if done.returncode != 0:
            said, who = (done.stdout + done.stderr).strip(), argv[0] if argv[0] == "nft" else "FRR"
            raise CommitError([ConfigurationError(f"Junos simulator: {who} refuses: {said}")])
        return done.stdout

    async def reset(self) -> None:
        """Start from an FRR that has no configuration: one that has is restarted without."""
        if await self.find_leftovers():
            LOG.info("FRR has a configuration: restarting it without")
            await self.run(["sh", "-c", ": > /etc/frr/frr.conf && systemctl restart frr"])
            left = await self.find_leftovers()
            if left:
                raise CommitError([ConfigurationError(f"Junos simulator: FRR keeps a configuration: {left}")])
        await self.run(["nft", "-f", "-"], frr_delta.write_nft(FrrPlan()))

    async def find_leftovers(self) -> list[str]:
        """The lines of FRR's running configuration that make it do something."""
        running = await self.run(["vtysh", "-c", "show running-config"])
        return [line for line in running.splitlines() if line.strip() and not line.startswith(BARE)]

    def check(self, tree: Node) -> list[ConfigurationError]:
        """What can't be translated."""
        return find_untranslatable(tree)

    async def apply(self, old: Node, new: Node) -> None:
        """Give FRR what differs; sessions that don't differ stay up."""
        before, after = translate(old), translate(new)
        lines = frr_delta.write_delta(before, after)
        if lines:
            await self.run(["sh", "-c", RUN], "\n".join(lines) + "\n")
        if {a: n.ttl for a, n in before.neighbors.items()} != {a: n.ttl for a, n in after.neighbors.items()}:
            await self.run(["nft", "-f", "-"], frr_delta.write_nft(after))
        for address in frr_delta.find_resets(before, after):
            LOG.info("session with %s is reset", address)
            await self.run(["vtysh", "-c", f"clear bgp {address}"])

    async def ask(self, *commands: str) -> list[Any]:
        """FRR's answers to commands that answer in JSON."""
        said = await self.run(["vtysh", *(word for command in commands for word in ("-c", command))])
        return list(read_documents(said, len(commands)))

    async def answer(self, running: Node, rpc: etree._Element) -> list[etree._Element] | None:
        """The answer to an RPC about BGP, BFD or routes."""
        handler = {**bgp_rpcs.HANDLERS, **route_rpcs.HANDLERS}.get(str(rpc.tag))
        return None if handler is None else await handler(self.ask, running, rpc)


def read_documents(said: str, number: int) -> Iterator[Any]:
    """The JSON documents that stand one after the other; FRR says nothing at all of some things that aren't there."""
    decoder = json.JSONDecoder()
    for _ in range(number):
        said = said.lstrip()
        if not said:
            yield {}
            continue
        document, end = decoder.raw_decode(said)
        said = said[end:]
        yield document
