"""What ``hilum score`` does: one clinical score, or the list of them."""

from __future__ import annotations

import argparse
from typing import Any

from hemodynamics.score_coefficients import UnusableCoefficients, read_coefficients
from workstation import scores
from workstation.console import Work, print_json


def main(options: argparse.Namespace, work: Work) -> int:
    """Print one score with its inputs, population and source, or what scores there are."""
    if options.name is None:
        return _list(options.json)
    file = options.coefficients
    try:
        coefficients = None if file is None else read_coefficients(file.read_bytes())
        record = scores.compute(options.name, dict(options.values), coefficients)
    except UnusableCoefficients as error:
        raise UnusableCoefficients(f"{file}: {error}") from error
    if options.json:
        print_json(record)
        return 0
    unit = f" {record['unit']}" if record["unit"] else ""
    figure = "" if record["value"] is None else f"{record['value']:.6g}{unit}"
    print(f"{options.name}: {'; '.join(part for part in (figure, record['label']) if part)}")
    if record["missing"]:
        print(f"  missing: {', '.join(record['missing'])}")
    for name, value in record["inputs"].items():
        print(f"  {name:28} {_words(value)}")
    print(f"  {'population':28} {record['population']}\n  {'source':28} {record['source']}")
    for finding in record["findings"]:
        print(f"  {finding['severity']}: {finding['sentence']}")
    return 0


def _list(as_json: bool) -> int:
    listed = [score.to_json() for score in scores.scores().values()]
    if as_json:
        print_json({"scores": listed})
        return 0
    for record in listed:
        if "problem" in record:
            print(f"{record['name']}: cannot be used: {record['problem']}")
            continue
        unit = f" [{record['unit']}]" if record["unit"] else ""
        print(f"{record['name']}{unit}: {record['title']}")
        for wanted in record["inputs"]:
            print(f"    {wanted['name']:26} {_accepted(wanted)}")
        print(f"    population: {record['population']}\n    source: {record['source']}")
    return 0


def _accepted(wanted: dict[str, Any]) -> str:
    """Return in words what an input takes."""
    schema = wanted["schema"]
    choices = schema.get("enum", [])
    words = ", ".join(choices) if choices else schema.get("type", "")
    default = "" if wanted["required"] else f" (default: {_words(wanted['default'])})"
    return f"{words}{default}"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if value is None:
        return "not given"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
