"""Who drives whom, decided without processes."""

from collections import Counter

import pytest

from loadtests.frames import Frame, Tally
from loadtests.plans import Arrival
from loadtests.running.crew import REPLACEMENTS, Crew
from loadtests.running.leases import GIVEN_AWAY_SECONDS, LEASE_SECONDS, Lease
from loadtests.running.sealed import BadSeal, Conversation
from loadtests.running.shares import Share, links_for, unaccounted
from loadtests.running.staff import Staff
from loadtests.running.totals import PATIENCE_SECONDS, WholeSeconds
from loadtests.steps import Ending

ARRIVALS = [Arrival(index, index / 10, "purchase" if index % 3 == 0 else "signup") for index in range(20)]


def test_slots_are_disjoint_and_whole() -> None:
    shares = [Share(number=number, slot=number - 1, slots=3).of(ARRIVALS) for number in (1, 2, 3)]
    assert sorted(arrival.index for share in shares for arrival in share) == list(range(20))


def test_whoever_takes_over_begins_with_those_still_to_come() -> None:
    indexes = [arrival.index for arrival in Share(number=4, slot=1, slots=2).of(ARRIVALS, after=1.1)]
    assert indexes == [13, 15, 17, 19], "11 was to come at 1.1 and is the dead worker's"


def test_a_link_is_one_visitors_whoever_drives_them() -> None:
    links = [f"/i/{number}/" for number in range(7)]
    of = [links_for(Share(number=n, slot=n - 1, slots=2), ARRIVALS, links, scenario="purchase") for n in (1, 2)]
    assert of[0] | of[1] == {0: "/i/0/", 3: "/i/1/", 6: "/i/2/", 9: "/i/3/", 12: "/i/4/", 15: "/i/5/", 18: "/i/6/"}
    assert not set(of[0].values()) & set(of[1].values())


def test_what_nobody_accounts_for_is_lost_with_its_worker_or_unmet() -> None:
    finished = Counter({("signup", Ending.FINISHED.value): 2})
    frames = [
        Frame(at=0, worker=1, arrivals=Counter(signup=5)),
        Frame(at=1, worker=1, endings=finished),
        Frame(at=1, worker=2, arrivals=Counter(purchase=7), endings=Counter({("purchase", "finished"): 7})),
    ]
    lost, unmet = unaccounted(ARRIVALS, frames, why="why")
    assert (lost.worker, lost.endings) == (1, Counter({("signup", "lost"): 3}))
    assert unmet.unmet == Counter(signup=8)
    assert unmet.notes == Counter(why=8)
    assert unaccounted(ARRIVALS, [*frames, lost, unmet], why="why") == [], "and then all is accounted for"


def test_numbers_are_given_once_and_slots_again() -> None:
    crew = Crew(slots=2)
    first, second = (crew.join(client=c, host="h", pid=1, elapsed=0, now=0) for c in "ab")
    assert crew.join(client="c", host="h", pid=2, elapsed=1, now=0) is None, "both slots are held"
    assert first is not None
    assert second is not None
    assert crew.lose(first, elapsed=2)
    assert not crew.lose(first, elapsed=3), "nobody is lost twice"
    assert crew.wants_replacement(first.slot, arrivals_to_come=True)
    third = crew.join(client="c", host="h", pid=3, elapsed=4, now=0)
    assert third is not None
    assert (third.number, third.slot) == (3, first.slot)
    crew.done(second, elapsed=5)
    assert not crew.all_done()
    crew.done(third, elapsed=6)
    assert crew.all_done()
    assert not crew.lose(third, elapsed=7), "who is done cannot be lost"


def test_a_slot_whose_workers_die_each_time_is_given_up() -> None:
    crew = Crew(slots=1)
    for number in range(1, REPLACEMENTS + 2):
        member = crew.join(client=str(number), host="h", pid=number, elapsed=0, now=0)
        assert member is not None
        crew.lose(member, elapsed=1)
        assert crew.wants_replacement(0, arrivals_to_come=True) is (number <= REPLACEMENTS)
    assert crew.all_done()
    assert crew.join(client="x", host="h", pid=9, elapsed=2, now=0) is None


def test_a_process_of_another_machine_is_nobodys_of_here_whatever_its_number() -> None:
    crew = Crew(slots=2)
    here = crew.join(client="a", host="h", pid=7, elapsed=0, now=0)
    elsewhere = crew.join(client="b", host="other", pid=None, elapsed=0, now=0)
    assert here is not None
    assert elsewhere is not None
    assert (here.local, elsewhere.local) == (True, False)
    assert crew.by_pid(7) is here
    assert crew.by_pid(0) is None
    with_us = Staff(port=1, key=b"key")
    assert with_us.pid_of("") is None


def test_a_lease_is_counted_from_the_asking_and_ends_before_a_slot_is_given_away() -> None:
    lease = Lease()
    assert not lease.holds(now=0.0), "nobody has said so yet"
    lease.granted(asked=10.0)
    assert lease.holds(now=10.0 + LEASE_SECONDS - 0.01)
    assert not lease.holds(now=10.0 + LEASE_SECONDS)
    lease.granted(asked=8.0)  # an answer that was long on its way
    assert lease.holds(now=10.0 + LEASE_SECONDS - 0.01), "and takes nothing away"
    lease.granted(asked=20.0)  # heard when the process went on after a long stop
    assert not lease.holds(now=20.0 + LEASE_SECONDS)
    assert GIVEN_AWAY_SECONDS > LEASE_SECONDS


def conversation(key: bytes = b"key", nonce: bytes = b"nonce") -> tuple[Conversation, Conversation]:
    conductor = Conversation(key=b"key", nonce=b"nonce", client="c", is_worker=False)
    return conductor, Conversation(key=key, nonce=nonce, client="c", is_worker=True)


def test_both_ends_understand_each_other() -> None:
    conductor, worker = conversation()
    for content in ({"a": 1}, [2]):
        assert conductor.hear("frame", worker.say("frame", content)) == content
    assert worker.hear("stop", conductor.say("stop", None)) is None


@pytest.mark.parametrize("other", [conversation(key=b"other"), conversation(nonce=b"other")])
def test_another_key_or_conversation_is_not_heard(other: tuple[Conversation, Conversation]) -> None:
    conductor, worker = other
    with pytest.raises(BadSeal, match="seal is wrong"):
        conductor.hear("hello", worker.say("hello", {}))


def test_what_was_said_is_heard_once_and_as_what_it_was() -> None:
    conductor, worker = conversation()
    said = worker.say("frame", {"requests": 1})
    with pytest.raises(BadSeal, match="wrong"):
        conductor.hear("done", said)
    with pytest.raises(BadSeal, match="wrong"):
        conductor.hear("frame", {**said, "body": said["body"].replace(b"1", b"2")})
    with pytest.raises(BadSeal, match="wrong"):
        worker.hear("frame", said)  # said back to whoever said it
    with pytest.raises(BadSeal, match="no sealed message"):
        conductor.hear("frame", None)
    assert conductor.hear("frame", said) == {"requests": 1}
    with pytest.raises(BadSeal, match="heard before"):
        conductor.hear("frame", said)
    assert conductor.missed == 0
    for _ in range(3):
        later = worker.say("frame", {})
    conductor.hear("frame", later)
    assert conductor.missed == 2, "what never came is known of"


def test_a_second_is_given_when_all_have_spoken_and_not_waited_for_long() -> None:
    whole = WholeSeconds()

    def ats(at: int, worker: int) -> list[int]:
        return [second.at for second in whole.add(Frame(at=at, worker=worker, tallies={"a": Tally()}), working=2)]

    assert ats(0, 1) == []
    assert ats(1, 1) == []
    assert ats(0, 2) == [0]
    assert ats(PATIENCE_SECONDS + 1, 1) == [1], "worker 2 is not waited for any longer"
    assert ats(0, 2) == [], "what comes too late is not given a second time"
