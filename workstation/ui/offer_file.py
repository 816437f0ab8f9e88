"""Surfaces to a file that a person looks at before it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PySide6.QtWidgets import QWidget

from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Progress
from workstation.closeup import Picture, overlay_picture
from workstation.model_export import FaultySurface, ModelDraft, draft_model
from workstation.ui.desk import Desk
from workstation.ui.keep_file_dialog import KeepFileDialog

Refused = Callable[[FaultySurface, Path], None]


class FileOffer:
    """Writes surfaces beside their place, shows what came back, and keeps it or not.

    ``kept`` is told of a file that was kept; ``refused`` of surfaces that are too faulty for
    their file, which without it is a problem like any other.
    """

    def __init__(
        self,
        desk: Desk,
        parent: QWidget,
        kept: Callable[[Path], None],
        refused: Refused | None = None,
    ) -> None:
        self._desk, self._parent, self._kept, self._refused = desk, parent, kept, refused
        self.dialog: KeepFileDialog | None = None
        desk.left.connect(self._leave)

    def write(
        self,
        names: Sequence[str],
        path: Path,
        *,
        despite: str = "",
        coloured_by: str = "",
        known: Mapping[str, Sequence[Finding]] = MappingProxyType({}),
    ) -> None:
        """Write results beside ``path`` in the background, reopen them and ask.

        See `workstation.model_export.draft_model` for the arguments.
        """
        case = self._desk.session.require_case()

        def work(progress: Progress) -> tuple[ModelDraft, Picture] | FaultySurface:
            try:
                made = draft_model(
                    case,
                    names,
                    path,
                    despite=despite,
                    coloured_by=coloured_by,
                    known=known,
                    progress=progress,
                )
            except FaultySurface as refusal:
                if self._refused is None:
                    raise
                return refusal
            progress(0.95, "overlaying what came back")
            return made, _overlay(made)

        def take(made: tuple[ModelDraft, Picture] | FaultySurface) -> None:
            if isinstance(made, tuple):
                self._ask(*made)
            elif self._refused is not None:
                self._refused(made, path)

        self._desk.run("Export", work, take)

    def _ask(self, draft: ModelDraft, picture: Picture) -> None:
        self.dialog = KeepFileDialog(draft, picture, self._keep, self._parent)
        self.dialog.finished.connect(self._close)
        self.dialog.open()

    def _keep(self, draft: ModelDraft) -> None:
        case = self._desk.session.require_case()
        if self._desk.attempt(lambda: draft.keep(case)):
            self._kept(draft.draft.path)

    def _close(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    def _leave(self) -> None:
        """Let go of a file that waits to be kept: it belongs to the case that is left."""
        if self.dialog is not None:
            self.dialog.reject()


def _overlay(draft: ModelDraft) -> Picture:
    """Return all surfaces written and all that came back, one over the other."""
    return overlay_picture(
        _joined(list(draft.surfaces.values())), _joined([r.surface for r in draft.draft.reopened])
    )


def _joined(meshes: list[SurfaceMesh]) -> SurfaceMesh:
    starts = np.cumsum([0, *(len(mesh.points_mm) for mesh in meshes)])
    triangles = [mesh.triangles + start for mesh, start in zip(meshes, starts)]
    points = np.concatenate([mesh.points_mm for mesh in meshes])
    return SurfaceMesh(points, np.concatenate(triangles), "")
