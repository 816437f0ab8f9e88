"""Screws through bones whose walls, distances and densities are known."""

from dataclasses import replace

import numpy as np
import pytest
from manifold3d import Manifold

from meshing.booleans import from_solid
from meshing.surface import SurfaceMesh, is_watertight
from segmentation.contract import FrameMismatch, Number, Severity
from segmentation.measured import Measured
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.planning.screws import screw_bodies, screw_paths, screws_apart, series_of

FRAME = "2.25.4"


def mesh(solid):
    like = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), int), FRAME, "bone")
    return from_solid(like, solid.refine_to_length(15), np.zeros(3))


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


def codes(value):
    return {finding.code for finding in value.findings}


@pytest.fixture(scope="module")
def block():
    """24 mm thick along x from x = 3, wide along y and z."""
    return mesh(Manifold.cube((24, 60, 80)).translate((3, -20, -30)))


@pytest.fixture(scope="module")
def shaft():
    """The block with a closed marrow from 4 mm below its near to 5 mm below its far side."""
    outer = Manifold.cube((24, 60, 80)).translate((3, -20, -30))
    return mesh(outer - Manifold.cube((15, 50, 70)).translate((7, -15, -25)))


def across(y=0.0, z=0.0):
    return {"entries_mm": ((3.0, y, z),), "targets_mm": ((20.0, y, z),)}


def test_a_screw_through_both_sides_takes_the_next_longer_one(block):
    plan = screw_paths(block, series_mm="20 22, 26 30", beyond_mm=1.0, **across(1, 2))
    found = numbers(plan)
    assert found["needed_1"] == pytest.approx(25.0)
    assert found["length_1"] == 26.0
    assert found["beyond_1"] == pytest.approx(2.0)
    assert found["in_bone_1"] == pytest.approx(24.0)
    assert found["cortices_1"] == 2
    np.testing.assert_allclose(plan.places["seat_1"], (3, 1, 2), atol=1e-9)
    np.testing.assert_allclose(plan.places["tip_1"], (29, 1, 2), atol=1e-9)
    assert not plan.findings


def test_a_slanting_screw_is_longer_and_starts_on_the_bone(block):
    plan = screw_paths(block, entries_mm=((2.0, 0.0, 0.0),), targets_mm=((14.0, 9.0, 0.0),))
    assert numbers(plan)["length_1"] == pytest.approx(24 / 0.8)
    np.testing.assert_allclose(plan.places["entry_1"], (3.0, 0.75, 0.0), atol=1e-9)


def test_a_screw_to_its_target_takes_the_next_shorter_one(block):
    plan = screw_paths(block, series_mm="10 16 18", hold="target", **across())
    assert numbers(plan)["length_1"] == 16.0  # the target is 17 mm deep
    assert numbers(plan)["cortices_1"] == 1
    assert numbers(plan)["beyond_1"] == pytest.approx(-8.0)


def test_a_series_without_the_length_is_a_problem(block):
    plan = screw_paths(block, series_mm="10 20", **across())
    assert numbers(plan)["length_1"] == 20.0
    assert codes(plan) == {"no_such_length", "one_cortex"}
    with pytest.raises(ValueError, match="no series of lengths"):
        series_of("10 mm")


def test_marrow_is_not_bone(shaft):
    found = numbers(screw_paths(shaft, **across()))
    assert found["length_1"] == pytest.approx(24.0)
    assert found["in_bone_1"] == pytest.approx(4.0 + 5.0)
    short = numbers(screw_paths(shaft, hold="target", **across()))
    assert short["in_bone_1"] == pytest.approx(4.0)


def test_two_stretches_go_on_into_a_second_bone():
    two = Manifold.cube((5, 60, 80)) + Manifold.cube((7, 60, 80)).translate((9, 0, 0))
    ends = {"entries_mm": ((0.0, 30.0, 30.0),), "targets_mm": ((5.0, 30.0, 30.0),)}
    bones = mesh(two)
    assert numbers(screw_paths(bones, **ends))["length_1"] == pytest.approx(5)
    found = numbers(screw_paths(bones, stretches=2, **ends))
    assert found["length_1"] == pytest.approx(16)
    assert found["in_bone_1"] == pytest.approx(12)
    with pytest.raises(ValueError, match="enters bone 2 times only, not 3"):
        screw_paths(bones, stretches=3, **ends)


def image(spacing=0.5):
    """The cortex of the shaft as 1500 HU, 4 mm and 5 mm, its marrow as 100 + 10 z HU."""
    size = (int(40 / spacing), 24, 24)
    geometry = ImageGeometry(size, (spacing, 1, 1), (-5, -12, -12), tuple(np.eye(3).ravel()), FRAME)
    z, _, x = np.meshgrid(*(np.arange(n) for n in size[::-1]), indexing="ij")
    where, up = -5 + spacing * x, z - 12
    cortex = ((where >= 3) & (where <= 7)) | ((where >= 22) & (where <= 27))
    marrow = (where > 7) & (where < 22)
    array = np.select([cortex, marrow], [1500.0, 100.0 + 10 * up], 0.0)
    return Volume(array.astype(np.float32), geometry)


def test_density_and_cortices_along_a_screw(block):
    plan = screw_paths(block, image(), cortex_hu=700, **across(z=6.0))
    found = numbers(plan)
    assert found["density_least_1"] == pytest.approx(160, abs=1)
    between = 9.5 * 1500 + 14.5 * 160  # half of the voxel between two densities goes to each
    assert found["density_mean_1"] == pytest.approx(between / 24, rel=0.02)
    assert found["near_cortex_1"] == pytest.approx(4, abs=0.5)
    assert found["far_cortex_1"] == pytest.approx(5, abs=0.5)
    assert found["cortices_by_density_1"] == 2
    assert plan.samples["along_mm"][-1] == pytest.approx(24)
    assert set(plan.samples) == {"screw", "along_mm", "value_hu"}
    short = screw_paths(block, image(), cortex_hu=700, hold="target", **across(z=6.0))
    assert numbers(short)["cortices_by_density_1"] == 1
    none = screw_paths(block, image(), cortex_hu=3000, **across())
    assert "no_cortex" in codes(none)
    assert numbers(none)["cortices_by_density_1"] == 0


def test_distances_to_structures_and_between_screws(block):
    geometry = ImageGeometry(
        (60, 60, 60), (1, 1, 1), (0, -20, -20), tuple(np.eye(3).ravel()), FRAME
    )
    array = np.zeros(geometry.shape, np.uint8)
    array[:, 30:34, :] = 1  # y from 9.5 to 13.5 mm
    nerve = LabelMap(array, geometry, {1: Label("Alveolar nerve")})
    ends = {
        "entries_mm": ((3.0, 0.0, 0.0), (3.0, 0.0, 9.0), (3.0, 10.0, 0.0)),
        "targets_mm": ((20.0, 0.0, 0.0), (20.0, 0.0, 9.0), (20.0, 10.0, 0.0)),
    }
    plan = screw_paths(block, critical=nerve, diameter_mm=4.0, head_mm=8.0, safety_mm=6.0, **ends)
    found = numbers(plan)
    assert found["alveolar_nerve_1"] == pytest.approx(9.5 - 4, abs=0.05)
    assert found["alveolar_nerve_3"] < 0
    assert found["gap_1_2"] == pytest.approx(9 - 8, abs=0.02)
    assert found["gap_1_3"] == pytest.approx(10 - 8, abs=0.02)
    assert {"screw_hits", "screw_near", "screws_near"} <= codes(plan)
    assert "screws_collide" not in codes(plan)


def test_heads_that_overlap_collide(block):
    ends = {
        "entries_mm": ((3.0, 0.0, 0.0), (3.0, 5.0, 0.0)),
        "targets_mm": ((20.0, 0.0, 0.0), (20.0, 5.0, 0.0)),
    }
    plan = screw_paths(block, diameter_mm=3.0, head_mm=6.0, **ends)
    clash = [f for f in plan.findings if f.code == "screws_collide"]
    assert [f.severity for f in clash] == [Severity.PROBLEM]
    assert clash[0].location_mm == pytest.approx((3 - 1.25, 2.5, 0.0), abs=0.05)
    free = screw_paths(block, diameter_mm=3.0, head_mm=4.0, **ends)
    assert "screws_collide" not in codes(free)


def test_screws_planned_apart_are_compared(block):
    ends = {"entries_mm": ((15.0, -20.0, 2.0),), "targets_mm": ((15.0, 0.0, 2.0),)}
    across_it = screw_paths(block, diameter_mm=4.0, **ends)
    one = screw_paths(block, diameter_mm=3.0, **across(z=8.0))
    apart = screws_apart(one, across_it, safety_mm=3.0)
    assert numbers(apart)["gap_least"] == pytest.approx(6.0 - 2.0 - 1.5, abs=0.02)
    assert codes(apart) == {"screws_near"}
    low = screw_paths(block, **across(z=3.0))
    hit = screws_apart(low, across_it, called="the nail", others_called="the plate")
    assert hit.findings[0].sentence.startswith("Screw 1 of the nail and screw 1 of the plate")
    assert [f.severity for f in hit.findings] == [Severity.PROBLEM]
    assert numbers(hit)["gap_least"] == 0.0
    with pytest.raises(FrameMismatch):
        screws_apart(one, replace(across_it, frame_uid="2.25.5"))


def test_screws_keep_clear_of_a_plate_that_is_not_theirs(block):
    one, other = (screw_paths(block, diameter_mm=3.0, **across(z=z)) for z in (8.0, 40.0))
    plate = mesh(Manifold.cube((2, 8, 20)).translate((1, -4, 12)))  # its edge is at z = 12
    near = screws_apart(one, other, plate, called="the nails", safety_mm=3.0)
    assert numbers(near)["gap_plate"] == pytest.approx(12 - 8 - 3.0, abs=0.02)
    assert [f.sentence for f in near.findings if "plate" in f.sentence] == [
        "Screw 1 of the nails and the plate come within 1.0 mm of each other."
    ]
    below = mesh(Manifold.cube((2, 8, 20)).translate((1, -4, 6)))
    hit = screws_apart(one, other, below)
    assert [f.severity for f in hit.findings] == [Severity.PROBLEM]
    assert numbers(hit)["gap_plate"] == 0.0
    with pytest.raises(FrameMismatch):
        screws_apart(one, other, replace(plate, frame_uid="2.25.5"))


@pytest.mark.parametrize(
    ("hole", "head", "said"), [(3.0, 6.0, "go through"), (3.6, 3.6, "fall through"), (3.6, 6, "")]
)
def test_screws_must_fit_the_holes_of_their_plate(block, hole, head, said):
    places = {"seat_1": (2.0, 0.0, 0.0), "into_1": (1.0, 0.0, 0.0)}
    course = Measured(FRAME, (), np.empty((0, 3)), "", (0, 0, 0), places,
                      numbers=(Number("hole_diameter", hole, "mm", ""),))  # fmt: skip
    found = screw_paths(block, course=course, head_mm=head).findings
    assert [said in f.sentence for f in found] == [True] * bool(said)


def test_the_solids_have_the_volume_of_their_cylinders(block):
    plan = screw_paths(block, diameter_mm=4.0, head_mm=7.0, head_height_mm=3.0, **across())
    made = screw_bodies(plan)
    assert is_watertight(made)
    wanted = np.pi * (4 * 24 + 12.25 * 3) / 1000
    assert numbers(made)["volume"] == pytest.approx(wanted, rel=0.01)
    np.testing.assert_allclose(made.points_mm[:, 0].min(), 0.0, atol=1e-9)  # head outside
    with pytest.raises(ValueError, match="holds no screws"):
        screw_bodies(type(plan)(FRAME, (), np.empty((0, 3)), "", (0, 0, 0)))


@pytest.mark.parametrize(
    ("entries", "targets", "words"),
    [
        ((), (), "no screw yet"),
        (((3.0, 0.0, 0.0),), (), "1 entry and 0 targets"),
        (((3.0, 0.0, 0.0),), ((3.0, 0.0, 0.5),), "lie at one place"),
        (((-9.0, 0.0, 0.0),), ((5.0, 0.0, 0.0),), "within 5 mm of its entry"),
        (((3.0, 0.0, 300.0),), ((5.0, 0.0, 300.0),), "does not enter the bone"),
    ],
)
def test_what_makes_no_screw_is_refused(block, entries, targets, words):
    with pytest.raises(ValueError, match=words):
        screw_paths(block, entries_mm=entries, targets_mm=targets)


def test_another_frame_is_refused(block):
    other = image()
    far = Volume(other.array, ImageGeometry(
        other.geometry.size, other.geometry.spacing_mm, other.geometry.origin_mm,
        other.geometry.direction, "2.25.5"))  # fmt: skip
    with pytest.raises(FrameMismatch):
        screw_paths(block, far, **across())
