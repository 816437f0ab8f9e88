"""Osteotomies against bones whose wedge, contact and corrected angles are known."""

import numpy as np
import pytest

from meshing.surface import volume_ml
from workstation.phantom import bones
from workstation.planning.alignment_angles import leg_alignment
from workstation.planning.bone_landmarks import femur_landmarks
from workstation.planning.bone_landmarks_tibia import tibia_landmarks
from workstation.planning.osteotomy import (
    bone_cut,
    move_landmarks,
    osteotomy,
    osteotomy_move,
    remaining_bone,
)


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


@pytest.fixture(scope="module")
def varus_leg():
    """A left leg whose tibia leans to varus by seven degrees."""
    return bones.leg("left", bone={"mldfa": 88.0, "mpta": 80.0})


@pytest.fixture(scope="module")
def landmarks(varus_leg):
    thigh, shin = varus_leg
    return femur_landmarks(thigh.mesh), tibia_landmarks(shin.mesh)


def cut_and_edges(shin):
    """The plane 45 mm below the plateau, across the tibia, and its lateral and medial edge."""
    top, bottom = shin.places["plateau"], shin.places["ankle"]
    down = (bottom - top) / np.linalg.norm(bottom - top)
    cut = bone_cut(shin.mesh, point_mm=tuple(top + 45 * down), normal=tuple(down))
    edge = cut.surface.points_mm
    return cut, edge[np.argmax(edge[:, 0])], edge[np.argmin(edge[:, 0])]


def corrected(shin, move):
    """By how many degrees the way from plateau to ankle turns: less than the wedge opens."""
    before = shin.places["ankle"] - shin.places["plateau"]
    after = move.apply(shin.places["ankle"]) - shin.places["plateau"]
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    return float(np.degrees(np.arccos(cosine)))


def test_an_opening_wedge_corrects_the_leg(varus_leg, landmarks):
    _, shin = varus_leg
    before = numbers(leg_alignment(*landmarks))
    assert before["HKA"] == pytest.approx(172, abs=0.7)
    cut, lateral, medial = cut_and_edges(shin)
    move = osteotomy_move(cut, hinge_mm=tuple(lateral), angle_degrees=8.0)
    after = numbers(leg_alignment(landmarks[0], move_landmarks(landmarks[1], move, cut)))
    assert 6.5 < corrected(shin, move) < 7.5  # the arm below the hinge is 315 of 360 mm
    assert after["HKA"] == pytest.approx(before["HKA"] + corrected(shin, move), abs=0.1)
    assert after["MPTA"] == pytest.approx(before["MPTA"] + corrected(shin, move), abs=0.1)
    assert after["mLDFA"] == before["mLDFA"]
    piece = osteotomy(shin.mesh, cut, move)
    width = np.linalg.norm(medial - lateral)
    assert numbers(piece)["wedge_height"] == pytest.approx(width * np.sin(np.radians(8)), rel=0.03)
    assert numbers(piece)["contact_share"] < 15
    assert numbers(piece)["taken_away"] < 0.01


def test_a_closing_wedge_brings_bone_to_bone(varus_leg, landmarks):
    _, shin = varus_leg
    cut, _, medial = cut_and_edges(shin)
    move = osteotomy_move(cut, kind="closing", hinge_mm=tuple(medial), angle_degrees=8.0)
    after = numbers(leg_alignment(landmarks[0], move_landmarks(landmarks[1], move, cut)))
    assert after["HKA"] == pytest.approx(172 + corrected(shin, move), abs=0.7)
    piece = osteotomy(shin.mesh, cut, move)
    found = numbers(piece)
    assert found["contact_share"] > 70
    whole = volume_ml(piece) + volume_ml(remaining_bone(shin.mesh, cut)) + found["taken_away"]
    assert whole == pytest.approx(volume_ml(shin.mesh), rel=1e-6)
    assert found["taken_away"] > 3
    collided = osteotomy(shin.mesh, cut, move, trim=False)
    assert [f.code for f in collided.findings] == ["pieces_collide"]


def test_a_turn_along_the_shaft_changes_version_alone(varus_leg, landmarks):
    thigh, _ = varus_leg
    cut = bone_cut(thigh.mesh, point_mm=(15.0, 4.0, 220.0), normal=(0.0, 0.0, -1.0))
    move = osteotomy_move(cut, kind="free", turn_degrees=(0.0, 0.0, 10.0))
    femur = move_landmarks(landmarks[0], move, cut)
    before, after = (numbers(leg_alignment(f)) for f in (landmarks[0], femur))
    assert abs(after["femoral_version"] - before["femoral_version"]) == pytest.approx(10, abs=0.5)
    assert after["mLDFA"] == pytest.approx(before["mLDFA"], abs=4)
    still = numbers(osteotomy(thigh.mesh, cut, osteotomy_move(cut)))
    assert still["contact_share"] == 100.0
    assert still["wedge_height"] == 0.0


def test_lengthening_is_what_was_asked_for(varus_leg):
    thigh, _ = varus_leg
    cut = bone_cut(thigh.mesh)
    normal = np.asarray(cut.normal)
    move = osteotomy_move(cut, kind="free", shift_mm=tuple(12 * normal))
    assert numbers(move)["lengthening"] == pytest.approx(12)
    found = numbers(osteotomy(thigh.mesh, cut, move))
    assert found["contact_share"] == 0
    assert found["gap_volume"] == pytest.approx(12 * numbers(cut)["area"] / 10, rel=0.01)


def test_a_cut_that_nobody_placed_lets_the_lower_piece_move(varus_leg, landmarks):
    cut = bone_cut(varus_leg[0].mesh, landmarks[0])
    assert cut.distance_mm(varus_leg[0].places["notch"]) > 150
    assert cut.distance_mm(varus_leg[0].places["head"]) < -150


def test_a_wedge_without_a_hinge_is_refused(varus_leg):
    cut = bone_cut(varus_leg[1].mesh)
    with pytest.raises(ValueError, match="set hinge_mm"):
        osteotomy_move(cut, angle_degrees=5.0)
