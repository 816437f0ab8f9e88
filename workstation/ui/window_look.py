"""How the window looks: theme, text size, the width of its sides; kept between starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QApplication, QWidget

from workstation.ui.banner import HEIGHT_PX as BANNER_PX
from workstation.ui.banner import Banner
from workstation.ui.icons import repaint_icons
from workstation.ui.job_bar import HEIGHT_PX as BAR_PX
from workstation.ui.job_bar import JobBar
from workstation.ui.settings import LARGEST, SMALLEST, keep_settings, read_settings
from workstation.ui.stage_rail import StageRail
from workstation.ui.theme import apply_theme

PANEL_PX = 340


class WindowLook:
    """Lets a person choose how the window looks; what was chosen last holds from the start."""

    def __init__(
        self,
        file: Path,
        window: QWidget,
        rail: StageRail,
        side: QWidget,
        banner: Banner,
        job_bar: JobBar,
    ) -> None:
        self.settings = read_settings(file)
        self._file, self._window, self._rail = file, window, rail
        self._side, self._banner, self._job_bar = side, banner, job_bar

    def toggle_theme(self) -> None:
        """Change between the dark and the light theme."""
        self._change(dark=not self.settings.dark)

    def scale_text(self, by: float) -> None:
        """Make text larger or smaller, from 80 to 160 percent."""
        scale = round(self.settings.scale + by, 1)
        self._change(scale=min(max(scale, SMALLEST), LARGEST))

    def toggle_rail(self) -> None:
        """Show the stages with their names, or as icons only."""
        self._change(wide_rail=not self.settings.wide_rail)

    def _change(self, **changes: Any) -> None:
        self.settings = replace(self.settings, **changes)
        keep_settings(self._file, self.settings)
        self.apply()

    def apply(self) -> None:
        """Make the window look as was chosen."""
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_theme(app, self.settings.dark, self.settings.scale)
        repaint_icons(self._window)
        scale = max(self.settings.scale, 1.0)
        self._side.setFixedWidth(round(PANEL_PX * scale))
        self._rail.set_wide(self.settings.wide_rail, scale)
        self._banner.setFixedHeight(round(BANNER_PX * scale))
        self._job_bar.setFixedHeight(round(BAR_PX * scale))
