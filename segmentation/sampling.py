"""What an image holds along a path: profiles, their statistics, and bone density."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy.ndimage import map_coordinates

from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.measured import Measured, length_mm, middle_mm, number_text, picked
from segmentation.volume import Floats, ImageGeometry, Vector, Volume

RING = 8  # points around the path at each radius
QUANTITIES = ("mean", "minimum", "maximum", "5th_percentile", "95th_percentile")


def along_line(line_mm: Floats, step_mm: float) -> tuple[Floats, Floats]:
    """Return even distances (m,) in mm along a polyline (n, 3), and the points (m, 3) there."""
    corner = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line_mm, axis=0), axis=1))])
    count = max(int(np.ceil(corner[-1] / step_mm)), 1) + 1
    distance = np.linspace(0.0, corner[-1], count)
    points = np.stack([np.interp(distance, corner, line_mm[:, a]) for a in range(3)], axis=1)
    return distance, points


def sampled(volume: Volume, points_mm: Floats) -> Floats:
    """Return the values (...,) of an image at LPS mm points (..., 3), trilinear; NaN outside."""
    index = volume.geometry.to_index(points_mm)
    inside = np.all((index >= -0.5) & (index <= np.asarray(volume.geometry.size) - 0.5), axis=-1)
    place = np.moveaxis(index[..., ::-1], -1, 0)
    corner = [np.floor(np.nanmin(c[inside], initial=0)) for c in place]
    start = [int(np.clip(c, 0, n - 1)) for c, n in zip(corner, volume.array.shape)]
    end = [int(np.nanmax(c[inside], initial=0)) + 3 for c in place]
    block = np.asarray(volume.array[tuple(slice(a, b) for a, b in zip(start, end))], np.float64)
    shift = np.reshape(start, (3,) + (1,) * (place.ndim - 1))
    values = map_coordinates(block, place - shift, order=1, mode="nearest")
    return np.where(inside, values, np.nan)


def _rings(points: Floats, radius_mm: float, spacing_mm: float) -> Floats:
    """Return points (m, k, 3) that fill the disc of ``radius_mm`` across a line at each point."""
    if radius_mm <= 0:
        return points[:, None]
    way = np.gradient(points, axis=0)
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
    least = np.eye(3)[np.argmin(np.abs(way), axis=1)]
    first = np.cross(way, least)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(way, first)
    count = max(int(np.ceil(radius_mm / spacing_mm)), 1)
    offsets = [np.zeros(2)]
    for ring in range(1, count + 1):  # rings of equal area weight: more points further out
        turn = np.linspace(0, 2 * np.pi, RING * ring, endpoint=False)
        offsets += list(radius_mm * ring / count * np.stack([np.cos(turn), np.sin(turn)], 1))
    u, v = np.array(offsets).T
    return np.asarray(points[:, None] + u[:, None] * first[:, None] + v[:, None] * second[:, None])


def profile(
    volume: Volume,
    path: Measured | None = None,
    *,
    points_mm: tuple[Vector, ...] = (),
    radius_mm: Annotated[float, Ge(0), Le(50)] = 0.0,
    step_mm: Annotated[float, Gt(0), Le(10)] | None = None,
    density_slope: float | None = None,
    density_intercept: float = 0.0,
    progress: Progress = silent,
) -> Measured:
    """Measure the image values, or the bone density, along a path.

    The image is sampled along the line (trilinear), or averaged over a disc across it, such as
    the bed of a screw. Values are in the image's unit (HU for CT); with a calibration they are
    also given as bone mineral density in mg/cm3, slope times value plus intercept. The band of
    a mean is its 95 percent interval from the spread, each voxel counted once.

    Args:
        volume: the image.
        path: an earlier measurement whose line is followed; empty follows the points.
        points_mm: the points of the path, in order, LPS mm.
        radius_mm: radius of the disc over which values are averaged; 0 takes the line itself.
        step_mm: distance between samples; empty takes half the smallest voxel edge.
        density_slope: mg/cm3 for each unit of the image, from a phantom; empty gives no density.
        density_intercept: mg/cm3 at an image value of zero.
        progress: told how far the work is.

    Raises:
        ValueError: if there is no path, or it lies outside the image.
        FrameMismatch: if the path lies in another frame than the image.
    """
    line = picked(_line_of(volume, path, points_mm), 2, "a profile")
    spacing = min(volume.geometry.spacing_mm)
    progress(0.1, "sampling the image")
    distance, points = along_line(line, step_mm or spacing / 2)
    values = sampled(volume, _rings(points, radius_mm, spacing))
    found = np.isfinite(values).any(axis=1)
    if not found.any():
        raise ValueError("the path lies outside the image; pick its points on the image")
    mean = np.full(len(values), np.nan)
    mean[found] = np.nanmean(values[found], axis=1)
    inside = mean[found]
    progress(0.8, "measuring the values")
    numbers = _statistics(inside, volume.quantity, _voxels(volume.geometry, points[found]))
    numbers.append(_length(line, volume.geometry))
    columns = {"distance_mm": distance[found], _column(volume.quantity): inside}
    if density_slope is not None:
        numbers += _densities(numbers[:5], density_slope, density_intercept, volume.quantity)
        columns["density_mg_cm3"] = density_slope * inside + density_intercept
    findings = () if found.all() else (_outside(float(1 - found.mean())),)
    unit = _unit(volume.quantity)
    text = f"mean {number_text(numbers[0].value, unit)}"
    marks = np.asarray(points_mm, float).reshape(-1, 3)
    return Measured(
        volume.geometry.frame_uid, (line,), marks, text, middle_mm(line),
        samples=columns, findings=findings, numbers=tuple(numbers),
    )  # fmt: skip


def _line_of(volume: Volume, path: Measured | None, points_mm: tuple[Vector, ...]) -> Floats:
    if path is None:
        return np.asarray(points_mm, float).reshape(-1, 3)
    if path.frame_uid != volume.geometry.frame_uid:
        raise FrameMismatch(
            "the path lies in another frame of reference than the image; register one to the "
            "other first"
        )
    if not path.lines_mm:
        raise ValueError("the measurement that should be followed has no line; choose another")
    return path.lines_mm[0]


def _unit(quantity: str) -> str:
    return "HU" if quantity == "HU" else ""


def _column(quantity: str) -> str:
    return "value_hu" if quantity == "HU" else "value"


def _voxels(geometry: ImageGeometry, points_mm: Floats) -> int:
    return len(np.unique(np.round(geometry.to_index(points_mm)).astype(np.int64), axis=0))


def _statistics(values: Floats, quantity: str, voxels: int) -> list[Number]:
    """Return mean, minimum, maximum and percentiles; the mean with its band."""
    source = f"{len(values)} samples over {voxels} voxels along the path, trilinear"
    half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(voxels) if len(values) > 1 else 0.0
    unit, found = _unit(quantity), float(values.mean())
    given = (values.min(), values.max(), *np.percentile(values, (5, 95)))
    why = f"{source}; the band is the 95 % interval of the mean, each voxel counted once"
    return [
        Number("mean", found, unit, why, found - half, found + half),
        *(Number(name, float(value), unit, source) for name, value in zip(QUANTITIES[1:], given)),
    ]


def _length(line: Floats, geometry: ImageGeometry) -> Number:
    return Number("length", length_mm(line), "mm", "length of the path")


def _densities(values: list[Number], slope: float, zero: float, quantity: str) -> list[Number]:
    found = []
    for number in values:
        ends = (number.low, number.high)
        low, high = (None if end is None else slope * end + zero for end in ends)
        if low is not None and high is not None and low > high:
            low, high = high, low
        name = f"density_{number.quantity}"
        source = f"{slope:g} mg/cm3 per {quantity} {zero:+g} mg/cm3 (calibration given by hand)"
        found.append(Number(name, slope * number.value + zero, "mg/cm3", source, low, high))
    return found


def _outside(share: float) -> Finding:
    text = f"{share:.0%} of the path lies outside the image and was left out."
    return Finding(Severity.WARNING, "path_outside", text, remedy="Move the points of the path.")
