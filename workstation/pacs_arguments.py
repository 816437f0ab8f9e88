"""The grammar of ``hilum pacs``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path


def day(text: str) -> date:
    """Read ``YYYY-MM-DD`` or ``YYYYMMDD``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not YYYY-MM-DD") from None


def add_pacs(parser: argparse.ArgumentParser, epilog: str) -> None:
    """Give ``parser`` the actions of ``hilum pacs``."""
    parser.add_argument("--nodes", type=Path, metavar="FILE", help="another settings file of nodes")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str, *, node: bool = True) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text, epilog=epilog)
        added.add_argument("--json", action="store_true", help="print one JSON document")
        if node:
            added.add_argument("node", metavar="NODE", help="a name from hilum pacs nodes")
            added.add_argument(
                "--route",
                choices=("auto", "dimse", "web"),
                default="auto",
                help="DICOM protocol or DICOMweb (default: DICOMweb where the node has it)",
            )
        return added

    action("nodes", "list the nodes of the settings file", node=False)
    _add_add(action("add", "add a node, or replace the one with this name", node=False))
    action("echo", "ask whether a node answers")
    _add_find(action("find", "search for studies, or for the series of one study"))
    _add_get(action("get", "fetch a study or series into a folder and list what came"))
    _add_preview(action("preview", "draw one image of a series, without fetching the others"))
    send = action("send", "send DICOM files or folders as they are")
    send.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    send.add_argument(
        "--commit", action="store_true", help="have the node vouch for keeping them (DICOM only)"
    )
    _add_listening(send, "for --commit: ")
    listen = action("listen", "receive into a folder until Ctrl-C", node=False)
    listen.add_argument("folder", type=Path, metavar="FOLDER")
    _add_listening(listen)
    listen.add_argument("--aet", default="HILUM", metavar="TITLE", help="our AE title")
    listen.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="TITLE",
        help="let in only peers that call themselves so (default: the nodes; * lets in all)",
    )
    _add_tls(listen)


def _add_add(add: argparse.ArgumentParser) -> None:
    add.add_argument("name", metavar="NAME")
    add.add_argument("--host", default="", help="host name or address")
    add.add_argument("--port", type=int, default=104, help="DICOM port (default 104)")
    add.add_argument("--aet", default="", metavar="TITLE", help="the node's AE title")
    add.add_argument("--own-aet", default="HILUM", metavar="TITLE", help="our AE title towards it")
    add.add_argument("--url", default="", help="DICOMweb address, such as https://pacs/dicom-web")
    add.add_argument("--user", default="", metavar="NAME", help="user name for DICOMweb")
    add.add_argument(
        "--password-variable",
        default="",
        metavar="VARIABLE",
        help="environment variable that holds the password; without it a person is asked. "
        "A password is never stored",
    )
    add.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="longest silence (60)"
    )
    add.add_argument("--tls", action="store_true", help="encrypt the DICOM connection")
    add.add_argument(
        "--no-verify", action="store_true", help="accept any certificate: for test servers only"
    )
    _add_tls(add)


def _add_tls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ca-file", default="", metavar="PEM", help="trusted authorities")
    parser.add_argument("--certificate", default="", metavar="PEM", help="our certificate")
    parser.add_argument("--key", default="", metavar="PEM", help="its key, without a password")


def _add_find(find: argparse.ArgumentParser) -> None:
    find.add_argument("--study", default="", metavar="UID", help="list the series of this study")
    find.add_argument("--patient-id", default="", metavar="ID")
    find.add_argument("--patient-name", default="", metavar="NAME", help="* and ? are wildcards")
    find.add_argument("--accession", default="", metavar="NUMBER")
    find.add_argument("--modality", default="", metavar="CODE", help="such as CT or MR")
    find.add_argument("--description", default="", metavar="TEXT", help="* and ? are wildcards")
    find.add_argument("--from", dest="date_from", type=day, metavar="DATE", help="first study date")
    find.add_argument("--to", dest="date_to", type=day, metavar="DATE", help="last study date")
    find.add_argument("--limit", type=int, default=500, metavar="N", help="most matches (500)")


def _add_get(get: argparse.ArgumentParser) -> None:
    get.add_argument("folder", type=Path, metavar="FOLDER")
    get.add_argument("--study", required=True, metavar="UID")
    get.add_argument("--series", default="", metavar="UID", help="only this series")
    get.add_argument(
        "--move", action="store_true", help="by C-MOVE to our own port, which the node must know"
    )
    _add_listening(get, "for --move: ")


def _add_preview(preview: argparse.ArgumentParser) -> None:
    preview.add_argument("file", type=Path, metavar="FILE.png")
    preview.add_argument("--study", required=True, metavar="UID")
    preview.add_argument("--series", required=True, metavar="UID")
    preview.add_argument(
        "--move", action="store_true", help="by C-MOVE to our own port, which the node must know"
    )
    _add_listening(preview, "for --move: ")


def _add_listening(parser: argparse.ArgumentParser, when: str = "") -> None:
    parser.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help=f"{when}the address to listen at (default: this machine only)",
    )
    parser.add_argument(
        "--port", type=int, default=11112, help=f"{when}the port to listen at (11112)"
    )
