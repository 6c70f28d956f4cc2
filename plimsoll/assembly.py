"""The one place where the parts are put together."""

import math
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from core.rules import Rules, TruckSpecs
from desk.registry import FolderRegistry, Registry, core_sites, gross_limits_kg, truck_specs
from ingest.accounts import Accounts
from ingest.admission import Admission
from ingest.books import Books, Places
from ingest.broker import Broker
from ingest.collector import Collector
from ingest.connection import Limits
from ingest.deriver import Deriver
from ingest.endpoint import Endpoint, server_tls
from ingest.sessions import Sessions
from ingest.source import Source
from plimsoll.clock import Clock, ScaledClock, wall_ms
from plimsoll.settings import Settings
from storage.journal import Journal
from storage.results import Results

JOURNAL_FILE = "journal.sqlite"
DESK_FILE = "desk.sqlite"
SESSIONS_FILE = "mqtt-sessions.jsonl"


def clock(settings: Settings) -> Clock:
    """Wall time, or the scenario time that the settings name."""
    return ScaledClock(settings.data.clock) if settings.data.clock else wall_ms


def journal_path(settings: Settings) -> Path:
    """The journal's file."""
    return settings.data.folder / JOURNAL_FILE


def desk_path(settings: Settings) -> Path:
    """The alert desk's file."""
    return settings.data.folder / DESK_FILE


def source(settings: Settings) -> Source:
    """The endpoint or the broker client, as the settings choose."""
    return _endpoint(settings) if settings.collector.source == "endpoint" else _broker(settings)


def collector(settings: Settings, now: Clock, messages: Source, journal: Journal, registry: Registry) -> Collector:
    """A collector over an open journal."""
    results = Results(journal)
    sites, rules = core_sites(registry), settings.rules
    deriver = Deriver(journal, results, sites, _specs_of(journal, registry), rules)
    books = Books(journal, results, _places(registry), rules)
    own = settings.collector
    admission = Admission(journal.quarantine_holds, ahead_ms=own.clock_ahead_ms, flood_limit=own.flood_per_s)
    pace = {"flush_s": own.flush_ms / 1000, "derive_s": own.derive_ms / 1000}
    low_disk_bytes = settings.data.low_disk_mb << 20
    return Collector(
        messages, journal, results, deriver, books, admission, now, **pace, basis=basis(registry, rules), low_disk_bytes=low_disk_bytes
    )


def registry(settings: Settings) -> Registry:
    """The bureau's registry."""
    return FolderRegistry(settings.data.registry)


def basis(registry: Registry, rules: Rules) -> str:
    """Name all that results rest on besides the readings: where any of it changes, the name does; names for people do not count."""
    trucks = [(truck.id, truck.plate, truck.rated_kg, truck.tare_kg, truck.gross_limit_kg, truck.from_ms) for truck in registry.trucks()]
    told = (
        (registry.district, registry.zone, registry.cutoff_min),
        [(site.id, site.role, site.rings) for site in registry.sites()],  # in their order: of two that overlap the first counts
        *(sorted(map(repr, rows)) for rows in (trucks, _sites_of(registry).items())),
        rules,
    )
    return sha256(repr(told).encode()).hexdigest()


def _endpoint(settings: Settings) -> Source:
    own = settings.endpoint
    accounts = Accounts(own.accounts) if own.accounts else None
    return Endpoint(
        own.host,
        own.port,
        accounts=accounts,
        tls=server_tls(own.tls_cert, own.tls_key) if own.tls_cert and own.tls_key else None,
        sessions=Sessions(settings.data.folder / SESSIONS_FILE),
        limits=Limits(packet_bytes=own.packet_bytes, messages_per_s=own.messages_per_s or math.inf, connections=own.connections),
        flush_messages=settings.collector.flush_messages,
        flush_s=settings.collector.flush_ms / 1000,
    )


def _broker(settings: Settings) -> Source:
    own = settings.broker
    password = own.password_file.read_text(encoding="utf-8").strip() if own.password_file else None
    tls = ssl.create_default_context(cafile=str(own.tls_ca)) if own.tls_ca else None
    protocol = 5 if own.protocol == "5" else 4
    return Broker(own.host, own.port, client_id=own.client_id, protocol=protocol, username=own.username, password=password, tls=tls)


def _specs_of(journal: Journal, registry: Registry) -> Callable[[], TruckSpecs]:
    """The registry's trucks by journal number, looked up again when new ones have reported."""

    @lru_cache(maxsize=1)
    def specs(_known: int) -> TruckSpecs:
        own = registry.district
        numbers = {key.name: number for number, key in journal.assets().items() if key.kind == "truck" and key.district == own}
        return truck_specs(registry, numbers)

    return lambda: specs(len(journal.assets()))


def _sites_of(registry: Registry) -> Mapping[tuple[str, str], str]:
    """Where each scale and station stands, by kind and id."""
    scales = {("scale", scale.id): scale.site for scale in registry.scales()}
    return scales | {("station", station.id): station.site for station in registry.stations()}


def _places(registry: Registry) -> Places:
    sites = _sites_of(registry)
    return Places(
        site_of=lambda kind, name: sites.get((kind, name), ""),
        gross_limits_kg=lambda plates, t_ms: gross_limits_kg(registry, plates, t_ms),
        zone=registry.zone,
        cutoff_min=registry.cutoff_min,
    )
