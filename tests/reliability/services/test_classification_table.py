"""Many raw failures as CSV: any text comes back as it was, and a bad table is refused as a whole."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation
from reliability.core.classification_facts import CSV_INPUT, CSV_RESULT
from reliability.services.classification_table import BadTableError, classify_table

HEADER = ",".join(CSV_INPUT)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
rows = st.lists(st.tuples(texts, st.sampled_from(Operation).map(str), texts, texts), max_size=6)


def answer(table: str) -> list[dict[str, str]]:
    output = io.StringIO(newline="")
    classify_table(io.StringIO(table, newline=""), output)
    return list(csv.DictReader(io.StringIO(output.getvalue(), newline="")))


def problem(table: str) -> str:
    output = io.StringIO()
    with pytest.raises(BadTableError) as caught:
        classify_table(io.StringIO(table, newline=""), output)
    assert output.getvalue() == "", "nothing is half written"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(rows, st.sampled_from(["\n", "\r\n"]))
def test_any_text_comes_back_as_it_was_in_the_same_order(given_rows: list[tuple[str, ...]], end: str) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(CSV_INPUT)
    writer.writerows(given_rows)

    answers = answer(table.getvalue())

    assert [(one["operation"], one["raw_code"], one["raw_message"]) for one in answers] == [
        row[1:] for row in given_rows
    ]
    assert [one["source"] for one in answers] == [row[0].strip() for row in given_rows]
    for one in answers:
        assert list(one) == [*CSV_INPUT, *CSV_RESULT]
        assert one["category"] == CATALOG[one["code"]].category.value
        assert {one["retryable"], one["ambiguous"], one["guessed"]} <= {"true", "false"}


def test_columns_in_another_order_missing_ends_and_blank_lines() -> None:
    assert [
        (one["source"], one["operation"], one["raw_code"], one["raw_message"], one["code"])
        for one in answer('raw_code,operation,SOURCE,note\nReadTimeout,SUBMIT,requests,x\n\n57P03,db,"psycopg"\n')
    ] == [
        ("requests", "submit", "ReadTimeout", "", "TIMEOUT_READ"),
        ("psycopg", "db", "57P03", "", "SYSTEM_DATABASE_UNAVAILABLE"),
    ]


def test_an_unknown_source_is_guessed() -> None:
    (one,) = answer(f"{HEADER}\nnobody,submit,E1,insufficient funds\n")

    assert (one["code"], one["guessed"], one["ambiguous"]) == ("BROKER_INSUFFICIENT_FUNDS", "true", "false")


def test_a_header_alone_is_answered_with_a_header() -> None:
    assert answer(HEADER) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "source is missing"),
        ("source,raw_code\nx,y\n", "operation is missing"),
        ("source,operation,source\n", "twice"),
        (f"{HEADER}\nx,submit,E\nx,nothing,E\n", "row 2 (line 3): operation 'nothing'"),
        (f"{HEADER}\nx\n", "row 1 (line 2): operation ''"),
        (f"{HEADER}\nx,submit,a,b,c\n", "row 1 (line 2): 5 values for 4 columns"),
        (f'{HEADER}\nx,submit,a,"never closed\n', "row 1 (line 2): this is not CSV"),
        (f'{HEADER}\nx,submit,a,"b"c\n', "row 1 (line 2): this is not CSV"),
        (f'{HEADER}\nx,submit,a,"two\nlines"\nx,huh,a,b\n', "row 2 (line 4): operation 'huh'"),
    ],
)
def test_a_bad_table_is_refused_in_one_line_that_names_the_row(table: str, words: str) -> None:
    assert words in problem(table)


def test_a_value_may_be_longer_than_csv_readers_allow_by_default() -> None:
    (one,) = answer(f"{HEADER}\nhttp,submit,502/-,{'x' * 300_000}\n")

    assert (len(one["raw_message"]), one["code"]) == (300_000, "BROKER_UNAVAILABLE")
