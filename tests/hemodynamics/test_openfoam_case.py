import re

import numpy as np
import pytest

from hemodynamics.verification import openfoam, openfoam_case
from hemodynamics.verification.openfoam_case import Grid, sharp_edges, stl, text, write_case
from hemodynamics.verification.openfoam_files import Patch, Unreadable, read_field, read_patches
from hemodynamics.verification.rows import CannotRun, Means
from hemodynamics.verification.shapes import tube, with_sphere

DRIVE = openfoam.Drive(1.5, {"outlet_1": 1.0}, 0.0035)


@pytest.fixture(scope="module")
def lumen():
    return tube(2.0, 6.0, 1.0, axis=(1.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def case(lumen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    write_case(folder, lumen, Grid(0.5), np.array([0.1, 0.2, 0.3]))
    return folder


def brackets_match(words):
    return all(words.count(a) == words.count(b) for a, b in ("{}", "()"))


def test_a_dictionary_is_text_that_openfoam_reads():
    words = text("thing", {"a": 1.5, "b": True, "c": {"d": (1.0, 2.0), "e": "uniform 0"}})
    assert words.startswith("FoamFile\n{\n    version 2;\n    format ascii;")
    assert "\na 1.5;\nb true;\nc\n{\n    d (1 2);\n    e uniform 0;\n}\n" in words


def test_a_case_has_its_files_in_metres(case, lumen):
    for name in ("controlDict", "fvSchemes", "fvSolution", "blockMeshDict", "snappyHexMeshDict"):
        assert brackets_match((case / "system" / name).read_text()), name
    words = (case / "constant" / "triSurface" / "lumen.stl").read_text()
    assert re.findall(r"^solid (\w+)", words, re.M) == ["wall", "inlet", "outlet_1"]
    corners = np.array([line.split()[1:] for line in words.splitlines() if "vertex" in line], float)
    assert len(corners) == 3 * len(lumen.triangles)
    assert np.allclose(corners.max(axis=0), lumen.points_mm.max(axis=0) * 1e-3)
    snappy = (case / "system" / "snappyHexMeshDict").read_text()
    assert "locationInMesh (0.0001 0.0002 0.0003);" in snappy
    assert re.search(r"inlet\s*\{\s*level \(0 0\);\s*patchInfo\s*\{\s*type patch;", snappy)
    assert re.search(r"wall\s*\{\s*level \(0 0\);\s*patchInfo\s*\{\s*type wall;", snappy)


def test_a_ball_of_finer_cells_is_part_of_a_case(lumen, tmp_path):
    ball = ((1.0, -2.0, 3.0), 4.0)
    write_case(tmp_path, lumen, Grid(0.5, ball, 1e-4), np.zeros(3))
    snappy = (tmp_path / "system" / "snappyHexMeshDict").read_text()
    assert re.search(r"centre \(0.001 -0.002 0.003\);\s*radius 0.004;", snappy)
    assert re.search(r"ball\s*\{\s*mode inside;\s*levels \(\(1e15 1\)\);", snappy)
    assert "p 0.0001;" in (tmp_path / "system" / "fvSolution").read_text()


def test_the_block_holds_the_lumen_in_whole_cells(case, lumen):
    words = (case / "system" / "blockMeshDict").read_text()
    vertices = words.partition("vertices")[2].partition(";")[0]
    corners = np.array(re.findall(r"[-\d.e]+", vertices), float).reshape(8, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    assert (low < lumen.points_mm.min(axis=0) * 1e-3).all()
    assert (high > lumen.points_mm.max(axis=0) * 1e-3).all()
    count = np.array(re.search(r"\((\d+) (\d+) (\d+)\) simple", words).groups(), int)
    assert np.allclose((high - low) / count, 0.5e-3)


def test_rims_are_the_edges_of_the_openings(lumen):
    edges = sharp_edges(lumen)
    assert len(edges) == 2 * 64
    along = lumen.points_mm[np.unique(edges)] @ np.array([1, 2, 2]) / 3
    assert np.allclose(np.abs(along), 3.0)
    words = openfoam_case.rims(lumen)
    assert "class featureEdgeMesh;" in words
    assert "\n128\n(" in words


def test_the_neck_of_a_sphere_is_a_sharp_edge():
    edges = sharp_edges(with_sphere(2.0, 10.0, 2.0, 3.0, 0.5))
    lumen = with_sphere(2.0, 10.0, 2.0, 3.0, 0.5)
    places = lumen.points_mm[np.unique(edges)]
    neck = places[np.abs(places[:, 2]) < 4.9]
    assert len(neck) > 20
    assert np.allclose(np.linalg.norm(neck - [0, 3, 0], axis=1), 2.0, atol=0.06)
    assert np.allclose(np.hypot(neck[:, 0], neck[:, 1]), 2.0, atol=0.02)


def test_facets_face_outward(lumen):
    first = stl(lumen).splitlines()
    start = first.index("solid outlet_1") + 1
    assert np.allclose(np.array(first[start].split()[2:], float), np.array([1, 2, 2]) / 3)


def disc_patch(lumen, name):
    corners = lumen.points_mm[lumen.triangles[lumen.boundaries[name]]] * 1e-3
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    return Patch(corners.mean(axis=1), areas)


def test_ends_carry_the_flow_they_should(lumen):
    patches = {name: disc_patch(lumen, name) for name in ("inlet", "outlet_1")}
    velocity, pressure = openfoam.boundaries(lumen, patches, DRIVE)
    assert velocity["wall"] == {"type": "noSlip"}
    assert velocity["outlet_1"] == {"type": "zeroGradient"}
    assert pressure["outlet_1"] == {"type": "fixedValue", "value": "uniform 0"}
    assert pressure["inlet"] == {"type": "zeroGradient"}
    values = np.array(re.findall(r"\(([^()]+)\)", velocity["inlet"]["value"])[0].split(), float)
    assert values @ np.array([1, 2, 2]) > 0
    speeds = openfoam.profile_m_s(lumen, "inlet", patches["inlet"], -1.5)
    assert np.einsum("nx,nx->", speeds, patches["inlet"].areas_m2) == pytest.approx(-1.5e-6)


def test_the_smaller_outlets_flow_is_prescribed(lumen):
    patches = {name: disc_patch(lumen, name) for name in ("inlet", "outlet_1")}
    both = openfoam.Drive(1.5, {"outlet_1": 0.3, "inlet": 0.7}, 0.0035, inlet="outlet_1")
    velocity, _ = openfoam.boundaries(lumen, patches, both)
    assert velocity["inlet"] == {"type": "zeroGradient"}


def test_a_mesh_and_its_fields_are_read(tmp_path):
    head = "FoamFile\n{\n    format ascii;\n}\n\n"
    (tmp_path / "points").write_text(head + "4\n(\n(0 0 0)\n(2 0 0)\n(2 1 0)\n(0 1 0)\n)\n")
    many = "\n11\n(\n" + "0\n1\n2\n" * 3 + "3\n3\n)\n"
    (tmp_path / "faces").write_text(head + f"2\n(\n{many}4(0 1 2 3)\n)\n\n\n// *** //\n")
    (tmp_path / "boundary").write_text(
        head + "1\n(\n    wall\n    {\n        type wall;\n        inGroups 1(wall);\n"
        "        nFaces 1;\n        startFace 1;\n    }\n)\n"
    )
    patch = read_patches(tmp_path)["wall"]
    assert np.allclose(patch.centres_m, [[1.0, 0.5, 0.0]])
    assert np.allclose(patch.areas_m2, [[0.0, 0.0, 2.0]])
    (tmp_path / "U").write_text(
        head + "internalField nonuniform List<vector> \n2\n(\n(1 2 3)\n(4 5 6e-1)\n)\n;\n\n"
        "boundaryField\n{\n    wall\n    {\n        value nonuniform List<scalar> \n1\n(\n7\n)\n;\n"
        "    }\n}\n"
    )
    assert np.allclose(read_field(tmp_path / "U"), [[1, 2, 3], [4, 5, 0.6]])
    assert np.allclose(read_field(tmp_path / "U", "wall"), [7])
    with pytest.raises(Unreadable, match="no boundary 'inlet'"):
        read_field(tmp_path / "U", "inlet")


def test_a_flow_that_has_not_settled_is_no_reference(tmp_path):
    with pytest.raises(openfoam.Failed, match="no result"):
        openfoam.settled(tmp_path)
    for name in ("0", "90", "217"):
        (tmp_path / name).mkdir()
    assert openfoam.settled(tmp_path).name == "217"
    (tmp_path / str(openfoam_case.ITERATIONS)).mkdir()
    with pytest.raises(openfoam.Failed, match="no steady state"):
        openfoam.settled(tmp_path)


def test_without_openfoam_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(openfoam.shutil, "which", lambda name: None)
    with pytest.raises(CannotRun, match="apt-get install openfoam"):
        openfoam.solve(None, Grid(0.5), DRIVE)
    assert Means().data is None


def test_a_program_that_fails_leaves_its_last_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(openfoam.shutil, "which", lambda name: "/bin/cat")
    with pytest.raises(openfoam.Failed, match=r"simpleFoam of OpenFOAM failed: .*No such file"):
        openfoam.run(tmp_path, "simpleFoam", "nothing-here")
