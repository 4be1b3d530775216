"""How a user writes a system, such as `bm25+bge-m3~bge-reranker-v2-m3` -> nouns, which know their one canonical name.

    SYSTEM    = FUSED ("~" RERANKER)*      the first documents of what stands before it, in a reranker's order
    FUSED     = ONE ("+" ONE)*             several rankings become one
    ONE       = "bm25" [":" LANGUAGE]
              | MODEL [":sparse" | ":multi"] ["@" WHERE]
              | DATABASE "#" COLLECTION ["/" FIELD]     one of its vectors
              | DATABASE "#" COLLECTION "/*"            all that a search of it asks, fused as it fuses
              | FILE ".run" | FILE ".trec"  also with .gz or .zst behind it
    RERANKER  = MODEL ["@" WHERE]
    WHERE     = URL | PROVIDER | PROVIDER "=" URL

A model may have a revision or a precision behind an "@" of its own. What stands behind an "@" is a place only if it has
"://", which no revision and no path on Windows has, or if it is a provider's word (`tei`, `jina`); a revision that is
called like one is named by its commit. One that holds "+" or "~" itself, as some folders do, stands in braces:
`{./c++/model}`; `~/` in front needs none. A model's folder with a "#" in its name cannot be written.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, get_args
from urllib.parse import unquote

from embedstack.client.endpoint import MASK, Endpoint
from embedstack.client.providers import PROVIDERS
from embedstack.databases.addresses import FORM, parse_address
from embedstack.databases.database import Kind
from embedstack.errors import BadRequest
from embedstack.search.analysis import Language

KINDS: tuple[Kind, ...] = get_args(Kind)
LANGUAGES: tuple[Language, ...] = get_args(Language)
ENGLISH: Language = "en"
EXAMPLES = "all-MiniLM-L6-v2, bm25+bge-m3, http://localhost:6333#docs"

ALL = "*"  # in the place of a vector's name

PIECE = re.compile(r"\s*(?:\{([^{}]*)\}|((?:~(?=[/\\]))?[^+~{}]*))\s*", re.DOTALL)
RANKING = re.compile(r".+\.(run|trec)(\.gz|\.zst)?", re.DOTALL | re.IGNORECASE)
LEXICAL = re.compile(r"bm25(?::(.*))?", re.DOTALL | re.IGNORECASE)
PLACE = re.compile(r"(?:([\w-]+)=)?([A-Za-z][A-Za-z0-9+.-]*://.*)", re.DOTALL)
DRIVE = re.compile(r"[A-Za-z]:(?=[/\\])")
PATH = (".", "/", "~")
USER = re.compile(r"://(?!/)([^:@]*).*@", re.DOTALL)  # up to the last "@": a password may hold some, and "/"
URL = re.compile(r"://(?!/).*", re.DOTALL)
PARAMETER = re.compile(r"([?&]([^=&#]*)=)[^&#]*")
SECRET = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)  # in the name of a parameter


@dataclass(frozen=True, slots=True)
class ModelName:
    """Vectors of one kind of a model, and an exact search; as a reranker, its scores."""

    model: str  # as `open_engine` takes it
    kind: Kind = "dense"
    where: str = field(default="", repr=False)  # as `--via` takes it, with what may be secret; here if empty

    @property
    def name(self) -> str:
        return _braced(f"{self.model}{'' if self.kind == 'dense' else f':{self.kind}'}{self._at}")

    @property
    def place(self) -> str:
        """The model without what it gives, for people."""
        return f"{self.model}{self._at}"

    @property
    def _at(self) -> str:
        return f"@{_shown_place(self.where)}" if self.where else ""


@dataclass(frozen=True, slots=True)
class LexicalName:
    """BM25 over the words of a language."""

    language: Language = ENGLISH

    @property
    def name(self) -> str:
        return "bm25" if self.language == ENGLISH else f"bm25:{self.language}"


@dataclass(frozen=True, slots=True)
class CollectionName:
    """One vector of a collection, as its database searches it."""

    database: str = field(repr=False)  # as `open_database` takes it, with what may be secret
    collection: str
    field: str = ""

    @property
    def name(self) -> str:
        return _braced(f"{_open_url(self.database)}#{self.collection}{f'/{self.field}' if self.field else ''}")


@dataclass(frozen=True, slots=True)
class SearchedName:
    """A collection of a database, as `embedstack search` and the server's `/search` ask it."""

    database: str = field(repr=False)  # as of a CollectionName
    collection: str

    @property
    def name(self) -> str:
        return CollectionName(self.database, self.collection, ALL).name


@dataclass(frozen=True, slots=True)
class RankingName:
    """What somebody's system answered, in a file."""

    path: str

    @property
    def name(self) -> str:
        return _braced(self.path)


OneName: TypeAlias = ModelName | LexicalName | CollectionName | SearchedName | RankingName


@dataclass(frozen=True, slots=True)
class FusedName:
    """Several, made one ranking."""

    legs: tuple[OneName, ...]

    @property
    def name(self) -> str:
        return "+".join(leg.name for leg in self.legs)


@dataclass(frozen=True, slots=True)
class RerankedName:
    """The first of one in the order of a reranker."""

    first: "SystemName"
    reranker: ModelName

    @property
    def name(self) -> str:
        return f"{self.first.name}~{self.reranker.name}"


SystemName: TypeAlias = OneName | FusedName | RerankedName


def parse_system(text: str, *, language: Language = ENGLISH) -> SystemName:
    """What a user means; nothing is opened or looked for.

    Args:
        language: of a bm25 that names none.
    Raises:
        BadRequest: not of the grammar above, or one of several that are fused is there twice. ConfigError: a URL that
            is none. No message holds a secret.
    """
    ones, signs = _pieces(text)
    groups: list[list[str]] = [[ones[0]]]
    for sign, one in zip(signs, ones[1:], strict=True):
        if sign == "~":
            groups.append([one])
        else:
            groups[-1].append(one)
    first, *rerankers = groups
    found: SystemName = _fused(first, language)
    for reranker in rerankers:
        found = RerankedName(found, _reranker(reranker))
    return found


def parse_systems(texts: Sequence[str], *, language: Language = ENGLISH) -> list[SystemName]:
    """As `parse_system`, of all that are compared.

    Raises:
        BadRequest: none, or one twice; and as `parse_system`.
    """
    if not texts:
        raise BadRequest(f"no system is named; name one such as {EXAMPLES}")
    names = [parse_system(text, language=language) for text in texts]
    _check_distinct([name.name for name in names], "leave one out")
    return names


def models_of(name: SystemName) -> Iterator[ModelName]:
    """Whose vectors are asked for; those of rerankers and of collections are not among them."""
    match name:
        case ModelName():
            yield name
        case FusedName():
            for leg in name.legs:
                yield from models_of(leg)
        case RerankedName():
            yield from models_of(name.first)
        case LexicalName() | CollectionName() | SearchedName() | RankingName():
            return


# ------------------------------------------------------------------------------------------------ several


def _pieces(text: str) -> tuple[list[str], list[str]]:
    """What stands between the signs, and the signs."""
    ones: list[str] = []
    signs: list[str] = []
    at = 0
    while True:
        found = PIECE.match(text, at)
        assert found is not None  # it also matches nothing
        at = found.end()
        if at < len(text) and text[at] not in "+~":
            raise _misread(text, f"{text[at]!r} stands where '+', '~' or the end should be")
        ones.append((found[2] if found[1] is None else found[1]).strip())
        if not ones[-1]:
            raise _misread(text, f"nothing stands {f'behind {signs[-1]!r}' if signs else 'at its beginning'}")
        if at == len(text):
            return ones, signs
        signs.append(text[at])
        at += 1


def _fused(texts: list[str], language: Language) -> OneName | FusedName:
    legs = tuple(_one(text, language) for text in texts)
    _check_distinct([leg.name for leg in legs], "fuse it with another")
    return legs[0] if len(legs) == 1 else FusedName(legs)


def _reranker(texts: list[str]) -> ModelName:
    if len(texts) > 1:
        raise _misread("+".join(texts), "one model reorders, and fusing comes before that; write bm25+bge-m3~RERANKER")
    found = _one(texts[0], ENGLISH)
    if not isinstance(found, ModelName) or found.kind != "dense":
        raise _misread(texts[0], "it is no reranker's name; one is bge-reranker-v2-m3")
    return found


def _check_distinct(names: list[str], advice: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadRequest(f"system {name!r} is named twice; {advice}")


# ------------------------------------------------------------------------------------------------ one


def _one(text: str, language: Language) -> OneName:
    if "#" in text:
        return _collection(text)
    if RANKING.fullmatch(text):
        return RankingName(text)
    if found := LEXICAL.fullmatch(text):
        return LexicalName(_language(text, found[1]) if found[1] is not None else language)
    return _model(text)


def _language(text: str, given: str) -> Language:
    for language in LANGUAGES:
        if given.lower() == language:
            return language
    raise _misread(text, f"bm25 reads no {given!r}, it reads: {', '.join(LANGUAGES)}")


def _collection(text: str) -> CollectionName | SearchedName:
    found = parse_address(text)
    if found is None:
        raise _misread(text, f"a collection is written {FORM}, as ./store#docs, or ./store#docs/*")
    if found.vector == ALL:
        return SearchedName(found.database, found.collection)
    return CollectionName(found.database, found.collection, found.vector)


def _model(text: str) -> ModelName:
    named, where = _divided(text)
    if where:
        _check_place(text, where)
    model, _, kind = named.rpartition(":")
    for known in KINDS:
        if kind == known and model:
            return ModelName(model, known, where)
    if not named:
        raise _misread(text, "no model stands before the '@'; write bge-m3@http://localhost:8080")
    _check_model(text, named)
    return ModelName(named, "dense", where)


def _divided(text: str) -> tuple[str, str]:
    """Model and place, at the first "@" that has a place behind it."""
    for found in re.finditer("@", text):
        where = text[found.end() :]
        if where in PROVIDERS or PLACE.fullmatch(where):
            return text[: found.start()], where
    return text, ""


def _check_place(text: str, where: str) -> None:
    found = PLACE.fullmatch(where)
    if found is None:
        return
    if found[1] and found[1] not in PROVIDERS:
        raise _misread(text, f"{found[1]!r} is no provider; one is: {', '.join(PROVIDERS)}")
    Endpoint(found[2])


def _check_model(text: str, model: str) -> None:
    """It may be one: what only others understand, they refuse."""
    if "://" in model:
        raise _misread(text, "it is a URL alone; write DATABASE#COLLECTION, or MODEL@URL for an endpoint")
    if model.endswith("@"):
        raise _misread(text, "nothing stands behind the '@'; write bge-m3@http://localhost:8080, or bge-m3")
    if model.endswith(".toml"):
        raise _misread(text, "such a file names its models itself; name an endpoint as bge-m3@http://localhost:8080")
    head = model if model.startswith(PATH) else DRIVE.sub("", model).partition("@")[0]
    if ":" in head and not model.startswith(PATH):
        _, _, kind = head.partition(":")
        raise _misread(text, f"{kind!r} is none of a model's vectors; they are {', '.join(KINDS)}: bge-m3:sparse")


# ------------------------------------------------------------------------------------------------ shown


def _misread(text: str, why: str) -> BadRequest:
    shown = URL.sub("://…", text)  # a "+" in a password divides it, so that no part of it looks like one
    return BadRequest(f"system {shown!r} cannot be read: {why}; systems are, for example: {EXAMPLES}")


def _open_url(url: str) -> str:
    """A database's, with its user alone."""
    shown = USER.sub(lambda found: f"://{found[1]}@" if found[1] else "://", url)
    return PARAMETER.sub(lambda found: found[1] + MASK if SECRET.search(unquote(found[2])) else found[0], shown)


def _shown_place(where: str) -> str:
    found = PLACE.fullmatch(where)
    if found is None:
        return where
    return f"{found[1]}={Endpoint(found[2]).shown}" if found[1] else Endpoint(found[2]).shown


def _braced(name: str) -> str:
    inner = name[1:] if name.startswith(("~/", "~\\")) else name
    return f"{{{name}}}" if "+" in inner or "~" in inner else name
