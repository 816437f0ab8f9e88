"""STEP files (ISO 10303-21) of parts whose exact solid is known, in mm.

The solids are made and read in a process of their own, see `workstation.planning.step_process`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from meshing.booleans import measured_solid
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from segmentation.contract import Progress, silent
from segmentation.volume import Floats
from workstation.planning.size_search import Pose

ENDINGS = (".step", ".stp")
WORKER = "workstation.planning.step_process"
TICK_S = 0.05
LONGEST_S = 300.0
MOST_BYTES = 200 << 20

VOLUME_SHARE, MIDDLE_MM, BOUNDS_MM = 0.01, 0.2, 1.0
"""How far a solid and its mesh may differ: the mesh is flat between its corners, and the box of a
solid is that of facets with some room.
"""

FACETED_SHARE = 0.02
"""How much of its volume a solid that is read may lose to the facets of fine threads."""

_FILE_NAME = re.compile(r"FILE_NAME\('(?:[^']|'')*'")
_PRODUCT = re.compile(r"PRODUCT\('(?:[^']|'')*',\s*'(?:[^']|'')*'")


class StepFailed(RuntimeError):
    """A STEP file could not be made or read, or differs from the part that it should hold."""


def is_step(name: str) -> bool:
    """Tell by its ending whether a file is a STEP file."""
    return name.lower().endswith(ENDINGS)


def write_step(
    mesh: SurfaceMesh,
    path: Path,
    *,
    name: str,
    pose: Pose,
    family: str = "",
    dimensions: Mapping[str, float] = MappingProxyType({}),
    source: Path | None = None,
    note: str = "",
    progress: Progress = silent,
) -> Path:
    """Write a part's solid as it is placed, read it again and compare it with its mesh.

    Args:
        mesh: the part's surface as it is placed, LPS mm.
        path: the file that is made.
        name: of the part; it stands in the header and at the product.
        pose: how the part's own frame lies in the patient.
        family: the generic family that is built.
        dimensions: all dimensions of it.
        source: instead of a family, the STEP file that is placed.
        note: what its reader must know; it stands in the header.
        progress: told how far the work is.

    Raises:
        StepFailed: if the solid cannot be built, or is not that of the mesh.
        OSError: if the file cannot be written.
    """
    request = {
        "do": "write", "family": family, "dimensions": dict(dimensions),
        "file": str(source.resolve()) if source else "", "name": _ascii(name),
        "position_mm": list(pose.position_mm), "turn_degrees": list(pose.turn_degrees),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as scratch:
        folder = Path(scratch)
        _require_same(mesh, _asked(folder, request, f"writing {path.name}", progress), name)
        part = folder / "part.step"
        text = part.read_text("ascii", "replace")
        part.write_text(_with_names(text, name, note), "ascii")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    return path


def read_step(path: Path, progress: Progress = silent) -> SurfaceMesh:
    """Return the surface of a STEP file's one solid; the file names its unit itself.

    Raises:
        StepFailed: if it is none, holds several solids, or cannot be triangulated closed.
        OSError: if it cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise StepFailed(f"{path.name} is larger than {MOST_BYTES >> 20} MiB")
    with path.open("rb") as file:
        if b"ISO-10303-21" not in file.read(4096):
            raise StepFailed(f"{path.name} is no STEP file; export the part anew as STEP")
    with tempfile.TemporaryDirectory(prefix="hilum-step-") as scratch:
        folder = Path(scratch)
        request = {"do": "read", "file": str(path.resolve())}
        exact = _asked(folder, request, f"reading {path.name}", progress)["volume_mm3"]
        with np.load(folder / "mesh.npz", allow_pickle=False) as arrays:
            points, triangles = arrays["points_mm"], arrays["triangles"]
    mesh = SurfaceMesh(points, triangles, "", path.stem)
    if enclosed_mm3(mesh) < 0:
        mesh = mesh.reshaped(points, triangles[:, ::-1])
    volume = enclosed_mm3(mesh)
    if not is_watertight(mesh) or abs(volume - exact) > FACETED_SHARE * exact:
        raise StepFailed(f"the solid in {path.name} could not be triangulated; export it as STL")
    return measured_solid(mesh, volume)


def _require_same(mesh: SurfaceMesh, found: Mapping[str, Any], name: str) -> None:
    """Raise unless the solid in a file is that of a mesh: volume, middle and bounds.

    Raises:
        StepFailed: saying what differs.
    """
    volume = enclosed_mm3(mesh)
    low, high = mesh.points_mm.min(axis=0), mesh.points_mm.max(axis=0)
    off = max(np.abs(low - found["low_mm"]).max(), np.abs(high - found["high_mm"]).max())
    middle = float(np.linalg.norm(_middle(mesh) - found["centre_mm"]))
    if abs(found["volume_mm3"] / volume - 1) > VOLUME_SHARE:
        what = f"its volume is {found['volume_mm3']:.0f} mm³ and not {volume:.0f} mm³"
    elif middle > MIDDLE_MM:
        what = f"its middle lies {middle:.1f} mm off"
    elif off > BOUNDS_MM:
        what = f"its bounds lie {off:.1f} mm off"
    else:
        return
    raise StepFailed(f"the solid of {name} differs from its surface: {what}; export an STL")


def _middle(mesh: SurfaceMesh) -> Floats:
    """Return the centre of mass of what a closed surface encloses, mm."""
    origin = mesh.points_mm.mean(axis=0)
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] - origin for n in range(3))
    parts = np.einsum("ij,ij->i", a, np.cross(b, c))
    return np.asarray(origin + (parts[:, None] * (a + b + c)).sum(axis=0) / (4 * parts.sum()))


def _with_names(text: str, name: str, note: str) -> str:
    """Put a part's name and a note where readers of STEP look for them."""
    said = _ascii(f"{name}, DICOM patient LPS mm{'; ' if note else ''}{note}")
    text = _FILE_NAME.sub(lambda _: f"FILE_NAME('{_ascii(name)}'", text, count=1)
    text = text.replace("(('Open CASCADE Model')", f"(('{said}')", 1)
    return _PRODUCT.sub(lambda _: f"PRODUCT('{_ascii(name)}','{_ascii(name)}'", text, count=1)


def _ascii(text: str) -> str:
    """Return text as STEP writes it: quotes doubled, other letters as numbers (X2)."""
    kept = text.replace("\\", "/").replace("'", "''")
    return re.sub(r"[^ -~]", lambda m: f"\\X2\\{ord(m[0]) & 0xFFFF:04X}\\X0\\", kept)


def _asked(folder: Path, request: object, doing: str, progress: Progress) -> dict[str, Any]:
    """Have the process do it; it is dead when this returns or raises."""
    (folder / "request.json").write_text(json.dumps(request), "utf-8")
    paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, str(folder)],
            stdin=subprocess.PIPE,  # its end is what the process sees of ours
            stdout=said,
            stderr=said,
            env=os.environ | {"PYTHONPATH": paths},
        )
    began = time.monotonic()
    try:
        while process.poll() is None:
            took = time.monotonic() - began
            progress(min(0.9, took / 10), doing)
            if took > LONGEST_S:
                raise StepFailed(f"{doing} took longer than {LONGEST_S:.0f} s and was stopped")
            time.sleep(TICK_S)
    finally:
        process.kill()
        process.communicate()
    try:
        answer: dict[str, Any] = json.loads((folder / "answer.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StepFailed(
            f"{doing} failed: the CAD kernel could not take this part; export an STL instead"
        ) from error
    if "error" in answer:
        raise StepFailed(f"{doing} failed: {answer['error']}")
    return answer
