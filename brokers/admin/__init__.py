from brokers.admin import accounts, baskets, history, orders, positions

__all__ = ["accounts", "baskets", "history", "orders", "positions"]
