"""Radiotherapy contours: analytic shapes become the voxels whose centres they enclose."""

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry
from tests.workstation import dicom_phantom as phantom
from workstation.dicom.label_source import is_dicom, read_label_source, split_structure
from workstation.dicom.rtstruct import even_odd, read_structures
from workstation.dicom.sources import DicomError

OBLIQUE = np.column_stack(
    [phantom.OBLIQUE[:3], phantom.OBLIQUE[3:], phantom.normal(phantom.OBLIQUE)]
)
GRID = ImageGeometry((24, 20, 6), (1.25, 0.75, 2.5), (-8, 4, 30), OBLIQUE.ravel(), "1.2.99")


def rectangle(k, left, top, right, bottom):
    """Corners in index space, at half voxels so that no centre lies on an edge."""
    return [(left, top, k), (right, top, k), (right, bottom, k), (left, bottom, k)]


def write(path, structures, frame="1.2.99", kind="CLOSED_PLANAR", patient="P1", points_mm=False):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = "1.2.77"
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, "1.2.77"
    data.Modality, data.PatientID, data.PatientName = "RTSTRUCT", patient, "Doe^Jane"
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for n, (name, colour, contours) in enumerate(structures, start=5):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = n, name, frame
        drawn.ReferencedROINumber, drawn.ROIDisplayColor = n, list(colour)
        drawn.ContourSequence = []
        for corners in contours:
            contour = Dataset()
            contour.ContourGeometricType = kind
            contour.NumberOfContourPoints = len(corners)
            points = np.array(corners) if points_mm else GRID.to_world(corners)
            contour.ContourData = [f"{v:.5f}" for v in points.ravel()]
            drawn.ContourSequence.append(contour)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.insert(0, drawn)  # the order of the two lists may differ
    data.save_as(path, enforce_file_format=True)
    return path


def test_shapes_holes_names_and_colours(tmp_path):
    ring = [rectangle(1, 2.5, 3.5, 12.5, 15.5), rectangle(1, 5.5, 6.5, 9.5, 11.5)]
    keyhole = [
        (2.5, 3.5, 2), (12.5, 3.5, 2), (12.5, 15.5, 2), (2.5, 15.5, 2), (2.5, 9.2, 2),
        (5.5, 9.2, 2), (5.5, 11.5, 2), (9.5, 11.5, 2), (9.5, 6.5, 2), (5.5, 6.5, 2),
        (5.5, 9.2, 2), (2.5, 9.2, 2),
    ]  # fmt: skip
    spot = rectangle(4, 20.5, 1.5, 21.5, 4.5)
    path = write(
        tmp_path / "rs.dcm",
        [("Leber", (200, 10, 30), [*ring, keyhole]), ("Herd", (1, 2, 3), [spot])],
    )
    found = read_structures(path, GRID)
    expected = np.zeros(GRID.shape, bool)
    expected[1:3, 4:16, 3:13] = True
    expected[1:3, 7:12, 6:10] = False
    assert np.array_equal(found.mask("Leber"), expected)
    other = np.zeros(GRID.shape, bool)
    other[4, 2:5, 21] = True
    assert np.array_equal(found.mask("Herd"), other)
    assert found.labels[1].colour == (200, 10, 30)
    assert found.labels[2].name == "Herd"
    assert not found.findings
    assert found.patient.patient_id == "P1"


def test_overlapping_structures_are_kept_apart(tmp_path):
    whole, part = rectangle(1, 2.5, 3.5, 12.5, 15.5), rectangle(1, 5.5, 6.5, 9.5, 11.5)
    path = write(tmp_path / "rs.dcm", [("a", (1, 2, 3), [whole]), ("b", (4, 5, 6), [part])])
    found = read_structures(path, GRID)
    assert (found.mask("a").sum(), found.mask("b").sum()) == (10 * 12, 4 * 5)
    assert [f.code for f in found.findings] == ["structures_overlap"]


def test_doubts_are_told_and_nonsense_is_refused(tmp_path):
    path = tmp_path / "rs.dcm"
    beyond = [rectangle(1, 20.5, 3.5, 40.5, 5.5), rectangle(9, 2.5, 3.5, 5.5, 5.5)]
    found = read_structures(write(path, [("a", (1, 2, 3), beyond)]), GRID)
    assert [f.code for f in found.findings] == ["contour_outside"]
    assert found.findings[0].sentence.startswith("2 contours")
    assert found.mask("a").sum() == 3 * 2
    lines = write(path, [("a", (1, 2, 3), [rectangle(1, 2.5, 3.5, 5.5, 5.5)])], kind="OPEN_PLANAR")
    codes = [f.code for f in read_structures(lines, GRID).findings]
    assert codes == ["contour_open", "empty_label"]
    between = write(path, [("a", (1, 2, 3), [rectangle(1.4, 2.5, 3.5, 5.5, 5.5)])])
    with pytest.raises(DicomError, match="between the slices"):
        read_structures(between, GRID)
    across = write(path, [("a", (1, 2, 3), [[(1, 1, 1), (5, 1, 1), (5, 5, 3)]])])
    with pytest.raises(DicomError, match="across"):
        read_structures(across, GRID)
    other = write(path, [("a", (1, 2, 3), [])], frame="1.2.98")
    with pytest.raises(FrameMismatch):
        read_structures(other, GRID)
    data = pydicom.dcmread(path)
    del data.StructureSetROISequence
    data.save_as(path)
    with pytest.raises(DicomError, match="damaged"):
        read_structures(path, GRID)


def test_one_structure_is_a_label_source(tmp_path):
    parts = [("GTV 1", (1, 2, 3), [rectangle(1, 2.5, 3.5, 12.5, 15.5)]),
             ("Body", (4, 5, 6), [rectangle(1, 1.5, 1.5, 20.5, 17.5)])]  # fmt: skip
    path = write(tmp_path / "RS.1.2.77", parts)
    assert is_dicom(path)
    tumor = read_label_source(path, "tumor", "GTV 1", "1.2.99", "P1", lambda: GRID)
    assert (tumor.mask().sum(), [x.name for x in tumor.labels.values()]) == (10 * 12, ["tumor"])
    assert [(f.code, f.severity) for f in tumor.findings] == [("structure_chosen", "info")]
    assert read_label_source(path, "Body", grid=lambda: GRID).mask().sum() == 19 * 16
    with pytest.raises(DicomError, match="structures GTV 1, Body; none is called 'tumor'"):
        read_label_source(path, "tumor", grid=lambda: GRID)
    with pytest.raises(DicomError, match="need the image"):
        read_label_source(path, "Body")
    with pytest.raises(DicomError, match="another patient"):
        read_label_source(path, "Body", patient_id="P2", grid=lambda: GRID)
    assert split_structure(tmp_path / "RS.1.2.77#GTV 1") == (path, "GTV 1")
    assert split_structure(path) == (path, "")


corner = st.tuples(st.floats(-3, 14), st.floats(-3, 12))


@given(st.lists(corner, min_size=3, max_size=9))
def test_even_odd_equals_the_winding_of_a_ray(points):
    """Compared with a ray to the right from each pixel centre, one at a time."""
    polygon = np.array(points)
    found = even_odd([polygon], (10, 12))
    for j in range(10):
        for i in range(12):
            crossed = 0
            for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1]):
                if (y1 <= j) != (y2 <= j):
                    crossed += x1 + (j - y1) * (x2 - x1) / (y2 - y1) > i
            assert found[j, i] == crossed % 2


@given(st.integers(1, 11), st.integers(1, 9))
def test_neighbours_that_share_an_edge_neither_overlap_nor_leave_a_gap(x, y):
    """Edges through pixel centres: each pixel belongs to exactly one of four parts."""
    total = np.zeros((10, 12), int)
    for left, right in ((0, x), (x, 12)):
        for top, bottom in ((0, y), (y, 10)):
            part = [(left, top), (right, top), (right, bottom), (left, bottom)]
            total += even_odd([np.array(part, float)], (10, 12))
    assert (total == 1).all()


def test_a_real_structure_set_is_read_or_named(real_data):
    path = real_data / "dicom_zoo" / "pydicom" / "rtstruct.dcm"
    with pytest.raises((DicomError, FrameMismatch)):
        read_structures(path, GRID)
