"""`plimsoll replay`: publishes a recording over MQTT, with a progress bar."""

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulators.publisher import Publisher
from simulators.replay import read_recording


def run(file: Path, form: str, district: str, speed: float, publisher: Publisher, console: Console) -> int:
    """Publish every message of the file; `speed` times as fast as it was recorded, or as fast as it goes where that is 0.

    The file is read, and refused, before the publisher connects.
    """
    messages = list(read_recording(file, form, district=district))
    first_ms = messages[0].arrival_ms if messages else 0
    begin_s = time.monotonic()
    with (
        publisher,
        Progress(
            TextColumn(file.name), BarColumn(), MofNCompleteColumn(), TextColumn("messages"), TimeRemainingColumn(), console=console
        ) as progress,
    ):
        task = progress.add_task("", total=len(messages))
        for message in messages:
            if speed > 0:
                ahead_s = (message.arrival_ms - first_ms) / 1000 / speed - (time.monotonic() - begin_s)
                publisher.wait(max(ahead_s, 0.0))
            publisher.publish(message.topic, message.payload)
            progress.advance(task)
        publisher.drain()
    return 0
