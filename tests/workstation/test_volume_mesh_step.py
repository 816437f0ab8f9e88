"""A volume mesh from label to solver: as a step of a case, in the scene, and in its files."""

import meshio
import numpy as np
import pytest

from meshing import tetrahedra
from meshing.tetrahedra_process import main as mesh_here
from meshing.volume_mesh import VolumeMesh, cell_volumes_mm3
from segmentation.images import write_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.__main__ import main
from workstation.actors import scene_items
from workstation.case import create_case, open_case
from workstation.formats import digest_source
from workstation.planning.plan import Plan, Step

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
GRID = ImageGeometry((16, 14, 12), (1.0, 1.2, 1.5), (-90, -60, 90), OBLIQUE, "1.2")
SMALL = {"edge_mm": 5.0, "layers": 2, "first_layer_mm": 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A case whose plan has been run by command: an egg, its surface, its mesh."""
    k, j, i = np.mgrid[:12, :14, :16]
    egg = ((i - 8) / 6) ** 2 + ((j - 6) / 5) ** 2 + ((k - 6) / 4) ** 2 < 1
    here = tmp_path_factory.mktemp("volume")
    write_labels(LabelMap(egg.astype(np.uint8), GRID, {1: Label("egg")}), here / "egg.nrrd")
    with create_case(here / "case") as case:
        labels = case.import_file(here / "egg.nrrd", "egg", "labels")
        steps = (
            Step("meshing.isosurface", "wall", 2, {"labels": "egg"}, {}),
            Step("meshing.tetrahedralize", "egg_mesh", 2, {"surface": "wall"}, SMALL),
        )
        case.add_plan(Plan(labels.geometry.frame_uid, {"egg": digest_source(labels)}, steps), "p")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tetrahedra, "_run", lambda folder, progress: mesh_here(folder))
        assert main(["run", str(here / "case")]) == 0
    return here


@pytest.fixture(scope="module")
def mesh(folder) -> VolumeMesh:
    with open_case(folder / "case") as case:
        return case.value("egg_mesh")


def test_the_step_fills_the_label(folder, mesh):
    assert cell_volumes_mm3(mesh).min() > 0
    assert len(mesh.prisms)
    with open_case(folder / "case") as case:
        egg = case.value("egg").array
    voxels = np.count_nonzero(egg) * 1.0 * 1.2 * 1.5
    assert cell_volumes_mm3(mesh).sum() == pytest.approx(voxels, rel=0.03)


def test_the_scene_shows_its_outside(mesh):
    items = scene_items({"egg_mesh": mesh})
    shown = items["egg_mesh"].surface
    assert shown is mesh.outside
    faces = sum(len(mesh.boundary_triangles(name)) for name in mesh.boundary_names)
    assert len(shown.triangles) == faces > 20
    assert scene_items({"egg_mesh": mesh})["egg_mesh"].surface is shown


@pytest.mark.parametrize("ending", [".vtu", ".msh", ".inp", ".feb"])
def test_the_command_writes_each_solver_s_file(folder, mesh, ending, capsys):
    path = folder / f"egg{ending}"
    assert main(["export", str(folder / "case"), "egg_mesh", str(path)]) == 0
    if ending == ".feb":  # meshio reads none
        text = path.read_text("utf-8")
        assert text.count('<elem id="') == mesh.cell_count
        assert '<Surface name="wall">' in text
        return
    made = meshio.read(path)
    assert np.allclose(made.points, mesh.points_mm, atol=1e-6)
    assert np.array_equal(made.cells_dict["tetra"], mesh.tetrahedra)
    assert len(made.cells_dict["wedge"]) == len(mesh.prisms)


def test_it_is_no_model_for_a_printer(folder, capsys):
    assert main(["export", str(folder / "case"), "egg_mesh", str(folder / "egg.stl")]) == 1
    said = capsys.readouterr().err
    assert ".vtu" in said
    assert not (folder / "egg.stl").exists()
