"""What follows in a saga: forward in order, backward in reverse, and to an end whatever fails."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reliability.core.saga import (
    ENDED,
    CompensationState,
    Moves,
    SagaState,
    StepFacts,
    StepOrder,
    StepState,
    next_moves,
)

orders = st.sampled_from(StepOrder)
any_steps = st.lists(
    st.tuples(st.sampled_from(StepState), st.sampled_from(CompensationState)), min_size=1, max_size=6
).map(lambda rows: [StepFacts(number, *row) for number, row in enumerate(rows, start=1)])


def made(moves: Moves, steps: list[StepFacts]) -> list[StepFacts]:
    """The rows after the moves were made."""
    begun = [replace(step, state=StepState.RUNNING) if step.number in moves.begin else step for step in steps]
    return [
        replace(step, compensation=CompensationState.RUNNING) if step.number in moves.undo else step for step in begun
    ]


@given(st.sampled_from(SagaState), orders, any_steps)
def test_asking_again_after_the_moves_were_made_gives_none(
    state: SagaState, order: StepOrder, steps: list[StepFacts]
) -> None:
    moves = next_moves(state, order, steps)
    again = next_moves(moves.state, order, made(moves, steps))
    assert again == Moves(moves.state)


@given(st.sampled_from(sorted(ENDED | {SagaState.NEEDS_PERSON})), orders, any_steps)
def test_what_ended_or_waits_for_a_person_has_no_moves(
    state: SagaState, order: StepOrder, steps: list[StepFacts]
) -> None:
    assert next_moves(state, order, steps) == Moves(state)


@given(orders, any_steps)
def test_a_step_is_taken_back_alone_and_only_after_all_later_ones(order: StepOrder, steps: list[StepFacts]) -> None:
    for number in next_moves(SagaState.COMPENSATING, order, steps).undo:
        by_number = {step.number: step for step in steps}
        assert by_number[number].state is not StepState.PENDING
        later = [step for step in steps if step.number > number and step.state is not StepState.PENDING]
        assert all(step.compensation is CompensationState.DONE for step in later)


@given(orders, st.integers(1, 6), st.data())
def test_every_saga_ends_with_all_done_or_all_that_was_begun_taken_back(
    order: StepOrder, size: int, data: st.DataObject
) -> None:
    """Whatever fails, in whatever order outcomes come, and wherever a crash leaves the rows."""
    steps = [StepFacts(number) for number in range(1, size + 1)]
    state = SagaState.RUNNING
    taken_back: list[int] = []
    for _ in range(8 * size + 8):
        moves = next_moves(state, order, steps)
        state, steps = moves.state, made(moves, steps)
        if state in ENDED:
            break
        under_way = [
            step for step in steps if step.state is StepState.RUNNING or step.compensation is CompensationState.RUNNING
        ]
        assert under_way, "a saga that has not ended has something under way"
        step = data.draw(st.sampled_from(under_way))
        if step.state is StepState.RUNNING:
            ends = (StepState.DONE, StepState.FAILED) if state is SagaState.RUNNING else (StepState.STOPPED,)
            changed = replace(step, state=data.draw(st.sampled_from(ends)))
        else:
            changed = replace(step, compensation=CompensationState.DONE)
            taken_back.append(step.number)
        steps = [changed if other.number == step.number else other for other in steps]
    assert state in (SagaState.SUCCEEDED, SagaState.COMPENSATED)
    if state is SagaState.SUCCEEDED:
        assert all(step.state is StepState.DONE for step in steps)
        assert taken_back == []
    else:
        begun = [step.number for step in steps if step.state is not StepState.PENDING]
        assert taken_back == sorted(begun, reverse=True)


def test_sequential_steps_follow_one_another_and_parallel_ones_begin_together() -> None:
    steps = [StepFacts(1), StepFacts(2)]
    assert next_moves(SagaState.RUNNING, StepOrder.SEQUENTIAL, steps).begin == (1,)
    assert next_moves(SagaState.RUNNING, StepOrder.PARALLEL, steps).begin == (1, 2)


def test_a_compensation_that_failed_goes_to_a_person() -> None:
    steps = [StepFacts(1, StepState.DONE), StepFacts(2, StepState.FAILED, CompensationState.FAILED)]
    assert next_moves(SagaState.COMPENSATING, StepOrder.SEQUENTIAL, steps) == Moves(SagaState.NEEDS_PERSON)


def test_no_sequential_step_begins_while_another_one_runs() -> None:
    steps = [StepFacts(1, StepState.RUNNING), StepFacts(2)]
    assert next_moves(SagaState.RUNNING, StepOrder.SEQUENTIAL, steps) == Moves(SagaState.RUNNING)
