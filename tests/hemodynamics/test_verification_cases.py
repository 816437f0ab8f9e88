"""Checks beside Dean's series, Windkessels, laboratories and OpenFOAM, without their long runs."""

import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from hemodynamics.rheology import CarreauYasuda
from hemodynamics.verification import curved, nozzle, outlets, sacs, thinning
from hemodynamics.verification.openfoam import Solution
from hemodynamics.verification.rows import CannotRun, Means
from hemodynamics.verification.sac_cases import MarkedSac, data_file, patient, rounded, sphere
from meshing.mesh import is_watertight, volume_ml


def sections(count=60):
    """Return cells all over a part of the bend."""
    across = np.linspace(-1.95, 1.95, count // 2)
    out, y, turn = (
        part.ravel() for part in np.meshgrid(across, across, np.linspace(0.38, 0.44, 5))
    )
    inside = np.hypot(out, y) < 1.99
    out, y, turn = out[inside], y[inside], turn[inside]
    far = curved.COURSE_MM + out
    x, z = curved.COURSE_MM - far * np.cos(turn), far * np.sin(turn)
    return np.stack([x, y, z], axis=1), turn


def dean_flow(mean, scale=1.0):
    """Return a flow that is Dean's, its secondary part times ``scale``."""
    cells, turn = sections()
    place = curved.Bend.of(cells)
    series = curved.Series(mean)
    axial, radial, angular = series.velocity_m_s(place.r, place.t)

    def vectors(place, axial, radial, angular):
        out = radial * np.cos(place.t) - angular * np.sin(place.t)
        y = radial * np.sin(place.t) + angular * np.cos(place.t)
        sine, cosine = np.sin(place.turn), np.cos(place.turn)
        return np.stack([axial * sine - out * cosine, y, axial * cosine + out * sine], axis=1)

    ring = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    far = curved.COURSE_MM + 2 * np.cos(ring)
    wall = np.stack(
        [curved.COURSE_MM - far * np.cos(0.4), 2 * np.sin(ring), far * np.sin(0.4)], axis=1
    )
    there = curved.Bend.of(wall)
    shear = 1 + series.shear_swing * np.cos(there.t)
    return SimpleNamespace(
        cells_mm=cells,
        velocity_m_s=vectors(place, axial, scale * radial, scale * angular)[None],
        wall=SimpleNamespace(points_mm=wall),
        wss_pa=vectors(there, shear, 0 * shear, 0 * shear)[None],
    ), turn


def test_places_in_the_bend_are_found():
    cells, turn = sections()
    place = curved.Bend.of(cells)
    assert np.allclose(place.turn, turn)
    outer = curved.Bend.of(np.array([[-1.0, 0.0, 0.0]]))
    assert (outer.r[0], outer.t[0]) == (pytest.approx(0.5), pytest.approx(0.0))


def test_deans_own_flow_passes_and_another_does_not():
    entering = curved.FLOW_ML_S * 1e-6 / (np.pi * 4e-6)
    verdicts = [row.verdict for row in curved.compare(dean_flow(entering)[0])]
    assert verdicts == ["pass"] * 4
    rows = list(curved.compare(dean_flow(0.97 * entering, 0.9)[0]))
    assert [row.verdict for row in rows] == ["fail", "pass", "fail", "pass"]
    assert rows[0].value == pytest.approx(3.0, abs=0.1)
    assert rows[2].value == pytest.approx(0.9, abs=0.01)


def test_secondary_flow_runs_outward_in_the_middle_and_is_free_of_sources():
    series = curved.Series(0.08)
    r, t, h = np.array([0.4]), np.array([0.7]), 1e-5
    assert series.velocity_m_s(np.array([0.0]), np.array([0.0]))[1][0] > 0
    radial = [(r + s) * series.velocity_m_s(r + s, t)[1] for s in (-h, h)]
    angular = [series.velocity_m_s(r, t + s)[2] for s in (-h, h)]
    divergence = (radial[1] - radial[0] + angular[1] - angular[0]) / (2 * h)
    assert abs(divergence[0]) < 1e-8


def test_the_equation_of_a_windkessel_tends_to_its_mean_pressure():
    times = np.linspace(0, 5, 50)
    steady = outlets.equation(times, lambda time: outlets.FLOW_ML_S)
    assert np.allclose(steady, outlets.PRESSURE_MMHG * 133.322, rtol=1e-6)
    off = outlets.equation(times, lambda time: 0.0)
    assert off[-1] / off[0] == pytest.approx(np.exp(-5 / outlets.DECAY_S), rel=1e-3)


LABORATORY = """dataset-reynolds 0500
plot-wall-distribution-pressure
2
-2.0E-002  1.0E+002
3.2E-002  0.0
deleted-plot-z-distribution-axial-velocity
1
0.0  9.0
plot-z-distribution-axial-velocity
2
-2.0000E-002  {a}
0.0E+000  {b}
"""


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "fda_nozzle"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / nozzle.ARCHIVE, "w") as packed:
        for n, (a, b) in enumerate(((0.6, 0.7), (0.7, 0.7), (0.8, 0.7))):
            packed.writestr(f"experiment/{n}.txt", LABORATORY.format(a=a, b=b))
    return tmp_path


def test_a_laboratorys_file_is_read_and_withdrawn_plots_are_not(archive):
    sets = nozzle.read_sets(archive / nozzle.ARCHIVE)
    assert sets[0][nozzle.VELOCITY] == {-20.0: 0.6, 0.0: 0.7}
    assert sets[0][nozzle.PRESSURE] == {-20.0: 100.0, 32.0: 0.0}
    band = nozzle.band([found[nozzle.VELOCITY] for found in sets], -30, 30)
    assert np.allclose(band.mean, [0.7, 0.7])
    assert np.allclose(band.half, [0.2, 0.0])
    assert band.outside(np.array([0.89, band.mean[1]])) == 0
    assert band.outside(np.array([0.89, 0.76])) == 1
    assert band.outside(np.array([0.91, np.nan])) == 2
    assert [band.beyond(np.array([v, 0.7])) for v in (0.79, 0.81)] == [0, 1]
    assert [band.apart(np.array([0.7, v])) for v in (0.76, 0.78, np.nan)] == [0, 1, 1]


def test_blood_that_does_not_thin_flows_as_poiseuille_said():
    plain = CarreauYasuda(0.0035 * (1 + 1e-9), 0.0035)
    assert thinning.wall_stress_pa(plain, 1.0) == pytest.approx(
        4 * 0.0035 * 1e-6 / (np.pi * 8e-9), rel=1e-5
    )
    thick = thinning.wall_stress_pa(CarreauYasuda(), 1.0)
    _, velocity = thinning.profile(CarreauYasuda(), thick)
    assert thick > 0.56
    assert velocity[0] < 2e-6 / (4e-6 * np.pi)  # blunter than a parabola
    assert velocity[-1] == 0.0


def test_the_nozzle_has_its_published_sizes():
    lumen = nozzle.lumen()
    assert is_watertight(lumen)
    low, high = nozzle.INLET_MM, nozzle.OUTLET_MM
    cone = np.pi * 22.685 / 3 * (36 + 12 + 4)
    volume = np.pi * 36 * (high - low - 62.685) + cone + np.pi * 4 * 40
    assert volume_ml(lumen) == pytest.approx(1e-3 * volume, rel=1e-6)
    reynolds = 4 * nozzle.FLOW_ML_S * 1e-6 * nozzle.DENSITY_KG_M3 / (
        np.pi * 4e-3 * nozzle.VISCOSITY_PA_S
    )  # fmt: skip
    assert reynolds == pytest.approx(500, abs=0.5)


def made_up_jet():
    """Return a jet of 0.7 m/s on its axis whose pressure falls by 1 Pa per mm, to 0 at 32 mm."""
    half = np.arange(-19.5, 20) * 0.3
    x, y, z = (part.ravel() for part in np.meshgrid(half, half, np.arange(-25, 35, 0.3)))
    inside = np.hypot(x, y) < np.where(z < 0, 2, 6)
    cells = np.stack([x, y, z], axis=1)[inside]
    velocity = np.zeros_like(cells)
    velocity[:, 2] = 0.7 * (1 - (cells[:, 0] ** 2 + cells[:, 1] ** 2) / 36)
    return nozzle.Jet(cells, 0.3, velocity, 32.0 - cells[:, 2], 1.0, 0.0)


def test_the_axis_and_the_wall_of_a_jet_are_read():
    jet = made_up_jet()
    assert np.allclose(jet.on_axis(np.array([-20.0, 0.0, 8.0])), 0.7, rtol=1e-6)
    assert np.allclose(jet.at_wall(np.array([-20.0, 8.0])), [52.0, 24.0], atol=0.31)


@pytest.mark.parametrize(
    ("speed", "slope", "verdicts"),
    [
        (1.0, 1.0, ["pass", "pass", "pass", "pass"]),
        (1.02, 1.04, ["fail", "pass", "fail", "fail"]),
        (1.03, 1.0, ["fail", "fail", "pass", "pass"]),
    ],
)
def test_a_jet_is_held_beside_laboratories_and_the_exact_flow(speed, slope, verdicts):
    sets = [
        {
            nozzle.VELOCITY: {-22.0: 0.7 + off, 5.0: 0.7 - off, 8.0: 0.7 + off},
            nozzle.PRESSURE: {-22.0: 54.0 + off, 0.0: 32.0, 8.0: 24.0 - off, 32.0: off},
        }
        for off in (-0.004, 0.0, 0.004)
    ]
    truth = SimpleNamespace(
        on_axis=lambda places: np.where(places == 8.0, 0.7 * speed, 0.7),
        at_wall=lambda places: slope * (32.0 - places),
    )
    rows = list(nozzle.compare(made_up_jet(), sets, truth))
    assert [row.verdict for row in rows if row.source == nozzle.EXACT] == verdicts
    largest, rms = (row.value for row in rows[2:4])
    assert largest == pytest.approx(100 * (1 - 1 / speed), abs=1e-6)
    assert rms == pytest.approx(largest / np.sqrt(3), abs=1e-6)
    outside = "1 of 3 (8 mm)" if speed > 1.01 else "0 of 3"
    assert f"ours lies outside at 0 of 3, the exact axisymmetric flow itself at {outside}" in (
        rows[0].note
    )


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(CannotRun, match="--data or HILUM_DATA"):
        next(nozzle.fda_nozzle(Means()))
    with pytest.raises(CannotRun, match="there is no"):
        data_file(Means(tmp_path), "thing.zip")


def test_a_tube_with_a_sphere_is_one_lumen():
    sac = sphere(Means())
    assert is_watertight(sac.lumen)
    assert set(sac.lumen.boundaries) == {"wall", "inlet", "outlet_1"}
    assert volume_ml(sac.lumen) == pytest.approx(0.2306, rel=0.01)
    points = np.array([[0.0, 1.9, 0.0], [0.0, 2.35, 0.0], [0.0, 4.0, 0.0]])
    assert np.allclose(sac.share(points, np.full(3, 0.2)), [0.0, 0.25, 1.0])


def made_up(factor, times=1):
    """Return OpenFOAM's solution with a speed of 1 m/s and a shear of 2 Pa times ``factor``.

    Its mesh has three cells as often as ``times``.
    """
    cells = np.array([[0.0, 3.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    ahead = np.array([[1.0, 0, 0], [3.0, 0, 0], [90.0, 0, 0]])
    mesh = [cells, 1e-3 * np.array([3.0, 1.0, 5.0]), factor * ahead * 2 / 3, np.zeros(3)]
    wall = [cells, 1e-2 * np.ones(3), factor * ahead]
    arrays = [np.concatenate([array] * times) for array in (*mesh, *wall)]
    return Solution(*arrays, 100, 1.0, 2.0)


def test_figures_of_openfoam_are_weighted_by_volume_and_area():
    sac = sphere(Means())
    figures = sacs.figures_of_theirs(sac, made_up(1.0))
    assert (figures.speed_m_s, figures.shear_pa) == (pytest.approx(1.0), pytest.approx(2.0))


@pytest.mark.parametrize("order", [1.0, 1.4, 2.0])
def test_values_that_converge_are_extrapolated_to_where_they_tend(order):
    edges = np.array([0.3, 0.22, 0.1])
    found = sacs.extrapolated(5.0 - 7.0 * edges**order, 1e4 / edges**3)
    assert found.value == pytest.approx(5.0, rel=1e-6)
    assert found.order == pytest.approx(order, rel=1e-5)
    assert found.uncertainty == pytest.approx(1.25 * 7.0 * 0.1**order, rel=1e-5)


def test_values_that_swing_are_trusted_less_and_steep_ones_no_more_than_the_method():
    edges = np.array([0.4, 0.2, 0.1])
    swinging = sacs.extrapolated([1.0, 1.2, 1.1], edges**-3)
    assert (swinging.value, swinging.uncertainty) == (pytest.approx(1.0), pytest.approx(0.125))
    steep = sacs.extrapolated(5.0 - edges**4, edges**-3)
    assert steep.order == 2.0
    assert steep.value > 5.0 - 0.1**4


@pytest.mark.parametrize(("ours", "verdict"), [(1.02, "pass"), (1.04, "fail")])
def test_ours_is_held_beside_what_the_meshes_tend_to(monkeypatch, ours, verdict):
    sac = sphere(Means())

    def flow(sac, spacing, progress):
        cells = np.ones(round(1 / spacing))
        return SimpleNamespace(conditions={"outflow_shares": {"outlet_1": 1.0}}, cells_mm=cells)

    def figures(sac, flow):
        coarse = {4: 0.8, 5: 0.9}.get(len(flow.cells_mm), ours)
        return sacs.Figures(coarse, 2.0)

    monkeypatch.setattr(sacs, "ours", flow)
    monkeypatch.setattr(sacs, "figures_of_ours", figures)
    made = dict(zip(sac.grids_mm, [(0.92, 1), (0.98, 8), (0.995, 64)]))
    monkeypatch.setattr(
        sacs, "theirs", lambda sac, shares, grid, progress: made_up(*made[grid.cell_mm])
    )
    rows = list(sacs.compare(sac))
    assert [row.verdict for row in rows] == [verdict, "fail", "pass", "pass", "pass", "pass"]
    assert rows[0].reference == pytest.approx(1.0)
    assert rows[0].note == (
        f"-20.0 % with 4 cells, -10.0 % with 5 cells, {100 * (ours - 1):+.1f} % with 7 cells; "
        "OpenFOAM -8.0 % with 3 cells, -2.0 % with 24 cells, -0.5 % with 192 cells"
    )
    assert rows[1].value > ours + 0.1
    assert rows[2].value == pytest.approx(1.25 * 0.5)
    assert rows[2].note == "order 2.0"


def test_cells_of_openfoam_are_finer_around_the_whole_sac():
    sac = rounded(Means())
    grid = sac.grid(0.3)
    centre, radius = grid.ball_mm
    assert centre == pytest.approx((0.0, 3.7, 0.0), abs=0.02)
    points = sac.lumen.points_mm
    inside = np.linalg.norm(points - centre, axis=1) < radius
    assert inside[sac.depth_mm(points) > 0].all()
    assert not inside[points[:, 1] < 0].any()


def test_figures_lie_off_by_their_limits():
    known = sacs.Figures(2.0, 3.0)
    assert sacs.Figures(2.0, 3.0).off(known) == 0.0
    assert sacs.Figures(2.12, 3.0).off(known) == pytest.approx(2.0)
    assert sacs.Figures(1.97, 2.7).off(known) == pytest.approx(2.0)


def test_a_marked_sac_is_the_domes_side_of_its_neck():
    x, y = (part.ravel() for part in np.mgrid[-3:4, -3:4] * 0.5)
    flat = np.stack([x, y, np.zeros_like(x)], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    points = np.concatenate([flat, flat + up, flat - up])
    labels = np.repeat([2, 1, 0], len(x))
    sac = MarkedSac(points, labels)
    asked = np.array([[0.1, 0.2, 0.6], [0.1, 0.2, -0.6], [0.3, 0.1, 2.0], [0.0, 0.0, 0.2]])
    assert np.allclose(sac(asked), [0.6, -0.6, 2.0, -np.inf])


def test_a_real_aneurysm_has_its_sac_and_three_ends(real_data):
    sac = patient(Means(real_data))
    assert is_watertight(sac.lumen)
    assert set(sac.lumen.boundaries) == {"wall", "inlet", "outlet_1", "outlet_2"}
    assert 150 < np.count_nonzero(sac.depth_mm(sac.lumen.points_mm) > 0) < 300
