"""An orbital plate bears its side where the surgeon looks, and leaves on that side only."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from meshing.lettering import NoPlaceForText
from meshing.nearest import NearestOnSurface
from meshing.surface import enclosed_mm3
from segmentation.contract import FrameMismatch, Number, silent
from segmentation.measured import Measured
from segmentation.volume import LabelMap
from tests.workstation.test_orbit import ASIDE_MM, drawn
from workstation import implant_checks as checks_module
from workstation.case import CaseError
from workstation.implant_checks import ORBITAL, Made, implant_checks, lineage, released_names
from workstation.planning import orbit_walls
from workstation.planning.cranioplasty import WrongSide, cranial_patient
from workstation.planning.cranioplasty_insertion import insertion_path
from workstation.planning.implant_moving import hand_move, moved_points
from workstation.planning.orbit_cavities import LABELS, look
from workstation.planning.orbit_marking import mark_orbital_plate
from workstation.planning.orbit_plate import Hand, PlateSize, lay_plate
from workstation.planning.orbit_target import find_orbital_target
from workstation.planning.plan import Plan
from workstation.planning.template import find_template


@pytest.fixture(scope="module", autouse=True)
def coarse():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orbit_walls, "FINENESS", 5)
        yield


@pytest.fixture(scope="module")
def head():
    return drawn()


SIZE = PlateSize(thickness_mm=0.6)


@pytest.fixture(scope="module")
def target(head):
    pair, side = look(head.ct, head.plane, None, (ASIDE_MM, 8.0, 0.0), 200.0, silent)
    return find_orbital_target(pair, side, 2.0)


@pytest.fixture(scope="module")
def plate(head, target):
    return lay_plate(target, head.skull, SIZE)


@pytest.fixture(scope="module")
def orbits(head):
    """Labels of both orbits: balls about their middles."""
    grid = head.ct.geometry
    array = np.zeros(grid.shape, np.uint8)
    k, j, i = np.indices(grid.shape)
    points = grid.to_world(np.stack([i, j, k], axis=-1))
    for value, x in ((1, ASIDE_MM), (2, -ASIDE_MM)):
        array[np.linalg.norm(points - (x, 4.0, 0.0), axis=-1) < 15] = value
    return LabelMap(array, grid, LABELS)


def mirrored(plate):
    points = plate.points_mm * (-1.0, 1.0, 1.0)
    return replace(plate.reshaped(points, plate.triangles[:, ::-1]), numbers=plate.numbers)


def written_side(made):
    return next(f for f in made.findings if f.code.startswith("marked_"))


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_letter_is_that_of_the_side_and_looks_into_the_orbit(head, plate, orbits, side):
    part = plate if side == "left" else mirrored(plate)
    made = mark_orbital_plate(part, orbits, head.plane, cranial_patient(side=side))
    told = written_side(made)
    assert told.code == f"marked_{side}"
    assert told.sentence.startswith(f"'{side[0].upper()}' is cut")
    taken = enclosed_mm3(part) - enclosed_mm3(made)
    assert 0.1 < taken < 2.0
    cut = made.points_mm[NearestOnSurface(part)(made.points_mm).distance_mm > 0.1]
    sign = 1 if side == "left" else -1
    assert (cut[:, 0] * sign > 0).all()
    middle = np.array([sign * ASIDE_MM, 4.0, 0.0])
    near = NearestOnSurface(part)(cut)
    towards = np.einsum("ij,ij->i", middle - cut, near.point_mm - cut)
    assert (towards > 0).mean() > 0.9, "else the letters are cut from the side of the bone"


def test_another_side_the_other_orbit_and_thin_plates_are_refused(head, plate, orbits):
    with pytest.raises(WrongSide, match=r"lies on the patient's left.*is right"):
        mark_orbital_plate(plate, orbits, head.plane, cranial_patient(side="right"))
    swapped = replace(orbits, labels={1: LABELS[2], 2: LABELS[1]})
    with pytest.raises(WrongSide, match="lies in the right orbit"):
        mark_orbital_plate(plate, swapped, head.plane)
    middle = replace(plate, points_mm=plate.points_mm - (ASIDE_MM, 0, 0))
    with pytest.raises(WrongSide, match="across the midline"):
        mark_orbital_plate(middle, orbits, head.plane)
    with pytest.raises(NoPlaceForText, match="thicker plate"):
        mark_orbital_plate(plate, orbits, head.plane, depth_mm=0.5)
    with pytest.raises(FrameMismatch):
        mark_orbital_plate(replace(plate, frame_uid="9"), orbits, head.plane)
    with pytest.raises(ValueError, match="no left orbit"):
        mark_orbital_plate(plate, replace(orbits, labels={2: LABELS[2]}), head.plane)


def part_of(head, body, orbits, declared, **values):
    plan = Plan("1", {"ct": "0"}, find_template("orbital-wall").steps)
    plan = plan.with_params("patient", side=declared)
    marked = mark_orbital_plate(body, orbits, head.plane)
    way = insertion_path(body, head.skull)
    known = {"plate": body, "marked": marked, "midplane": head.plane, "insertion": way,
             "patient": cranial_patient(side=declared)}  # fmt: skip
    case = SimpleNamespace(plan=lambda: plan)
    origin = released_names(plan)["marked"]
    return case, Made("marked", origin, marked, 1, plan, known | values, True)


def failed(case, made):
    return {check.name: check for check in implant_checks(case, made) if not check.passed}


def test_a_plate_is_checked_before_it_leaves(head, plate, orbits, monkeypatch):
    def none(*given):
        raise CaseError("no DICOM")

    monkeypatch.setattr(checks_module, "source_series", none)
    case, made = part_of(head, plate, orbits, "left")
    assert made.origin.stage == ORBITAL
    assert lineage(made.plan, "marked") == ("plate", "marked")
    assert set(failed(case, made)) == {"printing"}
    assert made.title == "orbital plate"
    for declared in ("right", "bilateral"):
        wrong = failed(*part_of(head, plate, orbits, declared))
        assert wrong["side"].final, declared
        assert wrong["marked"].final, declared
    case, unmarked = part_of(head, plate, orbits, "left", marked=plate)
    assert "planning.mark_orbital_plate" in failed(case, replace(unmarked, surface=plate))[
        "marked"].remedy  # fmt: skip
    stopped = Measured("1", (), np.empty((0, 3)), "", (0.0, 0.0, 0.0),
                       numbers=(Number("collision.volume", 0.2, "mL", ""),))  # fmt: skip
    case, barred = part_of(head, plate, orbits, "left", insertion=stopped)
    assert "0.2 mL of bone" in failed(case, barred)["way_in"].sentence
    touching = replace(plate, numbers=(*plate.numbers, Number("overlap.volume", 0.1, "mL", "")))
    case, deep = part_of(head, plate, orbits, "left", plate=touching)
    assert "plate.clearance_mm" in failed(case, deep)["overlap"].remedy


def test_a_plate_that_a_hand_moves_tells_where_it_lies_then(head, target, plate):
    first = {n.quantity: n.value for n in plate.numbers}
    lifted = lay_plate(target, head.skull, SIZE, Hand((0.0, 0.0, 1.0), (0.0, 0.0, 5.0)))
    matrix = hand_move(plate.points_mm, (0.0, 0.0, 1.0), (0.0, 0.0, 5.0))
    np.testing.assert_allclose(lifted.points_mm, moved_points(matrix, plate.points_mm), atol=1e-9)
    known = {n.quantity: n.value for n in lifted.numbers}
    assert known["gap.mean"] > first["gap.mean"] + 0.3
    assert known["overlap.volume"] == 0
    way = [known[f"removal.{axis}"] for axis in "xyz"]
    np.testing.assert_allclose(way, matrix[:3, :3] @ [first[f"removal.{a}"] for a in "xyz"])
    assert "moved_by_hand" in {f.code for f in lifted.findings}
    sunk = lay_plate(target, head.skull, SIZE, Hand((10.0, 0.0, -2.0)))
    known = {n.quantity: n.value for n in sunk.numbers}
    assert known["overlap.volume"] > 0.01
    assert known["defect.covered"] < first["defect.covered"] - 20
    told = {f.code for f in sunk.findings}
    assert {"implant_overlaps", "way_meets_bone", "defect_uncovered"} <= told
