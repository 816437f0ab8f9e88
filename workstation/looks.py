"""How a person wants one surface drawn: opacity, colour, or a quantity on it.

It is view state: nothing here changes the plan. Colours are sRGB 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from meshing.comparison import DISTANCE
from meshing.surface import SurfaceMesh
from workstation.shading import Colour, ScalarMap, SceneItem

UNITS = {
    "per_mm": "1/mm",
    "per_mm2": "1/mm²",
    "mm": "mm",
    "mm2": "mm²",
    "pa": "Pa",
    "hu": "HU",
    "m_s": "m/s",
    "percent": "%",
    "degrees": "°",
}
"""Ending of a quantity's name to its unit."""

PLAIN = "-"
"""Asks for the plain colour also where a quantity lies on the surface."""

MOST = 98  # percent of the values that the proposed limits of a bar hold


@dataclass(frozen=True)
class ItemLook:
    """What a person chose for one surface; None and "" leave it as it comes.

    ``quantity`` names what colours it, `PLAIN` for its one colour; ``low`` and ``high`` are the
    limits of the bar.
    """

    opacity: float | None = None
    colour: Colour | None = None
    quantity: str = ""
    low: float | None = None
    high: float | None = None


def quantities(surface: SurfaceMesh) -> list[str]:
    """Return the names of the numbers that lie on the points of a surface, in their order."""
    return [
        name
        for name, array in surface.point_data.items()
        if array.ndim == 1 and np.issubdtype(array.dtype, np.floating) and len(array)
    ]


LACKS = ("clearance_mm",)
"""Quantities that are bad where they are below zero: a graft outside its cavity."""


def default_quantity(surface: SurfaceMesh) -> str:
    """Return the quantity a surface is coloured by unless a person says otherwise, or "".

    It is a distance where one was mapped, else the first.
    """
    found = quantities(surface)
    return DISTANCE if DISTANCE in found else next(iter(found), "")


def split_unit(name: str) -> tuple[str, str]:
    """Return the title and the unit that the name of a quantity holds."""
    for ending in sorted(UNITS, key=len, reverse=True):
        if name.endswith(f"_{ending}"):
            words = name.removesuffix(f"_{ending}").replace("_", " ")
            return words[:1].upper() + words[1:], UNITS[ending]
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:], ""


def proposed_limits(values: npt.ArrayLike) -> tuple[float, float]:
    """Return round limits that hold nearly all values; about zero where there are both signs."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return 0.0, 1.0
    if finite.min() < 0 < finite.max():
        far = _rounded_up(float(np.percentile(np.abs(finite), MOST)))
        return -far, far
    far = _rounded_up(float(np.percentile(np.abs(finite), MOST)))
    return (0.0, far) if finite.min() >= 0 else (-far, 0.0)


def _rounded_up(value: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 5, 8 times a power of ten."""
    if not value > 1e-12:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.5, 2, 3, 5, 8, 10)
    return float(next(step for step in steps if step * power >= value * (1 - 1e-9)) * power)


def scalar_map(
    surface: SurfaceMesh, quantity: str, low: float | None = None, high: float | None = None
) -> ScalarMap | None:
    """Return how ``quantity`` colours a surface, or None if the surface has no such quantity.

    Limits that are not given, or not in order, are proposed from the values.
    """
    if quantity not in quantities(surface):
        return None
    start, end = proposed_limits(surface.point_data[quantity])
    start = start if low is None else low
    end = end if high is None else high
    if not start < end:
        start, end = proposed_limits(surface.point_data[quantity])
    title, unit = split_unit(quantity)
    signed = start < 0 < end
    return ScalarMap(
        quantity, title, unit, start, end, diverging=signed, low_is_red=quantity in LACKS
    )


def with_look(item: SceneItem, look: ItemLook | None) -> SceneItem:
    """Return ``item`` as a person wants it drawn."""
    look = look or ItemLook()
    quantity = look.quantity or default_quantity(item.surface)
    return replace(
        item,
        opacity=item.opacity if look.opacity is None else look.opacity,
        colour=look.colour or item.colour,
        scalars=scalar_map(item.surface, quantity, look.low, look.high),
    )
