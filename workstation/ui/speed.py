"""Measures the slice views in the window's own process; `hilum benchmark views` starts it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from PySide6.QtWidgets import QApplication

from segmentation.paint import stroke
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.raster import Overlay
from workstation.ui.slice_view import SliceView

SIZE = (512, 512, 300)
SPACING_MM = (0.75, 0.75, 1.0)
VIEW_PX = (528, 452)
"""A view of the four-up in a window of 1600 x 1000."""
FRAMES = 120


def make_case() -> tuple[Volume, LabelMap]:
    """Return a CT-like volume and a liver-sized label on one grid."""
    grid = ImageGeometry(SIZE, SPACING_MM, (0, 0, 0), tuple(np.eye(3).ravel()), "1.2.3")
    rng = np.random.default_rng(1)
    slab = rng.normal(60, 20, (30, 512, 512)).astype(np.int16)
    volume = Volume(np.tile(slab, (10, 1, 1)), grid)
    k, j, i = np.ogrid[0:300, 0:512, 0:512]
    ball = ((k - 150) / 90) ** 2 + ((j - 250) / 110) ** 2 + ((i - 180) / 130) ** 2 < 1
    return volume, LabelMap(ball.astype(np.uint8), grid, {1: Label("liver")})


def p95_ms(work: Callable[[int], None], frames: int = FRAMES) -> float:
    """Return the 95th percentile of the wall time of ``work(n)`` in milliseconds."""
    times = []
    for number in range(frames):
        start = time.perf_counter()
        work(number)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.percentile(times[5:], 95))


def measure() -> list[dict[str, Any]]:
    """Return benchmark rows for scrolling and for the crosshair over three views."""
    volume, labels = make_case()
    views = [SliceView(name) for name in ("axial", "coronal", "sagittal")]
    for view in views:
        view.resize(*VIEW_PX)
        view.set_volume(volume)
        view.set_overlays([Overlay("liver", labels)])
        view.show()
    QApplication.processEvents()

    def scroll(number: int) -> None:
        views[0].set_slice(60 + number)
        views[0].repaint()

    def crosshair(number: int) -> None:
        point = volume.geometry.to_world((150 + number, 200 + number, 80 + number))
        for view in views:
            view.set_crosshair((point[0], point[1], point[2]))
            view.repaint()

    rows = [
        {
            "name": "scroll",
            "what": "scroll, 512x512x300 with label, p95",
            "ms": p95_ms(scroll),
            "target_ms": 16.0,
        },
        {
            "name": "crosshair",
            "what": "crosshair over three views, p95",
            "ms": p95_ms(crosshair),
            "target_ms": 40.0,
        },
    ]
    rows += strokes(volume, labels, views[0])
    for view in views:
        view.close()
    return rows


def strokes(volume: Volume, labels: LabelMap, view: SliceView) -> list[dict[str, Any]]:
    """Return rows for strokes of 25 voxels radius: from the hand to the picture under it."""
    array = np.array(labels.array)
    shown = replace(labels, array=array)
    radius_mm = 25 * SPACING_MM[0]
    places = volume.geometry.to_world([(120 + 2 * n, 250, 150) for n in range(FRAMES)])
    view.set_crosshair(places[0].tolist())

    def paint(number: int, **how: Any) -> None:
        patch = stroke(shown, places[number], radius_mm=radius_mm, value=1 + number % 2, **how)
        if patch is not None:
            patch.write_to(array)
        overlay = Overlay("liver", replace(shown, array=array), opacity=0.35)
        view.set_overlays([overlay])
        view.repaint()

    kinds: dict[str, dict[str, Any]] = {
        "disc": {"normal": (0.0, 0.0, 1.0)},
        "ball": {},
        "adaptive ball": {"edges_of": volume},
    }
    return [
        {
            "name": f"brush {kind}",
            "what": f"{kind} of 25 voxels, 512x512x300, p95",
            "ms": p95_ms(partial(paint, **how)),
            "target_ms": 33.0,
        }
        for kind, how in kinds.items()
    ]


def main() -> int:
    """Print the rows as JSON."""
    application = QApplication(sys.argv[:1])
    rows = measure()
    application.quit()
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
