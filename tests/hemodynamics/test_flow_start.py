"""A flow goes over to finer cells unchanged, and settles there sooner than from rest."""

import numpy as np
import pytest

from hemodynamics.domain import divide
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_levels import HASTE
from hemodynamics.flow_settled import SLOWEST, settling
from hemodynamics.flow_setup import COARSER, spacings_of
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


@pytest.mark.parametrize(("fewest", "haste"), [(1000, np.inf), (10**9, HASTE)])
def test_a_run_from_coarse_cells_or_a_hasty_part_is_shorter_and_ends_the_same(
    tube, monkeypatch, fewest, haste
):
    options = {"mean_flow_ml_s": 0.5, "spacing_mm": 0.3, "settled_percent": 0.2}
    runs = []
    for known in ((10**9, np.inf), (fewest, haste)):
        monkeypatch.setattr("hemodynamics.flow_setup.FEW_CELLS", known[0])
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
    assert volume / preview[-1] ** 3 == pytest.approx(30_000, rel=0.01)
    assert (len(preview), len(standard)) == (2, 3)
    assert preview[-2] == pytest.approx(COARSER * preview[-1])
    assert spacings_of(tube[0], wishes(spacing_mm=0.9)) == [0.9]
    assert spacings_of(tube[0], wishes(spacing_mm=0.1))[-1] == 0.1


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
