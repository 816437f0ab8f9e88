"""What the reader knows about a DICOM image before it touches pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

from workstation.dicom.sources import Source
from workstation.dicom.values import Numbers


@dataclass(frozen=True)
class PatientIdentity:
    """Who the images say the patient is; ``name`` is decoded, ``birth_date`` is YYYYMMDD."""

    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True)
class SeriesIdentity:
    """What every slice of a series has in common besides its geometry."""

    series_uid: str
    study_uid: str
    frame_uid: str
    modality: str
    description: str
    study_date: str
    accession: str
    patient: PatientIdentity
    synthetic: bool


@dataclass(frozen=True)
class PixelForm:
    """How pixels are stored.

    ``native`` tells that they are not compressed; ``excess_bytes`` how many more bytes of pixels
    there are than rows, columns and frames account for.
    """

    rows: int
    columns: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    native: bool
    padding: int | None = None
    excess_bytes: int = 0


@dataclass(frozen=True)
class Slice:
    """One two-dimensional image with its place in the patient (LPS mm).

    ``frame`` counts from 0 inside a multi-frame file and is None otherwise. ``orientation``
    holds the row then the column cosines; ``pixel_spacing_mm`` is (between rows, between
    columns) as in DICOM. ``key`` tells apart what never shares a stack; ``hints`` may tell
    apart slices at one place. ``problem`` says why the slice cannot be used, as (code,
    sentence), or is empty. ``pixel_offset`` is where in the file its pixels begin if they lie there
    uncompressed, little-endian byte first, or None. ``tile`` tells where in the stored image a
    slice of a mosaic begins (row, column), and how large that image is (rows, columns).
    ``note`` is what a reader must know about its values, as (code, sentence), or is empty.
    """

    source: Source
    frame: int | None
    sop_uid: str
    instance: int
    identity: SeriesIdentity
    form: PixelForm
    position_mm: Numbers | None
    orientation: Numbers | None
    pixel_spacing_mm: Numbers | None
    thickness_mm: float | None
    slope: float
    intercept: float
    quantity: str
    key: tuple[tuple[str, str], ...]
    hints: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    problem: tuple[str, str] = ("", "")
    pixel_offset: int | None = None
    tile: tuple[int, int, int, int] | None = None
    note: tuple[str, str] = ("", "")
