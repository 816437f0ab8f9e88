"""What ``hilum segment``, ``mesh`` and ``evaluate`` do: from file to file, without a case."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from workstation import direct, evaluation
from workstation.console import Work


def segment(options: argparse.Namespace, work: Work) -> int:
    """Segment one image."""
    result = work(
        "Segment",
        lambda progress: direct.segment_file(
            options.method,
            options.image,
            options.label,
            dict(options.params),
            options.series,
            progress,
            options.also,
        ),
    )
    return _print_written(options, options.label, result)


def mesh(options: argparse.Namespace, work: Work) -> int:
    """Make one surface."""
    result = work(
        "Mesh",
        lambda progress: direct.mesh_file(
            options.labels, options.surface, options.label, dict(options.params), progress
        ),
    )
    return _print_written(options, options.surface, result)


def repair(options: argparse.Namespace, work: Work) -> int:
    """Repair one surface."""
    result = work(
        "Repair",
        lambda progress: direct.repair_file(
            options.damaged, options.surface, dict(options.params), options.unit, progress
        ),
    )
    return _print_written(options, options.surface, result)


def _print_written(options: argparse.Namespace, path: Path, value: Any) -> int:
    """Print where a result went, its numbers and its findings."""
    document = {
        "file": str(path),
        "numbers": [number.to_json() for number in value.numbers],
        "findings": [finding.to_json() for finding in value.findings],
    }
    if options.json:
        _print_json(document)
        return 0
    print(path)
    for number in document["numbers"]:
        decimals = 1 if abs(number["value"]) >= 100 else 3  # a vessel holds less than a millilitre
        print(f"  {number['quantity']:32} {number['value']:10.{decimals}f} {number['unit']}")
    for finding in document["findings"]:
        print(f"  {finding['severity']}: {finding['sentence']}")
    return 0


def evaluate(options: argparse.Namespace, work: Work) -> int:
    """Compare segmentations with references."""
    found = work(
        "Evaluate",
        lambda progress: evaluation.evaluate(
            options.reference,
            options.result,
            label=options.label,
            tolerance_mm=options.tolerance_mm,
            centerline=not options.no_centerline,
            progress=progress,
        ),
    )
    if options.csv:
        evaluation.write_csv(found, options.csv)
    if options.json:
        _print_json(evaluation.to_json(found, options.tolerance_mm))
    else:
        print(evaluation.table(found))
    return 0


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()
