# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pictures of screens, read to be compared: PNG as browsers make it, PPM as qemu does."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from .errors import LabError

_PNG = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # RGB, RGB with transparency


@dataclass(frozen=True)
class Picture:
    """Width, height, and three bytes a pixel, from left to right, from top to bottom."""

    width: int
    height: int
    pixels: bytes

    def lit(self) -> float:
        """The share of pixels that are not black."""
        return sum(map(any, zip(*self.colours(), strict=True))) / (self.width * self.height)

    def colours(self) -> tuple[bytes, bytes, bytes]:
        """Red, green and blue of all pixels."""
        return self.pixels[0::3], self.pixels[1::3], self.pixels[2::3]

    def differing(self, other: Picture, tolerance: int = 8) -> float:
        """The share of pixels of which a colour differs by more than the tolerance; 1 for pictures of unlike size."""
        if (self.width, self.height) != (other.width, other.height):
            return 1.0
        differs = bytes(abs(one - two) > tolerance for one, two in zip(self.pixels, other.pixels, strict=True))
        return sum(map(any, zip(differs[0::3], differs[1::3], differs[2::3], strict=True))) / (len(differs) // 3)


def read_picture(data: bytes) -> Picture:
    """Read a PNG or PPM picture of 8 bits a colour."""
    return _read_png(data) if data.startswith(_PNG) else _read_ppm(data)


def _read_ppm(data: bytes) -> Picture:
    kind, width, height, most, pixels = data.split(maxsplit=4) if data.startswith(b"P6") else (b"", b"", b"", b"", b"")
    if kind != b"P6" or most != b"255":
        raise LabError(f"no picture that can be read: {data[:20]!r}")
    # One white space ends the header; pixels may begin with what looks like more of it.
    return Picture(int(width), int(height), data[-3 * int(width) * int(height):])


def _read_png(data: bytes) -> Picture:
    """https://www.w3.org/TR/png-3/: chunks of length, name, content, checksum; each row has a filter."""
    at, content, header = len(_PNG), b"", b""
    while at < len(data):
        length, name = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        chunk = data[at + 8:at + 8 + length]
        header = chunk if name == b"IHDR" else header
        content += chunk if name == b"IDAT" else b""
        at += length + 12
    width, height = int.from_bytes(header[0:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour, interlaced = header[8], header[9], header[12]
    if depth != 8 or colour not in _CHANNELS or interlaced:
        raise LabError(f"no PNG that can be read: depth {depth}, colour type {colour}, interlaced {interlaced}")
    channels = _CHANNELS[colour]
    rows = _unfilter(zlib.decompress(content), width * channels, height, channels)
    if channels == 4:
        rows = [bytes(value for index, value in enumerate(row) if index % 4 != 3) for row in rows]
    return Picture(width, height, b"".join(rows))


def _unfilter(data: bytes, size: int, height: int, step: int) -> list[bytes]:
    """Rows as they are, of rows that say how they differ from what is left of and above them."""
    rows, above = [], bytearray(size)
    for number in range(height):
        kind, row = data[number * (size + 1)], bytearray(data[number * (size + 1) + 1:(number + 1) * (size + 1)])
        for index in range(size if kind else 0):
            left = row[index - step] if index >= step else 0
            corner = above[index - step] if index >= step else 0
            guess = (0, left, above[index], (left + above[index]) // 2, _paeth(left, above[index], corner))[kind]
            row[index] = (row[index] + guess) & 255
        rows.append(bytes(row))
        above = row
    return rows


def _paeth(left: int, above: int, corner: int) -> int:
    """The neighbour that is nearest to left + above - corner."""
    aim = left + above - corner
    return min((left, above, corner), key=lambda each: abs(aim - each))
