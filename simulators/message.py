"""What a simulator or a recording sends: the one shape in which played messages travel."""

from typing import NamedTuple


class Message(NamedTuple):
    """One MQTT message, and when it arrives on the scenario's clock."""

    arrival_ms: int
    topic: str
    payload: bytes
