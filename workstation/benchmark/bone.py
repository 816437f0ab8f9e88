"""From a folder of DICOM to a closed STL of bone, beside InVesalius."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from workstation.benchmark.memory import Memory
from workstation.benchmark.rows import Row
from workstation.benchmark.series import write_series

LOWER_HU, UPPER_HU = 226, 3071
"""What InVesalius takes for bone."""

CELL_MM = 1.9
"""Four voxels of a head CT across a slice: a seventh of the triangles of the full resolution."""


def bone(peers: bool, ct: Path | None = None) -> list[Row]:
    """Measure whole commands, start-up and files included; ``ct`` is a folder or ZIP of DICOM.

    Raises:
        RuntimeError: with the reason if a command fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, root = Path(scratch) / "dicom", Path(scratch)
        if ct is None:
            write_series(folder, 160, 512, "1.2.826.0.4", bone=True)
        elif ct.is_dir():
            folder = ct
        else:
            with zipfile.ZipFile(ct) as archive:
                archive.extractall(folder)
        name, what = "DICOM to STL of bone", "a threshold, closed and simplified"
        limits = ["--set", f"lower_hu={LOWER_HU}", "--set", f"upper_hu={UPPER_HU}"]
        cells = ["--set", f"surface.cell_mm={CELL_MM}"]
        command = [sys.executable, "-m", "workstation", "segment", "threshold"]
        ms, mb = _measured([*command, str(folder), str(root / "own.stl"), *limits, *cells])
        if not (peers and _invesalius()):
            return [Row(name, what, ms, mb=mb)]
        asked = ["--no-gui", "-i", str(folder), "-t", f"{LOWER_HU},{UPPER_HU}"]
        peer_ms, peer_mb = _measured([*_invesalius(), *asked, "-e", str(root / "peer.stl")])
        if not (root / "peer.stl").exists():
            raise RuntimeError("InVesalius wrote no file")
        return [Row(name, what, ms, None, "InVesalius (full resolution)", peer_ms, mb, peer_mb)]


def _measured(command: list[str]) -> tuple[float, float]:
    """Return milliseconds and the growth of memory (MB) of a command, after a run to warm up."""
    # A script of the system means the system's Python, not that of this environment.
    environment = {**os.environ, "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
    for _ in range(2):
        with Memory() as memory:
            start = time.perf_counter()
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            ms = 1000 * (time.perf_counter() - start)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise RuntimeError(f"{command[0]} failed: {lines[-1]}")
    return ms, memory.grown_mb


def _invesalius() -> list[str]:
    """Return the command that starts InVesalius without a screen, or nothing."""
    program, screen = shutil.which("invesalius3"), shutil.which("xvfb-run")
    if program is None:
        return []
    return [program] if os.environ.get("DISPLAY") or screen is None else [screen, "-a", program]
