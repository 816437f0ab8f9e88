"""What an image shows along screws: density, and cortices by their density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segmentation.contract import Finding, Number, Severity
from segmentation.sampling import sampled
from segmentation.volume import Floats, Volume

CORTEX_MM = 2.0
"""A cortex begins this near to the surface of the bone; more of it is seen as no cortex."""

Row = tuple[Floats, Floats, tuple[tuple[float, float], ...], float]
"""A screw's seat and axis (LPS), where its axis runs in bone (mm from the seat), and its length."""


@dataclass(frozen=True, eq=False)
class Density:
    """Numbers, findings and columns of values along screws."""

    numbers: tuple[Number, ...] = ()
    findings: tuple[Finding, ...] = ()
    samples: Mapping[str, Floats] = field(default_factory=dict)


def density_of(volume: Volume, screws: list[Row], cortex_hu: float | None) -> Density:
    """Sample an image along each screw's axis as far as it runs in bone.

    Mean and least are those along the shaft; cortices are looked for as far as the far side.
    The columns are ``screw`` (number), ``along_mm`` (from the seat) and ``value_hu``, or
    ``value`` where the image is not in HU.
    """
    unit = "HU" if volume.quantity == "HU" else ""
    step = min(volume.geometry.spacing_mm) / 2
    numbers: list[Number] = []
    findings: list[Finding] = []
    columns: list[Floats] = []
    for n, (seat, axis, stretches, length) in enumerate(screws, 1):
        start, end = stretches[0][0], stretches[-1][1]
        along = np.linspace(start, end, max(int(np.ceil((end - start) / step)), 1) + 1)
        values = sampled(volume, seat + along[:, None] * axis)
        known = np.isfinite(values)
        columns.append(np.stack([np.full(known.sum(), n), along[known], values[known]]))
        held = known & (along <= length)
        if not held.any():
            text = f"screw {n} lies outside the image, so its density is not known"
            findings.append(Finding(Severity.WARNING, "outside_image", text))
            continue
        source = f"{held.sum()} samples along the axis in bone, from entry to tip, trilinear"
        numbers += [
            Number(f"density_mean_{n}", float(values[held].mean()), unit, source),
            Number(f"density_least_{n}", float(values[held].min()), unit, source),
        ]
        if cortex_hu is not None:
            dense = known & (np.nan_to_num(values, nan=-np.inf) >= cortex_hu)
            more, note = _cortices(n, along, dense, length, f"{cortex_hu:g} {unit}".strip())
            numbers, findings = numbers + more, findings + note
    table = np.concatenate(columns, axis=1)
    names = ("screw", "along_mm", "value_hu" if unit else "value")
    return Density(tuple(numbers), tuple(findings), dict(zip(names, table)))


def _cortices(
    n: int, along: Floats, dense: npt.NDArray[np.bool_], length: float, limit: str
) -> tuple[list[Number], list[Finding]]:
    """Return the thickness of both cortices, and how many of them a screw goes through."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dense.astype(np.int8), [0]])))
    runs = [(along[a], along[b - 1]) for a, b in edges.reshape(-1, 2)]
    near = next((r for r in runs if r[0] - along[0] <= CORTEX_MM), None)
    far = next((r for r in reversed(runs) if along[-1] - r[1] <= CORTEX_MM), None)
    step = float(along[1] - along[0])
    through = int(near is not None) + int(far is not None and length >= far[1] - step)
    source = f"image from {limit} on, within {CORTEX_MM:g} mm of the bone's surface"
    numbers = [Number(f"cortices_by_density_{n}", float(through), "", source)]
    for name, run in (("near", near), ("far", far)):
        if run is not None and run[1] > run[0]:
            numbers.append(Number(f"{name}_cortex_{n}", float(run[1] - run[0]), "mm",
                                  f"along the screw; {source}"))  # fmt: skip
    missing = [name for name, run in (("near", near), ("far", far)) if run is None]
    if not missing:
        return numbers, []
    text = f"the image shows no cortex from {limit} on at the {' and '.join(missing)} side"
    return numbers, [Finding(Severity.WARNING, "no_cortex", f"{text} of screw {n}")]
