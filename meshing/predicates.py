"""On which side a point lies, exactly: signs of determinants that rounding cannot turn.

A filter settles nearly every sign in plain arithmetic; what it leaves open is computed as an
exact sum of floating-point numbers. Both after Shewchuk, Adaptive precision floating-point
arithmetic and fast robust geometric predicates, Discrete and Computational Geometry 18 (1997) 305.
Coordinates must stay clear of under- and overflow: millimetres between 1e-60 and 1e60 do.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SPLITTER = 134217729.0  # 2^27 + 1
PLANE_BOUND = 7.7715611723761e-16
LINE_BOUND = 3.3306690738754716e-16


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _product(a: float, b: float) -> tuple[float, float]:
    """Return a * b as a rounded number and its rounding error."""
    product = a * b
    c = SPLITTER * a
    a_high = c - (c - a)
    a_low = a - a_high
    c = SPLITTER * b
    b_high = c - (c - b)
    b_low = b - b_high
    rest = product - a_high * b_high - a_low * b_high - a_high * b_low
    return product, a_low * b_low - rest


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _add(terms: Floats, count: int, value: float) -> int:
    """Add a number to an exact sum of ``count`` terms in place; return the new count."""
    for n in range(count):
        total = value + terms[n]
        virtual = total - value
        terms[n] = (value - (total - virtual)) + (terms[n] - virtual)
        value = total
    terms[count] = value
    return count + 1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _sign(terms: Floats, count: int) -> int:
    """Return the sign of an exact sum: that of its largest part."""
    for n in range(count - 1, -1, -1):
        if terms[n] > 0.0:
            return 1
        if terms[n] < 0.0:
            return -1
    return 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _exact_side(a: Floats, b: Floats, c: Floats, d: Floats) -> int:
    """Return the exact sign of `side_of_plane`."""
    rows = (a, b, c, d)
    terms = np.empty(96)
    count = 0
    for left in range(4):
        # Minors along the column of ones, whose signs alternate from minus in the first row.
        p, q, r = (left + 1) % 4, (left + 2) % 4, (left + 3) % 4
        outer = 1.0 if left % 2 == 1 else -1.0
        first, second, third = rows[p], rows[q], rows[r]
        for n in range(6):
            x, y, z = (
                (n % 3, (n + 1) % 3, (n + 2) % 3) if n < 3 else (n % 3, (n + 2) % 3, (n + 1) % 3)
            )
            factor = outer if n < 3 else -outer
            high, low = _product(first[x], second[y])
            for part in (low, high):
                value, error = _product(part, factor * third[z])
                count = _add(terms, count, error)
                count = _add(terms, count, value)
    return int(_sign(terms, count))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def side_of_plane(a: Floats, b: Floats, c: Floats, d: Floats) -> int:
    """Return the sign of the determinant of (a - d, b - d, c - d).

    It is 1 if a, b, c turn clockwise seen from d, -1 if counter-clockwise, 0 if all four lie in
    one plane.
    """
    ax, ay, az = a[0] - d[0], a[1] - d[1], a[2] - d[2]
    bx, by, bz = b[0] - d[0], b[1] - d[1], b[2] - d[2]
    cx, cy, cz = c[0] - d[0], c[1] - d[1], c[2] - d[2]
    bxcy, cxby = bx * cy, cx * by
    cxay, axcy = cx * ay, ax * cy
    axby, bxay = ax * by, bx * ay
    value = az * (bxcy - cxby) + bz * (cxay - axcy) + cz * (axby - bxay)
    size = (
        (abs(bxcy) + abs(cxby)) * abs(az)
        + (abs(cxay) + abs(axcy)) * abs(bz)
        + (abs(axby) + abs(bxay)) * abs(cz)
    )
    if size == 0.0:
        return 0
    if abs(value) > PLANE_BOUND * size:
        return 1 if value > 0.0 else -1
    return int(_exact_side(a, b, c, d))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def side_of_line(a: Floats, b: Floats, c: Floats, x: int, y: int) -> int:
    """Return 1 if a, b, c turn counter-clockwise in the coordinates x, y; -1, or 0 on a line."""
    left = (a[x] - c[x]) * (b[y] - c[y])
    right = (a[y] - c[y]) * (b[x] - c[x])
    value, size = left - right, abs(left) + abs(right)
    if size == 0.0:
        return 0
    if abs(value) > LINE_BOUND * size:
        return 1 if value > 0.0 else -1
    rows = (a, b, c)
    terms = np.empty(12)
    count = 0
    for n in range(3):
        p, q = rows[n], rows[(n + 1) % 3]
        high, low = _product(p[x], q[y])
        count = _add(terms, count, low)
        count = _add(terms, count, high)
        high, low = _product(-p[y], q[x])
        count = _add(terms, count, low)
        count = _add(terms, count, high)
    return int(_sign(terms, count))
