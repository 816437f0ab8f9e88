"""What is told while a part moves agrees with the step that is computed on release."""

import numpy as np
import pytest

from meshing.clipping import split_by_plane
from meshing.surface import SurfaceMesh
from segmentation.contract import FrameMismatch
from workstation.phantom import bones
from workstation.planning.bone_moves import as_transform, moved_surface, six_numbers
from workstation.planning.fracture import reduction_check
from workstation.planning.live_fit import FEW, GAP, LiveOsteotomy, LivePart
from workstation.planning.osteotomy import bone_cut, osteotomy, osteotomy_move

STILL = np.eye(4)


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


@pytest.fixture(scope="module")
def broken():
    """A femur broken in the shaft: the part that stays and the other, where it was."""
    bone = bones.femur("left", step_mm=3.5)
    return split_by_plane(bone.mesh, (10.0, 3.0, 200.0), (0.3, 0.1, 1.0))


@pytest.fixture(scope="module")
def live(broken):
    stays, rest = broken
    return LivePart(rest, stays)


def exact(broken, move):
    stays, rest = broken
    moved = moved_surface(rest, as_transform(move, rest.frame_uid, (0, 0, 0)))
    return numbers(reduction_check(moved, stays))


def test_contact_is_that_of_the_check(broken, live):
    seen, truth = numbers(live.at(STILL)), exact(broken, STILL)
    assert seen["contact_area"] == pytest.approx(truth["contact_area"], rel=0.15)
    assert seen["penetration"] < 0.3
    apart = six_numbers((0, 0, 0), (0.0, 0.0, -20.0), (0.0, 0.0, 0.0))
    far = numbers(live.at(apart))
    assert far["contact_area"] == 0.0
    assert far["least_distance"] == pytest.approx(exact(broken, apart)["least_distance"], abs=0.5)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 5.0), (6.0, -2.0, 3.0)])
def test_the_deepest_penetration_is_that_of_the_check(broken, live, shift):
    into = six_numbers(broken[1].points_mm.mean(axis=0), shift, (2.0, -3.0, 5.0))
    seen, truth = live.at(into), exact(broken, into)
    assert numbers(seen)["penetration"] == pytest.approx(-truth["least_distance"], abs=0.8)
    assert seen.part.point_data[GAP].min() < -2.0


def test_the_map_moves_with_a_part_of_few_triangles(broken, live):
    assert len(live.proxy.triangles) < 1.3 * FEW
    move = six_numbers((0, 0, 0), (4.0, -5.0, -6.0), (0.0, 0.0, 0.0))
    moved = live.at(move).part.points_mm - live.proxy.points_mm
    assert moved == pytest.approx(np.tile((4.0, -5.0, -6.0), (len(moved), 1)))


def test_without_bone_a_part_moves_and_nothing_is_told():
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 6, 0], [1, 2, 9]], float)
    part = SurfaceMesh(points, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]), "1.2")
    alone = LivePart(part, None).at(six_numbers((0, 0, 0), (1, 2, 3), (0, 0, 0)))
    assert alone.numbers == ()
    assert GAP not in alone.part.point_data


def test_parts_of_different_frames_do_not_meet(broken):
    stays, rest = broken
    other = SurfaceMesh(stays.points_mm, stays.triangles, "9.9", "elsewhere")
    with pytest.raises(FrameMismatch):
        LivePart(rest, other)


@pytest.mark.parametrize(
    "params",
    [
        {"kind": "opening", "angle_degrees": 8.0},
        {"kind": "closing", "angle_degrees": 8.0},
        {"kind": "free", "shift_mm": (3.0, 1.0, -2.0), "turn_degrees": (3.0, 0.0, 6.0)},
    ],
)
def test_an_osteotomy_is_told_as_it_is_computed(params):
    shin = bones.leg("left", bone={"mpta": 80.0})[1]
    top, ankle = shin.places["plateau"], shin.places["ankle"]
    down = (ankle - top) / np.linalg.norm(ankle - top)
    cut = bone_cut(shin.mesh, point_mm=tuple(top + 45 * down), normal=tuple(down))
    edge = cut.surface.points_mm
    move = osteotomy_move(cut, hinge_mm=tuple(edge[np.argmax(edge[:, 0])]), **params)
    truth = numbers(osteotomy(shin.mesh, cut, move)) | numbers(move)
    seen = {n.quantity: n.value for n in LiveOsteotomy(shin.mesh, cut)(move.affine)}
    for name in ("turn", "lengthening", "offset"):
        assert seen[name] == pytest.approx(truth[name], abs=1e-6)
    assert seen["wedge_height"] == pytest.approx(truth["wedge_height"], rel=0.02)
    assert seen["contact_share"] == pytest.approx(truth["contact_share"], abs=4.0)
    assert seen["taken_away"] == pytest.approx(truth["taken_away"], rel=0.1, abs=0.05)
    assert seen["gap_volume"] == pytest.approx(truth["gap_volume"], rel=0.05, abs=0.05)
