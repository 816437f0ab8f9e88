"""The organs of a synthetic abdomen, placed in DICOM patient LPS millimetres.

Seed 1 is the shipped patient; any other seed varies sizes, places and enhancement.
HU are those of a portal-venous phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segmentation.volume import Vector
from workstation.phantom.habitus import Habitus, Layer
from workstation.phantom.rendering import cones
from workstation.phantom.shapes import (
    Ellipsoid,
    Path,
    Points,
    Shape,
    column,
    ellipsoid,
    grown,
    half_space,
    intersection,
    outside,
    union,
)
from workstation.phantom.surroundings import bowel, chest, spine, wall
from workstation.phantom.vessels import HEPATIC, PORTAL, tree


@dataclass(frozen=True)
class Anatomy:
    """A patient as shapes: ``layers`` in painting order, the liver and what lies in it."""

    layers: tuple[Layer, ...]
    liver: Shape
    tumors: tuple[Ellipsoid, ...]
    portal: dict[str, Path]
    hepatic: dict[str, Path]


def anatomy(seed: int, lesions: int) -> Anatomy:
    """Return the patient of a seed with one or two liver lesions."""
    body = Habitus(seed)
    cavity = column(body.at(0, -4, 0)[:2], body.at(138, 84, 0)[:2], square=True)
    domes = _domes(body)
    organs = _upper_organs(body, cavity, domes)
    liver = _liver(body, cavity, domes, organs)
    tumors = _tumors(body, liver, lesions)
    portal = tree(PORTAL, body.warp, tumors)
    hepatic = tree(HEPATIC, body.warp, tumors)
    gain = body.enhancement
    layers = (
        *wall(body, cavity),
        *chest(body, cavity, domes),
        *spine(body, cavity),
        *bowel(body),
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


def _domes(body: Habitus) -> Shape:
    """What lies below the diaphragm: a higher right and a lower left dome, lowest between."""
    rise = float(body.drawn(5, 1)[0])
    return union(
        ellipsoid(body.at(-64, -6, 0), (80, 90, 88 + rise)),
        ellipsoid(body.at(70, -4, -4), (78, 88, 76 + rise)),
        ellipsoid(body.at(8, -34, -4), (84, 64, 66 + rise)),
        blend_mm=24,
    )


def _upper_organs(body: Habitus, cavity: Shape, domes: Shape) -> dict[str, Shape]:
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
        ellipsoid(body.at(104, 36, 20), (38 * s, 48 * s, 58 * s)),
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
        "left_sinus": ellipsoid(body.at(45, 46, -45), (16, 9, 21)),
        "right_sinus": ellipsoid(body.at(-45, 45, -66), (16, 9, 19)),
        "aorta": body.chain([(12, 24, -140), (9, 22, -40), (8, 26, 60), (10, 28, 150)], [10.5] * 4),
        "gallbladder": body.chain(
            [(-40, -36, -20), (-46, -46, -32), (-52, -58, -46)], [6, 12, 15], blend_mm=8
        ),
    }


def _tilt(angle: float) -> tuple[Vector, Vector, Vector]:
    """Rotate about the LPS y axis by an angle in radians."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return (c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)


def _liver(body: Habitus, cavity: Shape, domes: Shape, organs: dict[str, Shape]) -> Shape:
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
    spine = column(body.at(2, 54, 0)[:2], (38, 44))
    fissure = ellipsoid(body.at(8, -76, -4), (3.5, 22, 20))
    return intersection(
        wedge,
        outside(grown(organs["right_kidney"], 2.5)),
        outside(grown(organs["stomach"], 2.5)),
        outside(grown(organs["vena_cava"], 0.8)),
        outside(grown(organs["gallbladder"], 0.3)),
        outside(spine),
        outside(hilum),
        outside(fissure),
        blend_mm=5,
    )


def _tumors(body: Habitus, liver: Shape, lesions: int) -> tuple[Ellipsoid, ...]:
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
        Layer("body", -70, organs["left_sinus"]),
        Layer("body", -70, organs["right_sinus"]),
        Layer("aorta", 150 * gain, organs["aorta"]),
    )
