"""The doubt about a label is measured in the window, and its places are gone through."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from segmentation.images import write_volume
from segmentation.volume import Volume
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.parts import FindingRow

from .conftest import abdomen_like

Settle = Callable[[], None]


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A noisy scan with a lump on the liver at the level of the threshold."""
    made = abdomen_like()
    array = made.array.astype(float)
    array[12:18, 15:22, 30:36] = 80
    noisy = array + np.random.default_rng(4).standard_normal(array.shape) * 12
    file = tmp_path / "scan.nii.gz"
    write_volume(Volume(np.rint(noisy).astype(np.int16), made.geometry), file)
    return file


def test_doubt_is_measured_and_looked_at(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Segment")
    panel = window.segment_panel.doubt
    settle()
    assert not panel.isVisible(), "no label is chosen"
    window.segment_panel.steps.choose("liver")
    settle()
    assert panel.isVisible()
    assert "8 times again, about" in panel.told.text()
    assert panel.measure.isEnabled()
    QTest.mouseClick(panel.measure, Qt.MouseButton.LeftButton)
    settle()
    numbers = {n["name"]: n for n in window.session.summary()["numbers"]}
    assert numbers["liver.volume"]["low"] < numbers["liver.volume"]["high"]
    assert numbers["remnant.volume"]["low"] < numbers["remnant.volume"]["high"]
    assert not panel.measure.isEnabled()
    rows = panel.places.findChildren(FindingRow)
    assert rows
    QTest.mouseClick(rows[0], Qt.MouseButton.LeftButton)
    settle()
    point = window.session.view.crosshair_mm
    assert point is not None
    index = abdomen_like().geometry.to_index(point)
    assert np.abs(index - (32.5, 18, 14.5)).max() < 5, "the lump, not another place"
    axial = window.views.slices["axial"]
    assert axial.placement is not None
    assert axial.placement.plane.index == round(float(index[2]))
    layer = axial._layer
    assert layer is not None
    assert layer.look == "doubt"
    window.segment_panel.steps._switch("liver_doubt", False)
    settle()
    assert axial._layer is None
    window.undo()
    settle()
    assert panel.measure.isEnabled()
