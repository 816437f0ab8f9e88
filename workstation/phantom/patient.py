"""A synthetic patient: the CT, the truth on its voxels, and the exact numbers behind both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from segmentation.contract import Progress, share, silent
from segmentation.volume import ImageGeometry, Label, LabelMap, Vector, Volume
from workstation.phantom.anatomy import Anatomy, anatomy
from workstation.phantom.rendering import (
    Fractions,
    Mask,
    bounds,
    cones,
    coverage,
    inside,
    scanned,
)
from workstation.phantom.segments import true_segments
from workstation.phantom.shapes import Block, Ellipsoid, Path, Shape, coordinates_mm

# Name -> (value, colour, SNOMED CT code).
LABELS: dict[str, tuple[int, tuple[int, int, int], str]] = {
    "body": (1, (230, 195, 160), ""),
    "muscle": (2, (190, 90, 80), "91727004"),
    "bone": (3, (235, 228, 205), "272673000"),
    "disc": (4, (170, 190, 200), ""),
    "canal": (5, (220, 220, 120), ""),
    "lung": (6, (150, 180, 220), "39607008"),
    "heart": (7, (200, 60, 70), "80891009"),
    "bowel": (8, (210, 160, 120), "113276009"),
    "pancreas": (9, (230, 200, 110), "15776009"),
    "other_vein": (10, (90, 110, 200), ""),
    "spleen": (11, (150, 80, 130), "78961009"),
    "stomach": (12, (220, 150, 150), "69695003"),
    "left_kidney": (13, (180, 100, 60), "18639004"),
    "right_kidney": (14, (200, 120, 70), "9846003"),
    "aorta": (15, (215, 40, 40), "15825003"),
    "vena_cava": (16, (50, 80, 190), "64131007"),
    "portal_trunk": (17, (80, 130, 220), ""),
    "liver": (18, (165, 85, 60), "10200004"),
    "gallbladder": (19, (110, 170, 80), "28231008"),
    "portal_vein": (20, (60, 140, 230), "32764006"),
    "hepatic_vein": (21, (40, 60, 160), "8993003"),
    "tumor": (22, (240, 210, 60), "108369006"),
}
Truth = npt.NDArray[np.uint8]
LIVER_PARTS = ("liver", "portal_vein", "hepatic_vein", "tumor")
# What the lumen of a liver vessel is called where it has left the liver.
OUTSIDE_LIVER = {"portal_vein": "portal_trunk", "hepatic_vein": "vena_cava"}


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic abdomen with known answers, in DICOM patient LPS millimetres.

    Attributes:
        volume: the CT in HU, portal-venous phase.
        truth: what the centre of each voxel lies in; ``liver`` is the parenchyma only.
        exact_ml: volumes of the shapes themselves, in mL, free of the image's voxels:
            ``liver`` is the whole organ with the vessels and tumours inside it, without the
            vena cava, the gallbladder and the portal trunk outside; ``portal_vein`` and
            ``hepatic_vein`` are the lumen within the liver surface and ``vessels`` their
            union; ``tumor`` is all lesions together.
        tumors: the lesions as ellipsoids.
        samples: the whole liver on a fine grid that is independent of the CT's, for
            integrals over it.
        seed: the number the patient was made from.
        portal, hepatic: the branches of the two trees of veins, by name.
    """

    volume: Volume
    truth: LabelMap
    exact_ml: Mapping[str, float]
    tumors: tuple[Ellipsoid, ...]
    samples: LabelMap = field(repr=False)
    seed: int = 1
    portal: Mapping[str, Path] = field(default_factory=dict, repr=False)
    hepatic: Mapping[str, Path] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact_ml", MappingProxyType(dict(self.exact_ml)))

    def mask(self, name: str) -> Mask:
        """Return truth voxels [k, j, i] by the names of ``exact_ml`` or ``truth``."""
        groups = {"liver": LIVER_PARTS, "vessels": LIVER_PARTS[1:3]}
        return np.isin(
            self.truth.array, [self.truth.value(part) for part in groups.get(name, (name,))]
        )

    def segments(self) -> LabelMap:
        """Return the true segments of Couinaud on the grid of the CT."""
        return true_segments(self.portal, self.mask("liver"), self.truth.geometry)

    def tumor_plane_distance_mm(self, point_mm: Vector, normal: Vector) -> float:
        """Return the exact distance in mm from the nearest lesion to a plane.

        The plane passes through an LPS point; the length of ``normal`` does not matter. A
        negative value says how deep the plane cuts into a lesion.
        """
        unit = np.asarray(normal, float) / np.linalg.norm(normal)
        return min(
            abs(float(unit @ np.subtract(tumor.centre_mm, point_mm))) - tumor.reach_mm(unit)
            for tumor in self.tumors
        )

    def exact_cut_ml(self, point_mm: Vector, normal: Vector) -> tuple[float, float]:
        """Return (specimen, remnant) in mL when a plane cuts the whole liver.

        The plane passes through an LPS point; the specimen lies on the side the normal
        points to. Samples that the plane crosses count in proportion.
        """
        grid = self.samples.geometry
        unit = np.asarray(normal, float) / np.linalg.norm(normal)
        k, j, i = np.nonzero(self.samples.array)
        height = (grid.to_world(np.stack([i, j, k], axis=1)) - np.asarray(point_mm)) @ unit
        width = float(np.abs(unit) @ np.asarray(grid.spacing_mm))
        specimen = float(np.clip(height / width + 0.5, 0, 1).sum()) * grid.voxel_ml
        return specimen, self.exact_ml["liver"] - specimen


def stable_uid(*parts: str | bytes) -> str:
    """Return the DICOM UID (root 2.25) that stands for these parts, always the same."""
    digest = hashlib.sha256(b"\0".join(p.encode() if isinstance(p, str) else p for p in parts))
    return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"


def abdomen(
    seed: int = 1,
    *,
    spacing_mm: Vector = (0.9, 0.9, 2.0),
    noise_hu: float = 11.0,
    lesions: int = 1,
    progress: Progress = silent,
) -> Phantom:
    """Return a synthetic patient: an abdomen CT in the portal-venous phase.

    Args:
        seed: 1 is the shipped patient; other seeds vary anatomy, lesions and noise.
        spacing_mm: voxel size along x, y, z in mm; the field of view stays.
        noise_hu: standard deviation of the image noise in HU.
        lesions: number of liver lesions, 1 or 2.
        progress: told how far the work is.

    Raises:
        ValueError: if ``lesions`` is neither 1 nor 2, or a seed leaves no room for them.
    """
    if lesions not in (1, 2):
        raise ValueError(f"the phantom has one or two lesions, not {lesions}")
    patient = anatomy(seed, lesions)
    geometry = _field_of_view(spacing_mm, stable_uid("frame", str(seed)))
    image, truth = _drawn(patient, geometry, _between(progress, 0.0, 0.8))
    rng = np.random.default_rng([seed, 7])
    hu = scanned(
        image,
        geometry,
        rng,
        blur_mm=(0.55, 0.55, 0.4),
        noise_hu=noise_hu,
        progress=_between(progress, 0.8, 0.9, "scanning"),
    )
    measuring = _between(progress, 0.9, 1.0, "measuring")
    exact, samples = _measured(patient, geometry.frame_uid, measuring)
    labels = {value: Label(name, colour, code) for name, (value, colour, code) in LABELS.items()}
    truths = LabelMap(truth, geometry, labels)
    trees = (patient.portal, patient.hepatic)
    return Phantom(Volume(hu, geometry), truths, exact, patient.tumors, samples, seed, *trees)


def _between(progress: Progress, start: float, end: float, what: str = "") -> Progress:
    def partial(fraction: float, message: str = "") -> None:
        progress(start + (end - start) * fraction, message or what)

    return partial


def _drawn(
    patient: Anatomy, geometry: ImageGeometry, progress: Progress
) -> tuple[Fractions, Truth]:
    """Return the image in HU before the scanner, and what each voxel centre lies in."""
    image = np.full(geometry.shape, -1000, np.float32)
    truth = np.zeros(geometry.shape, np.uint8)
    for n, layer in enumerate(patient.layers):
        part = share(progress, n, len(patient.layers))
        what = f"drawing {layer.name or 'couch'}"
        block, fractions, mask = coverage(layer.solid, geometry, _between(part, 0, 1, what))
        image[block] += fractions * (np.float32(layer.hu) - image[block])
        if layer.name in OUTSIDE_LIVER:
            within = _within(patient.liver, geometry, block, mask)
            inner, outer = LABELS[layer.name][0], LABELS[OUTSIDE_LIVER[layer.name]][0]
            truth[block][mask] = np.where(within, inner, outer)
        elif layer.name:
            truth[block][mask] = LABELS[layer.name][0]
    return image, truth


def _within(liver: Shape, geometry: ImageGeometry, block: Block, mask: Mask) -> Mask:
    """Tell for each voxel of ``mask``, a part of ``block``, whether its centre is in the liver."""
    k, j, i = np.nonzero(mask)
    x, y, z = coordinates_mm(geometry, block)
    return np.asarray(liver.distance_mm(x[0, 0, i], y[0, j, 0], z[k, 0, 0]) < 0)


def _measured(
    patient: Anatomy, frame_uid: str, progress: Progress
) -> tuple[dict[str, float], LabelMap]:
    """Count centres on grids so fine that the volumes are right within 0.05 %."""
    grid = axial_grid(patient.liver, 1.25, frame_uid)
    block, mask = inside(patient.liver, grid, progress)
    whole = np.zeros(grid.shape, np.uint8)
    whole[block] = mask
    exact = {"liver": float(np.count_nonzero(mask)) * grid.voxel_ml}
    trees = {"portal_vein": patient.portal, "hepatic_vein": patient.hepatic}
    exact |= {
        name: _lumen_ml(cones(tuple(paths.values())), patient.liver, frame_uid)
        for name, paths in trees.items()
    }
    exact["vessels"] = exact["portal_vein"] + exact["hepatic_vein"]
    exact["tumor"] = sum(tumor.volume_ml for tumor in patient.tumors)
    return exact, LabelMap(whole, grid, {1: Label("liver", *LABELS["liver"][1:])})


def _lumen_ml(lumen: tuple[Shape, ...], liver: Shape, frame_uid: str) -> float:
    grid = axial_grid(bounds(lumen), 0.5, frame_uid)
    block, mask = inside(lumen, grid)
    within = _within(liver, grid, block, mask)
    return float(np.count_nonzero(within)) * grid.voxel_ml


def _field_of_view(spacing_mm: Vector, frame_uid: str) -> ImageGeometry:
    extent, centre = np.array([345.6, 345.6, 230.0]), np.array([0.0, 4.0, -5.0])
    spacing = np.asarray(spacing_mm, float)
    size = np.maximum(np.rint(extent / spacing), 1).astype(int)
    origin = centre - (size - 1) * spacing / 2
    x, y, z = (float(v) for v in np.round(origin, 3))
    return ImageGeometry(
        (int(size[0]), int(size[1]), int(size[2])),
        spacing_mm,
        (x, y, z),
        tuple(np.eye(3).ravel()),
        frame_uid,
    )


def axial_grid(shape: Shape, spacing_mm: float, frame_uid: str) -> ImageGeometry:
    """Return an axial grid of cubes whose edge is ``spacing_mm`` that holds a shape."""
    low, high = (
        np.asarray(shape.low_mm) - 2 * spacing_mm,
        np.asarray(shape.high_mm) + 2 * spacing_mm,
    )
    size = np.ceil((high - low) / spacing_mm).astype(int) + 1
    return ImageGeometry(
        (int(size[0]), int(size[1]), int(size[2])),
        (spacing_mm,) * 3,
        (float(low[0]), float(low[1]), float(low[2])),
        tuple(np.eye(3).ravel()),
        frame_uid,
    )
