"""A request and its reply -> what is wrong with the reply, by the published description alone.

The judge of bodies is jsonschema, the judge of JSON is Python's own parser (RFC 8259: UTF-8, no NaN, no byte order
mark). With which sentences a body that fits may still be refused is in fuzz_stated.py.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

import fuzz_values as values
from fuzz_cases import Case, properties
from fuzz_stated import LATE, stated
from fuzz_wire import Reply

Json = Any  # the description is JSON, and JSON is not typed
Fit = Literal["valid", "invalid", "unknown"]
SLOW_S = 10.0
SPECIFICATION = "urn:description"
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
INTERNAL = ("Traceback", 'File "', "internal error", "0x7f")


class Judge:
    """Of one server, by what it publishes."""

    def __init__(self, description: Json) -> None:
        self.refusing: set[str] = set()  # paths whose example this server has no model for
        self._description = description
        self._paths = description["paths"]
        resource = DRAFT202012.create_resource(description)
        self._registry = Registry().with_resource(SPECIFICATION, resource)
        self._validators: dict[str, Draft202012Validator] = {}
        self._last: tuple[str, bytes, Fit] = ("", b"", "invalid")  # most of the time goes here, and each is asked twice

    def fit_of_body(self, path: str, raw: bytes) -> Fit:
        """Whether the description takes it; unknown where RFC 8259 leaves it open, and where it is too deep to read."""
        if self._last[:2] != (path, raw):
            self._last = (path, raw, self._fit_of_body(path, raw))
        return self._last[2]

    def _fit_of_body(self, path: str, raw: bytes) -> Fit:
        try:
            body = parsed(raw, strict=True)
        except (RecursionError, Open):
            return "unknown"
        except ValueError:
            return "invalid"
        where = f"paths/{_escaped(path)}/post/requestBody/content/application~1json/schema"
        if not self._fits(where, body):
            return "invalid"
        return "unknown" if self._is_overlooked(path, where, body) else "valid"

    def _is_overlooked(self, path: str, where: str, body: Json) -> bool:
        """Whether each form that takes the body overlooks a field that another form has and refuses.

        The description says that it is not overlooked for its sake; which form is meant then, no schema can say.
        """
        schema = self._paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        forms = [{*properties(one, self._description)} for one in schema.get("anyOf", [])]
        taking = {place for place in range(len(forms)) if self._fits(f"{where}/anyOf/{place}", body)}
        refused = {name for place, names in enumerate(forms) if place not in taking for name in names & {*body}}
        return bool(taking) and all(refused - forms[place] for place in taking)

    def fit(self, case: Case) -> Fit:
        """Of body and headers together."""
        fits = {self.fit_of_body(_path(case), case.body), self.fit_of_headers(_path(case), case.headers)}
        return "invalid" if "invalid" in fits else "unknown" if "unknown" in fits else "valid"

    def fit_of_headers(self, path: str, headers: Mapping[bytes, bytes]) -> Fit:
        """Whether each of those that are described is as the description has it."""
        for parameter in self._paths[path]["post"]["parameters"]:
            given = headers.get(parameter["name"].encode())
            if given is not None and not _header_fits(given.strip(b" \t").decode("latin-1"), parameter["schema"]):
                return "invalid"
        return "valid"

    def faults(self, case: Case, reply: Reply) -> Iterator[str]:
        """All that is wrong, in words."""
        if reply.took_s > SLOW_S:
            yield f"took {reply.took_s:.0f} s"
        if case.is_broken:
            yield from self._faults_of_broken(reply)
        elif not reply.status:
            yield "closed the connection without a reply"
        else:
            yield from self._faults_of_reply(case, reply)
            yield from self.faults_of_status(case, reply)

    @staticmethod
    def _faults_of_broken(reply: Reply) -> Iterator[str]:
        if reply.status and not 200 <= reply.status < 500:
            yield f"{reply.status} for what is no HTTP"
        if _says_too_much(reply.body):
            yield "says too much"

    def _faults_of_reply(self, case: Case, reply: Reply) -> Iterator[str]:
        path = _path(case)
        described = self._paths[path]["post"]["responses"].get(str(reply.status))
        if described is None:
            yield f"{reply.status} is not described"
            return
        if reply.headers.get("content-type") != "application/json":
            yield f"content-type {reply.headers.get('content-type')!r}"
        try:
            body = parsed(reply.body)
        except ValueError:
            yield "the reply is no JSON"
            return
        where = f"paths/{_escaped(path)}/post/responses/{reply.status}/content/application~1json/schema"
        if not self._fits(where, body):
            yield f"the reply of {reply.status} is not as described: {reply.body[:200]!r}"
        yield from self._faults_of_headers(case, reply)
        if reply.status >= 300 and _says_too_much(reply.body):
            yield "says too much"
        if values.KEY.encode() in reply.body or values.STRANGE_KEY.encode() in reply.body:
            yield "says a key"

    @staticmethod
    def _faults_of_headers(case: Case, reply: Reply) -> Iterator[str]:
        given = case.headers.get(b"x-request-id", b"").decode("latin-1")
        echoed = reply.headers.get("x-request-id", "")
        if not echoed or (re.fullmatch(r"[!-~]{1,128}", given) and echoed != given):
            yield f"x-request-id {echoed!r}"
        if reply.status in (429, 503) and not reply.headers.get("retry-after", "").isdigit():
            yield f"{reply.status} without retry-after"
        if reply.status == 401 and "www-authenticate" not in reply.headers:
            yield "401 without www-authenticate"

    def faults_of_status(self, case: Case, reply: Reply) -> Iterator[str]:
        """Whether what fits is answered, or refused in stated words, and what does not fit is refused."""
        status, why = reply.status, refusal(case, reply)
        if status >= 500 and why != LATE:
            yield f"{status}: {sentence(reply)}"
        if case.needs:
            if status != case.needs:
                yield f"{status} where {case.needs} must be"
            return
        fit = self.fit(case)
        is_good = 200 <= status < 300
        if fit == "invalid" and not 400 <= status < 500:
            yield f"{status} for what does not fit"
        if fit == "valid" and not is_good and why is None:
            yield f"{status} for what fits, in words that are not stated: {sentence(reply)}"
        if case.is_sound and not is_good and _path(case) not in self.refusing:
            yield f"{status} for what is as good as the example: {sentence(reply)}"

    def _fits(self, where: str, value: Json) -> bool:
        validator = self._validators.get(where)
        if validator is None:
            schema = {"$ref": f"{SPECIFICATION}#/{where}"}
            validator = self._validators[where] = Draft202012Validator(schema, registry=self._registry)
        return validator.is_valid(value)


class Open(Exception):
    """JSON that is read in several ways (RFC 8259): a key twice, half a pair of surrogates, 1.0 for a whole number."""


def parsed(raw: bytes, *, strict: bool = False) -> Json:
    """The JSON.

    Args:
        strict: refuse also what is open.
    Raises:
        ValueError: it is none. RecursionError: it is deeper than this parser goes. Open: see there.
    """
    text = raw.decode("utf-8")
    how = {"object_pairs_hook": _once, "parse_float": _float} if strict else {}
    value = json.loads(text, parse_constant=_refused, parse_int=_whole, **how)
    if strict and "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Open from error
    return value


def _once(pairs: list[tuple[str, Json]]) -> Json:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Open
    return dict(pairs)


def _float(digits: str) -> float:
    value = float(digits)
    if value.is_integer():
        raise Open
    return value


def _refused(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")


def _whole(digits: str) -> int:
    """Python refuses to read very long ones; all that matters of these is that they are large."""
    return int(digits) if len(digits) < 4000 else int(digits[:4000])


def _header_fits(text: str, schema: Json) -> bool:
    if schema.get("type") == "number":
        if not NUMBER.fullmatch(text):
            return False
        number = float(text)
        return math.isfinite(number) and Draft202012Validator(schema).is_valid(number)
    return Draft202012Validator(schema).is_valid(text)


def _escaped(path: str) -> str:
    return path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _path(case: Case) -> str:
    return case.path.rstrip("/") or "/"


def _says_too_much(body: bytes) -> bool:
    """A word that is none of those that a field may hold is quoted to who sent it, a text never."""
    says_text = values.CANARY.encode() in body and b"Invalid enum value" not in body
    return says_text or any(word.encode() in body for word in INTERNAL)


def sentence(reply: Reply) -> str:
    """What an error says, wherever its envelope has it."""
    try:
        body = parsed(reply.body)
    except ValueError:
        return repr(reply.body[:100])
    found = [text for text in _strings(body) if " " in text and not text.startswith("Invalid request")]
    return max(found, key=len, default="")


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def refusal(case: Case, reply: Reply) -> str | None:
    """Which of the stated ones it is."""
    is_late = reply.status == 504 and b"x-embedstack-timeout-s" in case.headers
    return LATE if is_late else stated(sentence(reply))
