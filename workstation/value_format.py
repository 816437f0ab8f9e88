"""The form in which any value is kept: a JSON record, and a data file of its arrays."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from segmentation.contract import Finding, Number

Record = dict[str, Any]
Arrays = dict[str, npt.NDArray[Any]]


class DamagedValue(ValueError):
    """A value's file cannot be read any more; the text says which and what to do."""


def notes(value: Any) -> Record:
    """Return the findings and numbers of a value as JSON data; hand edits carry none."""
    return {
        "findings": [finding.to_json() for finding in getattr(value, "findings", ())],
        "numbers": [number.to_json() for number in getattr(value, "numbers", ())],
    }


def read_notes(record: Mapping[str, Any]) -> Record:
    """Return the findings and numbers that `notes` wrote, by the names of their fields."""
    return {
        "findings": tuple(Finding.from_json(f) for f in record["findings"]),
        "numbers": tuple(Number.from_json(n) for n in record["numbers"]),
    }


def nothing(_: Any) -> Arrays:
    """Return no arrays, for a value whose record says all."""
    return {}


@dataclass(frozen=True)
class Format:
    """How one type of value is kept.

    Attributes:
        type: the type of the value.
        about: what of it is JSON, besides its findings and numbers.
        made: the way back from the record, the arrays, and the findings and numbers by name.
        arrays: its arrays by name, in the order of the digest.
        ending: that of the data file; "" where the record says all.
        packed: whether the data file is compressed.
    """

    type: type
    about: Callable[[Any], Record]
    made: Callable[..., Any]
    arrays: Callable[[Any], Arrays] = nothing
    ending: str = ".npz"
    packed: bool = False

    def record(self, value: Any) -> Record:
        """Return all of a value that is no array, as JSON data."""
        return self.about(value) | notes(value)

    def write(self, value: Any, path: Path) -> None:
        """Write the arrays of a value to a file.

        Raises:
            OSError: if the file cannot be written, a full disk by its own code.
        """
        arrays = self.arrays(value)
        if self.ending == ".nrrd":
            _write_image(arrays["array"], path, self.packed)
            return
        fields: dict[str, Any] = {**arrays}
        with path.open("wb") as file:
            (np.savez_compressed if self.packed else np.savez)(file, **fields)

    def read(self, record: Record, path: Path) -> Any:
        """Return the value whose record and data file those are."""
        arrays: Arrays = {}
        if self.ending == ".nrrd":
            arrays = {"array": np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))}
        elif self.ending:
            with np.load(path, allow_pickle=False) as data:
                arrays = dict(data)
        return self.made(record, arrays, **read_notes(record))


def _write_image(array: npt.NDArray[Any], path: Path, compress: bool) -> None:
    try:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path), compress, 1)
    except RuntimeError as error:  # the library does not say why in a person's words
        full = shutil.disk_usage(path.parent).free < array.nbytes
        code = errno.ENOSPC if full else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error
