"""A database becomes a list of broken promises about `Where`: which points are meant."""

from collections.abc import Iterator, Mapping

from embedstack.databases.database import Condition, Field, Index, Json, Query, Where, order_of
from embedstack.testing.promises import DIM, Part, Trial, Value, differs, points, rows

HARD_WORD = 'it\'s "100%" _é\\'
PAYLOADS: tuple[Mapping[str, Json], ...] = (
    {"colour": "red"}, {"colour": "blue"}, {"colour": ["red", "green"]}, {"colour": []}, {"colour": None}, {},
    {"colour": "Red"}, {"colour": ""}, {"colour": HARD_WORD}, {"colour": "red "}, {"colour": {"red": 1}},
    {"colour": 1, "count": 1}, {"count": "1"}, {"count": True}, {"count": 0}, {"count": False}, {"count": [2, 7]},
    {"count": 2.5}, {"count": -3}, {"count": 2**53}, {"count": 2**53 + 1}, {"count": ["x", 3, True]}, {"count": None},
    {"count": 3, "colour": "red"}, {"author": {"name": "ada", "age": 36}}, {"author": "ada"}, {"name": "ada"},
    {"author": {"name": ["bob", "ada"], "age": 20.5}}, {"author": {"name": None}}, {"author": {"at": {"no": 7}}},
    {"a b": 1}, {"größe": "x"}, {"it's": 'a"b'}, {"author": {"name": ""}},
)  # fmt: skip
"""Types that look alike, lists, things that are not there, and what a language in between would have to escape."""


def _is(key: str, *values: str | int | bool) -> Condition:
    return Condition(key=key, values=values)


def _all(*conditions: Condition) -> Where:
    return Where(all=conditions)


def _none(*conditions: Condition) -> Where:
    return Where(none=conditions)


AT_LEAST_2, UP_TO_2_5 = Condition(key="count", least=2), Condition(key="count", most=2.5)
WHERES: tuple[Where, ...] = (
    Where(), _all(_is("colour", "red")), _all(_is("colour", "red", "blue")), _all(_is("colour", "green")),
    _all(_is("colour", "")), _all(_is("colour", HARD_WORD)), _all(_is("colour", "nothing")), _all(_is("colour")),
    _all(_is("count", 1)), _all(_is("count", "1")), _all(_is("count", True)), _all(_is("count", False)),
    _all(_is("count", 0)), _all(_is("count", 1, "1", True)), _all(_is("count", 7)), _all(_is("count", 2**53 + 1)),
    _all(AT_LEAST_2), _all(UP_TO_2_5), _all(Condition(key="count", least=2.5, most=2.5)),
    _all(Condition(key="count", least=3, most=6)), _all(Condition(key="count", values=(1, 3), least=2)),
    _all(Condition(key="count", least=-3, most=0)), _all(Condition(key="colour", least=0)),
    _all(_is("author.name", "ada")), _all(_is("author.at.no", 7)), _all(_is("author", "ada")),
    _all(Condition(key="author.age", least=20.5, most=36)), _all(_is("author.name.first", "ada")),
    _all(_is("a b", 1)), _all(_is("größe", "x")), _all(_is("it's", 'a"b')),
    _all(_is("colour", "red"), AT_LEAST_2), _all(_is("colour", "red"), _is("colour", "green")),
    _none(_is("colour", "red")), _none(_is("nothing", "x")), _none(_is("colour", "red"), AT_LEAST_2),
    _none(UP_TO_2_5), _none(_is("author.name", "ada")), _none(_is("colour")),
    Where(all=(_is("colour", "red", "blue"),), none=(_is("colour", "green"), _is("count", 3))),
)  # fmt: skip
INDEXES = {
    "colour": Index(), "count": Index(kind="float"), "author.name": Index(is_tenant=True),
    "author.age": Index(kind="float"), "größe": Index(), "it's": Index(),
}  # fmt: skip


def _means(trial: Trial) -> Iterator[str]:
    """Every form of Where, read and asked, without an index and with one for each of its keys."""
    for indexes in ({}, INDEXES):
        name = trial.make({"": Field(dim=DIM)}, of=f"indexes-{len(indexes)}", indexes=indexes)
        trial.database.write(name, points(range(len(PAYLOADS)), {"": rows(len(PAYLOADS))}, PAYLOADS))
        for where in WHERES:
            wanted = [place for place, payload in enumerate(PAYLOADS) if _fits(where, payload)]
            page = trial.database.read(name, where=where, limit=1000, payload=False)
            found = trial.database.query(name, Query(vector=rows(1)[0], limit=1000, where=where))
            for what, given in (("read", page.points), ("query", found)):
                ids = sorted((point.id for point in given), key=order_of)
                yield from differs(f"{what} with {len(indexes)} indexes where {_said(where)}", ids, wanted)


def _said(where: Where) -> str:
    return " and ".join([*map(repr, where.all), *(f"not {condition!r}" for condition in where.none)]) or "anything"


def _fits(where: Where, payload: Mapping[str, Json]) -> bool:
    return all(_holds(one, payload) for one in where.all) and not any(_holds(one, payload) for one in where.none)


def _holds(condition: Condition, payload: Mapping[str, Json]) -> bool:
    value: Value = payload
    for key in condition.key.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return any(_is_meant(condition, one) for one in (value if isinstance(value, list) else [value]))


def _is_meant(condition: Condition, value: Value) -> bool:
    if condition.values is not None and not any(type(value) is type(one) and value == one for one in condition.values):
        return False
    if condition.least is None and condition.most is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (condition.least is None or value >= condition.least) and (condition.most is None or value <= condition.most)


PARTS: tuple[Part, ...] = (_means,)
