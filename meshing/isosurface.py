"""The closed surface of one label: smooth, of the label's volume, never a voxel away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.ndimage import gaussian_filter

from meshing import grid_contour
from meshing.decimation import decimate
from meshing.integrals import volume_of
from meshing.mesh import SurfaceMesh, bounding_block, measured
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.volume import Label, LabelMap

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

NEAREST = 0.02
"""A point keeps this share of a voxel's spacing away from every voxel centre."""

FINE_VOXELS = 1.0
"""Up to this many voxels of smoothing the surface keeps every voxel on its side."""

SLANTED = 0.3
"""Cosine between path and surface below which a point is not moved further to make up for it."""

TOLERATED = 0.05
"""Voxels by which volume may be missing along a stretch of surface: less is the voxels' noise."""

LEVELLING = 12
"""How often missing volume is handed on from point to point before it is made up for."""


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Points between voxels inside and outside, in mm along the axes of a grid.

    Attributes:
        inside: 0 or 1 [k, j, i].
        inner, step: per point the flat number of the voxel inside, and from it to that outside.
        triangles: counter-clockwise seen from outside on a right-handed grid.
        spacing_mm: of the grid (x, y, z).
    """

    inside: Bytes
    inner: Integers
    step: Integers
    triangles: Integers
    spacing_mm: Floats

    def points(self, shares: Floats) -> Floats:
        """Return the points at these shares of the way from inside to outside."""
        return np.asarray(
            grid_contour.place_points(
                shares, self.inner, self.step, self.inside.shape, self.spacing_mm
            )
        )


def isosurface(
    labels: LabelMap,
    *,
    label: str = "",
    smoothing_mm: Annotated[float, Ge(0), Le(5)] | None = None,
    cell_mm: Annotated[float, Ge(0), Le(20)] = 0.0,
    triangles: Annotated[int, Ge(0)] = 0,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a closed surface from a label.

    The surface is a level of the label smoothed without shrinking, moved so that it encloses
    the volume of the voxels everywhere, in LPS mm. Up to one voxel of smoothing every voxel
    centre stays on its side; more smoothing rounds small parts away. A label that touches the
    image border is closed there; a label too thin for the smoothing is smoothed less, with a
    finding that says so. An empty label gives an empty surface, with a finding.

    Args:
        labels: the labelled voxels.
        label: name of the label; empty takes all labels together.
        smoothing_mm: standard deviation of the smoothing in mm; 0 keeps the voxel steps, empty
            takes 0.6 of a voxel's mean edge, which keeps a 5 mm vessel's calibre within 3 percent.
        cell_mm: edge of the cells that the surface is drawn on; voxels that are smaller are joined
            to blocks, so that a large label is drawn quickly and with fewer triangles, but parts
            thinner than half a cell are lost. 0 keeps the voxels.
        triangles: how many triangles to keep at the most, see `decimate`; 0 keeps all.
        progress: told how far the work is.

    Raises:
        ValueError: if the label does not exist.
    """
    what = label_of(labels, label)
    progress(0.0, "reading the label")
    mask = labels.mask(label or None)
    block = bounding_block(mask)
    if block is None:
        return _no_surface(labels, what)
    spacing = np.asarray(labels.geometry.spacing_mm)
    joined = np.maximum((cell_mm / spacing).astype(int), 1)
    edge_mm = float(np.prod(joined * spacing)) ** (1 / 3)
    wanted_mm = 0.6 * edge_mm if smoothing_mm is None else smoothing_mm
    drawn = mask[block] if (joined == 1).all() else _shares(mask[block], joined)
    points, cells, start, used_mm = _surface(drawn, joined * spacing, wanted_mm, progress)
    # The middle of a block lies half its voxels from its first, less half a voxel.
    first = [s.start for s in block][::-1] + (joined - 1) / 2
    points = labels.geometry.to_world(points / spacing + joined * start[::-1] + first)
    if np.linalg.det(labels.geometry.axes) < 0:
        cells = cells[:, ::-1]
    progress(0.9, "measuring the surface")
    notes = [] if used_mm == wanted_mm else [_smoothed_less(what.name, used_mm)]
    notes += [] if (joined == 1).all() else [_on_blocks(what.name, joined * spacing)]
    frame = labels.geometry.frame_uid
    mesh = SurfaceMesh(points, cells, frame, what.name, what.colour, findings=tuple(notes))
    if triangles:
        return decimate(mesh, triangles=triangles, progress=share(progress, 1, 2))
    return measured(mesh)


def _shares(mask: npt.NDArray[np.bool_], joined: Integers) -> Float32s:
    """Return how much of each block of ``joined`` voxels (x, y, z) a mask fills, [k, j, i]."""
    size = joined[::-1]
    rest = -np.array(mask.shape) % size
    whole = np.pad(mask, [(0, int(n)) for n in rest]) if rest.any() else mask
    filled: Float32s = whole.view(np.uint8)
    for axis in range(3):
        parts = [
            filled[(slice(None),) * axis + (slice(first, None, size[axis]),)]
            for first in range(size[axis])
        ]
        filled = np.sum(parts, axis=0, dtype=np.float32) if len(parts) > 1 else filled
    return filled / np.float32(np.prod(size))


def _surface(
    mask: npt.NDArray[np.generic], spacing: Floats, wanted_mm: float, progress: Progress
) -> tuple[Floats, Integers, Integers, float]:
    """Return points in mm along the axes of the padded mask, triangles, its corner, smoothing.

    A mask of floats holds shares of blocks.
    """
    edge_mm = float(np.prod(spacing)) ** (1 / 3)
    voxels = float(np.sum(mask, dtype=np.float64))
    whole = mask.dtype == np.bool_
    for used_mm in (wanted_mm, wanted_mm / 2, edge_mm / 2):
        fine = whole and used_mm <= FINE_VOXELS * edge_mm
        sigma = used_mm / spacing[::-1]
        pad = np.ceil(4.3 * sigma).astype(int) + 2
        padded = np.pad(mask, [(int(n), int(n)) for n in pad])
        padded = padded.view(np.uint8) if whole else padded
        progress(0.1, "smoothing the label")
        field = None if fine else _level_set(padded, sigma)
        inside = padded if field is None else (field > 0.5).view(np.uint8)
        if fine or abs(np.count_nonzero(inside) / voxels - 1.0) < 0.05:
            break
    progress(0.3, "extracting the surface")
    half_way, cells = grid_contour.contour(inside)
    inner, step = grid_contour.ends_of(half_way, inside)
    sheet = _Sheet(inside, inner, step, cells, spacing)
    progress(0.4, "smoothing the surface")
    before, after = _values(padded, sheet, sigma, field)
    shares = _crossing(before, after)
    target_mm3 = voxels * float(np.prod(spacing))
    shares = _levelled(sheet, shares, target_mm3, progress)
    return sheet.points(shares), cells, -pad, min(used_mm, wanted_mm)


def _values(
    padded: Bytes, sheet: _Sheet, sigma: Floats, field: Float32s | None
) -> tuple[Float32s, Float32s]:
    """Return the smoothed label at the voxels inside and outside of each point."""
    outer = sheet.inner + sheet.step
    if field is not None:
        return field.ravel()[sheet.inner], field.ravel()[outer]
    near = np.zeros(padded.size, np.bool_)
    near[sheet.inner] = near[outer] = True
    places = np.flatnonzero(near)
    values = np.empty(padded.size, np.float32)  # pages that nobody writes to take no memory
    values[places] = grid_contour.filtered_at(padded, places, _kernel(sigma))
    return values[sheet.inner], values[outer]


def _kernel(sigma: Floats) -> Float32s:
    """Return the kernel of `_level_set`, [k, j, i]."""
    reach = np.ceil(4.2 * sigma).astype(int)
    dot = np.zeros(2 * reach + 1, np.float32)
    dot[tuple(reach)] = 1.0
    return _level_set(dot, sigma)


def _level_set(inside: npt.NDArray[np.generic], sigma: Floats) -> Float32s:
    """Return a mask smoothed so that its 0.5 level hardly moves.

    A Gaussian moves the 0.5 level of a surface inward by sigma^2 times its mean curvature.
    Subtracting twice the smoothed from once more smoothed (2 G - G G) cancels that term.
    """
    exact = inside.astype(np.float32)
    if not sigma.any():
        return exact
    once = gaussian_filter(exact, sigma, mode="constant", truncate=3.0)
    twice = gaussian_filter(once, sigma, mode="constant", truncate=3.0)
    return np.asarray(2.0 * once - twice, np.float32)


def _crossing(before: Float32s, after: Float32s) -> Floats:
    """Return where between two values lies 0.5, kept away from both ends."""
    fall = np.maximum(before.astype(np.float64) - after, 1e-3)
    return np.clip((before - 0.5) / fall, NEAREST, 1.0 - NEAREST)


def _levelled(sheet: _Sheet, shares: Floats, target_mm3: float, progress: Progress) -> Floats:
    """Return shares moved so that each stretch of surface encloses what its voxels do.

    What the voxels hold more than the surface is handed on to neighbouring points and made up
    for by moving the points; the rest is made up for evenly.
    """
    voxel_mm3 = float(np.prod(sheet.spacing_mm))
    parts = grid_contour.missing_volume(
        sheet.inside, sheet.inner, sheet.step, grid_contour.missing_by_pattern()
    )
    missing, edge_mm = parts * voxel_mm3, voxel_mm3 ** (1 / 3)
    moved = np.full(len(shares), 0.5)
    vectors = _along(sheet, sheet.points(moved))
    for turn in range(4):
        progress(0.5 + 0.1 * turn, "keeping the volume")
        here = sheet.points(shares)
        now = _along(sheet, here)
        missing -= (vectors[0] + now[0]) / 2 * (shares - moved)
        moved, vectors = shares, now
        if turn == 3:
            break
        lacking = grid_contour.spread(missing, sheet.triangles, LEVELLING)
        depth = lacking / now[2]
        heavy = np.sign(depth) * np.maximum(np.abs(depth) - TOLERATED * edge_mm, 0.0)
        shares = _shifted(shares, heavy, now[1])
    return _of_volume(sheet, shares, target_mm3)


def _along(sheet: _Sheet, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Return per point, for its path from inside to outside: growth, advance and area.

    The growth is that of the volume, mm3 per share of the path; the advance is that of the
    surface, mm per share, no less than for a path `SLANTED` to it; the area is the point's, mm2.
    """
    vectors = grid_contour.outward(points, sheet.triangles)
    stride = np.abs(sheet.step)
    axis = np.where(stride == 1, 0, np.where(stride == sheet.inside.shape[2], 1, 2))
    along = vectors[np.arange(len(axis)), axis] * np.sign(sheet.step)
    area = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    length = sheet.spacing_mm[axis]
    return along * length, np.maximum(along / area, SLANTED) * length, area


def _shifted(shares: Floats, outward_mm: Floats | float, advance: Floats) -> Floats:
    """Return shares after the surface moved outward by this much, within limits."""
    return np.asarray(np.clip(shares + outward_mm / advance, NEAREST, 1.0 - NEAREST))


def _of_volume(sheet: _Sheet, shares: Floats, target_mm3: float) -> Floats:
    """Return shares moved evenly until the surface encloses a volume within 0.01 percent."""
    for _ in range(20):
        points = sheet.points(shares)
        lacking = target_mm3 - volume_of(points, sheet.triangles)
        if abs(lacking) <= 1e-4 * target_mm3:
            break
        now = _along(sheet, points)
        open_to = (shares < 1.0 - NEAREST) if lacking > 0 else (shares > NEAREST)
        area = float(now[2][open_to].sum())
        if not area:
            break
        shares = _shifted(shares, lacking / area, now[1])
    return shares


def label_of(labels: LabelMap, label: str) -> Label:
    """Return the meaning of one label by name, or of the only one."""
    if label:
        return labels.labels[labels.value(label)]
    return next(iter(labels.labels.values())) if len(labels.labels) == 1 else Label("")


def _no_surface(labels: LabelMap, what: Label) -> SurfaceMesh:
    text = f"The label {what.name or 'map'} has no voxel, so its surface is empty."
    note = Finding(Severity.WARNING, "empty_label", text)
    nothing = np.empty((0, 3)), np.empty((0, 3), np.int64)
    frame = labels.geometry.frame_uid
    return SurfaceMesh(*nothing, frame, what.name, what.colour, findings=(note,))


def _on_blocks(name: str, cell_mm: Floats) -> Finding:
    size = " x ".join(f"{edge:.2f}" for edge in cell_mm)
    text = f"The surface of {name or 'the label'} is drawn on blocks of {size} mm, as was asked."
    return Finding(Severity.INFO, "drawn_on_blocks", text)


def _smoothed_less(name: str, used_mm: float) -> Finding:
    return Finding(
        Severity.INFO,
        "smoothed_less",
        f"The label {name or 'map'} is too thin for the smoothing; {used_mm:.2g} mm was used.",
    )
