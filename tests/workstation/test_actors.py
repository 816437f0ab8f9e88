from dataclasses import replace

import pytest

from tests.workstation.shapes import sphere
from workstation.actors import CUT_LOOK, look_of, scene_items
from workstation.planning.resection import CutPlane


@pytest.mark.parametrize(
    ("name", "kind", "opaque"),
    [
        ("portal_vein", "vessel", True),
        ("Hepatic vein", "vessel", True),
        ("liver_surface", "organ", False),
        ("specimen_surface", "organ", False),
        ("skull", "bone", True),
        ("implant", "device", True),
        ("cut", "sheet", False),
    ],
)
def test_a_name_tells_matter_and_opacity(name, kind, opaque):
    look = look_of(name)
    assert look.kind == kind
    assert (look.opacity == 1) == opaque


def test_a_surface_keeps_the_colour_it_was_given():
    plain, blue = sphere((0, 0, 0), 5), replace(sphere((0, 0, 0), 5), colour=(1, 2, 250))
    items = scene_items({"tumor": plain, "liver": blue, "thing": replace(plain, name="x")})
    assert items["tumor"].colour == look_of("tumor").colour
    assert items["liver"].colour == (1, 2, 250)
    assert items["thing"].colour == plain.colour
    assert items["liver"].surface is blue


def test_the_name_of_the_surface_helps_where_the_output_says_nothing():
    named = replace(sphere((0, 0, 0), 5), name="portal vein")
    assert scene_items({"a": named})["a"].kind == "vessel"


def test_a_cut_is_a_transparent_sheet_and_what_has_no_shape_is_left_out():
    cut = CutPlane((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), "1.2.3", sphere((0, 0, 0), 5))
    items = scene_items({"cut": cut, "number": 3, "text": "x"})
    assert list(items) == ["cut"]
    assert (items["cut"].kind, items["cut"].opacity) == ("sheet", CUT_LOOK.opacity)
