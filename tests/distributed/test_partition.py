"""How images are cut into tasks, and the order in which sums are added."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gad_core.distributed.partition import BLOCK, MOST_TASKS, blocks_in_task, image_runs, pairwise_total
from gad_core.errors import InputError


@given(st.integers(0, 200), st.integers(0, 6), st.sets(st.integers(0, 199)))
def test_runs_of_the_tree_give_the_tree(n, k, missing):
    parts = [None if i in missing else str(i) for i in range(n)]
    runs = [parts[i : i + 2**k] for i in range(0, n, 2**k)]

    def total(some):
        return pairwise_total(some, lambda left, right: f"({left} {right})")

    assert total(map(total, runs)) == total(parts)
    named = [i for i in range(n) if i not in missing]
    assert [int(i) for i in (total(parts) or "").replace("(", "").replace(")", "").split()] == named


def test_the_tree_holds_few_sums():
    held, most = 0, 0

    def parts():
        nonlocal held, most
        for _ in range(1000):
            held += 1
            most = max(most, held)
            yield 1

    def add(left, right):
        nonlocal held
        held -= 1
        return left + right

    assert pairwise_total(parts(), add) == 1000
    assert most <= 11


@given(st.integers(1, 10**8))
def test_tasks_are_few_and_aligned(n):
    blocks = blocks_in_task(n)
    runs = image_runs(n)
    assert len(runs) <= MOST_TASKS
    assert blocks & (blocks - 1) == 0
    assert blocks == 1 or len(runs) > MOST_TASKS / 4
    assert [i for run in runs for i in (run.start, run.stop)] == [
        min(edge, n) for i in range(len(runs)) for edge in (i * BLOCK * blocks, (i + 1) * BLOCK * blocks)
    ]


@pytest.mark.parametrize("blocks", [0, 3, -2, 1.0])
def test_only_powers_of_two_are_runs(blocks):
    with pytest.raises(InputError, match="power of two"):
        image_runs(10, blocks)
