"""The D3Q27 lattice: velocities, weights, and the collision of one cell in plain Python.

The collision is the cumulant one (Geier 2015, doi:10.1016/j.camwa.2015.05.001) with all rates
above second order, and the bulk rate, chosen so that those cumulants are zero afterwards: what
leaves a cell is a Gaussian of its mass, momentum and relaxed stress. The same functions are
compiled for a processor and for a graphics card; they hold no loop and no array. Below them
stand the passes over all cells for the processor; they share this file, because compiled code is
kept between runs until the file changes.

Populations are stored as deviations from their weights, which keeps single precision accurate
at small Mach numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Cell = Any  # a number of a compiled function: float32

# The direction number is (z + 1) * 9 + (y + 1) * 3 + (x + 1).
VELOCITIES: npt.NDArray[np.int64] = np.array(
    [(x, y, z) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)]
)
"""(27, 3) steps (x, y, z) in cells per time step."""

WEIGHTS: Floats = np.prod(np.where(VELOCITIES == 0, 2 / 3, 1 / 6), axis=1)
"""(27,) weights of the lattice; the square of its speed of sound is 1/3."""

OPPOSITE: npt.NDArray[np.int64] = np.arange(27)[::-1].copy()
"""(27,) direction number of the reverse velocity."""

REST = 13
"""Direction number of the velocity zero."""

# Literals would be double precision in a compiled function.
HALF, ONE, TWO, THIRD = np.float32(0.5), np.float32(1), np.float32(2), np.float32(1 / 3)


def forward(low: Cell, middle: Cell, high: Cell) -> tuple[Cell, Cell, Cell]:
    """Return the moments 0, 1 and 2 of three values at -1, 0 and 1."""
    return low + middle + high, high - low, low + high


def backward(zeroth: Cell, first: Cell, second: Cell) -> tuple[Cell, Cell, Cell]:
    """Return the values at -1, 0 and 1 that have these moments."""
    return HALF * (second - first), zeroth - second, HALF * (second + first)


def moments(f: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return density less one, momentum (x, y, z) and second moments xx, yy, zz, xy, xz, yz.

    The second moments are those of the deviations: a cell at rest has zeros throughout.
    """
    a, b, c = forward(f[0], f[1], f[2]), forward(f[3], f[4], f[5]), forward(f[6], f[7], f[8])
    low0 = forward(a[0], b[0], c[0])
    low1 = forward(a[1], b[1], c[1])
    low2 = a[2] + b[2] + c[2]
    a, b, c = (
        forward(f[9], f[10], f[11]),
        forward(f[12], f[13], f[14]),
        forward(f[15], f[16], f[17]),
    )
    mid0 = forward(a[0], b[0], c[0])
    mid1 = forward(a[1], b[1], c[1])
    mid2 = a[2] + b[2] + c[2]
    a, b, c = (
        forward(f[18], f[19], f[20]),
        forward(f[21], f[22], f[23]),
        forward(f[24], f[25], f[26]),
    )
    top0 = forward(a[0], b[0], c[0])
    top1 = forward(a[1], b[1], c[1])
    top2 = a[2] + b[2] + c[2]
    z0 = forward(low0[0], mid0[0], top0[0])
    z1 = forward(low1[0], mid1[0], top1[0])
    return (
        z0[0],
        z1[0],
        low0[1] + mid0[1] + top0[1],
        z0[1],
        low2 + mid2 + top2,
        low0[2] + mid0[2] + top0[2],
        z0[2],
        low1[1] + mid1[1] + top1[1],
        z1[1],
        top0[1] - low0[1],
    )


def gaussian(
    mean: tuple[Cell, Cell, Cell], covariance: tuple[Cell, Cell, Cell, Cell, Cell, Cell]
) -> tuple[Cell, ...]:
    """Return the 27 populations of unit mass whose raw moments are those of a Gaussian.

    ``covariance`` is xx, yy, zz, xy, xz, yz. Moments of higher order follow by E[x g(x)] =
    mean E[g] + covariance E[g'] (Isserlis).
    """
    x, y, z = mean
    kxx, kyy, kzz, kxy, kxz, kyz = covariance
    xx, yy, zz = kxx + x * x, kyy + y * y, kzz + z * z
    xy, xz, yz = kxy + x * y, kxz + x * z, kyz + y * z
    xxy, xxz = xx * y + TWO * kxy * x, xx * z + TWO * kxz * x
    yyx, yyz = yy * x + TWO * kxy * y, yy * z + TWO * kyz * y
    zzx, zzy = zz * x + TWO * kxz * z, zz * y + TWO * kyz * z
    xyz = xy * z + kxz * y + kyz * x
    xxyy = xx * yy + TWO * kxy * (kxy + TWO * x * y)
    xxzz = xx * zz + TWO * kxz * (kxz + TWO * x * z)
    yyzz = yy * zz + TWO * kyz * (kyz + TWO * y * z)
    xxyz = xx * yz + TWO * (kxy * kxz + x * (kxy * z + kxz * y))
    yyxz = yy * xz + TWO * (kxy * kyz + y * (kxy * z + kyz * x))
    zzxy = zz * xy + TWO * (kxz * kyz + z * (kxz * y + kyz * x))
    xxyyz = z * xxyy + TWO * (kxz * yyx + kyz * xxy)
    xxzzy = y * xxzz + TWO * (kxy * zzx + kyz * xxz)
    yyzzx = x * yyzz + TWO * (kxy * zzy + kxz * yyz)
    xxyyzz = z * xxyyz + kzz * xxyy + TWO * (kxz * yyxz + kyz * xxyz)
    # Moments of x alone first, for each power of y and z.
    a0, b0, c0 = backward(ONE, x, xx), backward(y, xy, xxy), backward(yy, yyx, xxyy)
    a1, b1, c1 = backward(z, xz, xxz), backward(yz, xyz, xxyz), backward(yyz, yyxz, xxyyz)
    a2, b2, c2 = backward(zz, zzx, xxzz), backward(zzy, zzxy, xxzzy), backward(yyzz, yyzzx, xxyyzz)
    low, mid, top = plane(a0, b0, c0), plane(a1, b1, c1), plane(a2, b2, c2)
    return along_z(low, mid, top)


def plane(
    a: tuple[Cell, Cell, Cell], b: tuple[Cell, Cell, Cell], c: tuple[Cell, Cell, Cell]
) -> tuple[Cell, ...]:
    """Return nine values, x fastest, from the moments 0, 1 and 2 along y of three values."""
    p, q, r = backward(a[0], b[0], c[0]), backward(a[1], b[1], c[1]), backward(a[2], b[2], c[2])
    return p[0], q[0], r[0], p[1], q[1], r[1], p[2], q[2], r[2]


def along_z(a: tuple[Cell, ...], b: tuple[Cell, ...], c: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return 27 values, x fastest, from the moments 0, 1 and 2 along z of nine values."""
    p0, p1, p2 = backward(a[0], b[0], c[0]), backward(a[1], b[1], c[1]), backward(a[2], b[2], c[2])
    p3, p4, p5 = backward(a[3], b[3], c[3]), backward(a[4], b[4], c[4]), backward(a[5], b[5], c[5])
    p6, p7, p8 = backward(a[6], b[6], c[6]), backward(a[7], b[7], c[7]), backward(a[8], b[8], c[8])
    low = (p0[0], p1[0], p2[0], p3[0], p4[0], p5[0], p6[0], p7[0], p8[0])
    mid = (p0[1], p1[1], p2[1], p3[1], p4[1], p5[1], p6[1], p7[1], p8[1])
    top = (p0[2], p1[2], p2[2], p3[2], p4[2], p5[2], p6[2], p7[2], p8[2])
    return low + mid + top


def collide(
    f: tuple[Cell, ...], omega: Cell, force: tuple[Cell, Cell, Cell], source: Cell
) -> tuple[Cell, tuple[Cell, ...]]:
    """Return the density and the 27 populations of unit mass after a collision.

    ``omega`` is the relaxation rate 1 / tau, ``force`` an acceleration and ``source`` a
    density that is added, all in lattice units.
    """
    m = moments(f)
    rho = m[0] + ONE
    share = ONE / rho
    x, y, z = m[1] * share, m[2] * share, m[3] * share
    keep = ONE - omega
    # The deviations leave out the moment 1/3 of a cell at rest.
    covariance = (
        THIRD + keep * ((m[4] + THIRD) * share - x * x - THIRD),
        THIRD + keep * ((m[5] + THIRD) * share - y * y - THIRD),
        THIRD + keep * ((m[6] + THIRD) * share - z * z - THIRD),
        keep * (m[7] * share - x * y),
        keep * (m[8] * share - x * z),
        keep * (m[9] * share - y * z),
    )
    mean = (x + force[0], y + force[1], z + force[2])
    return rho + source, gaussian(mean, covariance)


def compiled(jit: Callable[[Any], Any]) -> SimpleNamespace:
    """Return ``moments``, ``gaussian`` and ``collide`` compiled by ``jit``.

    The same source serves a processor (numba.njit) and a graphics card (numba.cuda.jit).
    """
    names = dict(globals())
    for name in ("forward", "backward", "plane", "along_z", "moments", "gaussian", "collide"):
        plain = names[name]
        names[name] = jit(FunctionType(plain.__code__, names, name))
    return SimpleNamespace(**{name: names[name] for name in ("moments", "gaussian", "collide")})


LANES = 32
"""Cells of a block: the populations of one direction of a block are neighbours in memory."""
BLOCK = 27 * LANES


def _for_processor(function: Any) -> Any:
    return numba.njit(fastmath=True, error_model="numpy", nogil=True, cache=True)(function)


def _inlined(function: Any) -> Any:
    return numba.njit(fastmath=True, error_model="numpy", forceinline=True)(function)


def _in_parallel(function: Any) -> Any:
    return numba.njit(parallel=True, nogil=True, cache=True)(function)


_PROCESSOR = compiled(_inlined)
_collide, _moments = _PROCESSOR.collide, _PROCESSOR.moments
_WEIGHTS = tuple(WEIGHTS.astype(np.float32))


@_inlined
def _load(a: Any, i: Any) -> Any:
    """Return the 27 populations of lane ``i`` of a block."""
    return (
        a[i + 0 * LANES],
        a[i + 1 * LANES],
        a[i + 2 * LANES],
        a[i + 3 * LANES],
        a[i + 4 * LANES],
        a[i + 5 * LANES],
        a[i + 6 * LANES],
        a[i + 7 * LANES],
        a[i + 8 * LANES],
        a[i + 9 * LANES],
        a[i + 10 * LANES],
        a[i + 11 * LANES],
        a[i + 12 * LANES],
        a[i + 13 * LANES],
        a[i + 14 * LANES],
        a[i + 15 * LANES],
        a[i + 16 * LANES],
        a[i + 17 * LANES],
        a[i + 18 * LANES],
        a[i + 19 * LANES],
        a[i + 20 * LANES],
        a[i + 21 * LANES],
        a[i + 22 * LANES],
        a[i + 23 * LANES],
        a[i + 24 * LANES],
        a[i + 25 * LANES],
        a[i + 26 * LANES],
    )


@_inlined
def _store(a: Any, i: Any, rho: Any, f: Any, w: Any) -> Any:
    """Write the 27 populations of lane ``i`` of a block, less their weights."""
    a[i + 0 * LANES] = rho * f[0] - w[0]
    a[i + 1 * LANES] = rho * f[1] - w[1]
    a[i + 2 * LANES] = rho * f[2] - w[2]
    a[i + 3 * LANES] = rho * f[3] - w[3]
    a[i + 4 * LANES] = rho * f[4] - w[4]
    a[i + 5 * LANES] = rho * f[5] - w[5]
    a[i + 6 * LANES] = rho * f[6] - w[6]
    a[i + 7 * LANES] = rho * f[7] - w[7]
    a[i + 8 * LANES] = rho * f[8] - w[8]
    a[i + 9 * LANES] = rho * f[9] - w[9]
    a[i + 10 * LANES] = rho * f[10] - w[10]
    a[i + 11 * LANES] = rho * f[11] - w[11]
    a[i + 12 * LANES] = rho * f[12] - w[12]
    a[i + 13 * LANES] = rho * f[13] - w[13]
    a[i + 14 * LANES] = rho * f[14] - w[14]
    a[i + 15 * LANES] = rho * f[15] - w[15]
    a[i + 16 * LANES] = rho * f[16] - w[16]
    a[i + 17 * LANES] = rho * f[17] - w[17]
    a[i + 18 * LANES] = rho * f[18] - w[18]
    a[i + 19 * LANES] = rho * f[19] - w[19]
    a[i + 20 * LANES] = rho * f[20] - w[20]
    a[i + 21 * LANES] = rho * f[21] - w[21]
    a[i + 22 * LANES] = rho * f[22] - w[22]
    a[i + 23 * LANES] = rho * f[23] - w[23]
    a[i + 24 * LANES] = rho * f[24] - w[24]
    a[i + 25 * LANES] = rho * f[25] - w[25]
    a[i + 26 * LANES] = rho * f[26] - w[26]


@_for_processor
def _collide_block(given: Any, left: Any, omega: Any, force: Any, source: Any) -> Any:
    """Collide one block of populations; the loop becomes vector instructions."""
    for lane in range(LANES):
        rho, f = _collide(_load(given, lane), omega, force, source)
        _store(left, lane, rho, f, _WEIGHTS)


@_in_parallel
def step_cells(
    now: Any, after: Any, pull: Any, omega: Any, force: Any, source: Any, parts: Any
) -> Any:
    """Stream and collide all blocks, in ``parts`` runs that may go in parallel."""
    blocks = len(pull) // BLOCK
    for part in numba.prange(parts):
        given = np.empty(BLOCK, np.float32)
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            start = block * BLOCK
            for n in range(BLOCK):
                given[n] = now[pull[start + n]]
            _collide_block(given, after[start : start + BLOCK], omega, force, source)


@_for_processor
def walls(now: Any, size: Any, sources: Any, factors: Any, added: Any, is_wall: Any) -> Any:
    """Fill the incoming values of walls and inlets; return the mass that the walls gained."""
    gained = 0.0
    for n in range(sources.shape[1]):
        value = added[n]
        for k in range(3):
            value += factors[k, n] * now[sources[k, n]]
        now[size + n] = value
        if is_wall[n]:
            gained += value - now[sources[0, n]]
    return gained


@_for_processor
def _pulled(now: Any, pull: Any, cell: Any) -> Any:
    """Return the 27 populations that a cell receives."""
    given = np.empty(BLOCK, np.float32)
    start = (cell // LANES) * BLOCK
    for q in range(27):
        given[q * LANES] = now[pull[start + q * LANES + cell % LANES]]
    return _load(given, 0)


@_for_processor
def outlets(now: Any, size: Any, links: Any, sources: Any, factors: Any, shift: Any) -> Any:
    """Fill the incoming values of an outlet from populations inside, shifted in density."""
    for n in range(len(links)):
        value = shift[n]
        for k in range(sources.shape[0]):
            value += factors[k, n] * now[sources[k, n]]
        now[size + links[n]] = value


@_in_parallel
def fields(now: Any, pull: Any, omega: Any, cells: Any, out: Any) -> Any:
    """Write density less one, velocity (3) and viscous stress (6) of each cell, lattice units."""
    for cell in numba.prange(cells):
        m = _moments(_pulled(now, pull, cell))
        rho = m[0] + ONE
        x, y, z = m[1] / rho, m[2] / rho, m[3] / rho
        share = -(ONE - omega / np.float32(2))
        out[0, cell] = m[0]
        out[1, cell], out[2, cell], out[3, cell] = x, y, z
        out[4, cell] = share * (m[4] - m[0] * THIRD - rho * x * x)
        out[5, cell] = share * (m[5] - m[0] * THIRD - rho * y * y)
        out[6, cell] = share * (m[6] - m[0] * THIRD - rho * z * z)
        out[7, cell] = share * (m[7] - rho * x * y)
        out[8, cell] = share * (m[8] - rho * x * z)
        out[9, cell] = share * (m[9] - rho * y * z)
