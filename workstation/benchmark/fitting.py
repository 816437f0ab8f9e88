"""What moving a part by hand takes: all that is told of it for each place of the hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from meshing.clipping import split_by_plane
from workstation.benchmark.rows import Row, median_ms
from workstation.phantom import bones
from workstation.planning.bone_moves import six_numbers
from workstation.planning.live_fit import LiveOsteotomy, LivePart
from workstation.planning.osteotomy import bone_cut

STEP_MM = 1.2
"""Of the bone's grid: about 60,000 triangles on either side of the fracture."""

TARGET_MS = 1000 / 15
BREAK_MM, ACROSS = (10.0, 3.0, 200.0), (0.3, 0.1, 1.0)


def moves(peers: bool) -> list[Row]:
    """Measure map and numbers of a fragment, and of the piece and the plane of an osteotomy."""
    bone = bones.femur("left", step_mm=STEP_MM).mesh
    stays, rest = split_by_plane(bone, BREAK_MM, ACROSS)
    live = LivePart(rest, stays)
    told = LiveOsteotomy(bone, bone_cut(bone, point_mm=BREAK_MM, normal=ACROSS))
    piece = LivePart(told.piece, told.rest, told)
    middle, rng = rest.points_mm.mean(axis=0), np.random.default_rng(1)

    def held(part: LivePart) -> None:
        x, y, z, a, b, c = rng.normal(0, 3, 6)
        part.at(six_numbers(middle, (x, y, z), (a, b, c)))

    def tilted() -> None:
        x, y = rng.normal(0, 0.1, 2)
        bone_cut(bone, point_mm=BREAK_MM, normal=(float(x), float(y), 1.0))

    beside = f"{len(rest.triangles):,} triangles beside {len(stays.triangles):,}"
    rows: tuple[tuple[str, Callable[[], None]], ...] = (
        (f"map, contact and penetration of a fragment, {beside}", partial(held, live)),
        ("map, wedge and contact of an osteotomy", partial(held, piece)),
        (f"plane of an osteotomy, {len(bone.triangles):,} triangles", tilted),
    )
    return [Row("fit", what, median_ms(work, 30), TARGET_MS) for what, work in rows]
