"""Narrow, wide and fitting places of vessels whose profile is known."""

import numpy as np
import pytest

from meshing.centerline import Centerline, centerline
from meshing.surface import SurfaceMesh, area_mm2
from meshing.vessel_findings import dilatation, landing_zones, stenosis
from meshing.vessel_sections import NoSection, vessel_section
from segmentation.contract import FrameMismatch, Measurements
from tests.meshing.vessels import TILTED, line, swept

AXIS = line(60.0, count=121)
ALONG = np.linspace(0, 60, 121)


def numbers(result: Measurements | SurfaceMesh) -> dict[str, float]:
    return {n.quantity: n.value for n in result.numbers}


@pytest.fixture(scope="module")
def narrowed() -> Centerline:
    radius = np.linspace(3.2, 2.8, 121) - 1.5 * np.exp(-(((ALONG - 35) / 4) ** 2))
    return centerline(swept(AXIS, radius))


@pytest.fixture(scope="module")
def widened() -> Centerline:
    return centerline(swept(AXIS, 3.0 + 3.0 * np.exp(-(((ALONG - 25) / 6) ** 2))))


def test_a_narrowing_is_measured_against_the_vessel_beyond_it(narrowed: Centerline):
    found = numbers(stenosis(narrowed))
    reference = 2 * np.interp(50, ALONG, np.linspace(3.2, 2.8, 121))
    least = 2 * (np.interp(35, ALONG, np.linspace(3.2, 2.8, 121)) - 1.5)
    assert found["position"] == pytest.approx(35, abs=1.0)
    assert found["minimum_diameter"] == pytest.approx(least, rel=0.02)
    assert found["reference_diameter"] == pytest.approx(reference, rel=0.03)
    percent = 100 * (1 - least / reference)
    assert found["diameter_stenosis"] == pytest.approx(percent, abs=2)
    assert found["area_stenosis"] == pytest.approx(100 * (1 - (least / reference) ** 2), abs=2)
    assert found["length"] == pytest.approx(2 * 4 * np.sqrt(np.log(2)), rel=0.15)
    assert stenosis(narrowed).findings[0].location_mm == pytest.approx(
        tuple(AXIS[0] + 35 * TILTED), abs=1.0
    )


def test_the_reference_can_lie_before_it_be_fitted_or_given(narrowed: Centerline):
    before = numbers(stenosis(narrowed, reference="proximal"))["reference_diameter"]
    beyond = numbers(stenosis(narrowed, reference="distal"))["reference_diameter"]
    assert before > beyond + 0.1
    fitted = numbers(stenosis(narrowed, reference="best_fit"))["reference_diameter"]
    assert fitted == pytest.approx(2 * np.interp(35, [0, 60], [3.2, 2.8]), rel=0.03)
    given = numbers(stenosis(narrowed, reference_diameter_mm=10.0))
    assert given["diameter_stenosis"] == pytest.approx(
        100 * (1 - given["minimum_diameter"] / 10), abs=1e-9
    )


def test_a_vessel_that_only_tapers_has_no_stenosis():
    found = numbers(stenosis(centerline(swept(AXIS, np.linspace(3.5, 2.0, 121)))))
    assert found["diameter_stenosis"] < 5


def test_the_widest_place_and_its_ratio(widened: Centerline):
    result = dilatation(widened)
    found = numbers(result)
    assert found["maximum_diameter"] == pytest.approx(12.0, rel=0.02)
    assert found["ectasia_ratio"] == pytest.approx(2.0, rel=0.03)
    assert found["position"] == pytest.approx(25, abs=1.0)
    assert found["length"] == pytest.approx(2 * 6 * np.sqrt(np.log(2)), rel=0.1)
    assert result.findings[0].severity == "warning"


def test_landing_zones_lie_on_both_sides_of_a_wide_place(widened: Centerline):
    result = landing_zones(
        widened, minimum_diameter_mm=5.5, maximum_diameter_mm=6.6, minimum_length_mm=8
    )
    found = numbers(result)
    assert found["zones"] == 2
    assert found["zone_1.length"] == pytest.approx(60 - 25 - 6 * np.sqrt(np.log(10)), abs=1.5)
    assert found["zone_1.angle"] < 1
    assert found["zone_1.maximum_diameter"] <= 6.6
    none = landing_zones(widened, minimum_diameter_mm=20, maximum_diameter_mm=30)
    assert [f.code for f in none.findings] == ["no_landing_zone"]
    with pytest.raises(ValueError, match="no diameter lies between"):
        landing_zones(widened, minimum_diameter_mm=6, maximum_diameter_mm=5)


def test_a_bend_is_no_landing_zone():
    turn = np.linspace(0, np.pi / 2, 60)
    bend = np.stack([8 * np.sin(turn), 8 - 8 * np.cos(turn), 0 * turn], axis=1)
    run = np.linspace(0, 20, 60)[1:, None] * [0.0, 1.0, 0.0] + bend[-1]
    vessel = centerline(swept(np.concatenate([bend, run]), 1.5))
    limits = {"minimum_diameter_mm": 2.5, "maximum_diameter_mm": 3.5}
    straight = numbers(landing_zones(vessel, **limits, bending_radius_mm=16.0))
    assert straight["zones"] == 1
    assert straight["zone_1.length"] < 21
    either = numbers(landing_zones(vessel, **limits, bending_radius_mm=5.0))
    assert either["zone_1.length"] > 30
    assert either["zone_1.angle"] == pytest.approx(90, abs=10)


def test_a_section_of_an_ellipse_has_its_axes_area_and_shape():
    across = np.cross(TILTED, [1.0, 0, 0])
    across /= np.linalg.norm(across)
    tube = swept(AXIS, 3.0, sides=64)
    points = tube.points_mm - 0.4 * ((tube.points_mm - AXIS[0]) @ across)[:, None] * across
    mesh = SurfaceMesh(points, tube.triangles, "1.2.3", "vessel")
    found = centerline(mesh)
    sheet = vessel_section(mesh, found, branch=1, position_mm=20.0)
    values = numbers(sheet)
    assert values["area"] == pytest.approx(np.pi * 3 * 1.8, rel=0.01)
    assert values["maximum_diameter"] == pytest.approx(6.0, rel=0.01)
    assert values["minimum_diameter"] == pytest.approx(3.6, rel=0.01)
    assert values["equivalent_diameter"] == pytest.approx(2 * np.sqrt(3 * 1.8), rel=0.01)
    assert values["hydraulic_diameter"] == pytest.approx(
        4 * values["area"] / values["perimeter"], rel=1e-6
    )
    assert 0.8 < values["circularity"] < 0.95
    assert area_mm2(sheet) == pytest.approx(values["area"], rel=1e-6)
    with pytest.raises(ValueError, match="mm long"):
        vessel_section(mesh, found, position_mm=90.0)
    with pytest.raises(ValueError, match="branches 1 to 1"):
        vessel_section(mesh, found, branch=2)
    with pytest.raises(FrameMismatch):
        vessel_section(SurfaceMesh(points, tube.triangles, "9"), found)
    far = SurfaceMesh(points + 500.0, tube.triangles, "1.2.3")
    with pytest.raises(NoSection, match="no closed wall"):
        vessel_section(far, found, position_mm=20.0)
