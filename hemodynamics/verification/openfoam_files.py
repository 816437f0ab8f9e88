"""Meshes and fields that OpenFOAM wrote as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Unreadable(ValueError):
    """A file is not what OpenFOAM writes."""


@dataclass(frozen=True)
class Patch:
    """Faces of a boundary: their centres (n, 3) in m and outward areas (n, 3) in m2."""

    centres_m: Floats
    areas_m2: Floats


def read_patches(mesh: Path) -> dict[str, Patch]:
    """Return the named boundaries of a ``polyMesh`` folder.

    Raises:
        Unreadable: if a file of it cannot be read.
    """
    points = _numbers(_list_in((mesh / "points").read_text())).reshape(-1, 3)
    faces = _faces((mesh / "faces").read_text())
    found = {}
    for name, start, count in _boundaries((mesh / "boundary").read_text()):
        mine = [points[face] for face in faces[start : start + count]]
        areas = np.array([_area(corners) for corners in mine]).reshape(-1, 3)
        centres = np.array([_centre(corners) for corners in mine]).reshape(-1, 3)
        found[name] = Patch(centres, areas)
    return found


def _faces(words: str) -> list[Ints]:
    """Return the corners of each face; those with more than ten stand on lines of their own."""
    begun = re.search(r"\n\s*\d+\s*\n\(\n", words)
    if begun is None:
        raise Unreadable("a mesh of OpenFOAM holds no faces")
    numbers = _numbers(words[begun.end() : words.rindex(")")]).astype(np.int64)
    found, place = [], 0
    while place < len(numbers):
        after = place + 1 + numbers[place]
        found.append(numbers[place + 1 : after])
        place = after
    return found


def _boundaries(words: str) -> list[tuple[str, int, int]]:
    """Return name, first face and count of each boundary."""
    found = []
    for name, body in re.findall(r"(\w+)\s*\{([^}]*)\}", words):
        start, count = re.search(r"startFace\s+(\d+)", body), re.search(r"nFaces\s+(\d+)", body)
        if start and count:
            found.append((name, int(start[1]), int(count[1])))
    if not found:
        raise Unreadable("the mesh names no boundary")
    return found


def read_field(path: Path, patch: str = "") -> Floats:
    """Return a field of the cells, or its values on a boundary, as (n,) or (n, 3).

    Raises:
        Unreadable: if the file holds no list of values there.
    """
    words = path.read_text()
    if patch:
        _, found, words = words.partition("boundaryField")
        begun = re.search(rf"\b{re.escape(patch)}\s*\{{", words)
        if not (found and begun):
            raise Unreadable(f"{path.name} has no boundary {patch!r}")
        words = words[begun.end() :]
    else:
        words = words.partition("internalField")[2]
    head = re.search(r"nonuniform\s+List<(\w+)>", words)
    if head is None:
        raise Unreadable(f"{path.name} holds no list of values")
    values = _numbers(_list_in(words[head.end() :]))
    return values.reshape(-1, 3) if head[1] == "vector" else values


def _list_in(words: str) -> str:
    """Return what stands between the brackets of the first list that tells its length."""
    begun = re.search(r"\n\s*(\d+)\s*\n\(\n", words)
    if begun is None:
        raise Unreadable("a file of OpenFOAM holds no list")
    return words[begun.end() : words.index("\n)", begun.end() - 1)]


def _numbers(words: str) -> Floats:
    return np.array(words.replace("(", " ").replace(")", " ").split(), float)


def _area(corners: Floats) -> Any:
    arms = corners - corners[0]
    return 0.5 * np.cross(arms[1:-1], arms[2:]).sum(axis=0)


def _centre(corners: Floats) -> Any:
    """Return the centre of a face: of its triangles, weighted by their areas."""
    arms = corners - corners[0]
    sizes = np.linalg.norm(np.cross(arms[1:-1], arms[2:]), axis=1)
    middles = (corners[0] + corners[1:-1] + corners[2:]) / 3.0
    return np.average(middles, axis=0, weights=np.maximum(sizes, 1e-300))
