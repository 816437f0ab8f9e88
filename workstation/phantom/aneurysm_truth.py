"""What is known exactly of the synthetic aneurysm, from its shapes and not from any image.

The neck is the curve in which the ellipsoid meets the arteries; it is found to a thousandth of a
millimetre in each of many directions about the axis of the sac. Space is DICOM patient LPS.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull

from workstation.phantom.aneurysm import AneurysmPhantom
from workstation.phantom.shapes import Shape

Floats = npt.NDArray[np.float64]

AROUND, ALONG = 360, 180
"""Points on the dome, around its axis and from tip to neck."""

HALVINGS = 24


def exact_shape(patient: AneurysmPhantom) -> dict[str, float]:
    """Return the exact numbers of the dome and its neck by their names in the plan.

    mm, mm2, mL and pure numbers, each as it is defined for a measured dome: heights from the
    plane that fits the neck best, the width as the mean diameter of the neck in that plane, the
    dome closed by a fan over its neck.
    """
    dome, neck = dome_and_neck(patient)
    centre, normal, flat = _laid(neck)
    normal = normal if (dome.reshape(-1, 3).mean(axis=0) - centre) @ normal > 0 else -normal
    height = float(((dome - centre) @ normal).max())
    reach = float(np.linalg.norm(dome - centre, axis=-1).max())
    width = _mean_diameter(flat)
    volume, area = _volume_and_area(dome, centre)
    hull = ConvexHull(np.concatenate([dome.reshape(-1, 3), neck]))
    return {
        "neck.width": width,
        "dome.volume": volume / 1000.0,
        "aspect_ratio": height / width,
        "nonsphericity_index": 1 - (18 * np.pi) ** (1 / 3) * volume ** (2 / 3) / area,
        "undulation_index": 1 - volume / float(hull.volume),
        "height": height,
        "height_maximum": reach,
    }


def dome_and_neck(patient: AneurysmPhantom) -> tuple[Floats, Floats]:
    """Return points of the dome (along, around, 3), tip first, and the neck (around, 3)."""
    angles = 2 * np.pi * np.arange(AROUND) / AROUND
    near = [s for s in patient.vessels if _may_touch(s, patient)]
    inner, outer = np.zeros(AROUND), np.full(AROUND, np.pi)
    for _ in range(HALVINGS):
        middle = (inner + outer) / 2
        outside = _outside(near, _on_sac(patient, middle, angles)) > 0
        inner, outer = np.where(outside, middle, inner), np.where(outside, outer, middle)
    polar = np.linspace(0, 1, ALONG)[:, None] * inner
    dome = _on_sac(patient, polar, np.broadcast_to(angles, polar.shape))
    return dome, dome[-1]


def _may_touch(shape: Shape, patient: AneurysmPhantom) -> bool:
    centre, reach = np.asarray(patient.sac.centre_mm), max(patient.sac.radii_mm)
    return bool(
        np.all(centre + reach > shape.low_mm) and np.all(centre - reach < np.asarray(shape.high_mm))
    )


def _on_sac(patient: AneurysmPhantom, polar: Floats, around: Floats) -> Floats:
    """Return points of the ellipsoid: polar angle from its first axis, angle around it."""
    local = np.stack(
        [np.cos(polar), np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)], axis=-1
    )
    scaled = local * np.asarray(patient.sac.radii_mm)
    axes = np.asarray(patient.sac.axes, np.float64)
    return np.asarray(scaled @ axes.T + patient.sac.centre_mm, np.float64)


def _outside(vessels: list[Shape], points: Floats) -> Floats:
    """Return the signed distance in mm of points to the nearest vessel, negative inside."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.asarray(reduce(np.minimum, (s.distance_mm(x, y, z) for s in vessels)), float)


def _laid(neck: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the centroid of what a curve encloses, its plane's normal, and it in its plane."""
    ring = np.concatenate([neck, neck[:1]])
    step = np.linalg.norm(np.diff(ring, axis=0), axis=1)
    middle = (0.5 * (ring[1:] + ring[:-1]) * step[:, None]).sum(axis=0) / step.sum()
    even = np.stack(
        [
            np.interp(
                np.linspace(0, step.sum(), 721)[:-1], np.append(0, np.cumsum(step)), ring[:, n]
            )
            for n in range(3)
        ],
        axis=1,
    )
    u, v, normal = np.linalg.svd(even - middle, full_matrices=False)[2]
    flat = np.stack([(neck - middle) @ u, (neck - middle) @ v], axis=1)
    after = np.roll(flat, -1, axis=0)
    cross = flat[:, 0] * after[:, 1] - flat[:, 1] * after[:, 0]
    x, y = ((flat + after) * cross[:, None]).sum(axis=0) / (3 * cross.sum())
    return middle + x * u + y * v, normal, flat


def _mean_diameter(flat: Floats) -> float:
    """Return the mean over all directions of the distance of parallel tangents, in mm."""
    angle = np.pi * np.arange(180) / 180
    along = flat @ np.stack([np.cos(angle), np.sin(angle)])
    return float((along.max(axis=0) - along.min(axis=0)).mean())


def _volume_and_area(dome: Floats, lid: Floats) -> tuple[float, float]:
    """Return the volume in mm3 under a dome with a fan to ``lid``, and its own area in mm2."""
    a, b = dome[:-1], dome[1:]
    c, d = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
    triangles = np.concatenate(
        [np.stack(t, axis=2).reshape(-1, 3, 3) for t in ((a, b, d), (a, d, c))]
    )
    arms = triangles - lid  # the fan itself spans nothing as seen from its own centre
    volume = np.einsum("ni,ni->n", arms[:, 0], np.cross(arms[:, 1], arms[:, 2])).sum() / 6
    sides = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return abs(float(volume)), float(np.linalg.norm(sides, axis=1).sum() / 2)
