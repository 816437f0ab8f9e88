"""From any vessel surface, open or closed, to a capped lumen with named ends, ready for flow.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy.spatial import cKDTree

from meshing.centerline import Centerline, centerline
from meshing.intersections import self_intersections
from meshing.lumen import Piece, split_pieces
from meshing.mesh import OpenSurface
from meshing.repair import Unrepairable, repair
from meshing.surface import SurfaceMesh
from meshing.vessel_ends import cap_ends, cut_some, extend_ends, open_ends
from meshing.vessel_names import renamed
from meshing.vessel_sections import require_frame
from meshing.vessel_tree import NoCenterline
from segmentation.contract import Finding, Progress, Severity, share, silent

WALL, INLET = "wall", "inlet"
LEAST_ENDS = 2
CLOSED_HERE = ("open_surface", "open_edges")
"""Findings about the surface given that do not hold for a lumen, which is capped."""
NARROWEST_INLET_MM, WIDEST_INLET_MM = 0.3, 100.0
"""In a tube narrower than 0.3 mm blood grows thinner and is no plain liquid (Fahraeus and Lindqvist
1931, Am J Physiol 96:562); wider than 100 mm is no vessel. Either is nearly always a wrong unit."""
NEARLY_AS_WIDE = 0.8
WITHIN_WALL = 1.25
"""Of the vessel's radius where a branch begins: a shorter one ends in the vessel's own wall."""
DOUBT_PERCENT = 5.0
"""How much of the volume may hang on a repair; ends that are cut off take most of it away."""


class UnusableVessel(ValueError):
    """A surface is no vessel that blood could flow through; the text says why and what to do."""


def prepare_lumen(
    surface: SurfaceMesh,
    centerline: Centerline | None = None,
    *,
    diameters: Annotated[float, Ge(0), Le(50)] = 1.0,
    ends: str = "",
    narrowest_percent: Annotated[float, Ge(0), Le(100)] = 20.0,
    names: str = "",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a vessel ready for flow: ends cut square, lengthened, capped and named.

    Open ends are those of the vessel; a closed surface, as from a label, is cut open at the tips
    of its centerline. Sacs stay closed. A damaged surface is repaired first, with findings.

    Args:
        surface: the vessel, open or closed; of several parts the largest is taken.
        centerline: its branches and the names of its ends; empty finds them.
        diameters: by how many of its diameters each end is lengthened by a straight tube.
        ends: which ends are opened, such as "inlet, outlet_2"; empty takes all.
        narrowest_percent: ends narrower than this percentage of the inlet stay closed.
        names: new names of ends, such as "inlet=ica, outlet_1=mca".
        progress: told how far the work is.

    Raises:
        UnusableVessel: if fewer than two ends are left where blood could flow, or the widest has
            a size that no vessel has.
        NoCenterline: if there is no vessel in the surface.
        Unrepairable, OpenSurface: if it is too damaged to be closed.
        ValueError: if there is no end of a name that was given.
        FrameMismatch: if surface and centerline live in different frames.
    """
    if centerline is not None:
        require_frame(surface, centerline)

    def attempt(vessel: SurfaceMesh, progress: Progress) -> SurfaceMesh:
        return _prepared(vessel, centerline, diameters, ends, narrowest_percent, names, progress)

    return _repaired_if_needed(surface, attempt, progress)


def _repaired_if_needed(
    surface: SurfaceMesh,
    attempt: Callable[[SurfaceMesh, Progress], SurfaceMesh],
    progress: Progress,
) -> SurfaceMesh:
    """Return the outcome for a surface as it is, or repaired where it is damaged.

    Repair takes narrow ragged ends for holes, so what is usable without it is left alone.
    """
    try:
        return attempt(surface, share(progress, 0, 2))
    except (OpenSurface, NoCenterline) as error:
        try:
            mended = repair(
                surface, open_ends="keep", uncertain_percent=DOUBT_PERCENT,
                progress=share(progress, 2, 4),
            )  # fmt: skip
        except Unrepairable as worse:
            raise worse from error
        notes = (*surface.findings, *mended.findings)
        return attempt(replace(mended, findings=notes), share(progress, 3, 4))


def _prepared(
    surface: SurfaceMesh,
    given: Centerline | None,
    diameters: float,
    ends: str,
    narrowest_percent: float,
    names: str,
    progress: Progress,
) -> SurfaceMesh:
    pieces = split_pieces(surface)
    lumen = _largest(surface, pieces)
    found = centerline(lumen, progress=share(progress, 0, 3)) if given is None else given
    chosen, left = _ends_to_open(found, _own_ends(found, pieces), ends, narrowest_percent)
    cut, failures = cut_some(lumen, found, chosen, None, share(progress, 1, 3))
    opened = [n for n in chosen if n not in failures or found.nodes[found.ends[n]].kind == "open"]
    opened, lost = _still_open(cut, found, opened)
    _require_two(found, opened, failures)
    part = share(progress, 2, 3)
    if diameters > 0:
        wanted = ", ".join(opened)
        cut = extend_ends(cut, found, diameters=diameters, ends=wanted, progress=part)
        opened, narrow = _still_open(cut, found, opened)  # measured by what the lumen is now
        lost += narrow
        _require_two(found, opened, failures)
    capped = cap_ends(cut, found, progress=part)
    told: list[Finding] = []
    if INLET in chosen and INLET not in opened and not names:
        names, told = _inlet_moved(capped, opened)
    elif given is None and INLET in opened and not names:
        told = _inlet_assumed(capped, opened)
    require_size(max(_diameters_mm(capped, opened).values()), surface.name)
    capped = _named(capped, opened, names)
    return replace(capped, findings=(*capped.findings, *left, *lost, *told, *_faults(capped)))


def _still_open(
    cut: SurfaceMesh, found: Centerline, opened: list[str]
) -> tuple[list[str], list[Finding]]:
    """Return which ends are open after all cuts, and why others are not.

    A cut next to a fork may take a neighbouring end along, and a sliver is closed as a hole.
    """
    there = open_ends(cut, found)
    notes = []
    for name in opened:
        if name not in there:
            text = f"The end {name} is gone: it was cut off with its neighbour, or is too narrow."
            place = found.nodes[found.ends[name]].point_mm
            remedy = "Leave its neighbour out of the ends if blood flows here"
            notes.append(Finding(Severity.WARNING, "end_lost", text, place, remedy))
    return [name for name in opened if name in there], notes


def _inlet_moved(capped: SurfaceMesh, opened: list[str]) -> tuple[str, list[Finding]]:
    """Return the new name of the widest end, the inlet in place of one that stays closed."""
    sizes = {n.quantity.removesuffix(".area"): n.value for n in capped.numbers}
    widest = max(opened, key=lambda name: sizes.get(name, 0.0))
    text = f"The inlet could not be opened; the widest other end, {widest}, is the inlet now."
    remedy = "Check where blood comes in; name the ends"
    return f"{widest}={INLET}", [Finding(Severity.WARNING, "inlet_moved", text, None, remedy)]


def _diameters_mm(capped: SurfaceMesh, opened: list[str]) -> dict[str, float]:
    """Return name to diameter of a circle as large as each open end."""
    areas = {n.quantity.removesuffix(".area"): n.value for n in capped.numbers}
    return {name: 2.0 * (areas[name] / np.pi) ** 0.5 for name in opened}


def _inlet_assumed(capped: SurfaceMesh, opened: list[str]) -> list[Finding]:
    """Return the finding that nobody said where blood comes in, a warning where it is in doubt."""
    sizes = _diameters_mm(capped, opened)
    rival = max((name for name in opened if name != INLET), key=lambda name: sizes[name])
    doubtful = sizes[rival] >= NEARLY_AS_WIDE * sizes[INLET]
    text = (
        f"The widest end ({sizes[INLET]:.1f} mm) was taken as the inlet; the next, {rival}, is "
        f"{sizes[rival]:.1f} mm wide."
    )
    remedy = f"Check where blood comes in; if at {rival}, set names to {rival}=inlet, inlet={rival}"
    severity = Severity.WARNING if doubtful else Severity.INFO
    return [Finding(severity, "inlet_assumed", text, None, remedy)]


def require_size(diameter_mm: float, name: str) -> None:
    """Raise unless the widest end of a lumen, in mm, is one that a vessel could have.

    Raises:
        UnusableVessel: saying how wide it is, and what may be wrong.
    """
    if not NARROWEST_INLET_MM <= diameter_mm <= WIDEST_INLET_MM:
        raise UnusableVessel(
            f"the widest end of the surface {name or 'without a name'!r} measures "
            f"{diameter_mm:.2g} mm; vessels from {NARROWEST_INLET_MM:g} to {WIDEST_INLET_MM:g} mm "
            "can be computed. Check the unit of its file: source.lumen.unit=m, cm or mm"
        )


def _named(capped: SurfaceMesh, opened: list[str], names: str) -> SurfaceMesh:
    """Return a lumen whose other ends belong to its wall, with the new names of the rest."""
    parts = capped.boundaries
    closed = [name for name in parts if name != WALL and name not in opened]
    wall = np.concatenate([parts[name] for name in (WALL, *closed)])
    kept = [name for name in parts if name not in (WALL, *closed)]
    called = dict(zip(kept, renamed({name: n for n, name in enumerate(kept)}, names)))
    areas = {f"{name}.area": f"{new}.area" for name, new in called.items()}
    gone = {f"{name}.area" for name in closed}
    numbers = tuple(
        replace(n, quantity=areas.get(n.quantity, n.quantity))
        for n in capped.numbers
        if n.quantity not in gone
    )
    boundaries = {WALL: wall, **{new: parts[name] for name, new in called.items()}}
    return replace(capped, boundaries=boundaries, numbers=numbers)


def _largest(surface: SurfaceMesh, pieces: list[Piece]) -> SurfaceMesh:
    """Return the wall of the largest part of a surface."""
    first = pieces[0]
    used, numbered = np.unique(first.triangles[first.wall], return_inverse=True)
    result = surface.reshaped(first.points_mm[used], numbered.reshape(-1, 3))
    notes = [f for f in surface.findings if f.code not in CLOSED_HERE]
    if len(pieces) > 1:
        text = f"Of {len(pieces)} separate parts of the surface only the largest was kept."
        remedy = "Look whether it is the vessel you mean; else cut the file to that one"
        notes.append(Finding(Severity.WARNING, "parts_left_out", text, None, remedy))
    if first.inside_out:
        text = "The surface was inside out, its normals pointing inward; it was turned."
        remedy = "Look whether it bounds the blood, and not the wall's other side"
        notes.append(Finding(Severity.WARNING, "inside_out", text, None, remedy))
    return replace(result, findings=tuple(notes), numbers=())


def _own_ends(found: Centerline, pieces: list[Piece]) -> list[str]:
    """Return the ends of a centerline that lie on the first of some pieces."""
    owner = np.repeat(np.arange(len(pieces)), [len(piece.points_mm) for piece in pieces])
    tree = cKDTree(np.concatenate([piece.points_mm for piece in pieces]))
    places = np.array([found.nodes[node].point_mm for node in found.ends.values()])
    near = owner[tree.query(places.reshape(-1, 3))[1]]
    return [name for name, piece in zip(found.ends, near) if piece == 0]


def _ends_to_open(
    found: Centerline, own: list[str], ends: str, narrowest_percent: float
) -> tuple[list[str], list[Finding]]:
    """Return the ends that blood flows through, and why others stay closed."""
    asked = [name for name in (part.strip() for part in ends.split(",")) if name]
    for name in asked:
        found.end_branch(name)
    if asked:
        return asked, []
    node = {name: found.nodes[found.ends[name]] for name in own}
    opened = [name for name in own if node[name].kind == "open"]
    leaks = [name for name in opened if _in_wall(found, name)]
    opened = [name for name in opened if name not in leaks]
    usable = opened if len(opened) >= LEAST_ENDS else [name for name in own if name not in leaks]
    widest = max((node[name].radius_mm for name in usable), default=0.0)
    wide = [n for n in usable if node[n].radius_mm >= narrowest_percent / 100 * widest]
    reasons = dict.fromkeys(own, "is closed, and others are open")
    reasons |= dict.fromkeys(usable, "is narrow")
    reasons |= dict.fromkeys(leaks, "is a hole in the wall, or a branch cut off at its root")
    notes = []
    for name in own:
        if name not in wide:
            severity = Severity.WARNING if name in leaks else Severity.INFO
            text = (
                f"The end {name}, {2 * node[name].radius_mm:.1f} mm wide, {reasons[name]}; it "
                "stays closed."
            )
            remedy = "Name it among the ends if blood flows there"
            place = node[name].point_mm
            notes.append(Finding(severity, "end_stays_closed", text, place, remedy))
        elif opened and node[name].kind != "open":
            text = f"The vessel is closed at {name}; it was cut open there, for blood to pass."
            remedy = "Look whether the vessel goes on there"
            place = node[name].point_mm
            notes.append(Finding(Severity.WARNING, "blind_end_opened", text, place, remedy))
    return wide, notes


def _in_wall(found: Centerline, name: str) -> bool:
    """Tell whether an end's branch does not leave the vessel that it comes from."""
    branch, out = found.end_branch(name)
    root = found.nodes[branch.from_node if out else branch.to_node]
    line = found.points_mm[branch.points]
    length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    return root.kind == "junction" and length < WITHIN_WALL * root.radius_mm


def _require_two(found: Centerline, opened: list[str], failures: Mapping[str, ValueError]) -> None:
    if len(opened) >= LEAST_ENDS:
        return
    reasons = "; ".join(str(error) for error in failures.values())
    raise UnusableVessel(
        f"blood needs an inlet and an outlet, and the surface {found.name or 'without a name'!r} "
        f"has {len(opened) or 'no'} usable end{'s' if len(opened) != 1 else ''}"
        + (f" ({reasons})" if reasons else "")
        + "; take a longer piece of the vessel, or name the ends to open"
    )


def _faults(lumen: SurfaceMesh) -> list[Finding]:
    """Return where a lumen runs through itself."""
    crossings = self_intersections(lumen)
    if not len(crossings):
        return []
    place = lumen.points_mm[lumen.triangles[crossings[0, 0]]].mean(axis=0)
    x, y, z = (float(v) for v in place)
    text = f"{len(crossings)} pairs of triangles of the lumen run through each other."
    return [Finding(Severity.WARNING, "crossings", text, (x, y, z), "Repair the surface before")]
