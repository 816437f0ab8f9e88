"""What every stage of every package agrees on: progress, findings, numbers, frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite
from typing import Any, Protocol


class Progress(Protocol):
    """Told how far the work is; it may raise to stop the work."""

    def __call__(self, fraction: float, message: str = "") -> None:
        """Report ``fraction`` (0 to 1) of the work done and, in words, what runs now."""


def silent(fraction: float, message: str = "") -> None:
    """A `Progress` that listens to nobody."""


def share(progress: Progress, part: int, parts: int) -> Progress:
    """Return a `Progress` that fills the ``part``-th (from 0) of ``parts`` equal shares."""

    def partial(fraction: float, message: str = "") -> None:
        progress((part + min(max(fraction, 0.0), 1.0)) / parts, message)

    return partial


def as_sentence(text: str) -> str:
    """Return ``text`` with a capital first letter and a full stop.

    A path, file or parameter name that stands first keeps its letters.
    """
    text = text.strip()
    if not text:
        return ""
    is_name = any(mark in text.split()[0].rstrip(".,:;") for mark in "./\\_")
    first = text[0] if is_name else text[0].upper()
    return first + text[1:] + ("" if text[-1] in ".!?" else ".")


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """Something a reader of the result must know; it travels with the result.

    ``location_mm`` is a point (x, y, z) in DICOM patient LPS millimetres, where one applies.
    ``remedy`` says what a person can do about it.
    """

    severity: Severity
    code: str
    sentence: str
    location_mm: tuple[float, float, float] | None = None
    remedy: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentence", as_sentence(self.sentence))
        object.__setattr__(self, "remedy", as_sentence(self.remedy))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        record = asdict(self) | {"severity": str(self.severity)}
        return {key: value for key, value in record.items() if value not in (None, "")}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Finding:
        """Read what `to_json` wrote."""
        place = record.get("location_mm")
        return cls(
            Severity(record["severity"]),
            record["code"],
            record["sentence"],
            None if place is None else (float(place[0]), float(place[1]), float(place[2])),
            record.get("remedy", ""),
        )


PLANNED = "as planned"
"""Ends the source of a number that is what a plan says, so that it is exact by definition."""

EXACT = ("as planned", "as entered", "as set")


def exact_words(source: str) -> str:
    """Return how the source of a number says that it was planned, entered or set, "" if not."""
    return next((words for words in EXACT if words in source), "")


@dataclass(frozen=True)
class Number:
    """One measured or computed value with its unit, band and source.

    ``low`` and ``high`` bound the value where a band is known; ``source`` says how value
    and band were obtained. In a plan the full name is ``OUTPUT.quantity``; that of a ``plain``
    number is its quantity, since it means the same in every plan, such as ``aspect_ratio``.

    Raises:
        ValueError: if a value is not finite.
    """

    quantity: str
    value: float
    unit: str
    source: str
    low: float | None = None
    high: float | None = None
    plain: bool = False

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high):
            if number is not None and not isfinite(number):
                raise ValueError(f"{self.quantity} came out as {number}; check what it is made of")

    def full_name(self, output: str) -> str:
        """Return the name in a plan whose step ``output`` made the number."""
        return self.quantity if self.plain else f"{output}.{self.quantity}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Number:
        """Read what `to_json` wrote."""
        return cls(**record)


@dataclass(frozen=True)
class Measurements:
    """The result of a stage that yields numbers and findings instead of a spatial value."""

    numbers: tuple[Number, ...] = ()
    findings: tuple[Finding, ...] = ()


class FrameMismatch(ValueError):
    """Two values live in different frames of reference or on different voxel grids."""
