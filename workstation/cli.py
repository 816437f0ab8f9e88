"""The headless commands. JSON goes to standard output, everything else to standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from segmentation.contract import Progress, share
from workstation import (
    benchmark,
    cluster,
    deidentify_commands,
    doubt_commands,
    review_commands,
    selftest,
)
from workstation.case import Case, CaseError, case_for_writing, open_case
from workstation.case_sources import with_sources_named
from workstation.clinical_case import split_clinical
from workstation.clinical_commands import import_files, print_clinical
from workstation.console import (
    DIFFERENCE,
    DONE,
    PROBLEM,
    Commands,
    print_json,
    problem_record,
    tell,
    tell_record,
    work,
)
from workstation.demo import exact_numbers, first_folder, own_folder, start_demo
from workstation.dicom.contents import content_lines, objects_among
from workstation.dicom.segmentation_object import Form
from workstation.dicom_set import write_report_file
from workstation.export_any import export_any
from workstation.importing import (
    import_one,
    import_parts,
    import_surfaces,
    nothing_found,
    scan,
    start_plan,
    with_settings,
)
from workstation.model_export import surface_warnings
from workstation.named_plans import find_plan, work_on
from workstation.plan_run import StepFailed
from workstation.planning.later_options import with_later_options
from workstation.planning.plan import Plan, read_plan
from workstation.planning.template import find_template, templates
from workstation.report import write_picture
from workstation.runs import RENEW
from workstation.stages import STAGES, at_present
from workstation.surface_source import READING, is_surface_file
from workstation.transplant_commands import print_rows
from workstation.variants import Spread, one_by_one


def _scan(options: argparse.Namespace) -> int:
    found = work("Scan", lambda progress: scan(options.paths, progress))
    objects = work("Objects", partial(objects_among, found.ignored))
    document = found.to_json() | {"objects": objects}
    if options.json:
        print_json(document)
    if not found.volumes and not objects:
        tell(CaseError(nothing_found(found)))
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
    surfaces = [path for path in images if is_surface_file(path)]
    images = [path for path in images if path not in surfaces]
    names: list[str] = []
    with case_for_writing(options.case) as case:
        if images:
            bring = import_parts if options.all_parts else import_one
            read = partial(bring, case, images, options.name, options.series, options.accept)
            names = work("Import", read)
        if surfaces:  # after the images, in whose frame of reference they lie
            said = {word: given for word in READING if (given := getattr(options, word))}
            name = "" if images else options.name
            names += work("Import", partial(import_surfaces, case, surfaces, name, said))
        import_files(case, clinical, options.other_patient_id, work)
        summary = case.summary()
    if options.json:
        print_json(summary | {"source": names[0] if names else ""})
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
        print_json({"stages": records})
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
        print_json({"templates": [template.to_json() for template in known]})
        return DONE
    for template in known:
        print(f"{template.name}: {template.description}")
        for source in template.sources.values():
            needed = "required" if source.required else "optional"
            print(f"    --source {source.name}=PATH  ({needed}) {source.description}")
        for name, option in template.options.items():
            print(f"    --with {name}  {option.title}")
    return DONE


def _plan(options: argparse.Namespace) -> int:
    template = find_template(options.template)
    template.require_asked(options.settings)
    with case_for_writing(options.case) as case:
        plan = work(
            "Import",
            lambda progress: start_plan(
                case,
                template,
                dict(options.sources),
                options.settings,
                progress,
                options.accept,
                options.options,
            ),
        )
        outcome = _outcome(template.title, partial(case.run, plan))
        document = case.summary() | outcome
    return _told(document, options.json)


def _change(options: argparse.Namespace) -> int:
    changed = options.options or [output for output, *_ in options.settings[:1]]
    if not changed:
        raise CaseError("say what to change: STEP.PARAM=VALUE, or --with OPTION")
    with open_case(options.case) as case:
        start = None if options.plan is None else find_plan(case, options.plan)
        said = [value for *_, value in options.settings]
        plan = with_sources_named(case.plan(start), case.record.sources, said)
        settings = partial(with_settings, settings=options.settings)
        plan = at_present(with_later_options(plan, options.options, settings), case.values)
        work_on(case, options.keep or "")
        case.add_plan(plan, f"Change {', '.join(changed)}")
        outcome = _outcome("Change", partial(case.run, plan))
        document = case.summary() | outcome
    return _told(document, options.json)


def _told(document: dict[str, Any], as_json: bool) -> int:
    """Print what became of a plan; return the exit code."""
    failed = "error" in document
    if failed:
        tell_record(document["error"])
    if as_json:
        print_json(document)
    else:
        _print_summary(document)
    return PROBLEM if failed else DONE


def _outcome(title: str, steps: Callable[[Any], Any]) -> dict[str, Any]:
    """Run ``steps`` as a job; return nothing, or the error of the step that failed."""
    try:
        work(title, steps)
    except StepFailed as error:
        return {"error": problem_record(error)}
    return {}


def _renewed(case: Case, plan: Plan, number: int | None) -> Plan:
    """Make the present versions of all steps of the current plan the next plan; return that.

    Raises:
        CaseError: if another plan than the current one is asked for.
    """
    if number not in (None, case.plan_number):
        raise CaseError("only the current plan is renewed; make this one the current one first")
    present = at_present(plan)
    if present != plan:
        case.add_plan(present, RENEW)
    return present


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
    for document in _documents(options):
        documents.append(document)
        if "error" in document:
            tell_record(document["error"])
        if not options.json and "steps" in document:
            _print_summary(document)
            _print_differences(document)
    if options.json:
        print_json(documents[0] if len(documents) == 1 else documents)
    if any("error" in document for document in documents):
        return PROBLEM
    return DIFFERENCE if any(document.get("differences") for document in documents) else DONE


def _documents(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what became of each plan, in their order; of many on a cluster, all at the end."""
    one = partial(_run_one, check=options.check, renew=options.renew)
    if options.cluster is None:
        yield from map(one, options.plans)
        return
    with cluster.connected(options.cluster) as client:
        if len(options.plans) == 1 and not options.check:
            spread = cluster.spread_over(client)
            yield _run_one(options.plans[0], check=False, renew=options.renew, spread=spread)
            return
        found: dict[int, dict[str, Any]] = {}
        paths = [path.absolute() for path in options.plans]
        work("Run", partial(cluster.each, client, one, paths, found.__setitem__))
        yield from (found[number] for number in range(len(paths)))


def _run_one(path: Path, check: bool, renew: bool, spread: Spread = one_by_one) -> dict[str, Any]:
    """Run, check or renew one plan; return its summary, with the error if it could not be done."""
    try:
        with _case_of(path, write=not check) as (case, number):
            plan = case.plan(number)
            if renew:
                plan, number = _renewed(case, plan, number), None
            if check:
                differences = work("Check", partial(case.check, plan))
                return case.summary(number) | {"differences": differences}
            outcome = _outcome("Run", partial(case.run, plan, spread_over=spread))
            return case.summary(number) | outcome
    except (ValueError, RuntimeError, OSError) as error:
        return {"case": str(path), "error": problem_record(error)}


def _print_differences(document: Mapping[str, Any]) -> None:
    for difference in document.get("differences", ()):
        print(f"differs: {difference['what']} {difference['output']}")
    if document.get("differences") == []:
        count = len(document["steps"])
        print("checked:", "the step reproduces" if count == 1 else f"all {count} steps reproduce")


def _show(options: argparse.Namespace) -> int:
    with open_case(options.case, write=False) as case:
        summary = case.summary()
    if options.json:
        print_json(summary)
    else:
        _print_summary(summary)
    return DONE


def _review(options: argparse.Namespace) -> int:
    summary = review_commands.review(options)
    if options.json:
        print_json(summary)
        return DONE
    for step in summary["steps"]:
        if step["review"] is not None:
            print(f"  {step['output']:20} {review_commands.review_text(step['review'])}")
    for row in summary.get("rows", ()):
        if row["confirmed"]:
            print(f"  {row['name']:20} confirmed by {row['confirmed']}")
    return DONE


def _doubt(options: argparse.Namespace) -> int:
    summary = doubt_commands.doubt(options, work)
    if options.json:
        print_json(summary)
    else:
        doubt_commands.print_doubt(summary)
    return DONE


def _export(options: argparse.Namespace) -> int:
    with open_case(options.case, write=bool(options.despite)) as case:
        form: Form = "LABELMAP" if options.labelmap else "BINARY"
        if options.deidentify:
            write = partial(export_any, case, options.name, form=form)
            return deidentify_commands.export(options, work, case, write)
        given = {"form": form, "despite": options.despite, "coloured_by": options.map}
        write = partial(export_any, case, options.name, options.file, **given)
        files = work("Export", lambda progress: write(progress=progress))
        in_dicom = options.file.suffix.lower() == ".dcm"
        warnings = surface_warnings(case, options.name) if in_dicom else ()
    print(*files, sep="\n")
    for warning in warnings:
        print(f"  {warning.severity}: {warning.sentence}", file=sys.stderr)
    return DONE


def _report(options: argparse.Namespace) -> int:
    with open_case(options.case, write=False) as case:
        work("Report", lambda progress: write_report_file(case, options.file, progress))
    print(options.file)
    return DONE


def _demo(options: argparse.Namespace) -> int:
    if options.case is None:
        options.case, first = own_folder(options.patient), first_folder(options.patient)
        if options.case != first:
            print(f"the case of an earlier version stays in {first}", file=sys.stderr)
    make = partial(_make_demo, options.case, options.patient)
    exact = work("Synthetic patient", lambda progress: make(progress=progress))
    with open_case(options.case, write=False) as case:
        summary = case.summary()
        plain = options.headless or "rows" in summary  # nothing to picture
        picture = options.screenshot or (None if plain else options.case / "demo.png")
        if picture is not None:
            write_picture(case, picture)
            print(f"picture: {picture}", file=sys.stderr)
    if options.json:
        print_json(summary | {"exact": dict(exact)})
    else:
        _print_summary(summary, exact)
    return DONE


def _make_demo(folder: Path, name: str, progress: Progress) -> Mapping[str, float]:
    """Make a synthetic patient, run the whole plan and return the exact values."""
    patient = start_demo(folder, name, share(progress, 0, 2))
    with open_case(folder) as case:
        case.run(case.plan(), share(progress, 1, 2))
        return exact_numbers(name, patient, case)


def _print_summary(summary: Mapping[str, Any], exact: Mapping[str, float] | None = None) -> None:
    mark = "  SYNTHETIC PATIENT" if summary.get("synthetic") else ""
    print(f"case {summary['case']}, plan {summary['plan']}{mark}")
    for source in summary["sources"]:
        about = f"{source.get('modality', '')} {source.get('description', '')}".strip()
        print(f"  source   {source['name']} ({about})")
    for step in summary["steps"]:
        review = review_commands.review_text(step["review"])
        mark = f"   {review}" if review else ""
        print(f"  {step['state']:8} {step['output']} ({step['stage']}){mark}")
    for number in summary["numbers"]:
        band = ""
        if number["low"] is not None:
            band = f" ({number['low']:.4g} to {number['high']:.4g})"
        truth = (exact or {}).get(number["name"])
        beside = "" if truth is None else f"   exact {_digits(truth)}"
        name, value = number["name"], _digits(number["value"])
        value = f"{number['value']:.4g}" if band else value
        print(f"  {name:32} {value:>10} {number['unit']:4}{band}{beside}")
    print_rows(summary)
    print_clinical(summary)
    _print_findings(summary)
    print("Research use only, not for clinical decisions.")


def _digits(value: float) -> str:
    """Return a number with a decimal, or with three digits that count if it is small."""
    return f"{value:.1f}" if abs(value) >= 10 or value == 0 else f"{value:.3g}"


def _print_findings(summary: Mapping[str, Any]) -> None:
    for finding in summary["findings"]:
        print(f"  {finding['severity']}: {finding['sentence']} [{finding.get('step', '')}]")


def _benchmark(options: argparse.Namespace) -> int:
    rows = work("Benchmark", lambda p: benchmark.run(options.names, options.peers, p, options.ct))
    if options.json:
        print_json(benchmark.to_json(rows))
    else:
        print(benchmark.table(rows))
    return DONE


def _selftest(options: argparse.Namespace) -> int:
    checks = work("Self-test", selftest.run)
    if options.json:
        print_json(selftest.to_json(checks))
    else:
        print(selftest.table(checks))
    return DONE if all(check.ok or check.optional for check in checks) else PROBLEM


COMMANDS: Commands = {
    "demo": _demo,
    "scan": _scan,
    "import": _import,
    "stages": _stages,
    "templates": _templates,
    "plan": _plan,
    "change": _change,
    "run": _run,
    "show": _show,
    "review": _review,
    "doubt": _doubt,
    "export": _export,
    "report": _report,
    "benchmark": _benchmark,
    "selftest": _selftest,
}
