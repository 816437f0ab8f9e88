"""The report of a case: the plan in one picture, its numbers, findings and methods, as PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Spacer,
    Table,
)

from segmentation.contract import Progress, share, silent
from segmentation.volume import LabelMap
from workstation.case import Case, CaseError
from workstation.compare_report import compare_pages
from workstation.figures import figures_of, fresh_values, outlined, plan_scene, slice_figure
from workstation.picture import render_scene
from workstation.planning.plan import Plan, to_plain_json
from workstation.planning.resection import Cut
from workstation.planning.template import Figures, templates
from workstation.raster import default_window
from workstation.report_layout import (
    Picture,
    SlicePicture,
    font,
    font_for,
    number_rows,
    number_title,
    readable,
    shown_band,
    shown_date,
    shown_value,
    size_to_fit,
    table,
    text,
)
from workstation.report_sections import sections
from workstation.review import review_findings
from workstation.stages import STAGES
from workstation.store import write_atomically
from workstation.views import SLICES, point_of_interest, shown_image

RESEARCH_USE = "Research use only, not for clinical decisions"
SYNTHETIC = "SYNTHETIC PATIENT: no real person"
MARGIN_MM = 16.0
PAGE_MM = (178.0, 259.0)  # what a page holds: width and height
PICTURE_PX = (1400, 820)
PICTURE_MM = (110.0, 168.0)  # its least and largest width
MARKS = {"problem": "✕ problem", "warning": "! warning", "info": "i note"}
FINDING_WIDTHS_MM = (22, 30, 126)
FIRST_PAGE_FINDINGS = 8
SIGNED_ROWS = 2  # of them at the least stand beside the signatures
FIRST_NUMBERS = 6
"""How many numbers stand on the first page where no template says which matter."""


def write_picture(case: Case, path: Path, size: tuple[int, int] = (1200, 800)) -> None:
    """Write the 3D picture of the current plan as PNG, seen from the front.

    Raises:
        CaseError: if nothing is computed that could be shown.
    """
    plan = case.plan()
    items = plan_scene(fresh_values(case, plan), figures_of(plan))
    if not items:
        raise CaseError("there is no surface to show yet; run the plan first")
    picture = render_scene(items, "A", size)
    write_atomically(path, lambda part: Image.fromarray(picture).save(part, "PNG"))


def write_report(case: Case, path: Path, progress: Progress = silent) -> None:
    """Write the report of the current plan as an A4 PDF with vector text.

    Raises:
        CaseError: if the case has no plan, or the file does not end in .pdf.
    """
    if path.suffix.lower() != ".pdf":
        raise CaseError(
            f"the report is a PDF; give a file that ends in .pdf instead of {path.name}"
        )
    plan = case.plan()
    summary = case.summary()
    summary["findings"] += review_findings(plan, summary)
    progress(0.05, "pictures")
    values = fresh_values(case, plan)
    story = [
        *_first_page(plan, summary, values, case.record.variant),
        *_views(case, plan, values, progress),
        *sections(plan, values, summary, share(progress, 3, 5)),
        *compare_pages(case),
        *_all_findings(summary),
        *_numbers(plan, summary),
        *_reviews(summary),
        *_methods(case, plan, summary),
    ]
    progress(0.8, "pages")
    write_atomically(path, lambda part: _build(part, case, story))
    progress(1.0)


def _build(path: Path, case: Case, story: Sequence[Flowable]) -> None:
    width, height = A4
    margin = MARGIN_MM * mm
    frame = Frame(margin, margin, width - 2 * margin, height - 2 * margin - 6 * mm, 0, 0, 0, 0)
    document = BaseDocTemplate(
        str(path),
        pagesize=A4,
        title="Surgical plan",
        author="Hilum",
        subject=SYNTHETIC if case.record.synthetic else RESEARCH_USE,
    )
    document.addPageTemplates(PageTemplate("page", [frame], onPage=partial(_banner, case=case)))
    document.build(list(story))


def _banner(canvas: Any, document: Any, case: Case) -> None:
    """Draw identity, research use and page number on every page."""
    width, height = A4
    patient, study = case.record.patient, case.record.study
    top, left, right = height - 12 * mm, MARGIN_MM * mm, width - MARGIN_MM * mm
    canvas.saveState()
    name = patient.get("name", "") or "No patient name"
    face, room = font_for(name, bold=True), right - left - 64 * mm
    canvas.setFont(face, size_to_fit(name, face, 11, room))
    canvas.drawString(left, top, name)
    details = "   ".join(
        f"{label} {value}"
        for label, value in (
            ("ID", patient.get("patient_id", "")),
            ("born", shown_date(patient.get("birth_date", ""))),
            ("sex", patient.get("sex", "")),
            ("study", shown_date(study.get("date", ""))),
        )
        if value
    )
    face = font_for(details)
    canvas.setFont(face, size_to_fit(details, face, 8, right - left - 82 * mm))
    canvas.drawString(left, top - 11, details)
    canvas.setFont(font(bold=True), 8)
    if case.record.synthetic:
        canvas.setFillColor(colors.HexColor("#C23B31"))
        canvas.drawRightString(right, top, SYNTHETIC)
        canvas.setFillColor(colors.black)
    canvas.drawRightString(right, top - 11, RESEARCH_USE)
    canvas.setLineWidth(0.6)
    canvas.line(left, top - 16, right, top - 16)
    canvas.setFont(font(), 7)
    canvas.drawString(left, 9 * mm, f"Hilum   plan {case.plan_number}   {case.folder.name}")
    canvas.drawRightString(right, 9 * mm, f"page {document.page}")
    canvas.restoreState()


# Pages -----------------------------------------------------------------------------------


def _first_page(
    plan: Plan, summary: Mapping[str, Any], values: Mapping[str, object], name: str
) -> list[Flowable]:
    known = templates()
    title = known[plan.template].title if plan.template in known else "Surgical plan"
    called = f"{escape(name)} (number {summary['plan']})" if name else summary["plan"]
    head = text(f"{title}: plan {called}", "title")
    figures = figures_of(plan)
    story: list[Flowable] = [Spacer(1, 4 * mm), _key_numbers(figures, summary), Spacer(1, 4 * mm)]
    heading, first, last = _findings(summary)
    told = [heading, *first]
    items = plan_scene(values, figures)
    if items:
        story = [Spacer(1, 1 * mm), text(_scene_caption(items), "caption"), *story]
        used = sum(_height(one) for one in (head, *story, *told, *last))
        picture = render_scene(items, "A", PICTURE_PX)
        wide = (PAGE_MM[1] * mm - used) * PICTURE_PX[0] / PICTURE_PX[1]
        story.insert(0, Picture(picture, min(max(wide, PICTURE_MM[0] * mm), PICTURE_MM[1] * mm)))
    kept = [KeepTogether(last)] if first else [KeepTogether([heading, *last])]
    return [head, *story, *(told if first else []), *kept]


def _height(one: Flowable) -> float:
    """Return the height of a flowable on a page, in points, with the space around it."""
    height: float = one.wrap(PAGE_MM[0] * mm, PAGE_MM[1] * mm)[1]
    return height + float(one.getSpaceBefore()) + float(one.getSpaceAfter())


def _scene_caption(items: Mapping[str, Any]) -> str:
    return (
        "Seen from the front: the patient's right is on the left of the picture. "
        f"Shown: {', '.join(sorted(name.removesuffix('_surface') for name in items))}."
    )


def _key_numbers(figures: Figures, summary: Mapping[str, Any]) -> Flowable:
    by_name = {number["name"]: number for number in summary["numbers"]}
    titles = figures.key_numbers or {name: readable(name) for name in [*by_name][:FIRST_NUMBERS]}
    rows = [
        [
            text(escape(title), "small"),
            text(f"<b>{shown_value(by_name[name])}</b>", "number"),
            text(shown_band(by_name[name]), "small"),
        ]
        for name, title in titles.items()
        if name in by_name
    ]
    return table(rows, (70, 38, 70)) if rows else text("No number is computed yet.", "body")


def _findings(
    summary: Mapping[str, Any],
) -> tuple[Flowable, list[Flowable], list[Flowable]]:
    """Return what a signer must know, problems and warnings: heading, first rows and the last.

    The last stand with the place to sign, which would else begin a page of its own.
    """
    found = [f for f in summary["findings"] if f["severity"] != "info"]
    stale = [s["output"] for s in summary["steps"] if s["state"] != "fresh"]
    if stale:
        sentence = f"Not computed for this plan: {', '.join(stale)}. The report is incomplete."
        found.insert(0, {"severity": "problem", "sentence": sentence})
    rows = _finding_rows(found)
    if len(rows) > FIRST_PAGE_FINDINGS:
        more = len(rows) - FIRST_PAGE_FINDINGS
        rows[FIRST_PAGE_FINDINGS:] = [["", "", text(f"{more} more under All findings.", "small")]]
    heading, signed = text("Findings", "heading"), [Spacer(1, 6 * mm), _signatures()]
    if not rows:
        return heading, [], [text("No problem and no warning; see All findings.", "body"), *signed]
    first, last = rows[:-SIGNED_ROWS], table(rows[-SIGNED_ROWS:], FINDING_WIDTHS_MM)
    return heading, [table(first, FINDING_WIDTHS_MM)] if first else [], [last, *signed]


def _all_findings(summary: Mapping[str, Any]) -> list[Flowable]:
    rows = _finding_rows(summary["findings"])
    none = text("None.", "body")
    return [text("All findings", "heading"), table(rows, FINDING_WIDTHS_MM) if rows else none]


def _finding_rows(findings: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Return a table row per finding, the gravest first."""
    rows: list[list[Any]] = []
    for finding in sorted(findings, key=lambda f: list(MARKS).index(f["severity"])):
        sentence = escape(finding["sentence"])
        if finding.get("remedy"):
            sentence += f" <i>{escape(finding['remedy'])}</i>"
        rows.append(
            [
                text(MARKS[finding["severity"]], "small"),
                text(escape(finding.get("step", "")), "small"),
                text(sentence, "small"),
            ]
        )
    return rows


def _signatures() -> Flowable:
    line = "_" * 34
    rows = [
        [
            text(f"{role}<br/><br/>{line}<br/>name, date, signature", "small")
            for role in ("Planned by", "Reviewed by")
        ]
    ]
    return Table(rows, colWidths=[89 * mm, 89 * mm])


def _views(
    case: Case, plan: Plan, values: Mapping[str, object], progress: Progress
) -> list[Flowable]:
    image = shown_image(case, plan)
    if image is None:
        return []
    figures_wanted = figures_of(plan)
    named = outlined(figures_wanted, values)
    point = point_of_interest(image, values, figures_wanted)
    window = default_window(image)
    cut = " Blue line: the cut." if any(isinstance(v, Cut) for v in values.values()) else ""
    story: list[Flowable] = [
        CondPageBreak(250 * mm),
        text("Views", "heading"),
        text(f"Outlines: {_legend(named, values)}.{cut}", "caption"),
    ]
    figures = []
    for number, view in enumerate(SLICES):
        progress(0.3 + 0.15 * number, f"{view} view")
        figure = slice_figure(image, view, point, values, window, named)
        figures.append(SlicePicture(figure, 88 * mm, 100 * mm))
    story.append(
        Table(
            [[figures[0], figures[1]], [figures[2], ""]],
            colWidths=[89 * mm, 89 * mm],
            style=[("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)],
        )
    )
    return story


def _legend(named: Sequence[str], values: Mapping[str, object]) -> str:
    """Return the outlined labels, each with a square of its colour."""
    labels = (
        label
        for name in named
        if isinstance(value := values.get(name), LabelMap)
        for label in value.labels.values()
    )
    return ", ".join(
        '<font color="#{:02x}{:02x}{:02x}">■</font> '.format(*label.colour) + escape(label.name)
        for label in labels
    )


def _numbers(plan: Plan, summary: Mapping[str, Any]) -> list[Flowable]:
    figures = figures_of(plan)
    titled = partial(number_title, figures)
    return [
        text("Numbers", "heading"),
        table(number_rows(summary["numbers"], titled), (52, 30, 46, 50), head=True),
    ]


def _reviews(summary: Mapping[str, Any]) -> list[Flowable]:
    """Return who reviewed which outline, and which nobody did."""
    rows: list[list[Any]] = [[text(h, "head") for h in ("outline", "state", "by", "when")]]
    for step in summary["steps"]:
        review = step["review"]
        if review is not None:
            by, at = review["by"] or "nobody", review["at"] or ""
            told = step["output"].replace("_", " "), review["state"], by, at[:16].replace("T", " ")
            rows.append([text(escape(words), "small") for words in told])
    if len(rows) == 1:
        return []
    note = "Times are UTC. A review holds for the very outline that was looked at: a later change "
    return [
        text("Review of the outlines", "heading"),
        table(rows, (50, 30, 62, 36), head=True),
        text(note + "makes it proposed or edited again.", "caption"),
    ]


def _methods(case: Case, plan: Plan, summary: Mapping[str, Any]) -> list[Flowable]:
    states = {step["output"]: step["state"] for step in summary["steps"]}
    seconds = {
        step["key"]: step["seconds"]
        for run in case.runs()
        for step in run["steps"]
        if step["state"] == "done"
    }
    keys = plan.keys()
    rows: list[list[Any]] = [[text(h, "head") for h in ("result", "method", "parameters", "run")]]
    for step in plan.steps:
        title = STAGES[step.stage].title if step.stage in STAGES else step.stage
        params = ", ".join(f"{k} = {to_plain_json(v)}" for k, v in step.params.items())
        took = f"{seconds[keys[step.output]]:.1f} s, " if keys[step.output] in seconds else ""
        rows.append(
            [
                text(step.output, "small"),
                text(f"{escape(title)}<br/>{step.stage}, version {step.version}", "small"),
                text(escape(params) or "defaults", "small"),
                text(f"{took}{states[step.output]}", "small"),
            ]
        )
    story: list[Flowable] = [
        text("What was run", "heading"),
        table(rows, (30, 66, 56, 26), head=True),
        text("Sources", "heading"),
    ]
    sources: list[list[Any]] = [[text(h, "head") for h in ("name", "what", "sha256 of content")]]
    for name, key in plan.sources.items():
        about = case.record.sources.get(name, {})
        what = " ".join(x for x in (about.get("modality", ""), about.get("description", "")) if x)
        series = about.get("series_uid", "")
        sources.append(
            [
                text(name, "small"),
                text(escape(what) + (f"<br/>series {series}" if series else ""), "small"),
                text(key, "small"),
            ]
        )
    story.append(table(sources, (30, 74, 74), head=True))
    runs = case.runs()
    versions = runs[-1]["versions"] if runs else {}
    story += [
        text("Versions and assumptions", "heading"),
        text(", ".join(f"{name} {version}" for name, version in versions.items()), "small"),
        text(
            f"Plan digest {plan.digest()}. Coordinates are DICOM patient LPS in millimetres, frame "
            f"of reference {plan.frame_uid}. Outlines that were proposed "
            "automatically need a person's review. A number without a band has an uncertainty "
            f"that is not known. Written {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}.",
            "small",
        ),
    ]
    return story
