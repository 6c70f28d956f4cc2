"""``/metrics``: the pipeline's counts for Prometheus, read from the store at every scrape."""

from collections.abc import Iterator

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.responses import PlainTextResponse, Response

from api.deps import Deps
from api.health import GRAVITY, health_now
from api.live import Live
from api.trucks import fleet

router = APIRouter(tags=["metrics"])


class PipelineCollector(Collector):
    """Turns the store's counts and states into metric families."""

    def __init__(self, deps: Deps, live: Live) -> None:
        self._deps = deps
        self._live = live

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that making the registry does not read the store."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._counts()
        yield from self._health()
        yield from self._trucks()
        listeners = GaugeMetricFamily("plimsoll_live_listeners", "Connections to /live")
        listeners.add_metric([], self._live.listeners)
        yield listeners

    def _counts(self) -> Iterator[Metric]:
        counts = self._deps.store.counts()
        received = CounterMetricFamily("plimsoll_readings_journalled", "Readings, repetitions included", labels=["measurement"])
        distinct = GaugeMetricFamily("plimsoll_readings_distinct", "Identities in the journal", labels=["measurement"])
        conflicts = GaugeMetricFamily(
            "plimsoll_readings_conflicts", "Contents that lost to another of their identity", labels=["measurement"]
        )
        held = GaugeMetricFamily("plimsoll_readings_quarantined", "Readings held for a clock ahead of ours", labels=["measurement"])
        for name, of in counts.measurements.items():
            received.add_metric([name], of.received)
            distinct.add_metric([name], of.distinct)
            conflicts.add_metric([name], of.conflicts)
            held.add_metric([name], of.quarantined)
        letters = GaugeMetricFamily("plimsoll_dead_letters", "Messages kept as dead letters", labels=["reason"])
        for reason, count in counts.dead_letters.items():
            letters.add_metric([reason], count)
        yield from (received, distinct, conflicts, held, letters)

    def _health(self) -> Iterator[Metric]:
        health = health_now(self._deps)
        whole = GaugeMetricFamily("plimsoll_state", "The whole: 0 ok, 1 degraded, 2 down")
        whole.add_metric([], GRAVITY.index(health.state))
        states = GaugeMetricFamily("plimsoll_part_state", "A part: 0 ok, 1 degraded, 2 down", labels=["part"])
        lags = GaugeMetricFamily("plimsoll_part_lag_seconds", "How far a part lags behind", labels=["part"])
        for part in health.parts:
            states.add_metric([part.name], GRAVITY.index(part.state))
            if part.lag_s is not None:
                lags.add_metric([part.name], part.lag_s)
        yield from (whole, states, lags)

    def _trucks(self) -> Iterator[Metric]:
        trucks = fleet(self._deps, self._deps.clock())
        family = GaugeMetricFamily("plimsoll_trucks", "Trucks by whether they are offline now", labels=["offline"])
        for offline in (False, True):
            family.add_metric([str(offline).lower()], sum(truck.offline is offline for truck in trucks))
        yield family


def registry(deps: Deps, live: Live) -> CollectorRegistry:
    """The metrics of one application."""
    metrics = CollectorRegistry(auto_describe=False)
    metrics.register(PipelineCollector(deps, live))
    return metrics


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Counts and states in Prometheus' text format."""
    return Response(generate_latest(request.app.state.metrics), media_type=CONTENT_TYPE_LATEST)
