"""Storage commitment: a node vouches for keeping what was sent to it (PS3.4 Annex J)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, generate_uid
from pynetdicom import build_context, evt

from segmentation.contract import Progress, silent
from segmentation.wording import counted
from workstation.dicom.associations import associate, meaning
from workstation.dicom.dimse import SUCCESS
from workstation.dicom.nodes import NetworkError, Node
from workstation.dicom.storage import COMMITMENT_MODEL, StorageServer, reporting

_INSTANCE = UID("1.2.840.10008.1.20.1.1")  # the well-known Storage Commitment instance


@dataclass(frozen=True)
class Committed:
    """What a node vouches for keeping: instance UIDs, and ``failed`` ones with the reason."""

    kept: tuple[str, ...]
    failed: tuple[tuple[str, str], ...] = ()


def commit(
    node: Node,
    paths: Sequence[Path],
    server: StorageServer | None = None,
    progress: Progress = silent,
) -> Committed:
    """Ask the node to vouch for keeping files that were sent (storage commitment, push model).

    The result comes on the same connection or to our running ``server``, whichever the node
    chooses; without a server only the first can be.

    Raises:
        NetworkError: when the node does not offer this, refuses, or sends no result in time.
    """
    model = COMMITMENT_MODEL
    results: dict[str, Dataset] = {} if server is None else server.commitments
    transaction = generate_uid()

    def beat() -> None:
        progress(0.0, f"waiting for {node.name} to commit {counted(len(paths), 'file')}")

    handlers = [(evt.EVT_N_EVENT_REPORT, reporting(results))]
    with associate(node, [build_context(model)], beat, handlers) as link:
        request = _commitment(transaction, paths)
        answers = (
            link.association.send_n_action(request, 1, model, _INSTANCE)[0] for _ in range(1)
        )
        for status in link.patiently(answers, beat):
            if link.require_answer(status) != SUCCESS:
                raise NetworkError(f"{node.name} does not commit: {meaning(status)}")
        link.wait_until(lambda: transaction in results, beat)
    return _committed(results.pop(transaction))


def _commitment(transaction: UID, paths: Sequence[Path]) -> Dataset:
    request = Dataset()
    request.TransactionUID = transaction
    request.ReferencedSOPSequence = Items()
    for path in paths:
        meta = read_file_meta_info(path)
        item = Dataset()
        item.ReferencedSOPClassUID = meta.MediaStorageSOPClassUID
        item.ReferencedSOPInstanceUID = meta.MediaStorageSOPInstanceUID
        request.ReferencedSOPSequence.append(item)
    return request


_FAILURES = {
    0x0110: "processing failure",
    0x0112: "the node does not have it",
    0x0119: "another class than the node has",
    0x0122: "class not supported",
    0x0131: "duplicate transaction",
    0x0213: "the node has no room",
}


def _committed(result: Dataset) -> Committed:
    """Read a storage commitment result (PS3.4 J.3.3, reasons PS3.3 C.14.1.1)."""
    return Committed(
        tuple(str(i.ReferencedSOPInstanceUID) for i in result.get("ReferencedSOPSequence") or ()),
        tuple(
            (str(i.ReferencedSOPInstanceUID), _failure(int(i.get("FailureReason") or 0)))
            for i in result.get("FailedSOPSequence") or ()
        ),
    )


def _failure(reason: int) -> str:
    return _FAILURES.get(reason, f"reason 0x{reason:04X}")
