"""All surfaces of a plan go to one file; one that cannot be printed is held back, or explained."""

import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from meshing.gltf import linear_of
from meshing.surface import SurfaceMesh, volume_ml
from segmentation.images import write_labels, write_volume
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.__main__ import main
from workstation.case import CaseError, create_case, open_case
from workstation.export_any import export_any
from workstation.importing import start_plan
from workstation.model_export import FaultySurface, model_names, surface_warnings
from workstation.planning.plan import Step
from workstation.planning.template import find_template

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
GRID = ImageGeometry((40, 36, 24), (4.0, 4.5, 6.0), (-90, -60, 90), OBLIQUE, "1.2")
MODEL = [
    ("meshing.isosurface", "organ", {"labels": "liver"}, {}),
    ("meshing.isosurface", "lump", {"labels": "tumor"}, {}),
    ("meshing.decimate", "organ_small", {"mesh": "organ"}, {"triangles": 600}),
    ("meshing.printability", "organ_check", {"mesh": "organ_small"}, {}),
    ("meshing.orient_for_print", "organ_lain", {"mesh": "organ_small"}, {}),
]


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Return the folder of a computed case, which nobody changes."""
    folder = tmp_path_factory.mktemp("model")
    liver = np.zeros(GRID.shape, np.uint8)
    liver[4:20, 6:30, 5:30] = 1
    liver[10:20, 6:14, 5:12] = 0
    tumor = np.zeros(GRID.shape, np.uint8)
    tumor[14:17, 20:24, 8:12] = 1
    write_volume(Volume((100 * liver - 60 * tumor).astype(np.int16), GRID), folder / "ct.nrrd")
    for name, mask in {"liver": liver, "tumor": tumor}.items():
        write_labels(LabelMap(mask, GRID, {1: Label(name)}), folder / f"{name}.nrrd")
    sources = {name: folder / f"{name}.nrrd" for name in ("ct", "liver", "tumor")}
    with create_case(folder / "case") as case:
        plan = start_plan(case, find_template("liver-resection"), sources, [])
        plan = replace(plan, steps=plan.steps[:0])
        for stage, output, inputs, params in MODEL:
            inputs = {
                k: f"{v}_file" if f"{v}_file" in plan.sources else v for k, v in inputs.items()
            }
            plan = plan.added(Step(stage, output, 1, inputs, params))
        case.add_plan(plan, "model")
        case.run(plan)
    return folder / "case"


@pytest.fixture
def case(computed, tmp_path):
    (tmp_path / "out").mkdir()
    shutil.copytree(computed, tmp_path / "case")
    with open_case(tmp_path / "case", write=True) as case:
        yield case


def broken(case, name):
    """Open a surface of the case by one triangle, as a damaged file would."""
    key = case.plan().keys()[name]
    whole: SurfaceMesh = case.values[key]
    case.values[key] = replace(whole, triangles=whole.triangles[1:])
    return whole


def test_the_model_is_what_the_plan_ends_in(case):
    assert model_names(case, case.plan()) == ["lump", "organ_small"]


@pytest.mark.parametrize("ending", [".3mf", ".glb", ".obj"])
def test_all_surfaces_go_to_one_file(case, tmp_path, ending):
    files = export_any(case, "model", tmp_path / "out" / f"model{ending}")
    assert {f.name for f in files} == {p.name for p in (tmp_path / "out").iterdir()}
    if ending == ".3mf":
        text = zipfile.ZipFile(files[0]).read("3D/3dmodel.model").decode()
        assert '<object id="2" type="model" name="lump"' in text
        assert text.count("<item ") == 2
        assert "FRAME=1.2" in text
    if ending == ".glb":
        scene = trimesh.load_scene(files[0])
        assert set(scene.geometry) == {"lump", "organ_small"}
        lump = scene.geometry["lump"].volume * 1e6
        assert lump == pytest.approx(volume_ml(case.value("lump")), rel=1e-3)


def test_named_surfaces_go_to_one_file(case, tmp_path):
    (path,) = export_any(case, "organ,lump", tmp_path / "out" / "two.glb")
    assert list(trimesh.load_scene(path).geometry) == ["organ", "lump"]
    with pytest.raises(CaseError, match="the plan has no 'spleen'"):
        export_any(case, "organ,spleen", tmp_path / "out" / "two.glb")


def test_a_faulty_surface_is_held_back_with_its_faults(case, tmp_path):
    broken(case, "organ")
    with pytest.raises(FaultySurface) as error:
        export_any(case, "organ", tmp_path / "out" / "organ.stl")
    assert "'organ' cannot be printed as it is" in str(error.value)
    assert "a hole" in str(error.value)
    assert "Repair the surface" in error.value.remedy
    assert "--despite" in error.value.remedy
    assert error.value.findings["organ"][0].location_mm is not None
    assert list((tmp_path / "out").iterdir()) == []
    for ending in (".vtp", ".ply", ".glb"):  # for repair and for viewers it may go
        assert export_any(case, "organ", tmp_path / "out" / f"organ{ending}")


def test_a_reason_lets_it_go_and_is_kept(case, tmp_path):
    broken(case, "organ")
    reason = "for the talk on holes"
    paths = [
        export_any(case, "organ", tmp_path / "out" / f"organ{ending}", despite=reason)[0]
        for ending in (".stl", ".obj", ".3mf")
    ]
    assert b"FAULTY" in paths[0].read_bytes()[:80]
    assert reason in paths[1].read_text().split("mtllib")[0]
    assert reason in zipfile.ZipFile(paths[2]).read("3D/3dmodel.model").decode()
    kept = [run["export"] for run in case.runs() if "export" in run]
    assert [k["despite"] for k in kept] == [reason] * 3
    assert kept[0]["faults"] == {"organ": ["open_surface"]}
    assert case.summary()["steps"][0]["state"] == "fresh"


def test_dicom_is_not_held_back_but_its_faults_are_told(case):
    broken(case, "organ")
    assert [(w.code, w.severity) for w in surface_warnings(case, "organ")] == [
        ("open_surface", "warning")
    ]
    assert surface_warnings(case, "lump") == surface_warnings(case, "dicom") == ()


def test_a_sound_surface_needs_no_reason(case, tmp_path):
    path = export_any(case, "organ", tmp_path / "out" / "organ.stl", despite="just so")[0]
    assert b"FAULTY" not in path.read_bytes()[:80]
    assert not [run for run in case.runs() if "export" in run]


def test_what_the_plan_checked_holds_back_too(case, tmp_path):
    plan = case.plan().with_params("organ_check", build_mm=(20.0, 20.0, 20.0))
    case.add_plan(plan, "small printer")
    assert export_any(case, "organ_small", tmp_path / "out" / "a.stl")  # not checked yet
    case.run(plan)
    with pytest.raises(FaultySurface, match="does not fit the printer's 20 x 20 x 20 mm"):
        export_any(case, "organ_small", tmp_path / "out" / "b.stl")


def test_a_quantity_colours_the_file(case, tmp_path):
    (path,) = export_any(
        case, "organ_check", tmp_path / "out" / "a.glb", coloured_by="overhang_degrees"
    )
    (shape,) = trimesh.load_scene(path, process=False).geometry.values()
    light = np.asarray(shape.visual.vertex_attributes["color"])[:, :3] / 255.0
    lowest = linear_of(np.array([68, 1, 84]))
    up = np.asarray(shape.vertex_normals)[:, 1] > 0.9  # glTF: up is +Y
    assert np.allclose(light[up].mean(axis=0), lowest, atol=0.05)
    assert np.ptp(light, axis=0).max() > 0.3
    with pytest.raises(CaseError, match="there are: gap_mm, overhang_degrees, wall_mm"):
        export_any(case, "organ_check", tmp_path / "out" / "b.glb", coloured_by="heat")
    with pytest.raises(CaseError, match="holds no colours of points"):
        export_any(case, "organ_check", tmp_path / "out" / "b.stl", coloured_by="wall_mm")


def test_the_command_refuses_explains_and_obeys(case, tmp_path, capsys):
    broken(case, "organ")
    folder, file = case.folder, tmp_path / "out" / "organ.stl"
    case.close()
    assert main(["export", str(folder), "organ", str(file)]) == 1
    said = capsys.readouterr().err
    assert "'organ' cannot be printed as it is" in said
    assert "--despite" in said
    assert not file.exists()
    assert main(["export", str(folder), "organ", str(file), "--despite", "a spare"]) == 0
    assert file.is_file()
    with open_case(folder, write=False) as again:
        assert again.runs()[-1]["export"]["despite"] == "a spare"
    assert main(["export", str(folder), "model", str(tmp_path / "out" / "all.3mf")]) == 0


def test_a_plan_without_surfaces_says_so(case, tmp_path):
    plan = replace(case.plan(), steps=())
    case.add_plan(plan, "bare")
    with pytest.raises(CaseError, match="no surface yet"):
        export_any(case, "model", tmp_path / "out" / "a.3mf")
