"""Labels of another time point come onto the image that is shown, step by step in the window."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from segmentation.images import write_labels, write_volume
from segmentation.volume import Label, LabelMap
from workstation.ui.main_window import MainWindow

from .conftest import TUMOR_MM, abdomen_like

SHIFT_MM = (12.0, -8.0, 16.0)


def test_the_guide_leads_from_another_image_to_its_labels_here(
    window: MainWindow, make_case: Callable[..., Path], tmp_path: Path, settle: Callable[[], None]
) -> None:
    made = abdomen_like()
    x, y, z = np.asarray(made.geometry.origin_mm) + SHIFT_MM
    there = replace(made.geometry, origin_mm=(float(x), float(y), float(z)), frame_uid="1.2.9")
    k, j, i = np.rint(made.geometry.to_index(TUMOR_MM))[::-1].astype(int)
    drawn = np.zeros(made.array.shape, np.uint8)
    drawn[k - 1 : k + 2, j - 2 : j + 3, i - 2 : i + 3] = 1
    write_volume(replace(made, geometry=there), tmp_path / "other.nrrd")
    write_labels(LabelMap(drawn, there, {1: Label("lesion")}), tmp_path / "drawn.nii.gz")
    window.open_case(make_case())
    settle()
    window.show_stage("Segment")
    panel, align = window.segment_panel.copy_labels, window.segment_panel.align
    QTest.mouseClick(panel.fold, Qt.MouseButton.LeftButton)
    settle()
    assert not panel.page.isHidden()
    assert "another image" in panel.lacks()
    assert panel.guide.text().startswith("1")
    align.offer(tmp_path / "other.nrrd")
    settle()
    assert "aligned" in panel.lacks()
    align._align()
    settle()
    assert panel.lacks() == "labels of the other image"
    panel.offer(tmp_path / "drawn.nii.gz")
    settle()
    assert panel.lacks() == ""
    assert panel.guide.text().count("✓") == 3
    panel.name.setText("Old lesion")
    QTest.mouseClick(panel.copy, Qt.MouseButton.LeftButton)
    settle()
    copied = window.desk.value("old_lesion")
    assert copied.geometry.same_grid(made.geometry)
    middle = made.geometry.to_world(np.argwhere(copied.array).mean(axis=0)[::-1])
    np.testing.assert_allclose(middle, made.geometry.to_world((i, j, k)), atol=2.5)
    window.session.undo()
    assert all(step.output != "old_lesion" for step in window.session.plan.steps)
