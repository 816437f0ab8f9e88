"""Steady flow in a gently curved tube against Dean's series (Phil Mag 1927;4:208, 1928;5:673).

To the first order in the ratio d of the tube's radius a to that of its course, with the axial
velocity W on the axis of the straight tube, n = W a / nu, r from 0 to 1, and the angle t from the
outer side, the flow is

    axial    W (1 - r2) [1 + d r cos t (-3/4 + n2 (19 - 21 r2 + 9 r4 - r6) / 11520)]
    radial   W d n / 288 (1 - r2)2 (4 - r2) cos t
    angular  -W d n / 288 (1 - r2) (4 - 23 r2 + 7 r4) sin t
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemodynamics.flow import simulate_flow
from hemodynamics.flow_result import FlowResult
from hemodynamics.verification.rows import Means, Row
from hemodynamics.verification.shapes import bend
from hemodynamics.vessel_flow import DENSITY_KG_M3

Floats = npt.NDArray[np.float64]

RADIUS_MM, COURSE_MM, ANGLE, STRAIGHT_MM = 2.0, 100.0, 0.5, 2.0
RATIO = RADIUS_MM / COURSE_MM
FLOW_ML_S, VISCOSITY_PA_S, CELLS = 0.8, 0.0035, 6.0
FROM, TO = 0.75, 0.9
"""The part of the bend that is compared: flow has developed, and the outlet is far."""

SOURCE = "Dean 1928, doi:10.1080/14786440408564513, first order"


@dataclass(frozen=True)
class Bend:
    """Places in the bend: how far round, r and t of the cross-section."""

    turn: Floats
    r: Floats
    t: Floats

    @classmethod
    def of(cls, points_mm: Floats) -> Bend:
        """Return the places of points (n, 3)."""
        x, y, z = points_mm.T
        out = np.hypot(COURSE_MM - x, z) - COURSE_MM
        return cls(np.arctan2(z, COURSE_MM - x), np.hypot(out, y) / RADIUS_MM, np.arctan2(y, out))

    @property
    def compared(self) -> npt.NDArray[np.bool_]:
        """Which places are compared."""
        return (self.turn > FROM * ANGLE) & (self.turn < TO * ANGLE)

    def parts(self, vectors: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the axial, radial and angular parts of vectors (n, 3) at these places."""
        x, y, z = vectors.T
        sine, cosine = np.sin(self.turn), np.cos(self.turn)
        out = z * sine - x * cosine
        return (
            x * sine + z * cosine,
            out * np.cos(self.t) + y * np.sin(self.t),
            y * np.cos(self.t) - out * np.sin(self.t),
        )


@dataclass(frozen=True)
class Series:
    """Dean's flow whose axial velocity has a mean of ``mean_m_s`` over the section."""

    mean_m_s: float

    @property
    def n(self) -> float:
        """Radius times the largest axial velocity of the straight tube, by viscosity."""
        nu = VISCOSITY_PA_S / DENSITY_KG_M3
        return 2.0 * self.mean_m_s * RADIUS_MM * 1e-3 / nu

    def velocity_m_s(self, r: Floats, t: Floats) -> tuple[Floats, Floats, Floats]:
        """Return axial, radial and angular velocity."""
        n, peak = self.n, 2.0 * self.mean_m_s
        shift = -0.75 + n**2 * (19 - 21 * r**2 + 9 * r**4 - r**6) / 11520
        axial = peak * (1 - r**2) * (1 + RATIO * r * np.cos(t) * shift)
        across = peak * RATIO * n / 288 * (1 - r**2)
        radial = across * (1 - r**2) * (4 - r**2) * np.cos(t)
        return axial, radial, -across * (4 - 23 * r**2 + 7 * r**4) * np.sin(t)

    @property
    def shear_swing(self) -> float:
        """How much more shear the outer side has than the mean, as a share of it."""
        return RATIO * (-0.75 + self.n**2 * 6 / 11520)


def flow(means: Means) -> FlowResult:
    """Return our flow in the bend."""
    return simulate_flow(
        bend(RADIUS_MM, COURSE_MM, ANGLE, STRAIGHT_MM, 0.33), mean_flow_ml_s=FLOW_ML_S,
        spacing_mm=RADIUS_MM / CELLS, viscosity_pa_s=VISCOSITY_PA_S, progress=means.progress,
    )  # fmt: skip


def dean(means: Means) -> Iterator[Row]:
    """Yield mass, axial velocity, secondary flow and shear of a bend.

    Axial velocity and what follows from it are compared by the flow that goes through the section
    itself, and that flow with what enters.
    """
    yield from compare(flow(means))


def compare(found: FlowResult) -> Iterator[Row]:
    """Yield the rows of a flow in the bend."""
    place = Bend.of(found.cells_mm)
    here = place.compared
    axial, radial, angular = place.parts(found.velocity_m_s[0].astype(float))
    entering = FLOW_ML_S * 1e-6 / (np.pi * (RADIUS_MM * 1e-3) ** 2)
    # The section's mean, by the parabola that its cells sample.
    sampled = 2.0 * (1.0 - place.r[here] ** 2)
    mean = float((axial[here] @ sampled) / (sampled @ sampled))
    series = Series(mean)
    number = series.n * np.sqrt(RATIO)
    case = f"bend of ratio {RATIO:g}, Dean number {number:.0f}, radius {CELLS:g} cells"
    yield _row(case, "flow through a section, off what enters", 100 * abs(mean / entering - 1), 1.0)
    exact = series.velocity_m_s(place.r, place.t)
    off = np.linalg.norm((axial - exact[0])[here]) / np.linalg.norm(exact[0][here])
    yield _row(case, "axial velocity, rms error", 100 * float(off), 1.0)
    ours = np.concatenate([radial[here], angular[here]])
    theirs = np.concatenate([exact[1][here], exact[2][here]])
    strength = float(ours @ theirs / (theirs @ theirs))
    yield Row("dean", case, "secondary flow by Dean's", strength, 1.0, "", 0.05, SOURCE)
    wall = Bend.of(found.wall.points_mm)
    there = wall.compared
    shear = wall.parts(found.wss_pa[0].astype(float))[0][there]
    swing = 2 * float(np.mean(shear * np.cos(wall.t[there])) / shear.mean())
    yield Row("dean", case, "shear of the outer side less the mean, by the mean", swing,
              series.shear_swing, "", 0.02, SOURCE)  # fmt: skip


def _row(case: str, quantity: str, percent: float, limit: float) -> Row:
    return Row("dean", case, quantity, percent, 0.0, "%", limit, SOURCE)
