"""The piece of a vessel tree about an aneurysm: small enough to be measured and computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from meshing.centerline import Centerline, Sac
from segmentation.contract import Finding, FrameMismatch, Progress, Severity, silent
from segmentation.operations import with_volume
from segmentation.volume import LabelMap

Floats = npt.NDArray[np.float64]

NEAR_MM = 5.0
"""A click may miss the sac or vessel that is meant by this much."""

SMALLEST_MM = 2.0
"""A sac of a smaller diameter is not told from an irregular wall in a clinical image."""

STANDS_OUT = 1.2
"""A certain sac stands out of its vessel by this many of its own radii."""

WIDER = 1.5
"""One of several sacs is meant without a click if it is this many times as wide as the next."""

SMALL = 3.0
"""Reaches over which vessels extend that may be a piece around an aneurysm already."""

LISTED = 5
REMEDY = "click on the aneurysm, or give a point in it (click_mm, LPS mm)"


class NoAneurysm(ValueError):
    """No sac was found on the vessels, or not which one is meant."""


def around_aneurysm(
    vessels: LabelMap,
    tree: Centerline,
    *,
    click_mm: tuple[float, float, float] | None = None,
    reach_mm: Annotated[float, Gt(1), Le(100)] = 15.0,
    cropped: bool = False,
    progress: Progress = silent,
) -> LabelMap:
    """Keep the piece of a vessel tree around its aneurysm.

    What lies farther along the vessels than the reach is left out, and so are other vessels that
    pass nearby.

    Args:
        vessels: all vessels of the image.
        tree: their centerline, which lists the sacs.
        click_mm: a point in the aneurysm, LPS mm; empty takes the one sac that stands out.
        reach_mm: how far from the edge of the sac, along the vessels, the piece goes.
        cropped: whether the vessels may be a piece already: where no one sac is meant, those
            that extend over no more than three times the reach are kept whole.
        progress: told how far the work is.

    Raises:
        NoAneurysm: if there is no sac, or several and no click.
        FrameMismatch: if vessels and centerline live in different frames.
    """
    if vessels.geometry.frame_uid != tree.frame_uid:
        raise FrameMismatch("the vessels and their centerline have different frames of reference")
    try:
        sac, findings = _chosen(tree, click_mm)
    except NoAneurysm:
        if click_mm is None and cropped and _extent_mm(tree) <= SMALL * reach_mm:
            return with_volume(vessels, vessels.array, (_whole(),), "there is no vessel")
        raise
    progress(0.2, "following the vessels")
    beneath = np.linalg.norm(tree.points_mm - sac.centre_mm, axis=1) - tree.radius_mm
    kept = along_vessels_mm(tree, int(beneath.argmin())) <= reach_mm + sac.radius_mm
    return kept_piece(vessels, tree, kept, sac.centre_mm, sac.radius_mm, findings)


def kept_piece(
    vessels: LabelMap,
    tree: Centerline,
    kept: npt.NDArray[np.bool_],
    centre_mm: tuple[float, float, float],
    radius_mm: float,
    findings: tuple[Finding, ...],
) -> LabelMap:
    """Return the connected piece of vessels about a place: what is nearest to kept points.

    What lies in the ball about ``centre_mm`` (LPS) is kept too.
    """
    k, j, i = np.nonzero(vessels.array)
    voxels = vessels.geometry.to_world(np.stack([i, j, k], axis=1))
    nearest = cKDTree(tree.points_mm).query(voxels)[1]
    away = np.linalg.norm(voxels - centre_mm, axis=1)
    mask = np.zeros(vessels.array.shape, np.bool_)
    mask[k, j, i] = kept[nearest] | (away <= radius_mm)
    pieces = ndimage.label(mask, np.ones((3, 3, 3)))[0]
    first = int(away.argmin())
    array = (pieces == pieces[k[first], j[first], i[first]]).view(np.uint8)
    label = next(iter(vessels.labels.values()))
    piece = replace(vessels, array=array, labels={1: label}, findings=(), numbers=())
    return with_volume(piece, array, findings, "no vessel is left")


def _extent_mm(tree: Centerline) -> float:
    """Return the largest side of the box around a tree."""
    return float(np.ptp(tree.points_mm, axis=0).max())


def _whole() -> Finding:
    text = "no one sac stands clearly out of this piece of vessels, so all of it was kept"
    return Finding(Severity.INFO, "piece_kept", text, remedy=f"if it is too much, {REMEDY}")


def _chosen(
    tree: Centerline, click_mm: tuple[float, float, float] | None
) -> tuple[Sac, tuple[Finding, ...]]:
    """Return the sac that is meant, and how it was chosen."""
    if click_mm is not None:
        return _clicked(tree, np.array(click_mm)), ()
    certain = [
        sac
        for sac in sorted(tree.sacs, key=lambda sac: -sac.radius_mm)
        if 2 * sac.radius_mm >= SMALLEST_MM and sac.length_mm >= STANDS_OUT * sac.radius_mm
    ]
    if not certain:
        doubtful = f"; doubtful bulges are {_listed(tree.sacs)}" if tree.sacs else ""
        raise NoAneurysm(
            f"no aneurysm was found: no sac stands clearly out of these vessels{doubtful}; if "
            f"there is one, {REMEDY}"
        )
    if len(certain) > 1 and certain[0].radius_mm < WIDER * certain[1].radius_mm:
        raise NoAneurysm(
            f"{len(certain)} sacs stand out of these vessels: {_listed(certain)}; {REMEDY}"
        )
    sac = certain[0]
    text = (
        f"the sac of {2 * sac.radius_mm:.1f} mm that stands out of the vessels was taken for the "
        "aneurysm"
    )
    remedy = "look at it; give click_mm if another one is meant"
    return sac, (Finding(Severity.INFO, "aneurysm_chosen", text, sac.centre_mm, remedy),)


def _listed(sacs: tuple[Sac, ...] | list[Sac]) -> str:
    words = (
        f"{2 * sac.radius_mm:.1f} mm at ({', '.join(f'{v:.0f}' for v in sac.centre_mm)})"
        for sac in sacs[:LISTED]
    )
    return ", ".join(words)


def _clicked(tree: Centerline, click: Floats) -> Sac:
    """Return the sac that was clicked, or else a ball about the click that touches a vessel."""
    for sac in sorted(tree.sacs, key=lambda sac: float(np.linalg.norm(click - sac.centre_mm))):
        if np.linalg.norm(click - sac.centre_mm) <= sac.radius_mm + NEAR_MM:
            return sac
    outside = np.linalg.norm(tree.points_mm - click, axis=1) - tree.radius_mm
    place = int(outside.argmin())
    if outside[place] > 2 * NEAR_MM:
        raise NoAneurysm(
            f"no vessel is within {2 * NEAR_MM:g} mm of the click; {REMEDY.partition(',')[0]}"
        )
    radius = max(float(outside[place]), float(tree.radius_mm[place]))
    x, y, z = (float(v) for v in click)
    return Sac((x, y, z), radius, (x, y, z), radius)


def along_vessels_mm(tree: Centerline, place: int) -> Floats:
    """Return how far (mm) each point of a centerline is, along it, from one of them.

    Points of other vessels are infinitely far.
    """
    count = len(tree.points_mm)
    starts, stops, lengths = [], [], []
    for branch in tree.branches:
        inner = np.arange(branch.start, branch.stop)
        line = np.concatenate([[count + branch.from_node], inner, [count + branch.to_node]])
        step = np.linalg.norm(np.diff(tree.points_mm[branch.points], axis=0), axis=1)
        starts.append(line[:-1])
        stops.append(line[1:])
        lengths.append(np.concatenate([[0], step, [0]]) + 1e-9)  # a graph has no steps of nothing
    nodes = count + len(tree.nodes)
    edges = (np.concatenate(starts), np.concatenate(stops))
    graph = coo_matrix((np.concatenate(lengths), edges), (nodes, nodes))
    return np.asarray(dijkstra(graph, directed=False, indices=place)[:count])
