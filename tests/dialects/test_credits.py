"""KripTik's price list."""

import pytest

from embedstack.dialects.credits import cost, shares
from embedstack.testing.fake import hash_spec


@pytest.mark.parametrize(
    ("name", "tokens", "pictures", "price"),
    [
        ("BAAI/bge-m3", 2000, 0, 0.02),
        ("bge-m3", 1000, 0, 0.01),
        ("voyage-code-3", 1000, 0, 0.12),
        ("google/siglip-so400m-patch14-384", 0, 3, 0.15),
        ("google/siglip2-base-patch16-224", 1000, 0, 0.01),
    ],
)
def test_a_model_of_the_list_costs_its_price(name, tokens, pictures, price):
    assert cost(hash_spec(name), tokens, pictures) == pytest.approx(price)


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "bge-m3x", "BAAI/bge-small-en-v1.5"])
def test_a_model_that_the_list_does_not_name_costs_nothing(name):
    assert cost(hash_spec(name), 1_000_000) == 0


@pytest.mark.parametrize(
    ("total", "sizes", "parts"),
    [(10, [1, 1], [5, 5]), (10, [1, 2], [3, 7]), (3, [1, 1, 1, 1], [0, 1, 1, 1]), (5, [0, 0], [0, 5]), (7, [3], [7])],
)
def test_parts_make_up_the_total(total, sizes, parts):
    assert shares(total, sizes) == parts
    assert sum(parts) == total
