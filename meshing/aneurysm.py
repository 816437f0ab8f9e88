"""The neck of an aneurysm, its dome, and the vessel without it.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.aneurysm_ball import ball_in_sac, climbed, piece_around
from meshing.aneurysm_crossing import Fill, fill_at, unfilled
from meshing.aneurysm_fusiform import require_no_stump, require_saccular
from meshing.aneurysm_neck import Neck, NoNeck, neck_of
from meshing.aneurysm_parts import Parts, divided, divided_at_neck
from meshing.aneurysm_sac import EITHER, OUTSIDE, sac_curve, whole_sac
from meshing.aneurysm_vessel import Ball, ParentVessel, parent_vessel, share_outside
from meshing.cell_sizes import averaging, edges_of
from meshing.centerline import Centerline
from meshing.geodesics import Geodesics
from meshing.holes import neighbours, patch
from meshing.integrals import area_of, volume_of
from meshing.lumen import Piece, split_pieces
from meshing.soup import compact
from meshing.surface import SurfaceMesh, measured, require_watertight
from meshing.vessel_sections import require_frame
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.volume import LabelMap, Volume

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

DOME_COLOUR = (0xD9, 0x53, 0x4F)
GROWN = 1.1  # times the radius of what was found first, and a sac is larger than that
HARDLY = 1.2  # radii of the vessel: a sac that is no larger may be no sac
TRIANGLES = 4  # edges: a narrower neck may be off by more than a tenth
FAIRING = 40  # rounds in which the new wall is drawn to the vessel and smoothed
FLARE = 1.0  # radii of the vessel around the neck in which its wall may move, where it
RISEN = 0.15  # radii stands out of the vessel
DRAWN = 0.3  # of the way in each


def neck(
    lumen: SurfaceMesh,
    centerline: Centerline,
    image: Volume | LabelMap | None = None,
    *,
    click_mm: Vector | None = None,
    points_mm: tuple[Vector, ...] = (),
    progress: Progress = silent,
) -> Neck:
    """Find the neck of an aneurysm: the curve where its sac opens into the vessel.

    The vessel is followed beneath the sac, as wide as it is before and after. What stands out
    of it is the sac; the curve between them is short and runs in the crease at the neck. Voxels,
    blur and triangles fill this crease, so its width is measured where both walls, carried on,
    cross, but no deeper than the blur of the image or a triangle's edge reaches.

    Args:
        lumen: the surface of vessel and aneurysm, open or capped.
        centerline: the branches of this surface.
        image: the image or label that the surface was made from; its voxels say how far blur
            fills the crease. Without it the triangles at the neck say so.
        click_mm: a point in the dome, LPS mm; empty takes the largest sac.
        points_mm: the neck drawn by hand: three or more points around it on the surface, in
            order, LPS mm; empty finds it.
        progress: told how far the work is.

    Raises:
        NoNeck: if there is no sac, it is fusiform, or it cannot be told from its vessel.
        ValueError: if the points drawn do not enclose a part of the surface.
        FrameMismatch: if lumen and centerline live in different frames.
    """
    require_frame(lumen, centerline)
    progress(0.05, "preparing the lumen")
    pieces = split_pieces(lumen)
    if points_mm:
        return _drawn_neck(lumen, pieces, centerline, points_mm, click_mm, progress)
    ball, piece, guessed = ball_in_sac(pieces, centerline, click_mm)
    progress(0.2, "following the vessel beneath the sac")
    vessel = parent_vessel(piece, centerline, ball)
    whole = whole_sac(piece, vessel, ball)
    if whole.radius_mm > GROWN * ball.radius_mm:  # what was found first is only a lobe
        ball, vessel = whole, parent_vessel(piece, centerline, whole)
    require_saccular(vessel, ball)
    progress(0.6, "looking for the neck")
    level, tip, curve, dome_mm = sac_curve(piece, vessel, ball)
    notes = (*lumen.findings, *_findings(vessel, ball, guessed))
    source = "found in the crease between the sac and its vessel"
    fill = fill_at(piece.points_mm, piece.triangles, curve, image)
    measured = _unfilled(piece, level, curve, vessel, fill)
    others = [*_other_curves(piece, vessel, ball, fill, progress), curve]
    found = neck_of(
        curve, piece.points_mm[tip], dome_mm, lumen.frame_uid, _way(vessel), source,
        notes, others, (measured, fill),
    )  # fmt: skip
    if click_mm is None:
        require_no_stump(vessel, ball, found.width_mm if fill.voxels else found.on_wall_mm)
    divided_at_neck(lumen, found)
    return replace(found, findings=(*found.findings, *_coarse(found, fill)))


def _unfilled(
    piece: Piece, level: Floats, curve: Floats, vessel: ParentVessel, fill: Fill
) -> Floats:
    return unfilled((piece.points_mm, piece.triangles), level > 0, curve, _way(vessel), fill)


def _other_curves(
    piece: Piece, vessel: ParentVessel, ball: Ball, fill: Fill, progress: Progress
) -> list[Floats]:
    """Return the necks found when the sac begins a little nearer to its vessel, or farther."""
    curves = []
    for n, side in enumerate((-EITHER, EITHER)):
        progress(0.7 + 0.15 * n, "moving the neck by its doubt")
        try:
            level, _, curve, _ = sac_curve(piece, vessel, ball, OUTSIDE + side)
            curves.append(_unfilled(piece, level, curve, vessel, fill))
        except NoNeck:
            continue
    return curves


def dome(lumen: SurfaceMesh, neck: Neck, *, progress: Progress = silent) -> SurfaceMesh:
    """Take the dome of an aneurysm off its vessel at the neck, closed by a membrane there.

    Its parts are named wall and neck. Volume and area are those of the sac, the area without
    the membrane.

    Args:
        lumen: the surface on which the neck was found.
        neck: where the sac opens into the vessel.
        progress: told how far the work is.

    Raises:
        NoNeck: if the neck does not divide this surface.
        OpenSurface: if the dome has another opening.
        FrameMismatch: if both live in different frames.
    """
    progress(0.1, "cutting at the neck")
    parts = divided_at_neck(lumen, neck)
    points, wall, film = _closed(parts, parts.sac)
    progress(0.8, "measuring the dome")
    cells = np.concatenate([wall, film])
    used_points, used_cells = compact(points, cells)
    sac = SurfaceMesh(used_points, used_cells, lumen.frame_uid, "dome", DOME_COLOUR)
    require_watertight(sac)
    named = {"wall": np.arange(len(wall)), "neck": np.arange(len(wall), len(cells))}
    volume = float(volume_of(used_points, used_cells))
    area = float(area_of(points, wall))
    numbers = (
        Number("volume", volume / 1000, "mL", "of the sac, closed by a membrane at its neck"),
        Number("area", area / 100, "cm2", "of the wall of the sac, without the membrane"),
    )
    return replace(sac, boundaries=named, numbers=numbers, findings=neck.findings)


def without_sac(lumen: SurfaceMesh, neck: Neck, *, progress: Progress = silent) -> SurfaceMesh:
    """Take the sac of an aneurysm away and close the vessel as it would run without it.

    The wall is closed over the neck at the radius that the vessel has before and beyond the sac.
    What belonged to named ends still does; the new wall belongs to the part wall.

    Args:
        lumen: the surface on which the neck was found, open or capped.
        neck: where the sac opens into the vessel.
        progress: told how far the work is.

    Raises:
        NoNeck: if the neck does not divide this surface.
        FrameMismatch: if both live in different frames.
    """
    progress(0.1, "cutting at the neck")
    parts = divided_at_neck(lumen, neck)
    points, wall, film = _closed(parts, ~parts.sac)
    progress(0.5, "closing the wall")
    free = np.concatenate([_flare(parts, neck), np.arange(len(parts.points_mm), len(points))])
    points[free] = _onto_vessel(points, np.concatenate([wall, film]), free, neck)
    origin = parts.origin[~parts.sac]
    named = {name: np.flatnonzero(np.isin(origin, part)) for name, part in lumen.boundaries.items()}
    if named:
        fresh = np.concatenate(
            [np.flatnonzero(origin < 0), np.arange(len(wall), len(wall) + len(film))]
        )
        named["wall"] = np.sort(np.concatenate([named.get("wall", fresh[:0]), fresh]))
    compact_points, cells = compact(points, np.concatenate([wall, film]))
    result = lumen.reshaped(compact_points, cells)
    x, y, z = neck.centre_mm
    note = Finding(Severity.INFO, "sac_removed", "The sac was taken away.", (x, y, z))
    kept = tuple(f for f in lumen.findings if f.code != "open_surface")
    whole = measured(replace(result, findings=(*kept, note)))
    return replace(whole, boundaries=named)


def _flare(parts: Parts, neck: Neck) -> np.ndarray:
    """Return the points of the vessel at the neck that rise towards the sac; they go with it."""
    used = np.unique(parts.triangles[~parts.sac])
    size = float(np.median(neck.vessel_radius_mm))
    gap = cKDTree(parts.points_mm[parts.rim]).query(parts.points_mm[used])[0]
    near = used[gap < FLARE * size]
    share = share_outside(parts.points_mm[near], neck.vessel_mm, neck.vessel_radius_mm)
    return np.asarray(near[share > RISEN])


def _onto_vessel(points: Floats, cells: np.ndarray, free: np.ndarray, neck: Neck) -> Floats:
    """Return the points that may move, drawn to where the wall of the vessel would be."""
    near = cells[np.isin(cells, free).any(axis=1)]
    names, local = np.unique(near, return_inverse=True)
    mine = np.searchsorted(names, free)
    mean_of = averaging(edges_of(local.reshape(-1, 3)), len(names))[mine]
    shape = points[names]
    rows = np.arange(len(free))
    for _ in range(FAIRING):
        place = mean_of @ shape
        arms = place[:, None] - neck.vessel_mm
        away = np.linalg.norm(arms, axis=2)
        axis = (away - neck.vessel_radius_mm).argmin(axis=1)
        radius = neck.vessel_radius_mm[axis]
        stretch = radius / np.maximum(away[rows, axis], 1e-9)
        target = neck.vessel_mm[axis] + arms[rows, axis] * stretch[:, None]
        shape[mine] = place + DRAWN * (target - place)
    return np.asarray(shape[mine])


def _closed(parts: Parts, side: npt.NDArray[np.bool_]) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Return the points, the triangles of one side and those of a membrane over the neck."""
    wall = parts.triangles[side]
    rim = parts.rim
    count = len(parts.points_mm)
    start, end = wall.ravel(), wall[:, (1, 2, 0)].ravel()
    forward = np.isin(rim[0] * count + rim[1], start * count + end)
    rim = rim[::-1] if forward else rim  # against the free edges of this side
    film = patch(parts.points_mm, rim, np.zeros((len(rim), 3)), neighbours(wall, count), bend=False)
    names = np.concatenate([rim, count + np.arange(len(film.points_mm))])
    return np.concatenate([parts.points_mm, film.points_mm]), wall, names[film.triangles]


def _way(vessel: ParentVessel) -> tuple[Floats, Floats]:
    return vessel.points_mm, vessel.radius_mm


def _drawn_neck(
    lumen: SurfaceMesh,
    pieces: list[Piece],
    centerline: Centerline,
    points_mm: tuple[Vector, ...],
    click_mm: Vector | None,
    progress: Progress,
) -> Neck:
    """Return the neck along the shortest ways on the surface through points and back."""
    if len(points_mm) < 3:
        raise NoNeck("a neck needs three or more points on the surface; pick them around it")
    progress(0.3, "drawing the neck on the surface")
    ways = Geodesics(lumen, points_mm)
    curve = ways.way(points_mm, closed=True)[:-1]
    inside = _inside(ways.mesh, curve, click_mm)
    parts = divided(ways.mesh, curve, inside)
    dome_mm = parts.points_mm[parts.triangles[parts.sac]].mean(axis=(0, 1))
    progress(0.6, "following the vessel beneath the sac")
    piece = piece_around(pieces, inside)
    ball = climbed(piece, dome_mm)
    findings = list(lumen.findings)
    try:
        way = _way(parent_vessel(piece, centerline, ball))
    except NoNeck:
        away = np.linalg.norm(centerline.points_mm - dome_mm, axis=1) > 1.3 * ball.radius_mm
        way = (centerline.points_mm[away], centerline.radius_mm[away])
    return neck_of(
        parts.points_mm[parts.rim], inside, dome_mm, lumen.frame_uid, way, "drawn by hand",
        tuple(findings),
    )  # fmt: skip


def _inside(mesh: SurfaceMesh, curve: Floats, click_mm: Vector | None) -> Floats:
    """Return a point on the wall of the dome: next to a click, or of the smaller side."""
    corners = mesh.points_mm[mesh.triangles].mean(axis=1)
    if click_mm is not None:
        return np.asarray(corners[int(np.argmin(np.linalg.norm(corners - click_mm, axis=1)))])
    parts = divided(mesh, curve, corners[0])
    one, other = parts.triangles[parts.sac], parts.triangles[~parts.sac]
    smaller = one if area_of(parts.points_mm, one) < area_of(parts.points_mm, other) else other
    middles = parts.points_mm[smaller].mean(axis=1)
    far = np.linalg.norm(middles - curve.mean(axis=0), axis=1)
    return np.asarray(middles[int(np.argmax(far))])


def _coarse(found: Neck, fill: Fill) -> tuple[Finding, ...]:
    """Return the finding that a neck is too few triangles wide to be measured well."""
    if fill.voxels or found.width_mm >= TRIANGLES * fill.doubt_mm:
        return ()
    text = (
        f"The neck is {found.width_mm:.1f} mm wide on triangles of {fill.doubt_mm:.1f} mm: its "
        "width and what it decides may be off by one of them."
    )
    remedy = "Give the image that the surface was made from, or a finer surface."
    return (Finding(Severity.WARNING, "neck_coarse", text, found.centre_mm, remedy),)


def _findings(vessel: ParentVessel, ball: Ball, guessed: bool) -> tuple[Finding, ...]:
    x, y, z = ball.centre_mm.tolist()
    found = []
    if guessed:
        text = "What stands out of the vessel farthest was taken for the sac; the line lists none."
        remedy = "Click in the dome if it is elsewhere."
        found.append(Finding(Severity.WARNING, "sac_assumed", text, (x, y, z), remedy))
    if ball.radius_mm < HARDLY * vessel.size_mm:
        text = "The sac is hardly wider than its vessel: it may be the stump of a branch."
        remedy = "Look at it; click in the dome if it is elsewhere, or draw the neck by hand."
        found.append(Finding(Severity.WARNING, "sac_narrow", text, (x, y, z), remedy))
    return tuple(found)
