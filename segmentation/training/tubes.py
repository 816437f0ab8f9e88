"""Branching tubes and sacs, and their drawing onto a voxel grid with partial volume.

Everything here is in voxels of one isotropic grid, indexed ``[k, j, i]``. A tube is a row
``(k0, j0, i0, r0, k1, j1, i1, r1, level)``: a cone with round ends from one point and radius to
another, whose content has the relative brightness ``level``. A ball is a tube of no length.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Rng = np.random.Generator

FAR = 1e3  # voxels; no tube is near
LEAST_DRAWN = 0.6  # a tube thinner than this is labelled as if it had this radius, in voxels
MURRAY = 3.0  # r^3 = r1^3 + r2^3: Murray, PNAS 12 (1926) 207-214
ROWS = 900  # enough for any patch; keeps a tree from growing without end


@dataclass(frozen=True)
class TreeStyle:
    """How a tree grows; radii in voxels.

    Attributes:
        least_radius: branches end when thinner than this.
        tortuosity: how strongly a branch winds; 0 is straight.
        branching: mean length between bifurcations, in radii.
        decay: loss of brightness per voxel of way (saturation of inflowing blood).
        stenosis: probability that a branch is narrowed.
        sac: probability that a bifurcation or branch carries a sac.
    """

    least_radius: float
    tortuosity: float
    branching: float
    decay: float = 0.0
    stenosis: float = 0.0
    sac: float = 0.0


@dataclass(frozen=True, eq=False)
class Drawing:
    """Tubes on a grid, each array [k, j, i].

    Attributes:
        depth: signed distance to the nearest wall in voxels, negative inside, `FAR` far away.
        cover: the share (0 to 1) of each voxel that lies inside.
        level: brightness of the nearest tube.
        label: 1 inside.
    """

    depth: Floats
    cover: Floats
    level: Floats
    label: npt.NDArray[np.uint8]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _paint(
    tubes: Points, depth: Floats, cover: Floats, level: Floats, label: npt.NDArray[np.uint8]
) -> None:
    """Draw round cones; halo of three voxels around each."""
    nk, nj, ni = depth.shape
    for n in range(tubes.shape[0]):
        k0, j0, i0, r0, k1, j1, i1, r1, bright = tubes[n]
        reach = max(r0, r1) + 3.0
        vk, vj, vi = k1 - k0, j1 - j0, i1 - i0
        length2 = vk * vk + vj * vj + vi * vi
        for k in range(max(0, int(min(k0, k1) - reach)), min(nk, int(max(k0, k1) + reach) + 2)):
            for j in range(max(0, int(min(j0, j1) - reach)), min(nj, int(max(j0, j1) + reach) + 2)):
                for i in range(
                    max(0, int(min(i0, i1) - reach)), min(ni, int(max(i0, i1) + reach) + 2)
                ):
                    t = 0.0
                    if length2 > 0:
                        t = ((k - k0) * vk + (j - j0) * vj + (i - i0) * vi) / length2
                        t = min(max(t, 0.0), 1.0)
                    dk, dj, di = k - k0 - t * vk, j - j0 - t * vj, i - i0 - t * vi
                    radius = r0 + t * (r1 - r0)
                    away = np.sqrt(dk * dk + dj * dj + di * di)
                    if away < max(radius, LEAST_DRAWN):
                        label[k, j, i] = 1
                    away -= radius
                    if away < depth[k, j, i]:
                        depth[k, j, i] = away
                        level[k, j, i] = bright
                    share = min(max(0.5 - away, 0.0), 1.0) * min(1.0, 2.2 * radius * radius)
                    cover[k, j, i] = max(cover[k, j, i], share)


def draw(tubes: Points, size: int) -> Drawing:
    """Draw ``tubes``, shape (n, 9), onto an empty grid of ``size`` voxels a side."""
    shape = (size, size, size)
    depth, level = np.full(shape, FAR, np.float32), np.ones(shape, np.float32)
    cover, label = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    if len(tubes):
        _paint(np.ascontiguousarray(tubes, np.float64), depth, cover, level, label)
    return Drawing(depth, cover, level, label)


def unit(rng: Rng) -> Points:
    """Return a random direction (k, j, i)."""
    vector = rng.standard_normal(3)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6))


def across(rng: Rng, heading: Points) -> Points:
    """Return a random direction at right angles to ``heading``."""
    vector = rng.standard_normal(3)
    vector -= heading * float(vector @ heading)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6))


def entry(rng: Rng, size: int) -> tuple[Points, Points]:
    """Return a point near the grid's surface or inside it, and a heading through the grid."""
    target = rng.uniform(0.25, 0.75, 3) * size
    start = target - unit(rng) * size * rng.uniform(0.3, 0.8)
    start = np.clip(start, -3.0, size + 2.0)
    heading = target - start
    return start, np.asarray(heading / max(float(np.linalg.norm(heading)), 1e-6))


def grow(
    rng: Rng, start: Points, heading: Points, radius: float, size: int, style: TreeStyle
) -> Points:
    """Grow one tree from ``start`` and return its tubes, shape (n, 9)."""
    rows: list[tuple[float, ...]] = []
    tips = [(start, heading, radius, 1.0)]
    while tips and len(rows) < ROWS:
        point, heading, radius, level = tips.pop(0)
        path, heading, level = _branch(rng, point, heading, radius, level, size, style)
        rows += [(*a[:4], *b[:4], b[4]) for a, b in pairwise(path)]
        end, radius = np.asarray(path[-1][:3]), path[-1][3]
        if len(path) > 3 and rng.random() < style.sac:
            rows += sac(rng, path, terminal=bool(rng.random() < 0.5), heading=heading)
        if not _inside(end, size, radius + 4) or radius < style.least_radius:
            continue
        tips += _children(rng, end, heading, radius, level)
    return np.asarray(rows, np.float64).reshape(-1, 9)


def _branch(
    rng: Rng,
    point: Points,
    heading: Points,
    radius: float,
    level: float,
    size: int,
    style: TreeStyle,
) -> tuple[list[tuple[float, ...]], Points, float]:
    """Walk one branch; return its stations (k, j, i, radius, level), last heading and level."""
    step = max(1.2, 0.6 * radius)
    count = int(np.clip(style.branching * radius * rng.uniform(0.4, 1.6), 8, 90) / step) + 2
    taper = rng.uniform(0.8, 1.0) ** (1 / count)
    waist, depth = rng.integers(1, count), rng.uniform(0.3, 0.8) * (rng.random() < style.stenosis)
    wobble = rng.normal(0, 0.06, count)
    bend, turn = across(rng, heading), rng.standard_normal((count, 3))
    path = [(*point, radius, level)]
    for n in range(count):
        bend = 0.85 * bend + 0.5 * turn[n]
        heading = heading + style.tortuosity * bend * step / (2.0 * radius + 6.0)
        heading = heading / np.sqrt(heading @ heading)
        point = point + heading * step
        radius = radius * taper
        level = level * (1 - style.decay) ** step
        narrow = 1 - depth * np.exp(-(((n - waist) * step / (1.5 * radius + 1)) ** 2))
        path.append((*point, radius * narrow * (1 + wobble[n]), level))
        if not _inside(point, size, radius + 6):
            break
    return path, heading, level


def _inside(point: Points, size: int, margin: float) -> bool:
    return bool(point.min() > -margin and point.max() < size + margin)


def _children(
    rng: Rng, point: Points, heading: Points, radius: float, level: float
) -> list[tuple[Points, Points, float, float]]:
    """Return the two branches after a bifurcation: radii after Murray, angles by thickness."""
    share = rng.uniform(0.5, 0.95)
    side = across(rng, heading)
    children = []
    for part, sign in ((share, 1.0), (1 - share, -1.0)):
        spread = sign * (1.1 - part) * rng.uniform(0.5, 1.4)
        way = np.cos(spread) * heading + np.sin(spread) * side
        children.append((point, way, radius * part ** (1 / MURRAY), level))
    return children


def sac(
    rng: Rng, path: list[tuple[float, ...]], *, terminal: bool, heading: Points
) -> list[tuple[float, ...]]:
    """Return the balls of an aneurysm on a branch: at its end or on its side, often lobulated."""
    station = path[-1] if terminal else path[int(rng.integers(1, len(path)))]
    point, radius, level = np.asarray(station[:3]), station[3], station[4]
    way = heading if terminal else across(rng, heading)
    dome = float(np.clip(radius * np.exp(rng.uniform(-0.4, 1.4)), 1.0, 22.0))
    level = level * rng.uniform(0.55, 1.05)
    centre = point + way * (radius * 0.6 + dome * rng.uniform(0.5, 0.95))
    stretch = unit(rng) * dome * rng.uniform(0, 0.6)
    balls: list[tuple[float, ...]] = [
        (*(centre - stretch), dome * 0.9, *(centre + stretch), dome * rng.uniform(0.7, 1), level)
    ]
    neck = rng.uniform(0.4, 0.9) * min(dome, 1.5 * radius)
    balls.append((*point, neck, *centre, neck, level))
    for _ in range(int(rng.integers(0, 4))):
        lobe = dome * rng.uniform(0.3, 0.7)
        middle = centre + unit(rng) * dome * rng.uniform(0.6, 1.0)
        balls.append((*middle, lobe, *middle, lobe, level))
    return balls


def ring(rng: Rng, size: int, radius: float) -> tuple[Points, Points]:
    """Return the tubes of a closed, uneven ring (a circle of Willis) and its stations (n, 3)."""
    centre = size * rng.uniform(0.3, 0.7, 3)
    normal = unit(rng)
    a = across(rng, normal)
    b = np.cross(normal, a)
    angle = np.linspace(0, 2 * np.pi, 29)
    wide = rng.uniform(8, 20) * (1 + 0.25 * np.sin(angle * 2 + rng.uniform(0, 6)))
    lift = rng.normal(0, 2.5) * np.sin(angle + rng.uniform(0, 6))
    points = centre + np.outer(wide * np.cos(angle), a) + np.outer(wide * np.sin(angle), b)
    points += np.outer(lift, normal) + np.outer(rng.uniform(0, 3) * np.sin(angle * 3), normal)
    thick = radius * np.exp(0.35 * np.sin(angle + rng.uniform(0, 6)))
    rows = [
        (*points[n], thick[n], *points[n + 1], thick[n + 1], 1.0) for n in range(len(points) - 1)
    ]
    return np.asarray(rows), points


def beside(rng: Rng, tubes: Points, gap: float) -> Points:
    """Return a copy of ``tubes`` that runs along them at ``gap`` voxels between the walls."""
    way = unit(rng)
    scale = rng.uniform(0.7, 1.4)
    shift = way * (float(np.median(tubes[:, 3])) * (1 + scale) + gap)
    copy = tubes.copy()
    copy[:, 0:3] += shift
    copy[:, 4:7] += shift
    copy[:, [3, 7]] *= scale
    return copy
