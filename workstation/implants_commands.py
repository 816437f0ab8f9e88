"""What ``hilum implants`` does: list the libraries of implants and add one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from workstation.console import DONE, Work, print_json
from workstation.planning.implant_library import add_library, implants_folder, listed


def main(options: argparse.Namespace, work: Work) -> int:
    """Do what ``options`` ask; return the exit code."""
    if options.action == "add":
        library = work("Add", lambda progress: add_library(options.folder, progress))
        records = [library.to_json()]
        document: dict[str, Any] = records[0]
    else:
        records = work("Implants", lambda progress: listed())
        document = {"folder": str(implants_folder()), "libraries": records}
    if options.json:
        print_json(document)
        return DONE
    for record in records:
        print(*library_lines(record), sep="\n")
    return DONE


def library_lines(record: Mapping[str, Any]) -> list[str]:
    """Return a library's record as text, a line each."""
    maker = f" ({record['maker']})" if record["maker"] else ""
    lines = [f"{record['name']}: {record['title']}{maker}", f"    {record['regulatory']}"]
    if "sha256" in record:
        lines.append(f"    sha256 {record['sha256']}; {record['material']}")
    for family in record["families"]:
        sizes = family["sizes"]
        names = list(sizes) if isinstance(sizes, Mapping) else [size["name"] for size in sizes]
        shown = ", ".join(names[:12]) + (f", ... {names[-1]}" if len(names) > 12 else "")
        lines += [f"    {family['name']}: {family['title']}; sizes {shown}{_long(record, family)}",
                  f"        {family['frame']}"]  # fmt: skip
    return lines


def _long(record: Mapping[str, Any], family: Mapping[str, Any]) -> str:
    """Say how long the parts of an added family are, which shows a wrong unit."""
    known = record.get("lengths_mm", {})
    if not known or isinstance(family["sizes"], Mapping):
        return ""
    sides = [known[size["file"]] for size in family["sizes"]]
    least, most = f"{min(sides):.3g}", f"{max(sides):.3g}"
    return f"; {least} mm long" if least == most else f"; {least} to {most} mm long"
