import numpy as np
import pytest

from hemodynamics.verification import nozzle
from hemodynamics.verification.nozzle_reference import NotConverged, channel, solve

# OpenFOAM 1912, a wedge of 2.5 degrees with 40 cells across the throat's radius: places in mm,
# velocity on the axis in m/s and pressure on the wall less that at 32 mm in Pa.
SPEED = {
    -64: 0.09273, -48: 0.18813, -42: 0.37017, -20: 0.67563, -8: 0.72669, 0: 0.74812, 8: 0.73282,
    16: 0.71343, 24: 0.69047, 32: 0.66491, 40: 0.63790, 48: 0.61037, 60: 0.56945, 80: 0.50448,
}  # fmt: skip
PRESSURE = {
    -62.99: 307.30, -57.23: 306.01, -51.49: 301.23, -45.75: 283.78, -40.01: 176.49, -30: 111.22,
    -19.99: 67.78, -10.01: 30.17, -2.03: 2.25, 0: -2.50, 2.03: -2.51, 8: -2.40, 16: -1.92,
    24: -1.10, 32: 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def coarse():
    return solve(
        channel(nozzle.OUTLINE, 2), nozzle.FLOW_ML_S, nozzle.DENSITY_KG_M3, nozzle.VISCOSITY_PA_S
    )


def test_a_straight_pipe_carries_poiseuilles_flow():
    mesh = channel([(-1.0, 3.0), (19.0, 3.0)], 2)
    found = solve(mesh, 5.0, 1056.0, 0.0035)
    places = np.array([-1.0, 4.3, 19.0])
    mean = 5e-6 / (np.pi * 9e-6)
    assert np.allclose(found.on_axis(places), 2 * mean, rtol=1e-9)
    slope = 8 * 0.0035 * mean / 9e-6
    assert np.allclose(found.at_wall(places), 1e-3 * slope * (19.0 - places), atol=1e-8)
    assert np.allclose(found.flow_ml_s(), 5.0, rtol=1e-9)
    profile = 2 * mean * (1 - (mesh.r_mm / 3.0) ** 2)
    assert np.allclose(found.velocity_m_s[..., 0], profile, atol=1e-9)


def test_the_mesh_is_the_nozzle():
    mesh = channel(nozzle.OUTLINE, 2)
    z, r = mesh.z_mm[::2, ::2], mesh.r_mm[::2, ::2]
    assert (z[0, 0], z[-1, 0]) == (nozzle.INLET_MM, nozzle.OUTLET_MM)
    rings = np.pi * (r[:, 1:] ** 2 - r[:, :-1] ** 2)
    # A frustum holds less than the mean of its ends by a sixth of the square of their difference.
    widths, sums = r[:, 1:] - r[:, :-1], r[:, 1:] + r[:, :-1]
    lost = np.pi / 6 * np.diff(widths, axis=0) * np.diff(sums, axis=0)
    volume = (np.diff(z[:, 1:], axis=0) * (0.5 * (rings[1:] + rings[:-1]) - lost))[mesh.fluid]
    cone = np.pi * 22.685 / 3 * (36 + 12 + 4)
    assert volume.sum() == pytest.approx(
        np.pi * 36 * (75 - 62.685 + 95) + cone + np.pi * 4 * 40, rel=1e-9
    )


def test_what_enters_passes_every_section(coarse):
    flow = coarse.flow_ml_s()
    assert len(flow) > 100
    assert np.allclose(flow, nozzle.FLOW_ML_S, rtol=0.005)
    assert np.mean(flow) == pytest.approx(nozzle.FLOW_ML_S, rel=2e-4)


def test_a_coarse_mesh_agrees_with_another_method(coarse):
    found = coarse.on_axis(np.array([*SPEED], float))
    assert np.allclose(found, [*SPEED.values()], rtol=0.0025)
    places = np.array([*PRESSURE], float)
    wall = coarse.at_wall(places) - coarse.at_wall(np.array([32.0]))
    edge = places == -40.01
    assert np.allclose(wall[~edge], np.array([*PRESSURE.values()])[~edge], atol=0.3)
    assert wall[edge] == pytest.approx(PRESSURE[-40.01], abs=3.0)


def test_behind_the_step_blood_flows_back(coarse):
    z, axial = coarse.mesh.z_mm[:, 0], coarse.velocity_m_s[..., 0]
    assert axial[(z > 2) & (z < 20), -2].max() < 0
    assert (axial[z < 0] >= 0).all()


def test_a_flow_too_fast_to_be_steady_is_told():
    with pytest.raises(NotConverged, match="still changes by"):
        solve(channel(nozzle.OUTLINE, 1), 2000.0, nozzle.DENSITY_KG_M3, nozzle.VISCOSITY_PA_S)
