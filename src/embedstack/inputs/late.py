"""Parts of one text -> the text in windows that a model can read, and which of their tokens each part is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from embedstack.errors import BadRequest, TooLong
from embedstack.inputs.checks import check_text
from embedstack.inputs.text import TextInput
from embedstack.modelspec import Truncate
from embedstack.types import Encoding, Floats, Piece, Span, Text

# neighbours share at least this part of a window, so each token sees an eighth of one to either side; where windows
# become others, the number of `late_chunking` in `ModelSpec.fingerprint` is raised
OVERLAP = 4
HELD_BYTES = 64 << 20  # of the states of one text that are in memory at once; one window at least
STATE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Window:
    """Places of the text's own tokens: those that are read together, and those whose states are taken from here."""

    start: int
    stop: int
    first: int
    last: int  # the one after the last


@dataclass(frozen=True, slots=True)
class Joined:
    """One text as the graph reads it.

    Args:
        encodings: one for each window; what stands before the text (special tokens, prompt) and behind it is in each.
        before: tokens in front.
        spans: of the parts, in their order.
    """

    encodings: tuple[Encoding, ...]
    windows: tuple[Window, ...]
    before: int
    spans: tuple[Span, ...]

    def groups(self, hidden: int) -> list[slice]:
        """The windows in order, so many at a time as may have their states in memory."""
        size = max(1, HELD_BYTES // (STATE_BYTES * hidden * self.encodings[0].cost))
        return [slice(first, first + size) for first in range(0, len(self.windows), size)]


class Means:
    """The mean of each part's tokens, summed in float64 window by window, so that no states have to be kept."""

    def __init__(self, joined: Joined, hidden: int) -> None:
        self._before = joined.before
        self._starts = np.array([span.start for span in joined.spans]) - joined.before
        self._counts = np.array([span.stop - span.start for span in joined.spans])
        self._sums = np.zeros((len(joined.spans), hidden))

    def add(self, windows: Sequence[Window], states: Sequence[Floats]) -> None:
        """Windows, with the states of each: (tokens, hidden)."""
        for window, rows in zip(windows, states, strict=True):
            at = self._before - window.start
            own = rows[at + window.first : at + window.last].astype(np.float64)
            part = int(np.searchsorted(self._starts, window.first, "right")) - 1
            end = int(np.searchsorted(self._starts, window.last))
            self._sums[part:end] += np.add.reduceat(own, np.maximum(self._starts[part:end] - window.first, 0))

    def rows(self) -> Floats:
        """(parts, hidden), once all windows are there."""
        return np.asarray(self._sums / self._counts[:, None], np.float32)


def join(text: TextInput, items: Sequence[Text], max_tokens: int | None, truncate: Truncate, *, vocab: int) -> Joined:
    """Read the parts as one text, joined by nothing but what stands in them.

    A token that lies in two parts belongs to the one that holds its first character which is no white space; one of
    white space alone to the one that it begins in, or with the word that it begins. A text over the limit is read in
    windows of the limit's size; the states of a token come from the window in which it stands farthest from an end.

    Args:
        items: at least one, all of one role.
        max_tokens: as for `TextInput.encode`: of a window here.
        truncate: what is over the limit is refused or read in windows; nothing is cut.
    Raises:
        BadRequest: an empty part, or one without a token; and as `TextInput.encode`.
        TooLong: over the limit and `truncate` is refuse; or over `max_text_chars` together in any case.
    """
    roles = sorted({item.role for item in items})
    if len(roles) > 1:
        raise BadRequest(f"the parts of one text have one role, not {' and '.join(map(repr, roles))}; send one of them")
    for place, item in enumerate(items):
        check_text(item.text, f"text {place}", text.max_text_chars)
    whole = Text("".join(item.text for item in items), roles[0])
    check_text(whole.text, "the text that the parts make together", text.max_text_chars)
    if text.prompts.begin(whole.text):  # the other windows would be without
        raise BadRequest("text 0 begins with a prompt, which goes before each window; leave it out and send its role")
    text.prompts.require(whole, 0)
    (pieces,) = text.pieces([whole], max_tokens, truncate)
    before, own, after = _framed(pieces)
    if any(piece.id >= vocab for piece in pieces):
        raise BadRequest(f"a token of the text has an id outside 0..{vocab - 1}, the model's vocabulary; leave it out")
    kept = sum(not piece.is_cut for piece in pieces)
    if truncate == "refuse" and kept < len(pieces):
        raise TooLong(
            f"the parts have {len(pieces)} tokens together, the limit is {kept}; send truncate=true, and they are read "
            "in overlapping windows, or send fewer"
        )
    windows = windows_of(len(own), kept - len(before) - len(after))
    if not windows:
        raise BadRequest(f"max_tokens leaves no room for a text behind the {len(before)} tokens before it; raise it")
    ids = [np.array([p.id for p in (*before, *own[w.start : w.stop], *after)], np.int32) for w in windows]
    return Joined(tuple(map(Encoding, ids)), windows, len(before), _spans(items, own, len(before)))


def windows_of(tokens: int, room: int) -> tuple[Window, ...]:
    """As few windows as overlap enough, all of one size and evenly apart; none where there is no room."""
    if room < 1:
        return ()
    if tokens <= room:
        return (Window(0, tokens, 0, tokens),)
    step = room - room // OVERLAP
    count = -(-(tokens - room) // step) + 1
    starts = [place * (tokens - room) // (count - 1) for place in range(count)]
    middles = [(start + room + following) // 2 for start, following in pairwise(starts)]
    ends = pairwise([0, *middles, tokens])
    return tuple(Window(start, start + room, *taken) for start, taken in zip(starts, ends, strict=True))


def _framed(pieces: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece], Sequence[Piece]]:
    """What stands before the caller's text, the text, and what stands behind."""
    places = [place for place, piece in enumerate(pieces) if piece.start is not None]
    if not places:
        raise BadRequest("the parts have no token together; send text")
    return pieces[: places[0]], pieces[places[0] : places[-1] + 1], pieces[places[-1] + 1 :]


def _spans(items: Sequence[Text], own: Sequence[Piece], before: int) -> tuple[Span, ...]:
    ends = list(accumulate(len(item.text) for item in items))
    counts, part = [0] * len(items), 0
    for piece, following in zip(own, [*own[1:], None], strict=True):
        if piece.start is not None:  # one that stands for no character goes with the one before
            at = piece.start + _white(piece, following)
            part = next((number for number in range(part, len(ends)) if at < ends[number]), len(ends) - 1)
        counts[part] += 1
    if 0 in counts:
        raise BadRequest(
            f"text {counts.index(0)} has no token of its own within the whole text; send it together with the next one"
        )
    starts = list(accumulate(counts, initial=before))
    return tuple(Span(number, start, stop) for number, (start, stop) in enumerate(pairwise(starts)))


def _white(piece: Piece, following: Piece | None) -> int:
    """Characters at a token's beginning that do not say whose it is."""
    blank = len(piece.text) - len(piece.text.lstrip())
    if blank < len(piece.text):
        return blank
    begins_a_word = piece.text == " " and following is not None and following.text[:1].strip() != ""
    return int(begins_a_word)
