"""The best size and pose, on bones that were shaped for a known part."""

import json
from dataclasses import replace

import numpy as np
import pytest

from meshing.surface import to_trimesh
from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry, LabelMap
from tests.campaigns import sizes
from workstation.planning.implant_families import find_family
from workstation.planning.implant_library import ChangedLibrary, add_library
from workstation.planning.implant_library_stages import (
    NoChoice,
    candidates_of,
    choose_implant,
    part_fit,
    place_implant,
    pose_of,
    read_dimensions,
)
from workstation.planning.size_search import Pose, Start, Weights, bone_field, judge, seat_points


@pytest.fixture(scope="module")
def cup():
    return sizes.draw(5)


def numbers(value):
    return {number.quantity: number.value for number in value.numbers}


@pytest.mark.parametrize("seed", [4, 5, 7])
def test_a_bone_shaped_for_a_part_gets_its_size_and_pose_back(seed):
    verdict = sizes.judge(sizes.draw(seed), 1)
    assert verdict.ok, verdict


@pytest.fixture(scope="module")
def ball():
    """A block with a hollow half ball of 20 mm radius, open towards +x, on a turned grid."""
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    index = np.moveaxis(np.indices((70, 80, 75)), 0, -1)[..., ::-1]
    world = (index * [0.8, 0.9, 0.8] - [30, 35, 28]) @ turn.T
    solid = (world[..., 0] < 0) & (np.linalg.norm(world, axis=-1) > 20)
    geometry = ImageGeometry((75, 80, 70), (0.8, 0.9, 0.8), tuple(turn @ [-30, -35, -28]),
                             tuple(turn.ravel()), "1.2.3")  # fmt: skip
    return LabelMap(solid.astype(np.uint8), geometry)


def test_distances_and_slopes_are_those_of_the_shape(ball):
    field = bone_field(ball)
    random = np.random.default_rng(3)
    way = random.normal(size=(400, 3))
    way[:, 0] = -np.abs(way[:, 0]) - 0.5
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    radius = random.uniform(17, 22, 400)
    gap, slope = field(way * radius[:, None])
    off = gap - (20 - radius)
    assert np.abs(off).mean() < 0.2
    assert abs(off.mean()) < 0.1
    towards = np.einsum("ij,ij->i", slope, way)
    assert np.median(towards) == pytest.approx(-1, abs=0.1)
    step = 1e-4
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        there = field(way * radius[:, None] + shift)[0]
        assert np.median(np.abs((there - gap) / step - slope[:, axis])) < 1e-3


def test_a_cup_of_the_right_size_touches_and_others_do_not(ball):
    field, weights = bone_field(ball), Weights()
    family = find_family("acetabular_cup")
    pose = Pose((0.0, 0.0, 0.0), (0.0, 90.0, 0.0))  # opens towards +x
    fits = {
        d: judge(family.part("44", {"outer_mm": d}), pose, field, weights) for d in (38, 40, 43)
    }
    assert fits[40].contact > 90
    assert fits[40].score > max(fits[38].score, fits[43].score)
    assert fits[38].gap_mm == pytest.approx(1.0, abs=0.2)
    assert fits[43].interference_mm == pytest.approx(1.5, abs=0.2)
    turned = judge(family.part("44", {"outer_mm": 40.0}), Pose((0, 0, 0)), field, weights)
    assert 35 < turned.contact < 65  # half of it looks out of the bone


def test_points_of_a_seat_are_spread_evenly():
    part = find_family("acetabular_cup").part("50")
    points, normals = seat_points(part, 4000)
    assert np.linalg.norm(points, axis=1) == pytest.approx(25, rel=0.01)
    # by Archimedes, heights on a sphere are uniform
    assert np.histogram(-points[:, 2], 5, (0, 25))[0] == pytest.approx([800] * 5, abs=60)
    assert np.einsum("ij,ij->i", points, normals).min() > 0


def test_directions_of_a_start_are_kept_within_their_spread():
    start = Start((0, 0, 0), (0, 0, 2.0), (1.0, 0, 1.0), spread_degrees=20)
    made = start.rotations()
    assert made[0] == pytest.approx(np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]))
    assert np.degrees(np.arccos(made[:, 2, 2].min())) <= 20 + 1e-6
    assert np.linalg.det(made) == pytest.approx(1)
    with pytest.raises(ValueError, match="axis and front point the same way"):
        Start((0, 0, 0), (0, 0, 1), (0, 0, 3.0)).rotations()


# The stages -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def choice(cup):
    tried = f"{int(cup.part.size) - 2}, {cup.part.size}"
    return choose_implant(cup.bone, family="acetabular_cup", site_mm=cup.start.site_mm,
                          axis=cup.start.axis, sizes=tried)  # fmt: skip


def test_a_choice_ranks_its_candidates_and_says_why(cup, choice):
    found = candidates_of(choice)
    assert [c.size for c in found] == [cup.part.size, str(int(cup.part.size) - 2)]
    known = numbers(choice)
    assert known["rank_1.score"] > known["rank_2.score"]
    assert known["rank_1.contact"] > 80
    assert choice.findings[0].sentence.startswith(f"Sizes by their score: {cup.part.size} (")


def test_a_placed_part_lies_where_the_choice_says_with_the_same_numbers(cup, choice):
    placed = place_implant(cup.bone, choice)
    known, best = numbers(placed), candidates_of(choice)[0]
    assert placed.frame_uid == "1.2.3"
    origin = [known[f"position.{axis}"] for axis in "xyz"]
    assert origin == pytest.approx(best.pose.position_mm)
    assert np.linalg.norm(np.subtract(origin, cup.pose.position_mm)) < 1
    assert known["contact"] == pytest.approx(numbers(choice)["rank_1.contact"], abs=1.0)
    second = place_implant(cup.bone, choice, rank=2)
    assert second.name.endswith(candidates_of(choice)[1].size)
    thick = choose_implant(cup.bone, family="acetabular_cup", site_mm=cup.start.site_mm,
                           axis=cup.start.axis, sizes="58", dimensions="wall_mm=8")  # fmt: skip
    assert numbers(place_implant(cup.bone, thick))["volume"] > 1.5 * known["volume"]
    with pytest.raises(NoChoice, match="2 candidates only"):
        place_implant(cup.bone, choice, rank=3)


def test_six_numbers_move_a_part_and_the_map_follows(cup, choice):
    best = candidates_of(choice)[0]
    axis = best.pose.rotation[:, 2]
    out = tuple(float(v) for v in np.asarray(best.pose.position_mm) + 2.0 * axis)
    here, away = place_implant(cup.bone, choice), place_implant(cup.bone, choice, position_mm=out)
    moved = away.points_mm - here.points_mm
    assert moved == pytest.approx(np.broadcast_to(2.0 * axis, moved.shape))
    assert numbers(away)["score"] < numbers(here)["score"] - 20
    maps = [part_fit(mesh, cup.bone) for mesh in (here, away)]
    pole = int(np.argmin(here.points_mm @ axis))
    gaps = [mapped.point_data["gap_mm"][pole] for mapped in maps]
    assert gaps[1] - gaps[0] == pytest.approx(2.0, abs=0.5)
    assert "edge.step" not in numbers(maps[0])
    turned = place_implant(cup.bone, choice, turn_degrees=(0.0, 0.0, 90.0))
    local = find_family("acetabular_cup").part(best.size).mesh.points_mm
    expected = local[:, [1, 0, 2]] * [-1, 1, 1] + best.pose.position_mm
    assert turned.points_mm == pytest.approx(expected)


def test_a_nudge_goes_along_and_about_the_parts_own_axes(cup, choice):
    pose = pose_of(place_implant(cup.bone, choice))
    best = candidates_of(choice)[0].pose
    assert pose.position_mm == pytest.approx(best.position_mm)
    moved = pose.nudged((0.0, 0.0, 2.0), (0.0, 0.0, 30.0))
    away = np.subtract(moved.position_mm, pose.position_mm)
    assert away == pytest.approx(2 * pose.rotation[:, 2])
    assert moved.rotation[:, 2] == pytest.approx(pose.rotation[:, 2])
    assert moved.rotation[:, 0] @ pose.rotation[:, 1] == pytest.approx(0.5)
    assert pose_of(cup.part.mesh) is None


def test_a_part_of_an_added_library_is_placed_from_its_choice(cup, tmp_path, monkeypatch):
    monkeypatch.setenv("HILUM_IMPLANTS", str(tmp_path / "kept"))
    to_trimesh(cup.part.mesh).export(tmp_path / "cup.stl")
    record = {"schema": 1, "name": "mine", "title": "Mine", "maker": "Nobody",
              "regulatory": "tests", "material": "Ti-6Al-4V", "unit": "mm",
              "families": [{"name": "cup", "title": "Cup", "frame": "as ours", "turns": True,
                            "sizes": [{"name": "a/b", "file": "cup.stl"}]}]}  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(record))
    sha256 = add_library(tmp_path).sha256
    found = choose_implant(cup.bone, family="cup", library="mine", library_sha256=sha256,
                           site_mm=cup.start.site_mm, axis=cup.start.axis)  # fmt: skip
    placed = place_implant(cup.bone, found)
    assert placed.name == "Cup a/b"
    assert numbers(placed)["volume"] == pytest.approx(numbers(cup.part.mesh)["volume"], rel=1e-3)
    with pytest.raises(ChangedLibrary, match="the plan's is that of 0123"):
        place_implant(cup.bone, found, library_sha256="0123")


def test_what_is_missing_is_said(cup, choice):
    with pytest.raises(NoChoice, match="give family and size"):
        place_implant(cup.bone)
    with pytest.raises(NoChoice, match="give position_mm"):
        place_implant(cup.bone, family="acetabular_cup", size="50")
    other = replace(choice, frame_uid="9")
    with pytest.raises(FrameMismatch):
        place_implant(cup.bone, other)
    with pytest.raises(ValueError, match="no bone at the site"):
        choose_implant(replace(cup.bone, array=np.zeros_like(cup.bone.array)),
                       family="acetabular_cup", site_mm=(0, 0, 0), sizes="50")  # fmt: skip
    with pytest.raises(ValueError, match="'long' is not NAME=NUMBER"):
        read_dimensions("tip_mm=9, long")
    assert read_dimensions(" tip_mm = 9, length_mm=120") == {"tip_mm": 9.0, "length_mm": 120.0}
