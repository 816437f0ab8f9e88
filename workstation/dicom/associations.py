"""Opening, watching and ending DICOM associations; why one failed, in a person's words."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.status import code_to_category
from pynetdicom.transport import AddressInformation, AssociationSocket

from workstation.dicom.nodes import NetworkError, Node
from workstation.dicom.patience import BEAT_S, patiently

T = TypeVar("T")
Handler = evt.EventHandlerType

# Files are sent as they are stored, without decoding and encoding them again.
_config.STORE_SEND_CHUNKED_DATASET = True

CONNECT_S = 10.0
HANG_UP_S = 1.0
POLL_S = 0.02
PDU_BYTES = 1 << 17
PDU_CAP_BYTES = 1 << 20  # a request to associate with 128 contexts is smaller
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
MAX_CONTEXTS = 128


class Link:
    """One open association with ``node``; made by `associate`."""

    def __init__(self, node: Node, association: Association, pulse: Pulse) -> None:
        self.node = node
        self.association = association
        self._pulse = pulse

    def touch(self) -> None:
        """Note that something happens that this association does not carry."""
        self._pulse.touch()

    def patiently(self, source: Iterable[T], beat: Callable[[], None]) -> Iterator[T]:
        """Yield from ``source``, which talks over this association.

        ``beat`` is called at least every 0.1 s; when it raises, the association is aborted.

        Raises:
            NetworkError: when no byte has passed for the node's timeout.
        """
        self.touch()
        return patiently(source, lambda: self._listen(beat), lambda: hang_up(self.association))

    def wait_until(self, done: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Return once ``done`` tells so; ``beat`` and errors are as with `patiently`."""
        self.touch()
        while not done():
            self._listen(beat)
            time.sleep(POLL_S)

    def _listen(self, beat: Callable[[], None]) -> None:
        beat()
        if self._pulse.silence_s() > self.node.timeout_s:
            raise NetworkError(
                f"{self.node.name} has been silent for {self.node.timeout_s:g} s",
                "Try again; if the node is slow, raise its timeout",
            )

    def require_answer(self, status: Dataset) -> int:
        """Return the status code of a response.

        Raises:
            NetworkError: when the connection was lost instead.
        """
        if "Status" not in status:
            raise NetworkError(
                f"the connection to {self.node.name} was lost", "Check the network and try again"
            )
        return int(status.Status)


class Pulse:
    """Remembers when bytes last passed."""

    def __init__(self) -> None:
        self.touch()

    def touch(self, event: Event | None = None) -> None:
        """Note that something passes now."""
        self._last_s = time.monotonic()

    def silence_s(self) -> float:
        """Return the seconds since bytes last passed."""
        return time.monotonic() - self._last_s


class _Line(AssociationSocket):
    """A connection that takes no oversized PDU and always closes its socket in the end."""

    def recv(self, nr_bytes: int) -> bytearray:
        if nr_bytes > PDU_CAP_BYTES:  # a peer may claim 4 GiB for one PDU
            raise OSError(f"a PDU of {nr_bytes} bytes is refused")
        return super().recv(nr_bytes)

    def _shutdown_socket(self) -> None:
        line = self.socket
        super()._shutdown_socket()
        if line is not None:  # pynetdicom leaves it open when the other side closed first
            line.close()


class _Caller(AE):
    """An application entity that connects by `_Line`."""

    def _create_socket(
        self,
        assoc: Association,
        address: AddressInformation,
        tls_args: tuple[ssl.SSLContext, str] | None,
    ) -> AssociationSocket:
        line = _Line(assoc, address=address)
        line.tls_args = tls_args
        return line


def make_ae(title: str, timeout_s: float) -> AE:
    """Return an application entity of ours with a limit on every wait."""
    ae = _Caller(ae_title=title)
    ae.maximum_pdu_size = PDU_BYTES
    ae.connection_timeout = min(CONNECT_S, timeout_s)
    ae.acse_timeout = timeout_s
    # A long transfer is not silence, and `Link` watches for that.
    ae.dimse_timeout = ae.network_timeout = None
    return ae


def tuned(timeout_s: float) -> list[Handler]:
    """Return the handlers that make a connection prompt and keep a peer from stalling it.

    One socket call takes no longer than ``timeout_s``; nothing is held back for company
    (TCP_NODELAY), and what came is acknowledged at once (TCP_QUICKACK, which Linux forgets
    after each use): without that, each file costs 40 ms more with peers that wait for it.
    """

    def opened(event: Event) -> None:
        transport = event.assoc.dul.socket
        if transport is None or transport.socket is None:
            return
        transport.socket.settimeout(timeout_s)
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.__class__ = _Line
        passed(event)

    def passed(event: Event) -> None:
        transport = event.assoc.dul.socket
        if _QUICKACK is not None and transport is not None and transport.socket is not None:
            with contextlib.suppress(OSError):
                transport.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    return [
        (evt.EVT_CONN_OPEN, opened),
        (evt.EVT_DATA_RECV, passed),
        (evt.EVT_DATA_SENT, passed),
    ]


@contextmanager
def associate(
    node: Node,
    contexts: Sequence[PresentationContext],
    beat: Callable[[], None],
    handlers: Sequence[Handler] = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Link]:
    """Open an association; release it at the end, or abort it if the block raises.

    Raises:
        NetworkError: when the node cannot be reached, does not let us in or accepts none of
            ``contexts``.
    """
    pulse = Pulse()
    watching: list[Handler] = [
        *tuned(node.timeout_s),
        (evt.EVT_DATA_RECV, pulse.touch),
        (evt.EVT_DATA_SENT, pulse.touch),
    ]
    association = _open(node, contexts, beat, [*watching, *handlers], roles)
    try:
        yield Link(node, association, pulse)
    except BaseException:
        hang_up(association)
        raise
    if association.is_established:
        association.release()


def _open(
    node: Node,
    contexts: Sequence[PresentationContext],
    beat: Callable[[], None],
    handlers: Sequence[Handler],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
) -> Association:
    node.route("dimse")
    tls = None if node.tls is None else (node.tls.client_context(), node.host)
    ae = make_ae(node.own_ae_title, node.timeout_s)
    given_up = threading.Event()

    def connect() -> Iterator[Association]:
        try:
            made = ae.associate(
                node.host,
                node.port,
                contexts=list(contexts),
                ae_title=node.ae_title,
                max_pdu=PDU_BYTES,
                ext_neg=list(roles),
                tls_args=tls,
                evt_handlers=list(handlers),
            )
        except OSError as error:
            raise _unreachable(node, error) from error
        if given_up.is_set():
            hang_up(made)
        yield made

    (association,) = patiently(connect(), beat, given_up.set)
    if not association.is_established:
        raise _refusal(node, association)
    return association


def hang_up(association: Association) -> None:
    """Abort; if the line is stuck in a send, cut it after a second."""

    def cut() -> None:
        transport = association.dul.socket
        if transport is not None and transport.socket is not None:
            with contextlib.suppress(OSError):
                transport.socket.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(HANG_UP_S, cut)
    timer.daemon = True
    timer.start()
    try:
        association.abort()
    finally:
        timer.cancel()
        association.dimse.msg_queue.put((None, None))  # wakes who waits for an answer


_REJECTIONS = {
    (1, 7): (
        "{node.name} does not know the AE title {node.ae_title}",
        "Correct the node's AE title",
    ),
    (1, 3): (
        "{node.name} does not know us as {node.own_ae_title}",
        "Ask its administrator to add this AE title, or correct our own",
    ),
    (3, 1): ("{node.name} is busy", "Try again later"),
    (3, 2): ("{node.name} has too many connections", "Try again later"),
}


def _refusal(node: Node, association: Association) -> NetworkError:
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = (answer.result_source, answer.diagnostic) if answer else (0, 0)
        sentence, remedy = _REJECTIONS.get(
            (int(reason[0] or 0), int(reason[1] or 0)),
            ("{node.name} refused the association", "Ask its administrator whether we may connect"),
        )
        return NetworkError(sentence.format(node=node), remedy)
    if association.rejected_contexts:
        return no_context(node, "what was asked for")
    return _diagnosis(node)


def no_context(node: Node, what: str) -> NetworkError:
    """Return the error for a service or kind of object that ``node`` does not accept."""
    return NetworkError(
        f"{node.name} accepts no presentation context for {what}",
        "The node does not offer this service to us; ask its administrator",
    )


def _unreachable(node: Node, error: OSError) -> NetworkError:
    place = f"{node.host}:{node.port}"
    if isinstance(error, socket.gaierror):
        return NetworkError(f"the host {node.host} is not known", "Check the node's host name")
    if isinstance(error, ConnectionRefusedError):
        return NetworkError(f"nothing listens at {place}", "Check the node's port")
    if isinstance(error, TimeoutError):
        return NetworkError(f"{place} does not answer", "Check the address and the network")
    return NetworkError(f"{place} cannot be reached: {error}", "Check the address and the network")


def _diagnosis(node: Node) -> NetworkError:
    """Find out by a plain connection why there was no answer to a request to associate."""
    try:
        with socket.create_connection((node.host, node.port), _wait_s(node)) as line:
            if node.tls is not None:
                context = node.tls.client_context()
                with context.wrap_socket(line, server_hostname=node.host) as secure:
                    secure.settimeout(BEAT_S)
                    secure.recv(1)  # a certificate of ours that is refused shows only now
    except ssl.SSLError as error:
        if not isinstance(error, TimeoutError):
            return NetworkError(
                f"TLS with {node.name} failed: {error.reason or error}",
                "Check the CA file, the name in the node's certificate and our own certificate",
            )
    except ConnectionResetError:
        pass
    except TimeoutError as error:
        if node.tls is None:
            return _unreachable(node, error)
    except OSError as error:
        return _unreachable(node, error)
    return NetworkError(
        f"{node.name} ended the connection without an answer",
        "Check the port, and whether the node expects TLS",
    )


def _wait_s(node: Node) -> float:
    return min(CONNECT_S, node.timeout_s)


def meaning(status: Dataset) -> str:
    """Return what a DIMSE response says, for a person."""
    code = int(status.get("Status", 0))
    comment = str(status.get("ErrorComment", "") or "").strip()
    return f"{code_to_category(code).lower()} 0x{code:04X}{': ' if comment else ''}{comment}"
