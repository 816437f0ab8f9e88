import numpy as np
import pytest

from hemodynamics.cross_flow import NoCrossFlow, Planes
from hemodynamics.field import Field
from hemodynamics.streamlines import (
    ball_seeds,
    disc_seeds,
    inlet_seeds,
    lumen_seeds,
    streamlines,
)
from tests.hemodynamics.known_flow import (
    AXIS,
    CENTRE_MM,
    LENGTH_MM,
    MEAN_ML_S,
    RADIUS_MM,
    pulses,
    tube_flow,
)


@pytest.fixture(scope="module")
def flow():
    return tube_flow(4, 0.3)


@pytest.fixture(scope="module")
def planes(flow):
    return Planes(flow)


def away(points):
    return np.linalg.norm(np.cross(points - CENTRE_MM, AXIS), axis=1)


def test_values_between_cells_are_those_of_a_linear_field(flow):
    field = Field(flow)
    rng = np.random.default_rng(3)
    spots = CENTRE_MM + rng.uniform(-0.7, 0.7, (50, 3))
    linear = (flow.cells_mm @ [1.0, -2.0, 0.5] + 3).astype(np.float32)
    places = field.at(spots)
    assert np.allclose(places.inside, 1, atol=1e-5)
    assert np.allclose(places.of(linear), spots @ [1.0, -2.0, 0.5] + 3, atol=1e-4)
    beyond = field.at(CENTRE_MM + np.array([[500.0, 0, 0]]))
    assert beyond.inside == 0
    assert beyond.of(flow.velocity_m_s[0]).tolist() == [[0, 0, 0]]
    assert np.isnan(beyond.nearby(linear)).all()


@pytest.mark.parametrize("tilt", [(0, 0, 0), (0.4, 0.1, 0), (-0.2, 0.7, 0.3)])
def test_the_flow_through_any_plane_is_the_vessels(flow, planes, tilt):
    cut = planes.across(CENTRE_MM + 0.7 * AXIS + [0.3, 0.2, 0], AXIS + np.array(tilt))
    found = [cut.flow_ml_s(velocity) for velocity in flow.velocity_m_s]
    assert found == pytest.approx(MEAN_ML_S * pulses(4), rel=0.01)
    slant = np.pi * RADIUS_MM**2 / abs(cut.normal @ AXIS)
    assert cut.area_mm2 == pytest.approx(slant, rel=0.02)
    assert planes.across(cut.centre_mm, -cut.normal).flow_ml_s(
        flow.velocity_m_s[0]
    ) == pytest.approx(-MEAN_ML_S, rel=0.01)


def test_a_plane_turns_square_to_the_flow(flow, planes):
    cut = planes.across_the_flow(CENTRE_MM + AXIS + [0.9, -0.4, 0.2])
    assert cut.normal @ AXIS == pytest.approx(1, abs=1e-6)
    fastest = 2 * MEAN_ML_S / (np.pi * RADIUS_MM**2)
    assert cut.speeds_m_s(flow.velocity_m_s[0]).max() == pytest.approx(fastest, rel=0.02)
    exact = flow.opening_pressures_pa["inlet"][1] * (
        0.5 - (cut.centre_mm - CENTRE_MM) @ AXIS / LENGTH_MM
    )
    assert cut.mean_pressure_pa(flow.pressure_pa[1]) == pytest.approx(exact, rel=0.01)


def test_a_plane_beside_the_vessel_says_so(planes):
    with pytest.raises(NoCrossFlow, match="put it in a vessel"):
        planes.across(CENTRE_MM + 30 * AXIS, AXIS)


def test_streamlines_are_straight_and_run_through(flow):
    field = Field(flow)
    seeds = disc_seeds(CENTRE_MM, AXIS, 0.8 * RADIUS_MM, 25)
    lines = streamlines(field, flow.velocity_m_s[0], seeds)
    assert len(lines) == 25
    for line in lines:
        assert np.ptp(away(line.points_mm)) < 1e-4
        along = line.points_mm @ AXIS
        assert (np.diff(along) > 0).all()
        assert np.ptp(along) > LENGTH_MM - 4 * flow.spacing_mm
        exact = 2 * MEAN_ML_S / np.pi / RADIUS_MM**2 * (1 - (away(line.points_mm) / RADIUS_MM) ** 2)
        middle = slice(4, -4)
        assert line.speed_m_s[middle] == pytest.approx(exact[middle], abs=0.01)
    down = streamlines(field, flow.velocity_m_s[0], seeds, upstream=False)
    assert all((line.points_mm[0] == seed).all() for line, seed in zip(down, seeds))


def test_blood_that_turns_in_a_ring_stays_in_it():
    flow = tube_flow(1, 0.3)
    turning = np.cross(AXIS, flow.cells_mm - CENTRE_MM).astype(np.float32)
    seed = CENTRE_MM + 1.2 * np.cross(AXIS, [1.0, 0, 0])[None] / np.linalg.norm(
        np.cross(AXIS, [1.0, 0, 0])
    )
    (line,) = streamlines(Field(flow), turning, seed, upstream=False)
    assert np.allclose(away(line.points_mm), 1.2, atol=0.01)
    assert len(line.points_mm) > 100, "it goes round"


def test_seeds_lie_where_they_are_asked_for(flow):
    field = Field(flow)
    inlet = inlet_seeds(flow, field, 30)
    along = (inlet - CENTRE_MM) @ AXIS
    assert 25 <= len(inlet) <= 31
    assert along.max() < -LENGTH_MM / 2 + 2 * flow.spacing_mm
    assert away(inlet).max() < RADIUS_MM
    ball = ball_seeds(CENTRE_MM, 0.7, 40)
    assert np.linalg.norm(ball - CENTRE_MM, axis=1).max() <= 0.7
    assert np.linalg.norm(ball.mean(axis=0) - CENTRE_MM) < 0.1
    assert len(lumen_seeds(flow, 50)) == 50
    assert len(streamlines(field, flow.velocity_m_s[0], np.array([[500.0, 0, 0]]))) == 0


def test_flow_to_and_fro_is_told_apart(flow, planes):
    cut = planes.across(CENTRE_MM, AXIS)
    turning = np.cross(AXIS, flow.cells_mm - CENTRE_MM).astype(np.float32)
    across = planes.across(CENTRE_MM, np.cross(AXIS, [1.0, 0, 0]))
    assert cut.forward_ml_s(flow.velocity_m_s[0]) == pytest.approx(MEAN_ML_S, rel=0.01)
    assert cut.forward_ml_s(-flow.velocity_m_s[0]) == 0
    assert across.flow_ml_s(turning) == pytest.approx(0, abs=0.5)
    one_way = LENGTH_MM * RADIUS_MM**2 / 2
    assert across.forward_ml_s(turning) == pytest.approx(one_way, rel=0.03)


def test_a_curve_bounds_the_part_that_counts(flow, planes):
    u = np.cross(AXIS, [1.0, 0, 0]) / np.linalg.norm(np.cross(AXIS, [1.0, 0, 0]))
    v = np.cross(AXIS, u)
    half = np.array([-3 * u - 3 * v, 3 * u - 3 * v, 3 * u, -3 * u]) + CENTRE_MM
    cut = planes.across(CENTRE_MM - 0.5 * v, AXIS, half)
    assert cut.area_mm2 == pytest.approx(np.pi * RADIUS_MM**2 / 2, rel=0.05)
    assert cut.flow_ml_s(flow.velocity_m_s[0]) == pytest.approx(MEAN_ML_S / 2, rel=0.05)
    assert ((cut.surface.points_mm - CENTRE_MM) @ v).max() < 0.05
