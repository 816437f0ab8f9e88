from dataclasses import replace

import numpy as np
import pytest
import trimesh.creation
from scipy.special import jv

from hemodynamics import profiles
from hemodynamics.domain import DEPTH, UnusableLumen, divide
from hemodynamics.lattice import OPPOSITE, VELOCITIES
from hemodynamics.layout import WALL, lay_out, outlet
from hemodynamics.solver import Lattice
from meshing.booleans import combine_surfaces
from meshing.mesh import OpenSurface, SurfaceMesh
from tests.hemodynamics.tubes import capped_tube

RADIUS, LENGTH = 2.0, 8.0


@pytest.fixture(scope="module")
def tube():
    mesh, axis = capped_tube(RADIUS, LENGTH)
    return mesh, axis, divide(mesh, 0.4)


def test_cells_fill_the_lumen(tube):
    _, axis, domain = tube
    volume = len(domain.cells_mm) * domain.spacing_mm**3
    assert volume == pytest.approx(np.pi * RADIUS**2 * LENGTH, rel=0.03)
    along = domain.cells_mm @ axis
    assert np.abs(along).max() < LENGTH / 2
    assert np.linalg.norm(domain.cells_mm - np.outer(along, axis), axis=1).max() < RADIUS
    assert domain.dropped == 0


def test_links_are_cut_where_the_surface_lies(tube):
    _, axis, domain = tube
    along = domain.crossings_mm @ axis
    off = np.linalg.norm(domain.crossings_mm - np.outer(along, axis), axis=1)
    wall = domain.links.part == WALL
    assert np.allclose(off[wall], RADIUS, atol=0.01)
    names = {opening.part: opening.name for opening in domain.openings}
    inlet = np.array([names.get(part) == "inlet" for part in domain.links.part])
    outlet = np.array([names.get(part) == "outlet_1" for part in domain.links.part])
    assert np.allclose(along[inlet], -LENGTH / 2, atol=1e-3)
    assert np.allclose(along[outlet], LENGTH / 2, atol=1e-3)
    assert wall.sum() + inlet.sum() + outlet.sum() == len(wall)


def test_openings_face_outward(tube):
    _, axis, domain = tube
    inlet, outlet = domain.openings
    assert np.allclose(inlet.normal, -axis)
    assert np.allclose(outlet.normal, axis)
    assert outlet.diameter_mm == pytest.approx(2 * RADIUS, rel=0.005)
    assert np.allclose(outlet.factors.sum(axis=0), 1.0)
    point = np.einsum("nl,nlx->lx", outlet.factors, domain.cells_mm[outlet.inside])
    ends = domain.cells_mm[domain.links.cell[outlet.links]]
    ends = ends + domain.spacing_mm * VELOCITIES[domain.links.direction[outlet.links]]
    goal = ends - DEPTH * domain.spacing_mm * axis
    assert np.median(np.linalg.norm(point - goal, axis=1)) < 1e-9


def test_the_profile_of_a_round_end_is_a_parabola(tube):
    section = profiles.section_of(tube[0], "inlet")
    profile = profiles.developed(section)
    centre = tube[2].openings[0].centre_mm
    for share in (0.0, 0.3, 0.6, 0.9):
        point = centre + share * RADIUS * section.across
        (speed,) = profiles.at(section, profile, point[None])
        assert speed == pytest.approx(2 * (1 - share**2), abs=0.04)


def test_the_profile_of_oscillating_flow_is_womersleys(tube):
    section = profiles.section_of(tube[0], "inlet")
    alpha = 5.0
    profile = profiles.developed(section, 1j * alpha**2 / RADIUS**2)
    k = np.sqrt(-1j) * alpha
    mean = 1 - 2 * jv(1, k) / (k * jv(0, k))
    centre = tube[2].openings[0].centre_mm
    for share in (0.0, 0.4, 0.8):
        (speed,) = profiles.at(section, profile, (centre + share * RADIUS * section.along)[None])
        expected = (1 - jv(0, k * share) / jv(0, k)) / mean
        assert speed == pytest.approx(expected, abs=0.04)


def test_what_flows_in_flows_out(tube):
    mesh, axis, domain = tube
    inlet, exit_ = domain.openings
    held = outlet(domain.links, exit_.links, exit_.inside, exit_.factors, exit_.normal)
    lattice = Lattice(lay_out(domain.neighbours, domain.links), domain.links, 0.6)
    section = profiles.section_of(mesh, "inlet")
    shape = profiles.at(section, profiles.developed(section), domain.crossings_mm[inlet.links])
    into = VELOCITIES[OPPOSITE[domain.links.direction[inlet.links]]] @ -inlet.normal
    mean = 0.02
    lattice.push(inlet.links, mean * shape * into)
    for _ in range(1200):
        lattice.meet()
        lattice.hold(held, 0.0)
        lattice.step()
    lattice.meet()
    lattice.hold(held, 0.0)
    wanted = mean * np.pi * (RADIUS / domain.spacing_mm) ** 2
    assert lattice.inflow(inlet.links) == pytest.approx(wanted, rel=0.03)
    assert -lattice.inflow(exit_.links) == pytest.approx(lattice.inflow(inlet.links), rel=1e-3)
    along = domain.cells_mm @ axis
    middle = np.abs(along) < 2
    away = np.linalg.norm(domain.cells_mm - np.outer(along, axis), axis=1)
    exact = 2 * mean * (1 - (away[middle] / RADIUS) ** 2)
    speed = lattice.state()[1:4].T.astype(float)[middle] @ axis
    assert np.linalg.norm(speed - exact) < 0.05 * np.linalg.norm(exact)


def test_a_lumen_that_cannot_be_used_is_refused(tube):
    mesh = tube[0]
    with pytest.raises(OpenSurface):
        divide(mesh.reshaped(mesh.points_mm, mesh.triangles[1:]), 0.4)
    with pytest.raises(UnusableLumen, match="0 open ends"):
        divide(replace(mesh, boundaries={}), 0.4)
    with pytest.raises(UnusableLumen, match="cells of 2 mm across"):
        divide(mesh, 2.0)
    bent = dict(mesh.boundaries) | {"inlet": np.arange(len(mesh.triangles))[:-40]}
    with pytest.raises(UnusableLumen, match="not flat"):
        divide(replace(mesh, boundaries=bent), 0.4)


def with_plate(width, thickness, length):
    """Return a tube along z and in its middle, across x, a plate of tissue."""
    tube, _ = capped_tube(2.0, 6.0, turn=((1.0, 0.0, 0.0), 0.0))
    box = trimesh.creation.box(extents=(width, thickness, length))
    plate = SurfaceMesh(box.vertices, box.faces, "1.2", "plate")
    parted = combine_surfaces(tube, plate, operation="difference")
    heights = parted.points_mm[parted.triangles][..., 2]
    inlet = np.flatnonzero(heights.max(axis=1) < -2.99)
    exit_ = np.flatnonzero(heights.min(axis=1) > 2.99)
    wall = np.setdiff1d(np.arange(len(heights)), np.concatenate([inlet, exit_]))
    return replace(parted, boundaries={"wall": wall, "inlet": inlet, "outlet_1": exit_})


def test_nothing_passes_through_tissue_thinner_than_a_cell():
    domain = divide(with_plate(5.0, 0.02, 2.0), 0.4)
    cells, cut = domain.cells_mm, 0
    for q in np.flatnonzero(VELOCITIES[:, 1]):
        starts, step = cells, 0.4 * VELOCITIES[q]
        share = -starts[:, 1] / step[1]
        at = starts + share[:, None] * step
        through = (share > 0) & (share < 1) & (np.abs(at[:, 2]) < 0.99)
        assert np.all(domain.neighbours[q, through] < 0)
        ahead = domain.neighbours[q, ~through]
        away = np.linalg.norm(cells[ahead] - cells[~through] - step, axis=1)
        assert np.allclose(away[ahead >= 0], 0.0)
        cut += np.count_nonzero(through)
        mine = (domain.links.direction == q) & np.isin(domain.links.cell, np.flatnonzero(through))
        assert np.all(domain.links.part[mine] == WALL)
        assert np.all(domain.crossings_mm[mine, 1] * cells[domain.links.cell[mine], 1] > 0.0)
    assert cut > 500
