"""A scan tells what a study's objects hold that are no images."""

import json

import numpy as np
import pydicom
import pytest

from segmentation.contract import Number
from segmentation.volume import Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from tests.workstation.test_dicom_objects_rtstruct import rectangle
from tests.workstation.test_dicom_objects_rtstruct import write as write_contours
from workstation.__main__ import main
from workstation.dicom.encapsulated import write_pdf
from workstation.dicom.files import scan
from workstation.dicom.objects import origin_of
from workstation.dicom.segmentation_object import write_segmentation
from workstation.dicom.structured_report import MeasuredGroup, write_report


@pytest.fixture
def study(tmp_path):
    """A tiny CT with a segmentation, a report, a document and contours beside it."""
    phantom.write(tmp_path / "ct", phantom.positions())
    (volume,) = scan([tmp_path / "ct"]).volumes
    origin = origin_of(volume)
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[2, 3:5, 4:9] = 2
    labels = LabelMap(array, volume.geometry, {2: Label("liver", code="10200004")})
    write_segmentation(labels, volume, tmp_path / "seg.dcm")
    numbers = (Number("volume", 12.5, "mL", "count", 12.0, 13.0), Number("area", 7.0, "cm2", "x"))
    groups = [MeasuredGroup("liver", numbers)]
    write_report(groups, origin, tmp_path / "sr.dcm", comments=["mind the gap"])
    write_pdf(b"%PDF-1.7\n%%EOF", origin, tmp_path / "pdf.dcm", title="Letter")
    write_contours(tmp_path / "RS", [("GTV", (1, 2, 3), [rectangle(1, 2.5, 3.5, 6.5, 7.5)])])
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def scanned(folder, capsys):
    assert main(["scan", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    return document, {record["modality"]: record for record in document["objects"]}


def test_objects_are_listed_with_what_they_hold(study, capsys):
    document, objects = scanned(study, capsys)
    (volume,) = document["volumes"]
    assert volume["status"] == "ok"
    assert "unreadable_neighbour" not in [f["code"] for f in volume["findings"]]
    assert set(objects) == {"SEG", "SR", "DOC", "RTSTRUCT"}
    assert objects["SEG"]["structures"] == [{"name": "liver", "code": "10200004"}]
    assert [s["name"] for s in objects["RTSTRUCT"]["structures"]] == ["GTV"]
    assert objects["SR"]["numbers"] == [
        {"name": "liver.volume", "value": 12.5, "unit": "mL"}
        | {"low": 12.0, "high": 13.0, "source": "count"},
        {"name": "liver.area", "value": 7.0, "unit": "cm2"}
        | {"low": None, "high": None, "source": "x"},
    ]
    assert objects["SR"]["comments"][-1] == "mind the gap"
    assert (objects["DOC"]["title"], objects["DOC"]["bytes"]) == ("Letter", 14)


def test_people_read_the_same(study, capsys):
    assert main(["scan", str(study)]) == 0
    printed = capsys.readouterr().out
    for words in ("structures: liver", "liver.volume 12.5 mL (12 to 13)", "Letter", "GTV"):
        assert words in printed


def test_a_damaged_object_is_listed_with_its_problem(study, capsys):
    data = pydicom.dcmread(study / "seg.dcm")
    del data.SegmentSequence
    data.save_as(study / "seg.dcm")
    _, objects = scanned(study, capsys)
    assert "damaged segmentation" in objects["SEG"]["problem"]
    assert "structures" in objects["RTSTRUCT"]
