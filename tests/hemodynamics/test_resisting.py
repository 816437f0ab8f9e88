"""Cells with a viscosity and a drag of their own, against flows that are known exactly."""

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid
from scipy.special import i0

from hemodynamics.lattice import VELOCITIES
from hemodynamics.layout import Links, lay_out
from hemodynamics.rheology import CarreauYasuda, Newtonian, rates
from hemodynamics.solver import Drag, Lattice
from tests.hemodynamics.tubes import periodic_tube

RADIUS, TAU = 6.0, 0.8
VISCOSITY = (TAU - 0.5) / 3
SPACING_MM, STEP_S, DENSITY = 0.5, 2e-3, 1060.0


def driven(lattice, force, steps):
    for _ in range(steps):
        lattice.meet()
        lattice.step(tuple(force))
    lattice.meet()
    return lattice.state().astype(float)


def carreau_profile(fluid, gradient_pa_m, radius_m):
    """Return speed (m/s) at radii (m): rate viscosity(rate) = gradient r / 2, then summed."""
    r = np.linspace(0.0, radius_m, 2001)
    rate = np.logspace(-6, 6, 200_001)
    sheared = np.interp(gradient_pa_m * r / 2, rate * fluid.viscosity_at(rate), rate, left=0.0)
    fallen = cumulative_trapezoid(sheared, r, initial=0.0)
    return r, fallen[-1] - fallen


@pytest.mark.parametrize("gradient_pa_m", [9.0, 30.0])
def test_thinning_blood_in_a_tilted_tube_flows_as_its_equation_says(gradient_pa_m):
    fluid = CarreauYasuda(zero_pa_s=0.02, power=0.3)
    _, neighbours, links, axis, away = periodic_tube(RADIUS)
    table = rates(fluid, SPACING_MM, STEP_S, DENSITY)
    lattice = Lattice(lay_out(neighbours, links), links, 1.0, rates=table)
    speed_m_s = 1e-3 * SPACING_MM / STEP_S
    force = gradient_pa_m / DENSITY * STEP_S / speed_m_s * axis
    state = driven(lattice, force, 2000)
    found = (state[1:4].T @ axis + np.linalg.norm(force) / 2) * speed_m_s
    radii, exact = carreau_profile(fluid, gradient_pa_m, 1e-3 * SPACING_MM * RADIUS)
    expected = np.interp(1e-3 * SPACING_MM * np.linalg.norm(away, axis=1), radii, exact)
    scale = np.sqrt(np.mean(expected**2))
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.015 * scale
    assert found.mean() == pytest.approx(expected.mean(), rel=0.015)
    # The blood of one viscosity that flows as fast would have another profile.
    parabola = 2 * expected.mean() * (1 - (np.linalg.norm(away, axis=1) / RADIUS) ** 2)
    assert np.sqrt(np.mean((parabola - expected) ** 2)) > 0.03 * scale
    # The stress needs no viscosity: it balances the gradient.
    stress_pa = DENSITY * speed_m_s**2 * state[4:]
    full = stress_pa[[0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(3, 3, -1)
    radius = np.linalg.norm(away, axis=1)
    shear = np.einsum("abn,na,b->n", full, away / radius[:, None], axis)
    known = -gradient_pa_m / 2 * 1e-3 * SPACING_MM * radius
    assert np.sqrt(np.mean((shear - known) ** 2)) < 0.03 * np.sqrt(np.mean(known**2))


def test_a_table_of_one_viscosity_changes_nothing_but_the_last_digits():
    _, neighbours, links, axis, _ = periodic_tube(4.0)
    layout = lay_out(neighbours, links)
    table = rates(Newtonian(), SPACING_MM, STEP_S, DENSITY)
    assert np.ptp(table.table) == 0.0
    plain = Lattice(layout, links, 1.0 / table.table[0])
    general = Lattice(layout, links, 1.0, rates=table)
    one, two = (driven(lattice, 1e-4 * axis, 51) for lattice in (plain, general))
    assert np.allclose(one, two, rtol=0, atol=5e-7)


def test_the_table_of_rates_follows_the_fluid():
    fluid = CarreauYasuda()
    table = rates(fluid, 0.2, 5e-5, DENSITY)
    for rate_1_s in (0.01, 0.3, 3.0, 40.0, 900.0, 20_000.0):
        nu = 1e6 * fluid.viscosity_at(rate_1_s) / DENSITY * 5e-5 / 0.2**2
        size = rate_1_s * 5e-5 * (0.5 + 3 * nu)
        place = np.sqrt(size) / (np.sqrt(size) + table.half)
        found = np.interp(place, np.linspace(0, 1, len(table.table)), table.table)
        assert (1 / found - 0.5) / 3 == pytest.approx(nu, rel=2e-3)


def test_flow_through_a_porous_tube_is_brinkmans():
    cells, neighbours, links, axis, away = periodic_tube(RADIUS)
    linear = 0.01
    drag = Drag(np.full(len(cells), linear), np.zeros(len(cells)))
    force = 2e-4 * axis
    lattice = Lattice(lay_out(neighbours, links), links, TAU, drag=drag)
    state = driven(lattice, force, 800)
    found = state[1:4].T @ axis + np.linalg.norm(force) / 2
    deep = np.sqrt(linear / VISCOSITY)
    radius = np.linalg.norm(away, axis=1)
    exact = 2e-4 / linear * (1 - i0(deep * radius) / i0(deep * RADIUS))
    assert np.sqrt(np.mean((found - exact) ** 2)) < 0.015 * np.sqrt(np.mean(exact**2))


def periodic_bar(length, width):
    """Return the neighbours of a bar of cells that repeats on all sides, and its cells' x."""
    index = np.arange(length * width * width).reshape(width, width, length)
    neighbours = np.stack(
        [np.roll(index, (-z, -y, -x), (0, 1, 2)).ravel() for x, y, z in VELOCITIES]
    )
    none = np.empty(0, np.int64)
    return neighbours, Links(none, none, np.empty(0), none), index.ravel() % length


@pytest.mark.parametrize(("linear", "quadratic"), [(0.05, 0.0), (0.0, 2.0), (0.03, 1.5)])
def test_pressure_falls_across_a_screen_as_darcy_and_forchheimer_say(linear, quadratic):
    neighbours, links, x = periodic_bar(24, 1)
    screen = (x >= 8) & (x < 14)
    force, thick, length = 2e-4, 6, 24
    drag = Drag(linear * screen, quadratic * screen)
    lattice = Lattice(lay_out(neighbours, links), links, TAU, drag=drag)
    state = driven(lattice, (force, 0.0, 0.0), 4000)
    density = 1 + state[0]
    speed = (density * (state[1] + force / 2)).mean()
    # The force on the whole bar is what the screen takes.
    assert thick * (linear * speed + quadratic * speed**2) == pytest.approx(
        length * force, rel=0.01
    )
    rise = state[0, x == 7].mean() / 3 - state[0, x == 14].mean() / 3
    expected = thick * (linear * speed + quadratic * speed**2) - 7 * force
    assert rise == pytest.approx(expected, rel=0.03)


def test_a_drag_however_strong_stops_the_flow_and_nothing_else():
    neighbours, links, x = periodic_bar(16, 1)
    drag = Drag(np.where(x < 8, 1e6, 0.0), np.where(x < 8, 1e6, 0.0))
    lattice = Lattice(lay_out(neighbours, links), links, 0.51, drag=drag)
    state = driven(lattice, (1e-4, 0.0, 0.0), 500)
    assert np.abs(state[1, x < 8] + 5e-5).max() < 1e-8
    assert np.abs(state[1]).max() < 1e-3
    assert np.abs(state[0]).max() < 0.05


def test_a_drag_needs_a_value_for_each_cell():
    neighbours, links, _ = periodic_bar(8, 1)
    with pytest.raises(ValueError, match="one value of zero or more for each of 8 cells"):
        Lattice(lay_out(neighbours, links), links, TAU, drag=Drag(np.zeros(5), np.zeros(5)))
