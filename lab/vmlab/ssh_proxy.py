# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way of an SSH connection into the lab: from the controller's seat on the underlay to a host's port."""

from __future__ import annotations

import os
import select
import socket
import sys

from .errors import LabError
from .netns import inside_netns, named_netns
from .state import LabState
from .topology import Topology

CONNECT_TIMEOUT = 10.0


def connect(state: LabState, topology: Topology, host: str, port: int) -> None:
    """Connect standard input and output to the host's port until one side ends."""
    address, netns = find_way(state, topology, host)
    try:
        with inside_netns(named_netns(netns)):
            link = socket.create_connection((address, port), timeout=CONNECT_TIMEOUT)
    except OSError as error:
        raise LabError(f"no connection to {host} ({address} port {port}): {error}") from error
    link.settimeout(None)
    with link:
        copy(link)


def find_way(state: LabState, topology: Topology, host: str) -> tuple[str, str]:
    """The address to connect to and the namespace to do it from.

    From the switches' namespace where the lab has an address on a network of the host: what cuts the host off cuts such
    a connection too. Else from the host's own namespace.
    """
    for port in topology.host(host).interfaces:
        if topology.networks[port.network].lab_addresses and port.addresses:
            return port.addresses[0].partition("/")[0], state.wires_netns
    return "127.0.0.1", state.host_netns(host)


def copy(link: socket.socket) -> None:
    """Copy both ways; the end of the input is passed on, the end of the connection ends it all."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(link, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == 0:
                data = os.read(0, 65536)
                if data:
                    link.sendall(data)
                else:
                    poll.unregister(0)
                    link.shutdown(socket.SHUT_WR)
            else:
                data = link.recv(65536)
                if not data:
                    return
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
