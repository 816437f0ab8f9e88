"""A PACS from the window: nodes, search, preview, fetch, send, receive, and what goes wrong."""

import json
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from segmentation.contract import Progress
from tests.workstation import dicom_phantom
from tests.workstation.orthanc import free_port, orthanc
from tests.workstation.pacs_peer import Archive, content
from tests.workstation.web_peer import WebArchive
from workstation.case import create_case, open_case
from workstation.dicom import network
from workstation.dicom.files import scan
from workstation.dicom.network import Node
from workstation.dicom.nodes import read_nodes, write_nodes
from workstation.dicom_export import write_dicom_result
from workstation.planning.plan import Plan, Step
from workstation.ui.main_window import MainWindow
from workstation.ui.panels import pacs_send
from workstation.ui.panels.pacs_page import PacsPage
from workstation.ui.panels.pacs_receive import Listening

Settle = Callable[[], None]
Use = Callable[[Node], PacsPage]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return dicom_phantom.write(tmp_path_factory.mktemp("tiny"), dicom_phantom.positions())


@pytest.fixture
def page(window: MainWindow, tmp_path: Path) -> PacsPage:
    """The page of the window, with settings and inbox of its own."""
    made = window.pacs
    made.choice.file = tmp_path / "settings" / "nodes.json"
    made.receiver.file = tmp_path / "settings" / "receive.json"
    made.receiver.settings = Listening(port=free_port())
    made.receive.port.setValue(made.receiver.settings.port)
    made.search.inbox = made.receive.inbox = tmp_path / "inbox"
    return made


@pytest.fixture
def use(window: MainWindow, page: PacsPage) -> Use:
    def show(*nodes: Node) -> PacsPage:
        write_nodes(page.choice.file, nodes)
        window.show_pacs()
        return page

    return show


@pytest.fixture
def archive(tiny: list[Path]) -> Iterator[tuple[Archive, Node]]:
    made = Archive(tiny)
    with made.serve() as node:
        yield made, node


def click(button: QPushButton) -> None:
    assert button.isEnabled(), button.toolTip()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def way(page: PacsPage, name: str) -> None:
    page.choice.way.setCurrentIndex(page.choice.way.findData(name))


def study(number: int) -> Dataset:
    made = Dataset()
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.7.{number}", f"1.7.{number}.1"
    made.PatientID, made.Modality, made.PatientName = f"P{number:04}", "CT", "Doe^Jane"
    return made


def pixels(page: PacsPage) -> np.ndarray:
    image = page.search.card.picture.pixmap().toImage()
    return np.array(
        [
            [image.pixelColor(x, y).red() for x in range(image.width())]
            for y in range(image.height())
        ]
    )


def test_without_a_node_the_form_for_the_first_one_comes(
    window: MainWindow, page: PacsPage, archive: tuple[Archive, Node], settle: Settle
) -> None:
    _, node = archive
    window.show_pacs()
    assert page.tabs.currentWidget() is page.nodes
    assert "a node" in page.search.search_lacks()
    form = page.nodes
    for field, text in ((form.name, "near"), (form.host, node.host), (form.ae_title, "ARCHIVE")):
        field.setText(text)
    form.port.setValue(node.port)
    click(form.save)
    settle()
    assert "✓ DICOM in" in page.choice.said.text()
    (kept,) = read_nodes(page.choice.file)
    assert kept == Node("near", node.host, node.port, "ARCHIVE")
    assert stat.S_IMODE(page.choice.file.stat().st_mode) == 0o600


def test_nodes_are_changed_renamed_and_removed(
    page: PacsPage, use: Use, window: MainWindow, settle: Settle
) -> None:
    first, second = Node("one", "127.0.0.1", 1, "A"), Node("two", dicomweb_url="http://h/x")
    use(first, second)
    window.show_pacs("Nodes")
    form = page.nodes
    form.list.setCurrentRow(1)
    assert form.url.text() == "http://h/x"
    form.files.ca_file.line.setText("/none.pem")
    click(form.save)
    assert "TLS files" in window.cards.cards()[0].text()
    form.files.ca_file.line.clear()
    form.name.setText("one")
    click(form.save)
    assert "already" in window.cards.cards()[0].text()
    form.name.setText("three")
    form.url.setText("http://127.0.0.1:9/x")
    click(form.save)
    settle()
    assert [node.name for node in read_nodes(page.choice.file)] == ["one", "three"]
    assert "▲ DICOMweb" in page.choice.said.text()
    form.list.setCurrentRow(0)
    click(form.remove)
    assert [node.name for node in read_nodes(page.choice.file)] == ["three"]
    form.begin()
    form.name.setText("four")
    click(form.save)
    assert "neither a host nor" in window.cards.cards()[0].text()


@pytest.mark.parametrize("how", ["get", "move"])
def test_search_preview_and_fetch_end_in_the_import_report(
    window: MainWindow,
    use: Use,
    archive: tuple[Archive, Node],
    tiny: list[Path],
    settle: Settle,
    tmp_path: Path,
    how: str,
) -> None:
    served, node = archive
    for data in served.instances:
        data.WindowCenter, data.WindowWidth = 300, 120
    page = use(node)
    served.move_to = ("127.0.0.1", page.receiver.settings.port)
    served.move_title = "HILUM"
    way(page, how)
    search = page.search
    search.query.name.setText("Doe*")
    QTest.keyClick(search.query.name, Qt.Key.Key_Return)
    settle()
    assert search.said.text() == "1 study"
    assert search.series.selected() is not None, window.cards.cards()
    assert "6 images" in search.card.about.text()
    assert "Image 4 of 6" in search.card.about.text()
    shown = pixels(page)
    assert shown[10, 10] < shown[10, -10], "the phantom is brighter towards the patient's left"
    assert shown[10, 10] < shown[-10, 10], "and towards the back"
    click(search.fetch_series)
    settle()
    (folder,) = (tmp_path / "inbox").iterdir()
    uids = {dcmread(file).SOPInstanceUID for file in folder.iterdir()}
    assert uids == {dcmread(file).SOPInstanceUID for file in tiny}
    assert window.middle.currentWidget() is not page
    assert window.panels.currentWidget() is window.import_panel.widget
    assert window.import_panel.selected() is not None
    assert not window.cards.cards()


def test_dicomweb_asks_for_the_password_and_keeps_it_nowhere(
    use: Use, tiny: list[Path], settle: Settle, tmp_path: Path, window: MainWindow
) -> None:
    with WebArchive(tiny, password="s3cret").serve() as node:
        page = use(replace(node, username="jörg"))
        assert "password" in page.search.search_lacks()
        page.choice.password.setText("wrong")
        click(page.search.go)
        settle()
        assert "user name or password" in window.cards.cards()[0].text()
        page.choice.password.setText("s3cret")
        click(page.search.go)
        settle()
        assert "Image 4 of 6" in page.search.card.about.text()
        click(page.search.fetch_study)
        settle()
    assert len(list((tmp_path / "inbox").glob("*/*.dcm"))) == 6
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".dcm"]
    assert kept
    assert not [file for file in kept if b"s3cret" in file.read_bytes()]


def test_what_came_of_a_broken_retrieval_is_kept_and_said(
    window: MainWindow, use: Use, archive: tuple[Archive, Node], settle: Settle, tmp_path: Path
) -> None:
    served, node = archive
    page = use(node)
    click(page.search.go)
    settle()
    served.break_after = 2
    click(page.search.fetch_study)
    settle()
    card = window.cards.cards()[0].text()
    assert "incomplete, 2 of 6 files came" in card
    assert "fetch again" in card
    assert "2 files came and are kept" in page.search.came.text()
    assert len(list((tmp_path / "inbox").glob("*/*.dcm"))) == 2
    served.break_after = None
    click(page.search.fetch_study)
    settle()
    assert page.search.came.text() == "✓ 4 files came, 2 were here already"


def test_another_node_is_another_archive(
    use: Use, archive: tuple[Archive, Node], settle: Settle
) -> None:
    node = archive[1]
    page = use(node, replace(node, name="other"))
    click(page.search.go)
    settle()
    assert page.search.fetch_study.isEnabled()
    page.choice.combo.setCurrentIndex(1)
    assert page.search.studies.model().rowCount() == 0
    assert page.search.series.model().rowCount() == 0
    assert "a study" in page.search.fetch_lacks(True)


def test_a_silent_node_is_left_long_before_its_patience_ends(
    window: MainWindow, use: Use, settle: Settle, qtbot: QtBot
) -> None:
    with WebArchive(mute=True).serve() as node:
        page = use(node)
        click(page.search.go)
        qtbot.waitUntil(lambda: bool(window.desk.jobs.jobs), timeout=5000)
        QTest.qWait(300)
        start_s = time.monotonic()
        window.job_bar.cancel_first()
        settle()
        assert time.monotonic() - start_s < node.timeout_s / 2
        assert page.search.said.text() == ""
        assert page.search.go.isEnabled()
        assert not window.cards.cards()


REFUSALS = (
    ({"ae_title": "WRONG"}, ["does not know the AE title WRONG", "Correct the node's AE title"]),
    ({"port": 1}, ["nothing listens at", "Check the node's port"]),
    ({"tls": network.Tls(verify=False)}, ["TLS with", "failed", "Check the CA file"]),
)


def test_a_refusal_is_a_card_with_a_remedy(
    window: MainWindow, use: Use, archive: tuple[Archive, Node], settle: Settle
) -> None:
    changed = [replace(archive[1], name=f"n{n}", **made) for n, (made, _) in enumerate(REFUSALS)]
    page = use(*changed)
    for number, (changes, words) in enumerate(REFUSALS):
        page.choice.combo.setCurrentIndex(number)
        click(page.search.go)
        settle()
        text = window.cards.cards()[0].text().replace("\u200b", "")
        assert all(word in text for word in words), text
        click(page.choice.test)
        settle()
        assert "▲ DICOM" in page.choice.said.text()
        assert page.choice.caution.isVisible() == ("tls" in changes)


def test_nothing_found_and_too_much_found_are_said(
    use: Use, archive: tuple[Archive, Node], settle: Settle
) -> None:
    served, node = archive
    page = use(node)
    page.search.query.id.setText("P2")
    click(page.search.go)
    settle()
    assert "nothing that matches" in page.search.said.text()
    assert not page.search.fetch_study.isEnabled()
    page.search.query.id.clear()
    page.search.query.first.setText("yesterday")
    assert "a date such as" in page.search.search_lacks()
    page.search.query.first.clear()
    served.instances = [study(number) for number in range(600)]
    click(page.search.go)
    settle()
    assert "The first 500 studies" in page.search.said.text()
    assert page.search.studies.model().rowCount() == 500
    page.search.studies.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    page.search.studies.selectRow(0)
    chosen = page.search.studies.selected()
    assert chosen is not None
    assert chosen.patient_id == "P0499"


def test_files_are_sent_and_vouched_for(
    use: Use,
    window: MainWindow,
    archive: tuple[Archive, Node],
    tiny: list[Path],
    settle: Settle,
) -> None:
    served, node = archive
    page = use(node)
    window.show_pacs("Send")
    send = page.send
    assert send.lacks() == "files to send"
    send.add(tiny[0].parent)
    served.report_to = ("127.0.0.1", page.receiver.settings.port)
    served.move_title = "HILUM"
    served.unknown = {dcmread(tiny[1]).SOPInstanceUID}
    send.commit.setChecked(True)
    click(send.send)
    settle()
    assert "5 of 6 files sent to archive; it vouches for keeping 5" in send.said.text()
    (problem,) = send.problems._records
    assert problem["sentence"].startswith(tiny[1].name)
    assert set(served.stored.values()) < {content(file) for file in tiny}


def test_images_that_others_send_are_received_and_shown(
    use: Use, window: MainWindow, tiny: list[Path], settle: Settle, tmp_path: Path, qtbot: QtBot
) -> None:
    page = use(Node("scanner", "127.0.0.1", 104, "SCANNER"))
    window.show_pacs("Receive")
    tab = page.receive
    click(tab.toggle)
    settle()
    assert "● HILUM listens at 127.0.0.1" in tab.said.text()
    port = page.receiver.settings.port
    stranger = Node("us", "127.0.0.1", port, "HILUM", "STRANGER")
    with pytest.raises(network.NetworkError):
        network.send(stranger, tiny)
    network.send(replace(stranger, own_ae_title="SCANNER"), tiny)
    qtbot.waitUntil(lambda: "6 files came" in tab.said.text(), timeout=5000)
    click(tab.toggle)
    assert page.receiver.running is None
    with pytest.raises(network.NetworkError):
        network.echo(replace(stranger, own_ae_title="SCANNER"))
    click(tab.look)
    settle()
    assert len(list((tmp_path / "inbox" / "received").iterdir())) == 6
    assert window.import_panel.selected() is not None
    kept = json.loads(page.receiver.file.read_text()) if page.receiver.file.exists() else {}
    assert kept in ({}, asdict(page.receiver.settings))


def test_leaving_the_page_and_coming_back(
    window: MainWindow, use: Use, archive: tuple[Archive, Node]
) -> None:
    page = use(archive[1])
    window.desk.bindings.refresh()
    assert window.middle.currentWidget() is page
    window.show_stage("Case")
    assert window.middle.currentWidget() is window.start_page
    window.show_pacs("Send")
    assert page.tabs.currentWidget() is page.send
    window.close_pacs()
    assert window.middle.currentWidget() is window.start_page


def test_the_results_of_a_plan_are_written_and_sent(
    window: MainWindow,
    use: Use,
    tiny: list[Path],
    settle: Settle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "case"
    with create_case(folder) as case:
        case.import_dicom(scan([tiny[0].parent]).volumes[0], "ct")
        source = case.record.sources["ct"]
        step = Step(
            "segmentation.threshold",
            "liver",
            inputs={"volume": "ct"},
            params={"lower_hu": 120, "upper_hu": 3000},
        )
        plan = Plan(source["frame_uid"], {"ct": source["sha256"]}, (step,))
        case.add_plan(plan, "Start")
        case.run(plan)

    def write_one(case: Path, name: str, place: Path, progress: Progress) -> None:
        place.mkdir()
        with open_case(case, write=False) as opened:
            write_dicom_result(opened, "liver", place / "liver.dcm")

    monkeypatch.setattr(pacs_send, "export_aside", write_one)  # the real one renders
    served = WebArchive()
    with served.serve() as node:
        page = use(node)
        window.show_pacs("Send")
        assert "a computed plan" in page.send.results.toolTip()
        window.open_case(folder)
        settle()
        window.show_pacs("Send")
        click(page.send.results)
        settle()
        (written,) = page.send.paths
        click(page.send.send)
        settle()
        assert "1 of 1 file sent" in page.send.said.text(), window.cards.cards()
        (uid,) = served.received
        assert dcmread(written / "liver.dcm").SOPInstanceUID == uid
        click(page.send.clear)
        assert not written.exists(), "what was written to be sent names a patient"


def test_a_real_pacs_from_the_window(
    window: MainWindow, use: Use, tiny: list[Path], settle: Settle, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc", port) as served:
        node = Node("orthanc", "127.0.0.1", served.dicom_port, served.ae_title, "PLANNER")
        web = {"dicomweb_url": served.dicomweb_url, "username": served.username}
        page = use(replace(node, **web))
        page.receiver.settings = replace(page.receiver.settings, port=port)
        page.receive.port.setValue(port)
        page.choice.password.setText(served.password)
        page.choice.echo()
        window.show_pacs("Send")
        page.send.add(tiny[0].parent)
        page.send.commit.setChecked(True)
        click(page.send.send)
        settle()
        assert page.choice.said.text().count("✓") == 2
        assert "6 of 6 files sent to orthanc; it vouches for keeping 6" in page.send.said.text()
        for how, came in (("web", "6 files came"), ("get", "6 were here"), ("move", "6 were here")):
            window.show_pacs()
            way(page, how)
            page.search.search()
            settle()
            assert "Image 4 of 6" in page.search.card.about.text()
            click(page.search.fetch_series)
            settle()
            assert came in page.search.came.text()
    assert not window.cards.cards()
