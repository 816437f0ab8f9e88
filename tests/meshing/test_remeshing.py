"""Remeshed surfaces are even, closed, and where they were."""

import numpy as np
import pytest
import trimesh

from meshing.check import check
from meshing.mesh import SurfaceMesh, enclosed_mm3, from_trimesh
from meshing.remeshing import remesh
from meshing.surface import isosurface
from tests.meshing.shapes import ellipsoid, grid, label_of


def _edges_mm(mesh: SurfaceMesh) -> np.ndarray:
    corners = mesh.points_mm[mesh.triangles]
    return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)


@pytest.mark.parametrize("follow", [False, True])
def test_an_organ_gets_even_triangles(follow: bool) -> None:
    organ = isosurface(label_of(grid((16, 12, 10)), ellipsoid((14, 10, 7))))
    even = remesh(organ, edge_length_mm=2.0, follow_curvature=follow, finest_mm=1.0)
    assert check(even).is_sound
    assert enclosed_mm3(even) == pytest.approx(enclosed_mm3(organ), rel=0.005)
    assert next(n.value for n in even.numbers if n.quantity == "largest_distance") < 0.5
    if not follow:
        assert np.median(_edges_mm(even)) == pytest.approx(2.0, rel=0.15)
        assert np.percentile(_edges_mm(even), 1) > 0.9


def test_creases_and_parts_stay() -> None:
    box = from_trimesh(trimesh.creation.box((8, 10, 12)), frame_uid="1")
    top = np.flatnonzero(np.all(box.points_mm[box.triangles][:, :, 2] > 5.9, axis=1))
    named = SurfaceMesh(box.points_mm, box.triangles, "1", boundaries={"top": top})
    even = remesh(named, edge_length_mm=1.5)
    assert enclosed_mm3(even) == pytest.approx(960, rel=1e-6)
    assert np.all(even.points_mm[even.triangles[even.boundaries["top"]]][:, :, 2] > 5.999)
