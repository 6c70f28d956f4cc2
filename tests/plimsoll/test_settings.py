"""Settings: typed, filled once, every one of them in the sample file."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import msgspec
import pytest

from plimsoll.settings import Settings, SettingsError, load

SAMPLE = Path(__file__).parents[2] / "plimsoll.sample.toml"


def names_of(section: type) -> set[str]:
    return {field.name for field in (fields(section) if is_dataclass(section) else msgspec.structs.fields(section))}


def test_every_setting_stands_in_the_sample_file_and_nothing_else():
    section, in_sample = "", {}
    for line in SAMPLE.read_text(encoding="utf-8").splitlines():
        if header := re.match(r"\[(\w+)\]", line):
            section = header[1]
        elif setting := re.match(r"(?:# )?(\w+) = ", line):
            in_sample.setdefault(section, set()).add(setting[1])
    assert in_sample == {field.name: names_of(field.type) for field in msgspec.structs.fields(Settings)}


def test_the_sample_file_states_the_defaults():
    assert load(SAMPLE, {}) == Settings()


def test_the_environment_overrides_the_file(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("[endpoint]\nport = 2000\nhost = '::1'\n")
    settings = load(file, {"PLIMSOLL_ENDPOINT__PORT": "2883", "PLIMSOLL_TEST_DATA": "/elsewhere"})
    assert (settings.endpoint.host, settings.endpoint.port) == ("::1", 2883)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[endpoint]\nprt = 1", "prt"),
        ("[endpoint]\nport = 'many'", r"\$\.endpoint\.port"),
        ("[nonsense]\na = 1", "nonsense"),
        ("[endpoint", "cannot be read"),
        ("[endpoint]\ntls_cert = 'server.pem'", "tls_key is not set"),
        ("[endpoint]\ntls_key = 'server.key'", "tls_cert is not set"),
        ("[endpoint]\nconnections = 0", "connections is 0, expected 1 or more"),
        ("[endpoint]\npacket_bytes = 100", "packet_bytes is 100, expected 1024 or more"),
        ("[endpoint]\nmessages_per_s = -1", "messages_per_s is -1.0, expected 0 or more"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, text, named):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=named):
        load(file, {})
