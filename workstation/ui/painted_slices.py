"""Painting in the four views: what a hand draws in one goes to the brush and shows in all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QTimer

from segmentation.volume import LabelMap, Vector
from workstation.actors import look_of
from workstation.raster import Overlay
from workstation.slices import vector
from workstation.ui.brushwork import Brushwork
from workstation.ui.desk import Desk
from workstation.ui.scene_view import SceneView
from workstation.ui.slice_view import SliceView

OTHERS_MS = 60  # how long the other slices may lag behind a stroke


class PaintedSlices:
    """Takes the strokes, scissors and clicks on pieces that are made in slices and in 3D.

    ``overlays`` returns what the slices show while nothing is painted.
    """

    def __init__(
        self,
        desk: Desk,
        slices: Mapping[str, SliceView],
        scene: SceneView,
        overlays: Callable[[], list[Overlay]],
    ) -> None:
        self._desk, self._slices, self._scene, self._overlays = desk, slices, scene, overlays
        self._brushwork = Brushwork(desk, self._show)
        self._painted: list[Overlay] = []
        self._under_hand: SliceView | None = None
        self._others = QTimer(scene, singleShot=True, interval=OTHERS_MS)
        self._others.timeout.connect(self._show_elsewhere)
        for view in slices.values():
            view.set_trail(False)
            view.stroke_moved.connect(lambda point, v=view: self._paint(v, point))
            view.stroke_finished.connect(lambda _: self._brushwork.finish())
            view.stroke_dropped.connect(self._brushwork.drop)
            view.outline_finished.connect(lambda corners, v=view: self._cut(v, corners))
            view.piece_chosen.connect(self._brushwork.choose)
        scene.outlined.connect(self._cut_in_scene)

    def settle(self) -> None:
        """Leave the slices to what the session holds."""
        self._others.stop()

    def _paint(self, view: SliceView, point_mm: Vector) -> None:
        if view.placement is not None:
            self._under_hand = view
            self._brushwork.paint(point_mm, view.placement.plane.normal)

    def _show(self, name: str, labels: LabelMap) -> None:
        """Show a label as it is being painted: at once under the hand, soon in the other slices."""
        shown = self._overlays()
        if all(overlay.name != name for overlay in shown):
            strength = self._desk.session.view.opacity
            shown.append(Overlay(name, labels, colour_of(name, labels), opacity=strength))
        self._painted = [replace(o, labels=labels) if o.name == name else o for o in shown]
        if self._under_hand is not None:
            self._under_hand.set_overlays(self._painted)
        if not self._others.isActive():
            self._others.start()

    def _show_elsewhere(self) -> None:
        for view in self._slices.values():
            view.set_overlays(self._painted)

    def _cut(self, view: SliceView, corners_mm: Any) -> None:
        if view.placement is not None:
            plane = view.placement.plane
            self._brushwork.cut(corners_mm, plane.normal, None, plane.thickness_mm)

    def _cut_in_scene(self, corners_px: list[tuple[float, float]]) -> None:
        camera, size = self._scene.camera, (self._scene.width(), self._scene.height())
        corners = [camera.at_depth_of(camera.focal_mm, x, y, size) for x, y in corners_px]
        along = vector(np.subtract(camera.focal_mm, camera.eye_mm))
        self._brushwork.cut(corners, along, camera.eye_mm)


def colour_of(name: str, labels: LabelMap) -> tuple[int, int, int] | None:
    """Return the colour of anatomy for a single label; several labels keep their own."""
    look = look_of(name)
    return look.colour if look is not None and len(labels.labels) < 2 else None
