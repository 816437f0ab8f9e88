"""What a person must look at before it is de-identified, and the pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmentation.contract import Progress, silent
from workstation.dicom.burned_in import may_be_accepted, reason_to_look
from workstation.dicom.datasets import NATIVE_SYNTAXES, expected_bytes, open_dataset, syntax
from workstation.dicom.objects import lenient
from workstation.dicom.preview import Grey, draw
from workstation.dicom.sources import DicomError, Source, find_sources
from workstation.dicom.values import text, whole


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

    Colours are averaged; of several frames it is the middle one.

    Raises:
        DicomError, NetworkError: when it holds no picture that can be drawn.
    """
    header = open_dataset(source, pixels=False)
    if whole(header, "SamplesPerPixel", 1) == 1:
        return draw(source.path)
    if syntax(header) not in NATIVE_SYNTAXES or whole(header, "BitsAllocated") != 8:
        raise DicomError("colours that are compressed cannot be shown here")
    data = open_dataset(source)
    content = np.frombuffer(data.PixelData, np.uint8)[: expected_bytes(data)]
    rows, columns, samples = int(data.Rows), int(data.Columns), int(data.SamplesPerPixel)
    if whole(data, "PlanarConfiguration") == 1:
        frames = np.moveaxis(content.reshape(-1, samples, rows, columns), 1, 3)
    else:
        frames = content.reshape(-1, rows, columns, samples)
    return frames[len(frames) // 2].mean(axis=2).astype(np.uint8), 1.0
