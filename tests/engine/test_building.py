"""A folder becomes a model: what changes its stamp, what is remembered of it, what is left where it fails."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.engine import building
from embedstack.engine.building import How, Recipe, _sizes, open_all, recipe_of
from embedstack.engine.engine import Engine
from embedstack.engine.naming import parse_asked
from embedstack.engine.need import MB, Need
from embedstack.errors import BadRequest
from embedstack.modelspec import Vision
from embedstack.runtimes import RUNTIMES
from embedstack.runtimes.numpy import NumpyRuntime
from embedstack.types import Image
from support.tiny import CASES, write
from support.tiny_clip import TOKENS, png, write_clip

closed: list[object] = []


class Leaving(NumpyRuntime):
    """Says when it is closed."""

    def close(self) -> None:
        closed.append(self)
        super().close()


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    how = How(
        runtime="numpy", precision="auto", device="auto", threads=2, lanes=0, batch_tokens=64, max_text_chars=1000,
        cache_dir=tmp_path / "cache", version="1",
    )  # fmt: skip

    def made(**changes: object) -> Recipe:
        asked = parse_asked(str(folder))
        locate = lambda name, runtime: find(name, cache_dir=tmp_path / "cache")  # noqa: E731
        return recipe_of(asked, locate, replace(how, **changes), lambda line: None)

    return made


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "modules.json", "1_Pooling/config.json"]
)
def test_every_file_that_a_model_is_changes_its_stamp(recipe: Callable[..., Recipe], name: str) -> None:
    made = recipe()
    before = made.stamp()

    (made.folder / name).parent.mkdir(exist_ok=True)
    (made.folder / name).write_bytes(b"another")

    assert made.stamp() != before


def test_weights_of_another_form_and_heads_change_the_stamp(recipe: Callable[..., Recipe]) -> None:
    made = recipe()
    (made.folder / "model.safetensors").rename(made.folder / "pytorch_model.bin")
    stamps = [made.stamp()]

    (made.folder / "pytorch_model.bin").write_bytes(b"another")
    stamps.append(made.stamp())
    (made.folder / "sparse_linear.pt").write_bytes(b"a head")
    stamps.append(made.stamp())

    assert len(set(stamps)) == 3


def test_a_folder_that_is_gone_has_no_stamp(recipe: Callable[..., Recipe]) -> None:
    made = recipe()
    made.folder.rename(made.folder.parent / "elsewhere")

    assert made.stamp() is None


def test_a_model_whose_tokeniser_cannot_be_read_leaves_no_runtime_open(
    recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNTIMES, "leaving", f"{__name__}:Leaving")  # type: ignore[index]
    made = recipe(runtime="leaving", lanes=1)
    (made.folder / "tokenizer.json").write_text("{")
    closed.clear()

    with pytest.raises(Exception, match="tokenizer"):
        made.open()

    assert len(closed) == 1


def test_models_that_one_engine_cannot_hold_stay_not_open(
    recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNTIMES, "leaving", f"{__name__}:Leaving")  # type: ignore[index]
    closed.clear()

    with pytest.raises(BadRequest, match="two models have the same name"):
        open_all([recipe(runtime="leaving", lanes=1)] * 2, Engine)

    assert len(closed) == 2


def test_what_was_measured_without_a_ceiling_is_not_believed_with_one(recipe: Callable[..., Recipe]) -> None:
    recipe().note(Need(3 * MB, 4 * MB, 0.5, is_measured=True))

    assert recipe().need().is_measured
    assert not recipe(is_weighed=True).need().is_measured


def test_room_is_kept_for_the_longest_item_where_that_is_more_than_a_batch(recipe: Callable[..., Recipe]) -> None:
    longest = recipe().spec.max_tokens

    small, full, more = (recipe(lanes=1, batch_tokens=tokens).need() for tokens in (8, longest, 2 * longest))

    assert small == full
    assert full.held_bytes < more.held_bytes


def test_what_items_longer_than_those_that_are_weighed_add_is_reckoned(
    recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    monkeypatch.setattr(building, "WEIGHED_TOKENS", 16)
    monkeypatch.setattr(building, "run_all_sizes", lambda runtime, spec, *, budget: ran.append(budget))
    made = recipe(lanes=1, batch_tokens=8, is_weighed=True)

    made.open().runtime.close()

    assert ran == [16]
    assert made.need().beyond_bytes > 0
    assert recipe(lanes=1, batch_tokens=8).need().beyond_bytes == 0  # nothing is weighed there


@pytest.mark.slow
def test_lanes_that_were_measured_beside_requests_are_not_remembered(recipe: Callable[..., Recipe]) -> None:
    made = recipe(is_serving=True)
    batches = count()

    made.open(lambda: next(batches)).runtime.close()
    kept_beside = (made.how.cache_dir / "lanes").exists()
    made.open().runtime.close()

    assert not kept_beside
    assert (made.how.cache_dir / "lanes").exists()


def test_a_vision_tower_counts_towards_the_need(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    spec = find(str(folder), cache_dir=tmp_path / "cache").spec
    assert spec.architecture.vision
    deeper = replace(spec.architecture.vision, intermediate=5000)
    wider = replace(spec, architecture=replace(spec.architecture, vision=deeper))

    sizes = [_sizes(folder, one, "openvino") for one in (spec, wider)]

    assert [one.widest for one in sizes] == [48, 5000]  # 3 colours of 4 x 4 pixels


def test_a_picture_longer_than_a_batch_counts_whole_towards_the_need(recipe: Callable[..., Recipe]) -> None:
    made = recipe(batch_tokens=8)
    vision = Vision(layers=1, hidden=8, heads=1, intermediate=8, activation="gelu", norm_eps=1e-5, side=384, patch=4)
    seeing = replace(made.spec, architecture=replace(made.spec.architecture, vision=vision))

    assert replace(made, spec=seeing)._largest_tokens == vision.tokens == 96 * 96


def test_a_model_that_takes_pictures_is_opened_with_what_reads_them(
    tmp_path: Path, recipe: Callable[..., Recipe]
) -> None:
    folder = write_clip(tmp_path / "clip")
    spec = find(str(folder), cache_dir=tmp_path / "cache").spec
    loaded = replace(recipe(), folder=folder, origin=spec, spec=spec).open()
    try:
        assert loaded.image is not None
        assert loaded.image.encode([Image(png(31))])[0].patches.shape == (TOKENS, 48)
    finally:
        loaded.runtime.close()
