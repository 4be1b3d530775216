"""Which of several is kept, by each rule, and what is said of the others."""

import numpy as np
import pytest

from embedstack.search.keeping import Cluster, Group, Item, Rule, level_of, settle
from embedstack.types import Floats

FAR, MIDDLE, NEAR = np.radians([40, 20, 0])
SAME = np.ones((1, 2), np.float32)


def rows(*angles: float) -> Floats:
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def settled(
    items: list[Item], vectors: Floats, contents: list[int] | None = None, *rules: Rule, is_chained: bool = False
) -> list[Group]:
    contents = contents or list(range(len(items)))
    everyone = range(len(items))
    cluster = Cluster(
        members=everyone,
        contents=contents,
        nearest=[(place + 1) % len(items) for place in everyone],
        nearest_similarity=[0.95] * len(items),
        vectors=vectors,
    )
    return settle(cluster, items, rules, 0.9, is_chained=is_chained)


def kept_by(items: list[Item], *rules: Rule) -> str:
    """The name of the one that is kept of items with one content."""
    (group,) = settled(items, SAME, [0] * len(items), *rules)
    return items[group.kept].name


@pytest.mark.parametrize(
    ("rule", "better", "worse"),
    [
        ("largest", Item(name="z", size_bytes=2), Item(name="a", size_bytes=1)),
        ("longest", Item(name="z", characters=2), Item(name="a", characters=1)),
        ("newest", Item(name="z", modified_s=2.0), Item(name="a", modified_s=1.0)),
        ("oldest", Item(name="z", modified_s=1.0), Item(name="a", modified_s=2.0)),
        ("resolution", Item(name="z", pixels=2), Item(name="a", pixels=1)),
        ("name", Item(name="a"), Item(name="b", pixels=9)),
    ],
)
def test_a_rule_decides_whatever_the_order(rule: Rule, better: Item, worse: Item) -> None:
    assert kept_by([better, worse], rule) == better.name
    assert kept_by([worse, better], rule) == better.name


def test_the_first_one_is_kept_where_that_is_the_rule() -> None:
    assert kept_by([Item(name="z"), Item(name="a", pixels=9)], "first") == "z"


@pytest.mark.parametrize("rule", ["longest", "newest", "oldest", "resolution"])
def test_what_nobody_knows_stands_behind_what_is_known(rule: Rule) -> None:
    known = Item(name="z", characters=0, pixels=0, modified_s=0.0)

    assert kept_by([Item(name="a"), known], rule) == "z"


def test_the_next_rule_decides_where_one_cannot() -> None:
    items = [Item(name="a", pixels=4, size_bytes=1), Item(name="b", pixels=4, size_bytes=2), Item(name="c", pixels=3)]

    assert kept_by(items, "resolution", "largest") == "b"


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ([Item(name="a", pixels=1, modified_s=9), Item(name="b", pixels=2, modified_s=1)], "b"),
        ([Item(name="a", modified_s=1, size_bytes=9), Item(name="b", modified_s=2, size_bytes=1)], "b"),
        ([Item(name="a", size_bytes=1), Item(name="b", size_bytes=2)], "b"),
        ([Item(name="b"), Item(name="a")], "a"),
    ],
)
def test_without_rules_resolution_then_time_then_size_then_name_decide(items: list[Item], wanted: str) -> None:
    assert kept_by(items) == wanted


# ------------------------------------------------------------------------------------------------ what is said


def test_equal_bytes_and_equal_texts_are_told_apart() -> None:
    items = [Item(name="a", digest="1"), Item(name="b", digest="1"), Item(name="c", digest="2"), Item(name="d")]

    (group,) = settled(items, SAME, [0, 0, 0, 0])

    assert [one.reason for one in group.duplicates] == ["same bytes as a", "same text as a", "same text as a"]
    assert {(one.kind, one.similarity, one.level) for one in group.duplicates} == {("exact", 1.0, "EXACT")}


def test_equal_contents_are_alike_though_nobody_could_read_them() -> None:
    (group,) = settled([Item(name="a", digest="1"), Item(name="b", digest="1")], np.zeros((1, 2), np.float32), [0, 0])

    assert group.duplicates[0].similarity == 1.0


def test_a_near_one_has_its_cosine_and_why_the_other_is_kept() -> None:
    (group,) = settled([Item(name="small", pixels=1), Item(name="large", pixels=2)], rows(NEAR, MIDDLE))

    (duplicate,) = group.duplicates
    assert duplicate.reason == "cosine 0.9397 to large, which has more pixels"
    assert (duplicate.kind, duplicate.level) == ("near", "HIGH")
    assert duplicate.similarity == pytest.approx(np.cos(MIDDLE))


@pytest.mark.parametrize(
    ("similarity", "level"),
    [(1.0, "EXACT"), (0.98, "EXACT"), (0.9799, "HIGH"), (0.9, "HIGH"), (0.85, "MEDIUM"), (0.7, "LOW"), (0.69, None)],
)
def test_levels_begin_where_they_say(similarity: float, level: str | None) -> None:
    assert level_of(similarity) == level


# ------------------------------------------------------------------------------------------------ chains


def test_the_far_end_of_a_chain_is_kept_too() -> None:
    (group,) = settled([Item(name=name) for name in "abc"], rows(NEAR, MIDDLE, FAR))

    assert (group.kept, [one.item for one in group.duplicates], group.also_kept) == (0, [1], (2,))


def test_copies_of_the_far_end_are_its_own_duplicates() -> None:
    first, second = settled([Item(name=name) for name in "abcd"], rows(NEAR, MIDDLE, FAR), [0, 1, 2, 2])

    assert (first.kept, [one.item for one in first.duplicates], first.also_kept) == (0, [1], (2,))
    assert (second.kept, [one.item for one in second.duplicates], second.also_kept) == (2, [3], (0,))


def test_the_middle_of_a_chain_alone_is_kept_where_it_is_best() -> None:
    (group,) = settled([Item(name="a"), Item(name="b", pixels=9), Item(name="c")], rows(NEAR, MIDDLE, FAR))

    assert (group.kept, [one.item for one in group.duplicates], group.also_kept) == (1, [0, 2], ())


def test_one_alone_is_kept_of_a_chain_if_that_is_wished() -> None:
    (group,) = settled([Item(name=name) for name in "abc"], rows(NEAR, MIDDLE, FAR), is_chained=True)

    assert (group.kept, [one.item for one in group.duplicates], group.also_kept) == (0, [1, 2], ())
    assert group.duplicates[1].reason == "near only through others; cosine 0.7660 to a, which comes first by name"
    assert (group.duplicates[1].nearest, group.duplicates[1].nearest_similarity) == (0, 0.95)


@pytest.mark.parametrize("seed", range(10))
def test_every_duplicate_is_near_to_what_is_kept_and_nothing_kept_is_near_to_another(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    vectors = rows(*drawn.uniform(0, np.pi, 40))
    items = [Item(name=str(number), pixels=int(drawn.integers(5))) for number in range(40)]

    groups = settled(items, vectors)

    gone = {one.item for group in groups for one in group.duplicates}
    units = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    kept = [number for number in range(40) if number not in gone]
    among = units[kept] @ units[kept].T - np.eye(len(kept))
    assert all(units[group.kept] @ units[one.item] >= 0.9 for group in groups for one in group.duplicates)
    assert sum(len(group.duplicates) for group in groups) == len(gone)
    assert among.max() < 0.9


@pytest.mark.parametrize("seed", range(20))
def test_equal_directions_are_near_at_a_threshold_of_one(seed: int) -> None:
    vectors = np.tile(np.random.default_rng(seed).standard_normal((1, 30)).astype(np.float32), (2, 1))
    cluster = Cluster(members=[0, 1], contents=[0, 1], nearest=[1, 0], nearest_similarity=[1.0, 1.0], vectors=vectors)

    assert len(settle(cluster, [Item(name="a"), Item(name="b")], (), 1.0)) == 1
