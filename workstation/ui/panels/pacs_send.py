"""Send DICOM files to a node, and have it vouch for keeping them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from segmentation.wording import counted
from workstation.dicom import network
from workstation.dicom.network import Committed, Inbox, NetworkError, Node, Sent
from workstation.dicom_set import SET
from workstation.jobs import Job
from workstation.pacs_commands import files_below
from workstation.ui.desk import Desk
from workstation.ui.export_aside import export_aside
from workstation.ui.panels.node_choice import NodeChoice
from workstation.ui.panels.pacs_receive import Receiver
from workstation.ui.panels.parts import FindingRow, RecordList, button, label, set_role

MOST_SHOWN = 20  # failures; more say the same


@dataclass(frozen=True)
class Outcome:
    """What became of files that were sent; ``doubt`` says why nobody vouches for them."""

    node: str
    count: int
    sent: Sent
    committed: Committed | None = None
    doubt: NetworkError | None = None

    def sentence(self) -> str:
        """Return what a person reads first."""
        text = f"{len(self.sent.sent)} of {counted(self.count, 'file')} sent to {self.node}"
        if self.committed is not None:
            text += f"; it vouches for keeping {len(self.committed.kept)} of them"
        return text

    def findings(self) -> list[dict[str, Any]]:
        """Return what went wrong, as records of findings."""
        failures = [f"{path.name}: {reason}" for path, reason in self.sent.failed]
        if self.committed is not None:
            failures += [f"not kept: {uid}: {why}" for uid, why in self.committed.failed]
        records = [{"severity": "problem", "sentence": text} for text in failures[:MOST_SHOWN]]
        if len(failures) > MOST_SHOWN:
            more = f"and {len(failures) - MOST_SHOWN} more"
            records.append({"severity": "problem", "sentence": more})
        if self.doubt is not None:
            text = f"Nobody vouches for keeping them: {self.doubt.sentence}"
            records.append({"severity": "warning", "sentence": text, "remedy": self.doubt.remedy})
        return records


class SendTab(QWidget):
    """The files to send, and what became of them."""

    def __init__(self, desk: Desk, choice: NodeChoice, receiver: Receiver) -> None:
        super().__init__()
        self._desk, self._choice, self._receiver = desk, choice, receiver
        self._job: Job[Any] | None = None
        self._writing: Job[Any] | None = None
        self._written: list[tempfile.TemporaryDirectory[str]] = []
        self.paths: list[Path] = []
        self.list = QListWidget()
        self.list.setAccessibleName("What is sent")
        self.list.setSpacing(2)
        self.files = button("Add files…", "DICOM files, such as exported results", self._ask_files)
        self.folder = button("Add a folder…", "All files below a folder", self._ask_folder)
        self.results = button("Add the results of the plan", "", self._add_results)
        self.clear = button("Clear", "Take everything off the list", self._clear)
        self.commit = QCheckBox("Have the node vouch for keeping them (storage commitment)")
        self.commit.setToolTip("Over DICOM only; the node reports to the address under Receive")
        self.commit.toggled.connect(lambda _: self.refresh())
        self.send = button("Send", "", self._send, primary=True)
        self.stop = button("Stop", "Stop sending; what was sent stays there", self._stop)
        self.said = label("", "muted")
        self.problems = RecordList(FindingRow)
        adding = QHBoxLayout()
        for made in (self.results, self.files, self.folder, self.clear):
            adding.addWidget(made)
        adding.addStretch(1)
        sending = QHBoxLayout()
        sending.addWidget(self.commit, 1)
        sending.addWidget(self.stop)
        sending.addWidget(self.send)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addWidget(
            label(
                "The results of a plan are written as DICOM objects of the study that its images "
                "came from; other files are sent as they are.",
                "muted",
            )
        )
        column.addLayout(adding)
        column.addWidget(self.list, 2)
        column.addLayout(sending)
        column.addWidget(self.said)
        column.addWidget(self.problems)
        column.addStretch(1)
        choice.changed.connect(self.refresh)
        desk.bindings.add(self.refresh, self)
        self.refresh()

    def add(self, *paths: Path) -> None:
        """Put files or folders on the list."""
        for path in paths:
            if path not in self.paths:
                self.paths.append(path)
                self.list.addItem(str(path))
        self.refresh()

    def _clear(self) -> None:
        self.paths.clear()
        self.list.clear()
        self._drop_written()
        self.refresh()

    def results_lack(self) -> str:
        """Return what the results of the plan need to be added, "" when they can be."""
        if self._writing is not None:
            return "the writing that runs to end"
        session = self._desk.session
        return "" if session.plan is not None and session.available() else "a computed plan"

    def _add_results(self) -> None:
        case = self._desk.session.require_case().folder
        place = tempfile.TemporaryDirectory(prefix="hilum-")
        self._written.append(place)
        folder = Path(place.name) / f"{case.name}-dicom"

        def write(progress: Progress) -> Path:
            export_aside(case, SET, folder, progress)
            return folder

        self._writing = self._desk.run("DICOM", write, self.add, ended=self._wrote)
        self.refresh()

    def _wrote(self) -> None:
        self._writing = None
        self.refresh()

    def _drop_written(self) -> None:
        for place in self._written:
            place.cleanup()
        self._written.clear()

    def close_work(self) -> None:
        """Stop everything that runs here and remove the objects that were written to be sent."""
        for job in (self._job, self._writing):
            if job is not None:
                job.cancel()
        self._drop_written()

    def _ask_files(self) -> None:
        kinds = "DICOM files (*.dcm);;All files (*)"
        chosen, _ = QFileDialog.getOpenFileNames(self, "Files to send", self._start_folder(), kinds)
        self.add(*map(Path, chosen))

    def _ask_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder to send", self._start_folder())
        if chosen:
            self.add(Path(chosen))

    def _start_folder(self) -> str:
        case = self._desk.session.case
        return str(case.folder) if case is not None else ""

    def lacks(self) -> str:
        """Return what sending needs, "" when it can run."""
        if self._job is not None:
            return "the sending that runs to end"
        lack = self._choice.lacks() or ("" if self.paths else "files to send")
        node = self._choice.node()
        if not lack and self.commit.isChecked():
            if node is not None and not node.host:
                return "a node with a DICOM host: commitment does not go over DICOMweb"
            return self._receiver.lacks_port()
        return lack

    def _send(self) -> None:
        node = self._choice.node()
        if node is None or self.lacks():
            return
        route, ask = self._choice.route(), self._choice.ask()
        wanted, commits, receiver = list(self.paths), self.commit.isChecked(), self._receiver

        def work(progress: Progress) -> Outcome:
            paths = files_below(wanted)
            sent = network.send(node, paths, route, ask, progress)
            done = Outcome(node.name, len(paths), sent)
            return committed(done, node, receiver, progress) if commits and sent.sent else done

        self._say("Sending…")
        self.problems.show_records([])
        self._job = self._desk.run("Send", work, self._sent, network=True, ended=self._ended)
        self.refresh()

    def _stop(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _sent(self, done: Outcome) -> None:
        findings = done.findings()
        self._say(("! " if findings else "✓ ") + done.sentence(), "warning" if findings else "done")
        self.problems.show_records(findings)

    def _ended(self) -> None:
        self._job = None
        if self.said.text() == "Sending…":
            self._say("Not all files were sent.", "warning")
        self.refresh()

    def _say(self, text: str, role: str = "muted") -> None:
        self.said.setText(text)
        set_role(self.said, role)

    def refresh(self) -> None:
        """Enable what can be done; the tooltip says what is missing."""
        lack = self.lacks()
        self.send.setEnabled(not lack)
        tip = "Send all files of the list to the node"
        self.send.setToolTip(f"{tip}\nNeeds: {lack}" if lack else tip)
        idle = self._job is None and self._writing is None
        self.clear.setEnabled(bool(self.paths) and idle)
        missing = self.results_lack()
        self.results.setEnabled(not missing)
        about = "Segmentation, numbers, surfaces, report and views of the open case, as DICOM"
        self.results.setToolTip(f"{about}\nNeeds: {missing}" if missing else about)
        self.stop.setVisible(self._job is not None)


def committed(done: Outcome, node: Node, receiver: Receiver, progress: Progress) -> Outcome:
    """Return ``done`` with what ``node`` vouches for; that it does not is no failure to send."""
    paths: Sequence[Path] = done.sent.sent
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            receiver.server(node, progress, Inbox(Path(folder))) as server,
        ):
            vouched = network.commit(node, paths, server, progress)
    except NetworkError as error:
        return Outcome(done.node, done.count, done.sent, doubt=error)
    return Outcome(done.node, done.count, done.sent, committed=vouched)
