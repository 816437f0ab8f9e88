"""Search a PACS, look at one image of a series, and fetch a study or series."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import (
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from segmentation.wording import counted
from workstation.dicom import network
from workstation.dicom.network import FoundSeries, FoundStudy, Inbox, NetworkError, Node
from workstation.dicom.preview import Preview, Serve, preview
from workstation.jobs import Job
from workstation.ui.desk import Desk
from workstation.ui.panels.found_table import Column, FoundTable
from workstation.ui.panels.node_choice import NodeChoice
from workstation.ui.panels.pacs_receive import Receiver
from workstation.ui.panels.parts import button, label, set_role
from workstation.ui.panels.preview_card import PreviewCard
from workstation.ui.panels.query_form import QueryForm

Uids = tuple[str, str]


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


STUDY_COLUMNS: Sequence[Column[FoundStudy]] = (
    Column("Patient", lambda s: s.patient_name),
    Column("ID", lambda s: s.patient_id),
    Column("Born", lambda s: s.birth_date.isoformat() if s.birth_date else ""),
    Column("Date", lambda s: s.study_date.isoformat() if s.study_date else ""),
    Column("Kind", lambda s: " ".join(s.modalities)),
    Column("Description", lambda s: s.description),
    Column("Accession", lambda s: s.accession_number),
    Column("Images", lambda s: _number(s.instance_count), lambda s: s.instance_count),
)
SERIES_COLUMNS: Sequence[Column[FoundSeries]] = (
    Column("No.", lambda s: _number(s.number), lambda s: s.number),
    Column("Kind", lambda s: s.modality),
    Column("Description", lambda s: s.description),
    Column("Region", lambda s: s.body_part),
    Column("Images", lambda s: _number(s.instance_count), lambda s: s.instance_count),
)


def inbox_folder(root: Path, study: FoundStudy) -> Path:
    """Return where a study is kept: a short name that says nothing about who it is of."""
    mark = hashlib.sha256(study.study_uid.encode()).hexdigest()[:8]
    return root / f"{study.study_date or 'study'}-{mark}"


def find(
    node: Node, query: network.StudyQuery, route: network.Route, ask: network.Ask, told: Progress
) -> tuple[tuple[FoundStudy, ...], bool]:
    """Return the studies that match, and whether the node has more than these."""
    try:
        return network.find_studies(node, query, route, ask, told), False
    except network.TooMany as many:
        return tuple(map(FoundStudy.of, many.answers)), True


class SearchTab(QWidget):
    """What to search for, the studies and series found, the preview and the fetching."""

    def __init__(
        self,
        desk: Desk,
        choice: NodeChoice,
        receiver: Receiver,
        inbox: Path,
        opened: Callable[[Path], object],
    ) -> None:
        super().__init__()
        self._desk, self._choice, self._receiver = desk, choice, receiver
        self.inbox, self._opened = inbox, opened
        self._jobs: dict[str, Job[Any]] = {}
        self._kept: Path | None = None
        self._node: Node | None = None  # whose studies the tables show
        self.query = QueryForm(self.search)
        self.go = button("Search", "", self.search, primary=True)
        self.said, self.needs = label("", "muted"), label("", "warning")
        self.studies = FoundTable("Studies", STUDY_COLUMNS, 5)
        self.series = FoundTable("Series", SERIES_COLUMNS, 2)
        self.card = PreviewCard()
        self.card.say("Choose a series to see one of its images")
        self.fetch_study = button("Fetch the study", "", partial(self._fetch, whole=True))
        self.fetch_series = button("Fetch the series", "", self._fetch, primary=True)
        self.stop = button("Stop", "Stop fetching; what came is kept", self._stop)
        self.came = label("", "muted")
        self.look = button("Look at what came", "Check the images that are here", self._look)
        self._arrange()
        self.studies.chosen.connect(self._list_series)
        self.series.chosen.connect(self._preview)
        choice.changed.connect(self._chosen)
        self.studies.doubleClicked.connect(lambda _: self._fetch(whole=True))
        self.series.doubleClicked.connect(lambda _: self._fetch())
        self.query.changed.connect(self.refresh)
        self.refresh()

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.said, 1)
        top.addWidget(self.go)
        lower = QHBoxLayout()
        lower.addWidget(self.series, 1)
        lower.addWidget(self.card)
        bottom = QHBoxLayout()
        bottom.addWidget(self.came, 1)
        for made in (self.look, self.stop, self.fetch_study, self.fetch_series):
            bottom.addWidget(made)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.query)
        column.addWidget(self.needs)
        column.addLayout(top)
        column.addWidget(self.studies, 3)
        column.addLayout(lower, 2)
        column.addLayout(bottom)

    # Work ----------------------------------------------------------------------------

    def _start(
        self,
        kind: str,
        work: Callable[[Progress], Any],
        then: Callable[[Any], object],
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        """Do ``work``; it takes the place of what still runs of the same ``kind``."""
        self._cancel(kind)

        def current() -> bool:
            return self._jobs.get(kind) is job

        def take(result: Any) -> None:
            if current():
                then(result)

        def end() -> None:
            if current():
                del self._jobs[kind]
                ended()
            self.refresh()

        job = self._desk.run(kind, work, take, network=True, ended=end)
        self._jobs[kind] = job
        self.refresh()

    def _cancel(self, *kinds: str) -> None:
        for kind in kinds:
            if kind in self._jobs:
                self._jobs.pop(kind).cancel()

    # Search --------------------------------------------------------------------------

    def _chosen(self) -> None:
        """Forget what another node answered: it may mean another patient here."""
        if self._node is not None and self._node != self._choice.node():
            self._node = None
            self._cancel("Search", "Series", "Preview")
            self.studies.show_rows(())
            self._say("")
        self.refresh()

    def search_lacks(self) -> str:
        """Return what a search needs, "" when it can run."""
        return self._choice.lacks() or self.query.lacks()

    def search(self) -> None:
        """Search the chosen node for studies."""
        node = self._choice.node()
        if node is None or self.search_lacks():
            return
        query, route, ask = self.query.query(), self._choice.route(), self._choice.ask()
        self._node = node
        self.studies.show_rows(())
        self._say("Searching…")
        self._start(
            "Search",
            lambda progress: find(node, query, route, ask, progress),
            partial(self._found, node),
            self._searched,
        )

    def _searched(self) -> None:
        if self.said.text() == "Searching…":  # it failed or was stopped
            self._say("")

    def _found(self, node: Node, answer: tuple[tuple[FoundStudy, ...], bool]) -> None:
        studies, more = answer
        count = len(studies)
        if more:
            self._say(
                f"! The first {count} studies; {node.name} has more. Narrow the search.", "warning"
            )
        elif not count:
            self._say(
                f"{node.name} has nothing that matches. * stands for any letters: SMITH*", "warning"
            )
        else:
            self._say(counted(count, "study", "studies"))
        self.studies.show_rows(studies)

    def _say(self, text: str, role: str = "muted") -> None:
        self.said.setText(text)
        set_role(self.said, role)

    def _list_series(self) -> None:
        self._cancel("Series", "Preview")
        self.series.show_rows(())
        study, node = self.studies.selected(), self._choice.node()
        self.refresh()
        if study is None or node is None or self._choice.lacks():
            return
        query = network.SeriesQuery(study.study_uid, limit=10_000)
        route, ask = self._choice.route(), self._choice.ask()
        self._start(
            "Series",
            lambda progress: network.find_series(node, query, route, ask, progress),
            self.series.show_rows,
        )

    # Preview -------------------------------------------------------------------------

    def _preview(self) -> None:
        self._cancel("Preview")
        series, node = self.series.selected(), self._choice.node()
        self.refresh()
        if series is None or node is None or self._choice.lacks():
            self.card.say("Choose a series to see one of its images")
            return
        if self._move_lacks():
            self.card.say(f"No picture; it needs {self._move_lacks()}", series)
            return
        self.card.say("Fetching one image…", series)
        uids, route, ask = (series.study_uid, series.series_uid), *self._asked()
        serve = partial(self._receiver.server, node) if self._moves() else None
        self._start(
            "Preview",
            lambda progress: _try_preview(
                node, uids, route, ask, progress, partial(serve, progress) if serve else None
            ),
            partial(self._show_preview, series),
        )

    def _show_preview(self, series: FoundSeries, seen: Preview | str) -> None:
        if isinstance(seen, Preview):
            self.card.show_preview(seen, series)
        else:
            self.card.say(seen, series)

    # Fetch ---------------------------------------------------------------------------

    def _asked(self) -> tuple[network.Route, network.Ask]:
        return self._choice.route(), self._choice.ask()

    def _moves(self) -> bool:
        return self._choice.chosen_way() == "move"

    def _move_lacks(self) -> str:
        return self._receiver.lacks_port() if self._moves() else ""

    def fetch_lacks(self, whole: bool) -> str:
        """Return what fetching needs, "" when it can run."""
        if "Fetch" in self._jobs:
            return "the fetching that runs to end"
        chosen = self.studies.selected() if whole else self.series.selected()
        missing = "" if chosen is not None else "a study" if whole else "a series"
        return self._choice.lacks() or missing or self._move_lacks()

    def _fetch(self, whole: bool = False) -> None:
        study, series, node = self.studies.selected(), self.series.selected(), self._choice.node()
        if study is None or node is None or self.fetch_lacks(whole):
            return
        uids = (study.study_uid, "" if whole or series is None else series.series_uid)
        self._fetch_into(inbox_folder(self.inbox, study), node, uids)

    def _fetch_into(self, folder: Path, node: Node, uids: Uids) -> None:
        self._cancel("Preview")  # with C-MOVE it would hold the port
        inbox = Inbox(folder)
        route, ask = self._asked()
        moves, receiver = self._moves(), self._receiver

        def work(progress: Progress) -> network.Retrieved:
            if not moves:
                return network.fetch(node, *uids, inbox, route, ask, progress)
            with receiver.server(node, progress, inbox) as server:
                return network.move(node, *uids, server, progress)

        self._kept = None
        self._tell("Fetching…")
        self._start("Fetch", work, self._fetched, partial(self._fetch_ended, inbox))

    def _stop(self) -> None:
        if "Fetch" in self._jobs:
            self._jobs["Fetch"].cancel()  # its end still has something to tell
            self._tell("Stopping…")

    def _fetched(self, came: network.Retrieved) -> None:
        folder = (*came.files, *came.known)[0].parent
        self._kept = folder
        known = f", {counted(len(came.known), 'was', 'were')} here already" if came.known else ""
        self._tell(f"✓ {counted(len(came.files), 'file')} came{known}", "done")
        self._opened(folder)

    def _fetch_ended(self, inbox: Inbox) -> None:
        if self._kept is not None:
            return
        count = len(inbox.files) + len(inbox.known)
        if count:
            self._kept = inbox.folder
            came = counted(count, "file came and is", "files came and are")
            self._tell(f"! Not complete: {came} kept; fetch again", "warning")
        else:
            self._tell("Nothing came.")

    def _tell(self, text: str, role: str = "muted") -> None:
        self.came.setText(text)
        self.came.setToolTip(str(self._kept or ""))
        set_role(self.came, role)

    def _look(self) -> None:
        if self._kept is not None:
            self._opened(self._kept)

    def refresh(self) -> None:
        """Enable what can be done; tooltips say what the rest needs."""
        for made, lack, tip in (
            (self.go, self.search_lacks(), "Search the node for studies (Return)"),
            (self.fetch_study, self.fetch_lacks(True), "Fetch all series of the study"),
            (self.fetch_series, self.fetch_lacks(False), "Fetch the series, then check it"),
        ):
            made.setEnabled(not lack)
            made.setToolTip(f"{tip}\nNeeds: {lack}" if lack else tip)
        lack = self.search_lacks()
        self.needs.setText(f"Needs: {lack}" if lack else "")
        self.needs.setVisible(bool(lack))
        self.stop.setVisible("Fetch" in self._jobs)
        self.look.setVisible(self._kept is not None and "Fetch" not in self._jobs)

    def close_work(self) -> None:
        """Stop everything that runs here."""
        self._cancel("Search", "Series", "Preview", "Fetch")


def _try_preview(
    node: Node,
    uids: Uids,
    route: network.Route,
    ask: network.Ask,
    progress: Progress,
    serve: Serve | None,
) -> Preview | str:
    """Return the preview, or why there is none: that alone is no reason for an error card."""
    try:
        return preview(node, *uids, route, ask, progress, serve)
    except (NetworkError, ValueError) as error:
        return f"No picture: {error}"
