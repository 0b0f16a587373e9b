"""The metrics endpoint: closed, in Prometheus' format, with what processes counted."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reliability.services.measures import note_request
from reliability.services.metering import meter
from reliability.services.metrics import list_metrics
from tests.factories import make_lanes, make_user
from tests.reliability.api.test_errors import client_of, require_error

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted():
    meter.begin_anew()
    yield
    meter.begin_anew()


def scrape(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.content
    return {family.name: family for family in text_string_to_metric_families(answer.content.decode())}


def test_whoever_may_see_metrics_scrapes_every_one():
    make_lanes()
    families = scrape(client_of(make_user("reliability.view_metrictotal", name="prometheus")))

    assert {metric.name.removesuffix("_total") for metric in list_metrics()} == set(families)
    up = {sample.labels["source"]: sample.value for sample in families["stanchion_metric_source_up"].samples}
    assert set(up.values()) == {1.0}, up
    lanes = {sample.labels["lane"] for sample in families["stanchion_lane_ready_jobs"].samples}
    assert "orders" in lanes


def test_answers_are_counted_by_route_and_in_buckets():
    note_request("GET", "api/v1/orders/<uuid>", 200, 0.004)
    note_request("BREW", "", 404, 20.0)
    meter.write()
    families = scrape(client_of(make_user("reliability.view_metrictotal", name="prometheus")))

    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["stanchion_http_requests"].samples
    }
    assert counted == {("GET", "api/v1/orders/<uuid>", "200"): 1.0, ("other", "", "404"): 1.0}
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["stanchion_http_request_duration_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["method"] == "GET"
    }
    assert (buckets["0.0025"], buckets["0.005"], buckets["+Inf"]) == (0.0, 1.0, 1.0)


def test_others_see_nothing(client):
    require_error(client.get("/metrics"), 401, "AUTH_NOT_AUTHENTICATED")
    require_error(client_of(make_user(name="nobody")).get("/metrics"), 403, "AUTH_PERMISSION_DENIED")
