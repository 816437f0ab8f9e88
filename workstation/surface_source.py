"""Surface files as sources of a case: read as they are, with what is wrong with them said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from meshing.check import check
from meshing.reading import Space, Unit, read_surface
from meshing.surface import SurfaceMesh
from meshing.tracts import TRACT_FILES, holds_tract, read_tract
from segmentation.contract import Finding, Progress, Severity, share, silent
from workstation.case_record import CaseError

SURFACE_FILES = (".stl", ".obj", ".ply", ".vtp", *TRACT_FILES)

READING: Mapping[str, tuple[str, ...]] = {"unit": get_args(Unit), "space": get_args(Space)}
"""What may be said about a surface file that does not say it itself, and its values."""

NAME_LENGTH = 40


def is_surface_file(path: Path) -> bool:
    """Tell whether the name is that of a surface file."""
    return path.suffix.lower() in SURFACE_FILES


def check_reading(reading: Mapping[str, Any]) -> dict[str, str]:
    """Return what is said about a surface file, such as {"unit": "cm"}.

    Raises:
        CaseError: for a word or value that there is not.
    """
    for word, value in reading.items():
        if word not in READING:
            raise CaseError(f"a surface file has no {word!r} to set; it has: {', '.join(READING)}")
        if value not in READING[word]:
            raise CaseError(f"{value!r} is no {word}; choose {', '.join(READING[word])}")
    return {word: str(value) for word, value in reading.items()}


def read_surface_source(
    path: Path,
    name: str,
    reading: Mapping[str, str],
    frame_uid: str = "",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Return the surface of a file as it is, in LPS mm, with what is wrong with it as findings.

    Fibres of a tract become thin tubes. No triangle is dropped, turned or mended; repairs are
    steps of a plan. It is called ``name`` unless the file says how. ``reading`` says the unit and
    space of a file that names none; such a file lies in ``frame_uid`` if it names no
    frame of reference either.

    Raises:
        UnreadableSurface: if the file is damaged, empty or not finite.
        OSError: if it cannot be opened.
    """
    progress(0.0, f"reading {path.name}")
    path.stat()  # not every reader tells a file that is not there from a damaged one
    tract = holds_tract(path)
    read = read_tract if tract else partial(read_surface, as_it_is=True)
    mesh = read(path, **reading)  # type: ignore[arg-type]
    mesh = replace(mesh, name=name) if mesh.name == path.stem else mesh
    findings = [_sized(f, mesh) if f.code == "unit_doubtful" else f for f in mesh.findings]
    findings = [f for f in findings if f.code != "open_surface"]  # told with its edges below
    if frame_uid and not mesh.frame_uid:
        mesh = replace(mesh, frame_uid=frame_uid)
        text = "The file names no frame of reference; that of the case's image was assumed."
        remedy = "Look whether it lies on the patient's image."
        findings.append(Finding(Severity.WARNING, "frame_assumed", text, remedy=remedy))
    if tract:  # tubes cross each other, and that is no fault
        return replace(mesh, findings=tuple(findings))
    faults = check(mesh, progress=share(progress, 1, 2)).findings()
    return replace(mesh, findings=(*findings, *faults))


def _sized(finding: Finding, mesh: SurfaceMesh) -> Finding:
    """Return a finding about an unlikely size with the size in fit words, and the way out."""
    size = float(np.ptp(mesh.points_mm[mesh.triangles].reshape(-1, 3), axis=0).max())
    shown = f"{size:.3g} mm" if size < 1000 else f"{size / 1000:.3g} m"
    return replace(
        finding,
        sentence=f"The surface is {shown} long, which is unlikely in a patient.",
        remedy="If it was made in centimetres or metres, import it again with that unit.",
    )


def plain_name(path: Path) -> str:
    """Return a name for a source made of a file's name."""
    plain = re.sub(r"[^a-z0-9_]+", "_", path.stem.lower()).strip("_")
    return plain[:NAME_LENGTH] or "surface"
