# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes and warnings: where they were found, in the inventory's own words, and what to do about them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """One mistake or warning.

    where: the host, `cluster NAME` or `group NAME` that has it; key: the path of the variable, such as
    `cluster.pools[1].prefix`, or empty; problem: what is wrong, with the value seen unless that is a secret;
    remedy: what to do.
    """

    where: str
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.problem, self.remedy) if part)


@dataclass
class Findings:
    """All that was found, each once, in the order in which it was found."""

    mistakes: dict[Finding, None] = field(default_factory=dict)
    warnings: dict[Finding, None] = field(default_factory=dict)

    def mistake_lines(self) -> list[str]:
        """Return one readable line per mistake."""
        return [str(mistake) for mistake in self.mistakes]

    def warning_lines(self) -> list[str]:
        """Return one readable line per warning."""
        return [str(warning) for warning in self.warnings]


@dataclass(frozen=True)
class Place:
    """Where the reader stands: findings made here name this host or cluster, and this key."""

    findings: Findings
    where: str
    key: str = ""

    def at(self, key: str) -> Place:
        """Return the place of a key below this one."""
        return Place(self.findings, self.where, f"{self.key}.{key}" if self.key else key)

    def item(self, index: int) -> Place:
        """Return the place of an element of the list that is here."""
        return Place(self.findings, self.where, f"{self.key}[{index}]")

    def mistake(self, problem: str, remedy: str) -> None:
        """Record a mistake found here."""
        self.findings.mistakes[Finding(self.where, self.key, problem, remedy)] = None

    def warning(self, problem: str, remedy: str) -> None:
        """Record a warning found here."""
        self.findings.warnings[Finding(self.where, self.key, problem, remedy)] = None
