"""What an error says -> which of the stated refusals it is, and why a body that fits the description may get it.

A schema says what a body looks like. Which models are served, how many numbers their vectors have, what a link leads to
and what two fields mean together it cannot say. A refusal of a body that fits, in other words than these, is a fault.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind: the words, and why it is no fault."""

    pattern: str
    why: str


REFUSALS: Mapping[str, Refusal] = {
    "no key": Refusal(
        r"a key is needed here|the key that came|nobody may do this here",
        "the key is part of the request and not of the body; these requests have none, a wrong one, or not the admin's",
    ),
    "the model": Refusal(
        r"no model (for|with) |model .* (is not served here|is made for|has no)|model is not an? |"
        r"no (model|reranker) for (audio|images|PDF)|is for \w+, not for \w+",
        "which models a server has, and what they read, no schema can say; the reply names those that do",
    ),
    "several models are served": Refusal(
        r"several models are served", "no tokeniser stands out where there are several; the reply names them"
    ),
    "another collection or field": Refusal(
        r"collection .* (is not served|has no field)|no collection", "which collections there are, no schema can say"
    ),
    "the model's widths": Refusal(
        r"was not trained for -?\d+ dimensions|has no vectors of width", "each model has widths of its own"
    ),
    "the model's prompts": Refusal(
        r"prompt_name|role .* is unknown|prompts are|(task|input_type) .* (is unknown to|has no prompt in|differ)",
        "each model has prompts of its own; another one would give other vectors",
    ),
    "token ids": Refusal(r"token id", "each vocabulary has so many ids, and no more"),
    "the server's limits": Refusal(r"the limit is \d+|over the limit", "limits are settings, or sums over the body"),
    "an empty list or text": Refusal(
        r"is empty|is an empty list|holds 0 texts|has 0 parts|asks for nothing",
        "nothing has no vector; the originals of these dialects refuse it and do not describe it either",
    ),
    "an image": Refusal(
        r"^(\w+ \d+: )?(an? (image|data URL)|image \d+) |"
        r"links to images are not followed|it is not (asked|followed)$",
        "a string is a picture, a link that may be followed, or neither; only who opens it knows",
    ),
    "another kind of item": Refusal(
        r"mixes|neither a text nor an image|has no (text|field)",
        "the originals' shapes leave all kinds of items open; one request is of one kind, and each item has something",
    ),
    "several parts, or none": Refusal(
        r"send one of: texts, images|send one, or the two of a pair|has \d+ parts|a picture in options is for the type",
        "which of the optional fields must be there depends on the others",
    ),
    "a number that no float or 64 bits hold": Refusal(
        r"(Number|Integer value) out of range", "JSON has numbers of any size (RFC 8259, section 6)"
    ),
    "two vectors that do not fit": Refusal(r"embedding1 has|embedding\d", "no schema compares two lengths"),
    "candidates fewer than wanted": Refusal(r"depth=\d+ candidates", "no schema compares two numbers"),
    "what a job's type needs": Refusal(
        r"^input\.\w+ is missing", "the type of a job decides which of the optional fields must be there"
    ),
    "what a job holds": Refusal(
        r"^(Invalid OpenAI Route: |Missing input$|No (texts|query) provided$|openai_input: )",
        "a job holds another request, which its own schema judges; the words are the original's",
    ),
    "sentences of another text": Refusal(
        r"^sentence_texts \d+ (is not in the text|stands only where others stand)", "no schema looks into a text"
    ),
    "compressed": Refusal(r"the body is compressed", "a content-encoding is a header; RFC 9110, section 15.5.16"),
    "an option that is not served": Refusal(
        r"is not served|are not shown|leave \w+ out|is not available",
        "the original has this option and a client may send it; to overlook it would change the result silently",
    ),
}
LATE = "the caller's own time"
WHY_LATE = "x-embedstack-timeout-s is shorter than the work: 504 is what it asks for"
"""By name, as counts have it."""


def stated(said: str) -> str | None:
    """Which of them the words are."""
    return next((name for name, one in REFUSALS.items() if re.search(one.pattern, said, re.DOTALL)), None)


def why(name: str) -> str:
    """That it is no fault."""
    return WHY_LATE if name == LATE else REFUSALS[name].why
