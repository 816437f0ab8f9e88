"""Series split by time, phase, echo and b-value stay series: each part knows its place."""

import json
import random

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.workstation.dicom_phantom import (
    COLUMNS,
    ROWS,
    SLICES,
    fill,
    positions,
    write,
)
from tests.workstation.test_dicom_multiframe import enhanced, item
from workstation import __main__ as door
from workstation.case import CaseError, create_case, open_case
from workstation.dicom.files import read, scan
from workstation.importing import import_parts


def series(folder, values, setter, count=SLICES, **kind):
    """Write ``count`` slices for each of ``values`` in random order; part n holds 100 n."""
    parts = [(n, k) for n in range(len(values)) for k in range(count)]
    random.Random(4).shuffle(parts)

    def edit(data, index):
        n, k = parts[index]
        setter(data, values[n], k)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{n}.{k}"
        data.InstanceNumber = 7 * k + n + 1
        fill(data, np.full((ROWS, COLUMNS), 100.0 * n))

    write(folder, [positions(count)[k] for _, k in parts], edit=edit, **kind)
    return scan([folder]).volumes


def simple(name):
    def setter(data, value, k):
        setattr(data, name, value)

    return setter


def timed(data, value, k):
    data.TemporalPositionIdentifier = value
    data.AcquisitionTime = f"1159{50 + 4 * value:02d}.{k}" if value < 3 else f"120002.{k}"


@pytest.mark.parametrize(
    ("setter", "values", "kind", "found", "unit"),
    [
        (simple("TriggerTime"), [900, 30, 450], "phase", [30, 450, 900], "ms"),
        (simple("EchoTime"), [4.76, 2.38], "echo", [2.38, 4.76], "ms"),
        (simple("InversionTime"), [50, 2500], "inversion", [50, 2500], "ms"),
        (simple("FlipAngle"), [15, 5], "flip angle", [5, 15], "degree"),
        (simple("DiffusionBValue"), [1000, 0, 50], "b-value", [0, 50, 1000], "s/mm2"),
        (simple("AcquisitionTime"), ["120010", "115959.5"], "time", [0, 10500], "ms"),
        (simple("AcquisitionNumber"), [11, 2], "time", [None, None], ""),
        (simple("KVP"), [140, 80], "energy", [80, 140], "kV"),
        (simple("ContrastBolusAgent"), ["b", "a"], "contrast", [None, None], ""),
    ],
)
def test_parts_are_in_the_order_of_their_value(tmp_path, setter, values, kind, found, unit):
    volumes = series(tmp_path, values, setter, modality="MR")
    assert [v.part.kind for v in volumes] == [kind] * len(values)
    parts = sorted(volumes, key=lambda v: v.part.number)
    assert [(v.part.number, v.part.count) for v in parts] == [
        (n + 1, len(values)) for n in range(len(values))
    ]
    assert [v.part.value for v in parts] == found
    assert {v.part.unit for v in parts} == {unit}
    held = [int(read(v).array.max()) // 100 for v in parts]
    assert held == [values.index(value) for value in sorted(values)]


def test_times_count_from_the_first(tmp_path):
    volumes = series(tmp_path, [1, 2, 3], timed, modality="MR")
    parts = sorted(volumes, key=lambda v: v.part.number)
    assert [v.part.value for v in parts] == [0, 4000, 8000]


def test_echo_numbers_take_their_echo_time(tmp_path):
    def echo(data, value, k):
        data.EchoNumbers, data.EchoTime = value, 2.5 * value

    parts = sorted(series(tmp_path, [2, 1], echo, modality="MR"), key=lambda v: v.part.number)
    assert [(v.part.kind, v.part.value) for v in parts] == [("echo", 2.5), ("echo", 5.0)]


def test_a_kind_that_is_no_axis_is_no_part(tmp_path):
    def types(data, value, k):
        data.ImageType = ["ORIGINAL", "PRIMARY", value, "ND"]

    assert [v.part for v in series(tmp_path / "a", ["M", "P"], types, modality="MR")] == [None] * 2
    write(tmp_path / "b", [(0, 0, z) for z in (0, 4, 8, 12, 19, 26, 33)])
    assert [v.part for v in scan([tmp_path / "b"]).volumes] == [None, None]


def test_magnitude_and_phase_have_their_own_times(tmp_path):
    def both(data, value, k):
        data.ImageType = ["ORIGINAL", "PRIMARY", value[0], "ND"]
        data.TemporalPositionIdentifier = value[1]

    values = [(kind, time) for kind in "MP" for time in (1, 2)]
    volumes = series(tmp_path, values, both, modality="MR")
    assert sorted((v.part.kind, v.part.number, v.part.count) for v in volumes) == [
        ("time", 1, 2),
        ("time", 1, 2),
        ("time", 2, 2),
        ("time", 2, 2),
    ]


def test_phases_of_an_enhanced_image_know_their_delay(tmp_path):
    data = enhanced(positions(), ["T1"], [1.0])
    frames = list(data.PerFrameFunctionalGroupsSequence)
    pixels = data.PixelData
    groups = []
    for delay in (120.0, 40.0):
        for frame in frames:
            own = Dataset()
            own.update(frame)
            own.CardiacSynchronizationSequence = item(NominalCardiacTriggerDelayTime=delay)
            groups.append(own)
    data.PerFrameFunctionalGroupsSequence = groups
    data.NumberOfFrames = len(groups)
    data.PixelData = pixels * 2
    data.save_as(tmp_path / "one")
    volumes = scan([tmp_path]).volumes
    assert [(v.part.kind, v.part.number, v.part.value) for v in volumes] == [
        ("phase", 1, 40.0),
        ("phase", 2, 120.0),
    ]


# ------------------------------------------------------------------ in a case


def test_a_whole_series_is_imported_in_order_and_read_again(tmp_path):
    series(tmp_path / "in", [1, 2, 3], timed, modality="MR")
    with create_case(tmp_path / "case") as case:
        names = import_parts(case, [tmp_path / "in"], "perf")
        assert names == ["perf", "perf_2", "perf_3"]
        records = [case.record.sources[name] for name in names]
        assert [r["part"]["number"] for r in records] == [1, 2, 3]
        assert [r["part"]["value"] for r in records] == [0, 4000, 8000]
        assert records[0]["part"]["kind"] == "time"
        assert len({r["folder"] for r in records}) == 1
        assert len(list((tmp_path / "case" / records[0]["folder"]).iterdir())) == 3 * SLICES
    with open_case(tmp_path / "case", write=False) as case:
        for n, name in enumerate(names):
            volume = case.reread_source(name, case.record.sources[name]["sha256"])
            assert np.all(volume.array == 100 * n)


def test_the_command_line_imports_all_parts(tmp_path, capsys):
    series(tmp_path / "in", [1, 2], timed, modality="MR")
    line = ["import", str(tmp_path / "in"), "--case", str(tmp_path / "case"), "--series", "1.2.3"]
    assert door.main([*line, "--all-parts", "--as", "perf", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == "perf"
    assert [s["name"] for s in document["sources"]] == ["perf", "perf_2"]
    assert door.main(["scan", str(tmp_path / "in"), "--json"]) == 0
    part = json.loads(capsys.readouterr().out)["volumes"][0]["part"]
    assert part == {"kind": "time", "number": 1, "count": 2, "value": 0.0, "unit": "ms"}


def test_a_part_that_cannot_be_read_is_told(tmp_path):
    series(tmp_path / "in", [1, 2], timed, modality="MR", count=8)
    volume = scan([tmp_path / "in"]).volumes[1]
    volume.slices[3].source.path.unlink()
    with create_case(tmp_path / "case") as case:
        with pytest.raises(CaseError, match=r"time 2.*missing"):
            import_parts(case, [tmp_path / "in"], "perf")
        names = import_parts(case, [tmp_path / "in"], "perf", accept=["interpolate_missing"])
        assert case.record.sources[names[1]]["accepted"][0]["code"] == "interpolate_missing"
