"""One picture of a series that lies on a node, without fetching the series."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from segmentation.contract import Progress, silent
from workstation.dicom import network
from workstation.dicom.datasets import NATIVE_SYNTAXES, frame_count, open_dataset, syntax
from workstation.dicom.network import Ask, FoundInstance, Inbox, NetworkError, Node, Route
from workstation.dicom.pixels import decode
from workstation.dicom.sources import source_of
from workstation.dicom.values import number, numbers, text, value

CT_WINDOW_HU = (-160.0, 240.0)  # soft tissue: level 40, width 400
Grey = npt.NDArray[np.uint8]
Serve = Callable[[Inbox], AbstractContextManager[network.StorageServer]]


@dataclass(frozen=True)
class Preview:
    """One image of a series: ``grey`` values [row, column] as its own window shows them.

    ``aspect`` is the height of a pixel over its width. ``place`` counts from 1 among the
    ``count`` instances of the series.
    """

    grey: Grey
    aspect: float
    place: int
    count: int


def preview(
    node: Node,
    study_uid: str,
    series_uid: str,
    route: Route = "auto",
    ask: Ask | None = None,
    progress: Progress = silent,
    serve: Serve | None = None,
) -> Preview:
    """Fetch the middle instance of a series and draw it; nothing of it is kept.

    With ``serve`` the instance comes by C-MOVE, to the server that this makes of an inbox.

    Raises:
        NetworkError: with cause and remedy.
        DicomError: when the instance holds no picture that can be drawn.
    """
    query = network.InstanceQuery(study_uid, series_uid)
    try:
        found = network.find_instances(node, query, route, ask, progress)
    except network.TooMany as many:
        found = tuple(map(FoundInstance.of, many.answers))
    if not found:
        raise NetworkError(f"{node.name} does not have this series", "Search for it again")
    place, wanted = middle(found)
    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder))
        uid = wanted.instance_uid
        if serve is None:
            came = network.fetch(node, study_uid, series_uid, inbox, route, ask, progress, uid)
        else:
            with serve(inbox) as server:
                came = network.move(node, study_uid, series_uid, server, progress, uid)
        grey, aspect = draw((*came.files, *came.known)[0])
    return Preview(grey, aspect, place, len(found))


def middle(found: Sequence[FoundInstance]) -> tuple[int, FoundInstance]:
    """Return the instance halfway by number, and its place among the others from 1 on."""
    ordered = sorted(found, key=lambda i: (i.number is None, i.number or 0, i.instance_uid))
    return len(ordered) // 2 + 1, ordered[len(ordered) // 2]


def draw(path: Path) -> tuple[Grey, float]:
    """Return the picture of a DICOM file (of its middle frame) and its pixels' aspect.

    The window is the file's own, or else soft tissue for CT, or from the 1st to the 99th
    percentile.

    Raises:
        DicomError: when its pixels cannot be decoded to one grey image.
        NetworkError: when it is no image.
    """
    source = source_of(path)
    header = open_dataset(source, pixels=False)
    if not (header.get("Rows") and header.get("Columns")):
        kind = getattr(value(header, "SOPClassUID"), "name", "") or "what came"
        raise NetworkError(f"{kind} holds no image", "Fetch the series to use it")
    count = frame_count(header)
    frame = count // 2 if count > 1 else None
    (stored,) = decode(source, [frame], syntax(header) in NATIVE_SYNTAXES)
    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    values = stored * (slope or 1.0) + (intercept or 0.0)
    low, high = _window(header, values)
    grey = np.clip((values - low) / max(high - low, 1e-6) * 255 + 0.5, 0, 255).astype(np.uint8)
    inverted = text(header, "PhotometricInterpretation") == "MONOCHROME1"
    spacing = numbers(header, "PixelSpacing", 2) or (1.0, 1.0)
    aspect = spacing[0] / spacing[1] if min(spacing) > 0 else 1.0
    return 255 - grey if inverted else grey, aspect


def _window(header: Dataset, values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the values that are black and white."""
    try:
        centre, width = (
            float(text(header, name).split("/")[0]) for name in ("WindowCenter", "WindowWidth")
        )
    except ValueError:
        width = 0.0
    if width > 1:  # some files state 0 or 1, which shows nothing
        return centre - width / 2, centre + width / 2
    if text(header, "Modality") == "CT":
        return CT_WINDOW_HU
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)
