"""A folder of the user's own is a model too."""

import subprocess
import sys
from pathlib import Path

import pytest
from model_folders import minilm, write

from embedstack.catalog import find
from embedstack.errors import ConfigError, UnknownModel


def test_a_folder_is_a_model_named_after_it(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "mine", minilm())

    located = find(str(folder), cache_dir=cache)

    assert (located.folder, located.source) == (folder, "a folder")
    assert (located.spec.name, located.spec.revision) == ("mine", "local")


def test_a_folder_may_change_and_is_then_another_model(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "mine", minilm())
    before = find(str(folder), cache_dir=cache).spec.space
    (folder / "model.safetensors").write_bytes(b"trained further")

    assert find(str(folder), cache_dir=cache).spec.space != before


def test_the_same_files_are_the_same_space_wherever_they_lie(tmp_path: Path, cache: Path) -> None:
    spaces = {find(str(write(tmp_path / name, minilm())), cache_dir=cache).spec.space for name in ("a", "b")}

    assert len(spaces) == 1


def test_an_empty_folder_is_no_model(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ConfigError, match=r"config.json' is not there"):
        find(str(tmp_path / "empty"), cache_dir=cache)


def test_a_broken_manifest_is_named(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "mine", {**minilm(), "embedstack.json": b"{"})

    with pytest.raises(ConfigError, match="is no manifest"):
        find(str(folder), cache_dir=cache)


def test_an_unknown_name_touches_neither_network_nor_disk(cache: Path) -> None:
    with pytest.raises(UnknownModel):
        find("gpt", cache_dir=cache)

    assert not cache.exists()


START = """
import sys
from pathlib import Path
from embedstack.catalog import find
find(sys.argv[1], cache_dir=Path(sys.argv[2]))
print(*sorted({"urllib.request", "huggingface_hub", "filelock", "ssl"} & sys.modules.keys()))
"""


@pytest.mark.slow
def test_what_is_here_is_found_without_loading_an_http_client(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "mine", minilm())

    loaded = subprocess.run([sys.executable, "-c", START, folder, cache], capture_output=True, text=True, check=True)

    assert loaded.stdout == "\n"
