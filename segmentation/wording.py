"""How a count is said."""

from __future__ import annotations


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its words, such as "1 file", "3 files" or "1 hole was".

    ``several`` are the words for any other count; without them ``one`` gets an "s".
    """
    return f"{count} {one if count == 1 else several or f'{one}s'}"
