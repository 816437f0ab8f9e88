"""Fetching from a node: C-GET, and C-MOVE to our own storage SCP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import build_context, build_role
from pynetdicom.presentation import PresentationContext

from segmentation.contract import Progress, silent
from segmentation.wording import counted
from workstation.dicom.associations import MAX_CONTEXTS, Link, associate, meaning, no_context
from workstation.dicom.dimse import PENDING, SUCCESS, find_datasets, find_series
from workstation.dicom.inbox import Inbox, Retrieved
from workstation.dicom.nodes import NetworkError, Node
from workstation.dicom.queries import SeriesQuery
from workstation.dicom.storage import TRANSFER_SYNTAXES, StorageServer, storing

GET_MODEL = UID("1.2.840.10008.5.1.4.1.2.2.3")  # Study Root Query/Retrieve - GET
MOVE_MODEL = UID("1.2.840.10008.5.1.4.1.2.2.2")  # Study Root Query/Retrieve - MOVE

USUAL_CLASSES = (
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    SecondaryCaptureImageStorage,
)
"""Proposed for C-GET where the node does not tell what a series holds."""


def get(
    node: Node,
    study_uid: str,
    series_uid: str,
    inbox: Inbox,
    progress: Progress = silent,
    instance_uid: str = "",
) -> Retrieved:
    """Fetch a study, one series or one instance of it, over the same connection (C-GET).

    Files that came whole stay in the inbox even when the rest fails.

    Raises:
        NetworkError: when not everything came, with how much did.
    """
    classes = _classes_of(node, study_uid, series_uid, progress)
    model = GET_MODEL
    contexts = [build_context(model), *_storage_contexts(classes)]
    roles = [build_role(uid, scp_role=True) for uid in classes]
    tally = _Tally(node, inbox, progress)
    with associate(node, contexts, tally.beat, storing(inbox), roles) as link:
        accepted = {cx.abstract_syntax for cx in link.association.accepted_contexts}
        if model not in accepted:
            raise no_context(node, "C-GET")
        wanted = _retrieval(study_uid, series_uid, instance_uid)
        tally.follow(link, link.association.send_c_get(wanted, model))
    return tally.result()


def move(
    node: Node,
    study_uid: str,
    series_uid: str,
    server: StorageServer,
    progress: Progress = silent,
    instance_uid: str = "",
) -> Retrieved:
    """Have a study, one series or one instance of it, sent to our running ``server`` (C-MOVE).

    The node must know the server's AE title, host and port. Files that came whole stay in the
    server's inbox even when the rest fails.

    Raises:
        NetworkError: when not everything came, with how much did.
    """
    model = MOVE_MODEL
    tally = _Tally(node, server.inbox, progress)
    with associate(node, [build_context(model)], tally.beat) as link:
        wanted = _retrieval(study_uid, series_uid, instance_uid)
        responses = link.association.send_c_move(wanted, server.ae_title, model)
        tally.follow(link, responses)
    return tally.result()


def _retrieval(study_uid: str, series_uid: str, instance_uid: str = "") -> Dataset:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "SERIES" if series_uid else "STUDY"
    wanted.StudyInstanceUID = study_uid
    if series_uid:
        wanted.SeriesInstanceUID = series_uid
    if instance_uid:
        wanted.QueryRetrieveLevel = "IMAGE"
        wanted.SOPInstanceUID = instance_uid
    return wanted


class _Tally:
    """Follows the responses of one retrieval and compares them with what really came."""

    def __init__(self, node: Node, inbox: Inbox, progress: Progress) -> None:
        self.node = node
        self.inbox = inbox
        self.progress = progress
        self.before = inbox.retrieved()
        self.refused_before = len(inbox.refusals)
        self.total = 0
        self.completed = 0
        self.count = inbox.count

    def beat(self) -> None:
        came = self.inbox.count - len(self.before.files) - len(self.before.known)
        of = f" of {self.total}" if self.total else ""
        fraction = min(came / self.total, 1.0) if self.total else 0.0
        self.progress(fraction, f"{came}{of} files received")
        if len(self.inbox.refusals) > self.refused_before:
            raise self.inbox.refusals[self.refused_before]

    def follow(self, link: Link, responses: Iterator[tuple[Dataset, Dataset | None]]) -> None:
        """Take the responses to the last one.

        Raises:
            NetworkError: when the node fails, or an instance is refused by us.
        """

        def beat() -> None:
            if self.inbox.count != self.count:  # with C-MOVE they come on another connection
                self.count = self.inbox.count
                link.touch()
            self.beat()

        for status, _ in link.patiently(responses, beat):
            if "Status" not in status:
                raise self._incomplete("the connection was lost")
            left = int(status.get("NumberOfRemainingSuboperations") or 0)
            done = int(status.get("NumberOfCompletedSuboperations") or 0)
            failed = int(status.get("NumberOfFailedSuboperations") or 0)
            warned = int(status.get("NumberOfWarningSuboperations") or 0)
            self.total = max(self.total, left + done + failed + warned)
            self.completed = max(self.completed, done + warned)
            if int(status.Status) in PENDING:
                continue
            if int(status.Status) != SUCCESS or failed:
                raise self._incomplete(_move_meaning(self.node, status))

    def result(self) -> Retrieved:
        """Return what came.

        Raises:
            NetworkError: when nothing came, or less than the node says that it sent.
        """
        now = self.inbox.retrieved()
        files = now.files[len(self.before.files) :]
        known = now.known[len(self.before.known) :]
        if not (files or known):
            raise NetworkError(
                f"{self.node.name} sent nothing", "Check the UIDs, and search for the study again"
            )
        if len(files) + len(known) < self.completed:
            raise self._incomplete("some files did not arrive")
        return Retrieved(files, known)

    def _incomplete(self, why: str) -> NetworkError:
        came = self.inbox.count - len(self.before.files) - len(self.before.known)
        files = f"{came} of {counted(self.total, 'file')}" if self.total else counted(came, "file")
        return NetworkError(
            f"the retrieval from {self.node.name} is incomplete, {files} came: {why}",
            f"The files in {self.inbox.folder} are whole; fetch again to get the rest",
        )


def _move_meaning(node: Node, status: Dataset) -> str:
    if int(status.Status) == 0xA801:
        return f"{node.name} does not know our AE title as a destination; its administrator adds it"
    return f"{node.name} answered {meaning(status)}"


def _classes_of(node: Node, study_uid: str, series_uid: str, progress: Progress) -> list[UID]:
    """Return the SOP classes that a study or series holds, as far as the node tells."""
    series = [series_uid]
    if not series_uid:
        found = find_series(node, SeriesQuery(study_uid, limit=10_000), progress)
        series = [s.series_uid for s in found if s.series_uid]
    classes: dict[UID, None] = {}
    for uid in series:
        wanted = _retrieval(study_uid, uid)
        wanted.QueryRetrieveLevel = "IMAGE"
        wanted.SOPInstanceUID = wanted.SOPClassUID = ""
        for answer in find_datasets(node, wanted, 100_000, progress):
            if answer.get("SOPClassUID"):
                classes[UID(answer.SOPClassUID)] = None
    return list(classes)[: MAX_CONTEXTS - 1] or list(USUAL_CLASSES)


def _storage_contexts(classes: Sequence[UID]) -> list[PresentationContext]:
    """Return contexts for receiving ``classes``.

    Where they fit, each transfer syntax has its own context: only then may the node choose for
    each file, and none has to be converted.
    """
    if len(classes) * len(TRANSFER_SYNTAXES) < MAX_CONTEXTS:
        return [build_context(uid, [syntax]) for uid in classes for syntax in TRANSFER_SYNTAXES]
    return [build_context(uid, list(TRANSFER_SYNTAXES)) for uid in classes]
