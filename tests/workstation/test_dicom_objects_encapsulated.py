"""Surfaces, documents and pictures: the same bytes come back, with patient, frame and unit."""

import numpy as np
import pydicom
import pytest

from meshing.files import read_surface, write_surface
from meshing.surface import isosurface
from segmentation.contract import FrameMismatch
from segmentation.volume import Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from workstation.dicom.encapsulated import read_document, write_capture, write_pdf, write_stl
from workstation.dicom.files import scan
from workstation.dicom.objects import origin_of, rgb_of
from workstation.dicom.sources import DicomError

PDF = b"%PDF-1.7\nan odd number of bytes\n%%EOF"
assert len(PDF) % 2


@pytest.fixture
def origin(tmp_path):
    phantom.write(tmp_path / "ct", phantom.positions())
    (volume,) = scan([tmp_path / "ct"]).volumes
    return origin_of(volume)


@pytest.fixture
def surface(origin):
    grid = origin.scanned.geometry
    array = np.zeros(grid.shape, np.uint8)
    array[1:4, 2:6, 3:7] = 1
    array[4, 3, 5] = 1
    return isosurface(LabelMap(array, grid, {1: Label("organ", (10, 200, 30))}))


def stl_of(surface, tmp_path):
    return write_surface(surface, tmp_path / "s.stl").read_bytes()


def test_stl_comes_back_byte_for_byte_where_it_was(origin, surface, tmp_path):
    content = stl_of(surface, tmp_path)
    path = tmp_path / "stl.dcm"
    write_stl(content, origin, path, frame_uid="1.2.99", title="organ", colour=surface.colour)
    back = read_document(path)
    assert back.content == content
    assert (back.kind, back.title, back.frame_uid) == ("model/stl", "organ", "1.2.99")
    (tmp_path / "again.stl").write_bytes(back.content)
    again = read_surface(tmp_path / "again.stl", frame_uid=back.frame_uid)
    assert np.allclose(again.points_mm.min(axis=0), surface.points_mm.min(axis=0), atol=1e-4)
    data = pydicom.dcmread(path)
    assert data.MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    assert rgb_of(data.RecommendedDisplayCIELabValue) == surface.colour
    assert len(data.SourceInstanceSequence) == phantom.SLICES


def test_pdf_of_odd_length_comes_back_byte_for_byte(origin, tmp_path):
    write_pdf(PDF, origin, tmp_path / "pdf.dcm", title="Liver plan")
    back = read_document(tmp_path / "pdf.dcm")
    assert (back.content, back.kind, back.title) == (PDF, "application/pdf", "Liver plan")


@pytest.mark.parametrize("shape", [(7, 9, 3), (4, 5, 3)])
def test_picture_comes_back_pixel_for_pixel(origin, tmp_path, shape):
    picture = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    write_capture(picture, origin, tmp_path / "sc.dcm")
    data = pydicom.dcmread(tmp_path / "sc.dcm")
    assert np.array_equal(data.pixel_array, picture)
    assert data.BurnedInAnnotation == "YES"


def test_all_say_whose_they_are_and_what_for(origin, surface, tmp_path):
    content = stl_of(surface, tmp_path)
    write_stl(content, origin, tmp_path / "a.dcm", frame_uid="1.2.99", title="x" * 90)
    write_pdf(PDF, origin, tmp_path / "b.dcm")
    write_capture(np.zeros((2, 2, 3), np.uint8), origin, tmp_path / "c.dcm")
    found = [pydicom.dcmread(tmp_path / f"{n}.dcm") for n in "abc"]
    for data in found:
        assert (str(data.PatientName), data.PatientID) == ("Doe^Jane", "P1")
        assert data.StudyInstanceUID == "1.2"
        assert data.ContentQualification == "RESEARCH"
        assert data.QualityControlSubject == "YES"
        assert data.SeriesDescription.startswith("SYNTHETIC ")
        assert data.SeriesDescription.endswith("research use only")
        assert len(data.SeriesDescription) <= 64
    assert len({d.SeriesInstanceUID for d in found} | {"1.2.3"}) == 4


def test_what_is_not_what_it_says_is_refused(origin, surface, tmp_path):
    content, path = stl_of(surface, tmp_path), tmp_path / "x.dcm"
    with pytest.raises(ValueError, match="no whole binary STL"):
        write_stl(content[:-1], origin, path, frame_uid="1.2.99", title="organ")
    with pytest.raises(FrameMismatch):
        write_stl(content, origin, path, frame_uid="1.2.98", title="organ")
    with pytest.raises(ValueError, match="no PDF"):
        write_pdf(content, origin, path)
    with pytest.raises(ValueError, match="uint8"):
        write_capture(np.zeros((2, 2, 4), np.uint8), origin, path)
    with pytest.raises(DicomError, match="carries no document"):
        read_document(origin.scanned.files[0].path)
    assert not path.exists()
    write_pdf(PDF, origin, path)
    data = pydicom.dcmread(path)
    data.EncapsulatedDocumentLength = 4000
    data.save_as(path)
    with pytest.raises(DicomError, match="claims 4000"):
        read_document(path)
