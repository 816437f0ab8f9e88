"""Libraries of implants: the generic families that ship, and folders that a user adds.

An added library is a folder of its own with the files as they were, their checksums beside them.
Nothing in it is ever run. A plan names a library with its checksum, so that the same plan never
means other files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from platformdirs import user_data_path

from meshing.booleans import piece_volumes_mm3, pieces
from meshing.files import write_surface
from meshing.reading import read_surface
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.volume import Floats
from workstation.planning.implant_families import (
    COLOUR,
    FAMILIES,
    GENERIC,
    NOTE,
    Part,
    UnknownPart,
    find_family,
)
from workstation.planning.implant_families_joints import Dimensions
from workstation.planning.implant_library_manifest import (
    MANIFEST,
    BadManifest,
    FamilyRecord,
    Manifest,
    read_manifest,
    value_lines,
)
from workstation.planning.step_files import ENDINGS, StepFailed, is_step, read_step

FOLDER_VARIABLE = "HILUM_IMPLANTS"
ADDED = "added.json"
STL = ".stl"
MOST_BYTES = 1 << 30
MANIFEST_BYTES = 1 << 20
SMALLEST_MM, LARGEST_MM = 1.0, 1000.0
"""A part that is less or more than this long has another unit than its manifest says."""

OTHER_UNIT = 4.0
"""A part whose sides are all so many times those of its family's others has another unit."""


class ChangedLibrary(ValueError):
    """A library's files are not those that a plan was made with, or were changed since added."""


@dataclass(frozen=True)
class Library:
    """An added library: its manifest, its folder, and the checksums of its files.

    ``sha256`` is that of the manifest and all files, which plans name; ``lengths_mm`` are the
    longest sides of the parts by file, none in one that was added before they were kept.
    """

    manifest: Manifest
    folder: Path
    files: Mapping[str, str]
    sha256: str
    added: str
    lengths_mm: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum implants list --json` prints."""
        record = self.manifest.model_dump(by_alias=True, exclude_none=True)
        kept = {"files": dict(self.files), "lengths_mm": dict(self.lengths_mm)}
        return record | {"sha256": self.sha256, "added": self.added} | kept


def implants_folder() -> Path:
    """Return where the user's libraries lie; the variable HILUM_IMPLANTS names another place."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else user_data_path("hilum") / "implants"


def libraries() -> list[Library]:
    """Return the added libraries, by name.

    Raises:
        ChangedLibrary: if one of them was damaged since it was added.
    """
    root = implants_folder()
    if not root.is_dir():
        return []
    found = [path for path in sorted(root.iterdir()) if (path / ADDED).is_file()]
    return [_installed(path) for path in found]


def find_library(name: str) -> Library:
    """Return the added library called ``name``.

    Raises:
        UnknownPart: if there is none.
        ChangedLibrary: if it was damaged since it was added.
    """
    root = implants_folder()
    known = [p.name for p in root.iterdir() if (p / ADDED).is_file()] if root.is_dir() else []
    if name not in known:
        there = ", ".join([GENERIC, *sorted(known)])
        raise UnknownPart(f"there is no implant library {name!r} here; there are: {there}")
    return _installed(root / name)


def _installed(folder: Path) -> Library:
    try:
        record = json.loads((folder / ADDED).read_text("utf-8"))
        text = (folder / MANIFEST).read_bytes()
        files, added, sha256 = dict(record["files"]), record["added"], record["sha256"]
        lengths = dict(record.get("lengths_mm", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ChangedLibrary(
            f"the implant library {folder.name} is damaged ({error}); add it again"
        ) from error
    if _digest(text, files) != sha256:
        raise ChangedLibrary(f"{MANIFEST} of {folder.name} was changed; add the library again")
    try:
        manifest = read_manifest(text.decode("utf-8"))
    except BadManifest as error:
        raise ChangedLibrary(
            f"the implant library {folder.name}: {error}, then add it again"
        ) from error
    return Library(manifest, folder, files, sha256, added, lengths)


def _digest(manifest: bytes, files: Mapping[str, str]) -> str:
    listed = "".join(f"{name}\0{files[name]}\n" for name in sorted(files))
    return hashlib.sha256(hashlib.sha256(manifest).digest() + listed.encode()).hexdigest()


def add_library(source: Path, progress: Progress = silent) -> Library:
    """Check the folder ``source`` and copy its manifest and files to the user's libraries.

    A library of that name is replaced; plans made with other files of it then say so.

    Raises:
        BadManifest: naming the line: a field, or a file that is missing, open or unreadable.
        OSError: if something cannot be read or written.
    """
    manifest_file = source / MANIFEST
    if not manifest_file.is_file():
        raise BadManifest(f"{source} holds no {MANIFEST}; write one: see hilum implants add --help")
    if manifest_file.stat().st_size > MANIFEST_BYTES:
        raise BadManifest(f"{MANIFEST} is larger than a manifest can be")
    raw = manifest_file.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadManifest(f"{MANIFEST}, line {line}: this is no UTF-8 text") from error
    manifest = read_manifest(text)
    if manifest.name == GENERIC:
        raise BadManifest(f"{MANIFEST}: the name {GENERIC!r} is that of what ships; take another")
    root = implants_folder()
    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".adding-", dir=root))
    try:
        lines = value_lines(text)
        files, sides = _copied(source, scratch, manifest, lines, progress)
        _require_sizes(manifest, lines, files, sides)
        (scratch / MANIFEST).write_bytes(raw)
        record = {
            "sha256": _digest(raw, files),
            "added": datetime.now(UTC).isoformat("T", "seconds"),
            "source": str(source.resolve()),
            "files": files,
            "lengths_mm": {name: round(float(side.max()), 2) for name, side in sides.items()},
        }
        (scratch / ADDED).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        target = root / manifest.name
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return find_library(manifest.name)


def _copied(
    source: Path, target: Path, manifest: Manifest, lines: Mapping[Any, int], progress: Progress
) -> tuple[dict[str, str], dict[str, Floats]]:
    """Copy and check the files of a manifest; return their checksums and their sides (mm)."""
    wanted = {size.file: lines[("families", f, "sizes", s, "file")]
              for f, family in enumerate(manifest.families)
              for s, size in enumerate(family.sizes)}  # fmt: skip
    total, files, sides = 0, {}, {}
    for number, (name, line) in enumerate(wanted.items()):
        part, path = share(progress, number, len(wanted)), source / name
        part(0.0, f"reading {name}")
        if path.suffix.lower() not in (STL, *ENDINGS):
            text = f"{name} is no STL or STEP file; export it as one of them"
            raise BadManifest(f"{MANIFEST}, line {line}: {text}")
        if path.is_symlink() or not path.is_file():
            raise BadManifest(f"{MANIFEST}, line {line}: there is no file {name} beside it")
        total += path.stat().st_size
        if total > MOST_BYTES:
            raise BadManifest(f"{MANIFEST}, line {line}: the files are larger than 1 GiB in all")
        shutil.copyfile(path, target / name)
        try:
            kept = [name, *_triangulated(target / name, part)]
            sides[name] = np.ptp(_closed(target / kept[-1], manifest.unit).points_mm, axis=0)
        except (ValueError, StepFailed) as error:
            raise BadManifest(f"{MANIFEST}, line {line}: {error}") from error
        for file in kept:
            files[file] = hashlib.sha256((target / file).read_bytes()).hexdigest()
    return files, sides


def _require_sizes(
    manifest: Manifest,
    lines: Mapping[Any, int],
    files: Mapping[str, str],
    sides_mm: Mapping[str, Floats],
) -> None:
    """Raise where two sizes of a family are one part, or one of them has another unit.

    Raises:
        BadManifest: naming the line.
    """
    for f, family in enumerate(manifest.families):
        usual = np.median([sides_mm[size.file] for size in family.sizes], axis=0)
        same: dict[str, str] = {}
        for s, size in enumerate(family.sizes):
            line = f"{MANIFEST}, line {lines[('families', f, 'sizes', s, 'file')]}: {size.file}"
            other = same.setdefault(files[size.file], size.name)
            if other != size.name:
                text = f"{line} is the part of size {other} too; give each size its own file"
                raise BadManifest(text)
            scale = sides_mm[size.file] / usual
            if (scale < 1 / OTHER_UNIT).all() or (scale > OTHER_UNIT).all():
                raise BadManifest(
                    f"{line} is {sides_mm[size.file].max():.3g} mm long, where sizes of "
                    f"{family.name} are {usual.max():.3g} mm; write it in the others' unit"
                )


def _triangulated(path: Path, progress: Progress) -> list[str]:
    """Write the surface of a STEP file beside it; return that file's name, nothing for an STL.

    Its triangles are kept, so that a plan means the same ones on every machine.
    """
    if not is_step(path.name):
        return []
    beside = path.with_name(path.name + STL)
    write_surface(read_step(path, progress), beside)
    return [beside.name]


def _closed(path: Path, unit: Any) -> SurfaceMesh:
    mesh = read_surface(path, unit=unit, space="LPS")
    if not is_watertight(mesh) or enclosed_mm3(mesh) <= 0:
        raise ValueError(f"{path.name} is no closed surface; repair it first (hilum repair)")
    longest = float(np.ptp(mesh.points_mm, axis=0).max())
    if not SMALLEST_MM <= longest <= LARGEST_MM:
        raise ValueError(f"{path.name} is {longest:.3g} mm long; correct the unit of the manifest")
    return mesh


def find_parts(
    library: str,
    family: str,
    sizes: Sequence[str] = (),
    *,
    sha256: str = "",
    dimensions: Dimensions = MappingProxyType({}),
) -> list[Part]:
    """Return sizes of a family, all of them if none is named.

    ``sha256`` must be that of an added library; ``dimensions`` change those of a generic family.

    Raises:
        UnknownPart: if there is no such library, family, size or dimension.
        ChangedLibrary: if the files are not those of ``sha256``.
        ValueError: if the dimensions do not go together.
    """
    if library == GENERIC:
        generic = find_family(family)
        return [generic.part(size, dimensions) for size in sizes or generic.sizes]
    found = find_library(library)
    if sha256 != found.sha256:
        told = f"that of {sha256[:12]}" if sha256 else "named without its checksum"
        raise ChangedLibrary(
            f"the library {library} here has the checksum {found.sha256}, and the plan's is "
            f"{told}; add the right files, or set library_sha256 to the one that is here"
        )
    if dimensions:
        raise UnknownPart(f"parts of {library} have no dimensions to change; choose another size")
    return _parts_of(found, family, sizes)


def _parts_of(library: Library, name: str, sizes: Sequence[str]) -> list[Part]:
    families = {family.name: family for family in library.manifest.families}
    if name not in families:
        known = ", ".join(families)
        raise UnknownPart(f"{library.manifest.name} has no family {name!r}; it has: {known}")
    family = families[name]
    files = {size.name: size.file for size in family.sizes}
    for size in sizes:
        if size not in files:
            known = ", ".join(files)
            raise UnknownPart(f"{name} has no size {size!r}; its sizes are: {known}")
    return [_read_part(library, family, size, files[size]) for size in sizes or files]


def _read_part(library: Library, family: FamilyRecord, size: str, file: str) -> Part:
    solid = library.folder / file if is_step(file) else None
    surface = file if solid is None else file + STL
    for name in {file, surface}:
        known = hashlib.sha256((library.folder / name).read_bytes()).hexdigest()
        if known != library.files.get(name):
            raise ChangedLibrary(f"{name} of {library.manifest.name} was changed; add it again")
    mesh = _closed(library.folder / surface, library.manifest.unit if solid is None else "mm")
    seat = np.arange(len(mesh.triangles))
    count = int((piece_volumes_mm3(mesh, pieces(mesh)) > 0).sum())
    told: tuple[Finding, ...] = ()
    if count > 1:
        text = f"{surface} of {library.manifest.name} falls into {count} pieces"
        told = (Finding(Severity.WARNING, "several_pieces", text, remedy="ask its maker whether it "
                        "is one part"),)  # fmt: skip
    mesh = replace(mesh, name=f"{family.title} {size}", colour=COLOUR, frame_uid="", findings=told,
                   boundaries={"seat": seat})  # fmt: skip
    note = f"{library.manifest.maker}: {library.manifest.regulatory}"
    return Part(library.manifest.name, family.name, size, mesh, family.turns, note=note,
                solid=solid)  # fmt: skip


def listed() -> list[dict[str, Any]]:
    """Return all libraries as `hilum implants list --json` prints them."""
    generic = {
        "name": GENERIC,
        "title": "Generic families that ship",
        "maker": "",
        "regulatory": NOTE,
        "unit": "mm",
        "families": [family.to_json() for family in FAMILIES.values()],
    }
    return [generic, *(library.to_json() for library in libraries())]
