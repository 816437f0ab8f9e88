"""Surfaces from labels have the label's volume, place and side, and stay closed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from meshing.clipping import cross_section
from meshing.surface import (
    OpenSurface,
    SurfaceMesh,
    area_mm2,
    decimate,
    enclosed_mm3,
    from_trimesh,
    from_vtk,
    is_watertight,
    isosurface,
    smooth_surface,
    to_trimesh,
    to_vtk,
    volume_ml,
)
from segmentation.volume import ImageGeometry, Label, LabelMap
from tests.meshing.shapes import LEFT_HANDED, OBLIQUE, ellipsoid, grid, label_of, tube

TETRAHEDRON = SurfaceMesh(
    np.array([[0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 30]], float),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    "1.2.3",
)


@pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE, LEFT_HANDED], ids=["lps", "oblique", "left"])
def test_ellipsoid_has_its_volume_place_and_outward_normals(axes: np.ndarray) -> None:
    radii, shift = (30.0, 18.0, 24.0), (3.0, -2.0, 1.0)
    geometry = grid((34, 34, 34), axes=axes)
    labels = label_of(geometry, ellipsoid(radii, shift), "liver")
    mesh = isosurface(labels, label="liver")
    assert is_watertight(mesh)
    assert volume_ml(mesh) == pytest.approx(labels.volume_ml(), rel=0.002)
    assert volume_ml(mesh) == pytest.approx(4 / 3 * np.pi * np.prod(radii) / 1000, rel=0.005)
    centre = geometry.centre_mm() + shift
    # Distance to the true surface, to first order: (|q| - 1) / |grad|.
    q = (mesh.points_mm - centre) / radii
    length = np.linalg.norm(q, axis=1)
    slope = q / radii
    away = (length - 1) * length / np.linalg.norm(slope, axis=1)
    normals = slope / np.linalg.norm(slope, axis=1, keepdims=True)
    half_voxel = np.abs(normals @ axes) @ geometry.spacing_mm / 2
    assert np.all(np.abs(away) < 1.1 * half_voxel)
    assert np.abs(away).mean() < 0.25
    assert (mesh.name, mesh.colour, mesh.frame_uid) == ("liver", (10, 200, 30), "1.2.3")
    assert {n.quantity: n.unit for n in mesh.numbers} == {"volume": "mL", "area": "cm2"}


@pytest.mark.parametrize("along", [(0, 0, 1), (1, 0, 0), (0.3, 0.2, 1)])
@pytest.mark.parametrize("diameter_mm", [5.0, 3.0])
def test_thin_vessels_keep_volume_and_stay_in_one_piece(
    along: tuple[float, float, float], diameter_mm: float
) -> None:
    labels = label_of(grid((22, 22, 22)), tube(diameter_mm / 2, 18, along))
    mesh = isosurface(labels)
    assert volume_ml(mesh) == pytest.approx(labels.volume_ml(), rel=0.002)
    assert to_trimesh(mesh).body_count == 1


def test_vessel_at_an_organ_keeps_its_calibre() -> None:
    """The organ must not pay for the vessel's volume, nor the vessel for the organ's."""
    axis = np.array([1, 0.4, 0.3]) / np.linalg.norm([1, 0.4, 0.3])
    organ, vessel = ellipsoid((22, 22, 22), (0, 0, 0)), tube(2.5, 44, (1, 0.4, 0.3))
    labels = label_of(grid((46, 46, 46)), lambda p: organ(p) | vessel(p))
    geometry, mesh = labels.geometry, isosurface(labels)
    voxels_mm = geometry.to_world(np.argwhere(labels.array)[:, ::-1]) - geometry.centre_mm()
    stretch = np.abs(voxels_mm @ axis - 33) < 7
    expected_mm2 = np.count_nonzero(stretch) * geometry.voxel_ml * 1000 / 14
    found_mm2 = np.mean(
        [
            cross_section(mesh, geometry.centre_mm() + t * axis, axis).area_mm2
            for t in np.linspace(26.5, 39.5, 14)
        ]
    )
    assert np.sqrt(found_mm2 / expected_mm2) == pytest.approx(1.0, abs=0.03)


def test_label_at_the_border_is_closed_there() -> None:
    labels = LabelMap(np.ones((5, 6, 7), np.uint8), grid((3, 3, 3)).cropped((0, 0, 0), (7, 6, 5)))
    assert volume_ml(isosurface(labels)) == pytest.approx(labels.volume_ml(), rel=0.005)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9), st.sampled_from([0.0, 0.5, None, 2.0]))
def test_any_label_gives_a_closed_surface_of_its_volume(
    seed: int, density: float, smoothing_mm: float | None
) -> None:
    random = np.random.default_rng(seed)
    voxels = random.random((5, 6, 4)) < density
    voxels[2, 3, 1] = True
    labels = LabelMap(voxels, grid((2, 3, 4)).cropped((0, 0, 0), (4, 6, 5)))
    mesh = isosurface(labels, smoothing_mm=smoothing_mm)
    assert volume_ml(mesh) == pytest.approx(labels.volume_ml(), rel=0.005)


def test_only_the_named_label_is_taken() -> None:
    voxels = np.zeros((8, 8, 8), np.uint8)
    voxels[1:3, 1:7, 1:7], voxels[5:7, 2:4, 2:4] = 1, 2
    labels = LabelMap(voxels, grid((4, 4, 9)).cropped((0, 0, 0), (8, 8, 8)), {2: Label("tumor")})
    mesh = isosurface(labels, label="tumor", smoothing_mm=0.0)
    assert volume_ml(mesh) == pytest.approx(labels.volume_ml("tumor"), rel=0.002)
    with pytest.raises(ValueError, match="no label 'vessel'"):
        isosurface(labels, label="vessel")


def test_too_thin_for_the_smoothing_is_said() -> None:
    voxels = np.zeros((5, 5, 5), np.uint8)
    voxels[2, 2, 2] = 1
    labels = LabelMap(voxels, grid((2, 2, 4)).cropped((0, 0, 0), (5, 5, 5)))
    mesh = isosurface(labels, smoothing_mm=3.0)
    assert [f.code for f in mesh.findings] == ["smoothed_less"]
    assert volume_ml(mesh) == pytest.approx(labels.volume_ml(), rel=0.005)


def test_empty_label_gives_an_empty_surface_and_says_so() -> None:
    geometry = grid((3, 3, 3))
    mesh = isosurface(LabelMap(np.zeros(geometry.shape, np.uint8), geometry, {1: Label("tumor")}))
    assert (len(mesh.points_mm), len(mesh.triangles), mesh.numbers) == (0, 0, ())
    assert [f.code for f in mesh.findings] == ["empty_label"]
    assert (mesh.name, mesh.frame_uid) == ("tumor", "1.2.3")


def test_tetrahedron_volume_and_area() -> None:
    assert volume_ml(TETRAHEDRON) == pytest.approx(1.0)
    slant = np.linalg.norm(np.cross([-10, 20, 0], [-10, 0, 30])) / 2
    assert area_mm2(TETRAHEDRON) == pytest.approx(100 + 150 + 300 + slant)


@given(st.lists(st.floats(-180, 180), min_size=3, max_size=3))
def test_volume_survives_rigid_motion(angles: list[float]) -> None:
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    moved = replace(TETRAHEDRON, points_mm=TETRAHEDRON.points_mm @ turn.T + [500, -300, 900])
    assert volume_ml(moved) == pytest.approx(1.0, rel=1e-9)


def test_open_folded_and_inconsistent_surfaces_are_not_watertight() -> None:
    hole = replace(TETRAHEDRON, triangles=TETRAHEDRON.triangles[:3])
    twice = replace(TETRAHEDRON, triangles=np.vstack([TETRAHEDRON.triangles] * 2))
    flipped = TETRAHEDRON.triangles.copy()
    flipped[0] = flipped[0, ::-1]
    assert is_watertight(TETRAHEDRON)
    for broken in (hole, twice, replace(TETRAHEDRON, triangles=flipped)):
        assert not is_watertight(broken)
    with pytest.raises(OpenSurface, match="3 free edges"):
        volume_ml(hole)


@pytest.fixture(scope="module")
def organ() -> SurfaceMesh:
    return isosurface(label_of(grid((30, 30, 30)), ellipsoid((28, 20, 16))))


def test_smoothing_does_not_shrink(organ: SurfaceMesh) -> None:
    smooth = smooth_surface(organ)
    assert is_watertight(smooth)
    assert volume_ml(smooth) == pytest.approx(volume_ml(organ), rel=0.005)
    before, after = (
        np.percentile(to_trimesh(m).face_adjacency_angles, 95) for m in (organ, smooth)
    )
    assert after < 0.7 * before


def test_decimation_stays_closed_and_in_place(organ: SurfaceMesh) -> None:
    few = decimate(organ, triangles=2000)
    assert is_watertight(few)
    assert 1000 < len(few.triangles) <= 2000
    assert volume_ml(few) == pytest.approx(volume_ml(organ), rel=0.01)
    assert few.points_mm.mean(axis=0) == pytest.approx(organ.points_mm.mean(axis=0), abs=1.0)
    assert decimate(few, triangles=2000) is few


def test_decimation_keeps_thin_plates_closed() -> None:
    """Bold collapse would fold these together; more triangles are kept instead, and said."""
    geometry = grid((14, 14, 14))
    wall, hollow = ellipsoid((13, 11, 12)), ellipsoid((11.4, 9.4, 10.4))
    shell = isosurface(label_of(geometry, lambda p: wall(p) & ~hollow(p)))
    few = decimate(shell, triangles=60)
    assert is_watertight(few)
    assert volume_ml(few) == pytest.approx(volume_ml(shell), rel=0.01)
    assert len(few.triangles) > 60
    assert [f.code for f in few.findings] == ["triangles_kept"]


def test_same_input_gives_the_same_bytes(organ: SurfaceMesh) -> None:
    again = isosurface(label_of(grid((30, 30, 30)), ellipsoid((28, 20, 16))))
    assert np.array_equal(again.points_mm, organ.points_mm)
    assert np.array_equal(decimate(again).points_mm, decimate(organ).points_mm)


def test_conversions_keep_points_order_and_data() -> None:
    mesh = replace(TETRAHEDRON, point_data={"wss_pa": np.array([1.0, 2.0, 3.0, 4.0])})
    back = from_vtk(to_vtk(mesh), frame_uid="1.2.3")
    assert np.array_equal(back.points_mm, mesh.points_mm)
    assert np.array_equal(back.triangles, mesh.triangles)
    assert back.point_data["wss_pa"].tolist() == [1, 2, 3, 4]
    other = from_trimesh(to_trimesh(mesh), frame_uid="1.2.3")
    assert enclosed_mm3(other) == pytest.approx(1000)


def test_parts_of_a_surface_must_name_its_triangles():
    points = np.eye(4, 3)
    cells = np.array([[0, 1, 2], [0, 2, 3]])
    mesh = SurfaceMesh(points, cells, "1.2", boundaries={"wall": [0], "inlet": [1]})
    assert {name: part.tolist() for name, part in mesh.boundaries.items()} == {
        "wall": [0],
        "inlet": [1],
    }
    assert not mesh.reshaped(points, cells[:1]).boundaries
    with pytest.raises(ValueError, match="'outlet'"):
        SurfaceMesh(points, cells, "1.2", boundaries={"outlet": [2]})


def test_a_surface_on_blocks_keeps_place_volume_and_says_so():
    grid = ImageGeometry(
        (61, 52, 43), (0.5, 0.5, 1.1), (-3.0, 7.0, 11.0), (0, 1, 0, -1, 0, 0, 0, 0, 1), "1.2"
    )
    k, j, i = np.mgrid[0:43, 0:52, 0:61]
    ball = ((i - 31) * 0.5) ** 2 + ((j - 22) * 0.5) ** 2 + ((k - 20) * 1.1) ** 2 < 9.0**2
    labels = LabelMap(ball.astype(np.uint8), grid, {1: Label("ball")})
    fine, coarse = isosurface(labels), isosurface(labels, cell_mm=1.2)
    assert is_watertight(coarse)
    assert len(coarse.triangles) < 0.4 * len(fine.triangles)
    assert volume_ml(coarse) == pytest.approx(labels.volume_ml(), rel=1e-3)
    centre = grid.to_world((31.0, 22.0, 20.0))
    radii = np.linalg.norm(coarse.points_mm - centre, axis=1)
    assert np.abs(radii - 9.0).max() < 0.5
    assert np.abs(coarse.points_mm.mean(axis=0) - fine.points_mm.mean(axis=0)).max() < 0.05
    assert [f.code for f in coarse.findings] == ["drawn_on_blocks"]
    assert "1.00 x 1.00 x 1.10" in coarse.findings[0].sentence
