"""The command line's grammar. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workstation.align_arguments import add_align
from workstation.deidentify_arguments import add_deidentify, add_export
from workstation.implants_arguments import add_implants
from workstation.models_arguments import add_models
from workstation.pacs_arguments import add_pacs
from workstation.plan_arguments import add_change, add_compare, add_plans
from workstation.repair_arguments import add_reading, add_repair
from workstation.score_arguments import add_score, options_last
from workstation.simulate_arguments import add_simulate_user
from workstation.transplant_arguments import add_compare_donors
from workstation.validate_arguments import add_validate

PATIENTS = (
    "liver", "aneurysm", "cranioplasty", "transplant", "mandible", "stenosis", "aorta",
)  # fmt: skip
"""The built-in synthetic patients."""

REPAIRS = ("interpolate_missing", "resample_spacing", "leave_out_slice")
"""The repairs of refused volumes that may be accepted."""

EXIT_CODES = (
    "exit codes: 0 done, 1 a problem that was explained, 2 wrong usage, "
    "3 --check found a difference, 130 cancelled"
)


def setting(text: str) -> tuple[str, str, Any]:
    """Read ``STEP.PARAM=VALUE``; the value is JSON, or else a plain string."""
    target, equals, value = text.partition("=")
    step, dot, parameter = (part.strip() for part in target.partition("."))
    if not (equals and dot and step and parameter):
        raise argparse.ArgumentTypeError(f"{text!r} is not STEP.PARAM=VALUE")
    try:
        return step, parameter, json.loads(value)
    except ValueError:
        return step, parameter, value


def parameter(text: str) -> tuple[str, Any]:
    """Read ``PARAM=VALUE``; the value is JSON, or else a plain string."""
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not PARAM=VALUE")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value


def named_path(text: str) -> tuple[str, Path]:
    """Read ``NAME=PATH``."""
    name, equals, path = text.partition("=")
    if not (equals and name.strip() and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name.strip(), Path(path)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="hilum",
        description="Imaging-driven surgical planning, from DICOM to a plan. "
        "Without a command it opens the window: hilum [CASE or FOLDER]. "
        "Research use only, not for clinical decisions.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str, *, prints_json: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES)
        if prints_json:
            added.add_argument("--json", action="store_true", help="print one JSON document")
        return added

    _add_images(command)
    _add_plans(command)
    _add_results(command)
    return parser


Command = Callable[..., argparse.ArgumentParser]


def _add_images(command: Command) -> None:
    """Add the commands that open the window and bring images in."""
    window = command("open", "open the window (also: hilum [CASE or FOLDER])", prints_json=False)
    window.add_argument("path", nargs="?", type=Path, metavar="CASE or FOLDER")
    window.add_argument(
        "--screenshot", type=Path, metavar="PNG", help="write a picture of the window and leave"
    )

    demo = command("demo", "make a synthetic patient, run the whole plan and show it")
    demo.add_argument("patient", nargs="?", choices=PATIENTS, default="liver")
    demo.add_argument("--case", type=Path, metavar="DIR", help="where to keep the case")
    demo.add_argument("--headless", action="store_true", help="print the table, open no window")
    demo.add_argument("--screenshot", type=Path, metavar="PNG", help="write a picture")

    scan = command("scan", "list the volumes that paths hold, without reading pixels")
    scan.add_argument("paths", nargs="+", type=Path, metavar="PATH")

    importing = command("import", "read images, surfaces or clinical values into a case")
    importing.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    importing.add_argument("--case", type=Path, required=True, metavar="DIR")
    importing.add_argument("--series", metavar="UID", help="which series, where there are several")
    importing.add_argument("--as", dest="name", default="", metavar="NAME", help="source name")
    add_reading(importing)
    importing.add_argument(
        "--other-patient-id",
        default="",
        metavar="ID",
        help="the patient's ID in a FHIR file: you vouch that it is the patient of the case",
    )
    importing.add_argument(
        "--all-parts",
        action="store_true",
        help="import all volumes of a series that is split by time, echo and the like",
    )
    _add_accept(importing)


def _add_accept(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--accept",
        action="append",
        default=[],
        choices=REPAIRS,
        metavar="CODE",
        help=f"make a refused volume usable by a repair: {', '.join(REPAIRS)}",
    )


def _add_plans(command: Command) -> None:
    """Add the commands that make and run plans."""
    command("stages", "list every stage with its inputs and parameters")
    command("templates", "list the plan templates that ship")

    plan = command("plan", "start a plan from a template, run it, print its numbers")
    plan.add_argument("template", metavar="TEMPLATE")
    plan.add_argument("--case", type=Path, required=True, metavar="DIR")
    plan.add_argument(
        "--source",
        dest="sources",
        action="append",
        default=[],
        type=named_path,
        metavar="NAME=PATH",
        help="an image, label or surface file for one of the template's sources; one structure of "
        "a DICOM segmentation or structure set is named behind it: tumor=RS.dcm#GTV",
    )
    plan.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        type=setting,
        metavar="STEP.PARAM=VALUE",
        help="a parameter of one step, e.g. cut.normal=[-1,0,0]; or the unit or axes of a surface "
        "file that names none: source.NAME.unit=cm, source.NAME.space=RAS",
    )

    plan.add_argument(
        "--with",
        dest="options",
        action="append",
        default=[],
        metavar="OPTION",
        help="steps that the template has only if asked for: hilum templates lists them",
    )
    _add_accept(plan)

    add_change(command("change", "change steps of a plan as a new plan, and run it"), setting)
    add_plans(command("plans", "list the plans of a case, or name one"))
    add_compare(command("compare", "set plans of a case side by side, in numbers"))
    add_compare_donors(
        command("compare-donors", "review several donors for one recipient, side by side")
    )

    run = command("run", "recompute what a plan lacks, or check all of it")
    run.add_argument("plans", nargs="+", type=Path, metavar="CASE_OR_PLAN")
    acts = run.add_mutually_exclusive_group()
    acts.add_argument("--check", action="store_true", help="recompute everything and compare")
    acts.add_argument(
        "--renew",
        action="store_true",
        help="make the present versions of all steps the next plan of a case, and run that",
    )
    _add_cluster(run)


def _add_results(command: Command) -> None:
    """Add the commands that show results, reach a PACS and measure this machine."""
    show = command("show", "print sources, steps, numbers and findings of a case")
    show.add_argument("case", type=Path, metavar="CASE")

    _add_export(command)
    review = command("review", "note that a person looked at labels or rows and accepts them")
    review.add_argument("case", type=Path, metavar="CASE")
    review.add_argument("names", nargs="+", metavar="NAME", help="labels or rows of the plan")
    review.add_argument("--by", default="", metavar="NAME", help="who looked at them")
    review.add_argument("--comment", default="", metavar="TEXT", help="beside a row's name")
    review.add_argument("--withdraw", action="store_true", help="take the review back")

    doubt = command("doubt", "repeat a result with small changes: bands, and where to look next")
    doubt.add_argument("case", type=Path, metavar="CASE")
    doubt.add_argument("name", metavar="NAME", help="a label or flow of the plan, such as liver")
    doubt.add_argument(
        "--vary",
        action="append",
        default=[],
        type=varied,
        metavar="STEP.PARAM=LOW..HIGH",
        help="what is not known about a flow (default: its inflow by 19 %%, the outlets' split)",
    )
    _add_params(doubt)
    _add_cluster(doubt)

    report = command("report", "write the report of a case as PDF, or in DICOM", prints_json=False)
    report.add_argument("case", type=Path, metavar="CASE")
    report.add_argument("file", type=Path, metavar="FILE.pdf|.dcm")

    _add_direct(command)
    benchmark = command("benchmark", "measure speed on this machine, beside installed peers")
    benchmark.add_argument("names", nargs="*", metavar="NAME")
    benchmark.add_argument("--peers", action="store_true", help="measure installed peers too")
    benchmark.add_argument(
        "--ct", type=Path, metavar="PATH", help="DICOM for the suite bone (default: made up)"
    )

    add_score(command("score", "compute a clinical score or formula, or list them"))
    add_validate(command("validate", "check physics and clinical models against references"))
    command("selftest", "tell what works on this machine")
    add_deidentify(command("deidentify", "write DICOM without identity (PS3.15) into a new folder"))
    add_models(
        command("models", "networks: list, add, allow, verify", prints_json=False), EXIT_CODES
    )
    add_implants(command("implants", "implant libraries: list, add", prints_json=False), EXIT_CODES)
    add_pacs(command("pacs", "talk to DICOM nodes and DICOMweb", prints_json=False), EXIT_CODES)


def _add_export(command: Command) -> None:
    """Add the command that writes one result, or several, to a file."""
    export = command(
        "export",
        "write a source or result to a file; also: picture, axial, coronal or sagittal to .png or "
        ".dcm, report to .pdf or .dcm, dicom, the whole plan, to a folder, and plan, its numbers "
        "with provenance, to .fhir.json; model, all surfaces, or NAME,NAME to .3mf, .glb or .obj; "
        "release, all that an implant's maker gets, to a folder, and drawing, its sheet, to .pdf; "
        "step, the part of an implant library, to .step; "
        "a flow also to .pvd, .gif, .png (such as flow.osi.png), .branches.csv and .sections.csv",
        prints_json=False,
    )
    export.add_argument("case", type=Path, metavar="CASE")
    export.add_argument("name", metavar="NAME")
    export.add_argument("file", type=Path, metavar="FILE")
    export.add_argument(
        "--labelmap",
        action="store_true",
        help="DICOM segmentations as label maps: smaller, but few programs read them yet",
    )
    export.add_argument(
        "--despite",
        default="",
        metavar="REASON",
        help="write a surface that cannot be printed all the same; the reason is kept",
    )
    export.add_argument(
        "--map",
        default="",
        metavar="QUANTITY",
        help="colour .glb, .ply or USD by a quantity on the surface, such as wall_mm",
    )
    add_export(export)


def _add_direct(command: Command) -> None:
    """Add the commands that go from file to file, without a case."""
    segment = command("segment", "segment one image, from file to file")
    segment.add_argument(
        "method", metavar="METHOD", help="such as liver, threshold, grow or dome; or model:NAME"
    )
    segment.add_argument(
        "--also",
        action="append",
        default=[],
        type=Path,
        metavar="IMAGE",
        help="the next image of a model that takes several, such as T1, T2 and FLAIR",
    )
    segment.add_argument(
        "image",
        type=Path,
        metavar="IMAGE",
        help="DICOM folder, ZIP or file; a label file where METHOD changes labels",
    )
    segment.add_argument("label", type=Path, metavar="LABEL", help="label or surface file to write")
    segment.add_argument("--series", metavar="UID", help="which series, where there are several")
    mesh = command("mesh", "make the surface of a label, from file to file")
    mesh.add_argument("labels", type=Path, metavar="LABEL", help="label file")
    mesh.add_argument("surface", type=Path, metavar="SURFACE", help="surface file to write")
    mesh.add_argument("--label", default="", metavar="NAME_OR_VALUE", help="default: all labels")
    fix = command("repair", "close a damaged surface, from file to file, with a report")
    add_repair(fix)
    judge = command("evaluate", "compare segmentations with references")
    judge.add_argument("reference", type=Path, metavar="REFERENCE", help="label file or folder")
    judge.add_argument("result", type=Path, metavar="RESULT", help="label file or folder")
    judge.add_argument("--label", default="", metavar="NAME", help="only the label of this name")
    judge.add_argument(
        "--tolerance-mm", type=float, default=1.0, help="for surface Dice (default: 1 mm)"
    )
    judge.add_argument(
        "--no-centerline", action="store_true", help="without clDice, slow on large organs"
    )
    judge.add_argument("--csv", type=Path, metavar="FILE", help="write the table there too")

    add_simulate_user(command("simulate-user", "tell how many prompts a method really needs"))
    align = command("align", "bring one image onto another, from file to file")
    add_align(align)
    for added in (segment, mesh, fix, align):
        _add_params(added)


def _add_cluster(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="spread cases or repeats over a Dask cluster (tcp://host:8786, or: local)",
    )


def varied(text: str) -> tuple[str, float, float]:
    """Parse STEP.PARAM=LOW..HIGH.

    Raises:
        argparse.ArgumentTypeError: if it is anything else.
    """
    found = re.fullmatch(r"([a-z0-9_]+\.[a-z0-9_]+)=([^.].*?)\.\.(.+)", text)
    try:
        if found:
            return found[1], float(found[2]), float(found[3])
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not of the form STEP.PARAM=LOW..HIGH")


def _add_params(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        dest="params",
        action="append",
        default=[],
        type=parameter,
        metavar="PARAM=VALUE",
        help="a parameter of the method; hilum stages lists them",
    )


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line; a bare path, or nothing, means ``open``."""
    parser = make_parser()
    known = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    if not arguments or (arguments[0] not in known and not arguments[0].startswith("-")):
        if arguments and not Path(arguments[0]).exists():
            parser.error(
                f"{arguments[0]!r} is neither a command nor a path; "
                f"the commands are: {', '.join(known)}"
            )
        arguments = ["open", *arguments]
    options = parser.parse_args(options_last(arguments))
    given = [name for name, _ in getattr(options, "sources", ())]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        parser.error(f"the source {twice!r} is given twice")
    return options
