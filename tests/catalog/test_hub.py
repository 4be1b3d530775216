"""Models are fetched from the Hub whole, proven, and go on where they stopped."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import COMMIT, OTHER_COMMIT, HubServer
from model_folders import bge_m3, minilm, without

from embedstack.catalog.catalog import Entry, Wanted, entry_of
from embedstack.catalog.fetch import fetch
from embedstack.catalog.locate import Located
from embedstack.catalog.network import Access
from embedstack.catalog.store import Store
from embedstack.errors import ConfigError, Mismatch, UnknownModel, Unsupported
from embedstack.models.folder import chosen

Find = Callable[..., Located]


def test_a_model_is_fetched_with_its_spec(hub: HubServer, cache: Path, find_here: Find) -> None:
    hub.add("org/model", minilm())

    located = find_here()

    assert located.folder == cache / "models" / "org--model" / COMMIT
    assert (located.spec.name, located.spec.revision, located.spec.dim) == ("org/model", COMMIT, 384)
    assert located.source == hub.url


def test_every_file_arrives_as_it_was(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", bge_m3())

    folder = find_here().folder

    assert {name: (folder / name).read_bytes() for name in bge_m3()} == bge_m3()


def test_a_model_that_is_here_is_not_asked_for_again(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())
    first = find_here()
    hub.asked.clear()

    assert find_here() == first
    assert hub.asked == []


def test_a_branch_stays_at_the_commit_that_it_first_meant(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())
    first = find_here()
    hub.add("org/model", minilm(vocab_size=7), OTHER_COMMIT)

    assert find_here().spec.space == first.spec.space


def test_a_revision_can_be_named(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm(), OTHER_COMMIT)

    assert find_here(f"org/model@{OTHER_COMMIT}").spec.revision == OTHER_COMMIT


def test_a_commit_that_is_here_is_not_fetched_again_under_its_branch(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())
    first = find_here(f"org/model@{COMMIT}")

    assert find_here("org/model").folder == first.folder
    assert hub.ranges("model.safetensors") == [""]


@pytest.mark.usefixtures("drawn_weights")
def test_a_catalog_model_is_fetched_at_its_pinned_revision_with_its_prompts(hub: HubServer, find_here: Find) -> None:
    entry = entry_of("multilingual-e5-small")
    assert entry is not None
    hub.add(entry.repo, minilm(), entry.revision)

    spec = find_here("Xenova/multilingual-e5-small").spec

    assert (spec.name, spec.revision) == (entry.name, entry.revision)
    assert spec.prompts == {"query": "query: ", "document": "passage: "}


def test_the_token_is_sent_and_nowhere_said(hub: HubServer, said: list[str], find_here: Find) -> None:
    hub.add("org/model", minilm())

    find_here(token="hf_secret")

    assert hub.tokens == {"Bearer hf_secret"}
    assert "hf_secret" not in "".join(said)


def test_without_a_token_none_is_sent(hub: HubServer, find_here: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_another_setting")
    hub.add("org/model", minilm())

    find_here()

    assert hub.tokens == {""}


# ------------------------------------------------------------------------------------------------ interrupted


def test_a_broken_download_goes_on_where_it_stopped(hub: HubServer, find_here: Find) -> None:
    weights = bytes(range(256)) * 64
    repo = hub.add("org/model", {**minilm(), "model.safetensors": weights})
    repo.cut_after["model.safetensors"] = 5000
    with pytest.raises(ConfigError, match="broke off"):
        find_here()

    folder = find_here().folder

    assert hub.ranges("model.safetensors") == ["", "bytes=5000-"]
    assert (folder / "model.safetensors").read_bytes() == weights


def test_files_that_arrived_are_not_fetched_twice(hub: HubServer, find_here: Find) -> None:
    repo = hub.add("org/model", minilm())
    repo.cut_after["model.safetensors"] = 1
    with pytest.raises(ConfigError):
        find_here()

    find_here()

    assert hub.ranges("tokenizer.json") == [""]


def test_a_half_fetched_model_is_not_a_model(hub: HubServer, cache: Path, find_here: Find) -> None:
    repo = hub.add("org/model", minilm())
    repo.cut_after["model.safetensors"] = 1
    with pytest.raises(ConfigError):
        find_here()

    assert Store(cache).kept() == []


def test_what_is_left_of_another_file_is_thrown_away(hub: HubServer, cache: Path, find_here: Find) -> None:
    hub.add("org/model", minilm())
    partial = Store(cache).partial("org/model", COMMIT)
    (partial / "model.safetensors.incomplete").write_bytes(b"x" * 1000)

    folder = find_here().folder

    assert (folder / "model.safetensors").read_bytes() == minilm()["model.safetensors"]


def test_a_file_that_is_longer_than_listed_is_fetched_anew(hub: HubServer, cache: Path, find_here: Find) -> None:
    hub.add("org/model", minilm())
    partial = Store(cache).partial("org/model", COMMIT)
    (partial / "model.safetensors").write_bytes(b"x" * 1000)

    folder = find_here().folder

    assert (folder / "model.safetensors").read_bytes() == minilm()["model.safetensors"]


# ------------------------------------------------------------------------------------------------ wrong bytes


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_wrong_digest_is_refused_and_the_file_removed(
    hub: HubServer, cache: Path, find_here: Find, name: str
) -> None:
    repo = hub.add("org/model", minilm())
    repo.altered[name] = repo.files[name][:-1] + b"~"

    with pytest.raises(Mismatch, match=rf"{name}.*has digest \w+, expected \w+"):
        find_here()

    assert not list(cache.glob(f"models/*/*/{name}*"))


def test_after_a_wrong_digest_the_right_file_is_taken(hub: HubServer, find_here: Find) -> None:
    repo = hub.add("org/model", minilm())
    repo.altered["model.safetensors"] = b"x" * len(repo.files["model.safetensors"])
    with pytest.raises(Mismatch):
        find_here()
    repo.altered.clear()

    assert (find_here().folder / "model.safetensors").read_bytes() == repo.files["model.safetensors"]


def test_the_catalogs_digest_beats_what_the_hub_lists(hub: HubServer, cache: Path) -> None:
    hub.add("org/model", minilm())
    entry = Entry(
        name="model",
        repo="org/model",
        revision=COMMIT,
        licence="MIT",
        about="",
        size_mb=1,
        task="embed",
        sha256={"model.safetensors": "0" * 64},
    )

    with pytest.raises(Mismatch, match="expected 0000"):
        fetch(
            Wanted("model", "org/model", COMMIT, entry),
            Store(cache),
            Access(endpoint=hub.url, say=lambda _: None),
            offline=False,
        )

    assert list(cache.rglob("model.safetensors*")) == []


def test_a_model_that_changed_on_disk_is_refused(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())
    (find_here().folder / "model.safetensors").write_bytes(b"changed since")

    with pytest.raises(Mismatch, match=r"model.safetensors.*models rm"):
        find_here()


def test_a_model_that_lost_a_file_is_refused(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())
    (find_here().folder / "tokenizer.json").unlink()

    with pytest.raises(ConfigError, match=r"tokenizer.json' is gone"):
        find_here()


# ------------------------------------------------------------------------------------------------ refusals


def test_a_model_that_we_cannot_compute_is_refused_before_its_weights(
    hub: HubServer, cache: Path, find_here: Find
) -> None:
    hub.add("org/model", minilm(model_type="t5"))

    with pytest.raises(Unsupported, match="t5"):
        find_here()

    assert hub.ranges("model.safetensors") == []
    assert list(cache.rglob("config.json")) == []


def test_a_repository_without_our_weights_is_refused(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", {**without(minilm(), "model.safetensors"), "onnx/model.onnx": b"onnx"})

    with pytest.raises(ConfigError, match=r"no model.safetensors and no pytorch_model.bin"):
        find_here()


def test_an_id_that_does_not_exist_is_unknown(hub: HubServer, find_here: Find) -> None:
    with pytest.raises(UnknownModel, match="HF_TOKEN"):
        find_here("org/nothing")


def test_a_revision_that_does_not_exist_is_unknown(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())

    with pytest.raises(UnknownModel, match="no revision 'v9'"):
        find_here("org/model@v9")


def test_a_gated_model_says_what_to_set(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm()).is_gated = True

    with pytest.raises(ConfigError, match=r"is gated; accept its terms at .*HF_TOKEN"):
        find_here()


def test_a_mirror_that_lacks_a_catalog_model_is_named(hub: HubServer, find_here: Find) -> None:
    with pytest.raises(ConfigError, match=rf"no source could give 'bge-m3': .*{hub.url} has no BAAI/bge-m3"):
        find_here("bge-m3")


def test_a_disk_without_room_is_named_before_the_download(
    hub: HubServer, find_here: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/model", minilm())
    needed = sum(len(data) for data in minilm().values())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))

    with pytest.raises(ConfigError, match=rf"needs {needed} bytes .* has 10 free"):
        find_here()

    assert hub.ranges("config.json") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_during_the_download_is_named(hub: HubServer, cache: Path, find_here: Find) -> None:
    hub.add("org/model", minilm())
    partial = Store(cache).partial("org/model", COMMIT)
    (partial / "model.safetensors.incomplete").symlink_to("/dev/full")

    with pytest.raises(ConfigError, match=r"is full \(\d+ bytes are free\)"):
        find_here()


def test_a_cache_that_cannot_be_written_to_is_an_error(hub: HubServer, cache: Path, find_here: Find) -> None:
    cache.write_bytes(b"a file where the folder would be")

    with pytest.raises(ConfigError, match="EMBEDSTACK_CACHE_DIR"):
        find_here()


# ------------------------------------------------------------------------------------------------ which files


def test_one_form_of_the_weights_is_taken() -> None:
    names = ["pytorch_model.bin", "model.safetensors", "onnx/model.onnx", "tf_model.h5", "openvino/openvino_model.bin"]

    assert chosen(names) == ["model.safetensors"]


def test_shards_are_taken_with_their_index() -> None:
    names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)] + ["pytorch_model.bin.index.json"]

    assert chosen(names) == sorted(names)


def test_weights_come_after_the_files_that_decide_whether_we_want_them() -> None:
    names = chosen([*bge_m3(), "LICENSE"])

    assert names[-3:] == ["sparse_linear.pt", "colbert_linear.pt", "pytorch_model.bin"]
    assert "LICENSE" in names


@pytest.mark.parametrize("name", ["../config.json", "onnx/config.json", "train.py", "vocab.txt", "data_config.json"])
def test_other_files_are_left_alone(name: str) -> None:
    assert chosen([name]) == []
