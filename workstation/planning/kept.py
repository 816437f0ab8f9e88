"""Values that are made once from others and kept as long as those live."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
R = TypeVar("R")


def kept(make: Callable[P, R]) -> Callable[P, R]:
    """Return a function of immutable values, by position, that makes each result once.

    A result is found again by the values themselves, not by what equals them, and goes when one of
    them goes; so it must not hold them.
    """
    made: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
    turn = Lock()

    @wraps(make)
    def found(*values: P.args, **named: P.kwargs) -> R:
        assert not named
        with turn:
            shelf = made
            for value in values[:-1]:
                shelf = shelf.setdefault(value, WeakKeyDictionary())
            if values[-1] in shelf:
                result: R = shelf[values[-1]]
                return result
        result = make(*values, **named)
        with turn:
            shelf[values[-1]] = result
        return result

    return found
