"""Passwords, tokens and signed links are in the head of a request and nowhere else."""

import base64
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import SIGNATURE, HubServer
from model_folders import minilm

from embedstack.catalog.locate import Located, find
from embedstack.catalog.network import access_to
from embedstack.errors import ConfigError, EmbedstackError

PASSWORD = "p@ss/word"
QUOTED = "p%40ss%2Fword"
TOKEN = "hf_secret"
Find = Callable[..., Located]


@pytest.fixture
def mirror(hub: HubServer) -> str:
    return hub.url.replace("http://", f"http://user:{QUOTED}@")


@pytest.fixture
def storage() -> Iterator[HubServer]:
    """Where the bytes lie: another host than the Hub."""
    server = HubServer()
    yield server
    server.close()


@pytest.fixture
def written(said: list[str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that a person or a log got to see."""
    caplog.set_level(logging.INFO)
    return lambda: "".join([*said, caplog.text, *capfd.readouterr()])


# ------------------------------------------------------------------------------------------------ a mirror's password


def test_the_password_opens_the_mirror(hub: HubServer, mirror: str, cache: Path, said: list[str]) -> None:
    hub.add("org/model", minilm())

    find("org/model", cache_dir=cache, hf_endpoint=mirror, say=said.append)

    assert hub.tokens == {"Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()}


def test_the_password_is_nowhere_said_or_kept(
    hub: HubServer, mirror: str, cache: Path, said: list[str], written: Callable[[], str]
) -> None:
    hub.add("org/model", minilm())

    located = find("org/model", cache_dir=cache, hf_endpoint=mirror, say=said.append)

    kept = (located.folder / "embedstack.json").read_text()
    assert located.source == hub.url
    assert not any(secret in text for secret in (PASSWORD, QUOTED) for text in (kept, str(located), written()))


def gated(hub: HubServer) -> None:
    hub.add("org/model", minilm()).is_gated = True


def nameless(hub: HubServer) -> None:
    hub.add("org/model", minilm(), commit="none")


def breaking_off(hub: HubServer) -> None:
    hub.add("org/model", minilm()).cut_after["model.safetensors"] = 1


def lacking(hub: HubServer) -> None: ...


@pytest.mark.parametrize("trouble", [gated, nameless, breaking_off, lacking])
def test_an_error_holds_no_password(
    hub: HubServer,
    mirror: str,
    cache: Path,
    said: list[str],
    written: Callable[[], str],
    trouble: Callable[[HubServer], None],
) -> None:
    trouble(hub)

    with pytest.raises(EmbedstackError) as caught:
        find("org/model", cache_dir=cache, hf_endpoint=mirror, say=said.append)

    assert QUOTED not in caught.value.message + written()
    assert hub.url in caught.value.message


@pytest.mark.parametrize(
    "endpoint", ["https://user:pa/ss@host", "https://user:pa#ss@host", "user:pass@host", "https://user:pass@host:x"]
)
def test_a_url_that_cannot_be_read_is_refused_unseen(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="HF_ENDPOINT") as caught:
        access_to(endpoint, "", print)

    assert "pa" not in caught.value.message.partition("is not")[0]
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "endpoint", ["huggingface.co", "ftp://host", "https://", "https://host?x=1", "https://host:99999"]
)
def test_what_is_no_url_is_refused_by_its_value(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="HF_ENDPOINT=") as caught:
        access_to(endpoint, "", print)

    assert repr(endpoint.rstrip("/")) in caught.value.message or repr(endpoint) in caught.value.message


# ------------------------------------------------------------------------------------------------ a token


def test_a_line_end_after_a_token_is_not_of_it() -> None:
    assert access_to("https://host", f"{TOKEN}\n", print).headers == {"authorization": f"Bearer {TOKEN}"}


def test_a_token_that_cannot_be_sent_is_refused_unseen() -> None:
    with pytest.raises(ConfigError) as caught:
        access_to("https://host", f"{TOKEN}\nand more", print)

    assert TOKEN not in caught.value.message


# ------------------------------------------------------------------------------------------------ signed links


def test_a_token_does_not_follow_a_redirect_to_another_host(
    hub: HubServer, storage: HubServer, find_here: Find
) -> None:
    hub.add("org/model", minilm()).store_url = storage.url.replace("127.0.0.1", "localhost")
    storage.add("org/model", minilm())

    located = find_here(token=TOKEN)

    assert (located.folder / "model.safetensors").read_bytes() == minilm()["model.safetensors"]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert storage.tokens == {""}


def test_a_password_does_not_follow_a_redirect_to_another_host(
    hub: HubServer, storage: HubServer, mirror: str, cache: Path, said: list[str]
) -> None:
    hub.add("org/model", minilm()).store_url = storage.url.replace("127.0.0.1", "localhost")
    storage.add("org/model", minilm())

    find("org/model", cache_dir=cache, hf_endpoint=mirror, say=said.append)

    assert storage.tokens == {""}


def test_a_signed_link_is_nowhere_said(
    hub: HubServer, storage: HubServer, find_here: Find, written: Callable[[], str]
) -> None:
    hub.add("org/model", minilm()).store_url = storage.url
    storage.add("org/model", minilm())

    find_here(token=TOKEN)

    text = written()
    assert "fetching org/model" in text
    assert not any(secret in text for secret in (SIGNATURE, TOKEN))


def test_a_signed_link_that_fails_is_nowhere_said(
    hub: HubServer, storage: HubServer, find_here: Find, written: Callable[[], str]
) -> None:
    hub.add("org/model", minilm()).store_url = storage.url

    with pytest.raises(ConfigError, match="broke off") as caught:
        find_here()

    assert SIGNATURE not in caught.value.message + written()


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_what_others_log_is_left_alone(
    hub: HubServer, find_here: Find, written: Callable[[], str], client: str
) -> None:
    hub.add("org/model", minilm())
    find_here()

    logging.getLogger(client).info("a request of the program's own")

    assert "a request of the program's own" in written()
