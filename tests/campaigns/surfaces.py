"""Labels, real and drawn, against what their surfaces must be.

Every surface must be a closed manifold without self-intersection, of its label's volume within
0.5 percent, and lie on average within a quarter of a voxel of the faces between the voxels inside
and outside, nowhere a whole voxel away. Distances are in voxels: along each axis its own spacing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from meshing.check import check
from meshing.mesh import SurfaceMesh
from meshing.nearest import NearestOnSurface
from meshing.shared_walls import shared_surfaces, surface_of_label
from meshing.surface import isosurface
from segmentation.bone import propose_bone
from segmentation.contract import silent
from segmentation.liver import propose_liver
from segmentation.skull import propose_skull
from segmentation.vessels import propose_vessels
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.direct import read_image
from workstation.phantom import abdomen

VOLUME, MEAN, LARGEST = 0.005, 0.25, 1.0

MOST = 40_000
"""Triangles from which distances are measured, about."""


@dataclass(frozen=True)
class Verdict:
    """What one label's surface is like; ``faults`` names the bars that it misses."""

    name: str
    triangles: int
    volume_error: float
    mean_voxels: float
    largest_voxels: float
    crossings: int
    faults: tuple[str, ...]


def judge(labels: LabelMap, name: str, mesh: SurfaceMesh | None = None) -> Verdict:
    """Measure the surface of one label, made here unless given."""
    mesh = isosurface(labels, label=name) if mesh is None else mesh
    report = check(mesh)
    wanted = labels.volume_ml(name) * 1000
    volume = report.volume_mm3 / wanted - 1
    mean, largest = _voxels_apart(mesh, labels, name)
    bars = {
        "not a manifold": not report.is_manifold,
        "self-intersections": bool(len(report.crossings)),
        "flat triangles": bool(len(report.flat_triangles)),
        "volume": abs(volume) > VOLUME,
        "mean distance": mean > MEAN,
        "largest distance": largest > LARGEST,
    }
    missed = tuple(bar for bar, missing in bars.items() if missing)
    return Verdict(
        name, len(mesh.triangles), volume, mean, largest,
        len(report.crossings), missed,
    )  # fmt: skip


def _voxels_apart(mesh: SurfaceMesh, labels: LabelMap, name: str) -> tuple[float, float]:
    """Return the mean and the largest distance, both ways, to the faces of a label's voxels."""
    points, cells = _faces(np.pad(labels.mask(name), 1))
    steps = replace(mesh, points_mm=labels.geometry.to_index(mesh.points_mm) + 1)
    faces = SurfaceMesh(points, cells, mesh.frame_uid)
    means, largest = [], []
    for here, there in ((steps, faces), (faces, steps)):
        nearest = NearestOnSurface(there)
        few = here.triangles[:: max(1, len(here.triangles) // MOST)]
        corners = here.points_mm[few]
        area = np.linalg.norm(
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
        )
        # Three places in each triangle, whose mean is exact for what is quadratic over it.
        away = []
        for n in range(3):
            weights = np.full(3, 1 / 6)
            weights[n] = 2 / 3
            away.append(nearest(np.einsum("c,tcx->tx", weights, corners)).distance_mm)
        means.append(float(np.average(np.mean(away, axis=0), weights=area)))
        largest.append(float(nearest(corners.reshape(-1, 3)).distance_mm.max()))
    return float(np.mean(means)), max(largest)


def _faces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces between voxels inside and outside as triangles, in index space."""
    corners = []
    for axis in range(3):
        low = [slice(None)] * 3
        low[axis] = slice(0, -1)
        high = [slice(None)] * 3
        high[axis] = slice(1, None)
        at = np.argwhere(mask[tuple(low)] != mask[tuple(high)])[:, ::-1].astype(float)
        along = 2 - axis
        at[:, along] += 0.5
        u, v = (np.eye(3)[n] / 2 for n in range(3) if n != along)
        corners.append(np.stack([at - u - v, at + u - v, at + u + v, at - u + v], axis=1))
    quads = np.concatenate(corners)
    first = 4 * np.arange(len(quads))[:, None]
    cells = np.vstack([np.add(first, (0, 1, 2)), np.add(first, (0, 2, 3))])
    return quads.reshape(-1, 3), cells


def _read(path: Path) -> LabelMap:
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    geometry = ImageGeometry(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), "1.2.3"
    )
    names = {int(v): Label(f"{path.name.split('.')[0]} {v}") for v in np.unique(array) if v}
    return LabelMap(array.astype(np.uint16), geometry, names)


def _above(path: Path, lower: float, blur: float) -> LabelMap:
    """Return what is brighter than a level after a little blur: a label of many thin parts."""
    image = sitk.ReadImage(str(path))
    array = gaussian_filter(sitk.GetArrayFromImage(image).astype(np.float32), blur)
    geometry = ImageGeometry(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), "1.2.3"
    )
    return LabelMap(array > lower, geometry, {1: Label(f"{path.name} above {lower:g}")})


def label_maps(data: Path) -> Iterator[LabelMap]:
    """Return the label maps of a folder of real imaging, and drawn ones."""
    folder = data / "totalsegmentator_example"
    for name in ("example_seg", "aorta", "aorta_true_lumen", "brachiocephalic_trunk"):
        yield _read(folder / f"{name}.nii.gz")
    yield _read(data / "mr_tumour_label_pyradiomics/data/brain1_label.nrrd")
    for path in sorted((data / "dicom_seg_dcmqi/data/segmentations").glob("*.nrrd")):
        yield _read(path)
    yield _above(folder / "ct_cropped.nii.gz", 200.0, 0.0)
    yield _above(data / "brain_mra_chris/chris_MRA.nii.gz", 110.0, 0.5)
    for seed in (1, 2):
        yield abdomen(seed, spacing_mm=(1.5, 1.5, 2.5), lesions=2).truth
    yield from proposed(data)


def proposed(data: Path) -> Iterator[LabelMap]:
    """Return what the product itself finds in real images: bone, skull, liver and its vessels."""
    head = read_image(data / "head_ct_cptac_C3N-01192.zip", None, silent)[0]
    yield propose_bone(head)
    yield propose_skull(head)
    trunk = read_image(data / "liver_ct_3dircadb01.zip", None, silent)[0]
    liver = propose_liver(trunk)
    yield liver
    yield propose_vessels(trunk, liver)


def verdicts(labels: LabelMap, shared: bool = False) -> Iterator[Verdict]:
    """Judge every label that has a voxel, alone or with shared walls."""
    present = set(np.unique(labels.array).tolist())
    names = [label.name for value, label in labels.labels.items() if value in present]
    walls = shared_surfaces(labels) if shared else None
    for name in names:
        yield judge(labels, name, walls and surface_of_label(walls, label=name))
