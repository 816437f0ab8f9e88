"""Indices of wall shear and pressure, from the wall shear over one period.

Wall shear is a vector in Pa with rows for the times, evenly spaced over a whole period, and
then for the points. He and Ku 1996 (doi:10.1115/1.2795948), Himburg 2004
(doi:10.1152/ajpheart.00897.2003), Jou 2008 (doi:10.3174/ajnr.A1180).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hemodynamics.vessel_flow import DENSITY_KG_M3

Floats = npt.NDArray[np.float64]

LOW_SHARE = 0.1
"""Low shear is less than this share of the parent artery's mean."""


def tawss_pa(wss_pa: npt.NDArray[np.floating]) -> Floats:
    """Return the mean magnitude (points,) in Pa of wall shear (times, points, 3) in Pa."""
    return np.asarray(np.linalg.norm(wss_pa, axis=2).mean(axis=0, dtype=np.float64))


def osi(wss_pa: npt.NDArray[np.floating]) -> Floats:
    """Return the oscillatory shear index (points,): 0 for one direction, 0.5 for to and fro.

    It is 0 where there is no shear.
    """
    mean = np.linalg.norm(wss_pa.mean(axis=0, dtype=np.float64), axis=1)
    whole = tawss_pa(wss_pa)
    ratio = np.divide(mean, whole, out=np.ones_like(whole), where=whole > 0)
    return np.asarray(0.5 * (1.0 - np.minimum(ratio, 1.0)))


def rrt_1_pa(wss_pa: npt.NDArray[np.floating]) -> Floats:
    """Return the relative residence time (points,) in 1/Pa, infinite where shear cancels."""
    mean = np.linalg.norm(wss_pa.mean(axis=0, dtype=np.float64), axis=1)
    return np.asarray(np.divide(1.0, mean, out=np.full_like(mean, np.inf), where=mean > 0))


def low_shear_share(tawss_pa: Floats, areas_mm2: Floats, parent_mean_pa: float) -> float:
    """Return the share of a sac's area whose shear is below a tenth of the parent's mean (Pa)."""
    low = tawss_pa < LOW_SHARE * parent_mean_pa
    return float(areas_mm2[low].sum() / areas_mm2.sum())


def pressure_loss_coefficient(
    pressure_in_pa: float, speed_in_m_s: float, pressure_out_pa: float, speed_out_m_s: float
) -> float:
    """Return the loss of total pressure between two sections in units of that of the inlet.

    Pressures in Pa and mean speeds in m/s over the sections before and behind; the loss is
    divided by the dynamic pressure of the section before.
    """
    before, behind = (0.5 * DENSITY_KG_M3 * speed**2 for speed in (speed_in_m_s, speed_out_m_s))
    return (pressure_in_pa + before - pressure_out_pa - behind) / before
