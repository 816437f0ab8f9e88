"""What a hand does to a label in the views: painted at once, one entry of undo when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.brush import Begin, scissors
from segmentation.contract import Progress
from segmentation.islands import choose_islands
from segmentation.paint import PaintMask, difference, masked, stroke
from segmentation.volume import Array, LabelMap, LabelPatch, Vector, Volume
from workstation.ui.desk import Desk

Show = Callable[[str, LabelMap], None]


class Brushwork:
    """Paints on a working copy of the target label, and hands what changed to the desk.

    The copy is made once and painted in place: while its content is that of the present plan
    (its key tells) the next stroke goes on with it.
    """

    def __init__(self, desk: Desk, show: Show) -> None:
        self._desk = desk
        self._show = show
        self._array: Array = np.zeros((0, 0, 0), np.uint8)
        self._key = ""
        self._target = ""
        self._shown: LabelMap | None = None
        self._mask = PaintMask()
        self._done: list[LabelPatch] = []
        self._last: Vector | None = None
        desk.left.connect(self._forget)

    def _forget(self) -> None:
        self._array, self._key, self._shown = np.zeros((0, 0, 0), np.uint8), "", None
        self._done, self._last = [], None

    def paint(self, point_mm: Vector, normal: Vector) -> None:
        """Go on with the stroke to an LPS mm point of the slice with that normal, or begin one."""
        if self._last is None and not self._desk.attempt(self._begin):
            return
        hand, shown = self._desk.hand, self._shown
        if shown is None:
            return
        points = [point_mm] if self._last is None else [self._last, point_mm]
        self._last = point_mm
        patch = stroke(
            shown,
            np.array(points),
            radius_mm=hand.radius_mm,
            value=hand.value_in(shown),
            erase=hand.tool == "erase",
            normal=None if hand.ball else normal,
            edges_of=self._desk.image() if hand.adaptive else None,
            mask=self._mask,
        )
        if patch is not None:
            patch.write_to(self._array)
            self._done.append(patch)
            self._shown = replace(shown, array=self._array, numbers=())
            self._show(self._target, self._shown)

    def _begin(self) -> None:
        """Make the working copy that of the present plan."""
        desk = self._desk
        labels = desk.labels().get(desk.hand.target)
        self._done, self._shown = [], None
        if labels is None or self._is_elsewhere(labels):
            return
        self._mask = desk.hand.mask(labels, desk.image(), desk.value)
        self._target, key = desk.hand.target, desk.key_of(desk.hand.target)
        if not key or key != self._key or not desk.is_current(self._target):
            self._array = np.array(labels.array)
        self._key = key
        self._shown = replace(labels, array=self._array, numbers=())

    def _is_elsewhere(self, labels: LabelMap) -> bool:
        """Tell whether a label lies in another frame of reference than the image that is shown."""
        image = self._desk.image()
        return image is not None and image.geometry.frame_uid != labels.geometry.frame_uid

    def finish(self) -> None:
        """Make the stroke one edit of the plan."""
        patch, shown = joined(self._array, self._done), self._shown
        self._last, self._done = None, []
        if patch is None or shown is None:
            return
        name = "Erase" if self._desk.hand.tool == "erase" else "Brush stroke"
        self._desk.edit(self._target, patch, name, shown)
        self._key = self._desk.key_of(self._target)

    def drop(self) -> None:
        """Take the stroke back that is being made."""
        for patch in reversed(self._done):
            patch.inverse().write_to(self._array)
        self._last, self._done = None, []
        self._desk.session.notify()

    def cut(
        self,
        corners_mm: npt.ArrayLike,
        direction: Vector,
        eye_mm: Vector | None,
        slice_mm: float | None = None,
    ) -> None:
        """Cut the label with an outline, LPS mm, seen along ``direction`` (from the eye).

        ``slice_mm`` is the thickness of the slice it was drawn in, None in 3D: there a depth
        is measured from the surface that the outline meets, in a slice to both sides of it.
        """
        corners, hand = np.asarray(corners_mm, float).reshape(-1, 3), self._desk.hand
        if len(corners) < 3:
            return
        side, depth_mm = hand.cut, np.inf if hand.depth == "all" else hand.depth_mm
        if hand.depth == "slice":
            if slice_mm is None:
                self._desk.attempt(_refuse_slice)
                return
            depth_mm = slice_mm / 2
        begin: Begin = "surface" if slice_mm is None else "outline"

        def work(labels: LabelMap) -> LabelPatch | None:
            limits: Any = {"depth_mm": depth_mm, "begin": begin}
            return scissors(labels, corners, direction, cut=side, eye_mm=eye_mm, **limits)

        self._change("Scissors", work)

    def choose(self, point_mm: Vector) -> None:
        """Keep or remove the piece at an LPS mm point."""
        operation = self._desk.hand.pieces

        def work(labels: LabelMap) -> LabelPatch | None:
            chosen = choose_islands(labels, points_mm=(point_mm,), operation=operation)
            return difference(labels, chosen)

        self._change("Keep this piece" if operation == "keep" else "Remove this piece", work)

    def _change(self, name: str, work: Callable[[LabelMap], LabelPatch | None]) -> None:
        """Do ``work`` on the target beside the window; add what the mask lets through."""
        desk, target = self._desk, self._desk.hand.target
        labels = desk.labels().get(target)
        if labels is None or self._is_elsewhere(labels):
            return
        key = desk.key_of(target)
        image: Volume | None = desk.image()

        def masked_work(progress: Progress) -> LabelPatch | None:
            return masked(work(labels), desk.hand.mask(labels, image, desk.value))

        def take(patch: LabelPatch | None) -> None:
            if patch is not None and desk.key_of(target) == key:
                desk.edit(target, patch, name)

        desk.run(name, masked_work, take)


def _refuse_slice() -> None:
    raise ValueError(
        "an outline in 3D lies in no slice: cut to a depth or through the whole depth, or draw "
        "in a slice"
    )


def joined(array: Array, patches: Sequence[LabelPatch]) -> LabelPatch | None:
    """Return the one patch that does what ``patches`` did to ``array``, or None for nothing."""
    if not patches:
        return None
    low = np.min([patch.corner for patch in patches], axis=0)
    high = np.max([[s.stop for s in patch.block] for patch in patches], axis=0)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high))
    after = array[k, j, i].copy()
    before = after.copy()
    for patch in reversed(patches):
        corner = np.subtract(patch.corner, low)
        a, b, c = (int(n) for n in corner)
        LabelPatch((a, b, c), patch.after, patch.before).write_to(before)
    if np.array_equal(before, after):
        return None
    return LabelPatch((k.start, j.start, i.start), before, after)
