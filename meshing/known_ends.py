"""The ends of a lumen that names them: its caps are taken off, and its line keeps their names.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import numpy as np

from meshing.surface import SurfaceMesh

Vector = tuple[float, float, float]

WALL = "wall"
NEAR = 2.0  # radii of an end from a cap, and it is that one


def cap_centres(lumen: SurfaceMesh) -> dict[str, Vector]:
    """Return the middles (LPS mm) of the parts of a lumen that are no wall, by name.

    They are its ends. A lumen without a part called wall has no named ends.
    """
    parts = lumen.boundaries
    if WALL not in parts:
        return {}
    found = {}
    for name, cells in parts.items():
        if name != WALL and len(cells):
            x, y, z = lumen.points_mm[np.unique(lumen.triangles[cells])].mean(axis=0)
            found[name] = (float(x), float(y), float(z))
    return found


def uncapped(lumen: SurfaceMesh) -> SurfaceMesh:
    """Return a lumen without the caps of its named ends, so that they are open."""
    if not cap_centres(lumen):
        return lumen
    wall = lumen.triangles[lumen.boundaries[WALL]]
    used, numbered = np.unique(wall, return_inverse=True)
    return lumen.reshaped(lumen.points_mm[used], numbered.reshape(-1, 3))


def called_as(
    ends: Mapping[str, int], places: Mapping[int, tuple[Vector, float]], caps: Mapping[str, Vector]
) -> dict[str, int]:
    """Return the numbers of ends by the names of the caps that they lie at.

    ``places`` are the points (LPS mm) and radii (mm) of the numbers. What lies at no cap keeps
    its name, or is the next outlet where a cap has that name.
    """
    gaps = sorted(
        (float(np.linalg.norm(np.subtract(places[number][0], centre))), number, name)
        for number in ends.values()
        for name, centre in caps.items()
    )
    named: dict[int, str] = {}
    for gap, number, name in gaps:
        near = gap < NEAR * places[number][1]
        if near and number not in named and name not in named.values():
            named[number] = name
    result: dict[str, int] = {}
    for name, number in ends.items():
        own = named.get(number, name)
        if number not in named and own in {*named.values(), *result}:
            spare = (f"outlet_{n}" for n in count(1))
            own = next(n for n in spare if n not in {*named.values(), *result, *ends})
        result[own] = number
    return result
