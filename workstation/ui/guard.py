"""Keeps Python exceptions from crossing into Qt.

An exception that leaves a Qt virtual override (paintEvent, mousePressEvent, sizeHint) can
crash the process on Python 3.10 and 3.11, and is lost at best elsewhere. Every override is
therefore ``@guarded``: the exception goes to one reporter, and Qt receives a default.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload

Reporter = Callable[[Exception], None]
P = ParamSpec("P")
R = TypeVar("R")


def report_to_excepthook(error: Exception) -> None:
    """Hand ``error`` to `sys.excepthook`, which prints it (and fails a pytest-qt test)."""
    sys.excepthook(type(error), error, error.__traceback__)


_reporters: list[Reporter] = [report_to_excepthook]


def set_reporter(reporter: Reporter) -> Reporter:
    """Send the errors of all guarded functions to ``reporter``; return the one before."""
    before = _reporters[0]
    _reporters[0] = reporter
    return before


@overload
def guarded(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def guarded(*, default: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def guarded(function: Callable[..., Any] | None = None, /, *, default: Any = None) -> Any:
    """Make a Qt override that reports its exceptions and then returns ``default``.

    Used as ``@guarded`` where Qt expects nothing back, and as ``@guarded(default=value)``
    where it does.
    """

    def decorate(inner: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(inner)
        def outer(*args: Any, **kwargs: Any) -> Any:
            try:
                return inner(*args, **kwargs)
            except Exception as error:
                _report(error)
                return default

        return outer

    return decorate if function is None else decorate(function)


def _report(error: Exception) -> None:
    try:
        _reporters[0](error)
    except Exception as worse:  # a reporter that fails must not crash what it protects
        report_to_excepthook(worse)
