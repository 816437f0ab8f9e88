"""Small pictures of volumes, made one after the other beside the window, last asked first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap

from segmentation.contract import Progress
from segmentation.volume import Array
from workstation.dicom.files import ScannedVolume
from workstation.jobs import Job
from workstation.ui.job_bar import JobRunner
from workstation.ui.theme import DARK

SIDE_PX = 96
Make = Callable[[ScannedVolume], Array]


class Thumbnails(QObject):
    """Pictures by volume key; ``arrived`` tells the key of each new one.

    A volume whose picture cannot be made keeps an empty one: its findings say why.
    """

    arrived = Signal(str)

    def __init__(self, jobs: JobRunner, make: Make, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._make = jobs, make
        self._made: dict[str, QPixmap] = {}
        self._wanted: dict[str, ScannedVolume] = {}
        self._job: Job[Any] | None = None
        self._making = ""

    def picture(self, volume: ScannedVolume) -> QPixmap:
        """Return the picture of ``volume``, square; an empty one until it is made."""
        if volume.key in self._made:
            return self._made[volume.key]
        if volume.key != self._making:
            self._wanted.pop(volume.key, None)
            self._wanted[volume.key] = volume
            self._next()
        return square(None)

    def forget(self) -> None:
        """Stop making pictures and let go of all of them."""
        self._made, self._wanted = {}, {}
        if self._job is not None:
            self._job.cancel()
            self._job, self._making = None, ""

    def _next(self) -> None:
        if self._job is not None or not self._wanted:
            return
        key, volume = self._wanted.popitem()
        self._making = key

        def work(progress: Progress) -> Array:
            return self._make(volume)

        self._job = Job("Picture of a volume", work)
        self._jobs.start(self._job, lambda job: self._take(job, key), light=True)

    def _take(self, job: Job[Any], key: str) -> None:
        if job is not self._job:  # of a scan that was left
            return
        self._job, self._making = None, ""
        self._made[key] = square(job.result)
        self.arrived.emit(key)
        self._next()


def square(array: Array | None) -> QPixmap:
    """Return grey values (uint8, rows x columns) in the middle of a dark square, or it alone."""
    made = QPixmap(SIDE_PX, SIDE_PX)
    made.fill(QColor(DARK.view))
    if array is None or not array.size:
        return made
    grey = np.ascontiguousarray(array, np.uint8)
    rows, columns = grey.shape
    image = QImage(grey.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
    image = image.scaled(
        SIDE_PX,
        SIDE_PX,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    painter = QPainter(made)
    painter.drawImage((SIDE_PX - image.width()) // 2, (SIDE_PX - image.height()) // 2, image)
    painter.end()
    return made
