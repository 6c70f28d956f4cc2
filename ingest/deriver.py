"""From journalled truck readings to stored events: keeps every open span at hand, runs the core over it, writes what changed.

Of each truck the deriver holds one checkpoint (a moment at which no span was open, and the small state carried over it) and the
readings since. A tick runs the core over the open readings of the trucks that have news. Because the core is a pure fold, that gives the
same events as one run over everything; a reading from before the checkpoint takes its truck back to an older one.
"""

from collections.abc import Callable

import numpy as np

from core.columns import OPEN_MS, Bools, Ints
from core.derive import Checkpoints, TruckStates, derive
from core.events import Cycles
from core.geofence import Sites
from core.order import order_dedupe
from core.readings import TruckReadings
from core.rules import Rules, TruckSpecs
from storage.journal import Journal
from storage.results import Changes, Results

TO_THE_LAST = int(OPEN_MS)
_RESUMED_AT_ONCE = 64
"""Trucks whose readings are fetched together, by the age of their checkpoints: a read for each would decode the hot batches each time."""


class Deriver:
    """The trucks' derivation. Belongs to the collector's thread."""

    def __init__(self, journal: Journal, results: Results, sites: Sites, specs: Callable[[], TruckSpecs], rules: Rules) -> None:
        self._journal, self._results, self._sites, self._specs, self._rules = journal, results, sites, specs, rules
        self._states = TruckStates.initial(np.empty(0, np.int64))
        self._open = TruckReadings.empty()
        self._new: list[TruckReadings] = []

    def resume(self, *, anew: bool = False) -> None:
        """Forget what is in memory, and take up what is journalled since each truck's checkpoint: at a start, or after a failure.

        With `anew` the checkpoints go first, so that every truck begins again at its first reading.
        """
        if anew:
            self._results.drop_checkpoints(None)
        self._states = self._results.newest_checkpoints(Checkpoints)
        self._open = TruckReadings.empty()
        trucks = [number for number, key in self._journal.assets().items() if key.kind == "truck"]
        self._know(np.array(trucks, dtype=np.int64))
        by_age = self._states.take(np.argsort(self._states.t_ms))
        groups = [by_age.take(slice(first, first + _RESUMED_AT_ONCE)) for first in range(0, len(by_age), _RESUMED_AT_ONCE)]
        self._new = [self._journal.read(TruckReadings, group.asset, int(group.t_ms.min()) + 1, TO_THE_LAST) for group in groups]

    @property
    def open_rows(self) -> int:
        """How many readings are held because their spans are open."""
        return len(self._open)

    def behind(self, table: TruckReadings) -> Bools:
        """Which readings lie at or before their truck's checkpoint; none of a truck that is new."""
        place = np.minimum(np.searchsorted(self._states.asset, table.asset), max(len(self._states) - 1, 0))
        if not len(self._states):
            return np.zeros(len(table), dtype=np.bool_)
        late: Bools = (self._states.asset[place] == table.asset) & (table.t_ms <= self._states.t_ms[place])
        return late

    def take(self, table: TruckReadings) -> None:
        """Add journalled readings; late ones take their trucks back."""
        self._know(np.unique(table.asset))
        late = table.take(self.behind(table))
        if len(late):
            self._go_back(late)
        self._new.append(table)

    def tick(self, now_ms: int) -> Changes[Cycles]:
        """Derive the trucks with news and store what changed; called inside the results' transaction."""
        news = TruckReadings.concat(self._new)
        self._new = []
        news = news.take(~self.behind(news))
        trucks = np.unique(news.asset)
        mine = np.isin(self._open.asset, trucks)
        readings = order_dedupe(TruckReadings.concat([self._open.take(mine), news])).winners
        derived = derive(readings, self._states, self._specs(), self._sites, self._rules)
        since_ms = dict(zip(trucks.tolist(), self._since_ms(trucks).tolist(), strict=True))
        cycles = self._results.replace(derived.cycles, since_ms, now_ms)
        self._results.replace(derived.flags, since_ms, now_ms)
        self._results.replace(derived.latest, since_ms, now_ms)
        self._results.save_checkpoints(derived.checkpoints)
        self._advance(derived.checkpoints)
        self._open = TruckReadings.concat([self._open.take(~mine), readings.take(~self.behind(readings))])
        return cycles

    def _advance(self, checkpoints: Checkpoints) -> None:
        """Go on from the newest checkpoint of each truck."""
        last = np.append(checkpoints.asset[1:] != checkpoints.asset[:-1], True)[: len(checkpoints)]
        self._put(checkpoints.take(last))

    def _go_back(self, late: TruckReadings) -> None:
        """Return to the newest checkpoint before each truck's oldest late reading, and fetch what came since from the journal."""
        oldest_ms = {int(truck): int(late.t_ms[late.asset == truck].min()) for truck in np.unique(late.asset)}
        older = self._results.newest_checkpoints(Checkpoints, oldest_ms)
        without = np.array([truck for truck in oldest_ms if truck not in set(older.asset.tolist())], dtype=np.int64)
        self._put(Checkpoints.concat([older, TruckStates.initial(without)]))
        trucks = np.array(list(oldest_ms), dtype=np.int64)
        self._results.drop_checkpoints(dict(zip(trucks.tolist(), self._since_ms(trucks).tolist(), strict=True)))
        self._open = self._open.take(~np.isin(self._open.asset, trucks))
        self._new.extend(self._since_checkpoint(truck) for truck in oldest_ms)

    def _since_checkpoint(self, truck: int) -> TruckReadings:
        asset = np.array([truck], dtype=np.int64)
        return self._journal.read(TruckReadings, asset, int(self._since_ms(asset)[0]) + 1, TO_THE_LAST)

    def _since_ms(self, assets: Ints) -> Ints:
        """The checkpoint's time of each asset; all of them are known."""
        return self._states.t_ms[np.searchsorted(self._states.asset, assets)]

    def _know(self, trucks: Ints) -> None:
        """Give trucks that are new their initial state."""
        new = trucks[~np.isin(trucks, self._states.asset)]
        if len(new):
            self._put(TruckStates.initial(new))

    def _put(self, states: TruckStates) -> None:
        """Replace the states of these trucks."""
        kept = self._states.take(~np.isin(self._states.asset, states.asset))
        merged = TruckStates.concat([kept, states])
        self._states = merged.take(np.argsort(merged.asset))
