"""The headless commands. JSON goes to standard output, everything else to standard error."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from segmentation.contract import Progress, share
from workstation import (
    align_commands,
    benchmark,
    deidentify_commands,
    doubt_commands,
    file_commands,
    models_commands,
    pacs_commands,
    review_commands,
    score_commands,
    selftest,
    simulate_commands,
)
from workstation.case import Case, CaseError, case_for_writing, open_case
from workstation.clinical_case import split_clinical
from workstation.clinical_commands import import_files, print_clinical
from workstation.demo import exact_numbers, start_demo
from workstation.dicom.contents import content_lines, objects_among
from workstation.dicom.segmentation_object import Form
from workstation.dicom_set import write_report_file
from workstation.export_any import export_any
from workstation.importing import import_one, import_parts, nothing_found, scan, start_plan
from workstation.jobs import Cancelled, Job, State
from workstation.planning.plan import read_plan
from workstation.planning.template import find_template, templates
from workstation.problems import explain
from workstation.report import write_picture
from workstation.stages import STAGES, StepFailed

COUNTING_S, CHANGING_S = 5.0, 0.5  # between two lines of progress
DONE, PROBLEM, DIFFERENCE, CANCELLED = 0, 1, 3, 130


def main(options: argparse.Namespace) -> int:
    """Run the command that ``options`` name; return the exit code."""
    try:
        code = COMMANDS[options.command](options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (KeyboardInterrupt, Cancelled):
        print("stopped", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        return DONE
    except Exception as error:
        problem = _tell(error)
        if getattr(options, "json", False):
            _print_json({"error": problem})
        return PROBLEM


def _tell(error: Exception) -> dict[str, str]:
    """Say on standard error what went wrong; return the same as a JSON record."""
    problem = explain(error)
    print(f"hilum: {' '.join(f'{problem.title} {problem.detail}'.split())}", file=sys.stderr)
    if problem.remedy:
        print(f"  {problem.remedy}", file=sys.stderr)
    if not isinstance(error, ValueError | RuntimeError | OSError | MemoryError):
        print(problem.trace, file=sys.stderr)
    return {"title": problem.title, "detail": problem.detail, "remedy": problem.remedy}


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def _work(title: str, work: Callable[[Any], Any]) -> Any:
    """Run ``work(progress)`` as a job that reports on standard error; return its result."""
    job = Job(title, work, _Watch())
    job.run()
    if job.state is State.CANCELLED:
        raise Cancelled(title)
    if job.error is not None:
        raise job.error
    return job.result


class _Watch:
    """Prints a line when the work changes, and sometimes while it only counts on."""

    def __init__(self) -> None:
        self.last = ""
        self.when = 0.0

    def __call__(self, job: Job[Any]) -> None:
        now = time.monotonic()
        words = re.sub(r"\d+", "", job.message)
        pause = COUNTING_S if words == self.last else CHANGING_S
        if job.state is not State.RUNNING or not words or now - self.when < pause:
            return
        self.last, self.when = words, now
        print(f"{job.fraction:4.0%}  {job.title}: {job.message}", file=sys.stderr)


def _scan(options: argparse.Namespace) -> int:
    found = _work("Scan", lambda progress: scan(options.paths, progress))
    objects = _work("Objects", partial(objects_among, found.ignored))
    document = found.to_json() | {"objects": objects}
    if options.json:
        _print_json(document)
    if not found.volumes and not objects:
        _tell(CaseError(nothing_found(found)))
        return PROBLEM
    for record in () if options.json else document["volumes"]:
        _print_volume(record)
    for record in () if options.json else objects:
        print(*content_lines(record), sep="\n")
    for record in () if options.json else document["ignored"]:
        print(f"ignored   {record['path']}: {record['reason']}")
    return DONE


def _print_volume(record: Mapping[str, Any]) -> None:
    size = " x ".join(map(str, record["size"])) if record["size"] else "-"
    spacing = " x ".join(f"{s:.3g}" for s in record["spacing_mm"] or ())
    print(
        f"{record['status']:9} {record['modality']:4} {size:18} {spacing:20} mm  "
        f"{record['description'] or '-'}  {record['series_uid']}"
    )
    for finding in record["findings"]:
        print(f"          {finding['severity']}: {finding['sentence']}")
    for repair in record["repairs"]:
        print(f"          --accept {repair['code']}: {repair['sentence']}")


def _import(options: argparse.Namespace) -> int:
    clinical, images = split_clinical(options.paths)
    names: list[str] = []
    with case_for_writing(options.case) as case:
        if images:
            bring = import_parts if options.all_parts else import_one
            work = partial(bring, case, images, options.name, options.series, options.accept)
            names = _work("Import", work)
        import_files(case, clinical, options.other_patient_id, _work)
        summary = case.summary()
    if options.json:
        _print_json(summary | {"source": names[0] if names else ""})
        return DONE
    for source in summary["sources"]:
        if source["name"] in names:
            print(
                f"{source['name']}: {source['modality']} {source['description']} in {options.case}"
            )
    print_clinical(summary)
    _print_findings(summary)
    return DONE


def _stages(options: argparse.Namespace) -> int:
    records = [stage.to_json() for stage in STAGES.values()]
    if options.json:
        _print_json({"stages": records})
        return DONE
    for record in records:
        inputs = ", ".join(i["name"] for i in record["inputs"])
        print(f"{record['name']}({inputs}) -> {record['output']}: {record['title']}")
        for parameter in record["parameters"]:
            unit = f" [{parameter['unit']}]" if parameter["unit"] else ""
            print(f"    {parameter['name']}{unit}: {parameter['description']}")
    return DONE


def _templates(options: argparse.Namespace) -> int:
    known = templates().values()
    if options.json:
        _print_json({"templates": [template.to_json() for template in known]})
        return DONE
    for template in known:
        print(f"{template.name}: {template.description}")
        for source in template.sources.values():
            needed = "required" if source.required else "optional"
            print(f"    --source {source.name}=PATH  ({needed}) {source.description}")
    return DONE


def _plan(options: argparse.Namespace) -> int:
    template = find_template(options.template)
    with case_for_writing(options.case) as case:
        plan = _work(
            "Import",
            lambda progress: start_plan(
                case, template, dict(options.sources), options.settings, progress, options.accept
            ),
        )
        outcome = _outcome(template.title, partial(case.run, plan))
        document = case.summary() | outcome
    if options.json:
        _print_json(document)
    else:
        _print_summary(document)
    return PROBLEM if outcome else DONE


def _outcome(title: str, work: Callable[[Any], Any]) -> dict[str, Any]:
    """Run ``work`` as a job; return nothing, or the error of the step that failed."""
    try:
        _work(title, work)
    except StepFailed as error:
        return {"error": _tell(error)}
    return {}


@contextmanager
def _case_of(path: Path, write: bool) -> Iterator[tuple[Case, int | None]]:
    """Open the case that ``path`` is, or the case that the plan file ``path`` belongs to."""
    if not path.is_file():
        with open_case(path, write) as case:
            yield case, None
        return
    read_plan(path.read_bytes(), path.name)
    if path.parent.name != "plans" or not path.stem.isdigit():
        raise CaseError(f"{path} does not lie in the plans folder of a case; give the case instead")
    with open_case(path.parent.parent, write) as case:
        yield case, int(path.stem)


def _run(options: argparse.Namespace) -> int:
    """Run or check every plan; one that cannot be is told and does not stop the others."""
    documents = []
    for path in options.plans:
        try:
            document = _run_one(path, options.check)
        except (ValueError, RuntimeError, OSError) as error:
            document = {"case": str(path), "error": _tell(error)}
        documents.append(document)
        if not options.json and "steps" in document:
            _print_summary(document)
            _print_differences(document)
    if options.json:
        _print_json(documents[0] if len(documents) == 1 else documents)
    if any("error" in document for document in documents):
        return PROBLEM
    return DIFFERENCE if any(document.get("differences") for document in documents) else DONE


def _run_one(path: Path, check: bool) -> dict[str, Any]:
    with _case_of(path, write=not check) as (case, number):
        plan = case.plan(number)
        if check:
            differences = _work("Check", partial(case.check, plan))
            return case.summary(number) | {"differences": differences}
        outcome = _outcome("Run", partial(case.run, plan))
        return case.summary(number) | outcome


def _print_differences(document: Mapping[str, Any]) -> None:
    for difference in document.get("differences", ()):
        print(f"differs: {difference['what']} {difference['output']}")
    if document.get("differences") == []:
        print(f"checked: all {len(document['steps'])} steps reproduce")


def _show(options: argparse.Namespace) -> int:
    with open_case(options.case, write=False) as case:
        summary = case.summary()
    if options.json:
        _print_json(summary)
    else:
        _print_summary(summary)
    return DONE


def _review(options: argparse.Namespace) -> int:
    summary = review_commands.review(options)
    if options.json:
        _print_json(summary)
        return DONE
    for step in summary["steps"]:
        if step["review"] is not None:
            print(f"  {step['output']:20} {review_commands.review_text(step['review'])}")
    return DONE


def _doubt(options: argparse.Namespace) -> int:
    summary = doubt_commands.doubt(options, _work)
    if options.json:
        _print_json(summary)
    else:
        doubt_commands.print_doubt(summary)
    return DONE


def _export(options: argparse.Namespace) -> int:
    with open_case(options.case, write=bool(options.despite)) as case:
        form: Form = "LABELMAP" if options.labelmap else "BINARY"
        if options.deidentify:
            write = partial(export_any, case, options.name, form=form)
            return deidentify_commands.export(options, _work, case, write)
        given = {"form": form, "despite": options.despite, "coloured_by": options.map}
        write = partial(export_any, case, options.name, options.file, **given)
        files = _work("Export", lambda progress: write(progress=progress))
    print(*files, sep="\n")
    return DONE


def _report(options: argparse.Namespace) -> int:
    with open_case(options.case, write=False) as case:
        _work("Report", lambda progress: write_report_file(case, options.file, progress))
    print(options.file)
    return DONE


def _demo(options: argparse.Namespace) -> int:
    options.case = options.case or user_data_path("hilum") / "cases" / f"demo-{options.patient}"
    exact = _work("Synthetic patient", lambda progress: _make_demo(options.case, progress))
    with open_case(options.case, write=False) as case:
        summary = case.summary()
        picture = options.screenshot or (None if options.headless else options.case / "demo.png")
        if picture is not None:
            write_picture(case, picture)
            print(f"picture: {picture}", file=sys.stderr)
    if options.json:
        _print_json(summary | {"exact": exact})
    else:
        _print_summary(summary, exact)
    return DONE


def _make_demo(folder: Path, progress: Progress) -> dict[str, float]:
    """Make the synthetic patient, run the whole plan and return the exact values."""
    patient = start_demo(folder, share(progress, 0, 2))
    with open_case(folder) as case:
        case.run(case.plan(), share(progress, 1, 2))
        return exact_numbers(patient, case.value("cut"))


def _print_summary(summary: Mapping[str, Any], exact: Mapping[str, float] | None = None) -> None:
    mark = "  SYNTHETIC PATIENT" if summary.get("synthetic") else ""
    print(f"case {summary['case']}, plan {summary['plan']}{mark}")
    for step in summary["steps"]:
        review = review_commands.review_text(step["review"])
        mark = f"   {review}" if review else ""
        print(f"  {step['state']:8} {step['output']} ({step['stage']}){mark}")
    for number in summary["numbers"]:
        band = ""
        if number["low"] is not None:
            band = f" ({number['low']:.4g} to {number['high']:.4g})"
        truth = (exact or {}).get(number["name"])
        beside = "" if truth is None else f"   exact {truth:.1f}"
        name, value = number["name"], number["value"]
        print(f"  {name:32} {value:10.1f} {number['unit']:4}{band}{beside}")
    print_clinical(summary)
    _print_findings(summary)
    print("Research use only, not for clinical decisions.")


def _print_findings(summary: Mapping[str, Any]) -> None:
    for finding in summary["findings"]:
        print(f"  {finding['severity']}: {finding['sentence']} [{finding.get('step', '')}]")


def _benchmark(options: argparse.Namespace) -> int:
    rows = _work("Benchmark", lambda p: benchmark.run(options.names, options.peers, p))
    if options.json:
        _print_json(benchmark.to_json(rows))
    else:
        print(benchmark.table(rows))
    return DONE


def _selftest(options: argparse.Namespace) -> int:
    checks = _work("Self-test", selftest.run)
    if options.json:
        _print_json(selftest.to_json(checks))
    else:
        print(selftest.table(checks))
    return DONE if all(check.ok or check.optional for check in checks) else PROBLEM


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "demo": _demo,
    "scan": _scan,
    "import": _import,
    "stages": _stages,
    "templates": _templates,
    "plan": _plan,
    "run": _run,
    "show": _show,
    "review": _review,
    "doubt": _doubt,
    "export": _export,
    "report": _report,
    "segment": lambda options: file_commands.segment(options, _work),
    "mesh": lambda options: file_commands.mesh(options, _work),
    "repair": lambda options: file_commands.repair(options, _work),
    "evaluate": lambda options: file_commands.evaluate(options, _work),
    "score": score_commands.main,
    "align": lambda options: align_commands.main(options, _work),
    "simulate-user": lambda options: simulate_commands.main(options, _work),
    "benchmark": _benchmark,
    "selftest": _selftest,
    "models": lambda options: models_commands.main(options, _work),
    "pacs": lambda options: pacs_commands.main(options, _work),
    "deidentify": lambda options: deidentify_commands.main(options, _work),
}
