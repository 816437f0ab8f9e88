"""Choosing the kind of the cut in the Plan page: each is one change, and all numbers follow."""

from collections.abc import Callable
from pathlib import Path

from workstation.planning.cut_surface import CutSurface
from workstation.planning.resection import CutPlane
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.cut_choice import BORDER, JOINED, PLANE, PLANES, WEDGE

Settle = Callable[[], None]


def specimen(window: MainWindow) -> float:
    numbers = {n["name"]: n["value"] for n in window.session.summary()["numbers"]}
    return float(numbers["specimen.volume"])


def test_kinds_of_cut_follow_each_other_and_are_undone(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    choice, first = window.plan_panel.cut_choice, specimen(window)
    choice.choose(WEDGE)
    settle()
    wedge = specimen(window)
    assert 0 < wedge < first
    assert not choice.wedge.isHidden()
    choice.wedge.margin.setValue(5.0)
    choice.wedge.margin.editingFinished.emit()
    settle()
    assert specimen(window) < wedge
    choice.choose(PLANES)
    settle()
    cut = window.desk.value("cut")
    assert isinstance(cut, CutSurface)
    assert cut.kind == "planes"
    assert len(choice.planes.rows) == 2
    for _ in range(3):
        window.undo()
    settle()
    assert isinstance(window.desk.value("cut"), CutPlane)
    assert specimen(window) == first


def test_two_cuts_are_combined_and_each_is_changed_by_itself(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    choice, first = window.plan_panel.cut_choice, specimen(window)
    choice.choose(JOINED)
    settle()
    assert specimen(window) >= 0.99 * first  # the plane, and the wedge beside it
    choice.join.which[1].click()
    assert choice.edited == "cut_other"
    assert not choice.wedge.isHidden()
    choice.join.operation.setCurrentIndex(1)  # both
    choice.join.operation.activated.emit(1)
    settle()
    assert 0 < specimen(window) < first
    choice.choose(PLANE)
    settle()
    assert [s.output for s in window.session.require_plan().steps if "cut" in s.output] == ["cut"]
    assert specimen(window) == first


def test_what_a_kind_lacks_is_said(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    said: list[object] = []
    window.desk.failed.connect(said.append)
    window.plan_panel.cut_choice.choose(BORDER)
    assert len(said) == 1
    assert "territories" in str(said[0])
    assert window.plan_panel.cut_choice.kind.currentData() == PLANE


def test_a_plane_of_several_is_moved_by_its_line_and_by_its_handle(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    choice = window.plan_panel.cut_choice
    choice.choose(PLANES)
    settle()
    axial, scene = window.views.slices["axial"], window.views.scene
    before = window.session.require_plan().step("cut").params
    lines = axial.marks.lines
    assert [line.name for line in lines if line.draggable] == ["plane 0", "plane 1"]
    assert len(scene.handles) == 1
    x, y, z = lines[1].normal
    a, b, c = lines[1].point_mm
    axial.move_line(1, lines[1], (a + 8 * x, b + 8 * y, c + 8 * z))
    axial.release_line()
    settle()
    after = window.session.require_plan().step("cut").params
    assert after["points_mm"][0] == before["points_mm"][0]
    assert after["points_mm"][1] != before["points_mm"][1]
    assert choice.planes.number == 1
    window.undo()
    assert window.session.require_plan().step("cut").params == before
