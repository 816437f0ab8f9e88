"""A flow goes over to finer cells unchanged, and settles there sooner than from rest."""

import numpy as np
import pytest

from hemodynamics.domain import divide
from hemodynamics.flow import cost_before, simulate_flow
from hemodynamics.flow_levels import HASTE
from hemodynamics.flow_settled import SLOWEST, settling
from hemodynamics.flow_setup import (
    CALM,
    COARSER,
    LEAST_COARSER,
    MOST_UPDATES,
    PREVIEW_ACROSS,
    Cap,
    drive,
    ends_of,
    fastest_mm_s,
    spacings_of,
)
from hemodynamics.flow_start import Snapshot
from tests.hemodynamics.test_flow import number
from tests.hemodynamics.tubes import capped_tube
from tests.hemodynamics.wishes import wishes

RADIUS = 2.0


@pytest.fixture(scope="module")
def tube():
    return capped_tube(RADIUS, 8.0, rings=20)


def test_a_known_flow_is_found_again_between_cells_and_at_the_wall(tube):
    mesh, axis = tube
    domain = divide(mesh, 0.5)

    def exact(places):
        along = places @ axis
        away = np.linalg.norm(places - np.outer(along, axis), axis=1)
        return np.stack([100.0 - 3.0 * along, *np.outer(axis, 1 - (away / RADIUS) ** 2)])

    state = np.zeros((10, len(domain.cells_mm)), np.float32)
    state[:4] = exact(domain.cells_mm)
    state[4:] = 2.0
    fine = divide(mesh, 0.25).cells_mm
    found = Snapshot(domain, state, {}, {}).at(fine)
    expected = exact(fine)
    assert np.abs(found[0] - expected[0]).max() < 1.2  # of 24 along the tube
    assert np.sqrt(np.mean((found[1:4] - expected[1:]) ** 2)) < 0.02
    assert found[4:] == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize(("coarser", "haste"), [(LEAST_COARSER, np.inf), (np.inf, HASTE)])
def test_a_run_from_coarse_cells_or_a_hasty_part_is_shorter_and_ends_the_same(
    tube, monkeypatch, coarser, haste
):
    options = {"mean_flow_ml_s": 0.5, "spacing_mm": 0.3, "settled_percent": 0.2}
    runs = []
    for known in ((np.inf, np.inf), (coarser, haste)):
        monkeypatch.setattr("hemodynamics.flow_setup.LEAST_COARSER", known[0])
        monkeypatch.setattr("hemodynamics.flow_levels.HASTE", known[1])
        runs.append(simulate_flow(tube[0], **options))
    from_rest, helped = runs
    assert number(helped, "steps") < 0.8 * number(from_rest, "steps")
    for quantity in ("wss.mean", "outlet_1.pressure_drop"):
        same = pytest.approx(number(from_rest, quantity), rel=0.005)
        assert number(helped, quantity) == same


def test_spacings_go_by_cells_and_by_the_narrowest_end(tube):
    volume = np.pi * RADIUS**2 * 8.0
    preview, standard = (
        spacings_of(tube[0], wishes(accuracy=accuracy)) for accuracy in ("preview", "standard")
    )
    assert volume / preview[-1] ** 3 == pytest.approx(60_000, rel=0.01)
    assert (len(preview), len(standard)) == (3, 4)
    assert preview[-2] == pytest.approx(COARSER * preview[-1])
    assert spacings_of(tube[0], wishes(spacing_mm=0.9)) == [0.9]  # 5.0 across, with 4 coarser
    assert spacings_of(tube[0], wishes(spacing_mm=0.7)) == pytest.approx([1.0, 0.7], rel=1e-3)
    assert spacings_of(tube[0], wishes(spacing_mm=0.1))[-1] == 0.1


def test_the_preview_of_a_fast_flow_has_cells_that_calm_it_as_far_as_minutes_allow(tube):
    lumen, nu_mm2_s = tube[0], 1e6 * 0.0035 / 1060.0
    few, calmed, capped = (
        spacings_of(lumen, wishes(mean_flow_ml_s=flow))[-1] for flow in (3.0, 12.0, 40.0)
    )
    assert few == spacings_of(lumen, wishes())[-1]
    speed_mm_s = 12_000.0 / (np.pi * RADIUS**2)
    assert speed_mm_s * calmed / nu_mm2_s == pytest.approx(CALM, rel=0.01)
    assert speed_mm_s * few / nu_mm2_s > 1.1 * CALM
    cost = cost_before(lumen, {"mean_flow_ml_s": 40.0, "spacing_mm": capped})
    assert 0.9 * MOST_UPDATES < cost.cells * cost.steps <= MOST_UPDATES
    pulse = {"pulsatile": True, "mean_flow_ml_s": 12.0}
    assert spacings_of(lumen, wishes(**pulse))[-1] == pytest.approx(few * 2 ** (1 / 3))
    assert spacings_of(lumen, wishes(mean_flow_ml_s=12.0, accuracy="standard"))[-1] < calmed


def test_the_preview_has_cells_enough_across_the_narrowest_end(monkeypatch):
    monkeypatch.setattr("hemodynamics.flow_setup.MOST_UPDATES", np.inf)
    lumen = capped_tube(1.0, 900.0, rings=40)[0]
    spacing = spacings_of(lumen, wishes(mean_flow_ml_s=0.9))[-1]
    assert ends_of(lumen)[0].diameter_mm / spacing == pytest.approx(PREVIEW_ACROSS, rel=1e-3)
    assert np.pi * 900.0 / spacing**3 > 61_000


def test_memory_and_time_are_known_before_a_flow_starts(tube):
    told = []
    options = {"mean_flow_ml_s": 0.5, "spacing_mm": 0.45, "most_exchanges": 2.0}
    flow = simulate_flow(tube[0], progress=lambda _, text="": told.append(text), **options)
    cost = cost_before(tube[0], options)
    assert told[0] == str(cost)
    assert cost.cells == pytest.approx(number(flow, "cells"), rel=0.05)
    assert number(flow, "steps") <= 1.1 * cost.steps
    assert number(flow, "expected_memory") == cost.memory_gib
    assert number(flow, "expected_time") == cost.time_s
    longer = cost_before(tube[0], {**options, "most_exchanges": 4.0})
    assert longer.time_s == pytest.approx(2 * cost.time_s)
    assert cost_before(tube[0], {"kind": "none"}) is None
    beats = cost_before(tube[0], {"kind": "pulsatile", "cycles": 2})
    assert beats.steps == pytest.approx(2 / 3 * cost_before(tube[0], {"kind": "pulsatile"}).steps)


def test_the_fastest_end_is_the_one_with_most_flow_for_its_area():
    ends = [Cap("inlet", 12.0), Cap("outlet_1", 2.0), Cap("outlet_2", 4.0)]
    driven = drive(ends, wishes(mean_flow_ml_s=6.0))
    share = 4**1.5 / (4**1.5 + 2**1.5)
    assert fastest_mm_s(ends, driven) == pytest.approx(6000.0 * share / 4.0)


def test_what_is_still_to_come_follows_from_how_changes_fall():
    points = np.random.default_rng(3).uniform(0, 10, (400, 3))
    judge = settling(points, np.ones(len(points)))
    assert len(np.unique(judge.owner)) == 24
    flows = {"inlet": 1.0, "outlet_1": -1.0}
    for n in range(8):
        shear = np.ones((len(points), 3), np.float32)
        shear[judge.owner == 5] *= 1.0 + 0.5**n
        left = judge.judge(shear, flows)
    assert judge.changes[-1] == pytest.approx(0.5**7, rel=0.1)
    assert left == pytest.approx(0.5**7, rel=0.1)
    slow = settling(points, np.ones(len(points)))
    for n in range(8):
        left = slow.judge(np.full((len(points), 3), 1.0 + 0.01 * n, np.float32), flows)
    assert left == pytest.approx(slow.changes[-1] * SLOWEST / (1 - SLOWEST), rel=0.1)
    moved = settling(points, np.ones(len(points)))
    moved.judge(shear, flows)
    assert moved.judge(shear, {"inlet": 1.0, "outlet_1": -0.9}) > 0.09
