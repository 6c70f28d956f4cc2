"""The command line: `plimsoll collect | serve | account | simulate | replay | demo`.

Each command's work is in a module of its own; this one only reads the arguments and turns known errors into one line and an exit code.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from plimsoll import commands
from plimsoll.errors import KNOWN_ERRORS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what it says, 1 when the result is a mismatch or an error, 2 when the words are off."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=arguments.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return commands.run(arguments)
    except KNOWN_ERRORS as error:
        print(f"plimsoll {arguments.command}: {error}", file=sys.stderr)  # noqa: T201  # the command line speaks to a person
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="plimsoll", description="IoT telemetry for muck trucks, landfills and transfer stations.")
    top.add_argument("--log", default="warning", choices=("debug", "info", "warning", "error"), help="how much to log (default: warning)")
    subcommands = top.add_subparsers(dest="command", required=True, metavar="command")

    collect = subcommands.add_parser("collect", help="take readings in over MQTT, journal them, derive tonnes and flags, send alerts")
    _settings(collect)
    serve = subcommands.add_parser("serve", help="serve the API and the console page")
    _settings(serve)

    _account(subcommands.add_parser("account", help="say who may publish what through the endpoint"))

    simulate = subcommands.add_parser("simulate", help="play the reference district over MQTT, paced by the settings' clock")
    _settings(simulate)
    _mqtt(simulate)
    _scenario(simulate)

    replay = subcommands.add_parser("replay", help="publish recorded positions over MQTT")
    replay.add_argument("file", type=Path)
    replay.add_argument("--format", required=True, choices=("jersey-city", "plimsoll"))
    replay.add_argument("--speed", type=float, default=0.0, help="speed-up of the recording's own pace; 0 is as fast as it goes (default)")
    replay.add_argument("--district", default="jersey-city", help="the district that the trucks belong to (default: jersey-city)")
    _mqtt(replay)

    demo = subcommands.add_parser("demo", help="everything at once, with simulators: the collector, the API, the page")
    demo.add_argument("--data", type=Path, help="where to keep everything (default: plimsoll-data/demo; with --once a temporary folder)")
    demo.add_argument("--speed", type=float, default=60.0, help="scenario seconds per second (default: 60)")
    demo.add_argument("--http-port", type=int, default=8000)
    demo.add_argument("--mqtt-port", type=int, default=1884)
    demo.add_argument("--once", action="store_true", help="play whole days as fast as they go, print the day's table, exit 1 on a mismatch")
    demo.add_argument("--days", type=int, default=1, help="how many days to play with --once (default: 1)")
    demo.add_argument("--broker", metavar="HOST:PORT", help="with --once: go through this MQTT broker instead of the built-in endpoint")
    _scenario(demo)
    return top


def _account(account: argparse.ArgumentParser) -> None:
    actions = account.add_subparsers(dest="action", required=True, metavar="action")
    add = actions.add_parser("add", help="add an account, or give it another password and other topics")
    add.add_argument("name", help="the user name that the device logs in with")
    topics = add.add_mutually_exclusive_group(required=True)
    topics.add_argument("--device", metavar="DISTRICT/KIND/ASSET", help="may publish for this truck, scale or station only")
    topics.add_argument("--gateway", metavar="DISTRICT", help="may publish for every asset of the district")
    topics.add_argument("--prefix", help="may publish to every topic that begins so, for example plimsoll/v1/")
    add.add_argument("--password-file", type=Path, help="holds the password; without it one is made and printed")
    remove = actions.add_parser("remove", help="remove an account")
    remove.add_argument("name")
    for action in (add, actions.add_parser("list", help="print the accounts and their topics"), remove):
        _settings(action)


def _settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--settings", type=Path, help="TOML file (see plimsoll.sample.toml); the environment overrides it")


def _mqtt(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", default="127.0.0.1")
    command.add_argument("--port", type=int, default=1883)
    command.add_argument("--username")
    command.add_argument("--password-file", type=Path)


def _scenario(command: argparse.ArgumentParser) -> None:
    command.add_argument("--scenario", default="wujin-2022", choices=("wujin-2022",))
    command.add_argument("--seed", type=int, default=2022)
    command.add_argument("--batch", type=int, help="readings that a working truck puts into a message (default: 20; in the paced demo 4)")
