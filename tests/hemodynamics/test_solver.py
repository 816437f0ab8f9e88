import numpy as np
import pytest

from hemodynamics.cell_passes import BLOCK, LANES
from hemodynamics.lattice import VELOCITIES
from hemodynamics.layout import WALL, Links, address, lay_out, runs
from hemodynamics.solver import Lattice
from tests.hemodynamics.tubes import periodic_tube

RADIUS, MEAN, TAU = 5.0, 0.05, 0.55
VISCOSITY = (TAU - 0.5) / 3
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


@pytest.fixture(scope="module")
def poiseuille():
    """Return velocity, shear stress and their exact values in a tilted tube, and the lattice."""
    cells, neighbours, links, axis, away = periodic_tube(RADIUS)
    lattice = Lattice(lay_out(neighbours, links), links, TAU, threads=1)
    force = 8 * VISCOSITY * MEAN / RADIUS**2 * axis
    for _ in range(3000):
        lattice.meet()
        lattice.step(tuple(force))
    lattice.meet()
    state = lattice.state().astype(float)
    radius = np.linalg.norm(away, axis=1)
    velocity = state[1:4].T + force / 2
    stress = np.empty((len(cells), 3, 3))
    for n, (a, b) in enumerate(PAIRS):
        stress[:, a, b] = stress[:, b, a] = state[4 + n]
    shear = np.einsum("nab,na,b->n", stress, away / radius[:, None], axis)
    exact = 2 * MEAN * (1 - (radius / RADIUS) ** 2)
    return lattice, velocity, axis, exact, shear, -4 * VISCOSITY * MEAN * radius / RADIUS**2


def test_poiseuille_flow_in_a_tilted_tube(poiseuille):
    _, velocity, axis, exact, shear, exact_shear = poiseuille
    along = velocity @ axis
    across = velocity - np.outer(along, axis)
    scale = np.sqrt(np.mean(exact**2))
    assert np.sqrt(np.mean((along - exact) ** 2)) < 0.012 * scale
    assert np.sqrt(np.mean((across**2).sum(axis=1))) < 0.005 * scale
    error = np.sqrt(np.mean((shear - exact_shear) ** 2))
    assert error < 0.025 * np.sqrt(np.mean(exact_shear**2))


def test_walls_leak_nothing_that_is_not_given_back(poiseuille):
    lattice = poiseuille[0]
    assert abs(lattice.state()[0].mean()) < 1e-3
    assert abs(lattice.leak) / lattice.layout.cells < 1e-4


def test_one_thread_and_two_give_the_same_bits():
    _, neighbours, links, axis, _ = periodic_tube(3.0)
    layout = lay_out(neighbours, links)
    one, two = (Lattice(layout, links, TAU, threads=n) for n in (1, 2))
    for lattice in (one, two):
        for _ in range(50):
            lattice.meet()
            lattice.step(tuple(1e-4 * axis))
    assert np.array_equal(one.state(), two.state())


def closed_box(size):
    """Return the layout and links of a box of cells whose lower x face is opening 1."""
    index = np.arange(size**3).reshape(size, size, size)
    padded = np.pad(index, 1, constant_values=-1)
    neighbours = np.stack(
        [
            np.roll(padded, (-z, -y, -x), (0, 1, 2))[1:-1, 1:-1, 1:-1].ravel()
            for x, y, z in VELOCITIES
        ]
    )
    q, cell = np.nonzero(neighbours < 0)
    x = index.ravel()[cell] % size
    part = np.where((x == 0) & (VELOCITIES[q, 0] == -1), 1, WALL)
    return neighbours, Links(cell, q, np.full(len(q), 0.5), part)


def test_what_enters_is_what_stays():
    neighbours, links = closed_box(5)
    lattice = Lattice(lay_out(neighbours, links), links, 0.8)
    inlet = np.flatnonzero(links.part == 1)
    into = -VELOCITIES[links.direction[inlet], 0] * 0.001
    lattice.push(inlet, into.astype(float))
    entered = 0.0
    for _ in range(20):
        lattice.meet()
        entered += lattice.inflow(inlet)
        lattice.step()
    lattice.meet()
    entered += lattice.inflow(inlet)
    assert entered > 0
    assert float(lattice.state()[0].sum(dtype=float)) == pytest.approx(entered, rel=1e-3)


def test_addresses_are_used_once():
    cells = np.arange(3 * LANES)
    every = np.concatenate([address(q, cells) for q in range(27)])
    assert np.array_equal(np.sort(every), np.arange(27 * 3 * LANES))


def test_runs_of_neighbours_are_the_table():
    _, neighbours, links, *_ = periodic_tube(5.0)
    pull = lay_out(neighbours, links).pull
    firsts, places, codes = runs(pull)
    found = np.full(len(pull), -1)
    for block in range(len(firsts) - 1):
        for n in range(firsts[block], firsts[block + 1]):
            vector = block * BLOCK + (int(codes[n]) >> LANES)
            lanes = [lane for lane in range(LANES) if codes[n] >> lane & 1]
            found[vector + np.array(lanes)] = int(places[n]) + np.array(lanes) - lanes[0]
    assert np.array_equal(found, pull)
    assert len(codes) < len(pull) / 2


def test_a_missing_neighbour_needs_a_link():
    neighbours, links = closed_box(3)
    fewer = Links(links.cell[1:], links.direction[1:], links.fraction[1:], links.part[1:])
    with pytest.raises(ValueError, match="neither a neighbour nor a wall"):
        lay_out(neighbours, fewer)


def test_a_flow_goes_on_from_its_state(poiseuille):
    lattice = poiseuille[0]
    state = lattice.state()
    again = Lattice(lattice.layout, lattice.links, TAU)
    again.start(state)
    again.meet()
    found = again.state()
    force = tuple(8 * VISCOSITY * MEAN / RADIUS**2 * poiseuille[2])
    for _ in range(30):
        again.meet()
        again.step(force)
    again.meet()
    for after in (found, again.state()):
        speed = np.abs(after[1:4] - state[1:4]).max()
        assert speed < 0.01 * np.abs(state[1:4]).max()
        assert np.abs(after[4:] - state[4:]).max() < 0.05 * np.abs(state[4:]).max()


@pytest.mark.parametrize("stopped", [6, 7])
def test_a_stopped_run_goes_on_to_the_last_bit(tmp_path, stopped):
    neighbours, links = closed_box(5)
    layout = lay_out(neighbours, links)
    inlet = np.flatnonzero(links.part == 1)

    def go(lattice, steps):
        for _ in range(steps):
            lattice.meet()
            lattice.step((1e-5, 0.0, 2e-5))

    first = Lattice(layout, links, 0.6)
    first.push(inlet, -VELOCITIES[links.direction[inlet], 0] * 0.001)
    go(first, stopped)
    first.meet()
    np.savez(tmp_path / "kept.npz", **first.state_arrays())
    first.step()
    go(first, 9)
    again = Lattice(layout, links, 0.6)
    with np.load(tmp_path / "kept.npz") as kept:
        again.restore(kept)
    again.step()
    go(again, 9)
    assert again.steps == first.steps
    assert again.leak == first.leak
    for lattice in (first, again):
        lattice.meet()
    assert np.array_equal(first.state(), again.state())
    assert np.abs(first.state()[1:4]).max() > 1e-5


def test_a_checkpoint_of_another_lattice_is_refused():
    lattices = []
    for size in (3, 5):
        neighbours, links = closed_box(size)
        lattices.append(Lattice(lay_out(neighbours, links), links, 0.6))
    with pytest.raises(ValueError, match="does not fit a lattice"):
        lattices[0].restore(lattices[1].state_arrays())


def test_a_flow_that_blew_up_can_still_be_read():
    neighbours, links = closed_box(3)
    lattice = Lattice(lay_out(neighbours, links), links, 0.6)
    lattice.start(np.full((10, 27), np.nan, np.float32))
    lattice.meet()
    assert np.isnan(lattice.state()).all()


@pytest.mark.parametrize(
    ("radius", "period", "relaxation"),
    [(6.3, (0, 0, 4), 0.5036), (9.7, (0, 0, 3), 0.5012), (8.0, (4, 2, 1), 0.5012)],
)
def test_nothing_swings_from_step_to_step_at_walls(radius, period, relaxation):
    _, neighbours, links, axis, away = periodic_tube(radius, period)
    lattice = Lattice(lay_out(neighbours, links), links, relaxation, threads=1)
    mean = 0.015
    state = np.zeros((10, away.shape[0]), np.float32)
    state[1:4] = 2 * mean * axis[:, None] * (1 - (away**2).sum(axis=1) / radius**2)
    lattice.start(state)
    force = tuple(8 * (relaxation - 0.5) / 3 * mean / radius**2 * axis)
    for _ in range(3000):
        lattice.meet()
        lattice.step(force)
    lattice.meet()
    before = lattice.state()[1:4]
    lattice.step(force)
    lattice.meet()
    assert np.abs(lattice.state()[1:4] - before).max() < 1e-3 * mean


def test_sound_that_runs_across_a_tube_fades():
    _, neighbours, links, _, away = periodic_tube(8.0, (0, 0, 3))
    lattice = Lattice(lay_out(neighbours, links), links, 0.505, threads=1)
    state = np.zeros((10, len(away)), np.float32)
    state[0] = 1e-3 * (away[:, 0] ** 2 - away[:, 1] ** 2) / 8.0**2
    lattice.start(state)
    louder = 0.0
    for step in range(1500):
        lattice.meet()
        if step >= 1440:  # two periods of the mode with four sectors
            louder = max(louder, float(np.sqrt((lattice.state()[0] ** 2).mean())))
        lattice.step()
    assert louder < 0.4 * np.sqrt((state[0] ** 2).mean())
