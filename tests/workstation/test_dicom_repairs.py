"""Repairs of refused volumes: what is offered, what they make, and how a case remembers them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workstation.dicom_phantom import (
    COLUMNS,
    OBLIQUE,
    ROWS,
    SPACING,
    assert_true_everywhere,
    codes,
    normal,
    only,
    positions,
    values_at,
    write,
)
from tests.workstation.test_dicom_geometry import planes, turned
from workstation import __main__ as door
from workstation.arguments import REPAIRS as ARGUMENTS
from workstation.case import CaseError, create_case, open_case
from workstation.dicom.files import (
    REPAIRS,
    DicomError,
    accept,
    read,
    scan,
    slice_positions,
    thumbnail,
)
from workstation.dicom.geometry import MAX_MISSING_TOGETHER, StackProblem, stack_geometry
from workstation.dicom.volumes import planes_of, stack_of
from workstation.importing import import_volume, start_plan
from workstation.planning.plan import Plan
from workstation.planning.template import find_template


def without(gone, count=30, **kind):
    return [p for k, p in enumerate(positions(count, **kind)) if k not in gone]


def offered(volume):
    return [r.code for r in volume.repairs]


ONE_ROW = 5 * SPACING[0]  # how much the phantom changes over the part row at a tilted edge


@pytest.mark.parametrize(
    ("step", "tolerance"),
    [((0, 0, 2.5), 1.1), ((0, 0.3, 2.5), ONE_ROW), (tuple(2.5 * normal(OBLIQUE)), 1.1)],
)
def test_missing_slices_are_interpolated_and_the_others_kept(tmp_path, step, tolerance):
    orientation = OBLIQUE if step[0] else (1, 0, 0, 0, 1, 0)
    places = without({3, 4, 10}, step=step)
    write(tmp_path, places, orientation)
    refused = only(tmp_path)
    assert (refused.status, refused.geometry, offered(refused)) == (
        "refused",
        None,
        ["interpolate_missing"],
    )
    assert "3 slices are interpolated" in refused.repairs[0].sentence
    assert "2 after" in refused.repairs[0].sentence
    volume = accept(refused, ["interpolate_missing"], by="Dr Grey")
    assert volume.status == "repaired"
    assert volume.geometry.size[2] == 30
    image = read(volume)
    first = image.findings[0]
    assert (first.severity, first.code) == ("warning", "interpolate_missing")
    assert "Dr Grey" in first.sentence
    assert "problem" not in {f.severity for f in image.findings}
    k, j, i = np.indices(image.array.shape)
    points = image.geometry.to_world(np.stack([i, j, k], axis=-1))
    known = image.array != -1024
    assert np.abs(image.array - values_at(points))[known].max() < tolerance
    assert known.sum() >= 0.98 * ROWS * COLUMNS * 28
    for place, s in zip(sorted(places, key=lambda p: p[2]), volume.slices):
        np.testing.assert_allclose(s.position_mm, place, atol=1e-6)
    for level, offset, s in zip(volume.stack.levels, volume.stack.offsets, volume.slices):
        there = image.geometry.to_world((*offset, level))
        np.testing.assert_allclose(there, s.position_mm, atol=0.05)


def test_a_slice_on_a_plane_stays_as_it_is(tmp_path):
    rng = np.random.default_rng(3)
    noise = rng.integers(-500, 500, (30, ROWS, COLUMNS)).astype("<i2")

    def edit(data, k):
        data.PixelData = noise[k].tobytes()

    write(tmp_path, without({7}), edit=edit)
    image = read(accept(only(tmp_path), ["interpolate_missing"]))
    np.testing.assert_array_equal(image.array[:7], noise[:7] - 100)
    np.testing.assert_array_equal(image.array[8:], noise[7:29] - 100)
    mean = (noise[6].astype(float) + noise[7]) / 2 - 100
    assert np.abs(image.array[7] - mean).max() <= 0.5


@pytest.mark.parametrize(
    "gone",
    [set(range(3, 3 + MAX_MISSING_TOGETHER + 1)), {3, 8, 12, 20, 25}],
)
def test_too_many_missing_slices_are_not_made_up(tmp_path, gone):
    write(tmp_path, without(gone))
    volume = only(tmp_path)
    assert (volume.status, offered(volume)) == ("refused", [])
    assert "too much to be interpolated" in volume.findings[0].sentence
    with pytest.raises(DicomError, match="neither"):
        accept(volume, ["interpolate_missing"])


def test_uneven_spacing_is_resampled_where_the_slices_really_are(tmp_path):
    heights = [0, 2, 4, 6.4, 8, 10.3, 12]
    write(tmp_path, [(0, 0, z) for z in heights])
    refused = only(tmp_path)
    assert offered(refused) == ["resample_spacing"]
    volume = accept(refused, ["resample_spacing"])
    assert volume.geometry.spacing_mm[2] == pytest.approx(2)
    assert volume.geometry.origin_mm[2] == 0
    np.testing.assert_allclose(volume.stack.levels * 2, heights)
    assert_true_everywhere(read(volume), tolerance=1.1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.6, 1.8), min_size=4, max_size=12))
def test_true_positions_survive_any_resampling(gaps):
    axes = turned(0.3, -0.8, 1.1)
    depth = np.cumsum([0, *gaps])
    own = planes([d * axes[:, 2] for d in depth], axes)
    stack = stack_geometry(own, "1.2", "resampled")
    place = np.concatenate([stack.offsets, stack.levels[:, None]], axis=1)
    np.testing.assert_allclose(stack.geometry.to_world(place), own.positions_mm, atol=0.05)
    assert stack.levels[-1] == pytest.approx(stack.geometry.size[2] - 1)


def test_a_gap_too_wide_is_not_bridged(tmp_path):
    write(tmp_path, [(0, 0, z) for z in (0, 2, 4, 6.3, 8, 10, 30)])
    volume = only(tmp_path)
    assert "resample_spacing" not in offered(volume)


@pytest.mark.parametrize("end", [0, 5])
def test_a_slice_beside_the_others_may_be_left_out_at_an_end_only(tmp_path, end):
    places = positions()
    places[end] = (places[end][0] + 3, *places[end][1:])
    write(tmp_path / "end", places)
    volume = only(tmp_path / "end")
    assert offered(volume) == ["leave_out_slice"]
    image = read(accept(volume, ["leave_out_slice"]))
    assert image.geometry.size[2] == 5
    assert_true_everywhere(image)
    places = positions()
    places[2] = (places[2][0] + 3, *places[2][1:])
    write(tmp_path / "inside", places)
    assert offered(only(tmp_path / "inside")) == []


def test_an_end_slice_of_another_shape_may_be_left_out(tmp_path):
    def edit(data, k):
        if k == 5:
            data.PixelSpacing = ["0.8", "1.25"]

    write(tmp_path, positions(), edit=edit)
    largest = max(scan([tmp_path]).volumes, key=lambda v: len(v.slices))
    assert offered(largest) == ["leave_out_slice"]
    assert_true_everywhere(read(accept(largest, ["leave_out_slice"])))


def test_a_truncated_slice_is_left_out_at_an_end_and_interpolated_inside(tmp_path):
    for name, which, code in (("end", -1, "leave_out_slice"), ("in", 3, "interpolate_missing")):
        paths = write(tmp_path / name, positions(12))
        paths[which].write_bytes(paths[which].read_bytes()[:-40])
        volume = only(tmp_path / name)
        assert codes(volume)[0] == "truncated"
        assert offered(volume) == [code]
        image = read(accept(volume, [code]))
        assert image.geometry.size[2] == (11 if name == "end" else 12)
        assert_true_everywhere(image, tolerance=1.1)


def test_an_unreadable_file_may_be_done_without(tmp_path):
    paths = write(tmp_path, positions(8))
    content = bytearray(paths[-1].read_bytes())
    at = content.index(b"\x28\x00\x53\x10")  # RescaleSlope
    content[at + 8 : at + 10] = b"0 "
    paths[-1].write_bytes(content)
    volume = only(tmp_path)
    assert codes(volume)[0] == "unreadable_slice"
    assert offered(volume) == ["leave_out_slice"]
    assert_true_everywhere(read(accept(volume, ["leave_out_slice"])))


def test_what_cannot_be_repaired_says_so_and_refused_is_the_default(tmp_path):
    write(tmp_path, without({7}))
    volume = only(tmp_path)
    with pytest.raises(DicomError, match=r"Or accept a repair: interpolate_missing"):
        read(volume)
    with pytest.raises(DicomError, match="interpolate_missing"):
        accept(volume, ["resample_spacing"])
    record = scan([tmp_path]).to_json()["volumes"][0]
    assert record["status"] == "refused"
    assert [r["code"] for r in record["repairs"]] == ["interpolate_missing"]
    assert record["part"] is None


def test_the_check_after_loading_knows_the_true_places(tmp_path):
    write(tmp_path, without({7}))
    volume = accept(only(tmp_path), ["interpolate_missing"])
    levels = volume.stack.levels.copy()
    levels[9] += 0.03
    wrong = replace(volume, stack=replace(volume.stack, levels=levels))
    with pytest.raises(DicomError, match="check after loading"):
        read(wrong)


def test_too_large_a_grid_is_no_repair(tmp_path):
    write(tmp_path, positions(4))
    slices = only(tmp_path).slices
    with pytest.raises(StackProblem):
        stack_of([replace(s, form=replace(s.form, rows=60000, columns=60000)) for s in slices])
    assert planes_of(slices).rows == ROWS


def test_positions_tell_gaps_of_every_kind(tmp_path):
    write(tmp_path / "a", without({3, 4}))
    found = slice_positions(only(tmp_path / "a"))
    assert (found.missing, found.irregular, found.duplicates) == ((2,), (), ())
    assert found.usual_gap_mm == pytest.approx(2.5)
    assert len(found.gaps_mm) == len(found.positions_mm) - 1
    write(tmp_path / "b", [(0, 0, z) for z in (0, 2, 4, 6.4, 8, 10)])
    assert slice_positions(only(tmp_path / "b")).irregular == (2, 3)

    def other(data, k):
        data.SOPInstanceUID = "1.2.77"
        data.PixelData = bytes(len(data.PixelData))

    write(tmp_path / "c", positions())
    write(tmp_path / "c", positions()[2:3], edit=other)
    assert slice_positions(only(tmp_path / "c")).duplicates == (2,)

    def absent(data, k):
        if k in (1, 2):
            del data.ImagePositionPatient

    write(tmp_path / "d", positions(), edit=absent)
    assert slice_positions(only(tmp_path / "d")).absent == 2

    def none(data, k):
        del data.ImagePositionPatient

    write(tmp_path / "e", positions(), edit=none)
    assert slice_positions(only(tmp_path / "e")) is None


def test_a_thumbnail_is_the_middle_slice_in_its_window(tmp_path):
    def edit(data, k):
        data.PhotometricInterpretation = "MONOCHROME1" if k > 9 else "MONOCHROME2"
        stored = np.full((ROWS, COLUMNS), 40, "<i2")
        stored[:5, :7] = 1000  # bright above left
        data.PixelData = stored.tobytes()

    for name, count in (("plain", 5), ("inverted", 25)):
        write(tmp_path / name, positions(count), edit=edit)
        volume = max(scan([tmp_path / name]).volumes, key=lambda v: len(v.slices))
        small = thumbnail(volume, 60)
        assert small.dtype == np.uint8
        shape = np.array([ROWS * SPACING[0], COLUMNS * SPACING[1]])
        assert small.shape == tuple(np.rint(60 * shape / shape.max()).astype(int))
        corner, rest = int(small[2, 2]), int(small[-3, -3])
        expected = 255 * (40 - 100 + 160) / 400
        assert (corner, rest) == (
            (255, pytest.approx(expected, abs=1))
            if name == "plain"
            else (0, pytest.approx(255 - expected, abs=1))
        )


def test_a_thumbnail_of_damaged_pixels_is_refused(tmp_path):
    paths = write(tmp_path, positions())
    volume = only(tmp_path)
    for path in paths:
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DicomError):
        thumbnail(volume)


# ------------------------------------------------------------------ in a case and a plan


@pytest.fixture
def holed(tmp_path):
    write(tmp_path / "holed", without({7, 12}))
    return tmp_path / "holed"


def test_the_command_line_knows_every_repair():
    assert set(ARGUMENTS) == set(REPAIRS)


def test_a_case_remembers_what_was_accepted_and_reads_it_again(tmp_path, holed):
    with create_case(tmp_path / "case") as case:
        with pytest.raises(CaseError, match="interpolate_missing"):
            import_volume(case, [holed], "ct")
        import_volume(case, [holed], "ct", accept=["interpolate_missing"])
        about = case.record.sources["ct"]
        (entry,) = about["accepted"]
        assert entry["code"] == "interpolate_missing"
        assert "2 slices are interpolated" in entry["sentence"]
        assert entry["time"].endswith("Z")
    shutil.rmtree(tmp_path / "case" / "sources")
    with open_case(tmp_path / "case") as case:
        key = case.record.sources["ct"]["sha256"]
        plan = Plan(case.record.sources["ct"]["frame_uid"], {"ct": key})
        assert case.check(plan) == []
        case.restore_sources(plan)
        assert "interpolate_missing" in [f["code"] for f in case.summary()["findings"]]
        assert len(list((tmp_path / "case" / about["folder"]).iterdir())) == 28


def test_a_plan_holds_what_was_accepted(tmp_path, holed):
    with create_case(tmp_path / "case") as case:
        template = find_template("liver-resection")
        plan = start_plan(case, template, {"ct": holed}, accept=["interpolate_missing"])
        assert plan.accepted == {"ct": ("interpolate_missing",)}
        assert case.plan() == plan
        assert plan.with_sources(ct="other").accepted == {}
        assert replace(plan, accepted={}).keys() == plan.keys()


def test_headless_import_takes_and_shows_a_repair(tmp_path, holed, capsys):
    case = tmp_path / "case"
    assert door.main(["import", str(holed), "--case", str(case)]) == 1
    assert "interpolate_missing" in capsys.readouterr().err
    line = ["import", str(holed), "--case", str(case), "--accept", "interpolate_missing"]
    assert door.main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sources"][0]["accepted"][0]["code"] == "interpolate_missing"
    assert door.main(["show", str(case)]) == 0
    assert "2 slices are interpolated" in capsys.readouterr().out
    assert door.main(["scan", str(holed)]) == 0
    assert "--accept interpolate_missing" in capsys.readouterr().out
