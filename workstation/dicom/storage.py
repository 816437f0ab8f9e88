"""Receiving instances by C-STORE: the handlers for any association, and a storage SCP.

A data set is written as it came: nothing decodes it or changes its transfer syntax.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Sequence
from functools import cache
from socketserver import BaseServer
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import (
    ALL_TRANSFER_SYNTAXES,
    DEFAULT_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    evt,
)
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from workstation.dicom.associations import Handler, make_ae, tuned
from workstation.dicom.inbox import Inbox, Refused
from workstation.dicom.nodes import AE_TITLE, NetworkError, Tls, require_ae_title

VERIFICATION = UID("1.2.840.10008.1.1")
COMMITMENT_MODEL = UID("1.2.840.10008.1.20.1")  # Storage Commitment Push Model

LOOPBACK = "127.0.0.1"
PORT = 11112
TIMEOUT_S = 60.0
SUCCESS = 0x0000
_OVERHEAD_BYTES = 1 << 20

# A sender may offer several syntaxes for one object. Asking for the plain one first means that
# nobody compresses with loss for our sake.
TRANSFER_SYNTAXES = [
    ExplicitVRLittleEndian,
    *(uid for uid in ALL_TRANSFER_SYNTAXES if uid != ExplicitVRLittleEndian),
]


class _Offer(PresentationContext):
    """Shared by all associations: nothing changes it, and copying them takes 0.1 s for each."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Offer:
        return self


@cache
def _offers() -> tuple[_Offer, ...]:
    """Return what a server accepts: echo, all kinds of instances, commitment results."""
    offers = [_offer(VERIFICATION), _offer(COMMITMENT_MODEL)]
    offers[1].scu_role, offers[1].scp_role = False, True
    kinds = [context.abstract_syntax for context in AllStoragePresentationContexts]
    return (*offers, *(_offer(uid, TRANSFER_SYNTAXES) for uid in kinds if uid is not None))


def _offer(uid: UID, syntaxes: Sequence[UID | str] = DEFAULT_TRANSFER_SYNTAXES) -> _Offer:
    offer = _Offer()
    offer.abstract_syntax = uid
    offer.transfer_syntax = list(syntaxes)
    return offer


def storing(inbox: Inbox) -> list[Handler]:
    """Return the handlers that write what a peer stores into ``inbox``.

    They also end an association that sends more than the inbox's cap for one instance,
    before it fills the memory.
    """
    pending: WeakKeyDictionary[Association, int] = WeakKeyDictionary()

    def received(event: Event) -> None:
        pending[event.assoc] = pending.get(event.assoc, 0) + len(event.data)
        if pending[event.assoc] > inbox.cap_bytes + _OVERHEAD_BYTES:
            event.assoc.abort(block=False)

    def store(event: Event) -> int | Dataset:
        pending[event.assoc] = 0
        uid = str(getattr(event.request, "AffectedSOPInstanceUID", None) or "")
        try:
            inbox.take([event.encoded_dataset()], uid or "none")
        except Refused as refusal:
            answer = Dataset()
            answer.Status = refusal.status
            answer.ErrorComment = refusal.sentence.encode("ascii", "replace").decode()[:64]
            return answer
        return SUCCESS

    return [(evt.EVT_DATA_RECV, received), (evt.EVT_C_STORE, store)]


class StorageServer:
    """A storage SCP that writes into ``inbox`` while the ``with`` block runs.

    It answers C-ECHO and C-STORE, and takes storage commitment results into ``commitments``
    (transaction UID to data set). It listens on loopback unless ``host`` says otherwise.
    Port 0 takes a free one; `port` tells which. Only peers that call ``ae_title`` are let in,
    and with ``accepts`` only those that call themselves so.

    Raises:
        NetworkError: on entering, when the port cannot be had.
    """

    def __init__(
        self,
        inbox: Inbox,
        *,
        ae_title: str = AE_TITLE,
        host: str = LOOPBACK,
        port: int = PORT,
        tls: Tls | None = None,
        accepts: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        for title in (ae_title, *accepts):
            require_ae_title(title)
        self.inbox = inbox
        self.ae_title = ae_title
        self.host = host
        self.port = port
        self.commitments: dict[str, Dataset] = {}
        self._context = None if tls is None else tls.server_context()
        self._ae = make_ae(ae_title, timeout_s)
        self._ae.network_timeout = timeout_s
        self._ae.require_called_aet = True
        self._ae.require_calling_aet = list(accepts)
        self._handlers: list[Handler] = [
            *tuned(timeout_s),
            *storing(inbox),
            (evt.EVT_N_EVENT_REPORT, reporting(self.commitments)),
        ]

    def __enter__(self) -> StorageServer:
        try:
            server = self._ae.make_server(
                (self.host, self.port),
                contexts=list(_offers()),
                evt_handlers=self._handlers,
                ssl_context=self._context,
                server_class=_Server,
            )
        except OSError as error:
            raise NetworkError(
                f"cannot listen at {self.host}:{self.port}: {error}", "Choose another port"
            ) from error
        self.port = int(server.server_address[1])
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        BaseServer.shutdown(self._server)  # pynetdicom's wants a server that its AE started
        self._thread.join()
        self._server.server_close()
        for association in self._server.active_associations:
            association.abort()


def reporting(commitments: dict[str, Dataset]) -> Any:
    """Return the handler that notes the results of storage commitment (PS3.4 J.3.3)."""

    def report(event: Event) -> tuple[int, None]:
        result = event.event_information
        commitments[str(result.get("TransactionUID", ""))] = result
        return SUCCESS, None

    return report


class _Server(ThreadedAssociationServer):
    """Leaves the TLS handshake to each connection's own thread, so that none blocks others."""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        assert self.socket is not None
        line, address = self.socket.accept()
        line.settimeout(self.ae.acse_timeout)
        if isinstance(self.ssl_context, ssl.SSLContext):
            line = self.ssl_context.wrap_socket(
                line, server_side=True, do_handshake_on_connect=False
            )
        return line, address
