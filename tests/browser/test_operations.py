"""What a person on duty does, done by a browser."""

import re

import pytest
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Order
from brokers.services.freezes import freeze_trading
from brokers.services.unknown_orders import check_unknown_orders
from reliability.models import Intervention, Job, Lane
from tests.factories import make_dead_letter, make_order

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_screen_shows_what_is_there(screen, desk):
    assert screen.title() == "(3) Stanchion"
    assert screen.locator(f"#order-{desk['order'].pk}").inner_text().count("TSLA") == 1
    assert screen.locator("tr[id^=dead-] input").count() == 3
    assert "alive" in screen.locator("section", has_text="Processes").inner_text()


def test_a_lane_is_paused_and_resumed(screen):
    for summary, reason, state in (("Pause", "maintenance", "paused"), ("Resume", "done", "running")):
        row = screen.locator("#lane-orders")
        row.locator("summary", has_text=summary).click()
        row.get_by_label("Reason").fill(reason)
        row.get_by_role("button").click()
        screen.get_by_text(f"The lane orders is {state}.").wait_for()
        assert state in screen.locator("#lane-orders").inner_text()
    assert Lane.objects.get(name="orders").paused_at is None


def test_dead_letters_are_replayed_one_and_discarded_many(screen, desk):
    first, second, third = desk["dead"]
    screen.get_by_label(f"Choose job {first.pk}").check()
    screen.get_by_label("Reason", exact=True).locator("visible=true").fill("the broker is back")
    screen.get_by_role("button", name="Replay chosen").click()
    screen.get_by_text("1 dead letter will run again.").wait_for()

    screen.get_by_label("Choose all shown").check()
    screen.get_by_label("Reason", exact=True).locator("visible=true").fill("placed by telephone")
    screen.get_by_role("button", name="Discard chosen").click()
    screen.get_by_text("2 dead letters discarded.").wait_for()

    states = dict(Job.objects.values_list("pk", "state"))
    assert states == {first.pk: "ready", second.pk: "discarded", third.pk: "discarded"}
    assert screen.title() == "Stanchion"


def test_an_order_is_canceled_from_its_page(screen, desk):
    screen.locator(f"#order-{desk['order'].pk} a").click()
    screen.get_by_role("button", name="Cancel this order").click()

    screen.get_by_text("The order is canceled: it was never sent.").wait_for()
    assert Order.objects.get(pk=desk["order"].pk).state == "canceled"
    assert screen.get_by_role("button", name="Cancel this order").count() == 0


def test_news_arrive_without_reload_and_leave_what_a_person_types(screen, desk):
    screen.evaluate("window.notReloaded = true")
    reason = screen.locator("#dead-letter-reason")
    reason.type("looking into")
    screen.get_by_label(f"Choose job {desk['dead'][0].pk}").check()
    screen.locator("#lane-alerts summary").click()
    reason.focus()

    order = make_order(desk["account"], desk["person"], state="unknown", symbol="NVDA")

    screen.locator(f"#order-{order.pk}").wait_for()
    assert screen.title() == "(4) Stanchion"
    assert screen.evaluate("window.notReloaded")
    assert reason.input_value() == "looking into"
    assert screen.evaluate("document.activeElement.id") == "dead-letter-reason"
    assert screen.get_by_label(f"Choose job {desk['dead'][0].pk}").is_checked()
    assert screen.locator("#lane-alerts details").get_attribute("open") is not None
    assert "4" in screen.locator("[data-announcement]").inner_text()


def test_the_top_bar_follows_what_stops_trading_and_how_old_the_data_is(screen, desk):
    bar = screen.get_by_role("banner")
    bar.get_by_text("Kill switch off", exact=True).wait_for()
    bar.get_by_text(re.compile(r"^Data \d+ s old$")).wait_for()

    scope = parse_freeze_scope("account:desk")
    freeze_trading(scope, FreezeMode.HALT, FreezeCause.PERSON, reason="odd prices", by="ann")

    bar.get_by_text("Kill switch off; frozen in part").wait_for()


@pytest.mark.parametrize("width", [1366, 390])
def test_what_waits_is_claimed_where_it_stands(screen, desk, width):
    screen.set_viewport_size({"width": width, "height": 800})
    make_order(desk["account"], desk["person"], state="unknown", sent_at=timezone.now())
    make_dead_letter(kind="orders.submit", subject=Order.objects.latest("accepted_at").pk)
    check_unknown_orders()
    question = Intervention.objects.get()

    screen.locator(f"#acknowledge-question-{question.pk}").click()
    screen.get_by_text("Acknowledged; its due time goes on.").wait_for()
    screen.locator(f"#claim-{question.pk}").click()
    screen.get_by_text("It is yours until").wait_for()

    question.refresh_from_db()
    assert (question.acknowledged_by, question.claimed_by) == ("night", "night")


def test_what_is_gone_leaves_the_screen(screen, desk):
    Order.objects.filter(pk=desk["order"].pk).update(state="filled", finished_at=timezone.now())
    Job.objects.filter(state="dead").update(state="ready")

    screen.get_by_text("Nothing waits for a decision.").wait_for()
    screen.get_by_text("No order is in flight.").wait_for()
    assert screen.locator(f"#order-{desk['order'].pk}").count() == 1


def test_unchanged_facts_are_answered_without_a_body(screen, desk):
    with screen.expect_response(lambda answer: answer.url.endswith("/live") and answer.status == 304):
        pass


def test_the_screen_says_when_it_is_old(screen, watch):
    screen.route("**/live", lambda route: route.abort())

    screen.get_by_role("banner").get_by_text("Offline: no answer").wait_for()

    assert "Offline" in screen.locator("[data-announcement]").inner_text()
    stripe = "getComputedStyle(document.querySelector('.screen'), '::before').content"
    assert "What is shown is old" in screen.evaluate(stripe), "seen wherever one has scrolled to"
    watch.complaints.clear()


def test_a_person_signed_out_elsewhere_is_told(screen):
    screen.context.clear_cookies()

    screen.get_by_role("banner").get_by_text("Signed out: log in again").wait_for()


def test_everything_is_reached_by_keyboard(screen, desk):
    reached = []
    for _ in range(160):
        screen.keyboard.press("Tab")
        reached.append(screen.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))

    assert reached[0] == "Skip to the content"
    wanted = {f"pick-{desk['dead'][0].pk}", "dead-letter-reason", "replay-chosen", "discard-chosen", "Pause orders"}
    assert wanted <= set(reached)
    screen.locator("#lane-orders summary").focus()
    screen.keyboard.press("Enter")
    assert screen.get_by_role("button", name="Pause orders").is_visible()


@pytest.mark.parametrize("address", ["/", "/orders/{order}", "/nowhere", "/admin/", "/admin/reliability/deadletter/"])
def test_a_phone_shows_pages_without_scrolling_sideways(screen, desk, watch, address):
    screen.set_viewport_size({"width": 390, "height": 800})

    screen.goto(desk["url"] + address.format(order=desk["order"].pk))

    assert screen.evaluate("document.documentElement.scrollWidth") <= 390
    watch.complaints = [text for text in watch.complaints if "404" not in text]


def test_the_page_is_whole_without_scripts(chromium, screen, desk):
    cookies = screen.context.cookies()
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(cookies)
    still = context.new_page()

    still.goto(desk["url"] + "/")
    still.locator("#lane-alerts summary").click()
    still.locator("#reason-alerts").fill("by hand")
    still.get_by_role("button", name="Pause alerts").click()

    assert "The lane alerts is paused." in still.locator("main").inner_text()
    context.close()
