"""Handles of parts follow the cursor: balls under it, arrows along it, rings around it."""

import numpy as np
import pytest

from workstation.camera import Camera
from workstation.planning.live_fit_moves import AXES, Grip
from workstation.ui.part_handles import (
    Held,
    grab_in_scene,
    grab_on_slice,
    held_in_scene,
    ring_mm,
    tip_mm,
)

SIZE = (800, 600)
GRIP = Grip((12.0, -7.0, 30.0), AXES, AXES, free=True)
CAMERA = Camera((180.0, -420.0, 190.0), (10.0, 0.0, 20.0))


def at(point):
    return tuple(CAMERA.project(point, SIZE)[0, :2])


def test_the_ball_stays_under_the_cursor():
    x, y = at(GRIP.centre_mm)
    drag = grab_in_scene([GRIP], CAMERA, x + 2, y - 3, SIZE)
    assert drag.held == Held(0, "ball")
    moved = np.add(GRIP.centre_mm, drag.to(x + 62, y + 37).shift_mm)
    assert at(moved) == pytest.approx((x + 60, y + 40), abs=0.1)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_arrow_moves_along_its_own_way(number):
    x, y = at(tip_mm(GRIP, number, CAMERA, SIZE))
    drag = grab_in_scene([GRIP], CAMERA, x, y, SIZE)
    assert drag.held == Held(0, "shift", number)
    middle = np.array(at(GRIP.centre_mm))
    way = (np.array([x, y]) - middle) / np.linalg.norm(np.array([x, y]) - middle)
    motion = drag.to(*(np.array([x, y]) + 5 * way))
    shift = np.array(motion.shift_mm)
    assert np.delete(shift, number) == pytest.approx([0, 0])
    assert shift[number] > 0
    seen = np.array(at(np.add(GRIP.centre_mm, shift))) - middle
    assert seen @ way == pytest.approx(5.0, rel=0.1)
    assert motion.degrees == 0.0


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_ring_turns_with_the_cursor(number):
    ring = ring_mm(GRIP, number, CAMERA, SIZE)
    flat = CAMERA.project(ring, SIZE)[:, :2]
    held = [held_in_scene([GRIP], CAMERA, *p, SIZE) for p in flat]
    n = next(k for k, one in enumerate(held) if one == Held(0, "turn", number))
    drag = grab_in_scene([GRIP], CAMERA, *flat[n], SIZE)
    motion = drag.to(*flat[n + 1])
    assert motion.axis == AXES[number]
    assert motion.degrees == pytest.approx(5.0, rel=0.15)  # 72 points are five degrees apart
    assert motion.shift_mm == (0.0, 0.0, 0.0)


def test_beside_the_handles_the_view_keeps_the_mouse():
    x, y = at(GRIP.centre_mm)
    assert grab_in_scene([GRIP], CAMERA, x + 200, y + 150, SIZE) is None
    assert grab_in_scene([], CAMERA, x, y, SIZE) is None


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_on_a_slice_the_middle_moves_and_the_ring_turns(make, view):
    placement = make(view).placement
    place = placement.to_world(200.0, 150.0)
    grip = Grip(place, AXES, AXES, free=True)
    drag = grab_on_slice([grip], placement, 201.0, 149.0)
    moved = np.add(place, drag.to(221.0, 139.0).shift_mm)
    assert placement.to_widget(moved)[:2] == pytest.approx((220.0, 140.0), abs=0.1)
    ring = grab_on_slice([grip], placement, 256.0, 150.0)
    motion = ring.to(200.0, 206.0)
    assert motion.degrees == pytest.approx(90.0, abs=1e-6) or motion.degrees == pytest.approx(
        -90.0, abs=1e-6
    )
    arm = np.subtract(placement.to_world(256.0, 150.0), place)
    axis, angle = np.array(motion.axis), np.radians(motion.degrees)
    turned = np.cos(angle) * arm + np.sin(angle) * np.cross(axis, arm)
    end = placement.to_widget(np.add(place, turned))[:2]
    assert end[1] > 150.0 + 30.0
    assert end[0] == pytest.approx(200.0, abs=0.5)
