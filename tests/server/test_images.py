"""Pictures and late chunks over HTTP, through the engine with small models: who answers, and what comes back."""

import base64
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.dialects import modelworker_batch
from embedstack.engine import answers
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.inputs.image import ImageInput
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import Options, open_runtime
from support.tiny import CASES, write
from support.tiny_clip import DIM, png, write_clip

pytestmark = pytest.mark.anyio
FIRST, SECOND = (base64.b64encode(png(width)).decode() for width in (31, 44))
MIXED = [
    {"id": "b.png", "type": "image", "content": f"data:image/png;base64,{FIRST}"},
    {"id": "a.txt", "type": "text", "content": "a photo of a panda"},
    {"id": "c.png", "type": "image", "content": SECOND},
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ModelSpec]]:
    root = tmp_path_factory.mktemp("images")
    made = {"tiny": write(CASES["bert-mean"], root / "tiny"), "clip": write_clip(root / "clip")}
    return {name: (folder, find(str(folder), cache_dir=root / "cache").spec) for name, folder in made.items()}


@pytest.fixture
def opening(folders) -> Callable[..., Callable[[], Engine]]:
    """An engine with the models of these names, each once for each name, and what else it is told."""

    def one(name: str) -> Loaded:
        folder, spec = folders[name.rstrip("2")]
        vision = spec.architecture.vision
        runtime = open_runtime("numpy")(spec, open_weights(folder), Options())
        image = ImageInput(vision) if vision else None
        return Loaded(replace(spec, name=name), TextInput(folder, spec), runtime, image=image)

    return lambda *names, **told: lambda: Engine([one(name) for name in names], cache_bytes=1_000_000, **told)


async def used(client) -> dict[str, int]:
    """The totals of the only caller."""
    (totals,) = (await client.get("/api/embeddings/stats")).json()["data"]["callers"].values()
    return {name: totals[name] for name in ("requests", "failures", "items", "tokens", "images")}


async def test_two_pictures_get_two_vectors_of_length_1(serve, opening):
    async with serve(opening("clip")) as client:
        reply = await client.post("/embed/image", json={"images": [FIRST, SECOND]})

    rows = np.array(reply.json()["embeddings"])
    assert rows.shape == (2, DIM)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.abs(rows[0] - rows[1]).max() > 0.01


async def test_a_mixed_batch_gives_texts_to_the_text_model_and_pictures_to_the_image_model(serve, opening):
    async with serve(opening("clip", "tiny")) as client:
        mixed = await client.post("/embed/batch", json={"items": MIXED})
        texts = await client.post("/embed/text", json={"texts": [MIXED[1]["content"]]})
        images = await client.post("/embed/image", json={"images": [FIRST, SECOND]})

    results = mixed.json()["results"]
    wanted = [images.json()["embeddings"][0], texts.json()["embeddings"][0], images.json()["embeddings"][1]]
    assert [row["id"] for row in results] == ["b.png", "a.txt", "c.png"]
    assert all(np.allclose(row["embedding"], one, atol=1e-6) for row, one in zip(results, wanted, strict=True))
    assert mixed.json()["metadata"] | {"duration": 0} == {"total": 3, "text": 1, "image": 2, "duration": 0}


async def test_the_headers_of_a_mixed_batch_name_both_models_and_both_spaces(serve, opening, folders):
    async with serve(opening("tiny", "clip")) as client:
        reply = await client.post("/embed/batch", json={"items": MIXED})

    assert reply.headers["x-embedstack-model"] == "tiny, clip"
    assert reply.headers["x-embedstack-space"] == f"{folders['tiny'][1].space}, {folders['clip'][1].space}"


@pytest.mark.parametrize(("type_", "content", "said"), [
    ("text", "", "text 3 is empty"),
    ("image", base64.b64encode(png(40)[:70]).decode(), "image 3"),
])  # fmt: skip
async def test_what_is_wrong_in_a_mixed_batch_is_told_by_its_place_among_all_items(
    serve, opening, type_, content, said
):
    async with serve(opening("clip", "tiny")) as client:
        items = [*MIXED, {"id": "d", "type": type_, "content": content}]
        reply = await client.post("/embed/batch", json={"items": items})

    assert reply.status_code == 400
    assert said in reply.text


async def test_a_mixed_batch_is_one_request_of_its_caller(serve, opening):
    async with serve(opening("clip", "tiny")) as client:
        reply = await client.post("/embed/batch", json={"items": MIXED})
        after = await used(client)

    assert reply.status_code == 200
    assert after | {"tokens": 0} == {"requests": 1, "failures": 0, "items": 3, "tokens": 0, "images": 2}
    assert after["tokens"] > 2 * 37


async def test_the_reply_to_a_mixed_batch_is_written_beside_the_loop_where_all_of_it_is_big(
    serve, opening, monkeypatch
):
    threads = []

    def written(row):
        threads.append(threading.current_thread())
        return row.tolist()

    monkeypatch.setattr(modelworker_batch, "as_floats", written)
    monkeypatch.setattr(answers, "BIG_BYTES", 250)  # more than one of the answers has
    async with serve(opening("clip", "tiny")) as client:
        await client.post("/embed/batch", json={"items": MIXED})

    assert len(threads) == 3
    assert threading.main_thread() not in threads


async def test_a_mixed_batch_that_fails_in_one_model_is_one_failure(serve, opening):
    async with serve(opening("clip", "tiny")) as client:
        await client.post("/embed/batch", json={"items": [*MIXED, {"id": "d", "type": "text", "content": ""}]})
        after = await used(client)

    assert after == {"requests": 1, "failures": 1, "items": 0, "tokens": 0, "images": 0}


async def test_one_model_of_both_kinds_makes_all_vectors_of_a_batch(serve, opening):
    async with serve(opening("clip")) as client:
        reply = await client.post("/embed/batch", json={"items": MIXED})

    assert {len(row["embedding"]) for row in reply.json()["results"]} == {DIM}
    assert reply.headers["x-embedstack-model"] == "clip"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/embed/image", {"images": [FIRST]}), ("/ml-service/embeddings/image", {"images": [FIRST]})],
)
async def test_two_models_for_images_must_be_told_apart(serve, opening, path, body):
    async with serve(opening("tiny", "clip", "clip2")) as client:
        reply = await client.post(path, json=body)
        named = await client.post(path, json={**body, "model": "clip2"})

    assert reply.status_code in (400, 422)
    assert "name one of: clip, clip2" in reply.text
    assert named.headers["x-embedstack-model"] == "clip2"


async def test_a_picture_without_an_image_model_is_a_422_that_says_what_is_missing(serve, opening):
    async with serve(opening("tiny")) as client:
        unnamed = await client.post("/embed/image", json={"images": [FIRST]})
        named = await client.post("/embed/image", json={"images": [FIRST], "model": "tiny"})

    assert (unnamed.status_code, named.status_code) == (422, 422)
    assert "no model for images is served" in unnamed.text
    assert "'tiny' takes no images" in named.text


async def test_a_broken_picture_is_told_by_its_place(serve, opening):
    broken = base64.b64encode(png(40)[:70]).decode()
    async with serve(opening("clip")) as client:
        reply = await client.post("/embed/image", json={"images": [FIRST, broken]})

    assert reply.status_code == 400
    assert "image 1" in reply.text


@pytest.mark.parametrize("data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"a text that was named cat.jpg"])
@pytest.mark.parametrize("path", ["/embed/image", "/embed/batch"])
async def test_a_picture_of_another_format_is_a_400_of_the_model_worker(serve, opening, path, data):
    content = base64.b64encode(data).decode()
    body = {"images": [content], "items": [{"id": "a", "type": "image", "content": content}]}
    async with serve(opening("clip")) as client:
        reply = await client.post(path, json=body)

    assert reply.status_code == 400
    assert reply.json()["error"] == "Validation Error"
    assert "image 0 is not PNG, JPEG, WebP or GIF" in reply.text


async def test_a_video_among_frames_is_called_one_and_its_frames_are_asked_for(serve, opening):
    video = base64.b64encode(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41").decode()
    async with serve(opening("clip")) as client:
        reply = await client.post("/kriptik-worker/vl-jepa/runsync", json={
            "input": {"type": "video", "frames": [FIRST, f"data:video/mp4;base64,{video}"]}
        })  # fmt: skip

    assert reply.status_code == 422
    assert "image 1 is not PNG, JPEG, WebP or GIF, it seems to be a video (MP4); send its frames" in reply.text


async def test_pictures_are_counted_by_caller(serve, opening):
    async with serve(opening("clip")) as client:
        reply = await client.post("/infinity/embeddings", json={"input": [FIRST, SECOND], "modality": "image"})
        after = await used(client)

    assert reply.json()["usage"]["total_tokens"] == 2 * 37
    assert after == {"requests": 1, "failures": 0, "items": 2, "tokens": 2 * 37, "images": 2}


@pytest.mark.parametrize(("limit", "status"), [(2 * 37, 200), (2 * 37 - 1, 400)])
async def test_the_tokens_of_pictures_count_towards_the_limit_of_a_request(serve, opening, limit, status):
    async with serve(opening("clip", max_request_tokens=limit)) as client:
        reply = await client.post("/infinity/embeddings", json={"input": [FIRST, SECOND], "modality": "image"})

    assert reply.status_code == status, reply.text


async def test_jinas_late_chunking_answers_in_the_order_of_the_parts(serve, opening):
    parts = ["the panda is a bear ", "of china"]
    async with serve(opening("tiny")) as client:
        bodies = [{"input": parts, "late_chunking": late} for late in (True, False)]
        late, plain = [await client.post("/jina/v1/embeddings", json=body) for body in bodies]

    rows = [np.array([row["embedding"] for row in reply.json()["data"]]) for reply in (late, plain)]
    assert rows[0].shape == rows[1].shape
    assert np.abs(rows[0] - rows[1]).max() > 0.01
    assert late.headers["x-embedstack-fingerprint"] != plain.headers["x-embedstack-fingerprint"]


async def test_a_model_without_late_chunking_is_a_422_that_says_why(serve, opening):
    async with serve(opening("clip")) as client:
        reply = await client.post("/jina/v1/embeddings", json={"input": ["a cat"], "late_chunking": True})

    assert reply.status_code == 422
    assert "it compares texts with images" in reply.text
