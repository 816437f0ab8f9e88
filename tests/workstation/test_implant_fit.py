"""Fit, placement, mass, strength and marking of an implant, against a shell whose fit is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from meshing.distance_fields import Grid, contour
from meshing.faults import pieces_of
from meshing.lettering import NoPlaceForText
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from segmentation.measured import Measured
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.cranioplasty import WrongSide, cranial_patient
from workstation.planning.fit import implant_fit
from workstation.planning.fit_mass import implant_mass
from workstation.planning.fit_placement import placement_error
from workstation.planning.fit_strength import implant_strength, plate_moment_n
from workstation.planning.implant_marking import mark_implant

FRAME = "1.2.3"
MIDDLE = np.array([7.0, -11.0, 23.0])
OUTER, INNER = 50.0, 44.0
AXIS = np.array([0.8, -0.36, 0.48])  # left, front, up
HOLE, CAP = np.radians(30.0), np.radians(29.0)


def shell(points, angle, inverse=False):
    """Signed distance to a shell without, or with only, what lies within an angle of the axis."""
    away = np.linalg.norm(points, axis=-1)
    wall = np.maximum(away - OUTER, INNER - away)
    turned = np.arccos(np.clip(points @ AXIS / np.maximum(away, 1e-9), -1, 1))
    cone = (turned - angle) * away
    return np.maximum(wall, -cone if inverse else cone)


@pytest.fixture(scope="module")
def skull():
    size = (72, 72, 72)
    origin = MIDDLE - 1.5 * (np.array(size) - 1) / 2 + 0.2
    grid = ImageGeometry(size, (1.5,) * 3, tuple(origin), tuple(np.eye(3).ravel()), FRAME)
    k, j, i = np.indices(grid.shape)
    points = grid.to_world(np.stack([i, j, k], axis=-1).reshape(-1, 3)) - MIDDLE
    inside = (shell(points, HOLE, inverse=True) <= 0).reshape(grid.shape)
    return LabelMap(inside.astype(np.uint8), grid, {1: Label("skull", (1, 2, 3))})


@pytest.fixture(scope="module")
def implant():
    shape, step = (72, 72, 72), 0.8
    low = OUTER * 0.88 * AXIS - step * 71 / 2
    k, j, i = np.indices(shape)
    points = low + step * np.stack([i, j, k], axis=-1)
    found, triangles = contour(shell(points, CAP).astype(np.float32), Grid(low, step, shape))
    return SurfaceMesh(found + MIDDLE, triangles, FRAME, "implant")


@pytest.fixture(scope="module")
def plane():
    places = {"normal": (1.0, 0.0, 0.0), "point_mm": tuple(MIDDLE)}
    return Measured(FRAME, (), np.zeros((0, 3)), "", tuple(MIDDLE), places)


def numbers(value):
    return {number.quantity: number for number in value.numbers}


def lifted(mesh, far_mm):
    return replace(mesh, points_mm=mesh.points_mm + far_mm * AXIS)


def test_gap_step_and_thickness_are_those_that_were_made(skull, implant):
    known = numbers(implant_fit(implant, skull))
    wall = (HOLE - CAP) * (OUTER + INNER) / 2
    assert known["gap.mean"].value == pytest.approx(wall, abs=0.25)
    assert abs(known["edge.step"].value) < 0.2
    assert known["thickness.median"].value == pytest.approx(OUTER - INNER, abs=0.1)
    assert 5.9 < known["thickness.largest_95"].value < 7.5  # corners are crossed aslant
    proud = numbers(implant_fit(lifted(implant, 1.5), skull))
    assert proud["edge.step"].value - known["edge.step"].value == pytest.approx(
        1.5 * np.cos(HOLE), abs=0.25
    )


def test_a_placement_error_is_worse_than_none_and_says_which(skull, implant):
    found = placement_error(implant, skull)
    known, plain = numbers(found), numbers(implant_fit(implant, skull))
    assert known["gap"].low <= known["gap"].value <= known["gap"].high
    assert known["gap"].high > plain["gap.mean"].value
    assert known["overlap"].low == 0 < known["overlap"].high
    assert 0 < known["depth"].high < 2.0
    assert [f.code for f in found.findings] == ["placement_worst"]
    still = numbers(placement_error(implant, skull, move_mm=0, turn_degrees=0))
    assert still["gap"].high == pytest.approx(still["gap"].low)
    assert still["gap"].value == pytest.approx(plain["gap.mean"].value, abs=0.05)


def test_mass_is_volume_by_density_and_its_centre_lies_on_the_axis(implant):
    known = numbers(implant_mass(implant, material="own", density_g_cm3=2.0))
    volume = 2 * np.pi * (1 - np.cos(CAP)) * (OUTER**3 - INNER**3) / 3
    assert known["own"].value == pytest.approx(2.0 * volume / 1000, rel=0.02)
    assert known["PEEK"].low <= known["PEEK"].value < known["PEEK"].high
    far = (OUTER**4 - INNER**4) / 4 / ((OUTER**3 - INNER**3) / 3) * (1 + np.cos(CAP)) / 2
    centre = np.array([known[f"centre.{axis}"].value for axis in "xyz"])
    assert centre == pytest.approx(MIDDLE + far * AXIS, abs=0.05)
    with pytest.raises(ValueError, match="both material and density"):
        implant_mass(implant, material="UHMWPE")


def test_the_plate_formula_solves_the_equation_of_plates():
    load, radius, patch, poisson = 100.0, 40.0, 8.0, 0.35

    def slope(r, state):  # d/dr of the turn t: t'' + t'/r - t/r^2 = -Q/D, with D = 1
        turn, bend = state
        shear = load / (2 * np.pi * r) * min(1.0, (r / patch) ** 2)
        return [bend, -shear - bend / r + turn / r**2]

    start = 1e-6

    def rim(curvature):
        ran = solve_ivp(slope, (start, radius), [curvature * start, curvature],
                        rtol=1e-9, atol=1e-12, max_step=0.5)  # fmt: skip
        turn, bend = ran.y[:, -1]
        return bend + poisson * turn / radius

    at_zero, at_one = rim(0.0), rim(1.0)
    curvature = -at_zero / (at_one - at_zero)
    assert plate_moment_n(load, radius, patch, poisson) == pytest.approx(
        (1 + poisson) * curvature, rel=1e-4
    )


def test_stress_needs_a_load_and_a_share_needs_a_yield_strength(implant):
    assert not implant_strength(implant).numbers
    loaded = implant_strength(implant, load_n=100.0)
    known = numbers(loaded)
    assert "share_of_yield" not in known
    assert known["span"].value == pytest.approx(2 * OUTER * np.sin(CAP), rel=0.03)
    by_hand = 6 * plate_moment_n(100.0, known["span"].value / 2, 10.0, 0.35) / 6.0**2
    assert known["stress"].low < known["stress"].value < known["stress"].high
    assert known["stress"].value == pytest.approx(by_hand, rel=0.06)
    assert {"screening_only", "no_yield"} == {f.code for f in loaded.findings}
    weak = implant_strength(implant, load_n=100.0, yield_mpa=known["stress"].value)
    assert numbers(weak)["share_of_yield"].value == pytest.approx(100)
    assert "above_yield" in {f.code for f in weak.findings}
    with pytest.raises(ValueError, match="load_diameter_mm"):
        implant_strength(implant, load_n=100.0, load_diameter_mm=80.0)


def test_the_side_is_written_on_the_outside_of_that_side(skull, implant, plane):
    marked = mark_implant(implant, skull, plane, cranial_patient(side="left"), code="47")
    assert is_watertight(marked)
    assert pieces_of(marked).max() == 0
    assert enclosed_mm3(marked) < enclosed_mm3(implant)
    (told,) = (f for f in marked.findings if f.code == "marked_left")
    assert "'L 47'" in told.sentence
    away = np.linalg.norm(np.asarray(told.location_mm) - MIDDLE)
    assert away == pytest.approx(OUTER - 0.4, abs=0.3)
    mirrored = replace(plane, places={"normal": (-1.0, 0.0, 0.0), "point_mm": tuple(MIDDLE)})
    other = mark_implant(implant, skull, mirrored, raised=True)
    assert "'R' is written" in other.findings[-1].sentence
    assert enclosed_mm3(other) > enclosed_mm3(implant)


def test_another_side_or_too_long_a_code_is_refused(skull, implant, plane):
    with pytest.raises(WrongSide, match="declared for the operation is right"):
        mark_implant(implant, skull, plane, cranial_patient(side="right"))
    with pytest.raises(NoPlaceForText, match="shorter code"):
        mark_implant(
            implant, skull, plane, code="PATIENT NUMBER 4711", click_mm=tuple(MIDDLE + OUTER * AXIS)
        )
