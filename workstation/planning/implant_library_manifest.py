"""The manifest of a folder of implant files: what it says, and in which line it is wrong.

It is a JSON file ``manifest.json`` beside the STL or STEP files::

    {"schema": 1,
     "name": "acme-stems", "title": "ACME stems", "maker": "ACME",
     "regulatory": "for planning only; cleared in ...",
     "material": "Ti-6Al-4V", "unit": "mm",
     "families": [
       {"name": "stem", "title": "Stem, straight",
        "frame": "origin at the neck cut; z up the stem, x medial, y forward",
        "turns": false,
        "sizes": [{"name": "1", "file": "stem_1.stl"}, {"name": "2", "file": "stem_2.stl"}]}]}

``frame`` says in words where the files' origin and axes lie; ``turns`` that a part looks the same
however it is turned about z. ``material`` of a family overrides that of the library. ``unit`` is
that of STL files; a STEP file names its own.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

MANIFEST = "manifest.json"
NAME = r"^[a-z0-9][a-z0-9_-]{0,60}$"
PLAIN = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
"""Neither line breaks nor what steers a terminal or turns the direction of writing."""


Name = Annotated[str, StringConstraints(pattern=NAME)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=PLAIN)]
FILE = r"^[A-Za-z0-9][A-Za-z0-9 _.+-]{0,120}$"
SIZE = r"^[A-Za-z0-9][A-Za-z0-9 _.+/-]{0,40}$"
File = Annotated[str, StringConstraints(pattern=FILE)]
Size = Annotated[str, StringConstraints(pattern=SIZE)]

ALLOWED = {
    NAME: "up to 61 lower-case letters a to z, digits, - and _, the first a letter or digit",
    PLAIN: "one line of text without control characters",
    FILE: "a file's name of up to 121 letters A to Z, digits, spaces and _ . + -, in the same "
    "folder, the first a letter or digit",
    SIZE: "up to 41 letters A to Z, digits, spaces and _ . + / -, the first a letter or digit",
}
"""What each pattern lets through, in words."""

_SPACE = re.compile(r"[ \t\r\n]*")


class BadManifest(ValueError):
    """A manifest cannot be used; the text names its line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SizeRecord(_Strict):
    """One size and its file."""

    name: Size
    file: File


class FamilyRecord(_Strict):
    """Parts of one shape in several sizes."""

    name: Name
    title: Text
    frame: Text
    turns: bool = False
    material: Text | None = None
    sizes: list[SizeRecord] = Field(min_length=1, max_length=200)


class Manifest(_Strict):
    """What a library says of itself."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    title: Text
    maker: Text
    regulatory: Text
    material: Text
    unit: Literal["mm", "cm", "m"]
    families: list[FamilyRecord] = Field(min_length=1, max_length=100)


Path_ = tuple[str | int, ...]


def read_manifest(text: str) -> Manifest:
    """Return what a manifest says.

    Raises:
        BadManifest: naming line and reason of everything that is wrong.
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise BadManifest(f"{MANIFEST}, line {line}: this is no JSON: {error}") from error
    lines = value_lines(text)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        faults = [f"line {_line(lines, e['loc'])}: {_where(e['loc'])}{_why(e)}"
                  for e in error.errors()]  # fmt: skip
        raise BadManifest(f"{MANIFEST}, {'; '.join(faults)}") from error
    _require_different(manifest, lines)
    return manifest


def _why(fault: ErrorDetails) -> str:
    """Return what is wrong with a value, and what is allowed where that is a pattern."""
    allowed = ALLOWED.get(fault.get("ctx", {}).get("pattern", ""))
    return f"{fault['input']!r} is not allowed; give {allowed}" if allowed else fault["msg"]


def _where(place: Path_) -> str:
    return f"{'.'.join(map(str, place))}: " if place else ""


def _line(lines: dict[Path_, int], place: Path_) -> int:
    """Return the line of a value, or of what holds it where it is missing."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _require_different(manifest: Manifest, lines: dict[Path_, int]) -> None:
    seen: set[tuple[str, ...]] = set()
    for f, family in enumerate(manifest.families):
        names: list[tuple[tuple[str, ...], Path_]] = [((family.name,), ("families", f, "name"))]
        names += [((family.name, size.name), ("families", f, "sizes", s, "name"))
                  for s, size in enumerate(family.sizes)]  # fmt: skip
        for name, place in names:
            if name in seen:
                raise BadManifest(
                    f"{MANIFEST}, line {lines[place]}: {' '.join(name)} is there twice; "
                    "give each family and size a name of its own"
                )
            seen.add(name)


def value_lines(text: str) -> dict[Path_, int]:
    """Return the line (from 1) in which each value of a JSON document begins, by its path.

    Raises:
        BadManifest: if a value is there twice, of which one would be passed over in silence.
    """
    lines: dict[Path_, int] = {}
    _walk(text, 0, (), lines)
    return lines


def _walk(text: str, start: int, path: Path_, lines: dict[Path_, int]) -> int:
    """Note where the value at ``start`` and all in it begin; return where it ends."""
    at = _after_space(text, start)
    line = text.count("\n", 0, at) + 1
    if path in lines:
        raise BadManifest(f"{MANIFEST}, line {line}: {path[-1]} is there twice; keep one of them")
    lines[path] = line
    if text[at] not in "[{":
        return json.JSONDecoder().raw_decode(text, at)[1]
    closing, number = "]}"[text[at] == "{"], 0
    at = _after_space(text, at + 1)
    while text[at] != closing:
        key: str | int = number
        if closing == "}":
            key, at = json.JSONDecoder().raw_decode(text, at)
            at = _after_space(text, at) + 1  # past the colon
        at = _after_space(text, _walk(text, at, (*path, key), lines))
        if text[at] == ",":
            at = _after_space(text, at + 1)
        number += 1
    return at + 1


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
