"""What tests of several packages share."""

import os
from pathlib import Path

import pytest

TEST_DATA = "PLIMSOLL_TEST_DATA"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with the recorded data. Where the environment does not name it, tests that need it are skipped, and in CI they fail."""
    folder = os.environ.get(TEST_DATA)
    if folder is None:
        reason = f"{TEST_DATA} does not name the folder with the recorded data"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(folder)


@pytest.fixture(scope="session")
def jersey_city(test_data: Path) -> Path:
    """A day of polls of 139 refuse trucks."""
    return test_data / "jersey-city-refuse-trucks" / "polls_first_half.psv.gz"
