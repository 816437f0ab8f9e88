"""The reserve of a 3D flow beside that of the measures, on a made-up flow whose loss is known."""

import dataclasses

import numpy as np
import pytest

from hemodynamics.flow_reserve import fractional_flow_reserve, narrowing_of
from hemodynamics.flow_result import FlowResult
from hemodynamics.reserve_beside import reserve_beside
from hemodynamics.verification.shapes import pipe
from meshing.centerline import centerline
from segmentation.contract import FrameMismatch

CELL_MM, FLOW, TIMES = 0.3, 2.0, 1.4
PLACES = np.linspace(0, 30, 91)
MMHG = 133.322


def radius(z):
    return 1.5 - 0.6 * np.exp(-(((z - 14) / 2) ** 2))


def numbers(value):
    return {number.quantity: number for number in value.numbers}


@pytest.fixture(scope="module")
def vessel():
    centres = np.stack([0 * PLACES + 3, 0 * PLACES - 7, PLACES], axis=1)
    along = np.tile([0.0, 0.0, 1.0], (len(PLACES), 1))
    lumen = pipe(centres, along, radius(PLACES), sections=24)
    line = centerline(lumen)
    reserve = fractional_flow_reserve(
        line, aortic_pressure_mmhg=90.0, flow_ml_s=FLOW, flow_source="made up"
    )
    return lumen, line, reserve


@pytest.fixture(scope="module")
def flow(vessel):
    """Blood that loses ``TIMES`` what the law of the measures says, at two thirds of the flow."""
    lumen, line, reserve = vessel
    size = {n.quantity: n.value for n in reserve.numbers}
    found = narrowing_of(line, size, FLOW)
    steps = np.arange(-6, 7) * CELL_MM
    heights = np.arange(0.5, 100) * CELL_MM
    x, y, z = np.meshgrid(steps, steps, heights, indexing="ij")
    inside = np.hypot(x, y) < radius(z)
    x, y, z = x[inside], y[inside], z[inside]
    across = np.array([(heights == h).sum() and (z == h).sum() for h in heights]) * CELL_MM**2
    speed = 0.9 * FLOW / across[np.searchsorted(heights, z)]
    lost = np.interp(z, found.along_mm, TIMES * found.lost_mmhg(0.9 * FLOW, 0.0035)) * MMHG
    wall = dataclasses.replace(
        lumen, point_data={n: np.ones(len(lumen.points_mm)) for n in ("tawss_pa", "osi")}
    )
    velocity = np.stack([0 * z, 0 * z, speed], axis=1)[None].astype(np.float32)
    return FlowResult(
        wall, np.stack([x + 3, y - 7, z], axis=1), CELL_MM, np.zeros(1), velocity,
        (5000 - lost)[None].astype(np.float32),
        np.zeros((1, len(lumen.points_mm), 3), np.float32),
        {"inlet": np.ones(1), "outlet_1": -np.ones(1)},
        {"inlet": np.ones(1), "outlet_1": np.zeros(1)},
        np.zeros(1), {}, lumen.frame_uid,
    )  # fmt: skip


def test_the_loss_of_the_flow_decides_the_reserve(vessel, flow):
    _, line, reserve = vessel
    beside = reserve_beside(flow, line, reserve)
    found, measured = numbers(beside), numbers(reserve)
    assert found["flow"].value == pytest.approx(0.9 * FLOW, rel=0.03)
    assert found["drop_ratio"].value == pytest.approx(TIMES, rel=0.05)
    value, simple = found["fractional_flow_reserve"], measured["fractional_flow_reserve"]
    assert value.low < value.value < value.high
    assert found["of_measures"].value == simple.value
    lost, expected = 1 - value.value, TIMES * (1 - simple.value)
    assert 0.85 * expected < lost < expected, "what loses more lets less through"
    assert value.full_name("reserve_3d") == "reserve_3d.fractional_flow_reserve"
    told = beside.samples["pressure_3d_mmhg"]
    assert told[-1] < beside.samples["pressure_of_measures_mmhg"][-1] < told[0]


def test_it_tells_of_another_flow_and_of_coarse_cells(vessel, flow):
    _, line, reserve = vessel
    codes = {f.code for f in reserve_beside(flow, line, reserve).findings}
    assert "coarse_throat" in codes
    assert "jet_not_over" not in codes
    less = dataclasses.replace(flow, velocity_m_s=flow.velocity_m_s / 2)
    assert "flow_apart" in {f.code for f in reserve_beside(less, line, reserve).findings}


def test_a_narrowing_without_a_reserve_gets_none(vessel, flow):
    _, line, _ = vessel
    bare = reserve_beside(flow, line, fractional_flow_reserve(line))
    assert not bare.numbers
    assert [f.code for f in bare.findings] == ["no_reserve_beside"]


def test_what_does_not_belong_together_is_refused(vessel, flow):
    _, line, reserve = vessel
    with pytest.raises(FrameMismatch):
        reserve_beside(dataclasses.replace(flow, frame_uid="9"), line, reserve)
    back = dataclasses.replace(flow, velocity_m_s=-flow.velocity_m_s)
    with pytest.raises(ValueError, match="runs against the branch"):
        reserve_beside(back, line, reserve)
    still = dataclasses.replace(flow, pressure_pa=0 * flow.pressure_pa)
    with pytest.raises(ValueError, match="loses no pressure"):
        reserve_beside(still, line, reserve)
