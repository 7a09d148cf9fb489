# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration of FRR, indexed by context; what planners compare."""

from __future__ import annotations

from typing import Dict, Iterable, NamedTuple, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_statements import (
    Flavour,
    Path,
    Statement,
    canonical_line,
    canonical_path,
    flavour_of,
    parse_config,
)


class ConfigError(ValueError):
    """The wanted configuration cannot be had on this FRR; the message says why and what to do."""


class Config(NamedTuple):
    """A configuration, indexed. contexts: canonical path -> canonical line -> statement, in order."""

    statements: Tuple[Statement, ...]
    contexts: Dict[Path, Dict[str, Statement]]
    flavour: Flavour


def read_config(text: str) -> Config:
    """Index a configuration's text."""
    statements = parse_config(text)
    contexts: Dict[Path, Dict[str, Statement]] = {(): {}}
    paths: Dict[Path, Path] = {}
    for statement in statements:
        path = paths.setdefault(statement.path, canonical_path(statement.path))
        contexts.setdefault(path, {})[canonical_line(statement.path, statement.line)] = statement
    return Config(tuple(statements), contexts, flavour_of(statements))


def check_asn(found: Config, headings: Iterable[str]) -> None:
    """Raise ConfigError when a wanted `router bgp ASN …` meets another AS running in the same VRF."""
    running = {
        tuple(line.split()[3:]): line.split()[2] for line in found.contexts[()] if line.startswith("router bgp ")
    }
    for heading in headings:
        words = heading.split()
        if words[:2] == ["router", "bgp"] and len(words) > 2:
            other = running.get(tuple(words[3:]), words[2])
            if other != words[2]:
                raise ConfigError(
                    f"`{heading}` is wanted, and BGP runs on this host with AS {other}: FRR has one AS per VRF. Take "
                    f"`router bgp {' '.join([other, *words[3:]])}` away yourself if nobody needs it, or use AS {other}")


def indented(path: Path, lines: Sequence[str]) -> Tuple[str, ...]:
    """Return lines under the headings of their contexts, as a diff shows them."""
    headings = [" " * depth + heading for depth, heading in enumerate(path)]
    return tuple(headings + [" " * len(path) + line for line in lines])
