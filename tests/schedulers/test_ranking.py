from hypothesis import given
from hypothesis import strategies as st

from schedulers import ranking
from schedulers.ranking import Entry, Ranking


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(-1, 21))
def test_places_are_those_of_a_sorted_list(scores: list[int], asked: int) -> None:
    block, ranking._BLOCK = ranking._BLOCK, 4
    try:
        entries = [(float(score), index, f"t{index}") for index, score in enumerate(scores)]
        grown = Ranking()
        for entry in entries:
            grown.add(entry)
        assert len(grown) == len(entries)
        assert [grown.before(entry) for entry in sorted(entries)] == list(range(len(entries)))
        assert grown.before((float(asked),)) == sum(score < asked for score in scores)
    finally:
        ranking._BLOCK = block


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=120))
def test_what_was_taken_out_counts_for_nothing(steps: list[tuple[bool, int]]) -> None:
    block, ranking._BLOCK = ranking._BLOCK, 4
    try:
        kept: list[Entry] = []
        changed = Ranking()
        for index, (goes, number) in enumerate(steps):
            if goes and kept:
                changed.remove(kept.pop(number % len(kept)))
            else:
                entry = (float(number), index, f"t{index}")
                kept.append(entry)
                assert changed.add(entry) == sorted(kept).index(entry)
            assert len(changed) == len(kept)
            assert [changed.at(place) for place in range(len(kept))] == sorted(kept)
            assert [changed.before(entry) for entry in sorted(kept)] == list(range(len(kept)))
    finally:
        ranking._BLOCK = block
