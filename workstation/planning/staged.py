"""A resection in two stages: the remnant before and after a growth that a person states.

Portal vein embolisation or ligation, and ALPPS, make the remnant grow before the second stage.
How fast it grows is not known beforehand: it is an input without a default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from hemodynamics.liver import LiverCirculation
from segmentation.contract import (
    Finding,
    Measurements,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.volume import LabelMap, require_same_grid
from workstation.planning.liver_function import standard_liver_volume
from workstation.planning.pressure import pressure_after
from workstation.planning.pressure_inputs import NEEDED, PORTAL
from workstation.planning.resection_reserve import LIMITS_PERCENT, Background

MOST_OCCLUDED = 0.9
ASSUMED = "assumes the stated growth, the same each week; a prediction of nobody"
GROWN_LIVER = "grown liver is taken to resist as so much liver did before"
STAGE_ONE = (
    "steady four-resistor model, not validated; portal resistance scales with 1 / open share, "
    "artery and hepatic veins stay"
)


@dataclass(frozen=True)
class _Growth:
    """Percent of the remnant's present volume that it gains in all; the band where one is."""

    percent: float
    low: float | None
    high: float | None

    def of(self, volume_ml: float) -> tuple[float, float | None, float | None]:
        """Return a volume after the growth, with its band."""
        low, high = (
            None if p is None else volume_ml * (1 + p / 100) for p in (self.low, self.high)
        )
        return volume_ml * (1 + self.percent / 100), low, high


def staged_resection(
    liver: LabelMap,
    remnant: LabelMap,
    patient: Measurements | None = None,
    tumor: LabelMap | None = None,
    occluded: LabelMap | None = None,
    *,
    growth_percent_per_week: Annotated[float, Ge(0), Le(100)] | None = None,
    growth_low_percent_per_week: Annotated[float, Ge(0), Le(100)] | None = None,
    growth_high_percent_per_week: Annotated[float, Ge(0), Le(100)] | None = None,
    weeks: Annotated[float, Gt(0), Le(26)] | None = None,
    background: Background = "unknown",
    progress: Progress = silent,
) -> Measurements:
    """Plan the resection in two stages: the remnant before and after a growth that you state.

    Without a growth and a time there is a finding that asks for them, and nothing is predicted.

    Args:
        liver: the whole liver.
        remnant: the part that stays after the second stage.
        patient: body size and pressures, for the standard volume and the forecast.
        tumor: tumour, which does not count as liver.
        occluded: what loses its portal flow in the first stage.
        growth_percent_per_week: growth of the remnant each week, in percent of its present
            volume; your assumption.
        growth_low_percent_per_week: the least growth that you expect; with the most, the band.
        growth_high_percent_per_week: the most growth that you expect.
        weeks: time between the stages.
        background: the state of the liver, which chooses the limit that applies.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the labels lie on different grids.
        ValueError: if no liver is left beside the tumour, or the growths are not in order.
    """
    for other in (remnant, tumor, occluded):
        if other is not None:
            require_same_grid(liver, other)
    growth = _growth(
        growth_percent_per_week, growth_low_percent_per_week, growth_high_percent_per_week, weeks
    )
    known = {} if patient is None else {n.quantity: n.value for n in patient.numbers}
    lesion = np.zeros_like(liver.mask()) if tumor is None else tumor.mask()
    whole, stays = liver.mask() & ~lesion, remnant.mask() & ~lesion
    if not stays.any() or not whole.any():
        raise ValueError("no liver is left beside the tumour; check the labels and the cut")
    ml = liver.geometry.voxel_ml
    whole_ml, stays_ml = np.count_nonzero(whole) * ml, np.count_nonzero(stays) * ml
    numbers, findings = _shares(stays_ml, whole_ml, known, growth, background)
    open_findings: list[Finding] = []
    if occluded is not None:
        more, open_findings = _first_stage(occluded, whole, stays, ml, known)
        numbers += more
    if growth is not None:
        tell = share(progress, 1, 2)
        numbers += _second_stage(liver.volume_ml(), remnant.volume_ml(), known, growth, tell)
        if PORTAL not in known:
            text = "The pressure of the stages is not estimated; not entered: portal vein pressure"
            remedy = "enter the patient's values to get an estimate"
            findings.append(Finding(Severity.INFO, "portal_pressure_inputs", text, remedy=remedy))
    progress(1.0)
    return Measurements(tuple(numbers), (*findings, *open_findings))


def _growth(
    rate: float | None, low: float | None, high: float | None, weeks: float | None
) -> _Growth | None:
    if rate is None or weeks is None:
        return None
    if (low is None) != (high is None):
        raise ValueError("a band of growth needs its least and its most; give both or neither")
    if low is not None and high is not None and not low <= rate <= high:
        raise ValueError(
            f"growths of {low:g}, {rate:g} and {high:g} % a week are not in order; the stated one "
            "lies between the least and the most"
        )
    ends = (None if end is None else end * weeks for end in (low, high))
    return _Growth(rate * weeks, *ends)


def _shares(
    stays_ml: float,
    whole_ml: float,
    known: dict[str, float],
    growth: _Growth | None,
    background: Background,
) -> tuple[list[Number], list[Finding]]:
    """Return the remnant before and after the growth: volume and shares, beside the limit."""
    counted = "voxel count x voxel volume, tumour left out"
    bases = [("share", whole_ml, "of the liver's present volume, tumour left out")]
    weight, height = known.get("body_weight_kg"), known.get("height_cm")
    if weight is not None and height is not None:
        score = standard_liver_volume(height_cm=height, weight_kg=weight, formula="vauthey")
        assert score.value is not None
        said = f"of the standard liver volume of {score.value:.0f} mL (Vauthey 2002)"
        bases.append(("standard_share", score.value, said))
    numbers = [Number("remnant_before", stays_ml, "mL", counted)]
    numbers += [
        Number(f"{name}_before", 100 * stays_ml / base, "%", said) for name, base, said in bases
    ]
    if growth is None:
        note = Finding(
            Severity.WARNING,
            "growth_not_stated",
            "nothing is predicted: growth of the remnant a week, and the weeks, were not stated",
            remedy="enter the growth that you assume, with the least and the most",
        )
        return numbers, [note]
    grown, low, high = growth.of(stays_ml)
    numbers.append(Number("remnant_after", grown, "mL", ASSUMED, low, high))
    findings = []
    for name, base, said in bases:
        least, most = (None if end is None else 100 * end / base for end in (low, high))
        source = f"{said}; {ASSUMED}"
        after = Number(f"{name}_after", 100 * grown / base, "%", source, least, most)
        numbers.append(after)
    findings.append(_against_limit(after, background))
    if max(grown, high or grown) > whole_ml:
        text = (
            f"The stated growth makes the remnant larger than the liver is now ({whole_ml:.0f} mL)"
        )
        remedy = "state a smaller growth or a shorter time"
        findings.append(Finding(Severity.WARNING, "growth_beyond_liver", text, remedy=remedy))
    rate = next(n for n in numbers if n.quantity == f"{name}_before")
    text = (
        f"It is an assumption that the remnant grows by {growth.percent:.0f} % until the second "
        f"stage; its share goes from {rate.value:.0f} to {after.value:.0f} %"
    )
    remedy = "measure the remnant again on a scan before the second stage"
    findings.append(Finding(Severity.INFO, "growth_assumed", text, remedy=remedy))
    return numbers, findings


def _against_limit(after: Number, background: Background) -> Finding:
    """Return whether the share after the growth reaches the limit that applies."""
    chosen = LIMITS_PERCENT if background == "unknown" else {background: LIMITS_PERCENT[background]}
    limit, words = max(chosen.values())
    least = after.value if after.low is None else after.low
    if least >= limit:
        text = f"After the stated growth the remnant is above the limit of {limit:g} % for {words}"
        return Finding(Severity.INFO, "limit_reached", text)
    if after.value >= limit:
        text = f"With the least growth the remnant stays below the limit of {limit:g} % for {words}"
        return Finding(Severity.WARNING, "limit_in_doubt", text, remedy="allow more time")
    text = f"After the stated growth the remnant is below the limit of {limit:g} % for {words}"
    return Finding(Severity.WARNING, "limit_not_reached", text, remedy="allow more time")


def _first_stage(
    occluded: LabelMap,
    whole: np.ndarray,
    stays: np.ndarray,
    voxel_ml: float,
    known: dict[str, float],
) -> tuple[list[Number], list[Finding]]:
    """Return what loses its portal flow, and the portal pressure that this makes."""
    lost = occluded.mask() & whole
    part = float(np.count_nonzero(lost) / np.count_nonzero(whole))
    hit_ml = float(np.count_nonzero(lost & stays)) * voxel_ml
    source = "territory of the branches that are occluded, nearest branch, tumour left out"
    numbers = [
        Number("occluded", np.count_nonzero(lost) * voxel_ml, "mL", source),
        Number("occluded_share", 100 * part, "%", f"{source}; of the liver"),
        Number("remnant_occluded", hit_ml, "mL", "remnant that loses its portal flow"),
    ]
    if not part:
        text = "No portal branch is occluded in the first stage"
        remedy = "name the branches, or click on them, in the step that finds the territory"
        return numbers, [Finding(Severity.WARNING, "nothing_occluded", text, remedy=remedy)]
    findings = []
    if hit_ml > 0:
        text = f"{hit_ml:.0f} mL of the remnant lie in the occluded territory and would not grow"
        remedy = "occlude other branches, or move the cut"
        findings.append(Finding(Severity.WARNING, "remnant_occluded", text, remedy=remedy))
    lacks = [words for name, words in NEEDED.items() if name not in known]
    if lacks:
        text = (
            f"The first stage's portal pressure is not estimated; not entered: {', '.join(lacks)}"
        )
        findings.append(Finding(Severity.INFO, "first_stage_inputs", text))
    elif part > MOST_OCCLUDED:
        text = f"The first stage's portal pressure is not estimated: {part:.0%} would be occluded"
        findings.append(Finding(Severity.PROBLEM, "first_stage_outside", text))
    else:
        before = LiverCirculation(*(known[name] for name in NEEDED))
        after = before.after_portal_occlusion(part)
        numbers += [
            Number("pressure_first_stage", after.portal_mmhg, "mmHg", STAGE_ONE),
            Number("gradient_first_stage", after.gradient_mmhg, "mmHg", STAGE_ONE),
        ]
    return numbers, findings


def _second_stage(
    whole_ml: float,
    stays_ml: float,
    known: dict[str, float],
    growth: _Growth,
    progress: Progress,
) -> list[Number]:
    """Return the portal pressure of a resection at once, and after the growth, with bands."""
    if PORTAL not in known:
        return []
    after = pressure_after(known, whole_ml, progress=progress)
    grown = [v for v in growth.of(stays_ml) if v is not None]
    at_once, *later = (after(1.0 - ml / whole_ml).numbers for ml in (stays_ml, *grown))
    numbers = [_named("pressure_at_once", at_once), _named("gradient_at_once", at_once)]
    for name in ("pressure_second_stage", "gradient_second_stage"):
        found = [number for n in later if (number := _named(name, n)) is not None]
        if len(found) < len(later) or not found:
            continue
        ends = [end for n in found for end in (n.low, n.high, n.value) if end is not None]
        source = f"{found[0].source}; {GROWN_LIVER}; {ASSUMED}; band: with that of the growth"
        numbers.append(Number(name, found[0].value, "mmHg", source, min(ends), max(ends)))
    return [number for number in numbers if number is not None]


def _named(name: str, numbers: tuple[Number, ...]) -> Number | None:
    """Return the pressure or gradient after a resection under another name."""
    wanted = "after" if name.startswith("pressure") else "gradient_after"
    found = next((n for n in numbers if n.quantity == wanted), None)
    if found is None:
        return None
    return Number(name, found.value, "mmHg", found.source, found.low, found.high)
