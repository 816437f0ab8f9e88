"""Exports that render, in a process of their own, for the window."""

from __future__ import annotations

from pathlib import Path

from segmentation.contract import Progress
from workstation.ui.aside import run_aside


def export_aside(
    case: Path, name: str, place: Path, progress: Progress, *, labelmap: bool = False
) -> tuple[Path, ...]:
    """Write what `workstation.export_any.export_any` writes; return the files.

    Raises:
        ValueError: if the folder of ``place`` is not there.
        RuntimeError: with what the process said, if it fails.
    """
    if not place.parent.is_dir():
        raise ValueError(f"the folder {place.parent} is not there; make it first")
    words = ["export", str(case), name, str(place), *(["--labelmap"] if labelmap else [])]
    return tuple(map(Path, run_aside(words, f"writing the {name}", progress)))
