"""Guides on bones whose shape is known: what they clear, hold and let through."""

from dataclasses import replace

import numpy as np
import pytest
from manifold3d import Manifold

from meshing.booleans import divide, from_solid, pieces
from meshing.surface import SurfaceMesh, is_watertight
from workstation.plan_run import run_plan
from workstation.planning.guide import cutting_guide
from workstation.planning.osteotomy import bone_cut
from workstation.planning.screws import screw_paths
from workstation.planning.template import find_template

FRAME = "2.25.4"


def mesh(solid, edge=4.0):
    like = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), int), FRAME, "bone")
    return from_solid(like, solid.refine_to_length(edge), np.zeros(3))


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


def along_x(length, radius, y=0.0, z=0.0):
    """A rod along x from x = 0."""
    return mesh(
        Manifold.cylinder(length, radius, -1.0, 120).rotate((0, 90, 0)).translate((0, y, z))
    )


@pytest.fixture(scope="module")
def rod():
    return along_x(90, 12)


@pytest.fixture(scope="module")
def drilled(rod):
    """Two screws from above (+z), 16 mm apart."""
    return screw_paths(
        rod,
        entries_mm=((30.0, 0.0, 12.0), (46.0, 3.0, 11.6)),
        targets_mm=((30.0, 0.0, 0.0), (46.0, 3.0, 0.0)),
    )


def probe(start, end, radius):
    """A thin rod between two points."""
    way = np.subtract(end, start)
    solid = Manifold.cylinder(float(np.linalg.norm(way)), radius, -1.0, 32)
    assert way[2] != 0
    assert not way[:2].any()
    return mesh(solid.translate(tuple(start)), 50.0)


def overlap(guide, tool):
    inside = divide(guide, tool).inside
    return numbers(inside).get("volume", 0.0) if not len(inside.triangles) else 1.0


def test_a_guide_sits_clear_of_the_bone_without_undercut(rod, drilled):
    made = cutting_guide(rod, drilled, stand_off_mm=0.3)
    found = numbers(made)
    assert is_watertight(made)
    assert pieces(made).max() == 0
    assert found["gap_least"] == pytest.approx(0.3, abs=0.05)
    assert found["undercut"] == 0
    assert found["over_bone"] == pytest.approx(100)
    assert found["wall_least"] == pytest.approx(2.0, abs=0.1)
    assert not made.findings
    assert len(divide(made, rod).inside.triangles) == 0


def test_the_drill_goes_through_and_the_next_thicker_one_does_not(rod, drilled):
    made = cutting_guide(rod, drilled, drill_mm=2.5, drill_clearance_mm=0.1, step_mm=1.0)
    for x, y in ((30, 0), (46, 3)):
        assert overlap(made, probe((x, y, 5), (x, y, 60), 1.30)) == 0
        assert overlap(made, probe((x, y, 5), (x, y, 60), 1.40)) > 0
    top = made.points_mm[:, 2].max()
    assert top == pytest.approx(12 + 3 + 8, abs=0.1)  # bone, body, sleeve


def test_a_slot_lets_the_blade_through_the_plane_that_was_planned(rod):
    tilted = (1.0, 0.0, 0.2)
    cut = bone_cut(rod, point_mm=(40.0, 0.0, 0.0), normal=tilted)
    made = cutting_guide(rod, None, cut, insert=(0, 0, -1), blade_mm=0.8, blade_clearance_mm=0.1,
                         step_mm=1.0, reach_mm=6, slot_length_mm=14)  # fmt: skip
    assert is_watertight(made)
    assert numbers(made)["undercut"] == 0
    normal = np.array(tilted) / np.linalg.norm(tilted)
    blade = Manifold.cube((0.9, 12, 60), True).rotate((0, -np.degrees(np.arctan(0.2)), 0))
    blade = blade.translate((40.0, 0, 0))
    assert len(divide(made, mesh(blade, 50)).inside.triangles) == 0
    aside = 0.3 * normal
    off = mesh(blade.translate(tuple(aside)), 50)
    assert len(divide(made, off).inside.triangles) > 0


def test_the_side_stands_out_and_windows_are_open(rod, drilled):
    plain = cutting_guide(rod, drilled, step_mm=1.0, margin_mm=9)
    made = cutting_guide(rod, drilled, step_mm=1.0, margin_mm=9, text="R 7")
    assert [f.code for f in made.findings] == ["marked"]
    assert numbers(made)["volume"] > numbers(plain)["volume"]
    assert is_watertight(made)
    open_ = cutting_guide(
        rod, drilled, step_mm=1.0, margin_mm=9, windows_mm=((38.0, 1.0, 12.0),), window_mm=4
    )
    assert overlap(plain, probe((38, 1, 12), (38, 1, 40), 1.9)) > 0
    assert overlap(open_, probe((38, 1, 12), (38, 1, 40), 1.9)) == 0


def test_what_makes_no_guide_is_refused(rod, drilled):
    with pytest.raises(ValueError, match="nothing to guide"):
        cutting_guide(rod)
    with pytest.raises(ValueError, match="screw 1 runs across"):
        cutting_guide(rod, drilled, insert=(0, 1, 0))
    cut = bone_cut(rod, point_mm=(40.0, 0.0, 0.0), normal=(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="set insert"):
        cutting_guide(rod, None, cut)
    with pytest.raises(ValueError, match="the cut lies across"):
        cutting_guide(rod, None, cut, insert=(1, 0, 0))
    with pytest.raises(ValueError, match="falls apart"):
        cutting_guide(rod, drilled, windows_mm=((38.0, 1.0, 12.0),), window_mm=40, step_mm=1.0)


def test_a_drill_as_wide_as_its_screw_is_told(rod, drilled):
    wide = cutting_guide(rod, drilled, drill_mm=3.5, step_mm=1.0)
    assert "drill_too_wide" in {finding.code for finding in wide.findings}


def test_screws_of_a_plate_are_compared_with_all_that_screws_are():
    plan = find_template("fixation").plan(FRAME, {"bone": "b", "ct": "i", "critical": "c"})
    plan = find_template("fixation").with_options(plan, ["plate"])
    own = {"course": "plate_course"}
    assert plan.step("plate_screws").inputs == {**plan.step("screws").inputs, **own}
    both = {"screws": "screws", "others": "plate_screws", "plate": "plate"}
    assert plan.step("screws_apart").inputs == both
    bare = find_template("fixation").plan(FRAME, {"bone": "b"})
    bare = find_template("fixation").with_options(bare, ["plate"])
    assert bare.step("plate_screws").inputs == {"bone": "bone_file", **own}


def test_moving_the_cut_makes_its_guide_anew_and_no_other(rod):
    template = find_template("fixation")
    plan = template.with_options(template.plan(FRAME, {"bone": "b"}), ["drill-guide", "saw-guide"])
    screws = plan.step("screws")
    given = {"entries_mm": ((30.0, 0.0, 12.0),), "targets_mm": ((30.0, 0.0, 0.0),)}
    plan = plan.with_step(replace(screws, params=given))
    saw = {"insert": (0.0, 0.0, -1.0), "slot_length_mm": 14.0, "reach_mm": 6.0, "step_mm": 1.0}
    plan = plan.with_step(replace(plan.step("saw_guide"), params=saw))

    def cut_at(x):
        params = {"point_mm": (x, 0.0, 0.0), "normal": (1.0, 0.0, 0.0)}
        return plan.with_step(replace(plan.step("bone_cut"), params=params))

    store = {"b": rod}
    first = run_plan(cut_at(40.0), store)
    ran = []
    second = run_plan(cut_at(50.0), store, on_step=lambda run: ran.append((run.output, run.state)))
    done = ["bone_cut", "saw_guide", "saw_guide_marked", "saw_guide_printing"]
    assert [name for name, state in ran if state == "done"] == done
    assert first["drill_guide"] == second["drill_guide"]
    moved = [store[keys["saw_guide"]].points_mm[:, 0].mean() for keys in (first, second)]
    assert moved[1] - moved[0] == pytest.approx(10, abs=0.3)
