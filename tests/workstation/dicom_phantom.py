"""Tiny DICOM series whose voxel values follow from where they lie in the patient."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DSfloat

from workstation.dicom.files import DicomError, read, scan

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
WEIGHTS = np.array([3.0, 5.0, 7.0])
ROWS, COLUMNS, SLICES = 10, 14, 6
SPACING = (0.75, 1.25)  # between rows, between columns


def values_at(points_mm):
    """The value of the phantom at LPS points (..., 3): asymmetric in x, y and z."""
    return points_mm @ WEIGHTS


def slice_points(position, orientation, rows=ROWS, columns=COLUMNS, spacing=SPACING):
    """The LPS centres (rows, columns, 3) of a slice, from PS3.3 C.7.6.2.1.1."""
    j, i = np.mgrid[:rows, :columns]
    x, y = np.array(orientation[:3]), np.array(orientation[3:])
    return np.asarray(position) + i[..., None] * spacing[1] * x + j[..., None] * spacing[0] * y


def make_slice(position, orientation=AXIAL, *, number=1, series="1.2.3", modality="CT") -> Dataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series}.9.{number}"
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.StudyInstanceUID = series, "1.2"
    data.FrameOfReferenceUID = "1.2.99"
    data.Modality, data.SeriesDescription = modality, "SYNTHETIC tiny"
    data.PatientName, data.PatientID = "Doe^Jane", "P1"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.InstanceNumber = number
    data.Rows, data.Columns, data.SamplesPerPixel = ROWS, COLUMNS, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = 1
    data.PixelSpacing = [DSfloat(v, auto_format=True) for v in SPACING]
    data.ImagePositionPatient = [DSfloat(float(v), auto_format=True) for v in position]
    data.ImageOrientationPatient = [DSfloat(float(v), auto_format=True) for v in orientation]
    data.SliceThickness = 1.0
    if modality == "CT":
        data.RescaleSlope, data.RescaleIntercept = 1, -100
    fill(data, values_at(slice_points(position, orientation)))
    return data


def fill(data, values):
    slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    stored = np.rint((values - intercept) / slope).astype("<i2")
    data.PixelData = stored.tobytes()


def positions(count=SLICES, origin=(-8.0, 4.0, 30.0), step=(0.0, 0.0, 2.5)):
    return [tuple(np.asarray(origin) + k * np.asarray(step)) for k in range(count)]


def normal(orientation):
    return np.cross(orientation[:3], orientation[3:])


def write(
    folder: Path,
    places,
    orientation=AXIAL,
    *,
    edit: Callable[[Dataset, int], None] = lambda data, k: None,
    **kind,
) -> list[Path]:
    """Write one file per place; ``edit`` may change each data set before it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, place in enumerate(places):
        data = make_slice(place, orientation, number=k + 1, **kind)
        edit(data, k)
        paths.append(folder / f"IM{len(list(folder.iterdir())):03d}")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


def only(folder):
    found = scan([folder])
    assert len(found.volumes) == 1, found.to_json()
    return found.volumes[0]


def codes(volume):
    return [finding.code for finding in volume.findings]


def refusal(folder):
    volume = only(folder)
    assert volume.status == "refused"
    assert volume.geometry is None
    with pytest.raises(DicomError):
        read(volume)
    return volume.findings[0].code


def assert_true_everywhere(volume, tolerance=0.51):
    """Every voxel that holds image has the value that its place in the patient asks for."""
    k, j, i = np.indices(volume.array.shape)
    truth = values_at(volume.geometry.to_world(np.stack([i, j, k], axis=-1)))
    known = volume.array != -1024
    assert known.mean() > 0.5
    assert np.abs(volume.array - truth)[known].max() < tolerance
