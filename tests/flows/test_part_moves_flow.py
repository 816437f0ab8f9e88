"""Parts are moved by hand in the window: fragments, an osteotomy, its plane, points."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from meshing.booleans import as_solid, from_solid
from meshing.clipping import split_by_plane
from meshing.files import write_surface
from workstation.case import create_case
from workstation.importing import start_plan
from workstation.phantom import bones
from workstation.planning.bone_moves import as_transform, moved_surface, six_numbers
from workstation.planning.plan import Plan, Step
from workstation.planning.template import find_template
from workstation.ui.main_window import MainWindow
from workstation.ui.part_handles import tip_mm

Settle = Callable[[], None]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A femur broken in the shaft, its upper part displaced, with a plane and a screw besides."""
    bone = bones.femur("left", step_mm=5.0)
    stays, rest = split_by_plane(bone.mesh, (10.0, 3.0, 200.0), (0.3, 0.1, 1.0))
    move = six_numbers(rest.points_mm.mean(axis=0), (4.0, -3.0, -9.0), (0.0, 0.0, 0.0))
    rest = moved_surface(rest, as_transform(move, rest.frame_uid, (0, 0, 0)))
    shift = np.zeros(3)
    both = from_solid(stays, as_solid(stays, shift) + as_solid(rest, shift), shift)
    write_surface(both, tmp_path / "bone.stl")
    with create_case(tmp_path / "case") as case:
        plan = start_plan(case, find_template("fracture"), {"bone": tmp_path / "bone.stl"})
        shaft = rest.points_mm[np.abs(rest.points_mm[:, 2] - rest.points_mm[:, 2].max() + 40) < 6]
        entry, target = shaft[shaft[:, 0].argmax()], shaft.mean(axis=0)
        screw = {"entries_mm": [entry.tolist()], "targets_mm": [target.tolist()]}
        more = (
            Step("planning.bone_cut", "bone_cut", inputs={"bone": "fragment_1"}),
            Step("planning.screw_paths", "screws", inputs={"bone": "fragment_1"}, params=screw),
        )
        plan = Plan(plan.frame_uid, plan.sources, (*plan.steps, *more), plan.template)
        case.add_plan(plan, "Start")
        case.run(plan)
    return tmp_path / "case"


def drag(view: QWidget, start: tuple[float, float], way: tuple[float, float]) -> None:
    """Press, move in steps and stay; the hand does not let go yet."""
    here = np.array(start)
    QTest.mousePress(view, LEFT, pos=QPoint(*here.round().astype(int)))
    for share in (0.3, 0.6, 1.0):
        there = (here + share * np.array(way)).round().astype(int)
        QTest.mouseMove(view, QPoint(*there))


def test_what_a_hand_moves_becomes_one_change_of_the_plan(
    window: MainWindow, folder: Path, settle: Settle
) -> None:
    window.open_case(folder)
    window.show_stage("Plan")
    settle()
    card, tool, scene = window.plan_panel.part_moves, window.hands.parts, window.views.scene
    assert card.isVisible()
    names = [card.choice.itemData(n) for n in range(card.choice.count())]
    assert names == ["", "move_2", "bone_cut", "screws"]
    tool.choose("move_2")
    settle()
    assert tool.ready, card.hint.text()
    assert [box.value() for box in card.boxes] == [0.0] * 6
    before = window.session.require_plan()
    start = {n.quantity: n.value for n in window.desk.value("reduction").numbers}

    size = (scene.width(), scene.height())
    grip = tool.shown.grips[0]
    tip, middle = (
        scene.camera.project(p, size)[0, :2]
        for p in (tip_mm(grip, 2, scene.camera, size), grip.centre_mm)
    )
    way = (middle - tip) / np.linalg.norm(middle - tip)
    pixels = 7.0 / scene.camera.mm_per_pixel(grip.centre_mm, size)
    drag(scene, tuple(tip), tuple(way * pixels))
    assert window.session.require_plan() == before  # the plan waits for the release
    assert card.boxes[2].value() == pytest.approx(-7.0, abs=1.5)
    assert "Deepest penetration" in card.told.text()
    QTest.mouseRelease(scene, LEFT)
    settle()
    shift = window.session.require_plan().step("move_2").params["shift_mm"]
    assert shift[2] == pytest.approx(card.boxes[2].value(), abs=0.01)
    assert window.session.undo_label == "Move by hand: move 2"
    after = {n.quantity: n.value for n in window.desk.value("reduction").numbers}
    assert after["least_distance"] < start["least_distance"]
    window.undo()
    assert window.session.require_plan() == before
    settle()
    assert card.boxes[2].value() == 0.0

    # Numbers, a plane and points: a drag that is given back changes nothing.
    tool.choose("bone_cut")
    settle()
    assert "Area" in card.told.text()
    level = card.boxes[0].value()
    card.boxes[0].setValue(level + 12.0)
    card.boxes[1].setValue(5.0)
    tool.release()  # as after a pause
    settle()
    cut = window.desk.value("bone_cut")
    assert cut.point_mm[2] == pytest.approx(level + 12.0, abs=0.01)
    assert cut.normal[0] / cut.normal[2] == pytest.approx(np.tan(np.radians(5.0)), abs=1e-4)
    window.undo()
    assert window.session.require_plan() == before
    tool.choose("screws")
    settle()
    size = (scene.width(), scene.height())
    ball = scene.camera.project(tool.shown.grips[0].centre_mm, size)[0, :2]
    drag(scene, tuple(ball), (0.0, -15.0))
    assert "Length" in card.told.text()
    QTest.keyClick(scene, Qt.Key.Key_Escape)
    QTest.mouseRelease(scene, LEFT)
    assert window.session.require_plan() == before
    tool.choose("")
    assert not tool.shown.grips
    settle()
