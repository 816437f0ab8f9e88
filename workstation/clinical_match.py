"""Whether two descriptions are of the same person: what agrees, what contradicts.

Hospitals number patients by systems that images rarely name, so another number is no
contradiction by itself, and the same number no proof. Birth date and sex must not differ;
a name may, within reason, where they agree.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from segmentation.contract import Finding, Severity
from workstation.clinical import ClinicalError, ClinicalPatient, Identifier

CODE = "patient_match"
LINK = (
    "if it is the same person, give the ID that the file has for the patient "
    "(--other-patient-id, or the field under the values)"
)


class OtherPatient(ClinicalError):
    """Clinical data belong to another patient than the case."""


class DoubtfulPatient(OtherPatient):
    """Clinical data may belong to another patient; a person who knows can vouch for them."""


def patient_of_images(identity: Mapping[str, str]) -> ClinicalPatient:
    """Return a DICOM identity (name, patient_id, birth_date as YYYYMMDD, sex) as a patient."""
    family, _, given = identity.get("name", "").partition("=")[0].partition("^")
    birth, number = identity.get("birth_date", ""), identity.get("patient_id", "")
    if len(birth) == 8 and birth.isdigit():
        birth = f"{birth[:4]}-{birth[4:6]}-{birth[6:]}"
    identifiers = (Identifier(number),) if number else ()
    return ClinicalPatient(
        family, given.replace("^", " ").strip(), birth, identity.get("sex", ""), identifiers
    )


def match(
    here: ClinicalPatient, there: ClinicalPatient, linked_id: str = ""
) -> tuple[Finding, ...]:
    """Return what to know about taking ``there`` for ``here``.

    ``linked_id`` is an identifier of ``there`` by which a person vouches that both are one.

    Raises:
        OtherPatient: if they contradict each other; it names the fields, not their content.
        DoubtfulPatient: if they may be two, or are not vouched for by the right ID.
    """
    birth = _birth(here.birth_date, there.birth_date)
    sex = here.sex == there.sex if {here.sex, there.sex} <= {"F", "M"} else None
    firm = [field for field, same in (("birth date", birth), ("sex", sex)) if same is False]
    if firm:
        raise OtherPatient(
            f"the clinical data are of another patient: the {' and the '.join(firm)} differ; "
            "choose the record of this patient, or make a new case"
        )
    if linked_id:
        return _linked(there, linked_id)
    name, number = _name(here, there), _number(here, there)
    reason = _doubt(name, number, birth)
    if reason:
        raise DoubtfulPatient(f"the clinical data may be of another patient: {reason}; {LINK}")
    if name is None and number is None and birth is None:
        text = "nothing tells that the clinical data and the images are of the same patient"
        remedy = "Compare them with the patient's file."
        return (Finding(Severity.WARNING, CODE, text, remedy=remedy),)
    loose = [field for field, same in (("name", name), ("patient ID", number)) if same is False]
    if not loose:
        return ()
    agreed = _agreed(name, number, birth)
    severity = Severity.INFO if birth and name else Severity.WARNING
    text = f"the {' and the '.join(loose)} of the clinical data differ from the case's; {agreed}"
    return (Finding(severity, CODE, text),)


def _linked(there: ClinicalPatient, linked_id: str) -> tuple[Finding, ...]:
    if linked_id not in {known.value for known in there.identifiers}:
        raise DoubtfulPatient(
            f"the clinical data do not know their patient as {linked_id!r}; "
            "give an ID that stands in them"
        )
    text = "a person vouched that the clinical data are of this patient, by the ID they use"
    return (Finding(Severity.WARNING, CODE, text),)


def _doubt(name: bool | None, number: bool | None, birth: bool | None) -> str:
    """Return why two descriptions that do not contradict each other may be of two people."""
    if name is False and not (birth and number):
        return "the name differs"
    if number is False and name is None and birth is None:
        return "the patient ID differs, and nothing else can be compared"
    return ""


def _agreed(name: bool | None, number: bool | None, birth: bool | None) -> str:
    facts = (("name", name), ("patient ID", number), ("birth date", birth))
    same = [field for field, agrees in facts if agrees]
    return f"{' and '.join(same) or 'nothing'} agree{'s' if len(same) < 2 else ''}"


def _birth(here: str, there: str) -> bool | None:
    """Compare two birth dates to the precision that both have; None if one is missing."""
    length = min(len(here), len(there))
    return here[:length] == there[:length] if length >= 4 else None


def _number(here: ClinicalPatient, there: ClinicalPatient) -> bool | None:
    mine = {known.value for known in here.identifiers}
    theirs = {known.value for known in there.identifiers}
    return bool(mine & theirs) if mine and theirs else None


def _words(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return set(re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c))))


def _name(here: ClinicalPatient, there: ClinicalPatient) -> bool | None:
    """Compare two names: family and given must share a word, or an initial of the given."""
    mine, theirs = _words(here.family), _words(there.family)
    if not mine or not theirs:
        return None
    given, other = _words(here.given), _words(there.given)
    initials = {w[0] for w in given} & {w[0] for w in other}
    abbreviated = any(len(word) == 1 for word in given | other)
    shared = given & other or (initials if abbreviated else set())
    return bool(mine & theirs) and (not given or not other or bool(shared))
