"""Curves of a report: axes that hold their values, ticks, and what is drawn of a circulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.graphics.shapes import PolyLine, String

from hemodynamics.network import circulation
from tests.hemodynamics.known_flow import tube_flow
from workstation.flow_pictures import parent_shear_pa
from workstation.flow_report import _looks, course_pages
from workstation.report_curves import curves, extent, ticks

WINDKESSEL = {
    "elements": [
        {
            "kind": "flow source", "name": "heart", "end": "aorta",
            "flow": {"mean": 80.0, "period_s": 1.0, "cosines": [60.0], "sines": [0.0]},
        },
        {"kind": "resistor", "name": "body", "start": "aorta", "end": "ground", "resistance": 1.1},
        {"kind": "compliance", "name": "wall", "node": "aorta", "compliance": 1.2},
    ]
}  # fmt: skip


@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_ticks_are_round_few_and_within(low, span):
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 9
    assert all(low - 1e-9 * span <= value <= low + span * (1 + 1e-9) + 1e-9 for value in found)
    assert "-0" not in [f"{value:.4g}" for value in found]


def test_an_axis_holds_zero_unless_the_values_lie_far_from_it():
    assert extent(np.array([1.0, 3.0])) == (0.0, 3.0)
    assert extent(np.array([-2.0, -1.0])) == (-2.0, 0.0)
    low, high = extent(np.array([100.0, 104.0]))
    assert 99 < low < 100
    assert 104 < high < 105
    assert extent(np.zeros(3)) == (0.0, 1.0)


def test_curves_lie_between_their_axes_and_name_their_unit():
    times = np.linspace(0.0, 0.9, 10)
    drawn = curves(times, {"inlet": times, "outlet": 1 - times}, "mL/s", mark_s=0.3)
    lines = [shape for shape in drawn.contents if isinstance(shape, PolyLine)]
    assert len(lines) == 2
    rising, falling = (np.reshape(line.points, (-1, 2)) for line in lines)
    assert (np.diff(rising[:, 1]) > 0).all()
    assert (np.diff(falling[:, 1]) < 0).all()
    assert rising[:, 0].max() < drawn.width
    assert rising[:, 1].max() < drawn.height
    words = [shape.text for shape in drawn.contents if isinstance(shape, String)]
    assert {"mL/s", "s", "inlet", "outlet"} <= set(words)
    assert lines[0].strokeDashArray != lines[1].strokeDashArray, "told apart without colour"


def test_a_circulation_that_beats_has_curves_and_one_at_rest_has_none():
    beating = circulation(network=WINDKESSEL, steps=40)
    assert set(beating.of("pressure_mmhg")) >= {"aorta"}
    assert set(beating.of("flow_ml_s")) == {"body"}
    assert len(beating.times_s) == len(beating.of("flow_ml_s")["body"])
    assert len(course_pages("loop", beating)) >= 4
    assert not course_pages("loop", circulation(network=WINDKESSEL, kind="steady"))


def test_what_is_measured_by_the_parent_artery_comes_first():
    looks = list(_looks(tube_flow(4, 1.0), 2.0).values())
    assert [look.wall for look in looks] == ["tawss_share", "tawss_pa", "osi", "pressure_pa", ""]
    assert looks[0].parent_pa == 2.0
    assert looks[-1].seeds == "inlets"
    steady = [look.wall for look in _looks(tube_flow(1, 1.0), None).values()]
    assert steady == ["tawss_pa", "pressure_pa", ""]


def test_the_shear_of_the_parent_artery_is_told_or_follows():
    numbers = [{"name": "dome_flow.wss.dome_mean", "value": 1.5}]
    assert parent_shear_pa(numbers) is None
    numbers.append({"name": "wss.dome_normalised", "value": 0.5})
    assert parent_shear_pa(numbers) == pytest.approx(3.0)
    numbers.append({"name": "wss.parent_mean", "value": 3.1})
    assert parent_shear_pa(numbers) == 3.1
