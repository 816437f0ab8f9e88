"""A case on disk: one patient's originals, sources, plans, results and runs.

Layout of the folder::

    case.json     identity, sources, history of plans (the only file besides the originals
                  that names the patient)
    dicom/        the originals, byte-identical
    files/        label and other files that were given as sources, byte-identical
    sources/      source values by content key (pixels, labels, hand edits)
    plans/        0001.json, 0002.json, ...; a plan once written never changes
    results/      result values by content key; can be recomputed
    runs/         what each run did: versions, durations, digests

Files are written under a temporary name and renamed; ``case.json`` is renamed last, so a
process killed at any moment leaves the last acknowledged state.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock

from meshing.surface import SurfaceMesh
from segmentation.contract import Number, Progress, share, silent
from segmentation.volume import EditLog, ImageGeometry, LabelMap, Volume
from workstation.bands import with_bands
from workstation.case_record import (
    CaseError,
    CaseRecord,
    CaseValues,
    lock_folder,
    now,
    number_record,
    read_record,
    unheard,
)
from workstation.case_sources import (
    IMAGES,
    check_labels,
    check_name,
    check_patient,
    family_name,
    keep_originals,
    read_file_source,
    reread_series,
    source_record,
)
from workstation.dicom import files as dicom
from workstation.dicom.label_source import split_structure
from workstation.formats import digest_source, digest_value
from workstation.plan_run import StepRun, run_plan
from workstation.planning.clinical_values import differences
from workstation.planning.plan import Plan, read_plan
from workstation.planning.transplant_person import PersonRecord
from workstation.planning.transplant_rows import in_plan
from workstation.review import confirmed_rows, review_states
from workstation.runs import earlier_findings, failures, read_runs, step_states, write_run
from workstation.store import ResultStore, sweep, write_atomically, write_json
from workstation.value_format import DamagedValue
from workstation.variants import Spread, one_by_one

LEFT_OVER = (".lock", ".part-")
"""How the names of what a killed process leaves behind begin."""

__all__ = ["Case", "CaseError", "case_for_writing", "create_case", "open_case"]


class Case:
    """An open case. Use `open_case` or `create_case`; close it, or use it in a ``with``."""

    def __init__(self, folder: Path, record: CaseRecord, lock: FileLock | None) -> None:
        self.folder = folder
        self.record = record
        self.values = CaseValues(ResultStore(folder / "sources"), ResultStore(folder / "results"))
        self._lock = lock
        self._known_runs: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Case:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the writer's place free."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def save(self) -> None:
        """Write ``case.json``; what was done before becomes part of the case here.

        Raises:
            CaseError: if the case was opened for reading only.
        """
        if self._lock is None:
            raise CaseError(f"the case {self.folder} was opened for reading only")
        write_json(self.folder / "case.json", self.record.to_json())

    # Sources -------------------------------------------------------------------------

    def import_dicom(
        self,
        scanned: dicom.ScannedVolume,
        name: str,
        progress: Progress = silent,
        family: Sequence[dicom.ScannedVolume] = (),
        volume: Volume | None = None,
        person: str = "",
    ) -> Volume:
        """Read one volume, keep its originals byte-identical, and name it as a source.

        The originals of a ``family`` of volumes, ``scanned`` among them, are kept together.
        ``volume`` is what `dicom.read` made of ``scanned``, where it was read before; ``person``
        says whose it is in a case of several people.

        Raises:
            CaseError: if the case holds another patient, or the name cannot be one.
            dicom.DicomError: if the volume cannot be read.
        """
        check_name(name)
        whose = check_patient(self.record, scanned, person)
        volume = volume or dicom.read(scanned, share(progress, 0, 2))
        place = f"dicom/{family_name(family) or f'{name}-{digest_source(volume)[:12]}'}"
        keep_originals(self.folder, place, family or [scanned], share(progress, 1, 2))
        if not self.record.patient and not person:
            self.record.patient = asdict(scanned.patient)
            self.record.study = {
                "uid": scanned.identity.study_uid,
                "date": scanned.identity.study_date,
            }
        self.record.synthetic |= scanned.synthetic
        self._add_source(name, volume, source_record(scanned, place) | whose)
        self.save()
        return volume

    def import_file(
        self,
        path: Path,
        name: str,
        kind: str,
        frame_uid: str | None = None,
        reading: Mapping[str, str] = MappingProxyType({}),
        progress: Progress = silent,
    ) -> Volume | LabelMap | SurfaceMesh | PersonRecord:
        """Copy a file (``kind`` "volume", "labels" or "surface") in as a source.

        A file has no frame of reference of its own; ``frame_uid`` says in which it lies. One
        structure of a DICOM label file is named behind it: ``FILE#NAME``. ``reading`` says the
        unit and space of a surface file, see `workstation.surface_source`.
        """
        check_name(name)
        path, structure = split_structure(path)
        how = {"kind": kind, **reading, **({"structure": structure} if structure else {})}
        value = self._read_file(path, name, how, frame_uid, progress)
        check_labels(path, name, value, partial(self._image_grids, frame_uid))
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        copy = folder / f"{name}-{digest_source(value)[:12]}{_ending(path)}"
        if not copy.exists():
            write_atomically(copy, lambda part: shutil.copyfile(path, part))
        self._add_source(
            name,
            value,
            how
            | {
                "file": str(copy.relative_to(self.folder)),
                "description": path.name,
                "modality": "",  # the file does not say
                **({"frame_uid": value.frame_uid} if isinstance(value, SurfaceMesh) else {}),
            },
        )
        self.save()
        return value

    def add_edits(self, name: str, edits: EditLog) -> str:
        """Keep a log of hand edits as a source of the plan to come; return its content key."""
        return self._add_source(name, edits, {"kind": "edits", "description": "hand edits"})

    def _add_source(self, name: str, value: Any, about: dict[str, Any]) -> str:
        key = digest_source(value)
        if key not in self.values.sources:
            self.values.sources[key] = value
        frame = getattr(value, "geometry", value).frame_uid
        earlier = self.record.sources.get(name, {})
        versions = {**earlier.get("versions", {}), key: about}
        self.record.sources[name] = {
            **about,
            "sha256": key,
            "frame_uid": frame,
            "findings": [f.to_json() for f in getattr(value, "findings", ())],
            "versions": versions,
        }
        return key

    def reread_source(self, name: str, key: str, progress: Progress = silent) -> Any:
        """Read a source anew from the kept originals, not from its cached value."""
        about = self.record.sources[name]["versions"][key]
        if about["kind"] == "dicom":
            return reread_series(self.folder, name, about, progress)
        if about["kind"] == "edits":
            if key not in self.values.sources:
                raise CaseError(f"the hand edits {name!r} are damaged; restore the case's backup")
            return ResultStore(self.folder / "sources")[key]
        frame = about.get("frame_uid", self.record.sources[name]["frame_uid"])
        return self._read_file(self.folder / about["file"], name, about, frame, progress)

    def _read_file(
        self,
        path: Path,
        name: str,
        about: Mapping[str, Any],
        frame_uid: str | None,
        progress: Progress,
    ) -> Volume | LabelMap | SurfaceMesh | PersonRecord:
        grid = partial(self._image_grid, frame_uid)
        return read_file_source(path, name, about, self.record, frame_uid, grid, progress)

    def _image_grid(self, frame_uid: str | None) -> ImageGeometry | None:
        """Return the voxel grid of the first image in a frame of reference."""
        return next(self._image_grids(frame_uid), None)

    def _image_grids(self, frame_uid: str | None) -> Iterator[ImageGeometry]:
        """Yield the voxel grids of the images in a frame of reference."""
        for name, about in self.record.sources.items():
            if about["kind"] in IMAGES and about["frame_uid"] == frame_uid:
                key, kept = about["sha256"], self.values.sources
                image: Volume = kept[key] if key in kept else self.reread_source(name, key)
                yield image.geometry

    # Plans ---------------------------------------------------------------------------

    def plan_path(self, number: int) -> Path:
        """Return the file of plan ``number``."""
        return self.folder / "plans" / f"{number:04d}.json"

    @property
    def plan_number(self) -> int:
        """The number of the current plan, 0 if there is none."""
        return self.record.history[self.record.position].plan if self.record.history else 0

    def plan(self, number: int | None = None) -> Plan:
        """Return a plan by number, the current one by default.

        Raises:
            CaseError: if there is none.
        """
        number = self.plan_number if number is None else number
        path = self.plan_path(number)
        if number < 1:
            raise CaseError("the case has no plan yet; start one with: hilum plan TEMPLATE")
        if not path.is_file():
            raise CaseError(f"the case has no plan {number}; its file {path} is not there")
        return read_plan(path.read_bytes(), f"plan {path.name}")

    def add_plan(self, plan: Plan, label: str) -> int:
        """Keep ``plan`` as the next revision and make it the current one; return its number."""
        (self.folder / "plans").mkdir(exist_ok=True)
        numbers = [int(p.stem) for p in (self.folder / "plans").glob("[0-9]*.json")]
        number = max(numbers, default=0) + 1
        write_json(self.plan_path(number), plan.to_json())
        self.record.note(label, number)
        self.save()
        return number

    def go_to(self, position: int) -> None:
        """Make another entry of the history the current one."""
        if not 0 <= position < len(self.record.history):
            raise CaseError("there is nothing to undo or redo there")
        self.record.stand_at(position)
        self.save()

    # Runs ----------------------------------------------------------------------------

    def run(
        self,
        plan: Plan,
        progress: Progress = silent,
        on_step: Callable[[StepRun], None] = lambda step: None,
        spread_over: Spread = one_by_one,
    ) -> dict[str, str]:
        """Compute what the plan lacks and keep a record of the run; return name to key.

        Raises:
            StepFailed: if a step fails; what was computed before it stays.
        """
        self.restore_sources(plan)
        steps: list[StepRun] = []

        def note(step: StepRun) -> None:
            steps.append(step)
            on_step(step)

        started = now()
        try:
            return run_plan(plan, self.values, progress, note, spread_over)
        finally:
            number = self.plan_number
            write_run(self.folder / "runs", number, plan, started, steps, self.values)

    def restore_sources(self, plan: Plan) -> None:
        """Read from the originals every source whose cached value is gone."""
        for name, key in plan.sources.items():
            if key in self.values.sources:
                continue
            versions = self.record.sources.get(name, {}).get("versions", {})
            if key not in versions:
                raise CaseError(f"the case holds no source {name!r} with the content of the plan")
            value = self.reread_source(name, key)
            if digest_source(value) != key:
                raise CaseError(f"the originals of {name!r} have changed since the plan was made")
            self.values.sources[key] = value

    def runs(self) -> list[dict[str, Any]]:
        """Return the records of all runs, oldest first; an unreadable one is left out."""
        return read_runs(self.folder / "runs", self._known_runs)

    def check(self, plan: Plan, progress: Progress = silent) -> list[dict[str, str]]:
        """Recompute everything from the originals and compare with what is kept.

        Returns one record per difference: output, what differs, stored and recomputed digest.
        """
        fresh: dict[str, Any] = {}
        differences = []
        for name, key in plan.sources.items():
            fresh[key] = self.reread_source(name, key, progress)
            found = digest_source(fresh[key])
            if found != key:
                differences.append(_difference(name, "source", key, found))
        keys = run_plan(plan, fresh, progress)
        for step in plan.steps:
            found = digest_value(fresh[keys[step.output]])
            stored = self._stored_digest(keys[step.output])
            if stored != found:
                differences.append(_difference(step.output, "result", stored, found))
        return differences

    def _stored_digest(self, key: str) -> str:
        """Return the digest of a result as it lies on disk, "missing" or "damaged"."""
        if key not in self.values:
            return "missing"
        try:
            digest = digest_value(self.values[key])
        except DamagedValue:
            return "damaged"
        return digest if digest == self.values.record(key)["digest"] else "damaged"

    # What is there -------------------------------------------------------------------

    def states(self, plan: Plan) -> dict[str, str]:
        """Return output to "fresh", "stale", "missing" or "failed"."""
        return step_states(plan, self.values, self.runs())

    def value(self, name: str, plan: Plan | None = None) -> Any:
        """Return the value of a source or result by name.

        Raises:
            CaseError: if the plan has no such name or it is not computed yet.
        """
        plan = plan or self.plan()
        keys = plan.keys()
        if name not in keys:
            raise CaseError(f"the plan has no {name!r}; it has: {', '.join(keys)}")
        if keys[name] not in self.values:
            if name in plan.sources:
                self.restore_sources(plan)
            else:
                raise CaseError(f"{name!r} is not computed yet; run the plan first")
        return self.values[keys[name]]

    def summary(self, number: int | None = None) -> dict[str, Any]:
        """Return the document that `hilum show --json` prints."""
        document: dict[str, Any] = {
            "case": str(self.folder),
            "plan": number or self.plan_number,
            "synthetic": self.record.synthetic,
            "sources": [
                {k: v for k, v in about.items() if k not in ("versions", "findings")}
                | {"name": name}
                for name, about in self.record.sources.items()
            ],
            "steps": [],
            "numbers": [],
            "findings": [
                finding | {"step": name}
                for name, about in self.record.sources.items()
                for finding in about["findings"]
            ]
            + self.record.clinical_findings(),
        } | self.record.clinical_summary()
        if not document["plan"]:
            return document
        plan = self.plan(number)
        for output, finding in differences(plan, self.record.clinical_record()):
            document["findings"].append(finding.to_json() | {"step": output})
        keys, states = plan.keys(), self.states(plan)
        reviews = review_states(plan, self.record, self.values)
        document["findings"] += failures(plan, states, self.runs())
        document["findings"] += earlier_findings(plan, states)
        for step in plan.steps:
            state, review = states[step.output], reviews.get(step.output)
            about = {"output": step.output, "stage": step.stage, "state": state, "review": review}
            document["steps"].append(about)
            if state != "fresh":
                continue
            record = self.values.record(keys[step.output])
            document["numbers"] += [
                number_record(step.output, Number.from_json(n)) for n in record["numbers"]
            ]
            document["findings"] += unheard(record["findings"], document["findings"], step.output)
            if record["kind"] == "sheet":
                rows = confirmed_rows(record["rows"], self.record)
                rows = [in_plan(row, document["plan"]) for row in rows]
                document["rows"] = document.get("rows", []) + rows
        document["numbers"] = with_bands(plan, document["numbers"])
        return document


def open_case(folder: Path, write: bool = True) -> Case:
    """Open the case in ``folder``; one writer at a time, any number of readers.

    Raises:
        CaseError: if there is no case, it is newer than this release, or it has a writer.
    """
    path = folder / "case.json"
    if not path.is_file():
        raise CaseError(f"the folder {folder} is not a Hilum case: it holds no case.json")
    lock = lock_folder(folder) if write else None
    try:
        record = read_record(path)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    if write:
        sweep(folder)
    return Case(folder, record, lock)


def create_case(folder: Path) -> Case:
    """Make a new, empty case in ``folder``, which must be absent or empty.

    Raises:
        CaseError: if the folder holds something.
    """
    if folder.exists() and (
        not folder.is_dir() or any(not p.name.startswith(LEFT_OVER) for p in folder.iterdir())
    ):
        raise CaseError(
            f"the folder {folder} is not empty; choose a new or empty folder for the case"
        )
    folder.mkdir(parents=True, exist_ok=True)
    case = Case(folder, CaseRecord(), lock_folder(folder))
    sweep(folder)
    case.save()
    return case


@contextmanager
def case_for_writing(folder: Path) -> Iterator[Case]:
    """Open the case in ``folder``, or make it.

    A case made here leaves again when the work fails or is stopped before it holds a plan.
    """
    if (folder / "case.json").is_file():
        with open_case(folder) as case:
            yield case
        return
    existed = folder.is_dir()
    with create_case(folder) as case:
        try:
            yield case
        except BaseException:
            if not case.record.history:
                for entry in folder.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                if not existed:
                    folder.rmdir()
            raise


def _ending(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix


def _difference(output: str, what: str, stored: str, found: str) -> dict[str, str]:
    return {"output": output, "what": what, "stored": stored, "recomputed": found}
