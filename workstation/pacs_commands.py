"""What ``hilum pacs`` does. JSON goes to standard output, everything else to standard error."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from segmentation.contract import Progress
from segmentation.wording import counted
from workstation.console import Work
from workstation.dicom import network
from workstation.dicom.nodes import find_node, nodes_path, read_nodes, with_node, write_nodes
from workstation.dicom.preview import Preview, preview
from workstation.importing import scan

DONE, PROBLEM = 0, 1
WAIT_S = 0.2

"""Runs a function as a titled job that a person can follow and stop; returns its result."""


def main(options: argparse.Namespace, work: Work) -> int:
    """Run the action that ``options`` name; return the exit code.

    Raises:
        NetworkError, ValueError, OSError: with cause and remedy.
    """
    return ACTIONS[options.action](options, work)


def _print(options: argparse.Namespace, document: Mapping[str, Any], lines: Sequence[str]) -> None:
    if options.json:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
    else:
        print("\n".join(lines))


def _nodes_file(options: argparse.Namespace) -> Path:
    return options.nodes or nodes_path()


def _node(options: argparse.Namespace) -> network.Node:
    node = find_node(read_nodes(_nodes_file(options)), options.node)
    if node.tls is not None and not node.tls.verify:
        print(f"warning: the certificate of {node.name} is not checked", file=sys.stderr)
    return node


def _ask(question: str) -> str:
    """Ask for a password on the terminal."""
    try:
        return getpass.getpass(question)
    except EOFError:
        raise network.NetworkError(
            "there is no password and nobody to ask",
            "Set the environment variable that the node names",
        ) from None


def _list_nodes(options: argparse.Namespace, work: Work) -> int:
    path = _nodes_file(options)
    nodes = read_nodes(path)
    lines = [f"nodes in {path}" if nodes else f"no nodes in {path} yet: hilum pacs add"]
    for node in nodes:
        place = f"{node.ae_title}@{node.host}:{node.port}" if node.host else ""
        secure = " TLS" if node.tls and node.host else ""
        lines.append(f"  {node.name:16} {place}{secure} {node.dicomweb_url}".rstrip())
    _print(options, {"file": str(path), "nodes": [asdict(n) for n in nodes]}, lines)
    return DONE


def _tls(options: argparse.Namespace, verify: bool = True) -> network.Tls:
    files = {
        name: str(Path(value).absolute()) if value else ""
        for name in ("ca_file", "certificate", "key")
        for value in [getattr(options, name)]
    }
    return network.Tls(**files, verify=verify)


def _add(options: argparse.Namespace, work: Work) -> int:
    path = _nodes_file(options)
    tls = _tls(options, not options.no_verify)
    wanted = options.tls or options.url.startswith("https:") or tls != network.Tls()
    node = network.Node(
        name=options.name,
        host=options.host,
        port=options.port,
        ae_title=options.aet,
        own_ae_title=options.own_aet,
        tls=tls if wanted else None,
        dicomweb_url=options.url,
        username=options.user,
        password_variable=options.password_variable,
        timeout_s=options.timeout,
    )
    if node.tls is not None:
        node.tls.client_context()
    write_nodes(path, with_node(read_nodes(path), node))
    _print(options, {"file": str(path), "node": asdict(node)}, [f"{node.name} is in {path}"])
    return DONE


def _echo(options: argparse.Namespace, work: Work) -> int:
    node = _node(options)
    start_s = time.monotonic()
    way = work("Echo", lambda p: network.echo(node, options.route, _ask, p))
    spent_ms = round(1000 * (time.monotonic() - start_s), 1)
    document = {"node": node.name, "route": way, "milliseconds": spent_ms}
    _print(options, document, [f"{node.name} answers by {way} in {spent_ms} ms"])
    return DONE


def _find(options: argparse.Namespace, work: Work) -> int:
    return _find_series(options, work) if options.study else _find_studies(options, work)


def _find_studies(options: argparse.Namespace, work: Work) -> int:
    node = _node(options)
    query = network.StudyQuery(
        patient_id=options.patient_id,
        patient_name=options.patient_name,
        accession_number=options.accession,
        modality=options.modality,
        description=options.description,
        date_from=options.date_from,
        date_to=options.date_to,
        limit=options.limit,
    )
    found = work("Find", lambda p: network.find_studies(node, query, options.route, _ask, p))
    lines = [
        f"{s.study_date or '-'}  {s.patient_id:12} {s.patient_name:24} "
        f"{','.join(s.modalities):8} {s.description}  {s.study_uid}"
        for s in found
    ]
    _print(options, {"studies": [s.to_json() for s in found]}, lines or ["no study matches"])
    return DONE


def _find_series(options: argparse.Namespace, work: Work) -> int:
    node = _node(options)
    query = network.SeriesQuery(
        options.study,
        modality=options.modality,
        description=options.description,
        limit=options.limit,
    )
    found = work("Find", lambda p: network.find_series(node, query, options.route, _ask, p))
    lines = [
        f"{'-' if s.number is None else s.number:>5}  {s.modality:4} "
        f"{'?' if s.instance_count is None else s.instance_count:>6} files  "
        f"{s.description}  {s.series_uid}"
        for s in found
    ]
    _print(options, {"series": [s.to_json() for s in found]}, lines or ["no series matches"])
    return DONE


def _get(options: argparse.Namespace, work: Work) -> int:
    node = _node(options)
    inbox = network.Inbox(options.folder)

    def fetch(progress: Progress) -> network.Retrieved:
        if not options.move:
            return network.fetch(
                node, options.study, options.series, inbox, options.route, _ask, progress
            )
        with _server(options, node, inbox) as server:
            return network.move(node, options.study, options.series, server, progress)

    came = work("Get", fetch)
    document = work("Scan", lambda p: scan([options.folder], p)).to_json()
    known = counted(len(came.known), "was", "were")
    lines = [f"{counted(len(came.files), 'file')} came, {known} here already"]
    for volume in document["volumes"]:
        size = " x ".join(map(str, volume["size"] or ["-"]))
        lines.append(
            f"{volume['status']:9} {volume['modality']:4} {size:18} {volume['description'] or '-'}"
        )
        lines += [f"          {f['severity']}: {f['sentence']}" for f in volume["findings"]]
    counts = {"received": len(came.files), "known": len(came.known)}
    _print(options, {"folder": str(options.folder), **counts, **document}, lines)
    return DONE


def _preview(options: argparse.Namespace, work: Work) -> int:
    node = _node(options)
    serve = (lambda inbox: _server(options, node, inbox)) if options.move else None
    route: network.Route = "dimse" if options.move else options.route
    uids = (options.study, options.series)
    seen: Preview = work("Preview", lambda p: preview(node, *uids, route, _ask, p, serve))
    rows, columns = seen.grey.shape
    Image.fromarray(seen.grey).resize((columns, round(rows * seen.aspect))).save(options.file)
    document = {"file": str(options.file), "image": seen.place, "images": seen.count}
    _print(options, document, [f"image {seen.place} of {seen.count} is in {options.file}"])
    return DONE


def _send(options: argparse.Namespace, work: Work) -> int:
    node = _node(options)
    paths = files_below(options.paths)
    done = work("Send", lambda p: network.send(node, paths, options.route, _ask, p))
    document: dict[str, Any] = {
        "sent": len(done.sent),
        "failed": [{"path": str(path), "reason": reason} for path, reason in done.failed],
    }
    lines = [f"{len(done.sent)} of {counted(len(paths), 'file')} sent to {node.name}"]
    lines += [f"  failed: {path}: {reason}" for path, reason in done.failed]
    failures = len(done.failed)
    if options.commit and done.sent:
        vouched = work("Commit", lambda p: _commit(options, node, done.sent, p))
        document["committed"] = len(vouched.kept)
        document["not_committed"] = [{"uid": u, "reason": r} for u, r in vouched.failed]
        lines.append(f"{node.name} vouches for {len(vouched.kept)} of them")
        lines += [f"  not kept: {uid}: {reason}" for uid, reason in vouched.failed]
        failures += len(vouched.failed)
    _print(options, document, lines)
    return PROBLEM if failures else DONE


def _commit(
    options: argparse.Namespace, node: network.Node, paths: Sequence[Path], progress: Progress
) -> network.Committed:
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(options, node, network.Inbox(Path(folder))) as server,
    ):
        return network.commit(node, paths, server, progress)


def _server(
    options: argparse.Namespace, node: network.Node, inbox: network.Inbox
) -> network.StorageServer:
    """Return a server that only ``node`` may call."""
    return network.StorageServer(
        inbox,
        ae_title=node.own_ae_title,
        host=options.bind,
        port=options.port,
        accepts=[node.ae_title],
    )


def files_below(paths: Sequence[Path]) -> list[Path]:
    """Return the files below ``paths``, in a fixed order."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; check its name")
        if path.is_file():
            found[path] = None
        for folder, folders, names in os.walk(path):
            folders.sort()
            found |= dict.fromkeys(Path(folder, name) for name in sorted(names))
    if not found:
        raise network.NetworkError("there are no files to send", "Choose a folder with DICOM files")
    return list(found)


def _listen(options: argparse.Namespace, work: Work) -> int:
    inbox = network.Inbox(options.folder)
    known = [n.ae_title for n in read_nodes(_nodes_file(options)) if n.ae_title]
    accepts = [title for title in options.accept or known if title != "*"]
    if not accepts and "*" not in options.accept:
        raise network.NetworkError(
            "nobody would be let in: no node is known", "Add nodes, or give --accept"
        )
    tls = _tls(options) if options.certificate else None
    server = network.StorageServer(
        inbox,
        ae_title=options.aet,
        host=options.bind,
        port=options.port,
        tls=tls,
        accepts=[] if "*" in options.accept else accepts,
    )
    with server, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the usual end
        place = f"{options.bind}:{server.port}"
        print(f"{options.aet} listens at {place}; Ctrl-C ends", file=sys.stderr)
        work("Listen", lambda p: _receive(inbox, p))
    came = inbox.retrieved()
    document = {
        "folder": str(options.folder),
        "received": len(came.files),
        "known": len(came.known),
        "refused": [refusal.sentence for refusal in inbox.refusals],
    }
    _print(options, document, [f"{counted(len(came.files), 'file')} came into {options.folder}"])
    return DONE


def _receive(inbox: network.Inbox, progress: Progress) -> None:
    """Tell how many files have come until somebody stops this."""
    while True:
        progress(0.0, f"{counted(inbox.count, 'file')} received")
        time.sleep(WAIT_S)


ACTIONS: Mapping[str, Callable[[argparse.Namespace, Work], int]] = {
    "nodes": _list_nodes,
    "add": _add,
    "echo": _echo,
    "find": _find,
    "get": _get,
    "preview": _preview,
    "send": _send,
    "listen": _listen,
}
