from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.columns import MISSING, Bools, Columns, Floats, Int32s, Ints, States, Texts
from storage.codec import FEW_ROWS, DamagedError, decode, encode


@dataclass(frozen=True, eq=False, slots=True)
class Older(Columns):
    t_ms: Ints
    load_kg: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Every(Columns):
    t_ms: Ints
    load_kg: Floats
    lat_e7: Int32s
    body_up: States
    plate: Texts
    paired: Bools


LEVELS = st.sampled_from([0, 1, 6])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda text: text.rstrip("\0"))  # NumPy drops those


def bits(column: np.ndarray[Any, Any]) -> Any:
    return column.tolist() if column.dtype.kind == "U" else column.tobytes()


@st.composite
def tables(draw: st.DrawFn) -> Every:
    """A few drawn rows, repeated often enough to be narrowed in half of the cases."""
    n = draw(st.integers(0, 12))
    times = draw(st.sampled_from([hnp.from_dtype(np.dtype("i8")), st.integers(0, 10).map(lambda step: 1_700_000_000_000 + step * 10_000)]))
    masses = draw(st.sampled_from([hnp.from_dtype(np.dtype("f8"), allow_subnormal=True), st.integers(-50, 300).map(lambda kg: kg / 10)]))
    columns: dict[str, Any] = {
        "t_ms": draw(st.lists(times, min_size=n, max_size=n)),
        "load_kg": draw(st.lists(masses | st.just(np.nan), min_size=n, max_size=n)),
        "lat_e7": draw(hnp.arrays(np.int32, n)),
        "body_up": draw(hnp.arrays(np.int8, n)),
        "plate": draw(st.lists(TEXTS, min_size=n, max_size=n)),
        "paired": draw(hnp.arrays(np.bool_, n)),
    }
    repeat = draw(st.sampled_from([1, FEW_ROWS]))
    return Every.of(**{name: np.tile(np.asarray(column, Every.dtypes()[name]), repeat) for name, column in columns.items()})


@settings(deadline=None)
@given(tables(), LEVELS)
def test_every_table_comes_back_bit_for_bit(table: Every, level: int) -> None:
    back = decode(Every, encode(table, level))
    for name, dtype in Every.dtypes().items():
        found, column = getattr(back, name), getattr(table, name)
        assert found.dtype.kind == dtype.kind
        assert dtype.kind == "U" or found.dtype == dtype
        assert bits(found) == bits(column)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("rows", [1, FEW_ROWS])
def test_strange_floats_keep_their_bits(rows: int, level: int) -> None:
    payload = np.array([0x7FF8_0000_0000_0001], np.int64).view(np.float64)[0]  # a NaN that is not ours
    for value in (-0.0, np.inf, -np.inf, payload, 5e-324, 1e300, 2.0**53, 0.1 + 0.2, -np.nan):
        table = Older.of(t_ms=np.arange(rows), load_kg=np.full(rows, value))
        assert decode(Older, encode(table, level)).load_kg.tobytes() == table.load_kg.tobytes()


@pytest.mark.parametrize("level", [0, 1])
def test_the_whole_range_of_int64_survives(level: int) -> None:
    extremes = np.tile([np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0, -1], FEW_ROWS)
    table = Older.of(t_ms=extremes, load_kg=extremes.astype(float))
    assert decode(Older, encode(table, level)).t_ms.tolist() == extremes.tolist()


def test_a_column_added_later_was_not_measured() -> None:
    back = decode(Every, encode(Older.of(t_ms=[1, 2], load_kg=[3.0, np.nan])))
    assert back.t_ms.tolist() == [1, 2]
    assert back.lat_e7.tolist() == [MISSING, MISSING]
    assert back.body_up.tolist() == [-1, -1]
    assert back.plate.tolist() == ["", ""]


def test_a_column_no_longer_known_is_left_out() -> None:
    table = Every.of(t_ms=[7], load_kg=[1.5], lat_e7=[1], body_up=[1], plate=["苏D12345"], paired=[True])
    assert decode(Older, encode(table, 1)).load_kg.tolist() == [1.5]


def test_quantised_readings_take_a_fraction_of_their_size() -> None:
    n = 5760
    noise = np.random.default_rng(1)
    table = Older.of(t_ms=1_751_889_600_000 + np.arange(n) * 10_000, load_kg=noise.normal(20_000, 400, n).round())
    assert len(encode(table)) < 8 * n
    assert len(encode(table, 1)) < 2 * n


@settings(deadline=None)
@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    body = bytearray(encode(Older.of(t_ms=np.arange(20), load_kg=np.arange(20.0)), data.draw(LEVELS)))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedError):
        decode(Older, bytes(body))


@given(st.integers(0, 100))
def test_a_body_cut_short_is_noticed(size: int) -> None:
    with pytest.raises(DamagedError):
        decode(Older, encode(Older.of(t_ms=np.arange(20), load_kg=np.arange(20.0)), 1)[:size])
