"""How a person wants surfaces drawn, and what planes hide of them."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.surface import SurfaceMesh
from tests.workstation.shapes import sphere
from workstation import picture
from workstation.actors import scene_items
from workstation.looks import (
    PLAIN,
    ItemLook,
    default_quantity,
    proposed_limits,
    scalar_map,
    split_unit,
    with_look,
)
from workstation.picture import Scene, SceneItem
from workstation.sections import ClipPlane, box_planes, clipped_ray
from workstation.ui.chosen_looks import frames_elsewhere, here_only

RED, GREEN = (220, 30, 30), (30, 220, 30)


def with_data(**arrays: np.ndarray) -> SurfaceMesh:
    body = sphere((0, 0, 0), 20)
    return replace(
        body, point_data={n: np.resize(a, len(body.points_mm)) for n, a in arrays.items()}
    )


def test_a_surface_is_coloured_by_its_first_quantity_or_another() -> None:
    one = with_data(distance_mm=np.array([-1.4, 0.2, 1.1]))
    two = with_data(thickness_mm=np.array([3.0, 4.0]), mean_curvature_per_mm=np.array([0.1, 0.2]))
    assert default_quantity(one) == "distance_mm"
    assert default_quantity(two) == "thickness_mm"
    assert default_quantity(with_data()) == ""
    scalars = scene_items({"map": one})["map"].scalars
    assert scalars is not None
    assert (scalars.title, scalars.unit, scalars.low, scalars.high) == ("Distance", "mm", -1.5, 1.5)
    assert scalars.diverging
    item = scene_items({"two": two})["two"]
    assert item.scalars is not None
    chosen = with_look(item, ItemLook(quantity="mean_curvature_per_mm", high=0.5)).scalars
    assert chosen is not None
    assert (chosen.unit, chosen.low, chosen.high, chosen.diverging) == ("1/mm", 0.0, 0.5, False)


def test_a_person_may_want_the_plain_colour_and_limits_in_disorder_are_not_taken() -> None:
    item = scene_items({"map": with_data(distance_mm=np.array([-1.4, 1.1]))})["map"]
    plain = with_look(item, ItemLook(quantity=PLAIN, opacity=0.3, colour=GREEN))
    assert (plain.scalars, plain.opacity, plain.colour) == (None, 0.3, GREEN)
    turned = scalar_map(item.surface, "distance_mm", low=4.0, high=-4.0)
    assert turned is not None
    assert turned.low < turned.high


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([0.0, 2.9], (0.0, 3.0)), ([-7.1, 0.1], (-8.0, 8.0)), ([0.0, 0.0], (0.0, 1.0)),
        ([-0.3, -0.19], (-0.3, 0.0)), ([], (0.0, 1.0)), ([1.0, np.nan], (0.0, 1.0)),
    ],
)  # fmt: skip
def test_limits_are_round_and_hold_the_values(values: list[float], limits: tuple) -> None:
    low, high = proposed_limits(values)
    assert low < high
    assert (low, high) == pytest.approx(limits)


def test_names_of_quantities_hold_their_unit() -> None:
    assert split_unit("mean_curvature_per_mm") == ("Mean curvature", "1/mm")
    assert split_unit("wall_thickness_mm") == ("Wall thickness", "mm")
    assert split_unit("order") == ("Order", "")


def test_rays_are_cut_where_planes_hide() -> None:
    start, end = np.array([-10.0, 0, 0]), np.array([10.0, 0, 0])
    plane = ClipPlane((2.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    ray = clipped_ray(start, end, (plane,))
    assert ray is not None
    assert ray[0] == pytest.approx((2, 0, 0))
    assert ray[1] == pytest.approx((10, 0, 0))
    box = clipped_ray(start, end, box_planes((-3, -1, -1), (4, 1, 1)))
    assert box is not None
    assert (box[0][0], box[1][0]) == pytest.approx((-3, 4))
    assert clipped_ray(start, end, box_planes((-3, 1, -1), (4, 2, 1))) is None


def test_a_cut_view_shows_a_closed_face_and_the_organ_inside_it() -> None:
    problem = picture.probe()
    if problem:
        pytest.skip(problem)
    scene = Scene()
    inner = SceneItem(sphere((8, 0, 0), 8), GREEN)
    scene.set_values({"outer": SceneItem(sphere((0, 0, 0), 25), RED, 0.5), "inner": inner})
    scene.look_from("A", (120, 120))
    scene.set_clip((ClipPlane((0, 0, 0), (0.0, 1.0, 0.0)),))
    pixels = scene.render(120, 120).astype(int)
    camera = scene.camera

    def seen(point: tuple[float, float, float]) -> np.ndarray:
        x, y, _ = camera.project([point], (120, 120))[0]
        return pixels[round(y), round(x)]

    assert seen((-12, 0, 0))[0] > 180
    assert seen((-12, 0, 0))[1] < 60, "the face of the transparent organ is filled"
    assert seen((8, 0, 0))[1] > 180, "what lies inside shows in its own colour"
    found = scene.pick_item(60, 60, (120, 120))
    assert found is not None
    assert found[1][1] > 0, "the part in front is passed through"
    draft = scene.render(120, 120, draft=True).astype(int)
    assert not np.array_equal(draft, pixels), "no faces while it moves"
    scene.close()


def test_a_lack_of_room_is_red_and_room_is_blue() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    room = np.array([-3.0, -1.0, 2.0, 4.0])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    graft = SurfaceMesh(points, faces, "1.2", point_data={"clearance_mm": room, "gap_mm": room})
    clearance, gap = (scalar_map(graft, name) for name in ("clearance_mm", "gap_mm"))
    assert clearance is not None
    assert gap is not None
    red, _, blue = clearance.stops[0]
    assert red > 2 * blue
    assert clearance.stops == gap.stops[::-1]


def test_what_lies_in_the_frame_of_another_image_is_left_out() -> None:
    sources = {
        "donor_ct": {"kind": "volume", "frame_uid": "1.2"},
        "recipient_ct": {"kind": "volume", "frame_uid": "1.3"},
        "implant": {"kind": "surface", "frame_uid": "1.4"},
    }
    elsewhere = frames_elsewhere(sources, "1.3")
    assert elsewhere == {"1.2"}
    empty = np.empty((0, 3))
    own, other, third = (SurfaceMesh(empty, empty.astype(int), f"1.{n}") for n in (3, 2, 4))
    shown = here_only({"cavity": own, "liver": other, "implant": third}, elsewhere)
    assert set(shown) == {"cavity", "implant"}
