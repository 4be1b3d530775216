"""A page's text -> whether the tree of it can be held, before a parser builds one.

A tag that styles words and is left open is opened again in every paragraph that follows, as the standard wants it
(https://html.spec.whatwg.org/multipage/parsing.html#reconstruct-the-active-formatting-elements): 33 kB of such tags
take 1 GB. And each tag looks through those that it stands in, so a page nested without end takes minutes.
"""

import re
from collections import Counter

from embedstack.documents.document import Unfit

MOST_TAGS = 1 << 21  # beginnings and ends; more are not even looked at
MOST_ELEMENTS = 1 << 20  # of some 250 bytes each with their texts; pages of 16 MB have about half as many
DEEPEST = 2000  # browsers stop at 512
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
STYLES = frozenset({"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"})
HOLDS_NOTHING = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
ENDS_BY_ITSELF = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "rp", "rt"})
NO_DEPTH = HOLDS_NOTHING | ENDS_BY_ITSELF


def check_effort(html: str) -> None:
    """
    Raises:
        Unfit: it has too many tags, is nested too deeply, or leaves too many open.
    """
    tags = html.count("<")
    if tags > MOST_TAGS:
        raise Unfit("too_large", f"the page has {tags} tags, the limit is {MOST_TAGS}; split it before the job")
    opened: Counter[str] = Counter()
    depth = styles = elements = 0
    for tag in TAG.finditer(html):
        slash, name = tag[1], tag[2].lower()
        if not slash:
            elements += 1 + styles
        if name in NO_DEPTH or (slash and not opened[name]):
            continue
        step = -1 if slash else 1
        opened[name] += step
        depth += step
        styles += step * (name in STYLES)
        if depth > DEEPEST:
            raise Unfit("too_large", f"the page has more than {DEEPEST} elements in each other; mend it before the job")
    if elements > MOST_ELEMENTS:
        raise Unfit("too_large", f"the page would become {elements} elements, the limit is {MOST_ELEMENTS}; split it")
