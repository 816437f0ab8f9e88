"""The cards of the flow page: the wall, the streamlines, the plane across, the cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from workstation.flow_pictures import Cut, Seeds, position_on, wall_opacity
from workstation.flow_surfaces import OF_A_CYCLE, QUANTITIES, TITLES, PlaneQuantity
from workstation.ui.flow_show import FlowShow
from workstation.ui.flow_waveform import Waveform
from workstation.ui.icons import set_icon
from workstation.ui.panels.look_card import offer
from workstation.ui.panels.parts import keep_narrow, label, side_by_side
from workstation.ui.words import typed_number, value_text

SEEDS: dict[Seeds, str] = {
    "off": "None",
    "inlets": "From the inlets",
    "lumen": "Everywhere",
    "neck": "Through the neck",
    "plane": "Through the plane",
    "crosshair": "Around the crosshair",
}
CUTS: dict[Cut, str] = {
    "off": "None",
    "centerline": "Along the centerline",
    "neck": "In the neck",
    "crosshair": "Through the crosshair",
}
ACROSS: dict[PlaneQuantity, str] = {
    "speed_m_s": "Speed",
    "through_m_s": "Speed through it",
    "pressure_pa": "Pressure",
}
SHOWN_NUMBERS = {
    "flow_ml_s": ("Flow", "mL/s"),
    "forward_ml_s": ("Flow one way", "mL/s"),
    "mean_speed_m_s": ("Mean speed", "m/s"),
    "maximum_speed_m_s": ("Highest speed", "m/s"),
    "pressure_pa": ("Mean pressure", "Pa"),
}
MOST_LINES = 400
TENTHS = 10  # steps of the position slider in a millimetre


class WallCard(QWidget):
    """What colours the wall, the limits of its bar, and how much one sees through it."""

    def __init__(self, show: FlowShow) -> None:
        super().__init__()
        self._show = show
        self.quantity = choice("On the wall", "What colours the wall")
        self.quantity.activated.connect(lambda _: self._colour_by(self.quantity.currentData()))
        self.low, self.high = (self._limit(name) for name in ("low", "high"))
        self.log = QCheckBox("Log")
        self.log.setToolTip("A logarithmic colour bar")
        self.log.clicked.connect(lambda on: show.set_look(log=on, low=None, high=None))
        self.unit = label("", "muted", wrap=False)
        self.opacity = _slider(5, 100, "Opacity of the wall", "How opaque the wall is")
        self.opacity.valueChanged.connect(lambda value: show.set_look(opacity=value / 100))
        self._form = _form(self)
        self._form.addRow("Wall", self.quantity)
        to = label("to", "muted", wrap=False)
        self._bar = side_by_side(self.low, to, self.high, self.unit, self.log)
        self._form.addRow("Bar", self._bar)
        self._form.addRow("Opacity", self.opacity)

    def _limit(self, name: str) -> QLineEdit:
        field = QLineEdit()
        field.setAccessibleName(f"{name} end of the wall's colour bar")
        field.setToolTip("Limit of the colour bar; empty proposes one")
        field.setAlignment(Qt.AlignmentFlag.AlignRight)
        field.editingFinished.connect(
            lambda: self._show.set_look(**{name: typed_number(field.text())})
        )
        return field

    def _colour_by(self, quantity: str) -> None:
        self._show.set_look(wall=quantity, low=None, high=None)

    def refresh(self) -> None:
        """Show how the wall is drawn."""
        show, scene = self._show, self._show.shown
        parent = show.parent_pa()
        flow = show.flow
        beats = flow is not None and len(flow.times_s) > 1
        known = [q for q in QUANTITIES if beats or q not in OF_A_CYCLE]
        known = [q for q in known if q != "tawss_share" or parent is not None]
        options = [("", "Clear"), *((q, _with_unit(q)) for q in known)]
        chosen = show.look.wall
        offer(self.quantity, options, chosen if chosen in ("", *known) else "tawss_pa")
        bar = scene.bars.get("wall") if scene is not None else None
        self._form.setRowVisible(self._bar, bar is not None)
        if bar is not None:
            self.unit.setText(bar.unit)
            for field, value in ((self.low, bar.low), (self.high, bar.high)):
                if not field.hasFocus():
                    field.setText(f"{value:.4g}")
        with QSignalBlocker(self.log):
            self.log.setChecked(show.look.log)
        if scene is not None and not self.opacity.isSliderDown():
            with QSignalBlocker(self.opacity):
                self.opacity.setValue(round(100 * wall_opacity(scene)))


class LinesCard(QWidget):
    """Where streamlines begin, and how many there are."""

    def __init__(self, show: FlowShow) -> None:
        super().__init__()
        self._show = show
        self.seeds = choice("Streamlines", "Where streamlines begin")
        self.seeds.activated.connect(lambda _: show.set_look(seeds=self.seeds.currentData()))
        self.count = _slider(10, MOST_LINES, "Number of streamlines", "How many streamlines")
        self.count.valueChanged.connect(lambda count: show.set_look(count=count))
        self.text = label("", "muted", wrap=False)
        self._form = _form(self)
        self._form.addRow("Streamlines", self.seeds)
        self._row = side_by_side(self.count, self.text)
        self._form.addRow("How many", self._row)
        self.slices = QCheckBox("Speed in the slices")
        self.slices.clicked.connect(show.show_in_slices)
        self.legend = label("", "muted")
        self._form.addRow(self.slices)
        self._form.addRow(self.legend)

    def refresh(self) -> None:
        """Show what is chosen."""
        show, look = self._show, self._show.look
        known = {"plane": look.cut != "off", "neck": show.neck() is not None}
        options = {str(key): text for key, text in SEEDS.items() if known.get(key, True)}
        offer(
            self.seeds, list(options.items()), look.seeds if known.get(look.seeds, True) else "off"
        )
        self._form.setRowVisible(self._row, look.seeds != "off")
        self.text.setText(str(look.count))
        with QSignalBlocker(self.count):
            self.count.setValue(look.count)
        lack = show.lacks_image()
        self.slices.setEnabled(not lack)
        tip = "Colour the image's slices by the speed of blood"
        self.slices.setToolTip(f"{tip}\nNeeds: {lack}" if lack else tip)
        self.slices.setChecked(show.in_slices and not lack)
        self._form.setRowVisible(self.legend, self.slices.isChecked())
        low, high = show.speed_limits()
        self.legend.setText(f"Violet {low:g} m/s to yellow {high:g} m/s")


class PlaneCard(QWidget):
    """Where a plane lies across the vessel, what colours it, and its numbers."""

    def __init__(self, show: FlowShow) -> None:
        super().__init__()
        self._show = show
        self.cut = choice("Plane across", "Where a plane lies across the vessel")
        self.cut.activated.connect(lambda _: show.set_look(cut=self.cut.currentData()))
        self.branch = choice("Branch", "The branch of the centerline")
        self.branch.activated.connect(
            lambda _: show.set_look(branch=int(self.branch.currentData()), position_mm=None)
        )
        self.position = _slider(0, 1, "Position", "How far along the branch the plane lies")
        self.position.valueChanged.connect(lambda at: show.set_look(position_mm=at / TENTHS))
        self.position_text = label("", "muted", wrap=False)
        self.across = choice("Plane shows", "What colours the plane")
        self.across.activated.connect(lambda _: show.set_look(across=self.across.currentData()))
        self.arrows = QCheckBox("Arrows")
        self.arrows.setToolTip("Arrows of the flow within the plane")
        self.arrows.clicked.connect(lambda on: show.set_look(arrows=on))
        self._form = _form(self)
        self._form.addRow("Plane", self.cut)
        self._form.addRow("Branch", self.branch)
        self._place = side_by_side(self.position, self.position_text)
        self._form.addRow("Position", self._place)
        self._shows = side_by_side(self.across, self.arrows)
        self._form.addRow("Shows", self._shows)
        self.problem = label("", "warning")
        self._form.addRow(self.problem)
        self.table = QWidget()
        self.values: dict[str, tuple[QLabel, QLabel]] = {}
        self._make_table()
        self._form.addRow(self.table)

    def _make_table(self) -> None:
        grid = QGridLayout(self.table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        self.heads = _right("Now", "muted"), _right("Mean", "muted")
        for column, head in enumerate(self.heads, 1):
            grid.addWidget(head, 0, column)
        for row, (key, (title, unit)) in enumerate(SHOWN_NUMBERS.items(), 1):
            self.values[key] = _right("", ""), _right("", "")
            grid.addWidget(label(title, "muted", wrap=False), row, 0)
            for column, made in enumerate(self.values[key], 1):
                grid.addWidget(made, row, column)
            grid.addWidget(label(unit, "muted", wrap=False), row, 3)
        self.area = label("", "muted")
        grid.addWidget(self.area, len(SHOWN_NUMBERS) + 1, 0, 1, 4)
        grid.setColumnStretch(0, 1)

    def refresh(self) -> None:
        """Show where the plane lies, and its numbers at the time that is shown."""
        show, look = self._show, self._show.look
        line = show.centerline()
        known = {"centerline": line is not None, "neck": show.neck() is not None}
        options = {str(key): text for key, text in CUTS.items() if known.get(key, True)}
        offer(self.cut, list(options.items()), look.cut if known.get(look.cut, True) else "off")
        along = look.cut == "centerline" and line is not None
        self._form.setRowVisible(self.branch, along)
        self._form.setRowVisible(self._place, along)
        if line is not None and along:
            names = [(str(n), f"Branch {n}") for n in range(1, len(line.branches) + 1)]
            offer(self.branch, names, str(look.branch))
            look = replace(look, branch=min(look.branch, len(line.branches)))
            length, at = line.length_mm(line.branch(look.branch)), position_on(line, look)
            with QSignalBlocker(self.position):
                self.position.setRange(0, int(length * TENTHS))
                self.position.setValue(round(at * TENTHS))
            self.position_text.setText(f"{at:.1f} of {length:.1f} mm")
        offer(self.across, list(ACROSS.items()), look.across)
        with QSignalBlocker(self.arrows):
            self.arrows.setChecked(look.arrows)
        self._form.setRowVisible(self._shows, look.cut != "off")
        needs = look.cut == "crosshair" and show.crosshair_mm is None
        hint = "Shift and click on the vessel to put the crosshair there." if needs else ""
        self.problem.setText(hint or (show.problem if look.cut != "off" else ""))
        self._form.setRowVisible(self.problem, bool(self.problem.text()))
        self._show_numbers()

    def _show_numbers(self) -> None:
        scene = self._show.shown
        self._form.setRowVisible(self.table, scene is not None and scene.cut is not None)
        if scene is None or scene.cut is None:
            return
        for key, (now, mean) in self.values.items():
            unit, values = SHOWN_NUMBERS[key][1], scene.through[key]
            now.setText(value_text(float(values[self._show.frame]), unit))
            mean.setText(value_text(float(values.mean()), unit) if len(values) > 1 else "")
        for head in self.heads:
            head.setVisible(len(scene.flow.times_s) > 1)
        flat = "The neck is taken as flat here. " if scene.look.cut == "neck" else ""
        self.area.setText(
            f"Area {scene.cut.area_mm2:.3g} mm². {flat}Between the cells of the computation; "
            "uncertainty not known."
        )


class CycleCard(QWidget):
    """The heart's cycle: flow over time, the time that is shown, and playing it."""

    def __init__(self, show: FlowShow) -> None:
        super().__init__()
        self._show = show
        self.wave = Waveform()
        self.wave.asked.connect(show.set_frame)
        self.play = QToolButton()
        self.play.setCheckable(True)
        self.play.clicked.connect(show.play)
        self.time = _slider(0, 1, "Time", "Time of the cycle")
        self.time.setTracking(True)
        self.time.valueChanged.connect(show.set_frame)
        self.text = label("", "muted", wrap=False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.wave)
        column.addWidget(side_by_side(self.play, self.time, self.text))

    def refresh(self) -> None:
        """Show the curves and the time."""
        show, flow = self._show, self._show.flow
        self.setVisible(flow is not None and len(flow.times_s) > 1)
        if flow is None or len(flow.times_s) < 2:
            return
        times = flow.times_s
        period = float(flow.conditions.get("period_s") or times[-1] + times[1] - times[0])
        entering = [course for course in flow.flows_ml_s.values() if course.mean() > 0]
        curves = {"Inflow": np.sum(entering, axis=0)} if entering else dict(flow.flows_ml_s)
        scene = show.shown
        if scene is not None and scene.cut is not None:
            curves["Plane"] = scene.through["flow_ml_s"]
        self.wave.show_curves(times, period, curves)
        self.wave.show_frame(show.frame)
        with QSignalBlocker(self.time):
            self.time.setRange(0, len(times) - 1)
            self.time.setValue(show.frame)
        self.text.setText(f"{times[show.frame] - times[0]:.2f} of {period:.2f} s")
        set_icon(self.play, "ph.pause" if show.playing else "ph.play")
        tip = f"{'Stop' if show.playing else 'Play'} the cycle (Ctrl+Space)"
        self.play.setToolTip(tip)
        self.play.setAccessibleName(tip)
        self.play.setChecked(show.playing)


def _form(card: QWidget) -> QFormLayout:
    form = QFormLayout(card)
    form.setContentsMargins(0, 0, 0, 0)
    form.setSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def choice(name: str, tip: str) -> QComboBox:
    """Return an empty choice that fits the panel."""
    made = QComboBox()
    keep_narrow(made)
    made.setAccessibleName(name)
    made.setToolTip(tip)
    return made


def _slider(low: int, high: int, name: str, tip: str) -> QSlider:
    made = QSlider(Qt.Orientation.Horizontal)
    made.setRange(low, high)
    made.setAccessibleName(name)
    made.setToolTip(tip)
    return made


def _right(text: str, role: str) -> QLabel:
    made = label(text, role, wrap=False)
    made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return made


def _with_unit(quantity: str) -> str:
    title, unit = TITLES[quantity]
    return f"{title} ({unit})" if unit else title
