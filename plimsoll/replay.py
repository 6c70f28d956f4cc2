"""`plimsoll replay`: publishes a recording over MQTT, with a progress bar."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulators.publisher import Publisher
from simulators.replay import read_recording, replay


def run(file: Path, form: str, district: str, speed: float, publisher: Publisher, console: Console) -> int:
    """Publish every message of the file; `speed` times as fast as it was recorded, or as fast as it goes where that is 0.

    The file is read, and refused, before the publisher connects.
    """
    messages = list(read_recording(file, form, district=district))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("messages"), TimeRemainingColumn()
    with publisher, Progress(*columns, console=console) as progress:
        replay(progress.track(messages, description=file.name), publisher, speed or None)
    return 0
