"""Which trucks' clocks are behind: a read of the latest table, for the alert desk and the API alike.

A clock that is behind makes everything of its truck look like the past, where nothing rings. But late readings are no sign of it: a
terminal that was without a line sends what it kept, and not every one marks it. What tells them apart is the pace: since readings came
steadily late (see ``core.lateness``), a wrong clock has gone as fast as ours, and for as long as it takes to tell; one that catches up
has gone faster, one that only fell silent slower.
"""

import numpy as np

from core.columns import Bools, Ints
from core.events import Latest

_PACE = 4
"""A pace within a quarter of ours is ours: slower catching up would take hours, and a line is not that unsteady for long."""


def late(latest: Latest, limit_ms: int) -> Bools:
    """Trucks whose newest reading came so late; of these it cannot be said that their clocks are right."""
    return latest.late_ms > limit_ms


def behind_ms(latest: Latest, limit_ms: int) -> Ints:
    """How far each truck's clock is behind; 0 where it is right, or where it is too early to tell.

    Parameters
    ----------
    limit_ms
        Lateness above this is no delay of a message, once it has lasted as long.
    """
    lasted_ms = latest.heard_ms - latest.steady_ms
    drift_ms = np.abs(latest.late_ms - latest.steady_late_ms)
    told = late(latest, limit_ms) & (lasted_ms >= limit_ms) & (_PACE * drift_ms <= lasted_ms)
    return np.where(told, latest.late_ms, 0)
