"""``/health``: each part of the pipeline with its state and lag, and the verdict of the whole.

A part tells its own state into the store. One that has fallen silent is down whatever it told last.
"""

import logging
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.deps import Deps, DepsOf

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)


class State(StrEnum):
    """How a part, or the whole, does; the later the worse."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


GRAVITY = list(State)
TOLD_ELSEWHERE = ("state", "lag_ms", "updated_ms")


class Part(BaseModel):
    """One part of the pipeline."""

    name: str
    state: State
    says: str  # the word that the part used of itself
    lag_s: float | None
    updated_at: str | None
    detail: dict[str, Any]


class Health(BaseModel):
    """The whole is as well as its worst part."""

    state: State
    at: str
    parts: list[Part]


def health_now(deps: Deps) -> Health:
    """What every part tells of itself, judged now."""
    now_ms = deps.clock()
    parts = _parts(deps, now_ms)
    worst = max((part.state for part in parts), key=GRAVITY.index)
    return Health(state=worst, at=deps.iso(now_ms), parts=parts)


def _parts(deps: Deps, now_ms: int) -> list[Part]:
    try:
        status = deps.store.status()
    except Exception as error:  # whatever ails the store, this answer is how a person learns of it
        log.exception("the store cannot be read; /health says down until it can")
        return [Part(name="store", state=State.DOWN, says=str(error), lag_s=None, updated_at=None, detail={})]
    if not status:
        return [Part(name="collector", state=State.DOWN, says="has never told its state", lag_s=None, updated_at=None, detail={})]
    return [_part(deps, name, told, now_ms) for name, told in sorted(status.items())]


def _part(deps: Deps, name: str, told: dict[str, Any], now_ms: int) -> Part:
    lag_ms, updated_ms = told.get("lag_ms"), told.get("updated_ms")
    return Part(
        name=name,
        state=_judged(deps, told, now_ms),
        says=str(told.get("state", "")),
        lag_s=None if lag_ms is None else lag_ms / 1000,
        updated_at=None if updated_ms is None else deps.iso(updated_ms),
        detail={key: value for key, value in told.items() if key not in TOLD_ELSEWHERE},
    )


def _judged(deps: Deps, told: dict[str, Any], now_ms: int) -> State:
    settings = deps.settings
    if told.get("state") == State.DOWN or now_ms - int(told.get("updated_ms") or 0) > settings.stale_ms:
        return State.DOWN
    late = (told.get("lag_ms") or 0) > settings.lag_ms
    return State.OK if told.get("state") == State.OK and not late else State.DEGRADED


@router.get("/health", responses={503: {"model": Health}})
def health(deps: DepsOf, response: Response) -> Health:
    """The pipeline's state: 200 while it works (ok, degraded), 503 when a part is down."""
    verdict = health_now(deps)
    response.status_code = 503 if verdict.state == State.DOWN else 200
    return verdict
