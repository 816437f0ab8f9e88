"""Necks, domes and vessels without their sacs, on shapes whose neck is known."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.aneurysm import dome, neck, without_sac
from meshing.aneurysm_neck import Neck, NoNeck, from_record, neck_of, to_arrays, to_record
from meshing.aneurysm_shape import aneurysm_shape
from meshing.centerline import centerline
from meshing.surface import area_mm2, is_watertight, volume_ml
from segmentation.contract import FrameMismatch
from tests.campaigns import domes
from tests.meshing.sacs import ball_on_tube, neck_points, placed
from tests.meshing.vessels import line as straight
from tests.meshing.vessels import swept

RADIUS, HEIGHT, VESSEL = 3.0, 3.5, 1.5


@pytest.fixture(scope="module")
def lumen():
    return ball_on_tube(RADIUS, HEIGHT, VESSEL)


@pytest.fixture(scope="module")
def line(lumen):
    return centerline(lumen)


@pytest.fixture(scope="module")
def found(lumen, line) -> Neck:
    return neck(lumen, line)


def exact_neck() -> Neck:
    """The neck along the curve in which ball and tube meet."""
    known = placed(neck_points(RADIUS, HEIGHT, VESSEL))
    tip = placed([[0, 0, RADIUS + HEIGHT]])[0]
    return neck_of(known, tip, tip, "", (np.zeros((1, 3)), np.ones(1)), "known")


def test_the_neck_of_a_ball_on_a_tube_is_where_they_meet(found):
    known = placed(neck_points(RADIUS, HEIGHT, VESSEL))
    assert np.linalg.norm(np.array(found.centre_mm) - known.mean(axis=0)) < 0.3
    assert np.array(found.normal) @ (placed([[0, 0, 1]]) - placed([[0, 0, 0]]))[0] > 0.99
    assert np.linalg.norm(found.points_mm[:, None] - known, axis=2).min(axis=1).max() < 0.6


def test_the_neck_has_a_band_and_its_width_is_that_of_its_plane(found):
    numbers = {number.quantity: number for number in found.numbers}
    width = numbers["width"]
    assert width.low <= width.value <= width.high
    assert "band" in width.source
    assert width.value == pytest.approx(exact_neck().width_mm, rel=0.05)
    assert numbers["width_maximum"].value > width.value


def test_the_dome_is_closed_and_adds_up_with_the_rest(lumen, found):
    sac = dome(lumen, found)
    rest = without_sac(lumen, found)
    assert is_watertight(sac)
    assert is_watertight(rest)
    assert set(sac.boundaries) == {"wall", "neck"}
    numbers = {number.quantity: number.value for number in sac.numbers}
    whole = 4 / 3 * np.pi * RADIUS**3
    assert 0.9 * whole < 1000 * numbers["volume"] < whole
    wall = sac.triangles[sac.boundaries["wall"]]
    assert 100 * numbers["area"] == pytest.approx(area_mm2(sac.reshaped(sac.points_mm, wall)))
    vessel = np.pi * VESSEL**2 * 24
    assert 1000 * volume_ml(rest) == pytest.approx(vessel, rel=0.05)


def test_the_shape_of_a_ball_on_a_tube(lumen, line, found):
    value = aneurysm_shape(dome(lumen, found), found, line)
    numbers = {number.quantity: number for number in value.numbers}
    assert all(number.plain for number in value.numbers)
    assert numbers["parent_diameter"].value == pytest.approx(2 * VESSEL, rel=0.05)
    assert numbers["size"].value == pytest.approx(2 * RADIUS, rel=0.02)
    base = exact_neck().base_mm
    above = np.linalg.norm(placed([[0, 0, RADIUS + HEIGHT]])[0] - base)
    assert numbers["size_ratio"].value == pytest.approx(above / (2 * VESSEL), rel=0.03)
    assert numbers["aneurysm_angle"].value > 80
    assert numbers["vessel_angle"].value < 10
    assert numbers["inflow_angle"].value == pytest.approx(90, abs=12)
    band = numbers["aspect_ratio"]
    assert band.low < band.value < band.high
    without = aneurysm_shape(dome(lumen, found), found, line, doubt_mm=0)
    assert next(n for n in without.numbers if n.quantity == "aspect_ratio").low is None


def test_the_size_ratio_is_as_doubtful_as_the_vessel_that_it_is_divided_by(lumen, line, found):
    sac = dome(lumen, found)
    for doubt_mm in (0.0, 0.4):
        value = aneurysm_shape(sac, found, line, doubt_mm=doubt_mm)
        ratio, height, vessel = (
            next(n for n in value.numbers if n.quantity == name)
            for name in ("size_ratio", "height_maximum", "parent_diameter")
        )
        least, most = (height.low or height.value), (height.high or height.value)
        assert vessel.low < vessel.value < vessel.high
        assert ratio.low == pytest.approx(least / vessel.high)
        assert ratio.high == pytest.approx(most / vessel.low)
        assert ratio.source.endswith("the band of the parent diameter")
    assert all(n.low <= n.value <= n.high for n in value.numbers if n.low is not None)


def test_a_neck_drawn_by_hand_overrides_and_repeats_itself(lumen, line, found):
    known = placed(neck_points(RADIUS, HEIGHT, VESSEL))[::40]
    drawn = neck(lumen, line, points_mm=tuple(map(tuple, known)))
    assert drawn.width_mm == pytest.approx(found.width_mm, rel=0.2)
    assert np.dot(drawn.normal, found.normal) > 0.98
    assert is_watertight(dome(lumen, drawn))
    again = neck(lumen, line, points_mm=tuple(map(tuple, known)))
    assert np.array_equal(again.points_mm, drawn.points_mm)


def test_a_click_in_the_dome_finds_the_same_neck(lumen, line, found):
    inside = tuple(placed([[0.5, 0.3, HEIGHT + 0.6]])[0])
    assert np.allclose(neck(lumen, line, click_mm=inside).points_mm, found.points_mm)


def test_a_neck_is_kept_as_it_is(found):
    again = from_record(
        to_record(found), to_arrays(found), findings=found.findings, numbers=found.numbers
    )
    assert to_record(again) == to_record(found)
    assert np.array_equal(again.points_mm, found.points_mm)


def test_a_sac_that_the_centerline_does_not_list_is_found_and_told(lumen, line, found):
    other = neck(lumen, replace(line, sacs=()))
    assert other.width_mm == pytest.approx(found.width_mm, rel=0.03)
    assert "sac_assumed" in [finding.code for finding in other.findings]


def test_what_has_no_sac_has_no_neck(lumen, line, found):
    bare = swept(straight(30.0), 2.0)
    with pytest.raises(NoNeck, match="no sac"):
        neck(bare, centerline(bare))
    with pytest.raises(FrameMismatch):
        neck(replace(lumen, frame_uid="9"), line)
    with pytest.raises(FrameMismatch):
        dome(replace(lumen, frame_uid="9"), found)
    with pytest.raises(NoNeck, match="three or more"):
        neck(lumen, line, points_mm=((0, 0, 0), (1, 0, 0)))


COARSE = [
    (3.0, 4.0, 0.8),
    (2.0, 3.0, 1.0),
    (3.0, 2.8, 1.2),
    (1.8, 2.2, 0.8),  # few triangles to a radius: the sac is seen on smaller ones
]


@pytest.mark.parametrize(("radius", "height", "edge_mm"), COARSE)
def test_the_neck_of_a_coarse_surface_is_as_wide_as_where_the_walls_cross(radius, height, edge_mm):
    lumen = ball_on_tube(radius, height, VESSEL, edge_mm)
    curve = placed(neck_points(radius, height, VESSEL))
    known = neck_of(curve, curve[0], curve[0], "", (np.zeros((1, 3)), np.ones(1)), "known")
    wide = neck(lumen, centerline(lumen))
    assert wide.width_mm == pytest.approx(known.width_mm, rel=0.1)
    number = next(n for n in wide.numbers if n.quantity == "width")
    assert number.low < known.width_mm < number.high
    assert "triangles of" in number.source
    codes = [finding.code for finding in wide.findings]
    assert "neck_coarse" in codes or known.width_mm > 3 * edge_mm
    on_wall = replace(wide, unfilled_mm=np.empty((0, 3)))
    assert on_wall.width_mm > 1.12 * known.width_mm


def test_a_sac_hardly_wider_than_its_vessel_may_be_a_stump(found):
    small = ball_on_tube(1.65, 2.6, VESSEL)
    told = [f.code for f in neck(small, centerline(small)).findings]
    assert "sac_narrow" in told
    assert not {"sac_narrow", "neck_coarse"} & {finding.code for finding in found.findings}


MODELS = ("bleb", "tip", "two sacs, 2")


@pytest.mark.parametrize("name", MODELS)
def test_necks_of_models_are_found(name):
    (case,) = domes.models((name,))
    verdict = domes.judge(case)
    assert verdict.overlap > 0.93, verdict.why
    assert abs(verdict.width) < 0.1


def test_necks_of_labelled_aneurysms_are_found(real_data):
    small = [case for case in domes.real(real_data) if len(case.lumen.points_mm) < 1700]
    verdicts = [domes.judge(case) for case in small]  # the campaign has them all
    assert len(verdicts) == 4
    overlaps = [verdict.overlap for verdict in verdicts]
    assert np.median(overlaps) >= 0.9
    assert min(overlaps) >= 0.7
    assert max(abs(verdict.width) for verdict in verdicts) <= 0.1
