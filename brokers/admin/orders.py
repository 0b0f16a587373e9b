"""Orders, their history and their fills."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from brokers.admin.decisions import order_decide_view
from brokers.admin.history import order_known_view
from brokers.models import Fill, Order, OrderEvent
from brokers.selectors.orders import IN_FLIGHT, hangs_together, matching_orders
from brokers.templatetags.orders import terms
from reliability.admin.records import RecordAdmin, RecordInline


class InFlightFilter(admin.SimpleListFilter):
    title = "in flight"
    parameter_name = "in_flight"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "in flight"), ("no", "finished")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        wanted = {"yes": IN_FLIGHT, "no": ~IN_FLIGHT}.get(self.value() or "")
        return queryset.filter(wanted) if wanted is not None else queryset


class EventInline(RecordInline):
    model = OrderEvent
    columns = ("sequence", "recorded_at", "kind", "from_state", "to_state", "source", "actor", "broker_at", "evidence")


class FillInline(RecordInline):
    model = Fill
    columns = ("executed_at", "execution_id", "quantity", "price", "cumulative_quantity", "source", "recorded_at")


@admin.register(Order)
class OrderAdmin(RecordAdmin):
    list_display = ("id", "summary", "state", "account", "filled_quantity", "error_code", "accepted_at", "finished_at")
    list_filter = (InFlightFilter, "state", "account")
    list_select_related = ("account",)
    search_fields = ("id",)
    search_help_text = "Id, client order id, broker order id or idempotency key, in full"
    ordering = ("-id",)
    inlines = (EventInline, FillInline)
    extra_details = ("related",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Search by whole ids only, each of which has an index."""
        return (queryset.filter(matching_orders(search_term.strip())) if search_term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(order_known_view, self.admin_site))
        decide = self.admin_site.admin_view(partial(order_decide_view, self.admin_site))
        own = [
            path("<uuid:order_id>/known/", view, name="brokers_order_known"),
            path("<uuid:order_id>/decide/", decide, name="brokers_order_decide"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description="order")
    def summary(self, order: Order) -> str:
        return terms(order)

    @admin.display(description="see also")
    def related(self, order: Order) -> SafeString:
        jobs = reverse("admin:reliability_job_changelist")
        links = [
            (reverse("order", args=[order.pk]), "Operator's page of this order"),
            (reverse("admin:brokers_order_known", args=[order.pk]), "As it was known at an instant"),
            (reverse("admin:brokers_order_decide", args=[order.pk]), "Evidence and decision"),
            (f"{jobs}?subject={order.pk}&state__in=ready,running,dead", "Jobs not finished"),
            (f"{jobs}?subject={order.pk}", "All jobs (slow in a long history)"),
        ]
        for other, name in hangs_together(order):
            links.append((reverse("admin:brokers_order_change", args=[other]), name))
        return format_html_join(" · ", '<a href="{}">{}</a>', links)


@admin.register(OrderEvent)
class OrderEventAdmin(RecordAdmin):
    list_display = ("id", "order", "sequence", "kind", "from_state", "to_state", "source", "actor", "recorded_at")
    list_select_related = ("order",)
    ordering = ("-id",)


@admin.register(Fill)
class FillAdmin(RecordAdmin):
    list_display = ("id", "order", "account", "symbol", "side", "quantity", "price", "source", "executed_at")
    list_filter = ("account",)
    list_select_related = ("order", "account")
    ordering = ("-id",)
