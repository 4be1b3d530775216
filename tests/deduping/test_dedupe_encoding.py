"""Contents become vectors: texts of any length whole, and one that is refused leaves the others alone."""

import numpy as np
import pytest

from embedstack.deduping.encoding import Encoding
from embedstack.errors import BadRequest
from embedstack.model import Model
from embedstack.testing.fake import WordRuler
from embedstack.types import Encode, Encoded, Floats, Image
from support.doubled import WORDS, Remembering, encoding


def words(first: int, last: int) -> str:
    return " ".join(f"w{number}" for number in range(first, last))


def vector(text: str) -> Floats:
    return np.asarray(Model(Remembering()).encode(text))[0]


def test_a_short_text_has_the_models_own_vector() -> None:
    (made,) = encoding().encode(["one bird"])

    assert np.array_equal(made, vector("one bird"))


def test_a_long_text_has_the_mean_of_its_windows_by_their_tokens() -> None:
    model = Remembering()
    (made,) = encoding(model).encode([words(0, 40)])

    windows = [item.text for item in model.given]
    assert " ".join(" ".join(windows).split()) == words(0, 40)
    assert max(len(window.split()) for window in windows) <= WORDS
    wanted = sum(len(window.split()) * vector(window) for window in windows) / 40
    assert np.allclose(made, wanted, atol=1e-6)


def test_long_texts_that_only_begin_alike_have_other_vectors() -> None:
    one, other = encoding().encode([words(0, 40), f"{words(0, 39)} end"])

    assert not np.allclose(one, other, atol=1e-3)


def test_pictures_have_vectors_beside_each_other_in_order() -> None:
    pictures = [Image(bytes([number])) for number in range(40)]

    made = encoding().encode(pictures)

    assert np.array_equal(np.stack(made), np.asarray(Model(Remembering()).encode(pictures)))


class Picky(Remembering):
    """Refuses a request as a whole for one picture in it, as engines do."""

    async def encode(self, request: Encode) -> Encoded:
        if Image(b"bad") in request.items:
            raise BadRequest(f"image {request.items.index(Image(b'bad'))} cannot be decoded; send another")
        return await super().encode(request)


def test_one_that_is_refused_leaves_the_others_their_vectors() -> None:
    pictures = [Image(bytes([number])) for number in range(20)]
    made = encoding(Picky()).encode([*pictures[:7], Image(b"bad"), *pictures[7:]])

    assert made[7] == "it cannot be decoded; send another"
    assert np.array_equal(np.stack([*made[:7], *made[8:]]), np.stack(encoding().encode(pictures)))


def test_a_text_that_is_refused_has_the_reason_and_not_its_place() -> None:
    made = Encoding(Model(Remembering(max_text_chars=10)), WordRuler(WORDS)).encode(["a", "b" * 20, " \n"])

    assert not isinstance(made[0], str)
    assert isinstance(made[1], str)
    assert "20" in made[1]
    assert "text 0" not in made[1]
    assert isinstance(made[2], str)
    assert "nothing but white space" in made[2]


def test_who_made_the_vectors_is_known_once_there_are_some() -> None:
    made = encoding()
    assert made.made is None

    made.encode(["one bird"])

    assert made.made is not None
    assert (made.made.model, len(made.made.fingerprint)) == ("hash", 32)


@pytest.mark.parametrize("contents", [[], ["one"]])
def test_there_are_as_many_vectors_as_contents(contents: list[str]) -> None:
    assert len(encoding().encode(contents)) == len(contents)
