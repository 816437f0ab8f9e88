import numpy as np
import pytest
from pydicom import dcmread

from tests.workstation import dicom_phantom
from workstation.dicom.network import FoundInstance
from workstation.dicom.preview import draw, middle


@pytest.fixture
def image(tmp_path):
    (file,) = dicom_phantom.write(tmp_path, dicom_phantom.positions(1))
    return file


def drawn(file, **changes):
    data = dcmread(file)
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(file)
    return data, draw(file)[0]


def test_the_own_window_is_used(image):
    data, grey = drawn(image, WindowCenter=[150, 0], WindowWidth=[100, 9])
    values = data.pixel_array.astype(float) - 100
    np.testing.assert_allclose(grey, np.clip((values - 100) / 100 * 255, 0, 255), atol=0.51)


@pytest.mark.parametrize("width", [0, 1, None])
def test_a_window_that_shows_nothing_is_not(image, width):
    data, grey = drawn(image, WindowCenter=0, WindowWidth=width)
    values = data.pixel_array.astype(float) - 100
    np.testing.assert_allclose(grey, np.clip((values + 160) / 400 * 255, 0, 255), atol=0.51)


def test_white_is_low_where_the_file_says_so(image):
    bright = drawn(image, WindowCenter=150, WindowWidth=100)[1]
    dark = drawn(image, PhotometricInterpretation="MONOCHROME1")[1]
    np.testing.assert_array_equal(dark, 255 - bright)


def test_the_middle_goes_by_number_and_takes_what_has_none():
    numbers = {"a": 9, "b": 1, "c": None, "d": 5}
    found = [FoundInstance(uid, "", number) for uid, number in numbers.items()]
    place, chosen = middle(found)
    assert (place, chosen.instance_uid) == (3, "a")
    assert middle(found[2:3])[0] == 1
