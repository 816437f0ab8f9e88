from dataclasses import replace

import meshio
import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersCore import vtkCellCenters
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLUnstructuredGridReader

from hemodynamics import flow_files
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_result import FlowResult
from meshing.mesh import SurfaceMesh
from tests.hemodynamics.tubes import capped_tube


def some_flow(times=2):
    """Return a made-up flow of three cells beside a triangle."""
    rng = np.random.default_rng(1)
    wall = SurfaceMesh(
        np.eye(3), [[0, 1, 2]], "1.2", "vessel", point_data={
            "tawss_pa": np.arange(3.0), "osi": np.array([0, 2e-8, 0.2]),
            "rrt_1_pa": np.array([np.inf, 1, 2]), "wss_pa": rng.random((3, 3)),
        },
    )  # fmt: skip
    cells = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [1.5, 0.5, 1.5]])
    return FlowResult(
        wall, cells, 1.0, np.arange(times) / 10, rng.random((times, 3, 3), np.float32),
        rng.random((times, 3), np.float32), rng.random((times, 3, 3), np.float32),
        {"inlet": np.ones(times), "outlet_1": -np.ones(times)},
        {"inlet": np.full(times, 5.0), "outlet_1": np.zeros(times)},
        np.array([0.5, 0.1]), {"kind": "pulsatile", "exponent": 3.0}, "1.2", "vessel",
    )  # fmt: skip


@pytest.mark.parametrize("coarser", [(), (0.5,), (0.5, 2.0)])
def test_a_flow_comes_back_from_its_record_and_arrays(coarser):
    flow, found = some_flow(), None
    for factor in reversed(coarser):  # the same wall, other values on it and in other cells
        data = {name: factor * values for name, values in flow.wall.point_data.items()}
        wall = replace(flow.wall, point_data=data)
        cells = flow.cells_mm / factor
        found = replace(flow, wall=wall, cells_mm=cells, spacing_mm=1 / factor, coarser=found)
    flow = replace(flow, coarser=found)
    back = flow_files.from_record(flow_files.to_record(flow), flow_files.to_arrays(flow))
    assert flow_files.to_record(back) == flow_files.to_record(flow)
    assert flow_files.to_json(back) == flow_files.to_json(flow)
    ours, theirs = flow_files.to_arrays(flow), flow_files.to_arrays(back)
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert [f.spacing_mm for f in back.levels()] == [1.0, *(1 / factor for factor in coarser)]
    for one, other in zip(back.levels(), flow.levels(), strict=True):
        assert np.array_equal(one.wall.points_mm, other.wall.points_mm)
        assert np.array_equal(one.wall.point_data["tawss_pa"], other.wall.point_data["tawss_pa"])


def test_cells_go_to_vtu(tmp_path):
    flow = some_flow()
    flow_files.write_vtu(flow, tmp_path / "lumen.vtu")
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(tmp_path / "lumen.vtu"))
    reader.Update()
    grid = reader.GetOutput()
    centres = vtkCellCenters()
    centres.SetInputData(grid)
    centres.Update()
    assert np.allclose(vtk_to_numpy(centres.GetOutput().GetPoints().GetData()), flow.cells_mm)
    assert grid.GetNumberOfPoints() == 16  # three cubes, two of them beside each
    data = grid.GetCellData()
    assert np.allclose(vtk_to_numpy(data.GetArray("velocity_m_s")), flow.velocity_m_s.mean(axis=0))
    assert np.allclose(vtk_to_numpy(data.GetArray("pressure_pa_2")), flow.pressure_pa[1])
    assert np.allclose(vtk_to_numpy(grid.GetFieldData().GetArray("times_s")), [0, 0.1])
    read = meshio.read(tmp_path / "lumen.vtu")
    assert np.allclose(read.cell_data["velocity_m_s"][0], flow.velocity_m_s.mean(axis=0))
    assert bytes(read.field_data["frame_uid"]).decode() == flow.frame_uid


def test_the_wall_goes_to_vtp(tmp_path):
    flow = some_flow(1)
    flow_files.write_vtp(flow, tmp_path / "wall.vtp")
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(tmp_path / "wall.vtp"))
    reader.Update()
    data = reader.GetOutput().GetPointData()
    assert vtk_to_numpy(data.GetArray("wss_pa")).shape == (3, 3)
    assert vtk_to_numpy(data.GetArray("tawss_pa")).tolist() == [0, 1, 2]
    assert vtk_to_numpy(data.GetArray("osi")).tolist() == [0, 0, 0.2], "rounding is not told"


def test_what_was_not_computed_has_no_cells_to_write(tmp_path):
    flow = simulate_flow(capped_tube()[0], kind="none")
    with pytest.raises(ValueError, match="nothing to write"):
        flow_files.write_vtu(flow, tmp_path / "lumen.vtu")
    back = flow_files.from_record(flow_files.to_record(flow), flow_files.to_arrays(flow))
    assert back.conditions == {"kind": "none"}


def test_fields_of_another_length_are_refused():
    flow = some_flow()
    fields = {**flow.__dict__, "pressure_pa": flow.pressure_pa[:, :2]}
    with pytest.raises(ValueError, match="pressure_pa has the shape"):
        FlowResult(**fields)
