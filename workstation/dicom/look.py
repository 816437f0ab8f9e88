"""What a person must look at before it is de-identified, and the pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from segmentation.contract import Progress, silent
from workstation.dicom.burned_in import may_be_accepted, reason_to_look
from workstation.dicom.datasets import (
    NATIVE_SYNTAXES,
    expected_bytes,
    frame_count,
    open_dataset,
    syntax,
)
from workstation.dicom.objects import lenient
from workstation.dicom.pixels import decode
from workstation.dicom.preview import Grey
from workstation.dicom.sources import DicomError, Source, find_sources
from workstation.dicom.values import numbers, text, whole


@dataclass(frozen=True)
class Look:
    """Files of one series that are held back for one reason; ``final`` if a look does not help."""

    title: str
    reason: str
    final: bool
    files: tuple[Source, ...]


@lenient()
def to_look_at(paths: Sequence[Path], progress: Progress = silent) -> tuple[Look, ...]:
    """Return what of ``paths`` is held back, by series and reason, from headers alone.

    Files that cannot be read are left to the de-identification, which lists them.

    Raises:
        DicomError: if a path is not there.
    """
    sources, _ = find_sources(paths)
    groups: dict[tuple[str, str, bool, str], list[Source]] = {}
    for n, source in enumerate(sources):
        progress(n / len(sources), f"reading header {n + 1} of {len(sources)}")
        with suppress(Exception):  # a damaged file can fail anywhere inside the parser
            data = open_dataset(source, pixels=False)
            reason = reason_to_look(data)
            if reason and text(data, "SOPClassUID") and "DirectoryRecordSequence" not in data:
                title = f"{text(data, 'Modality')} {text(data, 'SeriesDescription')}".strip()
                group = (title, reason, not may_be_accepted(data), text(data, "SeriesInstanceUID"))
                groups.setdefault(group, []).append(source)
    return tuple(Look(*group[:3], tuple(files)) for group, files in groups.items())


@lenient()
def picture(source: Source) -> tuple[Grey, float]:
    """Return a file's picture in grey, and how high a pixel is over its width.

    The greys are equalised, so that text shows whatever its value, where a window could hide
    it. Colours are averaged; of several frames it is the middle one.

    Raises:
        DicomError: when it holds no picture that can be drawn.
    """
    header = open_dataset(source, pixels=False)
    if not header.get("Rows"):
        raise DicomError("it holds no image")
    native, samples = syntax(header) in NATIVE_SYNTAXES, whole(header, "SamplesPerPixel", 1)
    if samples == 1:
        count = frame_count(header)
        (stored,) = decode(source, [count // 2 if count > 1 else None], native)
    elif native and whole(header, "BitsAllocated") == 8:
        stored = _colours(open_dataset(source), samples)
    else:
        raise DicomError("colours that are compressed cannot be shown here")
    spacing = numbers(header, "PixelSpacing", 2) or (1.0, 1.0)
    return _equalised(stored), spacing[0] / spacing[1] if min(spacing) > 0 else 1.0


def _colours(data: Dataset, samples: int) -> npt.NDArray[np.float64]:
    """Return the mean of the colours of the middle frame."""
    content = np.frombuffer(data.PixelData, np.uint8)[: expected_bytes(data)]
    rows, columns = whole(data, "Rows"), whole(data, "Columns")
    if whole(data, "PlanarConfiguration") == 1:
        frames = np.moveaxis(content.reshape(-1, samples, rows, columns), 1, 3)
    else:
        frames = content.reshape(-1, rows, columns, samples)
    mean: npt.NDArray[np.float64] = frames[len(frames) // 2].mean(axis=2)
    return mean


def _equalised(stored: npt.NDArray[Any]) -> Grey:
    """Return greys that rise with the values and are each about as frequent.

    Half of the scale goes by rank, half by value, so that neither faint nor rare values vanish.
    """
    found, where, count = np.unique(stored, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - count) / max(stored.size - count[-1], 1)
    height = (found - found[0].astype(float)) / max(float(found[-1]) - float(found[0]), 1e-9)
    grey = np.rint(255 * (0.5 * rank + 0.5 * height)).astype(np.uint8)
    return np.ascontiguousarray(grey[where].reshape(stored.shape))
