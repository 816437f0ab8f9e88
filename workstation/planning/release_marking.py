"""The side on a guide or a plate: where it lies, held against the bone and what was declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Literal

from annotated_types import Gt, Le

from meshing.measuring import as_vector
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh
from meshing.symmetry import even_points
from segmentation.contract import Finding, FrameMismatch, Progress, Severity, share, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.aneurysm_patient import BY_HAND, PatientFacts
from workstation.planning.bone_landmarks import femur_landmarks
from workstation.planning.bone_landmarks_record import Side, WrongSide, bone_surface
from workstation.planning.bone_landmarks_record import side_of as side_by_shape
from workstation.planning.bone_landmarks_tibia import tibia_landmarks
from workstation.planning.cranioplasty import side_of as side_of_plane
from workstation.planning.implant_marking import LETTERS, places_on, written_at

TELLS: Mapping[str, Callable[[SurfaceMesh], Measured]] = MappingProxyType(
    {"femur": femur_landmarks, "tibia": tibia_landmarks}
)
"""Bones whose shape tells their side, and what finds it."""

Bone = Literal["other", "femur", "tibia"]

FIBULA = "fibula"

FAR_MM = 10.0
"""A part whose nearest point lies farther from the bone is not made for it."""

SAMPLES, PLACES = 4000, 12
"""Points among which places for letters are looked for, and how many are tried."""

SEEN, UNSEEN = "side_seen_", "side_unseen"

DECLARED = "the side declared for the operation is"
"""Stands in every refusal of a part that lies on another side."""


def operated_side(
    *,
    side: Literal["left", "right", "bilateral"] | None = None,
    bone: Bone = "other",
    progress: Progress = silent,
) -> PatientFacts:
    """Which side of the patient is operated on, and which bone.

    It is compared with guides and plates and the bone that they are made for; where they differ,
    nothing is made.

    Args:
        side: The patient's side; bilateral where the operation crosses the midline.
        bone: Which bone it is; the shape of a femur or a tibia tells its side.
        progress: told how far the work is.
    """
    progress(1.0)
    if side is None:
        text = "the side of the operation was not declared, so nothing can be marked with it"
        note = Finding(Severity.WARNING, "side_unknown", text, remedy="set patient.side")
        return PatientFacts(findings=(note,))
    facts = {"side": side, "bone": bone}
    return PatientFacts(facts=facts, origins=dict.fromkeys(facts, BY_HAND))


def mark_part(
    part: SurfaceMesh,
    bone: SurfaceMesh | LabelMap,
    patient: PatientFacts,
    plane: Measured | None = None,
    *,
    label: str = "",
    code: str = "",
    height_mm: Annotated[float, Gt(0), Le(30)] = 5.0,
    depth_mm: Annotated[float, Gt(0), Le(3)] = 0.4,
    raised: bool = False,
    click_mm: Vector | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Write its side, and a code if there is one, on a guide or a plate.

    The bone tells the side by its shape where it is a femur or a tibia. Where there is a
    mid-sagittal plane, the place of the bone tells it, or that of the part where the bone lies
    across the plane, as a mandible does. Another side than was declared is refused; in an
    operation on both sides each part bears the one on which it lies: L, R, or L+R across the
    midline. Where nothing tells the side, the declared one is written and the part says that it
    was never compared with the image. Without a declared side nothing is written.

    Args:
        part: the closed surface of a guide or a plate.
        bone: the bone that it is made for, as it is used for the part.
        patient: the declared side.
        plane: the mid-sagittal plane, where the image shows the middle of the patient.
        label: name of one of several labels.
        code: a number or word beside the side, such as the patient's code; it goes into the file.
        height_mm: of a capital letter; smaller where that does not fit.
        depth_mm: how deep the letters are cut in, or how far they stand out.
        raised: letters stand out instead of being cut in.
        click_mm: the middle of the text (x, y, z), LPS mm; empty finds a place.
        progress: told how far the work is.

    Raises:
        OpenSurface: if part or bone are not closed.
        FrameMismatch: if they lie in different frames of reference.
        NoPlaceForText: if there is no place for the text.
        WrongSide: if part or bone are of another side than was declared.
        ValueError: if the part does not lie at the bone.
    """
    if not patient.facts.get("side"):
        return replace(part, findings=(*part.findings, *patient.findings))
    mesh = bone_surface(bone, label)
    if {part.frame_uid, *([plane.frame_uid] if plane else [])} != {mesh.frame_uid}:
        raise FrameMismatch("part, bone and plane lie in different frames of reference")
    points, normals = even_points(part, SAMPLES)
    progress(0.1, "comparing the side")
    own, seen = _compared(part.name, points, mesh, plane, patient)
    bone_at = NearestOnSurface(mesh)
    near = bone_at(points)
    if near.distance_mm.min() > FAR_MM:
        raise ValueError(
            f"the {part.name} lies {near.distance_mm.min():.0f} mm from this bone, so it was made "
            "for another one; choose that"
        )
    text = " ".join(word for word in (LETTERS[own], code.strip()) if word)
    places = [click_mm] if click_mm is not None else list(
        places_on(points, normals, points - near.point_mm, PLACES))  # fmt: skip
    made = written_at(part, text, places, height_mm, depth_mm, raised, share(progress, 1, 2))
    letters = made.points_mm[NearestOnSurface(part)(made.points_mm).distance_mm > depth_mm / 2]
    place = as_vector(letters.mean(axis=0))
    told = Finding(Severity.INFO, f"marked_{own}", f"{text!r} is written on the outside", place)
    kept = tuple(f for f in part.findings if f not in made.findings)
    return replace(made, name=f"marked {part.name}", colour=part.colour,
                   findings=(*kept, *made.findings, told, seen))  # fmt: skip


def _compared(
    name: str, points: Floats, bone: SurfaceMesh, plane: Measured | None, patient: PatientFacts
) -> tuple[str, Finding]:
    """Return the side of a part, points (n, 3) on it, and what the image says of it.

    Raises:
        WrongSide: if it is another one than was declared, or two signs of it differ.
    """
    side, kind = str(patient.facts["side"]), str(patient.facts.get("bone", "other"))
    found = _signs(name, points, bone, plane, patient)
    own = set(found.values())
    for words, other in found.items():
        if other != side and (side != "bilateral" or len(own) > 1):
            raise WrongSide(f"{words}, but {DECLARED} {side}; {_way_out(other)}")
    if found:
        lies = own.pop()
        return lies, Finding(Severity.INFO, SEEN + lies, "; ".join(found))
    text = "the side was never compared with the image"
    remedy = "set patient.bone for a femur or a tibia, or give the mid-sagittal plane"
    if kind == FIBULA:
        remedy = "give the tibia of the same scan, or the direction to the lateral side"
    elif plane is not None:
        text += ", since its two halves are too unlike to tell the middle"
        remedy = "give another mid-sagittal plane, such as that of the skull"
    return side, Finding(Severity.WARNING, UNSEEN, text, remedy=remedy)


def _signs(
    name: str, points: Floats, bone: SurfaceMesh, plane: Measured | None, patient: PatientFacts
) -> dict[str, str]:
    """Return what tells a side, in words, and the side."""
    found: dict[str, str] = {}
    kind = str(patient.facts.get("bone", "other"))
    if kind in TELLS:
        by_shape: Side | None = side_by_shape(TELLS[kind](bone))
        if by_shape is not None:
            found[f"by its shape this is a {by_shape} {kind}"] = by_shape
    if kind == FIBULA and patient.facts.get("checked"):
        leg = str(patient.facts["side"])
        found[f"lateral of this fibula points to the patient's {leg}"] = leg
    if plane is not None and all(f.severity is Severity.INFO for f in plane.findings):
        by_place, what = side_of_plane(bone.points_mm, plane), "bone"
        if by_place == "bilateral":
            by_place, what = side_of_plane(points, plane), name
        words = {"bilateral": "across the midline"}.get(by_place, f"on the patient's {by_place}")
        found[f"the {what} lies {words}"] = by_place
    return found


def _way_out(lies: str) -> str:
    if lies == "bilateral":
        return ("where the operation crosses the midline set patient.side to bilateral: each part "
                "then bears the side on which it lies")  # fmt: skip
    return "check the image, the file of the bone and patient.side"
