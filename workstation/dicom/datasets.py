"""DICOM files as data sets: with or without preamble, deflated under a cap, checked for length."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from workstation.dicom.sources import Source
from workstation.dicom.values import whole

DEFLATED_CAP_BYTES = 1 << 30
NATIVE_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


class Deflated(ValueError):
    """The data set is deflated and was not to be inflated."""


@dataclass(frozen=True)
class Stored:
    """The stored pixels of a file; ``missing`` says what is wrong with them, or is empty.

    ``offset`` is where in the file they begin if they can be read as they lie there: neither
    compressed, deflated nor big-endian; else None. ``excess_bytes`` is how much longer they are
    than the header accounts for.
    """

    encapsulated: bool
    missing: str
    offset: int | None = None
    excess_bytes: int = 0


def open_dataset(source: Source, *, pixels: bool = True) -> Dataset:
    """Return the data set of ``source``, inflated if need be, with its transfer syntax set.

    Raises:
        ValueError: when the inflated content would exceed the cap.
        OSError: when the file cannot be read.
    """
    with source.open() as stream:
        data = pydicom.dcmread(_plain(stream), force=True, stop_before_pixels=not pixels)
    if syntax(data) == "":
        _, little = data.original_encoding
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return data


def parse_header(
    stream: BinaryIO, size: int, tags: Sequence[BaseTag], *, inflate: bool = True
) -> tuple[Dataset, Stored]:
    """Return the ``tags`` before the pixels of a file of ``size`` bytes, and how pixels lie.

    Raises:
        Deflated: for a deflated data set when it must not be inflated.
    """
    plain = _plain(stream, inflate)
    if plain is not stream:
        size = len(plain.getvalue())  # type: ignore[attr-defined]
    header = pydicom.dcmread(plain, stop_before_pixels=True, force=True, specific_tags=list(tags))
    implicit, little = header.original_encoding
    stored = _stored(plain, header, size, bool(implicit), "<" if little else ">")
    as_they_lie = plain is stream and little
    return header, stored if as_they_lie else replace(stored, offset=None)


def _plain(stream: BinaryIO, inflate: bool = True) -> BinaryIO:
    """Return ``stream``, or its content inflated under a cap if its data set is deflated."""
    meta = io.BytesIO(stream.read(16 << 10))
    stream.seek(0)
    head = meta.getvalue()
    if head[128:132] != b"DICM" or DeflatedExplicitVRLittleEndian.encode() not in head:
        return stream
    meta.seek(132)
    group2 = read_dataset(meta, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if group2.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return stream
    if not inflate:
        raise Deflated("its data set is deflated")
    stream.seek(meta.tell())
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(stream.read(), DEFLATED_CAP_BYTES)
    if len(data) >= DEFLATED_CAP_BYTES:
        raise ValueError(f"it would inflate beyond {DEFLATED_CAP_BYTES >> 20} MiB")
    return io.BytesIO(data)


def _stored(stream: BinaryIO, header: Dataset, size: int, implicit: bool, order: str) -> Stored:
    start = stream.tell()
    element = stream.read(12)
    if len(element) < 12:
        return Stored(False, "the file ends before its pixels")
    group, number = struct.unpack(order + "HH", element[:4])
    if (group, number) != (0x7FE0, 0x0010):
        floating = group == 0x7FE0
        return Stored(False, "its pixels are floating point" if floating else "it has no pixels")
    long_form = not implicit
    (length,) = struct.unpack(order + "I", element[8:12] if long_form else element[4:8])
    offset = start + (12 if long_form else 8)
    if length == 0xFFFFFFFF:
        whole = _fragments_whole(stream, offset, size)
        return Stored(True, "" if whole else "the file ends inside its compressed pixels")
    expected = expected_bytes(header)
    there = min(length, size - offset)
    short = f"the file is truncated: {there} of {expected} bytes of pixels are there"
    excess = max(0, there - expected - expected % 2)  # one byte makes the length even
    return Stored(False, short if there < expected else "", offset, excess)


def _fragments_whole(stream: BinaryIO, offset: int, size: int) -> bool:
    while offset + 8 <= size:
        stream.seek(offset)
        item = stream.read(8)
        if len(item) < 8:  # the stream holds only the head of the file
            return False
        group, number, length = struct.unpack("<HHI", item)
        if (group, number) == (0xFFFE, 0xE0DD):
            return True
        if (group, number) != (0xFFFE, 0xE000):
            return False
        offset += 8 + length
    return False


def expected_bytes(header: Dataset) -> int:
    """Return how many bytes all decoded frames take."""
    count = int(header.Rows) * int(header.Columns) * frame_count(header)
    return (
        count * int(header.get("SamplesPerPixel") or 1) * whole(header, "BitsAllocated") + 7
    ) // 8


def frame_count(header: Dataset) -> int:
    """Return the number of frames, at least 1."""
    return max(1, whole(header, "NumberOfFrames", 1))


def syntax(data: Dataset) -> str:
    """Return the transfer syntax UID, or "" where the file does not say."""
    meta = getattr(data, "file_meta", None)
    return str(meta.get("TransferSyntaxUID") or "") if meta is not None else ""
