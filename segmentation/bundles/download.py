"""Bundles from elsewhere: an address with its checksum, or a name in MONAI's Model Zoo."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from segmentation.bundles.folder import Bundle, BundleError
from segmentation.bundles.store import MOST_BYTES, add_bundle
from segmentation.contract import Progress, share, silent

ZOO = "https://raw.githubusercontent.com/Project-MONAI/model-zoo/dev/models/model_info.json"
CHUNK = 1 << 20
PATIENCE = Timeout(connect=20.0, read=60.0)
ENTRY = re.compile(r"(?P<name>.+)_v(?P<version>\d+(?:\.\d+)*)")
SUMS = {40: "sha1", 64: "sha256"}


@dataclass(frozen=True)
class ZooEntry:
    """One bundle of the Model Zoo: its newest version, where it lies, its SHA-1 or SHA-256."""

    name: str
    version: str
    url: str
    checksum: str


def add_from_url(url: str, checksum: str, name: str = "", progress: Progress = silent) -> Bundle:
    """Fetch the ZIP at ``url``, check it, and add the bundle in it.

    Raises:
        BundleError: without a checksum, if it differs, or as `add_bundle`.
    """
    digest = _digest(checksum)
    with tempfile.TemporaryDirectory(prefix="hilum-fetch-") as folder:
        archive = Path(folder) / (Path(urlsplit(url).path).name or "bundle.zip")
        _fetch(url, archive, digest, share(progress, 0, 2))
        if digest.hexdigest() != checksum.strip().lower():
            raise BundleError(
                f"what {url} sent has another checksum ({digest.hexdigest()[:16]}...); "
                "it was not added",
                "Check the address and the checksum",
            )
        return add_bundle(archive, f"{url} {digest.name}:{checksum}", name, share(progress, 1, 2))


def _digest(checksum: str) -> Any:
    kind = SUMS.get(len(checksum.strip()))
    if kind is None or not re.fullmatch(r"[0-9a-fA-F]+", checksum.strip()):
        raise BundleError(
            "an address needs the SHA-256 of its file", "Give it with --sha256, as its maker tells"
        )
    return hashlib.new(kind, usedforsecurity=False)


def zoo_entries(index: str = ZOO, progress: Progress = silent) -> dict[str, ZooEntry]:
    """Return the newest version of every bundle in the Model Zoo, by name.

    Raises:
        BundleError: if the index cannot be fetched or read.
    """
    with tempfile.TemporaryDirectory(prefix="hilum-zoo-") as folder:
        path = Path(folder) / "model_info.json"
        _fetch(index, path, hashlib.sha256(), progress)
        try:
            table = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise BundleError(f"the index of the Model Zoo at {index} is not readable") from error
    found: dict[str, ZooEntry] = {}
    for key, record in sorted(table.items(), key=lambda item: _order(item[0])):
        match = ENTRY.fullmatch(key)
        if match and isinstance(record, dict):
            source, checksum = str(record.get("source", "")), str(record.get("checksum", ""))
            found[match["name"]] = ZooEntry(match["name"], match["version"], source, checksum)
    return found


def _order(key: str) -> tuple[str, tuple[int, ...]]:
    match = ENTRY.fullmatch(key)
    if match is None:
        return key, ()
    return match["name"], tuple(int(part) for part in match["version"].split("."))


def add_from_zoo(
    zoo_name: str, name: str = "", index: str = ZOO, progress: Progress = silent
) -> Bundle:
    """Fetch the newest version of a bundle of the Model Zoo and add it.

    Raises:
        BundleError: if there is none of that name, or it cannot be fetched.
    """
    entries = zoo_entries(index, share(progress, 0, 10))
    entry = entries.get(zoo_name)
    if entry is None:
        alike = [n for n in entries if zoo_name.lower() in n.lower()] or sorted(entries)
        raise BundleError(
            f"the Model Zoo has no {zoo_name!r}; it has: {', '.join(alike[:12])}",
        )
    if not entry.url.endswith(".zip") or len(entry.checksum) not in SUMS:
        raise BundleError(
            f"the Model Zoo keeps {zoo_name} at {entry.url or 'another place'} without a checksum",
            "Download it there and add the folder or ZIP",
        )
    return add_from_url(entry.url, entry.checksum, name or zoo_name, progress)


@contextmanager
def _answer(url: str) -> Iterator[Any]:
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise BundleError(f"{url} is no https address")
    with PoolManager(timeout=PATIENCE, retries=3) as pool:
        try:
            answer = pool.request("GET", url, preload_content=False)
            if answer.status != 200:
                raise BundleError(f"{url} answers {answer.status}", "Check the address")
            yield answer
            answer.release_conn()
        except (HTTPError, OSError) as error:
            cause = getattr(error, "reason", None) or error
            reason = " ".join(str(cause).rpartition(": ")[2].split())[:160]
            raise BundleError(
                f"{parts.hostname} cannot be reached ({reason})",
                "Check the connection, or download the file elsewhere and add it",
            ) from error


def _fetch(url: str, target: Path, digest: Any, progress: Progress) -> None:
    with _answer(url) as answer, target.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        done = 0
        for block in answer.stream(CHUNK):
            done += len(block)
            if done > MOST_BYTES:
                raise BundleError(f"{url} sends more than {MOST_BYTES / 1e9:.0f} GB")
            digest.update(block)
            file.write(block)
            progress(min(1.0, done / total) if total else 0.5, f"fetching, {done / 1e6:.0f} MB")
