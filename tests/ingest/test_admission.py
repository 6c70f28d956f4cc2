import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.columns import Bools
from core.readings import Readings
from ingest.admission import Admission, Admitted, ranks
from ingest.decode import decode
from ingest.source import Message

NOW_MS = 1_700_000_000_000


def nothing_held(table: Readings) -> Bools:
    return np.zeros(len(table), dtype=bool)


def admit(admission: Admission, *elements: dict[str, Any], received_ms: int = NOW_MS, asset: str = "7") -> Admitted:
    message = Message(f"plimsoll/v1/wujin/truck/{asset}/reading", json.dumps(elements).encode())
    return admission.admit(decode([message], received_ms, lambda key: int(key.name)))


def admitted_rows(admitted: Admitted) -> int:
    return sum(map(len, admitted.tables))


def test_a_clock_five_minutes_ahead_is_taken_and_one_beyond_is_set_aside() -> None:
    admitted = admit(Admission(nothing_held), {"t_ms": NOW_MS + 300_000}, {"t_ms": NOW_MS + 300_001})
    assert [table.t_ms.tolist() for table in admitted.tables] == [[NOW_MS + 300_000]]
    assert [table.t_ms.tolist() for table in admitted.quarantined] == [[NOW_MS + 300_001]]
    assert admitted.dead_letters == []


def test_what_was_set_aside_once_stays_there_when_it_comes_again() -> None:
    held: set[int] = set()
    admission = Admission(lambda table: np.isin(table.t_ms, list(held)))
    early = {"t_ms": NOW_MS + 3_600_000}
    (first,) = admit(admission, early).quarantined
    held.update(first.t_ms.tolist())
    again = admit(admission, early, received_ms=NOW_MS + 7_200_000)
    assert (again.tables, len(again.quarantined)) == ([], 1)


def test_a_clock_behind_is_no_reason_to_refuse() -> None:
    assert admitted_rows(admit(Admission(nothing_held), {"t_ms": NOW_MS - 8 * 3_600_000})) == 1


def test_the_readings_beyond_the_limit_of_a_second_are_refused_by_index() -> None:
    admitted = admit(Admission(nothing_held, flood_limit=2), *({"t_ms": NOW_MS + step} for step in (0, 999, 500, 1_000, 7)))
    assert [table.t_ms.tolist() for table in admitted.tables] == [[NOW_MS, NOW_MS + 999, NOW_MS + 1_000]]
    (letter,) = admitted.dead_letters
    assert letter.reason == "flood"
    assert letter.detail == (
        f"[2] flood: t_ms is {NOW_MS + 500}, expected at most 2 distinct readings in the second 1700000000; "
        f"[4] flood: t_ms is {NOW_MS + 7}, expected at most 2 distinct readings in the second 1700000000"
    )


def test_a_flood_is_counted_across_batches_and_stays_refused_when_it_comes_again() -> None:
    admission = Admission(nothing_held, flood_limit=3)
    for seq, count in enumerate((1, 1, 1, 0, 0)):
        admitted = admit(admission, {"t_ms": NOW_MS, "seq": seq})
        assert admitted_rows(admitted) == count
        assert len(admitted.dead_letters) == 1 - count


def test_a_refused_reading_is_refused_again() -> None:
    admission = Admission(nothing_held, flood_limit=1)
    for _ in range(3):
        assert len(admit(admission, {"t_ms": NOW_MS}, {"t_ms": NOW_MS, "seq": 1}).dead_letters) == 1


def test_exact_duplicates_are_no_flood() -> None:
    admission = Admission(nothing_held, flood_limit=2)
    for _ in range(50):
        assert admitted_rows(admit(admission, {"t_ms": NOW_MS, "load_kg": 5}, {"t_ms": NOW_MS, "load_kg": 6})) == 2


def test_a_repetition_is_a_duplicate_however_it_came() -> None:
    admission = Admission(nothing_held, flood_limit=1)
    admit(admission, {"t_ms": NOW_MS, "load_kg": 5})
    again = admit(admission, {"t_ms": NOW_MS, "load_kg": 5, "hist": True}, received_ms=NOW_MS + 60_000)
    assert again.dead_letters == []


def test_a_late_burst_of_a_day_is_no_flood() -> None:
    admission = Admission(nothing_held, flood_limit=1)
    for hour in range(24):
        burst = ({"t_ms": NOW_MS - 86_400_000 + (hour * 900 + step) * 1_000} for step in range(900))
        assert admit(admission, *burst).dead_letters == []


def test_each_asset_has_its_own_count() -> None:
    admission = Admission(nothing_held, flood_limit=1)
    for asset in range(1, 20):
        assert admit(admission, {"t_ms": NOW_MS}, asset=str(asset)).dead_letters == []


def test_different_texts_make_different_readings_whatever_their_width_in_the_batch() -> None:
    admission = Admission(nothing_held, flood_limit=2)
    ticket = {"t_ms": NOW_MS, "gross_kg": 20_000, "stream": "muck", "direction": "in"}

    def weigh(*plates: str) -> Admitted:
        payload = json.dumps([ticket | {"plate": plate} for plate in plates]).encode()
        return admission.admit(decode([Message("plimsoll/v1/wujin/scale/1/weighing", payload)], NOW_MS, lambda _key: 1))

    assert weigh("苏D1").dead_letters == []
    assert weigh("苏D1", "苏D22222").dead_letters == []
    assert len(weigh("苏D3").dead_letters) == 1


def test_memory_is_bounded_and_forgetting_never_makes_a_flood() -> None:
    admission = Admission(nothing_held, flood_limit=3, memory=10)
    for _ in range(30):
        for second in range(8):
            readings = ({"t_ms": NOW_MS + second * 1_000, "seq": seq} for seq in range(3))
            assert admit(admission, *readings).dead_letters == []


events = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 2), st.integers(0, 6)), max_size=60)


@given(events, st.integers(1, 5), st.integers(1, 60))
def test_the_count_does_not_depend_on_how_the_stream_was_cut(sent: list[tuple[int, int, int]], limit: int, cut: int) -> None:
    def run(size: int) -> list[tuple[int, int, int]]:
        admission = Admission(nothing_held, flood_limit=limit)
        taken: list[tuple[int, int, int]] = []
        for first in range(0, len(sent), size):
            messages = [
                Message(f"plimsoll/v1/d/truck/{asset}/reading", json.dumps({"t_ms": NOW_MS + second * 1_000, "seq": seq}).encode())
                for asset, second, seq in sent[first : first + size]
            ]
            for table in admission.admit(decode(messages, NOW_MS, lambda key: int(key.name))).tables:
                taken += zip(table.asset.tolist(), ((table.t_ms - NOW_MS) // 1_000).tolist(), table.seq.tolist(), strict=True)
        return taken

    seen: dict[tuple[int, int], list[int]] = {}
    expected = []
    for asset, second, seq in sent:
        distinct = seen.setdefault((asset, second), [])
        if seq in distinct or len(distinct) < limit:
            distinct.append(seq) if seq not in distinct else None
            expected.append((asset, second, seq))
    assert run(cut) == expected


@given(st.lists(st.integers(0, 5), max_size=30))
def test_ranks_count_earlier_equals(keys: list[int]) -> None:
    assert ranks(np.array(keys, dtype=np.int64)).tolist() == [keys[:place].count(key) for place, key in enumerate(keys)]
