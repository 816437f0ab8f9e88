"""DICOMweb towards a node (PS3.18): QIDO-RS, WADO-RS and STOW-RS.

Instances are streamed between disk and network; nothing decodes them. Redirections are not
followed and proxies of the environment are not used, so that nobody else sees the images.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from segmentation.contract import Progress, silent
from segmentation.wording import counted
from workstation.dicom.associations import CONNECT_S
from workstation.dicom.dimse import Sent, TooMany
from workstation.dicom.inbox import Inbox, Retrieved
from workstation.dicom.multipart import (
    MultipartError,
    boundary_of,
    message,
    message_length,
    parts,
)
from workstation.dicom.nodes import NetworkError, Node, Tls
from workstation.dicom.patience import patiently
from workstation.dicom.queries import (
    FoundInstance,
    FoundSeries,
    FoundStudy,
    InstanceQuery,
    SeriesQuery,
    StudyQuery,
)

T = TypeVar("T")

JSON_TYPE = "application/dicom+json"
ANSWER_CAP_BYTES = 64 << 20
BATCH_FILES, BATCH_BYTES = 50, 256 << 20
_PIECE = 1 << 17


def echo(node: Node, password: str = "", progress: Progress = silent) -> None:
    """Ask the node one small question; raises NetworkError when it cannot answer it."""
    _ask(node, password, "studies", {"limit": "1"}, lambda: progress(0.0, f"asking {node.name}"))


def find_studies(
    node: Node, query: StudyQuery, password: str = "", progress: Progress = silent
) -> tuple[FoundStudy, ...]:
    """Search for studies (QIDO-RS).

    Raises:
        NetworkError: when the node cannot answer or more than the query's limit match.
    """
    answers = _find(node, password, "studies", query.identifier(), query.limit, progress)
    return tuple(FoundStudy.of(answer) for answer in answers)


def find_series(
    node: Node, query: SeriesQuery, password: str = "", progress: Progress = silent
) -> tuple[FoundSeries, ...]:
    """Search for the series of a study (QIDO-RS); raises like `find_studies`."""
    place = f"{_place(query.study_uid)}/series"
    answers = _find(node, password, place, query.identifier(), query.limit, progress)
    return tuple(FoundSeries.of(answer) for answer in answers)


def find_instances(
    node: Node, query: InstanceQuery, password: str = "", progress: Progress = silent
) -> tuple[FoundInstance, ...]:
    """Search for the instances of a series (QIDO-RS); raises like `find_studies`."""
    place = f"{_place(query.study_uid, query.series_uid)}/instances"
    answers = _find(node, password, place, query.identifier(), query.limit, progress)
    return tuple(FoundInstance.of(answer) for answer in answers)


def _place(study_uid: str, series_uid: str = "", instance_uid: str = "") -> str:
    """Return the resource of a study, a series or an instance (PS3.18 10.1)."""
    place = f"studies/{quote(study_uid, safe='')}"
    for level, uid in (("series", series_uid), ("instances", instance_uid)):
        place += f"/{level}/{quote(uid, safe='')}" if uid else ""
    return place


def _find(
    node: Node, password: str, place: str, wanted: Dataset, limit: int, progress: Progress
) -> list[Dataset]:
    asked: list[tuple[str, str]] = [("limit", str(limit + 1))]
    for element in wanted:
        if element.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet"):
            continue
        value = "" if element.value is None else str(element.value)
        if element.keyword.endswith("InstanceUID") and value and f"/{value}/" in place:
            continue  # it stands in the address
        asked.append((element.keyword, value) if value else ("includefield", element.keyword))
    answers = _ask(node, password, place, asked, lambda: progress(0.0, f"searching {node.name}"))
    if len(answers) > limit:
        raise TooMany(node, limit, answers)
    return answers


def _ask(
    node: Node,
    password: str,
    place: str,
    asked: Mapping[str, str] | Sequence[tuple[str, str]],
    beat: Callable[[], None],
) -> list[Dataset]:
    headers = {"Accept": JSON_TYPE}
    with _Exchange(node, password) as exchange:

        def answer() -> Iterator[bytes]:
            # Wildcards stay as they are: Orthanc 1.10 does not find them when encoded.
            path = f"{place}?{urlencode(asked, safe='*?', quote_via=quote)}"
            with exchange.request("GET", path, headers) as response:
                yield from () if response.status == 204 else response.stream(_PIECE)

        text = bytearray()
        for piece in exchange.patiently(answer(), beat):
            text += piece
            if len(text) > ANSWER_CAP_BYTES:
                raise NetworkError(f"the answer of {node.name} is too long", "Narrow the search")
    try:
        return [Dataset.from_json(record) for record in json.loads(text or b"[]")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NetworkError(
            f"the answer of {node.name} is not DICOM JSON: {error}", "Check the DICOMweb address"
        ) from error


def get(
    node: Node,
    study_uid: str,
    series_uid: str,
    inbox: Inbox,
    password: str = "",
    progress: Progress = silent,
    instance_uid: str = "",
) -> Retrieved:
    """Fetch a study, one series or one instance of it (WADO-RS), as the node stores it.

    Files that came whole stay in the inbox even when the rest fails.

    Raises:
        NetworkError: when the transfer fails or breaks off, with how much came.
    """
    place = _place(study_uid, series_uid, instance_uid)
    total = 1 if instance_uid else _count(node, study_uid, series_uid, password, progress)
    headers = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    before = inbox.retrieved()
    count = inbox.count

    def beat() -> None:
        came = inbox.count - count
        of = f" of {total}" if total else ""
        progress(min(came / total, 1.0) if total else 0.0, f"{came}{of} files received")

    with _Exchange(node, password) as exchange:

        def files() -> Iterator[Path]:
            with exchange.request("GET", place, headers) as response:
                boundary = boundary_of(response.headers.get("Content-Type", ""))
                for part in parts(response.stream(_PIECE), boundary):
                    yield inbox.take(exchange.unless_stopped(part))

        try:
            for _ in exchange.patiently(files(), beat):
                pass
        except MultipartError as error:
            raise NetworkError(
                f"the retrieval from {node.name} is incomplete, "
                f"{counted(inbox.count - count, 'file')} came: {error}",
                f"The files in {inbox.folder} are whole; fetch again to get the rest",
            ) from error
    now = inbox.retrieved()
    return Retrieved(now.files[len(before.files) :], now.known[len(before.known) :])


def _count(
    node: Node, study_uid: str, series_uid: str, password: str, progress: Progress
) -> int | None:
    """Return how many instances are to come, where the node tells."""
    found = find_series(node, SeriesQuery(study_uid, series_uid, limit=10_000), password, progress)
    if not found:
        raise NetworkError(f"{node.name} does not have this study or series", "Search for it again")
    counts = [series.instance_count for series in found]
    return None if None in counts else sum(c for c in counts if c is not None)


def send(
    node: Node, paths: Sequence[Path], password: str = "", progress: Progress = silent
) -> Sent:
    """Send DICOM files as they are (STOW-RS), some fifty in one request.

    A file that the node does not take is listed under ``failed``; the others are sent.

    Raises:
        NetworkError: when the node cannot be reached or refuses a whole request.
    """
    uids: dict[str, Path] = {}
    failed: list[tuple[Path, str]] = []
    for path in paths:
        try:
            uids[str(read_file_meta_info(path).MediaStorageSOPInstanceUID)] = path
        except (InvalidDicomError, AttributeError, EOFError, ValueError, KeyError) as error:
            failed.append((path, f"is no DICOM file with a complete header: {error}"))
    sent: list[Path] = []
    for batch in _batches(list(uids.values())):

        def beat() -> None:
            done = len(sent) + len(failed)
            progress(done / len(paths), f"{len(sent)} of {counted(len(paths), 'file')} sent")

        beat()
        refused = _send_batch(node, password, batch, beat)
        for path in batch:
            reason = next((r for uid, r in refused.items() if uids.get(uid) == path), None)
            if reason is None:
                sent.append(path)
            else:
                failed.append((path, reason))
    return Sent(tuple(sent), tuple(failed))


def _batches(paths: Sequence[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in paths:
        more = path.stat().st_size
        if batch and (len(batch) == BATCH_FILES or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += more
    if batch:
        yield batch


def _send_batch(
    node: Node, password: str, paths: Sequence[Path], beat: Callable[[], None]
) -> dict[str, str]:
    """Send some files; return the refused instance UIDs with the reason (PS3.18 I.2)."""
    mark = secrets.token_hex(16)
    boundary = mark.encode()
    headers = {
        "Accept": JSON_TYPE,
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={mark}',
        "Content-Length": str(message_length(paths, boundary)),
    }
    with _Exchange(node, password) as exchange:

        def answer() -> Iterator[bytes]:
            body = exchange.unless_stopped(message(paths, boundary))
            with exchange.request("POST", "studies", headers, body, allowed=(409,)) as response:
                yield response.read(ANSWER_CAP_BYTES)

        (text,) = exchange.patiently(answer(), beat)
    try:
        result = Dataset.from_json(json.loads(text or b"{}"))
        return {
            str(item.ReferencedSOPInstanceUID): f"{node.name} refused it, reason "
            f"0x{int(item.get('FailureReason') or 0):04X}"
            for item in result.get("FailedSOPSequence") or ()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NetworkError(f"the answer of {node.name} is not DICOM JSON: {error}") from error


class _Stopped(Exception):
    """Ends a stream that nobody waits for any more."""


class _Exchange:
    """Requests to one node that can be stopped from another thread."""

    def __init__(self, node: Node, password: str) -> None:
        node.route("web")
        self.node = node
        self._stopped = threading.Event()
        self._response: BaseHTTPResponse | None = None
        self._headers = {"User-Agent": "Hilum"}
        if node.username:
            pair = base64.b64encode(f"{node.username}:{password}".encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {pair}"
        self._pool = PoolManager(
            num_pools=1,
            timeout=Timeout(connect=min(CONNECT_S, node.timeout_s), read=node.timeout_s),
            retries=False,
            ssl_context=(node.tls or Tls()).client_context(),
        )

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.clear()

    def stop(self) -> None:
        """Make a running request end soon."""
        self._stopped.set()
        response = self._response
        if response is not None:
            response.shutdown()

    def unless_stopped(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass ``pieces`` on until `stop` is called."""
        for piece in pieces:
            if self._stopped.is_set():
                raise _Stopped
            yield piece

    def patiently(self, source: Iterable[T], beat: Callable[[], None]) -> Iterator[T]:
        """Yield from ``source``; ``beat`` is called often and may raise, which stops it."""
        try:
            yield from patiently(source, beat, self.stop)
        except HTTPError as error:
            raise _explained(self.node, error) from error

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any = None,
        allowed: Sequence[int] = (),
    ) -> Iterator[BaseHTTPResponse]:
        """Send a request; its answer is one with a good status, or one of ``allowed``.

        Raises:
            NetworkError: for any other status.
        """
        response = self._pool.request(
            method,
            f"{self.node.dicomweb_url.rstrip('/')}/{path}",
            headers={**self._headers, **headers},
            body=body,
            redirect=False,
            preload_content=False,
        )
        self._response = response
        try:
            if not (200 <= response.status < 300 or response.status in allowed):
                raise _status_error(self.node, response)
            yield response
        finally:
            self._response = None
            response.close()


_STATUS = {
    401: ("does not accept the user name or password", "Check user name and password"),
    403: ("does not allow this", "Ask its administrator for the right to do it"),
    404: ("does not have this", "Check the DICOMweb address and the UIDs"),
    413: ("finds this too big", "Send fewer or smaller files"),
    415: ("does not take this kind of object", "Use the DICOM protocol instead"),
}


def _status_error(node: Node, response: BaseHTTPResponse) -> NetworkError:
    if 300 <= response.status < 400:
        target = response.headers.get("Location", "elsewhere").split("?")[0]
        return NetworkError(
            f"{node.name} points to another address: {target}",
            "If it is right, put it into the node",
        )
    says, remedy = _STATUS.get(
        response.status,
        ("failed" if response.status >= 500 else "refused", "Try again, or ask its administrator"),
    )
    return NetworkError(f"{node.name} {says} (HTTP {response.status})", remedy)


def _explained(node: Node, error: HTTPError) -> NetworkError:
    cause: BaseException = getattr(error, "reason", None) or error
    cause = cause if isinstance(cause, BaseException) else error
    url = node.dicomweb_url
    if isinstance(cause, SSLError):
        return NetworkError(
            f"TLS with {node.name} failed: {cause}",
            "Check the CA file, the name in the node's certificate and our own certificate",
        )
    if isinstance(cause, NameResolutionError):
        return NetworkError(f"the host of {url} is not known", "Check the DICOMweb address")
    if isinstance(cause, NewConnectionError):
        return NetworkError(f"{url} cannot be reached", "Check the address and the network")
    if isinstance(cause, ConnectTimeoutError):
        return NetworkError(f"{url} does not answer", "Check the address and the network")
    if isinstance(cause, ReadTimeoutError):
        return NetworkError(
            f"{node.name} has been silent for {node.timeout_s:g} s",
            "Try again; if the node is slow, raise its timeout",
        )
    return NetworkError(f"the connection to {node.name} was lost: {cause}", "Try again")
