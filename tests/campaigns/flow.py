"""Flow against exact solutions, laboratories and OpenFOAM: what ``hilum validate`` checks.

Each case is one check, long ones too; those that lack data or OpenFOAM say so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hemodynamics.verification.rows import Row
from workstation.validate import CHECKS, validate


@dataclass(frozen=True)
class Verdict:
    """The rows of one check."""

    name: str
    rows: tuple[Row, ...]

    @property
    def faults(self) -> list[str]:
        """What misses its bar."""
        return [f"{row.case}: {row.quantity}" for row in self.rows if row.verdict == "fail"]

    def __str__(self) -> str:
        lines = (
            f"{row.verdict:8} {row.case}: {row.quantity} {row.value} {row.unit} {row.note}"
            for row in self.rows
        )
        return "\n".join((self.name, *lines))


def judge(name: str) -> Verdict:
    """Return what a check of that name gives."""
    data = os.environ.get("HILUM_DATA")
    return Verdict(name, tuple(validate([name], Path(data) if data else None)))


CASES: tuple[Callable[[], Verdict], ...] = tuple(partial(judge, check.name) for check in CHECKS)
