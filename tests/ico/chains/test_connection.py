"""A connection over TLS is bounded in time as one without."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pytest

from ico.chains.base import ChainUnavailable
from ico.chains.rpc import Rpc
from tests.absent import absent
from tests.nodes import anvil, lying
from tests.nodes.liar import Liar
from tests.served import served

pytestmark = pytest.mark.process


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        absent("openssl")
    path = tmp_path / "both.pem"
    made = ["-keyout", str(path), "-out", str(tmp_path / "cert.pem"), "-days", "2", "-nodes", "-subj", "/CN=localhost"]
    ask = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *made]
    subprocess.run([*ask, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "cert.pem").read_text())
    return path


@pytest.fixture
def liar(certificate: Path, tmp_path: Path) -> Iterator[Liar]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with anvil.running(tmp_path) as node:
        server = Liar(node.url)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with served(server):
            try:
                yield server
            finally:
                server.over.set()


def at(liar: Liar) -> SplitResult:
    return urlsplit(f"https://localhost:{liar.server_address[1]}")


def test_an_answer_that_drips_is_given_up(liar: Liar, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    rpc = Rpc(at(liar), seconds=1)
    assert rpc.call("eth_chainId", seconds=20) == "0x7a69"
    for lie in (lying.head_drips, lying.hints_drip):
        liar.lie = lie
        began = time.monotonic()
        with pytest.raises(ChainUnavailable, match="did not answer within 1 s"):
            rpc.call("eth_chainId", most_bytes=10**15)
        assert time.monotonic() - began < 10
    liar.lie = None
    assert rpc.call("eth_chainId", seconds=20) == "0x7a69"


def test_a_certificate_that_nobody_vouches_for_is_refused(liar: Liar) -> None:
    with pytest.raises(ChainUnavailable, match=r"cannot be asked: .*CERTIFICATE_VERIFY_FAILED"):
        Rpc(at(liar), seconds=20).call("eth_chainId")
