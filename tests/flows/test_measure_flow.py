"""Measuring by hand in the real window: in slices, in 3D, moved, undone; surfaces compared."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from meshing.surface import SurfaceMesh
from segmentation.measured import Measured
from workstation.looks import ItemLook
from workstation.ui.main_window import MainWindow

from .conftest import STEPS, TUMOR_MM, TUMOR_RADIUS_MM

Settle = Callable[[], None]
LEFT = Qt.MouseButton.LeftButton
SURFACES = tuple(s for s in STEPS if s.output in ("liver", "tumor", "liver_surface"))


@pytest.fixture
def opened(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> Callable[[], None]:
    def open_it() -> None:
        window.open_case(make_case(SURFACES))
        settle()
        window.session.set_view(crosshair_mm=TUMOR_MM)
        window.show_stage("Measure")
        settle()

    return open_it


def in_slice(window: MainWindow, point: tuple[float, float, float], view: str = "axial") -> QPoint:
    placement = window.views.slices[view].placement
    assert placement is not None
    x, y, _ = placement.to_widget(point).tolist()
    return QPoint(round(x), round(y))


def in_scene(window: MainWindow, point: np.ndarray) -> QPoint:
    scene = window.views.scene
    x, y, _ = scene.camera.project([point], (scene.width(), scene.height()))[0]
    return QPoint(round(x), round(y))


def click(view: QWidget, place: QPoint) -> None:
    QTest.mousePress(view, LEFT, pos=place)
    QTest.mouseRelease(view, LEFT, pos=place)


def shown_text(window: MainWindow, name: str = "") -> str:
    drawings = window.views.slices["axial"].marks.drawings
    return next(d.value.text for d in drawings if d.name == name)


def value(window: MainWindow, name: str) -> float:
    return next(n["value"] for n in window.session.summary()["numbers"] if n["name"] == name)


def around(x: float, y: float) -> tuple[float, float, float]:
    return TUMOR_MM[0] + x, TUMOR_MM[1] + y, TUMOR_MM[2]


def test_a_distance_is_one_step_whose_points_can_be_moved_and_undone(
    window: MainWindow, opened: Callable[[], None], settle: Settle
) -> None:
    opened()
    view = window.views.slices["axial"]
    window.views.show_only("axial")
    QTest.mouseClick(window.measure_panel.tools["distance"], LEFT)
    click(view, in_slice(window, around(-10, 0)))
    QTest.mouseMove(view, in_slice(window, around(10, 0)))
    live = shown_text(window)
    assert live.endswith(" mm"), "a number follows the hand"
    assert window.session.undo_label == "", "nothing is a step before the end"
    click(view, in_slice(window, around(20, 0)))
    settle()
    length = value(window, "distance_1.length")
    assert length == pytest.approx(30, abs=0.6)
    assert shown_text(window, "distance_1") == f"{length:.1f} mm"
    assert window.session.undo_label == "Add distance_1"
    assert "distance_1" in window.measure_panel.steps.rows
    QTest.keyClick(view, Qt.Key.Key_Escape)
    assert window.measuring.tool == ""

    end = window.session.require_plan().step("distance_1").params["points_mm"][1]
    QTest.mousePress(view, LEFT, pos=in_slice(window, end))
    QTest.mouseMove(view, in_slice(window, around(40, 0)))
    assert float(shown_text(window, "distance_1").split()[0]) == pytest.approx(50, abs=0.6)
    QTest.keyClick(view, Qt.Key.Key_Escape)
    QTest.mouseRelease(view, LEFT, pos=in_slice(window, around(40, 0)))
    settle()
    assert value(window, "distance_1.length") == pytest.approx(length), "Esc gives the drag back"

    QTest.mousePress(view, LEFT, pos=in_slice(window, end))
    QTest.mouseMove(view, in_slice(window, around(40, 0)))
    QTest.mouseRelease(view, LEFT, pos=in_slice(window, around(40, 0)))
    settle()
    assert value(window, "distance_1.length") == pytest.approx(50, abs=0.6)
    assert window.session.undo_label == "Move a point of distance_1"
    window.undo()
    settle()
    assert value(window, "distance_1.length") == pytest.approx(length)
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Delete)
    settle()
    assert "distance_1" not in [s.output for s in window.session.require_plan().steps]


def test_a_path_ends_with_enter_and_shows_its_values(
    window: MainWindow, opened: Callable[[], None], settle: Settle
) -> None:
    opened()
    view = window.views.slices["axial"]
    window.views.show_only("axial")
    window.measuring.take("profile")
    for x in (-16, 0, 16):
        click(view, in_slice(window, around(x, 0)))
    QTest.keyClick(view, Qt.Key.Key_Backspace)
    click(view, in_slice(window, around(20, 0)))
    QTest.keyClick(view, Qt.Key.Key_Return)
    settle()
    assert value(window, "profile_1.maximum") == pytest.approx(200, abs=1)
    assert value(window, "profile_1.minimum") == pytest.approx(110, abs=1)
    assert window.measure_panel.plot.column() == "value_hu"
    assert len(window.measure_panel.numbers.records) >= 6

    window.measuring.take("area")
    for x, y in ((0, 0), (20, 0), (20, 20)):  # two of them on points of the path
        click(view, in_slice(window, around(x, y)))
    QTest.mouseDClick(view, LEFT, pos=in_slice(window, around(20, 20)))
    settle()
    assert value(window, "area_1.area") == pytest.approx(2.0, rel=0.06), "a double click ends it"
    assert window.views.alone == "axial", "and changes no view's size"

    window.measuring.take("to_surface")
    click(view, in_slice(window, around(-20, 0)))
    settle()
    assert value(window, "to_surface_1.distance") < 0, "inside"
    window.measuring.take("lines")
    for x, y in ((0, 0), (20, 0), (10, 10), (10, 30)):
        click(view, in_slice(window, around(x, y)))
    settle()
    assert value(window, "lines_1.angle") == pytest.approx(90, abs=2)

    window.measuring.take("sphere")
    for height, turns in ((0, (0, 2, 4)), (6, (1, 4))):
        x, y, z = TUMOR_MM
        window.session.set_view(crosshair_mm=(x, y, z + height))
        settle()
        assert view.placement is not None
        level = view.placement.to_world(0, 0)[2]
        ring = np.sqrt(TUMOR_RADIUS_MM**2 - (level - z) ** 2)
        for turn in turns:
            spot = around(ring * np.cos(turn), ring * np.sin(turn))
            click(view, in_slice(window, (*spot[:2], level)))
    QTest.keyClick(view, Qt.Key.Key_Return)
    settle()
    assert value(window, "sphere_1.radius") == pytest.approx(TUMOR_RADIUS_MM, abs=0.5)
    ball: Measured = window.session.value("sphere_1")
    assert ball.places["centre_mm"] == pytest.approx(TUMOR_MM, abs=0.7)

    window.measuring.take("angle")
    window.measuring.take("angle")
    assert window.measuring.tool == "", "the same tool again puts it away"
    window.measuring.take("angle")
    window.show_stage("Segment")
    assert window.measuring.tool == ""


def test_3d_picks_measures_along_the_surface_and_opens(
    window: MainWindow, opened: Callable[[], None], settle: Settle
) -> None:
    opened()
    scene = window.views.scene
    surface: SurfaceMesh = window.session.value("liver_surface")
    scene.look_from("A")
    settle()
    front = surface.points_mm[np.argmin(surface.points_mm[:, 1])]
    click(scene, in_scene(window, front))
    settle()
    assert window.session.view.selected == "liver_surface"
    assert "mL" in scene._caption

    window.measuring.take("geodesic")
    ends = [front + np.array([x, 0.0, 0.0]) for x in (-15, 15)]
    for end in ends:
        click(scene, in_scene(window, end))
        settle()
    QTest.keyClick(scene, Qt.Key.Key_Enter)
    settle()
    made: Measured = window.session.value("geodesic_1")
    assert value(window, "geodesic_1.length") > value(window, "geodesic_1.straight") > 25
    away = np.abs(surface.points_mm[None] - made.lines_mm[0][:, None]).sum(axis=2).min(axis=1)
    assert away.max() < 6.0, "the way stays on the surface"
    window.measuring.put_away()

    window.measure_panel.clip.shape.setCurrentIndex(1)
    window.measure_panel.clip.shape.activated.emit(1)
    settle()
    assert len(window.session.view.clip) == 1
    hit = scene.scene.pick(*_xy(in_scene(window, front)), (scene.width(), scene.height()))
    assert hit is not None
    assert hit[1] > front[1] + 10, "what is cut away is passed through"
    before = window.session.view.clip
    ball = in_scene(window, np.array(scene.handles[0].point_mm))
    QTest.mousePress(scene, LEFT, pos=ball)
    QTest.mouseMove(scene, ball + QPoint(0, 25))
    QTest.mouseRelease(scene, LEFT, pos=ball + QPoint(0, 25))
    settle()
    assert window.session.view.clip != before
    assert window.session.undo_label == "Add geodesic_1", "a view is not undone"


def _xy(place: QPoint) -> tuple[float, float]:
    return float(place.x()), float(place.y())


def test_two_surfaces_are_compared_by_a_map_with_its_bar(
    window: MainWindow, opened: Callable[[], None], settle: Settle
) -> None:
    opened()
    window.session.add_step(
        "meshing.smooth_surface", "smooth", {"mesh": "liver_surface"}, {"iterations": 60}
    )
    window.desk.compute("smooth")
    settle()
    compare, look = window.measure_panel.compare, window.measure_panel.look
    compare.mesh.setCurrentIndex(compare.mesh.findData("smooth"))
    compare.reference.setCurrentIndex(compare.reference.findData("liver_surface"))
    compare.apply()
    settle()
    item = window.views.scene._items["comparison_1"]
    assert item.scalars is not None
    assert (item.scalars.array, item.scalars.unit) == ("distance_mm", "mm")
    assert set(window.views.scene._items) == {"comparison_1"}, "what is compared steps back"
    assert look.chosen() == "comparison_1"
    look.high.setText("7")
    look.high.editingFinished.emit()
    settle()
    assert window.views.scene._items["comparison_1"].scalars.high == 7
    look.opacity.setValue(40)
    settle()
    assert window.views.scene._items["comparison_1"].opacity == pytest.approx(0.4)
    look.set_colour((10, 200, 30))
    look._reset()
    settle()
    assert window.session.view.looks.get("comparison_1", ItemLook()) == ItemLook()
    window.undo()
    settle()
    assert set(window.views.scene._items) == {"liver_surface", "smooth"}, "both are back"
