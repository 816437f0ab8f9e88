"""A small DICOMweb server on loopback, well or badly behaved, for tests."""

import base64
import json
import threading
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pydicom import dcmread
from pydicom.dataset import Dataset

from workstation.dicom.nodes import Node

BOUNDARY = "--a.boundary--"


class WebArchive:
    """Holds files; ``cut_at`` ends a retrieval after so many bytes."""

    def __init__(self, paths=(), *, password="", cut_at=None, status=None, text=None, mute=False):
        self.files = {str(dcmread(path).SOPInstanceUID): Path(path) for path in paths}
        self.password = password
        self.cut_at = cut_at
        self.status = status
        self.text = text
        self.mute = mute
        self.unknown = set()
        self.received = {}
        self.queries = []
        self.released = threading.Event()

    @contextmanager
    def serve(self, tls=None):
        """Listen on loopback; yield the `Node` to reach this archive with."""

        class Handler(_Handler):
            archive = self

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False
        scheme = "http"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web"
        try:
            yield Node("web", dicomweb_url=url, timeout_s=20)
        finally:
            self.released.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def matching(self, **wanted):
        for path in self.files.values():
            data = dcmread(path)
            if all(str(data.get(key, "")) == value for key, value in wanted.items() if value):
                yield data, path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status, body=b"", kind="application/dicom+json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def allowed(self):
        archive = self.archive
        if archive.mute:
            archive.released.wait()
            self.close_connection = True
            return False
        if archive.status:
            self.answer(archive.status, archive.text or b"", Location="http://elsewhere.example/x")
            return False
        pair = base64.b64encode(f"jörg:{archive.password}".encode()).decode()
        if archive.password and self.headers.get("Authorization") != f"Basic {pair}":
            self.answer(401)
            return False
        return True

    def do_GET(self):
        if not self.allowed():
            return
        parts = urlsplit(self.path)
        asked = parse_qsl(parts.query)
        self.archive.queries.append(asked)
        steps = parts.path.removeprefix("/dicom-web/").split("/")
        named = dict(zip(steps[::2], steps[1::2]))
        if len(steps) % 2:
            self.search(steps[-1], named, dict(asked))
        else:
            self.retrieve(named)

    def search(self, level, named, asked):
        if self.archive.text is not None:
            self.answer(200, self.archive.text)
            return
        key = {
            "studies": "StudyInstanceUID",
            "series": "SeriesInstanceUID",
            "instances": "SOPInstanceUID",
        }[level]
        wanted = {
            "PatientName": asked.get("PatientName"),
            "StudyInstanceUID": named.get("studies"),
            "SeriesInstanceUID": named.get("series"),
        }
        groups = {}
        for data, _ in self.archive.matching(**wanted):
            groups.setdefault(data[key].value, []).append(data)
        records = []
        for group in list(groups.values())[: int(asked["limit"])]:
            answer = Dataset()
            answer.SpecificCharacterSet = "ISO_IR 192"
            for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate"):
                if keyword in group[0]:
                    answer[keyword] = group[0][keyword]
            if level == "series":
                answer.SeriesInstanceUID = group[0].SeriesInstanceUID
                answer.Modality = group[0].Modality
                answer.NumberOfSeriesRelatedInstances = len(group)
            if level == "instances":
                answer.SOPInstanceUID = group[0].SOPInstanceUID
                answer.InstanceNumber = group[0].InstanceNumber
            records.append(answer.to_json_dict())
        if records:
            self.answer(200, json.dumps(records).encode())
        else:
            self.answer(204)

    def retrieve(self, named):
        found = self.archive.matching(
            StudyInstanceUID=named["studies"],
            SeriesInstanceUID=named.get("series"),
            SOPInstanceUID=named.get("instances"),
        )
        body = b"preamble to be ignored"
        for _, path in found:
            body += (
                f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\nX-Odd: \r\n\r\n"
            ).encode() + path.read_bytes()
        body += f"\r\n--{BOUNDARY}--\r\nepilogue".encode()
        self.send_response(200)
        self.send_header(
            "Content-Type", f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
        )
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), 1000):
            if self.archive.cut_at is not None and start >= self.archive.cut_at:
                self.close_connection = True
                return
            piece = body[start : start + 1000]
            try:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            except OSError:
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.allowed():
            return
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        failed = []
        for part in message_from_bytes(head + body, policy=HTTP).iter_parts():
            content = part.get_payload(decode=True)
            uid = str(dcmread(BytesIO(content)).SOPInstanceUID)
            if uid in self.archive.unknown:
                item = Dataset()
                item.ReferencedSOPInstanceUID = uid
                item.FailureReason = 0xA700
                failed.append(item)
            else:
                self.archive.received[uid] = content
        result = Dataset()
        if failed:
            result.FailedSOPSequence = failed
        status = 200 if not failed else 202 if self.archive.received else 409
        self.answer(status, json.dumps(result.to_json_dict()).encode())
