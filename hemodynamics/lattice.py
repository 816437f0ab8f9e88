"""The D3Q27 lattice: velocities, weights, and the collision of one cell in plain Python.

The collision is the cumulant one (Geier 2015, doi:10.1016/j.camwa.2015.05.001). Cumulants of
second order are relaxed by the viscosity, those of third order so that the error of momentum
which moves along with the flow is least (see `MAGIC`), and those above are zero afterwards. The
same functions are compiled for a processor and for a graphics card; they hold no loop. The passes
over all cells stand in `hemodynamics.cell_passes`, those over links in `hemodynamics.link_passes`.

Populations are stored as deviations from their weights, which keeps single precision accurate
at small Mach numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from types import FunctionType, SimpleNamespace
from typing import Any

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
THREE, FOUR = np.float32(3), np.float32(4)

MAGIC = np.float32(1 / 12)
"""(tau - 1/2) (tau' - 1/2), with tau' the relaxation time of third order: of linear schemes this
has no error of third order where a flow carries momentum (d'Humieres and Ginzburg 2009,
doi:10.1016/j.camwa.2009.02.008). With tau' = 1 layers of fast flow wear off too early: with six to
ten cells to the radius of its artery a sac's speed was off by 7 percent, in the mean of ten
spacings, where it now is by 2."""

LIMIT = np.float32(0.001)
"""Cumulants of third order and unit mass that are much larger than this do not last, as with tau' =
1 (Geier 2017, doi:10.1016/j.jcp.2017.05.040), since slow rates alone are unstable. With ten times
as much, coarse flows in real aneurysms blew up in bends; with this they bear what they bore with
tau' = 1, and most of the gain is kept."""


def forward(low: Cell, middle: Cell, high: Cell) -> tuple[Cell, Cell, Cell]:
    """Return the moments 0, 1 and 2 of three values at -1, 0 and 1."""
    return low + middle + high, high - low, low + high


def backward(zeroth: Cell, first: Cell, second: Cell) -> tuple[Cell, Cell, Cell]:
    """Return the values at -1, 0 and 1 that have these moments."""
    return HALF * (second - first), zeroth - second, HALF * (second + first)


def moments(f: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return density less one, momentum (x, y, z) and moments of second and third order.

    They are xx, yy, zz, xy, xz, yz and xxy, xxz, yyx, yyz, zzx, zzy, xyz, all of the deviations:
    a cell at rest has zeros throughout.
    """
    a, b, c = forward(f[0], f[1], f[2]), forward(f[3], f[4], f[5]), forward(f[6], f[7], f[8])
    low0 = forward(a[0], b[0], c[0])
    low1 = forward(a[1], b[1], c[1])
    low2 = forward(a[2], b[2], c[2])
    a, b, c = (
        forward(f[9], f[10], f[11]),
        forward(f[12], f[13], f[14]),
        forward(f[15], f[16], f[17]),
    )
    mid0 = forward(a[0], b[0], c[0])
    mid1 = forward(a[1], b[1], c[1])
    mid2 = forward(a[2], b[2], c[2])
    a, b, c = (
        forward(f[18], f[19], f[20]),
        forward(f[21], f[22], f[23]),
        forward(f[24], f[25], f[26]),
    )
    top0 = forward(a[0], b[0], c[0])
    top1 = forward(a[1], b[1], c[1])
    top2 = forward(a[2], b[2], c[2])
    z0 = forward(low0[0], mid0[0], top0[0])
    z1 = forward(low1[0], mid1[0], top1[0])
    return (
        z0[0],
        z1[0],
        low0[1] + mid0[1] + top0[1],
        z0[1],
        low2[0] + mid2[0] + top2[0],
        low0[2] + mid0[2] + top0[2],
        z0[2],
        low1[1] + mid1[1] + top1[1],
        z1[1],
        top0[1] - low0[1],
        low2[1] + mid2[1] + top2[1],
        top2[0] - low2[0],
        low1[2] + mid1[2] + top1[2],
        top0[2] - low0[2],
        low1[0] + top1[0],
        low0[1] + top0[1],
        top1[1] - low1[1],
    )


def of_cumulants(
    mean: tuple[Cell, Cell, Cell], second: tuple[Cell, ...], third: tuple[Cell, ...]
) -> tuple[Cell, ...]:
    """Return the 27 populations of unit mass that have these cumulants, and none above them.

    ``second`` is xx, yy, zz, xy, xz, yz and ``third`` xxy, xxz, yyx, yyz, zzx, zzy, xyz. The raw
    moments are sums over all ways to part their factors into cumulants; the ways without a third
    one follow by E[x g(x)] = mean E[g] + covariance E[g'] (Isserlis).
    """
    x, y, z = mean
    kxx, kyy, kzz, kxy, kxz, kyz = second
    cxxy, cxxz, cyyx, cyyz, czzx, czzy, cxyz = third
    xx, yy, zz = kxx + x * x, kyy + y * y, kzz + z * z
    xy, xz, yz = kxy + x * y, kxz + x * z, kyz + y * z
    # A Gaussian's
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
    # and what third cumulants add, in pairs last.
    xxyyzz += TWO * (
        cxxy * (zzy + HALF * czzy) + cxxz * (yyz + HALF * cyyz) + cyyx * (zzx + HALF * czzx)
        + cyyz * (xxz + HALF * cxxz) + czzx * (yyx + HALF * cyyx) + czzy * (xxy + HALF * cxxy)
        + FOUR * cxyz * (xyz + HALF * cxyz)
    )  # fmt: skip
    xxyyz += cxxz * yy + cyyz * xx + TWO * (cxxy * yz + cyyx * xz + TWO * cxyz * xy)
    xxzzy += cxxy * zz + czzy * xx + TWO * (cxxz * yz + czzx * xy + TWO * cxyz * xz)
    yyzzx += cyyx * zz + czzx * yy + TWO * (cyyz * xz + czzy * xy + TWO * cxyz * yz)
    xxyy += TWO * (cxxy * y + cyyx * x)
    xxzz += TWO * (cxxz * z + czzx * x)
    yyzz += TWO * (cyyz * z + czzy * y)
    xxyz += cxxy * z + cxxz * y + TWO * cxyz * x
    yyxz += cyyx * z + cyyz * x + TWO * cxyz * y
    zzxy += czzx * y + czzy * x + TWO * cxyz * z
    xxy, xxz, yyx, yyz = xxy + cxxy, xxz + cxxz, yyx + cyyx, yyz + cyyz
    zzx, zzy, xyz = zzx + czzx, zzy + czzy, xyz + cxyz
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


def settle(
    m: tuple[Cell, ...], omega: Cell, carry: Cell, force: tuple[Cell, Cell, Cell], source: Cell
) -> tuple[Cell, tuple[Cell, ...]]:
    """Return the density and the 27 populations of unit mass after a collision, from moments.

    ``omega`` is the relaxation rate 1 / tau, ``carry`` is 1 where cumulants of third order last and
    0 where they do not, ``force`` an acceleration and ``source`` a density that is added, all in
    lattice units.
    """
    rho = m[0] + ONE
    share = ONE / rho
    x, y, z = m[1] * share, m[2] * share, m[3] * share
    # The deviations leave out the moment 1/3 of a cell at rest.
    xx, yy, zz = (m[4] + THIRD) * share, (m[5] + THIRD) * share, (m[6] + THIRD) * share
    xy, xz, yz = m[7] * share, m[8] * share, m[9] * share
    keep, slow = ONE - omega, ONE / omega - HALF
    lasting = carry * (ONE - slow / (HALF * slow + MAGIC))
    second = (
        THIRD + keep * (xx - x * x - THIRD),
        THIRD + keep * (yy - y * y - THIRD),
        THIRD + keep * (zz - z * z - THIRD),
        keep * (xy - x * y),
        keep * (xz - x * z),
        keep * (yz - y * z),
    )
    third = (
        limited(m[10] * share - xx * y - TWO * x * (xy - x * y), lasting),
        limited(m[11] * share - xx * z - TWO * x * (xz - x * z), lasting),
        limited(m[12] * share - yy * x - TWO * y * (xy - x * y), lasting),
        limited(m[13] * share - yy * z - TWO * y * (yz - y * z), lasting),
        limited(m[14] * share - zz * x - TWO * z * (xz - x * z), lasting),
        limited(m[15] * share - zz * y - TWO * z * (yz - y * z), lasting),
        limited(m[16] * share - xy * z - xz * y - yz * x + TWO * x * y * z, lasting),
    )
    mean = (x + force[0], y + force[1], z + force[2])
    return rho + source, of_cumulants(mean, second, third)


def limited(cumulant: Cell, lasting: Cell) -> Cell:
    """Return what is left of a cumulant of third order, the share ``lasting`` if it is small."""
    return lasting * cumulant * LIMIT / (LIMIT + abs(cumulant))


def collide(
    f: tuple[Cell, ...], omega: Cell, carry: Cell, force: tuple[Cell, Cell, Cell], source: Cell
) -> tuple[Cell, tuple[Cell, ...]]:
    """Return the density and the 27 populations of unit mass after a collision; see `settle`."""
    return settle(moments(f), omega, carry, force, source)


def departure(m: tuple[Cell, ...]) -> tuple[Cell, Cell, Cell, Cell, Cell, Cell]:
    """Return by how much the second moments depart from equilibrium: xx, yy, zz, xy, xz, yz."""
    share = ONE / (m[0] + ONE)
    return (
        m[4] - m[0] * THIRD - share * m[1] * m[1],
        m[5] - m[0] * THIRD - share * m[2] * m[2],
        m[6] - m[0] * THIRD - share * m[3] * m[3],
        m[7] - share * m[1] * m[2],
        m[8] - share * m[1] * m[3],
        m[9] - share * m[2] * m[3],
    )


def shear_size(m: tuple[Cell, ...]) -> Cell:
    """Return the shear rate times the relaxation time that belongs to it.

    The shear rate is sqrt(2 S:S); S = -3 departure / (2 rho tau), without its trace.
    """
    p = departure(m)
    third = THIRD * (p[0] + p[1] + p[2])
    xx, yy, zz = p[0] - third, p[1] - third, p[2] - third
    square = xx * xx + yy * yy + zz * zz + TWO * (p[3] * p[3] + p[4] * p[4] + p[5] * p[5])
    return THREE * HALF / (m[0] + ONE) * sqrt(TWO * square)


def rate_at(size: Cell, rates: Any, half: Cell) -> Cell:
    """Return the relaxation rate where ``size`` is `shear_size`, from a table of rates.

    The table is even in s / (s + half), with s the square root of the size, from 0 to 1.
    """
    root = sqrt(size)
    place = root / (root + half) * np.float32(len(rates) - 1)
    # A flow that blew up has no place in the table, and must not be looked up outside of it.
    low = max(min(np.int32(place), np.int32(len(rates) - 2)), np.int32(0))
    return rates[low] + (place - np.float32(low)) * (rates[low + 1] - rates[low])


def dragged(
    m: tuple[Cell, ...], force: tuple[Cell, Cell, Cell], linear: Cell, quadratic: Cell
) -> Cell:
    """Return what drag leaves of a velocity: v = share (u + force / 2).

    Drag decelerates by (linear + quadratic |v|) v. It acts with the velocity v that it leaves
    half-way through the step, which is stable however strong it is.
    """
    share = ONE / (m[0] + ONE)
    x = m[1] * share + HALF * force[0]
    y = m[2] * share + HALF * force[1]
    z = m[3] * share + HALF * force[2]
    speed = sqrt(x * x + y * y + z * z)
    stiff = ONE + HALF * linear
    return TWO / (stiff + sqrt(stiff * stiff + TWO * quadratic * speed))


def slowed(
    m: tuple[Cell, ...], force: tuple[Cell, Cell, Cell], share: Cell
) -> tuple[Cell, Cell, Cell]:
    """Return the acceleration, drag included, where drag leaves ``share``; see `dragged`."""
    over = TWO * (share - ONE) / (m[0] + ONE)
    return (
        over * m[1] + share * force[0],
        over * m[2] + share * force[1],
        over * m[3] + share * force[2],
    )


PLAIN = (
    "forward", "backward", "plane", "along_z", "moments", "of_cumulants", "limited", "settle",
    "collide", "departure", "shear_size", "rate_at", "dragged", "slowed",
)  # fmt: skip


def compiled(jit: Callable[[Any], Any]) -> SimpleNamespace:
    """Return the functions of a cell compiled by ``jit``.

    The same source serves a processor (numba.njit) and a graphics card (numba.cuda.jit).
    """
    names = dict(globals())
    for name in PLAIN:
        plain = names[name]
        names[name] = jit(FunctionType(plain.__code__, names, name))
    return SimpleNamespace(**{name: names[name] for name in PLAIN})
