"""What a file that was written holds, shown before it takes its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from meshing.files import Reopened
from meshing.surface import SurfaceMesh
from workstation.closeup import Picture
from workstation.model_export import ModelDraft
from workstation.ui.panels.parts import bold, button, label
from workstation.ui.words import readable, value_text

LEGEND = "Front and left. Grey: written and read back. Red: lost. Blue: added."
COLUMNS = ("Surface", "Triangles", "Volume", "Farthest point")
MOST = 12  # rows


class KeepFileDialog(QDialog):
    """Numbers and silhouettes of the reopened file; it is kept or discarded."""

    def __init__(
        self,
        draft: ModelDraft,
        picture: Picture,
        keep: Callable[[ModelDraft], object],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._draft, self._keep = draft, keep
        self.setWindowTitle(f"{draft.draft.path.name} was reopened")
        column = QVBoxLayout(self)
        column.setSpacing(8)
        column.addWidget(bold(f"{draft.draft.path.name} holds what was to be written"))
        column.addLayout(self._table(draft.draft.reopened, list(draft.surfaces.values())))
        column.addWidget(_pixmap(picture))
        column.addWidget(label(LEGEND, "muted"))
        if draft.faults:
            names = ", ".join(readable(name).lower() for name in draft.faults)
            column.addWidget(label(f"Faulty, exported with a reason: {names}.", "warning"))
        self.keep = button("Keep the file", "Put it where you chose", self.accept, primary=True)
        self.discard = button("Discard", "Remove what was written", self.reject)
        ends = QHBoxLayout()
        ends.addStretch(1)
        ends.addWidget(self.discard)
        ends.addWidget(self.keep)
        column.addLayout(ends)
        self.accepted.connect(lambda: self._keep(self._draft))
        self.rejected.connect(self._draft.draft.discard)

    @staticmethod
    def _table(reopened: tuple[Reopened, ...], written: list[SurfaceMesh]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        for place, title in enumerate(COLUMNS):
            grid.addWidget(label(title, "muted", wrap=False), 0, place)
        for row, (back, mesh) in enumerate(zip(reopened[:MOST], written), 1):
            volume = "open" if back.volume_ml is None else f"{value_text(back.volume_ml, 'mL')} mL"
            texts = (
                readable(back.name),
                f"{back.triangles:,} of {len(mesh.triangles):,}".replace(",", "\u202f"),
                volume,
                f"{back.farthest_mm * 1000:.2g} µm",
            )
            for place, text in enumerate(texts):
                grid.addWidget(label(text, wrap=False), row, place)
        if len(reopened) > MOST:
            grid.addWidget(label(f"and {len(reopened) - MOST} more", "muted"), MOST + 1, 0)
        return grid


def _pixmap(picture: Picture) -> QLabel:
    rows, columns, _ = picture.shape
    data = np.ascontiguousarray(picture).tobytes()
    image = QImage(data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    shown = QLabel()
    shown.setPixmap(QPixmap.fromImage(image.copy()))
    shown.setAccessibleName(LEGEND)
    return shown


def kinds(endings: tuple[str, ...]) -> str:
    """Return the choices of a file dialog."""
    return ";;".join(f"{ending[1:].upper()} (*{ending})" for ending in endings)


def with_ending(path: Path, chosen: str, endings: tuple[str, ...]) -> Path:
    """Return ``path`` with an ending that can be written: its own, or that of the choice."""
    if path.suffix.lower() in endings:
        return path
    ending = next((e for e in endings if f"(*{e})" in chosen), endings[0])
    return path.with_name(path.name + ending)
