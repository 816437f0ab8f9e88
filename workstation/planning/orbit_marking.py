"""The side on an orbital plate: cut shallowly into the face that looks into the orbit."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from meshing.lettering import NoPlaceForText, letter
from meshing.measuring import as_vector
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh
from meshing.symmetry import even_points
from segmentation.contract import Finding, FrameMismatch, Progress, Severity, share, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.cranioplasty import WrongSide, side_of
from workstation.planning.implant_marking import LETTERS, SMALLER, places_on

BEHIND_MM = 0.3
"""What stays behind the letters: the thinnest that an orbital plate may be."""

SAMPLES, PLACES = 6000, 12


def mark_orbital_plate(
    plate: SurfaceMesh,
    orbits: LabelMap,
    plane: Measured,
    patient: PatientFacts | None = None,
    *,
    code: str = "",
    height_mm: Annotated[float, Gt(0), Le(15)] = 4.0,
    depth_mm: Annotated[float, Gt(0), Le(0.7)] = 0.15,
    click_mm: Vector | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Write the side, and a code if there is one, on the face of a plate that looks into the orbit.

    The letters are cut in, so that nothing stands out towards muscles and nerve. The side is that
    on which the plate lies by the mid-sagittal plane; it must be that of the orbit which it lies
    in, and that which was declared.

    Args:
        plate: the closed surface of the plate.
        orbits: both orbits, which tell in which of them the plate lies.
        plane: the mid-sagittal plane.
        patient: the declared side; another one is refused.
        code: a number or word beside the side, such as the patient's code; it goes into the file.
        height_mm: of a capital letter; smaller where that does not fit.
        depth_mm: how deep the letters are cut in; 0.3 mm of the plate must stay behind them.
        click_mm: the middle of the text (x, y, z), LPS mm; empty finds a place.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the plate is not closed.
        NoPlaceForText: if there is no place for the text.
        WrongSide: if the plate lies on another side than was declared, or in the other orbit.
        FrameMismatch: if plate, orbits and plane lie in different frames of reference.
    """
    if {plate.frame_uid, plane.frame_uid} != {orbits.geometry.frame_uid}:
        raise FrameMismatch("plate, orbits and plane lie in different frames of reference")
    points, normals = even_points(plate, SAMPLES)
    side = _side(points, plane, patient)
    middles = {word: orbit_middle_mm(orbits, word) for word in ("left", "right")}
    lies = min(middles, key=lambda word: float(np.linalg.norm(middles[word] - points.mean(axis=0))))
    if lies != side:
        raise WrongSide(
            f"the plate lies in the {lies} orbit, but on the patient's {side} of the mid-sagittal "
            "plane; make orbits and plate from the same image and plane"
        )
    text = " ".join(word for word in (LETTERS[side], code.strip()) if word)
    places = [click_mm] if click_mm is not None else list(
        places_on(points, normals, middles[side] - points, PLACES))  # fmt: skip
    made = _cut_in(plate, text, places, height_mm, depth_mm, progress)
    letters = made.points_mm[NearestOnSurface(plate)(made.points_mm).distance_mm > depth_mm / 2]
    if side_of(letters, plane) != side:
        raise WrongSide(f"what was written lies off the patient's {side}; give another click_mm")
    words = f"{text!r} is cut {depth_mm:g} mm deep into the face that looks into the orbit"
    told = Finding(Severity.INFO, f"marked_{side}", words, as_vector(letters.mean(axis=0)))
    findings = (*made.findings, told)
    return replace(made, name="marked orbital plate", colour=plate.colour, findings=findings)


def _side(points: Floats, plane: Measured, patient: PatientFacts | None) -> str:
    """Return the side on which points of a plate lie.

    Raises:
        WrongSide: if it is another one than was declared, or both.
    """
    side = side_of(points, plane)
    if side == "bilateral":
        raise WrongSide("the plate lies across the midline, so it fits no orbit; make it anew")
    declared = None if patient is None else patient.facts.get("side")
    if declared is not None and declared != side:
        raise WrongSide(
            f"the plate lies on the patient's {side}, but the side declared for the operation is "
            f"{declared}; check the image and patient.side"
        )
    return side


def orbit_middle_mm(orbits: LabelMap, side: str) -> Floats:
    """Return the middle of the label of an orbit, LPS mm."""
    names = [label.name for label in orbits.labels.values()]
    name = f"{side} orbit"
    voxels = np.argwhere(orbits.mask(name)) if name in names else np.zeros((0, 3), int)
    if not len(voxels):
        raise ValueError(f"the labels hold no {name}; take those that planning.orbital_cavities "
                         "makes")  # fmt: skip
    return np.asarray(orbits.geometry.to_world(voxels[:, ::-1]).mean(axis=0))


def _cut_in(
    plate: SurfaceMesh,
    text: str,
    places: list[Vector],
    height_mm: float,
    depth_mm: float,
    progress: Progress,
) -> SurfaceMesh:
    """Return the plate with the text at the first place where it fits, as large as it fits."""
    tries = [(part * height_mm, place) for part in SMALLER for place in places]
    why = ""
    for number, (height, place) in enumerate(tries):
        try:
            return letter(
                plate,
                text=text,
                click_mm=place,
                height_mm=height,
                depth_mm=depth_mm,
                behind_mm=BEHIND_MM,
                progress=share(progress, number, len(tries)),
            )
        except NoPlaceForText as error:
            why = str(error)
    raise NoPlaceForText(
        f"{text!r} fits nowhere on the plate, not even {SMALLER[-1] * height_mm:.1f} mm high; take "
        f"a shorter code, smaller or shallower letters, or a thicker plate (at the last place: "
        f"{why})"
    )
