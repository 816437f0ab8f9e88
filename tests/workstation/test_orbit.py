"""Both orbits of a synthetic head, one with a broken floor, and the plate that gives it back."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from meshing.surface import is_watertight
from segmentation.contract import silent
from segmentation.measured import Measured
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.planning import orbit_walls
from workstation.planning.cranioplasty import WrongSide, cranial_patient
from workstation.planning.cranioplasty_insertion import insertion_path
from workstation.planning.orbit_cavities import look, orbital_cavities
from workstation.planning.orbit_plate import NoOrbitalPlate, PlateSize, lay_plate
from workstation.planning.orbit_target import NoOrbitalDefect, find_orbital_target
from workstation.planning.orbit_walls import NoOrbit

AXES_MM, FRONT_MM, ASIDE_MM, EYE_MM = np.array([18.0, 24.0, 17.0]), -12.0, 32.0, -6.0
DOME_MM, DEEP_MM = 9.0, 5.0
CAVITY_ML = 4 / 3 * np.pi * AXES_MM.prod() * 27 / 32 / 1000  # an ellipsoid cut at half an axis
EXCESS_ML = np.pi * DOME_MM**2 * DEEP_MM / 2 / 1000


@dataclass(frozen=True)
class Head:
    """A head of solid bone with two orbits full of fat, each with an eye."""

    ct: Volume
    skull: LabelMap
    plane: Measured


def drawn() -> Head:
    grid = ImageGeometry((124, 72, 60), (1.0, 1.0, 1.0), (-61.5, -30.0, -31.0),
                         tuple(np.eye(3).ravel()), "1")  # fmt: skip
    k, j, i = np.indices(grid.shape)
    x, y, z = np.moveaxis(grid.to_world(np.stack([i, j, k], axis=-1)), -1, 0)
    hu = np.where(y > FRONT_MM, 700, -1000)
    for side in (1, -1):
        off = np.stack([x - side * ASIDE_MM, y, z])
        inside = ((off / AXES_MM[:, None, None, None]) ** 2).sum(axis=0) < 1
        if side == 1:
            deep = DEEP_MM * (1 - ((off[0] + 2) ** 2 + (y - 6) ** 2) / DOME_MM**2)
            up = np.stack([off[0], y, np.where(z < 0, np.minimum(z + np.maximum(deep, 0), 0), z)])
            inside |= ((up / AXES_MM[:, None, None, None]) ** 2).sum(axis=0) < 1
        hu[inside & (y > FRONT_MM)] = -80
        hu[off[0] ** 2 + (y - EYE_MM) ** 2 + z**2 < 144] = 10
    mask = (hu >= 200).astype(np.uint8)
    ct = Volume(hu.astype(np.int16), grid)
    skull = LabelMap(mask, grid, {1: Label("skull")})
    places = {"point_mm": (0.0, 0.0, 0.0), "normal": (1.0, 0.0, 0.0)}
    plane = Measured("1", (), np.empty((0, 3)), "", (0.0, 0.0, 0.0), places)
    return Head(ct, skull, plane)


@pytest.fixture(scope="module", autouse=True)
def coarse():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orbit_walls, "FINENESS", 5)
        yield


@pytest.fixture(scope="module")
def head():
    return drawn()


@pytest.fixture(scope="module")
def orbits(head):
    return orbital_cavities(head.ct, head.plane)


@pytest.fixture(scope="module")
def pair(head):
    return look(head.ct, head.plane, None, (ASIDE_MM, 8.0, 0.0), 200.0, silent)


@pytest.fixture(scope="module")
def plate(head, pair):
    return lay_plate(find_orbital_target(*pair, 2.0), head.skull, PlateSize())


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


def test_volumes_and_what_gave_way_are_those_that_were_drawn(orbits):
    found = numbers(orbits)
    both = found["orbit.left"] + found["orbit.right"]
    assert found["volume"] == pytest.approx(both, rel=0.05), "else the stage is given others"
    assert found["orbit.right"] == pytest.approx(CAVITY_ML, rel=0.1)
    assert found["orbit.difference"] == pytest.approx(EXCESS_ML, rel=0.15)
    assert found["orbit.excess"] == pytest.approx(EXCESS_ML, rel=0.2)
    assert found["orbit.restored_difference"] == pytest.approx(0.0, abs=0.15)
    marked = np.count_nonzero(orbits.array == 3) * orbits.geometry.voxel_ml
    assert marked == pytest.approx(EXCESS_ML, rel=0.25)
    where = orbits.geometry.to_world(np.argwhere(orbits.array == 3)[:, ::-1]).mean(axis=0)
    np.testing.assert_allclose(where, (30, 6, -18), atol=3)
    first = next(f for f in orbits.findings if f.code == "orbital_defect_left")
    assert first.sentence.lower().startswith("the floor of"), first.sentence


def test_the_plate_closes_the_floor_and_lies_clear_of_bone(head, plate):
    found = numbers(plate)
    assert is_watertight(plate)
    assert found["overlap.volume"] == 0
    assert found["wall.off"] < 1.0
    assert found["gap.mean"] < 1.0
    assert found["defect.covered"] > 95
    assert found["way.bone"] == 0
    assert found["screw.bone_least"] >= 1.5
    area = np.pi * (DOME_MM + 1) ** 2
    assert found["volume"] * 1000 > 0.4 * area, "it covers the hole at half a millimetre"
    handles = 1 - (len(plate.points_mm) - len(plate.triangles) / 2) / 2
    assert handles == 2, "one for each bore"
    floor = -17 * np.sqrt(1 - (6 / 24) ** 2)
    under = plate.points_mm[np.linalg.norm(plate.points_mm[:, :2] - (30, 6), axis=1) < 3]
    assert np.abs(under[:, 2] - floor).max() < 1.5
    assert numbers(insertion_path(plate, head.skull))["collision.volume"] == 0


def test_what_bone_would_stop_on_the_way_in_is_left_out(head, pair, plate):
    before = skull_with_bar(head, 36.0)
    barred = numbers(insertion_path(plate, before))["collision.volume"]
    assert barred > 0, "else nothing is tried"
    cut = lay_plate(find_orbital_target(*pair, 2.0), before, PlateSize())
    found = numbers(cut)
    assert is_watertight(cut)
    assert found["overlap.volume"] == found["way.bone"] == 0
    assert numbers(insertion_path(cut, before))["collision.volume"] == 0
    assert 20 < found["defect.covered"] < 95
    assert "defect_uncovered" in {finding.code for finding in cut.findings}
    with pytest.raises(NoOrbitalPlate, match="way in"):
        lay_plate(find_orbital_target(*pair, 2.0), skull_with_bar(head, 90.0), PlateSize())


def skull_with_bar(head, to_mm):
    """The skull with a bar in front of the left orbit, from the midline out to some x."""
    grid = head.skull.geometry
    mask = head.skull.array.copy()
    k, j, i = np.indices(grid.shape)
    x, y = np.moveaxis(grid.to_world(np.stack([i, j, k], axis=-1)), -1, 0)[:2]
    mask[(y > FRONT_MM - 4) & (y < FRONT_MM) & (x > 0) & (x < to_mm)] = 1
    return replace(head.skull, array=mask)


def test_what_is_whole_or_on_both_sides_gets_no_plate(head, pair):
    seen, side = pair
    assert side == "left", "the larger one"
    same = replace(seen, orbits=dict.fromkeys(("left", "right"), seen.orbits["right"]))
    with pytest.raises(NoOrbitalDefect, match="no wall of the left orbit"):
        find_orbital_target(same, "left", 2.0)
    with pytest.raises(WrongSide, match="both"):
        orbital_cavities(head.ct, head.plane, cranial_patient(side="bilateral"))
    with pytest.raises(NoOrbit, match="does not lie in an orbit"):
        orbital_cavities(head.ct, head.plane, inside_mm=(0.0, 20.0, 0.0))
