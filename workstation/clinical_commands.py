"""What the command line does with clinical data: import them, and print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workstation.case import Case
from workstation.clinical_case import import_clinical
from workstation.console import Work


def import_files(case: Case, paths: Sequence[Path], linked_id: str, work: Work) -> None:
    """Bring FHIR files into ``case``; ``work`` runs each as a job under its title."""
    for path in paths:

        def read(progress: Any, path: Path = path) -> Any:
            return import_clinical(case, path, linked_id, progress)

        work("Clinical values", read)


def print_clinical(summary: Mapping[str, Any]) -> None:
    """Print the newest clinical values, consents and what was not read of a case's summary."""
    for value in summary["clinical"]:
        if value["newest"]:
            unit = value["unit"].removeprefix("1")
            number = "" if value["value"] is None else f"{value['value']:.4g} {unit}"
            said = f"{value['text']} {number}".strip()
            print(f"  {value['key']:32} {said}   [{value['source']}]")
    for file in summary["clinical_files"]:
        for entry in file["not_read"]:
            times = f" ({entry['count']} times)" if entry["count"] > 1 else ""
            print(f"  not read: {entry['what']}{times}: {entry['reason']}")
