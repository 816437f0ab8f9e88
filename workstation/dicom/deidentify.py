"""One DICOM object without identity: PS3.15 Annex E at every nesting depth.

The result is built up from nothing: only what the profile lets through enters it. Pixel data are
carried over as they are stored.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID, EncapsulatedSTLStorage, ExplicitVRLittleEndian

from workstation.dicom.confidentiality import (
    BASIC_CODE,
    CLEAN_PIXELS_CODE,
    OPTION_CODES,
    Action,
    Profile,
    table,
)
from workstation.dicom.datasets import syntax
from workstation.dicom.objects import MAKER, code_item, lenient
from workstation.dicom.plain_words import plain_words
from workstation.dicom.pseudonyms import Pseudonyms, shifted
from workstation.dicom.values import text

REMOVED = "REMOVED"
IMPLEMENTATION_UID = "2.25.113817530298731524209893217312350861"
DOCUMENT, STL_HEADER = 0x00420011, 80  # the free text that a binary STL begins with, in bytes
OLDEST_YEARS = 89  # HIPAA 164.514(b)(2)(i)(C): older is a class of its own
TOKEN_LENGTH = 4  # a shorter part of a name is found in too many words

_TEXT = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_BYTES = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_DUMMIES: dict[str, Any] = {
    "AE": REMOVED,
    "AS": "000Y",
    "AT": 0,
    "CS": REMOVED,
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "0",
    "LO": REMOVED,
    "LT": REMOVED,
    "PN": REMOVED,
    "SH": REMOVED,
    "ST": REMOVED,
    "TM": "000000",
    "UC": REMOVED,
    "UR": "urn:removed",
    "UT": REMOVED,
    "FD": 0.0,
    "FL": 0.0,
    **dict.fromkeys(("SL", "SS", "SV", "UL", "US", "UV"), 0),
    **dict.fromkeys(_BYTES, b"\0\0"),
}
_FORMS = {  # what values that are no free text look like; anything else may be a person's words
    "AS": re.compile(r"\d{3}[DWMY]"),
    "DA": re.compile(r"\d{8}|\d{4}\.\d\d\.\d\d"),
    "DS": re.compile(r"[-+.eE0-9]{1,64}|[-+]?(nan|inf)", re.IGNORECASE),
    "DT": re.compile(r"\d{4,14}(\.\d{1,6})?([-+]\d{4})?"),
    "IS": re.compile(r"[-+]?\d{1,64}(\.0*)?"),
    "TM": re.compile(r"\d{2,6}(\.\d{1,6})?|\d\d:\d\d(:\d\d(\.\d{1,6})?)?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
}
_CODE = ("CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator", "CodeMeaning")
_OPEN_SCHEMES = ("DCM", "SCT", "SRT", "SNM3", "UCUM", "LN", "FMA", "RADLEX", "NCIt", "UMLS", "MSH")


@dataclass(frozen=True)
class Request:
    """How objects of one patient are de-identified.

    ``identity`` is what the patient's replacements are made from; ``subject`` the name and ID
    that stand for the patient; ``seen`` tells that a person has looked at the pixels, or at the
    surface that is encapsulated, and found nothing that identifies; ``blackened`` that parts of
    the pixels were blackened; ``face`` that the object shows a head.
    """

    profile: Profile
    names: Pseudonyms
    identity: str
    subject: str
    seen: bool = False
    blackened: bool = False
    face: bool = False


@dataclass(frozen=True)
class _Walk:
    """What stays the same while the data sets of one object are gone through."""

    request: Request
    sop_class: str
    tokens: frozenset[str]
    counts: Counter[str] = field(default_factory=Counter)


def identity_of(data: Dataset) -> str:
    """Return what tells this patient from others: ID, else name and birth date, else study."""
    name, born = text(data, "PatientName"), text(data, "PatientBirthDate")
    found = text(data, "PatientID") or (f"{name}|{born}" if name else "")
    return found or text(data, "StudyInstanceUID")


@lenient()
def deidentify(data: Dataset, request: Request) -> tuple[FileDataset, Counter[str]]:
    """Return the object without identity, and how many attributes each action met.

    ``data`` stays as it is. Values that cannot be read are left out.

    Raises:
        ValueError: if it has no SOP class or instance.
    """
    sop_class, instance = text(data, "SOPClassUID"), text(data, "SOPInstanceUID")
    if not sop_class or not instance:
        raise ValueError("it is no DICOM object: it lacks its SOP class or instance")
    walk = _Walk(request, sop_class, identifying_tokens(data))
    implicit, little = data.original_encoding
    clean = FileDataset(
        "",
        {},
        preamble=b"\0" * 128,
        file_meta=_file_meta(data),
        is_implicit_VR=bool(implicit),
        is_little_endian=little is not False,
    )
    _fill(clean, data, walk, nested=False, blank=False)
    clean.SOPClassUID = UID(sop_class)
    _declare(clean, request)
    clean.file_meta.MediaStorageSOPClassUID = clean.SOPClassUID
    clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    return clean, walk.counts


def _file_meta(data: Dataset) -> FileMetaDataset:
    """Return file meta information made anew; only the transfer syntax is taken over."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax(data) or ExplicitVRLittleEndian)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = MAKER.upper()
    return meta


def identifying_tokens(data: Dataset) -> frozenset[str]:
    """Return the words of names and the identifiers at top level, in capitals."""
    words = ("PatientName", "PatientID", "AccessionNumber", "OtherPatientIDs", "OtherPatientNames")
    people = ("ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName")
    found = " ".join(text(data, word) for word in (*words, *people))
    for sign in "^=/,.":
        found = found.replace(sign, " ")
    return frozenset(w for w in found.upper().split() if len(w) >= TOKEN_LENGTH)


def _fill(clean: Dataset, data: Dataset, walk: _Walk, nested: bool, blank: bool) -> None:
    """Put into ``clean`` what may stay of ``data``; ``blank`` replaces all text in it too."""
    spare = blank and text(data, "CodingSchemeDesignator") in _OPEN_SCHEMES
    for tag in sorted(data.keys()):
        if tag.element == 0:  # group lengths follow from what is written
            continue
        try:
            element = data[tag]
            made = _element(element, walk, nested, blank, spare)
        except Exception:  # the parser raises many kinds on a damaged value
            walk.counts["unreadable"] += 1
            continue
        if made is not None:
            clean.add(made)


def _element(
    element: DataElement, walk: _Walk, nested: bool, blank: bool, spare: bool
) -> DataElement | None:
    """Return what stands for ``element`` in the result, or None if nothing does."""
    tag, vr = element.tag, str(element.VR)
    action = walk.request.profile.action(tag, vr, walk.sop_class, nested)
    if action is not Action.REMOVE and _is_disguised(tag, vr):
        action = Action.REMOVE
    if action is Action.KEEP and blank and not (spare and element.keyword in _CODE):
        action = _blanked(vr)
    walk.counts[action.value] += 1
    if action is Action.REMOVE:
        return None
    if vr == "SQ":
        return _sequence(element, action, walk, blank)
    if tag == DOCUMENT and walk.request.seen and walk.sop_class == EncapsulatedSTLStorage:
        return DataElement(tag, vr, b"\0" * STL_HEADER + element.value[STL_HEADER:])
    if tag in (0x00100010, 0x00100020):
        return DataElement(tag, vr, walk.request.subject)
    if action is Action.CLEAN:
        return _cleaned(element, walk, nested)
    if action is Action.MAP:
        return _mapped(element, walk)
    if action is Action.KEEP:
        return _kept(element, walk)
    return DataElement(tag, vr, _DUMMIES[vr] if action is Action.DUMMY else "")


def _is_disguised(tag: BaseTag, vr: str) -> bool:
    """Tell whether a value is not stored as what its tag says, so that no rule covers it."""
    if not dictionary_has_tag(tag):
        return True
    expected = dictionary_VR(tag).split(" or ")
    return vr not in expected and (vr == "SQ" or "SQ" in expected or vr in (*_TEXT, *_BYTES))


def _blanked(vr: str) -> Action:
    """Return what happens to values of which a sequence must not keep the text."""
    if vr in _TEXT or vr in ("DA", "TM", "DT", "AS"):
        return Action.DUMMY
    return Action.REMOVE if vr in _BYTES else Action.KEEP


def _sequence(element: DataElement, action: Action, walk: _Walk, blank: bool) -> DataElement:
    items = []
    for item in [] if action is Action.EMPTY else element.value:
        kept = Dataset()
        _fill(kept, item, walk, True, blank or action in (Action.DUMMY, Action.CLEAN))
        items.append(kept)
    return DataElement(element.tag, "SQ", items)


def _mapped(element: DataElement, walk: _Walk) -> DataElement | None:
    if element.VR != "UI":
        return None
    mapped = [walk.request.names.uid(str(uid).strip("\0 ")) for uid in _values(element)]
    return DataElement(element.tag, "UI", mapped[0] if len(mapped) == 1 else mapped)


def _values(element: DataElement) -> list[Any]:
    found = element.value
    if isinstance(found, MultiValue | list):
        return list(found)
    return [] if found is None else [found]


def _cleaned(element: DataElement, walk: _Walk, nested: bool) -> DataElement | None:
    """Return dates moved and descriptions in known words; else what the Basic Profile says."""
    tag, vr = element.tag, str(element.VR)
    if vr in ("DA", "DT"):
        days = walk.request.names.shift_days(walk.request.identity)
        moved = [shifted(str(v), days) if str(v).strip() else "" for v in _values(element)]
        return DataElement(tag, vr, moved[0] if len(moved) == 1 else moved)
    if vr == "TM":  # whole days leave it as it is
        return element
    if vr in ("LO", "LT", "SH", "ST", "UC", "UT"):
        words = [plain_words(str(v)) for v in _values(element)]
        return DataElement(tag, vr, " ".join(filter(None, words)) or REMOVED)
    row = table().rows[f"{tag:08X}"]
    action = walk.request.profile.basic(row, walk.sop_class, nested)
    if action is Action.REMOVE:
        return None
    return DataElement(tag, vr, _DUMMIES[vr] if action is Action.DUMMY else "")


def _kept(element: DataElement, walk: _Walk) -> DataElement:
    """Return the element itself, unless its text repeats a name, or an age is too rare.

    Raises:
        ValueError: if it is no value of its kind.
    """
    tag, vr = element.tag, str(element.VR)
    said = [str(v).strip("\0 ") for v in _values(element)] if vr in _FORMS else []
    if not all(_FORMS[vr].fullmatch(v) for v in said if v):
        raise ValueError(f"no value of kind {vr}")
    if vr == "AS":
        years = str(element.value or "")
        if years.endswith("Y") and years[:-1].isdigit() and int(years[:-1]) > OLDEST_YEARS:
            return DataElement(tag, vr, f"{OLDEST_YEARS + 1:03d}Y")
    if vr in _TEXT and any(t in str(element.value).upper() for t in walk.tokens):
        walk.counts["repeated"] += 1
        return DataElement(tag, vr, _DUMMIES[vr])
    return element


def _declare(clean: FileDataset, request: Request) -> None:
    """Write down that identity was removed, and how (PS3.3 C.12.1.1 and C.7.1.1)."""
    options = request.profile.options
    clean.PatientName = clean.PatientID = request.subject
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = f"{MAKER}: PS3.15 2026c Basic Profile"
    codes = [BASIC_CODE, *(code for option, code in OPTION_CODES.items() if option in options)]
    if request.blackened:
        codes.append(CLEAN_PIXELS_CODE)
    clean.DeidentificationMethodCodeSequence = [
        code_item(number, "DCM", meaning) for number, meaning in codes
    ]
    dates = "UNMODIFIED" if "full_dates" in options else "REMOVED"
    dates = "MODIFIED" if "shifted_dates" in options else dates
    clean.LongitudinalTemporalInformationModified = dates
    if request.seen:
        clean.BurnedInAnnotation = "NO"
    if request.face:
        clean.RecognizableVisualFeatures = "YES"
