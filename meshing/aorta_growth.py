"""How much an aorta has grown between two scans. Lengths in mm, times in years."""

from __future__ import annotations

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
SHARE = 0.5  # of the earlier sections at least must have a partner


def aorta_growth(
    earlier: Measured,
    later: Measured,
    *,
    years: Annotated[float, Gt(0), Le(100)],
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
        years: time between the scans.
        match: sections belong together by their place in one frame of reference (after
            registration), or by their distance along the line from the inlet.
        shift_mm: how much farther (mm) along its line the later scan shows the same place; for
            match by distance.
        progress: told how far the work is.

    Raises:
        ValueError: if either is no measurement of diameters along a line, or too few sections
            belong together.
        FrameMismatch: if both live in different frames and are matched by place.
    """
    progress(0.2, "matching the sections")
    if match == "place" and earlier.frame_uid != later.frame_uid:
        raise FrameMismatch(
            "the two scans lie in different frames of reference; register them and move one, or "
            "match by distance along the line"
        )
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
    most = int(np.argmax(local))
    numbers = (
        Number("growth", growth, "mm", source, growth - down, growth + up),
        Number("growth_per_year", growth / years, "mm/year", f"{source}; in {years:g} years",
               (growth - down) / years, (growth + up) / years),
        Number("local_growth", float(local[most]), "mm",
               f"largest of {len(local)} matched sections, by {match}"),
        Number("local_growth_position", float(pairs[most, 0]), "mm",
               "along the earlier line from the inlet"),
        Number("mean_growth", float(local.mean()), "mm", "mean of the matched sections"),
        Number("matched_sections", float(len(local)), "", f"by {match}"),
    )  # fmt: skip
    return Measurements(numbers, tuple(_findings(growth, down, up, years)))


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


def _findings(growth: float, down: float, up: float, years: float) -> list[Finding]:
    text = f"The largest diameter grew by {growth:.1f} mm in {years:g} years."
    if growth < 0:
        text = f"The largest diameter shrank by {-growth:.1f} mm in {years:g} years."
    found = [Finding(Severity.INFO, "growth", text)]
    if growth - down <= 0 <= growth + up:
        text = "The change lies within the error of measurement; it may be none."
        found.append(Finding(Severity.WARNING, "growth_uncertain", text))
    return found
