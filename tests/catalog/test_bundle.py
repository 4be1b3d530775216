"""A model travels in one file, and nothing that was changed on the way is let in."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hub_server import COMMIT, HubServer
from model_folders import minilm, write

from embedstack.catalog.bundle import bundle, unbundle
from embedstack.catalog.catalog import entry_of
from embedstack.catalog.digests import Digests
from embedstack.catalog.locate import Located, find, in_folder, in_store
from embedstack.catalog.store import Store
from embedstack.errors import ConfigError, Mismatch

pytestmark = pytest.mark.usefixtures("drawn_weights")
REPO = "intfloat/multilingual-e5-small"  # of the catalog, which adds its prompts


def quiet(_: str) -> None: ...


@pytest.fixture
def pulled(hub: HubServer, cache: Path) -> Located:
    entry = entry_of(REPO)
    assert entry is not None
    hub.add(REPO, minilm(), entry.revision)
    return find(REPO, cache_dir=cache, hf_endpoint=hub.url, say=quiet)


@pytest.fixture
def tar(pulled: Located, cache: Path, tmp_path: Path) -> Path:
    bundle(pulled.folder, tmp_path / "model.tar", Store(cache))
    return tmp_path / "model.tar"


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store(tmp_path / "another machine")


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: file.read() for m in tar.getmembers() if (file := tar.extractfile(m))}


def pack(path: Path, files: Mapping[str, bytes], *links: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for link in links:
            tar.addfile(link)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def manifest_of(files: dict[str, bytes]) -> str:
    return next(name for name in files if name.endswith("embedstack.json"))


def test_a_bundle_arrives_as_the_same_model(pulled: Located, tar: Path, there: Store) -> None:
    arrived = in_store(unbundle(tar, there, quiet), there)

    assert arrived is not None
    assert arrived.spec == pulled.spec
    assert arrived.folder != pulled.folder


def test_an_arrived_model_is_found_by_its_name_without_a_network(tar: Path, there: Store, tmp_path: Path) -> None:
    unbundle(tar, there, quiet)

    located = find("multilingual-e5-small", cache_dir=tmp_path / "another machine", offline=True, say=quiet)

    assert located.spec.prompts["query"] == "query: "


def test_a_model_outside_the_catalog_is_found_by_its_bare_id(
    hub: HubServer, cache: Path, there: Store, tmp_path: Path
) -> None:
    hub.add("org/model", minilm())
    bundle(find("org/model", cache_dir=cache, hf_endpoint=hub.url, say=quiet).folder, tmp_path / "m.tar", Store(cache))
    unbundle(tmp_path / "m.tar", there, quiet)

    located = find("org/model", cache_dir=tmp_path / "another machine", offline=True, say=quiet)

    assert (located.spec.name, located.spec.revision) == ("org/model", COMMIT)


def test_an_unpacked_bundle_is_brought_in_too(pulled: Located, tar: Path, there: Store, tmp_path: Path) -> None:
    write(tmp_path / "unpacked", members(tar))

    arrived = in_store(unbundle(tmp_path / "unpacked", there, quiet), there)

    assert arrived is not None
    assert arrived.spec == pulled.spec


def test_an_unpacked_bundle_can_be_served_where_it_lies(pulled: Located, tar: Path, tmp_path: Path) -> None:
    write(tmp_path / "unpacked", members(tar))
    folder = tmp_path / "unpacked" / "intfloat--multilingual-e5-small"

    assert in_folder(folder, Digests(tmp_path / "memory")).spec == pulled.spec


def test_an_unpacked_bundle_that_was_changed_is_refused(tar: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "unpacked", members(tar)) / "intfloat--multilingual-e5-small"
    (folder / "model.safetensors").write_bytes(b"changed")

    with pytest.raises(Mismatch, match=r"model.safetensors"):
        in_folder(folder, Digests(tmp_path / "memory"))


def test_two_bundles_of_one_model_are_the_same_bytes(pulled: Located, tar: Path, cache: Path, tmp_path: Path) -> None:
    bundle(pulled.folder, tmp_path / "again.tar", Store(cache))

    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()


def test_bringing_it_twice_changes_nothing(tar: Path, there: Store) -> None:
    said: list[str] = []
    unbundle(tar, there, quiet)
    unbundle(tar, there, said.append)

    assert said == ["multilingual-e5-small is here already"]


# ------------------------------------------------------------------------------------------------ refused


def test_a_changed_file_is_refused(tar: Path, there: Store) -> None:
    files = members(tar)
    name = next(name for name in files if name.endswith("model.safetensors"))
    pack(tar, {**files, name: b"changed"})

    with pytest.raises(Mismatch, match=r"model.safetensors.*expected"):
        unbundle(tar, there, quiet)

    assert there.kept() == []


def test_a_bundle_that_was_cut_short_is_refused(tar: Path, there: Store) -> None:
    tar.write_bytes(tar.read_bytes()[:5000])

    with pytest.raises(ConfigError, match="copy it again"):
        unbundle(tar, there, quiet)


def test_a_bundle_without_a_file_of_its_manifest_is_refused(tar: Path, there: Store) -> None:
    pack(tar, {name: data for name, data in members(tar).items() if not name.endswith("tokenizer.json")})

    with pytest.raises(ConfigError, match=r"lacks 'tokenizer.json'"):
        unbundle(tar, there, quiet)


@pytest.mark.parametrize("name", ["../evil", "/evil", "top/../../evil", "top/a/b/c", "C:/evil", "top\\..\\evil"])
def test_a_member_outside_the_folder_is_refused(tar: Path, there: Store, tmp_path: Path, name: str) -> None:
    pack(tar, {**members(tar), name: b"evil"})

    with pytest.raises(ConfigError, match="is refused"):
        unbundle(tar, there, quiet)

    assert list(tmp_path.rglob("evil*")) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_member_that_is_no_plain_file_is_refused(tar: Path, there: Store, kind: bytes) -> None:
    link = tarfile.TarInfo("top/config.json")
    link.type = kind
    link.linkname = "/etc/passwd"
    pack(tar, members(tar), link)

    with pytest.raises(ConfigError, match="no plain file"):
        unbundle(tar, there, quiet)


MANIFESTS = {
    "another repository": {"repo": "../evil"},
    "no commit": {"revision": "../../evil"},
    "a file outside": {"files": {"../evil": "0" * 64}},
    "the manifest itself": {"files": {"embedstack.json": "0" * 64}},
    "of another shape": {"files": ["config.json"]},
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_is_not_believed(tar: Path, there: Store, change: dict[str, object]) -> None:
    files = members(tar)
    name = manifest_of(files)
    pack(tar, {**files, name: json.dumps({**json.loads(files[name]), **change}).encode()})

    with pytest.raises(ConfigError):
        unbundle(tar, there, quiet)

    assert there.kept() == []


def test_a_tar_of_something_else_is_refused(tmp_path: Path, there: Store) -> None:
    with pytest.raises(ConfigError, match=r"has no embedstack.json"):
        unbundle(pack(tmp_path / "other.tar", {"a/b": b""}), there, quiet)


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100])
def test_a_file_that_is_no_tar_is_refused(tmp_path: Path, there: Store, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)

    with pytest.raises(ConfigError):
        unbundle(tmp_path / "x.tar", there, quiet)


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path, there: Store) -> None:
    with pytest.raises(ConfigError, match=r"x.tar' is not there"):
        unbundle(tmp_path / "x.tar", there, quiet)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path, there: Store) -> None:
    with pytest.raises(ConfigError, match="serve the folder by its path"):
        unbundle(write(tmp_path / "mine", minilm()), there, quiet)


def test_a_folder_of_the_users_own_is_not_bundled(tmp_path: Path, there: Store) -> None:
    with pytest.raises(ConfigError, match="copy it as it is"):
        bundle(write(tmp_path / "mine", minilm()), tmp_path / "out.tar", there)


def test_a_file_is_not_written_over(pulled: Located, tar: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        bundle(pulled.folder, tar, Store(cache))


def test_a_changed_model_is_not_bundled(pulled: Located, cache: Path, tmp_path: Path) -> None:
    (pulled.folder / "config.json").write_bytes(b"{}")

    with pytest.raises(Mismatch):
        bundle(pulled.folder, tmp_path / "out.tar", Store(cache))

    assert not list(tmp_path.glob("out.tar*"))
