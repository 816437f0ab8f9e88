import socket
import ssl
from dataclasses import replace

import pytest
import trustme

from tests.workstation import dicom_phantom
from tests.workstation.pacs_peer import content
from workstation.dicom import network
from workstation.dicom.inbox import Inbox
from workstation.dicom.network import NetworkError, Node, StorageServer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return dicom_phantom.write(tmp_path_factory.mktemp("tiny"), dicom_phantom.positions())


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def pem(authority, tmp_path_factory):
    """Write the files of a server, a client, their authority and a foreign authority."""
    folder = tmp_path_factory.mktemp("pem")
    for name in ("server", "client"):
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        for part in issued.cert_chain_pems:
            part.write_to_path(folder / f"{name}.pem", append=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "foreign.pem")
    return {path.name: str(path) for path in folder.iterdir()}


def server_tls(pem, **more):
    return network.Tls(certificate=pem["server.pem"], key=pem["server.key"], **more)


def test_tls_both_ways(tiny, pem, tmp_path):
    tls = server_tls(pem, ca_file=pem["ca.pem"])
    with StorageServer(Inbox(tmp_path), port=0, tls=tls) as server:
        ours = network.Tls(pem["ca.pem"], pem["client.pem"], pem["client.key"])
        node = Node("own", "127.0.0.1", server.port, "HILUM", tls=ours, timeout_s=20)
        assert len(network.send(node, tiny).sent) == len(tiny)
        with pytest.raises(NetworkError, match="TLS with own failed"):
            network.echo(replace(node, tls=network.Tls(pem["ca.pem"])))
    assert {content(f) for f in tmp_path.iterdir()} == {content(f) for f in tiny}


def test_tls_checks_the_certificate_unless_told_not_to(pem, tmp_path):
    with StorageServer(Inbox(tmp_path), port=0, tls=server_tls(pem)) as server:
        node = Node("own", "127.0.0.1", server.port, "HILUM", tls=network.Tls(), timeout_s=20)
        for tls in (network.Tls(), network.Tls(pem["foreign.pem"])):
            with pytest.raises(NetworkError, match=r"TLS with own failed.*CERTIFICATE"):
                network.echo(replace(node, tls=tls))
        network.echo(replace(node, tls=network.Tls(verify=False)))
        network.echo(replace(node, tls=network.Tls(pem["ca.pem"])))


def test_tls_checks_the_name(authority, pem, tmp_path):
    other = authority.issue_cert("elsewhere.example")
    (tmp_path / "x.pem").write_bytes(other.private_key_and_cert_chain_pem.bytes())
    tls = network.Tls(certificate=str(tmp_path / "x.pem"))
    with StorageServer(Inbox(tmp_path / "in"), port=0, tls=tls) as server:
        ours = network.Tls(pem["ca.pem"])
        with pytest.raises(NetworkError, match="TLS with own failed"):
            network.echo(Node("own", "127.0.0.1", server.port, "HILUM", tls=ours))


def test_plain_to_tls_and_tls_to_plain(pem, tmp_path):
    with StorageServer(Inbox(tmp_path), port=0, tls=server_tls(pem)) as server:
        node = Node("own", "127.0.0.1", server.port, "HILUM", timeout_s=2)
        with pytest.raises(NetworkError, match="without an answer"):
            network.echo(node)
    with StorageServer(Inbox(tmp_path), port=0, timeout_s=2) as server:
        node = Node("own", "127.0.0.1", server.port, "HILUM", tls=network.Tls(), timeout_s=2)
        with pytest.raises(NetworkError, match=r"TLS with own failed|without an answer"):
            network.echo(node)


def test_a_silent_client_does_not_block_a_tls_server(pem, tmp_path):
    with (
        StorageServer(Inbox(tmp_path), port=0, tls=server_tls(pem)) as server,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        ours = network.Tls(pem["ca.pem"])
        network.echo(Node("own", "127.0.0.1", server.port, "HILUM", tls=ours, timeout_s=10))


def test_tls_is_never_older_than_1_2(pem):
    context = server_tls(pem, ca_file=pem["ca.pem"]).server_context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
