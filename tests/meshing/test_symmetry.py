"""The mirror plane of shapes that are symmetric but for a defect and a stranger."""

import numpy as np
import pytest
import trimesh

from meshing.surface import SurfaceMesh
from meshing.symmetry import find_symmetry, symmetry_plane


def head(seed: int, turn_degrees: float) -> tuple[SurfaceMesh, np.ndarray, np.ndarray]:
    """Return an egg with bumps in pairs, a hole on one side and a lump; its plane."""
    random = np.random.default_rng(seed)
    egg = trimesh.creation.icosphere(subdivisions=5, radius=1.0)
    way = egg.vertices
    size = 1 + 0.10 * way[:, 1] + 0.06 * way[:, 2] * way[:, 1]
    for spot in random.normal(size=(6, 3)):
        spot /= np.linalg.norm(spot)
        for side in (1, -1):
            near = np.linalg.norm(way - spot * (side, 1, 1), axis=1)
            size = size + 0.05 * np.exp(-((near / 0.25) ** 2))
    points = way * size[:, None] * (68.0, 90.0, 75.0)
    lump = np.linalg.norm(way - (0.6, -0.6, 0.5), axis=1) < 0.2
    points[lump] *= 1.12
    kept = np.linalg.norm(way[egg.faces].mean(axis=1) - (0.75, 0.1, 0.65), axis=1) > 0.45
    axis = random.normal(size=3)
    turn = trimesh.transformations.rotation_matrix(np.radians(turn_degrees), axis)[:3, :3]
    centre = np.array([12.0, -30.0, 55.0])
    return SurfaceMesh(points @ turn.T + centre, egg.faces[kept], "1"), turn[:, 0], centre


@pytest.mark.parametrize(("seed", "degrees"), [(0, 0.0), (1, 12.0), (2, 18.0)])
def test_the_plane_is_found_despite_a_defect(seed: int, degrees: float) -> None:
    mesh, normal, centre = head(seed, degrees)
    plane = find_symmetry(mesh)
    angle = np.degrees(np.arccos(min(abs(np.dot(plane.normal, normal)), 1)))
    assert angle < 0.5
    assert abs(np.dot(np.subtract(plane.point_mm, centre), normal)) < 0.5
    assert plane.normal[0] > 0, "it points to the patient's left"


def test_any_plane_is_found_when_the_body_lies_on_its_side() -> None:
    mesh, _, centre = head(3, 0.0)
    turn = trimesh.transformations.rotation_matrix(np.radians(80), (0.2, 1.0, 0.4))[:3, :3]
    moved = SurfaceMesh((mesh.points_mm - centre) @ turn.T, mesh.triangles, "1")
    plane = find_symmetry(moved, sagittal=False)
    assert abs(np.dot(plane.normal, turn[:, 0])) > np.cos(np.radians(1.0))
    assert abs(np.dot(plane.point_mm, turn[:, 0])) < 1.0


def test_the_stage_tells_how_the_head_is_turned_and_how_symmetric_it_is() -> None:
    mesh, _, centre = head(4, 0.0)
    turn = trimesh.transformations.rotation_matrix(np.radians(7.0), (0, 0, 1))[:3, :3]
    made = symmetry_plane(SurfaceMesh((mesh.points_mm - centre) @ turn.T, mesh.triangles, "1"))
    found = {n.quantity: n.value for n in made.numbers}
    assert found["turn"] == pytest.approx(7.0, abs=0.5), "left goes to the back"
    assert found["tilt"] == pytest.approx(0.0, abs=0.5)
    assert found["symmetric"] > 75
    off = (made.lines_mm[0] - made.places["point_mm"]) @ made.places["normal"]
    assert off == pytest.approx(0, abs=1e-6), "the outline lies in the plane"


def test_what_has_no_symmetry_is_said() -> None:
    random = np.random.default_rng(0)
    points = trimesh.creation.icosphere(subdivisions=3).vertices
    rough = 60 * points * (1 + 0.5 * np.clip(random.normal(size=(len(points), 1)), -1, 1))
    mesh = SurfaceMesh(rough * (1, 2, 0.4), trimesh.creation.icosphere(subdivisions=3).faces, "1")
    assert [f.code for f in symmetry_plane(mesh).findings] == ["hardly_symmetric"]
