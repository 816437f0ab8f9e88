"""The network door: the same few questions to any node, by DICOM protocol or DICOMweb."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from segmentation.contract import Progress, silent
from workstation.dicom import dicomweb, dimse, retrieval
from workstation.dicom.commitment import Committed, commit
from workstation.dicom.dimse import Sent
from workstation.dicom.inbox import Inbox, Retrieved
from workstation.dicom.nodes import NetworkError, Node, Route, Tls
from workstation.dicom.queries import FoundSeries, FoundStudy, SeriesQuery, StudyQuery
from workstation.dicom.retrieval import move
from workstation.dicom.storage import StorageServer

__all__ = [
    "Committed",
    "FoundSeries",
    "FoundStudy",
    "Inbox",
    "NetworkError",
    "Node",
    "Retrieved",
    "Route",
    "Sent",
    "SeriesQuery",
    "StorageServer",
    "StudyQuery",
    "Tls",
    "commit",
    "echo",
    "fetch",
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


def fetch(
    node: Node,
    study_uid: str,
    series_uid: str,
    inbox: Inbox,
    route: Route = "auto",
    ask: Ask | None = None,
    progress: Progress = silent,
) -> Retrieved:
    """Fetch a study, or one series of it, into ``inbox``: WADO-RS or C-GET.

    Raises:
        NetworkError: with cause and remedy; what came whole stays in the inbox.
    """
    if node.route(route) == "web":
        return dicomweb.get(node, study_uid, series_uid, inbox, node.password(ask), progress)
    return retrieval.get(node, study_uid, series_uid, inbox, progress)


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
