"""The DICOM protocol towards a node: echo, find and send."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.association import Association

from segmentation.contract import Progress, silent
from segmentation.wording import counted
from workstation.dicom.associations import (
    MAX_CONTEXTS,
    associate,
    meaning,
)
from workstation.dicom.nodes import NetworkError, Node
from workstation.dicom.queries import (
    FoundInstance,
    FoundSeries,
    FoundStudy,
    InstanceQuery,
    SeriesQuery,
    StudyQuery,
)
from workstation.dicom.storage import VERIFICATION

FIND_MODEL = UID("1.2.840.10008.5.1.4.1.2.2.1")  # Study Root Query/Retrieve - FIND

PENDING = (0xFF00, 0xFF01)
SUCCESS = 0x0000
COERCED = range(0xB000, 0xC000)  # stored, with a warning


@dataclass(frozen=True)
class Sent:
    """What a node took: ``sent`` files, and those that ``failed`` with the reason."""

    sent: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...] = ()


def _beat(progress: Progress, text: Callable[[], str]) -> Callable[[], None]:
    return lambda: progress(0.0, text())


def echo(node: Node, progress: Progress = silent) -> float:
    """Ask whether the node answers (C-ECHO); return how long that took, in seconds.

    Raises:
        NetworkError: when it does not.
    """
    beat = _beat(progress, lambda: f"asking {node.name}")
    with associate(node, [build_context(VERIFICATION)], beat) as link:
        start_s = time.monotonic()
        answers = link.patiently((link.association.send_c_echo() for _ in range(1)), beat)
        for status in answers:
            if link.require_answer(status) != SUCCESS:
                raise NetworkError(f"{node.name} answered {meaning(status)}")
        return time.monotonic() - start_s


def find_studies(
    node: Node, query: StudyQuery, progress: Progress = silent
) -> tuple[FoundStudy, ...]:
    """Search for studies (C-FIND, study root).

    Raises:
        NetworkError: when the node cannot answer or more than the query's limit match.
    """
    answers = find_datasets(node, query.identifier(), query.limit, progress)
    return tuple(FoundStudy.of(answer) for answer in answers)


def find_series(
    node: Node, query: SeriesQuery, progress: Progress = silent
) -> tuple[FoundSeries, ...]:
    """Search for the series of a study (C-FIND, study root); raises like `find_studies`."""
    answers = find_datasets(node, query.identifier(), query.limit, progress)
    return tuple(FoundSeries.of(answer) for answer in answers)


def find_instances(
    node: Node, query: InstanceQuery, progress: Progress = silent
) -> tuple[FoundInstance, ...]:
    """Search for the instances of a series (C-FIND, study root); raises like `find_studies`."""
    answers = find_datasets(node, query.identifier(), query.limit, progress)
    return tuple(FoundInstance.of(answer) for answer in answers)


def find_datasets(node: Node, wanted: Dataset, limit: int, progress: Progress) -> list[Dataset]:
    """Return the answers to a C-FIND identifier; raises like `find_studies`."""
    found: list[Dataset] = []
    beat = _beat(progress, lambda: f"{len(found)} found")
    with associate(node, [build_context(FIND_MODEL)], beat) as link:
        responses = link.association.send_c_find(wanted, FIND_MODEL)
        for status, answer in link.patiently(responses, beat):
            code = link.require_answer(status)
            if code in PENDING and answer is not None:
                if len(found) == limit:
                    raise TooMany(node, limit, found)
                found.append(answer)
            elif code not in (*PENDING, SUCCESS):
                raise NetworkError(f"{node.name} cannot search: {meaning(status)}")
    return found


class TooMany(NetworkError):
    """A search with more than ``limit`` answers; the first ones are in ``answers``."""

    def __init__(self, node: Node, limit: int, answers: Sequence[Dataset]) -> None:
        super().__init__(f"{node.name} has more than {limit} matches", "Narrow the search")
        self.answers = tuple(answers[:limit])


def send(node: Node, paths: Sequence[Path], progress: Progress = silent) -> Sent:
    """Send DICOM files as they are (C-STORE).

    A file that the node does not take is listed under ``failed``; the others are sent.

    Raises:
        NetworkError: when the node cannot be reached or the connection is lost.
    """
    kinds: dict[tuple[UID, UID], list[Path]] = defaultdict(list)
    failed: list[tuple[Path, str]] = []
    for path in paths:
        try:
            kinds[_kind_of(path)].append(path)
        except (InvalidDicomError, AttributeError, EOFError, ValueError, KeyError) as error:
            failed.append((path, f"is no DICOM file with a complete header: {error}"))
    sent: list[Path] = []
    keys = list(kinds)
    for start in range(0, len(keys), MAX_CONTEXTS):
        group = {key: kinds[key] for key in keys[start : start + MAX_CONTEXTS]}
        _send_group(node, group, sent, failed, lambda: _say_sent(progress, sent, failed, paths))
    return Sent(tuple(sent), tuple(failed))


def _say_sent(
    progress: Progress,
    sent: Sequence[Path],
    failed: Sequence[tuple[Path, str]],
    paths: Sequence[Path],
) -> None:
    done = len(sent) + len(failed)
    progress(done / len(paths), f"{len(sent)} of {counted(len(paths), 'file')} sent")


def _kind_of(path: Path) -> tuple[UID, UID]:
    meta = read_file_meta_info(path)
    return UID(meta.MediaStorageSOPClassUID), UID(meta.TransferSyntaxUID)


def _send_group(
    node: Node,
    kinds: dict[tuple[UID, UID], list[Path]],
    sent: list[Path],
    failed: list[tuple[Path, str]],
    beat: Callable[[], None],
) -> None:
    contexts = [build_context(sop_class, [syntax]) for sop_class, syntax in kinds]
    with associate(node, contexts, beat) as link:
        accepted = {
            (cx.abstract_syntax, cx.transfer_syntax[0]) for cx in link.association.accepted_contexts
        }
        ready: list[Path] = []
        for (sop_class, syntax), paths in kinds.items():
            if (sop_class, syntax) in accepted:
                ready += paths
            else:
                reason = f"{node.name} does not take {sop_class.name} as {syntax.name}"
                failed += [(path, reason) for path in paths]
        responses = (_store(link.association, path) for path in ready)
        for path, status in zip(ready, link.patiently(responses, beat)):
            code = link.require_answer(status)
            if code == SUCCESS or code in COERCED:
                sent.append(path)
            else:
                failed.append((path, f"{node.name} answered {meaning(status)}"))


def _store(association: Association, path: Path) -> Dataset:
    if not association.is_established:
        return Dataset()
    return association.send_c_store(path)
