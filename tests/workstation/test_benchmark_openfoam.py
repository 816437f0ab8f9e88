from types import SimpleNamespace

import numpy as np
import pytest

from hemodynamics.verification import sac_cases
from hemodynamics.verification.rows import CannotRun, Means
from hemodynamics.verification.sacs import Figures
from workstation.benchmark import openfoam

ALONG = np.array(openfoam.AXIS) / np.linalg.norm(openfoam.AXIS)
EXACT = 4 * 0.0035 * 1e-6 / (np.pi * 8e-9)


def test_the_error_of_shear_counts_the_middle_by_area():
    places = np.outer([0.0, 1.0, 5.0], ALONG)
    shear = np.outer([1.02 * EXACT, 0.96 * EXACT, 9.0], ALONG)
    found = openfoam.shear_error(places, shear, np.array([3.0, 1.0, 1.0]))
    assert found == pytest.approx(np.sqrt((3 * 2**2 + 4**2) / 4))
    assert openfoam.shear_error(places[:1], -shear[:1], np.ones(1)) == pytest.approx(202)


def test_the_coarsest_cells_that_meet_the_bar_count(monkeypatch):
    asked = []

    def simulate(lumen, *, spacing_mm, **options):
        asked.append(spacing_mm)
        wall = SimpleNamespace(points_mm=np.zeros((1, 3)))
        wss = (1 + 0.1 * spacing_mm) * EXACT * ALONG[None, None]
        return SimpleNamespace(wall=wall, wss_pa=wss, cells_mm=np.zeros((7, 3)))

    monkeypatch.setattr(openfoam, "simulate_flow", simulate)
    error, ms, cells = openfoam.ours(None, 4.5)
    assert asked == [0.5, 0.4]
    assert (error, cells) == (pytest.approx(4.0), 7)
    assert ms >= 0
    with pytest.raises(RuntimeError, match="no cells of the list"):
        openfoam.ours(None, 0.1)


def test_there_is_a_row_only_beside_openfoam(monkeypatch):
    assert openfoam.beside_openfoam(peers=False) == []

    def missing():
        raise CannotRun("not installed")

    monkeypatch.setattr(openfoam, "require_openfoam", missing)
    assert openfoam.beside_openfoam(peers=True) == []


def no_data(means):
    raise CannotRun("no data")


def test_processor_time_is_held_beside_openfoams(monkeypatch):
    solution = SimpleNamespace(
        wall_mm=np.zeros((1, 3)), wss_pa=1.03 * EXACT * ALONG[None], wall_areas_mm2=np.ones(1),
        cells_mm=np.zeros((1234, 3)), meshing_s=1.0, solving_s=2.0,
    )  # fmt: skip
    monkeypatch.setattr(openfoam, "require_openfoam", lambda: None)
    monkeypatch.setattr(openfoam, "solve", lambda *arguments: solution)
    monkeypatch.setattr(openfoam, "ours", lambda lumen, bar: (bar - 1, 500.0, 99))
    monkeypatch.setattr(openfoam, "SACS", ((no_data, Figures(1.0, 1.0)),))
    (row,) = openfoam.beside_openfoam(peers=True)
    assert row.ratio == pytest.approx(1 / 6)
    assert row.target_ms == pytest.approx(1000.0)
    assert "off by 2.0 % in 99 cells, OpenFOAM by 3.0 % in 1,234" in row.what


def test_each_takes_the_coarsest_cells_with_which_it_stays_good_enough_for_a_sac(monkeypatch):
    flow = SimpleNamespace(conditions={"outflow_shares": {"outlet_1": 1.0}}, cells_mm=range(99))
    theirs = SimpleNamespace(cells_mm=range(1234), meshing_s=1.0, solving_s=2.0)
    asked, good = [], {0.2: 0.99, 0.25: 0.975, 0.35: 1.0, 0.22: 1.0299}

    def ours(sac, spacing):
        asked.append(spacing)
        return flow

    def solve(sac, shares, grid):
        assert shares == {"outlet_1": 1.0}
        asked.append(grid.cell_mm)
        return theirs

    def found(sac, flow):
        return Figures(good.get(asked[-1], 0.9), 2.0)

    monkeypatch.setattr(openfoam.sacs, "ours", ours)
    monkeypatch.setattr(openfoam.sacs, "theirs", solve)
    monkeypatch.setattr(openfoam.sacs, "figures_of_ours", found)
    monkeypatch.setattr(openfoam.sacs, "figures_of_theirs", found)
    sac = sac_cases.sphere(Means())
    row = openfoam.in_a_sac(sac, Figures(1.0, 2.0))
    assert asked == [0.2, 0.25, 0.3, 0.22, 0.3]
    assert row.target_ms == pytest.approx(1000.0)
    assert "off by 83 % of the limit in 99 cells, OpenFOAM by 100 % in 1,234" in row.what
    good.clear()
    with pytest.raises(RuntimeError, match=r"cells of 0\.2 mm are not within"):
        openfoam.in_a_sac(sac, Figures(1.0, 2.0))
