"""Drawing the cut on a slice and in 3D: numbers on the way, one undo, Esc gives it back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QWidget

from workstation.planning.cut_surface import CutSurface
from workstation.planning.resection import CutPlane
from workstation.ui.main_window import MainWindow
from workstation.ui.slice_overlay import CutCurve

Settle = Callable[[], None]
PRESS, MOVE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove
RELEASE = QEvent.Type.MouseButtonRelease


def mouse(kind: QEvent.Type, x: float, y: float) -> QMouseEvent:
    held = Qt.MouseButton.NoButton if kind == RELEASE else Qt.MouseButton.LeftButton
    place, left = QPointF(x, y), Qt.MouseButton.LeftButton
    return QMouseEvent(kind, place, place, left, held, Qt.KeyboardModifier.NoModifier)


def send(window: MainWindow, view: QWidget, kind: QEvent.Type, x: float, y: float) -> bool:
    return window.sketch.eventFilter(view, mouse(kind, x, y))


def escape(window: MainWindow, view: QWidget) -> bool:
    key = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Escape, Qt.KeyboardModifier.NoModifier)
    return window.sketch.eventFilter(view, key)


def test_a_cut_is_drawn_on_a_slice_and_undone_then_on_the_organ_in_3d(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    before = window.desk.value("cut")
    axial = window.views.slices["axial"]
    assert axial.placement is not None
    wanted = [(-10.0 + 6 * np.sin(y / 15), float(y), 0.0) for y in range(-30, 31, 5)]
    places = [axial.placement.to_widget(p).tolist()[:2] for p in wanted]
    assert not send(window, axial, PRESS, *places[0])  # the tool is not in hand
    window.sketch.take(True)
    assert window.plan_panel.cut_choice.sheet.draw.isChecked()

    assert send(window, axial, PRESS, *places[0])
    for place in places[1:]:
        assert send(window, axial, MOVE, *place)
    (curve,) = axial.marks.lines
    assert isinstance(curve, CutCurve)
    assert escape(window, axial)
    settle()
    assert window.sketch.on
    assert window.desk.value("cut") is before

    told: list[object] = []
    window.desk.previewed.connect(told.append)
    assert send(window, axial, PRESS, *places[0])
    for place in places[1:]:
        assert send(window, axial, MOVE, *place)
    window.sketch._count()
    assert isinstance(told[-1], dict)
    live = told[-1]["remnant.volume"]
    assert send(window, axial, RELEASE, *places[-1])
    settle()
    cut = window.desk.value("cut")
    assert isinstance(cut, CutSurface)
    assert not window.sketch.on
    assert np.abs(cut.side_mm(wanted)).max() < 2.5
    numbers = {n["name"]: n["value"] for n in window.session.summary()["numbers"]}
    assert abs(numbers["remnant.volume"] - live) < 0.02 * live
    window.undo()
    settle()
    assert isinstance(window.desk.value("cut"), CutPlane)

    scene = window.views.scene
    scene.look_from("A")
    settle()
    size = (scene.width(), scene.height())
    middle = window.desk.value("liver").geometry.centre_mm()
    x, y = scene.camera.project(middle, size)[0, :2]
    window.sketch.take(True)
    assert not send(window, scene, PRESS, 3.0, 3.0)  # beside the organ the view turns
    places = [(x, y + step) for step in range(-30, 31, 6) if scene.scene.pick(x, y + step, size)]
    assert len(places) > 6
    assert send(window, scene, PRESS, *places[0])
    for place in places[1:]:
        send(window, scene, MOVE, *place)
    assert send(window, scene, RELEASE, *places[-1])
    settle()
    cut = window.desk.value("cut")
    assert isinstance(cut, CutSurface)
    assert cut.sheet is not None
    assert abs(cut.sheet.axes[1][1]) > 0.95  # from the front to the back
    assert escape(window, scene) is False


def test_a_bent_cut_is_pulled_by_its_line_on_a_slice(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.plan_panel.bend.click()
    settle()
    flat = window.desk.value("cut")
    axial = window.views.slices["axial"]
    assert axial.placement is not None
    (curve,) = axial.marks.lines
    assert isinstance(curve, CutCurve)
    assert curve.surface is not None
    away = np.abs(axial.placement.to_widget(curve.surface.points_mm)[:, 2])
    start = curve.surface.points_mm[int(np.argmin(away))]
    x, y = axial.placement.to_widget(start)[:2]
    normal = np.asarray(flat.sheet.normal)
    a, b = axial.placement.to_widget(start + 8 * normal)[:2] - (x, y)
    tool = window.sheet
    assert not tool.eventFilter(axial, mouse(PRESS, x + 40, y + 40))
    assert tool.eventFilter(axial, mouse(PRESS, x, y))
    assert tool.eventFilter(axial, mouse(MOVE, x + a, y + b))
    (moved,) = axial.marks.lines
    assert isinstance(moved, CutCurve)
    assert moved.surface is not None
    liver = window.desk.value("liver")
    index = np.rint(liver.geometry.to_index(moved.surface.points_mm)).astype(int)
    k, j, i = index.T[::-1]
    assert liver.array[k, j, i].mean() > 0.9  # no line beside the organ
    assert tool.eventFilter(axial, mouse(RELEASE, x + a, y + b))
    settle()
    pulled = axial.placement.to_world(x + a, y + b)
    assert abs(window.desk.value("cut").side_mm([pulled])[0]) < 1.0
    numbers = {n["name"]: n["value"] for n in window.session.summary()["numbers"]}
    window.plan_panel.cut_choice.sheet.swap.click()
    settle()
    swapped = {n["name"]: n["value"] for n in window.session.summary()["numbers"]}
    assert swapped["specimen.volume"] == pytest.approx(numbers["remnant.volume"], rel=1e-3)
    window.undo()
    window.undo()
    assert window.session.require_plan().step("cut").params.get("heights_mm") is None
