"""What is read of a row, in each of the ways that somebody may have read it, by a model's own tokeniser."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from embedstack.errors import BadRequest
from embedstack.identifying.recipe import Case, Reading
from embedstack.inputs.text import TextInput
from embedstack.modelspec import ModelSpec
from embedstack.proof.faults import CUTS, frame, in_other_case, lowers, reader, within
from embedstack.types import Encoding, Text


class Readings:
    """The tokeniser of one model, with and without its faults."""

    def __init__(self, spec: ModelSpec, folder: Path, max_text_chars: int) -> None:
        a = spec.architecture
        self.spec = spec
        self.room = max(spec.max_tokens, min(max(CUTS), a.positions - a.position_offset))
        """The most tokens that anybody can have read with these weights, or where others would have cut."""
        self.other_case: Case = "kept" if lowers(spec, folder) else "lowered"
        plain = replace(spec, max_tokens=self.room, prompts={}, needs_prompt=False)
        self._around = frame(reader(folder, plain))
        wide = replace(plain, max_tokens=self.room + sum(self._around))  # what is left bare has room for as many more
        self._texts = {True: reader(folder, wide), False: in_other_case(wide, folder)}
        for text in self._texts.values():
            text.max_text_chars = max_text_chars

    @property
    def cuts(self) -> list[int]:
        """Where texts may have been cut."""
        return sorted({*(cut for cut in CUTS if cut <= self.room), self.spec.max_tokens})

    @property
    def is_framed(self) -> bool:
        """Whether special tokens stand around a text."""
        return self.spec.special_tokens and not self.spec.pad_to and sum(self._around) > 0

    def encode(self, reading: Reading, texts: Sequence[str]) -> list[Encoding | None]:
        """One of each; None of a text that the model cannot read."""
        text = self._texts[reading.case == "own"]
        before, after = self._around if reading.is_bare else (0, 0)
        most = reading.max_tokens + before + after
        items = [Text(f"{reading.prompt}{each}", "none") for each in texts]
        try:
            made: list[Encoding | None] = [*text.encode(items, most, reading.truncate)]
        except BadRequest:
            made = [_alone(text, item, most, reading) for item in items]
        return [one and within(one, before, after) for one in made] if reading.is_bare else made


def _alone(text: TextInput, item: Text, most: int, reading: Reading) -> Encoding | None:
    with suppress(BadRequest):
        return text.encode([item], most, reading.truncate)[0]
    return None
