"""What was measured and can be drawn: lines and points in the patient with their numbers.

Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from segmentation.contract import Finding, Number
from segmentation.volume import Floats, ImageGeometry, Vector

Reach = Floats
"""Three vectors (rows, LPS mm): how far a picked point may be off along each of them."""

UNIT_TEXTS = {"cm2": "cm²", "mm2": "mm²", "degrees": "°"}


@dataclass(frozen=True, eq=False)
class Measured:
    """A measurement that is drawn where it was taken.

    Attributes:
        frame_uid: the DICOM frame of reference.
        lines_mm: polylines, each (n, 3); a closed one repeats its first point.
        picked_mm: (n, 3) points that a person picked, in their order.
        text: what stands beside it, e.g. "23.4 mm".
        text_mm: where that stands.
        places: named points and directions, such as "normal", for those who go on with it.
        samples: named columns of one length, such as the values along a path, units in the name.
    """

    frame_uid: str
    lines_mm: tuple[Floats, ...]
    picked_mm: Floats
    text: str
    text_mm: Vector
    places: Mapping[str, Vector] = field(default_factory=dict)
    samples: Mapping[str, Floats] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        lines = tuple(_points(line) for line in self.lines_mm)
        columns = {name: _frozen(np.array(c, np.float64)) for name, c in self.samples.items()}
        if len({len(column) for column in columns.values()}) > 1:
            raise ValueError("the columns of a measurement must have one length")
        object.__setattr__(self, "lines_mm", lines)
        object.__setattr__(self, "picked_mm", _points(self.picked_mm))
        object.__setattr__(self, "places", MappingProxyType(dict(self.places)))
        object.__setattr__(self, "samples", MappingProxyType(columns))


def _frozen(array: Floats) -> Floats:
    array.setflags(write=False)
    return array


def _points(points: npt.ArrayLike) -> Floats:
    array = np.array(points, np.float64).reshape(-1, 3)
    if not np.isfinite(array).all():
        raise ValueError("a measurement has a point that is not finite")
    return _frozen(array)


def picked(points_mm: npt.ArrayLike, least: int, what: str, most: int | None = None) -> Floats:
    """Return picked points as an array (n, 3), LPS mm.

    Raises:
        ValueError: naming ``what`` is measured, if there are fewer than ``least`` points, more
            than ``most``, or neighbours that are the same.
    """
    points = np.asarray(points_mm, np.float64).reshape(-1, 3)
    if len(points) < least or (most is not None and len(points) > most):
        wanted = f"{least}" if most == least else f"at least {least}"
        raise ValueError(f"{what} needs {wanted} points, not {len(points)}; pick them in the views")
    if len(points) > 1 and (np.linalg.norm(np.diff(points, axis=0), axis=1) < 1e-6).any():
        raise ValueError(f"{what} has two points at one place; move one of them")
    return points


def length_mm(line_mm: npt.ArrayLike) -> float:
    """Return the length in mm of a polyline (n, 3)."""
    return float(np.linalg.norm(np.diff(np.asarray(line_mm, float), axis=0), axis=1).sum())


def middle_mm(line_mm: Floats) -> Vector:
    """Return the point half way along a polyline (n, 3), LPS mm."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line_mm, axis=0), axis=1))])
    x, y, z = (float(np.interp(along[-1] / 2, along, line_mm[:, a])) for a in range(3))
    return x, y, z


def grid_reach(geometry: ImageGeometry) -> Reach:
    """Return how far a point picked on a voxel grid may be off: half a voxel along each axis."""
    return np.asarray(geometry.axes.T * (np.asarray(geometry.spacing_mm)[:, None] / 2))


def reach_text(reach: Reach) -> str:
    """Say how far a picked point may be off."""
    lengths = np.linalg.norm(reach, axis=1)
    if np.allclose(lengths, lengths[0], rtol=1e-6):
        return f"each point within {lengths[0]:.2f} mm"
    return f"each point within half a voxel ({' x '.join(f'{v:.2f}' for v in lengths)} mm)"


def half_band(measure: Callable[[Floats], float], points: Floats, reach: Reach) -> float:
    """Return how far ``measure`` of ``points`` may be off when each point may be off by ``reach``.

    First-order: the worst case of each point, combined over the points as independent errors
    (root of the sum of squares).
    """
    step, total = 1e-4, 0.0
    for n in range(len(points)):
        worst = 0.0
        for vector in reach:
            way = float(np.linalg.norm(vector))
            if way == 0.0:
                continue
            shift = np.zeros_like(points)
            shift[n] = vector / way * step
            slope = (measure(points + shift) - measure(points - shift)) / (2 * step)
            worst += abs(slope) * way
        total += worst**2
    return float(np.sqrt(total))


def banded(
    quantity: str, value: float, unit: str, source: str, half: float, least: float = 0.0
) -> Number:
    """Return a number with the band ``value`` plus and minus ``half``, not below ``least``."""
    return Number(quantity, value, unit, source, max(value - half, least), value + half)


def number_text(value: float, unit: str) -> str:
    """Return a value as it stands beside a drawing: one decimal below 100, then none."""
    digits = 0 if abs(value) >= 100 or unit == "HU" else 1
    space = "" if unit == "degrees" else " "
    return f"{value:.{digits}f}{space}{UNIT_TEXTS.get(unit, unit)}"
