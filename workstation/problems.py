"""What a person reads when something goes wrong: cause, place, remedy."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass

from segmentation.contract import as_sentence


@dataclass(frozen=True)
class Problem:
    """An error in a person's words; ``trace`` is for the bug report."""

    title: str
    detail: str
    remedy: str
    trace: str


_DISK_REMEDY = {
    errno.ENOSPC: ("The disk is full", "Free some space or choose another disk, then try again."),
    errno.EDQUOT: ("The disk quota is used up", "Free some space, then try again."),
    errno.EROFS: ("The disk is read-only", "Choose a folder that can be written to."),
    errno.EACCES: ("Access is denied", "Choose a folder that you may read and write."),
    errno.EPERM: ("Access is denied", "Choose a folder that you may read and write."),
    errno.ENOENT: ("The file is not there", "Check the path."),
    errno.ENOTDIR: ("That is not a folder", "Check the path."),
    errno.EISDIR: ("That is a folder, not a file", "Check the path."),
}


def explain(error: BaseException) -> Problem:
    """Return what to tell a person about ``error``.

    An error may carry its own ``remedy``; a text of the form "cause; remedy" is split.
    """
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, OSError) and error.errno in _DISK_REMEDY:
        title, remedy = _DISK_REMEDY[error.errno]
        return Problem(title, str(error.filename or error), remedy, trace)
    if isinstance(error, MemoryError):
        return Problem(
            "There is not enough memory",
            str(error) or "The work needs more memory than this machine has free.",
            "Close other programs, or crop the image to the region that matters.",
            trace,
        )
    text = str(error).strip() or type(error).__name__
    remedy = str(getattr(error, "remedy", ""))
    if not remedy and "; " in text:
        text, remedy = text.rsplit("; ", 1)
    if isinstance(error, ValueError | RuntimeError | OSError):
        return Problem(as_sentence(text), "", as_sentence(remedy), trace)
    return Problem(
        "Something unexpected happened",
        f"{type(error).__name__}: {text}",
        "Your work is saved. Please report this with the details below.",
        trace,
    )
