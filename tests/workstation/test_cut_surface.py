"""Cuts of any shape against shapes of known size and brute force on labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from meshing.surface import isosurface
from segmentation.contract import FrameMismatch
from segmentation.volume import Label, LabelMap
from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of, tube
from workstation.formats import FORMATS, digest_value, kind_of
from workstation.planning.cut_surface import CutSurface, lines_where_zero
from workstation.planning.cut_surface_sheet import Sheet, through_line
from workstation.planning.cut_surface_stages import (
    combine_cuts,
    cut_by_territories,
    cut_planes,
    cut_surface,
    cut_wedge,
)
from workstation.planning.resection import (
    Cut,
    cut_plane,
    margin,
    remnant,
    specimen,
)
from workstation.planning.vessels_crossed import cut_vessels
from workstation.planning.wedge import cone_of

GRID = grid((40, 40, 40), (1.3, 1.3, 2.0), LEFT_HANDED)
LIVER = label_of(GRID, ellipsoid((36, 30, 33), (0, 0, 0)), "liver")
TUMOR_AT = np.array([-14.0, 5.0, 6.0])
TUMOR = label_of(GRID, ellipsoid((6, 6, 6), tuple(TUMOR_AT)), "tumor")
MIDDLE = GRID.centre_mm()


def at(*offset: float) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in MIDDLE + offset)
    return (x, y, z)


def values(result: object) -> dict[str, float]:
    return {n.quantity: n.value for n in result.numbers}  # type: ignore[attr-defined]


def brute_margin_mm(cut: Cut) -> float:
    """Return the smallest distance of the tumour's voxels to what stays of the liver."""
    stays = remnant(LIVER, cut).mask()
    away = distance_transform_edt(~stays, GRID.spacing_kji_mm)
    return float(away[TUMOR.mask()].min())


SHEET = cut_surface(LIVER, point_mm=at(0.1, 0.2, 0.1), normal=(-1, 0.3, 0.2))
BENT = cut_surface(
    LIVER,
    point_mm=at(0.1, 0.2, 0.1),
    normal=(-1, 0.3, 0.2),
    heights_mm=((0, 4, -5, 0), (3, -14, -9, 2), (0, -12, -6, 5), (0, 3, 4, 0)),
)


def test_a_flat_surface_is_the_plane() -> None:
    plane = cut_plane(LIVER, point_mm=at(0.1, 0.2, 0.1), normal=(-1, 0.3, 0.2))
    assert np.array_equal(specimen(LIVER, SHEET).array, specimen(LIVER, plane).array)
    assert values(SHEET)["area"] == pytest.approx(values(plane)["area"], rel=0.02)
    assert plane.distance_mm(SHEET.surface.points_mm) == pytest.approx(0, abs=1e-3)
    inside = GRID.to_world(np.argwhere(TUMOR.mask())[:, ::-1])
    assert SHEET.distance_mm(inside) == pytest.approx(plane.distance_mm(inside), abs=0.05)
    assert margin(TUMOR, SHEET).numbers[0].value == pytest.approx(
        margin(TUMOR, plane).numbers[0].value, abs=0.05
    )


def test_normals_of_a_cut_point_to_the_specimen() -> None:
    for cut in (SHEET, BENT, cut_wedge(LIVER, TUMOR, margin_mm=4)):
        a, b, c = (cut.surface.points_mm[cut.surface.triangles[:, n]] for n in range(3))
        normal = np.cross(b - a, c - a)
        size = np.linalg.norm(normal, axis=1)
        big = size > 0.05
        step = 0.5 * normal[big] / size[big, None]
        middle = (a + b + c)[big] / 3
        assert np.mean(cut.side_mm(middle + step) > cut.side_mm(middle - step)) > 0.99


def test_the_bent_surface_passes_its_sheet() -> None:
    assert BENT.sheet is not None
    points = BENT.surface.points_mm
    assert BENT.sheet.side_mm(points) == pytest.approx(0, abs=0.15)
    assert np.ptp((points - MIDDLE) @ np.asarray(BENT.sheet.normal)) > 3


@pytest.mark.parametrize("cut", [SHEET, BENT, cut_wedge(LIVER, TUMOR, margin_mm=5)])
def test_parts_add_up_and_margin_equals_brute_force(cut: CutSurface) -> None:
    removed, stays = specimen(LIVER, cut), remnant(LIVER, cut)
    assert np.array_equal(removed.mask() | stays.mask(), LIVER.mask())
    assert not (removed.mask() & stays.mask()).any()
    (number,) = margin(TUMOR, cut).numbers
    # From voxel centre to voxel centre it is about a voxel more than from wall to wall.
    half = float(np.linalg.norm(GRID.spacing_mm)) / 2
    assert brute_margin_mm(cut) - half == pytest.approx(number.value, abs=half)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.floats(-30, 30), st.floats(-1, 1), st.floats(-1, 1))
def test_control_points_on_a_plane_make_that_plane(
    count: int, height: float, rise: float, slope: float
) -> None:
    flat = Sheet(
        (1, 2, 3), (0, 0, 1.0), (1.0, 0, 0), (50, 40), tuple((0.0,) * count for _ in range(count))
    )
    lifted = [
        [height + rise * x + slope * y for x, y in row]
        for row in (flat.control_mm - flat.point_mm)[..., :2].tolist()
    ]
    sheet = replace(flat, heights_mm=tuple(map(tuple, lifted)))
    inside = np.random.default_rng(0).uniform((-49, -39, -9), (49, 39, 9), (50, 3))
    expected = inside[:, 2] - height - rise * inside[:, 0] - slope * inside[:, 1]
    assert sheet.side_mm(inside + flat.point_mm) == pytest.approx(expected, abs=1e-9)


def test_four_by_four_is_a_bezier_patch() -> None:
    heights = np.random.default_rng(2).normal(size=(4, 4))
    sheet = Sheet((0, 0, 0), (0, 0, 1.0), (1.0, 0, 0), (1, 1), tuple(map(tuple, heights.tolist())))
    u, v = 0.3, 0.8
    row, column = (
        np.array([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]) for t in (v, u)
    )
    point = np.array([[2 * u - 1, 2 * v - 1, 0.0]])
    assert sheet.side_mm(point) == pytest.approx(-(row @ heights @ column))


def test_a_drawn_line_lies_on_its_surface() -> None:
    t = np.linspace(-1, 1, 15)
    line = MIDDLE + np.stack([6 + 5 * t**2, -25 + 0 * t, 28 * t], axis=1)
    cut = cut_surface(LIVER, TUMOR, line_mm=tuple(map(tuple, line.tolist())), depth=(0, 1, 0))
    assert cut.sheet is not None
    assert np.abs(cut.sheet.side_mm(line)).max() < 0.3
    # The same line in the depth, and the tumour in the specimen.
    assert np.abs(cut.sheet.side_mm(line + np.array([0.0, 30, 0]))).max() < 0.3
    assert margin(TUMOR, cut).numbers[0].value > 0
    straight = through_line(cut.sheet, line[[0, -1]])
    assert np.ptp(straight.heights_mm) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("kind", "expected"), [("between", 1 / 4), ("beyond_any", 3 / 4)])
def test_two_planes_through_the_middle(kind: str, expected: float) -> None:
    cut = cut_planes(
        LIVER,
        points_mm=(at(0.1, 0.1, 0.1),) * 2,
        normals=((-1, 0, 0), (0, 1, 0)),
        specimen=kind,  # type: ignore[arg-type]
    )
    share = values(specimen(LIVER, cut))["fraction"] / 100
    assert share == pytest.approx(expected, abs=0.01)


def test_booleans_of_planes_are_those_of_their_parts() -> None:
    right = cut_plane(LIVER, point_mm=at(-3, 0, 0), normal=(-1, 0, 0))
    front = cut_plane(LIVER, point_mm=at(0, -4, 0), normal=(0, -1, 0.2))
    a, b = specimen(LIVER, right).mask(), specimen(LIVER, front).mask()
    truth = {"both": a & b, "either": a | b, "first_without_second": a & ~b}
    for operation, wanted in truth.items():
        cut = combine_cuts(LIVER, right, front, operation=operation)  # type: ignore[arg-type]
        wrong = specimen(LIVER, cut).mask() != wanted
        assert np.count_nonzero(wrong) < 0.004 * np.count_nonzero(LIVER.mask())


def test_the_wedge_keeps_its_margin_and_opens_to_the_nearest_surface() -> None:
    cut = cut_wedge(LIVER, TUMOR, margin_mm=5)
    assert margin(TUMOR, cut).numbers[0].value == pytest.approx(5, abs=0.3)
    removed = specimen(LIVER, cut).mask()
    assert (removed & TUMOR.mask()).sum() == TUMOR.mask().sum()
    # A ball of 11 mm and the way out; far from half of the liver.
    assert 5.5 < specimen(LIVER, cut).volume_ml() < 40
    hull = LIVER.mask() & (distance_transform_edt(LIVER.mask(), GRID.spacing_kji_mm) < 2.5)
    assert (removed & hull).any()


def test_a_wedge_is_kept_on_a_finer_grid_that_takes_nothing_elsewhere() -> None:
    """Its cone runs on beyond the organ, to where the grid ends."""
    for opening in (0.0, 30.0, 110.0):
        cut = cut_wedge(LIVER, TUMOR, margin_mm=3, opening_degrees=opening)
        for axis in range(3):
            assert np.moveaxis(cut.level, axis, 0)[[0, -1]].max() < 0
        shape = cone_of(isosurface(TUMOR).points_mm, isosurface(LIVER).points_mm)
        points = GRID.to_world(np.argwhere(LIVER.mask())[:, ::-1])
        ahead, beside = shape.places(points)
        wide = shape.radius_mm + 3 + ahead * np.tan(np.radians(opening / 2))
        far = np.linalg.norm(points - shape.centre_mm, axis=1) > 6 + 3 + 1
        wrong = (cut.side_mm(points) >= 0) != ((ahead >= 0) & (beside <= wide))
        assert np.count_nonzero(wrong & far & (np.abs(beside - wide) > 0.5)) == 0


def test_a_closed_wedge_is_the_lesion_with_its_margin() -> None:
    cut = cut_wedge(LIVER, TUMOR, margin_mm=5, open_to_surface=False)
    assert margin(TUMOR, cut).numbers[0].value == pytest.approx(5, abs=0.3)
    ball_ml = 4 / 3 * np.pi * (6 + 5) ** 3 / 1000
    assert specimen(LIVER, cut).volume_ml() == pytest.approx(ball_ml, rel=0.05)
    open_ml = specimen(LIVER, cut_wedge(LIVER, TUMOR, margin_mm=5)).volume_ml()
    assert specimen(LIVER, cut).volume_ml() < open_ml


def test_two_lesions_get_two_wedges() -> None:
    second = label_of(GRID, ellipsoid((4, 4, 4), (20, -8, -3)))
    both = replace(TUMOR, array=TUMOR.array | second.array)
    for which, outside in (("all", 0), ("largest", second.mask().sum())):
        cut = cut_wedge(LIVER, both, margin_mm=4, lesions=which)  # type: ignore[arg-type]
        assert (both.mask() & ~specimen(LIVER, cut).mask()).sum() == outside


def test_territories_become_the_specimen() -> None:
    k, j, i = np.indices(GRID.shape)
    x, y, _ = np.moveaxis(GRID.to_world(np.stack([i, j, k], -1)) - MIDDLE, -1, 0)
    codes = (1 + (x > 0) + 2 * (y > 0)).astype(np.uint8) * LIVER.mask()
    names = {n: Label(name, (9, 9, 9 * n)) for n, name in enumerate("abcd", start=1)}
    parts = LabelMap(codes, GRID, names)
    cut = cut_by_territories(LIVER, parts, names=("a", "c"), smoothing_mm=2)
    wrong = specimen(LIVER, cut).mask() != np.isin(codes, (1, 3))
    assert np.count_nonzero(wrong) < 0.01 * np.count_nonzero(LIVER.mask())
    assert np.abs(cut.surface.points_mm[:, 0] - MIDDLE[0]).max() < 1.5
    with pytest.raises(ValueError, match="no territory z; there are: a, b, c, d"):
        cut_by_territories(LIVER, parts, names=("z",))
    with pytest.raises(ValueError, match="whole organ"):
        cut_by_territories(LIVER, parts, names=("a", "b", "c", "d"))


def test_vessels_are_counted_in_a_bent_cut() -> None:
    wide, narrow = tube(4, 34, (1, -0.3, -0.2)), tube(2.5, 34, (1, -0.3, -0.2))
    vessels = label_of(GRID, lambda p: wide(p - [0, 8, 0]) | narrow(p - [0, -8, 0]))
    found = values(cut_vessels(vessels, BENT))
    assert found["crossed"] == 2
    flat = values(cut_vessels(vessels, SHEET))
    assert flat["largest_diameter"] == pytest.approx(8.0, abs=0.5)
    assert found["largest_diameter"] == pytest.approx(8.0, abs=0.5)


def test_impossible_cuts_are_refused() -> None:
    with pytest.raises(ValueError, match="removes nothing"):
        cut_surface(LIVER, point_mm=at(-60, 0, 0), normal=(-1, 0, 0))
    with pytest.raises(ValueError, match="removes the whole organ"):
        cut_surface(LIVER, point_mm=at(60, 0, 0), normal=(-1, 0, 0))
    plane = cut_plane(LIVER, point_mm=at(0, 0, 0), normal=(-1, 0, 0))
    with pytest.raises(ValueError, match="removes nothing"):
        specimen(LIVER, replace(plane, point_mm=at(-60, 0, 0)))
    with pytest.raises(ValueError, match="whole organ"):
        remnant(LIVER, replace(plane, point_mm=at(60, 0, 0)))
    with pytest.raises(ValueError, match="2 to 8 rows"):
        cut_surface(LIVER, heights_mm=((1.0, 2.0), (3.0,)))
    with pytest.raises(ValueError, match="two points"):
        cut_surface(LIVER, line_mm=(at(0, 0, 0),))
    with pytest.raises(ValueError, match="one normal for each"):
        cut_planes(LIVER, points_mm=(at(0, 0, 0),), normals=((1, 0, 0), (0, 1, 0)))
    nothing = replace(TUMOR, array=np.zeros_like(TUMOR.array))
    with pytest.raises(ValueError, match="no tumour"):
        cut_wedge(LIVER, nothing)
    foreign = replace(TUMOR, geometry=replace(TUMOR.geometry, frame_uid="9.9"))
    for work in (cut_wedge, cut_surface):
        with pytest.raises(FrameMismatch):
            work(LIVER, foreign)


def test_a_cut_is_kept_and_read_back(tmp_path: Path) -> None:
    form = FORMATS[kind_of(BENT)]
    form.write(BENT, tmp_path / "cut.npz")
    back = form.read(form.record(BENT), tmp_path / "cut.npz")
    assert digest_value(back) == digest_value(BENT)
    assert back.sheet == BENT.sheet
    points = GRID.to_world(np.argwhere(TUMOR.mask())[:, ::-1])
    assert np.array_equal(back.distance_mm(points), BENT.distance_mm(points))


def test_lines_on_a_cut_lie_in_their_slice() -> None:
    points = BENT.surface.points_mm
    pieces = lines_where_zero(BENT.surface, points[:, 2] - MIDDLE[2])
    assert len(pieces) > 20
    assert pieces[..., 2] == pytest.approx(MIDDLE[2])
    assert np.abs(BENT.distance_mm(pieces)).max() < 1e-6
    # Together they go once through the organ.
    length = np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1).sum()
    assert 50 < length < 80
    assert len(lines_where_zero(BENT.surface, points[:, 2] + 1000)) == 0
