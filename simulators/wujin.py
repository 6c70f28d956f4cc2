"""The reference scenario `wujin-2022`: a district of the published year's size, seeded. SCENARIO.md states every choice."""

from itertools import cycle, islice

import numpy as np

from simulators.densities import MUCK_BANK
from simulators.geography import Path, Streets
from simulators.scenario import Company, Permit, Route, Scale, Scenario, Site, Station, Truck

YEAR_M3 = 1_505_600
"""Muck disposed of in the year, bank [m³]."""
MEAN_DAY_KG = YEAR_M3 * MUCK_BANK.kg_per_m3 // 365

_BODIES_M3 = (12.672, 14.062, 15.249, 17.449, 18.48, 20.604, 22.5)
"""Body volumes of 35 real Chinese dump trucks."""
_SHORTEST_M = 6_000.0  # along the streets; a shorter haul would hide from a step detector
_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"

# role, id, Chinese name, English name, longitude, latitude, longest side [m], daily capacity [t]
_PLACES: tuple[tuple[str, str, str, str, float, float, int, int | None], ...] = (
    ("construction", "C01", "湖塘中心地块", "Hutang Centre", 119.945, 31.715, 240, None),
    ("construction", "C02", "高新区标准厂房", "High-Tech Zone Works", 119.935, 31.655, 300, None),
    ("construction", "C03", "科教城三期", "Science and Education Town III", 119.965, 31.685, 280, None),
    ("construction", "C04", "南夏墅安置房", "Nanxiashu Housing", 119.945, 31.625, 220, None),
    ("construction", "C05", "牛塘商业综合体", "Niutang Mall", 119.895, 31.715, 200, None),
    ("construction", "C06", "遥观工业园", "Yaoguan Industrial Park", 120.035, 31.715, 320, None),
    ("construction", "C07", "洛阳安置小区", "Luoyang Housing", 120.055, 31.665, 230, None),
    ("construction", "C08", "礼嘉物流园", "Lijia Logistics Park", 120.005, 31.625, 340, None),
    ("construction", "C09", "西太湖科技园", "West Taihu Science Park", 119.845, 31.685, 300, None),
    ("construction", "C10", "前黄中学新校区", "Qianhuang School", 119.915, 31.575, 210, None),
    ("construction", "C11", "横林新城", "Henglin New Town", 120.095, 31.715, 260, None),
    ("construction", "C12", "地铁车辆段", "Metro Depot", 119.985, 31.735, 380, None),
    ("disposal", "D01", "嘉泽消纳场", "Jiaze Disposal", 119.815, 31.705, 420, 1200),
    ("disposal", "D02", "滆湖西消纳场", "Gehu West Disposal", 119.795, 31.655, 380, 1000),
    ("disposal", "D03", "西湖消纳场", "Xihu Disposal", 119.865, 31.645, 340, 800),
    ("disposal", "D04", "南夏墅东消纳场", "Nanxiashu East Disposal", 119.985, 31.585, 460, 1500),
    ("disposal", "D05", "前黄南消纳场", "Qianhuang South Disposal", 119.935, 31.545, 360, 800),
    ("disposal", "D06", "礼嘉西消纳场", "Lijia West Disposal", 119.985, 31.655, 400, 1200),
    ("disposal", "D07", "洛阳东消纳场", "Luoyang East Disposal", 120.085, 31.635, 340, 800),
    ("disposal", "D08", "横山桥消纳场", "Hengshanqiao Disposal", 120.115, 31.755, 480, 1500),
    ("disposal", "D09", "遥观东消纳场", "Yaoguan East Disposal", 120.065, 31.745, 320, 800),
    ("disposal", "D10", "牛塘西消纳场", "Niutang West Disposal", 119.865, 31.735, 330, 800),
    ("disposal", "D11", "雪堰北消纳场", "Xueyan North Disposal", 120.035, 31.565, 450, 1500),
    ("disposal", "D12", "横林南消纳场", "Henglin South Disposal", 120.115, 31.685, 350, 800),
    ("disposal", "D13", "丁堰消纳场", "Dingyan Disposal", 120.015, 31.765, 300, 600),
    ("disposal", "D14", "邹区南消纳场", "Zouqu South Disposal", 119.855, 31.775, 390, 1000),
    ("disposal", "D15", "科教城南复垦地", "Science Town South Reclamation", 119.955, 31.595, 370, 1000),
    ("disposal", "D16", "湖塘北复垦地", "Hutang North Reclamation", 119.905, 31.765, 410, 1200),
    ("landfill", "L01", "夹山填埋场", "Jiashan Landfill", 120.025, 31.515, 500, 900),
    ("incinerator", "I01", "遥观焚烧厂", "Yaoguan Incinerator", 120.025, 31.695, 340, 1600),
    ("transfer", "T01", "马杭转运站", "Mahang Transfer Station", 119.995, 31.705, 120, 200),
    ("transfer", "T02", "城南转运站", "Chengnan Transfer Station", 119.935, 31.695, 140, 400),
    ("depot", "P01", "鸣凰停车场", "Minghuang Yard", 119.925, 31.635, 160, None),
    ("depot", "P02", "湖塘停车场", "Hutang Yard", 119.955, 31.735, 150, None),
    ("depot", "P03", "牛塘停车场", "Niutang Yard", 119.885, 31.695, 170, None),
    ("depot", "P04", "遥观停车场", "Yaoguan Yard", 120.045, 31.695, 180, None),
    ("depot", "P05", "洛阳停车场", "Luoyang Yard", 120.035, 31.645, 150, None),
    ("depot", "P06", "前黄停车场", "Qianhuang Yard", 119.925, 31.595, 140, None),
    ("depot", "P07", "嘉泽停车场", "Jiaze Yard", 119.835, 31.725, 160, None),
    ("depot", "P08", "横林停车场", "Henglin Yard", 120.085, 31.695, 150, None),
    ("forbidden", "F01", "滆湖水源保护区", "Gehu Water Source Protection Area", 119.825, 31.615, 480, None),
)
_WEIGHED = {"D01": True, "D04": False, "D06": True, "D08": False, "D11": True, "D16": False}
"""Disposal sites with a weighbridge, and whether its software sends each weighing by itself."""
_COMPANIES = (
    ("凤鸣渣土运输", "Fengming Muck Haulage"),
    ("湖塘城建运输", "Hutang Urban Haulage"),
    ("牛塘顺达运输", "Niutang Shunda Haulage"),
    ("遥观恒通运输", "Yaoguan Hengtong Haulage"),
    ("洛阳土方工程", "Luoyang Earthworks"),
    ("前黄诚信运输", "Qianhuang Chengxin Haulage"),
    ("西太湖环境工程", "West Taihu Environmental"),
    ("横林宏达土方", "Henglin Hongda Earthworks"),
)
_FALLOW = ((119.845, 31.745), (119.905, 31.625), (119.965, 31.565), (120.015, 31.605), (120.065, 31.685), (120.095, 31.765))


def scenario(seed: int = 2022) -> Scenario:
    """The district Wujin, Changzhou, in 2022. Equal seeds give equal districts, byte for byte."""
    rng = np.random.default_rng((seed, 0))
    streets = Streets.laid(rng)
    sites = tuple(_site(streets, rng, *place) for place in _PLACES)
    site = {one.id: one for one in sites}
    companies = [Company(*names, depot) for names, depot in zip(_COMPANIES, _of(sites, "depot"), strict=True)]
    plates = _plates(rng)
    routes = tuple(_routes(streets, rng, _of(sites, "construction"), _of(sites, "disposal")))
    trucks = tuple(_muck_trucks(rng, companies, plates))
    permits = tuple(_permits(routes, trucks))
    return Scenario(
        seed=seed,
        district="wujin",
        name_zh="常州市武进区",
        name_en="Wujin District, Changzhou",
        zone="Asia/Shanghai",
        streets=streets,
        sites=sites,
        routes=routes,
        permits=permits,
        trucks=trucks,
        vehicles=tuple(_vehicles(rng, companies, plates)),
        scales=tuple(_scales(site)),
        stations=(
            Station("mahang", site["T01"], "马杭转运站", "Mahang Transfer Station", 200, 185, "incinerator"),
            Station("chengnan", site["T02"], "城南转运站", "Chengnan Transfer Station", 400, 320, "landfill"),
        ),
        clock_behind=_first_smart(permits, "D06"),
        dumping_blocks=tuple(streets.block(*place) for place in _FALLOW),
    )


def _of(sites: tuple[Site, ...], role: str) -> list[Site]:
    return [site for site in sites if site.role == role]


def _site(
    streets: Streets,
    rng: np.random.Generator,
    role: str,
    key: str,
    name_zh: str,
    name_en: str,
    lon_deg: float,
    lat_deg: float,
    side_m: int,
    capacity: int | None,
) -> Site:
    block = streets.block(lon_deg, lat_deg)
    other_side, turn = side_m * rng.uniform(0.75, 1.0), rng.uniform(-0.3, 0.3)
    return Site(key, role, name_zh, name_en, block, streets.centre(block), side_m, other_side, turn, capacity)


def _routes(streets: Streets, rng: np.random.Generator, sources: list[Site], sinks: list[Site]) -> list[Route]:
    """Every disposal site is served from its nearest construction site, every construction site has two ways out at least."""
    pairs = {(_nearest(sink, sources, set()).id, sink.id) for sink in sinks}
    for source in sources:
        while len(taken := {to for start, to in pairs if start == source.id}) < 2:
            pairs.add((source.id, _nearest(source, sinks, taken).id))
    site = {one.id: one for one in (*sources, *sinks)}
    return [_route(streets, rng, f"R{n:02d}", site[a], site[b]) for n, (a, b) in enumerate(sorted(pairs), 1)]


def _nearest(site: Site, others: list[Site], taken: set[str]) -> Site:
    def far(other: Site) -> float:
        return float(np.abs(np.subtract(site.block, other.block)).sum() * 1_000)

    return min((other for other in others if far(other) >= _SHORTEST_M and other.id not in taken), key=far)


def _route(streets: Streets, rng: np.random.Generator, key: str, source: Site, sink: Site) -> Route:
    path = streets.route(source.centre, source.block, sink.centre, sink.block, float(rng.uniform(0.2, 0.8)))
    return Route(key, source, sink, 50, path)


def _plates(rng: np.random.Generator) -> list[str]:
    """Invented plates of Changzhou (苏D), all different, in random order."""
    drawn: dict[str, None] = {}
    while len(drawn) < 500:
        drawn["苏D" + "".join(rng.choice(list(_PLATE_LETTERS), 5))] = None
    return list(drawn)


def _muck_trucks(rng: np.random.Generator, companies: list[Company], plates: list[str]) -> list[Truck]:
    kinds = ["smart"] * 196 + ["tarpaulin"] * 106 + ["other"] * 2
    counts = {kind: iter(range(1, 1_000)) for kind in ("smart", "tarpaulin", "other")}
    owners = cycle(companies)
    return [_muck_truck(rng, kind, next(counts[kind]), next(owners), plates.pop()) for kind in kinds]


def _muck_truck(rng: np.random.Generator, kind: str, number: int, company: Company, plate: str) -> Truck:
    axles = 4 if kind == "smart" or rng.random() < 0.8 else 3
    limit = 31_000 if axles == 4 else 25_000
    tare = int(rng.integers(*((146, 156) if kind == "smart" else (136, 146) if axles == 4 else (112, 120)))) * 100
    rated = limit - tare - int(rng.choice((0, 200, 500, 900)))
    body = float(rng.choice(_BODIES_M3[2:] if axles == 4 else _BODIES_M3[:3]))
    return Truck(f"{kind[0].upper()}{number:03d}", plate, kind, axles, rated, tare, limit, company, body, _slot(rng, company.depot))


def _slot(rng: np.random.Generator, depot: Site) -> Path:
    return depot.centre + rng.uniform(-0.3, 0.3, 2) * (depot.width_m, depot.height_m)


def _permits(routes: tuple[Route, ...], trucks: tuple[Truck, ...]) -> list[Permit]:
    """Trucks in equal shares; the two without a weight sensor to a weighbridge, since nothing else would know their tonnes."""
    turn = cycle(range(len(routes)))
    share: dict[int, list[Truck]] = {n: [] for n in range(len(routes))}
    weighed = [n for n, route in enumerate(routes) if route.to_site.id in _WEIGHED]
    for truck in trucks:
        share[weighed[0] if truck.type == "other" else next(turn)].append(truck)
    volume = YEAR_M3 * 1.15 / len(trucks)
    return [
        Permit(f"WJ2022-{n + 1:03d}", route, n % 4 != 3, round(volume * len(share[n]) / 100) * 100, tuple(share[n]))
        for n, route in enumerate(routes)
    ]


def _first_smart(permits: tuple[Permit, ...], sink: str) -> Truck:
    return next(truck for permit in permits if permit.route.to_site.id == sink for truck in permit.trucks if truck.type == "smart")


def _vehicles(rng: np.random.Generator, companies: list[Company], plates: list[str]) -> list[Truck]:
    """Compactors that collect, and hook-lift trucks that carry containers."""
    collection = [("collection", f"G{n:03d}", 3, 25_000, 13_500) for n in range(1, 61)]
    container = [("container", f"K{n:03d}", 4, 31_000, 14_500) for n in range(1, 31)]
    owners = islice(cycle(companies), 90)
    return [
        Truck(key, plates.pop(), kind, axles, limit - tare - 300, tare + int(rng.integers(-3, 4)) * 100, limit, owner, 0.0, None)
        for (kind, key, axles, limit, tare), owner in zip(collection + container, owners, strict=True)
    ]


def _scales(site: dict[str, Site]) -> list[Scale]:
    disposal = [
        Scale(f"bridge-{key.lower()}", site[key], site[key].name_zh + "地磅", site[key].name_en + " Weighbridge", halves)
        for key, halves in _WEIGHED.items()
    ]
    landfill = Scale("landfill", site["L01"], "夹山地磅", "Jiashan Weighbridge", True)
    incinerator = Scale("incinerator", site["I01"], "焚烧厂地磅", "Incinerator Weighbridge", False)
    return [landfill, incinerator, *disposal]
