import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation.contract import Number
from segmentation.doubt import Change, doubt, noise_of, review_next
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

TURNED = (0, 1, 0, 1, 0, 0, 0, 0, -1)
GRID = ImageGeometry((24, 20, 16), (1.0, 1.5, 2.0), (-5, 7, 11), TURNED, "1.2")


def labels(array) -> LabelMap:
    return LabelMap(array.astype(np.uint8), GRID, {1: Label("organ")})


def ball(radius_mm=9.0, middle=(12, 10, 8)) -> np.ndarray:
    k, j, i = np.mgrid[: GRID.size[2], : GRID.size[1], : GRID.size[0]]
    away = GRID.to_world(np.stack([i, j, k], -1)) - GRID.to_world(middle)
    return np.linalg.norm(away, axis=-1) < radius_mm


def image(sigma=0.0, quantity="HU") -> Volume:
    noise = np.random.default_rng(3).standard_normal(GRID.shape) * sigma
    return Volume((100.0 * ball() + 20 + noise).astype(np.float32), GRID, quantity)


def with_volume(array) -> LabelMap:
    made = labels(array)
    number = Number("volume", made.volume_ml(), "mL", "voxel count x voxel volume")
    return LabelMap(made.array, GRID, made.labels, numbers=(number,))


@pytest.mark.parametrize(("sigma", "quantity"), [(4.0, "HU"), (12.0, "MR intensity")])
def test_noise_is_measured(sigma, quantity):
    assert noise_of(image(sigma, quantity)) == pytest.approx(sigma, rel=0.1)


def test_an_image_without_noise_or_without_a_body_has_none():
    assert noise_of(image()) == 0.0
    air = Volume(np.full(GRID.shape, -1000, np.int16), GRID)
    assert noise_of(air) == 0.0


def test_noise_is_added_in_the_images_own_strength_and_type():
    volume = Volume(np.rint(image(8.0).array).astype(np.int16), GRID)
    changed = Change(1, noise=1.0).image(volume, "ct")
    assert changed.array.dtype == np.int16
    assert np.std(changed.array - volume.array) == pytest.approx(8.0, rel=0.12)
    again = Change(1, noise=1.0).image(volume, "ct")
    assert np.array_equal(changed.array, again.array)
    assert not np.array_equal(changed.array, Change(2, noise=1.0).image(volume, "ct").array)


@given(number=st.integers(1, 60), shift=st.integers(0, 3), mirror=st.booleans())
def test_what_is_moved_comes_back(number, shift, mirror):
    change = Change(number, shift_voxels=shift, mirror=mirror)
    array = np.arange(10 * 9 * 8).reshape(10, 9, 8)
    back = change.moved(change.moved(array), back=True)
    inner = (slice(shift, -shift or None),) * 3
    assert np.array_equal(back[inner], array[inner])


def test_some_repeats_move_and_mirror():
    array = np.arange(10 * 9 * 8).reshape(10, 9, 8)
    moved = [Change(n, shift_voxels=2, mirror=True).moved(array) for n in range(1, 5)]
    assert all(not np.array_equal(one, array) for one in moved)
    assert (np.diff(moved[0], axis=2)[2:-2, 2:-2, 3:5] < 0).all(), "the odd ones are mirrored"
    assert (np.diff(moved[1], axis=2)[2:-2, 2:-2, 3:5] > 0).all()


@given(number=st.integers(1, 200))
def test_parameters_vary_within_their_limits(number):
    change = Change(number, values=7.0, points_mm=2.0)
    assert abs(change.parameter("lower_hu", 40, "step") - 40) <= 7.0
    points = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    moved = np.asarray(change.parameter("foreground_mm", points, "step"))
    assert 0 < np.linalg.norm(moved - points, axis=1).max() <= 2.0 + 1e-9
    inside, edge = GRID.to_world((12, 10, 8)), GRID.to_world((0, 0, 0))
    seeds = (tuple(map(float, inside)), tuple(map(float, edge)))
    near = change.parameter("foreground_mm", seeds, "step", GRID)
    assert near[0] != seeds[0]
    index = GRID.to_index(near)
    assert (index >= 0).all()
    assert (index <= np.asarray(GRID.size) - 1).all()
    prompts = (("inside", points), ("outside", ((7.0, 8.0, 9.0),)))
    varied = change.parameter("prompts", prompts, "step")
    assert [kind for kind, _ in varied] == ["inside", "outside"]
    assert 0 < np.linalg.norm(np.subtract(varied[0][1], points), axis=1).max() <= 2.0 + 1e-9
    for name, value in (("sigma_mm", 1.5), ("name", "liver"), ("point_mm", (1.0, 2.0, 3.0))):
        assert change.parameter(name, value, "step") == value


def test_bands_and_places_come_from_the_repeats():
    base = ball()
    blob = ball(5.0, (3, 15, 4))

    def again(change, progress=None):
        return with_volume(base | blob if change.number % 2 else base)

    told = []
    result = doubt(
        with_volume(base),
        image(5.0),
        repeats=4,
        again=again,
        progress=lambda f, m="": told.append(f),
    )
    number = result.numbers[0]
    assert number.value == number.low == pytest.approx(labels(base).volume_ml())
    assert number.high == pytest.approx(labels(base | blob).volume_ml())
    assert "4 repeats" in number.source
    places = [f for f in result.findings if f.code == "review_next"]
    assert len(places) == 1
    assert np.linalg.norm(places[0].location_mm - GRID.to_world((3, 15, 4))) < 5.0
    index = np.rint(result.geometry.to_index(GRID.to_world((3, 15, 4)))).astype(int)
    assert result.array[tuple(index[::-1])] == pytest.approx(3 / 5)
    assert result.quantity == "agreement"
    assert told == sorted(told)


def test_what_cancels_in_the_volume_is_still_in_doubt():
    here, there = ball(4.0, (5, 5, 5)), ball(4.0, (18, 14, 11))
    base = labels(here * 1 + there * 2)
    two = {1: Label("one"), 2: Label("two")}
    numbers = tuple(
        Number(name, base.volume_ml(value), "mL", "voxels")
        for name, value in (("volume", None), ("volume.one", 1), ("volume.two", 2))
    )
    base = LabelMap(base.array, GRID, two, numbers=numbers)

    def swapped(change, progress):
        return LabelMap((here * 2 + there * 1).astype(np.uint8), GRID, two)

    result = doubt(base, image(5.0), repeats=3, again=swapped)
    bands = {n.quantity: (n.low, n.high) for n in result.numbers}
    both = base.volume_ml()
    assert bands["volume"] == (both, both)
    assert bands["volume.one"] == pytest.approx((0.0, both))
    assert bands["volume.two"] == pytest.approx((0.0, both))


def test_places_are_ranked_by_volume_times_doubt():
    agreement = np.ones(GRID.shape, np.float32)
    agreement[ball(5.5, (5, 5, 4))] = 0.6
    agreement[ball(5.0, (18, 14, 11))] = 0.2
    agreement[ball(3.0, (5, 15, 11))] = 0.1
    found = review_next(Volume(agreement, GRID, "agreement"), places=2)
    near = [GRID.to_index(f.location_mm).round().tolist() for f in found]
    assert [n[0] > 12 for n in near] == [True, False]
    assert review_next(Volume(np.ones(GRID.shape, np.float32), GRID, "agreement")) == ()


def test_a_shell_of_one_voxel_is_no_place():
    agreement = np.ones(GRID.shape, np.float32)
    agreement[ball(9.0) & ~ball(7.9)] = 0.5
    assert review_next(Volume(agreement, GRID, "agreement")) == ()


def test_failures_are_told_and_a_label_that_never_changes_gets_no_band():
    base = with_volume(ball())

    def failing(change, progress=None):
        if change.number == 2:
            raise ValueError("no organ was found")
        return with_volume(ball(9.0 + change.number))

    result = doubt(base, image(5.0), repeats=3, again=failing)
    assert "1 of 3 repeats failed: no organ was found" in result.findings[0].sentence
    same = doubt(base, image(5.0), repeats=3, again=lambda change, progress: base)
    assert same.numbers == ()
    assert [f.code for f in same.findings] == ["doubt_unknown"]

    def never(change, progress):
        raise ValueError("no organ was found")

    with pytest.raises(ValueError, match="every repeat failed"):
        doubt(base, image(5.0), repeats=3, again=never)


def test_it_can_be_stopped_between_repeats():
    class Stopped(Exception):
        pass

    def stop(fraction, message=""):
        if fraction > 0.3:
            raise Stopped

    with pytest.raises(Stopped):
        doubt(
            with_volume(ball()),
            image(5.0),
            repeats=4,
            again=lambda change, progress: with_volume(ball(8.0)),
            progress=stop,
        )
