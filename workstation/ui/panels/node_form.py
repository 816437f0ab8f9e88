"""The nodes of the settings file: add, change, remove and test them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from workstation.dicom.network import Node, Tls
from workstation.dicom.nodes import AE_TITLE, read_nodes, with_node, write_nodes
from workstation.ui.desk import Desk
from workstation.ui.panels.node_choice import NodeChoice
from workstation.ui.panels.parts import bold, button, label

PEM = "PEM files (*.pem *.crt *.cer *.key);;All files (*)"


def line(name: str, tip: str, hint: str = "") -> QLineEdit:
    """Return a line to write in."""
    made = QLineEdit()
    made.setAccessibleName(name)
    made.setToolTip(tip)
    made.setPlaceholderText(hint)
    return made


class PathLine(QWidget):
    """A line that holds the path of a file, with a way to look for it."""

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self._name = name
        self.line = line(name, tip)
        browse = button("…", f"Look for it: {name.lower()}", self._browse)
        browse.setFixedWidth(32)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(browse)

    def _browse(self) -> None:
        chosen = QFileDialog.getOpenFileName(self, self._name, self.line.text(), PEM)[0]
        if chosen:
            self.line.setText(chosen)


class TlsLines:
    """The PEM files of a connection."""

    def __init__(self, form: QFormLayout) -> None:
        self.ca_file = PathLine(
            "Trusted authorities", "PEM file of the authorities to trust (default: the system's)"
        )
        self.certificate = PathLine("Our certificate", "PEM file, where the other side asks for it")
        self.key = PathLine("Its key", "PEM file of the key, without a password")
        for name, made in (
            ("Trusted authorities", self.ca_file),
            ("Our certificate", self.certificate),
            ("Its key", self.key),
        ):
            form.addRow(name, made)

    def show_tls(self, tls: Tls) -> None:
        """Show the files of ``tls``."""
        self.ca_file.line.setText(tls.ca_file)
        self.certificate.line.setText(tls.certificate)
        self.key.line.setText(tls.key)

    def tls(self, verify: bool = True) -> Tls:
        """Return what the lines say."""
        files = (self.ca_file, self.certificate, self.key)
        ca_file, certificate, key = (file.line.text().strip() for file in files)
        return Tls(ca_file, certificate, key, verify)


class NodeForm(QWidget):
    """A list of nodes and the form of the one that is selected."""

    def __init__(self, desk: Desk, choice: NodeChoice) -> None:
        super().__init__()
        self._desk, self._choice = desk, choice
        self.list = QListWidget()
        self.list.setAccessibleName("Nodes")
        self.list.setFixedWidth(180)
        self.list.setSpacing(2)
        self.list.currentRowChanged.connect(lambda _: self._show_selected())
        self.where = label("", "muted")
        self._make_fields()
        self.new = button("New node", "Begin an empty form", self.begin)
        self.remove = button("Remove", "Take this node out of the settings", self._remove)
        self.save = button(
            "Save and test", "Keep this node and ask whether it answers", self._save, primary=True
        )
        left = QVBoxLayout()
        left.addWidget(self.list, 1)
        left.addWidget(self.new)
        buttons = QHBoxLayout()
        buttons.addWidget(self.save)
        buttons.addWidget(self.remove)
        buttons.addStretch(1)
        right = QVBoxLayout()
        right.addWidget(self._page(), 1)
        right.addLayout(buttons)
        right.addWidget(self.where)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 12, 0, 0)
        row.setSpacing(16)
        row.addLayout(left)
        row.addLayout(right, 1)

    def _make_fields(self) -> None:
        self.name = line("Name", "What you call this node; letters and digits", "pacs")
        self.host = line("Host", "Host name or address", "pacs.hospital.example")
        self.port, self.timeout_s = QSpinBox(), QDoubleSpinBox()
        self.port.setRange(1, 65535)
        self.ae_title = line("AE title", "The node's AE title; capitals matter", "PACS")
        self.own_ae_title = line(
            "Our AE title", "What we call ourselves; the node's administrator must know it"
        )
        self.encrypt = QCheckBox("Encrypt the DICOM connection (TLS)")
        self.url = line(
            "Address", "DICOMweb root; https is encrypted", "https://pacs.example/dicom-web"
        )
        self.username = line("User name", "For DICOMweb; empty where none is needed")
        self.variable = line(
            "Password from",
            "Environment variable that holds the password. Without it you are asked each time; "
            "a password is never stored",
            "environment variable, or empty to be asked",
        )
        self.verify = QCheckBox("Check the certificate of the node")
        self.verify.setToolTip("Switch this off for test servers only")
        self.timeout_s.setRange(1, 3600)
        self.timeout_s.setDecimals(0)
        self.timeout_s.setSuffix(" s")
        self.timeout_s.setToolTip("The longest silence that is put up with")

    def _page(self) -> QWidget:
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 0, 8, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        form.addRow("Name", self.name)
        form.addRow(bold("DICOM"))
        form.addRow("Host", self.host)
        form.addRow("Port", self.port)
        form.addRow("AE title", self.ae_title)
        form.addRow("Our AE title", self.own_ae_title)
        form.addRow("", self.encrypt)
        form.addRow(bold("DICOMweb"))
        form.addRow("Address", self.url)
        form.addRow("User name", self.username)
        form.addRow("Password from", self.variable)
        form.addRow(bold("Security"))
        self.files = TlsLines(form)
        form.addRow("", self.verify)
        form.addRow("Longest silence", self.timeout_s)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(page)
        return scroll

    def reload(self, name: str = "") -> None:
        """Show the nodes of the settings file and the form of ``name``, or of the first."""
        nodes = self._choice.nodes
        self.where.setText(f"Kept in {self._choice.file}, readable by you only. No passwords.")
        with QSignalBlocker(self.list):
            self.list.clear()
            self.list.addItems([node.name for node in nodes])
            names = [node.name for node in nodes]
            self.list.setCurrentRow(names.index(name) if name in names else 0 if nodes else -1)
        self._show_selected()

    def begin(self) -> None:
        """Show an empty form."""
        with QSignalBlocker(self.list):
            self.list.setCurrentRow(-1)
        self._show_selected()
        self.name.setFocus()

    def selected(self) -> Node | None:
        """Return the node that is selected in the list."""
        row = self.list.currentRow()
        return self._choice.nodes[row] if 0 <= row < len(self._choice.nodes) else None

    def _show_selected(self) -> None:
        node = self.selected()
        self.remove.setEnabled(node is not None)
        tls = node.tls if node is not None and node.tls is not None else Tls()
        texts = {
            self.name: node.name if node else "",
            self.host: node.host if node else "",
            self.ae_title: node.ae_title if node else "",
            self.own_ae_title: node.own_ae_title if node else AE_TITLE,
            self.url: node.dicomweb_url if node else "",
            self.username: node.username if node else "",
            self.variable: node.password_variable if node else "",
        }
        for edit, text in texts.items():
            edit.setText(text)
        self.port.setValue(node.port if node else 104)
        self.timeout_s.setValue(node.timeout_s if node else 60)
        self.encrypt.setChecked(node is not None and node.tls is not None and bool(node.host))
        self.verify.setChecked(tls.verify)
        self.files.show_tls(tls)

    def node(self) -> Node:
        """Return the node that the form describes.

        Raises:
            ValueError: when a field cannot be right.
        """
        tls = self.files.tls(self.verify.isChecked())
        host, url = self.host.text().strip(), self.url.text().strip()
        if host and tls != Tls() and not self.encrypt.isChecked():
            raise ValueError(
                "what is set under Security holds for the DICOM connection too; encrypt it, "
                "or make a second node for DICOMweb"
            )
        wanted = self.encrypt.isChecked() or tls != Tls()
        return Node(
            name=self.name.text().strip(),
            host=host,
            port=self.port.value(),
            ae_title=self.ae_title.text().strip(),
            own_ae_title=self.own_ae_title.text().strip(),
            tls=tls if wanted else None,
            dicomweb_url=url,
            username=self.username.text().strip(),
            password_variable=self.variable.text().strip(),
            timeout_s=self.timeout_s.value(),
        )

    def _save(self) -> None:
        if self._desk.attempt(self._keep):
            name = self.name.text().strip()
            self._show_anew(name)
            self._choice.echo()

    def _keep(self) -> None:
        node, old = self.node(), self.selected()
        if node.tls is not None:
            node.tls.client_context()  # says now which file cannot be used
        nodes = read_nodes(self._choice.file)
        taken = any(other.name == node.name for other in nodes)
        if taken and (old is None or old.name != node.name):
            raise ValueError(f"there is a node {node.name} already; choose another name")
        if old is not None and old.name != node.name:  # renamed
            nodes = tuple(other for other in nodes if other.name != old.name)
        write_nodes(self._choice.file, with_node(nodes, node))

    def _remove(self) -> None:
        node = self.selected()
        if node is not None:
            self._desk.attempt(_without(self._choice, node))
            self._show_anew("")

    def _show_anew(self, name: str) -> None:
        self._choice.reload(name)
        self.reload(name)


def _without(choice: NodeChoice, node: Node) -> Callable[[], None]:
    def write() -> None:
        kept = [other for other in read_nodes(choice.file) if other.name != node.name]
        write_nodes(choice.file, kept)

    return write
