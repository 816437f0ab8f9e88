"""Labels from files of other programs, and results handed on, from the window."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QInputDialog

from segmentation.volume import LabelMap
from tests.flows.conftest import FRAME, STEPS, abdomen_like
from tests.workstation.test_dicom_objects_rtstruct import write
from workstation.ui.main_window import MainWindow
from workstation.ui.panels import report_panel

Settle = Callable[[], None]


def contours(path: Path) -> Path:
    """Two square structures in slice 12 of the image, drawn half a voxel around centres."""
    grid = abdomen_like().geometry

    def square(left: float, right: float) -> list[tuple[float, float, float]]:
        index = [(left, 14.5, 12), (right, 14.5, 12), (right, 20.5, 12), (left, 20.5, 12)]
        return [tuple(point) for point in grid.to_world(index)]

    parts = [
        ("GTV right", (1, 2, 3), [square(10.5, 15.5)]),
        ("Body", (4, 5, 6), [square(2.5, 40.5)]),
    ]
    return write(path, parts, frame=FRAME, patient="77", points_mm=True)


@pytest.mark.parametrize("picked", [True, False])
def test_contours_of_another_program_replace_a_label(
    window: MainWindow,
    make_case: Callable[..., Path],
    settle: Settle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    picked: bool,
) -> None:
    asked: list[list[str]] = []

    def pick(parent: object, title: str, words: str, names: list[str], *_: object) -> object:
        asked.append(names)
        return "GTV right", picked

    monkeypatch.setattr(QInputDialog, "getItem", pick)
    window.open_case(make_case())
    settle()
    before = window.session.value("tumor")
    window.segment_panel.label_file.offer("tumor", contours(tmp_path / "RS.1.2.3"))
    settle()
    assert asked == [["GTV right", "Body"]]
    after = window.session.value("tumor")
    assert isinstance(after, LabelMap)
    if picked:
        expected = np.zeros(before.array.shape, bool)
        expected[12, 15:21, 11:16] = True
        assert np.array_equal(after.mask(), expected)
        assert "margin" in window.session.available()
        window.session.undo()
        settle()
        after = window.session.value("tumor")
    assert np.array_equal(after.array, before.array)


def test_views_are_offered(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Report")
    settle()
    panel = window.report_panel
    names = [panel.name.itemData(n) for n in range(panel.name.count())]
    assert {"ct", "tumor", "picture", "axial"} <= set(names)


def test_a_surface_is_kept_after_a_look(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle, tmp_path: Path
) -> None:
    window.open_case(make_case(STEPS[:1]))
    settle()
    panel, path = window.report_panel, tmp_path / "liver.stl"
    for keep in (False, True):
        panel.export_to("liver", path)
        settle()
        assert panel.offer.dialog is not None
        assert not path.exists()
        (panel.offer.dialog.keep if keep else panel.offer.dialog.discard).click()
        assert path.exists() == keep
    assert str(path) in panel.done.text()
    panel.export_to("liver", tmp_path / "liver.nrrd")
    settle()
    assert panel.offer.dialog is None
    assert (tmp_path / "liver.nrrd").exists()


def test_what_the_window_asks_for(
    window: MainWindow,
    make_case: Callable[..., Path],
    settle: Settle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def note(case: Path, name: str, place: Path, progress: object, *, labelmap: bool) -> object:
        asked.append((name, place.name, labelmap))
        return (place,)

    monkeypatch.setattr(report_panel, "export_aside", note)
    window.open_case(make_case())
    settle()
    window.report_panel.write_report(tmp_path / "r.dcm")
    settle()
    window.report_panel.labelmap.setChecked(True)
    window.report_panel.write_dicom(tmp_path / "set")
    settle()
    window.report_panel.export_to("axial", tmp_path / "a.png")
    settle()
    assert asked == [("report", "r.dcm", False), ("dicom", "set", True), ("axial", "a.png", True)]
    assert str(tmp_path / "a.png") in window.report_panel.done.text()
