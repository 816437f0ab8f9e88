"""The bundles of this user: where they lie, how one is added safely, what was agreed to.

Every added bundle has a record beside it: where it came from, its checksums, and what a person
allowed. An agreement holds for exactly the files that it was given for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath

from platformdirs import user_data_path

from segmentation.bundles.folder import Bundle, BundleError, holds_bundle, read_bundle
from segmentation.bundles.inference import Trust
from segmentation.bundles.nnunet import trained_folder, wrap
from segmentation.contract import Progress, silent

FOLDER_VARIABLE = "HILUM_MODELS"
MOST_BYTES = 8 << 30
MOST_FILES = 5000
MOST_RATIO = 200
CHUNK = 1 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")


@dataclass(frozen=True)
class Installed:
    """What is remembered of an added bundle.

    ``code_allowed`` and ``pickles_allowed`` hold the checksum of what was allowed, or "".
    """

    name: str
    source: str
    added: str
    version: str
    weights_sha256: str
    code_sha256: str
    code_allowed: str = ""
    pickles_allowed: str = ""


def models_folder() -> Path:
    """Return where the user's models lie; the variable HILUM_MODELS names another place."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else user_data_path("hilum") / "models"


def shipped_bundles() -> list[Bundle]:
    """Return the bundles that come with the product."""
    with as_file(files("segmentation") / "weights") as folder:
        return [read_bundle(p) for p in sorted(Path(folder).iterdir()) if _is_bundle(p)]


def _is_bundle(folder: Path) -> bool:
    return (folder / "configs" / "metadata.json").is_file()


def user_bundles() -> list[Path]:
    """Return the folders of the bundles that were added, whether or not they can be read."""
    root = models_folder()
    if not root.is_dir():
        return []
    return [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]


def add_bundle(source: Path, told: str = "", name: str = "", progress: Progress = silent) -> Bundle:
    """Copy the bundle in a folder or ZIP to the user's models; nothing of it is run.

    A folder that nnU-Net trained is one too. ``told`` says where it came from, if not from
    ``source``; ``name`` is what to call it.

    Raises:
        BundleError: if it is no bundle, its archive is unsafe, or the name is taken.
    """
    root = models_folder()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=root) as scratch:
        inner = Path(scratch) / "bundle"
        if source.is_dir():
            trained = None if holds_bundle(source) else trained_folder(source)
            _copy(trained or read_bundle(source).folder, inner, progress)
        else:
            unpack(source, inner, progress)
        trained = None if holds_bundle(inner) else trained_folder(inner)
        if trained is not None:
            wrap(trained, Path(scratch) / "wrapped")
            inner = Path(scratch) / "wrapped"
        bundle = read_bundle(inner)
        _ = bundle.weights if bundle.by_nnunet else (bundle.config, bundle.weights)
        target = root / _target_name(bundle, inner, source, name)
        if target.exists():
            raise BundleError(
                f"there is a model {target.name} already", "Give this one another name with --as"
            )
        sums = bundle.weights_sha256, bundle.code_sha256
        os.replace(bundle.folder, target)
    record = Installed(target.name, told or str(source), _now(), bundle.version, *sums)
    _write(record)
    progress(1.0, "added")
    return read_bundle(target)


def remove_bundle(name: str) -> None:
    """Delete an added bundle and its record.

    Raises:
        BundleError: if there is none of that name among those that were added.
    """
    record = installed(name)
    shutil.rmtree(models_folder() / record.name, ignore_errors=True)
    _record_path(record.name).unlink(missing_ok=True)


def _target_name(bundle: Bundle, inner: Path, source: Path, name: str) -> str:
    own = bundle.folder.name if bundle.folder != inner.resolve() else ""
    given = name or own or source.name.removesuffix(".zip")
    given = re.sub(r"_v\d+(\.\d+)*$", "", given)
    if not NAME.fullmatch(given):
        raise BundleError(f"{given!r} cannot name a model", "Use letters, digits and underscores")
    return given


def _copy(folder: Path, target: Path, progress: Progress) -> None:
    paths = [p for p in sorted(folder.rglob("*")) if not p.is_symlink()]
    if len(paths) > MOST_FILES:
        raise BundleError(f"{folder.name} holds {len(paths)} files", "Choose the bundle alone")
    for n, path in enumerate(paths):
        progress(n / len(paths), f"copying {path.name}")
        place = target / path.relative_to(folder)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif path.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def unpack(archive: Path, target: Path, progress: Progress = silent) -> None:
    """Unpack a ZIP into the new folder ``target``.

    Raises:
        BundleError: if it is no ZIP, or an entry points outside, is a link, or swells.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            entries = [e for e in file.infolist() if not e.is_dir()]
            _check_entries(archive.name, entries)
            total = sum(e.file_size for e in entries) or 1
            done = 0
            for entry in entries:
                place = target.joinpath(*PurePosixPath(entry.filename).parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                with file.open(entry) as packed, place.open("wb") as plain:
                    while block := packed.read(CHUNK):
                        done += len(block)
                        progress(min(1.0, done / total), f"unpacking {place.name}")
                        plain.write(block)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{archive.name} is no ZIP that can be read ({error})") from error


def _check_entries(name: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES:
        raise BundleError(f"{name} holds {len(entries)} files, which no bundle does")
    total, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if total > MOST_BYTES or total > MOST_RATIO * max(packed, CHUNK):
        raise BundleError(f"{name} would swell to {total / 1e9:.1f} GB")
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if link or path.is_absolute() or ".." in path.parts or ":" in entry.filename:
            raise BundleError(f"{name} is not safe to unpack: {entry.filename!r} points outside")


# What was agreed to ---------------------------------------------------------------------


def installed(name: str) -> Installed:
    """Return the record of an added bundle.

    Raises:
        BundleError: if there is none.
    """
    path = _record_path(name)
    try:
        record = json.loads(path.read_text("utf-8"))
        return Installed(**record)
    except FileNotFoundError:
        raise BundleError(f"no model {name!r} was added", "hilum models list shows all") from None
    except (ValueError, TypeError) as error:
        raise BundleError(
            f"the record of the model {name} cannot be read", "Remove it and add it again"
        ) from error


def trust_in(bundle: Bundle) -> Trust:
    """Return what a person allowed for exactly these files; what ships is plain."""
    if bundle.folder.parent != models_folder().resolve():
        return Trust()
    record = installed(bundle.name)
    code = bool(record.code_allowed) and record.code_allowed == bundle.code_sha256
    pickles = bool(record.pickles_allowed) and record.pickles_allowed == bundle.weights_sha256
    return Trust(code, pickles)


def allow(name: str, code: bool = False, pickles: bool = False) -> None:
    """Remember that a person allows the code of a bundle, or its old weight file, to run.

    Raises:
        BundleError: if no such bundle was added.
    """
    record, bundle = installed(name), read_bundle(models_folder() / name)
    if code:
        record = replace(record, code_allowed=bundle.code_sha256)
    if pickles or (code and bundle.by_nnunet):  # which reads its weights as pickles
        record = replace(record, pickles_allowed=bundle.weights_sha256)
    _write(record)


def changed_since_added(bundle: Bundle) -> tuple[str, ...]:
    """Return what differs from the day the bundle was added: "weights", "code", or nothing."""
    record = installed(bundle.name)
    pairs = (
        ("weights", record.weights_sha256, bundle.weights_sha256),
        ("code", record.code_sha256, bundle.code_sha256),
    )
    return tuple(what for what, then, now in pairs if then != now)


def _record_path(name: str) -> Path:
    return models_folder() / f"{name}.record.json"


def _write(record: Installed) -> None:
    path = _record_path(record.name)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(asdict(record), indent=2), "utf-8")
    os.replace(scratch, path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
