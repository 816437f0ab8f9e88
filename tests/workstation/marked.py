"""Data sets in which every attribute of PS3.15 Table E.1-1 carries a value that can be found."""

import re
import struct
from datetime import date, timedelta
from io import BytesIO

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from workstation.dicom.confidentiality import table

CONTAINERS = (  # sequences that no rule of the table is about
    "ReferencedSeriesSequence",
    "CTExposureSequence",
    "PerFrameFunctionalGroupsSequence",
)
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_PERSONAL = Tag("PatientName"), Tag("PatientID")
_FIRST = date(1200, 1, 1)


class Marks:
    """Makes values that occur nowhere else, and finds them again in bytes."""

    def __init__(self):
        self.made = {}
        self.dates = 0

    def value(self, vr, owner):
        n = len(self.made) + 1
        # Dates follow day on day: none moves by so little that it becomes another.
        self.dates += vr == "DA"
        number = {"US": 40000 + n, "SS": 20000 + n, "FL": 0.0, "FD": n + 0.123456789}
        text = {
            "DA": f"{(_FIRST + timedelta(days=self.dates)):%Y%m%d}",
            "TM": f"123456.{n:06d}",
            "DT": f"1999050512{n // 60 % 60:02d}{n % 60:02d}.{n:06d}",
            "UI": f"1.2.777.{n}.9",
            "AS": f"{n % 1000:03d}D",
            "DS": f"77.{n:06d}",
            "IS": f"77{n:06d}",
            "UR": f"http://mark{n:05d}x/",
        }
        if vr in _NUMBERS:
            value = number.get(vr, 1_000_000_000 + n)
            self.made[struct.pack(f"<{_NUMBERS[vr]}", value)] = owner
        elif vr in ("OB", "OW", "OL", "OF", "OD", "OV", "UN"):
            value = f"mark{n:05d}xxxxxxx".encode()
            self.made[value] = owner
        elif vr == "AT":
            return 0x00100010
        else:
            value = text.get(vr, f"MARK{n:05d}X")
            self.made[value.encode()] = owner
        return value

    def surviving(self, content):
        """What of the values still stands in ``content``; two-byte numbers are left to chance.

        Identifiers made anew are long random numbers, in which eight digits stand by chance.
        """
        told = re.sub(rb"2\.25\.\d+", b"", content)
        return {o for mark, o in self.made.items() if len(mark) > 4 and mark in told}


def vr_of(tag):
    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "LO"


def row_tags():
    """The tags of all rows; one of each repeating group, and private ones."""
    spelt = {"50XXXXXX": ["50040010"], "60XX3000": ["60023000"], "60XX4000": ["60024000"]}
    found = [t for name in table().rows for t in spelt.get(name, [name]) if t != "PRIVATE"]
    return [Tag(int(t, 16)) for t in found]


def fill(data, marks, path, tags=None):
    """Give ``data`` every row, private and unknown attributes, with marked values."""
    for tag in row_tags() if tags is None else tags:
        if tag.group in (0, 2, 4):  # of commands, files and directories
            continue
        vr = vr_of(tag)
        owner = f"{path}{tag}"
        if vr == "SQ":
            inside = Dataset()
            for name in ("ReferencedSOPInstanceUID", "TextValue", "PersonName"):
                within = Tag(name)
                value = marks.value(vr_of(within), f"{path}{within}")
                inside.add(DataElement(within, vr_of(within), value))
            data.add(DataElement(tag, vr, [inside]))
        else:
            data.add(DataElement(tag, vr, marks.value(vr, owner)))
    data.add(DataElement(0x00090010, "LO", "ACME"))
    data.add(DataElement(0x00091001, "LO", marks.value("LO", f"{path}private")))
    data.add(DataElement(0x0028222B, "LO", marks.value("LO", f"{path}unknown")))
    data.add(DataElement(0x50020005, "US", marks.value("US", f"{path}curve")))
    data.add(DataElement(0x60000022, "LO", marks.value("LO", f"{path}overlay")))
    return data


def marked_object(marks, depth=3, sop_class=CTImageStorage):
    """An object whose rows are all there at top level and at ``depth`` nesting depths."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = marks.value("AE", "meta")
    meta.PrivateInformationCreatorUID = marks.value("UI", "meta")
    meta.PrivateInformation = marks.value("OB", "meta")
    preamble = marks.value("OB", "preamble").ljust(128, b"\0")
    top = FileDataset("", {}, preamble=preamble, file_meta=meta)
    data = top
    for level in range(depth + 1):
        fill(data, marks, f"{level}:")
        if level < depth:
            inner = Dataset()
            data.add(DataElement(Tag(CONTAINERS[level]), "SQ", [inner]))
            data = inner
    top.SOPClassUID = meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = top.SOPInstanceUID
    return top


def stored(data):
    """The bytes of a file with this content, as a file would hold them."""
    stream = BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def reread(data):
    return pydicom.dcmread(BytesIO(stored(data)))


def leaves(data, path=()):
    """All elements that are no sequence, with the path to them."""
    for element in data:
        if element.VR == "SQ":
            for n, item in enumerate(element.value):
                yield from leaves(item, (*path, element.tag, n))
        else:
            yield (*path, element.tag), element
