"""The missing bone of a skull and its implant, against a synthetic head with a known hole."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.distance_fields import winding
from meshing.surface import is_watertight, isosurface
from meshing.symmetry import symmetry_plane
from segmentation.metrics import dice, hausdorff95_mm
from workstation.phantom.skull import CENTRE_MM, skull_with_hole
from workstation.planning.cranioplasty import (
    WrongSide,
    cranial_defect,
    cranial_patient,
    take_skull,
)
from workstation.planning.cranioplasty_target import NoDefect
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


def test_thickness_clearance_bevel_and_perforations_do_what_they_say(head, defect, plane, implant):
    plain = numbers(implant)["volume"]
    thin = cranial_implant(head.skull, defect, plane, thickness_mm=3.0, cell_mm=1.0)
    assert numbers(thin)["volume"] < 0.75 * plain
    loose = cranial_implant(head.skull, defect, plane, clearance_mm=1.5, cell_mm=1.0)
    wide = implant_fit(loose, head.skull)
    assert numbers(wide)["gap.mean"] > numbers(implant_fit(implant, head.skull))["gap.mean"] + 0.8
    holes = cranial_implant(
        head.skull, defect, plane, bevel_mm=1.5, perforation_mm=3.0, cell_mm=1.0
    )
    assert numbers(holes)["volume"] < plain
    assert is_watertight(holes)
    edges = len(holes.triangles) * 3 // 2
    assert len(holes.points_mm) - edges + len(holes.triangles) < 0  # handles, by Euler


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
