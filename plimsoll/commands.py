"""What each command of the command line does, from its arguments."""

import argparse
from collections.abc import Callable

from rich.console import Console

from ingest.accounts import gateway_prefix
from plimsoll import account, assembly, collect, demo, once, replay, settings, simulate
from plimsoll.clock import ScaledClock
from simulators.publisher import Publisher


def run(arguments: argparse.Namespace) -> int:
    """Carry out the command; the exit code."""
    return COMMANDS[arguments.command](arguments)


def _collect(arguments: argparse.Namespace) -> int:
    return collect.run(settings.load(arguments.settings))


def _serve(arguments: argparse.Namespace) -> int:
    from plimsoll import serve  # with it comes the console's library: a second that only the server need spend

    return serve.run(settings.load(arguments.settings))


def _account(arguments: argparse.Namespace) -> int:
    own = settings.load(arguments.settings)
    match arguments.action:
        case "add":
            return account.add(own, arguments.name, _prefix(arguments), arguments.password_file)
        case "remove":
            return account.remove(own, arguments.name)
    return account.show(own)


def _prefix(arguments: argparse.Namespace) -> str:
    if arguments.device:
        return account.prefix_of(arguments.device)
    prefix: str = gateway_prefix(arguments.gateway) if arguments.gateway else arguments.prefix
    return prefix


def _simulate(arguments: argparse.Namespace) -> int:
    now = assembly.clock(settings.load(arguments.settings))
    speed = now.speed if isinstance(now, ScaledClock) else 1.0
    with _publisher(arguments, "plimsoll-simulators") as publisher:
        simulate.run(simulate.named(arguments.scenario, arguments.seed), now, speed, publisher, arguments.batch or 20)
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    publisher = _publisher(arguments, "plimsoll-replay")
    return replay.run(arguments.file, arguments.format, arguments.district, arguments.speed, publisher, Console(stderr=True))


def _demo(arguments: argparse.Namespace) -> int:
    scenario = simulate.named(arguments.scenario, arguments.seed)
    if arguments.once:
        broker = _address(arguments.broker) if arguments.broker else None
        return once.run(
            once.Run(scenario=scenario, days=arguments.days, batch=arguments.batch or 20, broker=broker, folder=arguments.data), Console()
        )
    own = demo.Demo(
        folder=arguments.data or demo.FOLDER,
        scenario=scenario,
        seed=arguments.seed,
        speed=arguments.speed,
        batch=arguments.batch or 4,
        http_port=arguments.http_port,
        mqtt_port=arguments.mqtt_port,
    )
    return demo.run(own, Console())


def _publisher(arguments: argparse.Namespace, client_id: str) -> Publisher:
    password = simulate.password(arguments.password_file)
    return Publisher(arguments.host, arguments.port, client_id=client_id, username=arguments.username, password=password)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise settings.SettingsError(f"--broker is {text!r}, expected HOST:PORT, for example 127.0.0.1:1883")
    return host, int(port)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "collect": _collect,
    "serve": _serve,
    "account": _account,
    "simulate": _simulate,
    "replay": _replay,
    "demo": _demo,
}
