"""A small archive on loopback that speaks the DICOM protocol, well or badly, for tests."""

import threading
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseServer

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import (
    AE,
    build_context,
    build_role,
    evt,
)
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from workstation.dicom.nodes import Node

SYNTAXES = [JPEGLSLossless, ExplicitVRLittleEndian, ImplicitVRLittleEndian]
MODELS = {
    "find": StudyRootQueryRetrieveInformationModelFind,
    "get": StudyRootQueryRetrieveInformationModelGet,
    "move": StudyRootQueryRetrieveInformationModelMove,
    "commit": StorageCommitmentPushModel,
    "echo": Verification,
}
COUNTS = {
    "STUDY": {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy"},
    "SERIES": {"NumberOfSeriesRelatedInstances"},
    "IMAGE": set(),
}
UIDS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


class Archive:
    """Holds data sets; ``break_after`` instances of a retrieval it drops the line."""

    def __init__(self, paths=(), *, offers=tuple(MODELS), break_after=None, move_to=None):
        self.instances = [dcmread(path) for path in paths]
        self.break_after = break_after
        self.move_to = move_to
        self.move_title = ""
        self.identifiers = []
        self.stored = {}
        self.ended = threading.Event()
        self.ae = AE(ae_title="ARCHIVE")
        self.ae.require_called_aet = True
        for name in offers:
            self.ae.add_supported_context(MODELS[name])
        for uid in (CTImageStorage, MRImageStorage):
            self.ae.add_supported_context(uid, SYNTAXES, scu_role=True, scp_role=True)
        self.report_to = None
        self.unknown = set()

    @contextmanager
    def serve(self, tls=None, **settings):
        """Listen on loopback; yield the `Node` to reach this archive with."""
        for name, value in settings.items():
            setattr(self.ae, name, value)
        server = self.ae.make_server(
            ("127.0.0.1", 0),
            server_class=ThreadedAssociationServer,
            ssl_context=tls,
            evt_handlers=[
                (evt.EVT_C_ECHO, lambda event: 0x0000),
                (evt.EVT_C_FIND, self.find),
                (evt.EVT_C_GET, self.get),
                (evt.EVT_C_MOVE, self.move),
                (evt.EVT_C_STORE, self.store),
                (evt.EVT_N_ACTION, self.commit),
                (evt.EVT_ABORTED, lambda event: self.ended.set()),
                (evt.EVT_CONN_CLOSE, lambda event: self.ended.set()),
            ],
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Node("archive", "127.0.0.1", server.server_address[1], "ARCHIVE", timeout_s=20)
        finally:
            BaseServer.shutdown(server)
            thread.join()
            server.server_close()
            for link in server.active_associations:
                link.abort()

    def matching(self, wanted):
        for data in self.instances:
            if all(self._matches(data, element) for element in wanted):
                yield data

    def _matches(self, data, element):
        if element.keyword in {"QueryRetrieveLevel", "SpecificCharacterSet", "ModalitiesInStudy"}:
            return True
        value = str(element.value or "")
        if element.keyword == "StudyDate" and "-" in value:
            first, last = value.split("-")
            return (first or "0") <= data.StudyDate <= (last or "9")
        if value.endswith("*"):
            return str(data.get(element.keyword, "")).startswith(value[:-1])
        return not value or value == str(data.get(element.keyword, ""))

    def find(self, event):
        wanted = event.identifier
        self.identifiers.append(wanted)
        level = wanted.QueryRetrieveLevel
        groups = {}
        for data in self.matching(wanted):
            groups.setdefault(data[UIDS[level]].value, []).append(data)
        for group in groups.values():
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, self._answer(wanted, level, group)

    def _answer(self, wanted, level, group):
        answer = Dataset()
        answer.QueryRetrieveLevel = level
        answer.SpecificCharacterSet = "ISO_IR 192"
        for element in wanted:
            if element.keyword in COUNTS[level]:
                continue
            if element.keyword in group[0]:
                answer[element.tag] = group[0][element.tag]
        if level == "STUDY":
            answer.ModalitiesInStudy = sorted({data.Modality for data in group})
            answer.NumberOfStudyRelatedSeries = len({d.SeriesInstanceUID for d in group})
            answer.NumberOfStudyRelatedInstances = len(group)
        if level == "SERIES":
            answer.NumberOfSeriesRelatedInstances = len(group)
        return answer

    def _retrieved(self, event):
        found = list(self.matching(event.identifier))
        yield len(found)
        for n, data in enumerate(found):
            if n == self.break_after:
                event.assoc.dul.socket.socket.close()
                return
            yield 0xFF00, data

    def get(self, event):
        yield from self._retrieved(event)

    def move(self, event):
        if event.move_destination != self.move_title:
            yield None, None
            return
        contexts = [build_context(uid) for uid in {d.SOPClassUID for d in self.instances}]
        yield *self.move_to, {"contexts": contexts}
        yield from self._retrieved(event)

    def store(self, event):
        if self.break_after is not None and len(self.stored) == self.break_after:
            event.assoc.abort()
            return 0xC000
        uid = event.request.AffectedSOPInstanceUID
        if uid in self.unknown:
            return 0xA700
        self.stored[uid] = event.encoded_dataset(include_meta=False)
        return 0x0000

    def commit(self, event):
        result = Dataset()
        result.TransactionUID = event.action_information.TransactionUID
        kept, failed = [], []
        for item in event.action_information.ReferencedSOPSequence:
            if item.ReferencedSOPInstanceUID in self.stored:
                kept.append(item)
            else:
                item.FailureReason = 0x0112
                failed.append(item)
        result.ReferencedSOPSequence = kept
        result.FailedSOPSequence = failed
        kind = 2 if failed else 1
        if self.report_to is not None:
            threading.Thread(target=self._report, args=(result, kind)).start()
        return 0x0000, None

    def _report(self, result, kind):
        ae = AE(ae_title="ARCHIVE")
        ae.add_requested_context(StorageCommitmentPushModel)
        link = ae.associate(
            *self.report_to,
            ae_title=self.move_title,
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        )
        link.send_n_event_report(
            result, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        link.release()


def content(path: Path) -> bytes:
    """Return the bytes of a DICOM file after its file meta information."""
    data = path.read_bytes()
    assert data[128:132] == b"DICM"
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]
