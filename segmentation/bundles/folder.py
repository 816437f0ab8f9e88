"""A MONAI bundle on disk: where its parts lie, what it says of itself, what its weights are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

METADATA = "configs/metadata.json"
NNUNET = "nnunet"
CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
CODE_ENDINGS = (".json", ".yaml", ".yml", ".py", ".ts")
CHUNK = 1 << 20
LICENCE_LINE = 100


class BundleError(ValueError):
    """A bundle cannot be used; the text says why, ``remedy`` what to do."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy


@dataclass(frozen=True)
class Bundle:
    """The parts of the bundle in ``folder``; ``metadata`` is its configs/metadata.json."""

    folder: Path
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name it is called by: that of its folder."""
        return self.folder.name

    @property
    def title(self) -> str:
        """What it calls itself."""
        return str(self.metadata.get("name") or self.metadata.get("task") or self.name)

    @property
    def version(self) -> str:
        """The version that its metadata tell."""
        return str(self.metadata.get("version", ""))

    def _data(self, side: str) -> Mapping[str, Any]:
        told = self.metadata.get("network_data_format")
        formats = told.get(side) if isinstance(told, dict) else None
        tables = (
            [t for t in formats.values() if isinstance(t, dict)]
            if isinstance(formats, dict)
            else []
        )
        return tables[0] if tables else {}

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The format of the image that the network takes."""
        return self._data("inputs")

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The format of what the network gives."""
        return self._data("outputs")

    @property
    def modality(self) -> str:
        """Such as "CT" or "MR"; "" when the metadata do not say."""
        return str(self.inputs.get("modality", "")).strip()

    @cached_property
    def config_file(self) -> Path:
        """The inference configuration.

        Raises:
            BundleError: if there is none.
        """
        for name in CONFIGS:
            if (self.folder / "configs" / name).is_file():
                return self.folder / "configs" / name
        raise BundleError(
            f"the bundle {self.name} has no configs/inference.json", "Get a complete bundle"
        )

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole inference configuration, as it was written.

        Raises:
            BundleError: if it cannot be read.
        """
        path = self.config_file
        text = path.read_text("utf-8")
        try:
            if path.suffix == ".json":
                found = json.loads(text)
            else:
                import yaml  # type: ignore[import-untyped]

                found = yaml.safe_load(text)
        except (ValueError, ImportError) as error:
            raise BundleError(f"{path.name} of {self.name} cannot be read ({error})") from error
        except Exception as error:  # yaml's errors derive from Exception alone
            raise BundleError(f"{path.name} of {self.name} is no readable YAML") from error
        if not isinstance(found, dict):
            raise BundleError(f"{path.name} of {self.name} is no table of settings")
        return found

    @property
    def licence(self) -> str:
        """The first two lines of its LICENSE file, or the copyright in its metadata."""
        for name in ("LICENSE", "LICENSE.txt", "LICENCE"):
            path = self.folder / name
            if path.is_file():
                lines = path.read_text("utf-8", "replace").splitlines()
                said = [line.strip() for line in lines if line.strip()][:2]
                return ", ".join(said)[:LICENCE_LINE]
        return str(self.metadata.get("copyright", "not stated"))[:LICENCE_LINE]

    @property
    def by_nnunet(self) -> bool:
        """Whether it is a folder that nnU-Net trained and runs."""
        return (self.folder / NNUNET).is_dir()

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The file of weights, or one for each fold of nnU-Net.

        Raises:
            BundleError: if there is none.
        """
        models = self.folder / "models"
        folds = tuple(sorted(self.folder.glob(f"{NNUNET}/fold_*/checkpoint_final.pth")))
        others = sorted(models.glob("*.pt"), key=lambda p: -p.stat().st_size)
        for path in (models / "model.pt", models / "model.ts", *others):
            if path.is_file() and "search_code" not in path.name:
                return (path,)
        if folds:
            return folds
        raise BundleError(
            f"the bundle {self.name} has no weights in its folder models",
            "Download the files that its large_files.yml names",
        )

    @property
    def weights(self) -> Path:
        """The file of weights: models/model.pt, or the TorchScript program models/model.ts."""
        return self.weight_files[0]

    @property
    def script(self) -> Path | None:
        """The network as a TorchScript program, if it is there."""
        path = self.folder / "models" / "model.ts"
        return path if path.is_file() else None

    @cached_property
    def weights_sha256(self) -> str:
        """The checksum of the weights; of all checksums where there are several files."""
        sums = [sha256_of(path) for path in self.weight_files]
        return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()

    @cached_property
    def code_sha256(self) -> str:
        """One checksum over configurations, scripts and TorchScript: all that can run."""
        whole = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.suffix in CODE_ENDINGS:
                whole.update(path.relative_to(self.folder).as_posix().encode() + b"\0")
                whole.update(bytes.fromhex(sha256_of(path)))
        return whole.hexdigest()


def holds_bundle(folder: Path) -> bool:
    """Tell whether a MONAI bundle lies in ``folder``, or up to two folders below."""
    return bool(_metadata_in(folder))


def _metadata_in(folder: Path) -> list[Path]:
    depths = (METADATA, f"*/{METADATA}", f"*/*/{METADATA}")
    return next((found for depth in depths if (found := sorted(folder.glob(depth)))), [])


def read_bundle(folder: Path) -> Bundle:
    """Return the bundle in ``folder``, or in the one folder below that holds one.

    Raises:
        BundleError: if there is none, or its metadata cannot be read.
    """
    found = _metadata_in(folder)
    if not found:
        raise BundleError(
            f"{folder.name} is no MONAI bundle: it has no {METADATA}",
            "Choose a folder or ZIP with configs, models and docs",
        )
    if len(found) > 1:
        names = ", ".join(path.parent.parent.name for path in found)
        raise BundleError(f"{folder.name} holds several bundles ({names})", "Add them one by one")
    try:
        metadata = json.loads(found[0].read_text("utf-8"))
    except ValueError as error:
        raise BundleError(f"{METADATA} of {folder.name} cannot be read ({error})") from error
    if not isinstance(metadata, dict):
        raise BundleError(f"{METADATA} of {folder.name} is no table")
    return Bundle(found[0].parent.parent.resolve(), metadata)


def sha256_of(path: Path) -> str:
    """Return the checksum of a file's content."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            whole.update(block)
    return whole.hexdigest()
