"""Fragments of a broken bone go back to where they were, after the mirrored other side."""

import numpy as np
import pytest

from meshing.booleans import as_solid, from_solid
from meshing.clipping import split_by_plane
from meshing.surface import volume_ml
from workstation.phantom import bones
from workstation.planning.bone_moves import as_transform, moved_surface, six_numbers
from workstation.planning.fracture import (
    fragment,
    mirrored_side,
    move_fragment,
    reduction_check,
    reduction_move,
)
from workstation.planning.template import find_template
from workstation.stages import check_plan


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


def far(mesh, truth):
    """The largest distance of points from where they were."""
    return float(np.linalg.norm(mesh.points_mm - truth.points_mm, axis=1).max())


@pytest.fixture(scope="module")
def broken():
    """A left femur broken in the shaft: the part that stays, the rest, and the rest displaced."""
    bone = bones.femur("left", step_mm=3.5)
    stays, rest = split_by_plane(bone.mesh, (10.0, 3.0, 200.0), (0.3, 0.1, 1.0))
    turn = six_numbers(rest.points_mm.mean(axis=0), (9.0, -6.0, -14.0), (6.0, -9.0, 12.0))
    return stays, rest, moved_surface(rest, as_transform(turn, rest.frame_uid, (0, 0, 0)))


@pytest.fixture(scope="module")
def target(broken):
    """The right femur, elsewhere and a little other, mirrored onto the part that stays."""
    healthy = bones.femur("right", step_mm=3.0, mldfa=87.0)
    pose = six_numbers((0, 0, 0), (-180.0, 12.0, 8.0), (4.0, -6.0, 20.0))
    other = moved_surface(healthy.mesh, as_transform(pose, healthy.mesh.frame_uid, (0, 0, 0)))
    return mirrored_side(broken[0], other)


def test_the_mirrored_side_lies_on_what_is_left(broken, target):
    truth = bones.femur("left", step_mm=3.5).mesh
    assert numbers(target)["fit_rms"] < 0.3
    assert volume_ml(target) == pytest.approx(volume_ml(truth), rel=0.01)
    gone = target.points_mm[np.argmin(target.points_mm[:, 2])]
    assert np.linalg.norm(truth.points_mm - gone, axis=1).min() < 4.0  # the part that is missing


def test_a_fragment_is_proposed_where_it_was(broken, target):
    stays, truth, displaced = broken
    assert far(displaced, truth) > 15
    move = reduction_move(displaced, target)
    back = move_fragment(displaced, move)
    assert far(back, truth) < 2.5
    check = numbers(reduction_check(back, stays, target))
    assert check["step_95"] < 1.5
    assert check["gap_95"] < 2.5
    askew = move_fragment(displaced, reduction_move(displaced, target, shift_mm=(4.0, 0.0, -3.0)))
    wrong = numbers(reduction_check(askew, stays, target))
    assert wrong["step_95"] > 2.5
    assert wrong["gap_median"] == pytest.approx(3.0, abs=1.5)


def test_the_six_numbers_come_on_top(broken):
    _, truth, _ = broken
    move = reduction_move(truth, shift_mm=(3.0, 0.0, 4.0))
    assert numbers(move)["shift"] == pytest.approx(5.0)
    assert numbers(move)["turn"] == 0.0
    moved = move_fragment(truth, move)
    assert moved.points_mm[0] - truth.points_mm[0] == pytest.approx([3, 0, 4])


def test_pieces_that_collide_are_told_with_their_volume(broken):
    stays, rest, _ = broken
    into = reduction_move(rest, shift_mm=(0.0, 0.0, 5.0))
    pushed = reduction_check(move_fragment(rest, into), stays)
    assert [f.code for f in pushed.findings] == ["pieces_collide"]
    apart = reduction_move(rest, shift_mm=(0.0, 0.0, -5.0))
    free = reduction_check(move_fragment(rest, apart), stays)
    assert numbers(free)["collision_volume"] == 0.0
    assert numbers(free)["contact_area"] == 0.0
    touching = numbers(reduction_check(rest, stays))
    assert touching["contact_area"] > 5.0
    assert touching["collision_volume"] == pytest.approx(0.0, abs=1e-3)


def test_a_fragment_must_fit_another_one_too(broken):
    stays, rest, _ = broken
    into = move_fragment(rest, reduction_move(rest, shift_mm=(0.0, 0.0, 5.0)))
    far = move_fragment(stays, reduction_move(stays, shift_mm=(300.0, 0.0, 0.0)))
    alone, both = (reduction_check(into, far, also=also) for also in (None, stays))
    assert numbers(alone)["collision_volume"] == 0.0
    told = numbers(reduction_check(into, stays))
    assert {n: numbers(both)[n] for n in told} == pytest.approx(told)
    assert [f.code for f in both.findings] == ["pieces_collide"]


def test_a_third_fragment_is_laid_onto_the_mirrored_side_where_there_is_one():
    template = find_template("fracture")
    for other, more in (({}, {}), ({"other": "1"}, {"target": "mirrored"})):
        plan = template.with_options(template.plan("", {"bone": "0", **other}), ["third-fragment"])
        check_plan(plan)
        assert plan.step("move_3").inputs == {"fragment": "fragment_3"} | more
        assert plan.step("reduction_3").inputs["also"] == "moved_2"


def test_fragments_are_taken_by_their_size(broken):
    stays, rest, _ = broken
    apart = moved_surface(rest, as_transform(six_numbers((0, 0, 0), (0, 0, -40), (0, 0, 0)),
                                             rest.frame_uid, (0, 0, 0)))  # fmt: skip
    shift = np.zeros(3)
    both = from_solid(stays, as_solid(stays, shift) + as_solid(apart, shift), shift)
    first, second = fragment(both), fragment(both, number=2)
    sizes = sorted([volume_ml(stays), volume_ml(rest)], reverse=True)
    assert [volume_ml(first), volume_ml(second)] == pytest.approx(sizes, rel=1e-6)
    assert [f.code for f in first.findings] == ["several_pieces"]
    assert "in 2 pieces, of" in first.findings[0].sentence
    assert not second.findings
    assert not fragment(stays).findings
    with pytest.raises(ValueError, match="2 pieces"):
        fragment(both, number=3)
