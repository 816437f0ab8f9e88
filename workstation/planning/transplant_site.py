"""What a centre sets for itself, and how a row is made from the values behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from workstation.planning.transplant_person import Known, Person
from workstation.planning.transplant_rows import SETTLE, Row, Verdict, aged

Use = tuple[Person, Known]

DIGEST = 16
"""Characters of a row's digest of its inputs."""


@dataclass(frozen=True)
class Site:
    """A centre's own limits; None where it has set none, and then a row stays unknown.

    Attributes:
        mfi_warn: mean fluorescence of a donor-specific antibody from which on to warn.
        mfi_block: likewise to block.
        anti_a_igg_limit: highest anti-A IgG titre for an A2 organ into B or O.
        anti_a_igm_limit: likewise of IgM.
        laboratory_days, antibody_days, body_days, imaging_days: how old values may be.
        vessel_ratio: ratio of two diameters above which to warn.
        grwr_percent: least weight of a partial liver graft in percent of the recipient's.
        remnant_percent: least part of the liver that a living donor keeps.
    """

    mfi_warn: float | None = None
    mfi_block: float | None = None
    anti_a_igg_limit: float | None = None
    anti_a_igm_limit: float | None = None
    laboratory_days: float = 30.0
    antibody_days: float = 90.0
    body_days: float = 180.0
    imaging_days: float = 365.0
    vessel_ratio: float = 1.5
    grwr_percent: float = 0.8
    remnant_percent: float = 30.0

    def max_days(self, key: str) -> float | None:
        """Return how old a value of ``key`` may be in days, None for any age."""
        if key in LABORATORY:
            return self.laboratory_days
        if key in ("antibody", "unacceptable_antigen", "cpra") or key.startswith("crossmatch"):
            return self.antibody_days
        if key in ("body_weight", "height", "age"):
            return self.body_days
        if key.endswith(("_volume", "_mm", "_count", "_depth")) or key.startswith(VESSELS):
            return self.imaging_days
        return None


VESSELS = ("diameter_", "length_", "distance_")
"""Beginnings of keys of what is measured at vessels."""

LABORATORY = (
    "creatinine", "bilirubin", "inr", "sodium", "albumin", "egfr", "systolic_pressure",
    "anti_a_igg", "anti_a_igm", "anti_b_igg", "anti_b_igm",
)  # fmt: skip


def made(
    name: str,
    verdict: Verdict,
    value: float | str | None,
    unit: str,
    uses: Sequence[Use],
    rule: str,
    reason: str = "",
    change: str = "",
) -> Row:
    """Return a row with the sources, oldest date, expiry and confirmations of what it uses."""
    values = [(person, known) for person, known in uses if known.value is not None]
    sources = [person.source(known.value) for person, known in uses]
    dates = [known.value.date[:10] for _, known in values if known.value and known.value.date]
    expiries = [known.expires for _, known in values if known.expires]
    old = [f"{p.role} {k.value.key.replace('_', ' ')}" for p, k in values if k.old and k.value]
    said = [
        f"{remark.by}{f' ({remark.date})' if remark.date else ''}"
        for person, known in values
        if known.value and (remark := person.record.confirmed.get(known.value.key))
    ]
    row = Row(
        name,
        verdict,
        value,
        unit,
        "; ".join(dict.fromkeys(sources)),
        min(dates, default=""),
        rule,
        reason,
        change,
        confirmed=", ".join(dict.fromkeys(said)),
        inputs=_digest(uses),
    )
    return aged(row, ", ".join(dict.fromkeys(old)), min(expiries, default=""))


def _digest(uses: Sequence[Use]) -> str:
    told = [
        (person.role, known.doubt, person.readings(known.value.key if known.value else ""))
        for person, known in uses
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:DIGEST] if told else ""


def unknown(name: str, uses: Sequence[Use], rule: str, unit: str = "", also: str = "") -> Row:
    """Return the row of a rule that lacks a value, or whose values contradict each other."""
    doubts = [known.doubt for _, known in uses if known.doubt]
    doubts += [f"no {p.role} value" for p, k in uses if k.value is None and not k.doubt]
    doubts += [also] if also else []
    reason = "; ".join(dict.fromkeys(doubts))
    return made(name, "unknown", None, unit, uses, rule, reason, f"{SETTLE}{reason}")
