"""Surface files keep the surface, its unit and its side; bad files are refused."""

import importlib.util
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import trimesh

from meshing import files
from meshing.files import (
    SEVERAL,
    UnfaithfulFile,
    UnreadableSurface,
    draft_surfaces,
    read_surface,
    write_surface,
)
from meshing.gltf import COLOURS, linear_of
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight, isosurface, volume_ml
from meshing.writers import write_stl
from segmentation.contract import FrameMismatch
from tests.meshing.shapes import ellipsoid, grid, label_of

KINDS = [".stl", ".ply", ".obj", ".vtp"]


@pytest.fixture(scope="module")
def mesh() -> SurfaceMesh:
    shape = ellipsoid((14, 9, 11), (2, -1, 1))
    surface = isosurface(label_of(grid((18, 18, 18)), shape, "left lobe"))
    return replace(surface, point_data={"gap_mm": np.arange(len(surface.points_mm), dtype=float)})


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(mesh: SurfaceMesh, tmp_path: Path, kind: str) -> None:
    back = read_surface(write_surface(mesh, tmp_path / f"a{kind}"), frame_uid="1.2.3")
    assert back.points_mm.mean(axis=0) == pytest.approx(mesh.points_mm.mean(axis=0), abs=0.05)
    assert volume_ml(back) == pytest.approx(volume_ml(mesh), rel=1e-5)
    assert back.frame_uid == "1.2.3"
    assert back.name.replace("_", " ") == "left lobe"
    assert [f.code for f in back.findings] == []
    beside = ["a.mtl"] if kind == ".obj" else []
    assert sorted(p.name for p in tmp_path.iterdir()) == [*beside, f"a{kind}"]


def test_print_and_viewer_files_say_their_unit_and_stand_upright(
    mesh: SurfaceMesh, tmp_path: Path
) -> None:
    package = zipfile.ZipFile(write_surface(mesh, tmp_path / "a.3mf"))
    model = package.read("3D/3dmodel.model").decode()
    assert 'unit="millimeter"' in model
    assert model.count("<triangle ") == len(mesh.triangles)
    assert 'displaycolor="#0AC81E"' in model
    viewer = trimesh.load_mesh(write_surface(mesh, tmp_path / "a.glb"), process=False)
    x, y, z = mesh.points_mm.T / 1000
    assert viewer.bounds == pytest.approx(
        np.array([[x.min(), z.min(), -y.max()], [x.max(), z.max(), -y.min()]]), abs=1e-6
    )
    assert viewer.volume * 1e6 == pytest.approx(volume_ml(mesh), rel=1e-4)
    for kind in (".3mf", ".glb"):
        again = write_surface(mesh, tmp_path / f"b{kind}").read_bytes()
        assert again == (tmp_path / f"a{kind}").read_bytes()


def test_vtp_keeps_everything(mesh: SurfaceMesh, tmp_path: Path) -> None:
    back = read_surface(write_surface(mesh, tmp_path / "a.vtp"))
    assert np.array_equal(back.points_mm, mesh.points_mm)
    assert np.array_equal(back.triangles, mesh.triangles)
    assert np.array_equal(back.point_data["gap_mm"], mesh.point_data["gap_mm"])
    assert (back.name, back.colour, back.frame_uid) == (mesh.name, mesh.colour, "1.2.3")
    with pytest.raises(FrameMismatch, match=r"1\.2\.3, not in 9\.9"):
        read_surface(tmp_path / "a.vtp", frame_uid="9.9")


def test_stl_header_carries_space_and_unit(mesh: SurfaceMesh, tmp_path: Path) -> None:
    data = write_surface(mesh, tmp_path / "a.stl").read_bytes()
    assert b"SPACE=LPS" in data[:80]
    assert b"UNIT=mm" in data[:80]
    assert not data.startswith(b"solid")
    assert len(data) == 84 + 50 * len(mesh.triangles)


def test_tagged_ras_stl_is_turned_to_lps(mesh: SurfaceMesh, tmp_path: Path) -> None:
    ras = replace(mesh, points_mm=mesh.points_mm * [-1, -1, 1])
    path = write_surface(ras, tmp_path / "a.stl")
    tagged = path.read_bytes().replace(b"SPACE=LPS", b"SPACE=RAS")
    path.write_bytes(tagged)
    back = read_surface(path, space="LPS")
    assert back.points_mm.mean(axis=0) == pytest.approx(mesh.points_mm.mean(axis=0), abs=0.05)
    assert volume_ml(back) == pytest.approx(volume_ml(mesh), rel=1e-5)
    assert [f.code for f in back.findings] == ["space_from_file"]
    path.write_bytes(tagged.replace(b"SPACE=RAS", b"         "))
    assert [f.code for f in read_surface(path).findings] == ["space_assumed"]
    asked = read_surface(path, space="RAS")
    assert asked.findings == ()
    assert np.array_equal(asked.points_mm, back.points_mm)


@pytest.mark.parametrize(("unit", "scale"), [("cm", 10.0), ("m", 1000.0)])
def test_units_become_millimetres(tmp_path: Path, unit: str, scale: float) -> None:
    box = trimesh.creation.box((20 / scale, 30 / scale, 40 / scale))
    box.export(tmp_path / "box.stl")
    back = read_surface(tmp_path / "box.stl", unit=unit, space="LPS")  # type: ignore[arg-type]
    assert volume_ml(back) == pytest.approx(24.0, rel=1e-6)
    assert np.ptp(back.points_mm, axis=0) == pytest.approx([20, 30, 40])
    wrong = read_surface(tmp_path / "box.stl", space="LPS")
    assert ("unit_doubtful" in {f.code for f in wrong.findings}) == (unit == "m")


def test_ascii_stl_and_quads_are_read(tmp_path: Path) -> None:
    box = trimesh.creation.box((20, 30, 40))
    (tmp_path / "a.stl").write_text(trimesh.exchange.stl.export_stl_ascii(box))
    assert volume_ml(read_surface(tmp_path / "a.stl", space="LPS")) == pytest.approx(24.0)
    quads = (
        "".join(f"v {x} {y} {z}\n" for x in (0, 10) for y in (0, 20) for z in (0, 30))
        + "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"
    )
    (tmp_path / "b.obj").write_text("# SPACE=LPS\n" + quads)
    assert volume_ml(read_surface(tmp_path / "b.obj")) == pytest.approx(6.0)


def test_inward_normals_are_turned(mesh: SurfaceMesh, tmp_path: Path) -> None:
    inward = replace(mesh, triangles=mesh.triangles[:, ::-1])
    write_stl([inward], tmp_path, "a.stl", "")
    back = read_surface(tmp_path / "a.stl")
    assert enclosed_mm3(back) > 0
    assert [f.code for f in back.findings] == ["normals_turned"]


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_and_empty_files_are_refused(
    mesh: SurfaceMesh, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_surface(mesh, tmp_path / f"a{kind}")
    data = path.read_bytes()
    # Half an OBJ is still an OBJ, so its tail of faces is cut off whole.
    path.write_bytes(data[: data.index(b"f 1") if b"f 1" in data[-20000:] else len(data) // 2])
    for content in (path.read_bytes(), b""):
        path.write_bytes(content)
        if kind == ".obj" and content:
            continue
        with pytest.raises(UnreadableSurface, match=path.name):
            read_surface(path)
    assert isinstance(capfd.readouterr().err, str)  # what VTK prints is not a warning


def test_points_that_are_not_finite_are_refused(mesh: SurfaceMesh, tmp_path: Path) -> None:
    path = write_surface(mesh, tmp_path / "a.stl")
    data = bytearray(path.read_bytes())
    data[96:100] = np.float32(np.nan).tobytes()
    path.write_bytes(data)
    with pytest.raises(UnreadableSurface, match="not finite"):
        read_surface(path)


def test_unknown_endings_and_empty_surfaces_are_refused(mesh: SurfaceMesh, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.docx'"):
        write_surface(mesh, tmp_path / "a.docx")
    with pytest.raises(UnreadableSurface, match=r"a\.docx"):
        read_surface(tmp_path / "a.docx")
    with pytest.raises(ValueError, match="no triangle"):
        write_surface(replace(mesh, triangles=np.empty((0, 3), int)), tmp_path / "a.stl")


@pytest.mark.parametrize("fault", ["moved", "dropped", "disk"])
def test_a_failed_write_leaves_the_old_file_alone(
    mesh: SurfaceMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path = tmp_path / "a.stl"
    path.write_bytes(b"precious")

    def bad_write(surfaces: list[SurfaceMesh], folder: Path, name: str, note: str) -> None:
        if fault == "disk":
            (folder / name).write_bytes(b"half")
            raise OSError("no space left")
        (surface,) = surfaces
        shifted = surface.points_mm.copy()
        shifted[17] += 0.01 if fault == "moved" else 0.0
        kept = surface.triangles[fault == "dropped" :]
        write_stl([replace(surface, points_mm=shifted, triangles=kept)], folder, name, note)

    monkeypatch.setitem(files._KINDS, ".stl", replace(files._KINDS[".stl"], write=bad_write))
    with pytest.raises((UnfaithfulFile, OSError)):
        write_surface(mesh, path)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_open_surfaces_can_be_written(mesh: SurfaceMesh, tmp_path: Path) -> None:
    sheet = replace(mesh, triangles=mesh.triangles[: len(mesh.triangles) // 2], point_data={})
    back = read_surface(write_surface(sheet, tmp_path / "a.stl"))
    assert not is_watertight(back)
    assert [f.code for f in back.findings] == ["open_surface"]


needs_usd = pytest.mark.skipif(
    importlib.util.find_spec("pxr") is None, reason="USD needs the extra usd"
)
HOLD_SEVERAL = [
    pytest.param(kind, marks=needs_usd if kind.startswith(".usd") else []) for kind in SEVERAL
]


@pytest.fixture(scope="module")
def pair(mesh: SurfaceMesh) -> list[SurfaceMesh]:
    """Two surfaces that no flip or exchange leaves alike, one coloured point by point."""
    x = mesh.points_mm[:, 0]
    share = (x - x.min()) / np.ptp(x)
    colours = np.stack([255 * share, 255 * (1 - share), np.full(len(x), 40)], axis=1)
    vein = replace(
        mesh,
        points_mm=mesh.points_mm * [0.5, 0.3, 0.4] + [31, -8, 120],
        name='vein "A" & <B>',
        colour=(60, 80, 200),
        point_data={COLOURS: colours.astype(np.uint8)},
    )
    return [mesh, vein]


@pytest.mark.parametrize("kind", HOLD_SEVERAL)
def test_several_surfaces_go_to_one_file(
    pair: list[SurfaceMesh], tmp_path: Path, kind: str
) -> None:
    draft = draft_surfaces(pair, tmp_path / f"model{kind}", note="for the tutorial")
    assert not (tmp_path / f"model{kind}").exists()
    for mesh, back in zip(pair, draft.reopened):
        assert back.volume_ml == pytest.approx(volume_ml(mesh), rel=1e-4)
        assert back.triangles == len(mesh.triangles)
        assert back.farthest_mm < 1e-3
    first = {path.name: path.read_bytes() for path in draft.keep()}
    assert sorted(first) == sorted(p.name for p in tmp_path.iterdir())
    again = draft_surfaces(pair, tmp_path / f"model{kind}", note="for the tutorial").keep()
    assert {path.name: path.read_bytes() for path in again} == first


def test_a_discarded_draft_leaves_nothing(pair: list[SurfaceMesh], tmp_path: Path) -> None:
    draft_surfaces(pair, tmp_path / "a.obj").discard()
    assert list(tmp_path.iterdir()) == []


def test_another_parser_finds_the_objects_of_a_package(
    pair: list[SurfaceMesh], tmp_path: Path
) -> None:
    (path,) = draft_surfaces(pair, tmp_path / "a.3mf", note="R & D").keep()
    space = {"m": "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"}
    root = ElementTree.fromstring(zipfile.ZipFile(path).read("3D/3dmodel.model"))
    assert root.get("unit") == "millimeter"
    bases = root.findall("m:resources/m:basematerials/m:base", space)
    assert [b.get("displaycolor") for b in bases] == ["#0AC81E", "#3C50C8"]
    words = {m.get("name"): m.text for m in root.findall("m:metadata", space)}
    assert words["Description"] == "SPACE=LPS UNIT=mm FRAME=1.2.3 R & D"
    items = [i.get("objectid") for i in root.findall("m:build/m:item", space)]
    objects = root.findall("m:resources/m:object", space)
    assert items == [o.get("id") for o in objects]
    for mesh, item, number in zip(pair, objects, "01"):
        assert (item.get("name"), item.get("pindex")) == (mesh.name, number)
        points = np.array(
            [
                [float(v.get(axis)) for axis in "xyz"]
                for v in item.findall("m:mesh/m:vertices/m:vertex", space)
            ]
        )
        assert points == pytest.approx(mesh.points_mm, abs=1e-5)
        cells = item.findall("m:mesh/m:triangles/m:triangle", space)
        assert [[int(c.get(k)) for k in ("v1", "v2", "v3")] for c in cells[:50]] == (
            mesh.triangles[:50].tolist()
        )


def test_colours_reach_viewers(pair: list[SurfaceMesh], tmp_path: Path) -> None:
    (path,) = draft_surfaces(pair, tmp_path / "a.glb").keep()
    scene = trimesh.load_scene(path, process=False)
    plain = scene.geometry["left lobe"].visual.material
    assert plain.baseColorFactor[:3] / 255 == pytest.approx(
        linear_of(np.array([10, 200, 30])), abs=0.01
    )
    vein = scene.geometry[pair[1].name]
    light = np.asarray(vein.visual.vertex_attributes["color"])[:, :3] / 255.0
    assert light[vein.vertices[:, 0].argmin()] == pytest.approx(
        linear_of(np.array([0, 255, 40])), abs=0.01
    )
    normals = np.asarray(vein.vertex_normals)
    outward = vein.vertices - vein.vertices.mean(axis=0)
    assert (np.einsum("ij,ij->i", normals, outward) > 0).all()
    ply = trimesh.load_mesh(write_surface(pair[1], tmp_path / "a.ply"), process=False)
    assert np.array_equal(ply.visual.vertex_colors[:, :3], pair[1].point_data[COLOURS])


def test_an_obj_names_its_colours(pair: list[SurfaceMesh], tmp_path: Path) -> None:
    paths = draft_surfaces(pair, tmp_path / "a.obj", note="NAME=wrong SPACE=RAS").keep()
    assert [path.name for path in paths] == ["a.obj", "a.mtl"]
    assert "Kd 0.0392 0.7843 0.1176" in paths[1].read_text()
    back = read_surface(paths[0])
    assert (back.name, len(back.triangles)) == ("left_lobe", 2 * len(pair[0].triangles))
    scene = trimesh.load_scene(paths[0], process=False, split_object=True, group_material=False)
    assert sorted(len(g.faces) for g in scene.geometry.values()) == [len(pair[0].triangles)] * 2


@needs_usd
@pytest.mark.parametrize("kind", [".usda", ".usdc", ".usdz"])
def test_usd_says_its_unit_and_stands_upright(
    pair: list[SurfaceMesh], tmp_path: Path, kind: str
) -> None:
    from pxr import Usd, UsdGeom, UsdShade

    (path,) = draft_surfaces(pair, tmp_path / f"a{kind}").keep()
    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    first, second = (p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh))
    points = np.array(UsdGeom.Mesh(first).GetPointsAttr().Get())
    x, y, z = pair[0].points_mm.T / 1000
    assert points == pytest.approx(np.stack([x, z, -y], axis=1), abs=1e-6)
    shown = UsdGeom.Mesh(first).GetDisplayColorPrimvar().Get()
    assert np.array(shown)[0] == pytest.approx(linear_of(np.array([10, 200, 30])), abs=1e-6)
    assert len(UsdGeom.Mesh(second).GetDisplayColorPrimvar().Get()) == len(pair[1].points_mm)
    assert UsdShade.MaterialBindingAPI(first).ComputeBoundMaterial()[0]


def test_one_surface_formats_refuse_several(pair: list[SurfaceMesh], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one surface, not 2; use \.obj, \.3mf, \.glb"):
        draft_surfaces(pair, tmp_path / "a.stl")
    twins = [pair[0], pair[0]]
    draft = draft_surfaces(twins, tmp_path / "a.glb")
    assert [r.name for r in draft.reopened] == ["left lobe", "left lobe 2"]
    draft.discard()


def test_an_empty_or_half_finite_stl_says_what_to_do(tmp_path):
    empty, broken = tmp_path / "empty.stl", tmp_path / "broken.stl"
    empty.write_bytes(b"")
    with pytest.raises(UnreadableSurface, match="0 bytes, where its head needs 84; copy it again"):
        read_surface(empty)
    corners = "vertex nan 0 0\nvertex 1 0 0\nvertex 0 1 0\n"
    facet = f"facet normal 0 0 1\nouter loop\n{corners}endloop\nendfacet\n"
    broken.write_text(f"solid a\n{facet}endsolid a\n")
    with pytest.raises(UnreadableSurface, match="not finite; write it again"):
        read_surface(broken)
