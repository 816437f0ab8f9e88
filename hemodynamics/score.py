"""What a clinical score or formula is: a function with declared inputs, source and population."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from segmentation.contract import Finding, Severity


@dataclass(frozen=True)
class Score:
    """What a score gives for one patient.

    Attributes:
        value: the number, in the unit that its model declares; None where there is no number.
        label: the band or class, in words.
        low, high: bounds of the value, where they are published.
        details: intermediate and further results by name, units in the names.
        findings: what a reader must know, such as a value outside the derivation range.
        missing: inputs that were not given although the score needs them.
    """

    value: float | None
    label: str = ""
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    missing: tuple[str, ...] = ()


class RiskModel(Protocol):
    """A score as a plug-in gives it, under the entry point group ``hemodynamics.risk_models``.

    ``compute`` takes keyword-only inputs whose names end in their unit and whose annotations
    hold their limits; its docstring says what each of them is.
    """

    @property
    def name(self) -> str:
        """The name in ``hilum score NAME``."""

    @property
    def compute(self) -> Callable[..., Score]:
        """The function."""

    @property
    def unit(self) -> str:
        """The unit of the value."""

    @property
    def population(self) -> str:
        """Whom the score was derived from."""

    @property
    def source(self) -> str:
        """Where it is published."""


@dataclass(frozen=True)
class Published:
    """A `RiskModel` of our own."""

    name: str
    compute: Callable[..., Score]
    unit: str
    population: str
    source: str


def outside(what: str) -> Finding:
    """Return the finding that a patient differs from those whom a score was derived from."""
    text = f"outside the derivation range: {what}"
    return Finding(Severity.WARNING, "outside_derivation", text)


def maybe_outside(what: str) -> Finding:
    """Return the finding that nobody knows whether a patient is like those studied."""
    text = f"not known whether it lies within the derivation range: {what}"
    return Finding(Severity.WARNING, "derivation_not_known", text)


def band(value: float, edges: Sequence[float], of: Sequence[Any]) -> Any:
    """Return what ``of`` holds for ``value``; an edge belongs to the band above it.

    ``of`` has one entry more than ``edges``, which ascend.
    """
    return of[bisect_right(edges, value)]
