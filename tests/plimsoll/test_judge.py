"""The judge agrees with the truth, and says so when it does not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from core.columns import MISSING
from core.events import Cycles, DayTotals, FlagKind, Flags, Severity, Sign
from core.readings import TruckReadings
from plimsoll.judge import judge, mismatches
from simulators.faults import Fault
from simulators.truth import Counts, TrueCycle, TrueTonnage, Truth
from storage.assets import AssetKey
from storage.journal import DeadLetter, Journal
from storage.results import Results
from storage.store import EmbeddedStore

DAY = date(2022, 6, 15)
NUMBER = DAY.toordinal() - date(1970, 1, 1).toordinal()
T0 = 1_655_250_000_000
MIN = 60_000
TRUTH = Truth(
    cycles=[
        TrueCycle(
            *("S001", "permit", T0, T0 + 5 * MIN, T0 + 6 * MIN, T0 + 30 * MIN, T0 + 35 * MIN, 0),
            *("C01", "D02", 15_000.0, 15_000.0, "", "", "weight", "overload"),
        )
    ],
    tickets=[],
    tonnage=[
        TrueTonnage("L01", "2022-06-15", "domestic", "in", "ticket", 12_340, 1),
        TrueTonnage("D02", "2022-06-15", "muck", "in", "onboard", 15_000, 1),
    ],
    faults=[Fault("overload_payload", "truck", "S001", T0, T0 + 35 * MIN, 2_000.0, "kg")],
    counts=[Counts("truck/reading", 1, 2, 0, 0, 0)],
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "j.sqlite", lambda: T0) as opened:
        truck = opened.asset(AssetKey("wujin", "truck", "S001"))
        empty = {name: [0, 0] for name in TruckReadings.names()}
        opened.commit([TruckReadings.of(**empty | {"asset": [truck, truck], "t_ms": [T0, T0 + MIN]})])
        results = Results(opened)
        results.replace(cycle(truck, T0 + 2 * MIN), {truck: 0}, T0)
        results.replace(flag(truck), {truck: 0}, T0)
        results.replace(totals(12_340, 15_200), [NUMBER], T0)
        yield opened


def cycle(truck: int, start_ms: int) -> Cycles:
    return Cycles.of(
        asset=[truck], start_ms=[start_ms], depart_ms=[start_ms + MIN], arrive_ms=[start_ms + 20 * MIN], end_ms=[start_ms + 30 * MIN],
        load_site=["C01"], dump_site=["D02"], payload_kg=[15_200.0], payload_u_kg=[700.0], plateau_rows=[100], haul_m=[9_000],
        load_signs=[Sign.LOAD], dump_signs=[Sign.LOAD], rules=["1"],
    )  # fmt: skip  # a row, not a list of columns


def flag(truck: int, kind: FlagKind = FlagKind.OVERLOAD_PAYLOAD) -> Flags:
    return Flags.of(
        asset=[truck], kind=[kind], start_ms=[T0 + 2 * MIN], end_ms=[T0 + 32 * MIN], severity=[Severity.FAIL], at_ms=[T0 + 6 * MIN],
        lat_e7=[MISSING], lon_e7=[MISSING], value=[18_000.0], limit=[16_000.0], u=[700.0], rows=[100], rules=["1"],
    )  # fmt: skip  # as above


def totals(ticket_kg: int, onboard_kg: int) -> DayTotals:
    return DayTotals.of(
        site=["L01", "D02"], day=[NUMBER] * 2, stream=["domestic", "muck"], direction=[0, 0], source=["ticket", "onboard"],
        mass_kg=[ticket_kg, onboard_kg], count=[1, 1],
    )  # fmt: skip  # as above


def disagreements(journal: Journal, truth: Truth = TRUTH) -> list[str]:
    with EmbeddedStore(journal.path) as store:
        lines = judge(store, [truth], [DAY])
    wrong = [line.subject for line in lines if not line.agrees]
    assert mismatches(lines) == len(wrong)
    return wrong


def test_what_agrees_within_the_tolerance_agrees(journal: Journal):
    assert disagreements(journal) == []


def one_kg_too_much(journal: Journal) -> None:
    Results(journal).replace(totals(12_341, 15_200), [NUMBER], T0)


def onboard_four_percent_off(journal: Journal) -> None:
    Results(journal).replace(totals(12_340, 15_600), [NUMBER], T0)


def nothing_for_the_landfill(journal: Journal) -> None:
    Results(journal).replace(totals(12_340, 15_000).take(np.array([1])), [NUMBER], T0)


def a_reading_more(journal: Journal) -> None:
    row = {name: [0] for name in TruckReadings.names()} | {"asset": [1], "t_ms": [T0 + 2 * MIN]}
    journal.commit([TruckReadings.of(**row)])


def a_dead_letter(journal: Journal) -> None:
    journal.commit([], [DeadLetter(T0, "topic", "not_json", "", b"{", 1, "")])


def no_cycle_but_two_elsewhere(journal: Journal) -> None:
    invented = Cycles.concat([cycle(1, T0 + hours * 60 * MIN) for hours in (2, 4, 6)])
    Results(journal).replace(invented, {1: 0}, T0)


def the_overload_missed(journal: Journal) -> None:
    Results(journal).replace(Flags.empty(), {1: 0}, T0)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (one_kg_too_much, ["2022-06-15 L01 domestic in (ticket)"]),
        (onboard_four_percent_off, ["2022-06-15 D02 muck in (onboard)"]),
        (nothing_for_the_landfill, ["2022-06-15 L01 domestic in (ticket)"]),
        (a_reading_more, ["truck/reading distinct"]),
        (a_dead_letter, ["dead letters"]),
        (no_cycle_but_two_elsewhere, ["cycles invented"]),
        (the_overload_missed, ["overload payload found"]),
    ],
)
def test_each_disagreement_is_named(journal: Journal, change: Callable[[Journal], None], wrong: list[str]):
    change(journal)
    assert disagreements(journal) == wrong


def test_a_planted_fault_that_no_flag_tells_of_is_a_disagreement(journal: Journal):
    spilt = Fault("spillage", "truck", "S001", T0 + 200 * MIN, T0 + 201 * MIN, 2_000.0, "kg")
    assert disagreements(journal, replace(TRUTH, faults=[*TRUTH.faults, spilt])) == ["spillage found"]


def test_sure_flags_where_nothing_was_planted_are_a_disagreement(journal: Journal):
    at = {name: getattr(flag(1), name) for name in Flags.names()}
    invented = [
        Flags(**at | {"start_ms": np.array([T0 + hours * 60 * MIN]), "end_ms": np.array([T0 + hours * 60 * MIN])}) for hours in (5, 7)
    ]
    Results(journal).replace(Flags.concat([flag(1), *invented]), {1: 0}, T0)
    assert disagreements(journal) == ["overload payload false (sure)"]
