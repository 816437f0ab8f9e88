"""Skull, mandible and neck told apart in the bones of a head CT.

Bones touch at joints and teeth, over less than their own width and with softer tissue between.
Between marks inside each of them, the division is where the least bone has to be cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.abdomen import Mask
from segmentation.anatomy import ANATOMY
from segmentation.body import Preview, across, back, preview, require_ct
from segmentation.bone import find_bone
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.cuts import cut_off
from segmentation.operations import with_volume
from segmentation.volume import Array, Label, LabelMap, Volume

SKULL, MANDIBLE, NECK, OTHER = 1, 2, 3, 4
LABELS = {
    SKULL: Label("skull", ANATOMY["bone"].colour, "89546000"),
    MANDIBLE: Label("mandible", (0xC9, 0xB0, 0x8A), "91609006"),
    NECK: Label("cervical spine", (0xA8, 0x9C, 0xC0), "122494005"),
    OTHER: Label("other bone", (0x9A, 0xA3, 0xA8), ANATOMY["bone"].code),
}

GRID_MM = 1.4  # resolves the gap of the jaw joint, nearly
SATURATED_HU = 1500.0  # enamel and metal are no harder to cut than dense bone
CAVITY_MM2 = 4000.0  # of a slice through the skull; no other ring of bone holds so much
CAVITY_HU = (0.0, 100.0)  # brain
CAVITY_MM = 20.0  # of slices that show it, at least
CHIN_MM2 = 100.0  # of a slice through the chin; the hyoid has less
CHIN_FRONT_MM = 40.0  # in front of the middle of the head; the neck lies behind
FACE_MM = 6.0  # above the floor of the cavity, at whose height the hard palate lies
NECK_MM2 = 60.0  # of a slice through a vertebra
MARK_MM = 12.0  # height of the marks in chin and neck
JAW_ML = (15.0, 150.0)
TOUCH_MM2 = 1500.0  # teeth and both joints; a cut through one bone is wider


class NoSkull(ValueError):
    """There is no closed skull in the scan."""


@dataclass(frozen=True, eq=False)
class _Head:
    """Bones on a coarse grid with the place of every cell; arrays are [k, j, i]."""

    bone: Mask
    grid: Preview
    front_mm: npt.NDArray[np.float64]  # towards the face, [k, j, i]
    up_mm: npt.NDArray[np.float64]  # towards the crown

    def area_mm2(self, mask: Mask) -> npt.NDArray[np.float64]:
        """Return the area of ``mask`` in every slice."""
        pixel_mm2 = self.grid.spacing_mm[1] * self.grid.spacing_mm[2]
        return np.asarray(mask.sum(axis=(1, 2)) * pixel_mm2)


def propose_skull(volume: Volume, *, progress: Progress = silent) -> LabelMap:
    """Propose the skull and the mandible, from a head CT.

    The teeth stay with their jaw. What is seen of the cervical spine gets a label of its own.

    Args:
        volume: CT of the head in HU.
        progress: told how far the work is.

    Raises:
        NotThisModality: if the image is not a CT.
        NoSkull: if no slice shows a closed skull.
    """
    require_ct(volume)
    bone, _ = find_bone(volume, share(progress, 0, 2))
    hu, spacing = across(volume.array, volume.geometry)
    turned = across(bone, volume.geometry)[0].astype(np.bool_)
    share(progress, 1, 2)(0.2, "Looking for the skull")
    head = _head(volume, hu, turned, spacing)
    findings: tuple[Finding, ...] = ()
    markers = _marks(head)
    share(progress, 1, 2)(0.4, "Dividing the bones at their joints")
    divided = _divide(head, markers)
    if not _is_jaw(head, divided):
        findings = (_NO_JAW,)
        divided = np.where(divided == MANDIBLE, SKULL, divided)
    owner = _nearest(_in_one_piece(divided), head.grid)
    array = np.where(turned, head.grid.to_image(owner, turned.shape), 0).astype(np.uint8)
    array = _in_one_piece(array)
    found = {v: label for v, label in LABELS.items() if (array == v).any()}
    result = LabelMap(back(array, volume.geometry), volume.geometry, found)
    return with_volume(result, result.array, findings)


def _head(volume: Volume, hu: Array, bone: Mask, spacing: tuple[float, float, float]) -> _Head:
    grid = preview(hu, spacing, GRID_MM)
    dense = preview(bone.astype(np.float32), spacing, GRID_MM).hu > 0.5
    axis = 2 - int(np.abs(volume.geometry.axes[2]).argmax())
    order = [axis, *(a for a in range(3) if a != axis)]
    front, up = np.zeros((1, 1, 1)), np.zeros((1, 1, 1))
    for n, a in enumerate(order):
        shape = [1, 1, 1]
        shape[n] = -1
        way = volume.geometry.axes[:, 2 - a]
        along = (np.arange(grid.hu.shape[n]) * grid.spacing_mm[n]).reshape(shape)
        front, up = front - way[1] * along, up + way[2] * along
    return _Head(dense, grid, front, up)


def _cavity(head: _Head) -> Mask:
    """Return the inside of the skull in the slices that close it.

    Raises:
        NoSkull: if there are too few of them.
    """
    cavity = np.zeros_like(head.bone)
    pixel_mm2 = head.grid.spacing_mm[1] * head.grid.spacing_mm[2]
    for k, plane in enumerate(head.bone):
        holes, count = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
        if count:
            sizes = np.bincount(holes.ravel())
            sizes[0] = 0
            hole = holes == sizes.argmax()
            level = float(np.median(head.grid.hu[k][hole]))
            if hole.sum() * pixel_mm2 > CAVITY_MM2 and CAVITY_HU[0] < level < CAVITY_HU[1]:
                cavity[k] = hole
    if cavity.any(axis=(1, 2)).sum() * head.grid.spacing_mm[0] < CAVITY_MM:
        raise NoSkull("no closed skull is in this scan; use the method 'bone' for other bones")
    return cavity


def _marks(head: _Head) -> npt.NDArray[np.int32]:
    """Return marks inside skull, mandible and neck, as far as they are in the scan."""
    cavity = _cavity(head)
    markers = np.zeros(head.bone.shape, np.int32)
    up = np.broadcast_to(head.up_mm, head.bone.shape)
    front = np.broadcast_to(head.front_mm, head.bone.shape)
    middle = float(front[cavity].mean())
    # The jaw joint lies beside the lower half of the cavity.
    markers[head.bone & (up > float(np.median(up[cavity])))] = SKULL
    floor = float(up[cavity].min())
    face = (front > middle + CHIN_FRONT_MM + 5) & (up > floor + FACE_MM)
    markers[head.bone & face] = SKULL
    low = head.bone & (up < floor)
    chin = _mark(head, low, low & (front > middle + CHIN_FRONT_MM), CHIN_MM2)
    markers[chin] = MANDIBLE
    behind = low & (np.abs(front - middle) < CHIN_FRONT_MM) & ~chin
    markers[_mark(head, low & ~chin, behind, NECK_MM2)] = NECK
    return markers


def _mark(head: _Head, low: Mask, place: Mask, least_mm2: float) -> Mask:
    """Return the largest bone of the lowest slices that show enough bone in a place."""
    shown = place & (head.area_mm2(place) > least_mm2)[:, None, None]
    if not shown.any():
        return shown
    up = np.broadcast_to(head.up_mm, low.shape)
    bottom = float(up[shown].min())
    pieces, count = ndimage.label(low & (up >= bottom) & (up < bottom + MARK_MM))
    sizes = np.bincount(pieces[place], minlength=count + 1)
    sizes[0] = 0
    return np.asarray((pieces == sizes.argmax()) & (sizes.max() > 0))


def _divide(head: _Head, markers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return each bone cell's mark, cutting where the least bone has to be cut; 0 unconnected."""
    divided = np.where(head.bone, SKULL, 0).astype(np.int32)
    density = np.clip(head.grid.hu, 50, SATURATED_HU)
    for value in (MANDIBLE, NECK):
        if (markers == value).any():
            own = markers == value
            others = (markers > 0) & ~own
            part = head.bone & (divided == SKULL)
            divided[cut_off(part, own, others, density, head.grid.spacing_mm)] = value
    return divided


def _is_jaw(head: _Head, divided: npt.NDArray[np.int32]) -> bool:
    """Tell whether what the mark at the chin won is a mandible: its size and how it touches."""
    jaw, skull = divided == MANDIBLE, divided == SKULL
    size_ml = jaw.sum() * head.grid.cell_ml
    touch_mm2 = 0.0
    for axis in range(3):
        one, other = np.moveaxis(jaw, axis, 0), np.moveaxis(skull, axis, 0)
        faces = (one[1:] & other[:-1]).sum() + (other[1:] & one[:-1]).sum()
        touch_mm2 += faces * head.grid.cell_ml * 1000 / head.grid.spacing_mm[axis]
    return bool(JAW_ML[0] < size_ml < JAW_ML[1] and touch_mm2 < TOUCH_MM2)


def _in_one_piece(divided: Array) -> Array:
    """Return skull and mandible as one piece each; hyoid, ossicles and loose calcium are others."""
    result = divided.copy()
    for value in (SKULL, MANDIBLE):
        pieces, count = ndimage.label(divided == value, np.ones((3, 3, 3)))
        if count > 1:
            largest = np.bincount(pieces.ravel())[1:].argmax() + 1
            result[(pieces > 0) & (pieces != largest)] = OTHER
    return result


def _nearest(divided: npt.NDArray[np.int32], grid: Preview) -> npt.NDArray[np.int32]:
    """Return the label of the nearest labelled cell, everywhere."""
    _, index = ndimage.distance_transform_edt(divided == 0, grid.spacing_mm, return_indices=True)
    return np.asarray(divided[tuple(index)])


_NO_JAW = Finding(
    Severity.WARNING,
    "no_mandible",
    "the mandible could not be told apart from the skull, or is not in the scan",
    remedy="separate them with the scissors",
)
