"""PS3.15 Annex E: marked values, UIDs, dates and options, at every depth."""

from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage

from tests.workstation.dicom_phantom import make_slice
from tests.workstation.marked import Marks, fill, leaves, marked_object, reread, row_tags, stored
from workstation.dicom.confidentiality import OPTION_CODES, Action, Profile, table
from workstation.dicom.deidentify import Request, deidentify, identity_of
from workstation.dicom.plain_words import plain_words
from workstation.dicom.pseudonyms import Pseudonyms, read_key, shifted

NAMES = Pseudonyms(b"k" * 32)


def request(*options, names=NAMES, identity="P1", **more):
    return Request(Profile(frozenset(options)), names, identity, "SUBJECT", **more)


def clean(data, *options, **more):
    return deidentify(data, request(*options, **more))[0]


# The table --------------------------------------------------------------------------------


def test_the_table_is_whole_and_says_where_it_is_from():
    rows = table().rows
    assert len(rows) == 656
    assert "2026c" in table().title
    assert "BSD-3-Clause" in table().origin
    assert {c for row in rows.values() for c in row.basic.split("/")} == set("XZDU")
    assert {v for row in rows.values() for v in row.options.values()} == {"K", "C"}
    counts = {o: sum(o in row.options for row in rows.values()) for o in OPTION_CODES}
    assert counts == {
        "uids": 60,
        "device": 57,
        "institution": 10,
        "patient": 14,
        "full_dates": 165,
        "shifted_dates": 165,
        "descriptors": 125,
    }


@pytest.mark.parametrize(  # read from PS3.15 Table E.1-1 by hand
    ("name", "basic", "options"),
    [
        ("AccessionNumber", "Z", {}),
        ("AcquisitionDate", "X/Z", {"full_dates": "K", "shifted_dates": "C"}),
        ("ContentSequence", "D", {"structured": "C"}),
        ("DeviceSerialNumber", "X/Z/D", {"device": "K"}),
        ("DeviceUID", "U", {"uids": "K", "device": "K"}),
        ("InstitutionName", "X/Z/D", {"institution": "K"}),
        ("PatientAge", "X", {"patient": "K"}),
        ("PatientBirthDate", "Z", {}),
        ("PatientID", "Z/D", {}),
        ("PatientName", "Z", {}),
        ("PatientState", "X", {"patient": "C", "descriptors": "C"}),
        ("ReferencedImageSequence", "X/Z/U", {"uids": "K"}),
        ("SeriesDescription", "X", {"descriptors": "C"}),
        ("StationAETitle", "X", {"device": "C"}),
        ("StudyDate", "Z", {"full_dates": "K", "shifted_dates": "C"}),
        ("UID", "U", {}),
    ],
)
def test_rows_of_the_table(name, basic, options):
    row = table().rows[f"{Tag(name):08X}"]
    assert (row.name, row.basic, dict(row.options)) == (name, basic, options)


def test_what_an_attribute_is_required_for_decides_between_alternatives():
    def action(name, sop_class, nested=False):
        return Profile().action(Tag(name), "LO", sop_class, nested)

    enhanced = "1.2.840.10008.5.1.4.1.1.2.1"
    assert action("DeviceSerialNumber", CTImageStorage) is Action.REMOVE
    assert action("DeviceSerialNumber", enhanced) is Action.DUMMY
    assert action("ContentDate", CTImageStorage) is Action.EMPTY
    assert action("ContentDate", enhanced) is Action.DUMMY
    assert action("DeviceSerialNumber", "1.2.3") is Action.DUMMY  # unknown: stay valid
    assert action("InstitutionName", CTImageStorage, nested=True) is Action.DUMMY


# Marked values ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def marks():
    return Marks()


@pytest.fixture(scope="module")
def marked(marks):
    return marked_object(marks)


def test_no_marked_value_survives_at_any_depth(marks, marked):
    before = stored(marked)
    found = marks.surviving(before)
    assert len(found) > 4 * 580  # the search itself sees them
    after = stored(clean(marked))
    assert marks.surviving(after) == set()
    assert stored(marked) == before


def test_short_values_are_other_ones_too(marked):
    """Numbers and ages are too short to be searched for in bytes."""
    was = {path: element.value for path, element in leaves(marked)}
    rows = {t for t in row_tags() if t.group > 4}
    for path, element in leaves(clean(marked)):
        if path[-1] in rows and element.VR not in ("AT",):
            assert not element.value or element.value != was.get(path), path


@pytest.mark.parametrize("option", OPTION_CODES)
def test_an_option_spares_its_own_rows_only(option):
    marks = Marks()
    marked = marked_object(marks, depth=1)
    after = marks.surviving(stored(clean(marked, option)))
    spared = {f"{int(tag, 16):08X}" for tag, row in table().rows.items() if option in row.options}
    spared = {str(Tag(int(tag, 16))) for tag in spared}
    assert {owner.partition(":")[2] for owner in after} <= spared
    if option != "descriptors":  # whose words are cleaned away
        assert after


def test_unknown_private_and_disguised_values_go():
    data = make_slice((0, 0, 0))
    data.add(DataElement(0x00180050, "LT", "Jane lies in SliceThickness"))
    data.add(DataElement(0x00104321, "LO", "Jane in an unknown attribute"))
    data.add(DataElement(0x00111001, "SQ", [Dataset()]))
    done = clean(data)
    assert b"Jane" not in stored(done)
    assert not any(e.tag.is_private for e in done)


def test_a_name_that_is_repeated_elsewhere_is_found():
    data = make_slice((0, 0, 0))
    data.PatientName = "Achterberg^Jane"
    data.Manufacturer = "ACME"
    data.ManufacturerModelName = "Scanner of ACHTERBERG"
    done = clean(data)
    assert (done.Manufacturer, done.ManufacturerModelName) == ("ACME", "REMOVED")


def test_words_in_place_of_a_number_are_left_out():
    data = make_slice((0, 0, 0))
    data.KVP = "120"
    raw = stored(data).replace(b"DS\x04\x00120 ", b"DS\x04\x00Jane")
    done, counts = deidentify(pydicom.dcmread(BytesIO(raw)), request())
    assert b"Jane" not in stored(done)
    assert counts["unreadable"] == 1


@st.composite
def nested(draw, depth=4):
    """A data set with some rows, some of them inside sequences inside sequences."""
    tags = draw(st.lists(st.sampled_from(row_tags()), max_size=6))
    inner = draw(st.lists(nested(depth=depth - 1), max_size=2)) if depth else []
    return tags, inner


def _built(tree, marks, path=""):
    tags, inner = tree
    data = fill(Dataset(), marks, path, tags)
    items = [_built(sub, marks, f"{path}{n}.") for n, sub in enumerate(inner)]
    data.add(DataElement(Tag("SharedFunctionalGroupsSequence"), "SQ", items))
    return data


@settings(max_examples=40, deadline=None)
@given(nested())
def test_no_marked_value_survives_any_nesting(tree):
    marks = Marks()
    data = make_slice((0, 0, 0))
    data.update(_built(tree, marks))
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, "1.2.777.0.9"
    assert marks.surviving(stored(clean(data))) == set()


# UIDs -------------------------------------------------------------------------------------


def test_uids_are_replaced_alike_everywhere():
    first, second = make_slice((0, 0, 0), number=1), make_slice((0, 0, 1), number=2)
    reference = Dataset()
    reference.ReferencedSOPClassUID = CTImageStorage
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ReferencedInstanceSequence = [reference]
    second.ReferencedSeriesSequence = [series]
    a, b = clean(first), clean(second)
    (item,) = b.ReferencedSeriesSequence
    (to,) = item.ReferencedInstanceSequence
    assert to.ReferencedSOPInstanceUID == a.SOPInstanceUID == a.file_meta.MediaStorageSOPInstanceUID
    assert to.ReferencedSOPClassUID == CTImageStorage == a.SOPClassUID
    assert item.SeriesInstanceUID == a.SeriesInstanceUID == b.SeriesInstanceUID
    assert a.FrameOfReferenceUID == b.FrameOfReferenceUID != first.FrameOfReferenceUID
    assert a.SOPInstanceUID != b.SOPInstanceUID


def test_another_key_gives_other_replacements():
    data = make_slice((0, 0, 0))
    other = Pseudonyms(b"o" * 32)
    assert clean(data, names=other).SOPInstanceUID != clean(data).SOPInstanceUID
    assert other.subject("P1") != NAMES.subject("P1") != NAMES.subject("P2")


@given(st.text(min_size=1).filter(lambda t: not t.startswith("1.2.840.10008.")))
def test_uids_are_valid_and_depend_on_the_whole_input(uid):
    made = NAMES.uid(uid)
    assert pydicom.uid.UID(made).is_valid
    assert made.startswith("2.25.")
    assert NAMES.uid(uid + "1") != made
    assert NAMES.uid("1.2.840.10008.1.2.1") == "1.2.840.10008.1.2.1"


def test_the_key_is_for_its_owner_and_never_shown(tmp_path):
    path = tmp_path / "key"
    key = read_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == key
    assert len(key) == 32
    assert key.hex() not in repr(Pseudonyms(key))
    path.write_text("no key")
    with pytest.raises(ValueError, match="holds no key"):
        read_key(path)


# Dates ------------------------------------------------------------------------------------


def dated():
    data = make_slice((0, 0, 0))
    data.StudyDate, data.StudyTime, data.ContentDate = "20200228", "101112", "20200301"
    data.AcquisitionDateTime = "20200301101112.5+0100"
    data.PatientBirthDate = "19301231"
    return data


def test_dates_go_unless_an_option_keeps_or_moves_them():
    done = clean(dated())
    assert not done.StudyDate
    assert not done.StudyTime
    assert "AcquisitionDateTime" not in done
    assert done.LongitudinalTemporalInformationModified == "REMOVED"
    kept = clean(dated(), "full_dates")
    assert (kept.StudyDate, kept.StudyTime) == ("20200228", "101112")
    assert kept.LongitudinalTemporalInformationModified == "UNMODIFIED"
    assert not kept.PatientBirthDate


def test_moved_dates_keep_their_intervals_per_patient():
    done = clean(dated(), "shifted_dates")
    assert done.StudyDate != "20200228"
    assert (
        int(pydicom.valuerep.DA(done.ContentDate).toordinal())
        - int(pydicom.valuerep.DA(done.StudyDate).toordinal())
        == 2
    )
    assert done.AcquisitionDateTime == f"{done.ContentDate}101112.5+0100"
    assert done.LongitudinalTemporalInformationModified == "MODIFIED"
    assert clean(dated(), "shifted_dates", identity="P2").StudyDate != done.StudyDate


@pytest.mark.parametrize(
    ("text", "days", "moved"),
    [
        ("20200301", -1, "20200229"),
        ("2020.03.01", -1, "20200229"),
        ("202003", -31, "202002"),
        ("2020", -366, "2019"),
        ("20200301123000.5-0500", 1, "20200302123000.5-0500"),
        ("09990101", 1, "09990102"),
    ],
)
def test_dates_move(text, days, moved):
    assert shifted(text, days) == moved


@pytest.mark.parametrize("text", ["", "yesterday", "20201301", "20200", "00010101"])
def test_what_is_no_date_does_not_move(text):
    with pytest.raises(ValueError):
        shifted(text, -1)


# What is declared, and options ------------------------------------------------------------


def test_the_object_says_what_was_done():
    done = reread(clean(make_slice((0, 0, 0)), "device", "shifted_dates", seen=True, face=True))
    assert done.PatientIdentityRemoved == "YES"
    assert [i.CodeValue for i in done.DeidentificationMethodCodeSequence] == [
        "113100",
        "113109",
        "113107",
    ]
    assert (done.PatientName, done.PatientID) == ("SUBJECT", "SUBJECT")
    assert (done.BurnedInAnnotation, done.RecognizableVisualFeatures) == ("NO", "YES")
    assert done.preamble == b"\0" * 128
    assert "SourceApplicationEntityTitle" not in done.file_meta


@pytest.mark.parametrize(("age", "kept"), [("089Y", "089Y"), ("090Y", "090Y"), ("101Y", "090Y")])
def test_great_ages_are_one_class(age, kept):
    data = make_slice((0, 0, 0))
    data.PatientAge = age
    assert clean(data, "patient").PatientAge == kept
    assert "PatientAge" not in clean(data)


def test_descriptions_keep_known_words():
    data = make_slice((0, 0, 0))
    data.SeriesDescription = "CT Abdomen Dr. Smith portal venous 1.5mm 12031999"
    assert clean(data, "descriptors").SeriesDescription == "CT ABDOMEN PORTAL VENOUS 1.5MM"
    assert "SeriesDescription" not in clean(data)
    assert plain_words("Jane Doe") == ""


def test_text_of_reports_goes_and_their_codes_and_numbers_stay():
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator = "118565006", "SCT"
    concept.CodeMeaning = "Volume"
    own = Dataset()
    own.CodeValue, own.CodingSchemeDesignator, own.CodeMeaning = "JANE", "99JANE", "Jane"
    number, words = Dataset(), Dataset()
    number.ValueType, number.NumericValue = "NUM", "12.5"
    number.ConceptNameCodeSequence = [concept]
    words.ValueType, words.TextValue = "TEXT", "Jane has a lesion"
    words.ConceptNameCodeSequence = [own]
    data = make_slice((0, 0, 0))
    data.ContentSequence = [number, words]
    done = reread(clean(data))
    assert b"Jane" not in stored(done)
    assert b"JANE" not in stored(done)
    first, second = done.ContentSequence
    assert (first.NumericValue, first.ConceptNameCodeSequence[0].CodeMeaning) == (12.5, "Volume")
    assert second.TextValue == "REMOVED"


def test_pixels_and_geometry_stay_as_they_are():
    data = make_slice((1.5, 2.5, 3.5))
    done = reread(clean(data))
    assert done.PixelData == data.PixelData
    assert done.ImagePositionPatient == data.ImagePositionPatient
    assert done.PixelSpacing == data.PixelSpacing


def test_a_patient_without_id_is_known_by_name_then_study():
    data = make_slice((0, 0, 0))
    assert identity_of(data) == "P1"
    data.PatientID = ""
    assert identity_of(data).startswith("Doe^Jane")
    data.PatientName = ""
    assert identity_of(data) == "1.2"


def test_what_is_no_object_is_refused():
    with pytest.raises(ValueError, match="no DICOM object"):
        clean(Dataset())


def test_rows_that_the_dictionary_lacks_go_too():
    lacking = [t for t in row_tags() if not dictionary_has_tag(t) and t.group < 0x5000]
    assert len(lacking) > 15
    assert all(Profile().action(t, "LO", CTImageStorage, False) is Action.REMOVE for t in lacking)
