"""Thresholds of the row-level and cycle rules, and the limits of single trucks. All configuration; nothing here is a law of nature.

The sources are in plimsoll.sample.toml beside each setting.
"""

from dataclasses import dataclass

from core.columns import Columns, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One version of the thresholds. A span is judged by the version in force at its start."""

    version: str = "1"
    gap_ms: int = 600_000  # silence after which motion restarts
    jump_speed_kmh: float = 200.0  # faster than this between fixes is no motion of a truck
    jump_slack_m: float = 150.0  # scatter that two fixes may add to a leg
    jump_settle_ms: int = 300_000  # an unreachable place is believed once the truck reports from there this long
    move_kmh: float = 5.0  # standing becomes moving above this
    stop_kmh: float = 2.0  # moving becomes standing below this
    loaded_share: float = 0.45  # of the rated payload: empty becomes loaded above this
    empty_share: float = 0.20  # of the rated payload: loaded becomes empty below this
    sign_window_ms: int = 300_000  # a lift or a cover change this close to an edge is evidence for it
    plateau_rows: int = 12  # rolling readings that a payload needs before a live verdict
    load_u_share: float = 0.025  # standard uncertainty of the on-board sensor, of gross
    guard_k: float = 1.645  # guard band in standard uncertainties (ILAC-G8, one-sided 95 %)
    spill_kg: float = 500.0  # smallest step of load that is called spillage
    spill_z: float = 6.0  # step over its standard error
    spill_block_ms: int = 60_000  # load is averaged over this before a step is sought
    spill_blocks: int = 3  # blocks needed on each side of the step
    hold_ms: int = 1_800_000  # a checkpoint stays this far behind the newest reading, so that ordinary late ones come after it
    checkpoint_ms: int = 1_800_000  # at most one checkpoint per truck in this much device time
    pair_ms: int = 14_400_000  # longest stay between first and second weighing


@dataclass(frozen=True, eq=False, slots=True)
class TruckSpecs(Columns):
    """What holds for a truck from ``from_ms`` on. Sorted by (asset, from_ms); NaN where the bureau does not know."""

    asset: Ints
    from_ms: Ints  # int64 minimum: from the first reading
    rated_kg: Floats  # rated payload
    tare_kg: Floats  # kerb mass with driver
    gross_limit_kg: Floats  # by axle class, MOT Order 62/2016
