"""Import: what a folder holds, what is wrong with it, and which volume becomes a case."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from platformdirs import user_data_path
from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QLineEdit

from segmentation.contract import Progress, share
from segmentation.volume import Volume
from workstation.case import CaseError, case_for_writing
from workstation.dicom.files import Scan, ScannedVolume, accept, read
from workstation.importing import import_surfaces, is_volume_file, scan, start_plan
from workstation.jobs import Job
from workstation.planning.template import find_template, templates
from workstation.surface_source import is_surface_file
from workstation.ui.desk import Desk
from workstation.ui.import_page import ImportPage
from workstation.ui.panels.parts import FindingRow, RecordList, Sheet, bold, button, label
from workstation.ui.panels.repairs import RepairChoice
from workstation.ui.panels.surface_reading import SurfaceReading
from workstation.ui.volume_words import STATUS, part_text, size_text, spacing_text, title_text


def default_folder(path: Path) -> Path:
    """Return a case folder that does not exist yet: next to the images, if one may write there."""
    stem = path.name.split(".")[0] or "images"
    place = path.parent
    if not os.access(place, os.W_OK):
        place = user_data_path("hilum") / "cases"
    folder, number = place / f"{stem}-case", 2
    while folder.exists():
        folder, number = place / f"{stem}-case-{number}", number + 1
    return folder


def import_into(
    folder: Path,
    volume: ScannedVolume | Path,
    template_name: str,
    progress: Progress,
    series: Sequence[ScannedVolume] = (),
    on_read: Callable[[Volume], object] = lambda volume: None,
    reading: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Make a case of one scanned volume or file and start a plan; return its folder.

    ``reading`` says the unit and space of a surface file that names none.

    The other volumes of a whole ``series`` become sources beside it: NAME_1, NAME_2, ... by
    their place in the series. ``on_read`` is called with the volume that the plan uses before
    its originals are copied, so that it can be looked at meanwhile.
    """
    template = find_template(template_name)
    surface = isinstance(volume, Path) and is_surface_file(volume)
    name = template.first_source("surface" if surface else "volume")
    with case_for_writing(folder) as case:
        if isinstance(volume, Path):
            said = [("source", f"{name}.{word}", value) for word, value in reading.items()]
            start_plan(case, template, {name: volume}, said, progress)
            return folder
        if case.record.sources:
            raise CaseError(f"{folder} holds a case already; choose a new folder")
        first_half = share(progress, 0, 2)
        for n, part in enumerate(series or [volume]):
            chosen, step = part.key == volume.key, share(first_half, n, len(series) or 1)
            own = name if chosen else f"{name}_{n + 1}"
            pixels = read(part, share(step, 0, 2))
            if chosen:
                on_read(pixels)
            case.import_dicom(part, own, share(step, 1, 2), series, pixels)
        start_plan(case, template, {}, progress=share(progress, 1, 2))
    return folder


class ImportPanel:
    """What is imported, and into which case; ``page`` shows in the middle what was found."""

    def __init__(self, desk: Desk, opened: Callable[[Path], object]) -> None:
        self._desk, self._opened = desk, opened
        self._file: Path | None = None
        self._where = ""
        self._volume: ScannedVolume | None = None
        self._series: tuple[ScannedVolume, ...] = ()
        self._job: Job[Any] | None = None
        self._doing = ""
        self.offers = False
        self.page = ImportPage(desk.jobs)
        self.page.chosen.connect(self._choose)
        self.page.left.connect(self._put_away)
        self.widget = Sheet(
            "Import", "Look at images before they become a new case; patients are never merged."
        )
        self.where, self.chosen = label("", "muted"), label("")
        self.repairs = RepairChoice()
        self.repairs.changed.connect(self._consent)
        self.whole = QCheckBox()
        self.whole.setToolTip("The plan uses the volume that is selected; the others lie beside it")
        self.whole.hide()  # until a series of several volumes is chosen
        self.held = RecordList(self._finding, "Nothing was remarked when they were imported.")
        self.held_title = bold("Images of the open case")
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Case folder")
        self.folder.setToolTip("A new folder in which Hilum keeps this case")
        self.folder.textChanged.connect(lambda _: self.refresh())
        self.template = QComboBox()
        self.template.setAccessibleName("Procedure")
        self.template.setToolTip("What is planned")
        self._offer_templates()
        self.surface = SurfaceReading()
        self.add = button("Add to the open case", "", self._add)
        self.start = button("Import and plan", "", self._import, primary=True)
        self._arrange()
        desk.bindings.enable(
            self.start, self.lacks, "Read the pixels, keep the originals and start the plan"
        )
        desk.bindings.enable(
            self.add, self._lacks_adding, "Read the surface into the case that is open"
        )
        desk.bindings.add(self.refresh)
        desk.jobs.ended.connect(self._ended)

    def _arrange(self) -> None:
        browse = button("…", "Choose where the case is kept", self._browse)
        browse.setFixedWidth(32)
        place = QHBoxLayout()
        place.addWidget(self.folder, 1)
        place.addWidget(browse)
        body = self.widget.body
        for made in (self.held_title, self.held, self.where, self.chosen, self.whole, self.repairs):
            body.addWidget(made)
        body.addWidget(self.surface)
        body.addWidget(self.add)
        self.widget.heading("Keep the case in")
        body.addLayout(place)
        self.widget.heading("Procedure")
        body.addWidget(self.template)
        body.addWidget(self.start)

    # Scan ----------------------------------------------------------------------------

    def offer(self, path: Path) -> None:
        """Look at what ``path`` (folder, ZIP, DICOM, volume or surface file) holds."""
        self._leave()
        self.folder.setText(str(default_folder(path)))
        self._where = str(path)
        self._file = path if is_volume_file(path) or is_surface_file(path) else None
        self._offer_templates()
        if self._file is None:
            self.offers = True
            self.page.clear(f"Reading the headers in {path} …")
            self._start("Scan", "the scan to end", lambda p: scan([path], p), self._scanned)
        self._desk.bindings.later()
        self.refresh()

    def _offer_templates(self) -> None:
        """Offer the procedures that begin with what is looked at: a surface or an image."""
        kind = "surface" if self._is_surface() else "volume"
        self.template.clear()
        fit = [t for t in templates().values() if t.first_source(kind)]
        first = {t.name: t.sources[t.first_source(kind)] for t in fit}
        # What needs just this comes first, then what takes other kinds in its place.
        fit.sort(key=lambda t: (not first[t.name].required, len(first[t.name].kinds)))
        for template in fit:
            self.template.addItem(template.title, template.name)

    def _is_surface(self) -> bool:
        return self._file is not None and is_surface_file(self._file)

    def _put_away(self) -> None:
        self._leave()
        self._desk.bindings.later()

    def _leave(self) -> None:
        """Let go of what was offered before; work on it stops."""
        if self._job is not None:
            self._job.cancel()
        self._job, self._file, self._where, self.offers = None, None, "", False
        self.folder.clear()
        self.page.clear()
        self._choose(None)

    def _start(
        self, title: str, doing: str, work: Callable[[Progress], Any], then: Callable[[Any], None]
    ) -> None:
        self._doing = doing
        self._job = self._desk.run(title, work, then)

    def _ended(self, job: Job[Any]) -> None:
        if job is not self._job:
            return
        self._job = None
        self._desk.forget_arrival()
        if self.page.is_empty:  # the scan failed or was stopped
            self.offers = False
        self._desk.bindings.later()

    def _scanned(self, found: Scan) -> None:
        self.page.show_scan(found, self._where)
        found.require_images()

    # Choice --------------------------------------------------------------------------

    def _choose(self, volume: ScannedVolume | None) -> None:
        self._volume = volume
        series = self.page.whole_series(volume) if volume is not None else ()
        if series != self._series:
            self._series = series
            self.whole.setText(f"Import all {len(series)} volumes of the series")
            self.whole.setChecked(False)
        self.whole.setVisible(bool(series))
        self.repairs.offer(volume.repairs if volume is not None else ())
        self.refresh()

    def _consent(self) -> None:
        if self._volume is not None:
            self.page.show_as(self._volume, self.selected() or self._volume)
        self.refresh()

    def selected(self) -> ScannedVolume | None:
        """Return the volume to import: the chosen one, with the repair that was accepted."""
        codes = self.repairs.accepted()
        if self._volume is None or not codes:
            return self._volume
        return accept(self._volume, codes)

    # Import --------------------------------------------------------------------------

    def lacks(self) -> str:
        """Return what the import needs, "" when it can run."""
        volume = self.selected()
        if self._job is not None:
            return self._doing
        if self.page.lacks_patient:
            return "a patient; one case holds one"
        if volume is None and self._file is None:
            return "images or a surface; open or drop a folder, ZIP or file"
        if volume is not None and volume.status == "refused":
            if volume.repairs:
                return "your consent to a repair, or another volume"
            return "a volume that is not refused"
        return "" if self.folder.text().strip() else "a folder for the case"

    def _browse(self) -> None:
        start = self.folder.text()
        chosen = QFileDialog.getSaveFileName(
            self.widget, "A new folder for the case", start, options=QFileDialog.Option.ShowDirsOnly
        )[0]
        if chosen:
            self.folder.setText(chosen)

    def _lacks_adding(self) -> str:
        if self._desk.session.case is None:
            return "an open case"
        return self._doing if self._job is not None else ""

    def _add(self) -> None:
        """Read the surface into the open case, and show it."""
        desk, file = self._desk, self._file
        if file is None or desk.session.case is None:
            return
        case, said = desk.session.case, self.surface.said()
        self._start(
            "Surface",
            "the surface to be read",
            lambda progress: import_surfaces(case, [file], "", said, progress),
            lambda _: self._added(),
        )
        self.refresh()

    def _added(self) -> None:
        self._leave()
        self._desk.session.notify()

    def _import(self) -> None:
        chosen = self._file or self.selected()
        if chosen is None:
            return
        series = self._series if self.whole.isChecked() else ()
        folder, template = Path(self.folder.text().strip()), str(self.template.currentData())
        arrived, said = self._desk.arrived, self.surface.said() if self._is_surface() else {}
        self._start(
            "Import",
            "the import to end",
            lambda progress: import_into(
                folder, chosen, template, progress, series, partial(arrived.emit, folder), said
            ),
            self._done,
        )
        self.refresh()

    def _done(self, folder: Path) -> None:
        self._leave()
        self._opened(folder)

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Say what would be imported, what the open case has, and what is missing."""
        self.where.setText(self._where)
        self.chosen.setText(self._told())
        for text in (self.where, self.chosen):
            text.setVisible(bool(text.text()))
        self._show_held()
        self.surface.setVisible(self._is_surface())
        self.add.setVisible(self._is_surface() and self._desk.session.case is not None)
        lack = self.lacks()
        self.widget.show_needs(lack)
        self.start.setEnabled(not lack)

    def _told(self) -> str:
        volume = self.selected()
        if volume is None and self._is_surface():
            return "A surface file. It names no patient."
        if volume is None:
            return "A volume file. It names no patient." if self._file is not None else ""
        part = part_text(volume) if volume.part is not None else ""
        lines = (
            title_text(volume),
            part,
            f"{size_text(volume)} voxels of {spacing_text(volume)} mm",
            STATUS[volume.status],
        )
        return "\n".join(line for line in lines if line)

    def _finding(self, record: Any) -> FindingRow:
        row = FindingRow(record)
        row.asked.connect(self._desk.go_to)
        return row

    def _show_held(self) -> None:
        session = self._desk.session
        shown = session.case is not None and not self._where
        for made in (self.held_title, self.held):
            made.setVisible(shown)
        if shown:
            summary = session.summary()
            names = {source["name"] for source in summary["sources"]}
            self.held.show_records([f for f in summary["findings"] if f.get("step") in names])
