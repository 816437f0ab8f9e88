import gc
from dataclasses import replace

import numpy as np
import pytest

from meshing.surface import SurfaceMesh
from tests.workstation.shapes import blob, sphere
from workstation import picture
from workstation.camera import Camera
from workstation.picture import ScalarMap, Scene, SceneItem, Split, render_scene

RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)
SIZE = (300, 200)
LEFT, UPPER = (60.0, 10.0, -20.0), (-10.0, -30.0, 70.0)


@pytest.fixture(scope="module", autouse=True)
def _needs_opengl():
    problem = picture.probe()
    if problem:
        pytest.skip(problem)


@pytest.fixture
def scene():
    scene = Scene()
    scene.set_values(
        {"left": SceneItem(sphere(LEFT, 12), RED), "upper": SceneItem(sphere(UPPER, 9), GREEN)}
    )
    scene.look_from("A", SIZE)
    yield scene
    scene.close()


@pytest.mark.parametrize("side", ["A", "P", "L", "R", "S", "I"])
def test_each_blob_lies_where_the_camera_says(scene, side):
    scene.look_from(side, SIZE)
    image = scene.render(*SIZE)
    assert image.shape == (200, 300, 3)
    assert image.dtype == np.uint8
    for channel, centre in ((0, LEFT), (1, UPPER)):
        place = scene.camera.project([centre], SIZE)[0, :2]
        np.testing.assert_allclose(blob(image, channel)[:2], place, atol=1.5)


def test_from_the_front_left_is_right_and_superior_is_up(scene):
    image = scene.render(*SIZE)
    red, green = blob(image, 0), blob(image, 1)
    assert red[0] > 150 > green[0]
    assert green[1] < 100 < red[1]


def test_an_oblique_eye_agrees_too(scene):
    scene.camera = scene.camera.orbit(40, -25, scene.camera.focal_mm, SIZE).zoom(0.9, UPPER)
    image = scene.render(*SIZE)
    np.testing.assert_allclose(
        blob(image, 1)[:2], scene.camera.project([UPPER], SIZE)[0, :2], atol=1.5
    )


def test_a_pick_hits_the_near_wall_and_misses_beside_it(scene):
    x, y, depth = scene.camera.project([LEFT], SIZE)[0]
    picked = scene.pick(x, y, SIZE)
    assert np.linalg.norm(np.subtract(picked, LEFT)) == pytest.approx(12, abs=0.2)
    assert scene.camera.project([picked], SIZE)[0, 2] == pytest.approx(depth - 12, abs=0.5)
    assert scene.pick(2, 2, SIZE) is None


def test_only_a_new_surface_is_built_anew(scene):
    before = dict(scene._actors)
    items = dict(scene.items)
    assert not scene.set_values(items)
    items["left"] = SceneItem(items["left"].surface, BLUE, visible=True)
    items["upper"] = SceneItem(sphere(UPPER, 10), GREEN)
    assert scene.set_values(items)
    assert scene._actors["left"] is before["left"]
    assert scene._actors["upper"] is not before["upper"]
    assert blob(scene.render(*SIZE), 2)[2] > 100


def test_what_is_hidden_or_gone_is_not_drawn_or_picked(scene):
    x, y, _ = scene.camera.project([LEFT], SIZE)[0]
    items = dict(scene.items)
    scene.set_values(items | {"left": SceneItem(items["left"].surface, RED, visible=False)})
    assert scene.pick(x, y, SIZE) is None
    with pytest.raises(AssertionError):
        blob(scene.render(*SIZE), 0)
    scene.set_values({"upper": items["upper"]})
    with pytest.raises(AssertionError):
        blob(scene.render(*SIZE), 0)


@pytest.mark.parametrize("draft", [False, True])
def test_one_sees_through_a_transparent_organ(draft):
    inner, outer = sphere((5, 0, 0), 8), sphere((0, 0, 0), 40)
    scene = Scene()
    seen = []
    for opacity in (1.0, 0.3):
        scene.set_values({"in": SceneItem(inner, GREEN), "out": SceneItem(outer, RED, opacity)})
        scene.look_from("A", SIZE)
        x, y, _ = scene.camera.project([(5, 0, 0)], SIZE)[0]
        seen.append(scene.render(*SIZE, draft=draft)[int(y), int(x)].astype(int))
    scene.close()
    assert seen[0][1] < 80
    assert seen[1][1] > seen[0][1] + 60


def test_a_split_colours_each_side_of_the_plane():
    scene = Scene()
    scene.set_values({"liver": SceneItem(sphere((0, 0, 0), 40), RED)})
    scene.look_from("A", SIZE)
    assert scene.set_split(Split("liver", (10, 0, 0), (1, 0, 0), BLUE))
    assert not scene.set_split(Split("liver", (10, 0, 0), (1, 0, 0), BLUE))
    image = scene.render(*SIZE)
    front = int(scene.camera.project([(10, -38, 0)], SIZE)[0, 0])
    assert image[100, front - 3, 0] > 100 > image[100, front - 3, 2]
    assert image[100, front + 3, 2] > 100 > image[100, front + 3, 0]
    scene.set_split(None)
    assert scene.render(*SIZE)[100, front + 3, 0] > 100
    scene.close()


def test_the_split_holds_far_from_the_origin():
    centre = np.array([4000.0, -2500.0, 900.0])
    scene = Scene()
    scene.set_values({"liver": SceneItem(sphere(centre, 40), RED)})
    scene.look_from("A", SIZE)
    scene.set_split(Split("liver", tuple(centre), (0, 0, 1), BLUE))
    image = scene.render(*SIZE)
    scene.close()
    assert blob(image, 2)[1] < 100 < blob(image, 0)[1]


def test_the_orientation_cube_shows_the_side_the_eye_is_on():
    scene = Scene()
    corners = []
    for side in ("A", "P", "L", "R", "S", "I"):
        scene.camera = Camera().look_from(side)
        corners.append(scene.render(400, 300)[:60, -60:].tobytes())
    scene.close()
    assert len(set(corners)) == 6


def test_the_same_scene_gives_the_same_bytes():
    items = {"a": SceneItem(sphere(LEFT, 12), RED, 0.5), "b": SceneItem(sphere(UPPER, 9), GREEN)}
    first = render_scene(items, "A", (120, 80))
    assert first.shape == (80, 120, 3)
    assert first.tobytes() == render_scene(items, "A", (120, 80)).tobytes()


def test_a_picture_has_exactly_the_size_that_was_asked_for():
    scene = Scene()
    items = {"a": SceneItem(sphere((0, 0, 0), 10), RED)}
    scene.set_values(items)
    for width, height in ((90, 70), (301, 157), (64, 200)):
        scene.look_from("A", (width, height))
        image = scene.render(width, height)
        assert image.shape == (height, width, 3)
        np.testing.assert_allclose(blob(image, 0)[:2], (width / 2, height / 2), atol=1.5)
        assert image[-1].max() < 30  # no row of another size's picture is left
    scene.close()


def test_an_empty_surface_and_an_empty_scene_can_be_drawn():
    empty = SurfaceMesh(np.zeros((0, 3)), np.zeros((0, 3), int), "1.2.3")
    assert render_scene({}, "A", (20, 10)).shape == (10, 20, 3)
    assert render_scene({"e": SceneItem(empty, RED)}, "A", (20, 10)).max() < 250


def test_nothing_of_vtk_outlives_its_scene():
    gone = []
    scene = Scene()
    item = SceneItem(sphere((0, 0, 0), 10), RED)
    scene.set_values({"a": item})
    scene.look_from("A", SIZE)
    scene.pick(150, 100, SIZE)
    scene.render(*SIZE)
    for thing in (scene._window, scene._renderer, scene._actors["a"], scene._locators["a"]):
        name = thing.GetClassName()
        thing.AddObserver("DeleteEvent", lambda *_, name=name: gone.append(name))
    del thing
    scene.close()
    del scene
    gc.collect()
    assert len(gone) == 4, gone


def test_the_probe_says_what_is_wrong_in_words(monkeypatch):
    class Crashed:
        returncode = -11

    picture.probe.cache_clear()
    monkeypatch.setattr(picture.subprocess, "run", lambda *_, **__: Crashed())
    assert "OpenGL did not start (exit code -11)" in picture.probe()
    monkeypatch.undo()
    assert "OpenGL did not start" in picture.probe(), "the answer is kept"
    picture.probe.cache_clear()


def coloured(values, **limits):
    ball = sphere((0, 0, 0), 40)
    ball = replace(ball, point_data={"height_mm": values(ball.points_mm)})
    scalars = ScalarMap("height_mm", "Height", "mm", **limits)
    return {"ball": SceneItem(ball, RED, scalars=scalars)}


def test_a_quantity_colours_the_surface_within_fixed_limits():
    scene = Scene()
    scene.set_values(coloured(lambda p: p[:, 2], low=-40, high=40, threshold=0.0))
    scene.look_from("A", (300, 300))
    image = scene.render(300, 300).astype(int)
    low, high = image[280, 150], image[20, 150]
    assert low[2] > low[1] + 30, "the low end is violet"
    assert high[1] > high[2] + 100, "the high end is yellow"
    assert np.ptp(image[147:154, 150].max(axis=0)[:3]) < 40, "the threshold is a white line"
    scene.set_values(coloured(lambda p: p[:, 2], low=200, high=300))
    flat = scene.render(300, 300).astype(int)
    assert flat[20, 150, 2] > flat[20, 150, 1], "far below the limits everything is violet"
    scene.close()


def test_the_bar_stands_while_something_is_coloured_by_a_quantity():
    scene = Scene()
    scene.look_from("A", (300, 300))
    bare = scene.render(300, 300)
    items = coloured(lambda p: p[:, 2] * np.nan, low=0, high=1)
    hidden = {"ball": replace(items["ball"], visible=False)}
    scene.set_values(hidden)
    assert (scene.render(300, 300) == bare).all()
    scene.set_values(items)
    scene.camera = scene.camera.zoom(0.01, scene.camera.focal_mm)
    assert (scene.render(300, 300)[200:, :60] != bare[200:, :60]).any()
    scene.set_values({})
    assert (scene.render(300, 300)[:, :240] == bare[:, :240]).all()
    scene.close()


def test_a_quantity_that_is_not_there_is_named():
    items = coloured(lambda p: p[:, 2], low=0, high=1)
    wrong = replace(items["ball"], scalars=ScalarMap("wss_pa", "WSS", "Pa", 0, 1))
    with pytest.raises(ValueError, match="'wss_pa', only height_mm"):
        Scene().set_values({"ball": wrong})


def test_a_bar_needs_two_limits():
    with pytest.raises(ValueError, match="from 1 to 1"):
        ScalarMap("wss_pa", "WSS", "Pa", 1, 1)


@pytest.mark.parametrize("seen_from", ["A", "P", "L", "R", "S", "I"])
def test_the_cube_knows_the_side_under_the_cursor(seen_from):
    scene = Scene()
    scene.camera = Camera().look_from(seen_from)
    assert scene.cube_side(400 - 27, 27, (400, 300)) == seen_from
    assert scene.cube_side(400 - 2, 2, (400, 300)) is None
    assert scene.cube_side(200, 150, (400, 300)) is None
    right = {"A": "L", "P": "R", "L": "P", "R": "A", "S": "R", "I": "L"}[seen_from]
    scene.camera = scene.camera.orbit(-60, 0, (0, 0, 0), (300, 300))
    sides = [scene.cube_side(400 - 54 + x, 27, (400, 300)) for x in range(54)]
    assert [s for s, before in zip(sides, [None, *sides]) if s and s != before] == [
        seen_from,
        right,
    ]


def test_vectors_are_coloured_by_their_length():
    down = coloured(lambda p: np.tile([0.0, 0.0, -40.0], (len(p), 1)), low=0, high=40)
    yellow = render_scene(down, "A", (100, 100))[50, 50].astype(int)
    assert yellow[:2].min() > yellow[2] + 100


def test_a_pick_hits_the_surface_that_is_shown_now(scene):
    scene.pick(150, 100, SIZE)
    scene.set_values({"left": SceneItem(sphere(LEFT, 30), RED)})
    x, y, _ = scene.camera.project([LEFT], SIZE)[0]
    picked = scene.pick(x, y, SIZE)
    assert np.linalg.norm(np.subtract(picked, LEFT)) == pytest.approx(30, abs=0.3)


def test_crossing_sheets_are_sorted_pixel_by_pixel():
    def sheet(slope):
        points = [(x, slope * x, z) for x in (-40, 40) for z in (-30, 30)]
        return SurfaceMesh(points, [(0, 2, 1), (1, 2, 3)], "1.2.3")

    items = {
        "a": SceneItem(sheet(0.5), RED, 0.7, kind="sheet"),
        "b": SceneItem(sheet(-0.5), GREEN, 0.7, kind="sheet"),
    }
    image = render_scene(items, "A", (200, 200)).astype(int)
    left, right = image[100, 60], image[100, 140]
    assert left[0] > left[1] + 30, "on the left the red sheet is nearer"
    assert right[1] > right[0] + 30, "on the right the green one is"


def test_of_a_transparent_organ_only_the_near_wall_is_drawn():
    ball = sphere((0, 0, 0), 40)
    depth = ball.points_mm[ball.triangles].mean(axis=1)[:, 1]
    near = replace(ball, triangles=ball.triangles[depth < 0])
    whole, half = (
        render_scene({"a": SceneItem(surface, RED, 0.4)}, Camera((0, -250, 0)), (100, 100))
        for surface in (ball, near)
    )
    np.testing.assert_allclose(whole[30:70, 30:70], half[30:70, 30:70], atol=2)


def test_a_draft_has_the_colours_of_the_full_picture():
    scene = Scene()
    scene.set_values({"a": SceneItem(sphere((0, 0, 0), 40), (229, 169, 75), 0.5)})
    scene.look_from("A", (100, 100))
    full, draft = (scene.render(100, 100, draft=d)[20:80, 20:80].astype(int) for d in (0, 1))
    scene.close()
    np.testing.assert_allclose(draft, full, atol=3)
