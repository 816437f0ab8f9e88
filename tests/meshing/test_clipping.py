"""Plane cuts of closed surfaces: both parts closed, of the right size and on the right side."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing import clipping
from meshing.clipping import cross_section, split_by_plane
from meshing.surface import (
    OpenSurface,
    SurfaceMesh,
    from_trimesh,
    is_watertight,
    isosurface,
    volume_ml,
)
from tests.meshing.shapes import ellipsoid, grid, label_of

CENTRE = np.array([40.0, -25.0, 130.0])


@pytest.fixture(scope="module")
def ball() -> SurfaceMesh:
    sphere = trimesh.creation.icosphere(5, radius=20.0)
    sphere.apply_translation(CENTRE)
    return from_trimesh(sphere, frame_uid="1.2.3", name="ball", colour=(1, 2, 3))


def cap_ml(height_mm: float, radius_mm: float = 20.0) -> float:
    return np.pi * height_mm**2 * (3 * radius_mm - height_mm) / 3000


def check_halves(ball: SurfaceMesh, offset_mm: float, normal: np.ndarray) -> None:
    front, back = split_by_plane(ball, CENTRE + offset_mm * normal, 3.0 * normal)
    assert is_watertight(front)
    assert is_watertight(back)
    assert volume_ml(front) == pytest.approx(cap_ml(20 - offset_mm), rel=0.01)
    assert volume_ml(front) + volume_ml(back) == pytest.approx(volume_ml(ball), rel=1e-4)
    assert ((front.points_mm - CENTRE) @ normal).min() == pytest.approx(offset_mm, abs=1e-3)
    assert ((back.points_mm - CENTRE) @ normal).max() == pytest.approx(offset_mm, abs=1e-3)
    assert (front.name, front.colour, front.frame_uid) == ("ball", (1, 2, 3), "1.2.3")


@settings(max_examples=15, deadline=None)
@given(st.floats(-15, 15), st.tuples(*[st.floats(-1, 1)] * 3))
def test_caps_of_a_ball(
    ball: SurfaceMesh, offset_mm: float, direction: tuple[float, float, float]
) -> None:
    normal = np.add(direction, [0, 0, 2.0])
    check_halves(ball, offset_mm, normal / np.linalg.norm(normal))


def test_the_second_method_cuts_as_well(ball: SurfaceMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipping, "_split_exactly", lambda *_: None)
    check_halves(ball, 7.0, np.array([0.6, 0.0, 0.8]))


def test_label_surface_splits_into_closed_parts() -> None:
    mesh = isosurface(label_of(grid((20, 20, 20)), ellipsoid((18, 12, 15))))
    front, back = split_by_plane(mesh, mesh.points_mm.mean(axis=0), (1, -2, 0.5))
    assert volume_ml(front) + volume_ml(back) == pytest.approx(volume_ml(mesh), rel=1e-6)


def test_what_cannot_be_cut_says_why(ball: SurfaceMesh) -> None:
    with pytest.raises(ValueError, match=r"passes 'ball' at 5\.0"):
        split_by_plane(ball, CENTRE + np.array([25, 0, 0]), (1, 0, 0))
    for normal in ((0, 0, 0), (np.nan, 0, 1)):
        with pytest.raises(ValueError, match="normal"):
            split_by_plane(ball, CENTRE, normal)
    with pytest.raises(OpenSurface, match="not closed"):
        split_by_plane(replace(ball, triangles=ball.triangles[1:]), CENTRE, (1, 0, 0))


def test_cross_section_of_a_ball(ball: SurfaceMesh) -> None:
    normal = np.array([0.6, 0.0, 0.8])
    section = cross_section(ball, CENTRE + 12 * normal, normal)
    assert len(section.loops_mm) == 1
    assert section.area_mm2 == pytest.approx(np.pi * 16**2, rel=0.01)
    assert (section.loops_mm[0] - CENTRE) @ normal == pytest.approx(12.0)
    assert cross_section(ball, CENTRE + 30 * normal, normal).loops_mm == ()


def test_cross_section_subtracts_holes(ball: SurfaceMesh) -> None:
    hole = replace(
        ball,
        points_mm=np.vstack([ball.points_mm, CENTRE + (ball.points_mm - CENTRE) / 2]),
        triangles=np.vstack([ball.triangles, ball.triangles[:, ::-1] + len(ball.points_mm)]),
    )
    section = cross_section(hole, CENTRE + np.array([0, 0, 0.01]), (0, 0, 1))
    assert np.sign(section.areas_mm2).tolist() == [1, -1]
    assert section.area_mm2 == pytest.approx(np.pi * (400 - 100), rel=0.01)
