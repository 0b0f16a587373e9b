"""Shapes of requests and answers, for the API documentation and for query parameters.

Order bodies are checked by ``brokers.core.order_requests``, so that every entry point
judges an order by the same rule; the serializers here document them.
"""

from rest_framework import serializers

from brokers.core.orders import ExitRole, OrderClass, OrderState, OrderType, Side, TimeInForce
from brokers.core.routing import WhenUnavailable
from reliability.api.schema import ErrorSerializer


class TakeProfitSerializer(serializers.Serializer[object]):
    limit_price = serializers.DecimalField(30, 9)


class StopLossSerializer(serializers.Serializer[object]):
    stop_price = serializers.DecimalField(30, 9)
    limit_price = serializers.DecimalField(30, 9, required=False)


class OrderRequestSerializer(serializers.Serializer[object]):
    account = serializers.CharField(required=False, help_text="Name of the account; the default one if left out.")
    route = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Instead of account: up to 8 accounts in the order of preference. While an account cannot take "
        "orders, those that no broker has go to the next one.",
    )
    when_unavailable = serializers.ChoiceField(
        [member.value for member in WhenUnavailable],
        default="hold",
        help_text="While no account can take it: hold it until one can, or refuse it with the reason.",
    )
    symbol = serializers.CharField()
    side = serializers.ChoiceField([member.value for member in Side])
    type = serializers.ChoiceField([member.value for member in OrderType], default="market")
    time_in_force = serializers.ChoiceField([member.value for member in TimeInForce], default="day")
    quantity = serializers.DecimalField(30, 9, required=False, help_text="Either quantity or notional.")
    notional = serializers.DecimalField(30, 9, required=False)
    limit_price = serializers.DecimalField(30, 9, required=False)
    stop_price = serializers.DecimalField(30, 9, required=False)
    extended_hours = serializers.BooleanField(required=False, default=False)
    order_class = serializers.ChoiceField(
        [member.value for member in OrderClass],
        required=False,
        help_text="With exits only. Left out it is bracket for both exits and oto for one of them; "
        "oco is a limit order, which takes the profit, beside a stop_loss.",
    )
    take_profit = TakeProfitSerializer(required=False, help_text="Held ready by the broker until the order has filled.")
    stop_loss = StopLossSerializer(required=False, help_text="Likewise; the end of one exit ends the other.")


class ReplaceRequestSerializer(serializers.Serializer[object]):
    quantity = serializers.DecimalField(
        30, 9, required=False, help_text="Of the new order, whatever the old one filled; what is left if omitted."
    )
    limit_price = serializers.DecimalField(30, 9, required=False)
    stop_price = serializers.DecimalField(30, 9, required=False)
    time_in_force = serializers.ChoiceField([member.value for member in TimeInForce], required=False)


class AcceptedOrderSerializer(serializers.Serializer[object]):
    id = serializers.UUIDField()
    client_order_id = serializers.CharField()
    account = serializers.CharField()
    state = serializers.ChoiceField(["accepted"])
    symbol = serializers.CharField()
    side = serializers.CharField()
    type = serializers.CharField()
    time_in_force = serializers.CharField()
    quantity = serializers.CharField(allow_null=True)
    notional = serializers.CharField(allow_null=True)
    limit_price = serializers.CharField(allow_null=True)
    stop_price = serializers.CharField(allow_null=True)
    extended_hours = serializers.BooleanField()
    order_class = serializers.ChoiceField([member.value for member in OrderClass], allow_null=True)
    take_profit = TakeProfitSerializer(allow_null=True)
    stop_loss = StopLossSerializer(allow_null=True)
    accepted_at = serializers.DateTimeField()
    submit_before = serializers.DateTimeField()
    correlation_id = serializers.CharField()


class OrderSerializer(AcceptedOrderSerializer):
    broker_order_id = serializers.CharField(allow_null=True)
    idempotency_key = serializers.CharField()
    state = serializers.ChoiceField([member.value for member in OrderState])
    version = serializers.IntegerField()
    final = serializers.BooleanField()
    filled_quantity = serializers.CharField()
    reported_filled_quantity = serializers.CharField()
    average_price = serializers.CharField(allow_null=True)
    overfilled = serializers.BooleanField(help_text="More was filled than ordered.")
    cancel_requested_at = serializers.DateTimeField(allow_null=True)
    exits = serializers.ListField(child=serializers.UUIDField(), help_text="The orders that hang on it.")
    entry = serializers.UUIDField(allow_null=True, help_text="The order that brought this one along, as an exit.")
    exit_role = serializers.ChoiceField([member.value for member in ExitRole], allow_null=True)
    replaces = serializers.UUIDField(allow_null=True, help_text="The order in whose place this one was asked for.")
    replaced_by = serializers.UUIDField(allow_null=True, help_text="The order asked for in the place of this one.")
    replace_pending = serializers.BooleanField()
    error_code = serializers.CharField(allow_null=True)
    error_message = serializers.CharField(allow_null=True)
    sent_at = serializers.DateTimeField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class OrderPageSerializer(serializers.Serializer[object]):
    results = OrderSerializer(many=True)
    next_before = serializers.UUIDField(allow_null=True)


class BatchItemSerializer(serializers.Serializer[object]):
    idempotency_key = serializers.CharField()
    order = OrderRequestSerializer()


class BatchRequestSerializer(serializers.Serializer[object]):
    orders = BatchItemSerializer(many=True, help_text="1 to 500 orders.")


class BatchAnswerSerializer(serializers.Serializer[object]):
    status = serializers.IntegerField(help_text="The status this order alone would have been answered with.")
    order = AcceptedOrderSerializer(required=False)
    error = ErrorSerializer(required=False)


class BatchAnswersSerializer(serializers.Serializer[object]):
    results = BatchAnswerSerializer(many=True)


class CancelAnswerSerializer(serializers.Serializer[object]):
    id = serializers.UUIDField()
    state = serializers.ChoiceField([member.value for member in OrderState])
    cancel_pending = serializers.BooleanField()


class OrderQuerySerializer(serializers.Serializer[object]):
    account = serializers.CharField(required=False, default="", max_length=32)
    symbol = serializers.CharField(required=False, default="", max_length=32)
    state = serializers.MultipleChoiceField(
        choices=[member.value for member in OrderState], required=False, default=set, allow_empty=True
    )
    open = serializers.BooleanField(required=False, default=None, allow_null=True)
    before = serializers.UUIDField(required=False, default=None, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class PositionQuerySerializer(serializers.Serializer[object]):
    account = serializers.CharField(required=False, default="", max_length=32)
