"""All metrics in the text format of Prometheus."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from rest_framework.request import Request
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.core.metrics import MetricKind
from reliability.services.metrics import Family, collect

_RESPONSES: dict[Any, Any] = {(200, "text/plain"): OpenApiTypes.STR, **ERROR_RESPONSES}


class MetricsView(APIView):
    """What Prometheus scrapes, with a token of a user who may see metrics."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_metrictotal"}

    @extend_schema(operation_id="read_metrics", responses=_RESPONSES)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(exposition(collect()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Collected(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            yield _converted(family)


def exposition(families: Iterable[Family]) -> bytes:
    """Return the families as a scrape reads them."""
    registry = CollectorRegistry()
    registry.register(_Collected(list(families)))
    return generate_latest(registry)


def _converted(family: Family) -> Metric:
    metric = family.metric
    arguments = (metric.name, metric.meaning)
    if metric.kind is MetricKind.HISTOGRAM:
        histogram = HistogramMetricFamily(*arguments, labels=metric.labels)
        for one in family.distributions:
            bounds = [*(str(float(bound)) for bound in metric.bounds), "+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(one.counts)), strict=True))
            histogram.add_metric(one.labels, buckets, one.total)
        return histogram
    simple = (CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily)(
        *arguments, labels=metric.labels
    )
    for sample in family.samples:
        simple.add_metric(sample.labels, sample.value)
    return simple
