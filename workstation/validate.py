"""What `hilum validate` runs: physics and clinical models beside what they should give."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hemodynamics.verification import (
    curved,
    liver_trends,
    nozzle,
    outlets,
    sac_cases,
    sacs,
    straight,
    thinning,
    tubes,
    waves,
)
from hemodynamics.verification.rows import VERDICTS, CannotRun, Check, Means, Row
from segmentation.contract import Progress, share, silent
from workstation import validate_examples

CHECKS: tuple[Check, ...] = (
    Check("examples", "worked examples of scores and indices", validate_examples.worked_examples),
    Check("liver-resistors", "portal pressure after resection", validate_examples.four_resistors),
    Check("liver", "closed circulation, resections beside measured ones", liver_trends.liver, 0.5),
    Check("poiseuille", "steady flow in a straight tube", straight.poiseuille),
    Check("womersley", "pulsatile flow in a straight tube", straight.womersley),
    Check("convergence", "flow in a straight tube by fineness", tubes.convergence, 4),
    Check("thinning", "steady flow of blood that thins with shear", thinning.thinning),
    Check("windkessel", "pressure at an outlet with a compliance", outlets.windkessel),
    Check("waves", "waves in elastic tubes of a network", waves.waves),
    Check("dean", "steady flow in a gently curved tube", curved.dean, 0.5),
    Check("fda-nozzle", "jet behind a nozzle, beside laboratories", nozzle.fda_nozzle, 20),
    Check(
        "openfoam-sphere",
        "tube with a sphere on its side, beside OpenFOAM",
        sacs.beside_openfoam(sac_cases.sphere),
        15,
    ),
    Check(
        "openfoam-rounded",
        "tube with a sphere on its side and a rounded neck, beside OpenFOAM",
        sacs.beside_openfoam(sac_cases.rounded),
        15,
    ),
    Check(
        "openfoam-bifurcation",
        "idealised bifurcation with an aneurysm, beside OpenFOAM",
        sacs.beside_openfoam(sac_cases.bifurcation),
        10,
    ),
    Check(
        "openfoam-aneurysm",
        "a patient's aneurysm, beside OpenFOAM",
        sacs.beside_openfoam(sac_cases.patient),
        20,
    ),
)
"""Every check, in the order in which they run."""


class UnknownCheck(ValueError):
    """There is no check of that name."""


def chosen(names: Sequence[str]) -> list[Check]:
    """Return the checks with these names, in their usual order; without a name all of them.

    Raises:
        UnknownCheck: naming those that there are.
    """
    known = {check.name for check in CHECKS}
    for name in names:
        if name not in known:
            every = ", ".join(check.name for check in CHECKS)
            raise UnknownCheck(f"there is no check {name!r}; there are: {every}")
    return [check for check in CHECKS if not names or check.name in names]


def validate(
    names: Sequence[str] = (), data: Path | None = None, progress: Progress = silent
) -> list[Row]:
    """Run the named checks, or all quick ones; long ones that were not named are listed.

    ``data`` is a folder with laboratories' data and real vessels.

    Raises:
        UnknownCheck: for an unknown name.
    """
    checks = chosen(names)
    rows: list[Row] = []
    for number, check in enumerate(checks):
        told = share(progress, number, len(checks))
        told(0.0, check.name)
        if not names and not check.quick:
            rows.append(_not_run(check, f"hilum validate {check.name}"))
        else:
            rows += _timed(check, Means(data, told))
    progress(1.0)
    return rows


def _timed(check: Check, means: Means) -> Iterator[Row]:
    """Yield the rows of a check, each with the seconds since the one before."""
    begun = time.perf_counter()
    try:
        for row in check.run(means):
            now = time.perf_counter()
            yield replace(row, name=check.name, seconds=round(now - begun, 3))
            begun = now
    except CannotRun as reason:
        yield _not_run(check, str(reason))
    except (ValueError, ArithmeticError, RuntimeError) as error:
        yield _failed(check, error)


def _not_run(check: Check, why: str) -> Row:
    return Row(check.name, check.title, "", None, None, "", None, "", note=why)


def _failed(check: Check, error: Exception) -> Row:
    return Row(check.name, check.title, "", None, None, "", 0.0, "", note=f"stopped: {error}")


def to_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the document that `hilum validate --json` prints."""
    verdicts = [row.verdict for row in rows]
    counts = {word: verdicts.count(word) for word in VERDICTS}
    return {"rows": [row.to_json() for row in rows], "counts": counts}
