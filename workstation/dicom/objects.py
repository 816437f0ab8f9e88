"""What every DICOM object made here takes from its source series, and how it is written.

An object belongs to the patient and study of the images it was made from, says that it is for
research, says that it is synthetic where its source is, and appears on disk only after it has
been opened again and compared.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

import numpy as np
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from skimage.color import lab2rgb, rgb2lab

from segmentation.contract import Progress, silent
from workstation.dicom.datasets import open_dataset, parse_header
from workstation.dicom.sources import DicomError, Source, require_unchanged, source_of
from workstation.dicom.values import text
from workstation.dicom.volumes import ScannedVolume

MAKER = "Hilum"
RESEARCH = "research use only"
_COPIED = """
    PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex PatientAge PatientSize
    PatientWeight QualityControlSubject PatientIdentityRemoved DeidentificationMethod
    StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber
    ReferringPhysicianName
"""
_NEVER_ABSENT = """
    PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID
    AccessionNumber ReferringPhysicianName
"""
_IMAGE = """
    SpecificCharacterSet SOPClassUID SOPInstanceUID SeriesInstanceUID
    PositionReferenceIndicator LossyImageCompression LossyImageCompressionRatio
    LossyImageCompressionMethod BitsAllocated Rows Columns NumberOfFrames SamplesPerPixel
"""
_TAGS = [Tag(word) for word in (*_COPIED.split(), *_IMAGE.split())]


class UnfaithfulObject(RuntimeError):
    """An object, opened again after writing, is not what was to be written."""


@contextmanager
def lenient() -> Iterator[None]:
    """Silence pydicom's warnings about odd but readable values, which archives are full of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True, eq=False)
class Origin:
    """The series that an object is made from: its scan and the headers of its files."""

    scanned: ScannedVolume
    headers: Mapping[Source, Dataset]

    @property
    def first(self) -> Dataset:
        """The header of the file that holds the lowest slice."""
        return self.headers[self.scanned.files[0]]

    @property
    def frame_uid(self) -> str:
        """The frame of reference that labels and surfaces of this series carry."""
        geometry = self.scanned.geometry
        assert geometry is not None
        return geometry.frame_uid


@lenient()
def origin_of(scanned: ScannedVolume, progress: Progress = silent) -> Origin:
    """Read the headers, without pixels, of a scanned series.

    Raises:
        DicomError: if the series is refused, has changed, or lacks an identifier that an
            object must refer to.
    """
    if scanned.stack is None:
        raise DicomError("nothing can be written for a series that is refused")
    require_unchanged(scanned.files)
    headers = {}
    for n, source in enumerate(scanned.files):
        if n % 20 == 0:
            progress(n / len(scanned.files), f"reading header {n + 1} of {len(scanned.files)}")
        with source.open() as stream:
            headers[source], _ = parse_header(stream, source.size, _TAGS)
        _require_identifiers(headers[source], source)
    return Origin(scanned, MappingProxyType(headers))


def _require_identifiers(header: Dataset, source: Source) -> None:
    needed = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
    for word in needed:
        if not text(header, word):
            raise DicomError(
                f"{source} has no {word}, so no object can refer to it",
                "Write NRRD or NIfTI instead",
            )


@lenient()
def describe(data: Dataset, origin: Origin, modality: str, title: str, number: int) -> None:
    """Set patient, study, series, equipment and common attributes of ``data``.

    ``title`` becomes the series description; ``number`` the series number. Everything is
    written in UTF-8, whatever the source used.
    """
    data.SpecificCharacterSet = "ISO_IR 192"
    for word in _COPIED.split():
        found = text(origin.first, word)
        if found or word in _NEVER_ABSENT.split():
            _copy(data, word, found)
        elif word in data:
            delattr(data, word)
    if origin.scanned.synthetic:
        data.QualityControlSubject = "YES"
    data.Modality = modality
    data.SeriesDescription = series_description(origin, title)
    data.SeriesNumber = number
    data.Manufacturer = data.ManufacturerModelName = MAKER
    data.SoftwareVersions = data.DeviceSerialNumber = software_version()
    data.ContentQualification = "RESEARCH"


def _copy(data: Dataset, word: str, value: str) -> None:
    """Set a value as the source has it, even where the standard would not allow it."""
    tag = Tag(word)
    data.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))


def series_description(origin: Origin, title: str) -> str:
    """Return at most 64 characters that name what it is, that it is research, if synthetic."""
    mark = "SYNTHETIC " if origin.scanned.synthetic else ""
    room = 64 - len(mark) - len(RESEARCH) - 2
    return f"{mark}{title[:room].strip()}, {RESEARCH}"


def new_object(origin: Origin, sop_class: str, modality: str, title: str, number: int) -> Dataset:
    """Return a data set of a new instance in a new series, described by `describe`."""
    data = Dataset()
    data.SOPClassUID = UID(sop_class)
    data.SOPInstanceUID = generate_uid(prefix=None)
    data.SeriesInstanceUID = generate_uid(prefix=None)
    data.InstanceNumber = 1
    describe(data, origin, modality, title, number)
    made = datetime.now()
    data.InstanceCreationDate = data.ContentDate = data.SeriesDate = made.strftime("%Y%m%d")
    data.InstanceCreationTime = data.ContentTime = data.SeriesTime = made.strftime("%H%M%S")
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """Return the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def reference_to(header: Dataset) -> Dataset:
    """Return the item that refers to an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def reference_sources(data: Dataset, origin: Origin, related: Sequence[Path] = ()) -> list[Dataset]:
    """List the source series, and objects of the same study, in ``data`` (PS3.3 C.12.2).

    Returns a reference to each image and object.
    """
    instances = {origin.scanned.series_uid: [reference_to(h) for h in origin.headers.values()]}
    for path in related:
        header = open_dataset(source_of(path), pixels=False)
        instances.setdefault(header.SeriesInstanceUID, []).append(reference_to(header))
    data.ReferencedSeriesSequence = [_series_item(*item) for item in instances.items()]
    return [reference for references in instances.values() for reference in references]


def _series_item(series_uid: str, references: list[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = series_uid
    series.ReferencedInstanceSequence = references
    return series


@lenient()
def write_checked(data: Dataset, path: Path, check: Callable[[Path], None]) -> Path:
    """Write ``data`` beside ``path``, let ``check`` open it, and only then put it in place.

    Raises:
        UnfaithfulObject: or whatever ``check`` raises; ``path`` is then as it was.
        OSError: if the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        data.save_as(part, enforce_file_format=True)
        check(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    return path


def software_version() -> str:
    """Return the version of this program."""
    try:
        return version("hilum")
    except PackageNotFoundError:
        return "0"


def stable_uid(*parts: str) -> str:
    """Return the UID (root 2.25) that stands for ``parts``, always the same."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def tracking_uid(origin: Origin, name: str) -> str:
    """Return the UID by which the finding ``name`` of this series is tracked."""
    return stable_uid(origin.scanned.series_uid, name)


def cielab_of(colour: Sequence[int]) -> list[int]:
    """Return an sRGB colour (0 to 255) as unsigned 16-bit CIELab (PS3.3 C.10.7.1.1).

    The white point is D65, as in the tools that planners exchange objects with.
    """
    lightness, a, b = rgb2lab(np.asarray(colour, float).reshape(1, 1, 3) / 255)[0, 0]
    scaled = (lightness / 100, (a + 128) / 255, (b + 128) / 255)
    return [int(np.clip(round(65535 * v), 0, 65535)) for v in scaled]


def rgb_of(cielab: Sequence[float]) -> tuple[int, int, int]:
    """Reverse `cielab_of`."""
    scaled = np.asarray(cielab, float) / 65535
    lab = np.array([100 * scaled[0], 255 * scaled[1] - 128, 255 * scaled[2] - 128])
    red, green, blue = np.rint(255 * lab2rgb(lab.reshape(1, 1, 3))[0, 0]).astype(int).tolist()
    return red, green, blue
