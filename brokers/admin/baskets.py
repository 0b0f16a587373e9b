"""Baskets with their legs as a table, and the consent that a person may give."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from brokers.models import Basket, BasketLeg
from brokers.selectors.baskets import basket_summary
from brokers.services.baskets.acceptance import offset_basket
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, RecordInline
from reliability.templatetags.stanchion import badge


class LegInline(RecordInline):
    model = BasketLeg
    columns = ("number", "order", "request")


@admin.register(Basket)
class BasketAdmin(RecordAdmin):
    list_display = ("id", "progress", "leg_order", "offset_fills", "created_at")
    search_fields = ("=id", "idempotency_key")
    search_help_text = "Id or idempotency key"
    ordering = ("-id",)
    list_per_page = 25
    extra_details = ("progress", "legs_table", "saga")
    inlines = (LegInline,)
    actions = ("consent_to_offset",)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.operate_saga")

    @admin.display(description="progress")
    def progress(self, basket: Basket) -> SafeString:
        found = basket_summary(basket)
        text = f"{found['legs_filled']} of {len(found['legs'])} legs filled, {found['legs_taken_back']} taken back"
        return format_html("{} {}", badge(found["state"]), text)

    @admin.display(description="legs")
    def legs_table(self, basket: Basket) -> SafeString:
        rows = [
            (leg["number"], badge(leg["state"]), badge(leg["compensation"]), _order(leg["order"]), _offsets(leg))
            for leg in basket_summary(basket)["legs"]
        ]
        body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        head = "leg", "state", "taken back", "order", "offsets"
        heads = format_html_join("", '<th scope="col">{}</th>', ((title,) for title in head))
        return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", heads, body)

    @admin.display(description="saga")
    def saga(self, basket: Basket) -> SafeString:
        address = reverse("admin:reliability_saga_change", args=[basket.pk])
        return format_html('<a href="{}">Steps, events and decisions</a>', address)

    @admin.action(description="Consent to offset the fills of chosen baskets", permissions=["operate"])
    def consent_to_offset(self, request: HttpRequest, chosen: QuerySet[Basket]) -> HttpResponse | None:
        actor = request.user.get_username()

        def act(row: Any, values: dict[str, Any]) -> None:
            offset_basket(row.pk, actor=actor, reason=values["reason"])

        about = "What their legs filled is traded back by market orders. Only baskets that need a person are changed."
        return decide(
            self,
            request,
            chosen,
            action="consent_to_offset",
            form_class=ReasonForm,
            act=act,
            about=about,
            warning="This sends market orders.",
        )


def _order(order: dict[str, Any] | None) -> SafeString | str:
    if order is None:
        return "—"
    address = reverse("admin:brokers_order_change", args=[order["id"]])
    size = order["quantity"] or order["notional"]
    text = f"{order['side']} {size} {order['symbol']}, {order['filled_quantity']} filled"
    return format_html('<a href="{}">{}</a> {}', address, text, badge(order["state"]))


def _offsets(leg: dict[str, Any]) -> SafeString | str:
    return format_html_join(" ", "{}", ((_order(offset),) for offset in leg["offsets"])) or "—"
