"""The missing bone of a skull and its implant, against a synthetic head with a known hole."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from meshing.distance_fields import winding
from meshing.surface import is_watertight, isosurface
from meshing.symmetry import symmetry_plane
from segmentation.metrics import dice, hausdorff95_mm
from workstation.phantom.skull import AXIS, CENTRE_MM, skull_with_hole, turned
from workstation.planning.cranioplasty import (
    WrongSide,
    cranial_defect,
    cranial_patient,
    take_skull,
)
from workstation.planning.cranioplasty_insertion import NoDirection, best_way, insertion_path
from workstation.planning.cranioplasty_rays import Walls, chart_around
from workstation.planning.cranioplasty_target import NoDefect, Target
from workstation.planning.fit import implant_fit
from workstation.planning.implant_body import cranial_implant


@pytest.fixture(scope="module")
def head():
    return skull_with_hole(spacing_mm=2.0)


@pytest.fixture(scope="module")
def plane(head):
    return symmetry_plane(isosurface(head.skull, cell_mm=4.0))


@pytest.fixture(scope="module")
def defect(head, plane):
    return cranial_defect(head.skull, plane, cranial_patient(side="left"))


@pytest.fixture(scope="module")
def implant(head, defect, plane):
    return cranial_implant(head.skull, defect, plane, cell_mm=1.0)


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


def codes(value):
    return {finding.code for finding in value.findings}


def voxels_in(mesh, like):
    local = like.geometry.to_index(mesh.points_mm)
    inside = np.abs(winding(local, mesh.triangles, like.geometry.shape)) > 0.5
    return replace(like, array=inside.view(np.uint8))


def test_the_phantom_is_what_it_says(head):
    assert head.missing.volume_ml() == pytest.approx(head.missing_ml, rel=0.02)


def test_the_midplane_is_found_within_a_degree_and_a_millimetre(head, plane):
    normal = np.asarray(plane.places["normal"])
    assert np.degrees(np.arccos(normal @ head.normal)) < 1.0
    away = (np.asarray(CENTRE_MM) - np.asarray(plane.places["point_mm"])) @ normal
    assert abs(away) < 1.0


def test_the_missing_bone_is_found_on_its_side(head, defect):
    assert dice(head.missing, defect) > 0.9
    assert {"defect_left", "target_mirror"} <= codes(defect)
    assert numbers(defect)["volume"] == pytest.approx(head.missing_ml, rel=0.1)


def test_the_implant_gives_the_bone_back(head, implant):
    assert is_watertight(implant)
    made = voxels_in(implant, head.missing)
    assert dice(head.missing, made) > 0.88
    assert hausdorff95_mm(head.missing, made) <= 2.0
    assert numbers(implant)["thickness.minimum"] >= 2.0
    assert "implant_left" in codes(implant)


def test_the_implant_goes_in_without_touching_bone(head, implant):
    known = numbers(implant)
    way = np.array([known[f"removal.{axis}"] for axis in "xyz"])
    for lifted in (0.0, 2.0, 5.0, 12.0, 30.0):
        moved = replace(implant, points_mm=implant.points_mm + lifted * way)
        assert not (voxels_in(moved, head.skull).mask() & head.skull.mask()).any()


def test_the_fit_is_measured(head, implant, defect):
    fit = implant_fit(implant, head.skull, defect)
    known = numbers(fit)
    assert known["overlap.volume"] == 0
    assert 0.1 < known["gap.mean"] <= 0.7  # voxels of 2 mm
    assert len(fit.point_data["gap_mm"]) == len(implant.points_mm)


def test_an_implant_that_was_moved_into_bone_overlaps(head, implant):
    moved = replace(implant, points_mm=implant.points_mm + np.array([0.0, 6.0, 0.0]))
    fit = implant_fit(moved, head.skull)
    assert numbers(fit)["overlap.volume"] > 0.1
    assert "implant_overlaps" in codes(fit)
    assert fit.point_data["gap_mm"].min() < -1.0


@pytest.fixture(scope="module")
def held(head, defect, plane):
    return cranial_implant(
        head.skull, defect, plane, bevel_mm=1.0, perforation_mm=3.0, perforation_rim_mm=4.0,
        perforation_pattern="squares", tabs=4, tab_thickness_mm=2.5, cell_mm=1.0,
    )  # fmt: skip


def test_tabs_lie_on_bone_and_hold_a_screw_each(head, implant, held):
    assert is_watertight(held)
    known = numbers(held)
    assert known["tabs"] == 4
    assert 4.0 < known["tabs.bone_least"] < 9.0, "of a shell 6 to 8 mm thick, seen askew"
    assert not (voxels_in(held, head.skull).mask() & head.skull.mask()).any()
    way = np.array([known[f"removal.{axis}"] for axis in "xyz"])
    across = [
        points - np.outer(points @ way, way) for points in (implant.points_mm, held.points_mm)
    ]
    middle = across[0].mean(axis=0)
    reach = [np.linalg.norm(points - middle, axis=1).max() for points in across]
    assert 5.0 < reach[1] - reach[0] < 12.0, "tabs reach over the edge"
    assert "tab_without_bone" not in codes(held)
    path = insertion_path(held, head.skull)
    assert numbers(path)["collision.volume"] == 0


def test_more_room_at_the_edge_leaves_fewer_perforations(head, defect, plane, held):
    few = cranial_implant(
        head.skull, defect, plane, perforation_mm=3.0, perforation_rim_mm=14.0, cell_mm=1.0
    )
    assert 0 < handles(few) < handles(held) - 4, "four handles of the other are bores"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"perforation_mm": 4.0, "perforation_spacing_mm": 5.0}, "perforation_spacing_mm"),
        ({"tabs": 2, "tab_thickness_mm": 1.0}, "tab_thickness_mm"),
        ({"tabs": 2, "screw_mm": 4.0, "tab_width_mm": 6.0}, "tab_width_mm"),
        ({"tabs": 2, "tab_reach_mm": 5.0}, "tab_reach_mm"),
    ],
)
def test_openings_that_leave_too_little_are_refused(head, defect, plane, wrong, text):
    with pytest.raises(ValueError, match=text):
        cranial_implant(head.skull, defect, plane, **wrong)


def test_the_way_in_is_shown_and_a_blocked_one_told(head, implant):
    path = insertion_path(implant, head.skull)
    assert numbers(path)["collision.volume"] == 0
    assert codes(path) == {"insertion_free"}
    known = numbers(implant)
    way = np.array([known[f"removal.{axis}"] for axis in "xyz"])
    assert way @ (turned() @ AXIS) / np.linalg.norm(AXIS) > 0.9, "out of the hole"
    assert (path.lines_mm[0][0] - path.lines_mm[0][1]) @ way == pytest.approx(40.0)
    inward = tuple(
        replace(n, value=-n.value) if n.quantity.startswith("removal") else n
        for n in implant.numbers
    )
    blocked = insertion_path(replace(implant, numbers=inward), head.skull, length_mm=100.0)
    assert codes(blocked) == {"insertion_blocked"}
    with pytest.raises(NoDirection):
        insertion_path(replace(implant, numbers=()), head.skull)


def test_the_way_in_turns_where_the_hole_is_cut_askew():
    chart = chart_around(np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.7, 1 / 80)
    ways = chart.directions()
    tilt = np.radians(18.0)
    axis = np.sin(tilt) * chart.axes[0] + np.cos(tilt) * chart.axes[2]
    radii = np.arange(70.0, 80.0, 0.5)
    points = ways[..., None, :] * radii[:, None]
    off = np.linalg.norm(points - (points @ axis)[..., None] * axis, axis=-1)
    bone = off > 25.0  # a bore about the axis
    there = bone.any(axis=-1)
    outer = np.where(there, np.where(bone, radii, -np.inf).max(axis=-1), np.nan)
    inner = np.where(there, np.where(bone, radii, np.inf).min(axis=-1), np.nan)
    away = ndimage.distance_transform_edt(there)
    full = np.ones(chart.shape)
    hole = Target(chart, 80 * full, 70 * full, ~there, away, Walls(outer, inner), 1.0,
                  np.zeros(1), "auto")  # fmt: skip
    way = best_way(hole)
    assert np.degrees(np.arccos(way.axes[2] @ axis)) < 10.0
    assert way.behind < 0.05


def test_a_drawn_outline_replaces_the_hole_that_is_found(head, plane, defect):
    way = turned() @ AXIS / np.linalg.norm(AXIS)
    a = np.cross(way, [0.0, 0.0, 1.0])
    a /= np.linalg.norm(a)
    b = np.cross(way, a)
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    middle = np.asarray(CENTRE_MM) + 75.0 * way
    ring = [middle + 50.0 * (np.cos(t) * a + np.sin(t) * b) for t in around]
    whole = cranial_defect(head.skull, plane, outline_mm=tuple(map(tuple, ring)))
    assert dice(whole, defect) > 0.93, "bone within the outline stays"
    half = [p for p in ring if (p - middle) @ a > 0]
    part = cranial_defect(head.skull, plane, outline_mm=tuple(map(tuple, half)))
    assert 0.3 < numbers(part)["area"] / numbers(defect)["area"] < 0.7
    with pytest.raises(NoDefect, match="three points"):
        cranial_defect(head.skull, plane, outline_mm=tuple(map(tuple, ring[:2])))
    other = [tuple(2 * np.asarray(CENTRE_MM) - p) for p in ring]
    with pytest.raises(NoDefect, match="within the outline"):
        cranial_defect(head.skull, plane, outline_mm=tuple(other))


def test_a_smooth_completion_is_made_and_told_where_it_is_asked_for(head, plane):
    smooth = cranial_defect(head.skull, plane, completion="smooth")
    assert "target_smooth" in codes(smooth)
    assert numbers(smooth)["mirrored"] == 0
    assert dice(head.missing, smooth) > 0.85


def handles(mesh):
    """How many holes go through a closed surface, by Euler."""
    edges = len(mesh.triangles) * 3 // 2
    return (2 - (len(mesh.points_mm) - edges + len(mesh.triangles))) // 2


def test_thickness_clearance_and_bevel_do_what_they_say(head, defect, plane, implant):
    plain = numbers(implant)["volume"]
    thin = cranial_implant(head.skull, defect, plane, thickness_mm=3.0, cell_mm=1.0)
    assert numbers(thin)["volume"] < 0.75 * plain
    loose = cranial_implant(head.skull, defect, plane, clearance_mm=1.5, cell_mm=1.0)
    wide = implant_fit(loose, head.skull)
    assert numbers(wide)["gap.mean"] > numbers(implant_fit(implant, head.skull))["gap.mean"] + 0.8
    round_ = cranial_implant(head.skull, defect, plane, bevel_mm=1.5, cell_mm=1.0)
    assert numbers(round_)["volume"] < plain
    assert is_watertight(round_)
    assert handles(round_) == 0


def test_another_side_than_declared_is_refused(head, plane, defect):
    for side in ("right", "bilateral"):
        with pytest.raises(WrongSide, match="patient's left"):
            cranial_defect(head.skull, plane, cranial_patient(side=side))
        with pytest.raises(WrongSide, match="declared"):
            cranial_implant(head.skull, defect, plane, cranial_patient(side=side))
    assert "side_unknown" in codes(cranial_patient())


def test_a_whole_skull_has_no_hole(head, plane):
    whole = replace(head.skull, array=head.skull.array | head.missing.array)
    with pytest.raises(NoDefect, match="no hole"):
        cranial_defect(whole, plane)


def test_a_click_elsewhere_finds_no_hole(head, plane):
    with pytest.raises(NoDefect, match="near the click"):
        cranial_defect(head.skull, plane, click_mm=(-60.0, 0.0, 50.0))


def test_a_hole_across_the_midline_continues_the_rim(head, plane):
    k, j, i = np.indices(head.skull.geometry.shape)
    points = head.skull.geometry.to_world(np.stack([i, j, k], axis=-1)) - CENTRE_MM
    crown = (np.hypot(points[..., 0], points[..., 1]) < 22) & (points[..., 2] > 0)
    whole = head.skull.mask() | head.missing.mask()
    cut = replace(head.skull, array=(whole & ~crown).view(np.uint8))
    defect = cranial_defect(cut, plane, cranial_patient(side="bilateral"))
    assert {"defect_bilateral", "target_completion"} <= codes(defect)
    assert dice(replace(cut, array=(whole & crown).view(np.uint8)), defect) > 0.85


def test_the_skull_is_taken_out_of_a_file(head):
    assert take_skull(head.skull).labels[1].name == "skull"
    with pytest.raises(ValueError, match="no voxel"):
        take_skull(replace(head.skull, array=np.zeros_like(head.skull.array)))
