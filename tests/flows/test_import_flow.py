"""The import report in the window: what is shown before a pixel is read, and what is accepted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.workstation.dicom_phantom import SAGITTAL, positions, write
from workstation.case import Case
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]


@pytest.fixture(autouse=True)
def no_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    """These images hold no anatomy: a plan would only fail on them."""
    monkeypatch.setattr(MainWindow, "compute", lambda window: None)


@pytest.fixture
def gap(tmp_path: Path) -> Path:
    """A CT series of ten slices, the fifth of which is lost."""
    places = positions(10)
    write(tmp_path / "images", places[:4] + places[5:])
    return tmp_path / "images"


@pytest.fixture
def offered(
    window: MainWindow, settle: Settle, qtbot: QtBot
) -> Iterator[Callable[[Path], MainWindow]]:
    """Opens images in the window and waits for what they hold, pictures too."""

    def offer(folder: Path) -> MainWindow:
        window.open(folder)
        settle()
        window.grab()  # pictures are asked for by what is painted
        settle()
        return window

    yield offer


def cell(window: MainWindow, row: int, column: int, parent: QModelIndex | None = None) -> str:
    model = window.import_panel.page.tree.volumes
    return str(model.index(row, column, parent or QModelIndex()).data())


def click(widget: object) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)  # type: ignore[call-overload]


def case_of(window: MainWindow) -> Case:
    assert window.session.case is not None, [card.text() for card in window.cards.cards()]
    return window.session.case


def test_a_missing_slice_is_accepted_by_a_tick_and_remembered(
    offered: Callable[[Path], MainWindow], gap: Path, settle: Settle
) -> None:
    window = offered(gap)
    panel = window.import_panel
    page = panel.page
    assert window.middle.currentWidget() is page
    assert "refused" in cell(window, 0, 3)
    assert not panel.start.isEnabled()
    assert "consent" in panel.widget.needs.text()
    assert "○ 1 slice is missing between slices 4 and 5, at 40 mm" in page.report.told.text()
    assert page.report.findings._records[0]["remedy"]
    box = panel.repairs.boxes["interpolate_missing"]
    box.click()
    assert panel.start.isEnabled()
    assert "repaired" in cell(window, 0, 3)
    box.click()
    assert not panel.start.isEnabled(), "consent that was taken back is none"
    box.click()
    click(panel.start)
    settle()
    case = case_of(window)
    source = case.record.sources["ct"]
    assert "interpolate_missing" in [f["code"] for f in source["findings"]]
    assert window.session.require_plan().to_json()["accepted"] == {"ct": ["interpolate_missing"]}
    image = case.value("ct")
    assert image.geometry.size[2] == 10
    window.show_stage("Import")
    assert window.middle.currentWidget() is window.views
    told = [record["sentence"] for record in panel.held._records or []]
    assert any("accepted" in sentence for sentence in told)


def test_consent_belongs_to_one_volume(
    offered: Callable[[Path], MainWindow], tmp_path: Path
) -> None:
    places = positions(10)
    for n, lost in enumerate((4, 6)):
        folder, series = tmp_path / "images" / str(n), f"1.2.{n + 3}"
        write(folder, places[:lost] + places[lost + 1 :], series=series)
    window = offered(tmp_path / "images")
    panel, tree = window.import_panel, window.import_panel.page.tree
    panel.repairs.boxes["interpolate_missing"].click()
    assert panel.start.isEnabled()
    tree.setCurrentIndex(tree.model().index(1 - tree.currentIndex().row(), 0))
    assert not panel.start.isEnabled()
    assert not panel.repairs.accepted()
    assert all("refused" in cell(window, row, 3) for row in (0, 1))


def test_of_several_patients_one_must_be_chosen(
    offered: Callable[[Path], MainWindow], tmp_path: Path, settle: Settle
) -> None:
    write(tmp_path / "images" / "a", positions(6), series="1.2.3")

    def other(data, k):  # type: ignore[no-untyped-def]
        data.PatientName, data.PatientID = "Roe^Richard", "P2"

    write(tmp_path / "images" / "b", positions(8), series="1.2.4", edit=other)
    window = offered(tmp_path / "images")
    panel, page = window.import_panel, window.import_panel.page
    assert not panel.start.isEnabled()
    assert "a patient" in panel.widget.needs.text()
    assert page.tree.model().rowCount() == 0
    row = next(n for n in range(2) if "Roe" in page.patients.itemText(n))
    page.patients.setCurrentIndex(row)
    assert page.tree.model().rowCount() == 1
    assert "14 × 10 × 8" in cell(window, 0, 1)
    click(panel.start)
    settle()
    assert case_of(window).record.patient["name"] == "Roe^Richard"


def test_parts_of_a_series_stand_together_and_one_of_them_is_imported(
    offered: Callable[[Path], MainWindow], tmp_path: Path, settle: Settle
) -> None:
    def edit(data, k):  # type: ignore[no-untyped-def]
        data.TemporalPositionIdentifier = k // 5 + 1
        data.PixelData = np.full((10, 14), k // 5, "<i2").tobytes()

    write(tmp_path / "images", positions(5) * 3, edit=edit, modality="MR")
    window = offered(tmp_path / "images")
    tree = window.import_panel.page.tree
    top = tree.model().index(0, 0)
    assert tree.model().rowCount() == 1
    assert "3 volumes" in cell(window, 0, 0)
    assert tree.model().rowCount(top) == 3
    names = [cell(window, n, 0, top) for n in range(3)]
    assert len(set(names)) == 3
    assert all("3" in name for name in names)
    tree.setCurrentIndex(tree.model().index(1, 0, top))
    click(window.import_panel.start)
    settle()
    assert np.all(case_of(window).value("ct").array == 1)


def test_pictures_come_after_the_list_and_stop_with_it(
    offered: Callable[[Path], MainWindow],
    gap: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settle: Settle,
) -> None:
    window = offered(gap)
    page = window.import_panel.page
    volume = page.tree.selected()
    assert volume is not None
    shown = page.pictures.picture(volume).toImage()
    assert shown.pixelColor(48, 48).lightness() > 100
    assert not window.desk.jobs.jobs
    write(tmp_path / "others", positions(7), SAGITTAL, series="1.2.9")
    window.open(tmp_path / "others")
    assert page.pictures._made == {}
    settle()
    assert page.report.facts["Slices lie"].text() == "sagittal"


def test_a_picture_that_cannot_be_made_leaves_its_place_empty(
    window: MainWindow, gap: Path, monkeypatch: pytest.MonkeyPatch, settle: Settle
) -> None:
    def fails(volume: object) -> None:
        raise ValueError("no decoder")

    monkeypatch.setattr(window.import_panel.page.pictures, "_make", fails)
    window.open(gap)
    settle()
    window.grab()
    settle()
    assert len(window.import_panel.page.pictures._made) == 1
    assert not window.cards.cards()


def test_files_that_are_not_used_are_listed_with_their_reason(
    offered: Callable[[Path], MainWindow], gap: Path
) -> None:
    (gap / "letter.txt").write_text("no image")
    window = offered(gap)
    page = window.import_panel.page
    assert page.tabs.tabText(1) == "Files not used (1)"
    texts = [page.unused.model.index(0, n).data() for n in range(2)]
    assert texts == ["not a DICOM file", "letter.txt"]


def test_the_report_leaves_with_its_stage_and_comes_back(
    offered: Callable[[Path], MainWindow], gap: Path
) -> None:
    window = offered(gap)
    window.show_stage("Case")
    assert window.middle.currentWidget() is window.start_page
    window.show_stage("Import")
    assert window.middle.currentWidget() is window.import_panel.page


def test_a_scan_that_is_stopped_leaves_the_start_page(
    window: MainWindow, gap: Path, settle: Settle
) -> None:
    window.open(gap)
    window.desk.bindings.refresh()
    assert window.middle.currentWidget() is window.import_panel.page
    window.job_bar.cancel_first()
    settle()
    assert window.middle.currentWidget() is window.start_page
    assert "images" in window.import_panel.widget.needs.text()


def test_the_report_fits_a_small_screen(offered: Callable[[Path], MainWindow], gap: Path) -> None:
    window = offered(gap)
    window.resize(1280, 800)
    assert window.import_panel.page.minimumSizeHint().width() <= 1280 - 200 - 340 - 4
    assert window.minimumSizeHint().width() <= 1280
    assert window.minimumSizeHint().height() <= 800
