"""The import panel and its report, without the rest of the window."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from pydicom.dataset import Dataset
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QHBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from tests.workstation.dicom_phantom import SAGITTAL, positions, write
from workstation.case import open_case
from workstation.dicom.files import ScannedVolume
from workstation.session import Session
from workstation.ui.desk import Desk
from workstation.ui.panels.import_panel import ImportPanel
from workstation.ui.panels.parts import FindingRow

STATUS = 3
Settle = Callable[[], None]


@pytest.fixture
def desk(qtbot: QtBot) -> Iterator[Desk]:
    made = Desk(Session())
    yield made
    made.close()


@pytest.fixture
def opened() -> list[Path]:
    """The cases that the panel opened."""
    return []


@pytest.fixture
def panel(qtbot: QtBot, desk: Desk, opened: list[Path]) -> Iterator[ImportPanel]:
    made, both = ImportPanel(desk, opened.append), QWidget()
    row = QHBoxLayout(both)
    row.addWidget(made.page)
    row.addWidget(made.widget)
    both.resize(1300, 800)
    qtbot.addWidget(both)
    both.show()
    yield made
    both.close()


@pytest.fixture
def settle(qtbot: QtBot, desk: Desk, panel: ImportPanel) -> Settle:
    """Waits until no work is left, that for pictures of what is painted included."""

    def wait() -> None:
        for _ in range(2):
            while desk.jobs.jobs:
                with qtbot.waitSignal(desk.jobs.ended, timeout=60_000):
                    pass
            desk.bindings.refresh()
            panel.page.grab()

    return wait


def write_gap(folder: Path, lost: int = 4, series: str = "1.2.3") -> Path:
    places = positions(10)
    write(folder, places[:lost] + places[lost + 1 :], series=series)
    return folder


def cell(panel: ImportPanel, row: int, column: int, parent: QModelIndex | None = None) -> str:
    model = panel.page.tree.volumes
    return str(model.index(row, column, parent or QModelIndex()).data())


def test_the_report_tells_what_is_wrong_where_and_what_to_do(
    panel: ImportPanel, tmp_path: Path, settle: Settle
) -> None:
    panel.offer(write_gap(tmp_path / "images"))
    settle()
    report = panel.page.report
    assert "▲ refused" in cell(panel, 0, STATUS)
    assert "○ 1 slice is missing between slices 4 and 5, at 40 mm" in report.told.text()
    assert "at 40 mm" in report.plot.accessibleDescription()
    assert report.facts["Slices lie"].text() == "axial"
    assert report.findings.records[0]["remedy"]
    assert report.offered.isVisible()
    row = report.findings.findChildren(FindingRow)[0]
    QTest.mouseClick(row, Qt.MouseButton.LeftButton)
    assert report.plot.at == 3, "the slice before the gap"


def test_consent_is_taken_back_and_belongs_to_one_volume(
    panel: ImportPanel, tmp_path: Path, settle: Settle
) -> None:
    for n, lost in enumerate((4, 6)):
        write_gap(tmp_path / "images" / str(n), lost, f"1.2.{n + 3}")
    panel.offer(tmp_path / "images")
    settle()
    tree, row = panel.page.tree, panel.page.tree.currentIndex().row()
    panel.repairs.boxes["interpolate_missing"].click()
    assert panel.start.isEnabled()
    assert "repaired" in cell(panel, row, STATUS)
    assert "refused" in cell(panel, 1 - row, STATUS)
    panel.repairs.boxes["interpolate_missing"].click()
    assert not panel.start.isEnabled()
    assert "refused" in cell(panel, row, STATUS)
    panel.repairs.boxes["interpolate_missing"].click()
    tree.setCurrentIndex(tree.model().index(1 - row, 0))
    assert not panel.start.isEnabled()
    assert not panel.repairs.accepted()
    assert all("refused" in cell(panel, n, STATUS) for n in (0, 1))


def test_of_several_patients_one_must_be_chosen(
    panel: ImportPanel, tmp_path: Path, settle: Settle, opened: list[Path]
) -> None:
    def other(data: Dataset, k: int) -> None:
        data.PatientName, data.PatientID = "Roe^Richard", "P2"

    write(tmp_path / "images" / "a", positions(6), series="1.2.3")
    write(tmp_path / "images" / "b", positions(8), series="1.2.4", edit=other)
    panel.offer(tmp_path / "images")
    settle()
    page = panel.page
    assert not panel.start.isEnabled()
    assert "a patient" in panel.widget.needs.text()
    assert page.tree.model().rowCount() == 0
    page.patients.setCurrentIndex(
        next(n for n in range(page.patients.count()) if "Roe" in page.patients.itemText(n))
    )
    assert page.tree.model().rowCount() == 1
    assert "14 × 10 × 8" in cell(panel, 0, 1)
    panel.start.click()
    settle()
    with open_case(opened[0]) as case:
        assert case.record.patient["name"] == "Roe^Richard"


@pytest.mark.parametrize("whole", [False, True])
def test_parts_of_a_series_stand_together_and_one_or_all_are_imported(
    panel: ImportPanel, tmp_path: Path, settle: Settle, opened: list[Path], whole: bool
) -> None:
    def edit(data: Dataset, k: int) -> None:
        data.TemporalPositionIdentifier = k // 5 + 1
        data.PixelData = np.full((10, 14), 10 * (k // 5) + k % 5, "<i2").tobytes()

    write(tmp_path / "images", positions(5) * 3, edit=edit, modality="MR")
    panel.offer(tmp_path / "images")
    settle()
    tree = panel.page.tree
    top = tree.model().index(0, 0)
    assert tree.model().rowCount() == 1
    assert "3 volumes" in cell(panel, 0, 0)
    names = [cell(panel, n, 0, top) for n in range(tree.model().rowCount(top))]
    assert len(set(names)) == 3
    assert names[1].startswith("time 2 of 3")
    tree.setCurrentIndex(tree.model().index(1, 0, top))
    assert panel.whole.isVisible()
    panel.whole.setChecked(whole)
    panel.start.click()
    settle()
    with open_case(opened[0]) as case:
        assert case.value("ct").array[:, 0, 0].tolist() == [10, 11, 12, 13, 14]
        others = {name: kept["part"]["number"] for name, kept in case.record.sources.items()}
        assert others == ({"ct": 2, "ct_1": 1, "ct_3": 3} if whole else {"ct": 2})


def test_pictures_come_after_the_list_and_go_with_it(
    panel: ImportPanel, desk: Desk, tmp_path: Path, settle: Settle
) -> None:
    panel.offer(write_gap(tmp_path / "images"))
    settle()
    volume = panel.page.tree.selected()
    assert volume is not None
    shown = panel.page.pictures.picture(volume).toImage()
    assert shown.pixelColor(48, 48).lightness() > 100
    assert not desk.jobs.jobs, "a picture that is there is not made again"
    write(tmp_path / "others", positions(7), SAGITTAL, series="1.2.9")
    panel.offer(tmp_path / "others")
    empty = panel.page.pictures.picture(volume).toImage()
    assert empty.pixelColor(48, 48).lightness() < 20
    settle()
    assert panel.page.report.facts["Slices lie"].text() == "sagittal"


def test_a_picture_that_cannot_be_made_is_no_error(
    panel: ImportPanel, desk: Desk, tmp_path: Path, settle: Settle
) -> None:
    asked: list[object] = []

    def fails(volume: object) -> None:
        asked.append(volume)
        raise ValueError("no decoder")

    panel.page.pictures._make = fails  # type: ignore[assignment]
    failures: list[object] = []
    desk.failed.connect(failures.append)
    panel.offer(write_gap(tmp_path / "images"))
    settle()
    assert len(asked) == 1
    assert not failures


def test_a_picture_that_is_asked_for_while_it_is_made_is_made_once(
    panel: ImportPanel, tmp_path: Path, settle: Settle
) -> None:
    asked: list[object] = []
    begun, go_on = Event(), Event()

    def slowly(volume: object) -> None:
        asked.append(volume)
        begun.set()
        go_on.wait(10)

    panel.page.pictures._make = slowly  # type: ignore[assignment]
    panel.offer(write_gap(tmp_path / "images"))
    for _ in range(500):
        QApplication.processEvents()
        if begun.wait(0.02):
            break
    (volume,) = asked
    assert isinstance(volume, ScannedVolume)
    panel.page.pictures.picture(volume)
    go_on.set()
    settle()
    assert len(asked) == 1


def test_files_that_are_not_used_are_listed_with_their_reason(
    panel: ImportPanel, tmp_path: Path, settle: Settle
) -> None:
    folder = write_gap(tmp_path / "images")
    (folder / "letter.txt").write_text("no image")
    panel.offer(folder)
    settle()
    assert panel.page.tabs.tabText(1) == "Files not used (1)"
    texts = [panel.page.unused.model.index(0, n).data() for n in range(2)]
    assert texts == ["not a DICOM file", "letter.txt"]


def test_without_any_image_the_reasons_are_shown(
    panel: ImportPanel, desk: Desk, tmp_path: Path, settle: Settle
) -> None:
    failures: list[object] = []
    desk.failed.connect(failures.append)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("no image")
    panel.offer(tmp_path / "letters")
    settle()
    assert len(failures) == 1
    assert panel.page.tabs.currentWidget() is panel.page.unused
    assert panel.page.unused.model.rowCount() == 1
    assert not panel.start.isEnabled()
