"""What a scenario is made of: the things that the bureau registers, each with what only the simulator knows about it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as Folder

from simulators.geography import Block, Path, Streets, rectangle, to_deg
from simulators.registry import write_registry


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """A polygon with a role."""

    id: str
    role: str
    name_zh: str
    name_en: str
    block: Block
    centre: Path
    width_m: float
    height_m: float
    turn_rad: float
    capacity_t_per_day: int | None = None

    @property
    def ring_deg(self) -> Path:
        return to_deg(rectangle(self.centre, self.width_m, self.height_m, self.turn_rad))


@dataclass(frozen=True, eq=False, slots=True)
class Company:
    """A haulier with a yard of its own."""

    name_zh: str
    name_en: str
    depot: Site


@dataclass(frozen=True, eq=False, slots=True)
class Route:
    """The way that a permit prescribes."""

    id: str
    from_site: Site
    to_site: Site
    width_m: int
    path: Path


@dataclass(frozen=True, eq=False, slots=True)
class Truck:
    """A truck as registered, with its true body volume and its place in the yard."""

    id: str
    plate: str
    type: str
    axles: int
    rated_kg: int
    tare_kg: int
    gross_limit_kg: int
    company: Company
    body_m3: float
    slot: Path | None  # where a muck truck parks; None for vehicles without a terminal

    @property
    def cadence_ms(self) -> int:
        """Time between two readings while working."""
        return 10_000 if self.type == "smart" else 30_000


@dataclass(frozen=True, eq=False, slots=True)
class Permit:
    """Who may haul what from where to where (处置证)."""

    id: str
    route: Route
    night: bool
    volume_m3: int
    trucks: tuple[Truck, ...]

    @property
    def hours(self) -> str:
        return "19:00-06:00" if self.night else "09:00-16:30"


@dataclass(frozen=True, eq=False, slots=True)
class Scale:
    """A weighbridge; `halves` tells how its software speaks: each weighing by itself, or whole tickets at the end."""

    id: str
    site: Site
    name_zh: str
    name_en: str
    halves: bool
    interval_kg: int = 20


@dataclass(frozen=True, eq=False, slots=True)
class Station:
    """A transfer station, with what it takes in on a mean day and where its containers go."""

    id: str
    site: Site
    name_zh: str
    name_en: str
    capacity_t_per_day: int
    mean_t_per_day: int
    to_scale: str


@dataclass(frozen=True, eq=False)
class Scenario:
    """A district that can be played. Everything follows from the seed."""

    seed: int
    district: str
    name_zh: str
    name_en: str
    zone: str
    streets: Streets
    sites: tuple[Site, ...]
    routes: tuple[Route, ...]
    permits: tuple[Permit, ...]
    trucks: tuple[Truck, ...]  # with a terminal
    vehicles: tuple[Truck, ...]  # known by their plates at the scales only
    scales: tuple[Scale, ...]
    stations: tuple[Station, ...]
    clock_behind: Truck  # its device clock has always been eight hours behind
    dumping_blocks: tuple[Block, ...]  # fallow blocks that tempt

    @cached_property
    def site(self) -> dict[str, Site]:
        return {site.id: site for site in self.sites}

    @cached_property
    def permit_of(self) -> dict[str, Permit]:
        """The permit under which a truck works, by the truck's id."""
        return {truck.id: permit for permit in self.permits for truck in permit.trucks}

    @cached_property
    def scale_at(self) -> dict[str, Scale]:
        """The weighbridge of a site, by the site's id."""
        return {scale.site.id: scale for scale in self.scales}

    @cached_property
    def unweighed(self) -> frozenset[str]:
        """Disposal sites whose tonnes are known from the trucks alone."""
        return frozenset(site.id for site in self.sites if site.role == "disposal" and site.id not in self.scale_at)

    def write_registry(self, folder: Folder) -> None:
        """Write the bureau's files about this district."""
        write_registry(self, folder)
