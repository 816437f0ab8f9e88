"""The sac of an aneurysm cut off its parent vessel at the neck, from one click.

The click leads to the largest ball that fits into the sac. Where the vessels leave the
neighbourhood, they are joined by paths along their middle that avoid this ball: that is the
parent vessel, and a tube around the paths, as wide as the vessels are, belongs to it. Between
ball and tube the neck is the smallest cut, the nearer to the tube the better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

from segmentation.abdomen import Image, Mask
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.cuts import cut_off
from segmentation.volume import ImageGeometry, Label, LabelMap, bounding_block
from segmentation.wording import counted

SAC = Label("aneurysm dome", (0xD9, 0x53, 0x4F), "432119003")
VESSEL = Label("parent vessel", (0x4F, 0x8F, 0xD9), "59820001")

REACH_MM = 3.0  # a click may miss the label by this much
LOOK_MM = 40.0  # nothing farther from the click matters
BALL = 0.8  # of the radius of the sac's largest ball is surely sac
TUBE = 0.9  # of the radius of the parent vessel is surely vessel
AWAY = 50.0  # a path avoids the sac at this many times the cost
EXIT_MM = 3.0  # a vessel goes on for this long beyond the neighbourhood; a lobe does not
RISE = 0.6  # the cut gets dearer by this share for every vessel radius away from the vessel
SMALL_VOXELS = 100  # fewer are too few for measurements


class NoDome(ValueError):
    """No sac can be told apart from a vessel at the click."""


@dataclass(frozen=True, eq=False)
class _Lumen:
    """The neighbourhood of a click: mask, depth below the wall in mm, grid."""

    mask: Mask
    depth_mm: Image
    geometry: ImageGeometry

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The spacing in array order, mm."""
        return self.geometry.spacing_kji_mm

    def ball(self, centre: tuple[int, ...], radius_mm: float) -> Mask:
        """Return the voxels of the lumen within a ball."""
        axes = np.ogrid[tuple(slice(0, n) for n in self.mask.shape)]
        squares = [((a - c) * s) ** 2 for a, c, s in zip(axes, centre, self.spacing)]
        inside = squares[0] + squares[1] + squares[2] <= radius_mm**2
        inside[centre] = True
        return np.asarray(inside & self.mask)


def propose_dome(
    vessels: LabelMap,
    *,
    click_mm: tuple[float, float, float],
    progress: Progress = silent,
) -> LabelMap:
    """Separate the dome of an aneurysm from its parent vessel, by one click in the dome.

    Args:
        vessels: the vessels with the aneurysm.
        click_mm: a point in the dome, LPS mm.
        progress: told how far the work is.

    Raises:
        NoDome: if no vessel is at the click, or what is there has no neck.
    """
    block, lumen, click = _neighbourhood(vessels, click_mm)
    progress(0.1, "Looking for the sac")
    centre = _climbed(lumen.depth_mm, click)
    sac, radius_mm, parent_mm = _cut_at_neck(lumen, centre)
    if not sac[click]:  # the way uphill led out of a small sac into the vessel
        progress(0.5, "Looking for the neck")
        sac, radius_mm, parent_mm = _cut_at_neck(lumen, click)
    if not sac[click]:
        raise NoDome("the click lies in the parent vessel; click in the middle of the dome")
    array = (vessels.array != 0).astype(np.uint8) * np.uint8(2)
    array[block][sac] = 1
    return LabelMap(
        array,
        vessels.geometry,
        {1: SAC, 2: VESSEL},
        _findings(sac, radius_mm, parent_mm),
        _numbers(lumen, sac, radius_mm, parent_mm, array),
    )


def _cut_at_neck(lumen: _Lumen, centre: tuple[int, ...]) -> tuple[Mask, float, float]:
    """Return the sac around a voxel, the radius of its ball and of the parent vessel in mm."""
    radius_mm = float(lumen.depth_mm[centre])
    tube, parent_mm = _parent(lumen, centre, radius_mm)
    ball = lumen.ball(centre, BALL * radius_mm) & ~tube
    away_mm = ndimage.distance_transform_edt(~tube, lumen.spacing)
    resistance = 1 + RISE * away_mm / parent_mm
    sac = cut_off(lumen.mask, ball, tube, resistance, lumen.spacing, diagonals=True)
    return sac & ~tube, radius_mm, parent_mm


def _neighbourhood(
    vessels: LabelMap, click_mm: tuple[float, float, float]
) -> tuple[tuple[slice, slice, slice], _Lumen, tuple[int, ...]]:
    """Return the block around the click, what is in it, and the voxel clicked."""
    grid = vessels.geometry
    index = grid.to_index(click_mm)[::-1]
    reach = np.ceil(LOOK_MM / np.asarray(grid.spacing_kji_mm)).astype(int)
    centre = np.rint(index).astype(int)
    shape = vessels.array.shape
    if (centre < 0).any() or (centre >= shape).any():
        raise NoDome("the click lies outside the image; click in the dome")
    low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, shape)
    wide = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    pieces, _ = ndimage.label(vessels.array[wide] != 0, np.ones((3, 3, 3)))
    away_mm, nearest = ndimage.distance_transform_edt(
        pieces == 0, grid.spacing_kji_mm, return_indices=True
    )
    at = tuple(centre - low)
    if not pieces.any() or away_mm[at] > REACH_MM:
        raise NoDome(f"no vessel is within {REACH_MM:g} mm of the click; click in the dome")
    click = tuple(int(n[at]) for n in nearest)
    own = pieces == pieces[click]
    tight = bounding_block(own, (1, 1, 1))
    assert tight is not None
    k, j, i = (slice(w.start + t.start, w.start + t.stop) for w, t in zip(wide, tight))
    mask = own[tight]
    geometry = grid.cropped((i.start, j.start, k.start), mask.shape[::-1])
    # The lumen goes on where the image ends.
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), grid.spacing_kji_mm)[1:-1, 1:-1, 1:-1]
    depth = np.maximum(depth - min(grid.spacing_mm) / 2, min(grid.spacing_mm) / 2) * mask
    place = tuple(c - t.start for c, t in zip(click, tight))
    return (k, j, i), _Lumen(mask, depth.astype(np.float32), geometry), place


def _climbed(depth_mm: Image, start: tuple[int, ...]) -> tuple[int, ...]:
    """Return the voxel that is deepest, uphill of ``start``."""
    here = start
    while True:
        corner = [max(0, n - 2) for n in here]
        near = depth_mm[tuple(slice(c, n + 3) for c, n in zip(corner, here))]
        step = np.unravel_index(int(near.argmax()), near.shape)
        if near[step] <= depth_mm[here]:
            return here
        here = tuple(int(c + s) for c, s in zip(corner, step))


def _parent(lumen: _Lumen, centre: tuple[int, ...], radius_mm: float) -> tuple[Mask, float]:
    """Return the tube of the parent vessel past the sac, and the vessel's radius in mm.

    Raises:
        NoDome: if fewer than two vessels leave the neighbourhood.
    """
    cost = np.where(lumen.mask, 1.0, -1.0)
    reach = MCP_Geometric(cost, sampling=lumen.spacing)
    away_mm, _ = reach.find_costs([centre])
    exits = _exits(lumen, away_mm, radius_mm)
    if len(exits) < 2:
        raise NoDome(
            "at the click no sac hangs on a vessel: fewer than two vessels leave it; click in "
            "the dome, and let the label reach 1 cm of vessel on either side"
        )
    parent_mm = float(np.median([lumen.depth_mm[e] for e in exits]))
    inner = np.clip(lumen.depth_mm, 0.3 * min(lumen.spacing), parent_mm)
    cost = np.where(lumen.mask, (parent_mm / inner) ** 2, -1.0)
    cost[lumen.ball(centre, radius_mm)] *= AWAY
    tube = np.zeros_like(lumen.mask)
    # From the widest vessel to each of the others: the parent and its branches.
    first = max(exits, key=lambda e: float(lumen.depth_mm[e]))
    paths = MCP_Geometric(cost, sampling=lumen.spacing)
    paths.find_costs([first])
    for other in exits:
        for voxel in paths.traceback(other) if other != first else ():
            wide = TUBE * min(float(lumen.depth_mm[tuple(voxel)]), parent_mm)
            tube |= lumen.ball(tuple(int(v) for v in voxel), wide)
    return tube, parent_mm


def _exits(lumen: _Lumen, away_mm: Image, radius_mm: float) -> list[tuple[int, ...]]:
    """Return the deepest voxel of every vessel where it leaves the neighbourhood of the sac."""
    farthest = float(away_mm[lumen.mask & np.isfinite(away_mm)].max())
    start = min(2.2 * radius_mm + EXIT_MM, 0.6 * farthest)
    beyond = lumen.mask & (away_mm >= start) & np.isfinite(away_mm)
    pieces, count = ndimage.label(beyond, np.ones((3, 3, 3)))
    found = []
    for n in range(1, count + 1):
        own = pieces == n
        if away_mm[own].max() < start + min(EXIT_MM, 0.2 * farthest):
            continue
        shell = own & (away_mm < start + 1.5 * max(lumen.spacing) + 0.5)
        deepest = np.where(shell, lumen.depth_mm, -1).argmax()
        found.append(tuple(int(v) for v in np.unravel_index(int(deepest), own.shape)))
    return found


def _numbers(
    lumen: _Lumen, sac: Mask, radius_mm: float, parent_mm: float, array: np.ndarray
) -> tuple[Number, ...]:
    voxel_ml = lumen.geometry.voxel_ml
    counts = np.bincount(array.ravel(), minlength=3) * voxel_ml
    source = "voxel count x voxel volume"
    return (
        Number("volume", float(counts[1:].sum()), "mL", source),
        Number("volume.aneurysm dome", float(counts[1]), "mL", source),
        Number("volume.parent vessel", float(counts[2]), "mL", source),
        Number("inscribed_diameter", 2 * radius_mm, "mm", "largest ball in the dome"),
        Number("parent_diameter", 2 * parent_mm, "mm", "median of the vessels near the dome"),
    )


def _findings(sac: Mask, radius_mm: float, parent_mm: float) -> tuple[Finding, ...]:
    found = []
    if np.count_nonzero(sac) < SMALL_VOXELS:
        found.append(
            Finding(
                Severity.WARNING,
                "dome_small",
                f"the dome has only {counted(int(np.count_nonzero(sac)), 'voxel')}",
                remedy="resample the vessels to a finer grid before measuring",
            )
        )
    if radius_mm < parent_mm:
        found.append(
            Finding(
                Severity.WARNING,
                "dome_narrow",
                "the dome is no wider than its vessel, so the neck is uncertain",
                remedy="check the neck by eye",
            )
        )
    return tuple(found)
