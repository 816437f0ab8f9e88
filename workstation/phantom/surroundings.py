"""What surrounds the upper abdominal organs: wall, chest, spine and bowel, in LPS mm."""

from __future__ import annotations

import numpy as np

from segmentation.volume import Vector
from workstation.phantom.habitus import Habitus, Layer
from workstation.phantom.rendering import cones
from workstation.phantom.shapes import (
    Path,
    Shape,
    column,
    ellipsoid,
    grown,
    half_space,
    intersection,
    outside,
    round_cone,
)


def wall(body: Habitus, cavity: Shape) -> tuple[Layer, ...]:
    """Return couch, skin, fat, muscle and the fat that fills ``cavity``."""
    fat = float(body.drawn(3, 1)[0])
    skin = column(body.at(0, 0, 0)[:2], body.at(161 + fat, 109 + fat, 0)[:2], square=True)
    muscle = column(body.at(0, 1, 0)[:2], body.at(151, 98, 0)[:2], square=True)
    couch = intersection(
        half_space(body.at(0, 118 + fat, 0), (0, 1, 0)),
        half_space(body.at(0, 112 + fat, 0), (0, -1, 0)),
    )
    return (
        Layer("", -850, couch),
        Layer("body", 10, skin),
        Layer("body", -105, grown(skin, -2)),
        Layer("muscle", 58, muscle),
        Layer("body", -100, cavity),
    )


def chest(body: Habitus, cavity: Shape, domes: Shape) -> tuple[Layer, ...]:
    """Return lung bases, diaphragm, heart and ribs; ``domes`` is all below the diaphragm."""
    thorax = grown(cavity, -0.8)
    above = half_space(body.at(0, 0, 4), (0, 0.35, -1))
    middle = column(body.at(6, -4, 0)[:2], (44, 70))
    heart = intersection(
        ellipsoid(body.at(24, -30, 108), (58, 44, 50)), outside(grown(domes, 3)), blend_mm=6
    )
    lung = intersection(
        thorax, above, outside(domes), outside(middle), outside(grown(heart, 3)), blend_mm=3
    )
    diaphragm = intersection(domes, outside(grown(domes, -2.6)), thorax, above)
    ribs = tuple(_rib(body, side, z) for side in (-1, 1) for z in range(-30, 176, 26))
    return (
        Layer("lung", -850, lung),
        Layer("muscle", 55, diaphragm),
        Layer("heart", 105, heart),
        Layer("heart", 145, grown(heart, -9)),
        Layer("bone", 480, cones(ribs)),
        Layer("bone", 230, cones(ribs, shrink_mm=1.8)),
    )


def _rib(body: Habitus, side: int, z_mm: float) -> Path:
    """A rib from the spine around the wall, sinking forward; the lowest ones end early."""
    end = 0.78 if z_mm > 30 else 0.55 if z_mm > -20 else 0.36
    t = np.linspace(0.0, end, 26)
    angle = np.deg2rad(72 - 165 * t)
    a, b = body.at(144.5, 90.5, 0)[:2]
    c, s = np.cos(angle), np.sin(angle)
    radius = (np.abs(c / a) ** 2.5 + np.abs(s / b) ** 2.5) ** -0.4
    y = radius * s - 2
    points = np.stack([side * radius * c, y, body.scale[2] * (z_mm - 70 * t)], axis=1)
    return Path(points, np.full(len(t), 4.6))


def spine(body: Habitus, cavity: Shape) -> tuple[Layer, ...]:
    """Return vertebrae, discs, the canal and the muscles along them."""
    centre, canal = body.at(0, 53, 0)[:2], body.at(0, 78, 0)[:2]
    disc, ring = column(centre, (23, 17)), column(canal, (14, 12))
    back = intersection(grown(cavity, 15), half_space(body.at(0, 68, 0), (0, -1, 0)))
    bones: list[Layer] = []
    for level in range(-136, 137, 34):
        z = float(body.at(0, 0, level)[2])
        low, high = (
            half_space((0, 0, z - 12.5), (0, 0, -1)),
            half_space((0, 0, z + 12.5), (0, 0, 1)),
        )
        vertebra = intersection(disc, low, high, blend_mm=2)
        arch = intersection(ring, low, high, blend_mm=2)
        spikes = (
            round_cone(body.at(0, 90, level), body.at(0, 100, level - 8), 4, 3.5),
            round_cone(body.at(-14, 74, level), body.at(-38, 82, level), 5, 3.5),
            round_cone(body.at(14, 74, level), body.at(38, 82, level), 5, 3.5),
        )
        bones += [
            Layer("bone", 420, arch),
            Layer("bone", 400, spikes),
            Layer("bone", 480, vertebra),
            Layer("bone", 210, grown(vertebra, -1.8)),
        ]
    return (
        *(
            Layer(
                "muscle",
                58,
                intersection(column(body.at(x, 84, 0)[:2], (27, 19), square=True), back),
            )
            for x in (-28, 28)
        ),
        *(
            Layer("muscle", 60, body.chain([(s * 27, 52, 0), (s * 42, 50, -140)], [5, 20]))
            for s in (-1, 1)
        ),
        *(
            Layer("muscle", 58, body.chain([(s * 11, 33, 55), (s * 13, 33, -40)], [5, 4]))
            for s in (-1, 1)
        ),
        Layer("disc", 85, disc),
        *bones,
        Layer("canal", 25, column(canal, (9.5, 8))),
    )


def bowel(body: Habitus) -> tuple[Layer, ...]:
    """Return bowel with gas, pancreas and the veins that feed portal vein and vena cava."""
    colon = body.chain(
        [
            *[(-100, 10, -140), (-97, -12, -93), (-62, -56, -100), (0, -62, -96)],
            *[(62, -58, -80), (104, -14, -44), (110, 12, -84), (110, 14, -140)],
        ],
        [19, 18, 16, 15, 16, 15, 15, 15],
        blend_mm=6,
    )
    duodenum = body.chain(
        [(-16, -38, -30), (-38, -22, -38), (-36, 0, -76), (-8, 2, -94)], [11, 12, 12, 11], 5
    )
    loops: list[list[Vector]] = [
        [(-60, -40, -128), (-20, -52, -118), (20, -40, -124), (60, -50, -112)],
        [(70, 0, -110), (40, -20, -92), (10, -34, -104), (-24, -24, -120)],
        [(30, -56, -66), (60, -40, -54), (82, -24, -70), (64, -10, -84)],
        [(-72, -22, -72), (-44, -46, -74), (-8, -42, -64), (16, -18, -72)],
        [(84, -30, -96), (66, 14, -128), (24, 0, -128), (-30, 0, -130)],
        [(-64, -6, -112), (-54, -30, -96), (-20, -30, -92), (14, -30, -80)],
    ]
    small = [body.chain(loop, [12, 11, 12, 11], 5) for loop in loops]
    pancreas = body.chain(
        [(-14, -20, -42), (8, -18, -28), (44, 6, -6), (82, 26, 12)], [13, 10, 9, 8], 8
    )
    feeders = (
        *body.cones([(4, 2, -34), (4, -6, -80), (8, -12, -140)], 5.5),
        *body.cones([(4, 2, -34), (24, 12, -18), (56, 24, 6), (88, 32, 20)], 4.2),
    )
    renal = (
        *body.cones([(-46, 46, -64), (-36, 36, -60), (-22, 22, -56)], 4.5),
        *body.cones([(46, 46, -44), (26, 16, -42), (8, 5, -40), (-18, 16, -38)], 4.2),
    )
    gas = intersection(grown(colon, -3), half_space((0, -58, 0), (0, 1, 0)))
    return (
        *(Layer("bowel", 85, part) for part in (*small, colon, duodenum)),
        *(Layer("bowel", 30, grown(part, -3)) for part in (*small, colon, duodenum)),
        Layer("bowel", -960, gas),
        Layer("pancreas", 100 * body.enhancement, pancreas),
        Layer("other_vein", 170 * body.enhancement, (*feeders, *renal)),
    )
