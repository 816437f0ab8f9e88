"""The generated form: one field per parameter, defaults as placeholders, limits inline."""

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QToolButton
from pytestqt.qtbot import QtBot

from segmentation.contract import Measurements, Progress, silent
from workstation.stage import Stage
from workstation.stages import STAGES
from workstation.ui.form_lists import NamesField
from workstation.ui.forms import (
    NOT_BY_HAND,
    ChoiceField,
    NumberField,
    ParameterForm,
    PointsField,
    SwitchField,
    VectorField,
)

Point = tuple[float, float, float]


def every_kind(
    *,
    width_mm: Annotated[float, Ge(0), Le(50)],
    steps: int = 3,
    weight_kg: Annotated[float, Ge(1)] | None = None,
    method: Literal["near", "far_away"] = "near",
    closed: bool = True,
    point_mm: Point | None = None,
    seeds_mm: tuple[Point, ...] = (),
    name: str = "part",
    progress: Progress = silent,
) -> Measurements:
    """Have one parameter of each kind.

    Args:
        width_mm: How wide it is.
        method: How it is done.
    """
    return Measurements()


@pytest.fixture
def form(qtbot: QtBot) -> ParameterForm:
    made = ParameterForm(Stage("Plan", every_kind))
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def heard(form: ParameterForm) -> list[tuple[str, Any]]:
    changes: list[tuple[str, Any]] = []
    form.changed.connect(lambda name, value: changes.append((name, value)))
    return changes


def enter(field: Any, text: str) -> None:
    field.setFocus()
    field.selectAll()
    QTest.keyClick(field, Qt.Key.Key_Delete)
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def test_each_parameter_gets_the_field_of_its_kind(form: ParameterForm) -> None:
    kinds = {name: type(field) for name, field in form.fields.items()}
    assert kinds["width_mm"] is kinds["weight_kg"] is kinds["steps"] is NumberField
    assert kinds["method"] is ChoiceField
    assert kinds["closed"] is SwitchField
    assert kinds["point_mm"] is VectorField
    assert kinds["seeds_mm"] is PointsField


def test_the_default_is_a_placeholder_and_the_description_a_tooltip(form: ParameterForm) -> None:
    steps = form.fields["steps"]
    assert isinstance(steps, NumberField)
    assert (steps.text(), steps.placeholderText()) == ("", "3")
    tip = form.fields["width_mm"].toolTip()
    assert "How wide it is." in tip
    assert "0" in tip
    assert "50" in tip


def test_a_number_is_told_and_emptying_it_goes_back_to_the_default(
    form: ParameterForm, heard: list[tuple[str, Any]]
) -> None:
    enter(form.fields["steps"], "7")
    form.show_values({"steps": 7})
    enter(form.fields["steps"], "")
    assert heard == [("steps", 7), ("steps", None)]


def test_what_is_refused_is_said_beside_the_field_and_not_told(
    form: ParameterForm, heard: list[tuple[str, Any]]
) -> None:
    for text, word in (("51", "50"), ("wide", "number"), ("", "needed")):
        enter(form.fields["width_mm"], text)
        assert word in form.problems["width_mm"].text()
        assert form.problems["width_mm"].isVisible()
    assert heard == []
    enter(form.fields["width_mm"], "12,5")
    assert heard == [("width_mm", 12.5)]
    assert not form.problems["width_mm"].isVisible()


def test_choices_and_switches_tell_their_value_or_none_for_the_default(
    form: ParameterForm, heard: list[tuple[str, Any]]
) -> None:
    choice, switch = form.fields["method"], form.fields["closed"]
    assert isinstance(choice, ChoiceField)
    assert isinstance(switch, SwitchField)
    assert choice.currentData() == "near"
    assert choice.itemText(1) == "far away"
    choice.setCurrentIndex(1)
    choice.activated.emit(1)
    form.show_values({"method": "far_away"})
    choice.setCurrentIndex(0)
    choice.activated.emit(0)
    assert heard == [("method", "far_away"), ("method", None)]
    assert switch.isChecked()
    switch.click()
    assert heard[-1] == ("closed", False)


def test_a_vector_is_told_when_all_three_numbers_are_there(
    form: ParameterForm, heard: list[tuple[str, Any]]
) -> None:
    fields = form.fields["point_mm"].findChildren(QLineEdit)
    enter(fields[0], "1")
    enter(fields[1], "-2.5")
    assert heard == []
    enter(fields[2], "3")
    assert heard == [("point_mm", [1.0, -2.5, 3.0])]


def test_points_are_counted_and_can_be_removed(
    form: ParameterForm, heard: list[tuple[str, Any]]
) -> None:
    form.show_values({"seeds_mm": ((0.0, 1.0, 2.0), (3.0, 4.0, 5.0))})
    field = form.fields["seeds_mm"]
    assert isinstance(field, PointsField)
    assert field._count.text() == "2 points"
    field._clear.click()
    assert heard == [("seeds_mm", None)]


def test_later_parameters_are_folded_until_one_is_set(form: ParameterForm) -> None:
    assert not form.fields["name"].isVisible()
    form.fold.click()
    assert form.fields["name"].isVisible()
    form.fold.click()
    form.show_values({"name": "lobe"})
    assert form.fields["name"].isVisible()


@pytest.mark.parametrize("name", list(STAGES))
def test_every_stage_of_the_table_has_a_form(qtbot: QtBot, name: str) -> None:
    form = ParameterForm(STAGES[name])
    qtbot.addWidget(form)
    assert list(form.fields) == [n for n in STAGES[name].parameters if n not in NOT_BY_HAND]
    form.show_values({})


def test_places_are_taken_from_the_crosshair(qtbot: QtBot) -> None:
    here: list[Point | None] = [None]
    made = ParameterForm(Stage("Plan", every_kind), shown=9, crosshair=lambda: here[0])
    qtbot.addWidget(made)
    heard: list[tuple[str, Any]] = []
    made.changed.connect(lambda name, value: heard.append((name, value)))
    point, seeds = (made.fields[name].findChild(QToolButton) for name in ("point_mm", "seeds_mm"))
    point.click()
    assert heard == []
    for here[0] in ((1.0, -2.0, 3.5), (4.0, 5.0, 6.0)):
        seeds.click()
    point.click()
    assert heard == [
        ("seeds_mm", [[1.0, -2.0, 3.5]]),
        ("seeds_mm", [[1.0, -2.0, 3.5], [4.0, 5.0, 6.0]]),
        ("point_mm", [4.0, 5.0, 6.0]),
    ]


def test_what_may_stay_unknown_is_no_no(qtbot: QtBot) -> None:
    form = ParameterForm(STAGES["planning.aneurysm_patient"], shown=100)
    qtbot.addWidget(form)
    heard: list[tuple[str, Any]] = []
    form.changed.connect(lambda name, value: heard.append((name, value)))
    field = form.fields["hypertension"]
    assert isinstance(field, ChoiceField)
    form.show_values({})
    assert field.currentText() == "not given"
    for index, (text, value) in enumerate((("not given", None), ("yes", True), ("no", False))):
        assert field.itemText(index) == text
        form.show_values({} if value is None else {"hypertension": value})
        assert field.currentText() == text
    field.activated.emit(1)
    field.activated.emit(0)
    assert heard == [("hypertension", True), ("hypertension", None)]
    site = form.fields["site"]
    assert isinstance(site, ChoiceField)
    assert site.currentText() == "not given"
    form.show_values({"site": "basilar_tip"})
    assert site.currentText() == "basilar tip"
    form.show_values({"site": "mca"})
    assert site.currentText() == "MCA"


def test_names_with_places_are_taken_from_the_crosshair_and_removed(qtbot: QtBot) -> None:
    form = ParameterForm(STAGES["planning.portal_branches"], crosshair=lambda: (1.234, -2.0, 30.0))
    qtbot.addWidget(form)
    told: list[object] = []
    form.changed.connect(lambda name, value: told.append(value))
    field = form.fields["names"]
    assert isinstance(field, NamesField)
    field.show_value((("V", 0.0, 0.0, 0.0),))
    field.choice.setCurrentIndex(field.choice.findData("VI"))
    field.add.click()
    assert told == [[["V", 0.0, 0.0, 0.0], ["VI", 1.23, -2.0, 30.0]]]
    field.remove(0)
    assert told[-1] == [["VI", 1.23, -2.0, 30.0]]
    form.show_values({"names": (("VI", 1.23, -2.0, 30.0),)})
    field.remove(0)
    assert told[-1] is None


def test_clamped_branches_are_chosen_by_name(qtbot: QtBot) -> None:
    form = ParameterForm(STAGES["planning.lost_territory"])
    qtbot.addWidget(form)
    told: list[object] = []
    form.changed.connect(lambda name, value: told.append((name, value)))
    field = form.fields["clamped"]
    assert isinstance(field, NamesField)
    assert field.choice.findData("none") == -1
    for _ in range(2):  # once is enough
        field.choice.setCurrentIndex(field.choice.findData("left_hepatic_vein"))
        field.add.click()
    assert field.entries == ["left_hepatic_vein"]
    assert set(map(str, told)) == {"('clamped', ['left_hepatic_vein'])"}
