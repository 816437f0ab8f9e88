"""Repair of any triangle soup: watertight, manifold, outward, with a report of what was done.

The order: weld, drop scraps, close seams, keep the outer skin, fill holes, drop fragments, mend
what runs through itself; and where all that fails, wrap it at a stated voxel size. What cannot
be repaired honestly is refused by name. Space is LPS mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from meshing.crossings import (
    NUDGE_MM,
    crossing_pairs,
    manifold,
    mended,
    patched_share,
    united,
)
from meshing.distance_fields import contour, grid_around, signed_distance
from meshing.holes import free_edges
from meshing.nearest import NearestOnSurface
from meshing.rays import windings
from meshing.rim_fill import Hole, Shape, close
from meshing.shells import parts, skin
from meshing.soup import (
    close_seams,
    compact,
    finite,
    typical_edge_mm,
    weld_free,
    weld_same,
    without_scraps,
)
from meshing.surface import (
    SurfaceMesh,
    enclosed_mm3,
    is_watertight,
    measured,
)
from meshing.tree import triangle_tree
from segmentation.contract import Finding, Number, Progress, Severity, share, silent
from segmentation.wording import counted

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Ends = Literal["cap", "keep", "fill"]

WELD = 0.02
"""Points on free edges within this share of the median edge become one."""

SCRAP = 1e-5
"""Triangles lower than this share of the median edge are dropped."""

MOST_INVENTED = 0.3
"""Share of the surface that may be filled; beyond it the result would be a guess."""

FLAT = 1e-3
"""Volume over area to the power 1.5 below which a surface is a sheet (a ball has 0.094)."""

TOLD = 5  # places named in findings of one kind
FRAGMENT = 0.01


class Unrepairable(ValueError):
    """A surface cannot be repaired honestly; the text says why."""


@dataclass
class _Report:
    """What was found and done, in the order in which it happened."""

    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def note(
        self, code: str, count: int, sentence: str, severity: Severity = Severity.INFO
    ) -> None:
        """Tell ``sentence`` with its {count}, unless there is nothing to tell."""
        if count:
            self.counts[code] = self.counts.get(code, 0) + count
            self.findings.append(Finding(severity, code, sentence.format(count=count)))


def repair(
    mesh: SurfaceMesh,
    *,
    open_ends: Ends = "cap",
    keep: Literal["all parts", "largest part"] = "all parts",
    smallest_percent: Annotated[float, Ge(0), Le(100)] = 0.1,
    uncertain_percent: Annotated[float, Ge(0), Le(100)] = 0.5,
    weld_mm: Annotated[float, Ge(0), Le(5)] | None = None,
    voxel_mm: Annotated[float, Gt(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Repair a surface until it is closed, and report what was wrong and what was done.

    Points are welded, scraps and double triangles dropped, normals turned outward, inner walls
    and fins removed, holes filled along the curvature around them and self-intersections cut
    out and filled anew. If that fails, the whole is wrapped by voxels, which a finding tells.

    Args:
        mesh: any triangles, LPS mm.
        open_ends: vessel ends are capped flat (and named cap_1, cap_2, ...), kept open, or
            filled like other holes.
        keep: all parts, or the largest one alone.
        smallest_percent: closed parts and cavities smaller than this percentage of the largest
            part's volume are fragments and go.
        uncertain_percent: refuse if the volume hangs by more than this percentage on how holes
            and folds are filled, which is a guess.
        weld_mm: points on free edges that lie within this many mm become one; empty takes 2
            percent of the median edge.
        voxel_mm: edge of the voxels, in mm, where the surface must be wrapped; empty takes 1/250
            of its extent.
        progress: told how far the work is.

    Raises:
        Unrepairable: if there is no volume to find, most of it would be invented, or no way
            closes it.
    """
    report = _Report()
    progress(0.0, "welding points")
    points, triangles = _cleaned(mesh.points_mm, mesh.triangles, weld_mm, report)
    progress(0.15, "finding the outer skin")
    shape, flipped = _skinned(points, triangles, report)
    shape, holes = close(shape, ends=open_ends, progress=share(progress, 1, 5))
    shape = _without_fragments(shape, flipped, keep, smallest_percent, report)
    _tell_holes(holes, report)
    _refuse_guesses(mesh, shape, open_ends)
    original = shape.points[np.unique(shape.triangles[shape.tag == 0])]
    kept_open = open_ends == "keep" and any(h.kind == "end" for h in holes)
    part = share(progress, 3, 5)
    if kept_open:
        _tell_crossings(shape, report, part)
    else:
        shape = _uncrossed(shape, voxel_mm, holes, report, part)
    _refuse_doubt(mesh, shape, holes, uncertain_percent)
    progress(0.85, "measuring the change")
    result = _as_surface(mesh, shape)
    if not kept_open and not is_watertight(result):
        raise Unrepairable(
            f"{_name(mesh)} could not be closed by any way; make it again from its image"
        )
    return _reported(mesh, result, report, original, holes)


def _name(mesh: SurfaceMesh) -> str:
    return f"the surface {mesh.name or 'without a name'!r}"


def _cleaned(
    points: Floats, triangles: Integers, weld_mm: float | None, report: _Report
) -> tuple[Floats, Integers]:
    """Return points and triangles welded, without scraps, with closed seams."""
    before = len(triangles)
    points, triangles = finite(points, triangles)
    report.note(
        "not_finite", before - len(triangles), "{count} triangles without a place were dropped."
    )
    used = len(np.unique(triangles))
    triangles = weld_same(points, triangles)
    report.note(
        "welded", used - len(np.unique(triangles)), "{count} points that were double were welded."
    )
    edge = typical_edge_mm(points, triangles)
    if edge == 0.0:
        raise Unrepairable("the surface has no triangle with an area; there is nothing to repair")
    before = len(triangles)
    triangles = without_scraps(points, triangles, SCRAP * edge)
    reach = WELD * edge if weld_mm is None else weld_mm
    used = len(np.unique(triangles))
    for _ in range(3):
        triangles = weld_free(points, triangles, reach)
    report.note(
        "welded_near",
        used - len(np.unique(triangles)),
        "{count} points were welded to others within " + f"{reach:.2g} mm.",
    )
    triangles = without_scraps(points, triangles, SCRAP * edge)
    report.note("scraps", before - len(triangles), "{count} flat or double triangles were dropped.")
    seams = 0
    for _ in range(8):
        triangles, split = close_seams(points, triangles, reach)
        seams += split
        if not split:
            break
    report.note("seams", seams, "{count} points that lay on an edge were tied into it.")
    return compact(points, without_scraps(points, triangles, 0.0))


def _skinned(points: Floats, triangles: Integers, report: _Report) -> tuple[Shape, Bools]:
    """Return the outer skin, turned outward, and which of its triangles were turned."""
    found = skin(points, triangles)
    twisted = int(found.twisted.sum())
    if twisted > len(triangles) / 2:
        raise Unrepairable(
            "the surface has one side only, like a Moebius band, so it bounds nothing; make it "
            "again from its image"
        )
    report.note("walls", int((~found.kept).sum()), "{count} triangles of inner walls, fins or "
                "one-sided pieces were removed.")  # fmt: skip
    turned = found.turned[found.kept]
    triangles = np.where(found.turned[:, None], triangles[:, ::-1], triangles)[found.kept]
    if turned.all():
        report.note("inside_out", len(turned), "The surface was inside out and was turned.")
    shape = Shape(points, triangles, np.zeros(len(triangles), np.int64))
    split = manifold(shape)
    report.note(
        "not_manifold",
        len(split.points) - len(np.unique(triangles)),
        "{count} points where parts met in an edge or a point were split.",
    )
    return _without_open_crumbs(split, turned, report)


def _without_open_crumbs(shape: Shape, turned: Bools, report: _Report) -> tuple[Shape, Bools]:
    """Return the shape without small loose pieces that have a rim."""
    piece = parts(shape.triangles, len(shape.points))
    if len(piece) == 0:
        raise Unrepairable("nothing of the surface bounds a volume; make it again from its image")
    area = np.bincount(piece, _areas(shape))
    start, _ = free_edges(shape.triangles, len(shape.points))
    rim = np.zeros(len(shape.points), bool)
    rim[start] = True
    open_ = np.bincount(piece, rim[shape.triangles].any(axis=1)) > 0
    crumb = open_ & (area < FRAGMENT * area.max())
    report.note("fragments", int(crumb.sum()), "{count} small open fragments were removed.")
    kept = ~crumb[piece]
    return manifold(shape.only(kept)), turned[kept]


def _areas(shape: Shape) -> Floats:
    a, b, c = (shape.points[shape.triangles[:, n]] for n in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _without_fragments(
    shape: Shape, turned: Bools, keep: str, smallest_percent: float, report: _Report
) -> Shape:
    """Return the parts that count, cavities turned inward, parts inside others gone."""
    piece = parts(shape.triangles, len(shape.points))
    volume = _volumes(shape, piece)
    area = _areas(shape)
    before = np.bincount(piece[: len(turned)], area[: len(turned)] * turned, len(volume))
    backward = before > np.bincount(piece[: len(turned)], area[: len(turned)], len(volume)) / 2
    limit = volume.max() if keep == "largest part" else smallest_percent / 100 * volume.max()
    small = volume < limit
    depth = _depth(shape, piece)
    largest = int(np.argmax(volume))
    cavity = (depth % 2 == 1) & (backward != backward[largest])
    if keep == "largest part":
        small &= ~(cavity & (volume >= smallest_percent / 100 * volume.max()))
    inner = (_net_depth(shape, piece, cavity) >= 1) & ~cavity & ~small & ~_crossed(shape, piece)
    report.note("fragments", int(small.sum()), "{count} closed fragments were removed.")
    report.note("inner_parts", int(inner.sum()), "{count} parts inside others were removed.")
    wrong = turned & ~cavity[piece[: len(turned)]] if not backward[largest] else turned & False
    report.note("turned", int(wrong.sum()), "{count} triangles faced inward and were turned.")
    gone = small | inner
    inward = cavity[piece] & ~gone[piece]
    triangles = np.where(inward[:, None], shape.triangles[:, ::-1], shape.triangles)
    return manifold(replace(shape, triangles=triangles).only(~gone[piece]))


def _volumes(shape: Shape, piece: Integers) -> Floats:
    a, b, c = (shape.points[shape.triangles[:, n]] - shape.points[0] for n in range(3))
    return np.bincount(piece, np.einsum("ij,ij->i", a, np.cross(b, c))) / 6


def _depth(shape: Shape, piece: Integers) -> Integers:
    """Return for each piece inside how many others it lies."""
    first = np.unique(piece, return_index=True)[1]
    if len(first) == 1:
        return np.zeros(1, np.int64)
    tree = triangle_tree(shape.points, shape.triangles)
    middle = shape.points[shape.triangles[first]].mean(axis=1)
    return windings(tree, middle, np.arange(len(first)), piece)


def _crossed(shape: Shape, piece: Integers) -> Bools:
    """Return for each piece whether it runs through another, so that it is partly outside."""
    count = int(piece.max()) + 1
    if count == 1:
        return np.zeros(1, bool)
    pairs = piece[crossing_pairs(shape)]
    return np.isin(np.arange(count), pairs[pairs[:, 0] != pairs[:, 1]])


def _net_depth(shape: Shape, piece: Integers, cavity: Bools) -> Integers:
    """Return how much material lies around each piece once cavities count against it."""
    if not cavity.any():
        return _depth(shape, piece)
    inward = cavity[piece]
    turned = np.where(inward[:, None], shape.triangles[:, ::-1], shape.triangles)
    return _depth(replace(shape, triangles=turned), piece)


def _tell_holes(holes: list[Hole], report: _Report) -> None:
    told = {
        "hole": ("holes", "A hole of {size:.3g} mm was filled."),
        "crack": ("cracks", "A crack of {size:.3g} mm around was bridged."),
        "end": ("open_ends", "An open end of {size:.3g} mm across was found."),
    }
    for kind, (code, sentence) in told.items():
        found = sorted((h for h in holes if h.kind == kind), key=lambda h: -h.size_mm)
        if not found:
            continue
        report.counts[code] = len(found)
        for hole in found[:TOLD]:
            text = sentence.format(size=hole.size_mm)
            report.findings.append(Finding(Severity.INFO, code, text, hole.middle_mm))
        if len(found) > TOLD:
            text = counted(len(found) - TOLD, "smaller one") + " like it."
            report.findings.append(Finding(Severity.INFO, code, text))


def _refuse_guesses(mesh: SurfaceMesh, shape: Shape, open_ends: Ends) -> None:
    """Raise where what there is does not say what the whole was.

    Raises:
        Unrepairable: for a sheet, or if most of it would be invented.
    """
    invented = patched_share(shape)
    if invented > MOST_INVENTED:
        raise Unrepairable(
            f"{invented:.0%} of {_name(mesh)} is missing, so a repair would be a guess; make it "
            "again from its image"
        )
    area = float(_areas(shape).sum())
    volume = abs(enclosed_mm3(SurfaceMesh(shape.points, shape.triangles, "")))
    if open_ends != "keep" and volume < FLAT * area**1.5:
        raise Unrepairable(
            f"{_name(mesh)} is a sheet that encloses next to nothing; thicken it instead"
        )


def _doubt_mm3(holes: list[Hole]) -> float:
    """Return the volume that hangs on how holes are filled, which are wrong independently."""
    return math.hypot(*(hole.doubt_mm3 for hole in holes))


def _refuse_doubt(
    mesh: SurfaceMesh, shape: Shape, holes: list[Hole], uncertain_percent: float
) -> None:
    """Raise where so much is filled that the volume depends on how it is."""
    volume = abs(enclosed_mm3(SurfaceMesh(shape.points, shape.triangles, "")))
    doubt = 100 * _doubt_mm3(holes) / max(volume, 1e-30)
    if doubt > uncertain_percent:
        raise Unrepairable(
            f"so much of {_name(mesh)} is missing or folded that its volume stays uncertain by "
            f"{doubt:.2g} percent; allow that in uncertain_percent, or make it again"
        )


def _uncrossed(
    shape: Shape, voxel_mm: float | None, holes: list[Hole], report: _Report, progress: Progress
) -> Shape:
    """Return the shape without self-intersections.

    Where folds are filled anew or wrapped, that is added to ``holes``.
    """
    pairs = crossing_pairs(shape, share(progress, 0, 4))
    closed = is_watertight(SurfaceMesh(shape.points, shape.triangles, ""))
    if closed and not len(pairs):
        return shape
    report.note("crossings", len(pairs), "{count} pairs of triangles ran through each other.")
    tried = united(shape, pairs) if closed else None
    if tried is not None:
        shape = manifold(tried)
        report.note("united", 1, "Parts that ran through each other became one.")
        pairs = crossing_pairs(shape, share(progress, 1, 4))
        if not len(pairs):
            return shape
    filled = mended(shape, pairs, share(progress, 2, 4)) if closed else None
    if filled is not None:
        report.note("mended", 1, "Folds were cut out and filled anew.")
        holes += filled[1]
        return filled[0]
    holes += _folds(shape, pairs)
    return _wrapped(shape, voxel_mm, report, share(progress, 3, 4))


def _folds(shape: Shape, pairs: Integers) -> list[Hole]:
    """Return the places where a surface runs through itself, each with the area that does."""
    crossing = shape.only(np.isin(np.arange(len(shape.triangles)), pairs))
    piece = parts(crossing.triangles, len(shape.points))
    area = np.bincount(piece, _areas(crossing))
    middle = shape.points[crossing.triangles].mean(axis=1)
    folds = []
    for number in range(len(area)):
        x, y, z = middle[piece == number].mean(axis=0).round(2).tolist()
        reach = math.sqrt(area[number] / math.pi)
        folds.append(Hole("fold", (x, y, z), 2 * reach, float(area[number]), 0.0, reach))
    return folds


def _tell_crossings(shape: Shape, report: _Report, progress: Progress) -> None:
    """Tell of self-intersections that stay in a surface which is to stay open."""
    pairs = crossing_pairs(shape, progress)
    text = "{count} pairs of triangles run through each other; only a closed surface is mended."
    report.note("crossings", len(pairs), text, Severity.WARNING)


def _wrapped(shape: Shape, voxel_mm: float | None, report: _Report, progress: Progress) -> Shape:
    points, triangles = compact(shape.points, shape.triangles)
    if voxel_mm is None:
        voxel_mm = float(np.ptp(points, axis=0).max()) / 250
    grid = grid_around([points], voxel_mm)
    points, triangles = contour(signed_distance(points, triangles, grid, progress), grid)
    if not len(triangles):
        raise Unrepairable("the surface encloses nothing that voxels can find; make it again")
    report.note(
        "wrapped",
        1,
        "The surface runs through itself in a way that could not be mended, so it was wrapped "
        f"by voxels of {voxel_mm:.2g} mm; details below that are lost.",
        Severity.WARNING,
    )
    made = Shape(points, triangles, np.zeros(len(triangles), np.int64))
    piece = parts(triangles, len(points))
    volume = _volumes(made, piece)
    return manifold(made.only((np.abs(volume) > 1e-3 * volume.max())[piece]))


def _as_surface(mesh: SurfaceMesh, shape: Shape) -> SurfaceMesh:
    """Return the shape as a surface with named caps."""
    points, triangles = compact(shape.points, shape.triangles)
    result = replace(mesh.reshaped(points, triangles), findings=(), numbers=())
    caps = range(1, int(shape.tag.max(initial=0)) + 1)
    named = {f"cap_{n}": np.flatnonzero(shape.tag == n) for n in caps}
    named = {name: part for name, part in named.items() if len(part)}
    if named:
        named["wall"] = np.flatnonzero(shape.tag <= 0)
    return replace(result, boundaries=named)


def _reported(
    mesh: SurfaceMesh, result: SurfaceMesh, report: _Report, original: Floats, holes: list[Hole]
) -> SurfaceMesh:
    """Return the result with its numbers and findings."""
    result = measured(result)
    far = NearestOnSurface(result)(original).distance_mm
    at = int(np.argmax(far)) if len(far) else 0
    change = float(far[at]) if len(far) else 0.0
    numbers = [_with_band(n, holes) for n in result.numbers]
    source = "farthest point of what was kept from the repaired surface"
    numbers.append(Number("largest_change", change, "mm", source))
    if is_watertight(mesh) and is_watertight(result):
        was, now = abs(enclosed_mm3(mesh)), enclosed_mm3(result)
        percent = 100 * (now - was) / was if was else 0.0
        numbers.append(Number("volume_change", percent, "%", "volume against that as opened"))
    for code, count in report.counts.items():
        numbers.append(Number(code, float(count), "", "count of the repair"))
    findings = [*report.findings, *(f for f in result.findings if f.code == "open_surface")]
    if not report.findings:
        findings.append(Finding(Severity.INFO, "sound", "Nothing was wrong with the surface."))
    elif change > NUDGE_MM:
        x, y, z = np.round(original[at], 2).tolist()
        text = f"The repair moved the surface the most here: {change:.3g} mm."
        findings.append(Finding(Severity.INFO, "largest_change", text, (x, y, z)))
    return replace(result, numbers=tuple(numbers), findings=tuple(findings))


def _with_band(number: Number, holes: list[Hole]) -> Number:
    """Return the volume with a band: how much hangs on the filling of holes and folds."""
    doubt = _doubt_mm3(holes) / 1000
    if number.quantity != "volume" or doubt == 0.0:
        return number
    source = f"{number.source}; band: what hangs on how its holes and folds are filled"
    value = number.value
    return replace(number, source=source, low=value - doubt, high=value + doubt)
