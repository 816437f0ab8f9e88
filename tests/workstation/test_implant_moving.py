"""An implant that a hand moves: its own fit, way and side, and it alone is released."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.surface import SurfaceMesh, isosurface, measured
from segmentation.contract import FrameMismatch, Number
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.implant_checks import lineage, released_names
from workstation.importing import with_settings
from workstation.planning.bone_moves import six_numbers
from workstation.planning.implant_moving import move_implant
from workstation.planning.plan import Plan
from workstation.planning.template import find_template
from workstation.ui.part_handles_found import movable_steps, moved_plan, prepare

SHIFT, TURN = (1.0, -2.0, 3.0), (10.0, -20.0, 30.0)


@pytest.fixture(scope="module")
def skull():
    """A slab of bone with a hole, on the patient's left."""
    grid = ImageGeometry((60, 60, 30), (1.0, 1.0, 1.0), (10.0, -30.0, 0.0),
                         tuple(np.eye(3).ravel()), "1")  # fmt: skip
    array = np.zeros(grid.shape, np.uint8)
    array[10:20] = 1
    array[10:20, 20:40, 25:45] = 0
    return LabelMap(array, grid, {1: Label("skull")})


@pytest.fixture(scope="module")
def implant():
    """A block that fills the hole; it goes out upwards, a little to the back."""
    box = np.zeros((14, 22, 22), np.uint8)
    box[2:12, 2:20, 2:20] = 1
    grid = ImageGeometry(box.shape[::-1], (1.0, 1.0, 1.0), (34.0, -11.0, 8.0),
                         tuple(np.eye(3).ravel()), "1")  # fmt: skip
    way = (0.0, 0.6, 0.8)
    numbers = [Number(f"removal.{axis}", v, "1", "") for axis, v in zip("xyz", way)]
    numbers.append(Number("thickness.minimum", 10.0, "mm", "", plain=True))
    made = measured(isosurface(LabelMap(box, grid)))
    return replace(made, numbers=(*made.numbers, *numbers))


@pytest.fixture(scope="module")
def plan():
    steps = find_template("cranioplasty").steps
    kept = [s for s in steps if s.output != "bones"]
    taken = [
        replace(s, inputs={"labels": "skull_file"}) if s.output == "skull" else s for s in kept
    ]
    return Plan("1", {"skull_file": "0"}, tuple(taken))


def test_shape_stays_and_the_way_out_turns_with_it(implant, skull):
    moved = move_implant(implant, skull, shift_mm=SHIFT, turn_degrees=TURN)
    matrix = six_numbers(implant.points_mm.mean(axis=0), SHIFT, TURN)
    points = implant.points_mm @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(moved.points_mm, points, atol=1e-9)
    known, before = ({n.quantity: n.value for n in v.numbers} for v in (moved, implant))
    assert known["volume"] == pytest.approx(before["volume"])
    ways = [np.array([k[f"removal.{axis}"] for axis in "xyz"]) for k in (known, before)]
    np.testing.assert_allclose(ways[0], matrix[:3, :3] @ ways[1])
    assert known["shift"] == pytest.approx(np.linalg.norm(SHIFT))
    assert not [n for n in moved.numbers if n.plain], "names that the first one has"
    assert "moved_by_hand" in {f.code for f in moved.findings}
    still = move_implant(implant, skull)
    np.testing.assert_array_equal(still.points_mm, implant.points_mm)
    assert not still.findings
    tabbed = replace(implant, numbers=(*implant.numbers, Number("tabs.bone_least", 3.0, "mm", "")))
    warned = move_implant(tabbed, skull, shift_mm=SHIFT)
    assert "tabs_moved" in {f.code for f in warned.findings}
    with pytest.raises(FrameMismatch):
        move_implant(replace(implant, frame_uid="9"), skull)
    with pytest.raises(ValueError, match=r"no bone near|outside the image"):
        move_implant(implant, skull, shift_mm=(400.0, 0.0, 0.0))


def test_a_setting_adds_the_move_once_and_the_shape_keeps_its_own(plan):
    settings = [("implant", "shift_mm", list(SHIFT)), ("implant", "turn_degrees", list(TURN)),
                ("implant", "clearance_mm", 0.4)]  # fmt: skip
    moved = with_settings(plan, settings)
    stages = [s.stage for s in moved.steps]
    assert stages.count("planning.move_implant") == 1
    assert moved.step("implant").params == {"shift_mm": SHIFT, "turn_degrees": TURN}
    assert moved.step("implant_proposal").params["clearance_mm"] == 0.4
    assert moved.step("marked").inputs["implant"] == "implant"
    assert lineage(moved, "marked") == ("implant_proposal", "implant", "marked")
    assert released_names(moved)["marked"].output == "implant_proposal"
    assert [s.output for s in movable_steps(plan)] == ["implant"]
    assert [s.output for s in movable_steps(moved)] == ["implant"]
    assert moved.without("implant").steps == with_settings(plan, settings[2:]).steps


@pytest.mark.parametrize("before", [{}, {"shift_mm": SHIFT, "turn_degrees": TURN}])
def test_what_is_held_is_what_the_plan_makes(plan, implant, skull, before):
    plan = moved_plan(plan, "implant", before)
    placed = move_implant(implant, skull, **before)
    values = {"skull": skull, "implant": placed}
    ready = prepare(plan, plan.step("implant"), values.__getitem__)
    rest = ready.see(ready.hold.start).values["implant"]
    assert isinstance(rest, SurfaceMesh)
    there = (*np.add(ready.hold.start[:3], (0.5, 0, -1)), *np.add(ready.hold.start[3:], (0, 4, 0)))
    held = ready.see(tuple(float(v) for v in there))
    exact = move_implant(implant, skull, **ready.hold.params(there))
    again = prepare(plan, plan.step("implant"), {**values, "implant": exact}.__getitem__)
    np.testing.assert_allclose(held.values["implant"].points_mm, exact.points_mm, atol=1e-3)
    np.testing.assert_allclose(rest.points_mm, placed.points_mm, atol=1e-3)
    assert {"contact_area", "penetration"} <= {n.quantity for n in held.numbers}
    assert again.hold.grips(again.hold.start)
