"""What DICOM PS3.15 Annex E does to each attribute: Table E.1-1, its options, and what it omits.

The table is `confidentiality.json`; its edition, origin and licences stand there. Where the
table leaves a choice ("X unless D is required"), the type of the attribute in the object's own
definition (PS3.3) decides; where that is not known, the value is replaced rather than removed,
so that the object stays valid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.tag import BaseTag

Option = Literal[
    "uids",
    "device",
    "institution",
    "patient",
    "full_dates",
    "shifted_dates",
    "descriptors",
]


class Action(StrEnum):
    """What happens to an attribute (PS3.15 E.3)."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    MAP = "U"
    KEEP = "K"
    CLEAN = "C"


BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS_CODE = ("113101", "Clean Pixel Data Option")
OPTION_CODES: Mapping[Option, tuple[str, str]] = MappingProxyType(
    {
        "uids": ("113110", "Retain UIDs Option"),
        "device": ("113109", "Retain Device Identity Option"),
        "institution": ("113112", "Retain Institution Identity Option"),
        "patient": ("113108", "Retain Patient Characteristics Option"),
        "full_dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
        "shifted_dates": (
            "113107",
            "Retain Longitudinal Temporal Information Modified Dates Option",
        ),
        "descriptors": ("113105", "Clean Descriptors Option"),
    }
)
"""PS3.16 CID 7050. Options that are not here are not offered."""

CURVES, OVERLAYS = 0x5000, 0x6000
_ORDER: tuple[Option, ...] = ("shifted_dates", "full_dates", *OPTION_CODES)  # strictest first

# Attributes that the table omits and that can identify somebody or hold a second picture.
_ALSO_REMOVED_NAMES = """
    ICCProfile MACParametersSequence EncryptedAttributesSequence IssuerOfAccessionNumberSequence
    IssuerOfPatientIDQualifiersSequence TypeOfPatientID SourcePatientGroupIdentificationSequence
    GroupOfPatientsIdentificationSequence RequestingServiceCodeSequence
    ReasonForPerformedProcedureCodeSequence PatientBirthDateInAlternativeCalendar
    PatientDeathDateInAlternativeCalendar RetrieveURL RetrieveURI StorageURL StoredInstanceBaseURI
    FolderAccessURI FileAccessURI FilenameInContainer ContactURI ContactDisplayName
"""
_ALSO_REMOVED = frozenset(_ALSO_REMOVED_NAMES.split())
# These UIDs name a kind of thing, not a thing of somebody.
_KIND_NAMES = """
    SOPClassUID ReferencedSOPClassUID RequestedSOPClassUID AffectedSOPClassUID
    MediaStorageSOPClassUID ReferencedSOPClassUIDInFile RelatedGeneralSOPClassUID
    OriginalSpecializedSOPClassUID SOPClassesInStudy SOPClassesSupported TransferSyntaxUID
    ReferencedTransferSyntaxUIDInFile EncryptedContentTransferSyntaxUID
    MACCalculationTransferSyntaxUID AvailableTransferSyntaxUID CodingSchemeUID ContextUID
    MappingResourceUID
"""
_KINDS = frozenset(_KIND_NAMES.split())
_CODED = frozenset({"LongCodeValue", "URNCodeValue", "CodingSchemeURL"})
_DATES = ("DA", "TM", "DT")
_LONG_TEXT = ("LT", "ST", "UT", "UC", "UR")


@dataclass(frozen=True)
class Row:
    """One row of Table E.1-1; ``basic`` may be alternatives such as ``X/Z/D``."""

    tag: str
    name: str
    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """Rows by tag (``00100010``, ``60XX3000``, ``PRIVATE``), and types by SOP class.

    ``types`` goes from a SOP class to the tags of type 1 and of type 2 at top level.
    """

    title: str
    origin: str
    rows: Mapping[str, Row]
    types: Mapping[str, tuple[frozenset[str], frozenset[str]]]


@lru_cache(maxsize=1)
def table() -> Table:
    """Return the table that ships."""
    document = json.loads(
        files("workstation.dicom").joinpath("confidentiality.json").read_text(encoding="utf-8")
    )
    rows = {
        record["tag"]: Row(
            record.pop("tag"), record.pop("name"), record.pop("basic"), MappingProxyType(record)
        )
        for record in document["rows"]
    }
    types = {
        uid: (frozenset(group["type1"]), frozenset(group["type2"]))
        for group in document["types"]
        for uid in group["sop_classes"]
    }
    return Table(
        document["table"], document["origin"], MappingProxyType(rows), MappingProxyType(types)
    )


@dataclass(frozen=True)
class Profile:
    """The Basic Profile with the chosen ``options``."""

    options: frozenset[Option] = frozenset()

    def action(self, tag: BaseTag, vr: str, sop_class: str, nested: bool) -> Action:
        """Return what happens to an attribute of an object of ``sop_class``.

        ``nested`` tells that it lies inside a sequence; ``vr`` is how it is stored.
        """
        if tag.is_private or tag.group & 0xFF00 in (CURVES, OVERLAYS):
            return Action.REMOVE
        row = table().rows.get(f"{tag:08X}")
        if row is None:
            return self._unlisted(tag, vr)
        for option in _ORDER:
            if option in self.options and option in row.options:
                return Action(row.options[option])
        return self.basic(row, sop_class, nested)

    def basic(self, row: Row, sop_class: str, nested: bool) -> Action:
        """Return the action of the Basic Profile, without any option."""
        choices = row.basic.split("/")
        types = table().types.get(sop_class)
        if len(choices) == 1 or nested or types is None:
            return Action(choices[-1])
        type1, type2 = types
        if row.tag in type1:
            return Action(choices[-1])
        if row.tag in type2:
            return Action("Z" if "Z" in choices else choices[-1])
        return Action(choices[0])

    def _unlisted(self, tag: BaseTag, vr: str) -> Action:
        """Return what happens to what the table omits (PS3.15 E.1.1, notes 1 and 4)."""
        name = keyword_for_tag(tag)
        if not dictionary_has_tag(tag) or vr == "UN" or name in _ALSO_REMOVED:
            return Action.REMOVE
        if vr == "OB" and tag.group != 0x7FE0:
            return Action.REMOVE
        if vr in _DATES:
            kept = {"full_dates": Action.KEEP, "shifted_dates": Action.CLEAN}
            return next((kept[o] for o in _ORDER[:2] if o in self.options), Action.DUMMY)
        if vr == "UI":
            return Action.KEEP if name in _KINDS or "uids" in self.options else Action.MAP
        if vr in ("PN", "AE") or (vr in _LONG_TEXT and name not in _CODED):
            return Action.DUMMY
        return Action.KEEP
