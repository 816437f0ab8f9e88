"""Receive images that others send, and the address at which we listen for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from segmentation.wording import counted
from workstation.dicom.network import Inbox, NetworkError, Node, StorageServer, Tls
from workstation.dicom.nodes import AE_TITLE
from workstation.dicom.storage import LOOPBACK, PORT
from workstation.store import write_json
from workstation.ui.desk import Desk
from workstation.ui.panels.node_choice import NodeChoice
from workstation.ui.panels.node_form import TlsLines, line
from workstation.ui.panels.parts import bold, button, label, set_role

LOOK_MS = 500
WAIT_S = 0.1
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only when a person chooses it
ADDRESSES = {LOOPBACK: "This computer only", EVERYWHERE: "Every network of this computer"}


@dataclass(frozen=True)
class Listening:
    """Where and as whom we listen; ``strangers`` lets in peers that are no node of ours."""

    ae_title: str = AE_TITLE
    host: str = LOOPBACK
    port: int = PORT
    strangers: bool = False
    tls: Tls = field(default_factory=Tls)


def read_listening(file: Path) -> Listening:
    """Return what is kept in ``file``; what is missing or makes no sense is the default."""
    try:
        kept = json.loads(file.read_text("utf-8"))
        return Listening(**{**kept, "port": int(kept["port"]), "tls": Tls(**kept["tls"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Listening()


class Receiver:
    """Our storage SCP: it runs while a person wants to receive, or for one C-MOVE or report."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.settings = read_listening(file)
        self.running: StorageServer | None = None
        self._turn = threading.Lock()

    def keep(self, settings: Listening) -> None:
        """Use ``settings`` from now on, also after the next start."""
        self.settings = settings
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.file, asdict(settings))

    @contextmanager
    def server(self, node: Node, progress: Progress, inbox: Inbox) -> Iterator[StorageServer]:
        """Run a server that only ``node`` may call; such servers take turns with the port.

        Raises:
            NetworkError: when the port cannot be had.
        """
        while not self._turn.acquire(timeout=WAIT_S):
            progress(0.0, "waiting for our port")
        try:
            with self._made(inbox, node.own_ae_title, [node.ae_title]) as server:
                yield server
        finally:
            self._turn.release()

    def listen(self, inbox: Inbox, accepts: Sequence[str]) -> StorageServer:
        """Start to receive from peers that call themselves one of ``accepts``.

        Raises:
            NetworkError: when nobody would be let in, or the port cannot be had.
        """
        if not (accepts or self.settings.strangers):
            raise NetworkError(
                "nobody would be let in: no node is known",
                "Add nodes with an AE title, or let in everybody",
            )
        allowed = [] if self.settings.strangers else accepts
        return self._made(inbox, self.settings.ae_title, allowed).__enter__()

    def _made(self, inbox: Inbox, ae_title: str, accepts: Sequence[str]) -> StorageServer:
        settings = self.settings
        return StorageServer(
            inbox,
            ae_title=ae_title,
            host=settings.host,
            port=settings.port,
            tls=settings.tls if settings.tls.certificate else None,
            accepts=accepts,
        )

    def lacks_port(self) -> str:
        """Return why no other server can be started, "" when one can."""
        return "receiving to be switched off: it has the port" if self.running else ""

    def stop(self) -> None:
        """Receive no more."""
        server, self.running = self.running, None
        if server is not None:
            server.__exit__(None, None, None)


class ReceiveTab(QWidget):
    """Switches receiving on and off, and tells what came."""

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
        self._inbox: Inbox | None = None
        self._make_fields()
        self.toggle = button("Start to receive", "", self._toggle, primary=True)
        self.said = label("", "muted")
        self.refused = label("", "warning")
        self.look = button("Look at what came", "Check the images that came", self._look)
        self._clock = QTimer(self)
        self._clock.setInterval(LOOK_MS)
        self._clock.timeout.connect(self.refresh)
        buttons = QHBoxLayout()
        buttons.addWidget(self.toggle)
        buttons.addWidget(self.look)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addWidget(
            label(
                "A PACS or scanner can send images here. The same address serves C-MOVE and the "
                "reports of storage commitment.",
                "muted",
            )
        )
        column.addWidget(self.fields)
        column.addLayout(buttons)
        column.addWidget(self.said)
        column.addWidget(self.refused)
        column.addStretch(1)
        self.refresh()

    def _make_fields(self) -> None:
        settings = self._receiver.settings
        self.ae_title = line("Our AE title", "What others call us; they must know it")
        self.ae_title.setText(settings.ae_title)
        self.address, self.port = QComboBox(), QSpinBox()
        self.address.setAccessibleName("Listen at")
        for host, name in ADDRESSES.items():
            self.address.addItem(f"{name} ({host})", host)
        if settings.host not in ADDRESSES:
            self.address.addItem(settings.host, settings.host)
        self.address.setCurrentIndex(self.address.findData(settings.host))
        self.port.setRange(1, 65535)
        self.port.setValue(settings.port)
        self.strangers = QCheckBox("Let in everybody, not only the nodes")
        self.strangers.setChecked(settings.strangers)
        self.fields = QWidget()
        form = QFormLayout(self.fields)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Our AE title", self.ae_title)
        form.addRow("Listen at", self.address)
        form.addRow("Port", self.port)
        form.addRow("", self.strangers)
        form.addRow(bold("Encryption (TLS), with a certificate only"))
        self.files = TlsLines(form)
        self.files.show_tls(settings.tls)

    def settings(self) -> Listening:
        """Return what the fields say."""
        return Listening(
            self.ae_title.text().strip(),
            str(self.address.currentData()),
            self.port.value(),
            self.strangers.isChecked(),
            self.files.tls(),
        )

    def keep(self) -> None:
        """Keep what the fields say; what runs already is not touched."""
        if self.settings() != self._receiver.settings:
            self._receiver.keep(self.settings())

    def _toggle(self) -> None:
        if self._receiver.running is not None:
            self._receiver.stop()
            self._clock.stop()
            self.refresh()
            return
        self.keep()
        known = [node.ae_title for node in self._choice.nodes if node.ae_title]
        inbox, receiver = Inbox(self.inbox / "received"), self._receiver
        self.toggle.setEnabled(False)

        def start(progress: Progress) -> StorageServer:
            return receiver.listen(inbox, known)

        self._desk.run(
            "Receive", start, partial(self._started, inbox), network=True, ended=self.refresh
        )

    def _started(self, inbox: Inbox, server: StorageServer) -> None:
        self._receiver.running, self._inbox = server, inbox
        self._clock.start()

    def refresh(self) -> None:
        """Tell whether we listen and what came."""
        server, inbox = self._receiver.running, self._inbox
        self.toggle.setEnabled(True)
        self.toggle.setText("Start to receive" if server is None else "Stop receiving")
        self.fields.setEnabled(server is None)
        files = inbox.retrieved().files if inbox is not None else ()
        lines = []
        if server is not None:
            lines.append(f"● {server.ae_title} listens at {server.host}:{server.port}")
        if inbox is not None:
            came = counted(len(files), "file") + " came"
            if inbox.known:
                came += f", {counted(len(inbox.known), 'was', 'were')} here already"
            lines.append(f"{came}, {inbox.received_bytes / 1e6:.1f} MB")
            lines.append(f"Kept in {inbox.folder}")
        self.said.setText("\n".join(lines))
        set_role(self.said, "muted" if server is None else "done")
        refusals = inbox.refusals[-3:] if inbox is not None else []
        self.refused.setText("\n".join(f"! Refused: {refusal.sentence}" for refusal in refusals))
        self.refused.setVisible(bool(refusals))
        self.look.setVisible(bool(files))

    def _look(self) -> None:
        if self._inbox is not None:
            self._opened(self._inbox.folder)

    def close_work(self) -> None:
        """Receive no more."""
        self._clock.stop()
        self._receiver.stop()
