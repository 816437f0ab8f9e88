"""Good surfaces damaged in known ways are repaired to what they were, or refused by name."""

import numpy as np
import pytest

from meshing.intersections import intersecting_pairs
from meshing.repair import Unrepairable, repair
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from segmentation.contract import Severity
from tests.campaigns.damage import KINDS, judge
from tests.meshing.solids import CENTRE, at, ball, pear

REFUSED = {"sheet": "encloses next to nothing|is missing", "moebius": "one side only"}
FOUND = {
    "small_holes": "holes",
    "large_hole": "holes",
    "flipped_patch": "turned",
    "inside_out": "inside_out",
    "double_triangles": "scraps",
    "unwelded": "welded",
    "unwelded_and_shaken": "welded_near",
    "t_junctions": "seams",
    "fins": "walls",
    "touching_solids": "not_manifold",
    "spikes": "mended",
    "folds": "mended",
    "stray_islands": "fragments",
    "inner_part": "inner_parts",
    "overlapping_parts": "united",
    "crack": "cracks",
    "open_tube": "open_ends",
}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_repaired_and_named(kind: str) -> None:
    verdict = judge(kind, pear(4 if kind in ("large_hole", "crack", "folds") else 3), 7)
    if kind in REFUSED:
        assert verdict.outcome == "refused"
        return
    assert verdict.outcome == "repaired", verdict
    assert FOUND.get(kind, "") in verdict.why
    assert not verdict.wrapped


@pytest.mark.parametrize(("kind", "why"), REFUSED.items())
def test_what_cannot_be_repaired_is_refused_by_name(kind: str, why: str) -> None:
    damaged, _ = KINDS[kind](pear(), np.random.default_rng(7))
    with pytest.raises(Unrepairable, match=why):
        repair(damaged)


def test_a_sound_surface_comes_back_as_it_was() -> None:
    mesh = pear()
    result = repair(mesh)
    assert [f.code for f in result.findings] == ["sound"]
    assert enclosed_mm3(result) == pytest.approx(enclosed_mm3(mesh), rel=1e-12)
    assert {tuple(p) for p in result.points_mm} == {tuple(p) for p in mesh.points_mm}
    assert (result.name, result.colour, result.frame_uid) == ("pear", (1, 2, 3), "1.2.3")


def test_the_largest_change_has_its_place() -> None:
    mesh = ball(detail=4)
    points = mesh.points_mm.copy()
    points[100] = CENTRE - 1.5 * (points[100] - CENTRE)
    result = repair(mesh.reshaped(points, mesh.triangles))
    numbers = {n.quantity: n.value for n in result.numbers}
    assert numbers["largest_change"] == pytest.approx(10.0, abs=0.1)
    place = next(f for f in result.findings if f.code == "largest_change").location_mm
    assert place == pytest.approx(points[100], abs=0.01)
    assert numbers["volume_change"] > 0


def test_open_ends_are_capped_kept_or_filled() -> None:
    damaged, volume = KINDS["open_tube"](pear(), np.random.default_rng(0))
    capped = repair(damaged)
    assert set(capped.boundaries) == {"wall", "cap_1"}
    cap = capped.points_mm[capped.triangles[capped.boundaries["cap_1"]]]
    assert np.ptp(cap[:, :, 2]) < 1e-6  # flat
    assert enclosed_mm3(capped) == pytest.approx(volume, rel=1e-6)
    kept = repair(damaged, open_ends="keep")
    assert not is_watertight(kept)
    assert {"open_ends", "open_surface"} <= {f.code for f in kept.findings}
    filled = repair(damaged, open_ends="fill", uncertain_percent=50)
    assert is_watertight(filled)
    assert enclosed_mm3(filled) > 1.02 * enclosed_mm3(capped)
    assert not filled.boundaries


def test_a_filled_volume_has_a_band() -> None:
    damaged, volume = KINDS["large_hole"](ball(detail=4), np.random.default_rng(0))
    number = next(n for n in repair(damaged).numbers if n.quantity == "volume")
    assert number.low is not None
    assert number.high is not None
    assert number.low < volume / 1000 < number.high
    assert "filled" in number.source


def test_holes_too_large_to_guess_are_refused() -> None:
    mesh = ball(detail=4)
    high = mesh.points_mm[mesh.triangles].mean(axis=1)[:, 2] - CENTRE[2]
    damaged = mesh.reshaped(mesh.points_mm, mesh.triangles[high < 14])  # a cap of 5 percent
    with pytest.raises(Unrepairable, match=r"uncertain by .* percent"):
        repair(damaged, open_ends="fill")
    allowed = repair(damaged, open_ends="fill", uncertain_percent=10)
    assert enclosed_mm3(allowed) == pytest.approx(enclosed_mm3(mesh), rel=0.02)


def both(one: SurfaceMesh, two: SurfaceMesh) -> SurfaceMesh:
    return one.reshaped(
        np.concatenate([one.points_mm, two.points_mm]),
        np.concatenate([one.triangles, two.triangles + len(one.points_mm)]),
    )


@pytest.mark.parametrize("turn_all", [False, True])
def test_cavities_stay_cavities(turn_all: bool) -> None:
    inner = ball(5)
    shell = both(ball(20), inner.reshaped(inner.points_mm, inner.triangles[:, ::-1]))
    whole = shell.reshaped(shell.points_mm, shell.triangles[:, ::-1]) if turn_all else shell
    assert enclosed_mm3(repair(whole)) == pytest.approx(enclosed_mm3(shell))
    solid = repair(whole, smallest_percent=5.0)  # 1.6 percent of the ball
    assert enclosed_mm3(solid) == pytest.approx(enclosed_mm3(ball(20)))


def test_all_parts_or_the_largest() -> None:
    two = both(ball(20), ball(8, at(60, 0, 0)))
    assert enclosed_mm3(repair(two)) == pytest.approx(enclosed_mm3(two))
    assert enclosed_mm3(repair(two, keep="largest part")) == pytest.approx(enclosed_mm3(ball(20)))


def test_what_cannot_be_mended_is_wrapped_and_said() -> None:
    """A surface shaken all over runs through itself everywhere."""
    mesh = ball()
    noise = np.random.default_rng(1).uniform(-3, 3, mesh.points_mm.shape)
    shaken = mesh.reshaped(mesh.points_mm + noise, mesh.triangles)
    with pytest.raises(Unrepairable, match="folded that its volume stays uncertain"):
        repair(shaken, voxel_mm=3.0)
    result = repair(shaken, voxel_mm=1.2, uncertain_percent=100)
    assert is_watertight(result)
    assert not len(intersecting_pairs(result.points_mm, result.triangles))
    note = next(f for f in result.findings if f.code == "wrapped")
    assert note.severity is Severity.WARNING
    assert "1.2 mm" in note.sentence
    assert enclosed_mm3(result) == pytest.approx(enclosed_mm3(mesh), rel=0.1)


def test_nothing_to_repair() -> None:
    empty = ball().reshaped(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(Unrepairable, match="no triangle with an area"):
        repair(empty)


def test_the_same_again() -> None:
    damaged, _ = KINDS["missing_at_random"](pear(), np.random.default_rng(3))
    one, two = repair(damaged), repair(damaged)
    assert np.array_equal(one.points_mm, two.points_mm)
    assert np.array_equal(one.triangles, two.triangles)
