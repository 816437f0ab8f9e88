"""Volume meshes: shapes of known volume, named boundaries, layers, and linear elements on them."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation

from meshing import tetrahedra
from meshing.cell_quality import prism_jacobian, radius_ratio, smallest_dihedral_degrees
from meshing.cell_sizes import Sizing, ball_radii_mm, edge_lengths_mm, gaps_mm
from meshing.sized_remeshing import lines_of, remeshed
from meshing.surface import OpenSurface, SurfaceMesh, area_mm2, enclosed_mm3, is_watertight
from meshing.tetrahedra import MeshingFailed, tetrahedralize
from meshing.tetrahedra_process import main
from meshing.volume_mesh import VolumeMesh, as_tetrahedra, cell_volumes_mm3, from_arrays, to_arrays
from segmentation.contract import silent
from workstation.formats import FORMATS, digest_value

SHIFT = np.array([31.3, -17.7, 204.1])
IN_OWN_PROCESS = tetrahedra._run
SECTIONS = 32
TURN = Rotation.from_euler("xyz", (20, -35, 50), degrees=True)


@pytest.fixture(autouse=True, scope="module")
def _in_this_process() -> Iterator[None]:
    """Mesh without a process of its own, which takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tetrahedra, "_run", lambda folder, progress: main(folder))
        yield


@pytest.fixture
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tetrahedra, "_run", IN_OWN_PROCESS)


def surface_of(shape: trimesh.Trimesh, **parts: np.ndarray) -> SurfaceMesh:
    """Return a shape far from the origin, askew, so that a mixed-up axis shows."""
    points = TURN.apply(shape.vertices) + SHIFT
    boundaries = {name: np.flatnonzero(part) for name, part in parts.items()}
    return SurfaceMesh(points, shape.faces, "1.2.3", "shape", (9, 8, 7), boundaries=boundaries)


def tube(radius_mm: float = 3.0, length_mm: float = 8.0) -> SurfaceMesh:
    shape = trimesh.creation.cylinder(radius_mm, length_mm, sections=SECTIONS)
    up = shape.face_normals[:, 2]
    return surface_of(shape, wall=np.abs(up) < 0.5, inlet=up < -0.5, outlet_1=up > 0.5)


def box() -> SurfaceMesh:
    return surface_of(trimesh.creation.box((7.0, 5.0, 3.0)))


@pytest.fixture(scope="module")
def plain() -> VolumeMesh:
    return tetrahedralize(tube(), edge_mm=1.6)


@pytest.fixture(scope="module")
def layered() -> VolumeMesh:
    return tetrahedralize(tube(), edge_mm=1.6, layers=3, first_layer_mm=0.1, layer_growth=1.5)


def number(mesh: VolumeMesh, quantity: str) -> float:
    return next(n.value for n in mesh.numbers if n.quantity == quantity)


def boundary_area_mm2(mesh: VolumeMesh, name: str) -> float:
    return area_mm2(SurfaceMesh(mesh.points_mm, mesh.boundary_triangles(name), ""))


def gradients(points: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of the four linear shape functions of each cell, and volumes."""
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    inner = np.linalg.inv(edges).transpose(0, 2, 1)
    return np.concatenate([-inner.sum(axis=1, keepdims=True), inner], axis=1), (
        np.linalg.det(edges) / 6.0
    )


def solved(mesh: VolumeMesh, values: np.ndarray) -> np.ndarray:
    """Return the linear finite-element solution of Laplace's equation, given on the boundary."""
    cells = np.concatenate([mesh.tetrahedra, as_tetrahedra(mesh.prisms)])
    slopes, volumes = gradients(mesh.points_mm, cells)
    local = np.einsum("eid,ejd,e->eij", slopes, slopes, volumes)
    rows, columns = np.repeat(cells, 4, axis=1).ravel(), np.tile(cells, (1, 4)).ravel()
    count = len(mesh.points_mm)
    stiff = coo_array((local.ravel(), (rows, columns)), shape=(count, count)).tocsr()
    faces = np.concatenate([mesh.boundary_triangles(name) for name in mesh.boundary_names])
    fixed = np.zeros(count, bool)
    fixed[faces] = True
    free = np.flatnonzero(~fixed)
    result = np.where(fixed, values, 0.0)
    result[free] = spsolve(stiff[free][:, free].tocsc(), -(stiff @ result)[free])
    return result


@pytest.mark.parametrize("kind", ["plain", "layered"])
def test_a_linear_field_is_solved_exactly(kind: str, request: pytest.FixtureRequest) -> None:
    mesh = request.getfixturevalue(kind)
    exact = (mesh.points_mm - SHIFT) @ (0.3, -1.1, 0.7) + 2.0
    assert np.abs(solved(mesh, exact) - exact).max() < 1e-9


@pytest.mark.parametrize("kind", ["plain", "layered"])
def test_cells_fill_the_surface_and_boundaries_close_it(
    kind: str, request: pytest.FixtureRequest
) -> None:
    mesh = request.getfixturevalue(kind)
    surface = tube()
    volumes = cell_volumes_mm3(mesh)
    assert volumes.min() > 0
    assert volumes.sum() == pytest.approx(enclosed_mm3(surface), rel=2e-3)
    assert is_watertight(mesh.outside)
    # The divergence theorem: the boundary encloses exactly what the cells fill.
    assert enclosed_mm3(mesh.outside) == pytest.approx(volumes.sum(), rel=1e-9)
    assert set(mesh.boundary_names) == {"wall", "inlet", "outlet_1"}
    for name, part in surface.boundaries.items():
        whole = area_mm2(surface.reshaped(surface.points_mm, surface.triangles[part]))
        assert boundary_area_mm2(mesh, name) == pytest.approx(whole, rel=0.01)
    used = np.union1d(mesh.tetrahedra, mesh.prisms)
    assert len(used) == len(mesh.points_mm)
    axis = TURN.apply([0.0, 0.0, 1.0])
    ends = {n: (mesh.points_mm[mesh.boundary_triangles(n)] - SHIFT) @ axis for n in ("inlet",)}
    assert np.allclose(ends["inlet"], -4.0, atol=1e-6)


def test_every_face_is_shared_by_two_cells_or_lies_on_one_boundary(layered: VolumeMesh) -> None:
    cells = np.concatenate([layered.tetrahedra, as_tetrahedra(layered.prisms)])
    faces = np.concatenate([cells[:, c] for c in ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2))])
    outer = [layered.boundary_triangles(name) for name in layered.boundary_names]
    every = np.sort(np.concatenate([faces, *outer]), axis=1)
    assert np.all(np.unique(every, axis=0, return_counts=True)[1] == 2)


def test_layers_have_the_heights_asked_for(layered: VolumeMesh) -> None:
    assert len(layered.prisms) == 3 * len(layered.boundaries["wall"])
    assert not [f for f in layered.findings if f.code == "layers_thinned"]
    local = TURN.inv().apply(layered.points_mm - SHIFT)
    depth = 3.0 - np.hypot(local[:, 0], local[:, 1])
    outer, inner = layered.prisms[:, 3:], layered.prisms[:, :3]
    heights = (depth[inner] - depth[outer]).mean(axis=1)
    for height in (0.1, 0.15, 0.225):
        assert (np.abs(heights - height) < 0.1 * height).sum() > 0.9 * len(heights) / 3
    assert prism_jacobian(layered.points_mm, layered.prisms).min() > 0.1
    assert set(layered.boundary_quads) == {"inlet", "outlet_1"}


def test_layers_can_be_cut_into_tetrahedra() -> None:
    cut = tetrahedralize(tube(), edge_mm=2.5, layers=2, layer_cells="tetrahedra")
    assert not len(cut.prisms)
    assert not cut.boundary_quads
    assert cell_volumes_mm3(cut).min() > 0
    assert enclosed_mm3(cut.outside) == pytest.approx(cell_volumes_mm3(cut).sum(), rel=1e-9)
    assert len(cut.regions["core"]) + len(cut.regions["layers"]) == cut.cell_count


def test_layers_get_thinner_where_there_is_no_room() -> None:
    mesh = tetrahedralize(box(), edge_mm=2.0, layers=4, first_layer_mm=0.8)
    note = next(f for f in mesh.findings if f.code == "layers_thinned")
    assert note.location_mm is not None
    assert cell_volumes_mm3(mesh).min() > 0
    assert cell_volumes_mm3(mesh).sum() == pytest.approx(105.0, rel=1e-9)


@pytest.mark.usefixtures("_own_process")
def test_the_same_surface_gives_the_same_bytes(plain: VolumeMesh) -> None:
    assert digest_value(tetrahedralize(tube(), edge_mm=1.6)) == digest_value(plain)


def test_a_box_keeps_its_edges_and_corners() -> None:
    mesh = tetrahedralize(box(), edge_mm=2.0)
    assert number(mesh, "largest_deviation") < 1e-9
    assert number(mesh, "volume") == pytest.approx(0.105, rel=1e-9)
    assert number(mesh, "smallest dihedral angle") > 5.0
    assert set(mesh.boundaries) == {"wall"}


def test_a_surface_s_own_triangles_can_be_kept() -> None:
    shape = surface_of(trimesh.creation.icosphere(1, 4.0))
    mesh = tetrahedralize(shape, edge_mm=4.0, surface_triangles="as they are")
    assert np.array_equal(mesh.points_mm[: len(shape.points_mm)], shape.points_mm)
    assert np.array_equal(mesh.boundaries["wall"], shape.triangles)


def test_edges_are_short_around_a_focus() -> None:
    shape = surface_of(trimesh.creation.icosphere(2, 5.0))
    focus = (float(SHIFT[0]), float(SHIFT[1]), float(SHIFT[2]) + 1.0)
    mesh = tetrahedralize(shape, edge_mm=2.5, focus_mm=focus, focus_edge_mm=0.5)
    corners = mesh.points_mm[mesh.tetrahedra]
    away = np.linalg.norm(corners.mean(axis=1) - focus, axis=1)
    edge = (cell_volumes_mm3(mesh) * 6.0 * np.sqrt(2.0)) ** (1 / 3)
    assert np.median(edge[away < 0.8]) < 0.9
    assert np.median(edge[away > 3.5]) > 1.2


def test_a_cavity_stays_empty() -> None:
    outer, inner = trimesh.creation.icosphere(1, 6.0), trimesh.creation.icosphere(1, 2.0)
    inner.invert()
    both = trimesh.util.concatenate([outer, inner])
    mesh = tetrahedralize(surface_of(both), edge_mm=4.0, surface_triangles="as they are")
    assert cell_volumes_mm3(mesh).sum() == pytest.approx(both.volume, rel=1e-9)


def test_what_cannot_be_meshed_is_refused_by_name() -> None:
    shape = tube()
    with pytest.raises(OpenSurface, match="not closed"):
        tetrahedralize(shape.reshaped(shape.points_mm, shape.triangles[:-1]))
    with pytest.raises(OpenSurface, match="inside out"):
        tetrahedralize(replace(shape, triangles=shape.triangles[:, ::-1]))
    with pytest.raises(ValueError, match=r"no part 'dome' for layers; it has: wall, inlet"):
        tetrahedralize(shape, layers=2, layers_on="dome")
    with pytest.raises(ValueError, match="both its point and its edge"):
        tetrahedralize(shape, focus_edge_mm=1.0)
    with pytest.raises(MemoryError, match=r"edges .* times as long would fit"):
        tetrahedralize(shape, edge_mm=0.001, surface_triangles="as they are")


def test_a_surface_that_crosses_itself_is_refused() -> None:
    one, two = trimesh.creation.icosphere(1, 4.0), trimesh.creation.icosphere(1, 4.0)
    two.apply_translation((3.0, 0.5, 0.2))
    both = surface_of(trimesh.util.concatenate([one, two]))
    with pytest.raises(MeshingFailed, match=r"crosses itself at \(.*\) mm .* repair it"):
        tetrahedralize(both, edge_mm=2.0)


class Stopped(Exception):
    pass


@pytest.mark.usefixtures("_own_process")
def test_meshing_stops_within_a_second() -> None:
    asked = threading.Event()
    at = [0.0]

    def stop(fraction: float, message: str = "") -> None:
        if message.startswith("filling"):
            asked.set()
            at[0] = time.monotonic()
            raise Stopped

    with pytest.raises(Stopped):
        tetrahedralize(surface_of(trimesh.creation.icosphere(4, 10.0)), progress=stop)
    assert asked.is_set()
    assert time.monotonic() - at[0] < 1.0


def test_a_mesh_is_kept_and_read_back(layered: VolumeMesh, tmp_path) -> None:
    form = FORMATS["volume mesh"]
    form.write(layered, tmp_path / "mesh.npz")
    back = form.read(form.record(layered), tmp_path / "mesh.npz")
    assert digest_value(back) == digest_value(layered)
    again = from_arrays(to_arrays(layered), frame_uid="1.2.3")
    assert np.array_equal(again.regions["layers"], layered.regions["layers"])


@given(st.permutations(range(6)))
def test_a_prism_is_cut_into_three_whatever_its_numbers(order: list[int]) -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]], float)
    points = np.empty((6, 3))
    points[order] = corners
    mesh = VolumeMesh(points, np.empty((0, 4), np.int64), "", prisms=np.array([order]))
    assert cell_volumes_mm3(mesh) == pytest.approx([0.5])
    for quad in ((0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5)):
        names = np.array(order)[list(quad)]
        low = int(names.min())
        across = int(names[(list(names).index(low) + 2) % 4])
        cut = as_tetrahedra(mesh.prisms)
        assert any({low, across} <= set(row) for row in cut.tolist())


def test_measures_of_regular_cells() -> None:
    regular = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
    cells = np.array([[0, 1, 2, 3]])
    assert smallest_dihedral_degrees(regular, cells) == pytest.approx([70.528779])
    assert radius_ratio(regular, cells) == pytest.approx([1.0])
    flat = regular * (1.0, 1.0, 1e-3)
    assert radius_ratio(flat, cells)[0] < 0.01
    side = np.sqrt(3.0) / 2.0
    base = np.array([[0, 0, 0], [1, 0, 0], [0.5, side, 0]], float)
    prism = np.concatenate([base, base + np.array([0, 0, 0.2])])
    assert prism_jacobian(prism, np.arange(6)[None]) == pytest.approx([1.0])
    assert prism_jacobian(prism, np.array([[3, 4, 5, 0, 1, 2]]))[0] < 0


def test_the_ball_of_a_tube_has_its_radius() -> None:
    angle, height = (a.ravel() for a in np.mgrid[0 : 2 * np.pi : 0.1, 0:20:0.2])
    normals = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    points = 2.0 * normals + np.stack([0 * angle, 0 * angle, height], axis=1)
    assert ball_radii_mm(points, normals) == pytest.approx(2.0, rel=0.01)


def test_the_gap_of_a_slab_is_its_thickness() -> None:
    shape = trimesh.creation.box((20.0, 20.0, 1.5))
    for _ in range(3):
        shape = shape.subdivide()
    inside = (np.abs(shape.vertices[:, :2]) < 9.0).all(axis=1)
    gaps = gaps_mm(shape.vertices, shape.faces)
    assert gaps[inside] == pytest.approx(1.5)


def test_remeshing_keeps_parts_lines_and_volume() -> None:
    surface = tube()
    parts = np.zeros(len(surface.triangles), np.int64)
    parts[surface.boundaries["inlet"]], parts[surface.boundaries["outlet_1"]] = 1, 2
    lines = lines_of(surface, parts)
    assert len(lines) == 2 * SECTIONS
    sizes = edge_lengths_mm(surface.points_mm, surface.triangles, lines, Sizing(1.0, 0.3))
    even, even_parts = remeshed(surface, parts, sizes, silent)
    assert is_watertight(even)
    assert enclosed_mm3(even) == pytest.approx(enclosed_mm3(surface), rel=1e-3)
    assert set(even_parts.tolist()) == {0, 1, 2}
    corners = even.points_mm[even.triangles]
    lengths = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    assert 0.85 < np.median(lengths) < 1.15
    assert lengths.max() < 1.7
