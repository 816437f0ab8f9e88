"""What a stopped or killed flow goes on from: a file in the temporary folder.

A run that goes on from it gives the same bits as one that was never stopped. The file is named
by a digest of all inputs and of this package's own code, so that nothing else can go on from it;
it holds no name and no identity of a patient.
"""

from __future__ import annotations

import getpass
import hashlib
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]

EVERY_S = 60.0
"""Seconds between two checkpoints; shorter runs leave none."""

KEPT_S = 14 * 86_400.0
"""Seconds after which what was left is dropped."""

_ASIDE = "aside:"


@dataclass(frozen=True)
class Kept:
    """The checkpoint of one place of a computation.

    Attributes:
        found: the state that was kept there, or None.
    """

    keeper: Keeper
    place: Sequence[float]
    found: Arrays | None

    @property
    def rounds(self) -> int:
        """How many rounds of a march were done: judgements, or frames of a cycle."""
        return 0 if self.found is None else int(self.found["rounds"])

    def keep(self, rounds: int, state: Callable[[], Arrays]) -> None:
        """Keep a state after so many rounds, unless that was done not long ago."""
        self.keeper.keep(self.place, lambda: {**state(), "rounds": np.array(rounds)})


class Keeper:
    """Keeps and finds the checkpoint of one computation, whose place in it goes with its state.

    Attributes:
        path: of its file, which need not exist.
        aside: what earlier places left, and goes with all states that are kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept = time.monotonic()
        self._found = self._read()
        found = self._found or {}
        self.aside: Arrays = {
            name.removeprefix(_ASIDE): array
            for name, array in found.items()
            if name.startswith(_ASIDE)
        }

    def reached(self) -> list[float]:
        """Return the place of the computation, such as its level, that was kept; or nothing."""
        return [] if self._found is None else list(self._found["place"])

    def at(self, *place: float) -> Kept:
        """Return what keeps and finds the state of one place of the computation."""
        found = self._found if self.reached() == list(place) else None
        return Kept(self, place, found)

    def keep(self, place: Sequence[float], state: Callable[[], Arrays]) -> None:
        """Keep a state, unless that was done not long ago. A full disk is no error."""
        if time.monotonic() - self._kept < EVERY_S:
            return
        partial = self.path.with_suffix(".part")
        try:
            with partial.open("wb") as file:
                arrays: dict[str, Any] = {**state(), "place": np.array(place, float)}
                arrays |= {_ASIDE + name: array for name, array in self.aside.items()}
                np.savez(file, **arrays)
            partial.replace(self.path)
        except OSError:
            partial.unlink(missing_ok=True)
        self._kept = time.monotonic()

    def forget(self) -> None:
        """Begin as if nothing had been kept."""
        self._found, self.aside = None, {}

    def drop(self) -> None:
        """Remove the file, once the computation is over, and one that was never finished."""
        for path in (self.path, self.path.with_suffix(".part")):
            path.unlink(missing_ok=True)

    def _read(self) -> Arrays | None:
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                return dict(data)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None


def keeper_of(*inputs: object) -> Keeper:
    """Return what keeps the checkpoint of a computation with these inputs.

    Arrays count by their bytes, all else by how it prints.
    """
    digest = hashlib.sha256(_code())
    for value in inputs:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        else:
            digest.update(repr(value).encode())
    folder = Path(tempfile.gettempdir()) / f"hilum-flow-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in [*folder.glob("*.npz"), *folder.glob("*.part")]:
        if time.time() - old.stat().st_mtime > KEPT_S:
            old.unlink(missing_ok=True)
    return Keeper(folder / f"{digest.hexdigest()[:32]}.npz")


def _code() -> bytes:
    """Return a digest of this package's modules."""
    digest = hashlib.sha256(np.__version__.encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.digest()
