"""Libraries of implants: generic shapes are sound, added folders are kept and refused by line."""

import json

import numpy as np
import pytest

from meshing.files import write_surface
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight, to_trimesh
from workstation.__main__ import main
from workstation.planning.implant_families import FAMILIES, UnknownPart, find_family
from workstation.planning.implant_families_joints import stem_head_mm
from workstation.planning.implant_library import (
    ChangedLibrary,
    add_library,
    find_library,
    find_parts,
    libraries,
)
from workstation.planning.implant_library_manifest import BadManifest, value_lines


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_closed_of_one_piece_and_the_same_each_time(name):
    family = find_family(name)
    sizes = list(family.sizes)
    small, again, large = (family.part(sizes[n]) for n in (0, 0, 2))
    for part in (small, large):
        assert is_watertight(part.mesh)
        assert 0 < len(part.seat) < len(part.mesh.triangles)
    assert enclosed_mm3(large.mesh) > enclosed_mm3(small.mesh) > 50
    assert small.mesh.points_mm.tobytes() == again.mesh.points_mm.tobytes()
    assert small.mesh.triangles.tobytes() == again.mesh.triangles.tobytes()


def test_a_cup_has_the_volume_of_half_a_shell():
    part = find_family("acetabular_cup").part("52", {"wall_mm": 4.0})
    exact = 2 / 3 * np.pi * (26**3 - 22**3)
    assert enclosed_mm3(part.mesh) == pytest.approx(exact, rel=0.01)
    assert part.mesh.points_mm[:, 2].max() == pytest.approx(0, abs=1e-9)


def test_a_stem_has_its_neck_angle_offset_and_length():
    family = find_family("hip_stem")
    size = family.dimensions_of("3", {"neck_angle_degrees": 125.0, "offset_mm": 44.0})
    x, y, z = stem_head_mm(size)
    assert (x, y) == (44.0, 0.0)
    assert np.degrees(np.arctan2(x, z)) == pytest.approx(180 - 125)
    part = family.part("3", {"neck_angle_degrees": 125.0, "offset_mm": 44.0})
    assert part.mesh.points_mm[:, 2].min() == pytest.approx(-size["length_mm"])
    assert part.mesh.points_mm[:, 0].max() > 44 > -part.mesh.points_mm[:, 0].min()
    assert part.places["head"] == (x, y, z)


def test_a_plate_has_as_many_holes_as_it_says():
    part = find_family("straight_plate").part("5 holes")
    edges = np.unique(np.sort(part.mesh.triangles[:, (0, 1, 1, 2, 2, 0)].reshape(-1, 2)), axis=0)
    euler = len(part.mesh.points_mm) - len(edges) + len(part.mesh.triangles)
    assert euler == 2 - 2 * 5


def test_what_a_family_has_not_is_named():
    family = find_family("hip_stem")
    with pytest.raises(UnknownPart, match="no size '99'; its sizes are: 1, 2"):
        family.part("99")
    with pytest.raises(UnknownPart, match="no dimension 'colour'"):
        family.part("1", {"colour": 1.0})
    with pytest.raises(UnknownPart, match="tip_mm of hip_stem is 90; it goes from 5 to 18"):
        family.part("1", {"tip_mm": 90.0})
    with pytest.raises(UnknownPart, match="no generic implant 'nail'; there are: hip_stem"):
        find_family("nail")


# Added folders ---------------------------------------------------------------------------


def wedge(height):
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 8, 0], [0, 0, height]], float)
    return SurfaceMesh(points, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], "")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HILUM_IMPLANTS", str(tmp_path / "kept"))
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in (1, 2):
        write_surface(wedge(5.0 + number), folder / f"wedge_{number}.stl")
    write_manifest(folder)
    return folder


def write_manifest(folder, **changes):
    record = {
        "schema": 1,
        "name": "mine",
        "title": "My wedges",
        "maker": "Nobody",
        "regulatory": "for tests only",
        "material": "PEEK",
        "unit": "mm",
        "families": [
            {
                "name": "wedge",
                "title": "Wedge",
                "frame": "origin in the corner; z up",
                "sizes": [{"name": str(n), "file": f"wedge_{n}.stl"} for n in (1, 2)],
            }
        ],
    } | changes
    (folder / "manifest.json").write_text(json.dumps(record, indent=1))


def test_an_added_library_gives_its_parts_to_who_names_its_checksum(folder):
    library = add_library(folder)
    parts = find_parts("mine", "wedge", sha256=library.sha256)
    assert [part.size for part in parts] == ["1", "2"]
    assert enclosed_mm3(parts[1].mesh) == pytest.approx(10 * 8 * 7 / 6)
    assert parts[0].note == "Nobody: for tests only"
    assert [found.sha256 for found in libraries()] == [library.sha256]
    with pytest.raises(ChangedLibrary, match="without its checksum"):
        find_parts("mine", "wedge")
    with pytest.raises(UnknownPart, match="no size '3'; its sizes are: 1, 2"):
        find_parts("mine", "wedge", ["3"], sha256=library.sha256)


def test_a_part_of_two_pieces_is_told(folder):
    one = wedge(6.0)
    both = one.reshaped(np.concatenate([one.points_mm, one.points_mm + 30.0]),
                        np.concatenate([one.triangles, one.triangles + 4]))  # fmt: skip
    write_surface(both, folder / "wedge_1.stl")
    parts = find_parts("mine", "wedge", sha256=add_library(folder).sha256)
    assert [[f.code for f in part.mesh.findings] for part in parts] == [["several_pieces"], []]
    assert "falls into 2 pieces" in parts[0].mesh.findings[0].sentence


def test_a_unit_counts(folder):
    write_manifest(folder, unit="cm")
    for number in (1, 2):  # these name no unit themselves
        to_trimesh(wedge(5.0 + number)).export(folder / f"wedge_{number}.stl")
    part = find_parts("mine", "wedge", ["1"], sha256=add_library(folder).sha256)[0]
    assert np.ptp(part.mesh.points_mm, axis=0) == pytest.approx([100, 80, 60])


def test_a_part_of_ten_metres_has_another_unit(folder):
    write_manifest(folder, unit="m")
    to_trimesh(wedge(6.0)).export(folder / "wedge_1.stl")
    with pytest.raises(BadManifest, match=r"line 17: wedge_1\.stl is 1e\+04 mm long"):
        add_library(folder)


def test_other_files_are_another_library(folder):
    before = add_library(folder).sha256
    write_surface(wedge(9.0), folder / "wedge_2.stl")
    assert add_library(folder).sha256 != before
    kept = find_library("mine").folder / "wedge_2.stl"
    kept.write_bytes(kept.read_bytes()[:-50] + bytes(50))
    with pytest.raises(ChangedLibrary, match=r"wedge_2\.stl of mine was changed"):
        find_parts("mine", "wedge", sha256=find_library("mine").sha256)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"unit": "mm"', '"unit": "inch"', r"line 8: unit: .*'mm', 'cm' or 'm'"),
        ('"maker": "Nobody"', '"maker": ""', "line 5: maker:"),
        ('"title": "Wedge"', '"titel": "Wedge"', r"line 10: families\.0\.title: Field required"),
        (
            '"file": "wedge_2.stl"',
            '"file": "../x.stl"',
            r"line 21: .*1\.file: .* is not allowed; give a",
        ),
        ('"file": "wedge_2.stl"', '"file": "wedge_3.stl"', r"line 21: there is no file wedge_3"),
        ('"file": "wedge_2.stl"', '"file": "wedge_2.obj"', r"line 21: .*is no STL or STEP file"),
        ('"name": "2"', '"name": "1"', "line 20: wedge 1 is there twice"),
        ('"name": "mine",', '"name": "mine"', "line 4: this is no JSON"),
        ('"title": "My wedges"', '"title": "a\\u001b[31m"', "line 4: title:"),
        ('"title": "My wedges"', '"title": "a\\u202eb"', "line 4: title:"),
        ('"title": "My wedges"', '"title": ' + "[" * 50_000, "line 1: this is no JSON"),
        ('"name": "mine"', '"name": "generic"', "the name 'generic' is that of what ships"),
        ('"unit": "mm"', '"unit": "cm", "unit": "mm"', "line 8: unit is there twice"),
        (
            '"file": "wedge_2.stl"',
            '"file": "wedge_1.stl"',
            r"line 21: wedge_1\.stl is the part of size 1 too",
        ),
    ],
)
def test_a_bad_manifest_is_refused_by_line_and_leaves_nothing(folder, old, new, said):
    file = folder / "manifest.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(BadManifest, match=said):
        add_library(folder)
    assert libraries() == []


def test_an_open_file_is_refused_by_line(folder):
    mesh = wedge(7.0)
    write_surface(SurfaceMesh(mesh.points_mm, mesh.triangles[1:], ""), folder / "wedge_2.stl")
    with pytest.raises(BadManifest, match=r"line 21: wedge_2\.stl is no closed surface"):
        add_library(folder)


def test_a_size_in_another_unit_than_its_family_is_refused_by_line(folder):
    mesh = wedge(7.0)
    write_surface(SurfaceMesh(0.1 * mesh.points_mm, mesh.triangles, ""), folder / "wedge_2.stl")
    with pytest.raises(BadManifest, match=r"line 21: wedge_2\.stl is 1 mm long, where .* 5.5 mm"):
        add_library(folder)


def test_half_a_file_is_refused_by_its_size_whatever_its_head_says(folder):
    file = folder / "wedge_2.stl"
    raw = b"solid of a program".ljust(80) + file.read_bytes()[80:]
    file.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadManifest, match=r"line 21: wedge_2\.stl is no whole STL: 142 bytes"):
        add_library(folder)


def test_lines_of_values_are_told_apart():
    text = '{"a": [1,\n  {"b": "}\\"]"}],\n\n "c": {}}'
    assert value_lines(text) == {
        (): 1, ("a",): 1, ("a", 0): 1, ("a", 1): 2, ("a", 1, "b"): 2, ("c",): 4,
    }  # fmt: skip


def test_the_command_adds_and_lists(folder, capsys):
    assert main(["implants", "add", str(folder), "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert main(["implants", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["libraries"]
    assert [library["name"] for library in found] == ["generic", "mine"]
    assert found[1]["sha256"] == added["sha256"]
    assert main(["implants", "list"]) == 0
    assert "wedge: Wedge; sizes 1, 2" in capsys.readouterr().out
    write_manifest(folder, name="Not Good")
    assert main(["implants", "add", str(folder)]) == 1
    assert "line 3: name" in capsys.readouterr().err
