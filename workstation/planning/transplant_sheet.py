"""The review sheet of a donor and a recipient: every rule as a row, nothing decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated

from annotated_types import Ge, Gt, Le

from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.wording import counted
from workstation.clinical import moment
from workstation.planning.crossmatch import cpra_row, crossmatch_rows, dsa_row, virtual_row
from workstation.planning.transplant_blood import abo_row, rh_row
from workstation.planning.transplant_eplets import eplet_rows
from workstation.planning.transplant_fit import fit_rows
from workstation.planning.transplant_hla import hla_rows
from workstation.planning.transplant_person import Person, PersonRecord
from workstation.planning.transplant_rows import Row, Sheet, in_order
from workstation.planning.transplant_scores import Donation, score_rows
from workstation.planning.transplant_site import Site
from workstation.planning.transplant_size import Organ, size_rows, vessel_rows

Days = Annotated[float, Ge(1), Le(36500)]
MFI = Annotated[float, Gt(0), Le(100000)]
Titre = Annotated[float, Ge(1), Le(1000000)]
WANTED = {
    "codes": ("NMDP codes", "code, alleles"),
    "eplets": ("eplets", "allele, eplets"),
    "groups": ("haplotype frequencies", "group, weight, haplotype, frequency"),
}
CONFIRM = "The sheet reviews; people decide. It allocates nothing."


class TransplantError(ValueError):
    """A review that cannot be made; the text says why and what to do."""


def transplant_sheet(
    donor: PersonRecord,
    recipient: PersonRecord,
    fit: SurfaceMesh | None = None,
    codes: PersonRecord | None = None,
    eplets: PersonRecord | None = None,
    frequencies: PersonRecord | None = None,
    *,
    organ: Organ = "kidney",
    donation: Donation = "deceased",
    review_date: str = "",
    donor_name: str = "",
    mfi_warn: MFI | None = None,
    mfi_block: MFI | None = None,
    anti_a_igg_limit: Titre | None = None,
    anti_a_igm_limit: Titre | None = None,
    laboratory_days: Days = 30.0,
    antibody_days: Days = 90.0,
    body_days: Days = 180.0,
    imaging_days: Days = 365.0,
    vessel_ratio: Annotated[float, Ge(1), Le(10)] = 1.5,
    grwr_percent: Annotated[float, Gt(0), Le(5)] = 0.8,
    remnant_percent: Annotated[float, Gt(0), Le(100)] = 30.0,
    progress: Progress = silent,
) -> Sheet:
    """Review the compatibility of a donor and a recipient.

    Args:
        fit: a graft that was placed in the recipient's cavity (`graft_in_cavity`).
        codes: a table of NMDP codes and their alleles.
        eplets: a table of alleles and their eplets.
        frequencies: a table of haplotype frequencies by population group, for cPRA.
        organ: what is to be transplanted.
        donation: whether the donor has died or lives.
        review_date: the day of the review, such as 2026-03-01; later values are not used.
        donor_name: by what crossmatch results call this donor, if not as the donor's record.
        mfi_warn: fluorescence of a donor-specific antibody from which on your centre warns.
        mfi_block: fluorescence from which on your centre does not transplant.
        anti_a_igg_limit: highest anti-A IgG titre (16 for 1:16) for an A2 organ.
        anti_a_igm_limit: highest anti-A IgM titre for an A2 organ.
        laboratory_days: how old laboratory values may be.
        antibody_days: how old antibody tests and crossmatches may be.
        body_days: how old weight and height may be.
        imaging_days: how old values from images may be.
        vessel_ratio: ratio of two diameters above which to warn.
        grwr_percent: least weight of a partial liver graft in percent of the recipient's.
        remnant_percent: least part of the liver that a living donor keeps.

    Raises:
        TransplantError: if the day of the review is no date, or a table holds none.
    """
    site = Site(
        mfi_warn,
        mfi_block,
        anti_a_igg_limit,
        anti_a_igm_limit,
        laboratory_days,
        antibody_days,
        body_days,
        imaging_days,
        vessel_ratio,
        grwr_percent,
        remnant_percent,
    )
    progress(0.0, "reading the records")
    if donor_name:
        donor = replace(donor, label=donor_name)
    tables = Tables(_table(eplets, "eplets"), _table(frequencies, "groups"), _table(codes, "codes"))
    return review(donor, recipient, organ, donation, review_date, site, fit, tables)


@dataclass(frozen=True)
class Tables:
    """The tables that were loaded beside a pair, None for those that were not."""

    eplets: PersonRecord | None = None
    frequencies: PersonRecord | None = None
    codes: PersonRecord | None = None


def _table(table: PersonRecord | None, name: str) -> PersonRecord | None:
    if table is not None and not getattr(table.tables, name):
        wanted = WANTED[name]
        raise TransplantError(f"a file that was given for {wanted[0]} has no columns {wanted[1]}")
    return table


def review(
    donor: PersonRecord,
    recipient: PersonRecord,
    organ: Organ,
    donation: Donation,
    review_date: str,
    site: Site,
    fit: SurfaceMesh | None = None,
    tables: Tables = Tables(),
) -> Sheet:
    """Return the sheet of a pair; see `transplant_sheet`."""
    if tables.codes is not None:
        donor, recipient = (_explained(p, tables.codes) for p in (donor, recipient))
    today, findings = review_day((donor, recipient), review_date)
    one = Person(donor, "donor", today, site.max_days)
    other = Person(recipient, "recipient", today, site.max_days)
    abo = abo_row(one, other, site)
    rows = [
        *_identity(donor, recipient),
        abo,
        rh_row(one, other),
        virtual_row(one, other),
        dsa_row(one, other, site),
        *crossmatch_rows(one, other),
        cpra_row(other, tables.frequencies),
        *hla_rows(one, other),
        *eplet_rows(one, other, tables.eplets, site),
        *size_rows(organ, one, other, site),
        *fit_rows(fit),
        *vessel_rows(organ, one, other, site),
        *score_rows(organ, donation, one, other, abo.verdict),
    ]
    ordered = in_order(row for row in rows if row is not None)
    sheet = Sheet(ordered, organ, today.isoformat())
    findings = [*findings, *_told(sheet, one, other)]
    return replace(sheet, numbers=_numbers(sheet), findings=tuple(findings))


def _explained(person: PersonRecord, codes: PersonRecord) -> PersonRecord:
    """Return a record with the loaded codes; those that its own file brings go first."""
    return replace(person, multiple_codes={**codes.tables.codes, **person.multiple_codes})


def review_day(people: Sequence[PersonRecord], given: str) -> tuple[date, list[Finding]]:
    """Return the day of a review; without one, that of the newest value, and a warning.

    Raises:
        TransplantError: if what is given is no day.
    """
    if given:
        when = moment(given)
        if when is None or len(given) < len("2026-03-01"):
            raise TransplantError(f"the review date {given[:40]!r} is none; write it as 2026-03-01")
        return when.date(), []
    dates = [v.when for record in people for v in record.values if v.date]
    day = max(dates).date() if dates else date(1970, 1, 1)
    text = f"no day of the review is set; values are judged as of {day}, the newest in the records"
    remedy = "Set review_date to the day of the review."
    return day, [Finding(Severity.WARNING, "review_date", text, remedy=remedy)]


def _identity(donor: PersonRecord, recipient: PersonRecord) -> list[Row]:
    rule = "donor and recipient are two people, each in the right place"
    swapped = [r for r, role in ((donor, "recipient"), (recipient, "donor")) if r.role == role]
    reason = ""
    if donor.sha256 and donor.sha256 == recipient.sha256:
        reason = "Both records are the same file."
    elif swapped:
        reason = "A record says that its person has the other part: the two are swapped."
    if not reason:
        return []
    change = "the right file for each"
    return [Row("records", "block", None, "", "both records", "", rule, reason, change)]


def _numbers(sheet: Sheet) -> tuple[Number, ...]:
    counts = [
        Number(f"rows.{verdict}", float(sheet.count(verdict)), "", "count of the rows")
        for verdict in ("block", "unknown", "warn", "pass")
    ]
    values = [
        Number(row.name, row.value, row.unit, row.rule)
        for row in sheet.rows
        if isinstance(row.value, float)
    ]
    return (*counts, *values)


def _told(sheet: Sheet, *people: Person) -> list[Finding]:
    """Return the findings that stand beside the rows."""
    found = [Finding(Severity.INFO, "review_only", CONFIRM)]
    for row in sheet.rows:
        if row.verdict == "block":
            text = f"{row.name}: {row.reason}"
            found.append(Finding(Severity.PROBLEM, "transplant_block", text))
    unknown = [row.name for row in sheet.rows if row.verdict == "unknown"]
    if unknown:
        are = counted(len(unknown), "row is", "rows are")
        text = f"{are} unknown: {', '.join(unknown)}"
        found.append(Finding(Severity.WARNING, "transplant_unknown", text))
    for person in people:
        found += person.record.findings
        future = sorted({v.key for v in person.record.values if person.is_future(v)})
        if future:
            text = f"values of the {person.role} dated after the review are not used: "
            found.append(Finding(Severity.WARNING, "after_review", text + ", ".join(future)))
        coded = person.unknown_codes()
        if coded:
            text = f"multiple allele codes of the {person.role} are unknown: {', '.join(coded)}"
            remedy = "Give a file of NMDP codes."
            found.append(Finding(Severity.WARNING, "unknown_codes", text, remedy=remedy))
        if person.record.not_read:
            listed = "; ".join(f"{n.what} ({n.reason})" for n in person.record.not_read[:8])
            count = sum(n.count for n in person.record.not_read)
            record = f"of the {person.role}'s record"
            text = counted(count, f"entry {record} was", f"entries {record} were")
            text += f" not read: {listed}"
            found.append(Finding(Severity.WARNING, "record_not_read", text))
    return found
