"""Diameters of the aorta, its neck and its growth, on tubes whose profile is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from meshing.aorta import aorta_diameters
from meshing.aorta_growth import aorta_growth
from meshing.centerline import Centerline, centerline
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import FrameMismatch, Number
from segmentation.measured import Measured
from tests.meshing.vessels import capsule, labelled, line, swept

AXIS = line(160.0, count=161)
ALONG = np.linspace(0, 160, 161)
TOP, WIDEST = 40.0, 95.0


def profile(growth_mm: float = 0.0) -> np.ndarray:
    """A radius of 10 mm that widens to 25 mm at ``WIDEST``."""
    return 10 + (15 + growth_mm / 2) * np.exp(-(((ALONG - WIDEST) / 22) ** 2))


def made(radius: np.ndarray, axis: np.ndarray = AXIS) -> tuple[SurfaceMesh, Centerline]:
    lumen = swept(axis, radius, sides=48)
    return lumen, centerline(lumen, inlet_mm=tuple(axis[0]))


def numbers(value) -> dict[str, Number]:
    return {number.quantity: number for number in value.numbers}


@pytest.fixture(scope="module")
def aorta() -> tuple[SurfaceMesh, Centerline]:
    return made(profile())


@pytest.fixture(scope="module")
def first(aorta) -> Measured:
    lumen, way = aorta
    return aorta_diameters(lumen, way, renal_mm=tuple(AXIS[int(TOP)]))


def test_the_widest_place_and_its_band(first):
    found = numbers(first)
    size = found["maximum_diameter"]
    assert size.value == pytest.approx(50, rel=0.01)
    assert size.low < 49.5
    assert 50.5 < size.high < 53
    assert found["position"].value == pytest.approx(WIDEST, abs=2)
    ring = first.lines_mm[0]
    assert np.linalg.norm(ring - AXIS[int(WIDEST)], axis=1) == pytest.approx(25, rel=0.02)


def test_the_neck_above_it_ends_where_it_is_a_tenth_wider(first):
    found = numbers(first)
    top = 2 * np.interp(TOP, ALONG, profile())
    end = np.interp(1.1 * top, 2 * profile()[:96], ALONG[:96])
    assert found["neck.diameter"].value == pytest.approx(top, rel=0.02)
    assert found["neck.length"].value == pytest.approx(end - TOP, abs=1.5)
    assert found["neck.angle"].value < 3
    assert found["neck.suprarenal_angle"].value < 3


def test_a_bent_neck_has_its_angle():
    bend = np.radians(40)
    turn = np.clip((ALONG - 69) / 8, 0, 1) * bend
    steps = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], axis=1)
    axis = np.cumsum(steps, axis=0) + np.array([5.0, -7.0, 11.0])
    radius = 10 + 12 * np.exp(-(((ALONG - 105) / 20) ** 2))
    lumen, way = made(radius, axis)
    found = numbers(aorta_diameters(lumen, way, renal_mm=tuple(axis[30])))
    assert 32 < found["neck.angle"].value < 42


def test_named_segments_are_measured_one_by_one(aorta):
    lumen, way = aorta
    found = numbers(aorta_diameters(lumen, way, segments="arch=10-50, descending = 60-140"))
    expected = 2 * np.interp(50, ALONG, profile())
    assert found["arch.maximum_diameter"].value == pytest.approx(expected, rel=0.03)
    assert found["descending.maximum_diameter"].value == pytest.approx(50, rel=0.01)
    assert found["maximum_diameter"].value == found["descending.maximum_diameter"].value
    for wrong in ("arch", "arch=50-10", "arch=500-600"):
        with pytest.raises(ValueError, match="arch"):
            aorta_diameters(lumen, way, segments=wrong)


@pytest.fixture(scope="module")
def later() -> Measured:
    return aorta_diameters(*made(profile(growth_mm=6.0)))


@pytest.mark.parametrize("match", ["place", "distance"])
def test_growth_is_told_with_its_error(first, later, match):
    found = aorta_growth(first, later, years=2.0, match=match)
    values = numbers(found)
    assert values["growth"].value == pytest.approx(6, abs=0.3)
    assert values["growth_per_year"].value == pytest.approx(3, abs=0.15)
    assert values["growth"].low < 5.2
    assert values["growth"].low > 0
    assert values["local_growth_position"].value == pytest.approx(WIDEST, abs=6)
    assert "growth_uncertain" not in [f.code for f in found.findings]
    same = aorta_growth(first, first, years=1.0, match=match)
    assert numbers(same)["growth"].value == 0
    assert "growth_uncertain" in [f.code for f in same.findings]


def test_scans_in_different_frames_are_not_matched_by_place(first):
    other = replace(first, frame_uid="9")
    with pytest.raises(FrameMismatch):
        aorta_growth(first, other, years=1.0)
    assert numbers(aorta_growth(first, other, years=1.0, match="distance"))["growth"].value == 0
    with pytest.raises(ValueError, match="partner"):
        aorta_growth(first, first, years=1.0, match="distance", shift_mm=150.0)


def bent(growth_mm: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """An arch that goes on straight, and its radius: 15 mm that widens to 27 mm at 110 mm."""
    along = np.linspace(0, 190, 96)
    turn = np.minimum(along / 40, 0.6 * np.pi)
    steps = np.stack([np.sin(turn), 0.2 * np.cos(turn), np.cos(turn)], axis=1)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    axis = np.cumsum(2.0 * steps, axis=0) + np.array([30.0, -12.0, 7.0])
    return axis, 15 + (12 + growth_mm / 2) * np.exp(-(((along - 110) / 18) ** 2))


def test_growth_of_a_bent_aorta_on_a_scan_that_is_turned_and_begins_later():
    axis, radius = bent()
    before = aorta_diameters(*made(radius, axis))
    size = numbers(before)["maximum_diameter"]
    assert size.value == pytest.approx(54, rel=0.01)
    assert size.low < 54 < size.high
    turn = np.linalg.qr(np.array([[1.0, 0.4, -0.2], [-0.3, 1.2, 0.5], [0.6, -0.1, 0.9]]))[0]
    turn *= np.sign(np.linalg.det(turn))
    axis, radius = bent(growth_mm=5.0)
    after = replace(aorta_diameters(*made(radius[5:], (axis @ turn + 80.0)[5:])), frame_uid="9")
    found = numbers(aorta_growth(before, after, years=2.0, match="distance", shift_mm=-10.0))
    assert found["growth"].value == pytest.approx(5, abs=0.3)
    assert found["growth"].low > 0
    assert found["local_growth"].value == pytest.approx(5, abs=0.5)
    assert found["local_growth_position"].value == pytest.approx(110, abs=8)


def test_growth_a_year_follows_from_the_dates_of_both_scans(first, later):
    found = aorta_growth(first, later, earlier_date="2021-03-05", later_date="2023-03-05")
    values = numbers(found)
    assert values["years"].value == pytest.approx(2, abs=0.002)
    assert values["growth_per_year"].value == pytest.approx(values["growth"].value / 2, rel=1e-3)
    assert "from 2021-03-05 to 2023-03-05" in found.findings[0].sentence
    bare = aorta_growth(first, later, earlier_date="2021-03-05")
    assert "growth_per_year" not in numbers(bare)
    assert "growth_time" in [f.code for f in bare.findings]
    for wrong, told in (("2023-03-05", "is not before"), ("March", "is no date")):
        with pytest.raises(ValueError, match=told):
            aorta_growth(first, later, earlier_date=wrong, later_date="2022-01-01")


def test_lines_that_begin_at_different_ends_are_told(first):
    along = first.samples["along_mm"]
    columns = {name: column[::-1] for name, column in first.samples.items()}
    turned = replace(first, samples=columns | {"along_mm": along[-1] - along[::-1]})
    found = aorta_growth(first, turned, years=1.0, match="distance")
    assert "growth_reversed" in [f.code for f in found.findings]
    same = aorta_growth(first, first, years=1.0, match="distance")
    assert "growth_reversed" not in [f.code for f in same.findings]


def test_the_band_in_a_tight_arch_holds_no_section_along_the_other_limb():
    around, leg = np.linspace(0, np.pi, 60), np.linspace(-60, -2, 25)
    ascending, descending = (
        np.stack([side + 0 * leg, 0 * leg, way], axis=1)
        for side, way in ((15.0, leg), (-15.0, leg[::-1]))
    )
    arch = 15 * np.stack([np.cos(around), 0 * around, np.sin(around)], axis=1)
    axis = np.concatenate([ascending, arch, descending])
    wider = 14 * (1 + 0.08 * np.exp(-(((np.arange(len(axis)) - 55) / 6) ** 2)))
    lumen, way = made(wider, axis)
    size = numbers(aorta_diameters(lumen, way))["maximum_diameter"]
    assert size.value == pytest.approx(2 * wider.max(), rel=0.01)
    assert size.value < size.high < 1.05 * size.value


def test_a_mirrored_arch_with_stumps_of_branches_has_the_same_widest_place():
    turn = np.linspace(0, 1.15 * np.pi, 70)
    arch = np.stack([28 * np.cos(turn), 9 * turn, 34 * np.sin(turn) + 40], axis=1)
    start = np.linspace([28, -4, -5], [28, -0.2, 39], 30)
    axis = np.concatenate([start, arch]) + np.array([4.3, -7.1, 2.9])
    radius = 12 + 4 * np.exp(-(((np.arange(100) - 22) / 8) ** 2))
    tree = cKDTree(axis)

    def depth(points):
        away, near = tree.query(points)
        return radius[near] - away

    stumps = [
        capsule(axis[at], axis[at] + np.array([dx, 2.0, 20.0]), wide)
        for at, dx, wide in ((55, 9.0, 7.5), (64, 2.0, 6.0), (72, -6.0, 6.5))
    ]
    low, high = np.array([-50.0, -40, -25]), np.array([60.0, 55, 110])
    label = labelled([depth, *stumps], low, high, (1.5, 1.5, 1.5))
    found = []
    for array in (label.array, label.array[:, :, ::-1].copy()):
        lumen = isosurface(replace(label, array=array))
        value = aorta_diameters(lumen, centerline(lumen), segments="root=15-55, arch=75-130")
        found.append(numbers(value))
        assert "line_not_settled" not in [f.code for f in value.findings]
    one, other = found
    for name in ("root.maximum_diameter", "arch.maximum_diameter", "arch.mean_diameter"):
        assert one[name].value == pytest.approx(other[name].value, abs=0.1)
    assert one["root.maximum_diameter"].value == pytest.approx(32, abs=1)  # voxels of 1.5 mm
