"""An OpenAPI description and a seed become requests: examples, and what is left of them after a mutation."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import fuzz_values as values

Json = Any  # the description is JSON, and JSON is not typed
Headers = Mapping[bytes, bytes]
HOLE = "\ue000hole\ue000"
TOKENS = ("tokenize", "detokenize", "decode")  # any model will do there, so one must be named where there are several
NAMED = frozenset(
    {"type", "input_type", "id", "model", "prompt_name", "task", "user", "projectId", "action", "openai_route"}
    | {"collection", "fields", "fusion", "weights", "least", "rerank", "key"}
)
"""Fields that hold names: a message may quote them, so that the canary is no text there."""
REFUSED_KEY = 401


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and what must be true of its reply beside what the description says."""

    kind: str
    path: str
    body: bytes
    headers: Headers = field(default_factory=dict)
    query: bytes = b""
    wire: str = "plain"  # how the body travels
    is_sound: bool = False  # as good as the example: must be answered like it
    is_broken: bool = False  # no HTTP: a 400 of the parser's, or a closed connection
    needs: int = 0  # the status that must come, 0 for any that fits

    @property
    def is_unfinished(self) -> bool:
        """Whether the server must wait for more, until it is told that nothing will come."""
        return self.wire in ("too long", "half a chunk", "no method")

    @property
    def is_last(self) -> bool:
        """Whether nothing sensible can follow on its connection."""
        return self.is_broken or self.wire == "huge"

    def bytes(self, host: str) -> bytes:
        """As it travels."""
        return WIRES[self.wire](self, host)


# ------------------------------------------------------------------------------------------------ travel


def _head(case: Case, host: str, *more: bytes, version: bytes = b"1.1") -> bytes:
    lines = [b"POST " + case.path.encode() + case.query + b" HTTP/" + version, b"host: " + host.encode()]
    given = {b"content-type": b"application/json", b"authorization": f"Bearer {values.KEY}".encode(), **case.headers}
    return b"\r\n".join((*lines, *(name + b": " + value for name, value in given.items()), *more, b"", b""))


def _length(size: int) -> bytes:
    return b"content-length: %d" % size


def _chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _sent(*more: bytes) -> Callable[[Case, str], bytes]:
    """With its true length."""
    return lambda case, host: _head(case, host, *more, _length(len(case.body))) + case.body


def _with(*more: bytes, tail: Callable[[bytes], bytes] = lambda body: body) -> Callable[[Case, str], bytes]:
    return lambda case, host: _head(case, host, *more) + tail(case.body)


WIRES: Mapping[str, Callable[[Case, str], bytes]] = {
    "plain": _sent(),
    "chunked": _with(b"transfer-encoding: chunked", tail=lambda body: _chunks(body, max(1, len(body) // 3))),
    "accept": _sent(b"accept: text/html"),
    "expect": _sent(b"expect: 100-continue"),
    "old": lambda case, host: _head(case, host, _length(len(case.body)), version=b"1.0") + case.body,
    "huge": _with(_length(10**15), tail=lambda body: b""),
    # what follows lies about its length, or is no HTTP
    "too short": lambda case, host: _head(case, host, _length(max(0, len(case.body) - 5))) + case.body,
    "too long": lambda case, host: _head(case, host, _length(len(case.body) + 50)) + case.body,
    "no number": _with(b"content-length: ten"),
    "negative": _with(b"content-length: -5"),
    "two lengths": _sent(_length(1)),
    "length and chunks": _with(_length(3), b"transfer-encoding: chunked", tail=lambda body: _chunks(body, 7)),
    "bad chunks": _with(b"transfer-encoding: chunked", tail=lambda body: b"zz\r\n" + body + b"\r\n0\r\n\r\n"),
    "half a chunk": _with(b"transfer-encoding: chunked", tail=lambda body: b"ffff\r\n" + body),
    "line feed in a header": _sent(b"x-request-id: a\r\r\n b: c"),
    "null in a header": _sent(b"x-request-id: a\0b"),
    "no colon": _sent(b"nonsense"),
    "long header": _sent(b"x-long: " + b"a" * 2_000_000),
    "no method": lambda case, host: b"\x00\x01\x02" + case.body + b"\r\n\r\n",
    "HTTP/9": lambda case, host: _head(case, host, _length(len(case.body)), version=b"9.9") + case.body,
}
SOUND_WIRES = ("chunked", "accept", "expect", "old")
BROKEN_WIRES = tuple(name for name in WIRES if name not in (*SOUND_WIRES, "plain", "huge"))


# ------------------------------------------------------------------------------------------------ bodies


@dataclass(frozen=True, slots=True)
class Target:
    """One path: an example, and the fields that its bodies may have."""

    path: str
    example: Json
    fields: tuple[str, ...]


def targets(description: Json, model: str) -> list[Target]:
    """Each POST with each of its examples.

    Args:
        model: one that is served.
    """
    found: list[Target] = []
    for path, operations in description["paths"].items():
        if "post" in operations and not path.startswith("/admin/"):  # which only the admin may
            content = operations["post"]["requestBody"]["content"]["application/json"]
            schemas = content["schema"].get("anyOf", [content["schema"]])
            fields = sorted({name for one in schemas for name in properties(one, description)})
            for example in content["examples"].values():
                named = {**example["value"], **({"model": model} if path.endswith(TOKENS) else {})}
                found.append(Target(path, named, tuple(fields)))
    return found


def properties(schema: Json, description: Json) -> Sequence[str]:
    """The fields of a body."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return list((description["components"]["schemas"][name] if name else schema).get("properties", {}))


def _places(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Json]]:
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*path, key))


def _put(value: Json, path: Sequence[str | int], new: Json) -> Json:
    """A copy with something else at a place."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {**value, first: _put(value.get(first), rest, new)}
    return [_put(one, rest, new) if place == first else one for place, one in enumerate(value)]


def _filled(value: Json, fragment: bytes) -> bytes:
    """JSON, with the fragment as it is where the hole is."""
    return _dumped(value).replace(_dumped(HOLE), fragment)


def _dumped(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


class Cases:
    """Requests without an end; the same seed gives the same ones."""

    def __init__(self, description: Json, seed: int, model: str) -> None:
        self.targets = targets(description, model)
        self._random = random.Random(seed)
        self._kinds: Mapping[Callable[[Target], Case], int] = {
            self._swapped: 34,
            self._with_field: 14,
            self._text: 14,
            self._torn: 10,
            self._headed: 10,
            self._sound: 10,
            self._wired: 4,
            self._dropped: 3,
            self._doubled: 2,
            self._crowded: 1,
        }

    def __iter__(self) -> Iterator[Case]:
        """All paths in turn."""
        while True:
            for target in self.targets:
                (make,) = self._random.choices([*self._kinds], [*self._kinds.values()])
                yield make(target)

    def examples(self) -> Iterator[Case]:
        """Each as it stands."""
        for target in self.targets:
            yield Case("example", target.path, _dumped(target.example))

    def _swapped(self, target: Target) -> Case:
        place = self._random.choice([path for path, _ in _places(target.example)])
        return Case("swapped", target.path, _filled(_put(target.example, place, HOLE), self._fragment(place)))

    def _with_field(self, target: Target) -> Case:
        if self._random.random() < 0.8:
            name = self._random.choice(target.fields)
            return Case("a field", target.path, _filled({**target.example, name: HOLE}, self._fragment((name,))))
        key, fragment = self._random.choice(values.KEYS), self._fragment(("model",))
        return Case("a strange key", target.path, _dumped(target.example)[:-1] + b"," + key + b":" + fragment + b"}")

    def _fragment(self, place: tuple[str | int, ...]) -> bytes:
        """One that may stand there."""
        fragment = self._random.choice(values.FRAGMENTS)
        while NAMED & {*place} and values.CANARY.encode() in fragment:
            fragment = self._random.choice(values.FRAGMENTS)
        return fragment

    def _text(self, target: Target) -> Case:
        places = [path for path, value in _places(target.example) if isinstance(value, str)]
        if not places:
            return self._swapped(target)
        place = self._random.choice(places)
        text = self._random.choice(values.NAMES if NAMED & {*place} else (*values.TEXTS, *values.PICTURES))
        return Case("a text", target.path, _dumped(_put(target.example, place, text)))

    def _torn(self, target: Target) -> Case:
        body = _dumped(target.example)
        at = self._random.randrange(1, len(body))
        torn = self._random.choice(
            (
                body[:at],
                body[at:],
                body[:at] + bytes([self._random.randrange(256)]) + body[at + 1 :],
                body[:at] + self._random.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0")) + body[at:],
                b"\xef\xbb\xbf" + body,
                body.decode("utf-8", "replace").encode("utf-16"),
                body + b"{}",
                body + b"\0",
                b"",
                b" \n",
                b"[" + body + b"]",
                _dumped(_dumped(target.example).decode("utf-8", "replace")),
                self._random.randbytes(self._random.randrange(1, 2000)),
            )
        )
        return Case("torn", target.path, torn)

    def _headed(self, target: Target) -> Case:
        case = Case("a header", target.path, _dumped(target.example))
        name, given = self._random.choice(
            (
                (b"x-embedstack-timeout-s", values.TIMEOUTS),
                (b"x-embedstack-timeout-s", values.TIMEOUTS),
                (b"x-embedstack-priority", values.PRIORITIES),
                (b"x-embedstack-caller", values.CALLERS),
                (b"x-request-id", values.REQUEST_IDS),
                (b"authorization", values.KEYS_GIVEN),
                (b"content-type", values.MEDIA_TYPES),
                (b"content-encoding", values.CODINGS),
                (b"query", values.QUERIES),
            )
        )
        value = self._random.choice(given)
        if name == b"query":
            return replace(case, query=value)
        needs = REFUSED_KEY if name == b"authorization" else 0
        return replace(case, headers={name: value}, needs=needs)

    def _sound(self, target: Target) -> Case:
        body = target.example
        texts = [path for path, value in _places(body) if _is_free_text(path, value)]
        for path in texts:
            if self._random.random() < 0.5:
                body = _put(body, path, self._random.choice(values.TAME))
        shown = self._random.choice(
            (
                _dumped(body),
                json.dumps(body, indent=3).encode(),  # escapes what is not ASCII
                b"\r\n " + _dumped(dict(reversed(body.items()))) + b"\t\n",
            )
        )
        wire = self._random.choice(("plain", *SOUND_WIRES))
        slash = "/" if self._random.random() < 0.1 and target.path != "/" else ""
        return Case("sound", target.path + slash, shown, wire=wire, is_sound=True)

    def _wired(self, target: Target) -> Case:
        case = Case("a lie", target.path, _dumped(target.example))
        wire = self._random.choice((*BROKEN_WIRES, "huge"))
        if wire == "huge":
            return replace(case, kind="huge", wire=wire, needs=413)
        return replace(case, wire=wire, is_broken=True)

    def _dropped(self, target: Target) -> Case:
        key = self._random.choice([*target.example])
        return Case("dropped", target.path, _dumped({name: one for name, one in target.example.items() if name != key}))

    def _doubled(self, target: Target) -> Case:
        key = self._random.choice([*target.example])
        fragment = self._random.choice((_dumped(target.example[key]), *values.SHAPES))
        double = b"," + _dumped(key) + b":" + fragment + b"}"
        return Case("a key twice", target.path, _dumped(target.example)[:-1] + double)

    def _crowded(self, target: Target) -> Case:
        lists = [(path, value) for path, value in _places(target.example) if isinstance(value, list) and value]
        if not lists:
            return self._swapped(target)
        path, value = self._random.choice(lists)
        count = self._random.choice((33, 97, 2048, 2049, 5000))
        return Case("crowded", target.path, _dumped(_put(target.example, path, (value * count)[:count])))


def _is_free_text(path: tuple[str | int, ...], value: Json) -> bool:
    """Whether another text does as well in its place."""
    bound = {"images", "image", "paragraph_text", "sentence_texts"}  # sentences must be those of their text
    return isinstance(value, str) and not (NAMED | bound) & {*path}
