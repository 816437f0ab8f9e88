"""A transplant review that begins with nothing: two empty records, filled in by hand."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from segmentation.contract import Progress
from workstation.case import CaseError, case_for_writing
from workstation.importing import start_plan
from workstation.planning.template import find_template
from workstation.transplant_entry import empty_document

ROLES = ("donor", "recipient")


def start_review(folder: Path, progress: Progress) -> Path:
    """Make a case of a pair of whom nothing is known yet; return its folder.

    Raises:
        CaseError: if the folder holds a case already.
    """
    today = datetime.now(UTC).date().isoformat()
    with case_for_writing(folder) as case, tempfile.TemporaryDirectory() as scratch:
        if case.record.sources:
            raise CaseError(f"{folder} holds a case already; choose a new folder")
        paths = {role: Path(scratch) / f"{role}.json" for role in ROLES}
        for role, path in paths.items():
            path.write_text(json.dumps(empty_document(role)), encoding="utf-8")
        settings = [("sheet", "review_date", today)]
        start_plan(case, find_template("transplant"), paths, settings, progress)
    return folder
