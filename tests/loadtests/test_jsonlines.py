"""A disk that is full and a process that died mid-line take a line, and nothing else."""

import resource
import signal
from pathlib import Path

import pytest

from loadtests import jsonlines, letters, record
from loadtests.crowd import NOT_KEPT, Crowd
from loadtests.target import resolve

ORDER = '{"kind": "order", "number": "AAAA-BBBB-CCCC", "email": "visitor-000001.w1.abc@load.stampede-lab.org"}\n'


def test_what_was_torn_is_no_line_and_the_others_are(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b'{"a": 1}\n{"b": {"a": 2}\n[3]\n\xff\n{"a": 4}\n{"a"')
    assert list(jsonlines.read(file)) == [{"a": 1}, {"a": 4}]
    assert list(jsonlines.read(tmp_path / "none")) == []


def test_a_line_that_does_not_fit_leaves_nothing_of_itself(tmp_path: Path) -> None:
    path, before = tmp_path / "lines.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with path.open("ab", buffering=0) as file:
            jsonlines.append(file, {"a": 1})
            resource.setrlimit(resource.RLIMIT_FSIZE, (12, before[1]))  # a few bytes are left
            with pytest.raises(OSError, match="large"):
                jsonlines.append(file, {"a": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)
    assert path.read_bytes() == b'{"a": 1}\n'


def test_a_full_disk_is_a_note_of_the_generator_and_no_fault_of_an_answer(tmp_path: Path) -> None:
    notes: list[str] = []
    for name in ("acknowledged.jsonl", "evidence.jsonl", "sightings.jsonl"):
        (tmp_path / name).symlink_to("/dev/full")
    crowd = Crowd(
        target=resolve("http://127.0.0.1:1"),
        run_id="a",
        seed=1,
        time_scale=1,
        run_dir=tmp_path,
        note=notes.append,
    )
    crowd.ordered(email="e", number="n", total_cents=1)
    crowd.acknowledge(email="e", promise="{}")
    crowd.saw(product="p", price_cents=1)
    crowd.close()
    names = ("evidence", "acknowledged", "sightings")
    assert notes == [f"{NOT_KEPT}: {name}.jsonl: No space left on device" for name in names]


def test_a_torn_line_of_an_earlier_run_hides_no_other_invitation(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spent-invitations.jsonl").write_text('{"mark": "x"}\n{"mark": "y"}\n{"ma')
    assert list(record.spent(tmp_path)) == ["x", "y"]


def test_mails_are_looked_at_when_the_last_line_of_the_evidence_is_torn(tmp_path: Path) -> None:
    (tmp_path / "evidence.jsonl").write_text(ORDER + '{"kind": "ord')
    assert letters.checked(tmp_path / "mails", run_dir=tmp_path)["holds"]
