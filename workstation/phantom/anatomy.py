"""The organs of a synthetic abdomen, placed in DICOM patient LPS millimetres.

Seed 1 is the shipped patient; any other seed varies sizes, places and enhancement.
HU are those of a portal-venous phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmentation.volume import Vector
from workstation.phantom.rendering import Solid, cones
from workstation.phantom.shapes import (
    Ellipsoid,
    Path,
    Shape,
    chain,
    column,
    ellipsoid,
    grown,
    half_space,
    intersection,
    outside,
    round_cone,
    union,
)
from workstation.phantom.vessels import HEPATIC, PORTAL, Points, tree

CAVITY_POWER = 2.4


@dataclass(frozen=True)
class Layer:
    """One material: painted over the earlier ones, labelled if it has a name."""

    name: str
    hu: float
    solid: Solid


@dataclass(frozen=True)
class Anatomy:
    """A patient as shapes: ``layers`` in painting order, the liver and what lies in it."""

    layers: tuple[Layer, ...]
    liver: Shape
    tumors: tuple[Ellipsoid, ...]
    portal: dict[str, Path]
    hepatic: dict[str, Path]


class _Body:
    """The variation of one patient: scales of the body and of single organs."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.varied = 0.0 if seed == 1 else 1.0
        self.scale = self.drawn(0.05, 3) + 1
        self.phase = self.rng.uniform(0, 2 * np.pi, (3, 3))
        self.enhancement = 1 + float(self.drawn(0.05, 1)[0])

    def drawn(self, spread: float, count: int) -> Points:
        """Return ``count`` numbers within plus or minus ``spread``; zero for the shipped one."""
        return np.asarray(self.varied * self.rng.uniform(-spread, spread, count))

    def at(self, x: float, y: float, z: float) -> Vector:
        """Return a place (LPS mm) in this patient from that in the shipped one."""
        a, b, c = self.scale * (x, y, z)
        return float(a), float(b), float(c)

    def chain(
        self, points: Sequence[Vector], radii: Sequence[float], blend_mm: float = 0.0
    ) -> Shape:
        """Return round cones through places of the shipped patient (LPS mm)."""
        return chain([self.at(*p) for p in points], radii, blend_mm)

    def cones(self, points: Sequence[Vector], radius_mm: float) -> tuple[Shape, ...]:
        """Return a thin tube through places of the shipped patient (LPS mm)."""
        line = np.asarray([self.at(*p) for p in points])
        return cones((Path(line, np.full(len(line), radius_mm)),))

    def warp(self, points: Points) -> Points:
        """Return vessel points (LPS mm) moved by the scale and a smooth sway of 2 mm."""
        sway = np.sin(points @ np.full((3, 3), 2 * np.pi / 240) + self.phase[0])
        return np.asarray(points * self.scale + 2.0 * self.varied * sway)


def anatomy(seed: int, lesions: int) -> Anatomy:
    """Return the patient of a seed with one or two liver lesions."""
    body = _Body(seed)
    cavity = column(body.at(0, -4, 0)[:2], body.at(138, 84, 0)[:2], CAVITY_POWER)
    domes = _domes(body)
    organs = _upper_organs(body, cavity, domes)
    liver = _liver(body, cavity, domes, organs)
    tumors = _tumors(body, liver, lesions)
    portal = tree(PORTAL, body.warp, tumors)
    hepatic = tree(HEPATIC, body.warp, tumors)
    gain = body.enhancement
    layers = (
        *_wall(body, cavity),
        *_chest(body, cavity, domes),
        *_spine(body, cavity),
        *_bowel(body),
        *_organ_layers(organs, gain),
        Layer("liver", 108 * gain, liver),
        Layer("vena_cava", 150 * gain, organs["vena_cava"]),
        Layer("gallbladder", 60, organs["gallbladder"]),
        Layer("gallbladder", 10, grown(organs["gallbladder"], -1.5)),
        Layer("portal_vein", 172 * gain, cones(tuple(portal.values()))),
        Layer("hepatic_vein", 168 * gain, cones(tuple(hepatic.values()))),
        *(Layer("tumor", 60, tumor.shape()) for tumor in tumors),
    )
    return Anatomy(layers, liver, tumors, portal, hepatic)


def _domes(body: _Body) -> Shape:
    """What lies below the diaphragm: a higher right and a lower left dome, lowest between."""
    rise = float(body.drawn(5, 1)[0])
    return union(
        ellipsoid(body.at(-64, -6, 0), (80, 90, 88 + rise)),
        ellipsoid(body.at(70, -4, -4), (78, 88, 76 + rise)),
        ellipsoid(body.at(8, -34, -4), (84, 64, 66 + rise)),
        blend_mm=24,
    )


def _upper_organs(body: _Body, cavity: Shape, domes: Shape) -> dict[str, Shape]:
    room = intersection(grown(cavity, -2.5), grown(domes, -3.2))
    k, f, s = body.drawn(0.08, 3) + 1
    stomach = body.chain(
        [(62, 22, 40), (66, -14, 10), (50, -42, -20), (14, -46, -36), (-14, -38, -28)],
        [34 * f, 33 * f, 25 * f, 18, 11],
        blend_mm=14,
    )
    stomach = intersection(stomach, room, blend_mm=4)
    left_kidney = Ellipsoid(body.at(63, 50, -46), (29 * k, 26 * k, 57 * k), _tilt(-0.22)).shape()
    right_kidney = Ellipsoid(body.at(-62, 49, -66), (27 * k, 25, 52 * k), _tilt(0.2)).shape()
    spleen = intersection(
        ellipsoid(body.at(104, 36, 26), (36 * s, 46 * s, 52 * s)),
        room,
        outside(grown(stomach, 3)),
        outside(grown(left_kidney, 4)),
        blend_mm=8,
    )
    return {
        "stomach": stomach,
        "left_kidney": left_kidney,
        "right_kidney": right_kidney,
        "spleen": spleen,
        "vena_cava": body.chain(
            [(-21, 22, -140), (-21, 20, -20), (-23, 14, 36), (-24, 4, 64), (-16, -8, 112)],
            [10, 11, 11, 11.5, 13],
            blend_mm=6,
        ),
        "aorta": body.chain([(12, 24, -140), (9, 22, -40), (8, 26, 60), (10, 28, 150)], [10.5] * 4),
        "gallbladder": body.chain(
            [(-40, -36, -20), (-46, -46, -32), (-52, -58, -46)], [6, 12, 15], blend_mm=8
        ),
    }


def _tilt(angle: float) -> tuple[Vector, Vector, Vector]:
    """Rotate about the LPS y axis by an angle in radians."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return (c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)


def _liver(body: _Body, cavity: Shape, domes: Shape, organs: dict[str, Shape]) -> Shape:
    """A wedge under the diaphragm, cut by its visceral surface and its neighbours."""
    reach = float(body.drawn(8, 1)[0])
    hilum = body.chain([(4, 2, -34), (-10, -5, -17), (-20, -9, -5)], [14, 11, 8])
    wedge = intersection(
        grown(cavity, -2.5),
        grown(domes, -3.2),
        half_space(body.at(-26, -10, -8), (0.5, 0.32, -0.8)),
        half_space(body.at(reach, 15, 0), (0.75, 0.65, 0.0)),
        blend_mm=22,
    )
    spine = column(body.at(2, 54, 0)[:2], (38, 44), 2)
    return intersection(
        wedge,
        outside(grown(organs["right_kidney"], 2.5)),
        outside(grown(organs["stomach"], 2.5)),
        outside(grown(organs["vena_cava"], 0.8)),
        outside(grown(organs["gallbladder"], 0.3)),
        outside(spine),
        outside(hilum),
        blend_mm=5,
    )


def _tumors(body: _Body, liver: Shape, lesions: int) -> tuple[Ellipsoid, ...]:
    """Ellipsoids wholly inside the liver, away from the large branches."""
    size = body.drawn(0.15, 2) + 1
    wishes: list[tuple[Vector, Vector]] = [
        ((-96, 31, 6), (17, 15, 16)),
        ((-60, -60, 30), (9, 10, 8)),
    ]
    if body.varied:
        places = body.rng.permutation(
            [(-98, 36, -4), (-104, -20, 10), (-92, 0, -40), (-100, 20, 40)]
        )
        wishes[0] = (tuple(places[0]), wishes[0][1])
    # Large branches and forks stay where they are; only thinner ones bow around a lesion.
    big = [
        (point, radius)
        for branches in (PORTAL, HEPATIC)
        for path in tree(branches, body.warp, ()).values()
        for n, (point, radius) in enumerate(zip(path.points_mm, path.radius_mm))
        if radius > 4.0 or n == 0
    ]
    found: list[Ellipsoid] = []
    for (wish, radii), factor in list(zip(wishes, size))[:lesions]:
        a, b, c = (float(r * factor) for r in radii)
        centre = _free_place(liver, big, np.asarray(body.at(*wish)), max(a, b, c))
        found.append(Ellipsoid(centre, (a, b, c), _tilt(0.4)))
        big.append((np.asarray(centre), max(a, b, c)))
    return tuple(found)


def _free_place(
    liver: Shape, big: list[tuple[Points, float]], wish: Points, radius_mm: float
) -> Vector:
    steps = np.arange(-48, 49, 4)
    around = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) + wish
    depth = -liver.distance_mm(*around.T)
    points, radii = np.array([p for p, _ in big]), np.array([r for _, r in big])
    gap = np.linalg.norm(around[:, None] - points, axis=2) - radii
    free = (depth > radius_mm + 3.5) & (gap.min(axis=1) > radius_mm + 6)
    if not free.any():
        raise ValueError(
            f"no room for a lesion of {radius_mm:.0f} mm near {wish}; try another seed"
        )
    best = around[free][np.argmin(np.linalg.norm(around[free] - wish, axis=1))]
    return float(best[0]), float(best[1]), float(best[2])


def _organ_layers(organs: dict[str, Shape], gain: float) -> tuple[Layer, ...]:
    stomach, left, right = (organs[n] for n in ("stomach", "left_kidney", "right_kidney"))
    lumen = grown(stomach, -3.5)
    return (
        Layer("spleen", 120 * gain, organs["spleen"]),
        Layer("stomach", 80, stomach),
        Layer("stomach", 18, lumen),
        Layer("stomach", -980, intersection(lumen, half_space((0, -44, 0), (0, 1, 0)))),
        Layer("left_kidney", 195 * gain, left),
        Layer("left_kidney", 160 * gain, grown(left, -8)),
        Layer("right_kidney", 195 * gain, right),
        Layer("right_kidney", 160 * gain, grown(right, -8)),
        Layer("aorta", 150 * gain, organs["aorta"]),
    )


def _wall(body: _Body, cavity: Shape) -> tuple[Layer, ...]:
    fat = float(body.drawn(3, 1)[0])
    skin = column(body.at(0, 0, 0)[:2], body.at(161 + fat, 109 + fat, 0)[:2], CAVITY_POWER)
    muscle = column(body.at(0, 1, 0)[:2], body.at(151, 98, 0)[:2], CAVITY_POWER)
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


def _chest(body: _Body, cavity: Shape, domes: Shape) -> tuple[Layer, ...]:
    chest = grown(cavity, -0.8)
    above = half_space(body.at(0, 0, 4), (0, 0.35, -1))
    middle = column(body.at(6, -4, 0)[:2], (44, 70), 2)
    heart = intersection(
        ellipsoid(body.at(24, -30, 108), (58, 44, 50)), outside(grown(domes, 3)), blend_mm=6
    )
    lung = intersection(
        chest, above, outside(domes), outside(middle), outside(grown(heart, 3)), blend_mm=3
    )
    diaphragm = intersection(domes, outside(grown(domes, -2.6)), chest, above)
    ribs = tuple(_rib(body, side, z) for side in (-1, 1) for z in range(-30, 176, 26))
    return (
        Layer("lung", -850, lung),
        Layer("muscle", 55, diaphragm),
        Layer("heart", 105, heart),
        Layer("heart", 145, grown(heart, -9)),
        Layer("bone", 480, cones(ribs)),
        Layer("bone", 230, cones(ribs, shrink_mm=1.8)),
    )


def _rib(body: _Body, side: int, z_mm: float) -> Path:
    """A rib from the spine around the wall, sinking 55 mm; the lowest ones end early."""
    end = 0.78 if z_mm > 30 else 0.55 if z_mm > -20 else 0.36
    t = np.linspace(0.0, end, 26)
    angle = np.deg2rad(72 - 165 * t)
    a, b = body.at(144.5, 90.5, 0)[:2]
    c, s = np.cos(angle), np.sin(angle)
    radius = (np.abs(c / a) ** CAVITY_POWER + np.abs(s / b) ** CAVITY_POWER) ** (-1 / CAVITY_POWER)
    y = radius * s - 2
    points = np.stack([side * radius * c, y, body.scale[2] * (z_mm - 70 * t)], axis=1)
    return Path(points, np.full(len(t), 4.6))


def _spine(body: _Body, cavity: Shape) -> tuple[Layer, ...]:
    centre, canal = body.at(0, 53, 0)[:2], body.at(0, 78, 0)[:2]
    disc, ring = column(centre, (23, 17), 2), column(canal, (14, 12), 2)
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
            Layer("muscle", 58, intersection(column(body.at(x, 84, 0)[:2], (27, 19), 2.4), back))
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
        Layer("canal", 25, column(canal, (9.5, 8), 2)),
    )


def _bowel(body: _Body) -> tuple[Layer, ...]:
    colon = body.chain(
        [
            *[(-100, 10, -140), (-98, -16, -108), (-62, -56, -100), (0, -62, -96)],
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
    ]
    small = [body.chain(loop, [12, 11, 12, 11], 5) for loop in loops]
    pancreas = body.chain(
        [(-14, -20, -42), (8, -18, -28), (44, 6, -6), (82, 26, 12)], [13, 10, 9, 8], 8
    )
    feeders = (
        *body.cones([(4, 2, -34), (4, -6, -80), (8, -12, -140)], 5.5),
        *body.cones([(4, 2, -34), (24, 12, -18), (56, 24, 6), (88, 32, 20)], 4.2),
    )
    gas = intersection(grown(colon, -3), half_space((0, -58, 0), (0, 1, 0)))
    return (
        *(Layer("bowel", 85, part) for part in (*small, colon, duodenum)),
        *(Layer("bowel", 30, grown(part, -3)) for part in (*small, colon, duodenum)),
        Layer("bowel", -960, gas),
        Layer("pancreas", 100 * body.enhancement, pancreas),
        Layer("mesenteric_vein", 170 * body.enhancement, feeders),
    )
