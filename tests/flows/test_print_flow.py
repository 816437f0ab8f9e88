"""Surfaces are checked, faults are shown, and files are kept only after a look, in the window."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from pytestqt.qtbot import QtBot

from meshing.files import read_surface
from meshing.surface import volume_ml
from workstation.looks import ItemLook
from workstation.printers import USUAL, read_printers
from workstation.ui.main_window import MainWindow

from .conftest import STEPS

Settle = Callable[[], None]
SURFACES = tuple(s for s in STEPS if s.output in ("liver", "liver_surface"))


@pytest.fixture
def opened(window: MainWindow, make_case: Callable[..., Path], settle: Settle) -> MainWindow:
    window.open_case(make_case(SURFACES))
    window.show_stage("Print")
    settle()
    return window


def spoil(window: MainWindow) -> None:
    """Open the surface by some triangles, as a damaged file would."""
    case = window.session.require_case()
    key = window.desk.key_of("liver_surface")
    mesh = case.values[key]
    x = mesh.points_mm[mesh.triangles].mean(axis=1)[:, 0]
    case.values[key] = replace(mesh, triangles=mesh.triangles[np.argsort(x)[6:]])
    window.desk._loaded.pop(key)
    window.session.notify()


def test_a_computed_surface_that_is_shown_can_be_checked_at_once(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle, qtbot: QtBot
) -> None:
    window.open_case(make_case(SURFACES))
    settle()
    window.show_stage("Print")  # nothing else asks the page to refresh
    panel = window.print_panel
    qtbot.waitUntil(panel.check.isEnabled, timeout=3_000)
    assert panel.chosen() == ["liver_surface"]
    assert panel.widget.needs.text() == ""


def test_a_check_leads_to_its_faults(opened: MainWindow, settle: Settle) -> None:
    panel = opened.print_panel
    assert panel.chosen() == ["liver_surface"]
    panel.run_check()
    settle()
    assert "can be printed" in panel.verdict.text()
    spoil(opened)
    settle()
    panel.run_check()
    settle()
    assert "problem" in panel.verdict.text()
    record = panel.faults.records[0]
    assert record["code"] == "open_surface"
    panel.show_fault("liver_surface", tuple(record["location_mm"]))
    settle()
    assert opened.session.view.crosshair_mm == pytest.approx(record["location_mm"])
    camera = opened.views.scene.camera
    assert camera.focal_mm == pytest.approx(record["location_mm"])
    # The hole is on the patient's right, so the eye is farther to the right of it.
    assert camera.eye_mm[0] < record["location_mm"][0] - 10
    panel._show_lying()
    assert camera != opened.views.scene.camera
    opened.session.set_params("liver_surface", "Smoother", smoothing_mm=3.0)
    settle()
    assert panel.verdict.text() == ""  # what was checked is no more
    assert panel.faults.records == []


def test_a_file_is_kept_after_a_look_and_a_faulty_one_with_a_reason(
    opened: MainWindow, settle: Settle, tmp_path: Path
) -> None:
    panel, path = opened.print_panel, tmp_path / "liver.stl"
    for keep in (False, True):
        panel.export_to(path)
        settle()
        assert panel.offer.dialog is not None
        assert not path.exists()
        (panel.offer.dialog.keep if keep else panel.offer.dialog.discard).click()
        assert panel.offer.dialog is None
        assert path.exists() == keep
        assert not [p for p in tmp_path.iterdir() if p.name.startswith(".part")]
    truth = volume_ml(opened.session.value("liver_surface"))
    assert volume_ml(read_surface(path)) == pytest.approx(truth, rel=1e-4)
    assert str(path) in panel.done.text()

    spoil(opened)
    settle()
    path = tmp_path / "holes.stl"
    panel.export_to(path)
    settle()
    assert not path.exists()
    assert "cannot be printed" in panel.verdict.text()
    assert panel.faults.records[0]["code"] == "open_surface"
    assert not panel.despite.isEnabled()
    panel.reason.setText("a lesson about holes")
    panel.despite.click()
    settle()
    assert panel.offer.dialog is not None
    panel.offer.dialog.keep.click()
    assert b"FAULTY" in path.read_bytes()[:80]
    kept = opened.session.require_case().runs()[-1]["export"]
    assert kept["despite"] == "a lesson about holes"

    (tmp_path / "out").mkdir()
    panel.export_to(tmp_path / "out" / "liver.stl", "a lesson about holes")
    settle()
    assert list((tmp_path / "out").iterdir())
    opened.close_case()
    assert list((tmp_path / "out").iterdir()) == [], "a file that nobody kept goes with the case"
    assert panel.offer.dialog is None


def test_what_the_check_found_for_a_printer_that_was_added_holds_back(
    opened: MainWindow, settle: Settle, tmp_path: Path
) -> None:
    panel = opened.print_panel
    panel.printer.fields["name"].setText("Tiny")
    for side in ("width_mm", "depth_mm", "height_mm"):
        panel.printer.fields[side].setText("30")
    panel.printer.save.click()
    assert panel.printer.chosen.build_mm == (30.0, 30.0, 30.0)
    panel.run_check()
    settle()
    assert panel.faults.records[0]["code"] == "too_large"
    panel.export_to(tmp_path / "liver.3mf")
    settle()
    assert "cannot be printed" in panel.verdict.text()
    assert panel.offer.dialog is None

    choice = panel.printer
    choice.fields["name"].setText("Ours")
    choice.fields["wall_mm"].setText("0,35")
    choice.save.click()
    file = tmp_path / "state" / "printers.json"
    assert [p.wall_mm for p in read_printers(file) if p.name == "Ours"] == [0.35]
    choice.fields["wall_mm"].setText("thin")
    choice.save.click()
    assert choice.chosen.wall_mm == 0.35  # and a card says why
    choice.remove.click()
    assert [p.name for p in read_printers(file)] == [*(p.name for p in USUAL), "Tiny"]


def test_the_check_becomes_a_step_whose_map_colours_a_file(
    opened: MainWindow, settle: Settle, tmp_path: Path
) -> None:
    panel = opened.print_panel
    panel.run_check()
    settle()
    panel.mark.click()
    settle()
    step = opened.session.require_plan().step("liver_surface_check")
    assert step.inputs == {"mesh": "liver_surface"}
    assert tuple(step.params["build_mm"]) == USUAL[0].build_mm
    assert "liver_surface_check" in panel.steps.outputs()
    session = opened.session
    look = ItemLook(quantity="overhang_degrees")
    session.set_view(looks={**session.view.looks, "liver_surface_check": look})
    settle()
    for name, box in panel.names.items():
        box.setChecked(name == "liver_surface_check")
    panel.export_to(tmp_path / "check.glb")
    settle()
    assert panel.offer.dialog is not None
    panel.offer.dialog.keep.click()
    (shape,) = trimesh.load_scene(tmp_path / "check.glb", process=False).geometry.values()
    colours = np.asarray(shape.visual.vertex_attributes["color"])[:, :3]
    assert len(np.unique(colours, axis=0)) > 10
    session.undo()
    settle()
    assert panel.steps.outputs() == []
