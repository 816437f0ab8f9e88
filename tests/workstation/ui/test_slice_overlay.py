"""Letters stand in the middle of their edge, and beside a crosshair that passes there."""

import pytest
from PySide6.QtGui import QFontMetricsF, QImage, QPainter

from segmentation.volume import ImageGeometry
from workstation.slices import Placement, slice_plane, vector
from workstation.ui import slice_overlay
from workstation.ui.slice_overlay import CLEAR_PX, draw_letters

WIDTH, HEIGHT = 420, 330


@pytest.fixture
def placement():
    axes = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    geometry = ImageGeometry((60, 52, 36), (1.0, 1.25, 1.6), (-30.0, -20.0, 5.0), axes, "1.2")
    return Placement(slice_plane(geometry, "axial", 18), WIDTH, HEIGHT)


@pytest.fixture
def written(qtbot, monkeypatch, placement):
    """Return letter -> (left, right, top, bottom) in pixels, with a crosshair at a position."""

    def write(at=None):
        areas = {}
        image = QImage(WIDTH, HEIGHT, QImage.Format.Format_RGB32)
        with QPainter(image) as painter:
            metrics = QFontMetricsF(painter.font())

            def note(painter, x, y, text, colour):
                right = x + metrics.horizontalAdvance(text)
                areas[text] = (x, right, y - metrics.ascent(), y + metrics.descent())

            monkeypatch.setattr(slice_overlay, "halo_text", note)
            draw_letters(painter, placement, None if at is None else placement.to_world(*at))
        return areas

    return write


def test_letters_stand_in_the_middle_of_their_edges(written):
    areas = written()
    assert set(areas) == {"R", "L", "A", "P"}
    for letter in "AP":
        assert sum(areas[letter][:2]) / 2 == pytest.approx(WIDTH / 2)
    assert written((WIDTH / 4, HEIGHT / 4)) == areas, "a crosshair elsewhere moves nothing"


@pytest.mark.parametrize("off", range(-20, 21, 4))
def test_no_crosshair_runs_through_a_letter(written, placement, off):
    at = WIDTH / 2 + off, HEIGHT / 2 + off
    x, y = placement.to_widget(vector(placement.to_world(*at)))[:2]
    assert (x, y) == pytest.approx(at)
    areas = written(at)
    for letter in "AP":
        left, right, *_ = areas[letter]
        assert x <= left - CLEAR_PX + 1e-6 or x >= right + CLEAR_PX - 1e-6
        assert abs((left + right) / 2 - WIDTH / 2) < 20, "still about the middle"
    for letter in "RL":
        *_, top, bottom = areas[letter]
        assert y <= top - CLEAR_PX + 1e-6 or y >= bottom + CLEAR_PX - 1e-6
