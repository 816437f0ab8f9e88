"""The PACS and other DICOM nodes that a site talks to, and the settings file they live in.

The file holds no password: a node names the environment variable that holds it, or a person
is asked each time.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from platformdirs import user_config_path
from pydantic import ConfigDict, TypeAdapter, ValidationError

SCHEMA = 1
AE_TITLE = "HILUM"

Route = Literal["auto", "dimse", "web"]


class NetworkError(RuntimeError):
    """An exchange with a node that failed; ``remedy`` says what a person can do about it."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


@dataclass(frozen=True)
class Tls:
    """How a connection is encrypted and who is trusted; all files are PEM.

    ``ca_file`` holds the trusted authorities (default: the system's). ``certificate`` and
    ``key`` are ours, where the other side asks for them; the key must not be encrypted.
    ``verify=False`` accepts any certificate: it protects against nobody who can reach the
    network, and is for test servers only.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    ca_file: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True

    def client_context(self) -> ssl.SSLContext:
        """Return the context for a connection that we open.

        Raises:
            NetworkError: when a file cannot be read or is no PEM file.
        """
        return self._filled(ssl.Purpose.SERVER_AUTH, self.verify)

    def server_context(self) -> ssl.SSLContext:
        """Return the context for connections that we accept.

        With ``ca_file`` only peers with a certificate of these authorities are let in.

        Raises:
            NetworkError: when our certificate is missing or a file cannot be read.
        """
        if not self.certificate:
            raise NetworkError(
                "to receive with TLS a certificate is needed", "Give a certificate and its key"
            )
        return self._filled(ssl.Purpose.CLIENT_AUTH, bool(self.ca_file))

    def _filled(self, purpose: ssl.Purpose, verify: bool) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(purpose, cafile=self.ca_file or None)
            if self.certificate:
                # An encrypted key would otherwise be asked for on the terminal.
                context.load_cert_chain(self.certificate, self.key or None, password=str)
        except (OSError, ValueError) as error:
            raise NetworkError(
                f"the TLS files cannot be used: {error}",
                "Give PEM files that can be read, with a key that has no password",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif purpose is ssl.Purpose.CLIENT_AUTH:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True)
class Node:
    """One DICOM node: a PACS, an archive, a workstation.

    ``host``, ``port``, ``ae_title`` and ``tls`` are for the DICOM protocol, ``dicomweb_url``
    (and ``username``) for DICOMweb; either may be missing. ``own_ae_title`` is what we call
    ourselves towards the node. ``timeout_s`` is the longest silence, in seconds, that is put
    up with.

    Raises:
        ValueError: when a field cannot be right, or neither way to reach the node is given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    host: str = ""
    port: int = 104
    ae_title: str = ""
    own_ae_title: str = AE_TITLE
    tls: Tls | None = None
    dicomweb_url: str = ""
    username: str = ""
    password_variable: str = ""
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", self.name):
            raise ValueError(f"{self.name!r} is no name for a node; use letters and digits")
        if not (self.host or self.dicomweb_url):
            raise ValueError(f"node {self.name} has neither a host nor a DICOMweb address")
        if self.host:
            require_ae_title(self.ae_title)
            require_ae_title(self.own_ae_title)
        if not 1 <= self.port <= 65535:
            raise ValueError(f"{self.port} is no port; ports are 1 to 65535")
        if not 0 < self.timeout_s <= 3600:
            raise ValueError(f"a timeout of {self.timeout_s} s is not between 0 and 3600 s")
        _require_plain_url(self.dicomweb_url)

    def route(self, wanted: Route = "auto") -> Literal["dimse", "web"]:
        """Return the way to use; ``auto`` prefers DICOMweb, which moves files faster.

        Raises:
            NetworkError: when the node cannot be reached that way.
        """
        if wanted == "web" and not self.dicomweb_url:
            raise NetworkError(f"node {self.name} has no DICOMweb address", "Add one to the node")
        if wanted == "dimse" and not self.host:
            raise NetworkError(f"node {self.name} has no DICOM host", "Add host and AE title")
        if wanted == "auto":
            return "web" if self.dicomweb_url else "dimse"
        return wanted

    def password(self, ask: Callable[[str], str] | None = None) -> str:
        """Return the password of ``username``: from the environment, else from ``ask``.

        Raises:
            NetworkError: when there is none and nobody to ask.
        """
        if not self.username:
            return ""
        found = os.environ.get(self.password_variable) if self.password_variable else None
        if found is not None:
            return found
        if ask is None:
            where = self.password_variable or "a variable that the node names"
            raise NetworkError(
                f"there is no password for {self.username} at node {self.name}",
                f"Set the environment variable {where}",
            )
        return ask(f"Password of {self.username} at {self.name}: ")


def require_ae_title(title: str) -> None:
    """Raise ValueError unless ``title`` is a DICOM AE title (PS3.5 6.2, VR AE)."""
    plain = title.isascii() and title.isprintable() and "\\" not in title
    if not (plain and title.strip() and len(title) <= 16):
        raise ValueError(f"{title!r} is no AE title; it has 1 to 16 plain characters")


def _require_plain_url(url: str) -> None:
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no DICOMweb address; it starts with https:// or http://")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a DICOMweb address holds no user, password, query or fragment")


def nodes_path() -> Path:
    """Return where the settings file lives for this user."""
    return user_config_path("hilum") / "nodes.json"


def read_nodes(path: Path) -> tuple[Node, ...]:
    """Read the nodes of a settings file; a file that is not there holds none.

    Raises:
        NetworkError: when the file is damaged, of a newer release or holds a password.
    """
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] > SCHEMA:
            raise NetworkError(f"{path} was written by a newer Hilum", "Use that release")
        return TypeAdapter(tuple[Node, ...]).validate_python(document["nodes"])
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NetworkError(
            f"{path} is wrong at node {where}: {first['msg']}", "Correct it or add the node again"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise NetworkError(
            f"{path} is no list of nodes: {error}", "Correct or remove it"
        ) from error


def write_nodes(path: Path, nodes: Sequence[Node]) -> None:
    """Write the settings file, readable by its owner only; it appears whole or not at all.

    Raises:
        OSError: when the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"schema": SCHEMA, "nodes": [asdict(node) for node in nodes]}
    part = path.with_suffix(".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def find_node(nodes: Sequence[Node], name: str) -> Node:
    """Return the node called ``name``.

    Raises:
        NetworkError: with the names that are known.
    """
    for node in nodes:
        if node.name == name:
            return node
    known = ", ".join(node.name for node in nodes) or "none yet"
    raise NetworkError(f"there is no node {name!r}", f"Known: {known}; add one first")


def with_node(nodes: Sequence[Node], node: Node) -> tuple[Node, ...]:
    """Return ``nodes`` with ``node`` added, or in the place of the one with the same name."""
    if all(n.name != node.name for n in nodes):
        return (*nodes, node)
    return tuple(replace(node) if n.name == node.name else n for n in nodes)
