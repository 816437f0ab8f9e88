"""Closed surfaces of real organs for the campaigns: labels, aneurysms and a skull."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from meshing.isosurface import isosurface
from meshing.reading import read_surface
from meshing.repair import Unrepairable, repair
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from segmentation.images import read_labels
from segmentation.operations import keep_islands, threshold
from workstation.direct import read_image, segment_file

FRAME = "1.2.840.99.1"
LEAST_MM3 = 200.0  # a crumb of a label at the border of the scan is no organ


def organs(kept: Path | None = None) -> list[SurfaceMesh]:
    """Return the surfaces; they are kept in a folder, since the liver takes a minute."""
    folder = kept or Path(tempfile.gettempdir()) / "hilum-organs"
    if not (folder / "all").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for number, mesh in enumerate(_made(Path(os.environ["HILUM_DATA"]))):
            file = folder / f"{number:03}_{mesh.name.replace(' ', '_')}.npz"
            np.savez(file, points=mesh.points_mm, triangles=mesh.triangles)
        (folder / "all").touch()
    found = []
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as data:
            found.append(SurfaceMesh(data["points"], data["triangles"], FRAME, file.stem))
    return found


def _made(data: Path) -> Iterator[SurfaceMesh]:
    labels = read_labels(data / "totalsegmentator_example" / "example_seg.nii.gz")
    for label in labels.labels.values():
        mesh = isosurface(labels, label=label.name)
        if is_watertight(mesh) and enclosed_mm3(mesh) > LEAST_MM3:
            yield mesh
    for file in sorted((data / "aneurysm_intra").glob("*_full.obj")):
        try:
            yield repair(read_surface(file))
        except Unrepairable as error:
            print(f"{file.name}: {error}")
    with tempfile.TemporaryDirectory() as scratch:
        liver = Path(scratch) / "liver.nii.gz"
        segment_file("liver", data / "liver_ct_3dircadb01.zip", liver)
        yield isosurface(read_labels(liver), triangles=150_000)
    head = read_image(data / "head_ct_cptac_C3N-01192.zip", None, lambda *_: None)[0]
    bone = keep_islands(threshold(head, lower_hu=300.0, upper_hu=3000.0), largest=1)
    skull = isosurface(bone, triangles=150_000)
    yield skull if is_watertight(skull) else repair(skull)
