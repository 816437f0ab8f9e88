"""Replacements that follow from a secret key: the same input gives the same output, always.

They are HMAC-SHA256 values, so that nobody without the key can find out which patient or object
a replacement stands for by trying, and later images of a patient fall in with earlier ones.
"""

from __future__ import annotations

import hmac
import os
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

KEY_BYTES = 32
STANDARD_ROOT = "1.2.840.10008."
SHIFT_DAYS = (366, 3653)  # least and most; always into the past


@dataclass(frozen=True)
class Pseudonyms:
    """Replacements of UIDs, patients and dates under one ``key``."""

    key: bytes = field(repr=False)

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self.key, f"{purpose}\0{text}".encode(), "sha256")

    def uid(self, uid: str) -> str:
        """Return the UID that stands for ``uid``; those that DICOM itself gave out stay.

        It is a random-looking UUID below 2.25 (PS3.5 B.2).
        """
        if not uid or uid.startswith(STANDARD_ROOT):
            return uid
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', uid)[:16], version=4).int}"

    def subject(self, identity: str) -> str:
        """Return the name that stands for a patient."""
        return f"HILUM-{self._digest('patient', identity).hex()[:12].upper()}"

    def shift_days(self, identity: str) -> int:
        """Return by how many days all dates of a patient move; it is negative."""
        least, most = SHIFT_DAYS
        number = int.from_bytes(self._digest("dates", identity)[:8], "big")
        return -(least + number % (most - least + 1))


def new_key() -> bytes:
    """Return a fresh secret key."""
    return secrets.token_bytes(KEY_BYTES)


def read_key(path: Path) -> bytes:
    """Return the key in the file ``path``; a file that is not there is made, for its owner only.

    Raises:
        ValueError: if the file holds something else.
        OSError: if it cannot be read or made.
    """
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(new_key().hex() + "\n")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{path} holds no key for de-identification; name the right file, or one that is not "
            "there yet"
        )
    return key


def shifted(text: str, days: int) -> str:
    """Return a DICOM date (DA) or date and time (DT), moved by whole ``days``.

    A date that gives only year or month is moved from the middle of it. A time of day stays.

    Raises:
        ValueError: if it is no date.
    """
    text = text.strip()
    if len(text) == 10 and text[4] == text[7] == ".":  # the form before 1993
        text = text.replace(".", "")
    digits = next((n for n, c in enumerate(text) if not c.isdigit()), len(text))
    known = min(digits, 8)
    if known not in (4, 6, 8):
        raise ValueError("not a DICOM date")
    whole = text[:known] + {4: "0701", 6: "15", 8: ""}[known]
    try:
        moved = date(int(whole[:4]), int(whole[4:6]), int(whole[6:8])) + timedelta(days=days)
    except OverflowError:
        raise ValueError("not a DICOM date") from None
    return f"{moved:%Y%m%d}".rjust(8, "0")[:known] + text[known:]
