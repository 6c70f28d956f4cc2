"""Lays what was derived from a played day beside what really happened, and says whether they agree within stated tolerances."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from core.columns import OPEN_MS
from core.events import FlagKind, Severity
from core.readings import IN
from simulators.faults import Fault
from simulators.truth import TrueCycle, Truth
from storage.store import Store

ONBOARD_TOLERANCE = 0.03
"""Of a disposal site's day by on-board sensors: about forty loads, each within 2.2 % of gross by drift (SCENARIO.md), some of one truck."""
CYCLE_TOLERANCE = 0.01
"""Of the cycles, missed or invented."""
FLAGS: dict[FlagKind, tuple[str, float]] = {
    FlagKind.OVERLOAD_PAYLOAD: ("overload_payload", 0.9),
    FlagKind.OVERLOAD_GROSS: ("overload_gross", 0.9),
    FlagKind.SPILLAGE: ("spillage", 0.9),
    FlagKind.GPS_JUMP: ("gps_jump", 0.9),
    FlagKind.TICKET_OVERLOAD_GROSS: ("ticket_overload_gross", 1.0),
    FlagKind.TICKET_MISMATCH: ("ticket_mismatch", 1.0),
}
"""The planted kind that each flag should find, and the share of it that must be found."""
NEAR_MS = 120_000
EVER_MS = int(OPEN_MS) - 1


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison. `tolerance` says in words what makes `agrees`."""

    subject: str
    measured: str
    truth: str
    tolerance: str
    agrees: bool


def judge(store: Store, truths: Sequence[Truth], days: Sequence[date]) -> list[Line]:
    """Compare a store that holds exactly these played days with their truths."""
    return [*readings(store, truths), *tonnage(store, truths, days), *cycles(store, truths), *flags(store, truths)]


def readings(store: Store, truths: Sequence[Truth]) -> Iterator[Line]:
    """Every distinct reading is in the journal once; what was planted as conflict or clock fault is where it belongs."""
    counts = store.counts()
    planted: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for count in (count for truth in truths for count in truth.counts):
        planted[count.measurement] = [
            a + b for a, b in zip(planted[count.measurement], (count.readings, count.conflicts, count.quarantined), strict=True)
        ]
    for measurement, true in sorted(planted.items()):
        found = counts.measurements[measurement]
        for word, is_, was in zip(
            ("distinct", "conflicts", "quarantined"), (found.distinct, found.conflicts, found.quarantined), true, strict=True
        ):
            if is_ or was:
                yield Line(f"{measurement} {word}", f"{is_:,}", f"{was:,}", "equal", is_ == was)
    letters = sum(counts.dead_letters.values())
    yield Line("dead letters", f"{letters:,}", "0", "equal", letters == 0)


def tonnage(store: Store, truths: Sequence[Truth], days: Sequence[date]) -> Iterator[Line]:
    """Tonnes per facility, stream and direction: tickets and movements to the kilogram, on-board within the sensors' error."""
    numbers = [day.toordinal() - date(1970, 1, 1).toordinal() for day in days]
    rows = store.day_totals(numbers[0], numbers[-1] + 1).rows
    measured = {
        (site, date.fromordinal(day + date(1970, 1, 1).toordinal()).isoformat(), stream, "in" if way == IN else "out", source): (kg, count)
        for site, day, stream, way, source, kg, count in zip(*(getattr(rows, name).tolist() for name in rows.names()), strict=True)
    }
    for true in (line for truth in truths for line in truth.tonnage):
        kg, loads = measured.pop((true.site, true.day, true.stream, true.direction, true.source), (0, 0))
        exact = true.source != "onboard"
        allowed_kg = 0 if exact else ONBOARD_TOLERANCE * true.mass_kg
        yield Line(
            f"{true.day} {true.site} {true.stream} {true.direction} ({true.source})",
            f"{kg / 1000:,.3f} t, {loads} loads",
            f"{true.mass_kg / 1000:,.3f} t, {true.loads} loads",
            "equal" if exact else f"± {ONBOARD_TOLERANCE:.0%}",
            abs(kg - true.mass_kg) <= allowed_kg and (loads == true.loads or not exact),
        )
    for key, (kg, loads) in sorted(measured.items()):
        if key[4] != "onboard":  # trucks weigh themselves at every site; the truth lists the sites that have nothing else
            yield Line(" ".join(key), f"{kg / 1000:,.3f} t, {loads} loads", "none", "equal", False)


def cycles(store: Store, truths: Sequence[Truth]) -> Iterator[Line]:
    """Cycles found, missed and invented. One that the played span cuts may be found or not; so may those of a stuck sensor."""
    true = {(cycle.truck, cycle.start_ms): cycle for truth in truths for cycle in truth.cycles}
    whole = {key for truth in truths for key in ((c.truck, c.start_ms) for c in truth.cycles if not c.cut)}
    across = {key for key in true if sum((c.truck, c.start_ms) == key for truth in truths for c in truth.cycles) > 1}
    judged = {key: true[key] for key in whole | across if true[key].sensor != "stuck"}
    found = _cycle_spans(store)
    hit, invented = 0, 0
    unseen = dict(judged)
    for truck, spans in found.items():
        own = [cycle for cycle in true.values() if cycle.truck == truck]
        for start_ms, end_ms in spans:
            match = next((cycle for cycle in own if _overlap(cycle, start_ms, end_ms)), None)
            invented += match is None
            hit += match is not None and unseen.pop((match.truck, match.start_ms), None) is not None
    allowed = max(1, round(CYCLE_TOLERANCE * len(judged)))
    yield Line("cycles found", f"{hit:,}", f"{len(judged):,}", f"{CYCLE_TOLERANCE:.0%} missed at most", len(judged) - hit <= allowed)
    yield Line("cycles invented", f"{invented:,}", "0", f"{CYCLE_TOLERANCE:.0%} at most", invented <= allowed)


def flags(store: Store, truths: Sequence[Truth]) -> Iterator[Line]:
    """Planted faults found by the flag that is meant for them, and flags (sure ones) where nothing was planted."""
    found = _flag_spans(store)
    clocks_ms = {cycle.truck: cycle.clock_ms for truth in truths for cycle in truth.cycles}
    for kind, (planted_kind, least) in FLAGS.items():
        planted = {fault for truth in truths for fault in truth.faults if fault.kind == planted_kind}
        spans = found[kind]
        hits = sum(any(_near(fault, span, clocks_ms) for span in spans) for fault in planted)
        sure = [span for span in spans if span[3] != Severity.CONDITIONAL]
        false = sum(not any(_near(fault, span, clocks_ms) for fault in planted) for span in sure)
        word = planted_kind.replace("_", " ")
        yield Line(f"{word} found", f"{hits}", f"{len(planted)}", f"{least:.0%} at least", hits >= least * len(planted))
        yield Line(f"{word} false (sure)", f"{false}", "0", "1 at most", false <= 1)
        if conditional := len(spans) - len(sure):
            yield Line(f"{word} conditional", f"{conditional}", "", "not judged: within the guard band", True)


def _cycle_spans(store: Store) -> dict[str, list[tuple[int, int]]]:
    names = {number: key.name for number, key in store.assets().items()}
    rows = store.cycles(0, EVER_MS, limit=1_000_000).rows
    spans = defaultdict(list)
    for asset, start_ms, end_ms in zip(rows.asset.tolist(), rows.start_ms.tolist(), rows.end_ms.tolist(), strict=True):
        spans[names[asset]].append((start_ms, end_ms))
    return spans


def _flag_spans(store: Store) -> dict[FlagKind, list[tuple[str, int, int, int]]]:
    """Asset's name, start, end and severity of every flag, by kind."""
    names = {number: key.name for number, key in store.assets().items()}
    rows = store.flags(0, EVER_MS, limit=1_000_000).rows
    spans = defaultdict(list)
    columns = (rows.kind, rows.asset, rows.start_ms, rows.end_ms, rows.severity)
    for kind, asset, start_ms, end_ms, severity in zip(*(column.tolist() for column in columns), strict=True):
        spans[FlagKind(kind)].append((names[asset], start_ms, end_ms, severity))
    return spans


def _overlap(cycle: TrueCycle, start_ms: int, end_ms: int) -> bool:
    """Whether a derived cycle has time in common with a true one; true ones of one truck never overlap."""
    return start_ms < cycle.end_ms and end_ms > cycle.start_ms


def _near(fault: Fault, span: tuple[str, int, int, int], clocks_ms: dict[str, int]) -> bool:
    asset, start_ms, end_ms, _ = span
    clock_ms = clocks_ms.get(asset, 0)
    return asset == fault.asset and start_ms <= fault.end_ms + clock_ms + NEAR_MS and end_ms >= fault.start_ms + clock_ms - NEAR_MS


def mismatches(lines: Iterable[Line]) -> int:
    """How many comparisons do not agree."""
    return int(np.sum([not line.agrees for line in lines]))
