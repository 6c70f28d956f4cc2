"""The second stage: tickets and day totals, computed again from whole sets, never incremented.

A scale with news has its weighings paired anew; a day with news is summed anew over all facilities, from tickets, movements and cycles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.columns import OPEN_MS, Floats, Ints, States, Texts
from core.days import day_span_ms, day_totals, operating_day
from core.events import Cycles, DayTotals, Tickets
from core.readings import IN, Movements, Weighings
from core.rules import Rules
from core.tickets import pair_weighings, ticket_flags
from storage.journal import Journal
from storage.results import Changes, Results

FROM_THE_FIRST = int(np.iinfo(np.int64).min)
TO_THE_LAST = int(OPEN_MS)
PROVISIONAL_MS = 86_400_000
"""A day's totals are provisional until this long after its end; later changes are revisions."""


@dataclass(frozen=True, slots=True)
class Places:
    """What the books need of the registry."""

    site_of: Callable[[str, str], str]  # kind and name of a scale or station → site id, empty where it is not registered
    gross_limits_kg: Callable[[Texts, Ints], Floats]  # plates and instants → gross limits
    zone: str
    cutoff_min: int


class Books:
    """Tickets and day totals of all facilities. Belongs to the collector's thread."""

    def __init__(self, journal: Journal, results: Results, places: Places, rules: Rules) -> None:
        self._journal, self._results, self._places, self._rules = journal, results, places, rules
        self._scales: set[int] = set()
        self._days: set[int] = set()

    def take(self, table: Weighings | Movements) -> None:
        """Note which scales and days have news."""
        if isinstance(table, Weighings):
            self._scales.update(np.unique(table.asset).tolist())
        else:
            self._note(table.t_ms)

    def take_all(self) -> None:
        """Note every scale and every day: what all of them rest on is another now."""
        self._scales.update(number for number, key in self._journal.assets().items() if key.kind == "scale")
        # With another zone or cut-off hour a day's tonnes may belong to its neighbour.
        self._days.update(day + shift for day in self._results.days() for shift in (-1, 0, 1))

    def note_cycles(self, changes: Changes[Cycles]) -> None:
        """Note the days of cycles that changed; those of closed ones count."""
        for cycles in (changes.added, changes.changed, changes.withdrawn):
            self._note(cycles.end_ms[cycles.end_ms != OPEN_MS])

    def tick(self, now_ms: int) -> None:
        """Bring tickets and totals up to date; called inside the results' transaction."""
        for scale in sorted(self._scales):
            self._weigh(scale, now_ms)
        if self._days:
            self._sum(sorted(self._days), now_ms)
        self._scales.clear()
        self._days.clear()

    def _weigh(self, scale: int, now_ms: int) -> None:
        """Pair all weighings of one scale, and judge them."""
        weighings = self._journal.read(Weighings, np.array([scale]), FROM_THE_FIRST, TO_THE_LAST)
        tickets = pair_weighings(weighings, self._rules)
        limits_kg = self._places.gross_limits_kg(tickets.plate, tickets.start_ms)
        scope = {scale: FROM_THE_FIRST}
        changes = self._results.replace(tickets, scope, now_ms)
        self._results.replace(ticket_flags(tickets, weighings, limits_kg, self._rules), scope, now_ms)
        for changed in (changes.added, changes.changed, changes.withdrawn):
            self._note(changed.end_ms)

    def _sum(self, days: list[int], now_ms: int) -> None:
        zone, cutoff_min = self._places.zone, self._places.cutoff_min
        totals = [self._day(*day_span_ms(day, zone, cutoff_min)) for day in days]
        final_before = int(operating_day(np.array([now_ms - PROVISIONAL_MS]), zone, cutoff_min)[0])
        self._results.replace(DayTotals.concat(totals), days, now_ms, final_before_day=final_before)

    def _day(self, from_ms: int, to_ms: int) -> DayTotals:
        """What every facility took in and sent out in one day, by source."""
        tickets = self._results.ended(Tickets, from_ms, to_ms)
        movements = self._journal.read(Movements, None, from_ms, to_ms)
        cycles = self._results.ended(Cycles, from_ms, to_ms)
        cycles = cycles.take((cycles.dump_site != "") & np.isfinite(cycles.payload_kg))
        # An on-board load says nothing of the stream: what muck trucks dump is muck.
        muck, inward = np.full(len(cycles), "muck"), np.full(len(cycles), IN)
        return DayTotals.concat(
            [
                self._total("ticket", self._sites(tickets.asset), tickets.end_ms, tickets.stream, tickets.direction, tickets.net_kg),
                self._total(
                    "movement", self._sites(movements.asset), movements.t_ms, movements.stream, movements.direction, _kg(movements.mass_kg)
                ),
                self._total("onboard", cycles.dump_site, cycles.end_ms, muck, inward, _kg(cycles.payload_kg)),
            ]
        )

    def _total(self, source: str, site: Texts, t_ms: Ints, stream: Texts, direction: States, mass_kg: Ints) -> DayTotals:
        return day_totals(
            site=site,
            t_ms=t_ms,
            stream=stream,
            direction=direction,
            source=np.full(len(site), source),
            mass_kg=mass_kg,
            zone=self._places.zone,
            cutoff_min=self._places.cutoff_min,
        )

    def _sites(self, assets: Ints) -> Texts:
        """The site of each scale or station; one that is not registered stands for itself, so that its tonnes are seen."""
        keys = self._journal.assets()
        sites = {
            asset: self._places.site_of(keys[asset].kind, keys[asset].name) or keys[asset].name for asset in np.unique(assets).tolist()
        }
        return np.array([sites[asset] for asset in assets.tolist()], dtype=np.str_)

    def _note(self, t_ms: Ints) -> None:
        self._days.update(np.unique(operating_day(t_ms, self._places.zone, self._places.cutoff_min)).tolist())


def _kg(mass_kg: Floats) -> Ints:
    return np.rint(mass_kg).astype(np.int64)
