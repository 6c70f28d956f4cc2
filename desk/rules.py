"""What becomes an alert, and when it rings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.events import FlagKind, Severity

DEFAULT_LOWEST: Mapping[FlagKind, Severity] = {
    FlagKind.OVERLOAD_PAYLOAD: Severity.CONDITIONAL,
    FlagKind.OVERLOAD_GROSS: Severity.CONDITIONAL,
    FlagKind.TICKET_OVERLOAD_GROSS: Severity.CONDITIONAL,
    FlagKind.SPILLAGE: Severity.INFO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """One set of the desk's thresholds."""

    lowest: Mapping[FlagKind, Severity] = field(default_factory=lambda: DEFAULT_LOWEST)  # kinds that alert, from this severity on
    late_ms: int = 600_000  # a flag that ended longer ago enters the books silently
    quiet_ms: int = 60_000  # late data is over when none has come for this long
    silence_ms: int = 900_000  # no readings at all for this long is an alert
    stall_ms: int = 60_000  # a stage that leaves work waiting for this long is an alert
    clock_behind_ms: int = 900_000  # readings that come later than this, for as long, and catch up nothing: a wrong clock

    def at_speed(self, speed: float, slack_ms: int = 10_000) -> "AlertRules":
        """The rules for a clock that runs `speed` times as fast.

        The program's own delays, up to `slack_ms`, then count as many times as much.
        """
        more_ms = round(slack_ms * max(speed - 1, 0))
        return replace(
            self,
            late_ms=self.late_ms + more_ms,
            quiet_ms=self.quiet_ms + more_ms,
            silence_ms=self.silence_ms + more_ms,
            stall_ms=self.stall_ms + more_ms,
            clock_behind_ms=self.clock_behind_ms + more_ms,
        )
