"""What is called by a catalog name at its pinned revision is what was published, wherever it comes from."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import huggingface_hub
import msgspec
import pytest
from hub_server import COMMIT, HubServer
from model_folders import Files, bge_m3, minilm, without, write

from embedstack.catalog.bundle import unbundle
from embedstack.catalog.catalog import Entry, Wanted, entries, entry_of
from embedstack.catalog.digests import Digests
from embedstack.catalog.fetch import fetch
from embedstack.catalog.locate import Located, find, in_folder, in_store
from embedstack.catalog.network import Access
from embedstack.catalog.store import Manifest, Store
from embedstack.errors import ConfigError, Mismatch
from embedstack.models.folder import HEADS

REPO = "intfloat/multilingual-e5-small"
OTHER_FORM = {**without(minilm(), "model.safetensors"), "pytorch_model.bin": b"other weights"}
FORMS = {"model.safetensors", "pytorch_model.bin"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(data) for name, data in files.items()}


def pinned_entry(pinned: Mapping[str, bytes], *unpinned: str) -> Entry:
    """A block of a catalog that states the digests of these files."""
    return Entry(
        name="model",
        repo="org/model",
        revision=COMMIT,
        licence="MIT",
        about="",
        size_mb=1,
        task="embed",
        sha256=digests(pinned),
        unpinned=unpinned,
    )


def claimed(folder: Path, files: Files) -> Path:
    """A folder that says of itself to be a revision of the catalog, its own digests in order."""
    entry = entry_of(REPO)
    assert entry is not None
    manifest = Manifest(repo=REPO, revision=entry.revision, source="somebody", files=digests(files))
    return write(folder, {**files, "embedstack.json": msgspec.json.encode(manifest)})


def packed(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(f"top/{file.relative_to(folder).as_posix()}")
            info.size = file.stat().st_size
            tar.addfile(info, io.BytesIO(file.read_bytes()))
    return path


@pytest.fixture
def fetch_pinned(hub: HubServer, cache: Path) -> Callable[[Entry], Located]:
    def fetch_(entry: Entry) -> Located:
        wanted, store = Wanted(entry.name, entry.repo, entry.revision, entry), Store(cache)
        fetch(wanted, store, Access(endpoint=hub.url, say=lambda _: None), offline=False)
        located = in_store(wanted, store)
        assert located is not None
        return located

    return fetch_


# ------------------------------------------------------------------------------------------------ the catalog


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_every_file_of_weights_is_pinned_or_said_not_to_be(entry: Entry) -> None:
    heads = {HEADS[output] for output in entry.outputs if output in HEADS and "dense" in entry.outputs}
    pinned, unpinned = set(entry.sha256), set(entry.unpinned)

    assert len(FORMS & pinned) == (0 if FORMS & unpinned else 1)
    assert unpinned - FORMS == (heads | {"tokenizer.json"}) - pinned


UNPINNED = [entry for entry in entries() if FORMS & set(entry.unpinned)]


@pytest.mark.parametrize("entry", UNPINNED, ids=lambda entry: entry.name)
def test_a_model_whose_weights_are_not_pinned_says_so(entry: Entry) -> None:
    assert "digest" in entry.about


@pytest.mark.parametrize("entry", [entry for entry in entries() if entry.needs_prompt], ids=lambda entry: entry.name)
def test_a_model_that_needs_a_prompt_has_one_for_each_role(entry: Entry) -> None:
    assert entry.prompts["query"]
    assert entry.prompts["document"]


# ------------------------------------------------------------------------------------------------ forged

FORGED = {
    "weights in another form": (OTHER_FORM, "has no 'model.safetensors'"),
    "nothing that is pinned": (without(OTHER_FORM, "tokenizer.json"), "has no 'model.safetensors'"),
    "other weights": (minilm(), r"model.safetensors' has digest \w+, expected 1a55775f"),
}


@pytest.mark.parametrize(("files", "named"), FORGED.values(), ids=FORGED)
def test_a_forged_bundle_is_not_the_catalogs_model(tmp_path: Path, files: Files, named: str) -> None:
    store = Store(tmp_path / "there")
    tar = packed(claimed(tmp_path / "forged", files))

    with pytest.raises(Mismatch, match=named):
        unbundle(tar, store, lambda _: None)

    assert [path for path in store.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("files", "named"), FORGED.values(), ids=FORGED)
def test_a_forged_folder_is_not_the_catalogs_model(tmp_path: Path, files: Files, named: str) -> None:
    with pytest.raises(Mismatch, match=named):
        in_folder(claimed(tmp_path / "forged", files), Digests(tmp_path / "memory"))


@pytest.mark.usefixtures("drawn_weights")
@pytest.mark.parametrize("name", ["model.safetensors", "sentence_bert_config.json", "sparse_linear.pt"])
def test_a_file_that_the_manifest_does_not_name_is_refused(tmp_path: Path, name: str) -> None:
    folder = claimed(tmp_path / "forged", without(OTHER_FORM, name))
    (folder / name).write_bytes(b"{}")

    with pytest.raises(Mismatch, match=rf"{name}' is not of the model"):
        in_folder(folder, Digests(tmp_path / "memory"))


@pytest.mark.usefixtures("drawn_weights")
def test_a_note_beside_a_model_is_no_part_of_it(tmp_path: Path) -> None:
    folder = claimed(tmp_path / "mine", minilm())
    (folder / "notes.txt").write_text("from the second floor")

    assert in_folder(folder, Digests(tmp_path / "memory")).spec.name == "multilingual-e5-small"


# ------------------------------------------------------------------------------------------------ fetched


def test_a_hub_without_the_pinned_weights_is_refused(hub: HubServer, fetch_pinned: Callable[[Entry], Located]) -> None:
    hub.add("org/model", OTHER_FORM)

    with pytest.raises(Mismatch, match=r"has no 'model.safetensors'"):
        fetch_pinned(pinned_entry({"model.safetensors": b"published"}))


def test_weights_beside_the_pinned_ones_are_refused(hub: HubServer, fetch_pinned: Callable[[Entry], Located]) -> None:
    files = {**minilm(), "sparse_linear.pt": b"a head"}
    hub.add("org/model", files)

    with pytest.raises(Mismatch, match=r"sparse_linear.pt' is no file of 'model' as published"):
        fetch_pinned(pinned_entry({"model.safetensors": files["model.safetensors"]}))


def test_the_pinned_revision_by_its_branch_is_held_to_the_digests_too(hub: HubServer, cache: Path) -> None:
    entry = entry_of(REPO)
    assert entry is not None
    hub.add(REPO, minilm(), entry.revision)

    with pytest.raises(Mismatch):
        find(f"{REPO}@main", cache_dir=cache, hf_endpoint=hub.url, say=lambda _: None)


def test_weights_without_a_pin_are_taken_as_the_hub_lists_them(
    hub: HubServer, fetch_pinned: Callable[[Entry], Located]
) -> None:
    hub.add("org/model", minilm())
    entry = pinned_entry({"tokenizer.json": minilm()["tokenizer.json"]}, "model.safetensors")

    assert fetch_pinned(entry).spec.dim == 384


def test_weights_without_a_pin_are_refused_where_they_are_not_as_listed(
    hub: HubServer, fetch_pinned: Callable[[Entry], Located]
) -> None:
    weights = minilm()["model.safetensors"]
    hub.add("org/model", minilm()).altered["model.safetensors"] = weights[::-1]
    entry = pinned_entry({"tokenizer.json": minilm()["tokenizer.json"]}, "model.safetensors")

    with pytest.raises(Mismatch, match=r"model.safetensors"):
        fetch_pinned(entry)


def test_a_head_without_a_pin_is_taken_as_the_hub_lists_it(
    hub: HubServer, fetch_pinned: Callable[[Entry], Located]
) -> None:
    hub.add("org/model", bge_m3())
    entry = pinned_entry({"pytorch_model.bin": bge_m3()["pytorch_model.bin"]}, *HEADS.values())

    assert fetch_pinned(entry).spec.outputs == ("dense", "sparse", "multi")


def test_a_head_without_a_pin_is_refused_where_it_is_not_as_listed(
    hub: HubServer, fetch_pinned: Callable[[Entry], Located]
) -> None:
    hub.add("org/model", bge_m3()).altered["sparse_linear.pt"] = b"the sparse h~ad"
    entry = pinned_entry({"pytorch_model.bin": bge_m3()["pytorch_model.bin"]}, *HEADS.values())

    with pytest.raises(Mismatch, match=r"sparse_linear.pt"):
        fetch_pinned(entry)


def test_another_form_in_the_cache_of_other_tools_is_passed_over(hub: HubServer, cache: Path, hf_cache: Path) -> None:
    files = {**OTHER_FORM, ".gitattributes": b"* lfs"}
    hub.add("org/model", files)
    for name in files:
        huggingface_hub.hf_hub_download("org/model", name, revision=COMMIT, endpoint=hub.url, cache_dir=hf_cache)
    entry = pinned_entry({"model.safetensors": b"published"})

    with pytest.raises(ConfigError, match=r"only in part \(model.safetensors is not there\)"):
        fetch(Wanted(entry.name, entry.repo, COMMIT, entry), Store(cache), Access(), offline=True)
