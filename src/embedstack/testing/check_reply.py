"""A reply and the answer that it was written from become a list of what was lost, changed or moved on the way."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import orjson

from embedstack.dialects.dialect import AnyRoute, Wire
from embedstack.types import Answer, Classified, Decoded, Encoded, Floats, Scored, Sparse, Tokenized

CLOSE = 1e-6  # relative, of an activation that the dialect works out itself


def reply_faults(route: AnyRoute, body: object, answer: Answer, wire: Wire) -> Iterator[str]:
    """Sentences about numbers, labels and texts of the answer that the reply does not show as they are."""
    reply = orjson.loads(wire.body)
    match answer:
        case Encoded():
            yield from _encoded_faults(reply, answer, has_client=route.say is not None)
        case Scored():
            yield from _score_faults(reply, answer, is_ranked=not route.keeps_order)
        case Classified():
            yield from _label_faults(reply, answer)
        case Decoded():
            shown = list(_strings(reply))
            yield from (f"the text {text!r} is lost in the reply" for text in answer.texts if text not in shown)
        case Tokenized():
            pass  # some show the pieces, others only count them
    if route.write(body, _another(answer)).body == wire.body:
        yield "another answer has the same reply"


def _another(answer: Answer) -> Answer:
    """The same items, and another answer for each."""
    draw = np.random.default_rng(0)

    def drawn(rows: Floats) -> Floats:
        return draw.standard_normal(rows.shape).astype(np.float32)

    usage = replace(answer.usage, tokens=answer.usage.tokens + 1)
    match answer:
        case Encoded(dense=dense, sparse=sparse, multi=multi, states=states):
            return replace(
                answer,
                dense=None if dense is None else drawn(dense),
                sparse=sparse and tuple(replace(one, weights=one.weights / np.float32(2)) for one in sparse),
                multi=multi and tuple(drawn(one) for one in multi),
                states=states and tuple(drawn(one) for one in states),
            )
        case Scored() | Classified():
            return replace(answer, scores=drawn(answer.scores))
        case Tokenized():
            return replace(answer, items=tuple(pieces[1:] for pieces in answer.items), usage=usage)
        case Decoded():
            return replace(answer, texts=tuple(f"{text}." for text in answer.texts), usage=usage)


# ------------------------------------------------------------------------------------------------ vectors


def _encoded_faults(reply: object, answer: Encoded, *, has_client: bool) -> Iterator[str]:
    """A reply that shows vectors shows all of them; some show what was reckoned from them, and no client hears it."""
    of_tokens = [np.vstack(each) for each in (answer.multi, answer.states) if each]
    groups = [*([] if answer.dense is None else [answer.dense]), *of_tokens]
    widths = {group.shape[1] for group in groups}
    found = [np.array(row, np.float32).tobytes() for row in _lists(reply) if len(row) in widths]
    if (found or has_client) and not _are_shown(groups, found):
        yield "numbers of the answer are lost, changed or moved in the reply"
    numbers = [index for index, _ in _indexed(reply)]
    if found and not answer.sparse and numbers not in ([], list(range(answer.usage.items))):
        yield f"the vectors are numbered {numbers}, not in input order"
    yield from _sparse_faults(reply, answer.sparse or ())


def _are_shown(groups: Sequence[Floats], found: Sequence[bytes]) -> bool:
    """To the last bit of float32, in order, none too many unless all are shown twice."""
    wanted = [[row.tobytes() for row in np.asarray(group, np.float32)] for group in groups]
    count = sum(map(len, wanted))
    return len(found) >= count and len(found) % count == 0 and all(_stand_in_order(rows, found) for rows in wanted)


def _stand_in_order(rows: Sequence[bytes], found: Sequence[bytes]) -> bool:
    left = iter(found)
    return all(row in left for row in rows)


def _sparse_faults(reply: object, sparse: Sequence[Sparse]) -> Iterator[str]:
    weights = Counter(float(weight) for one in sparse for weight in np.asarray(one.weights, np.float32))
    if weights - Counter(float(np.float32(number)) for number in _floats(reply)):
        yield "lexical weights of the answer are lost or changed in the reply"
    if {int(number) for one in sparse for number in one.ids} - set(_whole(reply)):
        yield "token ids of lexical weights are lost in the reply"


# ------------------------------------------------------------------------------------------------ scores


def _score_faults(reply: object, answer: Scored, *, is_ranked: bool) -> Iterator[str]:
    """Beside `index: i` stands the score of text i, or its sigmoid where the dialect's original has that.

    Scores without an index stand in the order of the texts.
    """
    rows = _indexed(reply) or list(enumerate(_floats(reply)))
    numbers = [index for index, _ in rows]
    if sorted(numbers) != list(range(len(answer.scores))):
        yield f"the scores are numbered {numbers}; each text needs its own"
        return
    found = np.array([score for _, score in rows], np.float32)
    if not _are_these(found, answer.scores[numbers]):
        yield "a score does not stand beside the number of its text"
    if is_ranked and _indexed(reply) and (np.diff(found) > 0).any():
        yield "the scores are not ordered, best first"


def _label_faults(reply: object, answer: Classified) -> Iterator[str]:
    """Beside each label stands its score, or what an activation makes of it, item after item."""
    names = answer.spec.label_names
    shown = sorted(_labelled(reply, names), key=lambda pair: names.index(pair[0]))
    by_label = {name: [score for _, score in pairs] for name, pairs in groupby(shown, key=lambda pair: pair[0])}
    if any(len(by_label.get(name, [])) != len(answer.scores) for name in names):
        yield "a label of an item has no score"
    elif not _are_these(np.array([by_label[name] for name in names], np.float32).T, answer.scores):
        yield "a score does not stand beside its label"


def _are_these(found: Floats, scores: Floats) -> bool:
    """The scores themselves, or what a dialect's original makes of logits."""
    exact = scores.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-exact))
    powers = np.exp(exact - exact.max(axis=-1, keepdims=True))
    made = (sigmoid, powers / powers.sum(axis=-1, keepdims=True))
    return np.array_equal(found, scores) or any(np.allclose(found, one, rtol=CLOSE, atol=1e-12) for one in made)


# ------------------------------------------------------------------------------------------------ what JSON holds


def _indexed(value: object) -> list[tuple[int, float]]:
    """Every object with an `index`, with the first float in it."""
    if isinstance(value, list):
        return [pair for one in value for pair in _indexed(one)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("index"), int):
        return [(value["index"], next(_floats(value), np.nan))]
    return [pair for one in value.values() for pair in _indexed(one)]


def _labelled(value: object, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Every object that holds a label and a float, and every float under a label as its key."""
    if isinstance(value, list):
        for one in value:
            yield from _labelled(one, names)
    elif isinstance(value, dict):
        label = next((one for one in value.values() if isinstance(one, str) and one in names), None)
        if label is not None:
            yield label, next(_floats(value), np.nan)
            return
        for name, one in value.items():
            yield from [(name, one)] if name in names and isinstance(one, float) else _labelled(one, names)


def _lists(value: object) -> Iterator[list[float]]:
    """Every list of nothing but numbers."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        if value and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
            yield value
        else:
            for one in value:
                yield from _lists(one)


def _floats(value: object) -> Iterator[float]:
    return (one for one in _leaves(value) if isinstance(one, float))


def _strings(value: object) -> Iterator[str]:
    return (one for one in _leaves(value) if isinstance(one, str))


def _whole(value: object) -> Iterator[int]:
    """Whole numbers, also those that are keys of objects and so are written as strings."""
    for one in _leaves(value, with_keys=True):
        if isinstance(one, int):
            yield one
        elif isinstance(one, str) and one.isdecimal():
            yield int(one)


def _leaves(value: object, *, with_keys: bool = False) -> Iterator[object]:
    if isinstance(value, dict):
        value = [*(value if with_keys else ()), *value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one, with_keys=with_keys)
    else:
        yield value
