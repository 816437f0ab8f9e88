"""A centerline in a plan: computed headless, kept whole, drawn, and written for others."""

import csv
import json

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from meshing.centerline import centerline
from segmentation.images import write_labels
from tests.meshing.vessels import capsule, labelled, line, swept
from workstation.actors import scene_items
from workstation.case import create_case
from workstation.export import endings, export
from workstation.formats import digest_value
from workstation.planning.plan import Plan, Step
from workstation.stages import STAGES
from workstation.store import ResultStore

LONG = {"diameters": 2.0}
STEPS = (
    Step(
        "meshing.isosurface", "lumen", STAGES["meshing.isosurface"].version, {"labels": "vessels"}
    ),
    Step("meshing.centerline", "line", 1, {"lumen": "lumen"}, {"names": "outlet_2=twig"}),
    Step("meshing.vessel_shape", "shape", 1, {"centerline": "line"}),
    Step("meshing.stenosis", "narrow", 1, {"centerline": "line"}),
    Step("meshing.dilatation", "wide", 1, {"centerline": "line"}),
    Step(
        "meshing.landing_zones",
        "zones",
        1,
        {"centerline": "line"},
        {"minimum_diameter_mm": 2.0, "maximum_diameter_mm": 8.0, "minimum_length_mm": 4.0},
    ),
    Step(
        "meshing.vessel_section",
        "section",
        1,
        {"lumen": "lumen", "centerline": "line"},
        {"branch": 1, "position_mm": 9.0},
    ),
    Step("meshing.cut_ends", "open", 1, {"lumen": "lumen", "centerline": "line"}),
    Step(
        "meshing.extend_ends",
        "long",
        1,
        {"lumen": "open", "centerline": "line"},
        {"diameters": 2.0},
    ),
    Step("meshing.cap_ends", "ready", 1, {"lumen": "long", "centerline": "line"}),
)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vessel")
    parts = [capsule([-20, 0, 0], [20, 0, 0], 2.4), capsule([0, 0, 0], [6, 14, 2], 1.8)]
    low, high = np.array([-18.0, -5, -5]), np.array([18.0, 18, 6])
    write_labels(labelled(parts, low, high, (0.7, 0.7, 0.7)), folder / "vessels.nrrd")
    with create_case(folder / "case") as case:
        case.import_file(folder / "vessels.nrrd", "vessels", "labels")
        source = case.record.sources["vessels"]
        plan = Plan(source["frame_uid"], {"vessels": source["sha256"]}, STEPS)
        case.add_plan(plan, "Vessels")
        case.run(plan)
        yield case


def test_every_stage_of_vessels_runs_in_a_plan(case):
    line_ = case.value("line")
    assert list(line_.ends) == ["inlet", "outlet_1", "twig"]
    assert set(case.value("ready").boundaries) == {"wall", "inlet", "outlet_1", "twig"}
    numbers = {f"{n['step']}.{n['name'].split('.', 1)[1]}": n for n in case.summary()["numbers"]}
    assert numbers["line.branches"]["value"] == 3
    radius = np.sqrt(numbers["section.area"]["value"] / np.pi)
    assert radius == pytest.approx(2.4, rel=0.03)
    assert {"narrow.diameter_stenosis", "wide.ectasia_ratio", "zones.zones"} <= set(numbers)


def test_a_centerline_returns_whole_from_disk(tmp_path):
    value = centerline(swept(line(12.0, count=20), 1.5, sides=12), names="inlet=ica")
    ResultStore(tmp_path)["one"] = value
    back = ResultStore(tmp_path)["one"]
    assert digest_value(back) == digest_value(value)
    assert (back.branches, back.nodes, back.ends) == (value.branches, value.nodes, value.ends)
    assert back.findings == value.findings
    assert np.array_equal(back.points_mm, value.points_mm)
    for name, values in value.point_data.items():
        assert np.array_equal(back.point_data[name], values, equal_nan=True)
    other = centerline(swept(line(12.0, count=20), 1.5, sides=12), names="inlet=mca")
    assert digest_value(other) != digest_value(value)


def test_a_centerline_goes_to_a_table_polylines_and_json(case, tmp_path):
    value = case.value("line")
    assert endings(value) == (".json", ".csv", ".vtp")
    with export(case, "line", tmp_path / "line.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(value.points_mm)
    places = np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])
    assert places == pytest.approx(value.points_mm, abs=1e-3)
    assert {row["branch"] for row in rows} == {"1", "2", "3"}
    assert "" in {row["area_mm2"] for row in rows}  # none at the very ends

    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(export(case, "line", tmp_path / "line.vtp")))
    reader.Update()
    lines = reader.GetOutput()
    assert lines.GetNumberOfLines() == 3
    radius = vtk_to_numpy(lines.GetPointData().GetArray("radius_mm"))
    assert np.array_equal(radius, value.radius_mm)

    record = json.loads(export(case, "line", tmp_path / "line.json").read_text("utf-8"))
    assert record["ends"] == dict(value.ends)
    assert len(record["branches"]) == 3
    assert len(record["bifurcations"]) == 1
    assert record["space"] == "LPS mm"


def test_a_centerline_is_drawn_thin_and_coloured_by_radius(case):
    value = case.value("line")
    item = scene_items({"line": value})["line"]
    assert item.scalars is not None
    assert item.scalars.array == "radius_mm"
    middle = item.surface.points_mm.reshape(-1, 8, 3).mean(axis=1)
    assert middle == pytest.approx(value.points_mm, abs=1e-6)
    away = np.linalg.norm(item.surface.points_mm.reshape(-1, 8, 3) - middle[:, None], axis=2)
    assert away.max() < 0.5
