import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sessions import Name, Sessions

TRUCK, OTHER = ("", "苏D12345"), ("gateway", "苏D12345")


class Clock:
    s = 1_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.jsonl"


def come(sessions: Sessions, name: Name = TRUCK) -> bool:
    """A client that wants its session, and wants it kept."""
    return sessions.open(name, resume=True, keep=True)


@pytest.mark.parametrize("in_file", [True, False])
def test_a_client_is_known_from_its_second_coming_on(path: Path, in_file: bool) -> None:
    sessions = Sessions(path if in_file else None)
    assert [come(sessions), come(sessions), come(sessions, OTHER), come(sessions)] == [False, True, False, True]


def test_a_name_outlives_the_process(path: Path) -> None:
    come(Sessions(path))
    assert come(Sessions(path))


def test_a_name_is_in_the_file_before_the_client_hears_of_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.append(path.read_bytes()))
    come(Sessions(path))
    assert synced == [b'\n["","\xe8\x8b\x8fD12345",null]']


def test_a_known_name_costs_no_write(path: Path) -> None:
    sessions = Sessions(path)
    come(sessions)
    before = path.read_bytes()
    come(sessions)
    assert path.read_bytes() == before


def test_a_clean_start_ends_the_session_and_may_begin_another(path: Path) -> None:
    sessions = Sessions(path)
    come(sessions)
    assert not sessions.open(TRUCK, resume=False, keep=True)
    assert come(sessions)
    assert not sessions.open(TRUCK, resume=False, keep=False)
    assert not come(Sessions(path))


def test_a_session_that_is_to_end_with_its_connection_goes_on_once(path: Path) -> None:
    come(Sessions(path))
    assert Sessions(path).open(TRUCK, resume=True, keep=False)
    assert not come(Sessions(path))


def test_a_session_ends_when_its_client_said_so(path: Path) -> None:
    clock = Clock()
    sessions = Sessions(path, clock=clock)
    for name in (TRUCK, OTHER):
        come(sessions, name)
    sessions.end(TRUCK, 0)
    sessions.end(OTHER, 60)
    assert not come(Sessions(path, clock=clock), TRUCK)
    clock.s += 59
    assert come(Sessions(path, clock=clock), OTHER)
    Sessions(path, clock=clock).end(OTHER, 60)
    still_open = Sessions(path, clock=clock)
    clock.s += 60
    assert not come(still_open, OTHER)
    assert come(Sessions(path, clock=clock), OTHER)


def test_who_is_not_known_has_nothing_to_end(path: Path) -> None:
    sessions = Sessions(path)
    sessions.end(TRUCK, 60)
    assert not come(sessions)


@pytest.mark.parametrize("cut", range(1, 22))
def test_a_torn_last_line_costs_that_name_only(path: Path, cut: int) -> None:
    sessions = Sessions(path)
    come(sessions, OTHER)
    whole = path.read_bytes()
    come(sessions)
    path.write_bytes(path.read_bytes()[: len(whole) + cut])
    again = Sessions(path)
    assert come(again, OTHER)
    assert not come(again)
    assert come(Sessions(path))


def test_a_line_behind_a_torn_one_counts(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b'\n["","a",nu\n["","b",null]\n[["c"],"c",null]\n{}\n\xff\n["","d",null]')
    sessions = Sessions(path)
    assert [come(sessions, ("", client_id)) for client_id in "abcd"] == [False, True, False, True]
    assert "4 lines are torn" in caplog.text


def test_what_cannot_be_written_is_not_remembered(path: Path) -> None:
    sessions = Sessions(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=r"sessions\.jsonl"):
        come(sessions)
    path.rmdir()
    assert not come(sessions)
    assert come(Sessions(path))


def test_who_came_longest_ago_is_forgotten_first(path: Path) -> None:
    sessions = Sessions(path, most=2)
    for client_id in "abac":
        come(sessions, ("", client_id))
    assert [come(sessions, ("", client_id)) for client_id in "ac"] == [True, True]
    assert not come(Sessions(path, most=2), ("", "b"))


def test_the_file_stays_small(path: Path) -> None:
    sessions = Sessions(path, most=3)
    for turn in range(500):
        come(sessions, ("", str(turn % 7)))
        assert path.stat().st_size <= 10 * 15
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(Sessions(path, most=3)) == 3


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["open", "end", "start again"]), st.booleans(), st.booleans()), max_size=20
)


@given(STEPS)
@settings(deadline=None, max_examples=50)
def test_with_any_restarts_the_file_says_what_memory_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, bool, bool]]
) -> None:
    path = tmp_path_factory.mktemp("sessions") / "sessions.jsonl"
    in_file, in_memory, clock = Sessions(path, clock=Clock()), Sessions(clock=Clock()), Clock()
    for client_id, step, one, other in steps:
        if step == "open":
            answers = [each.open(("", client_id), resume=one, keep=other) for each in (in_file, in_memory)]
            assert answers[0] == answers[1]
        elif step == "end":
            for each in (in_file, in_memory):
                each.end(("", client_id), 60 * one)
        else:
            in_file = Sessions(path, clock=clock)
