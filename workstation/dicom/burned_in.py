"""What header rules cannot clean: text in pixels, documents, and faces.

No program finds all text that is burned into pixels. So an object that does not vouch for its
pixels is held back until a person has looked at it, and a part of it may be blackened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedSTLStorage, SecondaryCaptureImageStorage

from workstation.dicom.confidentiality import OVERLAYS
from workstation.dicom.datasets import NATIVE_SYNTAXES, expected_bytes, frame_count, syntax
from workstation.dicom.decoder import stored_bits
from workstation.dicom.sources import DicomError
from workstation.dicom.values import text, values, whole

DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."  # SOP classes of encapsulated documents
SLICE_MODALITIES = ("CT", "MR", "PT")
_HEAD_NAMES = """
    HEAD BRAIN SKULL FACE HEADNECK ORBIT ORBITS EYE SINUS JAW MANDIBLE MAXILLA NOSE EAR TEMPORAL
    CRANIUM WHOLEBODY CIRCLE CAROTID NECK TMJ
"""
_HEAD_PARTS = frozenset(_HEAD_NAMES.split())
_OTHER_NAMES = """
    ABDOMEN ABDOMENPELVIS ANKLE AORTA ARM BLADDER BREAST CHEST CHESTABDOMEN CHESTABDPELVIS COLON
    ELBOW EXTREMITY FEMUR FOOT FOREARM HAND HEART HIP KIDNEY KNEE LEG LIVER LSPINE LUNG PANCREAS
    PELVIS PROSTATE SHOULDER SPLEEN THIGH THORAX TSPINE UTERUS WRIST
"""
_OTHER_PARTS = frozenset(_OTHER_NAMES.split())
_HEAD_WORDS = re.compile(
    r"head|brain|skull|cran|face|facial|neuro|mprage|orbit|sinus|mandib|maxill|dental|tof|willis"
    r"|cerebr|tempor|kopf|sch[aä]del|gehirn|hirn|t[eê]te|crane|crâne|cabeza",
    re.IGNORECASE,
)
_DESCRIPTIONS = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "SequenceName",
)


@dataclass(frozen=True)
class Rectangle:
    """A part of an image in pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


def reason_to_look(data: Dataset) -> str:
    """Return why a person must look at an object before it may leave, or "" if nobody must."""
    if text(data, "SOPClassUID").startswith(DOCUMENTS):
        kind = text(data, "MIMETypeOfEncapsulatedDocument") or "unknown kind"
        return f"a document ({kind}): what it says or shows cannot be cleaned"
    if not data.get("Rows"):
        return f"no image but {text(data, 'Modality') or 'something else'}: its text may identify"
    if "ContentSequence" in data or text(data, "Modality") == "SEG":
        return "a segmentation or report: its labels and text may identify"
    if _hides_overlay(data):
        return "an overlay, maybe with text, lies in unused bits of its pixels"
    said = text(data, "BurnedInAnnotation").upper()
    if said == "YES":
        return "it says that text is burned into its pixels"
    modality = text(data, "Modality")
    if modality not in SLICE_MODALITIES:
        return f"images of modality {modality or 'unknown'} often carry burned-in text"
    grey = text(data, "PhotometricInterpretation").startswith("MONOCHROME")
    captured = text(data, "SOPClassUID").startswith(SecondaryCaptureImageStorage)
    if captured or not grey or values(data, "ImageType")[:2] != ["ORIGINAL", "PRIMARY"]:
        return "it is not an original image, so text may be burned into its pixels"
    return ""


def vouches(data: Dataset) -> bool:
    """Tell whether an object says that no text is burned into its pixels.

    Most original CT, MR and PET slices say nothing and carry none: they may leave, with a
    warning.
    """
    return text(data, "BurnedInAnnotation").upper() == "NO" or not data.get("Rows")


def may_be_accepted(data: Dataset) -> bool:
    """Tell whether a look is enough: never for documents other than surfaces.

    Nor for compressed pixels with an overlay in their unused bits, which cannot be cleared.
    """
    if not text(data, "SOPClassUID").startswith(DOCUMENTS):
        return not _hides_overlay(data) or syntax(data) in NATIVE_SYNTAXES
    return text(data, "SOPClassUID") == EncapsulatedSTLStorage


def shows_head(data: Dataset) -> bool | None:
    """Tell whether the object shows a head, as far as its header says; None if it does not."""
    part = re.sub("[^A-Z]", "", text(data, "BodyPartExamined").upper())
    described = " ".join(text(data, word) for word in _DESCRIPTIONS)
    if part in _HEAD_PARTS or _HEAD_WORDS.search(described):
        return True
    return False if part in _OTHER_PARTS else None


def black_out(data: Dataset, rectangles: tuple[Rectangle, ...]) -> None:
    """Blacken parts of every frame, in place; all other pixels stay as they are.

    Raises:
        DicomError: if the pixels are compressed or a rectangle lies outside the image.
    """
    if syntax(data) not in NATIVE_SYNTAXES:
        raise DicomError(
            "compressed pixels cannot be blackened", "Decompress the file first, e.g. with gdcmconv"
        )
    rows, columns = whole(data, "Rows"), whole(data, "Columns")
    samples, bits = whole(data, "SamplesPerPixel", 1), whole(data, "BitsAllocated")
    frames = frame_count(data)
    if bits not in (8, 16, 32) or len(data.PixelData) < expected_bytes(data):
        raise DicomError("its pixels cannot be blackened", "Leave the file out")
    planar = samples > 1 and whole(data, "PlanarConfiguration") == 1
    shape = (frames, samples, rows, columns) if planar else (frames, rows, columns, samples)
    content = np.frombuffer(data.PixelData, np.uint8).copy()
    pixels = content[: expected_bytes(data)].reshape(*shape, bits // 8)
    dark = _darkest(data, bits)
    for r in rectangles:
        if not (0 <= r.x < r.x + r.width <= columns and 0 <= r.y < r.y + r.height <= rows):
            raise DicomError(f"a rectangle lies outside the image of {columns} x {rows} pixels")
        down, across = slice(r.y, r.y + r.height), slice(r.x, r.x + r.width)
        part = pixels[:, :, down, across] if planar else pixels[:, down, across]
        part[...] = np.frombuffer(dark, np.uint8)
    data.PixelData = content.tobytes()


def clear_unused_bits(data: Dataset) -> bool:
    """Clear what lies beside the stored bits of native pixels, in place; tell whether there was.

    Overlays with names were kept there once (PS3.5 8.1.1 of 2004). Zeros and the carried sign
    of a negative value are nothing.
    """
    allocated = whole(data, "BitsAllocated")
    stored = whole(data, "BitsStored", allocated)
    native = syntax(data) in NATIVE_SYNTAXES and "PixelData" in data
    if not native or allocated not in (8, 16, 32) or not 0 < stored < allocated:
        return False
    high = whole(data, "HighBit", stored - 1)
    order = ">" if data.original_encoding[1] is False else "<"
    kind = "i" if whole(data, "PixelRepresentation") == 1 else "u"
    size = allocated // 8
    count = len(data.PixelData) // size
    values = np.frombuffer(data.PixelData, f"{order}{kind}{size}", count).astype(f"{kind}{size}")
    low = high - stored + 1
    carried = np.left_shift(stored_bits(values, stored, high)[0], low)
    inside = ((1 << stored) - 1) << low
    zeroed = (values.view(f"u{size}") & np.array(inside, f"u{size}")).view(values.dtype)
    rubbish = (values != carried) & (values != zeroed)
    if not rubbish.any():
        return False
    kept = np.where(rubbish, zeroed, values).astype(f"{order}{kind}{size}")
    data.PixelData = kept.tobytes() + data.PixelData[count * size :]
    return True


def _hides_overlay(data: Dataset) -> bool:
    """Tell whether an overlay is said to lie in the bits of the pixels themselves."""
    positions = (data.get((group, 0x0102)) for group in range(OVERLAYS, OVERLAYS + 0x20, 2))
    return any(p is not None and bool(p.value) for p in positions)


def _darkest(data: Dataset, bits: int) -> bytes:
    """Return the stored bytes of the smallest value, or the largest where that is black."""
    stored = whole(data, "BitsStored", bits)
    signed = whole(data, "PixelRepresentation") == 1
    least = -(1 << (stored - 1)) if signed else 0
    most = (1 << (stored - 1)) - 1 if signed else (1 << stored) - 1
    inverted = text(data, "PhotometricInterpretation") == "MONOCHROME1"
    _, little = data.original_encoding if hasattr(data, "original_encoding") else (False, True)
    number = (most if inverted else least) & ((1 << bits) - 1)
    return number.to_bytes(bits // 8, "little" if little in (True, None) else "big")
