from dataclasses import replace

import numpy as np
import pytest

from hemodynamics.cross_flow import Planes
from meshing.aneurysm_neck import Neck
from tests.hemodynamics.known_flow import (
    AXIS,
    CENTRE_MM,
    FRAME,
    LENGTH_MM,
    RADIUS_MM,
    axis_line,
    pulses,
    tube_flow,
)
from workstation import picture
from workstation.flow_pictures import (
    KINDS,
    FlowLook,
    Marks,
    best_view,
    flow_movie,
    flow_picture,
    items,
    limits,
    peak,
    prepare,
    widest_mm,
)
from workstation.flow_surfaces import (
    arrows,
    at_time,
    line_tubes,
    plane,
    speed_volume,
    vessel_radius_mm,
    wall,
)


@pytest.fixture(scope="module")
def pulsing():
    return tube_flow(4, 0.5)


@pytest.fixture(scope="module")
def steady():
    return tube_flow(1, 0.5)


def test_every_time_of_a_quantity_is_an_array_of_one_surface(pulsing):
    mesh = wall(pulsing, "wss_pa")
    assert list(mesh.point_data) == [at_time("wss_pa", n) for n in range(4)]
    ratio = mesh.point_data[at_time("wss_pa", 1)] / mesh.point_data[at_time("wss_pa", 0)]
    assert np.allclose(ratio, 1.6)
    share = wall(pulsing, "tawss_share", parent_pa=2.0).point_data["tawss_share"]
    assert np.allclose(share, pulsing.wall.point_data["tawss_pa"] / 2)
    with pytest.raises(ValueError, match="parent artery is not known"):
        wall(pulsing, "tawss_share")


def test_pressure_on_the_wall_falls_along_the_vessel(steady):
    mesh = wall(steady, "pressure_pa")
    along = (mesh.points_mm - CENTRE_MM) @ AXIS
    pressure = mesh.point_data[at_time("pressure_pa", 0)]
    assert np.isfinite(pressure).all()
    slope = np.polyfit(along, pressure, 1)[0]
    fall = np.polyfit((steady.cells_mm - CENTRE_MM) @ AXIS, steady.pressure_pa[0], 1)[0]
    assert slope == pytest.approx(fall, rel=0.03)


def test_residence_without_shear_has_no_colour(steady):
    rrt = np.where(np.arange(len(steady.wall.points_mm)) < 5, np.inf, 2.0)
    marked = replace(steady.wall, point_data={**steady.wall.point_data, "rrt_1_pa": rrt})
    mesh = wall(replace(steady, wall=marked), "rrt_1_pa")
    assert np.isnan(mesh.point_data["rrt_1_pa"]).sum() == 5


def test_speed_is_an_image_where_the_cells_are(pulsing):
    image = speed_volume(pulsing, 1)
    known = np.argwhere(np.isfinite(image.array))
    assert len(known) == len(pulsing.cells_mm)
    spots = image.geometry.to_world(known[:, ::-1])
    where = np.linalg.norm(spots[:, None] - pulsing.cells_mm[None, ::97], axis=2)
    assert where.min(axis=0).max() < 1e-6
    speed = np.linalg.norm(pulsing.velocity_m_s[1, ::97], axis=1)
    assert image.array[tuple(known[where.argmin(axis=0)].T)] == pytest.approx(speed)


def test_the_radius_of_a_tube_is_its_own(steady):
    assert vessel_radius_mm(steady) == pytest.approx(RADIUS_MM, rel=0.05)


def test_tubes_lie_around_their_lines(pulsing):
    scene = prepare(pulsing, FlowLook("", seeds="inlets", count=12))
    assert sorted(scene.lines) == [0, 1, 2, 3]
    mesh = scene.lines[0]
    away = np.linalg.norm(np.cross(mesh.points_mm - CENTRE_MM, AXIS), axis=1)
    exact = 2 * 1.5 / (np.pi * 4) * (1 - (away / RADIUS_MM) ** 2)
    middle = np.abs((mesh.points_mm - CENTRE_MM) @ AXIS) < 0.4 * LENGTH_MM
    assert np.abs(mesh.point_data["speed_m_s"] - exact)[middle].max() < 0.05
    assert np.ptp((mesh.points_mm - CENTRE_MM) @ AXIS) > 0.9 * LENGTH_MM
    assert line_tubes([], 0.1, FRAME).triangles.shape == (0, 3)


def test_only_one_time_is_visible_and_parts_are_kept(pulsing):
    look = FlowLook("wss_pa", seeds="plane", count=8, cut="crosshair")
    place = tuple((CENTRE_MM + 0.4).tolist())
    scene = prepare(pulsing, look, marks=Marks(crosshair_mm=place))
    shown = [name for name, item in items(scene, 2).items() if item.visible]
    assert shown == ["flow plane", "flow lines 3", "flow arrows 3", "flow wall"]
    drawn = items(scene, 2)
    assert drawn["flow wall"].scalars.array == at_time("wss_pa", 2)
    assert drawn["flow wall"].opacity < 1, "what lies inside is seen"
    assert items(scene, 3)["flow wall"].surface is drawn["flow wall"].surface
    assert scene.through["flow_ml_s"] == pytest.approx(1.5 * pulses(4), rel=0.02)
    other = prepare(
        pulsing, replace(look, wall="osi"), marks=Marks(crosshair_mm=place), before=scene
    )
    assert other.cut is scene.cut
    assert other.lines is scene.lines
    assert other.wall is not scene.wall
    moved = prepare(
        pulsing, look, marks=Marks(crosshair_mm=tuple(CENTRE_MM.tolist())), before=scene
    )
    assert moved.wall is scene.wall
    assert moved.cut is not scene.cut


def test_a_plane_along_the_centerline_lies_where_it_is_asked_for(steady):
    look = FlowLook("", cut="centerline", position_mm=4.0)
    scene = prepare(steady, look, marks=Marks(axis_line()))
    along = (scene.cut.centre_mm - CENTRE_MM) @ AXIS
    assert along == pytest.approx(4.0 - LENGTH_MM / 2, abs=0.2)
    middle = prepare(steady, replace(look, position_mm=None), marks=Marks(axis_line()))
    assert middle.cut.centre_mm == pytest.approx(CENTRE_MM, abs=0.2)
    assert scene.cut.flow_ml_s(steady.velocity_m_s[0]) == pytest.approx(1.5, rel=0.02)
    through = plane(steady, scene.cut, "through_m_s").point_data[at_time("through_m_s", 0)]
    assert through.max() == pytest.approx(2 * 1.5 / (np.pi * 4), rel=0.05)


def test_a_plane_and_lines_begin_in_the_neck(steady):
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)[:, None]
    u = np.cross(AXIS, [1.0, 0, 0]) / np.linalg.norm(np.cross(AXIS, [1.0, 0, 0]))
    ring = CENTRE_MM + np.cos(turn) * u + np.sin(turn) * np.cross(AXIS, u)
    centre, normal = tuple(CENTRE_MM.tolist()), tuple(AXIS.tolist())
    neck = Neck(ring, centre, normal, centre, FRAME, np.empty((0, 3)), np.empty(0))
    look = FlowLook("", cut="neck", seeds="neck", count=10)
    scene = prepare(steady, look, marks=Marks(neck=neck))
    assert scene.cut.normal == pytest.approx(AXIS)
    away = np.linalg.norm(np.cross(scene.lines[0].points_mm - CENTRE_MM, AXIS), axis=1)
    assert away.max() < 1.1, "all lines pass through the neck's disc"


def test_arrows_lie_in_the_plane_and_point_with_the_flow(steady):
    planes = Planes(steady)
    slanted = planes.across(CENTRE_MM, AXIS + np.array([0.8, 0, 0]))
    (mesh,) = arrows(steady, slanted)
    assert np.abs((mesh.points_mm - slanted.centre_mm) @ slanted.normal).max() < 0.06
    within = AXIS - (AXIS @ slanted.normal) * slanted.normal
    corners = mesh.points_mm.reshape(-1, 7, 3)
    assert ((corners[:, 5] - corners[:, 0]) @ within > -1e-9).all()


def test_bars_stay_over_time_and_follow_the_choice():
    values = [np.array([1.0, 2.0, 9.0]), np.array([4.0, 8.0])]
    assert limits("wss_pa", values)["high"] == 10
    assert limits("wss_pa", values, FlowLook(low=1, high=5))["high"] == 5
    assert limits("wss_pa", values, FlowLook(low=6, high=5))["high"] == 10, "not in order"
    log = limits("wss_pa", values, FlowLook(log=True))
    assert (log["low"], log["high"]) == (0.1, 10)
    assert limits("pressure_pa", [np.array([990.0, 1010.0])])["low"] > 900
    assert limits("through_m_s", [np.array([-0.1, 0.4])])["diverging"]


def test_the_middle_and_the_largest_inflow_are_found(pulsing):
    assert peak(pulsing) == 1
    assert np.linalg.norm(np.cross(np.array(widest_mm(pulsing)) - CENTRE_MM, AXIS)) < 0.6
    side = best_view(pulsing, (300, 200))
    assert abs(side.axes[2] @ AXIS) < 0.1, "the tube is seen from its side"


@pytest.mark.parametrize("kind", ["tawss", "pressure", "streamlines", "section"])
def test_pictures_show_the_vessel_and_its_bar(pulsing, kind):
    problem = picture.probe()
    if problem:
        pytest.skip(problem)
    pixels = flow_picture(pulsing, kind, size=(300, 200)).astype(int)
    assert pixels.shape == (200, 300, 3)
    middle = pixels[60:140, 110:220].reshape(-1, 3)
    assert (middle.max(axis=1) > 90).mean() > 0.1
    assert np.ptp(pixels[120:, :60].reshape(-1, 3), axis=0).max() > 100, "the bar"


def test_a_movie_has_a_picture_for_every_time(pulsing):
    problem = picture.probe()
    if problem:
        pytest.skip(problem)
    told = []
    movie = flow_movie(pulsing, "wss", (150, 100), lambda fraction, _: told.append(fraction))
    assert [m.shape for m in movie] == [(100, 150, 3)] * 4
    assert told[-1] == 1
    bright = [int(m[30:70, 55:95].sum()) for m in movie]
    assert bright.index(max(bright)) == peak(pulsing), "shear is highest when most blood flows"


def test_pictures_are_named_and_want_a_flow(steady):
    assert set(KINDS) == {"tawss", "osi", "rrt", "wss", "pressure", "streamlines", "section"}
    nothing = replace(
        steady,
        cells_mm=np.empty((0, 3)),
        times_s=np.empty(0),
        velocity_m_s=np.empty((0, 0, 3), np.float32),
        pressure_pa=np.empty((0, 0), np.float32),
        wss_pa=np.empty((0, len(steady.wall.points_mm), 3), np.float32),
        flows_ml_s={},
        opening_pressures_pa={},
    )
    with pytest.raises(ValueError, match="was not computed"):
        flow_picture(nothing)


def test_flows_that_are_compared_share_their_bars(steady, pulsing):
    alone = prepare(steady, FlowLook("wss_pa", seeds="lumen", count=5))
    beside = prepare(steady, FlowLook("wss_pa", seeds="lumen", count=5), compared=(pulsing,))
    assert alone.bars["wall"].high < beside.bars["wall"].high
    same = prepare(pulsing, FlowLook("wss_pa", seeds="lumen", count=5), compared=(steady,))
    for part in ("wall", "lines"):
        assert same.bars[part].legend == beside.bars[part].legend
