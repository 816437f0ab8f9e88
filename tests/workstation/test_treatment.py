"""Coils and flow diverters as regions: where they lie, and how they resist."""

from types import SimpleNamespace

import numpy as np
import pytest

from hemodynamics.porous import inside
from meshing.aneurysm import dome, neck
from meshing.centerline import centerline
from meshing.surface import is_watertight, volume_ml
from segmentation.contract import Measurements, Number
from tests.meshing.sacs import ball_on_tube
from workstation.planning import treatment
from workstation.planning.treatment import coil, flow_diverter, seepage, treatment_effect


@pytest.fixture(scope="module")
def lumen():
    return ball_on_tube(3.0, 3.5, 1.5, 0.4)


@pytest.fixture(scope="module")
def found(lumen):
    return neck(lumen, centerline(lumen))


def grid_mm(surface, spacing_mm):
    low, high = surface.points_mm.min(axis=0) - 1, surface.points_mm.max(axis=0) + 1
    axes = [np.arange(a, b, spacing_mm) for a, b in zip(low, high)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def test_a_quarter_filled_by_thread_of_a_quarter_millimetre():
    # S = 4 x 0.25 / 0.25 mm = 4 / mm; k = 0.75^3 / (5 x 16) mm2; d = 0.375 mm
    found = seepage(0.25, 0.25)
    assert found.permeability_mm2 == pytest.approx(0.421875 / 80)
    assert found.inertial_1_mm == pytest.approx(3.5 * 0.25 / (0.421875 * 0.375))
    assert found.fibres_mm2 == pytest.approx(found.permeability_mm2, rel=0.3)


def test_more_coil_and_finer_thread_resist_more():
    fills = [seepage(fill, 0.25).permeability_mm2 for fill in (0.1, 0.2, 0.3)]
    assert fills == sorted(fills, reverse=True)
    assert seepage(0.2, 0.5).permeability_mm2 == pytest.approx(4 * fills[1])
    with pytest.raises(ValueError, match="at most 38 percent"):
        seepage(0.5, 0.25)


def test_coils_fill_the_dome_and_nothing_else(lumen, found):
    sac = dome(lumen, found)
    region = coil(sac, packing_percent=30.0)
    assert volume_ml(region.surface) == pytest.approx(volume_ml(sac))
    numbers = {n.quantity: n for n in region.numbers}
    assert numbers["permeability"].low < numbers["permeability"].value
    assert numbers["permeability"].value == pytest.approx(1e12 * region.permeability_m2)
    assert "not from this device" in region.findings[0].sentence


def test_a_diverter_covers_the_neck_and_leaves_the_vessel_free(lumen, found):
    region = flow_diverter(lumen, found, thickness_mm=0.4)
    assert is_watertight(region.surface)
    cells = grid_mm(region.surface, 0.2)
    within = cells[inside(region, cells, 0.2)]
    # from the middle of the vessel, every way through the neck meets the sheet
    normal, centre = np.array(found.normal), np.array(found.centre_mm)
    start = centre - 1.5 * normal
    ring = found.points_mm[:: max(1, len(found.points_mm) // 12)]
    for aim in (centre, *(centre + 0.7 * (ring - centre))):
        way = start + np.linspace(0, 2.5, 60)[:, None] * (aim - start)
        assert np.linalg.norm(way[:, None] - within, axis=2).min() < 0.2
    away = (within - centre) @ normal
    assert np.abs(away).max() < 2.2, "neither deep in the sac nor across the vessel"
    assert np.linalg.norm(within - centre, axis=1).max() < found.width_maximum_mm


def test_its_resistance_does_not_hang_on_the_thickness_of_the_sheet(lumen, found):
    thin, thick = (flow_diverter(lumen, found, thickness_mm=t) for t in (0.3, 0.6))
    assert thick.permeability_m2 == pytest.approx(2 * thin.permeability_m2)
    assert thick.inertial_1_m == pytest.approx(thin.inertial_1_m / 2)
    tighter = flow_diverter(lumen, found, porosity_percent=60.0)
    assert tighter.permeability_m2 < thin.permeability_m2


def test_the_effect_is_the_change_of_each_quantity_and_doubts_are_told(lumen, found, monkeypatch):
    def measured(flow, *_, **__):
        values = {
            "speed.dome_mean": ("m/s", 1.0),
            "neck.inflow": ("mL/s", 2.0),
            "wss.low_area": ("%", 50.0),
        }
        numbers = (Number(q, flow.size * v, unit, "test") for q, (unit, v) in values.items())
        return Measurements(tuple(numbers))

    monkeypatch.setattr(treatment, "dome_flow", measured)
    sheet, filled = flow_diverter(lumen, found), coil(dome(lumen, found))
    before = SimpleNamespace(size=0.4, spacing_mm=0.4, conditions={"mean_flow_ml_s": 3.0})
    after = SimpleNamespace(size=0.1, spacing_mm=0.4, conditions={"mean_flow_ml_s": 3.0})
    effect = treatment_effect(before, after, None, None, None, filled)
    changes = {n.quantity: n for n in effect.numbers if n.quantity.endswith("change")}
    values = {"speed.dome_mean": -75, "neck.inflow": -75, "wss.low_area": -15}
    found = {name.removesuffix(".change"): n.value for name, n in changes.items()}
    assert found == pytest.approx(values), "a share changes by percentage points"
    assert changes["wss.low_area.change"].unit == "percentage points"
    assert changes["neck.inflow.change"].unit == "%"
    assert effect.findings == ()
    other = SimpleNamespace(size=0.1, spacing_mm=0.4, conditions={"mean_flow_ml_s": 2.0})
    effect = treatment_effect(before, other, None, None, None, sheet)
    assert not any(n.quantity.startswith("neck.inflow") for n in effect.numbers)
    assert {f.code for f in effect.findings} == {"driven_otherwise"}
