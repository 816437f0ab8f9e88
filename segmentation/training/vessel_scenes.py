"""Synthetic angiograms with exact labels, drawn at random: what the vessel network learns from.

A scene is a cube on an isotropic grid. Vessels (trees, rings, sacs, large trunks) are bright and
labelled; what looks like them (skull base, ribs, fat, enhancing organs, bowel, clips) is drawn
without a label. Shapes, sizes, brightness, blur, slice thickness and noise are all drawn at
random, far beyond what scanners give, so that a real scan is one more variation: domain
randomisation, Tobin et al., IROS 2017; for vessels Wittmann et al., arXiv 2411.17386.

Brightness is on the network's scale: about 0 to 1. For CT this is HU clipped to -200..1000 and
shifted to 0..1; for others the range between low and high percentiles of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.training.drawing import blend, edge, scanned, smooth_field
from segmentation.training.tubes import (
    Drawing,
    Floats,
    Points,
    Rng,
    TreeStyle,
    across,
    beside,
    draw,
    entry,
    grow,
    ring,
    unit,
)

SIZE = 64  # voxels a side; also the window of inference
HU_RANGE = (-200.0, 1000.0)  # what the network sees of a CT
KINDS = ("mra", "cta", "random")
SHARES = (0.5, 0.4, 0.1)
AIR_HU, LUNG_HU, FAT_HU = -1000.0, -850.0, -100.0


@dataclass(frozen=True, eq=False)
class Scene:
    """One synthetic patch: ``image`` float32 and ``label`` uint8 (1 = vessel), both [k, j, i]."""

    image: Floats
    label: npt.NDArray[np.uint8]
    kind: str


def make_scene(seed: int, *, size: int = SIZE, kind: str = "") -> Scene:
    """Draw the scene that belongs to ``seed``; the same seed gives the same scene.

    ``kind`` is one of `KINDS`; empty draws it by `SHARES`.
    """
    rng = np.random.default_rng(seed)
    kind = kind or str(rng.choice(KINDS, p=SHARES))
    voxel_mm = float(np.exp(rng.uniform(np.log(0.4), np.log(1.0))))
    empty = rng.random() < 0.12
    vessels = draw(np.zeros((0, 9)) if empty else _vessels(rng, size, voxel_mm), size)
    style = {"mra": _mra, "cta": _cta, "random": _random}[kind]
    image, label = style(rng, size, vessels, voxel_mm)
    return Scene(*_turned(rng, image, label), kind)


# ---------------------------------------------------------------------------- shapes


def _vessels(rng: Rng, size: int, voxel_mm: float) -> Points:
    """Return the tubes of everything that is labelled."""
    parts: list[Points] = []
    for _ in range(int(rng.choice([1, 2, 3, 5, 8], p=[0.15, 0.25, 0.25, 0.2, 0.15]))):
        parts.append(_tree(rng, size, voxel_mm))
        if rng.random() < 0.2:
            parts.append(beside(rng, parts[-1], rng.uniform(-0.5, 1.5)))
    if rng.random() < 0.25:
        loop, stations = ring(rng, size, rng.uniform(0.5, 1.8) / voxel_mm)
        parts.append(loop)
        for n in rng.integers(0, len(stations), 4):
            thick = rng.uniform(0.6, 1.5) / voxel_mm
            style = _tree_style(rng, voxel_mm)
            parts.append(grow(rng, stations[n], unit(rng), thick, size, style))
    if rng.random() < 0.15:  # a trunk such as the aorta
        start, heading = entry(rng, size)
        style = TreeStyle(4.0, rng.uniform(0, 0.5), rng.uniform(6, 16), sac=0.15)
        wide = min(rng.uniform(4, 20) / voxel_mm, 26.0)
        parts.append(grow(rng, start, heading, wide, size, style))
    return np.concatenate(parts)


def _tree(rng: Rng, size: int, voxel_mm: float) -> Points:
    start, heading = entry(rng, size)
    radius = float(np.exp(rng.uniform(np.log(0.4), np.log(5.0)))) / voxel_mm
    return grow(rng, start, heading, radius, size, _tree_style(rng, voxel_mm))


def _tree_style(rng: Rng, voxel_mm: float) -> TreeStyle:
    return TreeStyle(
        least_radius=max(0.45, rng.uniform(0.3, 0.8) / voxel_mm),
        tortuosity=rng.uniform(0.0, 1.6),
        branching=rng.uniform(6, 25),
        decay=rng.uniform(0, 0.006) * (rng.random() < 0.5),
        stenosis=0.15,
        sac=0.12,
    )


def _ball_depth(rng: Rng, size: int, low: float, high: float) -> Floats:
    """Return signed distance (voxels, about) to a random uneven ellipsoid, negative inside."""
    axes = rng.uniform(low, high) * rng.uniform(0.6, 1.0, 3)
    centre = rng.uniform(-0.1, 1.1, 3) * size
    k, j, i = ((np.arange(size, dtype=np.float32) - c) / a for c, a in zip(centre, axes))
    reach = np.sqrt(k[:, None, None] ** 2 + j[:, None] ** 2 + i**2) - 1
    reach *= float(axes.min())
    return np.asarray(reach + rng.uniform(0, 0.15) * low * smooth_field(rng, size, 12), np.float32)


def _vault_depth(rng: Rng, size: int) -> Floats:
    """Return the depth (voxels) under a large curved surface, negative outside the head."""
    radius = rng.uniform(60, 200)
    centre = size / 2 + unit(rng) * (radius - rng.uniform(-0.3, 0.45) * size)
    k, j, i = ((np.arange(size, dtype=np.float32) - c) ** 2 for c in centre)
    depth = radius - np.sqrt(k[:, None, None] + j[:, None] + i)
    return np.asarray(depth + rng.uniform(0, 2) * smooth_field(rng, size, 14), np.float32)


# ---------------------------------------------------------------------------- MR


def _mra(
    rng: Rng, size: int, vessels: Drawing, voxel_mm: float
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Time-of-flight and contrast MRA: bright blood, bright fat, dark fluid and bone."""
    image = _brain(rng, size)
    if rng.random() < 0.5:
        _head(rng, image)
    for _ in range(int(rng.choice([0, 1, 3], p=[0.5, 0.3, 0.2]))):  # fat, mucosa, marrow
        blend(image, edge(_ball_depth(rng, size, 4, 22)), rng.uniform(0.3, 0.95))
    if rng.random() < 0.2:  # dura, mucosa, fascia
        sheet = np.abs(smooth_field(rng, size, rng.uniform(10, 30))) < rng.uniform(0.02, 0.1)
        blend(image, sheet, rng.uniform(0.3, 0.9))
    noise = rng.uniform(0.008, 0.07)
    floor = float(np.percentile(image[::4, ::4, ::4], 80))
    blood = max(rng.uniform(0.5, 1.0), floor + max(0.12, 3.5 * noise))
    level = vessels.level.copy()
    slow = rng.uniform(0, 0.5) * (rng.random() < 0.4)  # slow flow along the axis of wide parts
    level *= 1 - slow * np.clip(-vessels.depth / 8, 0, 1)
    if rng.random() < 0.3:  # the reverse: laminar flow, dim at the wall
        level *= 1 - rng.uniform(0, 0.35) * np.clip(1 + vessels.depth / 3, 0, 1)
    blend(image, vessels.cover, np.maximum(blood * level, floor * 0.7 + 2.5 * noise))
    label = vessels.label.copy()
    image = scanned(rng, image)
    image *= np.exp(rng.uniform(0, 0.3) * smooth_field(rng, size, 40))
    if rng.random() < 0.25:  # slabs that overlap
        period = rng.uniform(20, 60)
        wave = np.abs(((np.arange(size) + rng.uniform(0, 60)) / period) % 1 - 0.5) * 2
        image *= (1 - rng.uniform(0, 0.3) * wave**3).astype(np.float32)[:, None, None]
    real = image + noise * rng.standard_normal(image.shape, np.float32)
    image = np.hypot(real, noise * rng.standard_normal(image.shape, np.float32))
    _blank(rng, image, label, vessels)
    image = np.clip(image * rng.uniform(0.75, 1.25), 0, rng.uniform(0.9, 1.4))
    return np.asarray(image ** rng.uniform(0.75, 1.35), np.float32), label


def _blank(rng: Rng, image: Floats, label: npt.NDArray[np.uint8], vessels: Drawing) -> None:
    """Set part of the image to nothing, as published angiograms often are."""
    style = rng.random()
    if style < 0.25:  # everything but the brain
        outside = _vault_depth(rng, len(image)) < 0
        image[outside] = 0
        label[outside] = 0
    elif style < 0.37:  # everything but vessels, their surroundings and scattered pieces
        halo = rng.uniform(1.0, 3.0) + 0.5 * smooth_field(rng, len(image), 3)
        pieces = smooth_field(rng, len(image), rng.uniform(4, 10)) > rng.uniform(1.5, 3.5)
        image[(vessels.depth > halo) & ~pieces] = 0


def _brain(rng: Rng, size: int) -> Floats:
    """Return grey and white matter with dark folds and caverns of fluid."""
    base, step = rng.uniform(0.12, 0.45), rng.uniform(0, 0.1)
    image = np.full((size,) * 3, base, np.float32)
    image += step * np.tanh(3 * smooth_field(rng, size, rng.uniform(5, 14)))
    if rng.random() < 0.7:
        folds = np.abs(smooth_field(rng, size, rng.uniform(6, 16))) < rng.uniform(0.03, 0.25)
        blend(image, folds, base * rng.uniform(0.1, 0.7))
    if rng.random() < 0.4:
        blend(image, edge(_ball_depth(rng, size, 5, 25)), base * rng.uniform(0.1, 0.7))
    image += rng.uniform(0, 0.03) * smooth_field(rng, size, rng.uniform(2, 4))
    return image


def _head(rng: Rng, image: Floats) -> None:
    """Add skull, marrow, scalp and air beyond a curved surface."""
    depth = _vault_depth(rng, len(image))
    fat, bone, marrow = rng.uniform(2, 8), rng.uniform(3, 12), rng.uniform(0, 5)
    blend(image, edge(depth - fat - bone), rng.uniform(0.0, 0.15))
    core = (depth > fat + bone / 2 - marrow / 2) & (depth < fat + bone / 2 + marrow / 2)
    blend(image, core, rng.uniform(0.2, 0.8))
    blend(image, edge(depth - fat), rng.uniform(0.35, 1.0))
    blend(image, edge(depth), rng.uniform(0.0, 0.03))


# ---------------------------------------------------------------------------- CT


def _cta(
    rng: Rng, size: int, vessels: Drawing, voxel_mm: float
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """CT angiogram in HU, then on the network's scale."""
    tissue = rng.uniform(15, 120)
    image = np.full((size,) * 3, tissue, np.float32)
    image += rng.uniform(0, 20) * smooth_field(rng, size, rng.uniform(4, 14))
    _fat_and_air(rng, image)
    _organs(rng, image)
    _bones(rng, image, voxel_mm)
    noise = rng.uniform(3, 45)
    blood = tissue + max(rng.uniform(40, 480), 2.5 * noise)
    if rng.random() < 0.4:  # wall, canal or mural thrombus between lumen and neighbour
        blend(image, edge(vessels.depth - rng.uniform(0.5, 2.8)), rng.uniform(10, 70))
    mixing = 1 + rng.uniform(0, 0.1) * smooth_field(rng, size, 10)
    blend(image, vessels.cover, blood * np.maximum(vessels.level, 0.75) * mixing)
    label = vessels.label.copy()
    if rng.random() < 0.4:
        _plaques(rng, image, vessels, label)
    image = scanned(rng, image)
    if rng.random() < 0.06:
        _metal(rng, image)
    white = rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.7:
        sigma = rng.uniform(0.4, 0.9)
        white = ndimage.gaussian_filter(white, sigma, truncate=2.5) * (1 + 4.0 * sigma**2)
    image += noise * white
    low, high = HU_RANGE[0] + rng.uniform(-60, 60), HU_RANGE[1] + rng.uniform(-250, 250)
    image = (np.clip(image, low, high) - low) / (high - low)
    return np.asarray(image * rng.uniform(0.85, 1.15), np.float32), label


def _fat_and_air(rng: Rng, image: Floats) -> None:
    size = len(image)
    if rng.random() < 0.6:
        field = smooth_field(rng, size, rng.uniform(7, 25))
        blend(image, np.clip((field - rng.uniform(-0.5, 1)) * 4, 0, 1), FAT_HU)
    if rng.random() < 0.2:
        blend(image, edge(_ball_depth(rng, size, 20, 70)), LUNG_HU)
    if rng.random() < 0.2:
        depth = _vault_depth(rng, size)
        blend(image, edge(depth - rng.uniform(1, 4)), rng.uniform(0, 60))
        blend(image, edge(depth), AIR_HU)
    if rng.random() < 0.15:  # air ways
        tree = draw(_tree(rng, size, 0.6), size)
        blend(image, edge(tree.depth - 1.2), rng.uniform(-100, 80))
        blend(image, tree.cover, AIR_HU)


def _organs(rng: Rng, image: Floats) -> None:
    """Add enhancing solids: kidney, spleen, heart chambers, bowel with contrast."""
    size = len(image)
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 3))):
            depth, level = _ball_depth(rng, size, 12, 45), rng.uniform(70, 350)
            blend(image, edge(depth), level)
            if rng.random() < 0.5:  # medulla, myocardium
                blend(image, edge(depth + rng.uniform(3, 9)), level * rng.uniform(0.5, 1.3))
    if rng.random() < 0.08:
        depth = _ball_depth(rng, size, 6, 14)
        depth += 2.5 * smooth_field(rng, size, 6)
        blend(image, edge(depth), rng.uniform(150, 500))


def _bones(rng: Rng, image: Floats, voxel_mm: float) -> None:
    size = len(image)
    if rng.random() < 0.3:  # vault: two tables and the diploe between
        depth, thick = _vault_depth(rng, size), rng.uniform(3, 9) / voxel_mm
        table = rng.uniform(0.8, 2.0) / voxel_mm
        plate = np.asarray(np.abs(depth) - thick / 2, np.float32)
        blend(image, edge(plate), rng.uniform(600, 1900))
        blend(image, edge(plate + np.float32(table)), rng.uniform(200, 1100))
    if rng.random() < 0.4:
        _skull_base(rng, image)
    if rng.random() < 0.25:  # vertebra and other spongy bone
        for _ in range(int(rng.integers(1, 4))):
            depth, rim = _ball_depth(rng, size, 6, 35), rng.uniform(0.8, 3)
            blend(image, edge(depth), rng.uniform(300, 1400))
            spongy = rng.uniform(100, 450) + rng.uniform(0, 120) * smooth_field(rng, size, 2.5)
            blend(image, edge(depth + rim), spongy)
    if rng.random() < 0.15:
        _ribs(rng, image, voxel_mm)


def _skull_base(rng: Rng, image: Floats) -> None:
    """Add porous bone with air cells and thin septa, in part of the scene."""
    size = len(image)
    region = _vault_depth(rng, size) if rng.random() < 0.5 else _ball_depth(rng, size, 15, 50)
    if rng.random() < 0.3:
        region = np.full_like(image, -9.0)
    coarse = smooth_field(rng, size, rng.uniform(5, 12))
    fine = smooth_field(rng, size, rng.uniform(2.5, 5))
    within = region < 0
    density = rng.uniform(300, 1500) + rng.uniform(0, 350) * fine
    solid = within & (coarse > rng.uniform(-0.8, 0.6))
    blend(image, solid, density)
    if rng.random() < 0.6:
        cells = within & (fine > rng.uniform(0.3, 1.2)) & (coarse < rng.uniform(0.0, 1.5))
        blend(image, cells, AIR_HU)
    if rng.random() < 0.5:
        septa = within & (np.abs(fine) < rng.uniform(0.05, 0.25))
        blend(image, septa, rng.uniform(150, 900))


def _ribs(rng: Rng, image: Floats, voxel_mm: float) -> None:
    """Add long bones: tubes with a dense rim, the bones most like vessels."""
    size = len(image)
    rows = []
    style = TreeStyle(99.0, rng.uniform(0, 0.3), 40.0)
    for _ in range(int(rng.integers(1, 4))):
        start, heading = entry(rng, size)
        rows.append(grow(rng, start, heading, rng.uniform(2, 7) / voxel_mm, size, style))
    bone = draw(np.concatenate(rows), size)
    blend(image, bone.cover, rng.uniform(350, 1500))
    blend(image, edge(bone.depth + rng.uniform(0.8, 2.5)), rng.uniform(50, 500))


def _plaques(rng: Rng, image: Floats, vessels: Drawing, label: npt.NDArray[np.uint8]) -> None:
    """Add calcified plaques on walls; they are no lumen."""
    wall = np.argwhere(np.abs(vessels.depth) < 0.7)
    if not len(wall):
        return
    places = wall[rng.integers(0, len(wall), int(rng.integers(1, 9)))]
    ends = places + rng.normal(0, 1.5, places.shape)
    thick = rng.uniform(0.7, 2.4, len(places))[:, None]
    rows = np.hstack([places, thick, ends, thick, np.ones_like(thick)])
    chalk = draw(rows, len(image))
    blend(image, chalk.cover, rng.uniform(500, 1500))
    label[chalk.cover > 0.5] = 0


def _metal(rng: Rng, image: Floats) -> None:
    """Add a clip or coil with streaks in its slices."""
    size = len(image)
    centre = rng.uniform(0.1, 0.9, 3) * size
    j, i = (np.arange(size, dtype=np.float32) - c for c in centre[1:])
    angle, away = np.arctan2(j[:, None], i[None, :]), np.hypot(j[:, None], i[None, :])
    rays = sum(np.cos(int(n) * angle + rng.uniform(0, 6)) for n in rng.integers(3, 24, 5))
    fade = np.exp(-(((np.arange(size) - centre[0]) / rng.uniform(2, 5)) ** 2))
    streaks = rng.uniform(300, 2500) * rays / (away + 3)
    image += (fade[:, None, None] * streaks).astype(np.float32)
    ball = np.asarray([(*centre, 2.5, *(centre + across(rng, unit(rng)) * 4), 2.0, 1.0)])
    blend(image, draw(ball, size).cover, 4000.0)


# ---------------------------------------------------------------------------- random and shared


def _random(
    rng: Rng, size: int, vessels: Drawing, voxel_mm: float
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Regions, lumps and sheets of any brightness below the vessels'."""
    levels = rng.uniform(0, 0.6, 6).astype(np.float32)
    field = smooth_field(rng, size, rng.uniform(5, 25))
    image = levels[np.clip((field + 2) * 1.5, 0, 5).astype(np.intp)]
    noise = rng.uniform(0.0, 0.09)
    blood = levels.max() + max(rng.uniform(0.08, 0.6), 3 * noise)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            blend(image, edge(_ball_depth(rng, size, 8, 40)), rng.uniform(0, 1.5))
    if rng.random() < 0.4:
        sheet = np.abs(smooth_field(rng, size, rng.uniform(8, 25))) < rng.uniform(0.02, 0.12)
        blend(image, sheet, rng.uniform(0, 1.5))
    blend(image, vessels.cover, blood * np.maximum(vessels.level, 0.8))
    image = scanned(rng, image)
    image += noise * rng.standard_normal(image.shape, np.float32)
    gain = rng.uniform(0.5, 1.3) * 10.0 ** (-2 * (rng.random() < 0.1))
    return np.asarray(image * gain + rng.uniform(-0.2, 0.2), np.float32), vessels.label.copy()


def _turned(
    rng: Rng, image: Floats, label: npt.NDArray[np.uint8]
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Return both arrays with axes permuted and flipped alike."""
    order = rng.permutation(3)
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    return (
        np.ascontiguousarray(image.transpose(order)[flips]),
        np.ascontiguousarray(label.transpose(order)[flips]),
    )
