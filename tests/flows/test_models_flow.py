"""A model is dropped in, allowed, weighed and run from the Segment panel, in the real window."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QMessageBox

from segmentation import models
from segmentation.bundles import store
from segmentation.bundles.cost import Estimate
from tests.segmentation import zoo
from tests.segmentation.made_bundles import threshold_bundle
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.models import ModelChooser

Settle = Callable[[], None]


@pytest.fixture
def chooser(
    window: MainWindow,
    make_case: Callable[..., Path],
    settle: Settle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ModelChooser:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))
    window.open_case(make_case())
    window.show_stage("Segment")
    settle()
    return window.segment_panel.models


def drop(window: MainWindow, folder: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    event = QDropEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)


def test_a_dropped_model_proposes_a_label_of_the_plan(
    window: MainWindow,
    chooser: ModelChooser,
    settle: Settle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cost = Estimate(2_100_000_000, 150.0, 24, "cpu")
    monkeypatch.setattr(models, "estimate_cost", lambda *_: cost)
    drop(window, threshold_bundle(tmp_path / "bright"))
    settle()
    assert chooser.models.currentData() == "bright"
    assert "Made after bright 0.3.1" in chooser.card.text()
    assert "Weights: " in chooser.card.text()
    assert chooser.problem.isHidden()
    chooser.weigh.click()
    settle()
    assert chooser.cost.text() == "About 2 min on the CPU and 2.1 GB of memory (24 windows)."
    chooser.name.setText("Bright parts")
    assert chooser.run.isEnabled()
    chooser.run.click()
    settle()
    made = window.desk.value("bright_parts")
    image = window.desk.value("ct").array
    inside = np.count_nonzero(made.mask() & (image > 100)) / np.count_nonzero(made.mask())
    assert inside > 0.9
    assert window.session.plan is not None
    step = window.session.plan.step("bright_parts")
    assert step.params["model"] == "bright"
    assert step.params["version"] == "0.3.1"
    assert len(step.params["weights_sha256"]) == 64
    states = {
        s["output"]: s["review"]["state"] for s in window.session.summary()["steps"] if s["review"]
    }
    assert states["bright_parts"] == "proposed"


def test_code_asks_for_consent_first(
    chooser: ModelChooser, settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = zoo.unest(tmp_path / "unest")
    (folder / "models" / "model.pt").write_bytes(b"weights")
    chooser.take(folder)
    settle()
    assert "scripts.networks.unest.UNesT" in chooser.problem.text()
    assert not chooser.run.isEnabled()
    assert "consent" in chooser.lacks()
    asked = []
    answers = iter([QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])
    monkeypatch.setattr(
        QMessageBox, "question", lambda *given: asked.append(given[2]) or next(answers)
    )
    chooser.allow.click()
    settle()
    assert "scripts.networks.unest.UNesT" in asked[0]
    assert chooser.lacks()
    chooser.allow.click()
    settle()
    assert chooser.lacks() == ""
    assert chooser.problem.isHidden()


def test_a_file_that_is_no_bundle_gets_a_card(
    window: MainWindow, chooser: ModelChooser, settle: Settle, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.zip"
    wrong.write_bytes(b"nothing")
    chooser.take(wrong)
    settle()
    assert "no ZIP" in window.cards.cards()[-1].text()
