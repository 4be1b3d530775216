"""What holds for every dialect in the table."""

from dataclasses import replace

import pytest

from embedstack.dialects import DIALECTS, open_dialect, open_dialects
from embedstack.dialects.dialect import Wire
from embedstack.dialects.openai import OpenAI
from embedstack.errors import ConfigError
from embedstack.testing.check_dialect import check_dialect


@pytest.mark.parametrize("name", DIALECTS)
def test_the_dialect_keeps_the_contract(name):
    assert check_dialect(open_dialect(name)) == []


def test_a_dialect_is_called_by_its_name_in_the_table():
    assert [dialect.name for dialect in open_dialects()] == list(DIALECTS)


def test_an_unknown_dialect_is_refused_with_the_known():
    with pytest.raises(ConfigError, match="openai, tei, model-worker"):
        open_dialect("cohere")


def test_the_contract_sees_a_reply_that_loses_vectors():
    dialect = OpenAI()
    route = dialect.routes[0]
    dialect.routes = (replace(route, write=lambda body, answer: route.write(body, replace_dense(answer))),)

    assert any("lost or changed" in fault for fault in check_dialect(dialect))


def replace_dense(answer):
    return replace(answer, dense=answer.dense[::-1] * 2)


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
