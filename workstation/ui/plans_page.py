"""The plans of the case side by side in the middle of the window: pictures and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from workstation.comparing import asked_plans, compare
from workstation.jobs import Job
from workstation.ui.aside import run_aside
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import bold, button, label
from workstation.ui.panels.plans_card import PlansCard
from workstation.ui.plans_words import cell_text, limit_text, row_title, setting_text

PICTURE_HEIGHT_PX = 190
TITLE_PX = 230
NOTE = (
    "Which plan is better is not judged. ▲ passes a published limit, ! reaches it with its band; "
    "≠ differs between the plans."
)


class PlansPage(QWidget):
    """A column for each named plan; ``turned`` tells that it is wanted or no more."""

    turned = Signal()

    def __init__(self, desk: Desk, card: PlansCard) -> None:
        super().__init__()
        self._desk, self._card = desk, card
        card.opened.connect(self.ask)
        self._asked = False
        self._shown: object = None
        self._document: Mapping[str, Any] | None = None
        self.pictures: dict[int, QPixmap] = {}
        self._drawn: tuple[int, ...] = ()
        self._drawing: Job[Any] | None = None
        self.all_numbers = QCheckBox("All numbers")
        self.all_numbers.setToolTip("Also those that the plans have in common")
        self.all_numbers.toggled.connect(lambda _: self._fill())
        back = button("Back to the views", "Show the images and the 3D view", self.put_away)
        self.told = label("", "warning")
        self.table = QTableWidget(0, 0)
        self.table.setAccessibleName("Plans side by side")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.verticalHeader().hide()
        self.table.setWordWrap(True)
        line = QHBoxLayout()
        line.addWidget(bold("Plans side by side"), 1)
        line.addWidget(self.all_numbers)
        line.addWidget(back)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 12)
        column.setSpacing(8)
        column.addLayout(line)
        column.addWidget(label(NOTE, "muted"))
        column.addWidget(self.told)
        column.addWidget(self.table, 1)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    def add_commands(self, add: Callable[..., object]) -> None:
        """Offer what can be done with plans among all actions."""
        card = self._card
        add("Plan", "New plan from this one", card.begin, "Ctrl+Shift+N", card.lacks_plan)
        add("Plan", "Compare the plans", self.ask, "Ctrl+Shift+C", card.lacks_second)

    def ask(self) -> None:
        """Show the page instead of the views."""
        self._asked = True
        self.turned.emit()
        self.refresh()

    def put_away(self) -> None:
        """Show the views again."""
        self._asked = False
        self.turned.emit()

    @property
    def is_wanted(self) -> bool:
        """Whether the page is to stand in the middle."""
        case = self._desk.session.case
        return self._asked and case is not None and len(case.record.plan_names) > 1

    def _forget(self) -> None:
        self._asked, self._shown, self._document = False, None, None
        self.pictures, self._drawn = {}, ()
        if self._drawing is not None:
            self._drawing.cancel()
            self._drawing = None
        self.table.setRowCount(0)

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Set the plans side by side anew if one of them, or what is computed, has changed."""
        session = self._desk.session
        case = session.case
        if not self.is_wanted or case is None or self._desk.busy:
            return
        asked = tuple(asked_plans(case, ()))
        states = tuple(step["state"] for step in session.summary()["steps"])
        wanted = (asked, case.record.variant, states)
        if wanted == self._shown:
            return
        self._shown = wanted
        self._desk.run("Compare plans", lambda _: compare(case, asked), self._take)

    def _take(self, document: Mapping[str, Any]) -> None:
        case = self._desk.session.case
        if case is None or str(case.folder) != document["case"]:  # another case was opened
            return
        self._document = document
        self._fill()
        self._draw(case.folder, tuple(dict.fromkeys(plan["plan"] for plan in document["plans"])))

    # Pictures ------------------------------------------------------------------------

    def _draw(self, folder: Path, numbers: tuple[int, ...]) -> None:
        """Let pictures of the plans be drawn in a process of its own, all by the same eye."""
        if numbers == self._drawn or self._drawing is not None:
            return

        def work(progress: Progress) -> dict[int, bytes]:
            with TemporaryDirectory() as place:
                words = ["compare", str(folder), *map(str, numbers * 2), "--pictures", place]
                run_aside(words, "pictures of the plans", progress)
                return {int(f.stem[4:]): f.read_bytes() for f in Path(place).glob("plan*.png")}

        self._drawing = Job("Pictures of the plans", work)
        self._desk.jobs.start(self._drawing, lambda job: self._hang(job, numbers), light=True)

    def _hang(self, job: Job[dict[int, bytes]], numbers: tuple[int, ...]) -> None:
        if job is not self._drawing:  # of a case that was left
            return
        self._drawing, self._drawn = None, numbers
        self.pictures = {}
        for number, data in (job.result or {}).items():
            self.pictures[number] = QPixmap()
            self.pictures[number].loadFromData(data)
        self._fill()
        if self._document is not None and self.is_wanted:
            case = self._desk.session.require_case()
            plans = (plan["plan"] for plan in self._document["plans"])
            self._draw(case.folder, tuple(dict.fromkeys(plans)))

    # Table ---------------------------------------------------------------------------

    def _fill(self) -> None:
        """Write the table: pictures, what differs in the settings, numbers."""
        document = self._document
        if document is None:
            return
        plans, table = document["plans"], self.table
        late = [plan["name"] for plan in plans if not plan["computed"]]
        words = [*document["notes"]]
        if late:
            words.append(f"Not computed: plan {', '.join(late)}; work on it and recompute.")
        self.told.setText("\n".join(f"! {word}" for word in words))
        self.told.setVisible(bool(words))
        everything = self.all_numbers.isChecked()
        numbers = [row for row in document["numbers"] if everything or row["key"] or row["differs"]]
        if not everything:
            numbers = [row for row in numbers if "_surface." not in row["name"]]
        table.clear()
        table.setColumnCount(1 + len(plans))
        table.setRowCount(1 + len(document["settings"]) + len(numbers))
        table.setHorizontalHeaderLabels(["", *(plan["name"] for plan in plans)])
        for column, plan in enumerate(plans, 1):
            table.setCellWidget(0, column, self._head(plan))
        for place, row in enumerate(document["settings"], 1):
            self._write(place, row_title(row["step"], row["param"]), True, True,
                        [setting_text(value) for value in row["values"]])  # fmt: skip
        for place, row in enumerate(numbers, 1 + len(document["settings"])):
            title = row["title"] or row_title(row["name"])
            texts = [cell_text(value, row["unit"]) for value in row["values"]]
            tips = [limit_text(value, row["unit"]) for value in row["values"]]
            self._write(place, title, bool(row["differs"]), False, texts, tips)
        self._arrange(len(plans))

    def _write(
        self,
        place: int,
        title: str,
        differs: bool,
        setting: bool,
        texts: list[str],
        tips: list[str] | None = None,
    ) -> None:
        """Write one row; what differs between the plans is marked and strong."""
        for column, text in enumerate([f"{'≠ ' if differs else ''}{title}", *texts]):
            item = QTableWidgetItem(text)
            font = QFont(item.font())
            if differs and not setting:
                font.setWeight(QFont.Weight.DemiBold)
            item.setFont(font)
            if tips is not None and column:
                item.setToolTip(tips[column - 1])
            self.table.setItem(place, column, item)

    def _arrange(self, count: int) -> None:
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.table.setColumnWidth(0, TITLE_PX)
        for column in range(1, count + 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.table.resizeRowsToContents()
        self.table.setRowHeight(0, PICTURE_HEIGHT_PX + 34)

    def _head(self, plan: Mapping[str, Any]) -> QWidget:
        """Return what stands above the numbers of a plan: its picture and the kind of its cut."""
        made, picture = QWidget(), QLabel()
        picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        drawn = self.pictures.get(plan["plan"])
        if drawn is not None and not drawn.isNull():
            smooth = Qt.TransformationMode.SmoothTransformation
            room = (self.table.viewport().width() - TITLE_PX) // (self.table.columnCount() - 1)
            wide = max(room - 16, 2 * PICTURE_HEIGHT_PX // 3)
            kept = Qt.AspectRatioMode.KeepAspectRatio
            picture.setPixmap(drawn.scaled(wide, PICTURE_HEIGHT_PX, kept, smooth))
        else:
            picture.setText("Drawing…" if plan["computed"] else "Not computed")
        picture.setAccessibleName(f"Picture of plan {plan['name']}, from the front")
        case = self._desk.session.case
        here = case is not None and case.record.variant == plan["name"]
        cut = plan["cut"].capitalize()
        words = f"● {cut}" if here else cut
        column = QVBoxLayout(made)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(2)
        column.addWidget(picture, 1)
        told = label(words, "done" if here else "muted", wrap=False)
        told.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(told)
        return made
