"""A real PACS for tests: Orthanc with its own minimal configuration, on loopback only.

Orthanc binds every address and has no option against it, so it is started only behind a small
library that turns each bind into one to loopback; without a C compiler there is no test. Before
it is used, the addresses that it listens at are checked.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
int bind(int handle, const struct sockaddr *wanted, socklen_t length) {
  int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
  struct sockaddr_storage place;
  if (length > sizeof place) return -1;
  memcpy(&place, wanted, length);
  if (place.ss_family == AF_INET)
    ((struct sockaddr_in *)&place)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (place.ss_family == AF_INET6)
    ((struct sockaddr_in6 *)&place)->sin6_addr = in6addr_loopback;
  return real(handle, (struct sockaddr *)&place, length);
}
"""
START_S = 20.0
LOOPBACK = ("0100007F", "00000000000000000000000001000000")
LISTENING = "0A"


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    dicom_port: int
    http_port: int
    ae_title: str = "ORTHANC"
    username: str = "test"
    password: str = "test"

    @property
    def dicomweb_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"


def find_program() -> str:
    """Return the path of Orthanc, or skip the test that asks."""
    program = os.environ.get("HILUM_ORTHANC") or shutil.which("Orthanc")
    if not program or not Path(program).is_file():
        pytest.skip(
            "Orthanc is not here: install orthanc and orthanc-dicomweb, or set HILUM_ORTHANC"
        )
    return program


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def orthanc(folder: Path, planner_port: int):
    """Run Orthanc while the block runs; it knows us as PLANNER at ``planner_port``."""
    program = find_program()
    shim = _compiled(folder)
    served = Orthanc(free_port(), free_port())
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(_settings(folder, served, planner_port)))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(settings)],
            env={**os.environ, "LD_PRELOAD": str(shim)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, served, folder / "orthanc.log")
            _require_loopback_only(process.pid)
            yield served
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _compiled(folder: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("Orthanc is not started: without a C compiler it would listen everywhere")
    source, shim = folder / "loopback.c", folder / "loopback.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"], check=True)
    return shim


def _settings(folder: Path, served: Orthanc, planner_port: int) -> dict:
    plugin = os.environ.get(
        "HILUM_ORTHANC_DICOMWEB", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
    )
    if not Path(plugin).is_file():
        pytest.skip("Orthanc's DICOMweb plug-in is not here: install orthanc-dicomweb")
    return {
        "Name": "hilum-tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [plugin],
        "HttpPort": served.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {served.username: served.password},
        "DicomAet": served.ae_title,
        "DicomPort": served.dicom_port,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomAlwaysAllowMove": False,
        "UnknownSopClassAccepted": True,
        "DicomModalities": {
            "planner": {
                "AET": "PLANNER",
                "Host": "127.0.0.1",
                "Port": planner_port,
                "AllowGet": True,
                "AllowStorageCommitment": True,
            }
        },
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }


def _wait(process: subprocess.Popen, served: Orthanc, log: Path) -> None:
    """Wait until both ports answer."""
    end = time.monotonic() + START_S
    for port in (served.http_port, served.dicom_port):
        while True:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"Orthanc did not start: {log.read_text()[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)


def _require_loopback_only(pid: int) -> None:
    """Fail unless every socket that ``pid`` listens at is bound to loopback."""
    links = [os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir() if f.is_symlink()]
    own = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in own:
                found += 1
                assert fields[1].split(":")[0] in LOOPBACK, f"Orthanc listens at {fields[1]}"
    assert found >= 2
