"""``manage.py errors`` as a person meets it: in a bare checkout, with nothing set and nothing running."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reliability.core.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[3]


BARE = {"PATH": os.environ["PATH"]}


def errors(*arguments: str, given: bytes = b"", **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", "errors", *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        env={**BARE, **environ},
        timeout=60,
        check=False,
    )


def test_one_failure_is_classified_without_any_environment() -> None:
    message = '{"code":40310000,"message":"insufficient buying power"}'
    known = ("--source", "alpaca_rest", "--operation", "submit", "--raw-code", "403/40310000")
    ran = errors("classify", *known, "--message", message)

    facts = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert facts["raw_message"] == message
    assert {name: facts[name] for name in ("code", "category", "retryable", "ambiguous", "strategy", "guessed")} == {
        "code": "BROKER_INSUFFICIENT_FUNDS",
        "category": "broker",
        "retryable": False,
        "ambiguous": False,
        "strategy": "manual",
        "guessed": False,
    }
    assert facts["runbook"] == "docs/reference/errors.md#broker_insufficient_funds"


def test_a_named_wait_comes_from_the_header() -> None:
    ran = errors(
        "classify", "--source", "http", "--operation", "query", "--raw-code", "429", "--header", "Retry-After: 7"
    )

    assert json.loads(ran.stdout)["retry_after_seconds"] == 7


def test_a_wrong_environment_does_not_matter() -> None:
    ran = errors("list", DATABASE_URL="nonsense", STANCHION_SECRET_KEY="short", STANCHION_JOB_LEASE_SECONDS="-1")

    assert (ran.returncode, ran.stdout.count(b"\n")) == (0, len(CATALOG))


def test_other_commands_still_ask_for_their_installation() -> None:
    ran = subprocess.run(
        [sys.executable, "manage.py", "lanes"], cwd=ROOT, capture_output=True, env=BARE, timeout=60, check=False
    )

    assert ran.returncode == 1
    assert b"DATABASE_URL is not set" in ran.stderr


def test_a_table_is_answered_byte_for_byte() -> None:
    table = (
        b"\xef\xbb\xbfsource,operation,raw_code,raw_message\r\n"
        b'foo,submit,E1,"a ""b""\nline 2 \xff"\r\nredis,cache,TimeoutError\r\n'
    )
    ran = errors("classify", given=table)

    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == (
        b"source,operation,raw_code,raw_message,code,category,severity,retryable,ambiguous,strategy,guessed\n"
        b"foo,submit,E1,\"a \"\"b\"\"\nline 2 \xff\",BROKER_UNCLASSIFIED,broker,high,false,true,manual,true\n"
        b"redis,cache,TimeoutError,,SYSTEM_REDIS_TIMEOUT,system,medium,true,false,degrade,false\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["classify"], b"source,operation\nx,bad\n", b"row 1 (line 2): operation 'bad'"),
        (["classify", "--source", "x"], b"", b"--operation"),
        (["classify", "--source", "x", "--operation", "bad"], b"", b"--operation is one of submit"),
        (["classify", "--source", "x", "--operation", "submit", "--header", "x"], b"", b"Name: value"),
        (["explain", "NO_SUCH_CODE"], b"", b"there is no code NO_SUCH_CODE"),
        (["explain", " "], b"", b"name a code"),
        (["list", "--category", "bad"], b"", b"invalid choice"),
    ],
)
def test_what_cannot_be_understood_is_one_line_and_exit_2(arguments: list[str], given: bytes, words: bytes) -> None:
    ran = errors(*arguments, given=given)

    assert (ran.returncode, ran.stdout) == (2, b"")
    assert words in ran.stderr
    assert b"Traceback" not in ran.stderr


def test_explain_says_what_the_catalogue_says() -> None:
    text = errors("explain", "network_tls_failed").stdout.decode()
    facts = json.loads(errors("explain", "NETWORK_TLS_FAILED", "--json").stdout)

    definition = CATALOG["NETWORK_TLS_FAILED"]
    for said in (definition.message, definition.suggestion, definition.manual_steps, definition.escalation):
        assert said in text
    assert facts["runbook"] in text
    assert (facts["manual_steps"], facts["escalation"]) == (definition.manual_steps, definition.escalation)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    table = b"source,operation,raw_code,raw_message\n" + b"http,submit,502/-,x\n" * 20_000
    with subprocess.Popen(
        [sys.executable, "manage.py", "errors", "classify"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BARE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(table)
        child.stdin.close()
        assert child.stdout.readline().startswith(b"source,")
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 0
