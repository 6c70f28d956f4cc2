"""When a truck became loaded, and when empty."""

from dataclasses import dataclass

import numpy as np

from core.columns import Bools, Floats, Ints, States
from core.groups import Groups, Turns, hysteresis, spans
from core.limits import Limits
from core.readings import EMPTY, FULL, HALF
from core.rules import Rules

UNLADEN, LADEN = 0, 1
"""Values of ``loaded``; negative is unknown."""


@dataclass(frozen=True, eq=False, slots=True)
class Loads:
    """A truck's load state along its readings."""

    loaded: States  # after each row
    turns: Turns
    doubt: Bools  # a change has shown itself, and awaits the next measurement's word


def levels(load_kg: Floats, load_state: States, limits: Limits, rules: Rules) -> tuple[States, Bools]:
    """What each reading by itself says of the load, and whether it says anything.

    Parameters
    ----------
    load_kg, load_state : shape (rows,)
        The sensor's net load [kg], NaN where not measured; the terminal's three states, negative where not sent.

    Returns
    -------
    level : shape (rows,)
        LADEN above ``rules.loaded_share`` of the rated payload, UNLADEN below ``rules.empty_share``, -1 in between. The three states
        speak where there is no weight, or no rated payload to compare it with: half and full are LADEN.
    told : shape (rows,)
        Whether the reading measured the load in either way.
    """
    rows = len(load_kg)
    rated_kg = limits.along(limits.rated_kg, rows)
    level = np.full(rows, -1, dtype=np.int8)
    level[(load_state == HALF) | (load_state == FULL)] = LADEN
    level[load_state == EMPTY] = UNLADEN
    weighed = ~np.isnan(load_kg) & ~np.isnan(rated_kg)
    level[weighed] = -1
    level[load_kg > rules.loaded_share * rated_kg] = LADEN
    level[load_kg < rules.empty_share * rated_kg] = UNLADEN
    return level, weighed | (load_state >= 0)


def loads(trucks: Groups, t_ms: Ints, level: States, told: Bools, carried: States) -> Loads:
    """Load states with hysteresis, where a change counts once the next measurement confirms it.

    Parameters
    ----------
    t_ms, level, told : shape (rows,)
        Device time, and what `levels` read from each row.
    carried : shape (trucks,)
        Load state before the first row, nothing being in doubt there.

    Notes
    -----
    A change is confirmed when the next measurement, of a later instant, says the same; it then counts from its own row. So one wild
    value of the sensor makes no cycle, and no two changes share an instant.
    """
    measured = np.flatnonzero(told)
    word, instant = level[measured], t_ms[measured]
    own = Groups.of(trucks.holding(measured))
    next_word, next_ms = np.roll(word, -1), np.roll(instant, -1)
    confirmed = (next_word == word) & (next_ms > instant)
    confirmed[own.end - 1] = False
    sure = np.full(len(level), -1, dtype=np.int8)
    sure[measured[confirmed]] = word[confirmed]
    turns = hysteresis(sure, trucks, carried)
    loaded = turns.along(trucks, carried, len(level))
    state_before = trucks.before(loaded, carried)[measured]
    open_words = np.flatnonzero((word >= 0) & (word != state_before))
    heard = np.append(measured[1:], len(level))
    heard[own.end - 1] = trucks.end[trucks.holding(measured[own.end - 1])]
    return Loads(loaded, turns, spans(measured[open_words], heard[open_words], len(level)))
