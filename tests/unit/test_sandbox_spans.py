"""The sandbox's search by keys: where rows can be is never wrong, and where it is exact nothing is tested."""

from collections.abc import Callable
from operator import eq, ge, gt, le, lt

from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploy.sandbox.spans import AllOf, AnyOf, Anything, Key, KeyCondition, KeyIs, Span, reach

OPERATORS: dict[str, Callable[[str, str], bool]] = {"eq": eq, "ge": ge, "gt": gt, "le": le, "lt": lt}

texts = st.text("abc", max_size=2)
comparisons = st.builds(KeyIs, st.integers(0, 1), st.sampled_from(sorted(OPERATORS)), texts)
conditions: st.SearchStrategy[KeyCondition] = st.recursive(
    comparisons | st.just(Anything()),
    lambda parts: (
        st.builds(AllOf, st.lists(parts, min_size=1, max_size=4).map(tuple))
        | st.builds(AnyOf, st.lists(parts, min_size=1, max_size=4).map(tuple))
    ),
    max_leaves=8,
)


def holds(condition: KeyCondition, key: Key) -> bool:
    """Whether a row with this key matches, if what the keys do not say is true of every other row."""
    match condition:
        case KeyIs(place, operator, value):
            return OPERATORS[operator](key[place], value)
        case AllOf(parts):
            return all(holds(part, key) for part in parts)
        case AnyOf(parts):
            return any(holds(part, key) for part in parts)
        case Anything():
            return len(key[0] + key[1]) % 2 == 0


@settings(max_examples=300)
@example({("a", "b"), ("b", "a"), ("b", "b"), ("c", "a")}, AllOf((KeyIs(0, "ge", "a"), KeyIs(1, "ge", "b"))))
@given(st.sets(st.tuples(texts, texts)), conditions)
def test_no_row_is_missed_and_none_is_there_twice(keys: set[Key], condition: KeyCondition) -> None:
    """Every match is within the spans, which are in order and apart; exact ones hold nothing else."""
    table = sorted(keys)
    found = reach(table, condition)
    places = [place for span in found.spans for place in range(*span)]
    assert places == sorted(set(places))
    matching = [place for place, key in enumerate(table) if holds(condition, key)]
    assert set(matching) <= set(places)
    if found.exact:
        assert matching == places


def test_a_page_by_keys_is_found_without_a_test() -> None:
    """The forms in which a client pages by key, from a key or up to one, are exact."""
    table = [(kind, f"{number:03}") for kind in ("CM", "SO") for number in range(100)]
    one_type = KeyIs(0, "eq", "SO")
    anchored = AllOf((one_type, KeyIs(1, "ge", "090")))
    fenced = AllOf((one_type, KeyIs(1, "gt", "010"), KeyIs(1, "le", "020")))
    across = AnyOf((KeyIs(0, "gt", "CM"), AllOf((KeyIs(0, "eq", "CM"), KeyIs(1, "ge", "098")))))
    assert [
        (reach(table, which).spans, reach(table, which).exact) for which in (anchored, fenced, across)
    ] == [
        ((Span(190, 200),), True),
        ((Span(111, 121),), True),
        ((Span(98, 200),), True),
    ]
