"""Segmentations against references, file by file or folder by folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.images import read_labels
from segmentation.metrics import compare
from segmentation.volume import Label, LabelMap
from workstation.store import write_atomically

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
FRAME = "2.25.0"  # label files of one image: they only have to agree with each other
UNITS = {
    "hausdorff95": "mm",
    "hausdorff": "mm",
    "mean_surface_distance": "mm",
    "volume_reference": "mL",
    "volume": "mL",
    "volume_error": "%",
}


@dataclass(frozen=True)
class Comparison:
    """One label of one case: metric to value, where the metric has one."""

    case: str
    label: str
    values: Mapping[str, float]
    findings: tuple[Finding, ...] = ()


def evaluate(
    reference: Path,
    result: Path,
    *,
    label: str = "",
    tolerance_mm: float = 1.0,
    centerline: bool = True,
    progress: Progress = silent,
) -> list[Comparison]:
    """Compare label files, or all files of the same name in two folders, label by label.

    Labels are paired by name, then by value; two files with one label each are paired anyhow.
    A file or label of the reference that the result lacks counts as an empty result.

    Raises:
        ValueError: if there is nothing to compare, grids differ, or the tolerance is no distance.
    """
    if not (isfinite(tolerance_mm) and tolerance_mm > 0):
        raise ValueError(f"a tolerance of {tolerance_mm} mm is no distance; give one above 0")
    pairs = _pairs(reference, result)
    found: list[Comparison] = []
    for n, (name, first, second) in enumerate(pairs):
        part = share(progress, n, len(pairs))
        part(0.0, name)
        truth = read_labels(first, FRAME)
        given = read_labels(second, FRAME) if second else _empty_like(truth)
        chosen = [(v, each) for v, each in truth.labels.items() if label in ("", each.name)]
        if not chosen:
            known = ", ".join(each.name for each in truth.labels.values()) or "none"
            raise ValueError(f"{first} has no label {label!r}; its labels are: {known}")
        for k, (value, each) in enumerate(chosen):
            measured = compare(
                _alone(truth, value),
                _alone(given, _counterpart(given, value, each, len(truth.labels))),
                tolerance_mm=tolerance_mm,
                centerline=centerline,
                progress=share(part, k, len(chosen)),
            )
            findings = measured.findings
            if second is None:
                sentence = f"there is no result for {first.name}"
                findings = (*findings, Finding(Severity.PROBLEM, "missing_result", sentence))
            values = {number.quantity: number.value for number in measured.numbers}
            found.append(Comparison(name, each.name, values, findings))
    return found


def _pairs(reference: Path, result: Path) -> list[tuple[str, Path, Path | None]]:
    for path in (reference, result):
        if not path.exists():
            raise ValueError(f"{path} is not there; check the path")
    if reference.is_dir() != result.is_dir():
        raise ValueError("one is a file and the other a folder; give two files or two folders")
    if not reference.is_dir():
        return [(_stem(reference), reference, result)]
    others = {_stem(path): path for path in _label_files(result)}
    pairs = [(_stem(path), path, others.get(_stem(path))) for path in _label_files(reference)]
    if not any(second for _, _, second in pairs):
        raise ValueError(f"{result} holds no label file with the name of one in {reference}")
    return pairs


def _label_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name.lower().endswith(ENDINGS))


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return name.rsplit(".", 1)[0].removesuffix(".seg")


def _empty_like(labels: LabelMap) -> LabelMap:
    return LabelMap(labels.array * 0, labels.geometry)


def _counterpart(given: LabelMap, value: int, label: Label, count: int) -> int:
    """Return the value in ``given`` that stands for a label of the reference."""
    named = [v for v, each in given.labels.items() if each.name == label.name]
    if named:
        return named[0]
    return next(iter(given.labels)) if count == len(given.labels) == 1 else value


def _alone(labels: LabelMap, value: int) -> LabelMap:
    return LabelMap(labels.array == value, labels.geometry, {1: Label("label")})


def to_json(found: Sequence[Comparison], tolerance_mm: float) -> dict[str, Any]:
    """Return the document of ``hilum evaluate --json``."""
    return {
        "tolerance_mm": tolerance_mm,
        "units": UNITS,
        "cases": [
            {
                "case": each.case,
                "label": each.label,
                **each.values,
                "findings": [finding.to_json() for finding in each.findings],
            }
            for each in found
        ],
        "mean": means(found),
    }


def means(found: Sequence[Comparison]) -> dict[str, dict[str, float]]:
    """Return the mean of every metric per label, over the cases where it has a value."""
    names = dict.fromkeys(each.label for each in found)
    return {name: _mean([c.values for c in found if c.label == name]) for name in names}


def _mean(records: Sequence[Mapping[str, float]]) -> dict[str, float]:
    metrics = dict.fromkeys(metric for record in records for metric in record)
    return {m: fmean(record[m] for record in records if m in record) for m in metrics}


def write_csv(found: Sequence[Comparison], path: Path) -> None:
    """Write one line per case and label; the file appears whole or not at all."""
    metrics = list(dict.fromkeys(metric for each in found for metric in each.values))

    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["case", "label", *(_titled(metric) for metric in metrics)])
            for each in found:
                row = [each.values.get(metric, "") for metric in metrics]
                table.writerow([each.case, each.label, *row])

    write_atomically(path, write)


def _titled(metric: str) -> str:
    return f"{metric} [{UNITS[metric]}]" if metric in UNITS else metric


def table(found: Sequence[Comparison]) -> str:
    """Return one line per case and label, and the means."""
    columns = ("dice", "hausdorff95", "surface_dice", "centerline_dice", "volume_error")
    heads = ("Dice", "HD95 mm", "surface Dice", "clDice", "volume %")
    lines = [f"{'case':24} {'label':20} " + " ".join(f"{head:>12}" for head in heads)]

    def line(case: str, label: str, values: Mapping[str, float]) -> str:
        cells = (f"{values[c]:12.3f}" if c in values else f"{'-':>12}" for c in columns)
        return f"{case[:24]:24} {label[:20]:20} " + " ".join(cells)

    lines += [line(each.case, each.label, each.values) for each in found]
    if len({each.case for each in found}) > 1:
        lines += [line("mean", label, values) for label, values in means(found).items()]
    return "\n".join(lines)
