"""What works on this machine: decoders, rendering, networks, memory, disk."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from meshing.surface import is_watertight, isosurface
from segmentation.contract import Progress, silent
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.picture import probe

SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "HTJ2K": HTJ2KLossless,
}
LEAST_MEMORY_GB = 6.0
LEAST_DISK_GB = 5.0


@dataclass(frozen=True)
class Check:
    """One thing that was tried; ``optional`` ones may fail on a usable machine."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    optional: bool = False


def run(progress: Progress = silent) -> list[Check]:
    """Try everything once and return what was found."""
    checks: list[Check] = []
    for number, check in enumerate(CHECKS):
        progress(number / len(CHECKS), check.__name__.strip("_").replace("_", " "))
        checks += check()
    progress(1.0)
    return checks


def _versions() -> list[Check]:
    names = ("hilum", "numpy", "SimpleITK", "pydicom", "vtk", "PySide6-Essentials", "monai")
    found = []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            return [Check("packages", False, f"{name} is not installed", "install Hilum again")]
    return [Check("packages", True, ", ".join(found))]


def _decoders() -> list[Check]:
    checks = []
    for name, syntax in SYNTAXES.items():
        plain = syntax in (
            ExplicitVRLittleEndian,
            ExplicitVRBigEndian,
            DeflatedExplicitVRLittleEndian,
        )
        available = plain or get_decoder(syntax).is_available
        detail = "can be read" if available else "cannot be read"
        checks.append(Check(f"DICOM {name}", available, detail, "" if available else "reinstall"))
    return checks


def _surfaces() -> list[Check]:
    k, j, i = np.mgrid[0:24, 0:24, 0:24] - 11.5
    ball = (k * k + j * j + i * i < 64).astype(np.uint8)
    grid = ImageGeometry((24, 24, 24), (1, 1, 1), (0, 0, 0), tuple(np.eye(3).ravel()), "1.2.3")
    surface = isosurface(LabelMap(ball, grid, {1: Label("ball")}))
    closed = is_watertight(surface)
    return [Check("surfaces", closed, f"{len(surface.triangles)} triangles, closed: {closed}")]


def _rendering() -> list[Check]:
    problem = probe()
    remedy = "install the system libraries that the README lists" if problem else ""
    return [Check("3D rendering", problem is None, problem or "off-screen picture drawn", remedy)]


def _window() -> list[Check]:
    with suppress(ImportError):
        importlib.import_module("PySide6.QtWidgets")
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        there = bool(screen) or os.name == "nt" or os.uname().sysname == "Darwin"
        detail = "screen found" if there else "no screen: commands work, the window does not"
        return [Check("window", there, detail, "", optional=True)]
    return [Check("window", False, "Qt cannot be loaded", "install the system libraries")]


def _networks() -> list[Check]:
    torch: Any = importlib.import_module("torch")
    there = bool(torch.cuda.is_available())
    detail = torch.cuda.get_device_name(0) if there else "no CUDA device; the CPU is used"
    return [
        Check("networks", True, f"torch {torch.__version__}"),
        Check("GPU", there, detail, "", optional=True),
    ]


def _room() -> list[Check]:
    memory = psutil.virtual_memory()
    total, free = memory.total / 1e9, memory.available / 1e9
    disk = shutil.disk_usage(Path.home()).free / 1e9
    return [
        Check(
            "memory",
            free >= LEAST_MEMORY_GB,
            f"{free:.1f} GB free of {total:.1f} GB",
            f"a large CT needs about {LEAST_MEMORY_GB:.0f} GB free",
            optional=True,
        ),
        Check(
            "disk",
            disk >= LEAST_DISK_GB,
            f"{disk:.1f} GB free in the home folder",
            f"a case takes up to {LEAST_DISK_GB:.0f} GB",
            optional=True,
        ),
        _writable(),
    ]


def _writable() -> Check:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"hilum")
    except OSError as error:
        return Check("temporary folder", False, str(error), "set TMPDIR to a folder with room")
    return Check("temporary folder", True, tempfile.gettempdir())


CHECKS: Sequence[Callable[[], list[Check]]] = (
    _versions,
    _decoders,
    _surfaces,
    _rendering,
    _window,
    _networks,
    _room,
)


def to_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the document that `hilum selftest --json` prints."""
    return {
        "ok": all(check.ok or check.optional for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def table(checks: Sequence[Check]) -> str:
    """Return the checks as text, a line each."""
    lines = []
    for check in checks:
        mark = "ok" if check.ok else ("-" if check.optional else "FAILS")
        remedy = f" ({check.remedy})" if check.remedy and not check.ok else ""
        lines.append(f"{mark:6}{check.name:20} {check.detail}{remedy}")
    return "\n".join(lines)
