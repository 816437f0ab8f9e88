"""A second image comes into the case, is aligned with the first, and both are shown fused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from segmentation.images import write_volume
from segmentation.volume import Volume
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.align_panel import AlignPanel

from .conftest import TUMOR_MM, abdomen_like

Settle = Callable[[], None]
SHIFT_MM = (12.0, -8.0, 16.0)


@pytest.fixture
def second_file(tmp_path: Path) -> Path:
    """The same body in another position, in another contrast."""
    made = abdomen_like()
    x, y, z = np.asarray(made.geometry.origin_mm) + SHIFT_MM
    array = np.where(made.array > 150, 500, np.where(made.array > 50, 200, made.array + 1000))
    array[made.array < -500] = 0
    file = tmp_path / "other.nrrd"
    moved = replace(made.geometry, origin_mm=(float(x), float(y), float(z)), frame_uid="1.2.9")
    write_volume(Volume(array.astype(np.int16), moved, "MR intensity"), file)
    return file


def opened(window: MainWindow, folder: Path, other: Path, settle: Settle) -> AlignPanel:
    window.open_case(folder)
    settle()
    window.show_stage("Segment")
    panel = window.segment_panel.align
    QTest.mouseClick(panel.fold, Qt.MouseButton.LeftButton)
    settle()
    assert "another image" in panel.lacks()
    panel.offer(other)
    settle()
    assert panel.pair.moving == "image_2"
    return panel


def numbers(window: MainWindow) -> dict[str, float]:
    return {n["name"]: n["value"] for n in window.session.summary()["numbers"]}


def test_images_are_aligned_and_fused(
    window: MainWindow, make_case: Callable[..., Path], second_file: Path, settle: Settle
) -> None:
    panel = opened(window, make_case(), second_file, settle)
    QTest.mouseClick(panel.align, Qt.MouseButton.LeftButton)
    settle()
    transform = window.desk.value("image_2_alignment")
    moved = transform.apply(TUMOR_MM)
    assert np.abs(moved - np.add(TUMOR_MM, SHIFT_MM)).max() < 1.5
    assert numbers(window)["image_2_alignment.overlap"] > 90
    assert {r["name"] for r in panel.numbers.records} >= {"image_2_alignment.overlap"}
    layers = [view._layer for view in window.views.slices.values()]
    assert all(layer is not None and layer.look == "two_colours" for layer in layers)
    assert layers[0] is not None
    assert layers[0].volume is window.desk.value("image_2_aligned")
    panel.fuse.setCurrentIndex(panel.fuse.findData("overlay"))
    panel.opacity.setValue(80)
    settle()
    axial = window.views.slices["axial"]
    assert axial._layer is not None
    assert (axial._layer.look, axial._layer.opacity) == ("overlay", 0.8)
    panel.fuse.setCurrentIndex(0)
    settle()
    assert axial._layer is None
    window.undo()
    settle()
    assert panel.numbers.records == []


def test_points_are_marked_in_both_and_their_error_is_told(
    window: MainWindow, make_case: Callable[..., Path], second_file: Path, settle: Settle
) -> None:
    panel = opened(window, make_case(), second_file, settle)
    panel.kind.setCurrentIndex(panel.kind.findData("landmarks"))
    places = np.array([TUMOR_MM, (10, -20, 24), (-40, 10, 20), (20, 20, -20)], float)
    for place in places:
        window.desk.go_to(tuple(place))
        QTest.mouseClick(panel.mark, Qt.MouseButton.LeftButton)
    settle()
    assert "marked in both" in panel.lacks()
    axial = window.views.slices["axial"]
    assert len(window.views.slices["axial"].marks.foreground) == 4
    QTest.mouseClick(panel.turn, Qt.MouseButton.LeftButton)
    settle()
    assert window.session.view.image == "image_2"
    assert window.views.overlays() == [], "labels of the first do not lie on the other"
    assert not axial.marks.lines
    assert not axial.marks.foreground
    for n, place in enumerate(places + SHIFT_MM):
        x, y, z = place + ((2.0, 0, 0) if n == 0 else (0, 0, 0))  # one hand is not exact
        window.desk.go_to((x, y, z))
        QTest.mouseClick(panel.mark, Qt.MouseButton.LeftButton)
    settle()
    QTest.mouseClick(panel.align, Qt.MouseButton.LeftButton)
    settle()
    assert window.session.view.image == "ct", "the fused images are shown on the first"
    assert 0.1 < numbers(window)["image_2_alignment.landmark_error"] < 2.0
    window.desk.go_to(TUMOR_MM)
    QTest.mouseClick(panel.turn, Qt.MouseButton.LeftButton)
    settle()
    point = window.session.view.crosshair_mm
    assert point is not None
    assert np.abs(np.subtract(point, np.add(TUMOR_MM, SHIFT_MM))).max() < 2.0
    panel._toggle()
    settle()
    assert window.session.view.image == "ct"
    assert not axial.marks.foreground
