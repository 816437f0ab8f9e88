"""What a hand holds is what the steps of the plan place, before and after it moves."""

from dataclasses import replace

import numpy as np
import pytest

from segmentation.volume import Label
from tests.campaigns import sizes
from workstation.phantom import bones
from workstation.planning.alignment_angles import leg_alignment
from workstation.planning.bone_landmarks_tibia import tibia_landmarks
from workstation.planning.implant_library_stages import place_implant
from workstation.planning.live_fit_moves import Motion
from workstation.planning.osteotomy import bone_cut, move_landmarks, osteotomy_move
from workstation.planning.plan import Plan, Step
from workstation.ui.part_handles_found import movable_steps, prepare, shown_by

LEFT, UP = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def told(seen):
    return {number.quantity: number.value for number in seen.numbers}


def test_an_implant_is_told_as_its_step_tells_it():
    drawn = sizes.draw(5)
    bone = replace(drawn.bone, labels={1: Label("bone")})
    site = [float(v) for v in drawn.start.site_mm]
    params = {"family": "acetabular_cup", "size": drawn.part.size, "position_mm": site,
              "turn_degrees": [10.0, -20.0, 5.0]}  # fmt: skip
    step = Step("planning.place_implant", "implant", inputs={"bone": "bone"}, params=params)
    plan = Plan(bone.geometry.frame_uid, {"bone": "0" * 64}, (step,))
    placed = place_implant(bone, **params)
    held = prepare(plan, step, {"bone": bone, "implant": placed}.get)
    assert shown_by(plan) == {"implant": "implant"}
    values = held.hold.moved(held.hold.start, Motion((1.5, -2.0, 3.0), UP, 8.0))
    seen = held.see(values)
    there = place_implant(bone, **{**params, **held.hold.params(values)})
    assert held.hold.params(values)["position_mm"] != site
    middle = seen.values["implant"].points_mm.mean(axis=0)
    assert np.linalg.norm(middle - there.points_mm.mean(axis=0)) < 2.0
    extent = np.ptp(seen.values["implant"].points_mm, axis=0)
    assert extent == pytest.approx(np.ptp(there.points_mm, axis=0), abs=0.5)
    truth = {number.quantity: number.value for number in there.numbers}
    for name in ("score", "contact", "coverage", "gap", "interference"):
        assert told(seen)[name] == pytest.approx(truth[name], abs=2.0)


@pytest.mark.parametrize("hinged", [True, False])
def test_an_osteotomy_tells_the_corrected_angles(hinged):
    shin = bones.leg("left", bone={"mpta": 80.0})[1]
    marks, cut = tibia_landmarks(shin.mesh), bone_cut(shin.mesh)
    edge = cut.surface.points_mm
    hinge = {"hinge_mm": [float(v) for v in edge[np.argmax(edge[:, 0])]]} if hinged else {}
    steps = (
        Step("planning.osteotomy_move", "move", inputs={"cut": "cut"}, params=hinge),
        Step("planning.osteotomy", "moved", inputs={"bone": "bone", "cut": "cut", "move": "move"}),
        Step("planning.move_landmarks", "after",
             inputs={"landmarks": "marks", "cut": "cut", "move": "move"}),
        Step("planning.leg_alignment", "angles", inputs={"tibia": "after"}),
    )  # fmt: skip
    names = dict.fromkeys(("bone", "cut", "marks"), "0" * 64)
    plan = Plan(shin.mesh.frame_uid, names, steps)
    values = {"bone": shin.mesh, "cut": cut, "marks": marks, "move": osteotomy_move(cut, **hinge)}
    assert [step.output for step in movable_steps(plan)] == ["move"]
    assert shown_by(plan) == {"moved": "move"}
    held = prepare(plan, steps[0], values.__getitem__)
    turns = held.hold.grips(held.hold.start)[0].turns
    axis = max(turns, key=lambda turn: abs(turn[1]))  # seen from the front
    turned = held.hold.moved(held.hold.start, Motion(axis=axis, degrees=6.0))
    params = held.hold.params(turned)
    assert params.get("angle_degrees") == (6.0 if hinged else None)
    assert params.get("kind") == (None if hinged else "free")
    seen = told(held.see(turned))
    assert seen["turn"] == pytest.approx(6.0, abs=1e-3)
    exact = move_landmarks(marks, osteotomy_move(cut, **{**hinge, **params}), cut)
    truth = {n.quantity: n.value for n in leg_alignment(None, exact).numbers}
    assert seen["MPTA"] == pytest.approx(truth["MPTA"], abs=1e-3)
    assert abs(seen["MPTA"] - told(held.see(held.hold.start))["MPTA"]) > 2.5
