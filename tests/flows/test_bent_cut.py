"""Bending the cut in the window: control points, live numbers, one undo, curves on the slices."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent

from workstation.planning.cut_surface import CutSurface
from workstation.planning.resection import CutPlane
from workstation.ui.main_window import MainWindow
from workstation.ui.slice_overlay import CutCurve

Settle = Callable[[], None]


def send(window: MainWindow, kind: QEvent.Type, x: float, y: float) -> bool:
    up = kind == QEvent.Type.MouseButtonRelease
    held = Qt.MouseButton.NoButton if up else Qt.MouseButton.LeftButton
    event = QMouseEvent(
        kind,
        QPointF(x, y),
        QPointF(x, y),
        Qt.MouseButton.LeftButton,
        held,
        Qt.KeyboardModifier.NoModifier,
    )
    return window.sheet.eventFilter(window.views.scene, event)


def test_a_plane_is_bent_by_a_control_point_and_undone(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.plan_panel.bend.click()
    settle()
    flat = window.desk.value("cut")
    assert isinstance(flat, CutSurface)
    assert not window.plan_panel.bend.isEnabled()
    assert not window.plan_panel.flip.isEnabled()
    scene = window.views.scene
    assert len(scene.handles) == 16
    (curve,) = window.views.slices["axial"].marks.lines
    assert isinstance(curve, CutCurve)

    told: list[object] = []
    window.desk.previewed.connect(told.append)
    size = (scene.width(), scene.height())
    x, y = scene.camera.project(scene.handles[5].point_mm, size)[0, :2]
    assert send(window, QEvent.Type.MouseButtonPress, x, y)
    assert send(window, QEvent.Type.MouseMove, x + 25, y + 10)
    assert isinstance(told[-1], dict)
    assert {"remnant.volume", "margin.minimum"} <= told[-1].keys()
    live = told[-1]["remnant.volume"]
    assert send(window, QEvent.Type.MouseButtonRelease, x + 25, y + 10)
    settle()
    bent = window.desk.value("cut")
    assert isinstance(bent, CutSurface)
    assert bent.sheet is not None
    assert np.count_nonzero(bent.sheet.heights_mm) == 1
    numbers = {n["name"]: n["value"] for n in window.session.summary()["numbers"]}
    assert abs(numbers["remnant.volume"] - live) < 0.01 * (live + numbers["specimen.volume"])
    window.undo()
    settle()
    assert window.desk.value("cut").sheet == flat.sheet
    window.undo()
    settle()
    assert isinstance(window.desk.value("cut"), CutPlane)
    assert scene.handles == ()
