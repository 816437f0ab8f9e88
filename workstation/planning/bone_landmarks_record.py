"""Landmarks of a bone as they are collected: found, clicked, or missing with the reason.

Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from meshing.booleans import piece_volumes_mm3, pieces
from meshing.measuring import as_vector, mean_edge_mm
from meshing.surface import SurfaceMesh, isosurface, require_watertight
from segmentation.contract import Finding, FrameMismatch, Number, Severity
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector

Side = Literal["left", "right"]
Choice = Literal["left", "right"] | None

REACH = "landmark_reach"
"""The number that says how far a landmark may be off."""

DIRECTIONS = ("up", "medial", "anterior", "left", "plateau_normal")
"""Which of a bone's places are unit directions and no points."""

MOST_TRIANGLES = 60_000

BORDER_MM = 10.0
"""A landmark nearer to the border of the image may belong to a bone that goes on beyond it."""


NO_BONE_MM, SHORT_BONE_MM = 5.0, 80.0
"""A surface that is less long is none of a bone in mm; one with landmarks is hardly so short."""

BEYOND_MM = 30.0
"""A landmark farther beyond the bone that is there is hardly one of it."""

OTHER_BONE = 0.1
"""A piece with more than this part of the largest one's volume may be another bone."""


class WrongSide(ValueError):
    """A bone belongs to another side than was declared."""


class NoLandmark(ValueError):
    """Landmarks that are needed were neither found nor clicked."""


class Marks:
    """Landmarks by name, with what is to be said about each."""

    def __init__(
        self, bone: str, given: Mapping[str, Vector | None], seen: SurfaceMesh | LabelMap
    ) -> None:
        self._bone = bone
        self._image = seen.geometry if isinstance(seen, LabelMap) else None
        self._given = {name: p for name, p in given.items() if p is not None}
        self.points: dict[str, Floats] = {}
        self.directions: dict[str, Floats] = {}
        self._found: list[str] = []
        self._spans: list[tuple[str, str, str, str]] = []
        self.findings: list[Finding] = []

    def clicked(self, name: str) -> Floats | None:
        """Return a landmark that a person placed, or None."""
        return np.asarray(self._given[name], float) if name in self._given else None

    def put(self, name: str, point: Floats | None, how: str, *, sure: bool = True) -> None:
        """Keep a landmark with how it was found; without a point ``how`` says why there is none.

        A clicked one wins over any other.
        """
        said = name.replace("_", " ")
        beside = BORDER_MM if point is None else self._to_border_mm(point)
        if point is not None and beside < BORDER_MM:
            sure, how = False, f"{how}; the image ends {beside:.0f} mm beside it"
        hand = self.clicked(name)
        if hand is not None:
            self.points[name] = hand
            self._tell(Severity.INFO, "clicked", f"{said} of the {self._bone}: clicked", hand)
        elif point is None:
            text = f"{said} of the {self._bone}: not proposed, {how}"
            remedy = f"give the place with {name}_mm if the image shows it"
            self._tell(Severity.WARNING, "missing", text, None, remedy)
        elif sure:
            self.points[name] = point
            self._found.append(f"{said} ({how})")
        else:
            self.points[name] = point
            text = f"{said} of the {self._bone} is doubtful: {how}"
            remedy = f"look at it, and give the place with {name}_mm if it is another"
            self._tell(Severity.WARNING, "doubtful", text, point, remedy)

    def span(self, quantity: str, one: str, other: str, how: str) -> None:
        """Have the distance between two landmarks among the numbers, where both are known."""
        if {one, other} <= self.points.keys():
            self._spans.append((quantity, one, other, how))

    def _whole(self, mesh: SurfaceMesh) -> list[Finding]:
        """Say what makes it doubtful that a surface is one bone, in mm."""
        found = []
        longest = float(np.ptp(mesh.points_mm, axis=0).max())
        if longest < SHORT_BONE_MM:
            text = f"what is there of the {self._bone} is {longest:.3g} mm long"
            remedy = "if its surface was made in centimetres or metres, import it with that unit"
            found.append(Finding(Severity.WARNING, "short_bone", text, remedy=remedy))
        low, high = mesh.points_mm.min(axis=0), mesh.points_mm.max(axis=0)
        for name, point in self._given.items():
            away = float(np.linalg.norm(np.clip(point, low, high) - point))
            if away > BEYOND_MM:
                text = (f"{name.replace('_', ' ')} of the {self._bone}: clicked {away:.0f} mm "
                        "beyond the bone")  # fmt: skip
                remedy = f"check {name}_mm: LPS mm, where the image shows it"
                where = as_vector(point)
                found.append(Finding(Severity.WARNING, "landmark_far", text, where, remedy))
        volumes = np.sort(piece_volumes_mm3(mesh, pieces(mesh)))[::-1]
        large = volumes[volumes > OTHER_BONE * volumes[0]] / 1000
        if len(large) > 1:
            text = (f"the {self._bone} is in {len(large)} large pieces, of {large[0]:.3g} and "
                    f"{large[1]:.3g} mL: another bone may be among them")  # fmt: skip
            remedy = "leave one bone in the label or surface"
            found.append(Finding(Severity.WARNING, "several_bones", text, remedy=remedy))
        return found

    def _told(self) -> tuple[Finding, ...]:
        """Say how the landmarks that are sure were found."""
        if not self._found:
            return ()
        text = f"found with confidence on the {self._bone}: {'; '.join(self._found)}"
        return (Finding(Severity.INFO, "landmarks_found", text),)

    def _to_border_mm(self, point: Floats) -> float:
        """Return how far a point lies from the border of the image, where there is one."""
        if self._image is None:
            return BORDER_MM
        index = self._image.to_index(point)
        room = np.minimum(index, np.asarray(self._image.size) - 1 - index)
        return max(float((room * self._image.spacing_mm).min()), 0.0)

    def _tell(
        self, grave: Severity, code: str, text: str, point: Floats | None, remedy: str = ""
    ) -> None:
        place = None if point is None else as_vector(point)
        self.findings.append(Finding(grave, f"landmark_{code}", text, place, remedy))

    def require_side(self, side: Choice) -> Side | None:
        """Return the side that medial, anterior and up make; None where one is unknown.

        Raises:
            WrongSide: if another one is declared.
        """
        if not {"medial", "anterior", "up"} <= self.directions.keys():
            return side
        medial, anterior, up = (self.directions[name] for name in ("medial", "anterior", "up"))
        found: Side = "left" if medial @ np.cross(anterior, up) > 0 else "right"
        if side is not None and side != found:
            raise WrongSide(
                f"this is a {found} {self._bone} by its shape, but it was declared as the {side} "
                "one; check the image, the label and the side"
            )
        text = f"the shape is that of a {found} {self._bone}"
        self._tell(Severity.INFO, f"side_{found}", text, None)
        return found

    def face_front(self, side: Choice) -> None:
        """Let the direction to the front follow from a side where the shape does not tell it."""
        if side is not None and {"up", "medial"} <= self.directions.keys():
            way = anterior_of(self.directions["up"], self.directions["medial"], side)
            self.directions.setdefault("anterior", way)

    def measured(
        self, mesh: SurfaceMesh, lines: Sequence[Sequence[str]], text: str,
        numbers: Sequence[Number] = (), uncertainty_mm: float | None = None,
    ) -> Measured:  # fmt: skip
        """Return the landmarks as a value; ``lines`` name the landmarks that a line joins."""
        reach = mean_edge_mm(mesh) / 2 if uncertainty_mm is None else uncertainty_mm
        source = "half the mean edge of a triangle" if uncertainty_mm is None else "given"
        band = Number(REACH, reach, "mm", f"how far a landmark may be off; {source}")
        spans = []
        for quantity, one, other, how in self._spans:
            way = float(np.linalg.norm(self.points[one] - self.points[other]))
            told = f"{how}; either landmark within {reach:.2f} mm, independent of each other"
            half = float(np.sqrt(2)) * reach
            spans.append(Number(quantity, way, "mm", told, way - half, way + half))
        drawn = tuple(
            np.array([self.points[name] for name in line])
            for line in lines
            if all(name in self.points for name in line)
        )
        spots = np.array(list(self.points.values())).reshape(-1, 3)
        where = spots.mean(axis=0) if len(spots) else mesh.points_mm.mean(axis=0)
        return Measured(
            mesh.frame_uid, drawn, spots, text, as_vector(where),
            {name: as_vector(p) for name, p in {**self.points, **self.directions}.items()},
            findings=(*self._whole(mesh), *self.findings, *self._told()),
            numbers=(*numbers, *spans, band),
        )  # fmt: skip


def bone_surface(bone: SurfaceMesh | LabelMap, label: str) -> SurfaceMesh:
    """Return the closed surface of a bone.

    Raises:
        OpenSurface: if it is not closed.
        ValueError: if it has no triangle, is too small for any unit but another, or no such label.
    """
    mesh = bone
    if isinstance(mesh, LabelMap):
        mesh = isosurface(mesh, label=label, triangles=MOST_TRIANGLES)
    longest = float(np.ptp(mesh.points_mm, axis=0).max()) if len(mesh.points_mm) else 0.0
    if len(mesh.triangles) and longest < NO_BONE_MM:
        raise ValueError(
            f"the bone is only {longest:.3g} mm long; give the unit of its file when it is "
            "imported, such as --set source.NAME.unit=m"
        )
    if len(mesh.triangles) < 100:
        raise ValueError("the bone is empty or too small for landmarks; choose another label")
    require_watertight(mesh)
    return mesh


def place(marks: Measured, name: str, bone: str) -> Floats:
    """Return a landmark or a direction (LPS).

    Raises:
        NoLandmark: if there is none of that name.
    """
    if name not in marks.places:
        raise NoLandmark(
            f"the {name.replace('_', ' ')} of the {bone} is not known; give it by hand at the "
            "step that finds the landmarks"
        )
    return np.asarray(marks.places[name], float)


def side_of(marks: Measured) -> Side | None:
    """Return the side of the bone that landmarks belong to, None where it is unknown."""
    if not {"medial", "anterior", "up"} <= marks.places.keys():
        return None
    medial, anterior, up = (np.asarray(marks.places[n]) for n in ("medial", "anterior", "up"))
    return "left" if medial @ np.cross(anterior, up) > 0 else "right"


def anterior_of(up: Floats, medial: Floats, side: Side) -> Floats:
    """Return the direction to the front that belongs to two others on a side of the patient."""
    way = np.cross(up, medial)
    return way if side == "left" else -way


def reach_mm(marks: Measured) -> float:
    """Return how far a landmark may be off, in mm."""
    return next((n.value for n in marks.numbers if n.quantity == REACH), 0.0)


def require_frame(frame_uid: str, *others: Measured | SurfaceMesh | None) -> None:
    """Raise unless all lie in one frame of reference.

    Raises:
        FrameMismatch: if one does not.
    """
    for other in others:
        if other is not None and other.frame_uid != frame_uid:
            raise FrameMismatch(
                "the bones or landmarks lie in different frames of reference; take them from one "
                "scan, or register one scan to the other first"
            )
