"""The separate pieces of a label: keep some, remove some, or tell them apart."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from scipy import ndimage
from skimage.segmentation import watershed

from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.marks import Mask, Points, require_inside
from segmentation.operations import with_volume
from segmentation.volume import Array, Label, LabelMap, bounding_block
from segmentation.wording import counted

_TURN = 0.381966  # of the colour circle: neighbours in number differ most in hue


def choose_islands(
    labels: LabelMap,
    *,
    points_mm: Points,
    operation: Literal["keep", "remove"] = "keep",
    progress: Progress = silent,
) -> LabelMap:
    """Keep or remove the pieces of a label that hold the given points.

    Voxels are connected when they share a face and a value. A point beside the label means the
    piece nearest to it.

    Args:
        labels: the labels to change.
        points_mm: a point in each piece that is meant, LPS mm.
        operation: keep only these pieces, or remove them.
        progress: told how far the work is.

    Raises:
        SeedOutside: if a point lies outside the image.
        ValueError: without a point.
    """
    if not points_mm:
        raise ValueError("choose at least one piece by a point in it")
    require_inside(labels.geometry, points_mm)
    block = bounding_block(labels.array)
    if block is None:
        return with_volume(labels, labels.array)
    old = labels.array[block]
    progress(0.0, "finding connected pieces")
    start = np.array([s.start for s in block])
    new = old.copy()
    meant = np.zeros(old.shape, np.bool_)
    for n, point in enumerate(points_mm):
        progress(n / len(points_mm), "finding connected pieces")
        voxel = np.rint(labels.geometry.to_index(point)[::-1]).astype(int) - start
        meant |= _piece(old, voxel, labels.geometry.spacing_kji_mm)
    new[meant != (operation == "keep")] = 0
    array = labels.array.copy()
    array[block] = new
    return with_volume(labels, array, empty="no piece is left")


def _piece(array: Array, voxel: Array, spacing: tuple[float, float, float]) -> Mask:
    """Return the connected piece that holds the voxel (k, j, i), or the one nearest to it."""
    k, j, i = (int(n) for n in voxel)
    on_grid = all(0 <= n < size for n, size in zip((k, j, i), array.shape))
    if not on_grid or array[k, j, i] == 0:
        voxels = np.argwhere(array != 0)
        away = ((voxels - voxel) * np.asarray(spacing)) ** 2
        k, j, i = (int(n) for n in voxels[np.argmin(away.sum(axis=1))])
    pieces, _ = ndimage.label(array == array[k, j, i])
    return np.asarray(pieces == pieces[k, j, i])


def split_islands(
    labels: LabelMap,
    *,
    neck_mm: Annotated[float, Ge(0), Le(100)] = 0.0,
    minimum_ml: Annotated[float, Ge(0)] = 0.0,
    largest: Annotated[int, Ge(1), Le(250)] = 30,
    progress: Progress = silent,
) -> LabelMap:
    """Give every separate piece of a label a label of its own.

    Pieces that hang together by a neck are cut apart at its narrowest place, by a watershed of
    the depth below the surface.

    Args:
        labels: the labels to split.
        neck_mm: necks up to this width (mm) are cut; 0 tells apart only what does not touch.
        minimum_ml: pieces smaller than this volume (mL) are dropped.
        largest: at most so many pieces are kept, the largest first.
        progress: told how far the work is.
    """
    block = bounding_block(labels.array, (1, 1, 1))
    if block is None:
        return with_volume(labels, labels.array)
    old = labels.array[block]
    progress(0.0, "finding connected pieces")
    pieces, values = _pieces(old, neck_mm, labels.geometry.spacing_kji_mm, progress)
    sizes = np.bincount(pieces.ravel(), minlength=len(values) + 1)[1:]
    least = minimum_ml / labels.geometry.voxel_ml * (1 - 1e-9)
    order = [int(n) for n in np.argsort(-sizes, kind="stable") if sizes[n] >= max(least, 1)]
    number = np.zeros(len(values) + 1, np.uint8)
    names: dict[int, Label] = {}
    for value, n in enumerate(order[:largest], start=1):
        number[n + 1] = value
        first = labels.labels.get(values[n], Label("piece"))
        red, green, blue = hsv_to_rgb((value * _TURN) % 1, 0.55, 0.9)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        names[value] = replace(first, name=f"{first.name} {value}", colour=colour)
    array = np.zeros(labels.array.shape, np.uint8)
    array[block] = number[pieces]
    dropped = len(values) - len(names)
    sentence = counted(dropped, "smaller piece was dropped", "smaller pieces were dropped")
    findings = (Finding(Severity.INFO, "pieces_dropped", sentence),) if dropped else ()
    named = replace(labels, array=array, labels=names)
    return with_volume(named, array, findings, empty="no piece is as large as asked")


def _pieces(
    array: Array, neck_mm: float, spacing: tuple[float, float, float], progress: Progress
) -> tuple[Array, list[int]]:
    """Return numbered pieces [k, j, i] and the label value of each."""
    found = np.zeros(array.shape, np.int32)
    values: list[int] = []
    present = np.flatnonzero(np.bincount(array.ravel()))
    for n, value in enumerate(int(v) for v in present if v):
        progress(n / len(present), "cutting pieces apart")
        mask = array == value
        pieces, count = ndimage.label(mask)
        if neck_mm > 0:
            pieces, count = _cut_necks(mask, pieces, neck_mm, spacing)
        found[mask] = pieces[mask] + len(values)
        values += [value] * count
    return found, values


def _cut_necks(
    mask: Mask, pieces: Array, neck_mm: float, spacing: tuple[float, float, float]
) -> tuple[Array, int]:
    """Cut connected pieces apart where they are at most ``neck_mm`` wide."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1]
    cores, count = ndimage.label(depth > neck_mm / 2)
    # A piece that is thinner than the neck all over stays one piece.
    thin = np.setdiff1d(np.unique(pieces[mask]), np.unique(pieces[cores > 0]))
    for n, piece in enumerate(thin, start=1):
        cores[pieces == piece] = count + n
    return watershed(-depth, cores, mask=mask), count + len(thin)
