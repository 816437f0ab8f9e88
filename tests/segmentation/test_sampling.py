"""Profiles along paths of images whose values are known everywhere."""

import numpy as np
import pytest

from segmentation.contract import FrameMismatch
from segmentation.measured import Measured
from segmentation.sampling import profile, sampled
from segmentation.volume import ImageGeometry, Volume

GRID = ImageGeometry((40, 36, 30), (0.8, 1.0, 2.0), (-11.0, 7.0, 30.0),
                     (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1), "1")  # fmt: skip
WORLD = GRID.to_world(np.moveaxis(np.mgrid[:30, :36, :40], 0, -1)[..., ::-1])
UP = np.array([0.0, 0.0, 1.0])
SLOPE = np.array([3.0, -2.0, 5.0])
RAMP = Volume((WORLD @ SLOPE + 40).astype(np.float32), GRID)


def value(made: Measured, name: str) -> float:
    return next(n.value for n in made.numbers if n.quantity == name)


def test_a_ramp_is_read_exactly_along_any_path() -> None:
    start, end = (tuple(GRID.to_world(index)) for index in ((5, 8, 4), (33, 25, 26)))
    made = profile(RAMP, points_mm=(start, end))
    ends = sorted(np.dot(p, SLOPE) + 40 for p in (start, end))
    assert value(made, "minimum") == pytest.approx(ends[0], abs=1e-2)
    assert value(made, "maximum") == pytest.approx(ends[1], abs=1e-2)
    assert value(made, "mean") == pytest.approx(np.mean(ends), abs=1e-2)
    assert value(made, "5th_percentile") == pytest.approx(ends[0] + 0.05 * np.ptp(ends), abs=0.5)
    assert value(made, "length") == pytest.approx(np.linalg.norm(np.subtract(start, end)))
    assert made.samples["value_hu"][0] == pytest.approx(np.dot(start, SLOPE) + 40, abs=1e-2)
    assert np.all(np.diff(made.samples["distance_mm"]) <= 0.4 + 1e-9)


def test_a_disc_across_the_path_averages() -> None:
    array = np.where(np.abs(WORLD @ (0.6, 0.8, 0) - 30) < 2, 1000, 0).astype(np.int16)
    image = Volume(array, GRID)
    middle = GRID.to_world((20, 18, 15))
    middle = middle + (30 - middle @ (0.6, 0.8, 0)) * np.array([0.6, 0.8, 0])
    path = (tuple(middle - UP * 15), tuple(middle + UP * 15))
    thin, wide = profile(image, points_mm=path), profile(image, points_mm=path, radius_mm=6.0)
    assert value(thin, "mean") == pytest.approx(1000)
    # a strip 4 mm wide through the middle of a disc of 6 mm radius
    share = 2 * (2 * np.sqrt(32) + 36 * np.arcsin(1 / 3)) / (np.pi * 36)
    assert value(wide, "mean") == pytest.approx(1000 * share, rel=0.12)


def test_density_follows_the_calibration() -> None:
    path = (tuple(GRID.to_world((5, 8, 4))), tuple(GRID.to_world((33, 25, 26))))
    made = profile(RAMP, points_mm=path, density_slope=0.8, density_intercept=-5.0)
    numbers = {n.quantity: n for n in made.numbers}
    mean, density = numbers["mean"], numbers["density_mean"]
    assert density.unit == "mg/cm3"
    assert density.value == pytest.approx(0.8 * mean.value - 5)
    assert density.low == pytest.approx(0.8 * mean.low - 5)
    assert "density_mean" not in {n.quantity for n in profile(RAMP, points_mm=path).numbers}


def test_what_lies_outside_is_left_out_and_said() -> None:
    start = GRID.to_world((20, 18, 15))
    made = profile(RAMP, points_mm=(tuple(start), tuple(start + UP * 100)))
    assert [f.code for f in made.findings] == ["path_outside"]
    assert np.isfinite(made.samples["value_hu"]).all()
    with pytest.raises(ValueError, match="outside the image"):
        profile(RAMP, points_mm=((500.0, 0, 0), (520.0, 0, 0)))
    assert np.isnan(sampled(RAMP, np.array([[500.0, 0, 0]]))).all()


def test_a_measured_line_is_followed_in_its_own_frame_only() -> None:
    line = GRID.to_world([(5, 8, 4), (20, 20, 10), (33, 25, 26)])
    path = Measured("1", (line,), line, "", (0, 0, 0))
    assert value(profile(RAMP, path), "length") > 10
    with pytest.raises(FrameMismatch):
        profile(RAMP, Measured("2", (line,), line, "", (0, 0, 0)))


def test_an_mr_image_has_no_unit() -> None:
    path = (tuple(GRID.to_world((5, 8, 4))), tuple(GRID.to_world((33, 25, 26))))
    image = Volume(RAMP.array, GRID, "MR intensity")
    made = profile(image, points_mm=path)
    assert made.numbers[0].unit == ""
    assert "value" in made.samples
