"""What the desk knows: every alert with its evidence, and how far the flags have been followed.

Each public method is one transaction, durable when it returns, unless the caller holds one around it.
"""

import secrets
from dataclasses import astuple, dataclass, fields

from desk.file import DeskFile

NEVER_MS = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What a person must handle: a flag of an asset, a clock that is wrong, or a trouble of the program itself.

    Its evidence stays when it is withdrawn. It is active until its span ends or it is withdrawn.
    """

    id: str
    kind: str  # text.KINDS
    subject: str  # the asset's name; the stage or channel of the program's own alerts
    asset: int  # the journal's number; 0 for the program's own
    flag_start_ms: int | None  # names the flag that it follows; None when that was withdrawn, or when it follows none
    start_ms: int
    end_ms: int | None  # None: has not ended
    severity: int  # core.events.Severity
    at_ms: int
    lat_e7: int | None
    lon_e7: int | None
    value: float | None
    threshold: float | None
    u: float | None
    rows: int
    raised_ms: int  # when it entered the books
    changed_ms: int
    rang_ms: int | None = None  # None: entered silently
    withdrawn_ms: int | None = None
    digest: str | None = None  # the id of the digest that counted it
    acknowledged_ms: int | None = None
    acknowledged_by: str | None = None

    @property
    def active(self) -> bool:
        return self.end_ms is None and self.withdrawn_ms is None

    @property
    def acknowledged(self) -> bool:
        return self.acknowledged_ms is not None


Alerts = list[Alert]
NAMES = tuple(field.name for field in fields(Alert))
_COLUMNS = ", ".join(NAMES)
_UNCOUNTED = "rang_ms is null and end_ms is not null and withdrawn_ms is null and digest is null"
_PLACES = ", ".join("?" * len(NAMES))


def new_id(now_ms: int) -> str:
    """A UUID of version 7 (RFC 9562): sorted by time, and never given twice."""
    bits = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Books:
    """Reads and writes alerts."""

    def __init__(self, file: DeskFile) -> None:
        self._file = file

    def list(self, limit: int, *, active: bool = False, before_ms: int = NEVER_MS) -> Alerts:
        """The newest alerts that entered the books before an instant, newest first; with `active` those only."""
        where = "where raised_ms < ? and (not ? or (end_ms is null and withdrawn_ms is null)) order by raised_ms desc, id desc limit ?"
        return self._select(where, before_ms, active, limit)

    def alert(self, alert_id: str) -> Alert | None:
        return self._first("where id = ?", alert_id)

    def acknowledge(self, alert_id: str, by: str, now_ms: int) -> Alert:
        """Note that a person has seen an alert. The first to say so stays.

        Raises
        ------
        KeyError
            When there is no such alert.
        """
        statement = "update alerts set acknowledged_ms = ?, acknowledged_by = ? where id = ? and acknowledged_ms is null"
        with self._file.transaction():
            self._file.write(statement, (now_ms, by, alert_id))
            alert = self.alert(alert_id)
        if alert is None:
            raise KeyError(f"alert {alert_id}: there is none; nothing was acknowledged")
        return alert

    def put(self, alert: Alert) -> None:
        """Write an alert, new or changed."""
        self._file.write(f"insert or replace into alerts ({_COLUMNS}) values ({_PLACES})", astuple(alert))  # noqa: S608 - own column names

    def following(self, asset: int, kind: str, flag_start_ms: int) -> Alert | None:
        """The alert that follows a flag."""
        return self._first("where asset = ? and kind = ? and flag_start_ms = ?", asset, kind, flag_start_ms)

    def deserted(self, asset: int, kind: str, start_ms: int, end_ms: int | None) -> Alert | None:
        """The first alert of an asset and kind whose flag no longer stands and whose span touches this one."""
        where = "where asset = ? and kind = ? and flag_start_ms is null and start_ms <= ? and coalesce(end_ms, ?) >= ? order by start_ms"
        return self._first(where, asset, kind, NEVER_MS if end_ms is None else end_ms, NEVER_MS, start_ms)

    def waiting(self) -> Alerts:
        """Active alerts that have not rung."""
        return self._select("where asset > 0 and rang_ms is null and end_ms is null and withdrawn_ms is null")

    def uncounted(self) -> Alerts:
        """Alerts that entered the books silently and that no digest has counted yet."""
        return self._select(f"where {_UNCOUNTED} order by raised_ms")

    def uncounted_span_ms(self) -> tuple[int, int] | None:
        """When the first and the last of these entered; None where there are none."""
        ends = f"select (select min(raised_ms) from alerts where {_UNCOUNTED}), (select max(raised_ms) from alerts where {_UNCOUNTED})"  # noqa: S608 - own clause
        [(first_ms, last_ms)] = self._file.rows(ends)
        return None if first_ms is None else (first_ms, last_ms)

    def own_active(self) -> Alerts:
        """The active alerts that follow no flag. (What a withdrawn flag deserts is withdrawn or follows another before a poll ends.)"""
        return self._select("where flag_start_ms is null and end_ms is null and withdrawn_ms is null")

    def flags_change(self) -> int:
        """The change up to which the flags have been followed."""
        return int(self._file.rows("select flags_change from position")[0][0])

    def move_to(self, flags_change: int) -> None:
        self._file.write("update position set flags_change = ?", (flags_change,))

    def _select(self, where: str, *values: object) -> Alerts:
        rows = self._file.rows(f"select {_COLUMNS} from alerts {where}", values)  # noqa: S608 - own clauses, bound values
        return [Alert(**dict(zip(NAMES, row, strict=True))) for row in rows]

    def _first(self, where: str, *values: object) -> Alert | None:
        return next(iter(self._select(f"{where} limit 1", *values)), None)
