"""What is said of a flow that did not come to rest, or did not repeat itself."""

from types import SimpleNamespace

import numpy as np
import pytest

from hemodynamics.flow_settled import Averages, Sway, swings
from hemodynamics.flow_summary import _convergence, _unsettled, state_of

AREA_MM2, NU_MM2_S, SPACING_MM = 10.0, 3.3, 0.3


def told(residuals, cell_reynolds, sway=None):
    """The finding where the faster of two openings has a cell's Reynolds number."""
    flow_ml_s = cell_reynolds * NU_MM2_S / SPACING_MM * AREA_MM2 / 1000
    openings = [
        SimpleNamespace(name="inlet", area_mm2=2 * AREA_MM2),
        SimpleNamespace(name="outlet_1", area_mm2=AREA_MM2),
    ]
    done = SimpleNamespace(
        domain=SimpleNamespace(
            spacing_mm=SPACING_MM, cells_mm=np.zeros((20_000, 3)), openings=openings
        ),
        driven=SimpleNamespace(
            shares_in={"inlet": 1.0}, shares_out={"outlet_1": 1.0}, peak_ml_s=flow_ml_s
        ),
        marched=SimpleNamespace(sway=sway),
        run=SimpleNamespace(scales=SimpleNamespace(nu_mm2_s=NU_MM2_S)),
    )
    return _unsettled(SimpleNamespace(residuals=np.array(residuals)), done, residuals[-1])


def test_a_flow_that_sways_on_coarse_cells_is_told_with_the_cells_it_needs():
    finding = told([0.9, 0.5, 0.4, 0.3, 0.5], 60.0, Sway(0.004, 0.12, 0.002, 0.08))
    assert "does not come to rest" in finding.sentence
    assert "swings by 0.4 % over the whole wall and by 12 %" in finding.sentence
    assert "up to 0.2 % and 8 % different" in finding.sentence
    assert finding.remedy.startswith("Compute it as pulsatile, or take the means; cells of 0.15 mm")
    assert "160,000 cells" in finding.remedy
    assert "16 times as long" in finding.remedy


def test_a_flow_that_still_falls_needs_time_and_fine_cells_need_no_finer_ones():
    finding = told([0.9, 0.5, 0.4, 0.05, 0.02], 20.0)
    assert "still moves by 2 %" in finding.sentence
    assert "more exchanges" in finding.remedy
    assert "pulsatile" in finding.remedy


@pytest.mark.parametrize(
    ("remaining", "said"), [([], False), ([1, 1], True), ([1, 0.9, 0.8, 0.2], False)]
)
def test_what_halved_since_half_way_does_not_swing(remaining, said):
    assert swings(remaining) is said


def test_a_pulsatile_flow_that_does_not_repeat_itself_tells_how_its_averages_do():
    marched = SimpleNamespace(sway=None, changes=[0.3, 0.09], averages=Averages(0.004, 0.061))
    done = SimpleNamespace(marched=marched, carry=1.0, walls=1.0)
    flow = SimpleNamespace(residuals=np.array([0.3, 0.09]), conditions={"kind": "pulsatile"})
    (finding,) = _convergence(flow, done, {"inlet": 1.0, "outlet_1": -1.0})
    assert finding.code == "not_settled"
    assert "changed by 9 percent from cycle to cycle" in finding.sentence
    assert "by 0.4 percent over the whole wall, 6.1 on its least" in finding.sentence
    assert state_of(done) == {"unrest": {"whole": 0.004, "patch": 0.061}}
    marched.changes[-1] = flow.residuals[-1] = 0.005
    assert not _convergence(flow, done, {"inlet": 1.0, "outlet_1": -1.0})
    assert state_of(done) == {}
