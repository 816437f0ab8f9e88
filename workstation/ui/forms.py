"""A form generated from the parameters of a stage.

What is left empty takes the stage's default, which the field shows as its placeholder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from segmentation.wording import counted
from workstation.planning.plan import to_plain_json
from workstation.stage import Parameter, Stage
from workstation.ui.form_lists import Changed, Crosshair, NamesField, tool
from workstation.ui.words import choice_text, parameter_label

SHOWN = 4  # optional parameters beyond the first few are folded, unless they are set
NOT_BY_HAND = ("origins", "coefficients")  # what a program writes beside a person's values
SIZES = ("build_mm", "size_mm")  # three lengths that are no place


def _core_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the value itself where None is allowed too."""
    options = [o for o in schema.get("anyOf", ()) if o.get("type") != "null"]
    return options[0] if options else schema


def _plain_number(value: Any) -> str:
    return "" if value is None else f"{value:g}"


class NumberField(QLineEdit):
    """A number as text; empty is the default. Up and down keys go in sensible steps."""

    def __init__(self, parameter: Parameter, changed: Changed) -> None:
        super().__init__()
        schema = _core_schema(parameter.schema)
        self._whole = schema.get("type") == "integer"
        default = parameter.default
        self.setPlaceholderText(_plain_number(default) if default is not None else "not given")
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.editingFinished.connect(lambda: changed(self.value()))

    def value(self) -> Any:
        """Return the number; None when empty; the text itself when it is no number."""
        text = self.text().strip().replace(",", ".").replace("−", "-")
        if not text:
            return None
        try:
            return int(text) if self._whole else float(text)
        except ValueError:
            return text

    def show_value(self, value: Any) -> None:
        """Show a number, or the default for None."""
        if not self.hasFocus() or not self.isModified():
            self.setText(_plain_number(value))


def _taking(tip: str, take: Callable[[], None]) -> QToolButton:
    """Return the button that takes the crosshair's place."""
    return tool("ph.crosshair", tip, take)


class VectorField(QWidget):
    """Three numbers x, y, z (LPS); a place can be taken from the crosshair."""

    def __init__(
        self, parameter: Parameter, changed: Changed, crosshair: Crosshair | None = None
    ) -> None:
        super().__init__()
        self._changed = changed
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self._fields = [QLineEdit() for _ in range(3)]
        default = parameter.default or ("x", "y", "z")
        for field, name, shown in zip(self._fields, "xyz", default):
            field.setPlaceholderText(shown if isinstance(shown, str) else f"{shown:g}")
            field.setAccessibleName(f"{parameter_label(parameter.name)} {name}")
            field.setMinimumWidth(40)
            field.editingFinished.connect(lambda: self._done(changed))
            row.addWidget(field)
        if crosshair is not None and parameter.name.endswith("_mm") and parameter.name not in SIZES:
            row.addWidget(_taking("Take the crosshair's place", lambda: self._take(crosshair())))

    def _take(self, place: Sequence[float] | None) -> None:
        if place is not None:
            self.show_value(place)
            self._changed([float(part) for part in place])

    def _done(self, changed: Changed) -> None:
        texts = [field.text().strip().replace(",", ".") for field in self._fields]
        if not any(texts):
            changed(None)
        elif all(texts):
            try:
                changed([float(text) for text in texts])
            except ValueError:
                changed(texts)

    def show_value(self, value: Any) -> None:
        """Show three numbers, or the default for None."""
        for field, part in zip(self._fields, value or (None, None, None)):
            if not field.hasFocus() or not field.isModified():
                field.setText("" if part is None else f"{part:.3f}".rstrip("0").rstrip("."))


class PointsField(QWidget):
    """How many points were picked, a button that adds the crosshair's, and one that clears."""

    def __init__(self, changed: Changed, crosshair: Crosshair | None = None) -> None:
        super().__init__()
        self._changed = changed
        self._points: list[Any] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._count = QLabel("0 points")
        self._clear = QPushButton("Clear")
        self._clear.setToolTip("Remove these points")
        self._clear.clicked.connect(lambda: self._put([]))
        row.addWidget(self._count, 1)
        if crosshair is not None:
            row.addWidget(_taking("Add the crosshair's point", lambda: self._add(crosshair())))
        row.addWidget(self._clear)

    def _add(self, place: Sequence[float] | None) -> None:
        if place is not None:
            self._put([*self._points, [float(part) for part in place]])

    def _put(self, points: list[Any]) -> None:
        self.show_value(points)
        self._changed(points or None)

    def show_value(self, value: Any) -> None:
        """Show how many points there are."""
        self._points = list(value or ())
        count = len(self._points)
        self._count.setText(counted(count, "point"))
        self._clear.setEnabled(count > 0)


class ChoiceField(QComboBox):
    """One of a few words, or yes or no; what may stay unknown can be "not given"."""

    def __init__(self, parameter: Parameter, changed: Changed) -> None:
        super().__init__()
        self._default = parameter.default
        schema = _core_schema(parameter.schema)
        words = schema.get("enum") or (True, False)
        self._choices = (*(() if schema is parameter.schema else (None,)), *words)
        for choice in self._choices:
            self.addItem(_choice_text(choice), choice)
        self.activated.connect(lambda index: changed(self._chosen(self._choices[index])))

    def _chosen(self, value: Any) -> Any:
        return None if value == self._default else value

    def show_value(self, value: Any) -> None:
        """Show the choice, or the default for None."""
        shown = self._default if value is None else value
        with QSignalBlocker(self):
            self.setCurrentIndex(self._choices.index(shown) if shown in self._choices else -1)


def _choice_text(choice: Any) -> str:
    if choice is None:
        return "not given"
    return ("no", "yes")[choice] if isinstance(choice, bool) else choice_text(str(choice))


class SwitchField(QCheckBox):
    """Yes or no."""

    def __init__(self, parameter: Parameter, changed: Changed) -> None:
        super().__init__()
        self._default = parameter.default
        self.clicked.connect(lambda on: changed(None if on == self._default else on))

    def show_value(self, value: Any) -> None:
        """Show yes or no, or the default for None."""
        self.setChecked(bool(self._default if value is None else value))


class TextField(QLineEdit):
    """A short text; empty is the default."""

    def __init__(self, parameter: Parameter, changed: Changed) -> None:
        super().__init__()
        self.setPlaceholderText(str(parameter.default or ""))
        self.editingFinished.connect(lambda: changed(self.text() or None))

    def show_value(self, value: Any) -> None:
        """Show the text, or the default for None."""
        if not self.hasFocus() or not self.isModified():
            self.setText("" if value is None else str(value))


Field = NumberField | VectorField | PointsField | NamesField | ChoiceField | SwitchField | TextField


def field_for(parameter: Parameter, changed: Changed, crosshair: Crosshair | None = None) -> Field:
    """Return the field that suits a parameter's schema; ``changed`` hears of new values.

    Places can be taken from the ``crosshair``, where there is one.
    """
    schema = _core_schema(parameter.schema)
    kind = schema.get("type")
    if "enum" in schema:
        return ChoiceField(parameter, changed)
    if kind == "array":
        if _is_vector(schema):
            return VectorField(parameter, changed, crosshair)
        item = schema.get("items", {})
        first = item.get("prefixItems", ({},))[0]
        if "enum" in item:
            return NamesField(item["enum"], changed)
        if "enum" in first and item.get("maxItems") == 4 and crosshair is not None:
            return NamesField(first["enum"], changed, crosshair)
        places = _is_vector(item)
        return PointsField(changed, crosshair if places else None)
    if kind == "boolean":
        unknown = schema is not parameter.schema  # a switch cannot show that nobody said no
        return (ChoiceField if unknown else SwitchField)(parameter, changed)
    if kind in ("number", "integer"):
        return NumberField(parameter, changed)
    return TextField(parameter, changed)


def _is_vector(schema: Mapping[str, Any]) -> bool:
    parts = schema.get("prefixItems", ())
    return schema.get("maxItems") == 3 and bool(parts) and parts[0].get("type") == "number"


def tooltip(parameter: Parameter) -> str:
    """Return what a parameter means, its default and its limits."""
    schema = _core_schema(parameter.schema)
    lines = [parameter.description or parameter_label(parameter.name)]
    if not parameter.required:
        lines.append(f"Default: {'none' if parameter.default is None else parameter.default}")
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None or high is not None:
        lines.append(f"Allowed: {'' if low is None else low} … {'' if high is None else high}")
    lines.append(parameter.name)
    return "\n".join(lines)


class ParameterForm(QWidget):
    """The parameters of one stage; ``changed`` tells name and new value (None: default)."""

    changed = Signal(str, object)

    def __init__(
        self,
        stage: Stage,
        shown: int = SHOWN,
        parent: QWidget | None = None,
        crosshair: Crosshair | None = None,
    ) -> None:
        super().__init__(parent)
        self.stage = stage
        self._crosshair = crosshair
        self._shown = shown
        self.fields: dict[str, Field] = {}
        self.problems: dict[str, QLabel] = {}
        self._values: Mapping[str, Any] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        parameters = [p for n, p in stage.parameters.items() if n not in NOT_BY_HAND]
        self._folded = QWidget()
        self.fold = QToolButton()
        self.fold.setText("▸ More")
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("Parameters that seldom need a change")
        self.fold.clicked.connect(lambda: self._unfold(self._folded.isHidden()))
        column.addLayout(self._rows(parameters[:shown], QFormLayout()))
        self._folded.setLayout(self._rows(parameters[shown:], QFormLayout()))
        column.addWidget(self.fold)
        column.addWidget(self._folded)
        self.fold.setVisible(len(parameters) > shown)
        self._folded.hide()

    def _rows(self, parameters: list[Parameter], form: QFormLayout) -> QFormLayout:
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for parameter in parameters:
            field = field_for(parameter, partial(self._set, parameter), self._crosshair)
            field.setToolTip(tooltip(parameter))
            field.setAccessibleName(parameter_label(parameter.name))
            problem = QLabel()
            problem.setProperty("role", "problem")
            problem.setWordWrap(True)
            problem.hide()
            label = QLabel(parameter_label(parameter.name))
            label.setToolTip(tooltip(parameter))
            form.addRow(label, self._with_unit(field, parameter.unit))
            form.addRow(problem)
            self.fields[parameter.name], self.problems[parameter.name] = field, problem
        return form

    @staticmethod
    def _with_unit(field: QWidget, unit: str) -> QWidget:
        if not unit:
            return field
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        suffix = QLabel(unit)
        suffix.setProperty("role", "muted")
        suffix.setMinimumWidth(30)
        row.addWidget(field, 1)
        row.addWidget(suffix)
        return holder

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show the parameters of a step; what it does not set is at its default."""
        self._values = values
        for name, field in self.fields.items():
            field.show_value(values.get(name))
            self._tell(name, "")
        if any(name in values for name in list(self.fields)[self._shown :]):
            self._unfold(True)

    def _set(self, parameter: Parameter, value: Any) -> None:
        if value is None:
            if parameter.required:
                self._tell(parameter.name, "A value is needed.")
                return
        else:
            try:
                value = to_plain_json(parameter.adapter.validate_python(value))
            except ValidationError as error:
                self._tell(parameter.name, error.errors()[0]["msg"])
                return
        self._tell(parameter.name, "")
        if value != to_plain_json(self._values.get(parameter.name)):
            self.changed.emit(parameter.name, value)

    def _tell(self, name: str, problem: str) -> None:
        label = self.problems[name]
        label.setText(f"▲ {problem}" if problem else "")
        label.setVisible(bool(problem))

    def _unfold(self, open_: bool) -> None:
        self._folded.setVisible(open_)
        self.fold.setText("▾ Less" if open_ else "▸ More")
