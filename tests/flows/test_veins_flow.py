"""Named veins in the real window: coloured in 2D and 3D, chosen by a click, changed and undone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from scipy.spatial import cKDTree

from segmentation.images import write_volume
from segmentation.volume import ImageGeometry, Volume
from workstation.planning.plan import Step
from workstation.planning.vein_names import inner_point
from workstation.ui.main_window import MainWindow

from .conftest import FRAME

LIVER = {"liver": "liver"}
STEPS = (
    Step("segmentation.threshold", "liver", 1, {"volume": "ct"},
         {"lower_hu": 80, "upper_hu": 300}),
    Step("segmentation.threshold", "vessels", 1, {"volume": "ct"},
         {"lower_hu": 160, "upper_hu": 300}),
    Step("planning.vein_tree", "portal_lines", 3, {"vein": "vessels", **LIVER}),
    Step("planning.portal_branches", "portal_tree", 3, {"tree": "portal_lines", **LIVER}),
    Step("planning.lost_territory", "lost", 1, {"tree": "portal_tree", **LIVER}),
    Step("meshing.isosurface", "vessels_surface", 2, {"labels": "vessels"}),
)  # fmt: skip
LINES = [((0, 0, -30), (0, 0, 0)), ((0, 0, 0), (-45, 5, 5)), ((0, 0, 0), (40, -8, 5)),
         ((-45, 5, 5), (-60, -20, 30)), ((-45, 5, 5), (-60, 20, -25))]  # fmt: skip


@pytest.fixture
def veins(
    tmp_path: Path, make_once: Callable[..., Path], window: MainWindow, settle: Callable[[], None]
) -> MainWindow:
    """The window on a computed case with a portal vein of five stretches."""
    geometry = ImageGeometry(
        (72, 40, 40), (2.5, 2.5, 2.5), (-95, -50, -45), (1, 0, 0, 0, 1, 0, 0, 0, 1), FRAME
    )
    k, j, i = np.mgrid[:40, :40, :72]
    points = geometry.to_world(np.stack([i, j, k], -1))
    line = np.concatenate([np.linspace(a, b, 60) for a, b in LINES])
    array = np.full(i.shape, -900, np.int16)
    array[2:-2, 2:-2, 2:-2] = 110
    array[cKDTree(line).query(points)[0] < 5.0] = 200
    file = tmp_path / "veins.nii.gz"
    write_volume(Volume(array, geometry), file)
    window.open_case(make_once(file, STEPS, True, FRAME))
    settle()
    window.show_stage("Plan")
    settle()
    return window


def test_a_branch_is_clicked_clamped_renamed_and_its_territory_made(
    veins: MainWindow, settle: Callable[[], None]
) -> None:
    tree = veins.veins.trees["portal_tree"]
    shown = veins.views.scene.scene.items
    assert "vessels_surface" not in shown, "its tubes are shown by name instead"
    assert sum(item.startswith("portal_tree: ") for item in shown) == len(set(tree.names))
    (named,) = [o for o in veins.views.overlays() if o.name == "portal_tree"]
    assert np.array_equal(named.labels.mask(), veins.desk.value("vessels").mask())
    assert veins.plan_panel.veins.isVisibleTo(veins)
    branch = tree.largest(tree.names[-1])
    view = veins.views.scene
    place = view.camera.project(np.array([inner_point(tree.tree, branch)]), view._size())[0]
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(round(place[0]), round(place[1])))
    settle()
    assert veins.veins.chosen is not None
    assert veins.veins.chosen.branch == branch
    assert "mm wide and" in veins.plan_panel.veins.facts.text()
    card, session = veins.plan_panel.veins, veins.session
    card.clamp()
    settle()
    assert session.undo_label.startswith("Clamp ")
    assert card.clamp_button.text() == "Open the clamp"
    lost = session.value("lost").volume_ml()
    assert lost == pytest.approx(tree.volumes_ml[branch], rel=0.05)
    card.territory()
    settle()
    assert session.value("territory_1").volume_ml() == pytest.approx(lost)
    session.undo()
    session.undo()
    assert session.require_plan().step("lost").params == {}
    assert not card.move_button.isEnabled()
    settle()
    _rename_in_a_slice(veins, settle)


def _rename_in_a_slice(veins: MainWindow, settle: Callable[[], None]) -> None:
    tree = veins.veins.trees["portal_tree"]
    place = inner_point(tree.tree, tree.largest(tree.names[-1]))
    veins.desk.go_to(place)
    settle()
    view = veins.views.slices["axial"]
    assert view.placement is not None
    x, y, _ = view.placement.to_widget(place)
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))
    settle()
    chosen = veins.veins.chosen
    assert chosen is not None
    new = "II" if chosen.tree.names[chosen.branch] != "II" else "III"
    veins.plan_panel.veins.rename(new)
    settle()
    settle()
    after = veins.veins.chosen
    assert after is not None
    assert after.tree is not chosen.tree
    assert after.tree.names[after.branch] == new
    veins.session.undo()
    assert "names" not in veins.session.require_plan().step("portal_tree").params
