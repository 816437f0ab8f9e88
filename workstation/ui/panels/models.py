"""Proposes labels by a trained model: which one, its card, what a run takes, and the run."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile, is_zipfile

from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from segmentation.bundles import store
from segmentation.bundles.cost import Estimate
from segmentation.bundles.folder import METADATA, holds_bundle
from segmentation.contract import Progress
from segmentation.models import (
    INPUTS,
    BundleModel,
    Listed,
    ModelCard,
    find_model,
    fixed_params,
    known_models,
)
from segmentation.wording import counted
from workstation.ui.desk import Desk
from workstation.ui.guard import guarded
from workstation.ui.panels.parts import button, label
from workstation.ui.words import readable

STAGE = "segmentation.run_model"
SHOWN = 12  # labels on a card
MOST_NAMES = 10_000  # of a ZIP that are looked at


class ModelChooser(QWidget):
    """A folded form: the model, its card, the images it takes, and what the result is called.

    A folder or ZIP that is dropped here becomes a model; nothing in it runs by that.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._cards: dict[str, ModelCard] = {}
        self.setAcceptDrops(True)
        self.fold = QToolButton()
        self.fold.setText("▸ Propose by a model")
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("Have a trained model propose labels; a person reviews them")
        self.fold.clicked.connect(self._toggle)
        self.models = QComboBox()
        self.models.setAccessibleName("Model")
        self.models.currentIndexChanged.connect(self._choose)
        self.card = label("", "muted")
        self.problem = label("", "warning")
        self.images: list[QComboBox] = []
        self._rows = QFormLayout()
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the result")
        self.name.setToolTip("Name of the result; small letters, digits and underscores")
        self.cost = label("", "muted")
        self.allow = button("Allow its code…", "Let the model run code that it brings", self._ask)
        self.weigh = button("What will it take?", "Memory and time of a run", self._estimate)
        self.run = button("Propose", "Run the model; its labels are added to the plan", self._run)
        self.add = button(
            "Add a model…", "A MONAI bundle as ZIP; folders can be dropped here", self._pick
        )
        self._page = QWidget()
        column = QVBoxLayout(self._page)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.models, self.card, self.problem):
            column.addWidget(part)
        column.addLayout(self._rows)
        column.addWidget(self.cost)
        for row in ((self.run, self.weigh), (self.allow, self.add)):
            line = QHBoxLayout()
            for pressed in row:
                line.addWidget(pressed)
            column.addLayout(line)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        outer.addWidget(self._page)
        self._page.hide()
        desk.bindings.add(self._refresh_images, self)
        desk.bindings.enable(self.run, self.lacks, "Run the model; its labels join the plan")
        desk.bindings.enable(self.weigh, self.lacks, "Memory and time of a run on this image")

    def lacks(self) -> str:
        """Return what a run needs, "" when it can start."""
        card = self.chosen
        if self._desk.session.case is None:
            return "a case with an image"
        if card is None:
            return "a model that can be used"
        if not card.allowed:
            return "your consent to the code that the model carries"
        return "" if self._names() else "an image"

    @property
    def chosen(self) -> ModelCard | None:
        """The card of the chosen model; None if there is none, or it cannot be used."""
        return self._cards.get(str(self.models.currentData()))

    def _toggle(self) -> None:
        shown = self._page.isHidden()
        self._page.setVisible(shown)
        self.fold.setText("▾ Propose by a model" if shown else "▸ Propose by a model")
        if shown:
            self.reload()

    def reload(self, choose: str = "") -> None:
        """Read the list of models anew, and choose one of them."""
        wanted = choose or str(self.models.currentData() or "")
        self._desk.run(
            "Models", lambda progress: known_models(), lambda found: self._show(found, wanted)
        )

    def _show(self, found: list[Listed], wanted: str) -> None:
        self._cards = {entry.name: entry.card for entry in found if entry.card is not None}
        self.models.clear()
        for entry in found:
            title = entry.card.title if entry.card else "cannot be used"
            self.models.addItem(f"{entry.name}: {title}", entry.name)
            self.models.setItemData(self.models.count() - 1, entry.problem, 3)  # its tool tip
        self.models.setCurrentIndex(max(0, self.models.findData(wanted)))
        self._choose()

    def _choose(self) -> None:
        """Show the card of the chosen model and ask for its images."""
        card = self.chosen
        self.card.setText("" if card is None else card_text(card))
        problem = self.models.itemData(self.models.currentIndex(), 3)
        self.problem.setText(str(problem or "") if card is None else consent_text(card))
        self.problem.setVisible(bool(self.problem.text()))
        self.allow.setVisible(card is not None and bool(card.code) and not card.allowed)
        self.cost.setText("")
        while self._rows.rowCount():
            self._rows.removeRow(0)
        self.images = [QComboBox() for _ in (card.channels if card else ())]
        for box, channel in zip(self.images, card.channels if card else ()):
            box.setAccessibleName(channel)
            self._rows.addRow(readable(channel), box)
        self.name = QLineEdit(result_name(card) if card else "")
        self.name.setAccessibleName("Name of the result")
        self.name.setToolTip("Name of the result; small letters, digits and underscores")
        self._rows.addRow("Result", self.name)
        self._refresh_images()
        self._desk.session.notify()

    def _refresh_images(self) -> None:
        """Offer the images of the case for each channel."""
        session = self._desk.session
        kinds = session.kinds() if session.plan is not None else {}
        names = [name for name, kind in kinds.items() if kind == "Volume"]
        for n, box in enumerate(self.images):
            if names != [box.itemData(i) for i in range(box.count())]:
                box.clear()
                for name in names:
                    box.addItem(readable(name), name)
                shown = box.findData(session.view.image) if n == 0 else min(n, len(names) - 1)
                box.setCurrentIndex(max(0, shown))

    def _names(self) -> list[str]:
        names = [str(box.currentData() or "") for box in self.images]
        return names if names and all(names) else []

    def _run(self) -> None:
        desk, card = self._desk, self.chosen
        if card is None:
            return
        output = self.name.text().strip().lower().replace(" ", "_")
        inputs = dict(zip(INPUTS, self._names()))
        if desk.attempt(lambda: desk.session.add_step(STAGE, output, inputs, fixed_params(card))):
            self._toggle()
            desk.compute(output)

    def _estimate(self) -> None:
        card, case, plan = self.chosen, self._desk.session.case, self._desk.session.plan
        if card is None or case is None or plan is None:
            return
        keys = [plan.keys()[name] for name in self._names()]

        def work(progress: Progress) -> Estimate | None:
            model = find_model(card.name)
            volumes = [case.values[key] for key in keys]
            return model.estimate(volumes, progress) if isinstance(model, BundleModel) else None

        self.cost.setText("…")
        self._desk.run("Estimate", work, lambda found: self.cost.setText(cost_text(found)))

    def _ask(self) -> None:
        card = self.chosen
        if card is None:
            return
        words = (
            f"{card.title} brings code of its own:\n\n{chr(10).join(card.code[:5])}\n\n"
            "It would run on this machine with your rights. Allow it only if you trust where "
            "the model comes from. A change of its files asks again."
        )
        yes = QMessageBox.StandardButton.Yes
        buttons = yes | QMessageBox.StandardButton.No
        if QMessageBox.question(self, "Allow this model's code?", words, buttons) == yes:
            self.consent(card.name)

    def consent(self, name: str) -> None:
        """Remember that a person allows the code of a model."""
        if self._desk.attempt(lambda: store.allow(name, code=True)):
            self.reload(name)

    def _pick(self) -> None:
        path = QFileDialog.getOpenFileName(self, "A MONAI bundle", "", "Bundles (*.zip)")[0]
        if path:
            self.take(Path(path))

    def take(self, path: Path) -> None:
        """Add the bundle in a folder or ZIP to the models; nothing of it is run."""
        self._desk.run(
            f"Add {path.name}",
            lambda progress: store.add_bundle(path, progress=progress).name,
            self._unfold_on,
        )

    def _unfold_on(self, name: str) -> None:
        if self._page.isHidden():
            self._toggle()
        self.reload(name)

    @guarded
    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take one folder or ZIP."""
        urls = event.mimeData().urls()
        path = Path(urls[0].toLocalFile()) if len(urls) == 1 else Path()
        if is_model(path):
            event.acceptProposedAction()

    @guarded
    def dropEvent(self, event: QDropEvent) -> None:
        """Add what was dropped."""
        self.take(Path(event.mimeData().urls()[0].toLocalFile()))
        event.acceptProposedAction()


def is_model(path: Path) -> bool:
    """Tell whether a folder or ZIP is a MONAI bundle, or a folder that nnU-Net trained."""
    if path.is_dir():
        plans = [*path.glob("plans.json"), *path.glob("*/plans.json")]
        return holds_bundle(path) or any((p.parent / "dataset.json").is_file() for p in plans)
    if path.suffix.lower() != ".zip" or not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        names = archive.namelist()
    return any(name.endswith((METADATA, "/plans.json")) for name in names[:MOST_NAMES])


def result_name(card: ModelCard) -> str:
    """Return what to call the result of a model: its one label, or the model."""
    labels = [known.name for known in card.labels.values()]
    name = labels[0] if len(labels) == 1 else card.name
    plain = "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"model_{plain}"


def card_text(card: ModelCard) -> str:
    """Return a model's card in a few lines."""
    names = [readable(known.name) for known in card.labels.values()]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    lines = [
        f"{card.title} {card.version} ({card.kind})",
        card.description,
        f"Takes: {card.modality or 'any modality'} ({', '.join(card.channels)})",
        f"Labels: {', '.join(names[:SHOWN]) or 'not named'}{more}",
        f"Use: {card.intended_use}" if card.intended_use else "",
        f"Licence: {card.licence or 'not stated'}",
        f"Weights: {card.weights_sha256[:16] or 'outside this program'}",
        "Carries code of its own, which was allowed" if card.code and card.allowed else "",
    ]
    return "\n".join(line for line in lines if line)


def consent_text(card: ModelCard) -> str:
    """Return what a person must allow before the model may run; "" when nothing."""
    if not card.code or card.allowed:
        return ""
    return "▲ Carries code of its own: " + "; ".join(card.code[:3])


def cost_text(found: Estimate | None) -> str:
    """Return an estimate in words."""
    if found is None:
        return "This model runs in a program of its own; what it takes is not known."
    minutes = found.seconds / 60
    time = f"{found.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
    where = "on the GPU" if found.device == "cuda" else "on the CPU"
    return (
        f"About {time} {where} and {found.memory_bytes / 1e9:.1f} GB of memory "
        f"({counted(found.windows, 'window')})."
    )
