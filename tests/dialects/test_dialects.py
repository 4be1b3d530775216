"""What holds for every dialect in the table."""

import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects import DIALECTS, open_dialect, open_dialects
from embedstack.dialects.dialect import Wire
from embedstack.dialects.modelworker import ModelWorker
from embedstack.dialects.openai import OpenAI
from embedstack.dialects.tei import Tei
from embedstack.errors import ConfigError
from embedstack.testing.check_dialect import check_dialect
from embedstack.types import Encode


@pytest.mark.parametrize("name", DIALECTS)
def test_the_dialect_keeps_the_contract(name):
    assert check_dialect(open_dialect(name)) == []


def test_a_dialect_is_called_by_its_name_in_the_table():
    assert [dialect.name for dialect in open_dialects()] == list(DIALECTS)


def test_an_unknown_dialect_is_refused_with_the_known():
    with pytest.raises(ConfigError, match="openai, tei, "):
        open_dialect("smoke signals")


def test_the_contract_sees_a_reply_that_loses_vectors():
    assert any("lost, changed or moved" in fault for fault in check_dialect(with_dense(lambda dense: dense[:1])))


def with_dense(change):
    """A dialect that writes other vectors than it was given."""
    dialect = OpenAI()
    route = dialect.routes[0]

    def write(body, answer):
        return route.write(body, replace(answer, dense=change(answer.dense)))

    dialect.routes = (replace(route, write=write),)
    return dialect


def test_the_contract_sees_a_reply_that_reverses_the_vectors():
    assert any("moved" in fault for fault in check_dialect(with_dense(lambda dense: dense[::-1])))


def test_the_contract_sees_a_vector_that_is_off_by_a_bit():
    assert any("changed" in fault for fault in check_dialect(with_dense(lambda dense: np.nextafter(dense, 2))))


def with_ranks(change):
    """A dialect that writes other ranks than the scores give."""
    dialect = Tei()
    route = dialect.routes[1]

    def write(body, answer):
        wire = route.write(body, answer)
        return replace(wire, body=json.dumps(change(json.loads(wire.body))).encode())

    dialect.routes = (replace(route, write=write),)
    return dialect


def test_the_contract_sees_a_rank_in_place_of_the_index():
    dialect = with_ranks(lambda ranks: [{**row, "index": rank} for rank, row in enumerate(ranks)])

    assert any("beside the number of its text" in fault for fault in check_dialect(dialect))


def test_the_contract_sees_scores_out_of_order():
    assert any("best first" in fault for fault in check_dialect(with_ranks(lambda ranks: ranks[::-1])))


def test_the_contract_sees_a_text_without_a_score():
    assert any("needs its own" in fault for fault in check_dialect(with_ranks(lambda ranks: ranks[:1])))


@pytest.mark.parametrize(
    ("texts", "said"), [(["rain falls"], "give it two"), (["a cat is", "rain falls"], "put it elsewhere")]
)
def test_the_contract_wants_an_example_that_could_show_a_wrong_order(texts, said):
    dialect = Tei()
    route = dialect.routes[1]
    dialect.routes = (replace(route, example=route.body(query="what is a cat?", texts=texts)),)

    assert any(said in fault for fault in check_dialect(dialect))


def test_the_contract_sees_a_reply_of_another_shape():
    dialect = OpenAI()
    dialect.routes = (replace(dialect.routes[0], write=lambda body, answer: Wire(200, b"[]")),)

    assert any("declared shape" in fault for fault in check_dialect(dialect))


def test_the_contract_sees_an_error_without_its_message():
    dialect = OpenAI()
    dialect.fail = lambda error: Wire(error.status, b'{"error":{"message":"","type":"","param":null,"code":null}}')

    assert any("loses its message" in fault for fault in check_dialect(dialect))


def test_the_contract_sees_a_route_that_accepts_too_many():
    dialect = OpenAI()
    route = dialect.routes[0]
    dialect.routes = (
        replace(route, ask=lambda body, limits, models: route.ask(body, replace(limits, max_items=99), models)),
    )

    assert any("is accepted" in fault for fault in check_dialect(dialect))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"takes_none": False}, "is accepted"),
        ({"ask": lambda body, limits, models: Encode(model="hash", items=())}, "is given to a model"),
        ({"write": lambda body, answer: Wire(204, b"{}")}, "the reply to an empty list has status 204"),
    ],
)
def test_the_contract_sees_what_becomes_of_an_empty_list(change, said):
    dialect = ModelWorker()
    route = next(route for route in dialect.routes if route.takes_none)

    def only_without_items(name, changed):
        own = getattr(route, name)
        return lambda body, *more: own(body, *more) if body.items else changed(body, *more)

    changes = {name: only_without_items(name, one) if callable(one) else one for name, one in change.items()}
    dialect.routes = (replace(route, **changes),)

    assert any(said in fault for fault in check_dialect(dialect))
