"""An implant from a library in the window: candidates, steps of its pose, and the way back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segmentation.images import write_labels
from segmentation.volume import Label
from tests.campaigns import sizes
from workstation.case import create_case
from workstation.importing import start_plan
from workstation.planning.implant_library_stages import pose_of
from workstation.planning.template import find_template
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A case with a bone that takes a cup, and two sizes to choose from."""
    drawn = sizes.draw(5)
    file, folder = tmp_path / "bone.nrrd", tmp_path / "case"
    write_labels(replace(drawn.bone, labels={1: Label("bone")}), file)
    size = drawn.part.size
    settings = [
        ("choice", "family", "acetabular_cup"),
        ("choice", "sizes", f"{int(size) - 2}, {size}"),
        ("choice", "site_mm", [float(v) for v in drawn.start.site_mm]),
        ("choice", "axis", [float(v) for v in drawn.start.axis or ()]),
    ]
    with create_case(folder) as case:
        case.run(start_plan(case, find_template("implant-fit"), {"bone": file}, settings))
    return folder


def test_an_implant_is_chosen_and_moved_in_the_window(
    window: MainWindow, folder: Path, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_IMPLANTS", str(folder / "none"))
    assert not window.plan_panel.implants.isVisibleTo(window)
    window.open_case(folder)
    window.show_stage("Plan")
    settle()
    card = window.plan_panel.implants
    assert card.isVisible()
    assert card.family.currentText() == "Acetabular cup"
    assert [card.sizes.itemText(n).split(",")[0] for n in range(2)] == ["58", "56"]
    assert card.fit.text().startswith("Score 8")
    best = pose_of(window.desk.value("implant"))
    assert best is not None
    card.nudges["shift", "z", 1].click()
    settle()
    moved = pose_of(window.desk.value("implant"))
    assert moved is not None
    away = np.subtract(moved.position_mm, best.position_mm)
    assert away == pytest.approx(best.rotation[:, 2], abs=1e-3)
    assert window.desk.is_current("fit_map")
    gap = {n.quantity: n.value for n in window.desk.value("implant").numbers}["gap"]
    assert gap > 0.4
    before = window.session.require_plan()
    card.put_back()
    assert "position_mm" not in window.session.require_plan().step("implant").params
    window.undo()
    assert window.session.require_plan() == before
    settle()
