"""Centerlines of vessels whose axis, radius, branches and ends are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshing.centerline import Branch, Centerline, Node, centerline, own_sections
from meshing.files import read_surface
from meshing.surface import SurfaceMesh, is_watertight
from meshing.vessel_ends import cap_ends, cut_ends
from meshing.vessel_geometry import bifurcations, branch_shapes, vessel_shape
from meshing.vessel_tree import NoCenterline
from segmentation.contract import Severity
from tests.meshing.vessels import (
    TILTED,
    away_from,
    capsule,
    helix,
    labelled,
    line,
    swept,
    torus,
)

INTRA = ["AN153", "AN163-1", "AN171", "AN175", "AN186-1", "AN190"]
OPENINGS = {"AN153": 2, "AN163-1": 3, "AN171": 3, "AN175": 4, "AN186-1": 2, "AN190": 4}


def area_radius(value: Centerline) -> np.ndarray:
    return value.point_data["equivalent_diameter_mm"] / 2


def test_an_open_tilted_tube_has_its_axis_radius_length_and_ends():
    axis = line(40.0)
    found = centerline(swept(axis, 2.5))
    assert len(found.branches) == 1
    assert away_from(found.points_mm, axis).max() < 0.02 * 2.5
    assert found.radius_mm == pytest.approx(2.5, rel=0.01)
    assert np.nanmax(np.abs(area_radius(found) / 2.5 - 1)) < 0.01
    assert found.length_mm(found.branches[0]) == pytest.approx(40.0, abs=0.05)
    assert {name: found.nodes[n].kind for name, n in found.ends.items()} == {
        "inlet": "open",
        "outlet_1": "open",
    }
    assert found.frame_uid == "1.2.3"


def test_the_wider_end_is_the_inlet_unless_another_is_given():
    axis = line(40.0)
    cone = swept(axis, np.linspace(1.5, 3.0, len(axis)))
    found = centerline(cone)
    assert found.nodes[found.ends["inlet"]].point_mm == pytest.approx(tuple(axis[-1]), abs=0.1)
    assert [f.code for f in found.findings] == ["inlet_assumed"]
    given = centerline(cone, inlet_mm=tuple(axis[0] + 0.5))
    assert given.points_mm[0] == pytest.approx(axis[0], abs=0.1)
    assert not given.findings


def test_a_closed_tube_ends_in_the_middle_of_its_flat_caps():
    axis = line(40.0)
    closed = replace(cap_ends(swept(axis, 2.5)), boundaries={})  # with names they are open ends
    found = centerline(closed)
    assert [found.nodes[n].kind for n in found.ends.values()] == ["flat", "flat"]
    ends = [np.array(found.nodes[n].point_mm) for n in found.ends.values()]
    assert min(np.linalg.norm(end - axis[0]) for end in ends) < 0.1
    assert found.radius_mm == pytest.approx(2.5, rel=0.02)  # a cap is no wall
    assert found.length_mm(found.branches[0]) == pytest.approx(40.0, abs=0.1)


def test_a_helix_has_its_curvature_and_torsion_with_its_sign():
    radius, pitch = 8.0, 12.0
    climb = pitch / (2 * np.pi)
    axis = helix(radius, pitch, 1.5)
    found = centerline(swept(axis, 2.0))
    mirrored = centerline(swept(axis * (1, 1, -1), 2.0))
    inner = slice(12, -12)
    assert away_from(found.points_mm, axis).max() < 0.05 * 2.0
    bends, twists = (found.point_data[f"{n}_per_mm"][inner] for n in ("curvature", "torsion"))
    assert np.median(bends) == pytest.approx(radius / (radius**2 + climb**2), rel=0.03)
    assert np.median(twists) == pytest.approx(climb / (radius**2 + climb**2), rel=0.05)
    assert np.median(mirrored.point_data["torsion_per_mm"][inner]) < 0
    shape = branch_shapes(found)[0]
    assert shape.length_mm == pytest.approx(1.5 * 2 * np.pi * np.hypot(radius, climb), rel=0.01)
    assert shape.tortuosity == pytest.approx(shape.length_mm / shape.chord_mm - 1)


def test_a_torus_is_one_ring_without_an_end():
    found = centerline(torus(12.0, 3.0))
    turn = np.linspace(0, 2 * np.pi, 400)
    axis = np.stack([12 * np.cos(turn), 12 * np.sin(turn), np.full(400, 5.0)], axis=1)
    assert not found.ends
    assert [b.from_node == b.to_node for b in found.branches] == [True]
    assert away_from(found.points_mm, axis).max() < 0.1
    assert found.length_mm(found.branches[0]) == pytest.approx(2 * np.pi * 12, rel=0.01)
    assert ("closed_ring", Severity.WARNING) in [(f.code, f.severity) for f in found.findings]


def test_a_bifurcation_in_a_label_has_three_branches_with_their_radii_and_angle():
    origin = np.zeros(3)
    a, b, c = np.array([[-20.0, 0, 0], [15, 11, 3], [16, -9, 4]])
    parts = [capsule(a, origin, 2.6), capsule(origin, b, 1.9), capsule(origin, c, 1.6)]
    label = labelled(parts, np.array([-18.0, -14, -7]), np.array([22.0, 17, 10]), (0.5, 0.5, 0.6))
    found = centerline(label)
    assert len(found.branches) == 3
    assert len(found.ends) == 3
    assert [n.kind for n in found.nodes].count("junction") == 1
    own = own_sections(found) & np.isfinite(area_radius(found))
    own[[branch.stop - 1 for branch in found.branches]] = False  # the tips end beyond the axes
    axis = np.array([a, origin, b, origin, c])
    assert away_from(found.points_mm[own], axis).max() < 0.1 * 1.6
    for branch, radius in zip(found.branches, (2.6, 1.9, 1.6)):
        part = own[branch.points]
        assert np.median(area_radius(found)[branch.points][part]) == pytest.approx(radius, rel=0.03)
    fork = bifurcations(found)[0]
    expected = np.degrees(np.arccos(b @ c / np.linalg.norm(b) / np.linalg.norm(c)))
    assert fork.angles_degrees["2-3"] == pytest.approx(expected, abs=6)
    assert abs(np.cross(b, c) @ fork.normal) / np.linalg.norm(np.cross(b, c)) > 0.98
    names = {n.quantity for n in vessel_shape(found).numbers}
    assert {"branch_3.length", "bifurcation_1.angle_2_3"} <= names


def test_a_sac_is_listed_and_gets_no_branch_and_the_line_passes_beneath_it():
    def sac(points: np.ndarray) -> np.ndarray:
        return 3.5 - np.linalg.norm(points - (1.0, 4.5, 0.5), axis=-1)

    parts = [capsule([-20, 0, 0], [20, 0, 0], 2.0), sac]
    label = labelled(parts, np.array([-18.0, -5, -6]), np.array([18.0, 10, 6]))
    found = centerline(label)
    assert len(found.branches) == 1
    assert away_from(found.points_mm, np.array([[-20.0, 0, 0], [20, 0, 0]])).max() < 0.15 * 2.0
    assert len(found.sacs) == 1
    assert found.sacs[0].centre_mm == pytest.approx((1.0, 4.5, 0.5), abs=1.2)
    assert found.sacs[0].radius_mm == pytest.approx(3.5, abs=0.6)
    beside = found.point_data["beside_sac"] == 1
    assert 0.05 < beside.mean() < 0.5
    assert found.points_mm[beside, 0] == pytest.approx(1.0, abs=6.0)
    into = centerline(label, ends_mm=((2.0, 7.0, 0.5),))
    assert len(into.branches) == 3
    assert "asked" in [into.nodes[n].kind for n in into.ends.values()]


def test_a_wide_place_without_a_tip_keeps_the_line_in_its_middle():
    def wide(points: np.ndarray) -> np.ndarray:
        x = points[..., 0]
        return 6 + 10 * np.exp(-((x / 14) ** 2)) - np.linalg.norm(points[..., 1:], axis=-1)

    low, high = np.array([-45.0, -20, -20]), np.array([45.0, 20, 20])
    found = centerline(labelled([wide], low, high, (1.5, 1.5, 2.0)))
    assert len(found.branches) == 1
    assert not found.sacs
    assert np.linalg.norm(found.points_mm[:, 1:], axis=1).max() < 0.1 * 6


def test_tubes_that_touch_stay_two_and_no_section_takes_in_the_other():
    aside = np.cross(TILTED, [1.0, 0, 0])
    aside *= 3.9 / np.linalg.norm(aside)  # they overlap by a little
    one, two = swept(line(30.0), 2.0), swept(line(30.0) + aside, 2.0)
    count = len(one.points_mm)
    both = SurfaceMesh(
        np.concatenate([one.points_mm, two.points_mm]),
        np.concatenate([one.triangles, two.triangles + count]),
        "1.2.3",
    )
    found = centerline(both)
    assert len(found.branches) == 2
    assert list(found.ends) == ["inlet", "outlet_1", "inlet_2", "outlet_2"]
    area = found.point_data["area_mm2"]
    assert np.nanmax(area) < 1.01 * np.pi * 4
    assert np.isfinite(area).mean() > 0.9


def test_a_branch_from_a_wider_vessel_is_found_and_a_bump_is_none():
    parts = [
        capsule([-20, 0, 0], [20, 0, 0], 3.0),
        capsule([2, 0, 0], [4, 14, 2], 1.2),
        capsule([-9, 0, 0], [-9, 0, 3.2], 1.0),  # stands out by a little more than a millimetre
    ]
    label = labelled(parts, np.array([-18.0, -5, -6]), np.array([18.0, 17, 6]))
    found = centerline(label)
    assert len(found.branches) == 3
    kinds = [found.nodes[n].kind for n in found.ends.values()]
    assert kinds == ["flat", "flat", "round"]
    blind = found.nodes[found.ends["outlet_2"]]
    assert np.linalg.norm(np.array(blind.point_mm) - (4, 14, 2)) < 0.6  # a radius from the tip


def test_only_the_given_ends_are_joined_when_none_shall_be_found():
    parts = [capsule([-20, 0, 0], [20, 0, 0], 2.0), capsule([0, 0, 0], [0, 15, 0], 1.5)]
    label = labelled(parts, np.array([-18.0, -4, -4]), np.array([18.0, 18, 4]), (0.6, 0.6, 0.6))
    ends = ((-15.0, 0.0, 0.0), (0.0, 13.0, 0.0))
    found = centerline(label, ends_mm=ends, find_ends=False)
    assert len(found.branches) == 1
    reached = sorted(found.nodes[n].point_mm for n in found.ends.values())
    assert np.abs(np.array(reached) - np.array(ends)).max() < 1.0
    with pytest.raises(ValueError, match="mm from the lumen"):
        centerline(label, ends_mm=((0.0, 99.0, 0.0),))
    with pytest.raises(NoCenterline, match="two ends"):
        centerline(label, ends_mm=ends[:1], find_ends=False)


def test_ends_take_new_names_and_wrong_ones_are_refused():
    tube = swept(line(20.0), 2.0)
    assert list(centerline(tube, names="inlet=ica, outlet_1=mca").ends) == ["ica", "mca"]
    for names, reason in (
        ("inlet=outlet_1", "two ends one name"),
        ("outlet_7=x", "no end 'outlet_7'"),
        ("inlet", "old=new"),
        ("inlet=wall", "old=new"),
    ):
        with pytest.raises(ValueError, match=reason):
            centerline(tube, names=names)


def test_a_ball_and_an_empty_lumen_have_no_centerline():
    ball = labelled([lambda q: 5 - np.linalg.norm(q, axis=-1)], np.full(3, -7.0), np.full(3, 7.0))
    with pytest.raises(NoCenterline, match="wide"):
        centerline(ball)
    with pytest.raises(ValueError, match="no triangle"):
        centerline(SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), ""))
    flat = SurfaceMesh(np.eye(3), np.array([[0, 1, 2]]), "")
    with pytest.raises(ValueError, match="no volume"):
        centerline(flat)


def test_the_same_lumen_gives_the_same_bytes_and_is_left_alone():
    tube = swept(line(15.0), 1.5, sides=16)
    before = tube.points_mm.copy()
    one, two = centerline(tube), centerline(tube)
    assert one.points_mm.tobytes() == two.points_mm.tobytes()
    assert one.point_data["torsion_per_mm"].tobytes() == two.point_data["torsion_per_mm"].tobytes()
    assert np.array_equal(tube.points_mm, before)


def test_a_centerline_that_does_not_hold_together_is_refused():
    points, nodes = np.zeros((4, 3)), (Node((0, 0, 0), 1.0, "open"), Node((0, 0, 1), 1.0, "open"))
    with pytest.raises(ValueError, match="divide its points"):
        Centerline(points, np.ones(4), (Branch(0, 3, 0, 1),), nodes, {}, "")
    with pytest.raises(ValueError, match="node that does not exist"):
        Centerline(points, np.ones(4), (Branch(0, 4, 0, 2),), nodes, {}, "")
    with pytest.raises(ValueError, match="one radius"):
        Centerline(points, np.ones(3), (Branch(0, 4, 0, 1),), nodes, {}, "")


@pytest.mark.parametrize("case", INTRA)
def test_real_aneurysms_give_a_tree_their_dome_and_a_model_for_flow(real_data: Path, case: str):
    mesh = read_surface(real_data / "aneurysm_intra" / f"{case}_full.obj")
    found = centerline(mesh)
    kinds = [found.nodes[n].kind for n in found.ends.values()]
    assert kinds.count("open") == OPENINGS[case]
    assert len(found.sacs) == 1
    marked = np.loadtxt(next((real_data / "aneurysm_intra").glob(f"{case}-_norm.ad")))
    dome = marked[marked[:, 6] == 1][:, :3]
    gap = np.linalg.norm(dome - found.sacs[0].centre_mm, axis=1)
    assert np.median(gap) < 1.6 * found.sacs[0].radius_mm
    ready = cap_ends(cut_ends(mesh, found), found)
    assert is_watertight(ready)
    assert set(ready.boundaries) == {"wall", *found.ends}
