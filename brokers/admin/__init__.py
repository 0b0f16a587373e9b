from brokers.admin import accounts, history, orders, positions

__all__ = ["accounts", "history", "orders", "positions"]
