import csv
from dataclasses import replace

import numpy as np
import pytest

from hemodynamics.branch_flow import (
    BRANCH_COLUMNS,
    SECTION_COLUMNS,
    branch_rows,
    section_rows,
    write_rows,
)
from meshing.centerline import Sac
from segmentation.contract import FrameMismatch
from tests.hemodynamics.known_flow import (
    AXIS,
    CENTRE_MM,
    LENGTH_MM,
    MEAN_ML_S,
    RADIUS_MM,
    axis_line,
    pulses,
    tube_flow,
)


@pytest.fixture(scope="module")
def flow():
    return tube_flow(4, 0.4)


@pytest.fixture(scope="module")
def sections(flow):
    return section_rows(flow, axis_line())


def test_sections_hold_flow_pressure_and_shear_where_they_lie(flow, sections):
    assert len(sections) == 5, "half a diameter apart, a radius from either end"
    shear = flow.wall.point_data["tawss_pa"][0]
    slope = flow.opening_pressures_pa["inlet"].mean() / LENGTH_MM
    for row in sections:
        assert list(row) == list(SECTION_COLUMNS)
        place = np.array([row["x_mm"], row["y_mm"], row["z_mm"]])
        along = (place - CENTRE_MM) @ AXIS
        assert along == pytest.approx(row["position_mm"] - LENGTH_MM / 2, abs=0.2)
        assert row["flow_mean_ml_s"] == pytest.approx(MEAN_ML_S, rel=0.02)
        assert row["flow_max_ml_s"] == pytest.approx(MEAN_ML_S * pulses(4).max(), rel=0.02)
        assert row["flow_min_ml_s"] == pytest.approx(MEAN_ML_S * pulses(4).min(), rel=0.02)
        assert row["pressure_mean_pa"] == pytest.approx(slope * (LENGTH_MM / 2 - along), rel=0.02)
        assert row["tawss_mean_pa"] == pytest.approx(shear)
        assert row["area_mm2"] == pytest.approx(np.pi * RADIUS_MM**2, rel=0.02)


def test_a_branch_is_its_sections_and_its_wall(flow, sections):
    (row,) = branch_rows(flow, axis_line(), sections)
    assert (row["branch"], row["from"], row["to"]) == ("1", "inlet", "outlet_1")
    assert row["sections"] == 5
    slope = flow.opening_pressures_pa["inlet"].mean() / LENGTH_MM
    between = sections[-1]["position_mm"] - sections[0]["position_mm"]
    assert row["pressure_drop_pa"] == pytest.approx(slope * between, rel=0.02)
    assert row["wall_area_mm2"] == pytest.approx(2 * np.pi * RADIUS_MM * LENGTH_MM, rel=0.01)
    assert set(row) <= set(BRANCH_COLUMNS)


def test_the_wall_of_a_sac_is_its_own(flow, sections):
    centre = CENTRE_MM + RADIUS_MM * np.cross(AXIS, [1.0, 0, 0])
    sac = Sac(tuple(centre.tolist()), 1.0, tuple(centre.tolist()), 2.0)
    branch, pouch = branch_rows(flow, replace(axis_line(), sacs=(sac,)), sections)
    assert pouch["branch"] == "sac 1"
    assert 2 < pouch["wall_area_mm2"] < 8
    both = branch["wall_area_mm2"] + pouch["wall_area_mm2"]
    assert both == pytest.approx(2 * np.pi * RADIUS_MM * LENGTH_MM, rel=0.01)


def test_planes_in_a_junction_are_left_out(flow):
    line = axis_line()
    within = (np.arange(len(line.points_mm)) > 20).astype(np.uint8)
    found = section_rows(flow, replace(line, point_data={"in_junction": within}))
    assert 0 < len(found) < 5
    assert all(row["position_mm"] <= LENGTH_MM / 2 + 0.3 for row in found)


def test_rows_go_to_a_table_with_units(flow, sections, tmp_path):
    write_rows(sections, SECTION_COLUMNS, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(sections)
    assert float(read[2]["flow_mean_ml_s"]) == pytest.approx(MEAN_ML_S, rel=0.02)


def test_another_frame_is_refused(flow):
    with pytest.raises(FrameMismatch, match="make the centerline from the vessel"):
        branch_rows(flow, replace(axis_line(), frame_uid="1.9"))
