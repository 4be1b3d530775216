"""What other tools have fetched is taken from their cache, if it is whole and sound."""

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import HubServer
from huggingface_hub.errors import EntryNotFoundError
from model_folders import minilm, reranker

from embedstack.catalog.locate import Located
from embedstack.errors import ConfigError

Find = Callable[..., Located]


@pytest.fixture
def hf_download(hub: HubServer, hf_cache: Path) -> Callable[..., Path]:
    """Fetch files as other tools do, by the real client, into its own cache."""

    def download(*names: str) -> Path:
        paths = [
            huggingface_hub.hf_hub_download("org/model", name, endpoint=hub.url, cache_dir=hf_cache) for name in names
        ]
        return Path(paths[0]).parent

    return download


def test_a_model_that_other_tools_fetched_is_taken_without_the_network(
    hub: HubServer, find_here: Find, hf_download: Callable[..., Path]
) -> None:
    files = {**minilm(), ".gitattributes": b"* lfs"}
    hub.add("org/model", files)
    hf_download("config.json", *files)

    located = find_here(offline=True)

    assert located.source == "the Hugging Face cache"
    assert (located.folder / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_it_takes_no_second_place_on_the_disk(
    hub: HubServer, find_here: Find, hf_download: Callable[..., Path]
) -> None:
    files = {**minilm(), ".gitattributes": b"* lfs"}
    hub.add("org/model", files)
    snapshot = hf_download("config.json", *files)

    weights = find_here(offline=True).folder / "model.safetensors"

    assert weights.samefile(snapshot / "model.safetensors")
    assert not weights.is_symlink()


def test_a_part_of_a_model_in_the_other_cache_is_not_taken_for_a_model(
    hub: HubServer, find_here: Find, hf_download: Callable[..., Path]
) -> None:
    hub.add("org/model", reranker())
    hf_download("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")

    with pytest.raises(ConfigError, match=r"only in part \(modules.json is not there\)"):
        find_here(offline=True)


def test_a_file_that_is_known_not_to_exist_is_not_missing(
    hub: HubServer, find_here: Find, hf_download: Callable[..., Path]
) -> None:
    files = reranker()
    hub.add("org/model", files)
    hf_download("config.json", *files)
    for name in ("modules.json", "sparse_linear.pt", "colbert_linear.pt"):
        with pytest.raises(EntryNotFoundError):
            hf_download(name)

    assert find_here(offline=True).spec.task == "rerank"


def test_the_other_cache_without_weights_is_passed_over(
    hub: HubServer, find_here: Find, hf_download: Callable[..., Path]
) -> None:
    hub.add("org/model", minilm())
    hf_download("config.json", "tokenizer.json")

    assert find_here().source == hub.url


def test_a_damaged_file_in_the_other_cache_is_not_taken(
    hub: HubServer, find_here: Find, hf_download: Callable[..., Path]
) -> None:
    files = {**minilm(), ".gitattributes": b"* lfs"}
    hub.add("org/model", files)
    snapshot = hf_download("config.json", *files)
    (snapshot / "model.safetensors").resolve().write_bytes(b"damaged")

    located = find_here()

    assert located.source == hub.url
    assert (located.folder / "model.safetensors").read_bytes() == files["model.safetensors"]
