"""An implant leaves the case: files for the maker and their sheet, or a plain refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from meshing.files import draft_surfaces
from segmentation.contract import Progress, share, silent
from workstation.case import Case, CaseError
from workstation.case_record import now
from workstation.dicom.files import DicomError
from workstation.dicom.objects import origin_of
from workstation.dicom_export import source_series, write_surface_object
from workstation.implant_checks import (
    Check,
    Made,
    computed_parts,
    declared_side,
    find_made,
    found_side,
    implant_checks,
    lineage,
    released_names,
    side_check,
)
from workstation.implant_drawing import write_drawing
from workstation.planning.release_marking import DECLARED
from workstation.runs import write_export
from workstation.store import write_json

RELEASE, DRAWING = "release", "drawing"
"""What `hilum export CASE NAME` calls all files of an implant, and its sheet alone."""

PRINTED = (".stl", ".3mf")


class NotReleased(CaseError):
    """An implant that does not pass its checks; ``checks`` are those that failed.

    No reason lets it go where one of them is ``final``.
    """

    def __init__(self, name: str, checks: tuple[Check, ...]) -> None:
        self.checks = checks
        told = " ".join(f"{check.title}: {check.sentence}" for check in checks)
        super().__init__(f"{name!r} is not released. {told}")
        remedies = dict.fromkeys(check.remedy for check in checks if check.remedy)
        give = "Or give a reason to release it all the same (--despite REASON); it is kept."
        self.final = any(check.final for check in checks)
        last = "No reason overrides another side." if self.final else give
        self.remedy = " ".join([*remedies, last])


def checked_implant(
    case: Case, despite: str = "", progress: Progress = silent, name: str = ""
) -> tuple[Made, tuple[Check, ...]]:
    """Return the implant, guide or plate of a case and its checks; ``name`` is one of several.

    Raises:
        NotReleased: if a check fails and no reason is given to release it all the same, or the
            implant lies on another side than was declared.
        CaseError: if there is no implant.
    """
    made = find_made(case, name)
    checks = implant_checks(case, made, progress)
    failed = tuple(check for check in checks if not check.passed)
    if any(check.final for check in failed) or (failed and not despite.strip()):
        raise NotReleased(made.name, failed)
    return made, checks


def write_release(
    case: Case, folder: Path, *, name: str = "", despite: str = "", progress: Progress = silent
) -> tuple[Path, ...]:
    """Write an implant, guide or plate for its maker into a new or empty folder; return the files.

    ``name`` is one of several.

    These are the surface as STL and 3MF (LPS mm), as DICOM Encapsulated STL where the images came
    from DICOM, the sheet as PDF, and the checks with the sha256 of each file as JSON. A reason
    that overrides failed checks stands in all of them and is kept in the case.

    Raises:
        NotReleased: if a check fails and no reason is given.
        CaseError: if the folder holds something, or there is no implant.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CaseError(f"the folder {folder} is not empty; choose a new or empty folder")
    made, checks = checked_implant(case, despite, share(progress, 0, 3), name)
    failed = [check for check in checks if not check.passed]
    reason = despite.strip() if failed else ""
    folder.mkdir(parents=True, exist_ok=True)
    files = _write_surfaces(case, made, folder, reason, share(progress, 1, 3))
    issued = now()
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    sheet = write_drawing(
        case,
        made,
        checks,
        folder / f"{made.name}-sheet.pdf",
        issued=issued,
        files=hashes,
        despite=reason,
        progress=share(progress, 2, 3),
    )
    hashes[sheet.name] = hashlib.sha256(sheet.read_bytes()).hexdigest()
    listed = folder / "release.json"
    record = {
        made.title: made.name,
        "plan": made.number,
        "plan_sha256": made.plan.digest(),
        "issued": issued,
        "space": "LPS mm",
        "frame_uid": made.plan.frame_uid,
        "despite": reason,
        "checks": [check.to_json() for check in checks],
        "files": hashes,
    }
    write_json(listed, record)
    _keep(case, made, folder, reason, failed)
    return (*files, sheet, listed)


def write_sheet(
    case: Case, path: Path, *, name: str = "", despite: str = "", progress: Progress = silent
) -> Path:
    """Write the sheet of an implant, guide or plate alone as PDF; return ``path``.

    ``name`` is one of several.

    Raises:
        NotReleased: if a check fails and no reason is given.
        CaseError: if the file is no PDF, or there is no implant.
    """
    if path.suffix.lower() != ".pdf":
        raise CaseError(f"the sheet is a PDF; give a file that ends in .pdf, not {path.name}")
    made, checks = checked_implant(case, despite, share(progress, 0, 2), name)
    failed = [check for check in checks if not check.passed]
    reason = despite.strip() if failed else ""
    write_drawing(
        case, made, checks, path, issued=now(), files={}, despite=reason,
        progress=share(progress, 1, 2),
    )  # fmt: skip
    _keep(case, made, path, reason, failed)
    return path


def _keep(case: Case, made: Made, place: Path, reason: str, failed: list[Check]) -> None:
    """Keep in the case why an implant was released though a check failed."""
    if reason:
        codes = {made.name: sorted(check.name for check in failed)}
        what = {"file": str(place), "despite": reason, "faults": codes}
        write_export(case.folder / "runs", made.number, made.plan, now(), what)


def _write_surfaces(
    case: Case, made: Made, folder: Path, reason: str, progress: Progress
) -> list[Path]:
    note = f"RELEASED despite failed checks: {reason}" if reason else ""
    files: list[Path] = []
    for number, ending in enumerate(PRINTED):
        part = share(progress, number, len(PRINTED))
        draft = draft_surfaces([made.surface], folder / f"{made.name}{ending}", note=note,
                               progress=part)  # fmt: skip
        files += draft.keep()
    try:
        series = source_series(case, made.plan, made.surface.frame_uid)
    except (CaseError, DicomError):
        return files  # the images did not come from DICOM
    path = folder / f"{made.name}.dcm"
    side = found_side(made) or declared_side(made)  # a viewer shows the title, not the file's name
    title = f"{made.title} {made.name}, {side or 'unknown'} side"
    return [*files, write_surface_object(made.surface, origin_of(series), title, path)]


def require_declared_side(case: Case, names: Collection[str] | None = None) -> None:
    """Raise where a part of the plan lies on another side than was declared, however it leaves.

    ``names`` are the results that are to leave; None stands for all of the plan.

    Raises:
        NotReleased: naming part and side; no reason overrides it.
    """
    for name in released_names(case.plan()):
        if names is not None and not set(lineage(case.plan(), name)) & set(names):
            continue
        try:
            made = find_made(case, name)
        except CaseError as error:
            if DECLARED in str(error):  # unmarked, but what it is made of may be computed
                why = Check("side", "Side", False, str(error), "", final=True)
                raise NotReleased(name, (why,)) from error
            continue  # it is not computed, so it cannot leave
        for part in (made, *computed_parts(case, name)):
            check = side_check(case, part)
            if check.final and not check.passed:
                raise NotReleased(made.name, (check,))
