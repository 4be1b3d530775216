"""A URL and a key become the addresses of an endpoint's routes, what opens them, and a name that holds no secret."""

import base64
import re
from dataclasses import dataclass
from functools import cached_property

import httpx

from embedstack.errors import ConfigError

MASK = "***"
JOB_STEPS = ("runsync", "run")  # how the addresses end to which RunPod wants jobs sent


@dataclass(frozen=True)
class Endpoint:
    """Where requests go. `url` is the base that the dialect's own clients are given.

    Raises:
        ConfigError: the URL is none, or the key cannot be sent; the message holds no secret.
    """

    url: str
    key: str = ""

    def __post_init__(self) -> None:
        parsed = self._parsed
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
            shown = "(not shown)" if re.search("[@?#]", self.url) else repr(self.url)  # there a secret may stand
            raise ConfigError(f"url {shown} is not of the form http://host:port or https://host/path")
        if not re.fullmatch(r"[!-~]*", self.key):
            raise ConfigError("the key holds a character that no header takes; copy it again")
        if self.key and self._parsed.userinfo:
            raise ConfigError(f"the url {self.shown} holds a password and a key is given too; give one of them")

    @cached_property
    def _parsed(self) -> httpx.URL:
        try:
            return httpx.URL(self.url)
        except httpx.InvalidURL:  # its message quotes a part, which may be of a password
            return httpx.URL("")

    @property
    def headers(self) -> dict[str, str]:
        """The key, or user and password of the URL, as a header."""
        parsed = self._parsed
        if parsed.userinfo:
            pair = f"{parsed.username}:{parsed.password}".encode()
            return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def host(self) -> str:
        """Host and port."""
        return self._parsed.netloc.decode("ascii")

    @cached_property
    def shown(self) -> str:
        """The URL for messages and logs: user and password are masked."""
        parsed = self._parsed
        mask = f"{MASK}@" if parsed.userinfo else ""
        return f"{parsed.scheme}://{mask}{self.host}{parsed.path.rstrip('/')}"

    @property
    def job_step(self) -> str:
        """How the address ends, if it is one to which jobs are sent; else empty."""
        last = self._parsed.path.rstrip("/").rpartition("/")[2]
        return last if last in JOB_STEPS else ""

    @property
    def job_base(self) -> "Endpoint":
        """What stands before `/run`, `/status` and the other routes of jobs."""
        if not self.job_step:
            return self
        path = self._parsed.path.rstrip("/").removesuffix(self.job_step)
        return Endpoint(str(self._parsed.copy_with(path=path)), self.key)

    def at(self, path: str) -> httpx.URL:
        """The address of a route. A base may already end in how the path begins, such as `/v1`."""
        base, steps = self._parsed.path.rstrip("/"), path.split("/")
        begins = ("/".join(steps[:count]) for count in range(len(steps), 1, -1))
        shared = next((begin for begin in begins if base.endswith(begin)), "")
        return self._parsed.copy_with(userinfo=b"", path=base + path.removeprefix(shared))

    def masked(self, text: str) -> str:
        """A message of the other side, without the secrets that it may echo."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def masked_bytes(self, body: bytes) -> bytes:
        """The same of a reply, before a part of it is quoted and a secret is cut in two."""
        return self.masked(body.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    @cached_property
    def _secrets(self) -> list[str]:
        """Each as it is given and as it is sent; the longest first, as it may hold another.

        One no longer than the mask is left out: it would mask parts of words, and so tell itself.
        """
        parsed = self._parsed
        sent = self.headers.get("authorization", "").partition(" ")[2]
        user, _, password = parsed.userinfo.decode("ascii").partition(":")  # percent-encoded, the others are not
        forms = {self.key, sent, sent.rstrip("="), user, password, parsed.username, parsed.password}
        return sorted((form for form in forms if len(form) > len(MASK)), key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Endpoint(url={self.shown!r}, key={MASK if self.key else ''!r})"
