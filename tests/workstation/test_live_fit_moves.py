"""What a hand sets are parameters with which the steps themselves say the same place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.surface import SurfaceMesh
from workstation.planning.bone_moves import turn_about
from workstation.planning.fracture import reduction_move
from workstation.planning.live_fit_moves import (
    HingeHold,
    Motion,
    PlaneHold,
    PointsHold,
    pose_hold,
    pose_of_params,
    six_hold,
)
from workstation.planning.size_search import Pose

shifts = st.tuples(*[st.floats(-80, 80)] * 3)
turns = st.tuples(*[st.floats(-60, 60)] * 3)
LEFT, BACK, UP = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def wedge():
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 6, 0], [1, 2, 9]], float)
    cells = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    return SurfaceMesh(points, cells, "1.2", "fragment")


@settings(max_examples=30, deadline=None)
@given(shifts, turns, shifts)
def test_a_fragment_is_where_its_step_puts_it(shift, turn, way):
    now = reduction_move(wedge(), shift_mm=shift, turn_degrees=turn)
    params = {"shift_mm": shift, "turn_degrees": turn}
    hold = six_hold(now.affine, now.geometry.origin_mm, params, kind="free")
    assert hold.matrix(hold.start) == pytest.approx(now.affine, abs=1e-6)
    values = hold.moved(hold.start, Motion(way, UP, 20.0))
    told = hold.params(values)
    assert told.pop("kind") == "free"
    then = reduction_move(wedge(), **told)
    assert hold.matrix(values) == pytest.approx(then.affine, abs=1e-6)
    middle = wedge().points_mm.mean(axis=0) + shift + way
    assert hold.grips(values)[0].centre_mm == pytest.approx(tuple(middle), abs=1e-3)


def test_turns_are_about_the_axes_that_the_eye_sees():
    now = turn_about((0, 0, 0), UP, 30.0)
    hold = six_hold(now, (0.0, 0.0, 0.0), {"turn_degrees": (0.0, 0.0, 30.0)})
    values = hold.moved(hold.start, Motion(axis=LEFT, degrees=10.0))
    seen = hold.matrix(values)[:3, :3]
    wanted = turn_about((0, 0, 0), LEFT, 10.0) @ turn_about((0, 0, 0), UP, 30.0)
    assert seen == pytest.approx(wanted[:3, :3], abs=1e-5)


def test_a_turn_to_where_angles_are_not_unique_stops():
    hold = six_hold(np.eye(4), (0.0, 0.0, 0.0), {})
    assert hold.moved(hold.start, Motion(axis=BACK, degrees=95.0))[4] == pytest.approx(85.0)
    assert hold.moved(hold.start, Motion(axis=BACK, degrees=90.0)) == hold.start


@settings(max_examples=30, deadline=None)
@given(shifts, turns, shifts, turns, shifts)
def test_an_implant_is_where_its_pose_puts_it(position, turn, home, home_turn, way):
    now, first = Pose(position, turn), Pose(home, home_turn)
    hold = pose_hold(now, first, (1.0, 2.0, 3.0))
    points = wedge().points_mm
    here = now.placed(points)
    values = hold.moved(hold.start, Motion(way, UP, -12.0))
    if values == hold.start:  # near where angles are not unique
        return
    there = pose_of_params(hold.params(values)).placed(points)
    move = hold.matrix(values)
    assert here @ move[:3, :3].T + move[:3, 3] == pytest.approx(there, abs=2e-3)


def test_a_hinge_only_opens():
    hold = HingeHold(5.0, (1.0, 2.0, 3.0), (0.0, 0.6, 0.8), 60.0,
                     lambda a: turn_about((1, 2, 3), (0, 0.6, 0.8), a))  # fmt: skip
    assert hold.moved((5.0,), Motion(axis=(0.0, 0.6, 0.8), degrees=4.0)) == (9.0,)
    assert hold.moved((5.0,), Motion(axis=(0.0, 0.6, 0.8), degrees=-40.0)) == (0.0,)
    assert hold.params((9.0,)) == {"angle_degrees": 9.0}
    assert hold.matrix((0.0,)) == pytest.approx(np.eye(4))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_plane_is_told_by_level_and_tilts(sign):
    normal = sign * np.array([0.2, -0.1, 1.0]) / np.linalg.norm([0.2, -0.1, 1.0])
    hold = PlaneHold((4.0, 5.0, 70.0), tuple(normal))
    assert [e.title for e in hold.entries] == ["Level, up", "Tilted to the left",
                                               "Tilted to the back"]  # fmt: skip
    assert hold.start == pytest.approx((70.0, 11.3099, -5.7106), abs=1e-3)
    point, same = hold.plane(hold.start)
    assert point == (4.0, 5.0, 70.0)
    assert same == pytest.approx(tuple(normal), abs=1e-6)
    raised = hold.moved(hold.start, Motion(tuple(3.0 * normal)))
    there = np.asarray(hold.plane(raised)[0])
    assert (there - point) @ normal == pytest.approx(3.0, abs=1e-3)
    tilted = hold.moved(hold.start, Motion(axis=LEFT, degrees=10.0))
    wanted = turn_about((0, 0, 0), LEFT, 10.0)[:3, :3] @ normal
    assert hold.plane(tilted)[1] == pytest.approx(tuple(wanted), abs=1e-5)
    assert hold.moved(hold.start, Motion(axis=LEFT, degrees=120.0)) == hold.start


def test_points_are_moved_one_by_one():
    hold = PointsHold(("entries_mm", "targets_mm"), (LEFT, BACK, UP, (7.0, 8.0, 9.0)))
    values = hold.moved(hold.start, Motion((0.5, 0.0, -1.0), grip=2))
    assert hold.params(values) == {
        "entries_mm": [[1, 0, 0], [0, 1, 0]],
        "targets_mm": [[0.5, 0, 0], [7, 8, 9]],
    }
