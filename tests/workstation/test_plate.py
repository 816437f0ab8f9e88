"""Plates on bones whose curvature is known, so that every bend has an exact answer."""

import numpy as np
import pytest
from manifold3d import Manifold

from meshing.booleans import divide, from_solid, pieces
from meshing.surface import SurfaceMesh, is_watertight
from workstation.planning.plate import bent_plate, plate_course
from workstation.planning.screws import screw_paths

FRAME = "2.25.4"
RADIUS = 40.0


def mesh(solid, edge=4.0):
    like = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), int), FRAME, "bone")
    return from_solid(like, solid.refine_to_length(edge), np.zeros(3))


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


@pytest.fixture(scope="module")
def drum():
    """A cylinder along z; a plate around it bends evenly."""
    return mesh(Manifold.cylinder(60, RADIUS, -1.0, 180))


@pytest.fixture(scope="module")
def block():
    return mesh(Manifold.cube((80, 40, 20)), 5.0)


def around(*degrees, z=30.0):
    turn = np.radians(degrees)
    return tuple((RADIUS * np.cos(a), RADIUS * np.sin(a), z) for a in turn)


@pytest.fixture(scope="module")
def bent(drum):
    path = around(10, 45, 80)
    return plate_course(drum, path_mm=path, stand_off_mm=0.5, spacing_mm=10, smooth_mm=3)


def test_a_plate_around_a_drum_bends_by_its_spacing_over_its_radius(bent):
    found = numbers(bent)
    wanted = np.degrees(10 / (RADIUS + 0.5))
    count = int(found["holes"])
    assert count == 5
    inner = [found[f"bend_{n}"] for n in range(1, count)]
    np.testing.assert_allclose(inner, wanted, atol=0.6)
    for kind in ("twist", "edge_bend"):
        assert max(abs(found[f"{kind}_{n}"]) for n in range(1, count)) < 0.5
    assert found["length"] == pytest.approx(np.radians(70) * (RADIUS + 0.5), rel=0.01)


def test_it_keeps_clear_of_the_bone_all_along(bent, drum):
    found = numbers(bent)
    assert found["gap_least"] == pytest.approx(0.5, abs=2e-3)
    assert found["gap_mean"] < 0.8
    made = bent_plate(bent)
    assert is_watertight(made)
    assert pieces(made).max() == 0
    assert len(divide(made, drum).inside.triangles) == 0


def test_a_flat_plate_has_the_volume_of_its_outline(block):
    path = ((10.0, 15.0, 20.0), (60.0, 15.0, 20.0))
    course = plate_course(block, path_mm=path, width_mm=8, thickness_mm=2, hole_mm=3.6)
    found = numbers(course)
    assert found["length"] == pytest.approx(50, abs=0.01)
    assert found["holes"] == 5
    np.testing.assert_allclose(course.places["seat_1"], (15, 15, 22.3), atol=0.02)
    np.testing.assert_allclose(course.places["into_1"], (0, 0, -1), atol=1e-6)
    made = numbers(bent_plate(course))["volume"]
    outline = 42 * 8 + np.pi * 16 - 5 * np.pi * 1.8**2
    assert made == pytest.approx(2 * outline / 1000, rel=0.02)


def test_a_path_that_turns_on_the_flat_bends_on_edge(block):
    path = ((10.0, 10.0, 20.0), (35.0, 10.0, 20.0), (60.0, 25.0, 20.0))
    found = numbers(plate_course(block, path_mm=path, smooth_mm=6, spacing_mm=10))
    edge = sum(found[f"edge_bend_{n}"] for n in range(1, int(found["holes"])))
    assert edge == pytest.approx(np.degrees(np.arctan2(15, 25)), abs=1.5)
    back = numbers(plate_course(block, path_mm=path[::-1], smooth_mm=6, spacing_mm=10))
    assert sum(back[f"edge_bend_{n}"] for n in range(1, int(back["holes"]))) == pytest.approx(
        -edge, abs=0.5
    )


def test_screws_go_through_the_holes(block):
    path = ((10.0, 15.0, 20.0), (60.0, 15.0, 20.0))
    plan = screw_paths(block, None, None, plate_course(block, path_mm=path), series_mm="20 24")
    found = numbers(plan)
    assert found["needed_3"] == pytest.approx(20 + 0.3 + 2.0, abs=0.02)
    assert found["length_3"] == 24.0
    np.testing.assert_allclose(plan.places["entry_5"], (55, 15, 20), atol=0.05)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path_mm": ((10.0, 15.0, 20.0),)}, "at least 2 points"),
        ({"path_mm": ((10.0, 15.0, 20.0), (15.0, 15.0, 20.0))}, "shorter than the plate is wide"),
        ({"path_mm": ((10.0, 15.0, 20.0), (60.0, 15.0, 20.0)), "hole_mm": 7.0}, "beside them"),
    ],
)
def test_what_makes_no_plate_is_refused(block, given, words):
    with pytest.raises(ValueError, match=words):
        plate_course(block, **given)
