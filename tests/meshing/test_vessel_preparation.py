"""Any vessel surface becomes a closed lumen with named flat ends, or is refused with a reason."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.booleans import combine_surfaces
from meshing.centerline import centerline
from meshing.mesh import enclosed_mm3
from meshing.reading import read_surface
from meshing.surface import SurfaceMesh, is_watertight, isosurface, volume_ml
from meshing.vessel_ends import cap_ends, extend_ends
from meshing.vessel_preparation import (
    UnusableVessel,
    _inlet_moved,
    _still_open,
    prepare_lumen,
)
from segmentation.contract import Finding, Severity
from tests.meshing.vessels import TILTED, capsule, labelled, line, swept

AXIS = line(30.0)
CONE = swept(AXIS, np.linspace(1.5, 2.5, len(AXIS)))


def codes(mesh):
    return [finding.code for finding in mesh.findings]


def flat_ends(lumen: SurfaceMesh) -> dict[str, np.ndarray]:
    """Return the outward normal of each end, having checked that it is flat."""
    normals = {}
    for name, part in lumen.boundaries.items():
        if name == "wall":
            continue
        corners = lumen.points_mm[lumen.triangles[part]]
        arms = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
        normal = arms / np.linalg.norm(arms)
        points = corners.reshape(-1, 3)
        assert np.ptp(points @ normal) < 1e-3
        normals[name] = normal
    return normals


def test_an_open_vessel_gets_lengthened_flat_named_ends():
    lumen = prepare_lumen(CONE, diameters=2.0)
    assert is_watertight(lumen)
    normals = flat_ends(lumen)
    assert list(normals) == ["inlet", "outlet_1"]
    assert normals["inlet"] @ TILTED == pytest.approx(1, abs=1e-3)
    assert normals["outlet_1"] @ TILTED == pytest.approx(-1, abs=1e-3)
    along = (lumen.points_mm - AXIS[0]) @ TILTED
    assert along.max() == pytest.approx(30 - 2.5 + 4 * 2.42, abs=0.3)
    assert along.min() == pytest.approx(1.5 - 4 * 1.55, abs=0.3)
    assert sum(len(part) for part in lumen.boundaries.values()) == len(lumen.triangles)


def test_a_vessel_inside_out_is_turned_and_that_is_told():
    turned = CONE.reshaped(CONE.points_mm, CONE.triangles[:, ::-1])
    lumen, straight = prepare_lumen(turned), prepare_lumen(CONE)
    assert enclosed_mm3(lumen) == pytest.approx(enclosed_mm3(straight), rel=1e-6)
    assert codes(lumen).count("inside_out") == 1
    assert "inside_out" not in codes(straight)


def test_a_closed_label_is_cut_open_at_its_tips_but_not_at_its_sac():
    vessel = capsule([0, 0, 0], [20, 6, 4], 2.0)
    sac = capsule([10, 6.5, 2], [10, 7, 2], 2.6)
    label = labelled([vessel, sac], [-4, -4, -4], [24, 14, 9])
    surface = isosurface(label)
    lumen = prepare_lumen(surface, diameters=0.0)
    normals = flat_ends(lumen)
    along = np.array([20, 6, 4]) / np.linalg.norm([20, 6, 4])
    assert sorted(round(float(n @ along)) for n in normals.values()) == [-1, 1]
    assert 0.7 < volume_ml(lumen) / volume_ml(surface) < 0.85


def test_ends_that_stay_closed_are_told_and_can_be_asked_for():
    narrow = swept(AXIS, np.linspace(0.8, 2.5, len(AXIS)))
    with pytest.raises(UnusableVessel, match="has 1 usable end"):
        prepare_lumen(narrow, narrowest_percent=60.0)
    lumen = prepare_lumen(narrow, ends="inlet, outlet_1", names="outlet_1=mca", diameters=0.0)
    assert set(lumen.boundaries) == {"wall", "inlet", "mca"}
    with pytest.raises(ValueError, match="no end 'outlet_7'"):
        prepare_lumen(narrow, ends="outlet_7")


def test_the_end_taken_as_inlet_is_told_and_can_be_swapped():
    lumen = prepare_lumen(CONE, diameters=0.0)
    (told,) = (f for f in lumen.findings if f.code == "inlet_assumed")
    assert (told.severity, "outlet_1, is 3.1 mm wide" in told.sentence) == (Severity.INFO, True)
    assert flat_ends(lumen)["inlet"] @ TILTED == pytest.approx(1, abs=1e-3)
    swapped = prepare_lumen(CONE, diameters=0.0, names="outlet_1=inlet, inlet=outlet_1")
    assert "inlet_assumed" not in codes(swapped)
    assert flat_ends(swapped)["inlet"] @ TILTED == pytest.approx(-1, abs=1e-3)
    even = prepare_lumen(swept(AXIS, np.linspace(2.2, 2.5, len(AXIS))), diameters=0.0)
    assert [f.severity for f in even.findings if f.code == "inlet_assumed"] == [Severity.WARNING]


def test_a_hole_in_the_wall_is_no_outlet():
    middles = CONE.points_mm[CONE.triangles].mean(axis=1)
    spot = middles[len(middles) // 2]
    holed = CONE.reshaped(
        CONE.points_mm, CONE.triangles[np.linalg.norm(middles - spot, axis=1) > 0.9]
    )
    lumen = prepare_lumen(holed, diameters=0.0)
    assert set(lumen.boundaries) == {"wall", "inlet", "outlet_1"}
    told = {f.code: f.severity for f in lumen.findings}
    assert told.get("end_stays_closed", told.get("holes_closed")) == Severity.WARNING


def test_a_blind_end_that_is_cut_open_is_told():
    closed = cap_ends(CONE)
    caps = closed.boundaries["outlet_1"]
    rows = np.setdiff1d(np.arange(len(closed.triangles)), caps)
    dead_end = closed.reshaped(closed.points_mm, closed.triangles[rows])
    told = [f for f in prepare_lumen(dead_end).findings if f.code == "blind_end_opened"]
    assert [f.severity for f in told] == [Severity.WARNING]


def test_faults_that_the_caps_close_are_told_no_longer():
    edges = Finding(Severity.WARNING, "open_edges", "60 edges have one triangle only")
    assert "open_edges" not in codes(prepare_lumen(replace(CONE, findings=(edges,))))


@pytest.mark.parametrize("factor", [0.001, 100.0])
def test_a_vessel_in_another_unit_is_refused(factor):
    odd = CONE.reshaped(CONE.points_mm * factor, CONE.triangles)
    with pytest.raises(UnusableVessel, match=r"widest end .* measures .* mm.*unit"):
        prepare_lumen(odd)


def test_a_narrow_open_end_is_closed_into_the_wall():
    side = swept(line(12.0, np.array([0.8, 0.6, 0.0]), 30) + 12 * TILTED, 0.6)
    main = prepare_lumen(CONE, diameters=0.0)
    both = combine_surfaces(main, prepare_lumen(side, diameters=0.0), operation="union")
    found = centerline(both)
    every = prepare_lumen(both, found, diameters=0.0, narrowest_percent=5.0)
    assert len(every.boundaries) == 4
    tree = every.reshaped(every.points_mm, every.triangles[every.boundaries["wall"]])
    wide = prepare_lumen(tree, diameters=0.0, narrowest_percent=40.0, names="outlet_1=mca")
    assert set(wide.boundaries) == {"wall", "inlet", "mca"}
    assert "end_stays_closed" in codes(wide)
    assert is_watertight(wide)
    assert sum(len(part) for part in wide.boundaries.values()) == len(wide.triangles)
    areas = {n.quantity for n in wide.numbers if n.quantity.endswith("area")}
    assert {"inlet.area", "mca.area"} <= areas
    assert "outlet_2.area" not in areas


def test_a_blind_vessel_is_refused():
    closed = cap_ends(CONE)
    ball = isosurface(labelled([capsule([0, 0, 0], [0.1, 0, 0], 3.0)], [-4] * 3, [4] * 3))
    with pytest.raises(ValueError, match=r"end|vessel|centerline"):
        prepare_lumen(ball)
    assert set(prepare_lumen(closed).boundaries) == {"wall", "inlet", "outlet_1"}


def test_a_damaged_vessel_is_repaired_and_the_largest_part_taken():
    keep = np.ones(len(CONE.triangles), bool)
    keep[[1500, 1501]] = False
    torn = CONE.triangles[keep]
    double = np.concatenate([torn, torn[1000:1003]])
    piece = swept(line(6.0) + np.array([40.0, 0.0, 0.0]), 0.6)
    triangles = np.concatenate([double, piece.triangles + len(CONE.points_mm)])
    both = replace(
        CONE, points_mm=np.concatenate([CONE.points_mm, piece.points_mm]), triangles=triangles
    )
    lumen = prepare_lumen(both)
    assert is_watertight(lumen)
    assert "parts_left_out" in codes(lumen)
    assert volume_ml(lumen) == pytest.approx(volume_ml(prepare_lumen(CONE)), rel=0.01)


def test_an_extension_stops_before_the_vessel():
    angle = np.linspace(0, 1.5 * np.pi, 90)
    bend = np.stack([10 * np.cos(angle), 10 * np.sin(angle), 0 * angle], axis=1)
    start = np.linspace(bend[0] - [0, 25.0, 0], bend[0], 40, endpoint=False)
    hook = swept(np.concatenate([start, bend]), 1.5)
    found = centerline(hook, inlet_mm=tuple(start[0]))
    longer = extend_ends(hook, found, diameters=6.0)
    assert sorted(codes(longer)) == ["end_lengthened", "end_shortened"]
    lumen = cap_ends(longer, found)
    reach = lumen.points_mm[:, 0].max()
    assert reach == pytest.approx(10 + 1.5, abs=0.1)  # not through the straight part


def test_ends_of_real_aneurysms_are_open_and_apart(real_data):
    for case, count in (("AN153", 2), ("AN190", 4)):
        path = real_data / "aneurysm_intra" / f"{case}_full.obj"
        lumen = prepare_lumen(read_surface(path), diameters=5.0)
        assert len(flat_ends(lumen)) == count
        assert "crossings" not in codes(lumen)


def test_an_end_that_went_with_its_neighbour_is_told_and_not_waited_for():
    whole = centerline(CONE)
    last = len(CONE.points_mm) - 32
    shut = np.stack([np.full(30, last), last + np.arange(1, 31), last + np.arange(2, 32)], axis=1)
    one_end = CONE.reshaped(CONE.points_mm, np.concatenate([CONE.triangles, shut]))
    (gone,) = (name for name, n in whole.ends.items() if whole.nodes[n].radius_mm > 2)
    left, notes = _still_open(one_end, whole, list(whole.ends))
    assert left == [name for name in whole.ends if name != gone]
    assert [(f.code, gone in f.sentence) for f in notes] == [("end_lost", True)]
    assert _still_open(CONE, whole, list(whole.ends)) == (list(whole.ends), [])


def test_where_the_inlet_stays_closed_the_widest_end_takes_its_place():
    capped = cap_ends(CONE, centerline(CONE))
    renaming, notes = _inlet_moved(capped, ["outlet_1", "inlet"])
    assert renaming == "inlet=inlet"  # the wider one of these
    assert _inlet_moved(capped, ["outlet_1"])[0] == "outlet_1=inlet"
    assert notes[0].code == "inlet_moved"


def test_a_narrow_outlet_stays_open_however_much_the_wide_end_is_lengthened():
    along = np.linspace(0, 1, 100)
    radius = 0.375 + 2.125 * np.clip((along - 0.85) / 0.05, 0, 1)
    vessel = swept(line(30.0, count=100), radius)
    lumen = prepare_lumen(vessel, diameters=5.0, ends="inlet, outlet_1")
    assert list(flat_ends(lumen)) == ["inlet", "outlet_1"]
    assert "end_lost" not in codes(lumen)
    assert "holes_closed" not in codes(lumen)
