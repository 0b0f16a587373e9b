"""The page of market data: feeds, quality by day, gaps and what to do about them."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from reconciliation.models import BarSeries, Feed, Gap, QuestionableBar
from reconciliation.selectors.quality import DayQuality, open_gaps_between
from reconciliation.services.market_data.bar_decisions import can_be_confirmed, confirm_bar
from reconciliation.services.market_data.freshness import read_freshness
from reconciliation.services.market_data.gap_decisions import accept_gap, retry_gap
from reconciliation.services.market_data.quality import read_quality
from reliability.views.actions import act_and_return, posted_reason
from reliability.views.fragments import fragment_response

DAYS = 14
SERIES_SHOWN = 40
FRESHNESS_SHOWN = 60
_CELL, _LABEL, _ROW = 34, 150, 24
_VIEW = "reconciliation.view_barseries"


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the heat map."""

    x: int
    tone: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """One gap in the timeline."""

    x: float
    width: float
    state: str
    title: str


@require_GET
@never_cache
@login_required
@permission_required(_VIEW, raise_exception=True)
def overview(request: HttpRequest) -> HttpResponse:
    """Feeds, quality and gaps of the last two weeks of data."""
    return render(request, "reconciliation/market_data.html", _context())


@require_GET
@never_cache
@login_required
@permission_required(_VIEW, raise_exception=True)
def overview_live(request: HttpRequest) -> HttpResponse:
    return fragment_response(request, "reconciliation/market_data_live.html", _context())


@require_POST
@login_required
@permission_required("reconciliation.operate_marketdata", raise_exception=True)
def accept(request: HttpRequest, gap_id: int) -> HttpResponse:
    def act() -> str:
        gap = accept_gap(gap_id, by=request.user.get_username(), reason=posted_reason(request))
        return f"Accepted: {gap.missing} bars are not missing."

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required("reconciliation.operate_marketdata", raise_exception=True)
def retry(request: HttpRequest, gap_id: int) -> HttpResponse:
    def act() -> str:
        retry_gap(gap_id, by=request.user.get_username(), reason=posted_reason(request))
        return "Every source is asked again."

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required("reconciliation.operate_marketdata", raise_exception=True)
def confirm(request: HttpRequest, bar_id: int) -> HttpResponse:
    def act() -> str:
        bar = confirm_bar(bar_id, by=request.user.get_username(), reason=posted_reason(request))
        return f"The bar of {bar.symbol} {bar.timeframe} is used from now on."

    return act_and_return(request, act)


def _context() -> dict[str, Any]:
    now = timezone.now()
    series = list(BarSeries.objects.order_by("symbol", "timeframe")[:SERIES_SHOWN])
    last = max((one.checked_until for one in series if one.checked_until), default=now).astimezone(UTC).date()
    first = last - timedelta(days=DAYS - 1)
    table = read_quality(series, first, last, now)
    start, end = datetime.combine(first, time(), UTC), datetime.combine(last + timedelta(days=1), time(), UTC)
    gaps = open_gaps_between(series, start, end)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    rows = [
        {
            "series": one,
            "y": number * _ROW,
            "text_y": number * _ROW + 16,
            "cells": [_cell(number, table[one.pk][day]) for number, day in enumerate(days)],
            "strokes": [_stroke(gap, start, end) for gap in gaps if gap.series_id == one.pk],
            "today": table[one.pk][last],
        }
        for number, one in enumerate(series)
    ]
    return {
        "feeds": Feed.objects.prefetch_related("subscriptions"),
        "freshness": read_freshness(now, limit=FRESHNESS_SHOWN),
        "rows": rows,
        "days": [{"x": _LABEL + number * _CELL, "day": day} for number, day in enumerate(days)],
        "width": _LABEL + DAYS * _CELL,
        "height": len(rows) * _ROW,
        "label": _LABEL,
        "cell_width": _CELL - 2,
        "first": first,
        "last": last,
        "gaps": Gap.objects.select_related("series").filter(state__in=_TO_DECIDE).order_by("-started_at")[:50],
        "questionable": [
            {"bar": bar, "can_be_confirmed": can_be_confirmed(bar)}
            for bar in QuestionableBar.objects.filter(state=QuestionableBar.State.HELD)[:20]
        ],
        "more": BarSeries.objects.count() - len(series),
    }


_TO_DECIDE = ("found", "filling", "unfillable")


def _cell(number: int, quality: DayQuality) -> Cell:
    x = _LABEL + number * _CELL
    if quality.is_outside:
        return Cell(x, "closed", "", f"{quality.day}: outside the series, nothing is known")
    if quality.expected == 0:
        return Cell(x, "closed", "", f"{quality.day}: no bar was due")
    score = quality.score
    share = 0.0 if score is None else score
    tone = "good" if share >= 0.999 else "fair" if share >= 0.98 else "poor" if share >= 0.9 else "bad"
    parts = [f"{quality.day}: {quality.expected} due, {quality.received} usable, {quality.missing} missing"]
    parts.append(f"{quality.late} late, {quality.held} questionable")
    parts += [f"{source}: {counts[0]}" for source, counts in sorted(quality.by_source.items())]
    return Cell(x, tone, f"{int(share * 100)}", "; ".join(parts))


def _stroke(gap: Gap, start: datetime, end: datetime) -> Stroke:
    whole = (end - start).total_seconds()
    width = DAYS * _CELL
    from_share = max(0.0, (gap.started_at - start).total_seconds() / whole)
    to_share = min(1.0, (gap.ended_at - start).total_seconds() / whole)
    x = _LABEL + from_share * width
    title = f"{gap.missing} bars, {gap.started_at:%Y-%m-%d %H:%M} to {gap.ended_at:%Y-%m-%d %H:%M} UTC: {gap.state}"
    return Stroke(round(x, 1), round(max(3.0, (to_share - from_share) * width), 1), gap.state, title)
