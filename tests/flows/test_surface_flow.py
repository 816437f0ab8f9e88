"""A surface file in the window: a case of its own, or one more source of the open case."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QComboBox

from meshing.files import write_surface
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from tests.meshing.solids import pear
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A pear in centimetres with a hole."""
    mesh = pear()
    part = mesh.reshaped(mesh.points_mm / 10, np.delete(mesh.triangles, 7, axis=0))
    file = write_surface(part, tmp_path / "part.obj")
    text = "".join(line for line in file.read_text().splitlines(True) if not line.startswith("#"))
    file.write_text(text)
    return file


def choose(box: QComboBox, value: str) -> None:
    box.setCurrentIndex(box.findData(value))


def test_a_surface_file_becomes_a_case_of_its_own(
    window: MainWindow, damaged: Path, settle: Settle
) -> None:
    window.open(damaged)
    settle()
    panel = window.import_panel
    assert panel.template.currentData() == "surface-model"
    assert panel.surface.isVisible()
    assert panel.add.isHidden()
    choose(panel.surface.unit, "cm")
    choose(panel.surface.axes, "LPS")
    panel.start.click()
    settle()
    case = window.session.case
    assert case is not None, [card.text() for card in window.cards.cards()]
    source = case.record.sources["surface_file"]
    assert source["unit"] == "cm"
    assert [f["code"] for f in source["findings"]] == ["open_edges"]
    repaired = window.desk.results()["surface"]
    assert isinstance(repaired, SurfaceMesh)
    assert is_watertight(repaired)
    assert enclosed_mm3(repaired) == pytest.approx(enclosed_mm3(pear()), rel=5e-3)
    assert set(window.views.surfaces()) == {"surface"}, "the file would only double it"
    assert window.session.kinds()["surface_file"] == "SurfaceMesh"
    for stage in ("Case", "Import", "Segment", "Model", "Measure", "Plan", "Print", "Report"):
        window.show_stage(stage)
        settle()
    assert not window.cards.cards()


def test_a_surface_file_is_added_to_the_open_case(
    window: MainWindow, make_case: Callable[..., Path], damaged: Path, settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.open(damaged)
    settle()
    panel = window.import_panel
    choose(panel.surface.unit, "cm")
    panel.add.click()
    settle()
    case = window.session.case
    assert case is not None
    source = case.record.sources["part"]
    assert "frame_assumed" in [f["code"] for f in source["findings"]]
    assert source["frame_uid"] == window.session.require_plan().frame_uid
    assert "part" in window.views.surfaces()
    window.session.add_step("meshing.repair", "implant", {"mesh": "part"}, {})
    window.compute()
    settle()
    assert is_watertight(window.desk.results()["implant"])
    assert {"implant"} == {"part", "implant"} & set(window.views.surfaces())


def test_a_case_of_surfaces_only_gives_3d_all_the_space(
    window: MainWindow, damaged: Path, settle: Settle
) -> None:
    window.open(damaged)
    settle()
    choose(window.import_panel.surface.unit, "cm")
    window.import_panel.start.click()
    settle()
    assert window.views.alone == "3d"
    window.views.show_only("")  # taken back by a person
    window.views.refresh()
    assert window.views.alone == ""
