from hypothesis import given
from hypothesis import strategies as st

from schedulers import ranking
from schedulers.ranking import Ranking


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
