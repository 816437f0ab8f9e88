"""The import report in the window: it comes and goes, and consent to a repair is remembered."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests.workstation.dicom_phantom import positions, write
from workstation import case_sources
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


def test_a_missing_slice_is_accepted_by_a_tick_and_remembered(
    window: MainWindow, gap: Path, settle: Settle
) -> None:
    window.open(gap)
    settle()
    panel = window.import_panel
    assert window.middle.currentWidget() is panel.page
    assert not panel.start.isEnabled()
    assert "consent" in panel.widget.needs.text()
    panel.repairs.boxes["interpolate_missing"].click()
    panel.start.click()
    settle()
    case = window.session.case
    assert case is not None, [card.text() for card in window.cards.cards()]
    source = case.record.sources["ct"]
    assert "interpolate_missing" in [f["code"] for f in source["findings"]]
    assert window.session.require_plan().to_json()["accepted"] == {"ct": ["interpolate_missing"]}
    assert case.value("ct").geometry.size[2] == 10
    window.show_stage("Import")
    assert window.middle.currentWidget() is window.views
    assert panel.folder.text() == "", "the next images go to a folder of their own"
    told = [record["sentence"] for record in panel.held.records]
    assert any("accepted" in sentence for sentence in told)


def test_the_report_comes_and_goes_with_its_stage(
    window: MainWindow, gap: Path, settle: Settle
) -> None:
    page = window.import_panel.page
    window.show_stage("Import")
    assert window.import_panel.whole.isHidden(), "nothing is chosen that has parts"
    window.open(gap)
    window.desk.bindings.refresh()
    assert window.middle.currentWidget() is page
    window.job_bar.cancel_first()
    settle()
    assert window.middle.currentWidget() is window.start_page, "a stopped scan shows nothing"
    assert "images" in window.import_panel.widget.needs.text()
    window.open(gap)
    settle()
    window.show_stage("Case")
    assert window.middle.currentWidget() is window.start_page
    window.show_stage("Import")
    assert window.middle.currentWidget() is page
    window.resize(1280, 800)
    assert page.leave.isVisible()
    assert window.minimumSizeHint().width() <= 1280
    assert window.minimumSizeHint().height() <= 800
    page.leave.click()
    settle()
    assert window.middle.currentWidget() is window.start_page
    assert not window.import_panel.start.isEnabled()


def test_the_image_is_shown_before_its_originals_are_kept(
    window: MainWindow,
    tmp_path: Path,
    settle: Settle,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "images", positions(8))
    window.open(tmp_path / "images")
    settle()
    release, copy = threading.Event(), case_sources.dicom.copy_files

    def held(*given: object) -> None:
        assert release.wait(20)
        copy(*given)

    monkeypatch.setattr(case_sources.dicom, "copy_files", held)
    window.import_panel.start.click()
    qtbot.waitUntil(lambda: window.desk.image() is not None, timeout=10_000)
    shown = window.desk.image()
    still = window.session.case is None
    page = window.middle.currentWidget()
    painted = window.views.slices["axial"].placement
    release.set()
    settle()
    assert still
    assert page is window.views
    assert painted is not None
    assert window.session.case is not None
    assert window.desk.image() is shown, "it is not read again"
    assert window.desk.arriving is None


def test_an_import_that_fails_takes_its_image_back(
    window: MainWindow, tmp_path: Path, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "images", positions(8))
    window.open(tmp_path / "images")
    settle()

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(case_sources.dicom, "copy_files", full)
    window.import_panel.start.click()
    settle()
    assert window.session.case is None
    assert window.desk.image() is None
    assert window.middle.currentWidget() is window.import_panel.page
    assert not (tmp_path / "images-case").exists()
