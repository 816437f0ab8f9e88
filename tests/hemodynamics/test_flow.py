from dataclasses import replace

import numpy as np
import pytest
from scipy.special import jv

from hemodynamics import flow_march
from hemodynamics.boundary import PA_PER_MMHG, pulse
from hemodynamics.domain import UnusableLumen
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_march import Diverged
from hemodynamics.flow_run import Run
from hemodynamics.flow_setup import TooCostly
from meshing.mesh import OpenSurface
from tests.hemodynamics.tubes import capped_tube

RADIUS, LENGTH, SPACING = 2.0, 8.0, 0.4
VISCOSITY = 0.0035


@pytest.fixture(scope="module")
def tube():
    return capped_tube(RADIUS, LENGTH, rings=20)


@pytest.fixture(scope="module")
def steady(tube):
    return simulate_flow(tube[0], mean_flow_ml_s=0.5, spacing_mm=SPACING)


def number(flow, quantity):
    return next(n.value for n in flow.numbers if n.quantity == quantity)


def middle(points_mm, axis):
    return np.abs(points_mm @ axis) < LENGTH / 4


def test_poiseuille_flow(tube, steady):
    axis = tube[1]
    away = steady.cells_mm - np.outer(steady.cells_mm @ axis, axis)
    mean = 0.5e-6 / (np.pi * (RADIUS * 1e-3) ** 2)
    exact = 2 * mean * (1 - (np.linalg.norm(away, axis=1) / RADIUS) ** 2)
    inside = middle(steady.cells_mm, axis)
    error = steady.velocity_m_s[0][inside] - np.outer(exact[inside], axis)
    assert np.linalg.norm(error) < 0.04 * np.linalg.norm(exact[inside])
    shear = steady.wall.point_data["wss_pa"][middle(steady.wall.points_mm, axis)]
    exact_shear = 4 * VISCOSITY * 0.5e-6 / (np.pi * (RADIUS * 1e-3) ** 3)
    error = shear - exact_shear * axis
    assert np.sqrt(np.mean((error**2).sum(axis=1))) < 0.06 * exact_shear
    gradient = np.polyfit(steady.cells_mm[inside] @ axis, steady.pressure_pa[0][inside], 1)[0]
    assert gradient * 1e3 == pytest.approx(-8 * VISCOSITY * mean / (RADIUS * 1e-3) ** 2, rel=0.04)


def test_a_flow_that_does_not_come_to_rest_is_told_by_means_and_how_well_they_are_known(
    tube, monkeypatch
):
    options = {"mean_flow_ml_s": 0.5, "spacing_mm": 0.8, "settled_percent": 1e-6}
    calm = simulate_flow(tube[0], **options, most_exchanges=4.0)
    monkeypatch.setattr("hemodynamics.flow_settled.Settling.swings", lambda _: True)
    sways = simulate_flow(tube[0], **options, most_exchanges=4.0)
    told = [f.sentence for f in sways.findings if f.code == "not_settled"]
    assert "does not come to rest" in told[0]
    assert 0 < number(sways, "wss.swing") < 0.01
    assert number(sways, "wss.patch_swing") < number(sways, "change") < 0.1
    assert number(sways, "wss.mean") == pytest.approx(number(calm, "wss.mean"), rel=1e-4)
    assert number(sways, "imbalance") < 0.01
    assert "wss.swing" not in {n.quantity for n in calm.numbers}


def test_steady_flow_settles_and_balances(steady):
    assert steady.residuals[-1] < 5e-3
    assert number(steady, "imbalance") < 0.1
    assert number(steady, "inlet.flow") == pytest.approx(0.5, rel=1e-3)
    assert steady.flows_ml_s["outlet_1"][0] == pytest.approx(-0.5, rel=2e-3)
    assert steady.opening_pressures_pa["inlet"][0] > steady.opening_pressures_pa["outlet_1"][0]
    assert np.allclose(steady.wall.point_data["osi"], 0, atol=1e-6)
    assert {f.code for f in steady.findings} == {"coarse_cells"}


def test_the_same_flow_comes_out_twice(tube):
    options = {"mean_flow_ml_s": 0.5, "spacing_mm": 0.6, "most_exchanges": 1.0}
    one, two = (simulate_flow(tube[0], **options) for _ in range(2))
    assert np.array_equal(one.velocity_m_s, two.velocity_m_s)
    assert np.array_equal(one.wss_pa, two.wss_pa)
    assert one.numbers == two.numbers


def womersley_shear(mean_ml_s, period_s, times_s):
    """Return the wall shear in Pa over time of the default pulse in the tube."""
    wave, nu, radius = pulse(mean_ml_s, period_s), VISCOSITY / 1060, RADIUS * 1e-3
    area = np.pi * radius**2
    total = np.zeros(len(times_s))
    for k, flow in enumerate(wave.harmonics_ml_s * 1e-6):
        omega = 2 * np.pi * k / period_s
        if k == 0:
            share = 4 * VISCOSITY / (area * radius)
        else:
            a = np.sqrt(-1j) * radius * np.sqrt(omega / nu)
            ratio = jv(1, a) / jv(0, a)
            share = -VISCOSITY / area / radius * a * ratio / (1 - 2 * ratio / a)
        total += (flow * share * np.exp(1j * omega * times_s)).real
    return total


def test_womersley_flow(tube):
    flow = simulate_flow(
        tube[0], kind="pulsatile", mean_flow_ml_s=0.5, spacing_mm=0.5, cycles=2, period_s=0.5,
        frames=16,
    )  # fmt: skip
    exact = womersley_shear(0.5, 0.5, flow.times_s)
    inside = middle(flow.wall.points_mm, tube[1])
    shear = (flow.wss_pa @ tube[1])[:, inside].mean(axis=1)
    assert np.sqrt(np.mean((shear - exact) ** 2)) < 0.12 * np.sqrt(np.mean(exact**2))
    expected = pulse(0.5, 0.5).flow_ml_s(flow.times_s)
    assert np.allclose(flow.flows_ml_s["inlet"], expected, rtol=2e-3)
    assert len(flow.residuals) == 1
    assert 0 < number(flow, "wss.cycle_change") <= number(flow, "wss.patch_cycle_change") < 5
    assert flow.wall.point_data["osi"].max() < 0.01
    assert number(flow, "imbalance") < 0.2


def test_a_windkessel_holds_the_pressure_it_was_made_for(tube):
    flow = simulate_flow(
        tube[0], kind="pulsatile", mean_flow_ml_s=0.5, spacing_mm=0.7, cycles=2, period_s=0.4,
        frames=10, outlets="windkessel", mean_pressure_mmhg=80.0, decay_s=0.5,
    )  # fmt: skip
    pressure = flow.opening_pressures_pa["outlet_1"] / PA_PER_MMHG
    assert pressure.mean() == pytest.approx(80, rel=0.03)
    assert 8 < np.ptp(pressure) < 30
    assert np.allclose(flow.flows_ml_s["outlet_1"], -flow.flows_ml_s["inlet"], rtol=0.05)


def test_what_cannot_be_computed_is_refused(tube):
    mesh = tube[0]
    with pytest.raises(OpenSurface):
        simulate_flow(mesh.reshaped(mesh.points_mm, mesh.triangles[1:]))
    with pytest.raises(UnusableLumen, match="no open ends by name"):
        simulate_flow(replace(mesh, boundaries={}))
    with pytest.raises(UnusableLumen, match="no end ica where"):
        simulate_flow(mesh, inlets="ica", spacing_mm=0.8)
    with pytest.raises(UnusableLumen, match="every end is an inlet"):
        simulate_flow(mesh, inlets="inlet, outlet_1", spacing_mm=0.8)
    with pytest.raises(TooCostly, match=r"GiB of memory.*take cells of"):
        simulate_flow(mesh, spacing_mm=0.001)
    with pytest.raises(TooCostly, match="h on this machine"):
        simulate_flow(mesh, spacing_mm=0.6, most_hours=1e-6)


def test_it_stops_at_once_when_told_to(tube):
    told = []

    class Stopped(Exception):
        pass

    def progress(fraction, message=""):
        told.append(message)
        if message.startswith("step "):
            raise Stopped

    with pytest.raises(Stopped):
        simulate_flow(tube[0], spacing_mm=0.5, progress=progress)
    assert told[-1].startswith("step ")


def test_a_flow_that_blows_up_leaves_nothing(tube, monkeypatch):
    step = Run.step

    def spoil(run):
        step(run)
        if run.lattice.steps == 30:
            run.lattice._now[:] = np.nan

    monkeypatch.setattr(Run, "step", spoil)
    with pytest.raises(Diverged, match="there is no result"):
        simulate_flow(tube[0], mean_flow_ml_s=0.5, spacing_mm=0.8)


def test_a_flow_that_is_too_fast_for_its_steps_takes_shorter_ones(tube, monkeypatch):
    monkeypatch.setattr(flow_march, "MOST_LATTICE_SPEED", 0.07)
    options = {"mean_flow_ml_s": 3.0, "spacing_mm": 0.6, "most_exchanges": 1.0}
    slower = simulate_flow(tube[0], **options)
    monkeypatch.setattr(flow_march, "MOST_LATTICE_SPEED", 0.3)
    usual = simulate_flow(tube[0], **options)
    assert number(slower, "steps") == pytest.approx(2 * number(usual, "steps"), rel=0.05)
    monkeypatch.setattr(flow_march, "MOST_LATTICE_SPEED", 0.001)
    with pytest.raises(Diverged):
        simulate_flow(tube[0], **options)


def test_no_flow_is_a_result_too(tube):
    flow = simulate_flow(tube[0], kind="none")
    assert len(flow.times_s) == 0
    assert [finding.code for finding in flow.findings] == ["no_flow"]
