"""One DICOM header, read without pixels, as slices that the stack builder can judge.

Nothing is guessed here: a value that is missing or unreadable is None, and what makes an
image unusable is written down in `Slice.problem`.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from math import isfinite

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from workstation.dicom import mosaic
from workstation.dicom.datasets import (
    NATIVE_SYNTAXES,
    Deflated,
    Stored,
    expected_bytes,
    frame_count,
    parse_header,
    syntax,
)
from workstation.dicom.multiframe import frames_of
from workstation.dicom.quantities import with_meaning
from workstation.dicom.slices import PatientIdentity, PixelForm, SeriesIdentity, Slice
from workstation.dicom.sources import Ignored, Source
from workstation.dicom.values import number, numbers, text, value, values, whole

FRAME_CAP_BYTES = 256 << 20
VOLUME_CAP_BYTES = 6 << 30
COMPRESSION_CAP = 1000  # decoded bytes per stored byte that a real image can reach
HEAD_BYTES = 64 << 10  # holds nearly every header, and costs milliseconds whatever it holds

# Tried in this order when several slices of a series lie at one place.
HINTS = (
    "AcquisitionNumber",
    "TriggerTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "ConvolutionKernel",
    "KVP",
    "ContrastBolusAgent",
    "AcquisitionTime",
    "ContentTime",
    "SeriesTime",
    "DiffusionGradientOrientation",
)
_SIEMENS_B, _GE_B = 0x0019100C, 0x00431039
_KEYWORDS = """
    SpecificCharacterSet PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID
    StudyDate AccessionNumber StudyDescription SeriesInstanceUID SeriesDescription Modality
    FrameOfReferenceUID ImageComments SOPInstanceUID InstanceNumber ImageType
    Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated
    BitsStored HighBit PixelRepresentation PixelPaddingValue RescaleSlope RescaleIntercept
    RescaleType Units ModalityLUTSequence ImagePositionPatient ImageOrientationPatient
    PixelSpacing SliceThickness SpacingBetweenSlices SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence EchoNumbers TemporalPositionIdentifier DiffusionBValue
    DirectoryRecordSequence RealWorldValueMappingSequence CorrectedImage DecayCorrection SUVType
    RadiopharmaceuticalInformationSequence PatientWeight SeriesDate AcquisitionDate
    TimezoneOffsetFromUTC
"""
_TAGS = [
    *(Tag(word) for word in (*_KEYWORDS.split(), *HINTS)),
    *map(Tag, (mosaic.COUNT, mosaic.CSA_IMAGE_HEADER, _SIEMENS_B, _GE_B)),
]

_NOT_IMAGES = {
    "SEG": "a segmentation, not an image",
    "RTSTRUCT": "radiotherapy contours, not an image",
    "RTPLAN": "a radiotherapy plan, not an image",
    "RTDOSE": "a radiotherapy dose grid, not an image",
    "SR": "a structured report, not an image",
    "PR": "a presentation state, not an image",
    "KO": "a key object selection, not an image",
    "REG": "a registration, not an image",
    "M3D": "a 3D model, not an image",
    "DOC": "a document, not an image",
}


def read_header(source: Source) -> list[Slice] | Ignored:
    """Return the slices that ``source`` holds (several for a multi-frame file).

    Nothing that a file contains makes this raise: what cannot be used is `Ignored`. A hostile
    file can make it slow or hungry, so it is called in a worker process.
    """
    found = read_head(source)
    if found is not None:
        return found
    try:
        with source.open() as stream:
            header, stored = parse_header(stream, source.size, _TAGS)
        return _judged(source, header, stored)
    except Exception as error:  # a damaged header can fail anywhere inside the parser
        return _unreadable(source, error)


def read_head(source: Source) -> list[Slice] | Ignored | None:
    """Return what `read_header` does, or None where the first 64 KiB do not tell.

    Nothing is inflated that a file holds deflated, so the cost is bounded.
    """
    whole_file = source.size <= HEAD_BYTES
    try:
        head = source.head(HEAD_BYTES)
        if not _looks_like_dicom(head):
            return Ignored(str(source), "not a DICOM file" if head else "an empty file", not head)
        if source.member and whole_file:
            head = source.read_bytes()  # checked against the sum that the archive keeps
        header, stored = parse_header(BytesIO(head), source.size, _TAGS, inflate=False)
        if not whole_file and (stored.missing or stored.encapsulated):
            return None
        return _judged(source, header, stored)
    except Deflated:
        return None
    except Exception as error:  # also of a header that is longer than the head
        return _unreadable(source, error) if whole_file else None


def _unreadable(source: Source, error: Exception) -> Ignored:
    reason = f"damaged or unreadable DICOM file ({error or type(error).__name__})"
    return Ignored(str(source), reason[:300], True)


def _looks_like_dicom(head: bytes) -> bool:
    if head[128:132] == b"DICM":
        return True
    # Without preamble the first element is of group 0002 or 0008, in either byte order.
    return len(head) > 16 and head[:2] in (b"\x02\0", b"\x08\0", b"\0\x08", b"\0\x02")


def _judged(source: Source, header: Dataset, stored: Stored) -> list[Slice] | Ignored:
    modality = text(header, "Modality")
    if modality in _NOT_IMAGES:
        return Ignored(str(source), _NOT_IMAGES[modality])
    if header.get("Rows") is None or header.get("Columns") is None:
        return _without_image(source, header, stored)
    if "LOCALIZER" in values(header, "ImageType"):
        return Ignored(str(source), "a localizer (scout view)")
    try:
        return _slices(source, header, stored)
    except Exception as error:  # the series must hear of the slice it lacks
        reason = f"damaged DICOM header ({error})"[:300]
        return Ignored(str(source), reason, True, text(header, "SeriesInstanceUID"))


def _without_image(source: Source, header: Dataset, stored: Stored) -> Ignored:
    if header.get("DirectoryRecordSequence") is not None or "DICOMDIR" in source.name.upper():
        return Ignored(str(source), "a DICOMDIR index")
    modality = text(header, "Modality")
    reason = f"DICOM without an image ({modality or 'no modality'}): {stored.missing}"
    return Ignored(str(source), reason, True, text(header, "SeriesInstanceUID"))


def _slices(source: Source, header: Dataset, stored: Stored) -> list[Slice]:
    form = _form(header, stored)
    single = Slice(
        source=source,
        frame=None,
        sop_uid=text(header, "SOPInstanceUID"),
        instance=whole(header, "InstanceNumber", 0),
        identity=_identity(header),
        form=form,
        position_mm=numbers(header, "ImagePositionPatient", 3),
        orientation=numbers(header, "ImageOrientationPatient", 6),
        pixel_spacing_mm=numbers(header, "PixelSpacing", 2),
        thickness_mm=number(header, "SliceThickness"),
        slope=_rescale(header, "RescaleSlope", 1.0),
        intercept=_rescale(header, "RescaleIntercept", 0.0),
        quantity="",
        key=_key(header),
        hints=tuple((name, text(header, name)) for name in HINTS),
        problem=_problem(source, header, stored, form),
        pixel_offset=stored.offset,
    )
    if header.get("PerFrameFunctionalGroupsSequence"):
        return frames_of(single, header, frame_count(header))
    maps = header.get("RealWorldValueMappingSequence") or ()
    single = with_meaning(single, header, header, maps, values(header, "ImageType"))
    if mosaic.is_mosaic(header) and not single.problem[0]:
        return mosaic.tiles_of(single, header)
    if frame_count(header) > 1 and not single.problem[0]:
        return [replace(single, problem=("multi_frame", _MULTI_FRAME))]
    return [single]


_MULTI_FRAME = "a multi-frame image that does not say where each frame lies"


def _form(header: Dataset, stored: Stored) -> PixelForm:
    allocated = whole(header, "BitsAllocated", 16)
    bits = whole(header, "BitsStored", allocated)
    padding, signed = value(header, "PixelPaddingValue"), whole(header, "PixelRepresentation") == 1
    if isinstance(padding, int) and signed and padding >= 1 << (allocated - 1):
        padding -= 1 << allocated  # written as unsigned
    return PixelForm(
        rows=int(header.Rows),
        columns=int(header.Columns),
        photometric=text(header, "PhotometricInterpretation"),
        bits_allocated=allocated,
        bits_stored=bits,
        high_bit=whole(header, "HighBit", bits - 1),
        signed=signed,
        native=not stored.encapsulated,
        padding=padding if isinstance(padding, int) else None,
        excess_bytes=stored.excess_bytes,
    )


_NEEDED = ("BitsAllocated", "BitsStored", "PixelRepresentation")


def _problem(source: Source, header: Dataset, stored: Stored, form: PixelForm) -> tuple[str, str]:
    """Why the image cannot be used whatever its place, or empty texts."""
    if stored.missing:
        return "truncated", stored.missing
    if form.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return "colour", f"a colour image ({form.photometric or 'no photometric interpretation'})"
    if whole(header, "SamplesPerPixel", 1) != 1:
        return "colour", "a colour image"
    if header.get("ModalityLUTSequence"):
        return "modality_lut", "its values need a look-up table (Modality LUT)"
    unsaid = [name for name in _NEEDED if value(header, name) is None]
    if unsaid:
        return "pixel_format", f"a header without {', '.join(unsaid)}: its values are unknown"
    if whole(header, "PixelRepresentation") not in (0, 1):
        return "pixel_format", "a header that does not tell signed from unsigned values"
    stored_bits = 1 <= form.bits_stored <= form.high_bit + 1 <= form.bits_allocated
    if form.bits_allocated not in (8, 16, 32) or not stored_bits:
        return "pixel_format", f"pixels of {form.bits_stored} in {form.bits_allocated} bits"
    if form.native is not (syntax(header) in ("", *NATIVE_SYNTAXES)):
        return "pixel_format", "the pixel data contradict their transfer syntax"
    return _size_problem(source, header)


def _size_problem(source: Source, header: Dataset) -> tuple[str, str]:
    total = expected_bytes(header)
    frame = total // frame_count(header)
    if frame == 0:
        return "pixel_format", "an image without rows or columns"
    if frame > FRAME_CAP_BYTES or total > VOLUME_CAP_BYTES:
        return "too_large", f"it claims {total / 2**30:.1f} GiB of pixels"
    if total > COMPRESSION_CAP * max(source.size, 64 << 10):
        return "too_large", f"it claims {total >> 20} MiB of pixels in {source.size} bytes"
    return "", ""


def _identity(header: Dataset) -> SeriesIdentity:
    words = ("ImageComments", "SeriesDescription", "StudyDescription")
    return SeriesIdentity(
        series_uid=text(header, "SeriesInstanceUID"),
        study_uid=text(header, "StudyInstanceUID"),
        frame_uid=text(header, "FrameOfReferenceUID"),
        modality=text(header, "Modality"),
        description=text(header, "SeriesDescription"),
        study_date=text(header, "StudyDate"),
        accession=text(header, "AccessionNumber"),
        patient=PatientIdentity(
            text(header, "PatientName"),
            text(header, "PatientID"),
            text(header, "PatientBirthDate"),
            text(header, "PatientSex"),
        ),
        synthetic=any(text(header, word).upper().startswith("SYNTHETIC") for word in words),
    )


def _key(header: Dataset) -> tuple[tuple[str, str], ...]:
    """What never shares a stack, besides geometry (the first four words of ImageType)."""
    bvalue = next((text(header, t) for t in ("DiffusionBValue", _SIEMENS_B) if text(header, t)), "")
    return (
        ("type", "/".join(values(header, "ImageType")[:4])),
        ("echo", text(header, "EchoNumbers")),
        ("time", text(header, "TemporalPositionIdentifier")),
        ("b-value", bvalue or "/".join(values(header, _GE_B)[:1])),
    )


def _rescale(data: Dataset, name: str, default: float) -> float:
    factor = default if value(data, name) is None else float(value(data, name))
    if not isfinite(factor) or (name == "RescaleSlope" and factor == 0):
        raise ValueError(f"{name} is {factor}")
    return factor
