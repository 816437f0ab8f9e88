"""A synthetic patient as a DICOM CT or MR series on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from segmentation.contract import Progress, silent
from segmentation.volume import Volume
from workstation.phantom.patient import stable_uid

_RESCALE_INTERCEPT = -1024
_DATE, _TIME = "20240102", "093000"


class Imaged(Protocol):
    """A synthetic patient: an image, and the number it was made from."""

    @property
    def volume(self) -> Volume:
        """The image, axial."""

    @property
    def seed(self) -> int:
        """What the patient was made from."""


@dataclass(frozen=True)
class Examination:
    """How a series is described: modality, region, words, window and further attributes."""

    modality: str
    body_part: str
    study: str
    series: str
    window: tuple[int, int]
    extra: Mapping[str, Any] = field(default_factory=dict)


ABDOMEN_CT = Examination(
    "CT",
    "ABDOMEN",
    "SYNTHETIC abdomen",
    "SYNTHETIC abdomen, portal venous phase",
    (400, 50),
    {"ContrastBolusAgent": "SYNTHETIC", "KVP": 120},
)
HEAD_CT = Examination(
    "CT",
    "HEAD",
    "SYNTHETIC head",
    "SYNTHETIC head, hole in the skull",
    (2000, 500),
    {"KVP": 120},
)
HEAD_MRA = Examination(
    "MR",
    "HEAD",
    "SYNTHETIC head",
    "SYNTHETIC head, time-of-flight angiography",
    (520, 240),
    {
        "ScanningSequence": "GR",
        "SequenceVariant": "SP",
        "ScanOptions": "",
        "MRAcquisitionType": "3D",
        "RepetitionTime": 22,
        "EchoTime": 3.5,
        "FlipAngle": 18,
        "EchoTrainLength": 1,
        "MagneticFieldStrength": 3,
    },
)


def write_dicom(
    phantom: Imaged,
    folder: Path | str,
    progress: Progress = silent,
    examination: Examination = ABDOMEN_CT,
) -> list[Path]:
    """Write the image as one series (PS3.3 A.3 and A.4) and return its files.

    The files come in slice order, head first, but their names are in no order, as on many
    media. All appear at once: nothing is left if writing stops half-way. The same phantom
    gives the same bytes.

    Args:
        phantom: the patient to write.
        folder: made if it is not there.
        progress: told how far the work is.
        examination: what kind of image it is.

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
            image = _slice(phantom, examination, slices - 1 - n, n + 1, study)
            part = target / f".{stable_uid(image.SOPInstanceUID)[-10:]}.part"
            written[part] = part.with_name(part.name[1:]).with_suffix(".dcm")
            image.save_as(part, enforce_file_format=True)
        for part, final in written.items():
            part.replace(final)
    finally:
        for part in written:
            part.unlink(missing_ok=True)
    return list(written.values())


def _slice(phantom: Imaged, examination: Examination, k: int, number: int, study: str) -> Dataset:
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    _describe_patient(image, phantom, examination, study)
    _describe_series(image, phantom, examination, study)
    image.SOPClassUID = CTImageStorage if examination.modality == "CT" else MRImageStorage
    image.SOPInstanceUID = stable_uid(study, "image", str(number))
    image.InstanceNumber = number
    _place(image, phantom, k)
    _fill_pixels(image, phantom, examination, k)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _describe_patient(
    image: Dataset, phantom: Imaged, examination: Examination, study: str
) -> None:
    image.PatientName = f"SYNTHETIC^{examination.body_part}"
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
    image.StudyDescription = examination.study


def _describe_series(image: Dataset, phantom: Imaged, examination: Examination, study: str) -> None:
    image.Modality = examination.modality
    image.SeriesInstanceUID = stable_uid(study, "series")
    image.SeriesNumber = 2
    image.SeriesDescription = examination.series
    image.PatientPosition = "HFS"
    image.BodyPartExamined = examination.body_part
    image.FrameOfReferenceUID = phantom.volume.geometry.frame_uid
    image.PositionReferenceIndicator = ""
    image.Manufacturer = "Hilum"
    image.ManufacturerModelName = "Synthetic patient"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.ImageComments = "SYNTHETIC: computed from shapes, no person was scanned"
    image.AcquisitionNumber = 1
    for keyword, value in examination.extra.items():
        setattr(image, keyword, value)


def _place(image: Dataset, phantom: Imaged, k: int) -> None:
    grid = phantom.volume.geometry
    x, y, z = grid.to_world((0, 0, k))
    image.ImagePositionPatient = [round(float(v), 4) for v in (x, y, z)]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
    image.SliceThickness = image.SpacingBetweenSlices = grid.spacing_mm[2]
    image.SliceLocation = round(float(z), 4)


def _fill_pixels(image: Dataset, phantom: Imaged, examination: Examination, k: int) -> None:
    intercept = _RESCALE_INTERCEPT if examination.modality == "CT" else 0
    stored = (phantom.volume.array[k] - intercept).astype("<u2")
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    if examination.modality == "CT":
        image.RescaleIntercept = intercept
        image.RescaleSlope = 1
        image.RescaleType = "HU"
    image.WindowWidth, image.WindowCenter = examination.window
    image.PixelData = stored.tobytes()
