from brokers.admin import accounts, baskets, external_orders, history, kill_switch, orders, positions

__all__ = ["accounts", "baskets", "external_orders", "history", "kill_switch", "orders", "positions"]
