"""Choosing the kind of the cut in the Plan page: each is one change, and all numbers follow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workstation.camera import vector
from workstation.planning.cut_surface import CutSurface
from workstation.planning.resection import CutPlane
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.cut_choice import BORDER, JOINED, PLANE, PLANES, WEDGE

Settle = Callable[[], None]


def specimen(window: MainWindow) -> float:
    numbers = {n["name"]: n["value"] for n in window.session.summary()["numbers"]}
    return float(numbers["specimen.volume"])


def said_while_moving(window: MainWindow) -> list[dict[str, float | None]]:
    """Return what is told of a moving cut, as it comes."""
    told: list[dict[str, float | None]] = []
    window.desk.previewed.connect(lambda values: told.append(dict(values)) if values else None)
    return told


def test_kinds_of_cut_follow_each_other_and_are_undone(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    choice, first = window.plan_panel.cut_choice, specimen(window)
    said: list[object] = []
    window.desk.failed.connect(said.append)
    choice.choose(BORDER)
    assert "territories" in str(said)
    assert choice.kind.currentData() == PLANE
    choice.choose(WEDGE)
    settle()
    wedge = specimen(window)
    assert 0 < wedge < first
    assert not choice.wedge.isHidden()
    told = said_while_moving(window)
    choice.wedge.margin.setValue(5.0)
    assert 0 < float(told[-1]["specimen.volume"] or 0) < wedge
    assert told[-1]["margin.minimum"] == pytest.approx(5.0, abs=0.5)
    quick = float(told[-1]["specimen.volume"] or 0)
    choice.wedge.margin.editingFinished.emit()
    settle()
    assert specimen(window) < wedge
    assert specimen(window) == pytest.approx(quick, rel=0.03)
    choice.choose(PLANES)
    settle()
    cut = window.desk.value("cut")
    assert isinstance(cut, CutSurface)
    assert cut.kind == "planes"
    assert len(choice.planes.rows) == 2
    axial = window.views.slices["axial"]
    before, lines = window.session.require_plan().step("cut").params, axial.marks.lines
    assert [line.name for line in lines if line.draggable] == ["plane 0", "plane 1"]
    assert len(window.views.scene.handles) == 1
    shift = 8 * np.asarray(lines[1].normal)
    told.clear()
    axial.move_line(1, lines[1], vector(lines[1].point_mm + shift))
    assert told
    assert told[-1]["specimen.volume"] != pytest.approx(specimen(window), rel=0.01)
    axial.release_line()
    after = window.session.require_plan().step("cut").params
    assert after["points_mm"][0] == before["points_mm"][0]
    assert after["points_mm"][1] == pytest.approx(before["points_mm"][1] + shift)
    assert choice.planes.number == 1
    for _ in range(4):
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
    told = said_while_moving(window)
    choice.wedge.margin.setValue(14.0)
    assert float(told[-1]["specimen.volume"] or 0) > specimen(window)
    choice.wedge.margin.setValue(10.0)
    choice.join.which[0].click()
    (line,) = (one for one in window.views.slices["axial"].marks.lines if one.draggable)
    away = vector(np.subtract(line.point_mm, 15 * np.asarray(line.normal)))
    window.views.slices["axial"].move_line(0, line, away)
    window.views.slices["axial"].release_line()  # tells at once what still waits
    quick = float(told[-1]["specimen.volume"] or 0)
    settle()
    assert specimen(window) > 1.05 * first
    assert specimen(window) == pytest.approx(quick, rel=0.03)
    window.undo()
    settle()
    choice.join.which[1].click()
    choice.join.operation.setCurrentIndex(1)  # both
    choice.join.operation.activated.emit(1)
    settle()
    assert 0 < specimen(window) < first
    choice.choose(PLANE)
    settle()
    assert [s.output for s in window.session.require_plan().steps if "cut" in s.output] == ["cut"]
    assert specimen(window) == first
