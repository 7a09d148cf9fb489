# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM in a machine of tests/lab/test_switching_trunk.py: behind its tap it answers ARP requests for its address.

Started as `python3 trunk_guest.py INTERFACE MAC ADDRESS`; it says on standard output when it is attached.
"""

import fcntl
import ipaddress
import os
import struct
import sys

TUNSETIFF, TAP, NO_PI = 0x400454CA, 0x0002, 0x1000

interface, mac = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", ""))
address = ipaddress.ip_address(sys.argv[3]).packed
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", interface.encode(), TAP | NO_PI))
print(f"guest on {interface}", flush=True)
while True:
    frame = os.read(tap, 2048)
    if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == address:
        asker = frame[22:32]
        head = asker[:6] + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 2)
        os.write(tap, (head + mac + address + asker).ljust(60, b"\0"))
