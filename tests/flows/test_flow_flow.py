"""A computed flow in the real window: wall maps, streamlines, a plane, and the cycle played."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from hemodynamics.cross_flow import CrossFlow, NoCrossFlow, Planes
from meshing.writers import write_vtp
from segmentation.images import write_volume
from segmentation.volume import ImageGeometry, Volume
from tests.hemodynamics.known_flow import (
    AXIS,
    CENTRE_MM,
    FRAME,
    LENGTH_MM,
    MEAN_ML_S,
    RADIUS_MM,
    axis_line,
    pulses,
    tube_flow,
    tube_wall,
)
from workstation.case import create_case
from workstation.planning.plan import Plan, Step
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]
LEFT = Qt.MouseButton.LeftButton
TIMES = 4
STEPS = (
    Step("meshing.centerline", "line", 1, {"lumen": "vessel"}),
    Step("hemodynamics.simulate_flow", "flow", 1, {"lumen": "vessel"}, {"kind": "pulsatile"}),
)


@pytest.fixture(scope="module")
def tube_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case with the flow in a tube, as its equations give it."""
    folder = tmp_path_factory.mktemp("tube")
    write_vtp([tube_wall()], folder, "vessel.vtp", "")
    low = tuple((CENTRE_MM - 9).tolist())
    axes = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    grid = ImageGeometry((19, 18, 17), (1.0, 1.0, 1.0), low, axes, FRAME)
    write_volume(Volume(np.full(grid.shape, 40, np.int16), grid), folder / "ct.nrrd")
    with create_case(folder / "tube") as case:
        case.import_file(folder / "ct.nrrd", "ct", "volume", FRAME)
        case.import_file(folder / "vessel.vtp", "vessel", "surface", FRAME)
        plan = Plan(FRAME, {"vessel": case.record.sources["vessel"]["sha256"]}, STEPS)
        case.add_plan(plan, "Start")
        case.values[plan.keys()["line"]] = axis_line()
        case.values[plan.keys()["flow"]] = tube_flow(TIMES, 0.5)
    return folder / "tube"


@pytest.fixture
def opened(window: MainWindow, settle: Settle, tube_case: Path) -> MainWindow:
    """The window on the flow in a tube."""
    window.open_case(tube_case)
    settle()
    window.show_stage("Flow")
    settle()
    return window


def visible(window: MainWindow) -> dict[str, str]:
    """Return what the 3D view shows, and the array that colours it."""
    items = window.views.scene._items.items()
    return {n: i.scalars.array if i.scalars else "" for n, i in items if i.visible}


def take(box: QComboBox, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


def test_the_page_is_there_where_the_plan_has_a_flow(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    assert window.rail.rows["Flow"].isHidden()
    window.open_case(make_case())
    settle()
    assert window.rail.rows["Flow"].isHidden(), "a plan without a flow"
    window.show_stage("Flow")
    assert "a computed flow" in window.flow_panel.lacks()


def test_wall_lines_and_plane_follow_what_is_chosen(opened: MainWindow, settle: Settle) -> None:
    window, panel, show = opened, opened.flow_panel, opened.flow_show
    assert not window.rail.rows["Flow"].isHidden()
    assert visible(window) == {"flow wall": "tawss_pa"}, (
        "the vessel it was made from is not doubled"
    )
    assert show.frame == 1, "the time of the largest inflow is shown first"
    window.plan_panel.steps.choose("flow")
    told = window.plan_panel.steps.expected
    assert "no open ends by name" in told.text(), "what a flow takes, or why there is none"
    window.plan_panel.steps.choose("line")
    assert told.text() == ""
    take(panel.wall.quantity, "wss_pa")
    settle()
    assert visible(window) == {"flow wall": "wss_pa 1"}
    panel.wall.high.setText("2")
    panel.wall.high.editingFinished.emit()
    settle()
    assert window.views.scene._items["flow wall"].scalars.high == 2
    assert [panel.wall.quantity.itemData(n) for n in range(3)] == ["", "tawss_pa", "osi"]

    take(panel.lines.seeds, "inlets")
    settle()
    assert visible(window) == {"flow wall": "wss_pa 1", "flow lines 2": "speed_m_s"}
    assert sorted(show.shown.lines) == [0, 1, 2, 3], "all times are prepared"
    assert window.views.scene._items["flow wall"].opacity < 1

    take(panel.plane.cut, "centerline")
    panel.plane.position.setValue(80)
    settle()
    along = (show.shown.cut.centre_mm - CENTRE_MM) @ AXIS
    assert along == pytest.approx(8 - LENGTH_MM / 2, abs=0.3)
    now, mean = panel.plane.values["flow_ml_s"]
    assert float(now.text()) == pytest.approx(MEAN_ML_S * pulses(TIMES)[1], rel=0.02)
    assert float(mean.text()) == pytest.approx(MEAN_ML_S, rel=0.02)
    assert "uncertainty not known" in panel.plane.area.text()
    panel.lines.slices.click()
    slices = window.views.slices["axial"]
    window.desk.go_to(CENTRE_MM)
    settle()
    assert slices._layer is not None
    assert slices._layer.volume.quantity == "speed in m/s"
    assert "0 m/s to yellow" in panel.lines.legend.text()
    window.desk.session.set_view(hidden={"flow"})
    settle()
    assert "flow wall" not in visible(window), "it can be switched off"
    assert "vessel" in visible(window)
    assert slices._layer is None


def test_the_crosshair_tells_what_flows_there_and_carries_a_plane(
    opened: MainWindow, settle: Settle, qtbot: QtBot
) -> None:
    window, panel, show = opened, opened.flow_panel, opened.flow_show
    scene = window.views.scene
    take(panel.plane.cut, "crosshair")
    settle()
    beside = tuple((CENTRE_MM + 30.0).tolist())
    window.desk.go_to(beside)
    settle()
    x, y, _ = scene.camera.project([CENTRE_MM], (scene.width(), scene.height()))[0]
    place = QPoint(round(x), round(y))
    QTest.mousePress(scene, LEFT, Qt.KeyboardModifier.ShiftModifier, place)
    QTest.mouseRelease(scene, LEFT, Qt.KeyboardModifier.ShiftModifier, place)
    qtbot.waitUntil(lambda: "Mean wall shear" in panel.here.text(), timeout=30_000)
    settle()
    assert show.shown is not None
    assert show.shown.cut is not None
    assert abs(show.shown.cut.normal @ AXIS) == pytest.approx(1, abs=1e-4)
    window.desk.go_to(CENTRE_MM)
    settle()
    assert "Speed" in panel.here.text()
    fastest = 2 * MEAN_ML_S * pulses(TIMES)[1] / (np.pi * RADIUS_MM**2)
    assert show.at_crosshair()["speed_m_s"] == pytest.approx(fastest, rel=0.03)
    window.desk.go_to((300.0, 0.0, 0.0))
    settle()
    assert show.at_crosshair() == {}


def test_a_plane_beside_the_vessel_holds_nothing_else_up(
    opened: MainWindow, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misses(*_: object) -> CrossFlow:
        raise NoCrossFlow("no lumen near")

    monkeypatch.setattr(Planes, "across", misses)
    panel = opened.flow_panel
    take(panel.plane.cut, "centerline")
    take(panel.wall.quantity, "osi")
    settle()
    assert panel.plane.problem.text() == "no lumen near"
    assert visible(opened) == {"flow wall": "osi"}
    monkeypatch.undo()
    take(panel.plane.across, "pressure_pa")
    panel.plane.position.setValue(90)
    settle()
    assert not panel.plane.problem.text()
    assert "flow plane" in visible(opened)


def test_the_cycle_plays_and_stops_with_its_page(
    opened: MainWindow, settle: Settle, qtbot: QtBot
) -> None:
    window, panel, show = opened, opened.flow_panel, opened.flow_show
    take(panel.wall.quantity, "pressure_pa")
    settle()
    wave = panel.cycle.wave
    QTest.mouseClick(wave, LEFT, pos=QPoint(round(wave._x(0.45)), wave.height() // 2))
    assert show.frame == 2, "a click on the curve goes to its time"
    assert visible(window)["flow wall"] == "pressure_pa 2"
    panel.cycle.time.setValue(3)
    assert show.frame == 3
    assert panel.cycle.text.text() == "0.68 of 0.90 s"
    QTest.mouseClick(panel.cycle.play, LEFT)
    assert show.playing
    qtbot.waitUntil(lambda: show.frame == 1, timeout=30_000)
    assert wave.frame == 1
    window.show_stage("Plan")
    assert not show.playing
    settle()
    window.close_case()
    settle()
    assert show.flow is None
    assert visible(window) == {}


def test_bands_are_asked_for_on_the_page(
    opened: MainWindow, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = opened.flow_panel.bands
    assert card.isVisible()
    assert card.lacks() == "a computed flow whose inflow is known"
    assert not card.measure.isEnabled()
    session = opened.session
    told = {"name": "flow.inlet.flow", "step": "flow", "value": 3.0, "unit": "mL/s"}
    whole = session.summary()
    monkeypatch.setattr(session, "summary", lambda: whole | {"numbers": [told]})
    opened.flow_panel.refresh()
    assert card.measure.isEnabled()
    assert "inflow 2.43 to 3.57 mL/s (± 19 %" in card.told.text()
    started: list[str] = []
    monkeypatch.setattr(opened.desk, "compute", lambda *names: started.extend(names))
    card.members.setValue(4)
    card.measure.click()
    assert started == ["flow_spread"]
    step = session.require_plan().step("flow_spread")
    assert step.params["members"] == 4
    (name, low, high), *_ = step.params["vary"]
    assert name == "flow.mean_flow_ml_s"
    assert (low, high) == pytest.approx((2.43, 3.57))
    opened.undo()
    settle()
