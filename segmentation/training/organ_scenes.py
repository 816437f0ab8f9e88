"""Synthetic images of touching organs, with exact labels: what the prompted network learns from.

A scene is a block of cells of a few millimetres. Organs of all shapes (bumpy and bent ellipsoids,
rounded boxes, lobes, hollows, shells, tubes and trees) lie side by side in fat, within skin and
before bone; they hold vessels, rims and lesions. Their levels come from a small palette, so that
neighbours are often of nearly one level. Texture, shading, blur, slices, noise and contrast are
drawn at random, far beyond what scanners give (Tobin et al., IROS 2017; for labels to images of
any contrast Billot et al., Med. Image Anal. 86 (2023) 102789).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.training.drawing import Mask, blend, edge, scanned, smooth_field
from segmentation.training.tubes import Floats, Points, Rng, TreeStyle, draw, entry, grow, unit
from segmentation.volume import bounding_block

SIZE = 48  # cells a side
LEAST_CELLS, LARGEST_SHARE = 60, 0.4  # of a thing to ask for
SPACING_MM = (0.7, 5.0)  # of a cell
AROUND = -1  # parent of what is not asked for: skin, air, fascia


@dataclass(frozen=True, eq=False)
class OrganScene:
    """A picture, float32 [k, j, i], the thing to ask for in it, and the cell's size in mm."""

    image: Floats
    target: Mask
    spacing_mm: Points


@dataclass(eq=False)
class _Canvas:
    """What has been drawn so far.

    ``place`` holds the bent coordinates (k, j, i) of every cell, in cells; ``parent`` tells which
    thing a part, such as a lesion, lies in.
    """

    rng: Rng
    size: int
    place: Floats
    palette: Floats
    image: Floats
    owner: npt.NDArray[np.int16]
    parent: dict[int, int] = field(default_factory=dict)

    def new(self, parent: int = 0) -> int:
        """Return the number of one more thing, a part of ``parent``."""
        number = len(self.parent) + 1
        self.parent[number] = parent
        return number

    def tone(self) -> float:
        """Return a level of the palette, or one close to it."""
        return float(self.rng.choice(self.palette) + self.rng.normal(0, 0.06))

    def paint(self, depth: Floats, level: float | Floats, number: int) -> None:
        """Draw the inside of a surface, given as signed distance in cells, as thing ``number``."""
        blend(self.image, edge(depth), level)
        self.owner[depth < 0] = number


def make_organ_scene(seed: int, *, size: int = SIZE) -> OrganScene:
    """Draw the scene that belongs to ``seed``; the same seed gives the same scene."""
    rng = np.random.default_rng(seed)
    while True:
        stretch = np.ones(3)
        if rng.random() < 0.4:  # thick slices, kept as they are
            stretch[0] = rng.uniform(1.3, 4.0)
        canvas = _canvas(rng, size, stretch)
        _draw(canvas)
        target = _target(canvas)
        if target is not None:
            break
    image = _pictured(rng, canvas.image)
    mm = float(np.exp(rng.uniform(*np.log(SPACING_MM))))
    return OrganScene(image, target, mm * stretch)


def _canvas(rng: Rng, size: int, stretch: Points) -> _Canvas:
    middle = (size - 1) / 2
    axes = [(np.arange(size, dtype=np.float32) - middle) * np.float32(s) for s in stretch]
    place = np.stack(np.meshgrid(*axes, indexing="ij"))
    bend = rng.uniform(0, 0.1) * size
    for axis in range(3):
        place[axis] += bend * smooth_field(rng, size, rng.uniform(0.35, 0.9) * size)
    count = int(rng.integers(3, 8))
    palette = rng.normal(0, 1, count).astype(np.float32)
    image = np.full((size,) * 3, rng.choice(palette) + rng.normal(0, 0.5), np.float32)
    canvas = _Canvas(rng, size, place, palette, image, np.zeros(image.shape, np.int16))
    if rng.random() < 0.5:  # the background itself is of two kinds
        split = smooth_field(rng, size, rng.uniform(6, 25)) > rng.uniform(-0.5, 1)
        blend(image, split, canvas.tone())
    return canvas


def _draw(canvas: _Canvas) -> None:
    rng, size = canvas.rng, canvas.size
    reach = 0.5 * size
    for _ in range(int(rng.integers(3, 12))):
        centre = rng.uniform(-1, 1, 3) * reach
        _organ(canvas, centre, float(np.exp(rng.uniform(np.log(0.06), np.log(0.4)))) * size)
    if rng.random() < 0.5:
        _tree(canvas)
    if rng.random() < 0.3:
        _sheet(canvas)
    middle = rng.normal(0, 0.08, 3) * size
    _organ(canvas, middle, float(np.exp(rng.uniform(np.log(0.1), np.log(0.42)))) * size)
    for _ in range(int(rng.integers(0, 4))):  # neighbours that press on it
        centre = middle + unit(rng) * rng.uniform(0.2, 0.6) * size
        _organ(canvas, centre, float(rng.uniform(0.08, 0.3)) * size)
    if rng.random() < 0.35:
        _tree(canvas)
    if rng.random() < 0.35:
        _skin(canvas)


# ---------------------------------------------------------------------------- shapes


def _organ(canvas: _Canvas, centre: Points, radius: float) -> None:
    """Draw one organ with its texture and its parts."""
    rng = canvas.rng
    shape = rng.choice(
        np.array([_lump, _lobes, _box, _hollowed, _bowed], dtype=object),
        p=[0.3, 0.25, 0.1, 0.2, 0.15],
    )
    depth = shape(canvas, centre, radius)
    depth = _bumpy(canvas, depth, radius)
    if not (depth < 0).any():
        return
    number = canvas.new()
    canvas.paint(depth, _texture(canvas, canvas.tone()), number)
    parts: list[tuple[float, Callable[[_Canvas, Floats, int, float], None]]] = [
        (0.15, _core),
        (0.2, _inner_vessels),
        (0.25, _lesions),
        (0.1, _cavity),
    ]
    for share, part in parts:
        if rng.random() < share:
            part(canvas, depth, number, radius)


def _ellipsoid(place: Floats, centre: Points, axes: Points) -> Floats:
    """Return about the signed distance (cells) from an ellipsoid, negative inside."""
    k, j, i = (((p - c) / a) ** 2 for p, c, a in zip(place, centre, axes))
    reach = np.sqrt(k + j + i) - 1
    return np.asarray(reach * np.float32(np.min(axes)), np.float32)


def _axes(rng: Rng, radius: float) -> Points:
    """Return half-axes of about one mean; some shapes are long, some flat."""
    spread = np.exp(rng.normal(0, rng.choice([0.12, 0.35]), 3))
    return np.asarray(radius * spread / np.exp(np.log(spread).mean()))


def _turn(rng: Rng) -> Points:
    """Return a random rotation matrix."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return np.asarray(q * np.sign(np.diag(r)))


def _turned_place(canvas: _Canvas, centre: Points) -> Floats:
    """Return coordinates around ``centre``, turned at random."""
    away = canvas.place - np.asarray(centre, np.float32)[:, None, None, None]
    turn = _turn(canvas.rng).astype(np.float32)
    return np.asarray(np.tensordot(turn, away, (1, 0)))


def _lump(canvas: _Canvas, centre: Points, radius: float) -> Floats:
    place = _turned_place(canvas, centre)
    return _ellipsoid(place, np.zeros(3), _axes(canvas.rng, radius))


def _lobes(canvas: _Canvas, centre: Points, radius: float) -> Floats:
    """Return two to four ellipsoids that melt into each other."""
    rng, whole = canvas.rng, None
    for _ in range(int(rng.integers(2, 5))):
        middle = centre + rng.normal(0, 0.5, 3) * radius
        part = _lump(canvas, middle, radius * rng.uniform(0.4, 0.8))
        whole = part if whole is None else _melted(whole, part, 0.25 * radius)
    assert whole is not None
    return whole


def _melted(one: Floats, other: Floats, width: float) -> Floats:
    """Return the smooth minimum of two distances."""
    share = np.clip(0.5 + (other - one) / (2 * width), 0, 1)
    return np.asarray(other + (one - other) * share - width * share * (1 - share), np.float32)


def _box(canvas: _Canvas, centre: Points, radius: float) -> Floats:
    place, axes = _turned_place(canvas, centre), _axes(canvas.rng, 0.8 * radius)
    power = np.float32(canvas.rng.uniform(3, 8))
    reach = sum(np.abs(p / np.float32(a)) ** power for p, a in zip(place, axes)) ** (1 / power) - 1
    return np.asarray(reach * np.float32(np.min(axes)), np.float32)


def _hollowed(canvas: _Canvas, centre: Points, radius: float) -> Floats:
    """Return a lump out of which a bite is taken, as at a hilum."""
    rng = canvas.rng
    bite = centre + unit(rng) * radius * rng.uniform(0.7, 1.2)
    hole = _lump(canvas, bite, radius * rng.uniform(0.3, 0.7))
    return np.asarray(np.maximum(_lump(canvas, centre, radius), -hole), np.float32)


def _bowed(canvas: _Canvas, centre: Points, radius: float) -> Floats:
    """Return a sausage along an arc, like a pancreas, a bowel loop or a stomach."""
    rng = canvas.rng
    place = _turned_place(canvas, centre)
    bow, thick = radius * rng.uniform(0.6, 2.0), radius * rng.uniform(0.2, 0.5)
    angle = np.arctan2(place[1], place[0] + np.float32(bow))
    half = rng.uniform(0.6, 1.6) * radius / bow
    nearest = np.clip(angle, -half, half)
    along_k, along_j = bow * np.cos(nearest) - bow, bow * np.sin(nearest)
    away = np.sqrt((place[0] - along_k) ** 2 + (place[1] - along_j) ** 2 + place[2] ** 2)
    slim = 1 - rng.uniform(0, 0.5) * (nearest / half + 1) / 2
    return np.asarray(away - thick * slim, np.float32)


def _bumpy(canvas: _Canvas, depth: Floats, radius: float) -> Floats:
    rng = canvas.rng
    bumps = smooth_field(rng, canvas.size, float(np.clip(radius * rng.uniform(0.4, 1), 3, 30)))
    return np.asarray(depth + rng.uniform(0, 0.12) * radius * bumps, np.float32)


def _texture(canvas: _Canvas, level: float) -> Floats:
    """Return a level that varies: a gradient, grains, or patches."""
    rng, size = canvas.rng, canvas.size
    made = np.full((size,) * 3, level, np.float32)
    if rng.random() < 0.4:
        made += rng.uniform(0, 0.25) * smooth_field(rng, size, rng.uniform(15, 40))
    if rng.random() < 0.4:
        made += rng.uniform(0, 0.2) * smooth_field(rng, size, rng.uniform(2, 6))
    if rng.random() < 0.08:
        made += rng.uniform(0.2, 0.8) * (smooth_field(rng, size, rng.uniform(3, 8)) > 0.8)
    return made


# ---------------------------------------------------------------------------- parts


def _core(canvas: _Canvas, depth: Floats, number: int, radius: float) -> None:
    """Draw a rim of another level around the core: cortex of a kidney or a bone, wall."""
    thick = max(1.0, canvas.rng.uniform(0.08, 0.4) * radius)
    inner = np.asarray(depth + thick + 0.15 * radius * smooth_field(canvas.rng, canvas.size, 6))
    canvas.paint(inner.astype(np.float32), canvas.tone(), number)


def _inner_vessels(canvas: _Canvas, depth: Floats, number: int, radius: float) -> None:
    rng, size = canvas.rng, canvas.size
    style = TreeStyle(0.4, rng.uniform(0.2, 1.5), rng.uniform(5, 15))
    start, heading = entry(rng, size)
    tree = draw(grow(rng, start, heading, rng.uniform(0.6, 2.5), size, style), size)
    blend(canvas.image, tree.cover * (depth < 0), canvas.tone())


def _lesions(canvas: _Canvas, depth: Floats, number: int, radius: float) -> None:
    rng = canvas.rng
    inside = np.argwhere((depth < -0.1 * radius) & (canvas.owner == number))
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        if not len(inside):
            return
        k, j, i = inside[rng.integers(len(inside))]
        size = max(1.5, radius * rng.uniform(0.1, 0.5))
        lesion = _bumpy(canvas, _lump(canvas, canvas.place[:, k, j, i].astype(float), size), size)
        lesion = np.asarray(np.maximum(lesion, depth + 0.5) if rng.random() < 0.8 else lesion)
        own = canvas.new(number)
        canvas.paint(lesion.astype(np.float32), _texture(canvas, canvas.tone()), own)
        if rng.random() < 0.3:  # a rim, or a core that took no contrast
            _core(canvas, lesion, own, size)


def _cavity(canvas: _Canvas, depth: Floats, number: int, radius: float) -> None:
    """Draw a lumen with contents, and at times a level of gas in them."""
    rng = canvas.rng
    wall = max(1.0, rng.uniform(0.05, 0.3) * radius)
    inner = np.asarray(depth + wall, np.float32)
    own = canvas.new(number)
    canvas.paint(inner, _texture(canvas, canvas.tone()), own)
    if rng.random() < 0.4:
        gas = canvas.place[1] + rng.uniform(-0.5, 0.5) * canvas.size
        canvas.paint(np.maximum(inner, gas).astype(np.float32), rng.uniform(-6, -1), own)


# ---------------------------------------------------------------------------- surroundings


def _tree(canvas: _Canvas) -> None:
    """Draw a vessel, with a wall at times and often with a neighbour along it."""
    rng, size = canvas.rng, canvas.size
    radius = float(np.exp(rng.uniform(np.log(0.8), np.log(7))))
    style = TreeStyle(max(0.6, 0.3 * radius), rng.uniform(0, 1.2), rng.uniform(6, 40))
    start, heading = entry(rng, size)
    drawn = draw(grow(rng, start, heading, radius, size, style), size)
    number = canvas.new()
    if rng.random() < 0.3:
        canvas.paint(drawn.depth - np.float32(rng.uniform(0.5, 2)), canvas.tone(), number)
    canvas.paint(drawn.depth, _texture(canvas, canvas.tone()), number)
    if rng.random() < 0.15:
        _core(canvas, drawn.depth, number, radius)


def _sheet(canvas: _Canvas) -> None:
    """Draw a muscle, a diaphragm or a fascia."""
    rng, size = canvas.rng, canvas.size
    thick = rng.uniform(0.5, 4)
    bent = smooth_field(rng, size, rng.uniform(12, 30))
    along = _turned_place(canvas, rng.uniform(-0.4, 0.4, 3) * size)[0]
    depth = np.abs(along + rng.uniform(0, 4) * bent) - thick
    canvas.paint(depth.astype(np.float32), canvas.tone(), canvas.new(AROUND))


def _skin(canvas: _Canvas) -> None:
    """Draw skin, fat and air beyond a curved surface, with ribs at times."""
    rng, size = canvas.rng, canvas.size
    radius = rng.uniform(0.7, 3) * size
    centre = unit(rng) * (radius - rng.uniform(0.2, 0.48) * size)
    depth = _ellipsoid(canvas.place, centre, np.full(3, radius))
    fat, air = canvas.tone(), rng.uniform(-12, -3) * (rng.random() < 0.8)
    if rng.random() < 0.5:
        thick = rng.uniform(1, 5)
        ribs = np.abs(depth - thick) - rng.uniform(0.7, 2)
        gaps = smooth_field(rng, size, rng.uniform(3, 9)) - rng.uniform(-1, 0.8)
        bone = np.maximum(ribs, 2 * gaps).astype(np.float32)
        canvas.paint(bone, rng.uniform(1, 8), canvas.new())
        depth = np.asarray(depth - thick)
    canvas.paint((-depth).astype(np.float32), fat, canvas.new(AROUND))
    canvas.paint((rng.uniform(1, 5) - depth).astype(np.float32), air, canvas.new(AROUND))


# ---------------------------------------------------------------------------- picture


def _target(canvas: _Canvas) -> Mask | None:
    """Return one of the things, its parts with it, preferring those near the middle."""
    rng, size, shape = canvas.rng, canvas.size, canvas.owner.shape
    masks, weights = [], []
    for number in (n for n, parent in canvas.parent.items() if parent != AROUND):
        family = [n for n in canvas.parent if number in (n, canvas.parent[n])]
        whole, count = ndimage.label(np.isin(canvas.owner, family))
        if not count:
            continue
        sizes = np.bincount(whole.ravel())
        sizes[0] = 0
        best = int(np.argmax(sizes))
        if not LEAST_CELLS <= sizes[best] <= LARGEST_SHARE * size**3:
            continue
        mask = np.asarray(whole == best)
        box = bounding_block(mask)
        assert box is not None
        middle = [(s.start + s.stop - n) / 2 for s, n in zip(box, shape)]
        longest = max(s.stop - s.start for s in box) / size
        weights.append(np.exp(-((np.linalg.norm(middle) / (0.2 * size)) ** 2)) * longest + 1e-4)
        masks.append(mask)
    if not masks:
        return None
    chosen = rng.choice(len(masks), p=np.asarray(weights) / np.sum(weights))
    return masks[int(chosen)]


def _pictured(rng: Rng, image: Floats) -> Floats:
    """Return the scene as a scanner would show it."""
    size = len(image)
    image = scanned(rng, image)
    if rng.random() < 0.35:  # the shading of a coil
        image = image * np.exp(rng.uniform(0, 0.4) * smooth_field(rng, size, 40))
    noise = float(np.exp(rng.uniform(np.log(0.02), np.log(0.35))))
    white = rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.6:
        sigma = rng.uniform(0.4, 1.1)
        white = ndimage.gaussian_filter(white, sigma, truncate=2.5) * (1 + 4.0 * sigma**2)
    image = np.asarray(image + noise * white)
    if rng.random() < 0.08:  # rings or streaks
        axis = int(rng.integers(3))
        wave = rng.standard_normal(size).astype(np.float32) * rng.uniform(0.1, 0.4)
        image = image + np.moveaxis(np.broadcast_to(wave, image.shape), 2, axis)
    low = float(image.min())
    if rng.random() < 0.3:
        image = (image - low) ** rng.uniform(0.6, 1.5)
    return np.asarray(image * rng.uniform(20, 200), np.float32)
