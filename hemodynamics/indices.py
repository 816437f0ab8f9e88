"""Indices of wall shear and pressure, from the wall shear over one period.

Wall shear is a vector in Pa with rows for the times, evenly spaced over a whole period, and
then for the points. He and Ku 1996 (doi:10.1115/1.2795948), Himburg 2004
(doi:10.1152/ajpheart.00897.2003), Jou 2008 (doi:10.3174/ajnr.A1180), Cebral 2011
(doi:10.3174/ajnr.A2419).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hemodynamics.vessel_flow import DENSITY_KG_M3

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOW_SHARE = 0.1
"""Low shear is less than this share of the parent artery's mean."""

ROUNDING = 1e-6
"""Oscillatory shear indices below are made by rounding."""


def tawss_pa(wss_pa: npt.NDArray[np.floating]) -> Floats:
    """Return the mean magnitude (points,) in Pa of wall shear (times, points, 3) in Pa."""
    return np.asarray(np.linalg.norm(wss_pa, axis=2).mean(axis=0, dtype=np.float64))


def osi(wss_pa: npt.NDArray[np.floating], size_pa: Floats | None = None) -> Floats:
    """Return the oscillatory shear index (points,): 0 for one direction, 0.5 for to and fro.

    It is 0 where there is no shear. ``size_pa`` is the mean magnitude (points,) where the times
    do not tell it, since they are means themselves.
    """
    mean = np.linalg.norm(wss_pa.mean(axis=0, dtype=np.float64), axis=1)
    whole = tawss_pa(wss_pa) if size_pa is None else size_pa
    ratio = np.divide(mean, whole, out=np.ones_like(whole), where=whole > 0)
    return np.asarray(0.5 * (1.0 - np.minimum(ratio, 1.0)))


def rrt_1_pa(wss_pa: npt.NDArray[np.floating]) -> Floats:
    """Return the relative residence time (points,) in 1/Pa, infinite where shear cancels."""
    mean = np.linalg.norm(wss_pa.mean(axis=0, dtype=np.float64), axis=1)
    return np.asarray(np.divide(1.0, mean, out=np.full_like(mean, np.inf), where=mean > 0))


def told_osi(osi: npt.NDArray[np.floating]) -> Floats:
    """Return oscillatory shear indices as they are told: 0 below what rounding makes of none.

    Shear is kept as single numbers, of which 0.5 (1 - |mean| / mean of sizes) makes some 1e-7.
    """
    return np.where(osi < ROUNDING, 0.0, np.asarray(osi, np.float64))


def low_shear_share(tawss_pa: Floats, areas_mm2: Floats, parent_mean_pa: float) -> float:
    """Return the share of a sac's area whose shear is below a tenth of the parent's mean (Pa)."""
    low = tawss_pa < LOW_SHARE * parent_mean_pa
    return float(areas_mm2[low].sum() / areas_mm2.sum())


def shear_concentration(
    tawss_pa: Floats, areas_mm2: Floats, parent_mean_pa: float, parent_sd_pa: float
) -> float:
    """Return the shear concentration index of a sac: force by area of its high shear.

    High is above the parent artery's mean and one standard deviation (Pa). The share of the
    whole shear force that acts there is divided by its share of the area: 1 where shear is the
    same everywhere, 0 where none is high.
    """
    high = tawss_pa > parent_mean_pa + parent_sd_pa
    force = tawss_pa * areas_mm2
    if not high.any():
        return 0.0
    return float(force[high].sum() / force.sum() * areas_mm2.sum() / areas_mm2[high].sum())


def low_shear_index(
    tawss_pa: Floats, areas_mm2: Floats, parent_mean_pa: float, parent_sd_pa: float
) -> float:
    """Return the low shear index of a sac: its low shear's share of force times that of area.

    Low is below the parent artery's mean less one standard deviation (Pa).
    """
    low = tawss_pa < parent_mean_pa - parent_sd_pa
    force = tawss_pa * areas_mm2
    return float(force[low].sum() * areas_mm2[low].sum() / (force.sum() * areas_mm2.sum()))


def inflow_concentration(inward_m_s: Floats, areas_mm2: Floats, parent_ml_s: float) -> float:
    """Return the inflow concentration index of a neck: 1 where its whole area takes all flow in.

    ``inward_m_s`` is the speed into the sac at places of the neck that stand for areas; the
    share of the parent artery's flow (mL/s) that enters is divided by the share of the neck's
    area through which it does. Rows for times may stand before the places; both shares are
    means over time then, and so should be the parent's flow.
    """
    entering = np.clip(inward_m_s, 0.0, None)
    flow = float((entering @ areas_mm2).mean())  # mL/s: m/s times mm2
    area = float(((inward_m_s > 0) @ areas_mm2).mean())
    return flow / parent_ml_s / (area / float(areas_mm2.sum())) if area > 0 else 0.0


def shear_gradient_pa_mm(
    points_mm: Floats, triangles: Ints, wss_pa: npt.NDArray[np.floating]
) -> Floats:
    """Return the gradient of wall shear (triangles,) in Pa/mm: along the flow and across it.

    With m along the mean shear over time and n across it in the wall, it is the square root of
    (d tau_m / dm)^2 + (d tau_n / dn)^2, as mean over the times. ``wss_pa`` is (times, points, 3).
    """
    corners = points_mm[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(normal, axis=1)
    normal = normal / np.maximum(doubled, 1e-300)[:, None]
    # The gradient of what is one at a corner: across the opposite edge, by the height above it.
    edges = corners[:, (2, 0, 1)] - corners[:, (1, 2, 0)]
    slopes = np.cross(normal[:, None], edges) / np.maximum(doubled, 1e-300)[:, None, None]
    mean = wss_pa.mean(axis=0, dtype=np.float64)[triangles].mean(axis=1)
    mean -= np.einsum("tx,tx->t", mean, normal)[:, None] * normal
    size = np.linalg.norm(mean, axis=1)
    m = np.where(size[:, None] > 0, mean / np.maximum(size, 1e-300)[:, None], _unit(edges[:, 0]))
    n = np.cross(normal, m)
    total = np.zeros(len(triangles))
    for wss in wss_pa:
        at = wss[triangles].astype(np.float64)
        squares = [
            np.einsum("tcx,tx,tcy,ty->t", slopes, axis, at, axis, optimize=True) ** 2
            for axis in (m, n)
        ]
        total += np.sqrt(squares[0] + squares[1])
    return np.asarray(total / len(wss_pa))


def _unit(arms: Floats) -> Floats:
    return np.asarray(arms / np.maximum(np.linalg.norm(arms, axis=1), 1e-300)[:, None])


def pressure_loss_coefficient(
    pressure_in_pa: float, speed_in_m_s: float, pressure_out_pa: float, speed_out_m_s: float
) -> float:
    """Return the loss of total pressure between two sections in units of that of the inlet.

    Pressures in Pa and mean speeds in m/s over the sections before and behind; the loss is
    divided by the dynamic pressure of the section before.
    """
    before, behind = (0.5 * DENSITY_KG_M3 * speed**2 for speed in (speed_in_m_s, speed_out_m_s))
    return (pressure_in_pa + before - pressure_out_pa - behind) / before
