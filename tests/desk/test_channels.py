from pathlib import Path

import pytest

from desk.channels import AppriseChannel, Target, TargetError, read_targets
from desk.outbox import Message

# One of Apprise's plugins imports a module that Python 3.11 deprecates; it carries its own for later ones.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
SECRET = "s3cr3t-t0ken"  # noqa: S105 - what must not be seen


def test_targets_are_names_with_addresses(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text('[targets]\nduty = "json://127.0.0.1/a"\n"值班室" = "json://127.0.0.1/b"\n', encoding="utf-8")
    assert [target.name for target in read_targets(path)] == ["duty", "值班室"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'duty = "json://{SECRET}"', "has no table [targets]"),
        (f'[targets]\nduty = ["json://{SECRET}"]', "target duty: is a list"),
        (f'[targets]\nduty = "json://{SECRET}', "is not TOML"),
    ],
)
def test_a_targets_file_that_cannot_be_used_is_refused_without_its_secrets(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TargetError) as refused:
        read_targets(path)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_missing_targets_file_says_what_that_means(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"cannot be read: .*no alert would leave"):
        read_targets(tmp_path / "targets.toml")


def test_an_address_that_apprise_does_not_know_is_refused_without_printing_it(capsys: pytest.CaptureFixture[str]) -> None:
    target = Target("duty", f"nonsense://user:{SECRET}@host")
    with pytest.raises(TargetError, match="target duty: its address is not a URL") as refused:
        AppriseChannel(target)
    assert SECRET not in str(refused.value) + repr(target) + "".join(capsys.readouterr())


def test_a_plugin_that_raises_is_a_failure_in_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = AppriseChannel(Target("duty", f"json://127.0.0.1:9/{SECRET}"))

    def raises(**_: object) -> bool:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(channel._service, "notify", raises)
    assert channel.send(Message(1, "a", "raised", "title", "body", "", 0)) == "RuntimeError"


def test_nobody_at_the_other_end_is_a_failure() -> None:
    channel = AppriseChannel(Target("duty", "json://127.0.0.1:9/hook"))
    assert channel.send(Message(1, "a", "raised", "title", "body", "", 0)) == "no connection, or an answer that says no"
