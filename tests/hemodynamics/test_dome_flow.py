from dataclasses import replace

import numpy as np
import pytest

from hemodynamics.dome_flow import dome_flow
from hemodynamics.flow import simulate_flow
from hemodynamics.parent_artery import belongs, stretches
from hemodynamics.verification.shapes import FRAME_UID, with_sphere
from meshing.aneurysm import dome as dome_of
from meshing.aneurysm_neck import neck_of
from meshing.centerline import Branch, Centerline, Node
from segmentation.contract import FrameMismatch

RADIUS, LENGTH, SPHERE, ASIDE, PLANE = 2.0, 16.0, 2.2, 3.2, 2.06


@pytest.fixture(scope="module")
def lumen():
    return with_sphere(RADIUS, LENGTH, SPHERE, ASIDE, 0.4)


@pytest.fixture(scope="module")
def neck():
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    wide = np.sqrt(SPHERE**2 - (ASIDE - PLANE) ** 2)
    curve = np.stack([wide * np.cos(turns), np.full(60, PLANE), wide * np.sin(turns)], axis=1)
    top = np.array([0.0, ASIDE + SPHERE, 0.0])
    line = np.stack([np.zeros(9), np.zeros(9), np.linspace(-8, 8, 9)], axis=1)
    return neck_of(curve, top, top - [0, 1, 0], FRAME_UID, (line, np.full(9, RADIUS)), "known")


@pytest.fixture(scope="module")
def centerline():
    along = np.linspace(-LENGTH / 2, LENGTH / 2, 65)
    points = np.stack([np.zeros(65), np.zeros(65), along], axis=1)
    ends = [Node(tuple(points[n].tolist()), RADIUS, "flat") for n in (0, -1)]
    data = {
        "area_mm2": np.full(65, np.pi * RADIUS**2),
        "in_junction": np.zeros(65),
        "beside_sac": (np.abs(along) < SPHERE).astype(float),
    }
    return Centerline(
        points, np.full(65, RADIUS), (Branch(0, 65, 0, 1),), tuple(ends),
        {"inlet": 0, "outlet_1": 1}, FRAME_UID, point_data=data,
    )  # fmt: skip


@pytest.fixture(scope="module")
def dome(lumen, neck):
    return dome_of(lumen, neck)


@pytest.fixture(scope="module")
def steady(lumen):
    return simulate_flow(lumen, mean_flow_ml_s=2.0, spacing_mm=0.3)


def named(result):
    return {number.quantity: number.value for number in result.numbers}


def test_the_parent_artery_lies_before_the_neck(neck, centerline):
    before, beyond = stretches(centerline, neck)
    assert (before.before, beyond.before) == (True, False)
    heights = centerline.points_mm[before.rows, 2]
    assert heights.max() == pytest.approx(-2.25)
    assert heights.min() == pytest.approx(-8, abs=0.3)
    assert np.allclose(before.direction, [0, 0, 1])
    assert before.diameter_mm == pytest.approx(4)
    points = np.array([[2, 0, -4.0], [2, 0, -1], [2, 0, 4]])
    assert belongs(points, centerline, (before,)).tolist() == [True, False, False]


def test_the_dome_in_steady_flow(steady, dome, neck, centerline):
    result = dome_flow(steady, dome, neck, centerline)
    found = named(result)
    # Developed flow stands before the neck: 4 mu Q / (pi R^3).
    assert found["wss.parent_mean"] == pytest.approx(1.114, rel=0.06)
    assert 0.02 < found["wss.dome_normalised"] < 0.5
    normalised = found["wss.dome_mean"] / found["wss.parent_mean"]
    assert found["wss.dome_normalised"] == pytest.approx(normalised)
    assert found["wss.dome_maximum"] > 3 * found["wss.dome_mean"]
    assert 0 < found["wss.low_area"] < 100
    assert 0 < found["wss.low_index"] <= 1
    assert found["wss.concentration"] >= 0
    assert found["wss.gradient_dome_mean"] > 0
    assert found["rrt.dome_mean"] > 1 / found["wss.dome_mean"]
    assert 0 < found["neck.inflow"] < 0.5 * 2.0
    assert 0 < found["inflow.concentration"] < 2
    assert 0 < found["kinetic_energy_ratio"] < 0.2
    assert 0 < found["speed.dome_mean"] < 0.5 * 0.16
    # On some ten millimetres of tube: 16 mu L / (rho R^2 v).
    assert found["pressure_loss_coefficient"] == pytest.approx(0.84, rel=0.15)
    assert "osi.dome_mean" not in found
    assert {f.code for f in result.findings} == {"steady_osi", "cell_error"}
    assert all(number.plain and number.source for number in result.numbers)
    assert dome_flow(steady, dome, neck, centerline).numbers == result.numbers


def test_what_enters_the_dome_leaves_it(steady, dome, neck):
    result = dome_flow(steady, dome, neck)
    assert "neck_unbalanced" not in {f.code for f in result.findings}
    assert named(result)["neck.inflow"] > 0


def test_without_a_centerline_nothing_is_compared(steady, dome, neck):
    result = dome_flow(steady, dome, neck)
    assert {f.code for f in result.findings} == {"steady_osi", "no_parent", "cell_error"}
    assert {"wss.dome_mean", "neck.inflow", "speed.dome_mean"} <= set(named(result))
    assert not {"wss.dome_normalised", "inflow.concentration", "wss.low_area"} & set(named(result))


def test_shear_that_turns_round_oscillates(steady, dome, neck, centerline):
    wss = np.concatenate([steady.wss_pa, steady.wss_pa, -steady.wss_pa, steady.wss_pa])
    wall = replace(
        steady.wall,
        point_data={**steady.wall.point_data, "osi": np.full(len(steady.wall.points_mm), 0.25)},
    )
    pulsatile = replace(
        steady,
        wall=wall,
        times_s=np.arange(4) * 0.2,
        velocity_m_s=np.repeat(steady.velocity_m_s, 4, axis=0),
        pressure_pa=np.repeat(steady.pressure_pa, 4, axis=0),
        wss_pa=wss,
        flows_ml_s={name: np.repeat(flow, 4) for name, flow in steady.flows_ml_s.items()},
        opening_pressures_pa={
            name: np.repeat(value, 4) for name, value in steady.opening_pressures_pa.items()
        },
        conditions={**steady.conditions, "kind": "pulsatile", "period_s": 0.8},
    )
    result = dome_flow(pulsatile, dome, neck, centerline)
    assert named(result)["osi.dome_mean"] == pytest.approx(0.25)
    assert {f.code for f in result.findings} == {"cell_error"}
    still = named(dome_flow(steady, dome, neck, centerline))
    for quantity in ("neck.inflow", "inflow.concentration", "wss.gradient_dome_mean"):
        assert named(result)[quantity] == pytest.approx(still[quantity], rel=1e-5)


def test_what_does_not_belong_together_is_refused(steady, lumen, dome, neck, centerline):
    with pytest.raises(ValueError, match="no parts named wall and neck"):
        dome_flow(steady, lumen, neck, centerline)
    with pytest.raises(FrameMismatch):
        dome_flow(steady, replace(dome, frame_uid="1.9"), neck, centerline)
    moved = dome.reshaped(dome.points_mm + np.array([0, 1.0, 0]), dome.triangles)
    with pytest.raises(ValueError, match="no part of the wall"):
        dome_flow(steady, replace(moved, boundaries=dome.boundaries), neck, centerline)


def test_a_flow_that_was_left_out_leaves_the_dome_out(lumen, dome, neck, centerline):
    nothing = simulate_flow(lumen, kind="none")
    result = dome_flow(nothing, dome, neck, centerline)
    assert not result.numbers
    assert [f.code for f in result.findings] == ["no_flow"]
