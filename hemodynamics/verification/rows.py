"""One line of the verification: a figure that was computed beside what it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from segmentation.contract import Progress, silent

VERDICTS = {
    "pass": "passed",
    "fail": "failed",
    "inside": "inside the band",
    "outside": "outside it",
    "not run": "not run",
}
"""Verdicts on a row, and how many of them are told."""


class CannotRun(RuntimeError):
    """What a check needs is not on this machine; the text says what and where to get it."""


@dataclass(frozen=True)
class Row:
    """A computed figure beside its reference, all in ``unit``.

    A figure with a band stands beside a measured one that it need not meet: it is no test.

    Attributes:
        name: of the check, as in ``hilum validate NAME``.
        case: what was computed.
        quantity: what of it is compared.
        value: what came out; None where the check did not run.
        reference: what should have.
        limit: how far the two may lie apart; beside a band, the spread of what was measured.
        source: where the reference comes from.
        seconds: how long it took, wall time.
        note: why it did not run, or how to read it.
        low, high: band of the value.
    """

    name: str
    case: str
    quantity: str
    value: float | None
    reference: float | None
    unit: str
    limit: float | None
    source: str
    seconds: float = 0.0
    note: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def error(self) -> float | None:
        """How far the value lies from its reference; None where either is missing."""
        if self.value is None or self.reference is None or not isfinite(self.value):
            return None
        return abs(self.value - self.reference)

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`: without a limit it did not run; what is no number fails."""
        if self.limit is None:
            return "not run"
        if self.low is not None and self.high is not None and self.reference is not None:
            near = self.low - self.limit <= self.reference <= self.high + self.limit
            return "inside" if near else "outside"
        return "pass" if self.error is not None and self.error <= self.limit else "fail"

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum validate --json` prints."""
        value = self.value if self.value is not None and isfinite(self.value) else None
        return asdict(self) | {"value": value, "error": self.error, "verdict": self.verdict}


@dataclass(frozen=True)
class Means:
    """What checks may use.

    Attributes:
        data: a folder with the laboratories' data and real vessels, where there is one.
        progress: told how far a check is.
    """

    data: Path | None = None
    progress: Progress = field(default=silent)


@dataclass(frozen=True)
class Check:
    """Some rows that are computed together.

    Attributes:
        name: as in ``hilum validate NAME``.
        title: what it shows.
        run: computes the rows; it raises `CannotRun` where something is missing.
        minutes: about how long it takes on one core; those above one run only by name.
    """

    name: str
    title: str
    run: Callable[[Means], Iterable[Row]]
    minutes: float = 0.1

    @property
    def quick(self) -> bool:
        """Whether it runs without being named."""
        return self.minutes <= 1.0
