"""Files with damaged bytes, and a run that counts what they do to the reader.

Every file goes the way a user's file goes: through `scan`, and, if it is an image still, through
a decoder process. Whatever the bytes say, this process lives on, and no worker takes more than
the stated memory or time.
"""

from __future__ import annotations

import os
import random
import resource
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.workstation.dicom_phantom import make_slice, positions
from tests.workstation.test_dicom_multiframe import enhanced
from workstation.dicom.files import DicomError, scan
from workstation.dicom.pixels import _as_they_lie, _decoded, _Task
from workstation.dicom.slices import Slice
from workstation.dicom.worker import Worker

SIDE = 64
BATCH = 500


def _bytes(data: Dataset) -> bytes:
    stream = BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _image() -> Dataset:
    data = make_slice((0, 0, 0))
    data.Rows = data.Columns = SIDE
    j, i = np.mgrid[:SIDE, :SIDE]
    noise = np.random.default_rng(7).integers(0, 20, (SIDE, SIDE))
    data.PixelData = (3 * i + 5 * j + noise).astype("<i2").tobytes()
    return data


def _jpeg_lossless(folder: Path) -> bytes:
    plain, packed = folder / "plain", folder / "packed"
    _image().save_as(plain)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(packed))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    content = packed.read_bytes()
    plain.unlink()
    packed.unlink()
    return content


def seeds(folder: Path) -> list[bytes]:
    """Return whole files: every encoding that can be made here, and the shared real ones."""
    found = [_bytes(_image()), _jpeg_lossless(folder), _bytes(enhanced(positions(4), ["M"], [1.0]))]
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        data = _image()
        data.compress(syntax, generate_instance_uid=False)
        found.append(_bytes(data))
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        data = _image()
        data.file_meta.TransferSyntaxUID = syntax
        found.append(_bytes(data))
    real = (
        Path(os.environ.get("HILUM_DATA", ""), "dicom_zoo") if "HILUM_DATA" in os.environ else None
    )
    for path in sorted(real.rglob("*.dcm")) if real else ():
        if path.stat().st_size < 300_000:
            found.append(path.read_bytes())
    return found


EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


def mutate(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """Return ``content`` damaged in one to four places, mostly in its header."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        where = rng.randrange(min(len(data), 2048) if rng.random() < 0.6 else len(data))
        length = rng.choice((1, 2, 4, 8, 64))
        kind = rng.randrange(8)
        if kind == 0:
            data[where] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[where : where + length] = rng.randbytes(length)
        elif kind == 2:
            data[where : where + 4] = struct.pack("<I", rng.choice(EXTREMES))
        elif kind == 3:
            data[where : where + 2] = struct.pack("<H", rng.choice(EXTREMES) & 0xFFFF)
        elif kind == 4:
            del data[where : where + length]
        elif kind == 5:
            data[where:where] = rng.randbytes(length)
        elif kind == 6:
            data[where:] = other[rng.randrange(len(other)) :]
        else:
            del data[max(where, 16) :]
        if len(data) < 16:
            break
    return bytes(data)


def _largest_child_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


@dataclass
class Tally:
    """What happened to how many files, and the worst that a worker took."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    before_bytes: int = field(default_factory=_largest_child_bytes)

    def note(self, outcome: str, seconds: float = 0.0, name: str = "") -> None:
        """Count one file, or one step of it."""
        self.outcomes[outcome] += 1
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, name

    @property
    def largest_child_bytes(self) -> int:
        """The peak memory of the largest worker that ended; 0 if an earlier child's was more."""
        peak = _largest_child_bytes()
        return peak if peak > self.before_bytes else 0


def batches(count: int, first: int, folder: Path) -> Iterator[Path]:
    """Yield folders of at most `BATCH` damaged files each, emptied after use."""
    whole = seeds(folder)
    for start in range(first, first + count, BATCH):
        paths = []
        for seed in range(start, min(start + BATCH, first + count)):
            rng = random.Random(seed)
            path = folder / f"{seed:07d}"
            path.write_bytes(mutate(rng, rng.choice(whole), rng.choice(whole)))
            paths.append(path)
        yield folder
        for path in paths:
            path.unlink()


class Reader:
    """Decodes as the product does: in a worker that is kept while it lives."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def outcome(self, piece: Slice) -> str:
        """Decode one slice and say what came of it."""
        if piece.pixel_offset is not None:
            task = _Task(piece.source, (piece,), (0,))
            try:
                return "read" if list(_as_they_lie(task)) else "empty"
            except (DicomError, OSError):
                return "undecodable"
        if self._worker is None:
            self._worker = Worker("workstation.dicom.decoder")
            self._worker.await_ready()
        try:
            return "decoded" if list(_decoded(self._worker, piece.source, [piece.frame])) else ""
        except DicomError as error:
            if "crashed or stalled" not in str(error):
                return "undecodable"
            self.close()
            return "worker ended"

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def run(folder: Path, tally: Tally, reader: Reader) -> None:
    """Scan all files in ``folder``, and decode what is still an image."""
    start = time.monotonic()
    found = scan([folder])
    seconds = time.monotonic() - start
    tally.note("scans", seconds / BATCH, "a scan, per file")
    tally.outcomes["not an image or damaged"] += len(found.ignored)
    for piece in (piece for volume in found.volumes for piece in volume.slices):
        if piece.problem[0]:
            tally.outcomes["refused: " + piece.problem[0]] += 1
            continue
        start = time.monotonic()
        tally.note(reader.outcome(piece), time.monotonic() - start, piece.source.name)
