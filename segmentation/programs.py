"""Segmentation by programs of other makers, each in a process that can be ended at once.

Images go to the program and labels come back as NIfTI files in a folder that is deleted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segmentation.bundles.folder import BundleError
from segmentation.bundles.process import TICK_S, end_process
from segmentation.contract import Finding, Progress, Severity
from segmentation.images import read_labels, write_volume
from segmentation.volume import Label, LabelMap, Volume

PERCENT = re.compile(r"(\d{1,3})%\|")


class ProgramFailed(RuntimeError):
    """A program of another maker ended without a result; the text has its last words."""


def program(name: str, package: str) -> str:
    """Return the path of a program of an optional package.

    Raises:
        BundleError: if it is not installed.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        raise BundleError(f"{name} is not installed", f"Install it with: pip install {package}")
    return found


def run_program(command: Sequence[str], words: Path, progress: Progress) -> None:
    """Run a program to its end; what ``progress`` raises ends it, and all that it started.

    Raises:
        ProgramFailed: if it fails.
    """
    name = Path(command[0]).name
    with words.open("wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                progress(_fraction(words), name)
                time.sleep(TICK_S)
        finally:
            end_process(process)
    if process.returncode:
        lines = [line for line in _text(words).splitlines() if line.strip()]
        last = lines[-1].strip()[:300] if lines else "it said nothing"
        raise ProgramFailed(f"{name} failed ({last})")


def _text(words: Path) -> str:
    return words.read_bytes()[-20_000:].decode("utf-8", "replace").replace("\r", "\n")


def _fraction(words: Path) -> float:
    """Return how far the last bar that the program drew has come; bars come one after another."""
    found = PERCENT.findall(_text(words))
    return min(int(found[-1]), 100) / 100 * 0.95 if found else 0.0


def segment_by_files(
    volumes: Sequence[Volume],
    names: Sequence[str],
    command: Sequence[str],
    result: str,
    labels: Mapping[int, Label],
    progress: Progress,
) -> LabelMap:
    """Write ``volumes`` as ``names``, run ``command``, and read the labels from ``result``.

    ``{folder}`` in ``command`` stands for the folder; names are relative to it.

    Raises:
        ProgramFailed: if the program fails or leaves no labels of the image's grid.
    """
    with tempfile.TemporaryDirectory(prefix="hilum-program-") as scratch:
        folder = Path(scratch)
        for volume, name in zip(volumes, names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_volume(volume, folder / name)
        (folder / result).parent.mkdir(parents=True, exist_ok=True)
        filled = [part.replace("{folder}", str(folder)) for part in command]
        run_program(filled, folder / "said.txt", progress)
        if not (folder / result).is_file():
            raise ProgramFailed(f"{Path(command[0]).name} left no labels")
        found = read_labels(folder / result)
    geometry = volumes[0].geometry
    if found.array.shape != geometry.shape:
        raise ProgramFailed(f"{Path(command[0]).name} left labels of another grid")
    present = [int(v) for v in np.flatnonzero(np.bincount(found.array.ravel())) if v]
    named = {v: labels.get(v, Label(f"label_{v}")) for v in {*labels, *present}}
    said = Finding(
        Severity.INFO,
        "model_proposal",
        f"Proposed by {Path(command[0]).name}, to be reviewed by a person",
    )
    return LabelMap(found.array, geometry, named, (said,))
