"""Errors that the command line explains in one line instead of a traceback."""

from desk.channels import TargetError
from desk.registry import RegistryError
from ingest.accounts import AccountsError
from ingest.endpoint import EndpointError
from plimsoll.settings import SettingsError
from simulators.publisher import PublisherError
from simulators.replay import RecordingError
from storage.database import JournalError


class PlimsollError(RuntimeError):
    """The application's own: names the thing, what was expected, and what happens next."""


KNOWN_ERRORS = (
    PlimsollError,
    SettingsError,
    RegistryError,
    AccountsError,
    EndpointError,
    TargetError,
    JournalError,
    PublisherError,
    RecordingError,
    OSError,
)
