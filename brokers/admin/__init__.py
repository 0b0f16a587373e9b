from brokers.admin import accounts, baskets, history, kill_switch, orders, positions

__all__ = ["accounts", "baskets", "history", "kill_switch", "orders", "positions"]
