"""How scanned volumes and unused files read."""

from pathlib import Path

import pytest

from tests.workstation.dicom_phantom import AXIAL, OBLIQUE, SAGITTAL, normal, only, positions, write
from workstation.dicom.files import scan
from workstation.dicom.sources import Ignored
from workstation.ui.unused_files import UnusedModel, holdings, summary
from workstation.ui.volume_words import (
    orientation_text,
    place_text,
    size_text,
    spacing_text,
    status_text,
)

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@pytest.mark.parametrize(
    ("orientation", "words"),
    [
        (AXIAL, "axial"),
        (SAGITTAL, "sagittal"),
        (CORONAL, "coronal"),
        (OBLIQUE, "oblique, near coronal"),
    ],
)
def test_orientation_has_the_radiologists_name(
    tmp_path: Path, orientation: tuple[float, ...], words: str
) -> None:
    write(tmp_path, positions(4, step=2.5 * normal(orientation)), orientation)
    assert orientation_text(only(tmp_path)) == words


def test_a_refused_volume_tells_what_its_images_say(tmp_path: Path) -> None:
    places = positions(9)
    write(tmp_path, places[:4] + places[5:], SAGITTAL[:3] + SAGITTAL[3:])
    volume = only(tmp_path)
    assert volume.status == "refused"
    assert size_text(volume) == "14 × 10 × 8"
    assert spacing_text(volume) == "1.25 × 0.75 × ?"
    assert orientation_text(volume) == "sagittal"
    assert status_text([volume]) == "▲ refused"


def test_a_path_is_told_from_the_folder_that_was_opened() -> None:
    assert place_text("/a/b/c.dcm", "/a") == "b/c.dcm"
    assert place_text("/x/c.dcm", "/a") == "/x/c.dcm"


def test_damaged_files_come_first_and_reasons_are_counted() -> None:
    files = [Ignored(f"/a/{n:02d}.txt", "not a DICOM file") for n in range(5)]
    files += [Ignored("/a/x.dcm", "the file ends early", damaged=True)]
    assert summary(files).splitlines() == [
        "5 × not a DICOM file; 1 × the file ends early.",
        "▲ 1 may have been slices: they are damaged.",
    ]
    model = UnusedModel()
    model.show(files, "/a")
    assert model.rowCount() == 6
    assert model.index(0, 0).data() == "▲ the file ends early"
    assert model.index(1, 1).data() == "00.txt"


def test_what_objects_hold_is_looked_up_and_shown(real_data: Path) -> None:
    folder = real_data / "dicom_seg_dcmqi"
    ignored = scan([folder]).ignored
    held = holdings(ignored)
    assert sorted(held.values()) == [
        "structures: GREEN, ORANGE, PURPLE, LIGHT_BLUE, DARK_BLUE",
        "structures: Liver",
    ]
    model = UnusedModel()
    model.show(ignored, str(folder))
    model.show_holdings(held)
    rows = [[model.index(n, c).data() for c in range(3)] for n in range(model.rowCount())]
    assert [
        "a segmentation, not an image",
        "data/segmentations/liver.dcm",
        "structures: Liver",
    ] in rows
