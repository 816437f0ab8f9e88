"""Scanning and loading DICOM series, each in a fresh process, beside other readers."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from workstation.benchmark.rows import Row
from workstation.benchmark.series import write_series

HEADERS, SLICES, SIZE = 2000, 400, 512


@dataclass(frozen=True)
class _Trial:
    """One measured thing; 10,000 headers in 15 s, a CT in 3 s raw and 15 s as JPEG-LS."""

    name: str
    what: str
    folder: str
    work: str
    target_ms: float
    peers: tuple[tuple[str, str], ...]


_SCAN_PEERS = (("SimpleITK", "scan-simpleitk"), ("GDCM Scanner", "scan-gdcm"))
_LOAD_PEERS = (("SimpleITK", "load-simpleitk"),)
_TO_NIFTI = (("dcm2niix (writes NIfTI)", "load-dcm2niix"),)
_TO_LIST = (("dcm2niix", "scan-dcm2niix"),)
TRIALS = (
    _Trial("scan", "headers", "headers", "scan", 1.5 * HEADERS, _SCAN_PEERS + _TO_LIST),
    _Trial("load", "raw", "raw", "load", 3000.0, _LOAD_PEERS + _TO_NIFTI),
    _Trial("load", "JPEG-LS", "jpeg-ls", "load", 15000.0, _LOAD_PEERS + _TO_NIFTI),
)


def reading(peers: bool) -> list[Row]:
    """Measure scan and load of generated series; with ``peers`` beside each of them."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for number in range(HEADERS // 250):
            write_series(root / "headers" / str(number), 250, 64, f"1.2.826.0.1.{number}")
        write_series(root / "raw", SLICES, SIZE, "1.2.826.0.2")
        write_series(root / "jpeg-ls", SLICES, SIZE, "1.2.826.0.3", jpeg_ls=True)
        return [row for trial in TRIALS for row in _rows(trial, root, peers)]


def _rows(trial: _Trial, root: Path, peers: bool) -> list[Row]:
    folder = root / trial.folder
    count = f"{HEADERS:,}" if trial.work == "scan" else f"{SIZE}x{SIZE}x{SLICES}"
    name, what = f"{trial.name} {count} {trial.what}", "in a fresh process, files in memory"
    ms, mb = measured(trial.work, folder)
    own = Row(name, what, ms, trial.target_ms, mb=mb)
    rows = []
    for peer, work in trial.peers if peers else ():
        if "dcm2niix" in work and not dcm2niix():
            continue
        peer_ms, peer_mb = measured(work, folder)
        rows.append(Row(name, what, ms, trial.target_ms, peer, peer_ms, mb, peer_mb))
    return rows or [own]


def measured(work: str, folder: Path) -> tuple[float, float]:
    """Return milliseconds and the growth of memory (MB) of one trial in a process of its own.

    Raises:
        RuntimeError: with the reason if it fails.
    """
    command = [sys.executable, "-m", "workstation.benchmark.trial", work, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
        raise RuntimeError(f"{work} could not be measured: {reason}; run hilum selftest")
    record = json.loads(done.stdout.splitlines()[-1])
    return float(record["ms"]), float(record["mb"])


def dcm2niix() -> list[str]:
    """Return the command that starts dcm2niix, or nothing where it is not installed."""
    found = shutil.which("dcm2niix")
    if found:
        return [found]
    wheel = importlib.util.find_spec("dcm2niix")
    return [sys.executable, "-m", "dcm2niix"] if wheel else []
