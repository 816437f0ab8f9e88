"""How far an end of a vessel can run on before it meets the vessel again. Points are LPS mm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from meshing.cell_sizes import edges_of
from meshing.lumen import Opening

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLEARANCE = 0.4
"""Of an end's radius, what stays free beside and before its extension."""

OWN = 0.5
"""Of an end's radius, how far before it the vessel's own wall may reach."""


def obstacles(points_mm: Floats, triangles: Ints) -> Floats:
    """Return places of a surface: its points, and the middles of its edges and triangles."""
    middles = points_mm[edges_of(triangles)].mean(axis=1)
    return np.concatenate([points_mm, middles, points_mm[triangles].mean(axis=1)])


def room_mm(opening: Opening, rim_mm: Floats, obstacles_mm: Floats, length_mm: float) -> float:
    """Return how far a straight tube can run out of an opening, ``length_mm`` at the most.

    It is zero or less where something lies right before the opening.
    """
    arms = obstacles_mm - opening.centre_mm
    along = arms @ opening.normal
    aside = np.linalg.norm(arms - along[:, None] * opening.normal, axis=1)
    rim = rim_mm - opening.centre_mm
    reach = float(np.linalg.norm(rim, axis=1).max()) + CLEARANCE * opening.radius_mm
    first = float((rim @ opening.normal).max()) + OWN * opening.radius_mm
    gap = CLEARANCE * opening.radius_mm
    met = along[(along > first) & (along < length_mm + gap) & (aside < reach)]
    return min(length_mm, float(met.min()) - gap) if len(met) else length_mm
