"""Synthetic arteries of exactly known width: a narrowed one, and an aorta at two times.

Round tubes about smooth curves in DICOM patient LPS millimetres; they stand for no population.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hemodynamics.verification.shapes import pipe
from meshing.curves import arc_length_mm, local_fit
from meshing.known_ends import uncapped
from meshing.mesh import SurfaceMesh
from segmentation.volume import Floats

NORMAL_MM, LEAST_MM = 3.0, 1.5
NARROW_AT_MM, NARROW_MM = 20.0, 10.0
"""Where a narrowing shaped like a cosine is deepest, and its length."""

NECK_MM, WIDEST_MM, EARLIER_MM = 22.0, 52.0, 46.0
RENAL_AT_MM, WIDEST_AT_MM, SPREAD_MM = 50.0, 115.0, 20.0
"""Where on an aorta the renal arteries and the widest place are, and the sac's width (Gauss)."""

RENAL_MM = (3.36, -20.83, 100.13)
"""That place beside the renal arteries, on the axis, LPS."""

NECK_END = 1.1
"""A neck ends where the aorta is so many times as wide as at its top."""


@dataclass(frozen=True, eq=False)
class TubePhantom:
    """A tube open at both ends.

    Attributes:
        mesh: its wall, LPS mm.
        along_mm: (n,) distance along its axis.
        axis_mm: (n, 3), LPS mm, from the inlet on.
        diameter_mm: (n,).
    """

    mesh: SurfaceMesh
    along_mm: Floats
    axis_mm: Floats
    diameter_mm: Floats


@dataclass(frozen=True, eq=False)
class AortaPair:
    """One aorta at two times; what lies beside the sac is the same."""

    now: TubePhantom
    earlier: TubePhantom


def narrowed_artery() -> TubePhantom:
    """Return a bent artery of 3 mm that is narrowed to 1.5 mm over 10 mm."""
    turn = np.linspace(0.0, 2.0, 181)
    axis = np.stack([22 * np.sin(turn), 22 * (np.cos(turn) - 1), 4 * turn], axis=1)
    axis += np.array([-18.0, 6.0, 12.0])
    away = (arc_length_mm(axis) - NARROW_AT_MM) / NARROW_MM
    bump = np.where(np.abs(away) < 0.5, (1 + np.cos(2 * np.pi * away)) / 2, 0.0)
    return _tube(axis, NORMAL_MM - (NORMAL_MM - LEAST_MM) * bump, "artery")


def aorta_pair() -> AortaPair:
    """Return an abdominal aorta with an aneurysm of 52 mm that was 46 mm wide before."""
    along = np.linspace(0.0, 180.0, 181)
    axis = np.stack([4 * np.sin(along / 50), -20 - along**2 / 3000, 150 - along], axis=1)
    place = arc_length_mm(axis)
    bump = np.exp(-(((place - WIDEST_AT_MM) / SPREAD_MM) ** 2))
    now, earlier = (_tube(axis, NECK_MM + (widest - NECK_MM) * bump, "aorta")
                    for widest in (WIDEST_MM, EARLIER_MM))  # fmt: skip
    return AortaPair(now, earlier)


def exact_narrowing(artery: TubePhantom) -> dict[str, float]:
    """Return the exact numbers of the narrowing by their names in the plan, mm and %."""
    least, normal = float(artery.diameter_mm.min()), float(artery.diameter_mm.max())
    return {
        "narrowing.minimum_diameter": least,
        "narrowing.minimum_area": np.pi * least**2 / 4,
        "narrowing.reference_diameter": normal,
        "narrowing.diameter_stenosis": 100 * (1 - least / normal),
        "narrowing.area_stenosis": 100 * (1 - (least / normal) ** 2),
        "narrowing.length": NARROW_MM / 2,
    }


def exact_aorta(pair: AortaPair, years: float) -> dict[str, float]:
    """Return the exact numbers of the aorta by their names in the plan, mm and mm a year."""
    now = pair.now
    widest, before = float(now.diameter_mm.max()), float(pair.earlier.diameter_mm.max())
    top = float(np.interp(RENAL_AT_MM, now.along_mm, now.diameter_mm))
    rising = now.along_mm <= WIDEST_AT_MM
    end = float(np.interp(NECK_END * top, now.diameter_mm[rising], now.along_mm[rising]))
    return {
        "diameters.maximum_diameter": widest,
        "diameters.position": WIDEST_AT_MM,
        "diameters.neck.diameter": top,
        "diameters.neck.length": end - RENAL_AT_MM,
        "earlier_diameters.maximum_diameter": before,
        "change.growth": widest - before,
        "change.growth_per_year": (widest - before) / years,
    }


def _tube(axis: Floats, diameter_mm: Floats, name: str) -> TubePhantom:
    tangents = local_fit(axis, np.full(len(axis), 4.0)).tangents
    mesh = uncapped(pipe(axis, tangents, diameter_mm / 2, sections=48, name=name))
    return TubePhantom(mesh, arc_length_mm(axis), axis, diameter_mm)
