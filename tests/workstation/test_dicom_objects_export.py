"""From a case to DICOM objects and back into a case."""

import numpy as np
import pydicom
import pytest

from segmentation.anatomy import ANATOMY
from segmentation.images import read_labels
from segmentation.volume import LabelMap
from workstation.__main__ import main
from workstation.case import CaseError, open_case
from workstation.dicom.encapsulated import read_document
from workstation.dicom.files import scan
from workstation.dicom.segmentation_object import write_segmentation
from workstation.dicom.segmentation_reading import read_segmentation
from workstation.dicom.structured_report import read_report
from workstation.dicom_export import provenance, write_dicom_result, write_measurements
from workstation.phantom import abdomen, write_dicom

PARTS = ("portal_vein", "hepatic_vein", "tumor")


@pytest.fixture(scope="module")
def patient():
    return abdomen(spacing_mm=(3.0, 3.0, 6.0))


@pytest.fixture(scope="module")
def planned(patient, tmp_path_factory):
    """A plan whose labels all came as DICOM segmentations, several segments in one file."""
    folder = tmp_path_factory.mktemp("objects")
    write_dicom(patient, folder / "ct")
    (series,) = scan([folder / "ct"]).volumes
    grid = patient.truth.geometry
    liver = LabelMap(patient.mask("liver"), grid, {1: ANATOMY["liver"]})
    write_segmentation(liver, series, folder / "liver.dcm")
    array = np.zeros(grid.shape, np.uint8)
    for n, name in enumerate(PARTS, start=1):
        array[patient.mask(name)] = n
    parts = LabelMap(array, grid, {n: ANATOMY[name] for n, name in enumerate(PARTS, start=1)})
    write_segmentation(parts, series, folder / "parts.dcm")
    files = {"ct": "ct", "liver": "liver.dcm"} | dict.fromkeys(PARTS, "parts.dcm")
    sources = [f"--source={name}={folder / file}" for name, file in files.items()]
    assert main(["plan", "liver-resection", "--case", str(folder / "case"), *sources]) == 0
    return folder / "case"


@pytest.fixture
def case(planned):
    with open_case(planned, write=False) as case:
        yield case


def placed(back, name, grid):
    """The voxels of a segment on ``grid``; the file keeps the slices that are not empty."""
    i, j, k = np.rint(grid.to_index(back.geometry.origin_mm)).astype(int)
    assert np.allclose(grid.to_world((i, j, k)), back.geometry.origin_mm, atol=1e-4)
    assert (i, j) == (0, 0)
    full = np.zeros(grid.shape, bool)
    full[k : k + back.geometry.size[2]] = back.mask(name)
    return full


def test_segmentations_are_label_sources(case, patient):
    for name in ("liver", *PARTS):
        assert np.array_equal(case.value(name).mask(), patient.mask(name))


def test_the_plan_reproduces_from_the_kept_files(case):
    plan = case.plan()
    for name, key in plan.sources.items():
        again = case.reread_source(name, key)
        assert np.array_equal(again.array, case.value(name).array)


def test_labels_go_onto_the_source_frames(case, planned, tmp_path):
    assert main(["export", str(planned), "vessels", str(tmp_path / "seg.dcm")]) == 0
    back = read_segmentation(tmp_path / "seg.dcm")
    vessels = case.value("vessels")
    for label in vessels.labels.values():
        found = placed(back, label.name, vessels.geometry)
        assert np.array_equal(found, vessels.mask(label.name))
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    assert data.SeriesDescription == "SYNTHETIC vessels, research use only"


def test_the_same_label_as_dicom_and_as_nrrd(case, tmp_path, planned):
    write_dicom_result(case, "remnant", tmp_path / "a.dcm")
    assert main(["export", str(planned), "remnant", str(tmp_path / "a.nrrd")]) == 0
    nrrd = read_labels(tmp_path / "a.nrrd")
    dicom = read_segmentation(tmp_path / "a.dcm")
    assert np.array_equal(placed(dicom, "remnant", nrrd.geometry), nrrd.mask())


@pytest.mark.parametrize("name", ["cut", "liver_surface"])
def test_surfaces_become_stl_in_the_frame_of_the_images(case, tmp_path, name):
    found = read_document(write_dicom_result(case, name, tmp_path / "stl.dcm"))
    assert found.frame_uid == case.plan().frame_uid
    assert found.content[:5] == b"Hilum"
    assert b"SPACE=LPS UNIT=mm" in found.content[:80]


def test_numbers_become_a_report_that_refers_to_the_segments(case, tmp_path):
    seg = write_dicom_result(case, "tumor", tmp_path / "seg.dcm")
    path = tmp_path / "sr.dcm"
    write_measurements(case, ["tumor", "margin"], path, segmentations=[seg])
    tumor, margin = read_report(path)
    assert tumor.segment == (pydicom.dcmread(seg).SOPInstanceUID, 1)
    assert tumor.numbers[0].value == pytest.approx(case.value("tumor").volume_ml())
    (kept,) = case.value("margin").numbers
    (found,) = margin.numbers
    assert found.value == pytest.approx(kept.value)
    assert (found.low, found.high) == (pytest.approx(kept.low), pytest.approx(kept.high))
    assert read_report(write_dicom_result(case, "margin", path))[0].name == "margin"


def test_what_has_no_dicom_form_is_named(case, tmp_path):
    with pytest.raises(CaseError, match="no DICOM form"):
        write_dicom_result(case, "ct", tmp_path / "x.dcm")
    with pytest.raises(CaseError, match="no number"):
        write_dicom_result(case, "portal_pressure", tmp_path / "x.dcm")
    assert not list(tmp_path.iterdir())


def test_only_an_untouched_proposal_is_automatic(case):
    plan = case.plan()
    assert provenance(case, plan, "liver") == ("SEMIAUTOMATIC", "segmentation.conform")
    assert provenance(case, plan, "liver_file") == ("SEMIAUTOMATIC", "label file")
    step = plan.step("liver")
    proposed = type(step)("segmentation.propose_liver", "liver", 1, {"volume": "ct"})
    steps = tuple(proposed if s.output == "liver" else s for s in plan.steps)
    automatic = type(plan)(plan.frame_uid, plan.sources, steps)
    assert provenance(case, automatic, "liver") == ("AUTOMATIC", "segmentation.propose_liver")
    assert provenance(case, automatic, "specimen")[0] == "SEMIAUTOMATIC"  # a hand may move the cut
