"""Landmarks and alignment of a shoulder, against synthetic bones in any pose and on both sides."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meshing.plane_split import split_between_points
from workstation.phantom import shoulder
from workstation.planning.bone_alignment import WrongPair
from workstation.planning.bone_alignment_shoulder import shoulder_alignment
from workstation.planning.bone_landmarks_humerus import humerus_landmarks
from workstation.planning.bone_landmarks_record import NoLandmark, WrongSide
from workstation.planning.bone_landmarks_scapula import scapula_landmarks

SHIFT = np.array([-60.0, 25.0, 300.0])
STRAIGHT = np.eye(3)


def turned(x, y, z):
    return Rotation.from_euler("xyz", [x, y, z], degrees=True).as_matrix()


def numbers(value):
    return {number.quantity: number for number in value.numbers}


def codes(value):
    return {finding.code for finding in value.findings}


def off(value, place, truth):
    return float(np.linalg.norm(np.asarray(value.places[place]) - truth))


@pytest.fixture(scope="module")
def left():
    blade = shoulder.scapula("left", version=-6.0, inclination=8.0).posed(STRAIGHT, SHIFT)
    arm = shoulder.humerus("left", neck_shaft=135.0, retroversion=25.0).posed(STRAIGHT, SHIFT)
    return scapula_landmarks(blade.mesh, side="left"), humerus_landmarks(arm.mesh, side="left")


def test_a_left_shoulder_is_measured(left):
    found = shoulder_alignment(*left)
    truth = {"glenoid_version": -6, "glenoid_inclination": 8, "humeral_retroversion": 25,
             "humeral_neck_shaft_angle": 135}  # fmt: skip
    for name, value in truth.items():
        number = numbers(found)[name]
        assert number.value == pytest.approx(value, abs=1.0), name
        assert number.low <= value <= number.high
    assert "side_left" in codes(found)


@pytest.mark.parametrize(("version", "inclination", "pose"), [
    (-22.0, 15.0, (100.0, 40.0, -70.0)), (7.0, -5.0, (10.0, -40.0, 170.0)),
])  # fmt: skip
def test_a_right_scapula_in_any_pose_is_measured(version, inclination, pose):
    bone = shoulder.scapula("right", version=version, inclination=inclination)
    bone = bone.posed(turned(*pose), SHIFT)
    found = scapula_landmarks(bone.mesh)
    for name, truth in bone.places.items():
        assert off(found, name, truth) < 2.5, name
    seen = numbers(shoulder_alignment(found))
    assert seen["glenoid_version"].value == pytest.approx(version, abs=1.2)
    assert seen["glenoid_inclination"].value == pytest.approx(inclination, abs=1.2)
    assert found.text == "right scapula"
    with pytest.raises(WrongSide, match="this is a right scapula"):
        scapula_landmarks(bone.mesh, side="left")


def test_a_right_humerus_in_any_pose_is_measured():
    bone = shoulder.humerus("right", neck_shaft=128.0, retroversion=45.0)
    bone = bone.posed(turned(200.0, 10.0, 80.0), SHIFT)
    found = humerus_landmarks(bone.mesh)
    for name, truth in bone.places.items():
        assert off(found, name, truth) < 1.2, name
    seen = numbers(shoulder_alignment(humerus=found))
    assert seen["humeral_retroversion"].value == pytest.approx(45, abs=1.0)
    assert seen["humeral_neck_shaft_angle"].value == pytest.approx(128, abs=1.0)
    assert numbers(found)["head_radius"].value == pytest.approx(shoulder.HEAD_MM, abs=0.1)
    with pytest.raises(WrongSide, match="this is a right humerus"):
        humerus_landmarks(bone.mesh, side="left")


def test_without_the_elbow_there_is_no_retroversion():
    bone = shoulder.humerus("left", neck_shaft=140.0).posed(turned(0, 25, 0), SHIFT)
    height = bone.mesh.points_mm[:, 2]
    level = bone.places["head"][2] - 140.013
    upper, lower = split_between_points(bone.mesh, height - level, np.array([0.0, 0.0, 1.0]))
    found = humerus_landmarks(upper, side="left")
    assert not {"medial_epicondyle", "lateral_epicondyle"} & found.places.keys()
    seen = shoulder_alignment(humerus=found)
    assert numbers(seen)["humeral_neck_shaft_angle"].value == pytest.approx(140, abs=1.5)
    assert "humeral_retroversion" not in numbers(seen)
    assert "no_retroversion" in codes(seen)
    assert not {"head", "apex", "neck"} & humerus_landmarks(lower).places.keys()


def test_a_blade_that_ends_early_has_no_angle_and_no_version():
    bone = shoulder.scapula("right").posed(turned(0, 20, 0), SHIFT)
    height = bone.mesh.points_mm[:, 2]
    level = bone.places["glenoid"][2] - 40.017
    upper, _ = split_between_points(bone.mesh, height - level, np.array([0.0, 0.0, 1.0]))
    found = scapula_landmarks(upper)
    assert off(found, "glenoid", bone.places["glenoid"]) < 2.5
    assert "inferior_angle" not in found.places
    with pytest.raises(NoLandmark, match="inferior angle of the scapula"):
        shoulder_alignment(found)


def test_a_clicked_landmark_wins_and_swapped_ones_show(left):
    blade = shoulder.scapula("left", step_mm=3.0)
    front, back = ((2.0, y, 0.0) for y in (-13.0, 13.0))
    click = (-104.0, 3.0, 2.0)
    found = scapula_landmarks(blade.mesh, trigonum_mm=click, glenoid_anterior_mm=front,
                              glenoid_posterior_mm=back)  # fmt: skip
    assert found.places["trigonum"] == click
    assert found.places["glenoid_anterior"] == front
    assert abs(numbers(shoulder_alignment(found))["glenoid_version"].value) < 3
    swapped = scapula_landmarks(blade.mesh, glenoid_anterior_mm=back, glenoid_posterior_mm=front)
    assert abs(numbers(shoulder_alignment(swapped))["glenoid_version"].value) > 170


def test_two_shoulders_are_not_mixed(left):
    arm = humerus_landmarks(shoulder.humerus("right", step_mm=3.0).mesh)
    with pytest.raises(WrongPair, match="different sides"):
        shoulder_alignment(left[0], arm)
    with pytest.raises(NoLandmark, match="neither scapula nor humerus"):
        shoulder_alignment()
