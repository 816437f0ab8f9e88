"""Curvature and thickness on shapes whose values are known."""

import numpy as np
import pytest
import trimesh

from meshing.curvature import curvature_map
from meshing.mesh import SurfaceMesh, from_trimesh
from meshing.thickness import thickness_map


def _ring() -> tuple[SurfaceMesh, np.ndarray]:
    """Return a torus of radii 20 and 6 mm, and the angle of each point around its tube."""
    ring = trimesh.creation.torus(20, 6, major_sections=120, minor_sections=48)
    out = np.linalg.norm(ring.vertices[:, :2], axis=1) - 20
    return from_trimesh(ring, frame_uid="1"), np.arctan2(ring.vertices[:, 2], out)


@pytest.mark.parametrize("smoothing", [0, 2])
def test_curvature_of_a_ball_and_of_a_ring(smoothing: int) -> None:
    ball = from_trimesh(trimesh.creation.icosphere(4, radius=8), frame_uid="1")
    found = curvature_map(ball, smoothing=smoothing).point_data
    assert found["mean_curvature_per_mm"] == pytest.approx(1 / 8, rel=0.03)
    assert found["gaussian_curvature_per_mm2"] == pytest.approx(1 / 64, rel=0.03)
    ring, angle = _ring()
    found = curvature_map(ring, smoothing=smoothing).point_data
    around = np.cos(angle) / (20 + 6 * np.cos(angle))
    assert found["largest_curvature_per_mm"] == pytest.approx(1 / 6, rel=0.03)
    assert found["smallest_curvature_per_mm"] == pytest.approx(around, abs=0.03 * around.max())
    assert found["gaussian_curvature_per_mm2"] == pytest.approx(
        around / 6, abs=0.03 * around.max() / 6
    )


def test_a_hollow_bends_the_other_way() -> None:
    ball = from_trimesh(trimesh.creation.icosphere(3, radius=8), frame_uid="1")
    cave = ball.reshaped(ball.points_mm, ball.triangles[:, ::-1])
    assert curvature_map(cave).point_data["mean_curvature_per_mm"] == pytest.approx(
        -1 / 8, rel=0.03
    )
    with pytest.raises(ValueError, match="no triangle"):
        curvature_map(SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), "1"))


def test_thickness_of_a_ring_a_shell_and_a_plate() -> None:
    ring, _ = _ring()
    assert thickness_map(ring).point_data["thickness_mm"] == pytest.approx(12, rel=0.03)
    outer, inner = (trimesh.creation.icosphere(4, radius=r) for r in (15, 12))
    points = np.vstack([outer.vertices, inner.vertices])
    cells = np.vstack([outer.faces, inner.faces[:, ::-1] + len(outer.vertices)])
    shell = thickness_map(SurfaceMesh(points, cells, "1"))
    assert shell.point_data["thickness_mm"] == pytest.approx(3, rel=0.03)
    box = trimesh.creation.box((30, 40, 4)).subdivide_to_size(1.5)
    plate = thickness_map(from_trimesh(box, frame_uid="1"))
    middle = np.all(np.abs(plate.points_mm[:, :2]) < (12, 17), axis=1)
    assert plate.point_data["thickness_mm"][middle] == pytest.approx(4, abs=0.05)
    assert next(n.value for n in plate.numbers if n.quantity == "thickness, median") <= 4.01
