"""CT series that are made up for measuring: a noisy cylinder, written slice by slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless

PRIVATE_BYTES = 8000  # scanners write about as much of their own into each header


def write_series(
    folder: Path,
    count: int,
    size: int,
    series_uid: str,
    *,
    jpeg_ls: bool = False,
    bone: bool = False,
) -> None:
    """Write ``count`` axial slices of ``size`` x ``size`` voxels of 0.7 x 0.7 x 1 mm.

    ``bone`` puts a wavy shell of bone around the cylinder.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size] - size / 2
    body = np.where(np.hypot(x, y) < 0.4 * size, 1064, 24)
    if bone:
        waves = 0.37 * size + 0.01 * size * np.sin(12 * np.arctan2(y, x))
        body[np.abs(np.hypot(x, y) - waves) < 0.02 * size] = 1900
    for k in range(count):
        stored = np.clip(body + rng.normal(0, 12, body.shape), 0, 4095).astype("<u2")
        image = _slice(series_uid, k, size)
        image.PixelData = stored.tobytes()
        image["PixelData"].VR = "OW"
        if jpeg_ls:
            image.compress(JPEGLSLossless, generate_instance_uid=False)
        image.save_as(folder / f"{k:05d}.dcm", enforce_file_format=True)


def _slice(series_uid: str, k: int, size: int) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"{series_uid}.{k + 1}"
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.826.0.9", series_uid
    image.FrameOfReferenceUID = "1.2.826.0.8"
    image.PatientName, image.PatientID = "SYNTHETIC^BENCHMARK", "B1"
    image.PatientBirthDate, image.PatientSex, image.StudyDate = "19700101", "O", "20240101"
    image.Modality, image.SeriesDescription = "CT", "SYNTHETIC cylinder"
    image.Manufacturer, image.ConvolutionKernel, image.KVP = "None", "B30f", "120"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.InstanceNumber, image.SliceThickness = k + 1, "1"
    image.ImagePositionPatient = [-0.35 * size, -0.35 * size, float(k)]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [0.7, 0.7]
    image.Rows = image.Columns = size
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.RescaleSlope, image.RescaleIntercept = "1", "-1024"
    image.private_block(0x0029, "BENCHMARK", create=True).add_new(0x10, "OB", bytes(PRIVATE_BYTES))
    return image
