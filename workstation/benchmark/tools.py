"""What the segmentation tools take on an organ of 1.5 L, and a stroke on a long history."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segmentation.graph_cut import graph_cut
from segmentation.level_set import level_set
from segmentation.operations import margin
from segmentation.preview import reduced
from segmentation.random_walk import random_walk
from segmentation.seeded import grow_from_seeds
from segmentation.shaping import smooth_together
from segmentation.volume import EditLog, LabelMap, LabelPatch, Volume
from segmentation.watershed import watershed
from workstation.benchmark.rows import Row, median_ms
from workstation.store import ResultStore

REACH_MM = 110.0
NOISE_HU = 15.0
STROKES = 500
MARKS = (
    (10, 110, 64),
    (246, 110, 64),
    (128, 8, 64),
    (128, 212, 64),
    (128, 110, 4),
    (128, 110, 124),
)


def tools(organ: LabelMap) -> list[Row]:
    """Measure each tool on a noisy image of ``organ``, marked inside once and outside six times."""
    rng = np.random.default_rng(1)
    grid = organ.geometry
    noise = rng.normal(0, NOISE_HU, organ.array.shape)
    volume = Volume((40 + 60 * organ.array + noise).astype(np.int16), grid)
    points = [(float(x), float(y), float(z)) for x, y, z in grid.to_world([(128, 110, 64), *MARKS])]
    inside, outside = (points[0],), tuple(points[1:])
    smaller = margin(organ, distance_mm=-3.0)

    def preview() -> LabelMap:
        small = reduced(volume, inside, REACH_MM)
        return grow_from_seeds(
            small, foreground_mm=inside, background_mm=outside, radius_mm=8.0, reach_mm=REACH_MM
        )

    def marked(tool: Callable[..., LabelMap]) -> Callable[[], object]:
        return lambda: tool(volume, foreground_mm=inside, background_mm=outside, reach_mm=REACH_MM)

    works: list[tuple[str, Callable[[], object], float | None]] = [
        ("grow from seeds, first preview", preview, 1000.0),
        ("grow from seeds", marked(grow_from_seeds), 3000.0),
        ("graph cut", marked(graph_cut), None),
        ("random walk", marked(random_walk), None),
        ("watershed", marked(watershed), None),
        ("level set", lambda: level_set(smaller, volume), None),
        ("smooth together", lambda: smooth_together(organ), None),
    ]
    rows = [Row(n, f"{n}, 1.5 L organ", median_ms(w, 1), target) for n, w, target in works]
    return [*rows, *history(organ)]


def history(organ: LabelMap) -> list[Row]:
    """Measure keeping one more stroke on disk after hundreds, and replaying them all."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        store = ResultStore(Path(folder))
        log = EditLog(organ.geometry)

        def keep() -> None:
            nonlocal log
            k, j, i = (int(rng.integers(0, n - 51)) for n in organ.array.shape)
            before = organ.array[k : k + 51, j : j + 51, i : i + 51]
            log = log.then(LabelPatch((k, j, i), before, 1 - before))
            store[log.digest] = log
            log = store[log.digest]

        for _ in range(STROKES):
            keep()
        more = median_ms(keep)
        array = organ.array.copy()

        def replay() -> None:
            for patch in log.all_patches():
                patch.write_to(array)

        again = median_ms(replay, 1)
    what = f"{STROKES} strokes of 51 voxels"
    return [
        Row("one more stroke", f"keep one more stroke after {STROKES}", more),
        Row("replay strokes", f"replay {what}", again),
    ]
