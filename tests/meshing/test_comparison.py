"""Distance maps between surfaces whose distances are known."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from meshing.comparison import DISTANCE, distance_map, weighted_percentile
from meshing.surface import SurfaceMesh
from segmentation.contract import FrameMismatch


def ball(radius: float, centre: tuple[float, float, float] = (0, 0, 0), fine: int = 4):
    made = trimesh.creation.icosphere(subdivisions=fine, radius=radius)
    return SurfaceMesh(made.vertices + np.asarray(centre), made.faces, "1", f"ball {radius:g}")


def numbers(mesh: SurfaceMesh) -> dict[str, float]:
    return {n.quantity: n.value for n in mesh.numbers}


def test_two_balls_about_one_centre_differ_by_their_radii() -> None:
    made = distance_map(ball(33.0), ball(30.0))
    assert made.point_data[DISTANCE] == pytest.approx(3.0, abs=0.05)
    found = numbers(made)
    for name in ("mean", "rms", "95th_percentile", "hausdorff", "mean_signed"):
        assert found[name] == pytest.approx(3.0, abs=0.08), name
    assert distance_map(ball(27.0), ball(30.0)).point_data[DISTANCE] == pytest.approx(
        -3.0, abs=0.05
    )


def test_a_shifted_ball_is_outside_on_one_side_and_inside_on_the_other() -> None:
    moved = ball(30.0, (4.0, 0.0, 0.0))
    made = distance_map(moved, ball(30.0))
    away = np.linalg.norm(moved.points_mm, axis=1) - 30
    assert made.point_data[DISTANCE] == pytest.approx(away, abs=0.05)
    found = numbers(made)
    assert found["hausdorff"] == pytest.approx(4.0, abs=0.05)
    assert found["mean"] == pytest.approx(2.0, abs=0.05), "the mean of |4 cos| on a sphere"
    assert found["rms"] == pytest.approx(4 / np.sqrt(3), abs=0.05)
    assert found["95th_percentile"] == pytest.approx(3.8, abs=0.05)


def test_numbers_are_the_same_both_ways_and_see_what_only_one_surface_has() -> None:
    one = ball(30.0)
    bump = ball(5.0, (0.0, 0.0, 40.0), fine=2)
    two = replace(
        one,
        name="with bump",
        points_mm=np.vstack([one.points_mm, bump.points_mm]),
        triangles=np.vstack([one.triangles, bump.triangles + len(one.points_mm)]),
    )
    there, back = distance_map(one, two), distance_map(two, one)
    assert np.abs(there.point_data[DISTANCE]).max() == pytest.approx(0, abs=1e-9)
    for name in ("mean", "rms", "hausdorff", "95th_percentile"):
        assert numbers(there)[name] == pytest.approx(numbers(back)[name])
    assert numbers(there)["hausdorff"] == pytest.approx(15.0, abs=0.01)
    place = there.findings[0].location_mm
    assert place == pytest.approx((0.0, 0.0, 45.0), abs=0.5)


def test_the_band_of_the_largest_distance_holds_what_lies_between_the_points() -> None:
    coarse = trimesh.creation.box((20, 20, 20))
    flat = SurfaceMesh(coarse.vertices, coarse.faces, "1")
    dent = coarse.subdivide()
    points = dent.vertices.copy()
    middle = np.argmin(np.linalg.norm(points - (0, 0, 10), axis=1))
    points[middle] = (0, 0, 4)
    hausdorff = next(
        n for n in distance_map(flat, SurfaceMesh(points, dent.faces, "1")).numbers
        if n.quantity == "hausdorff"
    )  # fmt: skip
    assert hausdorff.low <= 6.0 <= hausdorff.high


def test_open_references_and_other_frames() -> None:
    half = trimesh.creation.icosphere(subdivisions=3, radius=20.0)
    kept = half.faces[half.triangles_center[:, 2] > 0]
    made = distance_map(ball(20.0), SurfaceMesh(half.vertices, kept, "1"))
    assert "open_reference" in {f.code for f in made.findings}
    with pytest.raises(FrameMismatch):
        distance_map(ball(20.0), replace(ball(20.0), frame_uid="2"))


def test_percentiles_are_weighted() -> None:
    assert weighted_percentile(np.array([5.0, 1.0]), np.array([1.0, 99.0]), 95) == 1.0
