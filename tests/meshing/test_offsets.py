"""Offsets lie at their distance, cavities leave their wall, sheets become plates."""

import numpy as np
import pytest
import trimesh

from meshing.check import check
from meshing.mesh import OpenSurface, SurfaceMesh, enclosed_mm3, from_trimesh
from meshing.offsets import hollow_surface, offset_surface, thicken_sheet

BALL_MM = 10.0


@pytest.fixture(scope="module")
def ball() -> SurfaceMesh:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=BALL_MM)
    return from_trimesh(sphere.apply_translation((5, -7, 90)), frame_uid="1.2.3", name="ball")


def _number(mesh: SurfaceMesh, quantity: str) -> float:
    return next(n.value for n in mesh.numbers if n.quantity == quantity)


@pytest.mark.parametrize("distance_mm", [3.0, -2.5, 0.4, -7.0])
def test_an_offset_of_a_ball_is_a_ball(ball: SurfaceMesh, distance_mm: float) -> None:
    mesh = offset_surface(ball, distance_mm=distance_mm, step_mm=0.5)
    assert check(mesh).is_sound
    away = np.linalg.norm(mesh.points_mm - (5, -7, 90), axis=1)
    assert away == pytest.approx(BALL_MM + distance_mm, abs=0.03)
    assert _number(mesh, "distance_error") < 0.005


def test_an_offset_inward_past_the_middle_is_refused(ball: SurfaceMesh) -> None:
    with pytest.raises(ValueError, match="smaller distance"):
        offset_surface(ball, distance_mm=-11.0, step_mm=0.7)


def test_an_offset_of_a_box_has_the_box_s_faces() -> None:
    box = from_trimesh(trimesh.creation.box((8, 10, 12)), frame_uid="1")
    mesh = offset_surface(box, distance_mm=2.0, step_mm=0.5)
    assert mesh.points_mm.max(axis=0) == pytest.approx([6, 7, 8], abs=0.01)
    # Steiner: volume, faces, rounded edges and corners.
    steiner = 960 + 2 * 592 + np.pi * 4 * (8 + 10 + 12) + 4 / 3 * np.pi * 8
    assert enclosed_mm3(mesh) == pytest.approx(steiner, rel=0.005)
    assert check(mesh).is_sound


def test_a_hollow_ball_keeps_its_outside_and_its_wall(ball: SurfaceMesh) -> None:
    shell = hollow_surface(ball, wall_mm=1.5, step_mm=0.5)
    report = check(shell)
    assert report.is_sound
    assert report.pieces == 2
    assert np.array_equal(shell.points_mm[: len(ball.points_mm)], ball.points_mm)
    inside = shell.points_mm[np.unique(shell.triangles[shell.boundaries["inside"]])]
    assert np.linalg.norm(inside - (5, -7, 90), axis=1) == pytest.approx(8.5, abs=0.03)
    solid = hollow_surface(ball, wall_mm=12.0, step_mm=0.7)
    assert [f.code for f in solid.findings] == ["no_cavity"]


def test_an_open_sheet_becomes_a_plate() -> None:
    x, y = np.meshgrid(np.linspace(0, 20, 11), np.linspace(0, 30, 16), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=-1)
    low = (np.arange(10)[:, None] * 16 + np.arange(15)).ravel()
    cells = np.vstack(
        [np.stack([low, low + 16, low + 17], -1), np.stack([low, low + 17, low + 1], -1)]
    )
    sheet = SurfaceMesh(points, cells, "1")
    plate = thicken_sheet(sheet, thickness_mm=2.0)
    assert check(plate).is_sound
    # A plate, half a cylinder along each side and a quarter of a ball at each corner.
    exact = 600 * 2 + np.pi / 2 * 100 + 4 / 3 * np.pi
    assert enclosed_mm3(plate) == pytest.approx(exact, rel=0.01)
    with pytest.raises(OpenSurface):
        offset_surface(sheet)
