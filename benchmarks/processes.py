"""What a process has used: CPU seconds of all its threads, and the most memory that it ever held. From /proc, children included."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_s: float
    peak_mb: float

    def since(self, before: "Usage") -> "Usage":
        return Usage(self.cpu_s - before.cpu_s, self.peak_mb)


def usage(process: int) -> Usage:
    """CPU seconds so far and peak resident memory [MB] of a process and its children that live."""
    family = _family(process)
    return Usage(sum(_cpu_s(one) for one in family), sum(_peak_mb(one) for one in family))


def _family(process: int) -> list[int]:
    children = map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())  # the main thread's
    return [process, *(one for child in children for one in _family(child))]


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _peak_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
