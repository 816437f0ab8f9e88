"""The dialog that saves images without identity, on a small case."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PySide6.QtCore import Qt

from tests.workstation import dicom_phantom as phantom
from workstation.case import case_for_writing, open_case
from workstation.dicom.files import scan
from workstation.dicom.look import picture, to_look_at
from workstation.dicom.sources import source_of
from workstation.session import Session
from workstation.ui.deidentify_dialog import DATES, HELD, DeidentifyDialog
from workstation.ui.desk import Desk


def derived(data, k):
    data.ImageType = ["DERIVED", "SECONDARY"]


@pytest.fixture
def desk(qtbot, tmp_path):
    phantom.write(tmp_path / "in", phantom.positions(), edit=derived)
    with case_for_writing(tmp_path / "case") as case:
        case.import_dicom(scan([tmp_path / "in"]).volumes[0], "ct")
    session = Session()
    session.adopt(open_case(tmp_path / "case"))
    made = Desk(session)
    yield made
    made.close()


@pytest.fixture
def dialog(qtbot, desk):
    made = DeidentifyDialog(desk)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: bool(made.looks) and not made.picture.pixmap().isNull(), timeout=10000)
    yield made
    made.close()


def written(folder: Path):
    return [pydicom.dcmread(path) for path in folder.rglob("*.dcm")]


def save(qtbot, dialog, folder):
    dialog.save_to(folder)
    qtbot.waitUntil(lambda: dialog.save.isEnabled(), timeout=20000)


def test_nothing_leaves_before_somebody_looked(qtbot, dialog, tmp_path):
    assert dialog.state.text() == HELD
    assert dialog.list.item(0).checkState() == Qt.CheckState.Unchecked
    assert "6 files" in dialog.list.item(0).text()
    save(qtbot, dialog, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "nothing was written" in dialog.state.text()


def test_what_was_looked_at_is_written_as_chosen(qtbot, dialog, tmp_path):
    dialog.list.item(0).setCheckState(Qt.CheckState.Checked)
    dialog.subject.setText("S1")
    dialog.dates.setCurrentText(DATES[1][0])
    save(qtbot, dialog, tmp_path / "out")
    assert "6 files written" in dialog.state.text()
    made = written(tmp_path / "out")
    assert {str(d.PatientID) for d in made} == {"S1"}
    codes = [i.CodeValue for i in made[0].DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107"]


def test_every_image_can_be_looked_at(qtbot, dialog):
    first = dialog.picture.pixmap().toImage()
    dialog.slider.setValue(5)
    assert dialog.place.text() == "Image 6 of 6   2 of them shown so far"
    qtbot.waitUntil(lambda: dialog.picture.pixmap().toImage() != first, timeout=10000)


def test_an_error_is_told(qtbot, dialog, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    save(qtbot, dialog, tmp_path / "full")
    assert "there already" in dialog.state.text()


def test_closing_stops_the_work(qtbot, desk):
    made = DeidentifyDialog(desk)
    qtbot.addWidget(made)
    made.show()
    made.reject()
    qtbot.waitUntil(lambda: not desk.jobs.jobs, timeout=10000)
    assert made.looks == ()


def test_text_is_seen_that_a_window_would_hide(tmp_path):
    def whispered(data, k):
        pixels = np.full((10, 14), 3000, "<i2")
        pixels[2, 3:6] = 3001  # as faint as can be
        pixels[8, 13] = -2000
        data.PixelData = pixels.tobytes()
        data.WindowCenter, data.WindowWidth = 40, 400

    (path,) = phantom.write(tmp_path, phantom.positions(1), edit=whispered)
    grey, aspect = picture(source_of(path))
    assert aspect == pytest.approx(0.6)
    assert np.all(grey[2, 3:6].astype(int) - grey[2, 0] > 20)
    assert grey[8, 13] == 0


def test_colours_are_shown_too(tmp_path):
    def coloured(data, k):
        data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
        data.PlanarConfiguration, data.BitsAllocated = 0, 8
        data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 7, 0
        data.PixelData = np.arange(10 * 14 * 3, dtype=np.uint16).astype(np.uint8).tobytes()

    (path,) = phantom.write(tmp_path, phantom.positions(1), edit=coloured)
    grey, _ = picture(source_of(path))
    assert grey.shape == (10, 14)
    assert np.all(np.diff(grey[0].astype(int)) > 0)
    (look,) = to_look_at([tmp_path])
    assert (look.final, len(look.files)) == (False, 1)
