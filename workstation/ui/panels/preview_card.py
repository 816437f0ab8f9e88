"""One image of a series that lies on a node, and what the node tells of the series."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout

from segmentation.wording import counted
from workstation.dicom.network import FoundSeries
from workstation.dicom.preview import Preview
from workstation.ui.panels.parts import label
from workstation.ui.theme import DARK

PREVIEW_PX = 200


class PreviewCard(QFrame):
    """One image of a series and what is known about the series."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setFixedWidth(PREVIEW_PX + 18)
        self.picture = QLabel()
        self.picture.setFixedSize(PREVIEW_PX, PREVIEW_PX)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setStyleSheet(f"background: {DARK.view}; color: {DARK.muted};")
        self.picture.setWordWrap(True)
        self.picture.setAccessibleName("Preview of the series")
        self.about = label("", "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(self.picture)
        column.addWidget(self.about)
        column.addStretch(1)

    def say(self, text: str, series: FoundSeries | None = None) -> None:
        """Show ``text`` in the place of a picture."""
        self.picture.setPixmap(QPixmap())
        self.picture.setText(text)
        self.about.setText(self._about(series) if series else "")

    def show_preview(self, seen: Preview, series: FoundSeries) -> None:
        """Show a picture."""
        rows, columns = seen.grey.shape
        image = QImage(seen.grey.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8)
        size = QSize(columns, max(1, round(rows * seen.aspect)))
        size.scale(PREVIEW_PX, PREVIEW_PX, Qt.AspectRatioMode.KeepAspectRatio)
        smooth = Qt.TransformationMode.SmoothTransformation
        ignore = Qt.AspectRatioMode.IgnoreAspectRatio
        self.picture.setPixmap(QPixmap.fromImage(image.scaled(size, ignore, smooth)))
        self.about.setText(f"{self._about(series)}\nImage {seen.place} of {seen.count}")

    @staticmethod
    def _about(series: FoundSeries) -> str:
        images = series.instance_count
        count = "" if images is None else f"   {counted(images, 'image')}"
        return f"{series.modality}{count}\n{series.description or 'no description'}"
