"""Draws the 3D scene beside the window, so that no picture ever stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage

from segmentation.contract import Progress
from workstation.camera import Camera, Size
from workstation.jobs import Job, State
from workstation.picture import Scene, SceneItem, Split

# Elsewhere the windows that VTK draws in belong to the thread that runs the program.
THREADED = sys.platform == "linux"
ENDED = (State.SUCCESS, State.ERROR, State.CANCELLED)


@dataclass(frozen=True)
class Wish:
    """What a picture shows, from where, and in how many device pixels.

    ``epoch`` comes back with the picture: one of an earlier epoch must not be shown any more.
    """

    items: Mapping[str, SceneItem]
    split: Split | None
    camera: Camera
    size: Size
    draft: bool
    epoch: int


@dataclass(frozen=True)
class Drawn:
    """A picture with the eye that saw it, or why there is none; and how long it took."""

    camera: Camera
    image: QImage | None
    problem: str | None
    spent_ms: float
    epoch: int


class ScenePainter(QObject):
    """The one who touches a `Scene`: on a thread of its own where the system lets VTK do so.

    ``probe`` says why 3D cannot be drawn here, or returns None. ``drawn`` brings the ended
    job of each picture.
    """

    drawn = Signal(object)
    _ended = Signal(object)

    def __init__(
        self,
        scene: Scene,
        probe: Callable[[], str | None],
        threaded: bool = THREADED,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._scene, self._probe = scene, probe
        self._pool = ThreadPoolExecutor(1, "3D") if threaded else None
        self._ended.connect(self._take, Qt.ConnectionType.QueuedConnection)
        self.busy = self._closed = False

    def draw(self, wish: Wish) -> Job[Drawn] | None:
        """Draw a picture; return it if it is there at once, None if ``drawn`` will bring it."""
        scene, probe = self._scene, self._probe
        job = Job("Draw", lambda progress: _draw(scene, probe, wish, progress))
        if self._pool is None:
            return job.run()
        if self._closed:
            return None
        self.busy = True
        job.watch = self._watch
        self._pool.submit(job.run)
        return None

    def close(self) -> None:
        """Wait for the picture that is being drawn, and draw no other.

        What was drawn with is given back on the thread that drew with it.
        """
        if self._pool is not None and not self._closed:
            self._closed = True
            self._pool.submit(self._scene.close)
            self._pool.shutdown()

    def _watch(self, job: Job[Any]) -> None:
        if job.state in ENDED:
            self._ended.emit(job)

    def _take(self, job: Job[Drawn]) -> None:
        self.busy = False
        self.drawn.emit(job)


def _draw(scene: Scene, probe: Callable[[], str | None], wish: Wish, progress: Progress) -> Drawn:
    problem = probe()
    if problem:
        return Drawn(wish.camera, None, problem, 0.0, wish.epoch)
    begin = perf_counter()
    scene.set_values(wish.items)
    scene.set_split(wish.split)
    progress(0.5)
    width, height = wish.size
    pixels = scene.render(width, height, draft=wish.draft, camera=wish.camera)
    view = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    spent_ms = 1000 * (perf_counter() - begin)
    return Drawn(wish.camera, view.copy(), None, spent_ms, wish.epoch)
