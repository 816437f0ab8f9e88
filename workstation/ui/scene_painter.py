"""Draws the 3D scene beside the window, so that no picture ever stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from traceback import clear_frames

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from segmentation.contract import Progress
from workstation.camera import Camera, Size
from workstation.jobs import Job
from workstation.picture import Scene, SceneItem, Split
from workstation.sections import Clip
from workstation.ui.guard import guarded

# Elsewhere the windows that VTK draws in belong to the thread that runs the program.
THREADED = sys.platform == "linux"
LOOK_MS = 4  # how often the window looks whether its picture is there


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
    clip: Clip = ()


@dataclass(frozen=True)
class Drawn:
    """A picture with the eye that saw it, or why there is none; and how long it took."""

    camera: Camera
    image: QImage | None
    problem: str | None
    spent_ms: float
    epoch: int


class Studio:
    """Where a `Scene` is drawn and given back: always on the same thread. It knows no widget."""

    def __init__(self, scene: Scene, probe: Callable[[], str | None], threaded: bool) -> None:
        self._scene, self._probe = scene, probe
        self._pool = ThreadPoolExecutor(1, "3D") if threaded else None
        self.closed = False

    def draw(self, wish: Wish) -> Future[Job[Drawn]]:
        """Draw a picture; without a thread of its own, at once."""
        job = Job("Draw", lambda progress: _draw(self._scene, self._probe, wish, progress))
        if self._pool is not None:
            return self._pool.submit(_run, job)
        done: Future[Job[Drawn]] = Future()
        done.set_result(job.run())
        return done

    def close(self) -> None:
        """Wait for the picture that is being drawn, and give back what it was drawn with."""
        if self.closed:
            return
        self.closed = True
        if self._pool is None:
            self._scene.close()
        else:
            self._pool.submit(self._scene.close)
            self._pool.shutdown()


class ScenePainter(QObject):
    """The one who touches a `Scene`: on a thread of its own where the system lets VTK do so.

    ``probe`` says why 3D cannot be drawn here, or returns None. ``drawn`` brings the ended
    job of each picture. The thread never touches a Qt object: the window looks for its picture,
    so that a view may go at any moment.
    """

    drawn = Signal(object)

    def __init__(
        self,
        scene: Scene,
        probe: Callable[[], str | None],
        threaded: bool = THREADED,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._studio = studio = Studio(scene, probe, threaded)
        self._asked: Future[Job[Drawn]] | None = None
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self._look)
        self.destroyed.connect(lambda: studio.close())

    @property
    def busy(self) -> bool:
        """Whether a picture is being drawn."""
        return self._asked is not None

    def draw(self, wish: Wish) -> Job[Drawn] | None:
        """Draw a picture; return it if it is there at once, None if ``drawn`` will bring it."""
        if self._studio.closed:
            return None
        asked = self._studio.draw(wish)
        if asked.done():
            return asked.result()
        self._asked = asked
        self._timer.start()
        return None

    def close(self) -> None:
        """Wait for the picture that is being drawn, and draw no other."""
        self._timer.stop()
        self._studio.close()
        self._asked = None

    @guarded
    def _look(self) -> None:
        if self._asked is not None and self._asked.done():
            job, self._asked = self._asked.result(), None
            self._timer.stop()
            self.drawn.emit(job)


def _run(job: Job[Drawn]) -> Job[Drawn]:
    """Run ``job``; what it drew with is let go of here, also if an error remembers it."""
    job.run()
    if job.error is not None:
        clear_frames(job.error.__traceback__)
    return job


def _draw(scene: Scene, probe: Callable[[], str | None], wish: Wish, progress: Progress) -> Drawn:
    problem = probe()
    if problem:
        return Drawn(wish.camera, None, problem, 0.0, wish.epoch)
    begin = perf_counter()
    scene.set_values(wish.items)
    scene.set_split(wish.split)
    scene.set_clip(wish.clip)
    progress(0.5)
    width, height = wish.size
    pixels = scene.render(width, height, draft=wish.draft, camera=wish.camera)
    view = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    spent_ms = 1000 * (perf_counter() - begin)
    return Drawn(wish.camera, view.copy(), None, spent_ms, wish.epoch)
