"""Databases that are running, and an encoder -> what a search takes in each of them, in each way, by stage."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from embedstack.types import Encode, Encoded, Encoder, Text
from searching_places import NAME, Place, fill
from searching_points import Drawn, distinct_questions, drawn
from searching_ways import ask_all, opened


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    points: int
    questions: int  # different ones
    samples: int  # of each way to ask
    slow_samples: int  # of one that is slow


def searched(
    running: Sequence[Place], encoder: Encoder, sizes: Sizes, say: Callable[[str], None] = lambda what: None
) -> dict[str, object]:
    """What every way took, over collections that are filled at the same time, since that is not what is measured.

    Args:
        running: the first one compares every point; what the others find is held against it.
        encoder: with one model.
        say: takes a line for who waits.
    """
    questions = distinct_questions(sizes.questions)
    made = read(questions, encoder)
    assert made.dense is not None
    points = drawn(sizes.points, made.dense)
    say(f"{sizes.points} points are drawn")
    with ThreadPoolExecutor(len(running)) as threads:
        filled_s = list(threads.map(partial(fill, points=points, made=made), running))
    say("the collections are filled")
    with opened(running, NAME, encoder) as ways:
        ask_all(ways, questions, sizes.samples, sizes.slow_samples)
    say("all questions are answered")
    exact = {way.kind: way for way in ways if way.database == running[0].name}
    return {
        "model": made.spec.name,
        "words": lexical(questions, points),
        "about": {place.name: place.about for place in running},
        "filled_s": {place.name: round(took_s, 1) for place, took_s in zip(running, filled_s, strict=True)},
        "ways": [way.told(exact[way.kind]) for way in ways],
    }


def read(questions: Sequence[str], encoder: Encoder) -> Encoded:
    """As the searches read them later."""
    (spec,) = encoder.models()
    items = tuple(Text(question, "query") for question in questions)
    return asyncio.run(encoder.encode(Encode(model=spec.name, items=items)))


def lexical(questions: Sequence[str], points: Drawn) -> dict[str, float]:
    """On which BM25's cost depends."""
    having = Counter(np.concatenate([one.ids for one in points.weights]).tolist())
    asked = [points.bm25.query(question).ids.tolist() for question in questions]
    share = [having[term] / len(points.texts) for one in asked for term in one]
    return {
        "terms": len(having),
        "terms_of_a_point": round(float(np.mean([len(one.ids) for one in points.weights])), 1),
        "terms_of_a_question": round(float(np.mean([len(one) for one in asked])), 1),
        "share_with_a_questions_term": round(float(np.median(share)), 4),
    }
