"""`plimsoll simulate`: plays the reference district over MQTT, paced by a clock."""

from pathlib import Path

from plimsoll.clock import Clock
from simulators.message import Message
from simulators.play import play_from
from simulators.publisher import Publisher
from simulators.scenario import Scenario
from simulators.wujin import scenario as wujin

SCENARIOS = {"wujin-2022": wujin}
LONGEST_WAIT_S = 1.0


def named(name: str, seed: int) -> Scenario:
    """The scenario of this name."""
    return SCENARIOS[name](seed)


def run(scenario: Scenario, now: Clock, speed: float, publisher: Publisher, batch: int) -> None:
    """Publish for ever: each message when the clock has reached its arrival."""
    for message in play_from(scenario, now(), batch):
        wait_until(message, now, speed, publisher)
        publisher.publish(message.topic, message.payload)


def wait_until(message: Message, now: Clock, speed: float, publisher: Publisher) -> None:
    """Keep the connection going until the message's time has come."""
    while (ahead_ms := message.arrival_ms - now()) > 0:
        publisher.wait(min(ahead_ms / 1000 / speed, LONGEST_WAIT_S))


def password(file: Path | None) -> str | None:
    """The secret in a file, without the line's end."""
    return file.read_text(encoding="utf-8").strip() if file else None
