"""Siemens mosaics: the slices of a volume tiled into one image, taken apart.

Where each tile lies is not in the standard attributes: their number and the direction in which
they follow each other stand in Siemens' private CSA header. The image position is that of the
first pixel of a picture as large as the mosaic around the centre of the first slice.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from workstation.dicom.slices import Slice
from workstation.dicom.values import number, value, values

COUNT, CSA_IMAGE_HEADER = 0x0019100A, 0x00291010
CSA_CAP_BYTES = 1 << 20
MAX_TILES = 1 << 14
_MAX_TAGS, _MAX_ITEMS = 128, 1000
_NORMAL_TOLERANCE = 1e-3


def is_mosaic(header: Dataset) -> bool:
    """Tell whether an image holds many slices side by side."""
    return "MOSAIC" in values(header, "ImageType") or header.get(COUNT) is not None


def tiles_of(mosaic: Slice, header: Dataset) -> list[Slice]:
    """Return the slices of a mosaic, each at its place, or the mosaic with its problem."""
    try:
        return _tiles(mosaic, header)
    except (ValueError, struct.error) as error:
        sentence = f"a mosaic, many slices tiled into one image, that cannot be split: {error}"
        return [replace(mosaic, problem=("mosaic", sentence))]


def _tiles(mosaic: Slice, header: Dataset) -> list[Slice]:
    place, turn, pixel = mosaic.position_mm, mosaic.orientation, mosaic.pixel_spacing_mm
    if place is None or turn is None or pixel is None:
        raise ValueError("its position, orientation or pixel spacing is absent")
    private = csa_values(value(header, CSA_IMAGE_HEADER))
    count = _count(header, private)
    side = math.ceil(math.sqrt(count))
    rows, columns = mosaic.form.rows, mosaic.form.columns
    if rows % side or columns % side:
        raise ValueError(f"{count} tiles do not fit into {columns} x {rows} pixels")
    rows, columns = rows // side, columns // side
    x, y = np.array(turn[:3]), np.array(turn[3:])
    centred = (side - 1) / 2 * (columns * pixel[1] * x + rows * pixel[0] * y)
    step = _step_mm(header, private, np.cross(x, y))
    form = replace(mosaic.form, rows=rows, columns=columns)
    hints = (*mosaic.hints, ("file", mosaic.sop_uid))
    return [
        replace(
            mosaic,
            form=form,
            position_mm=tuple((np.array(place) + centred + k * step).tolist()),
            hints=hints,
            tile=(k // side * rows, k % side * columns, side * rows, side * columns),
        )
        for k in range(count)
    ]


def _count(header: Dataset, private: Mapping[str, list[str]]) -> int:
    own = value(header, COUNT)
    if isinstance(own, bytes):  # of unknown type where the file leaves types out
        own = int.from_bytes(own[:2], "little")
    words = [str(own or ""), *private.get("NumberOfImagesInMosaic", [])[:1]]
    found = {int(word) for word in words if word}
    if len(found) != 1 or not 0 < max(found) <= MAX_TILES:
        raise ValueError("the header does not say how many slices it holds")
    return found.pop()


def _step_mm(header: Dataset, private: Mapping[str, list[str]], across: np.ndarray) -> np.ndarray:
    """Return the way (LPS mm) from one slice to the next."""
    spacing = number(header, "SpacingBetweenSlices")
    if spacing is None or spacing <= 0:
        raise ValueError("the header does not say how far apart the slices are")
    normal = np.array([float(v) for v in private.get("SliceNormalVector", [])[:3]])
    if len(normal) != 3:
        raise ValueError("the header does not say in which direction the slices follow")
    along = float(normal @ across)
    if not abs(abs(along) - 1) <= _NORMAL_TOLERANCE:
        raise ValueError("the direction of the slices contradicts their orientation")
    return np.asarray(spacing * math.copysign(1.0, along) * across)


def csa_values(blob: object) -> dict[str, list[str]]:
    """Return the elements of a CSA header, of its first or second form, as texts.

    Raises:
        ValueError, struct.error: when it is none, or is damaged.
    """
    if not isinstance(blob, bytes) or not 16 <= len(blob) <= CSA_CAP_BYTES:
        raise ValueError("it has no CSA header")
    second = blob[:4] == b"SV10"
    at = 8 if second else 0
    count, mark = struct.unpack_from("<II", blob, at)
    if not 0 < count <= _MAX_TAGS or mark != 77:
        raise ValueError("its CSA header is damaged")
    found: dict[str, list[str]] = {}
    first_items: int | None = None
    at += 8
    for _ in range(count):
        name, _, _, _, items, _ = struct.unpack_from("<64si4siii", blob, at)
        first_items = items if first_items is None else first_items
        if not 0 <= items <= _MAX_ITEMS:
            raise ValueError("its CSA header is damaged")
        at += 84
        texts = []
        for _ in range(items):
            first, length = struct.unpack_from("<ii", blob, at)
            length = length if second else first - first_items
            at += 16
            if not 0 <= length <= len(blob) - at:
                raise ValueError("its CSA header is damaged")
            texts.append(_text(blob[at : at + length]))
            at += (length + 3) // 4 * 4
        found[_text(name)] = [t for t in texts if t]
    return found


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("latin-1").strip()
