"""Sentences that several entries of the catalogue share."""

LOOK_UP = "Nothing is resent: the broker is asked by client order id, and its answer settles the order."
