"""Fixtures of the slice views."""

import pytest

from tests.workstation.ui.blob_images import volume
from workstation.ui.slice_view import SliceView


@pytest.fixture
def make(qtbot):
    def show(view="axial", shown=None, size=(420, 330)):
        widget = SliceView(view)
        qtbot.addWidget(widget)
        widget.resize(*size)
        widget.set_volume(volume() if shown is None else shown)
        widget.set_window(1000, 500)
        widget.show()
        return widget

    return show


@pytest.fixture
def said():
    """Collect what signals say: ``said(signal)`` returns the growing list of arguments."""

    def listen(signal):
        heard = []
        signal.connect(lambda *arguments: heard.append(arguments))
        return heard

    return listen
