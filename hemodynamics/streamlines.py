"""Streamlines: lines along the velocity of one moment. LPS mm, m/s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from hemodynamics.field import Field
from hemodynamics.flow_result import FlowResult
from meshing.lumen import boundary_loops, opening_of

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

STEP = 0.5  # of a cell that a line goes on at once
LEAST_SPEED = 1e-3  # of the fastest cell; slower blood stands still
LEAST_INSIDE = 0.05  # share of lumen around a point that a line needs to go on
ROUNDS = 1.0  # how often a line may run the three sides of all cells' box
GOLDEN = np.pi * (3 - np.sqrt(5))  # an angle that spreads points evenly, after Vogel 1979


@dataclass(frozen=True, eq=False)
class Streamline:
    """Points (n, 3) along the flow, LPS mm, and the speed there (n,) in m/s."""

    points_mm: Floats
    speed_m_s: Floats


def streamlines(
    field: Field, velocity_m_s: Singles, seeds_mm: Floats, *, upstream: bool = True
) -> list[Streamline]:
    """Return the line through each seed (m, 3) that lies in the lumen, downstream.

    ``velocity_m_s`` (cells, 3) is that of one moment. Lines are followed by the classical
    Runge-Kutta method of fourth order in steps of half a cell, both ways or only with the
    flow, until they leave the lumen or blood stands still.
    """
    seeds = seeds_mm[field.at(seeds_mm).inside > 0.5]
    rounds = ROUNDS / 2 if upstream else ROUNDS
    ahead = _followed(field, velocity_m_s, seeds, 1.0, rounds)
    behind = [line[:1] for line in ahead]
    if upstream:
        behind = _followed(field, velocity_m_s, seeds, -1.0, rounds)
    lines = [np.concatenate([b[:0:-1], a]) for a, b in zip(ahead, behind)]
    lines = [line for line in lines if len(line) > 2]
    if not lines:
        return []
    speed = np.linalg.norm(field.at(np.concatenate(lines)).of(velocity_m_s), axis=1)
    ends = np.cumsum([len(line) for line in lines])[:-1]
    return [Streamline(line, part) for line, part in zip(lines, np.split(speed, ends))]


def _followed(
    field: Field, velocity: Singles, seeds: Floats, way: float, rounds: float
) -> list[Floats]:
    """Return the points of each line from its seed on, with the flow or (-1) against it."""
    still = LEAST_SPEED * float(np.linalg.norm(velocity, axis=1).max())
    most = int(rounds * np.ptp(field.box_mm, axis=0).sum() / field.spacing_mm / STEP) + 2
    trail = np.empty((len(seeds), most, 3))
    counts = np.empty(len(seeds), np.int64)
    _walk(
        field.table, np.ascontiguousarray(field.box_mm[0]), field.spacing_mm,
        np.array(velocity, np.float32), np.array(seeds, np.float64), way * STEP, still, trail,
        counts,
    )  # fmt: skip
    return [line[:count].copy() for line, count in zip(trail, counts.tolist())]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _direction(table: Any, velocity: Any, spot: Any, still: float, out: Any) -> bool:
    """Write the direction of flow at a place in cells; False outside or where blood stands."""
    for axis in range(3):
        out[axis] = 0.0
        if not 0 <= spot[axis] < table.shape[axis] - 1:
            return False
    i, j, k = int(spot[0]), int(spot[1]), int(spot[2])
    inside = 0.0
    for di in range(2):
        for dj in range(2):
            for dk in range(2):
                cell = table[i + di, j + dj, k + dk]
                if cell >= 0:
                    x, y, z = spot[0] - i, spot[1] - j, spot[2] - k
                    share = (x if di else 1 - x) * (y if dj else 1 - y) * (z if dk else 1 - z)
                    inside += share
                    for axis in range(3):
                        out[axis] += share * velocity[cell, axis]
    speed = np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    if inside <= LEAST_INSIDE or not speed > still:
        return False
    for axis in range(3):
        out[axis] /= speed
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _walk(
    table: Any, low: Any, spacing: float, velocity: Any, seeds: Any,
    step: float, still: float, trail: Any, counts: Any,
) -> None:  # fmt: skip
    """Follow each seed by the classical Runge-Kutta method, in units of cells."""
    slopes = np.zeros((4, 3))
    spot, at = np.empty(3), np.empty(3)
    shares = (0.0, 0.5, 0.5, 1.0)
    for n in range(len(seeds)):
        for axis in range(3):
            at[axis] = (seeds[n, axis] - low[axis]) / spacing
            trail[n, 0, axis] = seeds[n, axis]
        taken, going = 1, True
        while taken < trail.shape[1]:
            for k in range(4):
                for axis in range(3):
                    spot[axis] = at[axis] + shares[k] * step * slopes[max(k - 1, 0), axis]
                going = going and _direction(table, velocity, spot, still, slopes[k])
            if not going:
                break
            for axis in range(3):
                middle = slopes[1, axis] + slopes[2, axis]
                at[axis] += step / 6 * (slopes[0, axis] + 2 * middle + slopes[3, axis])
                trail[n, taken, axis] = low[axis] + spacing * at[axis]
            taken += 1
        counts[n] = taken


def disc_seeds(centre_mm: Floats, normal: Floats, radius_mm: float, count: int) -> Floats:
    """Return points spread evenly over a disc (count, 3)."""
    u = np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])
    u /= np.linalg.norm(u)
    v = np.cross(normal, u)
    n = np.arange(count)
    away, turn = radius_mm * np.sqrt((n + 0.5) / count), GOLDEN * n
    spread = np.cos(turn)[:, None] * u + np.sin(turn)[:, None] * v
    return np.asarray(centre_mm + away[:, None] * spread)


def ball_seeds(centre_mm: Floats, radius_mm: float, count: int) -> Floats:
    """Return points spread evenly over a ball (count, 3)."""
    n = np.arange(count)
    height, turn = 1 - 2 * (n + 0.5) / count, GOLDEN * n
    ring = np.sqrt(1 - height**2)
    shell = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    away = radius_mm * ((n * 0.618034 + 0.5) % 1) ** (1 / 3)
    return np.asarray(centre_mm + away[:, None] * shell)


def inlet_seeds(flow: FlowResult, field: Field, count: int) -> Floats:
    """Return points spread over the openings where blood enters on average (m, 3).

    Each opening gets its share of ``count`` by the flow through it.
    """
    mean = flow.velocity_m_s.mean(axis=0)
    found = []
    for loop in boundary_loops(flow.wall.triangles):
        opening = opening_of(flow.wall.points_mm, loop)
        middle = opening.centre_mm - 1.5 * flow.spacing_mm * opening.normal
        spots = disc_seeds(middle, opening.normal, opening.radius_mm, count)
        places = field.at(spots)
        entering = -float((places.of(mean) @ opening.normal).mean()) * opening.radius_mm**2
        if entering > 0:
            found.append((entering, opening, spots[places.inside > 0.5]))
    whole = sum(entering for entering, *_ in found)
    parts = [
        spots[np.linspace(0, len(spots) - 1, max(round(count * part / whole), 1)).astype(int)]
        for part, _, spots in found
        if len(spots)
    ]
    return np.concatenate(parts) if parts else lumen_seeds(flow, count)


def lumen_seeds(flow: FlowResult, count: int) -> Floats:
    """Return cells spread over the whole lumen (count or fewer, 3)."""
    step = max(len(flow.cells_mm) // max(count, 1), 1)
    return np.asarray(flow.cells_mm[step // 2 :: step][:count])
