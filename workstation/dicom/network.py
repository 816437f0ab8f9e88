"""The network door: the same few questions to any node, by DICOM protocol or DICOMweb."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from segmentation.contract import Progress, silent
from workstation.dicom import dicomweb, dimse, retrieval
from workstation.dicom.commitment import Committed, commit
from workstation.dicom.dimse import Sent, TooMany
from workstation.dicom.inbox import Inbox, Retrieved
from workstation.dicom.nodes import NetworkError, Node, Route, Tls
from workstation.dicom.queries import (
    FoundInstance,
    FoundSeries,
    FoundStudy,
    InstanceQuery,
    SeriesQuery,
    StudyQuery,
)
from workstation.dicom.storage import StorageServer

__all__ = [
    "Committed",
    "FoundInstance",
    "FoundSeries",
    "FoundStudy",
    "Inbox",
    "InstanceQuery",
    "NetworkError",
    "Node",
    "Retrieved",
    "Route",
    "Sent",
    "SeriesQuery",
    "StorageServer",
    "StudyQuery",
    "Tls",
    "TooMany",
    "commit",
    "echo",
    "fetch",
    "find_instances",
    "find_series",
    "find_studies",
    "move",
    "send",
]

Ask = Callable[[str], str]


def echo(
    node: Node, route: Route = "auto", ask: Ask | None = None, progress: Progress = silent
) -> Literal["dimse", "web"]:
    """Check that ``node`` answers; return the way that was used.

    ``ask`` is called with a question when a password is needed and not in the environment.

    Raises:
        NetworkError: with cause and remedy.
    """
    way = node.route(route)
    if way == "web":
        dicomweb.echo(node, node.password(ask), progress)
    else:
        dimse.echo(node, progress)
    return way


def find_studies(
    node: Node,
    query: StudyQuery,
    route: Route = "auto",
    ask: Ask | None = None,
    progress: Progress = silent,
) -> tuple[FoundStudy, ...]:
    """Search for studies; raises like `echo`."""
    if node.route(route) == "web":
        return dicomweb.find_studies(node, query, node.password(ask), progress)
    return dimse.find_studies(node, query, progress)


def find_series(
    node: Node,
    query: SeriesQuery,
    route: Route = "auto",
    ask: Ask | None = None,
    progress: Progress = silent,
) -> tuple[FoundSeries, ...]:
    """Search for the series of a study; raises like `echo`."""
    if node.route(route) == "web":
        return dicomweb.find_series(node, query, node.password(ask), progress)
    return dimse.find_series(node, query, progress)


def find_instances(
    node: Node,
    query: InstanceQuery,
    route: Route = "auto",
    ask: Ask | None = None,
    progress: Progress = silent,
) -> tuple[FoundInstance, ...]:
    """Search for the instances of a series; raises like `echo`."""
    if node.route(route) == "web":
        return dicomweb.find_instances(node, query, node.password(ask), progress)
    return dimse.find_instances(node, query, progress)


def fetch(
    node: Node,
    study_uid: str,
    series_uid: str,
    inbox: Inbox,
    route: Route = "auto",
    ask: Ask | None = None,
    progress: Progress = silent,
    instance_uid: str = "",
) -> Retrieved:
    """Fetch a study, one series or one instance of it, into ``inbox``: WADO-RS or C-GET.

    Raises:
        NetworkError: with cause and remedy; what came whole stays in the inbox.
    """
    wanted = (node, study_uid, series_uid, inbox)
    told = _with_pace(progress, inbox)
    if node.route(route) == "web":
        return dicomweb.get(*wanted, node.password(ask), told, instance_uid)
    return retrieval.get(*wanted, told, instance_uid)


def move(
    node: Node,
    study_uid: str,
    series_uid: str,
    server: StorageServer,
    progress: Progress = silent,
    instance_uid: str = "",
) -> Retrieved:
    """Have a study, one series or one instance of it, sent to our running ``server``: C-MOVE.

    Raises:
        NetworkError: with cause and remedy; what came whole stays in the server's inbox.
    """
    told = _with_pace(progress, server.inbox)
    return retrieval.move(node, study_uid, series_uid, server, told, instance_uid)


def _with_pace(progress: Progress, inbox: Inbox) -> Progress:
    """Return a progress that also tells how fast bytes come, in MB/s."""
    start_s, before = time.monotonic(), inbox.received_bytes

    def told(fraction: float, message: str = "") -> None:
        pace = (inbox.received_bytes - before) / 1e6 / max(time.monotonic() - start_s, 1e-3)
        progress(fraction, f"{message}, {pace:.1f} MB/s" if pace else message)

    return told


def send(
    node: Node,
    paths: Sequence[Path],
    route: Route = "auto",
    ask: Ask | None = None,
    progress: Progress = silent,
) -> Sent:
    """Send DICOM files as they are: STOW-RS or C-STORE; raises like `echo`."""
    if node.route(route) == "web":
        return dicomweb.send(node, paths, node.password(ask), progress)
    return dimse.send(node, paths, progress)
