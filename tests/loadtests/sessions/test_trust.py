"""Whose certificate is good enough: on this machine any, beyond it those of the authorities that are named."""

import ssl
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from geventhttpclient.url import URL

from loadtests.browsing import tls
from loadtests.browsing.connections import TargetOnly
from loadtests.guard import challenge
from loadtests.steps import Journey, Step
from loadtests.target import Target, TargetRefused
from tests.loadtests.sessions.conftest import Drive, RawServer, Serve, always, answer


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A home-made one for this name, and a server's side of it."""
    made = ["-keyout", str(folder / "key"), "-out", str(folder / "cert"), "-subj", f"/CN={name}", "-nodes"]
    ask = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *made]
    subprocess.run([*ask, "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(folder / "cert", folder / "key")
    return folder / "cert", trust


def target(server: RawServer) -> Target:
    """As if under this name on another machine; its address stays here."""
    return Target("https", "shop.example", server.server_address[1], "127.0.0.1")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target, "is_here", property(lambda target: False))


def test_what_is_this_machine_is_told_by_the_address_alone() -> None:
    assert tls.context(Target("https", "shop.example", 443, "127.0.0.2")).verify_mode is ssl.CERT_NONE
    beyond = tls.context(Target("https", "localhost", 443, "192.0.2.1"))
    assert (beyond.verify_mode, beyond.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("name", "known", "right"), [("shop.example", True, True), ("shop.example", False, False), ("other", True, False)]
)
@pytest.mark.usefixtures("elsewhere")
def test_beyond_this_machine_nothing_is_sent_to_whom_no_authority_vouches_for(
    serve: Serve, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, known: bool, right: bool
) -> None:
    path, trust = certificate(tmp_path, name)
    if known:
        monkeypatch.setenv(tls.AUTHORITIES, str(path))

    def journey() -> Journey:
        yield Step("step", "GET", "/")

    with serve(always(answer()), trust) as server:
        driven = drive(target(server), journey())
        key = challenge.derived_key(settings.LOAD_KEY)
        with pytest.raises(TargetRefused, match="something else" if right else r"did not answer.*CERTIFICATE_VERIFY"):
            challenge.prove(target(server), environment="demo", key=key)
    assert driven.outcomes() == ({"success": 1} if right else {"failure": 1})
    assert len(server.requests) == (2 if right else 0)
    assert right or next(iter(driven.errors)).startswith("TLS: CERTIFICATE_VERIFY_FAILED")


def test_a_file_that_holds_no_certificates_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for named in (tmp_path / "none", Path(__file__)):
        monkeypatch.setenv(tls.AUTHORITIES, str(named))
        with pytest.raises(TargetRefused, match="holds no certificates"):
            tls.context(Target("https", "shop.example", 443, "192.0.2.1"))


def test_the_host_header_is_a_browsers(serve: Serve, drive: Drive) -> None:
    """The challenge signs it so: without the port that the scheme has anyway."""
    assert Target("https", "shop.example", 443, "127.0.0.1").authority == "shop.example"

    def journey() -> Journey:
        yield Step("step", "GET", "/")

    with serve(always(answer())) as server:

        class Default(Target):
            authority = property(lambda target: "shop.example")

        drive(Default("http", "shop.example", server.server_address[1], "127.0.0.1"), journey())
    assert b"\r\nHost: shop.example\r\n" in server.requests[0]


@pytest.mark.parametrize(("name", "right"), [("shop.example", True), ("other", False)])
@pytest.mark.usefixtures("elsewhere")
def test_plain_locust_goes_to_the_same_address_and_trusts_the_same(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, right: bool
) -> None:
    path, trust = certificate(tmp_path, name)
    monkeypatch.setenv(tls.AUTHORITIES, str(path))
    with serve(always(answer()), trust) as server:
        where = target(server)
        client = TargetOnly(where, connection_timeout=30.0, network_timeout=30.0).get_client(URL(where.url))
        if right:
            assert client.get("/").read() == b"ok"
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                client.get("/")
        client.close()
    assert len(server.requests) == right
