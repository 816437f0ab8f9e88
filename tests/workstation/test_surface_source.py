"""Surface files as sources: as they are, with what is wrong said, and plans that use them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshing.files import write_surface
from meshing.reading import STL_TRIANGLE
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from segmentation.images import write_volume
from segmentation.volume import ImageGeometry, Volume
from tests.meshing.solids import pear
from workstation.__main__ import main
from workstation.case import CaseError, create_case, open_case
from workstation.formats import digest_source
from workstation.importing import import_surfaces, import_volume
from workstation.surface_source import plain_name

FRAME = "1.2.826.0.1.3680043.2.1125.9"


def write_stl(mesh: SurfaceMesh, file: Path, header: str = "") -> Path:
    """Write every triangle as it is, flat and double ones too."""
    cells = np.zeros(len(mesh.triangles), STL_TRIANGLE)
    cells["corners"] = mesh.points_mm[mesh.triangles]
    count = len(cells).to_bytes(4, "little")
    file.write_bytes(header.encode().ljust(80) + count + cells.tobytes())
    return file


def soup() -> SurfaceMesh:
    """Return a pear with a hole, a flat and a double triangle, and some turned around."""
    mesh = pear()
    cells = mesh.triangles.copy()
    cells[20:60] = cells[20:60, ::-1]
    flat, double = cells[100, [0, 1, 1]], cells[101]
    return mesh.reshaped(mesh.points_mm, np.vstack([np.delete(cells, 7, axis=0), flat, double]))


def codes(case_findings: list[dict[str, str]]) -> set[str]:
    return {finding["code"] for finding in case_findings}


def test_a_faulty_soup_comes_in_as_it_is(tmp_path: Path) -> None:
    mesh = soup()
    file = write_stl(mesh, tmp_path / "Left Hip-2.stl")
    with create_case(tmp_path / "case") as case:
        assert import_surfaces(case, [file]) == ["left_hip_2"]
        source = case.record.sources["left_hip_2"]
        kept = case.values[source["sha256"]]
        assert (case.folder / source["file"]).read_bytes() == file.read_bytes()
    corners = kept.points_mm[kept.triangles]
    assert np.array_equal(corners, mesh.points_mm[mesh.triangles].astype("f4"))
    assert len(kept.points_mm) == len(np.unique(corners.reshape(-1, 3), axis=0))
    told = source["findings"]
    wanted = {"open_edges", "crowded_edges", "turned_edges", "flat_triangles", "space_assumed"}
    assert wanted <= codes(told)
    assert all("Repair" in f["remedy"] for f in told if f["code"] == "open_edges")


def test_a_closed_surface_inside_out_stays_so_and_is_told(tmp_path: Path) -> None:
    mesh = pear()
    file = write_stl(mesh.reshaped(mesh.points_mm, mesh.triangles[:, ::-1]), tmp_path / "a.stl")
    with create_case(tmp_path / "case") as case:
        import_surfaces(case, [file], "organ", {"space": "LPS"})
        source = case.record.sources["organ"]
        assert enclosed_mm3(case.values[source["sha256"]]) < 0
    assert codes(source["findings"]) == {"inside_out"}


@pytest.mark.parametrize(("scale", "shown"), [(0.001, "0.0"), (4000.0, " m long")])
def test_an_absurd_size_is_told(tmp_path: Path, scale: float, shown: str) -> None:
    mesh = pear()
    file = write_stl(mesh.reshaped(mesh.points_mm * scale, mesh.triangles), tmp_path / "a.stl")
    with create_case(tmp_path / "case") as case:
        import_surfaces(case, [file])
        found = case.record.sources["a"]["findings"]
        import_surfaces(case, [file], reading={"unit": "m"})
    told = next(f for f in found if f["code"] == "unit_doubtful")
    assert shown in told["sentence"]
    assert "unit" in told["remedy"]


def test_the_header_of_an_stl_goes_before_what_is_said(tmp_path: Path) -> None:
    mesh = pear()
    file = write_stl(mesh, tmp_path / "a.stl", "SPACE=RAS UNIT=cm FRAME=1.9")
    with create_case(tmp_path / "case") as case:
        import_surfaces(case, [file], "one", {"unit": "mm", "space": "LPS"})
        source = case.record.sources["one"]
        value = case.values[source["sha256"]]
    expected = mesh.points_mm[mesh.triangles] * (-10, -10, 10)
    assert np.allclose(value.points_mm[value.triangles], expected, atol=1e-4)
    assert source["frame_uid"] == "1.9"
    assert "space_from_file" in codes(source["findings"])


def test_a_surface_lies_in_the_frame_of_the_only_image(tmp_path: Path) -> None:
    grid = ImageGeometry((4, 5, 6), (2, 2, 2), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1), FRAME)
    image = tmp_path / "image.nrrd"
    write_volume(Volume(np.zeros(grid.shape, np.int16), grid), image)
    file = write_stl(pear(), tmp_path / "a.stl")
    with create_case(tmp_path / "case") as case:
        import_surfaces(case, [file], "before")
        import_volume(case, [image])
        import_surfaces(case, [file], "after")
        sources = case.record.sources
        assert (sources["before"]["frame_uid"], sources["after"]["frame_uid"]) == ("", FRAME)
        assert "frame_assumed" in codes(sources["after"]["findings"])
        for name in ("before", "after"):
            key = sources[name]["sha256"]
            assert digest_source(case.reread_source(name, key)) == key


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out), told.err


def test_a_plan_repairs_checks_and_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mesh = soup()
    file = write_stl(mesh.reshaped(mesh.points_mm / 10, mesh.triangles), tmp_path / "a.stl")
    case, given = str(tmp_path / "case"), f"surface={file}"
    unit = ("--set", "source.surface.unit=cm")
    code, told, _ = run(capsys, "plan", "surface-model", "--case", case, "--source", given, *unit)
    assert code == 0
    assert [step["state"] for step in told["steps"]] == ["fresh"]
    code, told, _ = run(capsys, "run", "--check", case)
    assert (code, told["differences"]) == (0, [])
    code, told, _ = run(capsys, "show", case)
    (source,) = told["sources"]
    assert (source["kind"], source["unit"], source["description"]) == ("surface", "cm", "a.stl")
    with open_case(tmp_path / "case", write=False) as opened:
        repaired = opened.value("surface")
    assert is_watertight(repaired)
    assert repaired.name == "surface"
    assert enclosed_mm3(repaired) == pytest.approx(enclosed_mm3(pear()), rel=5e-3)
    (kept,) = (tmp_path / "case" / "files").iterdir()
    assert kept.read_bytes() == file.read_bytes()
    kept.write_bytes(write_surface(pear(), tmp_path / "other.stl").read_bytes())
    code, told, _ = run(capsys, "run", "--check", case)
    assert code == 3
    assert told["differences"][0]["what"] == "source"


def test_import_beside_images_and_wrong_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, case = write_stl(pear(), tmp_path / "a.stl"), str(tmp_path / "case")
    code, told, _ = run(capsys, "import", str(file), "--case", case, "--as", "hip", "--unit", "cm")
    assert (code, told["source"]) == (0, "hip")
    assert told["sources"][0]["unit"] == "cm"
    start = ("plan", "surface-model", "--case", str(tmp_path / "new"), "--source")
    wrong = ("--set", "source.surface.unit=ft")
    assert "'ft' is no unit" in run(capsys, *start, f"surface={file}", *wrong)[2]
    wrong = ("--set", "source.ct.unit=cm")
    assert "no surface file 'ct'" in run(capsys, *start, f"surface={file}", *wrong)[2]
    assert "not there" in run(capsys, *start, f"surface={tmp_path / 'b.vtp'}")[2]
    assert not (tmp_path / "new").exists()
    liver = ("plan", "liver-resection", "--case", case, "--source", f"ct={file}")
    assert "a.stl is a surface" in run(capsys, *liver)[2]


def test_names(tmp_path: Path) -> None:
    assert plain_name(Path("x/Ürñ 3.stl")) == "r_3"
    assert plain_name(Path("___.obj")) == "surface"
    with create_case(tmp_path / "case") as case:
        with pytest.raises(CaseError, match="one by one"):
            import_surfaces(case, [tmp_path / "a.stl", tmp_path / "b.stl"], "both")
        with pytest.raises(CaseError, match="no 'colour' to set"):
            import_surfaces(case, [tmp_path / "a.stl"], reading={"colour": "red"})
