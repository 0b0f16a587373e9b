"""Changes of positions and cash by hand over HTTP: proposed here, confirmed as every intervention is."""

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.core.corporate_actions import CashEntryKind, SplitRatio
from brokers.services.account_proposals import (
    CASH_PERMISSION,
    HANDLE_PERMISSION,
    POSITION_PERMISSION,
    propose_adjustment,
    propose_cash,
    propose_split,
    propose_symbol,
)
from brokers.services.accounts import list_profiles
from brokers.services.four_eyes import LONGEST_REASON
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.errors import ReliabilityError

_NEEDS = {
    "adjust": ("symbol", "quantity"),
    "split": ("symbol", "new_units", "for_each_old"),
    "rename": ("symbol", "new_symbol"),
    "cash": ("kind", "amount"),
}


class _Amount(serializers.DecimalField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=27, decimal_places=12, required=False, **options)


class _Units(serializers.DecimalField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=12, decimal_places=6, min_value=Decimal("0.000001"), required=False, **options)


class AccountProposalSerializer(serializers.Serializer[object]):
    action = serializers.ChoiceField(list(_NEEDS))
    account = serializers.CharField(max_length=32)
    symbol = serializers.CharField(max_length=32, required=False, default="", allow_blank=True)
    reason = serializers.CharField(max_length=LONGEST_REASON)
    quantity = _Amount(help_text="adjust: what is held from now on, negative when short")
    average_price = _Amount(help_text="adjust: per unit; left out it stays", min_value=Decimal(0))
    new_units = _Units(help_text="split: 4 for 1 in a split, 1 for 10 in a reverse split")
    for_each_old = _Units(help_text="split")
    new_symbol = serializers.CharField(max_length=32, required=False, help_text="rename")
    kind = serializers.ChoiceField([one.value for one in CashEntryKind], required=False, help_text="cash")
    amount = _Amount(help_text="cash: negative is paid")
    currency = serializers.CharField(max_length=8, required=False, default="USD", help_text="cash")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        missing = {name: ["needed for this action"] for name in _NEEDS[attrs["action"]] if not _is_given(attrs, name)}
        if missing:
            raise serializers.ValidationError(missing)
        return attrs


class AccountProposalView(APIView):
    """Propose a change of a position or of cash; another person confirms it at the intervention it names."""

    permission_classes = [Requires]
    required_permissions = {"POST": HANDLE_PERMISSION}

    @extend_schema(
        operation_id="propose_account_change",
        request=AccountProposalSerializer,
        responses={202: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        data = checked(AccountProposalSerializer, request.data)
        needed = CASH_PERMISSION if data["action"] == "cash" else POSITION_PERMISSION
        if not request.user.has_perm(needed):
            raise ReliabilityError("AUTH_PERMISSION_DENIED", f"This needs the permission {needed}.")
        number = _propose(data, request.user.get_username())
        return Response({"intervention": number}, 202, headers={"Location": f"/api/v1/interventions/{number}"})


def _propose(data: dict[str, Any], by: str) -> int:
    account_id = next((one.id for one in list_profiles() if one.name == data["account"]), None)
    if account_id is None:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"account": ["there is no such account"]})
    told = {"by": by, "reason": data["reason"]}
    if data["action"] == "adjust":
        numbers = {"quantity": data["quantity"], "average_price": data.get("average_price")}
        return propose_adjustment(account_id, data["symbol"], **numbers, **told)
    if data["action"] == "split":
        return propose_split(account_id, data["symbol"], _ratio(data), **told)
    if data["action"] == "rename":
        return propose_symbol(account_id, data["symbol"], data["new_symbol"], **told)
    more = {"currency": data["currency"], "symbol": data["symbol"]}
    return propose_cash(account_id, CashEntryKind(data["kind"]), data["amount"], **more, **told)


def _ratio(data: dict[str, Any]) -> SplitRatio:
    try:
        return SplitRatio(data["new_units"], data["for_each_old"])
    except ValueError as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"new_units": [str(error)]}) from None


def _is_given(attrs: dict[str, Any], name: str) -> bool:
    return attrs.get(name) not in (None, "")
