"""A synthetic patient as a DICOM CT series on disk."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from segmentation.contract import Progress, silent
from workstation.phantom.patient import Phantom, stable_uid

_RESCALE_INTERCEPT = -1024
_DATE, _TIME = "20240102", "093000"


def write_dicom(phantom: Phantom, folder: Path | str, progress: Progress = silent) -> list[Path]:
    """Write the CT as one CT Image Storage series (PS3.3 A.3) and return its files.

    The files come in slice order, head first, but their names are in no order, as on many
    media. All appear at once: nothing is left if writing stops half-way. The same phantom
    gives the same bytes.

    Args:
        phantom: the patient to write.
        folder: made if it is not there.
        progress: told how far the work is.

    Raises:
        OSError: if the folder cannot be written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    slices = phantom.volume.geometry.size[2]
    study = stable_uid("study", phantom.volume.geometry.frame_uid, phantom.volume.array.tobytes())
    written: dict[Path, Path] = {}
    try:
        for n in range(slices):
            progress(n / slices, f"writing slice {n + 1} of {slices}")
            image = _slice(phantom, slices - 1 - n, n + 1, study)
            part = target / f".{stable_uid(image.SOPInstanceUID)[-10:]}.part"
            written[part] = part.with_name(part.name[1:]).with_suffix(".dcm")
            image.save_as(part, enforce_file_format=True)
        for part, final in written.items():
            part.replace(final)
    finally:
        for part in written:
            part.unlink(missing_ok=True)
    return list(written.values())


def _slice(phantom: Phantom, k: int, number: int, study: str) -> Dataset:
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    _describe_patient(image, phantom, study)
    _describe_series(image, phantom, study)
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = stable_uid(study, "image", str(number))
    image.InstanceNumber = number
    _place(image, phantom, k)
    _fill_pixels(image, phantom, k)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _describe_patient(image: Dataset, phantom: Phantom, study: str) -> None:
    image.PatientName = "SYNTHETIC^ABDOMEN"
    image.PatientID = f"SYNTHETIC-{phantom.seed:04d}"
    image.PatientBirthDate = ""
    image.PatientSex = "O"
    image.QualityControlSubject = "YES"
    image.StudyInstanceUID = study
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = _DATE
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = _TIME
    image.ReferringPhysicianName = ""
    image.StudyID = "1"
    image.AccessionNumber = ""
    image.StudyDescription = "SYNTHETIC abdomen"


def _describe_series(image: Dataset, phantom: Phantom, study: str) -> None:
    image.Modality = "CT"
    image.SeriesInstanceUID = stable_uid(study, "series")
    image.SeriesNumber = 2
    image.SeriesDescription = "SYNTHETIC abdomen, portal venous phase"
    image.PatientPosition = "HFS"
    image.BodyPartExamined = "ABDOMEN"
    image.FrameOfReferenceUID = phantom.volume.geometry.frame_uid
    image.PositionReferenceIndicator = ""
    image.Manufacturer = "Hilum"
    image.ManufacturerModelName = "Synthetic patient"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.ImageComments = "SYNTHETIC: computed from shapes, no person was scanned"
    image.ContrastBolusAgent = "SYNTHETIC"
    image.AcquisitionNumber = 1
    image.KVP = 120


def _place(image: Dataset, phantom: Phantom, k: int) -> None:
    grid = phantom.volume.geometry
    x, y, z = grid.to_world((0, 0, k))
    image.ImagePositionPatient = [round(float(v), 4) for v in (x, y, z)]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
    image.SliceThickness = image.SpacingBetweenSlices = grid.spacing_mm[2]
    image.SliceLocation = round(float(z), 4)


def _fill_pixels(image: Dataset, phantom: Phantom, k: int) -> None:
    stored = (phantom.volume.array[k] - _RESCALE_INTERCEPT).astype("<u2")
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    image.RescaleIntercept = _RESCALE_INTERCEPT
    image.RescaleSlope = 1
    image.RescaleType = "HU"
    image.WindowCenter = 50
    image.WindowWidth = 400
    image.PixelData = stored.tobytes()
