"""The curves along a vessel's line on the plan page."""

from types import SimpleNamespace

import numpy as np
import pytest

from segmentation.measured import Measured
from workstation.ui.panels.line_card import LineCard
from workstation.ui.panels.profile_plot import ProfilePlot, is_line


def measured(**columns: list[float]) -> Measured:
    samples = {name: np.array(column) for name, column in columns.items()}
    return Measured("1.2", (), np.empty((0, 3)), "", (0.0, 0.0, 0.0), samples=samples)


LINE = measured(along_mm=[0, 1, 2], diameter_mm=[3, 2, 3], pressure_mmhg=[90, 85, 80])


@pytest.mark.parametrize(
    ("value", "drawn", "column"),
    [
        (LINE, True, "pressure_mmhg"),
        (measured(along_mm=[0, 1], maximum_diameter_mm=[20, 21]), True, "maximum_diameter_mm"),
        (measured(along_mm=[0, 1]), False, ""),
        (measured(distance_mm=[0, 1], value_hu=[5, 6]), False, "value_hu"),
        (None, False, ""),
    ],
)
def test_pressure_is_drawn_before_diameter_and_nothing_where_there_is_none(
    qtbot, value, drawn, column
):
    plot = ProfilePlot()
    qtbot.addWidget(plot)
    plot.show_profile(value)
    assert is_line(value) == drawn
    assert plot.column() == column


def test_there_is_a_curve_for_each_line_of_the_plan(qtbot):
    steps = tuple(SimpleNamespace(output=name) for name in ("line", "narrowing", "later"))
    results = {"narrowing": LINE, "line": 3}
    desk = SimpleNamespace(session=SimpleNamespace(plan=None), results=lambda: results)
    card = LineCard(desk)
    qtbot.addWidget(card)
    card.refresh()
    assert not card.plots
    assert card.isHidden()
    desk.session.plan = SimpleNamespace(steps=steps)
    card.refresh()
    assert list(card.plots) == ["narrowing"]
    assert not card.isHidden()
    assert not card.plots["narrowing"].grab().isNull()
    results["later"] = LINE
    card.refresh()
    assert list(card.plots) == ["narrowing", "later"]
