"""Landmarks of the scapula, proposed from its surface in any pose; clicked points win.

The transverse axis runs from the root of the spine at the medial border (trigonum) to the middle of
the glenoid (Friedman et al., J Bone Joint Surg Am 1992;74:1032-1037); with the inferior angle it
spans the scapular plane. Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy.spatial import cKDTree
from scipy.stats import theilslopes

from meshing.fitting import plane_fit, plane_residuals
from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_axes import Bools, Cloud, across_of, unit
from workstation.planning.bone_landmarks_record import Choice, Marks, bone_surface

FINE = 40_000

BLADE, OFF, THICK_MM = 0.85, 90.0, 8.0
"""Cosine to the blade's normal of its sides; percentile of the distance from it of acromion and
coracoid; what belongs to the blade itself."""

BEFORE = 0.02
"""Share of the blade that may lie before the plane of the glenoid."""

FACES, TURNED = 0.75, 0.8
"""Cosines: to the lateral side of what may be the glenoid, to the glenoid's mean of its points."""

DISC_MM, LEAST_MM2, REACH_MM = 9.0, 250.0, 26.0
"""A face is looked for within this radius, has such an area, and ends so far from its middle."""

LINK_MM, HOLLOW_MM, ROUND = 2.5, 3.0, 0.3
"""Points of one face lie so near to each other, and so near to its plane though it is hollow; they
do not face outward from its middle by more than this sine, as those beyond the rim do."""

ROUNDS = 4
STATION_MM, CREST_MM, STANDS_MM = 4.0, 1.5, 8.0
"""Across the blade the crest of the spine is looked for in steps; what belongs to it; how far it
stands out behind the blade where it is a spine."""

SPINE = (0.12, 0.62)
"""Shares of the way from the medial border to the glenoid between which the spine is straight."""

ROOT_MM, LEVEL_MM = 12.0, 3.0
"""At the border the spine is lower than this, else the image ends beside it; height of the root."""

LONG = 0.7
"""The inferior angle lies below the transverse axis by more than this share of its length."""

BESIDE_MM = 3.0
"""The rim's ends lie in a strip of so half a width through the middle of the face."""

LINES = (
    ("trigonum", "glenoid"),
    ("inferior_angle", "trigonum"),
    ("glenoid_inferior", "glenoid_superior"),
    ("glenoid_posterior", "glenoid_anterior"),
)

SPANS = (
    ("transverse_axis", "trigonum", "glenoid", "trigonum to the middle of the glenoid"),
    ("glenoid_height", "glenoid_inferior", "glenoid_superior", "rim to rim"),
    ("glenoid_width", "glenoid_posterior", "glenoid_anterior", "rim to rim"),
)

RIM = ("glenoid_superior", "glenoid_inferior", "glenoid_anterior", "glenoid_posterior")


@dataclass(frozen=True, eq=False)
class _Frame:
    """A scapula's directions: to its glenoid, up along the blade, and behind it."""

    lateral: Floats
    up: Floats
    behind: Floats


@dataclass(frozen=True, eq=False)
class _Face:
    """The glenoid's joint surface: its points, their middle on the plane and the way out (LPS)."""

    points_mm: Floats
    centre_mm: Floats
    out: Floats
    rms_mm: float
    area_mm2: float


def scapula_landmarks(
    bone: SurfaceMesh | LabelMap,
    *,
    label: str = "",
    side: Choice = None,
    glenoid_mm: Vector | None = None,
    glenoid_superior_mm: Vector | None = None,
    glenoid_inferior_mm: Vector | None = None,
    glenoid_anterior_mm: Vector | None = None,
    glenoid_posterior_mm: Vector | None = None,
    trigonum_mm: Vector | None = None,
    inferior_angle_mm: Vector | None = None,
    uncertainty_mm: Annotated[float, Ge(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Find the landmarks of a scapula, its plane and the face of its glenoid.

    Each is proposed from the shape of the bone, in any position, and says how it was found; what
    the image does not show is not proposed. A point given by hand wins. Which side the bone
    belongs to follows from its shape and is compared with the side that is declared.

    Args:
        bone: the closed surface or the label of one scapula, without the humerus.
        label: name of one of several labels.
        side: the side that the bone is meant to belong to; another one is refused.
        glenoid_mm: middle of the glenoid, by hand, LPS mm.
        glenoid_superior_mm: highest point of the glenoid's rim, by hand.
        glenoid_inferior_mm: lowest point of the glenoid's rim, by hand.
        glenoid_anterior_mm: foremost point of the rim at the height of its middle, by hand.
        glenoid_posterior_mm: rearmost point of the rim at the height of its middle, by hand.
        trigonum_mm: where the spine begins at the medial border, by hand.
        inferior_angle_mm: lowest point of the scapula, by hand.
        uncertainty_mm: how far a landmark may be off; empty takes half a triangle edge.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        WrongSide: if the bone is that of the other side.
        ValueError: if there is nothing to look at.
    """
    given = {
        "glenoid": glenoid_mm, "glenoid_superior": glenoid_superior_mm,
        "glenoid_inferior": glenoid_inferior_mm, "glenoid_anterior": glenoid_anterior_mm,
        "glenoid_posterior": glenoid_posterior_mm, "trigonum": trigonum_mm,
        "inferior_angle": inferior_angle_mm,
    }  # fmt: skip
    mesh = bone_surface(bone, label)
    marks = Marks("scapula", given, bone)
    cloud = Cloud.of(mesh, FINE)
    progress(0.2, "looking for the glenoid")
    face, behind = _found(cloud, marks, progress)
    _directions(behind, marks)
    found = marks.require_side(side)
    marks.face_front(found)
    progress(0.9, "measuring the glenoid's rim")
    _rim(face, marks)
    for name, one, other, how in SPANS:
        marks.span(name, one, other, how)
    text = f"{found or ''} scapula".strip()
    return marks.measured(mesh, LINES, text, uncertainty_mm=uncertainty_mm)


def _found(cloud: Cloud, marks: Marks, progress: Progress) -> tuple[_Face | None, Floats | None]:
    """Put the glenoid, the trigonum and the inferior angle; return the face and the spine's way."""
    known = _glenoid(cloud)
    if known is None:
        marks.put("glenoid", None, "no face at the lateral end is large enough")
    else:
        face, frame = known
        how = f"middle of a face of {face.area_mm2 / 100:.1f} cm², rms {face.rms_mm:.1f} mm off it"
        marks.put("glenoid", face.centre_mm, how)
    if known is None:
        for name in ("trigonum", "inferior_angle"):
            marks.put(name, None, "no face of a glenoid is there")
        return None, None
    centre = marks.points["glenoid"]
    progress(0.6, "looking for the spine")
    root, why = _trigonum(cloud, frame, centre)
    lowest = _lowest(cloud, frame)
    for _ in range(ROUNDS):
        hand = marks.clicked("trigonum"), marks.clicked("inferior_angle")
        start = root if hand[0] is None else hand[0]
        end = lowest if hand[1] is None else hand[1]
        if start is None:
            break
        lateral = unit(centre - start)
        up = across_of(start - end, lateral)
        behind = np.cross(lateral, up)
        frame = _Frame(lateral, up, behind * np.sign(behind @ frame.behind))
        root, why = _trigonum(cloud, frame, centre)
        lowest = _lowest(cloud, frame)
    marks.put("trigonum", root, why)
    deep = -float((lowest - centre) @ frame.up)
    start = marks.points.get("trigonum", lowest)
    whole = deep > LONG * float((centre - start) @ frame.lateral) and "trigonum" in marks.points
    why = f"lowest point, {deep:.0f} mm below the transverse axis"
    marks.put("inferior_angle", lowest if whole else None,
              why if whole else "the blade ends too early, or the trigonum is unknown")  # fmt: skip
    return face, None if root is None else frame.behind


def _glenoid(cloud: Cloud) -> tuple[_Face, _Frame] | None:
    """Return the glenoid with the directions that follow from it, None where there is none.

    Most of the surface is that of the blade's two sides. The glenoid is the largest face across
    them with nothing of the blade before it; acromion and coracoid, which stand off the blade,
    lie above it, and behind is where the spine stands out.
    """
    points = cloud.points_mm
    normal = np.linalg.eigh(cloud.normals.T @ cloud.normals)[1][:, -1]
    sides = np.abs(cloud.normals @ normal) > BLADE
    off = (points - np.median(points[sides], axis=0)) @ normal
    one = across_of(np.eye(3)[int(np.argmin(np.abs(normal)))], normal)
    ways = [np.cos(turn) * one + np.sin(turn) * np.cross(normal, one)
            for turn in np.arange(8) * np.pi / 4]  # fmt: skip
    blade = points[sides & (np.abs(off) < THICK_MM)]
    faces = [face for face in (_face(cloud, way) for way in ways) if face is not None]
    faces = [f for f in faces if ((blade - f.centre_mm) @ f.out > 0).mean() < BEFORE]
    if not faces:
        return None
    best = max(faces, key=lambda face: face.area_mm2)
    lateral = across_of(best.out, normal)
    up = np.cross(lateral, normal)
    shoulder = points[np.abs(off) > np.percentile(np.abs(off), OFF)].mean(axis=0)
    up = up if up @ (shoulder - best.centre_mm) > 0 else -up
    along = (points - best.centre_mm) @ lateral / float(((points - best.centre_mm) @ lateral).min())
    spine = off[(along > 1 - SPINE[1]) & (along < 1 - SPINE[0])]
    behind = normal * np.sign(spine.max() + spine.min())
    return best, _Frame(lateral, up, behind)


def _face(cloud: Cloud, lateral: Floats) -> _Face | None:
    """Return the largest disc that faces about to one side, grown as far as it is hollow."""
    facing = np.flatnonzero(cloud.normals @ lateral > FACES)
    if len(facing) * cloud.each_mm2 < LEAST_MM2:
        return None
    points = cloud.points_mm[facing]
    tree = cKDTree(points)
    seed = points[int(np.argmax(tree.query_ball_point(points, DISC_MM, return_length=True)))]
    out = unit(cloud.normals[facing][tree.query_ball_point(seed, DISC_MM)].mean(axis=0))
    model = np.append(seed, out)
    for _ in range(ROUNDS):
        arms = cloud.points_mm - seed
        far = np.linalg.norm(arms, axis=1)
        found = (cloud.normals @ out > TURNED) & (far < REACH_MM)
        found &= np.abs(plane_residuals(model, cloud.points_mm)) < HOLLOW_MM
        found &= (cloud.normals * (arms - np.outer(arms @ out, out))).sum(axis=1) < ROUND * far
        found = _linked(cloud.points_mm, found, seed)
        if found.sum() * cloud.each_mm2 < LEAST_MM2:
            return None
        model = plane_fit(cloud.points_mm[found], np.ones(int(found.sum())))
        out = model[3:] * np.sign(model[3:] @ out)
        seed = cloud.points_mm[found].mean(axis=0)
    face = cloud.points_mm[found]
    rms = float(np.sqrt((plane_residuals(model, face) ** 2).mean()))
    return _Face(face, seed, out, rms, float(found.sum()) * cloud.each_mm2)


def _linked(points: Floats, chosen: Bools, seed: Floats) -> Bools:
    """Return which of the chosen points hang together with the one next to ``seed``."""
    index = np.flatnonzero(chosen)
    if not len(index):
        return chosen
    tree = cKDTree(points[index])
    reached = np.zeros(len(index), bool)
    new = np.array([tree.query(seed)[1]])
    while len(new):
        reached[new] = True
        around = np.unique(np.concatenate(tree.query_ball_point(points[index[new]], LINK_MM)))
        new = around[~reached[around.astype(int)]].astype(int)
    found: Bools = np.zeros(len(points), bool)
    found[index[reached]] = True
    return found


def _trigonum(cloud: Cloud, frame: _Frame, centre: Floats) -> tuple[Floats | None, str]:
    """Return where the line of the spine's crest meets the medial border, with how or why not."""
    arms = cloud.points_mm - centre
    along, high, behind = arms @ frame.lateral, arms @ frame.up, arms @ frame.behind
    border = float(along.min())
    stations = []
    for at in np.arange(SPINE[0] * -border, SPINE[1] * -border, STATION_MM):
        here = np.flatnonzero(np.abs(along - border - at) < STATION_MM / 2)
        if len(here) < 10:
            continue
        back = behind[here]
        crest = here[back > back.max() - CREST_MM]
        stations.append((border + at, float(high[crest].mean()), float(back.max())))
    known = np.array(stations).reshape(-1, 3)
    spine = known[known[:, 2] > STANDS_MM]
    if len(spine) < 4:
        return None, "no spine stands out behind the blade"
    slope, level, _, _ = theilslopes(spine[:, 1], spine[:, 0])
    root = level + slope * border
    strip = np.flatnonzero(np.abs(high - root) < LEVEL_MM)
    if not len(strip):
        return None, "the spine does not lead to the medial border"
    edge = float(along[strip].min())
    tip = strip[along[strip] < edge + CREST_MM]
    if float(behind[tip].max()) > ROOT_MM:
        return None, "the image ends within the spine"
    return cloud.points_mm[tip].mean(axis=0), "where the line of the spine meets the medial border"


def _lowest(cloud: Cloud, frame: _Frame) -> Floats:
    height = cloud.points_mm @ frame.up
    return np.asarray(cloud.points_mm[height < height.min() + 1.0].mean(axis=0))


def _directions(behind: Floats | None, marks: Marks) -> None:
    """Keep up, medial and anterior of the scapular plane; the spine lies behind it."""
    if not {"glenoid", "trigonum", "inferior_angle"} <= marks.points.keys():
        return
    trigonum = marks.points["trigonum"]
    lateral = unit(marks.points["glenoid"] - trigonum)
    marks.directions["medial"] = -lateral
    marks.directions["up"] = across_of(trigonum - marks.points["inferior_angle"], lateral)
    if behind is not None:
        front = np.cross(lateral, marks.directions["up"])
        marks.directions["anterior"] = front if front @ behind < 0 else -front


def _rim(face: _Face | None, marks: Marks) -> None:
    """Put the ends of the glenoid's face along and across the scapular plane, on its own plane."""
    if face is None or "anterior" not in marks.directions:
        for name in RIM:
            marks.put(name, None, "the glenoid or the scapular plane is unknown")
        return
    arms = face.points_mm - face.centre_mm
    ways = [_along(face.out, marks.directions[a], marks.directions[b])
            for a, b in (("anterior", "up"), ("up", "anterior"))]  # fmt: skip
    for n, names in enumerate((RIM[:2], RIM[2:])):
        beside = np.abs(arms @ ways[1 - n]) < BESIDE_MM
        for name, sign in zip(names, (1.0, -1.0)):
            far = float((sign * arms[beside] @ ways[n]).max())
            how = f"end of the face, {far:.0f} mm from its middle, on its plane"
            marks.put(name, face.centre_mm + sign * far * ways[n], how)


def _along(out: Floats, across: Floats, towards: Floats) -> Floats:
    """Return the direction in a face that is across another one."""
    way = unit(np.cross(out, across))
    return way if way @ towards > 0 else -way
