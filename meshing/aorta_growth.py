"""How much an aorta has grown between two scans. Lengths in mm, times in years."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le

from segmentation.contract import (
    Finding,
    FrameMismatch,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.measured import Measured

Floats = npt.NDArray[np.float64]

APART = 10.0  # mm that sections of one place may lie apart, in one frame
TURNED = 0.5  # of the differences are left when one line is read from its other end
YEAR_DAYS = 365.25
UNKNOWN = "in a time that is not known"
SHARE = 0.5  # of the earlier sections at least must have a partner


def aorta_growth(
    earlier: Measured,
    later: Measured,
    *,
    years: Annotated[float, Gt(0), Le(100)] | None = None,
    earlier_date: str = "",
    later_date: str = "",
    match: Literal["place", "distance"] = "place",
    shift_mm: float = 0.0,
    progress: Progress = silent,
) -> Measurements:
    """Measure how much an aorta has grown since an earlier scan, in mm and mm a year.

    The largest diameters are compared, and every section with that of the same place. The band
    joins those of both diameters as independent errors; a growth inside of it may be none.

    Args:
        earlier: the diameters on the earlier scan.
        later: those on the later one.
        years: time between the scans; empty takes it from their dates, and without these there
            is no growth a year.
        earlier_date: day of the earlier scan, such as 2021-03-05.
        later_date: day of the later one.
        match: sections belong together by their place in one frame of reference (after
            registration), or by their distance along the line from the inlet.
        shift_mm: how much farther (mm) along its line the later scan shows the same place; for
            match by distance.
        progress: told how far the work is.

    Raises:
        ValueError: if either is no measurement of diameters along a line, too few sections
            belong together, or the dates are none or in the wrong order.
        FrameMismatch: if both live in different frames and are matched by place.
    """
    progress(0.2, "matching the sections")
    if match == "place" and earlier.frame_uid != later.frame_uid:
        raise FrameMismatch(
            "the two scans lie in different frames of reference; register them and move one, or "
            "match by distance along the line"
        )
    between, told = _between(years, earlier_date, later_date)
    pairs = _pairs(earlier, later, match, shift_mm)
    before, after = _largest(earlier), _largest(later)
    growth = after.value - before.value
    down = float(np.hypot(_half(after, low=True), _half(before, low=False)))
    up = float(np.hypot(_half(after, low=False), _half(before, low=True)))
    source = (
        f"largest diameter {after.value:.1f} mm - {before.value:.1f} mm; band: both measurement "
        "errors, independent"
    )
    local = pairs[:, 2] - pairs[:, 1]
    turned = match == "distance" and _turned(pairs)
    most = int(np.argmax(local))
    numbers = (
        Number("growth", growth, "mm", source, growth - down, growth + up),
        *_yearly(growth, down, up, between, f"{source}; {told}"),
        Number("local_growth", float(local[most]), "mm",
               f"largest of {len(local)} matched sections, by {match}"),
        Number("local_growth_position", float(pairs[most, 0]), "mm",
               "along the earlier line from the inlet"),
        Number("mean_growth", float(local.mean()), "mm", "mean of the matched sections"),
        Number("matched_sections", float(len(local)), "", f"by {match}"),
    )  # fmt: skip
    return Measurements(numbers, (*_findings(growth, down, up, told), *(_ends() if turned else ())))


def _turned(pairs: Floats) -> bool:
    """Tell whether the diameters fit better with the later line read from its other end."""
    as_is, other = (float(np.abs(later - pairs[:, 1]).sum()) for later in
                    (pairs[:, 2], pairs[::-1, 2]))  # fmt: skip
    return other < TURNED * as_is


def _ends() -> tuple[Finding, ...]:
    text = (
        "The diameters of the two scans fit better with one line reversed, so local and mean "
        "growth may compare different places"
    )
    remedy = "Look where each line begins; a point near the inlet (inlet_mm) turns it"
    return (Finding(Severity.WARNING, "growth_reversed", text, remedy=remedy),)


def _between(years: float | None, earlier: str, later: str) -> tuple[float | None, str]:
    """Return the years between two scans, None where not known, and how they are told."""
    if years is not None:
        return years, f"in {years:g} years"
    if not (earlier.strip() and later.strip()):
        return None, UNKNOWN
    first, last = _day(earlier), _day(later)
    if first >= last:
        raise ValueError(
            f"the earlier scan of {first} is not before the later one of {last}; change the dates"
        )
    found = (last - first).days / YEAR_DAYS
    return found, f"from {first} to {last}, {found:.2f} years"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is no date; write it as 2021-03-05") from error


def _yearly(
    growth: float, down: float, up: float, years: float | None, source: str
) -> tuple[Number, ...]:
    """Return the growth a year where the time is known, and that time."""
    if years is None:
        return ()
    low, high = (growth - down) / years, (growth + up) / years
    return (
        Number("growth_per_year", growth / years, "mm/year", source, low, high),
        Number("years", years, "years", "between the scans"),
    )


def _pairs(earlier: Measured, later: Measured, match: str, shift_mm: float) -> Floats:
    """Return rows of position, earlier and later diameter (mm) of the same places."""
    one, other = _columns(earlier), _columns(later)
    if match == "place":
        gap = np.linalg.norm(one[:, None, 2:] - other[None, :, 2:], axis=2)
        near = gap.argmin(axis=1)
        fits = gap.min(axis=1) < APART
        partner = other[near, 1]
    else:
        at = one[:, 0] + shift_mm
        partner = np.interp(at, other[:, 0], other[:, 1])
        fits = (at >= other[0, 0]) & (at <= other[-1, 0])
    if fits.sum() < max(SHARE * len(one), 3):
        raise ValueError(
            f"only {int(fits.sum())} of {len(one)} sections have a partner on the other scan; "
            "register the scans, or match by distance with the right shift"
        )
    return np.stack([one[fits, 0], one[fits, 1], partner[fits]], axis=1)


def _columns(value: Measured) -> Floats:
    names = ("along_mm", "maximum_diameter_mm", "x_mm", "y_mm", "z_mm")
    if not set(names) <= set(value.samples):
        raise ValueError("growth is told from two measurements of the aorta's diameters")
    return np.stack([value.samples[name] for name in names], axis=1)


def _largest(value: Measured) -> Number:
    return next(n for n in value.numbers if n.quantity == "maximum_diameter")


def _half(number: Number, *, low: bool) -> float:
    edge = number.low if low else number.high
    return 0.0 if edge is None else abs(number.value - edge)


def _findings(growth: float, down: float, up: float, told: str) -> list[Finding]:
    text = f"The largest diameter grew by {growth:.1f} mm {told}."
    if growth < 0:
        text = f"The largest diameter shrank by {-growth:.1f} mm {told}."
    found = [Finding(Severity.INFO, "growth", text)]
    if growth - down <= 0 <= growth + up:
        text = "The change lies within the error of measurement; it may be none."
        found.append(Finding(Severity.WARNING, "growth_uncertain", text))
    if told == UNKNOWN:
        remedy = "Give the dates of both scans (earlier_date, later_date), or the years between"
        text = "Growth a year is not told: the time between the scans is not known"
        found.append(Finding(Severity.INFO, "growth_time", text, remedy=remedy))
    return found
