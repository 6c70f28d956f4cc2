"""One reading of the store for all who look at the same time."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from fastapi.concurrency import run_in_threadpool

Value = TypeVar("Value")


class Shared(Generic[Value]):
    """What ``read`` gave at most ``keep_s`` ago. Many pages ask; the store is read once per interval, on a worker thread."""

    def __init__(self, read: Callable[[], Value], keep_s: float) -> None:
        self._read = read
        self._keep_s = keep_s
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Value] | None = None

    async def get(self) -> Value:
        async with self._lock:
            now_s = asyncio.get_running_loop().time()
            if self._kept is None or now_s - self._kept[0] >= self._keep_s:
                self._kept = now_s, await run_in_threadpool(self._read)
            return self._kept[1]
