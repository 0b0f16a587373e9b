"""What happens together is told together, and nothing of it is lost."""

from hypothesis import given
from hypothesis import strategies as st

from reliability.services.circuits.link import merge
from reliability.services.circuits.store import Answer, Step


class Done:
    """Somebody who waits."""

    def __call__(self, answer: Answer | None) -> None:
        raise AssertionError("merging answers nobody")


names = st.sampled_from(["a", "b"])
records = st.builds(
    lambda name, version, counts, age: Step(name, "record", ("gen", version, *counts, "host", age)),
    names,
    st.integers(1, 2),
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 90),
)
others = st.builds(lambda name, token: Step(name, "admit", (token,)), names, st.uuids().map(str))
batches = st.lists(st.tuples(st.one_of(records, others), st.one_of(st.none(), st.builds(Done))), max_size=20)


def totals(steps: list[Step]) -> dict[tuple[str, object], tuple[int, ...]]:
    found: dict[tuple[str, object], tuple[int, ...]] = {}
    for step in steps:
        if step.operation == "record":
            key = (step.name, step.arguments[1])
            before = found.get(key, (0, 0, 0))
            found[key] = tuple(int(one) + int(two) for one, two in zip(before, step.arguments[2:5], strict=True))
    return found


@given(batches)
def test_merging_keeps_every_count_and_everybody_who_waits(batch: list[tuple[Step, Done | None]]) -> None:
    merged = merge(batch)

    assert totals([step for step, _ in merged]) == totals([step for step, _ in batch])
    assert {id(done) for _, waiting in merged for done in waiting} == {id(done) for _, done in batch if done}
    assert len(merged) <= len(batch)


@given(batches)
def test_counts_do_not_pass_a_question_about_the_same_circuit(batch: list[tuple[Step, Done | None]]) -> None:
    def between_questions(steps: list[Step], name: str) -> list[dict[tuple[str, object], tuple[int, ...]]]:
        parts: list[list[Step]] = [[]]
        for step in steps:
            if step.name == name:
                parts.append([]) if step.operation == "admit" else parts[-1].append(step)
        return [totals(part) for part in parts]

    merged = [step for step, _ in merge(batch)]
    for name in "ab":
        assert between_questions(merged, name) == between_questions([step for step, _ in batch], name)


def test_ten_failures_at_once_are_one_step() -> None:
    failure = Step("a", "record", ("gen", 1, 0, 1, 0, "host", 5))

    ((step, waiting),) = merge([(failure, Done()) for _ in range(10)])

    assert step.arguments == ("gen", 1, 0, 10, 0, "host", 5)
    assert len(waiting) == 10
