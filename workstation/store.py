"""Results on disk: one value per content key, whole or absent.

A value is a JSON record plus, for arrays, a data file beside it. The record is renamed into
place last, so its presence is what makes the value exist.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Measurements, Number
from segmentation.transform import Transform
from segmentation.volume import (
    EarlierEdits,
    EditLog,
    ImageGeometry,
    Label,
    LabelMap,
    LabelPatch,
    Volume,
)
from workstation.planning.resection import CutPlane

Record = dict[str, Any]


class DamagedValue(ValueError):
    """A value's file cannot be read any more; the text says which and what to do."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary name beside ``path``, flush to disk, then rename.

    The ending is kept, so writers that choose a format by it work. Nothing half-written is
    ever seen under ``path``, and nothing is left behind when ``write`` fails.
    """
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.name[-40:], dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
        sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in ``folder`` and the folders in it."""
    for part in [*folder.glob(".part-*"), *folder.glob("*/.part-*")]:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def write_json(path: Path, record: Any) -> None:
    """Write JSON atomically; numbers that are not finite are refused."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _notes(value: Any) -> Record:
    return {
        "findings": [finding.to_json() for finding in value.findings],
        "numbers": [number.to_json() for number in value.numbers],
    }


def _read_notes(record: Record) -> Record:
    return {
        "findings": tuple(Finding.from_json(f) for f in record["findings"]),
        "numbers": tuple(Number.from_json(n) for n in record["numbers"]),
    }


def _write_image(array: np.ndarray[Any, Any], path: Path, compress: bool) -> None:
    try:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path), compress, 1)
    except RuntimeError as error:  # the library does not say why in a person's words
        full = shutil.disk_usage(path.parent).free < array.nbytes
        code = errno.ENOSPC if full else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def _read_image(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def _volume_record(value: Volume) -> Record:
    return {"geometry": value.geometry.to_json(), "quantity": value.quantity} | _notes(value)


def _read_volume(record: Record, path: Path) -> Volume:
    geometry = ImageGeometry.from_json(record["geometry"])
    return Volume(_read_image(path), geometry, record["quantity"], **_read_notes(record))


def _labels_record(value: LabelMap) -> Record:
    labels = [
        {"value": v, "name": x.name, "colour": list(x.colour), "code": x.code}
        for v, x in value.labels.items()
    ]
    return {"geometry": value.geometry.to_json(), "labels": labels} | _notes(value)


def _read_labels(record: Record, path: Path) -> LabelMap:
    geometry = ImageGeometry.from_json(record["geometry"])
    labels = {x["value"]: Label(x["name"], tuple(x["colour"]), x["code"]) for x in record["labels"]}
    return LabelMap(_read_image(path), geometry, labels, **_read_notes(record))


def _surface_record(value: SurfaceMesh) -> Record:
    return {
        "frame_uid": value.frame_uid,
        "name": value.name,
        "colour": list(value.colour),
    } | _notes(value)


def _write_surface(value: SurfaceMesh, path: Path) -> None:
    arrays: dict[str, Any] = dict(value.point_data)
    with path.open("wb") as file:
        np.savez(file, points_mm=value.points_mm, triangles=value.triangles, **arrays)


def _read_surface(record: Record, path: Path) -> SurfaceMesh:
    with np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    return SurfaceMesh(
        arrays.pop("points_mm"),
        arrays.pop("triangles"),
        record["frame_uid"],
        record["name"],
        tuple(record["colour"]),
        arrays,
        **_read_notes(record),
    )


def _cut_record(value: CutPlane) -> Record:
    return {
        "point_mm": list(value.point_mm),
        "normal": list(value.normal),
        "frame_uid": value.frame_uid,
        "surface": _surface_record(value.surface),
    } | _notes(value)


def _read_cut(record: Record, path: Path) -> CutPlane:
    return CutPlane(
        tuple(record["point_mm"]),
        tuple(record["normal"]),
        record["frame_uid"],
        _read_surface(record["surface"], path),
        **_read_notes(record),
    )


def _edits_record(value: EditLog) -> Record:
    return {
        "geometry": value.geometry.to_json(),
        "corners": [list(patch.corner) for patch in value.patches],
        **({"earlier": value.earlier.digest} if value.earlier is not None else {}),
        "findings": [],
        "numbers": [],
    }


def _write_edits(value: EditLog, path: Path) -> None:
    blocks: dict[str, Any] = {}
    for number, patch in enumerate(value.patches):
        blocks[f"before{number}"], blocks[f"after{number}"] = patch.before, patch.after
    with path.open("wb") as file:
        np.savez_compressed(file, **blocks)


def _read_edits(record: Record, path: Path) -> EditLog:
    with np.load(path, allow_pickle=False) as data:
        patches = tuple(
            LabelPatch((corner[0], corner[1], corner[2]), data[f"before{n}"], data[f"after{n}"])
            for n, corner in enumerate(record["corners"])
        )
    return EditLog(ImageGeometry.from_json(record["geometry"]), patches, _earlier(record))


def _earlier(record: Record) -> EarlierEdits | None:
    """Return the link to the earlier log, which only the store that keeps it can load."""

    def load() -> EditLog:
        raise DamagedValue("hand edits can be read from their case only")

    return EarlierEdits(record["earlier"], load) if "earlier" in record else None


def _transform_record(value: Transform) -> Record:
    return {
        "fixed_uid": value.fixed_uid,
        "moving_uid": value.moving_uid,
        "matrix": list(value.matrix),
        "geometry": value.geometry.to_json(),
    } | _notes(value)


def _write_transform(value: Transform, path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, *_arrays_of(value))


def _read_transform(record: Record, path: Path) -> Transform:
    with np.load(path, allow_pickle=False) as data:
        field = next(iter(data.values()), None)
    return Transform(
        record["fixed_uid"],
        record["moving_uid"],
        tuple(record["matrix"]),
        ImageGeometry.from_json(record["geometry"]),
        field,
        **_read_notes(record),
    )


@dataclass(frozen=True)
class Format:
    """How one type of value is kept: its record, its data file, and the way back."""

    type: type
    ending: str
    record: Callable[[Any], Record]
    write: Callable[[Any, Path], None] | None
    read: Callable[[Record, Path], Any]


FORMATS = {
    "volume": Format(
        Volume,
        ".nrrd",
        _volume_record,
        lambda value, path: _write_image(value.array, path, compress=False),
        _read_volume,
    ),
    "labels": Format(
        LabelMap,
        ".nrrd",
        _labels_record,
        lambda value, path: _write_image(value.array, path, compress=True),
        _read_labels,
    ),
    "surface": Format(SurfaceMesh, ".npz", _surface_record, _write_surface, _read_surface),
    "cut": Format(
        CutPlane,
        ".npz",
        _cut_record,
        lambda value, path: _write_surface(value.surface, path),
        _read_cut,
    ),
    "edits": Format(EditLog, ".npz", _edits_record, _write_edits, _read_edits),
    "transform": Format(Transform, ".npz", _transform_record, _write_transform, _read_transform),
    "measurements": Format(
        Measurements,
        "",
        _notes,
        None,
        lambda record, path: Measurements(**_read_notes(record)),
    ),
}


def _kind_of(value: Any) -> str:
    for kind, form in FORMATS.items():
        if isinstance(value, form.type):
            return kind
    raise TypeError(f"a {type(value).__name__} cannot be kept in a case")


def _arrays_of(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, Volume | LabelMap):
        return [value.array]
    if isinstance(value, SurfaceMesh):
        extra = [value.point_data[name] for name in sorted(value.point_data)]
        return [value.points_mm, value.triangles, *extra]
    if isinstance(value, CutPlane):
        return _arrays_of(value.surface)
    if isinstance(value, Transform):
        return [] if value.displacement_mm is None else [value.displacement_mm]
    if isinstance(value, EditLog):
        return [block for patch in value.patches for block in (patch.before, patch.after)]
    return []


def digest_value(value: Any) -> str:
    """Return the sha256 of a value's whole content: arrays, geometry, names, numbers."""
    kind = _kind_of(value)
    digest = hashlib.sha256(kind.encode())
    digest.update(json.dumps(FORMATS[kind].record(value), sort_keys=True).encode())
    for array in _arrays_of(value):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_source(value: Volume | LabelMap | SurfaceMesh | EditLog) -> str:
    """Return the sha256 of what identifies a source: its arrays and where they lie.

    Findings, names and colours are left out: better wording must not make a plan stale.
    """
    if isinstance(value, EditLog):
        return value.digest
    place: Any = value.frame_uid if isinstance(value, SurfaceMesh) else value.geometry.to_json()
    digest = hashlib.sha256(json.dumps(place, sort_keys=True).encode())
    for array in _arrays_of(value):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def size_of(value: Any) -> int:
    """Return the bytes of a value's arrays."""
    return sum(array.nbytes for array in _arrays_of(value))


class ResultStore(MutableMapping[str, Any]):
    """Content key to value, in a folder, with the values used last kept in memory."""

    def __init__(self, folder: Path, memory_bytes: int = 2_000_000_000) -> None:
        self.folder = folder
        self.memory_bytes = memory_bytes
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._turn = threading.RLock()  # a job stores results while the window reads others

    def record(self, key: str) -> Record:
        """Return the JSON record of a value, without its arrays.

        Raises:
            KeyError: if there is none, or what is there is not whole.
        """
        try:
            record: Record = json.loads((self.folder / f"{key}.json").read_text("utf-8"))
            form = FORMATS[record["kind"]]
            size = self._data_path(key, form).stat().st_size if form.write else 0
            whole = size == record["bytes"]
        except (FileNotFoundError, ValueError, TypeError):
            whole = False
        if not whole:
            raise KeyError(key)
        return record

    def _data_path(self, key: str, form: Format) -> Path:
        return self.folder / f"{key}{form.ending}"

    def __contains__(self, key: object) -> bool:
        with suppress(KeyError):
            return bool(self.record(str(key)))
        return False

    def __getitem__(self, key: str) -> Any:
        with self._turn:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        record = self.record(key)
        form = FORMATS[record["kind"]]
        path = self._data_path(key, form)
        try:
            value = form.read(record, path)
        except (RuntimeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as e:
            raise DamagedValue(f"{path} is damaged; delete it and run the plan again") from e
        return self._keep(key, value)

    def remember(self, key: str, value: Any) -> None:
        """Hold in memory a value that is on disk already and at hand."""
        if key in self:
            self._keep(key, value)

    def in_memory(self, key: str) -> Any:
        """Return the value of ``key`` if it needs no look at the disk, or None."""
        with self._turn:
            return self._kept.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        kind = _kind_of(value)
        form = FORMATS[kind]
        if isinstance(value, EditLog) and value.earlier and value.earlier.digest not in self:
            self[value.earlier.digest] = value.earlier.load()
        self.folder.mkdir(parents=True, exist_ok=True)
        record = form.record(value) | {"kind": kind, "digest": digest_value(value), "bytes": 0}
        write = form.write
        if write is not None:
            path = self._data_path(key, form)
            write_atomically(path, lambda part: write(value, part))
            record["bytes"] = path.stat().st_size
        write_json(self.folder / f"{key}.json", record)
        self._keep(key, value)

    def __delitem__(self, key: str) -> None:
        record = self.record(key)
        (self.folder / f"{key}.json").unlink()
        with self._turn:
            self._kept.pop(key, None)
        with suppress(FileNotFoundError):
            self._data_path(key, FORMATS[record["kind"]]).unlink()

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in sorted(self.folder.glob("[!.]*.json")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _keep(self, key: str, value: Any) -> Any:
        """Hold a value in memory, and return it as it is held."""
        if isinstance(value, EditLog) and value.earlier is not None:
            # Held by this store alone, so that its limit on memory counts for the whole chain.
            earlier = value.earlier.digest
            value = replace(value, earlier=EarlierEdits(earlier, partial(self._edits, earlier)))
        with self._turn:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._kept_bytes() > self.memory_bytes:
                self._kept.popitem(last=False)
        return value

    def _edits(self, key: str) -> EditLog:
        """Return the hand edits that later ones continue."""
        try:
            edits: EditLog = self[key]
        except KeyError as error:
            path = self.folder / f"{key}.json"
            raise DamagedValue(f"{path} is damaged; restore the case's backup") from error
        return edits

    def _kept_bytes(self) -> int:
        return sum(map(size_of, self._kept.values()))
