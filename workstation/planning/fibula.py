"""The fibula of a donor leg: its ends, centre line and sides.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from meshing.clipping import level_loops
from meshing.measuring import as_vector, mean_edge_mm
from meshing.surface import SurfaceMesh, require_watertight
from meshing.symmetry import even_points
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.aneurysm_patient import Fact, PatientFacts
from workstation.planning.bone_landmarks_record import WrongSide, bone_surface, require_frame
from workstation.planning.guide import INTO
from workstation.planning.mandible_border import unit

Leg = Literal["left", "right"]
Facing = Literal["lateral", "medial", "anterior", "posterior"]

SAMPLES = 6000
STEP_MM = 5.0
SHAFT = (0.2, 0.8)
"""The shares of the length between which the shaft is measured."""

SLENDER = 8.0
"""A bone less slender than this, length over its mean width, is no whole fibula."""

SIDEWAYS = 0.2
"""Least share of a lateral direction that points to the patient's side."""


class NoFibula(ValueError):
    """A bone that is no fibula, or not enough of one."""


@dataclass(frozen=True, eq=False)
class Shaft:
    """The centre line of a fibula: ``line_mm`` (n, 3) at heights ``up_mm`` above the ankle's tip.

    ``up`` is the unit way from ankle to knee; ``lateral`` and ``anterior`` are across it.
    """

    ankle_mm: Floats
    up: Floats
    line_mm: Floats
    up_mm: Floats
    length_mm: float
    lateral: Floats
    anterior: Floats

    def centre(self, height_mm: float) -> Floats:
        """Return the middle of the bone at a height above the ankle's tip, LPS mm."""
        return np.array([np.interp(height_mm, self.up_mm, self.line_mm[:, a]) for a in range(3)])

    def facing(self, side: Facing) -> Floats:
        """Return the way out to a side."""
        return {"lateral": self.lateral, "medial": -self.lateral, "anterior": self.anterior,
                "posterior": -self.anterior}[side]  # fmt: skip


def fibula_axis(
    fibula: SurfaceMesh | LabelMap,
    tibia: SurfaceMesh | LabelMap | None = None,
    *,
    leg: Leg | None = None,
    label: str = "",
    tibia_label: str = "",
    ankle_mm: Vector | None = None,
    lateral: Vector | None = None,
    progress: Progress = silent,
) -> Measured:
    """Find the ends, the centre line and the sides of the fibula of a donor leg.

    The tibia tells which side is lateral, and with it whether it is the leg that was declared.

    Args:
        fibula: its closed surface or label, the whole bone.
        tibia: of the same leg and scan.
        leg: the donor leg.
        label: name of the fibula's label.
        tibia_label: name of the tibia's label.
        ankle_mm: a point near the ankle's end, LPS mm; empty takes the end further from the head.
        lateral: direction (LPS) to the lateral side; empty takes the way from the tibia, or
            without it the patient's side.
        progress: told how far the work is.

    Raises:
        WrongSide: if the lateral side points to the other side of the patient.
        NoFibula: if the bone is too short for its width.
        FrameMismatch: if both bones lie in different frames.
        ValueError: if the leg is not declared.
    """
    if leg is None:
        raise ValueError("say which leg the fibula is taken from: set leg to left or right")
    mesh = bone_surface(fibula, label)
    progress(0.2, "finding the centre line")
    ankle, up, length = _ends(mesh, ankle_mm)
    heights, line = _centres(mesh, ankle, up, length)
    radius = _radius(mesh, ankle, up, length)
    if length < SLENDER * radius:
        raise NoFibula(
            f"the bone is {length:.0f} mm long and {2 * radius:.0f} mm wide, which is no fibula; "
            "choose another label, or the whole bone"
        )
    progress(0.7, "telling its sides")
    out, told = _lateral(mesh, tibia, tibia_label, leg, lateral, up)
    front = np.cross(up, out) * (1.0 if leg == "right" else -1.0)
    reach = mean_edge_mm(mesh) / 2
    numbers = (
        Number("length", length, "mm", "from tip to tip along the axis; half an edge of a triangle "
               "at either end", length - 2 * reach, length + 2 * reach),
        Number("radius", radius, "mm", "of a circle with the mean area of the shaft's sections"),
        Number("bow", _bow_mm(line), "mm", "how far the shaft's centre line leaves a straight one"),
    )  # fmt: skip
    ends = {"ankle": ankle, "knee": ankle + length * up, "up": up, "lateral": out,
            "anterior": front, INTO: -out}  # fmt: skip
    return Measured(
        mesh.frame_uid, (line,), np.array([ankle, ankle + length * up]),
        f"{leg} fibula {length:.0f} mm", as_vector(line[len(line) // 2]),
        {name: as_vector(place) for name, place in ends.items()},
        samples={"up_mm": heights}, numbers=numbers, findings=(told,),
    )  # fmt: skip


def donor_leg(axis: Measured, *, progress: Progress = silent) -> PatientFacts:
    """Which leg the fibula is taken from, for what is written on its guide.

    Args:
        axis: the ends, centre line and sides of the fibula.
        progress: told how far the work is.

    Raises:
        ValueError: if the measurement is none of a fibula.
    """
    progress(1.0)
    shaft = shaft_of(axis)
    leg = "left" if np.cross(shaft.up, shaft.lateral) @ shaft.anterior < 0 else "right"
    doubts = tuple(f for f in axis.findings if f.severity is not Severity.INFO)
    facts: dict[str, Fact] = {"side": leg, "bone": "fibula", "checked": not doubts}
    return PatientFacts((), doubts, facts, dict.fromkeys(facts, "fibula_axis"))


def shaft_of(axis: Measured) -> Shaft:
    """Return the shaft that `fibula_axis` found.

    Raises:
        ValueError: if the measurement is none of a fibula.
    """
    names = ("ankle", "knee", "up", "lateral", "anterior")
    if not set(names) <= axis.places.keys() or "up_mm" not in axis.samples:
        raise ValueError("the measurement is no axis of a fibula; find the fibula's axis first")
    ankle, knee, up, lateral, anterior = (np.asarray(axis.places[n], float) for n in names)
    length = float(np.linalg.norm(knee - ankle))
    line, heights = np.asarray(axis.lines_mm[0]), np.asarray(axis.samples["up_mm"])
    return Shaft(ankle, up, line, heights, length, lateral, anterior)


def outline_at(mesh: SurfaceMesh, shaft: Shaft, height_mm: float) -> Floats:
    """Return the outline (n, 3) of a fibula at a height above the ankle's tip, LPS mm."""
    loops = level_loops(mesh, (mesh.points_mm - shaft.ankle_mm) @ shaft.up - height_mm)
    if not loops:
        raise NoFibula(f"the fibula has no bone {height_mm:.0f} mm above the ankle's tip")
    centre = shaft.centre(height_mm)
    return min(loops, key=lambda loop: float(np.linalg.norm(loop.mean(axis=0) - centre)))


def _ends(mesh: SurfaceMesh, ankle_mm: Vector | None) -> tuple[Floats, Floats, float]:
    """Return the ankle's tip, the way up to the knee, and the length between both tips (mm)."""
    require_watertight(mesh)
    spots = even_points(mesh, SAMPLES)[0]
    middle = spots.mean(axis=0)
    up = np.linalg.svd(spots - middle, full_matrices=False)[2][0]
    for _ in range(3):  # the ends' knobs pull the long axis; the shaft tells it better
        level = (spots - middle) @ up
        low, high = level.min(), level.max()
        ends = [float(low + part * (high - low)) for part in SHAFT]
        heights = np.linspace(ends[0], ends[1], 25)
        centres = [_section(mesh, middle + height * up, up)[0] for height in heights]
        found = np.linalg.svd(centres - np.mean(centres, axis=0), full_matrices=False)[2][0]
        up, middle = found * np.sign(found @ up), np.mean(centres, axis=0)
    if ankle_mm is not None:
        near = (np.asarray(ankle_mm, float) - middle) @ up
        up = up if near < 0 else -up
    elif up[2] < 0:
        up = -up
    level = (mesh.points_mm - middle) @ up
    return middle + float(level.min()) * up, up, float(np.ptp(level))


def _section(mesh: SurfaceMesh, point: Floats, up: Floats) -> tuple[Floats, float]:
    """Return the middle of the largest part of a section, and its area (mm2)."""
    loops = level_loops(mesh, (mesh.points_mm - point) @ up)
    found = [_middle(loop, up) for loop in loops]
    return max(found, key=lambda part: part[1])


def _middle(loop: Floats, up: Floats) -> tuple[Floats, float]:
    """Return the middle of the area of a flat loop, and the area (mm2)."""
    start = loop[0]
    arms = loop - start
    after = np.roll(arms, -1, axis=0)
    part = np.cross(arms, after) @ up / 2
    area = float(part.sum())
    if area == 0.0:
        return loop.mean(axis=0), 0.0
    return start + ((arms + after) / 3 * part[:, None]).sum(axis=0) / area, abs(area)


def _centres(mesh: SurfaceMesh, ankle: Floats, up: Floats, length: float) -> tuple[Floats, Floats]:
    """Return heights above the ankle's tip (mm) and the middles of the sections there."""
    heights = np.arange(STEP_MM, length - STEP_MM / 2, STEP_MM)
    line = np.array([_section(mesh, ankle + height * up, up)[0] for height in heights])
    return heights, line


def _radius(mesh: SurfaceMesh, ankle: Floats, up: Floats, length: float) -> float:
    heights = np.linspace(SHAFT[0] * length, SHAFT[1] * length, 13)
    areas = [_section(mesh, ankle + height * up, up)[1] for height in heights]
    return float(np.sqrt(np.mean(areas) / np.pi))


def _bow_mm(line: Floats) -> float:
    count = len(line)
    shaft = line[int(SHAFT[0] * count) : int(SHAFT[1] * count) + 1]
    way = unit(shaft[-1] - shaft[0])
    arms = shaft - shaft[0]
    return float(np.linalg.norm(arms - (arms @ way)[:, None] * way, axis=1).max())


def _lateral(
    mesh: SurfaceMesh, tibia: SurfaceMesh | LabelMap | None, label: str, leg: Leg,
    given: Vector | None, up: Floats,
) -> tuple[Floats, Finding]:  # fmt: skip
    """Return the way out to the lateral side and how it is known.

    Raises:
        WrongSide: if it points to the side of the other leg.
    """
    side = np.array([1.0 if leg == "left" else -1.0, 0.0, 0.0])
    told = Finding(Severity.INFO, f"leg_{leg}", f"the {leg} leg fits the side where lateral lies")
    if given is not None:
        out = np.asarray(given, float)
    elif tibia is not None:
        other = bone_surface(tibia, label)
        require_frame(mesh.frame_uid, other)
        out = mesh.points_mm.mean(axis=0) - other.points_mm.mean(axis=0)
    else:
        out = side
        told = Finding(
            Severity.WARNING, "leg_not_checked",
            f"nothing but the declaration says that this is the {leg} fibula",
            remedy="give the tibia of the same scan, or the direction to the lateral side",
        )  # fmt: skip
    out = out - (out @ up) * up
    if np.linalg.norm(out) < 1e-6:
        raise ValueError("the lateral direction runs along the fibula; give another (lateral)")
    out = unit(out)
    if out @ side < SIDEWAYS:
        other_leg = "right" if leg == "left" else "left"
        where = "the patient's other side" if out @ side < -SIDEWAYS else "neither side"
        raise WrongSide(
            f"the {leg} leg was declared, but lateral of this fibula points to {where}; check "
            f"whether it is the {other_leg} one, and the scan"
        )
    return out, told
