"""Walls, gaps, overhang and size of shapes whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from meshing.orientation import best_laying, laying, orient_for_print
from meshing.printability import printability
from meshing.surface import SurfaceMesh, volume_ml

ANYWHERE = Rotation.from_euler("xyz", (20, -35, 50), degrees=True)
SHIFT = np.array([31.3, -17.7, 204.1])


def solid(shape: trimesh.Trimesh, turn: Rotation | None = None) -> SurfaceMesh:
    points = np.asarray(shape.vertices)
    points = (turn.apply(points) if turn else points) + SHIFT
    return SurfaceMesh(points, shape.faces, "1.2.3", "part")


def box(*size: float) -> trimesh.Trimesh:
    return trimesh.creation.box(size)


def dumbbell(neck_mm: float) -> trimesh.Trimesh:
    """Return two blocks that a plate of the given thickness joins."""
    parts = [box(20, 20, 20), box(20, 20, 20), box(30, 20, neck_mm)]
    parts[0].apply_translation((-20, 0, 0))
    parts[1].apply_translation((20, 0, 0))
    return trimesh.boolean.union(parts, engine="manifold")


def number(mesh: SurfaceMesh, name: str) -> float:
    return next(n.value for n in mesh.numbers if n.quantity == name)


def codes(mesh: SurfaceMesh) -> list[str]:
    return [f.code for f in mesh.findings]


@pytest.mark.parametrize("thickness", [0.5, 0.75])
@pytest.mark.parametrize("turn", [None, ANYWHERE])
def test_a_thin_wall_is_found_measured_and_placed(thickness: float, turn: Rotation | None) -> None:
    mesh = printability(solid(dumbbell(thickness), turn), wall_mm=0.8)
    fault = mesh.findings[0]
    assert (fault.code, fault.severity) == ("thin_wall", "problem")
    assert number(mesh, "thinnest_wall") == pytest.approx(thickness, abs=1e-6)
    here = np.subtract(fault.location_mm, SHIFT)
    here = turn.inv().apply(here) if turn else here
    assert abs(here[0]) < 10
    assert abs(here[2]) == pytest.approx(thickness / 2, abs=1e-6)
    thick = mesh.point_data["wall_mm"].max()
    assert thick == pytest.approx(2.4)


def test_a_wall_that_is_thick_enough_is_none() -> None:
    assert "thin_wall" not in codes(printability(solid(dumbbell(0.85)), wall_mm=0.8))
    assert "thin_wall" not in codes(printability(solid(box(20, 30, 40), ANYWHERE)))


def test_a_slot_is_a_gap_and_no_wall() -> None:
    slot = box(0.3, 40, 10)
    slot.apply_translation((2, 0, 12))
    block = trimesh.boolean.difference([box(20, 20, 30), slot], engine="manifold")
    mesh = printability(solid(block), gap_mm=0.4)
    assert [c for c in codes(mesh) if c != "overhang"] == ["narrow_gap", "narrow_gap"]
    assert mesh.findings[0].severity == "warning"
    assert number(mesh, "narrowest_gap") == pytest.approx(0.3, abs=1e-6)
    assert "narrow_gap" not in codes(printability(solid(block), gap_mm=0.25))
    assert "gap_mm" not in printability(solid(block), gap_mm=0).point_data


def test_a_ridge_is_no_thin_wall() -> None:
    """A wedge of 40 degrees is thin only along its edge, which every organ's rim is."""
    half = 20 * np.tan(np.radians(20))
    points = np.array(
        [[0, 0, y] for y in (0, 30)] + [[20, s * half, y] for s in (-1, 1) for y in (0, 30)]
    )
    shape = trimesh.convex.convex_hull(points)
    mesh = printability(solid(shape), wall_mm=0.8)
    assert "thin_wall" not in codes(mesh)


def test_of_long_triangles_only_the_rim_is_thin() -> None:
    """A face cut at 12 degrees is thin along its rim; its triangles reach far from there."""
    low, high = 0.0, 60 * np.tan(np.radians(12))
    points = [[x, y, z] for y in (0, 30) for x, z in ((0, low), (60, low), (60, high))]
    mesh = printability(solid(trimesh.convex.convex_hull(np.array(points))), wall_mm=0.8)
    covers = [float(f.sentence.split("over ")[1].split(" ")[0]) for f in mesh.findings[:1]]
    # The strip where the wall is under 0.8 mm is 3.7 to 3.8 mm wide, on both sides 30 mm long.
    assert mesh.findings[0].code == "thin_wall"
    assert covers[0] == pytest.approx(2 * 30 * 3.75, rel=0.35)


def test_size_is_judged_as_it_lies_best() -> None:
    long = solid(box(400, 20, 20))
    assert "too_large" in codes(printability(long, build_mm=(250, 210, 220)))
    # Along the diagonal of a larger plate it fits.
    assert "too_large" not in codes(printability(long, build_mm=(310, 310, 60)))
    turned = solid(box(240, 20, 20), ANYWHERE)
    assert "too_large" not in codes(printability(turned))
    assert "too_large" in codes(printability(turned, build_mm=(250, 210, 100), lies="as it is"))


@pytest.mark.parametrize("objective", ["least support", "least height"])
def test_a_slab_lies_flat(objective: str) -> None:
    lain = best_laying(solid(box(60, 40, 5), ANYWHERE), objective=objective)  # type: ignore[arg-type]
    assert abs(np.dot(lain.up, ANYWHERE.apply([0, 0, 1]))) == pytest.approx(1, abs=1e-3)
    assert sorted(lain.size_mm) == pytest.approx([5, 40, 60], abs=0.3)
    assert lain.size_mm[2] == pytest.approx(5, abs=0.05)
    assert lain.support_mm3 == 0


def test_a_mushroom_stands_on_its_head() -> None:
    cap, stem = box(40, 40, 6), box(8, 8, 30)
    cap.apply_translation((0, 0, 15))
    shape = trimesh.boolean.union([cap, stem], engine="manifold")
    upright = laying(solid(shape), (0, 0, 1), 45.0, (250, 210, 220))
    assert upright.overhang_mm2 == pytest.approx(40 * 40 - 8 * 8, rel=1e-6)
    assert upright.support_mm3 == pytest.approx((40 * 40 - 8 * 8) * 27, rel=1e-6)
    assert best_laying(solid(shape)).up == pytest.approx((0, 0, -1), abs=1e-3)


@pytest.mark.parametrize(("lean", "over"), [(40, False), (50, True)])
def test_overhang_begins_beyond_the_limit(lean: float, over: bool) -> None:
    turn = Rotation.from_euler("x", lean, degrees=True)
    mesh = printability(solid(box(10, 4, 60), turn), lies="as it is")
    assert number(mesh, "overhang_area") * 100 == pytest.approx(600 if over else 0, abs=60)
    assert mesh.point_data["overhang_degrees"].max() >= lean - 1e-3


def test_loose_pieces_crumbs_and_cavities_are_told() -> None:
    crumb, hollow, ball = box(0.5, 0.5, 0.5), box(6, 6, 6), box(20, 20, 20)
    crumb.apply_translation((20, 0, 0))
    hollow.invert()
    second = box(8, 8, 8)
    second.apply_translation((-20, 0, 0))
    mesh = printability(solid(trimesh.util.concatenate([ball, hollow, crumb, second])))
    found = {f.code: f for f in mesh.findings}
    assert {"loose_pieces", "crumbs", "cavity"} <= found.keys()
    assert found["loose_pieces"].location_mm[0] < SHIFT[0] - 10
    assert found["crumbs"].location_mm[0] > SHIFT[0] + 10
    assert "0.216 mL" in found["cavity"].sentence


def test_a_faulty_surface_is_checked_all_the_same() -> None:
    mesh = solid(box(20, 30, 40))
    found = printability(replace(mesh, triangles=mesh.triangles[1:]))
    assert found.findings[0].code == "open_surface"
    empty = printability(replace(mesh, triangles=np.empty((0, 3), int)))
    assert codes(empty) == ["empty_surface"]


def test_what_is_turned_for_the_printer_rests_on_its_plate() -> None:
    mesh = solid(box(60, 40, 5), ANYWHERE)
    placed = orient_for_print(mesh)
    assert placed.points_mm[:, 2].min() == pytest.approx(0, abs=1e-9)
    assert np.ptp(placed.points_mm, axis=0) == pytest.approx([60, 40, 5], abs=0.3)
    assert placed.points_mm[:, :2].min(axis=0) == pytest.approx([-30, -20], abs=0.2)
    assert volume_ml(placed) == pytest.approx(12.0)  # turned, not mirrored
    assert (placed.frame_uid, codes(placed)) == ("", ["left_patient_space"])
    assert "too_large" in codes(orient_for_print(mesh, build_mm=(30, 30, 30)))


def test_the_same_surface_gives_the_same_answer() -> None:
    mesh = solid(dumbbell(0.6), ANYWHERE)
    one, other = printability(mesh), printability(mesh)
    assert one.findings == other.findings
    assert one.numbers == other.numbers
    assert np.array_equal(one.point_data["wall_mm"], other.point_data["wall_mm"])
