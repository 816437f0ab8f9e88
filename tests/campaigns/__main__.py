"""Run a campaign: ``python -m tests.campaigns semantic 10000``.

Others: ``bytes 20000``, ``cuts 1000``, ``repair 1000``, ``surfaces 50``, ``vessels 18``,
``implants 24``, ``midplanes 20``, ``orbits 12``, of which the last seven need HILUM_DATA, and
``sizes 100``. Nothing was tuned on the holes of ``implants`` from ``--first 48`` on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tests.campaigns import (
    cuts,
    damage,
    domes,
    flow,
    implants,
    midplanes,
    mutants,
    orbits,
    semantic,
    sizes,
    surfaces,
    vessels,
)
from tests.campaigns.organs import organs

Judge = Callable[[int], tuple[str, str, cuts.Verdict | damage.Verdict]]


def run_semantic(count: int, first: int) -> int:
    """Judge ``count`` damaged series; print a table and every silent error."""
    outcomes: dict[str, Counter[str]] = {}
    wrong = []
    start = time.monotonic()
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        for seed in range(first, first + count):
            folder = scratch / str(seed)
            folder.mkdir()
            try:
                name, kind, verdict = semantic.judge(folder, seed)
            except BaseException as error:
                name, kind, _, _ = semantic.damaged(seed)
                verdict = semantic.Verdict("RAISED", f"{type(error).__name__}: {error}")
            shutil.rmtree(folder)
            outcomes.setdefault(kind, Counter())[verdict.outcome] += 1
            if verdict.outcome in ("WRONG", "RAISED"):
                wrong.append((seed, name, kind, verdict.why))
                print(f"seed {seed}, {name}, {kind}: {verdict.outcome} {verdict.why}", flush=True)
    finally:
        shutil.rmtree(scratch)
    for kind in sorted(outcomes):
        print(f"{kind:32} {dict(sorted(outcomes[kind].items()))}")
    print(json.dumps({"series": count, "silent": len(wrong), "s": time.monotonic() - start}))
    return 1 if wrong else 0


def run_mutants(count: int, first: int) -> int:
    """Scan and decode ``count`` damaged files; print what happened and the worst case."""
    tally = mutants.Tally()
    start = time.monotonic()
    reader = mutants.Reader()
    with tempfile.TemporaryDirectory() as scratch:
        for folder in mutants.batches(count, first, Path(scratch)):
            mutants.run(folder, tally, reader)
            print(dict(tally.outcomes), f"{time.monotonic() - start:.0f} s", flush=True)
    reader.close()  # only workers that ended are weighed
    record = {
        "files": count,
        "slowest_s": round(tally.slowest_s, 2),
        "slowest": tally.slowest,
        "largest_worker_mb": tally.largest_child_bytes >> 20,
        "s": round(time.monotonic() - start),
    }
    print(json.dumps(record))
    return int(tally.slowest_s > 10 or tally.largest_child_bytes > 2 << 30)


def run_cuts(count: int, first: int) -> int:
    """Judge random cuts and booleans; print what happened and the worst volume difference."""
    meshes = organs()
    return _run_meshes(count, first, lambda seed: cuts.judge(meshes, seed))


def run_repair(count: int, first: int) -> int:
    """Judge repairs of damaged organs, each kind of damage in turn."""
    meshes = [m for m in organs() if len(m.triangles) < 40_000]
    kinds = list(damage.KINDS)

    def judge(seed: int) -> tuple[str, str, damage.Verdict]:
        mesh, kind = meshes[seed // len(kinds) % len(meshes)], kinds[seed % len(kinds)]
        return mesh.name, kind, damage.judge(kind, mesh, seed)

    return _run_meshes(count, first, judge)


def _run_meshes(count: int, first: int, judge: Judge) -> int:
    outcomes: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    worst, start = 0.0, time.monotonic()
    for seed in range(first, first + count):
        try:
            name, kind, verdict = judge(seed)
        except Exception as error:
            name, kind = "?", "?"
            verdict = cuts.Verdict("RAISED", f"{type(error).__name__}: {error}")
        outcomes.setdefault(kind, Counter())[verdict.outcome] += 1
        total[verdict.outcome] += 1
        if verdict.outcome in ("WRONG", "RAISED", "refused"):
            print(f"seed {seed}, {name}, {kind}: {verdict.outcome} {verdict.difference:.2g} "
                  f"{verdict.why}", flush=True)  # fmt: skip
        else:
            worst = max(worst, verdict.difference)
    for kind in sorted(outcomes):
        print(f"{kind:32} {dict(sorted(outcomes[kind].items()))}")
    record = {"runs": count, **total, "worst": worst, "s": round(time.monotonic() - start)}
    print(json.dumps(record))
    return int(total["WRONG"] + total["RAISED"] > 0)


def run_surfaces(count: int, first: int) -> int:
    """Judge every label of some label maps, alone and with shared walls; print what misses."""
    data, found, missed, start = Path(os.environ["HILUM_DATA"]), 0, 0, time.monotonic()
    worst = {"volume": 0.0, "mean": 0.0, "largest": 0.0}
    for labels in islice(surfaces.label_maps(data), first, first + count):
        for shared in (False, True):
            for verdict in surfaces.verdicts(labels, shared):
                found += 1
                worst["volume"] = max(worst["volume"], abs(verdict.volume_error))
                worst["mean"] = max(worst["mean"], verdict.mean_voxels)
                worst["largest"] = max(worst["largest"], verdict.largest_voxels)
                if verdict.faults:
                    missed += 1
                    print("shared walls:" if shared else "alone:", verdict, flush=True)
    record = {"surfaces": found, "missed": missed, **worst, "s": round(time.monotonic() - start)}
    print(json.dumps(record))
    return int(missed > 0)


def run_flow(count: int, first: int) -> int:
    """Judge flow in tubes against exact solutions; print every error and what misses its bar."""
    missed = 0
    for case in flow.CASES[first : first + count]:
        start = time.monotonic()
        verdict = case()
        missed += bool(verdict.faults)
        print(verdict, "misses", verdict.faults, f"{time.monotonic() - start:.0f} s", flush=True)
    return int(missed > 0)


def run_domes(count: int, first: int) -> int:
    """Judge necks found against known ones; print each, and the median overlap."""
    verdicts = []
    for case in islice(domes.cases(), first, first + count):
        verdicts.append(domes.judge(case))
        print(verdicts[-1], flush=True)
    overlaps = sorted(verdict.overlap for verdict in verdicts)
    print(json.dumps({"median": overlaps[len(overlaps) // 2], "least": overlaps[0]}))
    return int(overlaps[0] < 0.7 or any(abs(verdict.width) > 0.1 for verdict in verdicts))


def run_vessels(count: int, first: int) -> int:
    """Judge three cycles in each real vessel, with Windkessels and with a prescribed split."""
    missed = 0
    todo = [(law, *vessel) for law in vessels.LAWS for vessel in vessels.vessels(_data())]
    for outlets, name, surface in todo[first : first + count]:
        try:
            verdict = vessels.judge(name, surface(), outlets)
        except (ValueError, RuntimeError) as error:
            missed += 1
            print(f"{name}, {outlets}: {type(error).__name__}: {error}", flush=True)
            continue
        missed += bool(verdict.faults)
        print(verdict, "misses", verdict.faults, flush=True)
    return int(missed > 0)


def run_implants(count: int, first: int) -> int:
    """Judge implants for holes cut into a real skull; print each, and the medians."""
    verdicts = []
    for case in implants.cases(_data(), first, count):
        verdicts.append(implants.judge(case))
        print(verdicts[-1], "misses", verdicts[-1].faults, flush=True)
    for midline in (False, True):
        some = [v for v in verdicts if v.midline == midline]
        if some:
            middle = {n: round(statistics.median(getattr(v, n) for v in some), 3)
                      for n in ("dice", "hd95_mm", "gap_mm")}  # fmt: skip
            met = sum(not v.faults for v in some)
            worst = {"least_dice": round(min(v.dice for v in some), 3),
                     "most_hd95_mm": round(max(v.hd95_mm for v in some), 2)}  # fmt: skip
            record = {"midline": midline, "holes": len(some), "met": met, **middle, **worst}
            print(json.dumps(record))
    return int(any(verdict.faults for verdict in verdicts))


def run_midplanes(count: int, first: int) -> int:
    """Judge the mid-sagittal plane of pieces of a real head; print each, and the worst."""
    known, verdicts = midplanes.whole(_data()), []
    for seed in range(first, first + count):
        verdicts.append(midplanes.judge(known, seed))
        print(seed, verdicts[-1], flush=True)
    worst = {n: round(max(getattr(v, n) for v in verdicts), 2) for n in ("off_degrees", "off_mm")}
    print(json.dumps({"pieces": count, "within": sum(v.ok for v in verdicts), **worst}))
    return int(not all(verdict.ok for verdict in verdicts))


def run_orbits(count: int, first: int) -> int:
    """Judge broken walls of real orbits that are given back; print each, and the medians."""
    known, verdicts = orbits.whole(_data()), []
    for place in orbits.PLACES[first : first + count]:
        verdicts.append(orbits.judge(known, place))
        print(verdicts[-1], "misses", verdicts[-1].faults, flush=True)
    middle = {n: round(sorted(getattr(v, n) for v in verdicts)[len(verdicts) // 2], 2)
              for n in ("mean_mm", "largest_95_mm", "gap_mm")}  # fmt: skip
    print(json.dumps({"walls": len(verdicts), **middle}))
    return int(any(verdict.faults for verdict in verdicts))


def run_sizes(count: int, first: int) -> int:
    """Judge sizes and poses found in synthetic bones; at least 95 of 100 must be right."""
    verdicts = []
    for seed in range(first, first + count):
        verdicts.append(sizes.judge(sizes.draw(seed)))
        if not verdicts[-1].ok:
            print(f"seed {seed}: {verdicts[-1]}", flush=True)
    right = sum(verdict.ok for verdict in verdicts)
    slowest = max(verdict.seconds for verdict in verdicts)
    print(json.dumps({"bones": count, "right": right, "slowest_cpu_s": round(slowest, 1)}))
    return int(right < 0.95 * count or slowest > 30)


def _data() -> Path:
    return Path(os.environ["HILUM_DATA"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    parser.add_argument("campaign", choices=tuple(RUNS))
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    return RUNS[options.campaign](options.count, options.first)


RUNS = {
    "semantic": run_semantic,
    "bytes": run_mutants,
    "cuts": run_cuts,
    "repair": run_repair,
    "surfaces": run_surfaces,
    "flow": run_flow,
    "vessels": run_vessels,
    "domes": run_domes,
    "implants": run_implants,
    "midplanes": run_midplanes,
    "orbits": run_orbits,
    "sizes": run_sizes,
}


if __name__ == "__main__":
    raise SystemExit(main())
