"""The core's kernels beside pandas, geopandas and movingpandas, on the same readings of the played day.

    python -m benchmarks.kernels [--readings 200000] [--trucks 20] [--repeat 5] [--json FILE]

Needs the extra `benchmark`. Every kernel runs in a process of its own, so that its peak of memory is its own: the most that it held
beyond its input. The best of `--repeat` runs counts. movingpandas sees the first `--trucks` trucks only, because it takes minutes for
all; rates are per reading. Where the answers must agree they are compared, and where the questions differ, how far they agree is told.
"""

import argparse
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import geopandas as gpd  # type: ignore[import-untyped]  # its types come separately, for one script not worth it
import numpy as np
import pandas as pd
import shapely

from benchmarks import day
from benchmarks.report import show
from core.columns import MISSING, Ints, States
from core.cycles import Payloads, hauls, payloads
from core.derive import TruckStates, derive
from core.geofence import Sites
from core.groups import Groups
from core.jump import NEVER_MS
from core.limits import Limits
from core.loads import levels, loads
from core.motion import MOVING, STANDING, motion, silences_ms
from core.order import order_dedupe
from core.readings import TruckReadings
from core.rules import Rules, TruckSpecs
from desk.registry import FolderRegistry, core_sites, truck_specs
from ingest.decode import decode
from ingest.source import Message
from simulators import wujin
from storage.assets import AssetKey

RULES = Rules()
STOP_MS, STOP_M = 300_000, 100.0
Frame = Any  # pandas and geopandas ship no types that mypy could hold us to


@dataclass(frozen=True, slots=True)
class Day:
    """What the kernels are given."""

    arrived: TruckReadings  # in the order of arrival
    readings: TruckReadings  # sorted, one row per identity
    specs: TruckSpecs
    sites: Sites
    rings_deg: list[list[tuple[float, float]]]
    few: TruckReadings  # of some trucks


def made_day(readings: int, trucks: int) -> Day:
    numbers: dict[AssetKey, int] = {}
    messages = [Message(*one) for one in day.single_readings(readings)]
    (arrived,) = decode(messages, 2**41, lambda key: numbers.setdefault(key, len(numbers) + 1)).tables
    if not isinstance(arrived, TruckReadings):
        raise TypeError(f"the day holds {type(arrived).__name__}; expected readings of trucks")
    with tempfile.TemporaryDirectory() as folder:
        wujin.scenario().write_registry(Path(folder))
        registry = FolderRegistry(Path(folder))
        sites, specs = core_sites(registry), truck_specs(registry, {key.name: number for key, number in numbers.items()})
        rings = [list(site.rings[0]) for site in registry.sites()]
    winners = order_dedupe(arrived).winners
    return Day(arrived, winners, specs, sites, rings, winners.take(winners.asset <= trucks))


def frame(table: TruckReadings) -> Frame:
    """The same readings as pandas has them: NaN for what was not measured."""
    columns = {name: getattr(table, name) for name in table.names()}
    for name in ("lat_e7", "lon_e7"):
        columns[name.replace("_e7", "_deg")] = np.where(columns[name] == MISSING, np.nan, columns.pop(name) / 1e7)
    return pd.DataFrame(columns)


# ---------------------------------------------------------------------- order and repetitions


def order_core(of: Day) -> TruckReadings:
    return order_dedupe(of.arrived).winners


def order_pandas(table: Frame) -> Frame:
    identity = ["asset", "t_ms", "seq"]
    return table.sort_values([*identity, "received_ms"], kind="stable").drop_duplicates(identity)


def same_identities(ours: TruckReadings, theirs: Frame) -> str:
    same = len(ours) == len(theirs) and all(np.array_equal(getattr(ours, name), theirs[name]) for name in ("asset", "t_ms", "seq"))
    return "same rows" if same else "ROWS DIFFER"


# ---------------------------------------------------------------------- geofences


def geofence_core(of: Day) -> Ints:
    return of.sites.locate(of.readings.lat_e7, of.readings.lon_e7)


def geofence_geopandas(table: Frame, polygons: Frame) -> Ints:
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(table["lon_deg"], table["lat_deg"]))
    found = points.sjoin(polygons, how="left", predicate="intersects")["index_right"]
    site: Ints = found.groupby(level=0).min().fillna(-1).to_numpy(np.int64)
    return site


def made_polygons(of: Day) -> Frame:
    return gpd.GeoDataFrame(geometry=[shapely.Polygon(np.round(ring, 7)) for ring in of.rings_deg])


def same_sites(ours: Ints, theirs: Ints) -> str:
    return f"{int((ours != theirs).sum())} of {len(ours):,} differ"


# ---------------------------------------------------------------------- motion


def motion_core(of: TruckReadings) -> States:
    trucks = Groups.of(of.asset)
    silence_ms = silences_ms(trucks, of.t_ms, np.full(len(trucks), NEVER_MS))
    return motion(trucks, silence_ms, of.speed_kmh, np.full(len(trucks), -1, np.int8), RULES)


def motion_pandas(table: Frame) -> States:
    truck = table["asset"]
    stretch = ((truck != truck.shift()) | (table["t_ms"].diff() >= RULES.gap_ms)).cumsum()
    speed = table["speed_kmh"]
    level = pd.Series(np.select([speed > RULES.move_kmh, speed < RULES.stop_kmh], [1.0, 0.0], np.nan), index=table.index)
    moving: States = level.groupby(stretch).ffill().fillna(-1).to_numpy(np.int8)
    return moving


def same_states(ours: States, theirs: States) -> str:
    return f"{int((ours != theirs).sum())} of {len(ours):,} differ"


# ---------------------------------------------------------------------- stops

Stops = list[tuple[int, int, int]]
"""Truck, begin and end [ms]."""


def stops_core(of: TruckReadings) -> Stops:
    """Standing for five minutes or more."""
    moving = motion_core(of)
    runs = Groups.of(of.asset, moving)
    begin_ms, end_ms = of.t_ms[runs.first], of.t_ms[runs.end - 1]
    long = (moving[runs.first] == STANDING) & (end_ms - begin_ms >= STOP_MS)
    return list(zip(of.asset[runs.first][long].tolist(), begin_ms[long].tolist(), end_ms[long].tolist(), strict=True))


def stops_movingpandas(table: Frame) -> Stops:
    """Within a circle of a hundred metres for five minutes or more."""
    import movingpandas as mpd  # it warns when imported, and takes seconds

    table = table.dropna(subset=["lat_deg"]).assign(t=lambda rows: pd.to_datetime(rows["t_ms"], unit="ms"))
    trajectories = mpd.TrajectoryCollection(table, "asset", t="t", x="lon_deg", y="lat_deg")
    found = mpd.TrajectoryStopDetector(trajectories).get_stop_time_ranges(STOP_M, pd.Timedelta(STOP_MS, "ms").to_pytimedelta())
    return [(int(stop.traj_id), _ms(stop.t_0), _ms(stop.t_n)) for stop in found]


def _ms(moment: Any) -> int:
    return int(pd.Timestamp(moment).value // 1_000_000)


def overlap(ours: Stops, theirs: Stops) -> str:
    """Different questions: a queue that creeps stands within a circle, but its wheels turn."""
    both = sum(max(0, min(a[2], b[2]) - max(a[1], b[1])) for a in ours for b in theirs if a[0] == b[0])
    total = [sum(end - begin for _, begin, end in stops) for stops in (ours, theirs)]
    return f"{len(ours)} and {len(theirs)} stops; {both / total[0]:.1%} of ours in theirs, {both / total[1]:.1%} of theirs in ours"


# ---------------------------------------------------------------------- cycles and tonnes


def cycles_core(of: Day, moving: States) -> Payloads:
    rows = of.readings
    trucks = Groups.of(rows.asset)
    limits = Limits.of(of.specs, trucks, rows.asset[trucks.first], rows.t_ms)
    level, told = levels(rows.load_kg, rows.load_state, limits, RULES)
    turns = loads(trucks, rows.t_ms, level, told, np.full(len(trucks), -1, np.int8)).turns
    found = hauls(trucks, turns, moving)
    at = limits.at(found.start)
    return payloads(found, rows.load_kg, moving, at.tare_kg, at.rated_kg, RULES)


def cycles_pandas(table: Frame, rated_kg: Frame, moving: States) -> Frame:
    """The same rules: a level is believed when the next measurement confirms it; a payload is the median while rolling."""
    rated, load, state = table["asset"].map(rated_kg), table["load_kg"], table["load_state"]
    weighed = load.notna() & rated.notna()
    by_weight = np.select([load > RULES.loaded_share * rated, load < RULES.empty_share * rated], [1, 0], -1)
    level = pd.Series(np.where(weighed, by_weight, np.minimum(state, 1)), index=table.index)
    told = table.loc[weighed | (state >= 0), ["asset", "t_ms"]].assign(level=level)
    after = told.groupby("asset").shift(-1)
    sure = told["level"].where((after["level"] == told["level"]) & (after["t_ms"] > told["t_ms"]) & (told["level"] >= 0))
    loaded = sure.reindex(table.index).groupby(table["asset"]).ffill()
    laden = loaded == 1
    cycle = (laden & ~((table["asset"] == table["asset"].shift()) & laden.shift(fill_value=False))).cumsum()
    rolling = laden & (moving == MOVING) & load.notna()
    kg = load[rolling].groupby(cycle[rolling]).agg(["median", "size"])
    return kg.reindex(range(1, int(cycle.max()) + 1))


def same_tonnes(ours: Payloads, theirs: Frame) -> str:
    if len(ours) != len(theirs):
        return f"CYCLES DIFFER: {len(ours)} and {len(theirs)}"
    sure = theirs["size"].to_numpy() >= RULES.plateau_rows  # of fewer rolling rows ours takes the standing ones too
    off = int((ours.kg[sure] != theirs["median"].to_numpy()[sure]).sum())
    tonnes = ours.kg[sure].sum() / 1000, theirs["median"][sure].sum() / 1000
    return f"{len(ours)} cycles each; {off} payloads differ; {tonnes[0]:,.1f} and {tonnes[1]:,.1f} t"


# ---------------------------------------------------------------------- everything


def derive_core(of: Day) -> int:
    states = TruckStates.initial(np.unique(of.readings.asset))
    return len(derive(of.readings, states, of.specs, of.sites, RULES).cycles)


def chain_pandas(table: Frame, polygons: Frame, rated_kg: Frame) -> int:
    """Order, motion, cycles and geofences; no jumps, gaps, overloads, spillages, evidence or checkpoints."""
    table = order_pandas(table).reset_index(drop=True)
    geofence_geopandas(table, polygons)
    return len(cycles_pandas(table, rated_kg, motion_pandas(table)))


def same_count(ours: int, theirs: int) -> str:
    return f"{ours} and {theirs} cycles"


# ---------------------------------------------------------------------- measuring


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    peak_mb: float
    answer: Any


def measure(work: Callable[[], Any], repeat: int) -> Run:
    """Run in a forked process: it has the input, and a peak of its own."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(work, repeat, there))
    process.start()
    run: Run = here.recv()
    process.join()
    return run


def _work(work: Callable[[], Any], repeat: int, report: Connection) -> None:
    warnings.simplefilter("ignore")  # movingpandas has several to tell
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before_mb = _memory_mb("VmRSS")
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        answer = work()
        times.append(time.perf_counter() - started)
    report.send(Run(min(times), _memory_mb("VmHWM") - before_mb, answer))


def _memory_mb(name: str) -> float:
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024 / 1e6


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--readings", type=int, default=200_000)
    words.add_argument("--trucks", type=int, default=20, help="so many for movingpandas")
    words.add_argument("--repeat", type=int, default=5)
    words.add_argument("--json", type=Path)
    arguments = words.parse_args()
    of = made_day(arguments.readings, arguments.trucks)
    arrived, readings, few, polygons = frame(of.arrived), frame(of.readings), frame(of.few), made_polygons(of)
    rated_kg, moving = pd.Series(of.specs.rated_kg, index=of.specs.asset), motion_core(of.readings)
    all_rows, few_rows = len(of.readings), len(of.few)
    pairs: list[tuple[str, int, Callable[[], Any], str, Callable[[], Any], Callable[[Any, Any], str]]] = [
        ("order and repetitions", len(of.arrived), lambda: order_core(of), "pandas", lambda: order_pandas(arrived), same_identities),
        ("geofences", all_rows, lambda: geofence_core(of), "geopandas", lambda: geofence_geopandas(readings, polygons), same_sites),
        ("motion", all_rows, lambda: motion_core(of.readings), "pandas", lambda: motion_pandas(readings), same_states),
        ("stops", few_rows, lambda: stops_core(of.few), "movingpandas", lambda: stops_movingpandas(few), overlap),
        (
            "cycles, tonnes",
            all_rows,
            lambda: cycles_core(of, moving),
            "pandas",
            lambda: cycles_pandas(readings, rated_kg, moving),
            same_tonnes,
        ),
        (
            "all of derive",
            all_rows,
            lambda: derive_core(of),
            "pandas, 4 of 10",
            lambda: chain_pandas(arrived, polygons, rated_kg),
            same_count,
        ),
    ]
    rows = []
    for kernel, count, ours, peer, theirs, judge in pairs:
        mine = measure(ours, arguments.repeat)
        other = measure(theirs, 1 if peer == "movingpandas" else arguments.repeat)
        rows.append(
            {
                "kernel": kernel,
                "rows": count,
                "core M rows/s": count / mine.seconds / 1e6,
                "peer": peer,
                "peer M rows/s": count / other.seconds / 1e6,
                "×": other.seconds / mine.seconds,
                "core peak MB": mine.peak_mb,
                "peer peak MB": other.peak_mb,
                "answers": judge(mine.answer, other.answer),
            }
        )
    show("Kernels on the played day", rows, arguments.json)


if __name__ == "__main__":
    main()
