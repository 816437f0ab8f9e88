"""Volume meshes in solvers' files: read back by us and by others."""

from dataclasses import replace
from pathlib import Path

import meshio
import numpy as np
import pytest

from meshing import solver_files
from meshing.files import UnfaithfulFile
from meshing.solver_decks import safe_names
from meshing.solver_files import VOLUME_ENDINGS, require_same, write_volume_mesh
from meshing.volume_mesh import VolumeMesh, cell_volumes_mm3


@pytest.fixture
def mesh() -> VolumeMesh:
    """A prism with a tetrahedron on its top, far from the origin."""
    points = np.array(
        [[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 1], [2, 0, 1], [0, 3, 1], [0.5, 0.5, 2.0]], float
    ) + np.array([31.25, -17.5, 204.123456789])
    return VolumeMesh(
        points,
        np.array([[3, 4, 5, 6]]),
        "1.2.3",
        "a mesh",
        prisms=np.array([[0, 1, 2, 3, 4, 5]]),
        boundaries={
            "wall": np.array([[3, 4, 6], [4, 5, 6], [5, 3, 6]]),
            "in let": np.array([[0, 2, 1]]),
        },
        boundary_quads={"wall": np.array([[0, 1, 4, 3], [1, 2, 5, 4], [2, 0, 3, 5]])},
        regions={"core": np.array([0]), "layers": np.array([1])},
        point_data={"pressure_pa": np.arange(7.0)},
        cell_data={"quality": np.array([0.5, 0.25])},
    )


@pytest.mark.parametrize("ending", VOLUME_ENDINGS)
def test_each_format_is_written_and_read_back(
    mesh: VolumeMesh, ending: str, tmp_path: Path
) -> None:
    path = write_volume_mesh(mesh, tmp_path / f"mesh{ending}")
    first = path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert write_volume_mesh(mesh, path).read_bytes() == first


@pytest.mark.parametrize("ending", [".vtu", ".msh", ".inp"])
def test_meshio_reads_the_same_cells(mesh: VolumeMesh, ending: str, tmp_path: Path) -> None:
    made = meshio.read(write_volume_mesh(mesh, tmp_path / f"mesh{ending}"))
    assert np.allclose(made.points, mesh.points_mm, rtol=0, atol=1e-6)
    cells = made.cells_dict
    assert np.array_equal(cells["tetra"], mesh.tetrahedra)
    assert np.array_equal(cells["wedge"], mesh.prisms)


def test_gmsh_groups_are_named(mesh: VolumeMesh, tmp_path: Path) -> None:
    made = meshio.read(write_volume_mesh(mesh, tmp_path / "mesh.msh"))
    dimensions = {name: int(entry[1]) for name, entry in made.field_data.items()}
    assert dimensions == {"core": 3, "layers": 3, "wall": 2, "in let": 2}


def test_abaqus_sets_and_surfaces(mesh: VolumeMesh, tmp_path: Path) -> None:
    path = write_volume_mesh(mesh, tmp_path / "mesh.inp")
    text = path.read_text()
    assert "*SURFACE, NAME=wall, TYPE=ELEMENT\nSIDE2_wall, S2\nSIDE3_wall, S3\n" in text
    assert "*SURFACE, NAME=in_let, TYPE=ELEMENT\nSIDE1_in_let, S1\n" in text
    made = meshio.read(path)
    assert sorted(made.point_sets["NODES_in_let"].tolist()) == [0, 1, 2]


def test_vtk_finds_positive_volumes(mesh: VolumeMesh, tmp_path: Path) -> None:
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersVerdict import vtkMeshQuality
    from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(write_volume_mesh(mesh, tmp_path / "mesh.vtu")))
    quality = vtkMeshQuality()
    quality.SetInputConnection(reader.GetOutputPort())
    quality.SetTetQualityMeasureToVolume()
    quality.SetWedgeQualityMeasureToVolume()
    quality.Update()
    grid = quality.GetOutput()
    volumes = vtk_to_numpy(grid.GetCellData().GetArray("Quality"))[: mesh.cell_count]
    assert np.allclose(np.abs(volumes), cell_volumes_mm3(mesh))
    assert grid.GetFieldData().GetArray("boundary:wall").GetValue(0) == 1
    assert vtk_to_numpy(grid.GetCellData().GetArray("boundary")).tolist() == [
        0, 0, 1, 1, 1, 2, 1, 1, 1,
    ]  # fmt: skip


def test_a_file_that_lost_something_never_takes_its_name(
    mesh: VolumeMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mesh.vtu"
    target.write_text("before")
    write, reread = solver_files._FORMATS[".vtu"]

    def lose(mesh: VolumeMesh, path: Path) -> None:
        write(VolumeMesh(mesh.points_mm, mesh.tetrahedra, "", prisms=mesh.prisms), path)

    monkeypatch.setitem(solver_files._FORMATS, ".vtu", (lose, reread))
    with pytest.raises(UnfaithfulFile, match="its boundaries differ"):
        write_volume_mesh(mesh, target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_turned_face_is_seen(mesh: VolumeMesh) -> None:
    turned = VolumeMesh(
        mesh.points_mm,
        mesh.tetrahedra,
        "",
        prisms=mesh.prisms,
        boundaries={**mesh.boundaries, "in let": np.array([[0, 1, 2]])},
        boundary_quads=mesh.boundary_quads,
    )
    with pytest.raises(UnfaithfulFile):
        require_same(mesh, turned, Path("mesh.vtu"))


def test_unknown_endings_and_empty_meshes_are_refused(mesh: VolumeMesh, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"use .vtu, .msh"):
        write_volume_mesh(mesh, tmp_path / "mesh.stl")
    nothing = VolumeMesh(np.empty((0, 3)), np.empty((0, 4), np.int64), "")
    with pytest.raises(ValueError, match="no cell"):
        write_volume_mesh(nothing, tmp_path / "mesh.vtu")


@pytest.mark.parametrize("ending", VOLUME_ENDINGS)
def test_dashes_and_signs_in_names_survive(mesh: VolumeMesh, ending: str, tmp_path: Path) -> None:
    names = {"wall": "wall--50 % <left> & more---", "in let": "in/let -- %2D"}
    odd = replace(
        mesh,
        boundaries={names[name]: rows for name, rows in mesh.boundaries.items()},
        boundary_quads={names[name]: rows for name, rows in mesh.boundary_quads.items()},
    )
    path = write_volume_mesh(odd, tmp_path / f"mesh{ending}")
    assert set(solver_files._FORMATS[ending][1](path).boundary_names) == set(names.values())


def test_names_are_safe_and_stay_apart() -> None:
    names = safe_names(("Wall", "wall", "in let", "in_let", "1st", "ärztlich"))
    assert list(names.values()) == [
        "Wall",
        "wall_2",
        "in_let",
        "in_let_2",
        "part_1st",
        "part__rztlich",
    ]
