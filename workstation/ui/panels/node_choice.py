"""Which PACS node, which way to it, its password for this session, and whether it answers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from segmentation.contract import Progress
from workstation.dicom import network
from workstation.dicom.network import NetworkError, Node, Route
from workstation.dicom.nodes import read_nodes
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button, label, set_role

Way = Literal["web", "get", "move"]
WAYS: dict[Way, str] = {"web": "DICOMweb", "get": "DICOM, C-GET", "move": "DICOM, C-MOVE to us"}
Echo = tuple[str, float | NetworkError]


def echo_all(node: Node, ask: network.Ask, progress: Progress) -> list[Echo]:
    """Ask ``node`` by every way it has; return each with the milliseconds, or what was wrong."""
    routes: list[tuple[str, Route]] = []
    if node.host:
        routes.append(("DICOM", "dimse"))
    if node.dicomweb_url:
        routes.append(("DICOMweb", "web"))
    heard: list[Echo] = []
    for name, route in routes:
        start_s = time.monotonic()
        try:
            network.echo(node, route, ask, progress)
            heard.append((name, 1000 * (time.monotonic() - start_s)))
        except NetworkError as error:
            heard.append((name, error))
    return heard


class NodeChoice(QWidget):
    """The nodes of the settings file. A password is asked for here and never stored."""

    changed = Signal()

    def __init__(self, desk: Desk, file: Path) -> None:
        super().__init__()
        self._desk, self.file = desk, file
        self.nodes: tuple[Node, ...] = ()
        self._passwords: dict[str, str] = {}
        self.combo, self.way = QComboBox(), QComboBox()
        self.combo.setAccessibleName("Node")
        self.combo.setToolTip("The PACS or archive; nodes are kept under Nodes")
        self.combo.setMinimumWidth(140)
        self.way.setAccessibleName("Way")
        self.way.setToolTip("How to ask and fetch; DICOMweb moves files faster where it is there")
        self.password = QLineEdit()
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.password.setToolTip("Kept in memory until the window is closed, never stored")
        self.test = button("Test", "Ask whether the node answers", self.echo)
        self.said = label("", "muted")
        self.caution = label("", "warning")
        row = QHBoxLayout()
        row.addWidget(label("Node", "muted", wrap=False))
        for made in (self.combo, self.way):
            row.addWidget(made)
        row.addWidget(self.password, 1)
        row.addWidget(self.test)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.said)
        column.addWidget(self.caution)
        self.combo.currentIndexChanged.connect(lambda _: self._choose())
        self.way.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.password.textChanged.connect(self._keep_password)
        self._choose()

    def reload(self, name: str = "") -> None:
        """Read the nodes anew; choose ``name``, or the same one as before."""
        name = name or self.combo.currentText()
        self._desk.attempt(self._read)
        with QSignalBlocker(self.combo):
            self.combo.clear()
            self.combo.addItems([node.name for node in self.nodes])
            self.combo.setCurrentIndex(max(0, self.combo.findText(name)) if self.nodes else -1)
        self._choose()

    def _read(self) -> None:
        self.nodes = read_nodes(self.file)

    def node(self) -> Node | None:
        """Return the node that is chosen."""
        index = self.combo.currentIndex()
        return self.nodes[index] if 0 <= index < len(self.nodes) else None

    def chosen_way(self) -> Way:
        """Return how to fetch from the node."""
        way: Way = self.way.currentData() or "web"
        return way

    def route(self) -> Route:
        """Return how to ask the node."""
        return "web" if self.chosen_way() == "web" else "dimse"

    def ask(self) -> network.Ask:
        """Return what answers the question for the password, from any thread."""
        password = self.password.text()
        return lambda question: password

    def lacks(self) -> str:
        """Return what is missing before the node can be asked, "" for nothing."""
        node = self.node()
        if node is None:
            return "a node; add one under Nodes"
        if self.chosen_way() == "web" and _asks_password(node) and not self.password.text():
            return f"the password of {node.username}"
        return ""

    def _choose(self) -> None:
        node = self.node()
        ways: Sequence[Way] = ()
        if node is not None:
            ways = (
                *(("web",) if node.dicomweb_url else ()),
                *(("get", "move") if node.host else ()),
            )
        with QSignalBlocker(self.way):
            self.way.clear()
            for way in ways:
                self.way.addItem(WAYS[way], way)
        self.way.setVisible(len(ways) > 1)
        asks = node is not None and _asks_password(node)
        self.password.setVisible(asks)
        if node is not None and asks:
            self.password.setPlaceholderText(f"Password of {node.username}")
            self.password.setText(self._passwords.get(node.name, ""))
        unchecked = node is not None and node.tls is not None and not node.tls.verify
        self.caution.setText(
            f"! The certificate of {node.name} is not checked: anybody in the network can "
            "pretend to be it."
            if node is not None and unchecked
            else ""
        )
        self.caution.setVisible(unchecked)
        self._say("")
        self.test.setEnabled(node is not None)
        self.changed.emit()

    def _keep_password(self, text: str) -> None:
        node = self.node()
        if node is not None:
            self._passwords[node.name] = text
        self.changed.emit()

    def echo(self) -> None:
        """Ask the chosen node by every way it has, in the background."""
        node, ask = self.node(), self.ask()
        if node is None:
            return
        self.test.setEnabled(False)
        self._say(f"Asking {node.name}…")
        self._desk.run(
            "Test",
            lambda progress: (node, echo_all(node, ask, progress)),
            self._heard,
            network=True,
            ended=self._tested,
        )

    def _tested(self) -> None:
        self.test.setEnabled(self.node() is not None)
        if self.said.text().startswith("Asking"):  # it was stopped
            self._say("")

    def _heard(self, answer: tuple[Node, list[Echo]]) -> None:
        node, heard = answer
        texts = []
        for name, result in heard:
            if isinstance(result, NetworkError):
                self._desk.fail(result)
                texts.append(f"▲ {name}: {result.sentence}")
            else:
                texts.append(f"✓ {name} in {result:.0f} ms")
        failed = any(isinstance(result, NetworkError) for _, result in heard)
        self._say(f"{node.name}   " + "   ".join(texts), "problem" if failed else "done")

    def _say(self, text: str, role: str = "muted") -> None:
        self.said.setText(text)
        self.said.setVisible(bool(text))
        set_role(self.said, role)


def _asks_password(node: Node) -> bool:
    """Tell whether a person must type the password of ``node``."""
    return bool(node.username) and node.password_variable not in os.environ
