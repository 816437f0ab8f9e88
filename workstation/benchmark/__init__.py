"""Speed on this machine, beside peers that are installed, in one run and as ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from segmentation.contract import Progress, silent
from workstation.benchmark.bone import bone
from workstation.benchmark.cutting import cuts
from workstation.benchmark.dicom import reading
from workstation.benchmark.fitting import moves
from workstation.benchmark.flow_kernel import flow
from workstation.benchmark.openfoam import beside_openfoam
from workstation.benchmark.rows import Row, table, to_json
from workstation.benchmark.suites import (
    preview_of_cut,
    segmentation_tools,
    start_up,
    surfaces,
    thresholds,
    views,
)

__all__ = ["SUITES", "Row", "run", "table", "to_json"]

SUITES: Mapping[str, Callable[[bool], list[Row]]] = {
    "start-up": start_up,
    "views": views,
    "dicom": reading,
    "bone": bone,
    "surface": surfaces,
    "cut": cuts,
    "fit": moves,
    "threshold": thresholds,
    "tools": segmentation_tools,
    "preview": preview_of_cut,
    "flow": lambda peers: [*flow(peers), *beside_openfoam(peers)],
}


def run(
    names: Sequence[str] = (),
    peers: bool = False,
    progress: Progress = silent,
    ct: Path | None = None,
) -> list[Row]:
    """Measure the named suites, or all of them.

    ``ct`` is a CT, a folder or ZIP of DICOM, for the suite "bone"; otherwise one is made up.

    Raises:
        ValueError: for an unknown name.
    """
    for name in names:
        if name not in SUITES:
            raise ValueError(f"there is no benchmark {name!r}; there are: {', '.join(SUITES)}")
    chosen = names or tuple(SUITES)
    rows: list[Row] = []
    for number, name in enumerate(chosen):
        progress(number / len(chosen), name)
        suite = partial(bone, ct=ct) if name == "bone" else SUITES[name]
        rows += suite(peers)
    progress(1.0)
    return rows
