"""Surfaces (STL), documents (PDF) and pictures as DICOM objects of the patient's study.

The bytes of an STL or PDF are carried unchanged (PS3.3 A.85.1 and A.45.1) and come back
unchanged. STL points are in patient LPS millimetres, in the source's frame of reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    SecondaryCaptureImageStorage,
)

from segmentation.contract import FrameMismatch
from segmentation.volume import Array
from workstation.dicom.datasets import open_dataset
from workstation.dicom.objects import (
    Origin,
    UnfaithfulObject,
    cielab_of,
    code_item,
    lenient,
    new_object,
    reference_sources,
    write_checked,
)
from workstation.dicom.sources import DicomError, source_of
from workstation.dicom.values import text

STL_SERIES_NUMBER, PDF_SERIES_NUMBER, CAPTURE_SERIES_NUMBER = 9003, 9004, 9005
_TITLES = {
    "CT": ("85040-4", "LN", "CT 3D CAM model"),
    "MR": ("85041-2", "LN", "MR 3D CAM model"),
}
_MIXED = ("129019", "DCM", "Mixed Modality 3D CAM Model")


@dataclass(frozen=True)
class Document:
    """What an encapsulated object carries: ``kind`` is its MIME type."""

    content: bytes
    kind: str
    title: str
    frame_uid: str


def write_stl(
    content: bytes,
    origin: Origin,
    path: Path,
    *,
    frame_uid: str,
    title: str,
    colour: tuple[int, int, int] | None = None,
    related: Sequence[Path] = (),
) -> Path:
    """Write a binary STL, in patient LPS mm, as Encapsulated STL; return ``path``.

    ``colour`` (sRGB, 0 to 255) is the recommended one; ``related`` are objects of the same
    study that it was made from.

    Raises:
        ValueError: if it is no whole binary STL.
        FrameMismatch: if ``frame_uid`` is not the frame of the series.
        UnfaithfulObject: if the written file does not give the same bytes back.
    """
    if len(content) < 84 or len(content) != 84 + 50 * int.from_bytes(content[80:84], "little"):
        raise ValueError(f"the surface {title!r} is no whole binary STL")
    if frame_uid != origin.frame_uid:
        raise FrameMismatch(
            f"the surface lies in frame {frame_uid} and the series in {origin.frame_uid}; "
            "register one to the other first"
        )
    data = new_object(origin, EncapsulatedSTLStorage, "M3D", f"{title} surface", STL_SERIES_NUMBER)
    data.FrameOfReferenceUID = frame_uid
    data.PositionReferenceIndicator = ""
    _encapsulate(data, content, "model/stl", title)
    data.ConceptNameCodeSequence = [code_item(*_TITLES.get(origin.scanned.modality, _MIXED))]
    data.MeasurementUnitsCodeSequence = [code_item("mm", "UCUM", "mm")]
    data.ModelModification = "NO"
    data.ModelMirroring = "NO"
    data.ModelUsageCodeSequence = [code_item("129013", "DCM", "Planning Intent")]
    if colour is not None:
        data.RecommendedDisplayCIELabValue = cielab_of(colour)
    data.SourceInstanceSequence = reference_sources(data, origin, related)
    return write_checked(data, path, lambda part: _require_same(content, part))


def write_pdf(
    content: bytes,
    origin: Origin,
    path: Path,
    *,
    title: str = "Report",
    related: Sequence[Path] = (),
) -> Path:
    """Write a PDF as Encapsulated PDF; return ``path``.

    ``related`` are objects of the same study that it reports on.

    Raises:
        ValueError: if it is no PDF.
        UnfaithfulObject: if the written file does not give the same bytes back.
    """
    if not content.startswith(b"%PDF-"):
        raise ValueError(f"the document {title!r} is no PDF")
    data = new_object(origin, EncapsulatedPDFStorage, "DOC", title, PDF_SERIES_NUMBER)
    data.ConversionType = "WSD"
    _encapsulate(data, content, "application/pdf", title)
    data.ConceptNameCodeSequence = []
    data.SourceInstanceSequence = reference_sources(data, origin, related)
    return write_checked(data, path, lambda part: _require_same(content, part))


def _encapsulate(data: Dataset, content: bytes, kind: str, title: str) -> None:
    data.AcquisitionDateTime = ""
    data.BurnedInAnnotation = "YES"  # names may stand in a report, and a shape is a person's
    data.DocumentTitle = title
    data.MIMETypeOfEncapsulatedDocument = kind
    data.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    data.EncapsulatedDocumentLength = len(content)


def _require_same(content: bytes, path: Path) -> None:
    if read_document(path).content != content:
        raise UnfaithfulObject(f"{path.name} would not give the same bytes back")


@lenient()
def read_document(path: Path) -> Document:
    """Return what an encapsulated STL, PDF or other document carries, byte for byte.

    Raises:
        DicomError: if it is no encapsulated document or is damaged.
        OSError: if there is no such file.
    """
    source = source_of(path)
    try:
        data = open_dataset(source)
        content = bytes(data.EncapsulatedDocument)
        length = int(data.get("EncapsulatedDocumentLength") or len(content))
    except Exception as error:  # a damaged object can fail anywhere inside the parser
        raise DicomError(f"{path.name} carries no document ({error})"[:300]) from error
    if not 0 <= len(content) - length <= 1:
        raise DicomError(f"{path.name} claims {length} bytes and carries {len(content)}")
    return Document(
        content[:length],
        text(data, "MIMETypeOfEncapsulatedDocument"),
        text(data, "DocumentTitle"),
        text(data, "FrameOfReferenceUID"),
    )


def write_capture(
    picture: Array,
    origin: Origin,
    path: Path,
    *,
    title: str = "View",
    related: Sequence[Path] = (),
) -> Path:
    """Write a picture (rows, columns, 3) of uint8 sRGB as Secondary Capture; return ``path``.

    It is marked as possibly holding text that names the patient. ``related`` are images and
    segmentations of the same study that it shows.

    Raises:
        ValueError: if it is no such picture.
        UnfaithfulObject: if the written file does not give the same pixels back.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError("a picture must be rows x columns x 3 of uint8")
    data = new_object(origin, SecondaryCaptureImageStorage, "OT", title, CAPTURE_SERIES_NUMBER)
    data.ConversionType = "WSD"
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.BurnedInAnnotation = "YES"
    data.PatientOrientation = data.Laterality = ""
    data.SourceImageSequence = reference_sources(data, origin, related)
    data.SamplesPerPixel, data.PlanarConfiguration = 3, 0
    data.PhotometricInterpretation = "RGB"
    data.Rows, data.Columns = picture.shape[:2]
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    pixels = np.ascontiguousarray(picture).tobytes()
    data.PixelData = pixels + b"\0" * (len(pixels) % 2)

    def check(part: Path) -> None:
        back = open_dataset(source_of(part))
        if not np.array_equal(back.pixel_array, picture):
            raise UnfaithfulObject(f"{path.name} would not give the same picture back")

    return write_checked(data, path, check)
