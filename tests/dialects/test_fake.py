"""The fake encoder answers as the engine does."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from embedstack.errors import BadRequest, Unsupported
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from embedstack.types import (
    Classify,
    Decode,
    Encode,
    Encoder,
    Image,
    Item,
    Link,
    Pair,
    Score,
    Span,
    Text,
    Tokenize,
    Tokens,
)


@pytest.mark.parametrize(("dim", "width"), [(None, 32), (8, 8)])
def test_no_items_are_no_rows_of_the_right_width(dim, width):
    answer = asyncio.run(HashEncoder().encode(Encode(model="hash", items=(), dim=dim)))

    assert (answer.dense.shape, answer.dense.dtype) == ((0, width), "float32")
    assert answer.usage.items == 0


def test_no_pairs_are_no_scores():
    answer = asyncio.run(HashEncoder().score(Score(model="overlap", items=())))

    assert answer.scores.shape == (0,)


def test_the_role_none_is_known():
    texts = tuple(Text("a", role) for role in ("none", "none", "query"))
    dense = asyncio.run(HashEncoder().encode(Encode(model="hash", items=texts))).dense

    assert (dense[0] == dense[1]).all()
    assert not (dense[0] == dense[2]).all()


def test_a_model_without_an_activation_gives_logits():
    pairs = (Pair("a cat", "a cat"),)
    plain, bare = overlap_spec(), replace(overlap_spec("bare"), score_activation="identity")
    fake = HashEncoder([plain, bare])
    asked = [Score(model="overlap", items=pairs, raw_scores=True), Score(model="bare", items=pairs)]

    raw, given = [asyncio.run(fake.score(request)).scores[0] for request in asked]
    assert raw == given > 1


# ------------------------------------------------------------------------------------------------ labels


def test_a_label_that_is_in_the_text_has_the_largest_score():
    fake = HashEncoder([labels_spec()])
    items = (Text("a sad day"), Text("Glad to see you"), Pair("sad", "calm water"))

    made = asyncio.run(fake.classify(Classify(model="labels", items=items)))

    assert [made.spec.label_names[best] for best in made.scores.argmax(axis=1)] == ["sad", "glad", "calm"]
    assert made.scores.sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_classifier_gives_logits_where_they_are_asked_for():
    fake = HashEncoder([labels_spec()])

    made = asyncio.run(fake.classify(Classify(model="labels", items=(Text("sad"),), raw_scores=True)))

    assert made.scores.max() == 4.0


def test_an_embedding_model_has_no_labels():
    with pytest.raises(Unsupported, match="'hash' is made for the task 'embed'"):
        asyncio.run(HashEncoder().classify(Classify(model="hash", items=(Text("a"),))))


# ------------------------------------------------------------------------------------------------ tokens


def shown(text: str, **change):
    return asyncio.run(HashEncoder().tokens(Tokenize(model="hash", items=(Text(text),), **change)))


def test_words_are_tokens_with_their_places():
    special, *words = shown("a  cat\nsat").items[0]

    assert (special.id, special.text, special.special, special.start, special.stop) == (0, "<s>", True, None, None)
    assert [(p.text, p.start, p.stop, p.special) for p in words] == [
        ("a", 0, 1, False),
        ("cat", 3, 6, False),
        ("sat", 7, 10, False),
    ]


@pytest.mark.parametrize(("truncate", "cut"), [("right", ["c"]), ("refuse", ["c"]), ("left", ["a"])])
def test_words_over_the_limit_are_marked(truncate, cut):
    made = shown("a b c", max_tokens=2, truncate=truncate, special_tokens=False)

    assert [p.text for p in made.items[0] if p.is_cut] == cut
    assert (made.usage.tokens, made.usage.dropped, made.usage.truncated) == (2, 1, 1)


def test_a_text_of_numbers_comes_back():
    (pieces,) = shown("17 4 999").items
    ids = Tokens(tuple(p.id for p in pieces))

    texts = [
        asyncio.run(HashEncoder().decode(Decode(model="hash", items=(ids,), skip_special_tokens=skip))).texts
        for skip in (True, False)
    ]

    assert texts == [("17 4 999",), ("<s> 17 4 999",)]


def test_an_id_outside_the_vocabulary_has_no_text():
    with pytest.raises(BadRequest, match=r"outside 0\.\.999"):
        asyncio.run(HashEncoder().decode(Decode(model="hash", items=(Tokens((1000,)),))))


# ------------------------------------------------------------------------------------------------ pictures, outputs


def encoded(spec, *items: Item, **change):
    return asyncio.run(HashEncoder([spec]).encode(Encode(model=spec.name, items=items, **change)))


def test_a_picture_has_a_vector_where_the_model_takes_images():
    spec = hash_spec(inputs=("text", "image"))

    one, same, other, text = encoded(spec, Image(b"1"), Image(b"1"), Image(b"2"), Text("1")).dense

    assert (one == same).all()
    assert not (one == other).all()
    assert not (one == text).all()


@pytest.mark.parametrize(
    ("item", "message"), [(Image(b"1"), "item 0 is an image"), (Link("https://example.org/a"), "item 0 is a link")]
)
def test_a_picture_is_refused_where_it_does_not(item, message):
    with pytest.raises(Unsupported, match=message):
        encoded(hash_spec(), item)


def test_sparse_and_multi_are_there_where_the_spec_has_them():
    spec = hash_spec(outputs=("dense", "sparse", "multi"))

    made = encoded(spec, Text("a cat a"), Text("dog"), outputs=frozenset({"sparse", "multi"}))

    assert made.dense is None
    assert [len(row.ids) for row in made.sparse] == [2, 1]
    assert all((row.weights > 0).all() and (row.ids[1:] > row.ids[:-1]).all() for row in made.sparse)
    assert [row.shape for row in made.multi] == [(3, 32), (1, 32)]
    assert (made.multi[0][0] == made.multi[0][2]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": frozenset({"sparse"})}, "has no sparse vectors"),
        ({"late_chunking": True, "items": (Text("a"), Tokens((1,)))}, "send texts alone"),
    ],
)
def test_what_the_spec_lacks_is_refused(change, message):
    with pytest.raises(Unsupported, match=message):
        asyncio.run(HashEncoder([hash_spec()]).encode(Encode(**{"model": "hash", "items": (Text("a"),), **change})))


def test_a_late_chunk_depends_on_those_around_it_and_says_where_it_stands():
    alone, other = (encoded(hash_spec(), *map(Text, texts), late_chunking=True) for texts in (["a"], ["a", "b c"]))

    assert not np.array_equal(alone.dense[0], other.dense[0])
    assert other.spans == (Span(0, 0, 1), Span(1, 1, 3))
    assert alone.fingerprint != encoded(hash_spec(), Text("a")).fingerprint


def test_it_is_an_encoder():
    encoder: Encoder = HashEncoder()

    assert [spec.name for spec in encoder.models()] == ["hash", "overlap"]
