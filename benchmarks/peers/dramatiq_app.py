"""Dramatiq: a message per order, sent after the row is committed."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.order_job import carry_out

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS_URL"]))


@dramatiq.actor(max_retries=3)
def place(number: int) -> None:
    carry_out(number)
