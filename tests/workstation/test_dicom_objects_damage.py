"""Damaged objects: whatever byte is wrong, the reader reads or refuses by name."""

import random

import numpy as np
import pytest

from segmentation.contract import FrameMismatch, Number
from segmentation.volume import ImageGeometry, Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from tests.workstation.test_dicom_objects_rtstruct import GRID, rectangle, write
from workstation.dicom.encapsulated import read_document, write_pdf
from workstation.dicom.files import scan
from workstation.dicom.objects import origin_of
from workstation.dicom.rtstruct import read_structures
from workstation.dicom.segment_grid import Placed, grid_of
from workstation.dicom.segmentation_object import write_segmentation
from workstation.dicom.segmentation_reading import read_segmentation
from workstation.dicom.sources import DicomError
from workstation.dicom.structured_report import MeasuredGroup, read_report, write_report

READERS = {
    "seg": read_segmentation,
    "sr": read_report,
    "pdf": read_document,
    "rtstruct": lambda path: read_structures(path, GRID),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects")
    phantom.write(folder / "ct", phantom.positions())
    (volume,) = scan([folder / "ct"]).volumes
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[1:4, 3:6, 2:9] = 1
    labels = LabelMap(array, volume.geometry, {1: Label("liver", code="10200004")})
    seg = write_segmentation(labels, volume, folder / "seg.dcm")
    origin = origin_of(volume)
    group = MeasuredGroup("liver", (Number("volume", 1.5, "mL", "count", 1.0, 2.0),))
    write_report([group], origin, folder / "sr.dcm", segmentations=[seg])
    write_pdf(b"%PDF-1.7\n%%EOF", origin, folder / "pdf.dcm")
    structures = [("a", (1, 2, 3), [rectangle(1, 2.5, 3.5, 12.5, 15.5)])]
    write(folder / "rtstruct.dcm", structures)
    return {kind: (folder / f"{kind}.dcm").read_bytes() for kind in READERS}


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_object_is_read_or_refused_by_name(originals, tmp_path, kind):
    chance, path = random.Random(kind), tmp_path / "damaged.dcm"
    refused = 0
    for n in range(80):
        content = bytearray(originals[kind])
        for _ in range(chance.choice((1, 2, 8, 40))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content[: chance.randrange(len(content))] if n % 4 == 0 else content)
        try:
            READERS[kind](path)
        except (DicomError, FrameMismatch):
            refused += 1
    assert 10 < refused < 80


def test_a_missing_file_is_no_damaged_one(tmp_path):
    for reader in READERS.values():
        with pytest.raises(FileNotFoundError):
            reader(tmp_path / "none.dcm")


def test_two_frames_far_apart_claim_no_memory():
    frames = [Placed((0, 0, z), phantom.AXIAL, (1.0, 1.0), (512, 512), 0.01) for z in (0.0, 100.0)]
    with pytest.raises(DicomError, match="would have 512 x 512 x 10001 voxels"):
        grid_of(frames, "1.2")


def test_a_grid_of_frames_out_of_line_is_refused():
    frames = [Placed((x, 0, z), phantom.AXIAL, (1, 1), (4, 4), 1.0) for x, z in ((0, 0), (0, 1))]
    assert grid_of(frames, "1.2").stack.geometry == ImageGeometry(
        (4, 4, 2), (1, 1, 1), (0, 0, 0), np.eye(3).ravel(), "1.2"
    )
    beside = [*frames, Placed((0.5, 0, 1), phantom.AXIAL, (1, 1), (4, 4), 1.0)]
    with pytest.raises(DicomError, match="beside"):
        grid_of(beside, "1.2")
