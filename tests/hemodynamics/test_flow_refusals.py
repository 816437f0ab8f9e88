"""What no flow can be computed for is refused with a reason before the solver starts."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from hemodynamics import flow_levels
from hemodynamics.boundary import UnusableWaveform
from hemodynamics.domain import UnusableLumen
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_setup import ImplausibleFlow, TooCostly
from hemodynamics.gpu import NoCard
from meshing.mesh import OpenSurface, SurfaceMesh
from meshing.vessel_preparation import UnusableVessel
from tests.hemodynamics.tubes import capped_tube

TUBE = capped_tube(2.0, 8.0, rings=12)[0]


def leaking():
    return replace(TUBE.reshaped(TUBE.points_mm, TUBE.triangles[1:]), boundaries={})


def inverted():
    turned = TUBE.reshaped(TUBE.points_mm, TUBE.triangles[:, ::-1])
    return replace(turned, boundaries=TUBE.boundaries)


def without_ends():
    return replace(TUBE, boundaries={})


def without_outlet():
    parts = {"wall": np.concatenate([TUBE.boundaries["wall"], TUBE.boundaries["outlet_1"]])}
    return replace(TUBE, boundaries={**parts, "inlet": TUBE.boundaries["inlet"]})


def without_wall():
    return replace(TUBE, boundaries={k: v for k, v in TUBE.boundaries.items() if k != "wall"})


def bulging():
    points = TUBE.points_mm.copy()
    inner = np.setdiff1d(
        TUBE.triangles[TUBE.boundaries["outlet_1"]], TUBE.triangles[TUBE.boundaries["wall"]]
    )
    points[inner] *= 1.3
    return replace(TUBE, points_mm=points)


def in_two_parts():
    one, two = TUBE, capped_tube(2.0, 8.0, rings=12)[0]
    points = np.concatenate([one.points_mm, two.points_mm + 30.0])
    triangles = np.concatenate([one.triangles, two.triangles + len(one.points_mm)])
    rest = np.arange(len(one.triangles), len(triangles))
    outlet = two.boundaries["outlet_1"] + len(one.triangles)
    inner = [one.boundaries["wall"], one.boundaries["outlet_1"], np.setdiff1d(rest, outlet)]
    parts = {"wall": np.concatenate(inner), "inlet": one.boundaries["inlet"], "outlet_1": outlet}
    return SurfaceMesh(points, triangles, "1.2", boundaries=parts)


REFUSED = {
    "open": (lambda: SurfaceMesh(*_sheet(), "1.2"), {}, OpenSurface, "closed|open"),
    "leaking": (leaking, {}, OpenSurface, "closed|open"),
    "inverted": (inverted, {}, UnusableLumen, "inside out"),
    "no ends": (without_ends, {}, UnusableLumen, "no open ends by name.*cut and cap"),
    "no outlet": (without_outlet, {}, UnusableLumen, "1 open ends by name.*inlet and an outlet"),
    "no wall": (without_wall, {}, UnusableLumen, "called wall"),
    "bulging end": (bulging, {}, UnusableLumen, r"outlet_1 is not flat.*right angle"),
    "two parts": (in_two_parts, {}, UnusableLumen, "falls apart between inlet and outlet_1"),
    "tiny": (lambda: TUBE, {"spacing_mm": 2.0}, UnusableLumen, "cells of .* across; take"),
    "unknown inlet": (lambda: TUBE, {"inlets": "ica"}, UnusableLumen, "no end ica"),
    "only inlets": (lambda: TUBE, {"inlets": "inlet, outlet_1"}, UnusableLumen, "every end is"),
    "too fast": (lambda: TUBE, {"mean_flow_ml_s": 900.0}, ImplausibleFlow, "give 75 mL/s or less"),
    "too slow": (lambda: TUBE, {"mean_flow_ml_s": 3e-6}, ImplausibleFlow, "slower than.*mL/s?"),
    "a surface in metres": (
        lambda: replace(TUBE, points_mm=TUBE.points_mm / 1000),
        {},
        UnusableVessel,
        "measures 0.004 mm.*unit",
    ),
    "too fine": (lambda: TUBE, {"spacing_mm": 0.002}, TooCostly, "GiB of memory.*take cells of"),
    "waveform": (
        lambda: TUBE,
        {"kind": "pulsatile", "waveform": "0 1; 0.2 -3; 0.4 0; 0.6 0"},
        UnusableWaveform,
        "must be positive",
    ),
}


def _sheet():
    box = trimesh.creation.box()
    return box.vertices, box.faces[:6]


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_before_the_solver_starts(what, monkeypatch):
    def started(*arguments):
        raise AssertionError("the solver was started")

    monkeypatch.setattr(flow_levels, "_run", started)
    make, options, error, text = REFUSED[what]
    with pytest.raises(error, match=text):
        simulate_flow(make(), **{"spacing_mm": 0.8, **options})


def test_a_card_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr("hemodynamics.gpu.card", lambda: None)
    with pytest.raises(NoCard, match="compute on the processor"):
        simulate_flow(TUBE, spacing_mm=0.8, device="cuda")


def test_flow_that_may_be_turbulent_is_told():
    flow = simulate_flow(TUBE, mean_flow_ml_s=40.0, spacing_mm=0.8, most_exchanges=1.0)
    assert "turbulent" in {finding.code for finding in flow.findings}
