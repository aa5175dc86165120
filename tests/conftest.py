"""Fixtures that every test may ask for, and which tests begin."""

from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

LONGEST = ("survival", "process", "real", "nodes")  # folders of tests that start processes; their files take minutes


@pytest.hookimpl(trylast=True)  # pytest-django puts tests with a database first
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes take one file after the other, a long one that begins last is waited for by all."""
    items.sort(key=_begins)


def _begins(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return LONGEST.index(folder) - len(LONGEST) if folder in LONGEST and item.get_closest_marker("process") else 0


@pytest.fixture(scope="session", autouse=True)
def _static_files() -> None:
    """Pages name their static files by content; the names are made once, as `serve` does."""
    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch, now: datetime) -> datetime:
    """The time stands: no minute turns while a test counts what is allowed in one."""
    monkeypatch.setattr(timezone, "now", lambda: now)
    return now


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    """What the process remembers between requests must not pass from one test's database to the next."""
    from django.core.cache import cache

    from ico import board, waitlist
    from shop import changes, page_cache

    cache.clear()
    page_cache.forget()
    changes.forget()  # numbers of changes are given again when a test's rows are rolled back
    board.forget()
    waitlist.forget()


@pytest.fixture
def sale(db: None, now: datetime):  # type: ignore[no-untyped-def]
    """An open sale of 300 allowances of 1,000.00 each, with terms and rates."""
    from ico import caps, sales, terms

    terms.publish(version="1", text="Test terms.", now=now)
    caps.record_rate(chain="BTC", cents_per_coin=6_000_000, source="test", now=now)
    caps.record_rate(chain="ETH", cents_per_coin=300_000, source="test", now=now)
    return sales.open_sale(
        slug="test",
        name="Test sale",
        opens_at=now - timedelta(hours=1),
        closes_at=now + timedelta(days=30),
        total_cap_cents=30_000_000,
        personal_cap_cents=100_000,
        batch_size=50,
        batch_interval_seconds=10,
    )
