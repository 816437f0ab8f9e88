"""A fibula graft for a mandible whose arch and fibula are known: lengths, angles, pieces, sides."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifold3d import Manifold
from reportlab.graphics.shapes import String
from reportlab.platypus import KeepTogether
from scipy.spatial.transform import Rotation

from meshing.booleans import from_solid
from meshing.clipping import split_by_plane
from meshing.surface import enclosed_mm3, is_watertight
from segmentation.contract import exact_words
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.figures import plan_scene
from workstation.graft_report import fibula_drawing, graft_pages
from workstation.implant_checks import released_names
from workstation.phantom.graft_bones import ARCH_MM, arch_point, fibula, mandible
from workstation.plan_run import run_plan
from workstation.planning.bone_landmarks_record import WrongSide
from workstation.planning.fibula import NoFibula, donor_leg, fibula_axis, shaft_of
from workstation.planning.fibula_fit import NoFit, fit_segments
from workstation.planning.fibula_graft import cut_of, fibula_graft, move_of
from workstation.planning.fibula_pieces import (
    fibula_cut,
    graft_fit,
    graft_pieces,
    placed_pieces,
    plate_line,
    rebuilt_mandible,
)
from workstation.planning.mandible import (
    CutsCross,
    NoMandible,
    mandible_border,
    mandible_cut,
    mandible_midplane,
    remaining_mandible,
    resected_mandible,
    take_mandible,
)
from workstation.planning.release_marking import mark_part, operated_side
from workstation.planning.template import find_template

TURN = Rotation.from_euler("xyz", [10, -14, 5], degrees=True).as_matrix()
SHIFT = (80.0, 10.0, -700.0)
ENTERED = {"least_mm": 15, "from_ankle_mm": 70, "from_knee_mm": 60, "kerf_mm": 0.8, "lift_mm": 0.0}


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


@pytest.fixture(scope="module")
def jaw():
    arch = mandible()
    border = mandible_border(arch.mesh, path_mm=tuple(map(tuple, arch.line_mm)))
    return arch.mesh, border


def cuts(jaw, right, left, normals=(None, None)):
    """Cuts at angles about the arch, negative on the patient's right."""
    mesh, border = jaw
    return [
        mandible_cut(mesh, border, which=which, point_mm=tuple(arch_point(angle)), normal=normal)
        for which, angle, normal in zip(("first", "second"), (right, left), normals)
    ]


@pytest.fixture(scope="module")
def legs():
    found = {}
    for leg in ("left", "right"):
        bone = fibula(leg, turn=TURN, shift_mm=SHIFT)
        found[leg] = bone, fibula_axis(bone.mesh, leg=leg)
    return found


@pytest.fixture(scope="module")
def planned(jaw, legs):
    """A gap from 40 degrees on the right to 50 on the left, filled by three of the left leg."""
    bone, axis = legs["left"]
    planes = cuts(jaw, -40, 50)
    return planes, fibula_graft(jaw[1], *planes, bone.mesh, axis, segments=3, **ENTERED)


@pytest.mark.parametrize("leg", ["left", "right"])
def test_ends_and_sides_of_a_turned_fibula_are_found(legs, leg):
    bone, axis = legs[leg]
    assert numbers(axis)["length"] == pytest.approx(360, abs=0.2)
    assert axis.places["ankle"] == pytest.approx(bone.ankle_mm, abs=0.2)
    assert axis.places["knee"] == pytest.approx(bone.knee_mm, abs=0.2)
    assert TURN.T @ axis.places["anterior"] == pytest.approx([0, -1, 0], abs=0.2)
    assert np.dot(axis.places["lateral"], bone.lateral) > 0.98
    assert [f.code for f in axis.findings] == ["leg_not_checked"]


def test_lengths_angles_and_order_are_those_of_the_circle(planned):
    found = numbers(planned[1])
    part = np.radians(30)
    for n in (1, 2, 3):
        assert found[f"length_{n}"] == pytest.approx(2 * ARCH_MM * np.sin(part / 2), abs=0.5)
        assert found[f"ankle_tilt_{n}"] == pytest.approx(15, abs=0.5)
        assert found[f"knee_tilt_{n}"] == pytest.approx(15, abs=0.5)
        # the outer side is the longer one: cuts reach out further there
        assert abs(found[f"ankle_toward_{n}"]) == pytest.approx(180, abs=0.5)
        assert found[f"knee_toward_{n}"] == pytest.approx(0, abs=0.5)
    assert found["bend_1"] == pytest.approx(30, abs=0.5)
    assert found["lost_length"] == pytest.approx(ARCH_MM * np.pi / 2, abs=0.1)
    assert found["deviation_most"] == pytest.approx(ARCH_MM * (1 - np.cos(part / 2)), abs=0.1)
    assert found["left_at_ankle"] == pytest.approx(70, abs=0.01)
    assert found["mandible_tilt_left"] == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(("leg", "ankle_at"), [("left", "left"), ("right", "right")])
def test_pieces_look_out_with_the_chosen_side_and_keep_their_volume(jaw, legs, leg, ankle_at):
    (bone, axis), planes = legs[leg], cuts(jaw, -30, 30)
    graft = fibula_graft(jaw[1], *planes, bone.mesh, axis, segments=2, ankle_at=ankle_at,
                         outward="posterior", **ENTERED)  # fmt: skip
    made = graft_pieces(bone.mesh, graft)
    assert is_watertight(made)
    for n, angle in ((1, -15), (2, 15)):
        angle = angle if ankle_at == "right" else -angle
        move = move_of(graft, n)
        assert np.linalg.det(move[:3, :3]) == pytest.approx(1)  # no mirror image
        back = move[:3, :3] @ -np.asarray(axis.places["anterior"])
        assert back @ (arch_point(angle) / ARCH_MM) > 0.98
        low, high = (cut_of(graft, n, end) for end in ("ankle", "knee"))
        above, below = split_by_plane(bone.mesh, low.point_mm, low.normal)
        piece, rest = split_by_plane(above, high.point_mm, high.normal)[::-1]
        whole = sum(enclosed_mm3(part) for part in (below, piece, rest))
        assert whole == pytest.approx(enclosed_mm3(bone.mesh), rel=1e-6)
        assert numbers(made)[f"volume_{n}"] == pytest.approx(enclosed_mm3(piece) / 1000, rel=1e-9)


def test_sawn_pieces_lie_apart_by_the_saw_at_the_least(legs, planned):
    (bone, axis), graft = legs["left"], planned[1]
    up = np.asarray(axis.places["up"])
    found = []
    for n, part in enumerate(placed_pieces(bone.mesh, graft), 1):
        move = np.linalg.inv(move_of(graft, n))
        found.append((part.points_mm @ move[:3, :3].T + move[:3, 3] - bone.ankle_mm) @ up)
    assert found[0].min() == pytest.approx(70.8, abs=0.1)
    for below, above in pairwise(found):
        assert above.min() > below.min()
        assert above.max() > below.max()
    low = cut_of(graft, 1, "knee")
    edge = cut_of(graft, 2, "ankle")
    ring = fibula_cut(bone.mesh, graft, segment=1, end="knee").surface.points_mm
    apart = (edge.point_mm - ring) @ edge.normal / (up @ edge.normal)
    apart -= (low.point_mm - ring) @ low.normal / (up @ low.normal)
    assert apart.min() == pytest.approx(0.8, abs=0.15)
    assert numbers(graft)["wedge_1"] > 5
    left = next(n for n in graft.numbers if n.quantity == "left_at_knee")
    tips = next(n for n in axis.numbers if n.quantity == "length")
    assert left.high - left.value == pytest.approx(tips.high - tips.value)
    assert left.value - left.low == pytest.approx(tips.value - tips.low)
    assert exact_words(next(n for n in graft.numbers if n.quantity == "length_1").source)


def test_the_mandible_is_divided_and_rejoined(jaw, legs, planned):
    (mesh, border), (bone, _), (planes, graft) = jaw, legs["left"], planned
    gone = resected_mandible(mesh, border, *planes)
    left = remaining_mandible(mesh, border, *planes)
    assert enclosed_mm3(gone) + enclosed_mm3(left) == pytest.approx(enclosed_mm3(mesh), rel=1e-6)
    ring = np.pi * 9**2 * ARCH_MM * np.pi / 2
    assert enclosed_mm3(gone) == pytest.approx(ring, rel=0.04)
    measured = graft_fit(bone.mesh, graft, left, border)
    bands = {n.quantity: (n.low, n.value, n.high) for n in measured.numbers}
    assert all(low <= value <= high for low, value, high in bands.values())
    assert bands["bone_gap_2"][2] == pytest.approx(1.0, abs=0.1), "1 mm off, along the fibula"
    assert bands["contact_share_2"][0] == 0, "1 mm off, nothing is within touch"
    still = graft_fit(bone.mesh, graft, left, border, move_mm=0, turn_degrees=0)
    assert all(n.low == pytest.approx(n.value) == n.high for n in still.numbers)
    assert numbers(still) == numbers(measured)
    fit = numbers(measured)
    assert fit["contact_share_2"] > 95  # both faces were sawn to meet
    assert fit["contact_share_1"] > 80
    assert fit["bone_gap_1"] == pytest.approx(0, abs=0.01)
    whole = rebuilt_mandible(left, bone.mesh, graft)
    assert not whole.findings
    line = plate_line(whole, graft, border, beyond_mm=10)
    assert (np.linalg.norm(line.picked_mm[:, :2], axis=1) > ARCH_MM).all()


def test_a_gap_is_left_open_and_a_lifted_graft_loses_contact(jaw, legs, planned):
    (mesh, border), (bone, axis), (planes, _) = jaw, legs["left"], planned
    left = remaining_mandible(mesh, border, *planes)
    entered = ENTERED | {"lift_mm": 12.0}
    graft = fibula_graft(border, *planes, bone.mesh, axis, segments=2, gap_mm=1.0, **entered)
    fit = numbers(graft_fit(bone.mesh, graft, left, border))
    assert fit["bone_gap_2"] == pytest.approx(1.0, abs=0.02)
    assert fit["contact_share_2"] == 0
    assert fit["bone_gap_1"] == pytest.approx(1.0, abs=0.1)


@settings(max_examples=8, deadline=None)
@given(st.floats(20, 60), st.floats(40, 150), st.integers(1, 4), st.floats(0, 360))
def test_a_circle_is_followed_by_equal_segments(radius, span, count, turn):
    angles = np.radians(turn + np.linspace(0, span, 300))
    line = radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    bends = fit_segments(line, count, 3.0, 1.0)
    chord = 2 * radius * np.sin(np.radians(span) / count / 2)
    assert bends.lengths_mm == pytest.approx(np.full(count, chord), abs=0.5)
    assert fit_segments(line, 0, 3.0, 0.01).away_mm.max() <= bends.away_mm.max() + 1e-9


def test_the_fewest_segments_near_enough_are_taken():
    angles = np.linspace(0, np.pi / 2, 200)
    line = 40 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    leaves = [40 * (1 - np.cos(np.pi / 4 / n)) for n in (1, 2, 3, 4)]
    for count, enough in ((1, leaves[0]), (2, leaves[1]), (3, leaves[2])):
        assert len(fit_segments(line, 0, 5.0, enough + 0.1).lengths_mm) == count
    assert len(fit_segments(line, 0, 25.0, 0.1).lengths_mm) == 2  # no room for a third
    with pytest.raises(NoFit, match="3 segments of at least 25 mm do not fit"):
        fit_segments(line, 3, 25.0, 1.0)


def test_what_cannot_be_cut_is_refused(jaw, legs):
    (mesh, border), (bone, axis) = jaw, legs["left"]
    with pytest.raises(CutsCross, match="nothing lies between"):
        resected_mandible(mesh, border, *cuts(jaw, 10, 10))
    slant = ((1.0, 0.8, 0.0), (-1.0, 0.8, 0.0))
    with pytest.raises(CutsCross, match="cross within the bone"):
        resected_mandible(mesh, border, *cuts(jaw, -6, 6, slant))
    one, two = cuts(jaw, -40, 50)
    far = replace(two, point_mm=(0.0, -400.0, 0.0))
    with pytest.raises(ValueError, match="second cut does not cross"):
        resected_mandible(mesh, border, one, far)
    with pytest.raises(NoFit, match="mm too short"):
        fibula_graft(border, one, two, bone.mesh, axis, **ENTERED | {"from_knee_mm": 230})
    with pytest.raises(ValueError, match="enter kerf_mm for the graft"):
        fibula_graft(border, one, two, bone.mesh, axis, **ENTERED | {"kerf_mm": None})
    steep = cuts(jaw, -5, 5, ((1.0, 1.0, 0.0), (-1.0, 1.0, 0.0)))
    with pytest.raises(NoFit, match="cross within the fibula"):
        fibula_graft(border, *steep, bone.mesh, axis, **ENTERED | {"least_mm": 2})


def test_the_wrong_side_is_refused(legs):
    bone = legs["left"][0]
    with pytest.raises(WrongSide, match="the right leg was declared"):
        fibula_axis(bone.mesh, leg="right", lateral=(1.0, 0.0, 0.0))
    beside = bone.mesh.reshaped(bone.mesh.points_mm - 30 * bone.lateral, bone.mesh.triangles)
    with pytest.raises(WrongSide, match="lateral of this fibula points to the patient's other"):
        fibula_axis(bone.mesh, beside, leg="right")
    told = fibula_axis(bone.mesh, beside, leg="left").findings
    assert [f.code for f in told] == ["leg_left"]
    with pytest.raises(ValueError, match="say which leg"):
        fibula_axis(bone.mesh)
    short = split_by_plane(bone.mesh, bone.mesh.points_mm.mean(axis=0), (0, 0, 1))[0]
    short = split_by_plane(short, short.points_mm.max(axis=0) - 50, (0, 0, 1))[0]
    with pytest.raises(NoFibula):
        fibula_axis(short, leg="left")


def test_a_mandible_that_is_not_told_apart_is_said():
    array = np.zeros((6, 6, 6), np.uint8)
    array[2:4, 2:4, 2:4] = 1
    array[4:6, 4:6, 4:6] = 2
    grid = ImageGeometry((6, 6, 6), (2.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()), "2.25.9")
    labels = LabelMap(array, grid, {1: Label("skull"), 2: Label("neck")})
    with pytest.raises(NoMandible, match="no label is called mandible"):
        take_mandible(labels)


def test_the_plan_of_the_template_runs_and_is_told_in_the_report(jaw, legs):
    (mesh, _), (bone, axis) = jaw, legs["left"]
    template = find_template("mandible-reconstruction")
    plan = template.plan("2.25.9", {"mandible": "m", "fibula": "f"})
    plan = template.with_options(plan, ["plate", "fibula-guide"])
    changes = {"fibula_axis": {"leg": "left"}, "graft": {**ENTERED, "lift_mm": None},
               "plate_line": {"beyond_mm": 12.0}, "fibula_guide_1": {"step_mm": 1.5},
               "patient": {"side": "bilateral"}}  # fmt: skip
    for output, params in changes.items():
        step = plan.step(output)
        plan = plan.with_step(replace(step, params={**step.params, **params}))
    store = {"m": mesh, "f": bone.mesh}
    keys = run_plan(plan, store)
    values = {name: store[key] for name, key in keys.items()}
    graft = values["graft"]
    assert numbers(values["plate_course"])["holes"] >= 4
    assert written(values["plate_marked"]) == ["marked_bilateral", "side_seen_bilateral"]
    assert written(values["fibula_guide_1_marked"]) == ["marked_left", "side_unseen"]
    assert "fibula_guide_1_marked" in released_names(plan)
    slots = values["fibula_guide_1"]
    for end in ("ankle", "knee"):  # the blade goes through both slots, beside the piece
        cut = values[f"{end}_cut_1"]
        assert np.abs(cut_of(graft, 1, end).point_mm - cut.point_mm) @ axis.places["up"] < 0.5
        seen = (slots.points_mm - np.asarray(cut.point_mm)) @ np.asarray(cut.normal)
        assert (np.abs(seen) > 0.39).sum() > 0
        assert np.isclose(np.abs(seen), 0.4, atol=0.01).sum() >= 8
    assert set(find_template("mandible-reconstruction").figures.shown) & values.keys()
    scene = plan_scene(values, template.figures)
    assert "graft_pieces" in scene
    assert "fibula_axis" not in scene  # the leg lies far off
    story = graft_pages(plan.step("graft"), graft, values)
    assert isinstance(story[0], KeepTogether)
    drawn = fibula_drawing(bone.mesh, shaft_of(axis), graft)
    told = [shape.text for shape in drawn.contents if isinstance(shape, String)]
    for n in range(1, int(numbers(graft)["segments"]) + 1):
        assert told.count(f"{n}: {numbers(graft)[f'length_{n}']:.1f} mm") == 2


def block_at(mesh, place):
    """A closed part of 20 mm on the outside of the arch."""
    way = np.asarray(place) / np.linalg.norm(place)
    cube = Manifold.cube((20.0, 20.0, 20.0), True).refine_to_length(4.0)
    return replace(from_solid(mesh, cube, np.asarray(place) + 20.0 * way), name="guide")


def written(part):
    return [f.code for f in part.findings if f.code.startswith(("marked_", "side_"))]


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_a_part_of_a_mandible_bears_the_side_on_which_it_lies(jaw, flip):
    mesh = jaw[0]
    if flip < 0:  # the whole is mirrored, so right is left
        mesh = mesh.reshaped(mesh.points_mm * (-1.0, 1.0, 1.0), mesh.triangles[:, ::-1])
    plane = mandible_midplane(mesh)
    left = block_at(mesh, arch_point(50.0) * (flip, 1.0, 1.0))
    name, other = ("left", "right") if flip > 0 else ("right", "left")
    own = mark_part(left, mesh, operated_side(side=name), plane)
    assert written(own) == [f"marked_{name}", f"side_seen_{name}"]
    with pytest.raises(WrongSide, match=f"guide lies on the patient's {name}, but .* is {other}"):
        mark_part(left, mesh, operated_side(side=other), plane)
    both = mark_part(left, mesh, operated_side(side="bilateral"), plane)
    assert written(both) == [f"marked_{name}", f"side_seen_{name}"]
    middle = block_at(mesh, arch_point(0.0))
    with pytest.raises(WrongSide, match=r"across the midline.*set patient.side to bilateral"):
        mark_part(middle, mesh, operated_side(side=name), plane)


def test_only_what_lies_across_the_midline_bears_both_sides(jaw):
    mesh = jaw[0]
    middle = block_at(mesh, arch_point(0.0))
    across = mark_part(middle, mesh, operated_side(side="bilateral"), mandible_midplane(mesh))
    assert written(across) == ["marked_bilateral", "side_seen_bilateral"]
    assert any("'L+R'" in f.sentence for f in across.findings)


@pytest.mark.parametrize(("cut", "kept"), [(0.0, 0), (-20.0, 1), (-30.0, 0)])
def test_half_a_mandible_tells_no_side(jaw, cut, kept):
    half = split_by_plane(jaw[0], (cut, 0.0, 0.0), (1.0, 0.0, 0.0))[kept]
    plane = mandible_midplane(half)
    assert "middle_unsure" in {f.code for f in plane.findings}
    part = block_at(jaw[0], arch_point(-50.0 if kept else 50.0))
    marked = mark_part(part, jaw[0], operated_side(side="left"), plane)
    assert written(marked) == ["marked_left", "side_unseen"]


@pytest.mark.parametrize("leg", ["left", "right"])
def test_the_guide_of_a_fibula_bears_the_leg(legs, leg):
    bone, axis = legs[leg]
    seen = fibula_axis(bone.mesh, leg=leg, lateral=tuple(bone.lateral))
    spot = shaft_of(axis).centre(180.0)
    part = block_at(bone.mesh, spot)
    part = part.reshaped(part.points_mm - part.points_mm.mean(axis=0) + spot
                         + 20.0 * bone.lateral, part.triangles)  # fmt: skip
    assert written(mark_part(part, bone.mesh, donor_leg(seen))) == [
        f"marked_{leg}", f"side_seen_{leg}"]  # fmt: skip
    unseen = mark_part(part, bone.mesh, donor_leg(axis))
    assert written(unseen) == [f"marked_{leg}", "side_unseen"]
    assert "tibia" in unseen.findings[-1].remedy
