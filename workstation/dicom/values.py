"""Values of a DICOM data set as plain Python; what is absent or unreadable is empty or None."""

from __future__ import annotations

import math
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

Numbers = tuple[float, ...]


def value(data: Dataset, name: str | int) -> Any:
    """Return the value as the parser gives it, or None when it is absent or unreadable."""
    try:
        tag = tag_for_keyword(name) if isinstance(name, str) else name
        # Most are absent; the parser takes ten times as long to find that out by name.
        return data[tag].value if tag is not None and tag in data else None
    except Exception:  # the parser raises many kinds on a damaged value
        return None


def text(data: Dataset, name: str | int) -> str:
    """Return the value as text, several values joined by "/", or ""."""
    found = value(data, name)
    if found is None:
        return ""
    joined = "/".join(map(str, found)) if isinstance(found, (list, MultiValue)) else str(found)
    return joined.replace("\0", "").strip()


def values(data: Dataset, name: str | int) -> list[str]:
    """Return the values in capitals; none if absent."""
    joined = text(data, name).replace("\\", "/").upper()
    return [part.strip() for part in joined.split("/")] if joined else []


def numbers(data: Dataset, name: str, count: int) -> Numbers | None:
    """Return ``count`` finite numbers, or None when there are not exactly as many."""
    try:
        found = tuple(float(v) for v in value(data, name))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def number(data: Dataset, name: str) -> float | None:
    """Return a finite number, or None."""
    try:
        found = float(value(data, name))
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def whole(data: Dataset, name: str, default: int = 0) -> int:
    """Return a whole number, or ``default`` when it is absent.

    Raises:
        ValueError: when the value is no whole number.
    """
    found = value(data, name)
    return default if found is None or found == "" else int(found)


def empty_value(quantity: str) -> float:
    """Return what stands where nothing was scanned: -1024 HU, or 0 in other images."""
    return -1024.0 if quantity == "HU" else 0.0
