"""What is in the way of a flow, and blood that thins, as a plan asks for them."""

from dataclasses import replace

import numpy as np
import pytest

from hemodynamics.domain import UnusableLumen
from hemodynamics.flow import simulate_flow
from hemodynamics.porous import PorousRegion
from segmentation.contract import FrameMismatch
from tests.hemodynamics.test_flow import number
from tests.hemodynamics.tubes import capped_tube

RADIUS, LENGTH, FLOW = 2.0, 10.0, 0.5
OPTIONS = {"mean_flow_ml_s": FLOW, "spacing_mm": 0.5, "settled_percent": 1.0}


@pytest.fixture(scope="module")
def tube():
    return capped_tube(RADIUS, LENGTH, rings=20)[0]


@pytest.fixture(scope="module")
def free(tube):
    return simulate_flow(tube, **OPTIONS)


def test_a_plug_costs_the_pressure_of_darcy_and_forchheimer(tube, free):
    plug = replace(capped_tube(RADIUS + 1.0, 4.0, name="plug")[0], boundaries={})
    permeability, inertial = 2e-8, 4e4
    found = simulate_flow(tube, PorousRegion(plug, permeability, inertial), **OPTIONS)
    speed = FLOW * 1e-6 / (np.pi * (RADIUS * 1e-3) ** 2)
    expected = 4e-3 * (0.0035 / permeability * speed + 0.5 * 1060 * inertial * speed**2)
    extra = number(found, "outlet_1.pressure_drop") - number(free, "outlet_1.pressure_drop")
    assert extra == pytest.approx(expected, rel=0.1)
    assert found.conditions["porous"]["permeability_m2"] == permeability


def test_a_screen_thinner_than_a_cell_costs_what_it_would_in_fine_cells(tube, free):
    thin_mm, permeability, inertial = 0.12, 2e-9, 4e5  # cells are 0.5 mm wide, and askew
    plate = replace(capped_tube(RADIUS + 1.0, thin_mm, name="screen")[0], boundaries={})
    found = simulate_flow(tube, PorousRegion(plate, permeability, inertial), **OPTIONS)
    speed = FLOW * 1e-6 / (np.pi * (RADIUS * 1e-3) ** 2)
    lost = 0.0035 / permeability * speed + 0.5 * 1060 * inertial * speed**2
    extra = number(found, "outlet_1.pressure_drop") - number(free, "outlet_1.pressure_drop")
    assert extra == pytest.approx(1e-3 * thin_mm * lost, rel=0.1)


def test_a_region_elsewhere_or_of_another_frame_is_refused(tube):
    plug = capped_tube(1.0, 2.0)[0]
    away = replace(plug, points_mm=plug.points_mm + 40.0)
    with pytest.raises(UnusableLumen, match=r"no cell of 0\.5 mm of the lumen lies in the porous"):
        simulate_flow(tube, PorousRegion(away, 1e-8), **OPTIONS)
    with pytest.raises(FrameMismatch):
        simulate_flow(tube, PorousRegion(replace(plug, frame_uid="9"), 1e-8), **OPTIONS)


def test_thinning_blood_is_thicker_where_it_is_slow(tube, free):
    thinning = simulate_flow(tube, blood="carreau", **OPTIONS)
    wall = number(free, "wss.mean")
    rate = wall / 0.0035
    viscosity = 0.00345 + (0.056 - 0.00345) * (1 + (3.313 * rate) ** 2) ** ((0.3568 - 1) / 2)
    share = number(thinning, "wss.mean") / wall
    assert 1.0 < share == pytest.approx(viscosity / 0.0035, rel=0.08)
    assert thinning.conditions["blood"] == "carreau"
