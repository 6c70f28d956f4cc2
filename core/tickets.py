"""Completed weighings: whole tickets as printed, and tickets put together from a weighing full and a weighing empty.

A scale speaks for itself: nothing here asks a truck's sensors. Masses are whole kilograms, and net is always gross minus tare.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.columns import MISSING, Bools, Floats, Ints
from core.events import FlagKind, Flags, Severity, Tickets
from core.readings import IN, OUT, Weighings
from core.rules import Rules

_REPRINT = ("asset", "number", "plate", "gross_kg", "tare_kg", "net_kg", "stream", "direction")
"""Two weighings that agree in these, and have a number, are one ticket printed twice."""
_TICKET = ("asset", "start_ms", "number", "plate")
"""What names a ticket."""


def pair_weighings(weighings: Weighings, rules: Rules) -> Tickets:
    """The tickets of these weighings.

    A weighing with gross and tare is a ticket. Halves (gross or tare alone) pair per scale and plate: each with the next one there, if
    that is of the opposite kind, at most ``rules.pair_ms`` later, and in the order that the direction demands. The half with the
    gross names the direction of the load: who brings mass in is weighed full first, who takes mass out is weighed empty first. So a
    half that got lost costs its own ticket only, and does not shift the pairs of the rest of the day. A half without its other makes
    no ticket. A weighing whose number and whole content were there before is a reprint, and counts once, at its first time.

    Parameters
    ----------
    weighings
        Order-deduped, all of the scales concerned, shape (n,). Halves of one ticket must both be among them.
    rules
        ``pair_ms``.

    Returns
    -------
    Tickets
        Sorted by (asset, start_ms, number, plate), one for each such name; should a scale complete two under one name, the last (by
        time, then ``seq``) speaks. A pair has the stream and direction of its gross half, and the number of its second half, or of
        its first where that has none.

    Notes
    -----
    Exact, and independent of how the weighings came. The words follow OPC 40200: a whole ticket is a one-pass weighing, a pair is a
    more-pass weighing.
    """
    return _tickets(weighings, _matched(weighings, rules))


def ticket_flags(tickets: Tickets, weighings: Weighings, gross_limit_kg: Floats, rules: Rules) -> Flags:
    """What is wrong with these tickets: a printed net that is not gross minus tare, a gross mass over the truck's limit.

    Parameters
    ----------
    tickets
        ``pair_weighings(weighings, rules)``, shape (m,).
    weighings
        The weighings that they came from; they hold the printed nets.
    gross_limit_kg : shape (m,)
        Gross limit of each ticket's truck [kg]; NaN where the plate or its limit is not known: such a ticket is not judged.
    rules
        ``pair_ms``, ``guard_k``.

    Returns
    -------
    Flags
        Sorted by (asset, kind, start_ms). ``asset`` is the scale, the span is the ticket's, and there is no position. Of several
        tickets that one scale began in one millisecond the worst speaks, and ``rows`` counts them.

        TICKET_MISMATCH: value is the printed net, limit the computed one, always FAIL; in a pair every net that its halves printed is
        judged, the second half's first. TICKET_OVERLOAD_GROSS: FAIL above limit + guard_k · u, CONDITIONAL above the limit;
        ``at_ms`` is the weighing full.

    References
    ----------
    ILAC-G8:09/2019, guarded acceptance.
    """
    match = _matched(weighings, rules)
    if not np.array_equal(tickets.start_ms, weighings.t_ms[match.first]) or len(gross_limit_kg) != len(tickets):
        made = len(match.first)
        raise ValueError(f"{len(tickets)} tickets, {len(gross_limit_kg)} limits: not those of these weighings, which make {made} tickets")
    parts = [_mismatches(tickets, weighings, match, rules), _overloads(tickets, weighings, match, gross_limit_kg, rules)]
    return _worst_of_each(Flags.concat(parts))


def weighbridge_u_kg(mass_kg: Floats) -> Floats:
    """Standard uncertainty of one weighing on a weighbridge in service.

    Parameters
    ----------
    mass_kg : shape (n,)
        Indicated mass [kg]; NaN where not measured.

    Returns
    -------
    shape (n,)
        Standard uncertainty [kg]; NaN where not measured.

    Notes
    -----
    Class III with verification interval e = 20 kg, the usual one of a 60 to 80 t truck scale. The maximum permissible error in service
    is twice that of verification: ±20 kg up to 10 t (500 e), ±40 kg up to 40 t (2,000 e), ±60 kg beyond. It bounds a rectangular
    distribution, so u = mpe / √3.

    References
    ----------
    OIML R 76-1:2006, 3.5.1 and 3.5.2 (JJG 539 takes them over); JCGM 100:2008 (GUM), 4.3.7.
    """
    mpe_kg = np.select([mass_kg <= 10_000, mass_kg <= 40_000, mass_kg > 40_000], [20.0, 40.0, 60.0], default=np.nan)
    u_kg: Floats = mpe_kg / np.sqrt(3.0)
    return u_kg


@dataclass(frozen=True, slots=True)
class _Match:
    """Rows of the weighings that each ticket consists of, in the order of the tickets; all the same for a whole ticket."""

    first: Ints
    second: Ints
    gross: Ints
    tare: Ints


def _matched(weighings: Weighings, rules: Rules) -> _Match:
    has_gross, has_tare = ~np.isnan(weighings.gross_kg), ~np.isnan(weighings.tare_kg)
    original = _originals(weighings)
    whole = np.flatnonzero(has_gross & has_tare & original)
    first, second = _halves(weighings, np.flatnonzero((has_gross != has_tare) & original), rules)
    first, second = np.concatenate([whole, first]), np.concatenate([whole, second])
    gross, tare = np.where(has_gross[first], first, second), np.where(has_tare[first], first, second)
    return _one_per_name(weighings, _Match(first, second, gross, tare))


def _originals(weighings: Weighings) -> Bools:
    """Which weighings are not a reprint of an earlier one."""
    order = np.lexsort((weighings.seq, weighings.t_ms, *(getattr(weighings, name) for name in reversed(_REPRINT))))
    repeats = weighings.number[order] != ""
    repeats[:1] = False
    for name in _REPRINT:
        repeats[1:] &= _same(getattr(weighings, name)[order])
    original = np.ones(len(weighings), dtype=bool)
    original[order[repeats]] = False
    return original


def _same(column: npt.NDArray[Any]) -> Bools:
    """Which values equal the one before; not measured equals not measured."""
    same: Bools = column[1:] == column[:-1]
    if column.dtype.kind == "f":
        same |= np.isnan(column[1:]) & np.isnan(column[:-1])
    return same


def _halves(weighings: Weighings, rows: Ints, rules: Rules) -> tuple[Ints, Ints]:
    """The pairs among these half weighings: rows of the first and of the second half."""
    rows = rows[np.lexsort((weighings.seq[rows], weighings.t_ms[rows], weighings.plate[rows], weighings.asset[rows]))]
    earlier, later = rows[:-1], rows[1:]
    links = (weighings.asset[earlier] == weighings.asset[later]) & (weighings.plate[earlier] == weighings.plate[later])
    links &= weighings.t_ms[later] - weighings.t_ms[earlier] <= rules.pair_ms
    full_first = ~np.isnan(weighings.gross_kg[earlier])
    links &= full_first != ~np.isnan(weighings.gross_kg[later])
    links &= np.where(full_first, weighings.direction[earlier] != OUT, weighings.direction[later] != IN)
    taken = _alternate(links)
    return earlier[taken], later[taken]


def _alternate(links: Bools) -> Bools:
    """Every other link of each chain, from its first: a weighing belongs to one ticket only."""
    place = np.arange(len(links))
    chain_start = np.maximum.accumulate(np.where(links, 0, place + 1))
    taken: Bools = links & ((place - chain_start) % 2 == 0)
    return taken


def _one_per_name(weighings: Weighings, match: _Match) -> _Match:
    """Sorted by name, and of tickets with one name the one that was completed last."""
    tickets = _tickets(weighings, match)
    order = np.lexsort((weighings.seq[match.second], tickets.end_ms, *(getattr(tickets, name) for name in reversed(_TICKET))))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = ~np.logical_and.reduce([_same(getattr(tickets, name)[order]) for name in _TICKET])
    kept = order[last]
    return _Match(match.first[kept], match.second[kept], match.gross[kept], match.tare[kept])


def _tickets(weighings: Weighings, match: _Match) -> Tickets:
    gross_kg, tare_kg = np.rint(weighings.gross_kg[match.gross]), np.rint(weighings.tare_kg[match.tare])
    last_number = weighings.number[match.second]
    return Tickets.of(
        asset=weighings.asset[match.first],
        start_ms=weighings.t_ms[match.first],
        end_ms=weighings.t_ms[match.second],
        number=np.where(last_number == "", weighings.number[match.first], last_number),
        plate=weighings.plate[match.first],
        gross_kg=gross_kg,
        tare_kg=tare_kg,
        net_kg=gross_kg - tare_kg,
        stream=weighings.stream[match.gross],
        direction=weighings.direction[match.gross],
        paired=match.first != match.second,
    )


def _mismatches(tickets: Tickets, weighings: Weighings, match: _Match, rules: Rules) -> Flags:
    first_kg, second_kg = weighings.net_kg[match.first], weighings.net_kg[match.second]
    second_wrong = ~np.isnan(second_kg) & (second_kg != tickets.net_kg)
    first_wrong = ~np.isnan(first_kg) & (first_kg != tickets.net_kg)
    wrong = np.flatnonzero(first_wrong | second_wrong)
    said_by = np.where(second_wrong, match.second, match.first)[wrong]
    return _flags(
        tickets.take(wrong),
        FlagKind.TICKET_MISMATCH,
        rules,
        severity=np.full(len(wrong), Severity.FAIL),
        at_ms=weighings.t_ms[said_by],
        value=weighings.net_kg[said_by],
        limit=tickets.net_kg[wrong].astype(np.float64),
        u=np.zeros(len(wrong)),
    )


def _overloads(tickets: Tickets, weighings: Weighings, match: _Match, gross_limit_kg: Floats, rules: Rules) -> Flags:
    gross_kg = tickets.gross_kg.astype(np.float64)
    over = np.flatnonzero(gross_kg > gross_limit_kg)
    value, limit = gross_kg[over], gross_limit_kg[over]
    u_kg = weighbridge_u_kg(value)
    return _flags(
        tickets.take(over),
        FlagKind.TICKET_OVERLOAD_GROSS,
        rules,
        severity=np.where(value > limit + rules.guard_k * u_kg, Severity.FAIL, Severity.CONDITIONAL),
        at_ms=weighings.t_ms[match.gross[over]],
        value=value,
        limit=limit,
        u=u_kg,
    )


def _flags(tickets: Tickets, kind: FlagKind, rules: Rules, **judged: npt.ArrayLike) -> Flags:
    rows = len(tickets)
    return Flags.of(
        asset=tickets.asset,
        kind=np.full(rows, kind),
        start_ms=tickets.start_ms,
        end_ms=tickets.end_ms,
        lat_e7=np.full(rows, MISSING),
        lon_e7=np.full(rows, MISSING),
        rows=np.where(tickets.paired, 2, 1),
        rules=np.full(rows, rules.version),
        **judged,
    )


def _worst_of_each(flags: Flags) -> Flags:
    """One flag per (asset, kind, start): the most severe, then the furthest from its limit, then the greatest value."""
    distance = np.abs(flags.value - flags.limit)
    order = np.lexsort((-flags.end_ms, -flags.value, -distance, -flags.severity, flags.start_ms, flags.kind, flags.asset))
    new = np.ones(len(order), dtype=bool)
    new[1:] = ~np.logical_and.reduce([_same(column[order]) for column in (flags.asset, flags.kind, flags.start_ms)])
    starts = np.flatnonzero(new)
    worst = flags.take(order[starts])
    return worst if new.all() else replace(worst, rows=np.add.reduceat(flags.rows[order], starts))
