"""The window: banner, stages, four views, panel and job bar, driven by one session."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import get_args

from platformdirs import user_data_path
from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from workstation.case import open_case
from workstation.demo import DEMOS, own_folder, start_demo
from workstation.dicom.nodes import nodes_path
from workstation.fhir.parsing import is_clinical_file
from workstation.session import PRESETS, Session
from workstation.ui.banner import Banner
from workstation.ui.clip_tool import ClipTool
from workstation.ui.cut_drag import CutDrag
from workstation.ui.cut_sheet import SheetTool
from workstation.ui.cut_sketch import CutSketch
from workstation.ui.deidentify_dialog import show_deidentify
from workstation.ui.desk import Desk
from workstation.ui.error_card import CardStack
from workstation.ui.flow_show import FlowShow
from workstation.ui.four_up import FourUp
from workstation.ui.guard import guarded
from workstation.ui.job_bar import JobBar
from workstation.ui.measure_commands import add_measure_commands
from workstation.ui.measuring import Measuring
from workstation.ui.palette import Commands, Palette, ShortcutSheet
from workstation.ui.panels.case_panel import CasePanel, Doors, StartPage
from workstation.ui.panels.flow_panel import FlowPanel
from workstation.ui.panels.import_panel import ImportPanel, default_folder
from workstation.ui.panels.measure_panel import MeasurePanel
from workstation.ui.panels.model_panel import ModelPanel
from workstation.ui.panels.models import is_model
from workstation.ui.panels.pacs_page import PacsPage, Tab
from workstation.ui.panels.parts import button
from workstation.ui.panels.plan_panel import PlanPanel
from workstation.ui.panels.print_panel import PrintPanel
from workstation.ui.panels.report_panel import ReportPanel
from workstation.ui.panels.segment_panel import SegmentPanel
from workstation.ui.panels.transplant_page import TransplantPage
from workstation.ui.plan_hands import PlanHands
from workstation.ui.plans_page import PlansPage
from workstation.ui.recent import recent_cases, recent_file, remember
from workstation.ui.slice_paint import Tool
from workstation.ui.stage_rail import STAGE_NAMES, StageRail
from workstation.ui.vein_show import VeinShow
from workstation.ui.window_look import WindowLook

VIEW_KEYS = {"axial": "Ctrl+1", "coronal": "Ctrl+2", "sagittal": "Ctrl+3", "3d": "Ctrl+4"}


def make_demo(folder: Path, name: str, progress: Progress) -> Path:
    """Make a built-in synthetic patient a case in ``folder``; return the folder."""
    start_demo(folder, name, progress)
    return folder


class MainWindow(QMainWindow):
    """One case at a time. Everything it offers is in ``commands``."""

    def __init__(self, session: Session, recent: Path | None = None) -> None:
        super().__init__()
        self.session = session
        self._recent = recent or recent_file()
        self.desk = Desk(session, self)
        self.setWindowTitle("Hilum")
        self.setAcceptDrops(True)
        self.resize(1600, 1000)
        self.setMinimumSize(1100, 700)
        self.doors = Doors(
            self.open_demo,
            self._ask_images,
            self._ask_file,
            self._ask_case,
            self.open_case,
            self.show_pacs,
            lambda: self.pair.ask_new(),
        )
        self.banner, self.rail = Banner(self.desk), StageRail(self.desk)
        self.views, self.start_page = FourUp(self.desk), StartPage(self.doors)
        self.drag = CutDrag(self.desk, self.views)
        self.sheet = SheetTool(self.desk, self.views, self.drag)
        self.measuring = Measuring(self.desk, self.views)
        self.clip = ClipTool(self.desk, self.views)
        self.sketch = CutSketch(self.desk, self.views, self.drag)
        self.flow_show = FlowShow(self.desk, self.views)
        self.cards, self.job_bar = CardStack(), JobBar(self.desk.jobs)
        self._make_panels()
        self._arrange()
        chosen = self._recent.with_name("window.json")
        self.look = WindowLook(chosen, self, self.rail, self._right, self.banner, self.job_bar)
        self.commands = Commands(self)
        self._fill_commands()
        self.commands.fill(self.menuBar())
        self.job_bar.undo.clicked.connect(self.undo)
        self.rail.chosen.connect(self.show_stage)
        self.rail.fold.clicked.connect(self.look.toggle_rail)
        self.desk.failed.connect(self.cards.show_problem)
        self.desk.bindings.add(self.refresh)
        self.show_stage("Case")
        self.look.apply()
        self.desk.bindings.refresh()

    # Layout --------------------------------------------------------------------------

    def _make_panels(self) -> None:
        self.case_panel = CasePanel(self.desk, self.doors, self.close_case)
        self.import_panel = ImportPanel(self.desk, self._imported)
        self.segment_panel, self.model_panel = SegmentPanel(self.desk), ModelPanel(self.desk)
        self.measure_panel = MeasurePanel(self.desk, self.measuring, self.clip)
        self.plan_panel = PlanPanel(self.desk)
        self.plan_panel.bend.clicked.connect(self.sheet.bend)
        self.hands = PlanHands(self.desk, self.views, self.plan_panel, self.drag)
        self.veins = VeinShow(self.desk, self.views, self.plan_panel.veins)
        self.plan_panel.cut_choice.sheet.draw.clicked.connect(self.sketch.take)
        self.sketch.taken.connect(self.plan_panel.cut_choice.sheet.draw.setChecked)
        self.flow_panel = FlowPanel(self.desk, self.flow_show)
        printers = self._recent.with_name("printers.json")
        self.print_panel = PrintPanel(self.desk, self.views.scene, printers)
        self.report_panel = ReportPanel(self.desk)
        self.panels = QStackedWidget()
        for panel in (
            self.case_panel,
            self.import_panel,
            self.segment_panel,
            self.model_panel,
            self.measure_panel,
            self.plan_panel,
            self.flow_panel,
            self.print_panel,
            self.report_panel,
        ):
            self.panels.addWidget(panel.widget)

    def _arrange(self) -> None:
        self.pacs = PacsPage(
            self.desk,
            nodes_path(),
            user_data_path("hilum") / "inbox",
            self._open_fetched,
            self.close_pacs,
        )
        self._on_pacs = False
        find = button("Search a PACS…", "Find and fetch images", self.show_pacs)
        self.import_panel.widget.body.addWidget(find)
        send = button("Send to a PACS…", "As DICOM objects", partial(self.show_pacs, "Send"))
        self.report_panel.widget.body.addWidget(send)
        self.pair = TransplantPage(self.desk, self._imported)
        self.pair.turned.connect(self._show_middle)
        self.plan_panel.transplant.opened.connect(self.pair.ask)
        self.plans = PlansPage(self.desk, self.plan_panel.plans)
        self.plans.turned.connect(self._show_middle)
        self.middle = QStackedWidget()
        offered = (self.start_page, self.views, self.import_panel.page, self.pacs, self.pair)
        for middle in (*offered, self.plans):
            self.middle.addWidget(middle)
        self._right = QWidget()
        column = QVBoxLayout(self._right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.panels, 1)
        column.addWidget(self.cards)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.rail)
        row.addWidget(self.middle, 1)
        row.addWidget(self._right)
        whole = QWidget()
        page = QVBoxLayout(whole)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(2)
        page.addWidget(self.banner)
        page.addLayout(row, 1)
        page.addWidget(self.job_bar)
        self.setCentralWidget(whole)

    def _fill_commands(self) -> None:
        add = self.commands.add
        add("Case", "Open the built-in synthetic patient", self.open_demo)
        for name in list(DEMOS)[1:]:
            words = f"Open the built-in synthetic patient: {name}"
            add("Case", words, partial(self.open_demo, name))
        add("Case", "New transplant review…", self.pair.ask_new)
        add("Case", "Open a folder of images…", self._ask_images, "Ctrl+I")
        add("Case", "Open a ZIP, image or surface file…", self._ask_file, "Ctrl+Shift+I")
        add("Case", "Open a case…", self._ask_case, "Ctrl+O")
        add("Case", "Search a PACS…", self.show_pacs, "Ctrl+Shift+P")
        add("Case", "Send to a PACS…", partial(self.show_pacs, "Send"))
        add("Case", "Receive from a PACS…", partial(self.show_pacs, "Receive"))
        add("Case", "PACS nodes…", partial(self.show_pacs, "Nodes"))
        copy = partial(show_deidentify, self.desk, self)
        add("Case", "Save a de-identified copy…", copy, "", self._lacks_case)
        add("Case", "Close the case", self.close_case, "Ctrl+W", self._lacks_case)
        add("Case", "Quit", self.close, "Ctrl+Q")
        self._undo = add("Edit", "Undo", self.undo, "Ctrl+Z", self._lacks_undo)
        self._redo = add("Edit", "Redo", self.redo, "Ctrl+Shift+Z", self._lacks_redo)
        add("Plan", "Recompute", self.compute, "F5", self._lacks_plan)
        self.plans.add_commands(add)
        add("Plan", "Stop the work that runs", self.job_bar.cancel_first, "Ctrl+.", self._lacks_job)
        for tool, key in zip(get_args(Tool), ("Q", "G", "X", "B", "E", "C", "K")):
            made = self.segment_panel.tools[tool]
            add(
                "Tool",
                f"{made.text()} tool",
                partial(self.desk.take_tool, tool),
                key,
                partial(self.segment_panel.tool_lacks, tool),
            )
        add_measure_commands(add, self.show_stage, self.measuring, self.clip)
        show = self.flow_show
        add("View", "Play the flow, or stop", lambda: show.play(not show.playing), "Ctrl+Space",
            show.lacks)  # fmt: skip
        for number, name in enumerate(STAGE_NAMES, 1):
            add("Go", f"Go to {name}", partial(self.show_stage, name), f"Alt+{number}")
        for number, (name, window) in enumerate(PRESETS.items(), 1):
            text = f"Window {name.lower()} (W {window.width:g} L {window.level:g})"
            add("View", text, partial(self.session.set_view, window=window), str(number))
        for name, key in VIEW_KEYS.items():
            words = f"Maximise {name.replace('3d', '3D')}"
            add("View", words, partial(self.views.show_only, name), key)
        add("View", "Show all four views", lambda: self.views.show_only(""), "Ctrl+0")
        add("View", "Show or hide labels", self._toggle_labels, "H", self._lacks_case)
        add("View", "Light or dark theme", self.look.toggle_theme)
        add("View", "Stages as icons, or with their names", self.look.toggle_rail, "Ctrl+B")
        add("View", "Larger text", partial(self.look.scale_text, +0.1), "Ctrl+=")
        add("View", "Smaller text", partial(self.look.scale_text, -0.1), "Ctrl+-")
        add("Help", "Search an action", self.show_palette, "Ctrl+K")
        add("Help", "Shortcuts", self.show_shortcuts, "F1")

    # What is missing -----------------------------------------------------------------

    def _lacks_case(self) -> str:
        return "" if self.session.case is not None else "an open case"

    def _lacks_plan(self) -> str:
        return "" if self.session.plan is not None else "a plan"

    def _lacks_undo(self) -> str:
        return "" if self.session.undo_label else "something to undo"

    def _lacks_redo(self) -> str:
        return "" if self.session.redo_label else "something to redo"

    def _lacks_job(self) -> str:
        return "" if self.desk.jobs.jobs else "work that runs"

    # Doors ---------------------------------------------------------------------------

    def open(self, path: Path) -> None:
        """Open a case, add clinical values or a model, or show what a path holds."""
        if (path / "case.json").is_file():
            self.open_case(path)
        elif is_clinical_file(path):
            self.show_stage("Case")
            self.case_panel.clinical.take(path)
        elif is_model(path):
            self.show_stage("Segment")
            self.segment_panel.models.take(path)
        else:
            self.show_stage("Import")
            self.import_panel.offer(path)

    def open_case(self, folder: Path) -> None:
        """Open a case; one that cannot be opened leaves everything as it was."""
        held = self.session.case
        if held is not None and held.folder.resolve() == folder.resolve():
            self.show_stage("Plan" if self.session.plan is not None else "Case")
            return
        if self.desk.attempt(partial(self._change_case, folder)):
            remember(self._recent, folder)
            self.show_stage("Plan" if self.session.plan is not None else "Case")
            self.views.slices["axial"].setFocus()

    def _change_case(self, folder: Path) -> None:
        case = open_case(folder)
        self.desk.hand_over(case)
        self.desk.leave_case()
        self.session.adopt(case)

    def open_demo(self, name: str = "liver") -> None:
        """Open a built-in synthetic patient; it is made the first time."""
        folder = own_folder(name)
        if (folder / "case.json").is_file():
            self._imported(folder)
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.desk.run("Synthetic patient", lambda p: make_demo(folder, name, p), self._imported)

    def _imported(self, folder: Path) -> None:
        self.open_case(folder)
        if self.session.plan is not None and self.session.case is not None:
            states = self.session.case.states(self.session.plan).values()
            if any(state != "fresh" for state in states):
                self.compute()

    def show_pacs(self, tab: Tab = "Search") -> None:
        """Show the PACS page in the middle, beside the import or the report."""
        self.show_stage("Report" if tab == "Send" else "Import")
        self._on_pacs = True
        self._show_middle()
        self.pacs.turn_to(tab)

    def _open_fetched(self, folder: Path) -> None:
        """Show what came from a PACS; its case is kept apart from what comes in."""
        self.open(folder)
        place = user_data_path("hilum") / "cases" / folder.name
        self.import_panel.folder.setText(str(default_folder(place)))

    def close_pacs(self) -> None:
        """Show in the middle what was there before the PACS page."""
        self._on_pacs = False
        self._show_middle()

    def close_case(self) -> None:
        """Close the case; everything is saved already."""
        self.desk.leave_case()
        self.session.close()
        self.show_stage("Case")

    def _ask_images(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder of images")
        if chosen:
            self.open(Path(chosen))

    def _ask_file(self) -> None:
        images = "Images (*.zip *.dcm *.nii *.nii.gz *.nrrd *.mha *.mhd)"
        kinds = f"{images};;Surfaces, tracts (*.stl *.obj *.ply *.vtp *.tck *.trk);;All files (*)"
        chosen = QFileDialog.getOpenFileName(self, "A ZIP, image or surface file", "", kinds)[0]
        if chosen:
            self.open(Path(chosen))

    def _ask_case(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a case")
        if chosen:
            self.open_case(Path(chosen))

    # Actions -------------------------------------------------------------------------

    def undo(self) -> None:
        """Take back the last change of the plan."""
        if self.session.undo_label:
            self.plan_panel.show_live(None)
            self.desk.attempt(self.session.undo)
            self.desk.compute_edits()

    def redo(self) -> None:
        """Bring back the change that was taken back last."""
        if self.session.redo_label:
            self.plan_panel.show_live(None)
            self.desk.attempt(self.session.redo)
            self.desk.compute_edits()

    def compute(self) -> None:
        """Compute what the plan lacks."""
        self.desk.attempt(self.desk.compute)

    def show_stage(self, name: str) -> None:
        """Show the panel of a stage; a drawing tool and the PACS page are put away."""
        self._on_pacs = False
        self.panels.setCurrentIndex(STAGE_NAMES.index(name))
        self.desk.bindings.catch_up()
        self._show_middle()
        self.rail.choose(name)
        if name != "Segment" and self.desk.hand.tool != "navigate":
            self.desk.take_tool("navigate")
        if name != "Measure":
            self.measuring.put_away()
        if name != "Plan":
            self.plans.put_away()
        if name != "Plan" and self.sketch.on:
            self.sketch.take(False)
        if name != "Flow":
            self.flow_show.play(False)

    def show_palette(self) -> None:
        """Search an action by name."""
        palette = Palette(self.commands, self)
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.show()
        palette.query.setFocus()

    def show_shortcuts(self) -> None:
        """Show all shortcuts."""
        sheet = ShortcutSheet(self.commands, self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.show()

    def _toggle_labels(self) -> None:
        names = set(self.desk.labels())
        hidden = set(self.session.view.hidden)
        shown = names - hidden
        self.session.set_view(hidden=hidden | names if shown else hidden - names)

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what can be undone, the start page without a case, and the title."""
        session = self.session
        undo, redo = session.undo_label, session.redo_label
        self._undo.setText(f"Undo: {undo}" if undo else "Undo")
        self._redo.setText(f"Redo: {redo}" if redo else "Redo")
        self.job_bar.undo.setText(f"Undo: {undo}")
        self.job_bar.undo.setVisible(bool(undo))
        self.job_bar.undo.setToolTip(f"Undo: {undo} (Ctrl+Z)")
        if session.case is None:
            self.start_page.show_recent(recent_cases(self._recent))
        self._show_middle()
        name = session.case.folder.name if session.case is not None else ""
        self.setWindowTitle(f"{name} – Hilum" if name else "Hilum")
        self.commands.refresh()

    def _show_middle(self) -> None:
        """Show the import report while images are looked at, else the views or the start page."""
        arriving = self.desk.arriving is not None
        shown = arriving or self.session.case is not None
        reviewed = next((p for p in (self.plans, self.pair) if p.is_wanted), self.views)
        self.plan_panel.transplant.show_page(self.pair.is_wanted)
        page: QWidget = reviewed if shown else self.start_page
        importing = self.panels.currentWidget() is self.import_panel.widget
        if importing and self.import_panel.offers and not arriving:
            page = self.import_panel.page
        if self._on_pacs:
            page = self.pacs
        self.middle.setCurrentWidget(page)

    # Qt ------------------------------------------------------------------------------

    @guarded
    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files and folders."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    @guarded
    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        paths = [Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open(paths[0])

    @guarded
    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop the work and close the case."""
        self.hide()  # work may take a moment to stop
        self.pacs.close_work()
        self.desk.close()
        self.views.scene.painter.close()
        super().closeEvent(event)
