# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the pictures of the documentation: docs/pictures/*.dot by Graphviz's neato, to SVG with style.css beside them.

SVGs are committed, as forges show no dot. Versions of Graphviz draw a little differently, so each SVG names the hash of
what it was drawn from, and `--check` compares that alone; it needs no Graphviz.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
# A wide font: where a reader has another one, the text still fits.
DEFAULTS = """
graph [bgcolor=transparent pad=0.2 outputorder=nodesfirst]
node [fontname="DejaVu Sans" fontsize=10 shape=box style=rounded margin="0.12,0.06" height=0.3]
"""


def find_sources() -> list[Path]:
    """Return the sources of all pictures."""
    return sorted(PICTURES.glob("*.dot"))


def mark_of(source: Path) -> str:
    """Return the comment that names what a picture is drawn from: source, style and defaults."""
    parts = (source.read_bytes(), (PICTURES / "style.css").read_bytes(), DEFAULTS.encode())
    return f"<!-- drawn from {source.name}, {hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]} -->"


def draw(source: Path) -> str:
    """Return a picture as SVG."""
    text = source.read_text(encoding="utf-8").replace("graph {", f"graph {{{DEFAULTS}", 1)
    drawn = subprocess.run(["neato", "-Tsvg"], input=text, capture_output=True, text=True, check=True).stdout
    opening, rest = drawn[drawn.index("<svg"):].split(">", 1)
    style = (PICTURES / "style.css").read_text(encoding="utf-8")
    card = '<rect class="card" x="0.5" y="0.5" width="99.8%" height="99.6%" rx="8"/>'
    return f"{mark_of(source)}\n{opening}>\n<style>\n{style}</style>\n{card}{rest}"


def find_stale(sources: list[Path]) -> list[str]:
    """Return what is wrong with the SVGs: missing, drawn from an older source, or without a source."""
    wrong = []
    for source in sources:
        picture = source.with_suffix(".svg")
        if not picture.exists() or mark_of(source) not in picture.read_text(encoding="utf-8"):
            wrong.append(f"{picture.relative_to(ROOT)} is not drawn from {source.name} as it is: `make docs` draws it")
    strays = {path.stem for path in PICTURES.glob("*.svg")} - {source.stem for source in sources}
    return wrong + [f"docs/pictures/{name}.svg has no source" for name in sorted(strays)]


def main() -> int:
    """Draw what is not drawn from its source as it is, or (`--check`) name it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="draw nothing; fail if a picture is not its source's")
    sources = find_sources()
    if parser.parse_args().check:
        wrong = find_stale(sources)
        print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
        return bool(wrong)
    for source in sources:
        if find_stale([source]):
            source.with_suffix(".svg").write_text(draw(source), encoding="utf-8")
            print(f"{source.with_suffix('.svg').relative_to(ROOT)} is drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
