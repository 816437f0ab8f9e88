"""Holes cut into the vault of a real skull, and how well the implant gives the bone back.

The cutting rule. The skull is brought to voxels of 1 mm. From the middle of the vault a ray leads
to where the hole is to be, given by its angle off the way up (``polar``) and its bearing from the
front towards the patient's left (``bearing``). All bone is removed that lies more than 50 mm from
the middle, on the side of the ray, within a cylinder about that ray whose radius is
r (1 + 0.10 cos(3 f) + 0.06 cos(5 f + 1)) at the angle f about the ray; r is that of a circle which
cuts the area asked for out of a sphere of 80 mm. As a saw stays on the vault, bone below its base
is left: the plane 10 mm below the middle that rises towards the front by 0.3 mm per mm, which
leaves the roofs of the orbits, the petrous bones and the rest of the skull base where they are.
What was removed, its marrow filled (closed by 3 mm), is what the implant is compared with.

The places of the first 24 holes were chosen by hand, later ones are drawn by their number, by
`drawn`. How bone is continued was chosen so that holes up to 47 came out well; nothing was ever
chosen by those from 48 on, so that they tell what is to be expected, of other places on this head.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from meshing.distance_fields import winding
from meshing.surface import SurfaceMesh, is_watertight, isosurface
from meshing.symmetry import symmetry_plane
from segmentation.measured import Measured
from segmentation.metrics import dice, hausdorff95_mm
from segmentation.resampling import resample_volume
from segmentation.skull import propose_skull
from segmentation.volume import LabelMap, Volume, bounding_block
from workstation.dicom import files as dicom
from workstation.planning.cranioplasty import cranial_defect
from workstation.planning.cranioplasty_rays import vault_centre
from workstation.planning.fit import implant_fit
from workstation.planning.implant_body import cranial_implant

HEAD = "head_ct_cptac_C3N-01192.zip"
MARROW_MM = 3.0
VAULT_MM, SPHERE_MM = 50.0, 80.0
GRID_MM = 1.0
BASE_MM, BASE_SLOPE = -10.0, 0.3
LEAST_MM = 2.0
LIFTS_MM = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Ways along which an implant is pulled out, to see what it touches."""

PLACES = (  # polar and bearing in degrees, area in cm2; negative bearings lie on the right
    (55, 90, 40), (55, -90, 40), (60, 45, 20), (60, -45, 30), (70, 100, 60), (70, -110, 60),
    (50, 130, 50), (50, -130, 50), (42, 95, 120), (42, -80, 120), (65, 60, 80), (65, -60, 80),
    (45, 90, 30), (45, -100, 20), (70, 140, 40), (70, -140, 40), (50, 85, 100), (50, -95, 100),
    (40, 0, 40), (60, 0, 60), (30, 180, 60), (50, 10, 80), (10, 0, 50), (60, 120, 20),
)  # fmt: skip
"""Where the holes are cut by which the completion was tuned."""

POLAR, AREA_CM2 = (10.0, 70.0), (20.0, 120.0)
"""Between what further holes are drawn, evenly on the sphere and by area."""


@dataclass(frozen=True)
class Cut:
    """A skull with a hole, and the bone that was there."""

    name: str
    skull: LabelMap
    bone: LabelMap
    midline: bool


@dataclass(frozen=True)
class Verdict:
    """How an implant agrees with the bone that was cut away."""

    name: str
    side: str
    how: str
    dice: float
    hd95_mm: float
    gap_mm: float
    overlap_ml: float
    thickness_mm: float
    closed: bool
    midline: bool
    seconds: float
    area_cm2: float
    hit_ml: float

    @property
    def faults(self) -> tuple[str, ...]:
        """Which bars are missed."""
        least, most = (0.85, 3.0) if self.midline else (0.90, 2.0)
        missed = {
            "dice": self.dice < least,
            "hd95": self.hd95_mm > most,
            "gap": self.gap_mm > 0.5,
            "overlap": self.overlap_ml > 0,
            "open": not self.closed,
            "thin": self.thickness_mm < LEAST_MM,
            "stuck": self.hit_ml > 0,
        }
        return tuple(name for name, fault in missed.items() if fault)


def head(folder: Path) -> LabelMap:
    """Return the skull of the real head, cropped to the upper part that holds the vault."""
    found = dicom.scan([folder / HEAD]).volumes[0]
    whole = propose_skull(dicom.read(found))
    return on_grid(only_skull(whole), GRID_MM)


def on_grid(skull: LabelMap, spacing_mm: float) -> LabelMap:
    """Return a skull on cubic voxels, blurred by half of one first."""
    grid = skull.geometry.resampled((spacing_mm,) * 3)
    blur = [max(0.5 * spacing_mm / s - 0.5, 0) for s in skull.geometry.spacing_kji_mm]
    soft = ndimage.gaussian_filter(skull.mask().astype(np.float32), blur)
    image = resample_volume(Volume(soft, skull.geometry), grid)
    return LabelMap((image.array > 0.5).view(np.uint8), grid, skull.labels)


def only_skull(whole: LabelMap) -> LabelMap:
    """Return the label of the skull in a box around it."""
    value = whole.value("skull")
    block = bounding_block(whole.array == value, (4, 4, 4))
    assert block is not None
    mask = whole.array[block] == value
    grid = whole.geometry.cropped([s.start for s in block][::-1], mask.shape[::-1])
    return LabelMap(mask.view(np.uint8), grid, {1: whole.labels[value]})


@dataclass(frozen=True)
class Place:
    """Where a hole is cut: degrees, cm2; ``turn`` turns its outline."""

    polar: float
    bearing: float
    area_cm2: float
    turn: float = 0.0


def drawn(number: int) -> Place:
    """Return a place that no one chose, always the same for a number."""
    rng = np.random.default_rng(number)
    ends = np.cos(np.radians(POLAR))
    polar = float(np.degrees(np.arccos(rng.uniform(*ends[::-1]))))
    bearing, turn = (float(angle) for angle in rng.uniform(-180.0, 180.0, 2))
    return Place(round(polar), round(bearing), round(float(rng.uniform(*AREA_CM2))), round(turn))


def cut(skull: LabelMap, plane: Measured, place: Place) -> Cut:
    """Return the skull with a hole, by the rule above."""
    normal = np.asarray(plane.places["normal"])
    centre, up = vault_centre(
        skull.mask(), skull.geometry, np.asarray(plane.places["point_mm"]), normal
    )
    front = np.cross(normal, up) * (1 if np.cross(normal, up)[1] < 0 else -1)
    p, b = math.radians(place.polar), math.radians(place.bearing)
    axis = math.cos(p) * up + math.sin(p) * (math.cos(b) * front + math.sin(b) * normal)
    across = np.cross(axis, up)
    across /= np.linalg.norm(across)
    other = np.cross(axis, across)
    voxels = np.argwhere(skull.mask())
    away = skull.geometry.to_world(voxels[:, ::-1]) - centre
    u, v = away @ across, away @ other
    angle = np.arctan2(v, u) - math.radians(place.turn)
    cosine = 1 - 100 * place.area_cm2 / (2 * math.pi * SPHERE_MM**2)
    radius = SPHERE_MM * math.sqrt(1 - cosine**2)
    outline = radius * (1 + 0.10 * np.cos(3 * angle) + 0.06 * np.cos(5 * angle + 1))
    within = (np.hypot(u, v) < outline) & (away @ axis > 0)
    within &= np.linalg.norm(away, axis=1) > VAULT_MM
    within &= away @ up > BASE_MM + BASE_SLOPE * (away @ front)
    gone = voxels[within]
    removed = np.zeros(skull.geometry.shape, np.bool_)
    removed[tuple(gone.T)] = True
    reach = np.ceil(MARROW_MM / np.asarray(skull.geometry.spacing_kji_mm)).astype(int)
    block = bounding_block(removed, tuple(2 * reach))
    assert block is not None
    left = skull.mask() & ~removed
    filled = np.zeros_like(removed)
    filled[block] = _closed(removed[block], skull.geometry.spacing_kji_mm) & ~left[block]
    left_side = float((away[within] @ normal > 0).mean())
    return Cut(
        f"{place.polar:g}/{place.bearing:g}/{place.area_cm2:g}",
        replace(skull, array=left.view(np.uint8)),
        replace(skull, array=filled.view(np.uint8)),
        0.1 <= left_side <= 0.9,
    )


def _closed(mask: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    grown = ndimage.distance_transform_edt(~mask, spacing) <= MARROW_MM
    return np.asarray(ndimage.distance_transform_edt(grown, spacing) > MARROW_MM)


def voxels_of(mesh: SurfaceMesh, like: LabelMap) -> LabelMap:
    """Return the voxels whose centres lie in a surface."""
    local = like.geometry.to_index(mesh.points_mm)
    inside = np.abs(winding(local, mesh.triangles, like.geometry.shape)) > 0.5
    return replace(like, array=inside.view(np.uint8))


def judge(case: Cut, plane_of: Measured | None = None) -> Verdict:
    """Return how the implant for a hole compares with the bone that was there."""
    start = time.process_time()
    plane = plane_of or symmetry_plane(isosurface(case.skull, cell_mm=2.5))
    defect = cranial_defect(case.skull, plane)
    implant = cranial_implant(case.skull, defect, plane)
    fit = implant_fit(implant, case.skull, defect)
    seconds = time.process_time() - start
    block = bounding_block(case.bone.mask() | defect.mask(), (12, 20, 20))
    assert block is not None
    grid = case.bone.geometry.cropped(
        [s.start for s in block][::-1], case.bone.array[block].shape[::-1]
    )
    bone = LabelMap(case.bone.array[block], grid)
    made = voxels_of(implant, bone)
    known = {n.quantity: n.value for n in (*fit.numbers, *implant.numbers, *defect.numbers)}
    how = next((f.code for f in defect.findings if f.code.startswith("target_")), "")
    return Verdict(
        case.name,
        next((f.code for f in defect.findings if f.code.startswith("defect_")), ""),
        how,
        dice(bone, made),
        hausdorff95_mm(bone, made),
        known["gap.mean"],
        known["overlap.volume"],
        known["thickness.minimum"],
        is_watertight(implant),
        case.midline,
        seconds,
        known["area"],
        _hit_ml(implant, case.skull, np.array([known[f"removal.{axis}"] for axis in "xyz"])),
    )


def _hit_ml(implant: SurfaceMesh, skull: LabelMap, way: np.ndarray) -> float:
    """Return how much bone an implant meets on its way out, at most."""
    met = []
    for lift in LIFTS_MM:
        moved = replace(implant, points_mm=implant.points_mm + lift * way)
        met.append(np.count_nonzero(voxels_of(moved, skull).mask() & skull.mask()))
    return max(met) * skull.geometry.voxel_ml


def cases(folder: Path, first: int, count: int) -> Iterator[Cut]:
    """Yield some of the cuts into the real skull."""
    skull = head(folder)
    plane = symmetry_plane(isosurface(skull, cell_mm=2.5))
    for number in range(first, first + count):
        chosen = Place(*PLACES[number]) if number < len(PLACES) else drawn(number)
        yield cut(skull, plane, chosen)
