from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from meshing.surface import OpenSurface, SurfaceMesh
from segmentation.contract import FrameMismatch
from tests.workstation.transplant_people import DAY, record
from workstation.planning.transplant_fit import CLEARANCE, graft_in_cavity
from workstation.planning.transplant_sheet import transplant_sheet

FACES = [[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4],
         [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7]]  # fmt: skip


def box(size: tuple[float, float, float], at: tuple[float, float, float], frame: str = "1.2"):
    ring = [(0, 0), (1, 0), (1, 1), (0, 1)]
    corners = [(x, y, z) for z in (0, 1) for x, y in ring]
    points = np.array(corners) * np.array(size) + np.array(at)
    return SurfaceMesh(points, np.array(FACES), frame, "box")


def numbers(found: SurfaceMesh) -> dict[str, float]:
    return {n.quantity: n.value for n in found.numbers}


def test_a_graft_that_fits_has_its_room():
    found = graft_in_cavity(box((40, 60, 80), (500, 9, -3), "9.9"), box((60, 100, 120), (0, 0, 0)))
    said = numbers(found)
    assert said["collision_volume"] == pytest.approx(0, abs=1e-6)
    assert said["room_volume"] == pytest.approx(720 - 192)
    assert said["clearance_minimum"] == pytest.approx(10)
    assert (said["graft_ap_depth"], said["cavity_ap_depth"]) == pytest.approx((60, 100))
    assert found.frame_uid == "1.2"
    assert [f.code for f in found.findings] == ["graft_not_deformed"]


def test_what_lies_outside_is_measured_and_shown():
    cavity = box((60, 100, 120), (0, 0, 0))
    found = graft_in_cavity(box((40, 60, 80), (0, 0, 0)), cavity, offset_mm=(0, 30, 0))
    said = numbers(found)
    assert said["collision_volume"] == pytest.approx(40 * 10 * 80 / 1000, rel=1e-3)
    assert said["clearance_minimum"] == pytest.approx(-10)
    assert found.point_data[CLEARANCE].min() == pytest.approx(-10)
    assert found.findings[-1].code == "graft_collides"
    assert found.findings[-1].location_mm[1] == pytest.approx(110)


def test_as_it_lies_needs_one_frame_and_apart_is_all_outside():
    cavity = box((60, 100, 120), (0, 0, 0))
    apart = graft_in_cavity(box((10, 10, 10), (300, 0, 0)), cavity, place="as it lies")
    assert numbers(apart)["collision_volume"] == pytest.approx(1.0)
    with pytest.raises(FrameMismatch, match="different frames"):
        graft_in_cavity(box((10, 10, 10), (0, 0, 0), "9.9"), cavity, place="as it lies")
    open_box = replace(cavity, triangles=np.array(FACES[:-1]))
    with pytest.raises(OpenSurface):
        graft_in_cavity(box((10, 10, 10), (5, 5, 5)), open_box)


def test_the_fit_stands_in_the_sheet_of_the_pair():
    cavity = box((60, 100, 120), (0, 0, 0))
    fits = graft_in_cavity(box((40, 60, 80), (0, 0, 0)), cavity)
    out = graft_in_cavity(box((40, 160, 80), (0, 0, 0)), cavity)
    people = record({"abo": "O"}), record({"abo": "A"})
    for fit, verdict in ((fits, "pass"), (out, "warn"), (cavity, "unknown")):
        sheet = transplant_sheet(*people, fit, review_date=DAY)
        rows = [row for row in sheet.rows if row.name.startswith("fit")]
        assert {row.verdict for row in rows} == {verdict}
