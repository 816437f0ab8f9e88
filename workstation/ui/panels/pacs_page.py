"""The PACS page: search and fetch, send, receive, and the nodes; it fills the window's middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from PySide6.QtWidgets import QFrame, QHBoxLayout, QTabWidget, QVBoxLayout

from workstation.ui.desk import Desk
from workstation.ui.panels.node_choice import NodeChoice
from workstation.ui.panels.node_form import NodeForm
from workstation.ui.panels.pacs_receive import Receiver, ReceiveTab
from workstation.ui.panels.pacs_search import SearchTab
from workstation.ui.panels.pacs_send import SendTab
from workstation.ui.panels.parts import button, label

Tab = Literal["Search", "Send", "Receive", "Nodes"]


class PacsPage(QFrame):
    """``opened`` takes a folder with images that came.

    ``nodes`` is the settings file of nodes, ``inbox`` the folder below which images are kept
    until they are imported.
    """

    def __init__(
        self,
        desk: Desk,
        nodes: Path,
        inbox: Path,
        opened: Callable[[Path], object],
        close: Callable[[], object],
    ) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        self.choice = NodeChoice(desk, nodes)
        self.receiver = Receiver(nodes.with_name("receive.json"))
        self.search = SearchTab(desk, self.choice, self.receiver, inbox, opened)
        self.send = SendTab(desk, self.choice, self.receiver)
        self.receive = ReceiveTab(desk, self.choice, self.receiver, inbox, opened)
        self.nodes = NodeForm(desk, self.choice)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        for name, tab in self._named().items():
            self.tabs.addTab(tab, name)
        self.tabs.currentChanged.connect(lambda _: self._turned())
        head = QHBoxLayout()
        head.addWidget(label("PACS", "title"))
        head.addStretch(1)
        head.addWidget(button("Close", "Back to the images", close))
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.choice)
        column.addWidget(self.tabs, 1)

    def _named(self) -> dict[Tab, SearchTab | SendTab | ReceiveTab | NodeForm]:
        return {
            "Search": self.search,
            "Send": self.send,
            "Receive": self.receive,
            "Nodes": self.nodes,
        }

    def turn_to(self, tab: Tab) -> None:
        """Read the nodes anew and show ``tab``; without a node, the form for the first."""
        self.choice.reload()
        if tab == "Search" and not self.choice.nodes:
            tab = "Nodes"
        self.tabs.setCurrentWidget(self._named()[tab])
        self._turned()

    def _turned(self) -> None:
        self.receive.keep()  # C-MOVE and storage commitment use what is set there
        if self.tabs.currentWidget() is self.nodes:
            self.nodes.reload(self.choice.combo.currentText())
        elif self.tabs.currentWidget() is self.search:
            self.search.refresh()
            self.search.query.name.setFocus()
        elif self.tabs.currentWidget() is self.send:
            self.send.refresh()

    def close_work(self) -> None:
        """Stop everything that runs here."""
        self.search.close_work()
        self.send.close_work()
        self.receive.close_work()
