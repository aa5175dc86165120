from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from config import checks
from config.logging import redacted
from config.serving import free_port

ROOT = Path(__file__).resolve().parents[2]

# BIP84's published account, as a private key: the example of what must never be configured.
PRIVATE = (
    "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvBRmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE"
)


def test_the_default_is_in_order() -> None:
    assert checks.account_keys(None) == []
    assert checks.data_folder(None) == []
    assert checks.public_url(None) == []


@pytest.mark.parametrize("key", [PRIVATE, "", "xpub", PRIVATE[:-1]])
def test_a_key_that_is_no_public_account_key_is_refused_and_not_shown(settings: Settings, key: str) -> None:
    settings.BTC_XPUB = key
    (problem,) = checks.account_keys(None)
    assert problem.id == "stampede.E001"
    assert "STAMPEDE_BTC_XPUB" in str(problem.msg)
    assert "STAMPEDE_BTC_XPUB" in str(problem.hint)
    assert not key or len(key) < 10 or key[4:] not in str(problem)


def test_a_key_of_another_network_is_refused(settings: Settings) -> None:
    settings.BTC_NETWORK = "regtest"
    assert [problem.id for problem in checks.account_keys(None)] == ["stampede.E001"]


def test_a_data_folder_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "gone"
    (problem,) = checks.data_folder(None)
    assert "gone" in str(problem.msg)
    assert "STAMPEDE_DATA" in str(problem.hint)


@pytest.mark.parametrize(
    ("url", "ident"), [("sale.example.org", "stampede.E004"), ("https://sale.example.org", "stampede.E005")]
)
def test_links_must_lead_here(settings: Settings, url: str, ident: str) -> None:
    settings.PUBLIC_URL = url
    assert [problem.id for problem in checks.public_url(None)] == [ident]
    settings.ALLOWED_HOSTS = ["sale.example.org"]
    settings.PUBLIC_URL = "https://sale.example.org"
    assert checks.public_url(None) == []


def test_a_demo_key_is_named_by_the_deploy_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAMPEDE_SECRET_KEY", raising=False)
    assert [problem.id for problem in checks.signing_key(None)] == ["stampede.W001"]
    monkeypatch.setenv("STAMPEDE_SECRET_KEY", "x" * 32)
    assert checks.signing_key(None) == []


@pytest.mark.parametrize(
    "path",
    ["/i/{}/", "/i/{}/wallet/", "/line/{}/", "/api/position/{}", "/api/payment/{}?x=1", "http://h/i/{}/payment/"],
)
def test_no_token_and_no_ticket_reaches_the_log(path: str) -> None:
    secret = "h1.7.Zm9vYmFyYmF6-_"
    text = redacted(f"GET {path.format(secret)} gave 410")
    assert secret not in text
    assert "…" in text
    assert text.startswith("GET ")


# --- the parts of the stack -------------------------------------------------------------------------------------------
def server(host: str, port: int = 3306) -> dict[str, object]:
    return {"ENGINE": "django.db.backends.mysql", "HOST": host, "PORT": port, "NAME": "stampede"}


FILE: dict[str, object] = {"ENGINE": "django.db.backends.sqlite3"}
ALL = (checks.replicas, checks.shared_cache, checks.broker, checks.aws_credentials, checks.mail_server)


def found() -> list[str]:
    return sorted(str(problem.id) for check in ALL for problem in check(None))


@pytest.fixture
def parts(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """MariaDB with a replica, Redis, SQS, SMTP: all in order. Nobody's credentials but the test's are looked at."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("STAMPEDE_SMTP_URL", "smtp://127.0.0.1:25")
    # not through the fixture, which would tell Django of other databases
    monkeypatch.setattr(django_settings, "DATABASES", {"default": server("primary"), "replica1": server("replica")})
    settings.REPLICAS = ["replica1"]
    settings.REDIS_URL = "redis://127.0.0.1:6379/0"
    settings.BROKER, settings.MAIL_BY = "sqs", "smtp"
    return settings


def test_a_stack_in_order_and_the_embedded_default_have_no_problem(parts: Settings) -> None:
    assert found() == []
    parts.REPLICAS, parts.REDIS_URL, parts.BROKER, parts.MAIL_BY = [], None, "folder", "maildir"
    parts.DATABASES["default"] = FILE
    assert found() == []


def test_replicas_need_a_primary_and_are_other_servers(parts: Settings) -> None:
    parts.DATABASES["replica1"] = server("primary")
    assert found() == ["stampede.E007"]
    (problem,) = checks.replicas(None)
    assert "primary:3306" in str(problem.msg)
    assert "STAMPEDE_REPLICA_URLS" in str(problem.hint)
    parts.DATABASES["replica1"] = server("primary", port=3307)
    assert found() == []
    parts.DATABASES["default"] = FILE
    assert "stampede.E006" in found()


def test_several_machines_need_a_shared_cache(parts: Settings) -> None:
    parts.REDIS_URL = None
    (problem,) = checks.shared_cache(None)
    assert found() == ["stampede.W002"]
    assert "place" in str(problem.msg)
    parts.REPLICAS = []
    (problem,) = checks.shared_cache(None)
    assert "place" not in str(problem.msg)
    assert "STAMPEDE_REDIS_URL" in str(problem.hint)


def test_sqs_about_rows_in_a_file_is_named(parts: Settings) -> None:
    parts.REPLICAS, parts.DATABASES["default"] = [], FILE
    assert found() == ["stampede.W003"]


@pytest.mark.parametrize(("broker", "mail", "named"), [("sqs", "smtp", "SQS"), ("folder", "ses", "SES")])
def test_aws_without_credentials_is_named(
    parts: Settings, monkeypatch: pytest.MonkeyPatch, broker: str, mail: str, named: str
) -> None:
    parts.BROKER, parts.MAIL_BY = broker, mail
    assert found() == []
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert found() == ["stampede.E008"]
    (problem,) = checks.aws_credentials(None)
    assert str(problem.msg).startswith(named)
    assert "AWS_ACCESS_KEY_ID" in str(problem.hint)


def test_smtp_without_a_server_is_named(parts: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAMPEDE_SMTP_URL")
    assert found() == ["stampede.E009"]
    assert "STAMPEDE_SMTP_URL" in str(checks.mail_server(None)[0].hint)


def manage(data: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("STAMPEDE_")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**others, "STAMPEDE_DATA": str(data), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_check_runs_before_a_command_does(tmp_path: Path) -> None:
    refused = manage(tmp_path, "seed_sale", STAMPEDE_MAIL="smtp")
    assert refused.returncode != 0
    assert "stampede.E009" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("variables", "package"),
    [
        ({"STAMPEDE_REDIS_URL": "redis://127.0.0.1:6379/0"}, "django_redis"),
        ({"STAMPEDE_DATABASE_URL": "mysql://u:p@127.0.0.1/stampede"}, "MySQLdb"),
        ({"STAMPEDE_BROKER": "sqs"}, "boto3"),
        ({"STAMPEDE_MAIL": "ses"}, "boto3"),
    ],
)
def test_a_part_that_is_not_installed_is_said_in_a_line(
    tmp_path: Path, variables: dict[str, str], package: str
) -> None:
    """An environment without the stack's packages, as `make stampede` makes it: Python does not find them."""
    blind = f"import sys; sys.modules[{package!r}] = None\n"
    (tmp_path / "sitecustomize.py").write_text(blind)
    refused = manage(tmp_path / "data", "check", PYTHONPATH=str(tmp_path), **variables)
    assert refused.returncode != 0
    assert refused.stderr.startswith(f"Cannot start: {next(iter(variables))} needs the Python package {package}")
    assert "make .venv/stack" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_database_that_does_not_answer_is_said_in_words(tmp_path: Path) -> None:
    address = f"mysql://someone:SECRET@127.0.0.1:{free_port()}/stampede"
    refused = manage(tmp_path, "check", "--database", "default", STAMPEDE_DATABASE_URL=address)
    assert refused.returncode != 0
    assert "The database cannot be used: it cannot be reached" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "SECRET" not in refused.stderr
