"""Landmarks and alignment of bones, against synthetic ones in any pose and on both sides."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meshing.distance_fields import grid_around, winding
from meshing.plane_split import split_between_points
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.phantom import bones
from workstation.planning.alignment_angles import (
    WrongPair,
    leg_alignment,
    pelvic_alignment,
    side_difference,
)
from workstation.planning.bone_landmarks import femur_landmarks
from workstation.planning.bone_landmarks_pelvis import pelvis_landmarks
from workstation.planning.bone_landmarks_record import NoLandmark, WrongSide
from workstation.planning.bone_landmarks_tibia import tibia_landmarks

SHIFT = np.array([-60.0, 25.0, 300.0])


def turned(x, y, z):
    return Rotation.from_euler("xyz", [x, y, z], degrees=True).as_matrix()


def numbers(value):
    return {number.quantity: number for number in value.numbers}


def codes(value):
    return {finding.code for finding in value.findings}


def off(value, place, truth):
    return float(np.linalg.norm(np.asarray(value.places[place]) - truth))


def aligned(side, varus, pose, **angles):
    thigh, shin = (b.posed(pose, SHIFT) for b in bones.leg(side, varus=varus, bone=angles))
    return leg_alignment(femur_landmarks(thigh.mesh), tibia_landmarks(shin.mesh))


@pytest.fixture(scope="module")
def left():
    return aligned("left", 3.0, np.eye(3), mldfa=85.0, mpta=82.0, version=-8.0)


@pytest.fixture(scope="module")
def right():
    pose = turned(100.0, 40.0, -70.0)
    return aligned("right", 0.0, pose, mldfa=92.0, mpta=90.0, version=25.0, neck_shaft=135.0)


def test_a_left_leg_is_measured(left):
    found = numbers(left)
    truth = {"mLDFA": 85, "MPTA": 82, "JLCA": 3, "HKA": 174, "femoral_version": -8,
             "neck_shaft_angle": 127, "knee_flexion": 0}  # fmt: skip
    for name, value in truth.items():
        assert found[name].value == pytest.approx(value, abs=0.7), name
        assert found[name].low <= value <= found[name].high
    assert found["femur_length"].value == pytest.approx(420, abs=1)
    assert found["MAD"].value == pytest.approx(20.9, abs=1)  # medial of the knee in a varus leg
    assert "side_left" in codes(left)


def test_a_right_leg_in_any_pose_is_measured(right):
    found = numbers(right)
    truth = {"mLDFA": 92, "MPTA": 90, "JLCA": 0, "HKA": 178, "femoral_version": 25,
             "neck_shaft_angle": 135}  # fmt: skip
    for name, value in truth.items():
        assert found[name].value == pytest.approx(value, abs=0.7), name
    assert "side_right" in codes(right)


def test_sides_are_compared_and_not_confused(left, right):
    between = numbers(side_difference(left, right))
    assert between["mLDFA"].value == pytest.approx(-7, abs=1)
    with pytest.raises(WrongPair, match="given as the left leg is the right one"):
        side_difference(right, left)


def test_landmarks_lie_where_they_belong():
    side = "right"
    bone = bones.femur(side).posed(turned(20, 170, 30), SHIFT)
    found = femur_landmarks(bone.mesh, side=side)
    for name in ("head", "notch", "medial_distal", "lateral_distal", "lateral_posterior"):
        assert off(found, name, bone.places[name]) < 2.2, name
    assert found.text == f"{side} femur"


def test_a_femur_of_the_other_side_is_refused():
    with pytest.raises(WrongSide, match="this is a right femur"):
        femur_landmarks(bones.femur("right", step_mm=4.0).mesh, side="left")


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tibia_is_found_on_its_side(side):
    bone = bones.tibia(side).posed(turned(200, 10, 80), SHIFT)
    found = tibia_landmarks(bone.mesh, side=side)
    assert off(found, "plateau", bone.places["plateau"]) < 0.7
    assert off(found, "ankle", bone.places["ankle"]) < 0.7
    with pytest.raises(WrongSide):
        tibia_landmarks(bone.mirrored().mesh, side=side)


def test_what_is_not_there_is_not_proposed():
    bone = bones.femur(step_mm=3.0)
    height = bone.mesh.points_mm[:, 2]
    top, rest = split_between_points(bone.mesh, height - 220.013, np.array([0.0, 0.0, 1.0]))
    found = femur_landmarks(top)
    assert off(found, "head", bone.places["head"]) < 0.3
    assert {"notch", "medial_distal", "lateral_posterior"}.isdisjoint(found.places)
    assert "landmark_missing" in codes(found)
    with pytest.raises(NoLandmark, match="give it by hand"):
        leg_alignment(found)
    assert not {"head", "neck"} & femur_landmarks(rest).places.keys()


def test_two_bones_another_unit_and_a_short_bone_are_told():
    thigh, shin = bones.femur(step_mm=6.0).mesh, bones.tibia(step_mm=6.0).mesh
    cells = np.vstack([thigh.triangles, shin.triangles + len(thigh.points_mm)])
    both = thigh.reshaped(np.vstack([thigh.points_mm, shin.points_mm]), cells)
    told = {f.code: f.sentence for f in femur_landmarks(both).findings}
    assert "in 2 large pieces" in told["several_bones"]
    with pytest.raises(ValueError, match=r"only 0\.45\d mm long; give the unit"):
        femur_landmarks(thigh.reshaped(thigh.points_mm / 1000, thigh.triangles))
    centimetres = thigh.reshaped(thigh.points_mm / 10, thigh.triangles)
    assert codes(femur_landmarks(centimetres)) & {"short_bone", "several_bones"} == {"short_bone"}


def test_a_clicked_landmark_wins():
    bone = bones.femur(step_mm=4.0)
    click = (1.0, 2.0, 430.0)
    found = femur_landmarks(bone.mesh, head_mm=click)
    assert found.places["head"] == click
    assert "landmark_clicked" in codes(found)
    assert numbers(found)["length"].value > 428
    assert "landmark_far" not in codes(found)
    wild = femur_landmarks(bone.mesh, head_mm=(0.0, 0.0, 900.0))
    assert "landmark_far" in codes(wild)


def test_two_legs_are_not_mixed():
    thigh, shin = bones.femur("left", step_mm=4.0), bones.tibia("right", step_mm=4.0)
    with pytest.raises(WrongPair, match="different sides"):
        leg_alignment(femur_landmarks(thigh.mesh), tibia_landmarks(shin.mesh))


def test_a_pelvis_rests_on_its_plane_and_its_tilt_has_a_sign():
    forward, left_up = turned(12, 0, 0), turned(0, -7, 0)
    bone = bones.pelvis().posed(forward, SHIFT)
    found = pelvis_landmarks(bone.mesh)
    for name, truth in bone.places.items():
        assert off(found, name, truth) < 2.0, name
    tilt = numbers(pelvic_alignment(found))["pelvic_tilt"].value
    assert tilt == pytest.approx(12, abs=0.7)  # turned about the left axis: spines to the front
    aside = pelvis_landmarks(bones.pelvis().posed(left_up, SHIFT).mesh)
    assert numbers(pelvic_alignment(aside))["pelvic_obliquity"].value == pytest.approx(7, abs=0.5)


def test_a_landmark_at_the_border_of_the_image_is_doubtful():
    bone = bones.tibia(step_mm=4.0)
    grid = grid_around([bone.mesh.points_mm], 4.0)
    filled = winding((bone.mesh.points_mm - grid.origin_mm) / 4.0, bone.mesh.triangles, grid.shape)
    size = grid.shape[::-1]
    origin = tuple(float(v) for v in grid.origin_mm)
    label = {1: Label("tibia")}
    whole = ImageGeometry(size, (4.0, 4.0, 4.0), origin, tuple(np.eye(3).ravel()), "1.2.3")
    array = (filled > 0.5).astype(np.uint8)
    assert "landmark_doubtful" not in codes(tibia_landmarks(LabelMap(array, whole, label)))
    ends = int(np.ceil(-grid.origin_mm[2] / 4.0))  # the scan ends at the ankle
    cut = whole.cropped((0, 0, ends), (*size[:2], size[2] - ends))
    found = tibia_landmarks(LabelMap(array[ends:], cut, label))
    told = [f.sentence for f in found.findings if f.code == "landmark_doubtful"]
    assert any("image ends" in sentence and "Ankle" in sentence for sentence in told)
