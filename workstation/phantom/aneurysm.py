"""A synthetic patient with an intracranial aneurysm: the MR angiography and its exact shapes.

Arteries of the skull base as round tubes about smooth curves, with an ellipsoid sac on the left
internal carotid artery where the posterior communicating artery leaves it. Everything is in
DICOM patient LPS millimetres and computed: no person was scanned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from segmentation.contract import Progress, share, silent
from segmentation.volume import ImageGeometry, Label, LabelMap, Vector, Volume
from workstation.phantom.patient import stable_uid
from workstation.phantom.rendering import Mask, cones, coverage, inside, scanned
from workstation.phantom.shapes import Ellipsoid, Path, Shape, ellipsoid

TISSUE, FLUID, FAT, BLOOD = 120.0, 45.0, 190.0, 520.0
"""Brightness in a time-of-flight angiography, in arbitrary units."""

NOISE = 12.0
LOW_MM, HIGH_MM = (-40.0, -34.0, -22.0), (40.0, 36.0, 23.0)
"""The slab that is imaged."""

STEP_MM = 0.5  # between the sections of a tube

Course = tuple[tuple[Vector, ...], float, float]

CAROTID: Course = (
    (
        (13, 10, -28),
        (14, 7, -17),
        (15, 0, -10),
        (13.5, -8, -5.5),
        (12, -10.5, 1),
        (13, -6, 6.5),
        (15, -1, 10),
    ),
    2.2,
    1.9,
)
MIDDLE: Course = (((15, -1, 10), (21, -1.5, 12), (29, -4, 10.5), (44, -3, 13)), 1.5, 1.3)
ANTERIOR: Course = (
    ((15, -1, 10), (10, -6, 12.5), (4.5, -13, 14), (3, -19, 20), (3, -20, 28)),
    1.2,
    1.1,
)
BASILAR: Course = (((0, 20, -28), (0.5, 17, -10), (0, 15, 4)), 1.7, 1.5)
POSTERIOR: Course = (
    ((0, 15, 4), (6, 14, 6), (14, 20, 8), (18, 30, 10), (18, 42, 12)),
    1.1,
    1.0,
)

LEFT = {"carotid": CAROTID, "middle": MIDDLE, "anterior": ANTERIOR, "posterior": POSTERIOR}
SAC_MM, OUTWARD, UPWARD = (16.8, -8.6, 6.4), (0.917, -0.374, 0.135), (0.226, 0.769, 0.599)
"""The centre of the sac, and about where it points to and which way the blood beneath it flows."""

LABELS = {1: Label("vessels", (217, 83, 79), "59820001"), 2: Label("dome", (229, 169, 75))}


@dataclass(frozen=True)
class AneurysmPhantom:
    """A synthetic head with known answers, in DICOM patient LPS millimetres.

    Attributes:
        volume: a time-of-flight MR angiography, in arbitrary units.
        truth: what the centre of each voxel lies in: the vessels, or the sac outside them.
        vessels: all arteries as round cones.
        sac: the ellipsoid; what of it lies outside the arteries is the dome.
        seed: the number that the noise was drawn from.
    """

    volume: Volume
    truth: LabelMap
    vessels: tuple[Shape, ...]
    sac: Ellipsoid
    seed: int = 1


def _sac() -> Ellipsoid:
    out = np.asarray(OUTWARD) / np.linalg.norm(OUTWARD)
    up = np.asarray(UPWARD) - (out @ np.asarray(UPWARD)) * out
    up /= np.linalg.norm(up)
    columns = np.stack([out, up, np.cross(out, up)], axis=1)
    x, y, z = ((float(a), float(b), float(c)) for a, b, c in columns)
    return Ellipsoid(SAC_MM, (3.4, 3.1, 2.9), (x, y, z))


SAC = _sac()


def head(
    seed: int = 1,
    *,
    spacing_mm: Vector = (0.5, 0.5, 0.6),
    noise: float = NOISE,
    with_sac: bool = True,
    progress: Progress = silent,
) -> AneurysmPhantom:
    """Return a synthetic patient: a time-of-flight MR angiography of the skull base.

    Args:
        seed: draws the noise.
        spacing_mm: voxel size along x, y, z in mm; the field of view stays.
        noise: standard deviation of the noise, in the image's unit; blood has 520.
        with_sac: without it the same vessels are healthy.
        progress: told how far the work is.
    """
    geometry = _field_of_view(spacing_mm, stable_uid("aneurysm", str(seed), str(with_sac)))
    image = np.full(geometry.shape, FAT, np.float32)
    for shape, value in _tissues():
        block, part, _ = coverage(shape, geometry)
        image[block] += part * (np.float32(value) - image[block])
    progress(0.2, "drawing vessels")
    vessels = arteries()
    truth = np.zeros(geometry.shape, np.uint8)
    lumen = (*vessels, SAC.shape()) if with_sac else vessels
    if with_sac:
        block, mask = inside(SAC.shape(), geometry)
        truth[block][mask] = 2
    block, within = inside(vessels, geometry)
    truth[block][within] = 1
    block, part, _ = coverage(lumen, geometry, share(progress, 1, 4))
    image[block] += part * (np.float32(BLOOD) - image[block])
    rng = np.random.default_rng([seed, 11])
    blur = (0.25, 0.25, 0.3)
    seen = scanned(
        image, geometry, rng, blur_mm=blur, noise_hu=noise, progress=share(progress, 3, 4)
    )
    volume = Volume(np.maximum(seen, 0), geometry, "MR intensity")
    return AneurysmPhantom(volume, LabelMap(truth, geometry, LABELS), vessels, SAC, seed)


def arteries() -> tuple[Shape, ...]:
    """Return the arteries of both sides as round cones; the right ones run a little otherwise."""
    left = [_path(course) for course in LEFT.values()]
    right = [_path(_other_side(course)) for course in LEFT.values()]
    return cones((*left, *right, _path(BASILAR)))


def _tissues() -> list[tuple[Shape, float]]:
    """Return brain and the fluid about it, in painting order."""
    return [
        (ellipsoid((0, 0, 10), (66, 80, 62)), FLUID),
        (ellipsoid((0, 0, 14), (62, 76, 58)), TISSUE),
        (ellipsoid((0, -2, 4), (24, 22, 15)), FLUID),
        (ellipsoid((0, 26, -10), (13, 12, 24)), TISSUE),
    ]


def _other_side(course: Course) -> Course:
    points, start, end = course
    return tuple((-0.96 * x, 1.03 * y, z - 0.5) for x, y, z in points), 0.97 * start, 0.97 * end


def _path(course: Course) -> Path:
    """Return a smooth tube through the points of a course, its radius changing evenly."""
    nodes, start, end = course
    points = np.asarray(nodes, float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, along[-1], round(along[-1] / STEP_MM) + 1)
    return Path(CubicSpline(along, points)(at), np.linspace(start, end, len(at)))


def _field_of_view(spacing_mm: Vector, frame_uid: str) -> ImageGeometry:
    spacing = np.asarray(spacing_mm, float)
    extent = np.subtract(HIGH_MM, LOW_MM)
    nx, ny, nz = (int(n) for n in np.maximum(np.rint(extent / spacing), 1))
    x, y, z = (round(float(v), 4) for v in np.asarray(LOW_MM) + spacing / 2)
    return ImageGeometry((nx, ny, nz), spacing_mm, (x, y, z), tuple(np.eye(3).ravel()), frame_uid)


def within_vessels(vessels: tuple[Shape, ...], geometry: ImageGeometry) -> Mask:
    """Return the voxels [k, j, i] of an axial grid whose centres lie in an artery."""
    mask = np.zeros(geometry.shape, np.bool_)
    block, part = inside(vessels, geometry)
    mask[block] = part
    return mask
