"""Measurement reports: numbers, units, bands and references survive; others can read them."""

import math

import numpy as np
import pydicom
import pytest
from pydicom.sr.coding import Code

from segmentation.contract import Number
from segmentation.volume import Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from workstation.dicom import structured_report
from workstation.dicom.files import scan
from workstation.dicom.objects import UnfaithfulObject, origin_of
from workstation.dicom.segmentation_object import write_segmentation
from workstation.dicom.sources import DicomError
from workstation.dicom.structured_report import MeasuredGroup, read_report, write_report

SOURCE = "voxel count x voxel volume"
LIVER = MeasuredGroup(
    "liver", (Number("volume", 1612.4375, "mL", SOURCE, 1588.25, 1637.5),), "10200004"
)
TUMOR = MeasuredGroup("tumor", (Number("volume", 1 / 3, "mL", SOURCE),), "4147007")
OTHER = MeasuredGroup(
    "plan",
    (
        Number("minimum", 7.25, "mm", "tumour to plane"),
        Number("area", 112.3, "cm2", "plane inside the organ"),
        Number("largest_diameter", 9.1, "mm", "circle of equal area"),
        Number("before", 12.0, "mmHg", "entered by hand"),
        Number("arterial_flow_after", 0.3, "L/min", "model"),
        Number("a_quantity_of_a_very_long_name_indeed", -33.3, "%", "share"),
        Number("crossed", 4.0, "", "count"),
    ),
)


@pytest.fixture
def volume(tmp_path):
    phantom.write(tmp_path / "ct", phantom.positions())
    (volume,) = scan([tmp_path / "ct"]).volumes
    return volume


@pytest.fixture
def segmentation(volume, tmp_path):
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[1:3, 2:5, 3:7] = 1
    array[4, 4, 4:9] = 2
    names = {1: Label("tumor", code="4147007"), 2: Label("liver", code="10200004")}
    labels = LabelMap(array, volume.geometry, names)
    return write_segmentation(labels, volume, tmp_path / "seg.dcm")


def test_numbers_come_back_with_unit_band_and_source(volume, tmp_path):
    write_report([LIVER, TUMOR, OTHER], origin_of(volume), tmp_path / "sr.dcm")
    back = read_report(tmp_path / "sr.dcm")
    assert [g.name for g in back] == ["liver", "tumor", "plan"]
    assert [g.code for g in back] == ["10200004", "4147007", ""]
    for group, found in zip((LIVER, TUMOR, OTHER), back):
        for one, other in zip(group.numbers, found.numbers, strict=True):
            assert (other.quantity, other.unit, other.source) == (
                one.quantity, one.unit, one.source
            )  # fmt: skip
            assert math.isclose(other.value, one.value, rel_tol=1e-12)
    liver = back[0].numbers[0]
    assert (liver.low, liver.high) == (1588.25, 1637.5)
    assert back[1].numbers[0].low is None


def test_units_are_ucum_and_a_group_refers_to_its_segment(volume, segmentation, tmp_path):
    path = tmp_path / "sr.dcm"
    write_report([LIVER, TUMOR, OTHER], origin_of(volume), path, segmentations=[segmentation])
    seg, sr = pydicom.dcmread(segmentation), pydicom.dcmread(path)
    liver, tumor, plan = read_report(path)
    assert liver.segment == (seg.SOPInstanceUID, 2)
    assert tumor.segment == (seg.SOPInstanceUID, 1)
    assert plan.segment is None
    assert tumor.uid == seg.SegmentSequence[0].TrackingUID
    units = {
        e.value for e in sr.iterall() if e.keyword == "CodeValue" and e.value in ("mm[Hg]", "mmHg")
    }
    assert units == {"mm[Hg]"}
    cited = {
        image.ReferencedSOPInstanceUID
        for study in sr.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }
    assert seg.SOPInstanceUID in cited
    assert len(cited) == phantom.SLICES + 1
    assert (sr.Modality, sr.PatientID, sr.ContentQualification) == ("SR", "P1", "RESEARCH")
    assert sr.StudyInstanceUID == seg.StudyInstanceUID
    assert sr.SeriesDescription.startswith("SYNTHETIC ")


def test_what_cannot_be_reported_is_refused(volume, tmp_path, monkeypatch):
    origin, path = origin_of(volume), tmp_path / "sr.dcm"
    with pytest.raises(ValueError, match="no number"):
        write_report([MeasuredGroup("empty", ())], origin, path)
    with pytest.raises(ValueError, match="came out as nan"):
        Number("volume", math.nan, "mL", SOURCE)
    monkeypatch.setattr(structured_report, "ucum_of", lambda unit: Code("mm", "UCUM", "mm"))
    with pytest.raises(UnfaithfulObject, match="mL"):
        write_report([LIVER], origin, path)
    assert not path.exists()


def test_what_is_no_report_is_named(volume, tmp_path):
    with pytest.raises(DicomError, match="no structured report"):
        read_report(volume.files[0].path)
    path = write_report([LIVER], origin_of(volume), tmp_path / "sr.dcm")
    data = pydicom.dcmread(path)
    (group,) = structured_report._items(data, "125007")
    number = next(item for item in group.ContentSequence if item.ValueType == "NUM")
    number.MeasuredValueSequence = []
    data.save_as(path)
    assert read_report(path)[0].numbers == ()  # "could not be measured" is no zero
