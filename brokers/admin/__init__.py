from brokers.admin import accounts, orders, positions

__all__ = ["accounts", "orders", "positions"]
