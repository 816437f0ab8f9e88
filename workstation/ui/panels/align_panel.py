"""Align another image of the case with the one that is shown, and look at both fused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from segmentation.transform import Transform
from segmentation.volume import ImageGeometry
from workstation.alignment import Alignment, Point
from workstation.dicom.files import Scan
from workstation.fusion import Look
from workstation.importing import import_volume, is_volume_file, scan
from workstation.session import Window
from workstation.slices import vector
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import RecordList, button, label
from workstation.ui.volume_words import title_text
from workstation.ui.words import readable, unit_text, value_text

KINDS = {
    "rigid": "Rigid: turned and shifted",
    "affine": "Affine: also scaled and sheared",
    "deformable": "Deformable: also bent",
    "landmarks": "Marked points alone",
}
SHOWN_LOOKS: dict[Look, str] = {
    "two_colours": "Two colours",
    "overlay": "One over the other",
    "checkerboard": "Checkerboard",
}
IMAGES = ("dicom", "volume")


class AlignPanel(QWidget):
    """A folded part of a sheet: which image, how, landmarks in both, and the fused display."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.first = ""
        self.marked: dict[str, list[Point]] = {}
        self._windows: dict[str, Window] = {}
        self.fold = QToolButton()
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("Bring another phase, modality or date onto this image")
        self.fold.clicked.connect(self._toggle)
        self.second = QComboBox()
        self.second.setAccessibleName("The other image")
        self.second.currentIndexChanged.connect(lambda _: self._change_second())
        self.bring = button("Add an image to the case…", "", self._ask)
        self.kind = QComboBox()
        self.kind.setAccessibleName("How the other image may be moved")
        for name, words in KINDS.items():
            self.kind.addItem(words, name)
        self.turn = button("", "Show the other image alone, to mark points in it", self._turn)
        self.mark = button("Mark the crosshair", "", self._mark)
        self.clear = button("Clear", "Forget all marked points", self._clear)
        self.points = label("", "muted")
        self.align = button("Align", "", self._align, primary=True)
        self.fuse = QComboBox()
        self.fuse.setAccessibleName("How both images are shown")
        self.fuse.addItem("First image alone", "")
        for look, words in SHOWN_LOOKS.items():
            self.fuse.addItem(words, look)
        self.fuse.currentIndexChanged.connect(lambda _: self._fuse())
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("From the first image to the second")
        self.numbers = RecordList(self._number)
        self.told = label("", "warning")
        self.page = QWidget()
        self._arrange()
        bind = desk.bindings
        bind.slide(
            self.opacity,
            lambda: round(100 * desk.session.view.second_opacity),
            lambda value: desk.session.set_view(second_opacity=value / 100),
        )
        bind.enable(self.bring, self._lacks_case, "Another phase, modality or date of this patient")
        bind.enable(self.mark, self._lacks_point, "The next point of a pair, in the image shown")
        bind.enable(self.align, self.lacks, "Find how the images lie to each other")
        bind.add(self.refresh)
        desk.left.connect(self._forget)
        self._show_fold(False)

    def _arrange(self) -> None:
        form = QFormLayout()
        form.addRow("Other image", self.second)
        form.addRow("Map", self.kind)
        points = QHBoxLayout()
        for made in (self.turn, self.mark, self.clear):
            points.addWidget(made)
        shown = QHBoxLayout()
        shown.addWidget(self.fuse, 1)
        shown.addWidget(self.opacity, 1)
        column = QVBoxLayout(self.page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.bring)
        column.addLayout(form)
        column.addLayout(points)
        for part in (self.points, self.align):
            column.addWidget(part)
        column.addLayout(shown)
        column.addWidget(self.told)
        column.addWidget(self.numbers)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        outer.addWidget(self.page)

    def _toggle(self) -> None:
        self._show_fold(self.page.isHidden())

    def _show_fold(self, shown: bool) -> None:
        self.page.setVisible(shown)
        self.fold.setText("▾ Align another image" if shown else "▸ Align another image")
        if not shown:
            self._look_at(self.first)
        self._show_marks()

    def _forget(self) -> None:
        self.first, self.marked, self._windows = "", {}, {}
        with QSignalBlocker(self.fuse):
            self.fuse.setCurrentIndex(0)

    # What is there -------------------------------------------------------------------

    @property
    def pair(self) -> Alignment:
        """The image that the plan is made on, and the other one that is chosen."""
        return Alignment(self.first, str(self.second.currentData() or ""))

    def _others(self) -> list[str]:
        case = self._desk.session.case
        sources = case.record.sources if case is not None else {}
        return [n for n, s in sources.items() if s["kind"] in IMAGES and n != self.first]

    def _lacks_case(self) -> str:
        return "" if self._desk.session.case is not None else "an open case"

    def lacks(self) -> str:
        """Return what the alignment needs, "" when it can start."""
        if self._desk.session.plan is None:
            return "a plan"
        if not self.pair.moving:
            return "another image; add one to the case"
        fixed, moving = self._points()
        if len(fixed) != len(moving):
            return "the same points marked in both images"
        if self.kind.currentData() == "landmarks" and len(fixed) < 3:
            return "three pairs of marked points"
        return "the work that runs to end" if self._desk.busy else ""

    def _lacks_point(self) -> str:
        if not self.pair.moving:
            return "another image"
        return "" if self._desk.session.view.crosshair_mm is not None else "a crosshair"

    # Bring ---------------------------------------------------------------------------

    def _ask(self) -> None:
        chosen = QFileDialog.getOpenFileName(
            self, "A ZIP, a volume file, or one DICOM file of the folder"
        )[0]
        if chosen:
            path = Path(chosen)
            whole = is_volume_file(path) or path.suffix.lower() == ".zip"
            self.offer(path if whole else path.parent)

    def offer(self, path: Path) -> None:
        """Bring the image that ``path`` holds into the case; ask which, if that is open."""
        if is_volume_file(path):
            self._import(path, None)
            return
        self._desk.run("Scan", lambda p: scan([path], p), partial(self._choose, path))

    def _choose(self, path: Path, found: Scan) -> None:
        usable = [v for v in found.volumes if v.status != "refused"]
        if len(usable) > 1:
            names = [f"{n}. {title_text(v)}" for n, v in enumerate(usable, 1)]
            words = "Which of these images belongs beside the first?"
            picked, said = QInputDialog.getItem(self, "Images", words, names, 0, False)
            if not said:
                return
            usable = [usable[names.index(picked)]]
        self._import(path, usable[0].key if usable else None)

    def _import(self, path: Path, key: str | None) -> None:
        case = self._desk.session.require_case()
        number = 2
        while f"image_{number}" in case.record.sources:
            number += 1
        name = f"image_{number}"

        def work(progress: Progress) -> str:
            return import_volume(case, [path], name, key, progress=progress)

        self._desk.run("Add an image", work, self._imported)

    def _imported(self, name: str) -> None:
        self.refresh()
        self.second.setCurrentIndex(self.second.findData(name))
        self._desk.session.notify()

    # Landmarks -----------------------------------------------------------------------

    def _points(self) -> tuple[list[Point], list[Point]]:
        return self.marked.get(self.first, []), self.marked.get(self.pair.moving, [])

    def _change_second(self) -> None:
        plan = self._desk.session.plan
        self.marked = {}
        if plan is not None and self.pair.is_in(plan):
            fixed, moving = self.pair.landmarks(plan)
            self.marked = {self.first: fixed, self.pair.moving: moving}
            kind = plan.step(self.pair.transform).params.get("kind", "rigid")
            self.kind.setCurrentIndex(self.kind.findData(kind))
        self._show_marks()

    def _turn(self) -> None:
        on_first = self._desk.session.view.image == self.first
        self._look_at(self.pair.moving if on_first else self.first)

    def _look_at(self, name: str) -> None:
        """Show one of both images; the crosshair goes to the same place as far as it is known."""
        view = self._desk.session.view
        if not name or name == view.image:
            return
        transform, point = self._desk.value(self.pair.transform), view.crosshair_mm
        self._windows[view.image] = view.window
        there = self._middle(name)
        if isinstance(transform, Transform) and point is not None:
            forth = name == self.pair.moving
            if forth or transform.displacement_mm is None:
                way = transform if forth else transform.inverted()
                there = vector(way.apply(point))
        self._desk.session.set_view(
            image=name, crosshair_mm=there, window=self._windows.get(name, view.window)
        )
        self._show_marks()

    def _middle(self, name: str) -> Point | None:
        """Return the middle of an image of the case, LPS mm, without reading its pixels."""
        case = self._desk.session.require_case()
        key = case.record.sources[name]["sha256"]
        if key not in case.values:
            return None
        geometry = ImageGeometry.from_json(case.values.record(key)["geometry"])
        return vector(geometry.centre_mm())

    def _mark(self) -> None:
        view = self._desk.session.view
        if view.crosshair_mm is not None:
            self.marked.setdefault(view.image, []).append(view.crosshair_mm)
            self._show_marks()

    def _clear(self) -> None:
        self.marked = {}
        self._show_marks()

    # Align and show ------------------------------------------------------------------

    def _align(self) -> None:
        desk, pair, kind = self._desk, self.pair, str(self.kind.currentData())
        if desk.attempt(lambda: desk.session.align(pair, kind, *self._points())):
            self._look_at(self.first)
            if not self.fuse.currentData():
                self.fuse.setCurrentIndex(self.fuse.findData("two_colours"))
            desk.compute(pair.transform, pair.moved)

    def _fuse(self) -> None:
        look = self.fuse.currentData()
        if look:
            self._look_at(self.first)
            self._desk.session.set_view(second=self.pair.moved, look=look)
        else:
            self._desk.session.set_view(second="")

    @staticmethod
    def _number(record: dict[str, Any]) -> QLabel:
        quantity, unit = readable(record["name"].split(".", 1)[1]), record["unit"]
        line = label(f"{quantity}: {value_text(record['value'], unit)} {unit_text(unit)}".rstrip())
        line.setToolTip(record["source"])
        return line

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Offer the images of the case, and show how well those chosen lie on each other."""
        session = self._desk.session
        self.first = self.first or session.view.image
        others = self._others()
        if others != [self.second.itemData(n) for n in range(self.second.count())]:
            with QSignalBlocker(self.second):
                self.second.clear()
                for name in others:
                    self.second.addItem(self._named(name), name)
            self._change_second()
        on_first = session.view.image == self.first
        self.turn.setText("Show the other" if on_first else "Show the first")
        self.turn.setEnabled(bool(others))
        fixed, moving = self._points()
        self.points.setText(f"Points: {len(fixed)} in the first, {len(moving)} in the other")
        self.clear.setEnabled(bool(fixed or moving))
        self._show_result()

    def _show_marks(self) -> None:
        """Show the points that are marked in the image, while this part is open."""
        session = self._desk.session
        open_ = not self.page.isHidden()
        marks = tuple(self.marked.get(session.view.image, ())) if open_ else ()
        session.set_view(marks=marks)

    def _named(self, name: str) -> str:
        about = self._desk.session.require_case().record.sources[name]
        words = " ".join(w for w in (about.get("modality"), about.get("description")) if w)
        return f"{name}: {words}" if words else name

    def _show_result(self) -> None:
        session, name = self._desk.session, self.pair.transform
        there = session.plan is not None and self.pair.is_in(session.plan)
        summary = session.summary() if there else {"numbers": [], "findings": []}
        self.numbers.show_records([n for n in summary["numbers"] if n["step"] == name])
        doubts = [f for f in summary["findings"] if f.get("step") == name]
        self.told.setText(" ".join(f["sentence"] for f in doubts if f["severity"] != "info"))
        self.told.setVisible(bool(self.told.text()))
        self.fuse.setEnabled(there)
        self.opacity.setEnabled(there and session.view.look != "checkerboard")
