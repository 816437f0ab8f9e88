"""The side and a code written on an implant, so that it cannot be taken for another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le
from scipy.spatial import cKDTree

from meshing.cell_sizes import point_normals
from meshing.lettering import NoPlaceForText, letter
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.cranioplasty import require_side, side_of
from workstation.planning.fit import centre_mm
from workstation.planning.implant_body import COLOUR

LETTERS = {"left": "L", "right": "R", "bilateral": "L+R"}
"""What is written for each side."""

PLACES = 5
SMALLER = (1.0, 0.8, 0.6)
"""Shares of the wanted height that are tried, one after the other."""

OUTWARD = 0.8


def mark_implant(
    implant: SurfaceMesh,
    skull: LabelMap,
    plane: Measured,
    patient: PatientFacts | None = None,
    *,
    code: str = "",
    height_mm: Annotated[float, Gt(0), Le(30)] = 5.0,
    depth_mm: Annotated[float, Gt(0), Le(3)] = 0.4,
    raised: bool = False,
    click_mm: Vector | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Write the side, and a code if there is one, on the outside of an implant.

    The side is that on which the implant lies in the image: L for left, R for right, L+R across
    the midline. After writing it is checked that the letters lie on that side.

    Args:
        implant: the closed surface of the implant.
        skull: the skull, whose middle tells which side of the implant is its outside.
        plane: the mid-sagittal plane.
        patient: the declared side; another one is refused.
        code: a number or word beside the side, such as the patient's code; it goes into the file.
        height_mm: of a capital letter; smaller where that does not fit.
        depth_mm: how deep the letters are cut in, or how far they stand out.
        raised: letters stand out instead of being cut in.
        click_mm: the middle of the text (x, y, z), LPS mm; empty finds a place.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the implant is not closed.
        NoPlaceForText: if there is no place for the text.
        WrongSide: if the implant, or what was written, lies on another side than was declared.
    """
    side = side_of(implant.points_mm, plane)
    require_side(side, None if patient is None else patient.facts.get("side"))
    text = " ".join(part for part in (LETTERS[side], code.strip()) if part)
    places = [click_mm] if click_mm is not None else list(_places(implant, centre_mm(skull)))
    made = written_at(implant, text, places, height_mm, depth_mm, raised, progress)
    away = NearestOnSurface(implant)(made.points_mm).distance_mm
    letters = made.points_mm[away > depth_mm / 2]
    written = side_of(letters, plane)
    if side != "bilateral":
        require_side(written, side)
    middle = letters.mean(axis=0)
    place = (float(middle[0]), float(middle[1]), float(middle[2]))
    where = {"bilateral": "over the midline"}.get(written, f"on the patient's {written}")
    told = Finding(
        Severity.INFO, f"marked_{side}", f"{text!r} is written on the outside, {where}", place
    )
    return replace(
        made,
        name="marked implant",
        colour=COLOUR,
        findings=(*made.findings, told),
    )


def _places(implant: SurfaceMesh, head_mm: Floats) -> Iterator[Vector]:
    normals = point_normals(implant.points_mm, implant.triangles)
    return places_on(implant.points_mm, normals, implant.points_mm - head_mm)


def places_on(
    points_mm: Floats, normals: Floats, outward: Floats, count: int = PLACES
) -> Iterator[Vector]:
    """Yield places on the outside, those farthest from its edge first, not near each other.

    Points of a surface (n, 3) lie on its outside where their normals look along ``outward``, the
    ways out there, of any length.
    """
    ways = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    out = np.einsum("ij,ij->i", ways, normals) > OUTWARD
    if not out.any() or out.all():
        raise NoPlaceForText("it has no outside to write on; give click_mm")
    outside = points_mm[out]
    deep = cKDTree(points_mm[~out]).query(outside)[0]
    apart = float(deep.max()) / 2
    for _ in range(count):
        best = int(deep.argmax())
        if deep[best] <= 0:
            return
        x, y, z = outside[best]
        yield float(x), float(y), float(z)
        deep = np.where(np.linalg.norm(outside - outside[best], axis=1) < apart, 0.0, deep)


def written_at(
    implant: SurfaceMesh,
    text: str,
    places: list[Vector],
    height_mm: float,
    depth_mm: float,
    raised: bool,
    progress: Progress,
) -> SurfaceMesh:
    """Return the implant with the text at the first place where it fits, as large as it fits."""
    tries = [(part * height_mm, place) for part in SMALLER for place in places]
    last: NoPlaceForText | None = None
    for number, (height, place) in enumerate(tries):
        part = share(progress, number, len(tries))
        try:
            return letter(
                implant,
                text=text,
                click_mm=place,
                raised=raised,
                height_mm=height,
                depth_mm=depth_mm,
                progress=part,
            )
        except NoPlaceForText as error:
            last = error
    raise NoPlaceForText(
        f"{text!r} fits nowhere on the outside of the {implant.name}, not even "
        f"{tries[-1][0]:.1f} mm high; take a shorter code or smaller letters (at the last place: "
        f"{last})"
    )
