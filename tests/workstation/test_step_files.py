"""STEP files of library parts: the solid is that of the mesh, placed, named, and read back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from meshing.surface import enclosed_mm3
from segmentation.images import write_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.__main__ import main
from workstation.case import CaseError, create_case
from workstation.export_any import export_any
from workstation.importing import start_plan
from workstation.planning.implant_families import FAMILIES, find_family
from workstation.planning.implant_library import add_library, find_parts
from workstation.planning.implant_library_manifest import BadManifest
from workstation.planning.size_search import Pose
from workstation.planning.step_files import StepFailed, read_step, write_step
from workstation.planning.step_solids import BUILD, extent_mm, solid_of
from workstation.planning.template import find_template

POSE = Pose((12.0, -45.0, 310.0), (25.0, 40.0, -15.0))
SIMPLE = ("acetabular_cup", "knee_femur", "knee_tibia", "straight_plate", "spinal_cage")


def placed(part, pose=POSE):
    return replace(part.mesh, points_mm=pose.placed(part.mesh.points_mm))


def written(part, path, **changes):
    given = {"name": part.mesh.name, "pose": POSE, "family": part.family,
             "dimensions": part.dimensions}  # fmt: skip
    return write_step(placed(part), path, **{**given, **changes})


@pytest.mark.parametrize("name", [*SIMPLE, "hip_stem"])
def test_every_family_has_the_solid_of_its_mesh(name):
    family = find_family(name)
    size = list(family.sizes)[1]
    part = family.part(size)
    solid = solid_of(name, family.dimensions_of(size))
    assert solid.mass == pytest.approx(enclosed_mm3(part.mesh), rel=0.01)
    if name in SIMPLE:
        points = part.mesh.points_mm
        assert extent_mm(solid) == pytest.approx(
            np.array([points.min(axis=0), points.max(axis=0)]), abs=0.05
        )


def test_every_family_has_a_solid():
    assert set(BUILD) == set(FAMILIES)


def test_a_written_part_lies_where_it_was_placed_and_bears_its_name(tmp_path):
    part = find_family("spinal_cage").part("10", {"lordosis_degrees": 12.0})
    file = written(part, tmp_path / "cage.step", name="Käfig 10", note="not a product")
    text = file.read_text("ascii")
    assert r"FILE_NAME('K\X2\00E4\X0\fig 10'" in text
    assert "DICOM patient LPS mm; not a product" in text
    assert "SI_UNIT(.MILLI.,.METRE.)" in text
    back = read_step(file)
    mesh = placed(part)
    assert enclosed_mm3(back) == pytest.approx(enclosed_mm3(mesh), rel=0.01)
    assert back.points_mm.min(axis=0) == pytest.approx(mesh.points_mm.min(axis=0), abs=0.1)
    assert back.points_mm.max(axis=0) == pytest.approx(mesh.points_mm.max(axis=0), abs=0.1)


def test_a_screw_outlives_its_file(tmp_path):
    assert written(find_family("cancellous_screw").part("30"), tmp_path / "s.step").is_file()


def test_a_solid_that_is_not_that_of_the_surface_is_refused(tmp_path):
    cup, other = (find_family("acetabular_cup").part(size) for size in ("50", "52"))
    with pytest.raises(StepFailed, match="its volume is"):
        written(cup, tmp_path / "cup.step", dimensions=other.dimensions)
    with pytest.raises(StepFailed, match=r"its middle lies 5\.0 mm off"):
        written(cup, tmp_path / "cup.step", pose=replace(POSE, position_mm=(12.0, -45.0, 315.0)))
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_ends_a_process_and_not_ours(tmp_path):
    file = tmp_path / "bad.step"
    file.write_text("ISO-10303-21;\nHEADER;\nENDSEC;\nDATA;\n#1=CIRCLE(")
    with pytest.raises(StepFailed):
        read_step(file)
    file.write_text("solid nothing")
    with pytest.raises(StepFailed, match=r"bad\.step is no STEP file"):
        read_step(file)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("placed")
    grid = ImageGeometry((20, 20, 20), (2.0,) * 3, (-20.0, -20.0, -20.0), tuple(np.eye(3).ravel()),
                         "2.25.7")  # fmt: skip
    array = np.zeros((20, 20, 20), np.uint8)
    array[:8] = 1
    write_labels(LabelMap(array, grid, {1: Label("bone")}), folder / "bone.nii.gz")
    with create_case(folder / "case") as case:
        part = [("implant", "family", "spinal_cage"), ("implant", "size", "8"),
                ("implant", "position_mm", [1.0, -2.0, 3.0]), ("choice", "family", "spinal_cage"),
                ("choice", "sizes", "8")]  # fmt: skip
        sources = {"bone": folder / "bone.nii.gz"}
        plan = start_plan(case, find_template("implant-fit"), sources, part)
        case.run(plan)
        yield case


def test_a_case_writes_its_placed_part_and_refuses_what_has_no_solid(case, tmp_path):
    (file,) = export_any(case, "implant", tmp_path / "part.stp")
    assert "Spinal cage 8" in file.read_text("ascii")
    with pytest.raises(CaseError, match="'bone' has no exact solid"):
        export_any(case, "bone", tmp_path / "bone.step")
    with pytest.raises(CaseError, match="ends in"):
        export_any(case, "step", tmp_path / "part.stl")


def test_a_folder_of_step_files_is_a_library(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HILUM_IMPLANTS", str(tmp_path / "kept"))
    folder = tmp_path / "mine"
    folder.mkdir()
    generic = find_family("spinal_cage").part("9")
    still = Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    write_step(generic.mesh, folder / "cage_9.step", name="Cage", pose=still,
               family="spinal_cage", dimensions=generic.dimensions)  # fmt: skip
    record = {
        "schema": 1, "name": "mine", "title": "Mine", "maker": "Nobody", "regulatory": "none",
        "material": "PEEK", "unit": "cm",
        "families": [{"name": "cage", "title": "Cage", "frame": "z up",
                      "sizes": [{"name": "9", "file": "cage_9.step"}]}],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(record, indent=1))
    library = add_library(folder)
    (part,) = find_parts("mine", "cage", sha256=library.sha256)
    assert enclosed_mm3(part.mesh) == pytest.approx(enclosed_mm3(generic.mesh), rel=0.01)
    assert part.solid is not None
    out = write_step(placed(part), tmp_path / "placed.step", name="Cage 9", pose=POSE,
                     source=part.solid)  # fmt: skip
    assert "Cage 9" in out.read_text("ascii")
    (folder / "cage_9.step").write_text("solid nothing")
    with pytest.raises(BadManifest, match=r"line 17: cage_9\.step is no STEP file"):
        add_library(folder)
    assert main(["implants", "add", str(folder)]) == 1
    assert "no STEP file" in capsys.readouterr().err
