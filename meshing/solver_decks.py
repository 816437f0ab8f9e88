"""Input files of Abaqus and FEBio: nodes, elements, named sets and surfaces, in mm.

meshio knows neither the surfaces of Abaqus nor FEBio, so these are written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from meshing.volume_mesh import Floats, Integers, VolumeMesh

# Outer faces of elements, outward, in the order of Abaqus' numbers S1, S2, ...
_TETRAHEDRON_SIDES = ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))
_PRISM_SIDES = ((0, 2, 1), (3, 4, 5), (0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5))


def safe_names(names: tuple[str, ...]) -> dict[str, str]:
    """Return each name as a solver takes it: letters, digits and _, a letter first, no two alike.

    Abaqus tells no capitals from small letters.
    """
    found: dict[str, str] = {}
    for name in names:
        word = re.sub(r"\W", "_", name, flags=re.ASCII)[:60] or "part"
        word = word if word[0].isalpha() else f"part_{word}"
        taken = {other.lower() for other in found.values()}
        number, tried = 2, word
        while tried.lower() in taken:
            tried, number = f"{word}_{number}", number + 1
        found[name] = tried
    return found


def _lines_of(numbers: Integers, width: int = 16) -> Iterator[str]:
    for start in range(0, len(numbers), width):
        yield ", ".join(map(str, numbers[start : start + width].tolist())) + "\n"


def _nodes_on(mesh: VolumeMesh, name: str) -> Integers:
    """Return the numbers, from 1, of the points on a boundary."""
    return np.unique(mesh.boundary_triangles(name)) + 1


# ---------------------------------------------------------------- Abaqus


def write_abaqus(mesh: VolumeMesh, path: Path) -> None:
    """Write nodes, C3D4 and C3D6 elements, element sets, node sets and surfaces; mm."""
    names = safe_names(mesh.boundary_names)
    regions = safe_names(tuple(mesh.regions))
    sides = _sides(mesh)
    with path.open("w", encoding="utf-8") as file:
        file.write("*HEADING\nSPACE=LPS UNIT=mm\n")
        file.writelines(f"** BOUNDARY {word} = {name}\n" for name, word in names.items())
        file.write("*NODE\n")
        _write_table(file, np.arange(1, len(mesh.points_mm) + 1), mesh.points_mm, "%.12g")
        first = 1
        for kind, rows in (("C3D4", mesh.tetrahedra), ("C3D6", mesh.prisms)):
            if len(rows):
                file.write(f"*ELEMENT, TYPE={kind}, ELSET=ALL_{kind}\n")
                _write_table(file, np.arange(first, first + len(rows)), rows + 1, "%d")
            first += len(rows)
        for name, numbers in mesh.regions.items():
            file.write(f"*ELSET, ELSET=REGION_{regions[name]}\n")
            file.writelines(_lines_of(numbers + 1))
        for name, word in names.items():
            file.write(f"*NSET, NSET=NODES_{word}\n")
            file.writelines(_lines_of(_nodes_on(mesh, name)))
            faces = []
            for side, numbers in sides[name].items():
                file.write(f"*ELSET, ELSET=SIDE{side}_{word}\n")
                file.writelines(_lines_of(numbers + 1))
                faces.append(f"SIDE{side}_{word}, S{side}\n")
            file.write(f"*SURFACE, NAME={word}, TYPE=ELEMENT\n")
            file.writelines(faces)


def _write_table(file: TextIO, numbers: Integers, rows: npt.NDArray[Any], form: str) -> None:
    columns = ", ".join([form] * rows.shape[1])
    file.writelines(
        f"{number}, {columns % tuple(row)}\n"
        for number, row in zip(numbers.tolist(), rows.tolist())
    )


def _sides(mesh: VolumeMesh) -> dict[str, dict[int, Integers]]:
    """Return, for each boundary, the cells that lie on it with their first, second, ... side.

    Raises:
        ValueError: if a face of a boundary belongs to no cell.
    """
    found: dict[str, dict[int, list[Integers]]] = {name: {} for name in mesh.boundary_names}
    for corners, parts in ((3, mesh.boundaries), (4, mesh.boundary_quads)):
        if not parts:
            continue
        faces = np.sort(np.concatenate([*parts.values()]), axis=1)
        outer = np.zeros(len(mesh.points_mm), bool)
        outer[faces.ravel()] = True
        names = np.repeat(np.arange(len(parts)), [len(rows) for rows in parts.values()])
        rows, cells, sides = _faces_within(mesh, outer, corners)
        same = np.unique(np.concatenate([faces, rows]), axis=0, return_inverse=True)[1].ravel()
        part = np.full(int(same.max(initial=-1)) + 1, -1)
        part[same[: len(faces)]] = names
        owned = part[same[len(faces) :]]
        if (owned >= 0).sum() < len(faces):
            raise ValueError(f"a boundary of the mesh {mesh.name!r} has a face without a cell")
        for number, name in enumerate(parts):
            for side in np.unique(sides[owned == number]).tolist():
                chosen = cells[(owned == number) & (sides == side)]
                found[name].setdefault(side, []).append(chosen)
    return {
        name: {side: np.sort(np.concatenate(cells)) for side, cells in sorted(by_side.items())}
        for name, by_side in found.items()
    }


def _faces_within(
    mesh: VolumeMesh, outer: npt.NDArray[np.bool_], corners: int
) -> tuple[Integers, Integers, Integers]:
    """Return faces of cells with all points in ``outer``: sorted points, cell, side from 1."""
    rows, cells, sides = [], [], []
    kinds = (
        (mesh.tetrahedra, _TETRAHEDRON_SIDES, 0),
        (mesh.prisms, _PRISM_SIDES, len(mesh.tetrahedra)),
    )
    for elements, faces, start in kinds:
        for side, face in enumerate(faces, 1):
            if len(face) != corners:
                continue
            here = elements[:, face]
            on = np.flatnonzero(outer[here].all(axis=1))
            rows.append(np.sort(here[on], axis=1))
            cells.append(on + start)
            sides.append(np.full(len(on), side))
    return np.concatenate(rows), np.concatenate(cells), np.concatenate(sides)


def reread_abaqus(path: Path) -> VolumeMesh:
    """Return the mesh of a file that `write_abaqus` wrote."""
    names: dict[str, str] = {}
    tables: dict[str, list[str]] = {}
    heading = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("** BOUNDARY "):
            word, _, name = line.removeprefix("** BOUNDARY ").partition(" = ")
            names[word] = name
        elif line.startswith("*"):
            heading = line
            tables[heading] = []
        else:
            tables[heading].append(line)
    points = _numbers(tables["*NODE"])[:, 1:]
    tetrahedra = _elements(tables, "C3D4", 4)
    prisms = _elements(tables, "C3D6", 6)
    triangles: dict[str, list[Integers]] = {}
    quads: dict[str, list[Integers]] = {}
    for word, name in names.items():
        for line in tables[f"*SURFACE, NAME={word}, TYPE=ELEMENT"]:
            chosen, _, side = line.partition(", S")
            cells = (
                np.concatenate(
                    [
                        np.fromstring(row, np.int64, sep=",")
                        for row in tables[f"*ELSET, ELSET={chosen}"]
                    ]
                )
                - 1
            )
            for elements, faces, start in (
                (tetrahedra, _TETRAHEDRON_SIDES, 0),
                (prisms, _PRISM_SIDES, len(tetrahedra)),
            ):
                here = cells[(cells >= start) & (cells < start + len(elements))] - start
                if len(here):
                    face = faces[int(side) - 1]
                    kept = triangles if len(face) == 3 else quads
                    kept.setdefault(name, []).append(elements[here][:, face])
    return _with_faces(points, tetrahedra, prisms, triangles, quads)


def _numbers(lines: list[str]) -> Floats:
    """Return a table of numbers between commas."""
    return np.loadtxt(lines, delimiter=",", ndmin=2)


def _elements(tables: Mapping[str, list[str]], kind: str, corners: int) -> Integers:
    lines = tables.get(f"*ELEMENT, TYPE={kind}, ELSET=ALL_{kind}")
    if not lines:
        return np.empty((0, corners), np.int64)
    return np.loadtxt(lines, np.int64, delimiter=",", ndmin=2)[:, 1:] - 1


def _with_faces(
    points_mm: Floats,
    tetrahedra: Integers,
    prisms: Integers,
    triangles: Mapping[str, list[Integers]],
    quads: Mapping[str, list[Integers]],
) -> VolumeMesh:
    return VolumeMesh(
        points_mm,
        tetrahedra,
        "",
        prisms=prisms,
        boundaries={name: np.concatenate(rows) for name, rows in triangles.items()},
        boundary_quads={name: np.concatenate(rows) for name, rows in quads.items()},
    )


# ---------------------------------------------------------------- FEBio


def write_febio(mesh: VolumeMesh, path: Path) -> None:
    """Write FEBio 4.0: tet4 and penta6 elements, node sets and surfaces; mm.

    The material is a placeholder, since FEBio assigns none of its own.
    """
    names = safe_names(mesh.boundary_names)
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n<!-- SPACE=LPS UNIT=mm -->\n'
            '<febio_spec version="4.0">\n<Module type="solid"/>\n<Material>\n'
            '<material id="1" name="placeholder" type="neo-Hookean">'
            "<density>1</density><E>1</E><v>0.3</v></material>\n</Material>\n<Mesh>\n"
            f"<Nodes name={quoteattr(mesh.name or 'mesh')}>\n"
        )
        file.writelines(
            f'<node id="{n}">{x:.12g},{y:.12g},{z:.12g}</node>\n'
            for n, (x, y, z) in enumerate(mesh.points_mm.tolist(), 1)
        )
        file.write("</Nodes>\n")
        domains = _write_elements(mesh, file)
        for name, word in names.items():
            file.write(f'<NodeSet name="NODES_{word}">\n')
            file.write(",\n".join(map(str, _nodes_on(mesh, name).tolist())))
            file.write(f'\n</NodeSet>\n<Surface name="{word}"><!-- {_comment(name)} -->\n')
            number = 1
            for kind, parts in (("tri3", mesh.boundaries), ("quad4", mesh.boundary_quads)):
                for row in (parts[name] + 1).tolist() if name in parts else ():
                    text = ",".join(map(str, row))
                    file.write(f'<{kind} id="{number}">{text}</{kind}>\n')
                    number += 1
            file.write("</Surface>\n")
        file.write("</Mesh>\n<MeshDomains>\n")
        file.writelines(f'<SolidDomain name="{d}" mat="placeholder"/>\n' for d in domains)
        file.write("</MeshDomains>\n</febio_spec>\n")


def _comment(text: str) -> str:
    """Return a name as a comment may hold it: a comment ends at two dashes."""
    return text.replace("%", "%25").replace("--", "%2D%2D")


def _write_elements(mesh: VolumeMesh, file: TextIO) -> list[str]:
    """Write one block of elements for each region and kind; return their names."""
    regions = safe_names(tuple(mesh.regions))
    region = np.full(mesh.cell_count, -1)
    for number, numbers in enumerate(mesh.regions.values()):
        region[numbers] = number
    words = ["cells", *regions.values()]
    domains = []
    start = 0
    for kind, rows in (("tet4", mesh.tetrahedra), ("penta6", mesh.prisms)):
        here = region[start : start + len(rows)]
        for number in np.unique(here).tolist():
            domains.append(f"{words[number + 1]}_{kind}")
            file.write(f'<Elements type="{kind}" name="{domains[-1]}">\n')
            chosen = np.flatnonzero(here == number)
            file.writelines(
                f'<elem id="{n}">{",".join(map(str, row))}</elem>\n'
                for n, row in zip((chosen + start + 1).tolist(), (rows[chosen] + 1).tolist())
            )
            file.write("</Elements>\n")
        start += len(rows)
    return domains


def reread_febio(path: Path) -> VolumeMesh:
    """Return the mesh of a file that `write_febio` wrote."""
    builder = ElementTree.TreeBuilder(insert_comments=True)
    root = ElementTree.parse(path, ElementTree.XMLParser(target=builder)).getroot()  # noqa: S314
    points = _rows_of(root.findall("Mesh/Nodes/node"), 3, float)
    elements = {}
    for kind, corners in (("tet4", 4), ("penta6", 6)):
        entries = root.findall(f"Mesh/Elements[@type='{kind}']/elem")
        order = np.argsort([int(entry.attrib["id"]) for entry in entries], kind="stable")
        elements[kind] = (_rows_of(entries, corners, int) - 1)[order]
    faces: dict[str, dict[str, list[Integers]]] = {"tri3": {}, "quad4": {}}
    for surface in root.findall("Mesh/Surface"):
        name = unquote(str(surface[0].text).strip())
        for kind, corners in (("tri3", 3), ("quad4", 4)):
            entries = surface.findall(kind)
            if entries:
                faces[kind][name] = [_rows_of(entries, corners, int) - 1]
    return _with_faces(points, elements["tet4"], elements["penta6"], faces["tri3"], faces["quad4"])


def _rows_of(
    entries: list[ElementTree.Element], columns: int, kind: type[int] | type[float]
) -> npt.NDArray[Any]:
    rows = [[kind(word) for word in str(entry.text).split(",")] for entry in entries]
    return np.array(rows, np.int64 if kind is int else np.float64).reshape(-1, columns)
