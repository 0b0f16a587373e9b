from brokers.admin import accounts, baskets, external_orders, freezes, history, kill_switch, orders, positions

__all__ = ["accounts", "baskets", "external_orders", "freezes", "history", "kill_switch", "orders", "positions"]
