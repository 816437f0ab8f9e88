"""Save a copy of the case's images without identity, after a look at what may show it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from segmentation.wording import counted
from workstation.deidentify_commands import report_lines
from workstation.dicom.confidentiality import Option, Profile
from workstation.dicom.deidentify_files import Order, Outcome, deidentify_files
from workstation.dicom.look import Look, picture, to_look_at
from workstation.dicom.preview import Grey
from workstation.dicom.pseudonyms import Pseudonyms, new_key, read_key
from workstation.jobs import Job
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import bold, button, label
from workstation.ui.theme import DARK

PICTURE_PX = 420
DATES: tuple[tuple[str, Option | None], ...] = (
    ("Remove dates", None),
    ("Move dates by a secret number of days", "shifted_dates"),
    ("Keep dates", "full_dates"),
)
KEPT: tuple[tuple[str, Option], ...] = (
    ("Keep sex, age (up to 89), size and weight", "patient"),
    ("Keep names and numbers of devices", "device"),
    ("Keep names of institutions", "institution"),
    ("Keep known words of descriptions", "descriptors"),
)
WAITING = "Looking for images that may show identity…"
NO_ORIGINALS = "This case keeps no DICOM images; import its images as DICOM."
NOTHING = "Nothing is held back: these are original slices, or say that their pixels hold no text."
HELD = (
    "These images may show a name or a document. Look at all of a series, then tick it; "
    "what is not ticked stays out of the copy."
)


class DeidentifyDialog(QDialog):
    """Choices on the left, images to look at on the right."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._folder = desk.session.require_case().folder / "dicom"
        self._key: Path | None = None
        self._jobs: list[Job[Any]] = []
        self._seen: set[str] = set()
        self.looks: tuple[Look, ...] = ()
        self.setWindowTitle("Save a de-identified copy")
        self.resize(980, 640)
        self._make_choices()
        self._make_looks()
        self.state = label(WAITING, "muted")
        self.state.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.save = button(
            "Save the copy…", "Write the images into a new folder", self._ask_folder, primary=True
        )
        self.save.setEnabled(False)
        self._arrange()
        self.finished.connect(lambda _: self._stop())
        if self._folder.is_dir():
            self._run("Look", partial(to_look_at, [self._folder]), self._show_looks)
        else:
            self.state.setText(NO_ORIGINALS)

    # Layout --------------------------------------------------------------------------

    def _make_choices(self) -> None:
        self.dates = QComboBox()
        for words, option in DATES:
            self.dates.addItem(words, option)
        self.kept = {option: QCheckBox(words) for words, option in KEPT}
        self.subject = QLineEdit()
        self.subject.setPlaceholderText("made from the key")
        self.subject.setToolTip("The new name and ID of the patient")
        self.key = button(
            "None is kept…",
            "With the same key file, later images of the patient fall in with these. "
            "Whoever has it can tell who is who.",
            self._ask_key,
        )

    def _make_looks(self) -> None:
        self.list = QListWidget()
        self.list.setAccessibleName("Series to look at")
        self.list.currentRowChanged.connect(self._show_series)
        self.picture = QLabel()
        self.picture.setFixedSize(PICTURE_PX, PICTURE_PX)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setWordWrap(True)
        self.picture.setStyleSheet(f"background: {DARK.view}; color: {DARK.muted};")
        self.picture.setAccessibleName("Image to look at")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Image of the series")
        self.slider.valueChanged.connect(lambda _: self._show_image())
        self.place = label("", "muted")

    def _arrange(self) -> None:
        form = QFormLayout()
        form.addRow("Dates", self.dates)
        for box in self.kept.values():
            form.addRow(box)
        form.addRow("Subject", self.subject)
        form.addRow("Key file", self.key)
        left = QVBoxLayout()
        left.addWidget(bold("What stays"))
        left.addLayout(form)
        left.addWidget(bold("Held back until you looked"))
        left.addWidget(self.list, 1)
        right = QVBoxLayout()
        right.addWidget(self.picture)
        right.addWidget(self.slider)
        right.addWidget(self.place)
        right.addStretch(1)
        both = QHBoxLayout()
        both.addLayout(left, 1)
        both.addLayout(right)
        last = QHBoxLayout()
        last.addWidget(self.state, 1)
        last.addWidget(self.save, 0, Qt.AlignmentFlag.AlignBottom)
        page = QVBoxLayout(self)
        page.addLayout(both, 1)
        page.addLayout(last)

    # Work ----------------------------------------------------------------------------

    def _run(self, title: str, work: Any, then: Any, light: bool = False) -> None:
        """Do ``work`` in the background; nothing comes back after the dialog was closed."""
        job: Job[Any] = Job(title, work)
        self._jobs.append(job)

        def ended(done: Job[Any]) -> None:
            if done not in self._jobs:
                return
            self._jobs.remove(done)
            if done.error is not None:
                self._fail(done)
            else:
                then(done.result)

        self._desk.jobs.start(job, ended, light=light)

    def _fail(self, job: Job[Any]) -> None:
        if job.title == "Picture":
            self._say(f"This cannot be shown: {job.error}")
            return
        self.state.setText(str(job.error))
        self.save.setEnabled(True)

    def _stop(self) -> None:
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.cancel()

    # Looking -------------------------------------------------------------------------

    def _show_looks(self, looks: tuple[Look, ...]) -> None:
        self.looks = looks
        self.state.setText(HELD if looks else NOTHING)
        self.save.setEnabled(True)
        for look in looks:
            files = counted(len(look.files), "file")
            item = QListWidgetItem(f"{look.title}, {files}: {look.reason}")
            if not look.final:
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Unchecked)
            self.list.addItem(item)
        if looks:
            self.list.setCurrentRow(0)

    def _show_series(self, row: int) -> None:
        files = self.looks[row].files
        self.slider.setRange(0, len(files) - 1)
        self.slider.setValue(0)
        self._show_image()

    def _show_image(self) -> None:
        files = self.looks[self.list.currentRow()].files
        source = files[self.slider.value()]
        self._seen.add(str(source))
        seen = sum(str(file) in self._seen for file in files)
        place = f"Image {self.slider.value() + 1} of {len(files)}"
        self.place.setText(f"{place}   {seen} of them shown so far")
        waiting = [job for job in self._jobs if job.title == "Picture"]
        for job in waiting:
            self._jobs.remove(job)
            job.cancel()
        self._run("Picture", lambda _: picture(source), self._paint, light=True)

    def _paint(self, drawn: tuple[Grey, float]) -> None:
        grey, aspect = drawn
        rows, columns = grey.shape
        image = QImage(grey.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8)
        size = QSize(columns, max(1, round(rows * aspect)))
        size.scale(PICTURE_PX, PICTURE_PX, Qt.AspectRatioMode.KeepAspectRatio)
        smooth = Qt.TransformationMode.SmoothTransformation
        scaled = image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
        self.picture.setPixmap(QPixmap.fromImage(scaled))

    def _say(self, words: str) -> None:
        self.picture.setPixmap(QPixmap())
        self.picture.setText(words)

    # Saving --------------------------------------------------------------------------

    def _ask_key(self) -> None:
        chosen = QFileDialog.getSaveFileName(
            self,
            "The key file, old or new",
            "",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )[0]
        self._key = Path(chosen) if chosen else None
        self.key.setText(chosen or "None is kept…")

    def _ask_folder(self) -> None:
        chosen = QFileDialog.getSaveFileName(
            self,
            "A new folder for the copy",
            "",
            options=QFileDialog.Option.ShowDirsOnly,
        )[0]
        if chosen:
            self.save_to(Path(chosen))

    def options(self) -> frozenset[Option]:
        """Return the chosen options of the profile."""
        chosen: list[Option] = [option for option, box in self.kept.items() if box.isChecked()]
        dates: Option | None = self.dates.currentData()
        return frozenset([*chosen, dates] if dates else chosen)

    def looked_at(self) -> list[str]:
        """Return the files of the series that are ticked."""
        return [
            str(source)
            for row, look in enumerate(self.looks)
            if self.list.item(row).checkState() == Qt.CheckState.Checked and not look.final
            for source in look.files
        ]

    def save_to(self, folder: Path) -> None:
        """Write the copy into the new ``folder`` in the background."""
        options, accepted = self.options(), self.looked_at()
        subject, key = self.subject.text().strip(), self._key
        self.save.setEnabled(False)
        self.state.setText("Writing…")

        def work(progress: Progress) -> Outcome:
            names = Pseudonyms(read_key(key) if key is not None else new_key())
            order = Order(Profile(options), names, subject, tuple(accepted))
            return deidentify_files([self._folder], folder, order, progress)

        self._run("De-identify", work, lambda outcome: self._saved(outcome, key))

    def _saved(self, outcome: Outcome, key: Path | None) -> None:
        self.state.setText("\n".join(_short(report_lines(outcome, key))))
        self.save.setEnabled(True)


def _short(lines: Sequence[str]) -> list[str]:
    """Return the report without advice about the command line."""
    return [line for line in lines if "--accept-pixels" not in line]


def show_deidentify(desk: Desk, window: QWidget) -> None:
    """Open the dialog for the open case."""
    dialog = DeidentifyDialog(desk, window)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.show()
