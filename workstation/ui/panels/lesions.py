"""The separate lesions of a label, one by one: look at each, keep it or remove it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget
from scipy import ndimage

from segmentation.contract import Progress
from segmentation.volume import LabelMap, LabelPatch, Vector, bounding_block
from workstation.jobs import Job
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import RecordList, bold, button, label
from workstation.ui.words import value_text

TUMOR = "tumor"
MOST = 30  # rows; a label of more pieces than this is noise, not a list of lesions


@dataclass(frozen=True)
class Lesion:
    """One connected piece of a label: volume, an LPS mm point in it, and its removal."""

    volume_ml: float
    place_mm: Vector
    removal: LabelPatch


def lesions_of(labels: LabelMap) -> list[Lesion]:
    """Return the pieces of ``labels``, connected by faces, largest first."""
    block = bounding_block(labels.array)
    if block is None:
        return []
    array = labels.array[block]
    pieces, count = ndimage.label(array)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(pieces)
    order = sorted(range(1, count + 1), key=lambda n: -int(sizes[n]))
    voxel_ml = float(np.prod(labels.geometry.spacing_mm)) / 1000
    found = []
    for n in order[:MOST]:
        box = boxes[n - 1]
        mask = pieces[box] == n
        corner = np.array([part.start + inner.start for part, inner in zip(block, box)])
        k, j, i = corner + _inner_voxel(mask)
        x, y, z = (float(v) for v in labels.geometry.to_world((i, j, k)))
        before = array[box]
        removal = LabelPatch(
            (int(corner[0]), int(corner[1]), int(corner[2])), before, np.where(mask, 0, before)
        )
        found.append(Lesion(float(sizes[n]) * voxel_ml, (x, y, z), removal))
    return found


def _inner_voxel(mask: Any) -> Any:
    """Return the voxel (k, j, i) of a piece that is nearest to its middle."""
    voxels = np.argwhere(mask)
    return voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]


class LesionList(QWidget):
    """Rows of lesions with "Keep" and "Remove"; a click on a row moves the views there."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._labels: LabelMap | None = None
        self._lesions: list[Lesion] = []
        self.kept: set[Vector] = set()
        self.rows = RecordList(self._row)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        column.addWidget(bold("Lesions, one by one"))
        column.addWidget(
            label("Suggestions: look at each, then keep it or remove what is no lesion.", "muted")
        )
        column.addWidget(self.rows)
        self.hide()
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    def _forget(self) -> None:
        self._labels, self._lesions, self.kept = None, [], set()

    def _row(self, record: tuple[Lesion, bool]) -> QWidget:
        lesion, kept = record
        frame = QFrame()
        frame.setProperty("role", "card")
        row = QHBoxLayout(frame)
        row.setContentsMargins(4, 2, 4, 2)
        row.setSpacing(4)
        mark = "✓ " if kept else ""
        place = button(
            f"{mark}{value_text(lesion.volume_ml, 'mL')} mL",
            "Show this lesion in the views",
            partial(self._desk.go_to, lesion.place_mm),
        )
        place.setProperty("flat", "true")
        place.setStyleSheet("text-align: left;")
        row.addWidget(place, 1)
        actions: tuple[tuple[str, str, Callable[[Lesion], None]], ...] = (
            ("Keep", "Mark it as looked at: it is a lesion", self.keep),
            ("Remove", "It is no lesion; this can be undone", self.remove),
        )
        for name, tip, act in actions:
            made = button(name, tip, partial(act, lesion))
            row.addWidget(made, 0, Qt.AlignmentFlag.AlignRight)
        return frame

    def keep(self, lesion: Lesion) -> None:
        """Mark a lesion as looked at."""
        self.kept.add(lesion.place_mm)
        self._desk.go_to(lesion.place_mm)

    def remove(self, lesion: Lesion) -> None:
        """Take one lesion out of the label, as an edit that can be undone."""
        desk, labels = self._desk, self._labels
        if labels is None or desk.labels().get(TUMOR) is not labels:
            return  # the rows are of an earlier label; the new ones are on their way
        desk.edit(TUMOR, lesion.removal, "Remove lesion")

    def refresh(self) -> None:
        """List the lesions anew, beside the window, when their label is another one."""
        labels = self._desk.labels().get(TUMOR)
        if labels is not self._labels:
            self._labels = labels
            self._lesions = []
            if labels is not None:
                self._list(labels)
        self.setVisible(bool(self._lesions))
        self.rows.show_records([(found, found.place_mm in self.kept) for found in self._lesions])

    def _list(self, labels: LabelMap) -> None:
        def work(progress: Progress) -> list[Lesion]:
            return lesions_of(labels)

        def take(job: Job[list[Lesion]]) -> None:
            if job.result is not None and self._labels is labels:
                self._lesions = job.result
                self.refresh()

        self._desk.jobs.start(Job("List lesions", work), take, light=True)
