import csv
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import parse

import numpy as np
import pytest
from PIL import Image
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLUnstructuredGridReader

from meshing.writers import write_vtp
from tests.hemodynamics.known_flow import FRAME, MEAN_ML_S, axis_line, tube_flow, tube_wall
from workstation import picture
from workstation.case import CaseError, create_case
from workstation.export import endings, export
from workstation.flow_export import at_one_time, flow_ending, kind_of_picture, write_flow
from workstation.planning.plan import Plan, Step

STEPS = (
    Step("meshing.centerline", "line", 1, {"lumen": "vessel"}),
    Step("hemodynamics.simulate_flow", "flow", 1, {"lumen": "vessel"}),
)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tube")
    write_vtp([tube_wall()], folder, "vessel.vtp", "")
    with create_case(folder / "tube") as case:
        case.import_file(folder / "vessel.vtp", "vessel", "surface", FRAME)
        plan = Plan(FRAME, {"vessel": case.record.sources["vessel"]["sha256"]}, STEPS)
        case.add_plan(plan, "Start")
        case.values[plan.keys()["flow"]] = tube_flow(3, 0.5)
        yield case


def test_tables_need_a_centerline(case, tmp_path):
    with pytest.raises(CaseError, match="no computed centerline"):
        export(case, "flow", tmp_path / "flow.branches.csv")
    plan = case.plan()
    case.values[plan.keys()["line"]] = axis_line()
    for ending, rows in ((".branches.csv", 1), (".sections.csv", 5)):
        written = export(case, "flow", tmp_path / f"flow{ending}")
        with written.open(encoding="utf-8") as file:
            read = list(csv.DictReader(file))
        assert len(read) == rows
        assert float(read[0]["flow_mean_ml_s"]) == pytest.approx(MEAN_ML_S, rel=0.02)
    export(case, "flow", tmp_path / "flow.csv")
    assert "value" in (tmp_path / "flow.csv").read_text("utf-8"), "numbers, as ever"


def test_every_time_is_a_file_of_lumen_and_wall(case, tmp_path):
    flow = case.value("flow")
    listed = export(case, "flow", tmp_path / "beat.pvd")
    export(case, "flow", tmp_path / "beat.pvd")  # once more, over the first
    sets = parse(listed).findall(".//DataSet")
    assert [float(s.get("timestep")) for s in sets] == pytest.approx(np.repeat(flow.times_s, 2))
    assert {Path(s.get("file")).suffix for s in sets} == {".vtu", ".vtp"}
    lumen, wall = vtkXMLUnstructuredGridReader(), vtkXMLPolyDataReader()
    for reader, record in ((lumen, sets[2]), (wall, sets[3])):
        reader.SetFileName(str(tmp_path / record.get("file")))
        reader.Update()
    cells = lumen.GetOutput().GetCellData()
    assert np.allclose(vtk_to_numpy(cells.GetArray("velocity_m_s")), flow.velocity_m_s[1])
    assert np.allclose(vtk_to_numpy(cells.GetArray("pressure_pa")), flow.pressure_pa[1])
    points = wall.GetOutput().GetPointData()
    assert np.allclose(vtk_to_numpy(points.GetArray("wss_pa")), flow.wss_pa[1], rtol=1e-5)
    assert {"tawss_pa", "osi"} <= {
        points.GetArrayName(n) for n in range(points.GetNumberOfArrays())
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["beat.pvd", "beat_times"]


def test_one_time_is_a_flow_of_its_own(case):
    flow = case.value("flow")
    one = at_one_time(flow, 2)
    assert one.times_s.tolist() == [flow.times_s[2]]
    assert np.array_equal(one.wall.point_data["wss_pa"], flow.wss_pa[2])
    assert one.flows_ml_s["inlet"].tolist() == [flow.flows_ml_s["inlet"][2]]


def test_a_picture_is_asked_for_by_its_name(case, tmp_path):
    assert kind_of_picture(Path("a.b/flow.png")) == "tawss"
    assert kind_of_picture(Path("flow.OSI.png")) == "osi"
    with pytest.raises(CaseError, match="'wave' of a flow; there are: tawss"):
        kind_of_picture(Path("flow.wave.png"))
    problem = picture.probe()
    if problem:
        pytest.skip(problem)
    written = export(case, "flow", tmp_path / "flow.pressure.png")
    with Image.open(written) as drawn:
        assert drawn.size == (900, 700)


def test_the_cycle_goes_to_a_picture_that_moves(case, tmp_path, monkeypatch):
    made = [np.full((6, 9, 3), 80 * n, np.uint8) for n in range(3)]
    asked = []
    monkeypatch.setattr(
        "workstation.flow_export.flow_movie",
        lambda flow, kind, progress: asked.append(kind) or made,
    )
    written = export(case, "flow", tmp_path / "flow.gif")
    export(case, "flow", tmp_path / "flow.wss.gif")
    assert asked == ["streamlines", "wss"]
    with Image.open(written) as movie:
        assert (movie.n_frames, movie.size) == (3, (9, 6))
        assert movie.info["duration"] == 900, "a third of 0.9 s, three times as slow"
        movie.seek(2)
        assert movie.convert("RGB").getpixel((4, 3)) == (160, 160, 160)


def test_a_steady_flow_does_not_move(case, tmp_path):
    still = at_one_time(case.value("flow"), 0)
    with pytest.raises(CaseError, match="nothing moves"):
        write_flow(case, "flow", still, tmp_path / "flow.gif")


def test_endings_are_told_and_a_flow_is_wanted(case, tmp_path):
    assert flow_ending(Path("x.Sections.CSV")) == ".sections.csv"
    assert flow_ending(Path("x.csv")) == ""
    assert {".pvd", ".png", ".branches.csv"} <= set(endings(case.value("flow")))
    plan = case.plan().with_params("flow", kind="none")
    case.add_plan(plan, "None")
    flow = tube_flow(1, 0.5)
    nothing = replace(
        flow, times_s=np.empty(0), velocity_m_s=flow.velocity_m_s[:0],
        pressure_pa=flow.pressure_pa[:0], wss_pa=flow.wss_pa[:0], flows_ml_s={},
        opening_pressures_pa={},
    )  # fmt: skip
    case.values[plan.keys()["flow"]] = nothing
    with pytest.raises(CaseError, match="was not computed"):
        export(case, "flow", tmp_path / "flow.pvd")
