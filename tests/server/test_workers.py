"""KripTik's jobs through the app with small models of the real kinds: each field holds the numbers that these give.

A tiny SigLIP, whose texts are filled up to 64 tokens as those of the real one, and a tiny BGE-M3 with all its heads.
"""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from embedstack.api import open_engine
from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.engine.finish import unit
from embedstack.likeness import probabilities
from embedstack.model import Model
from embedstack.models.weights import open_weights
from embedstack.runtimes.numpy import NumpyRuntime
from embedstack.settings import read_settings
from embedstack.types import DENSE, Image
from support.families import batch_of
from support.tiny_clip import png, write_clip
from support.tiny_siglip import BIAS, SCALE, filled, write_siglip

pytestmark = pytest.mark.anyio
BGE = Path(__file__).parents[1] / "golden" / "bge_m3_tiny"
TOKENS = 64  # that a text of SigLIP is filled up to
NEAR = 1e-6
TEXTS = ["what is a panda", "The river and the queen of the city", "music"]
SEEN = ["a photo of a cat", "two red cars", "dogs running in the snow"]
PNGS = [png(31), png(44, 80), png(90)]
FIRST, SECOND, THIRD = (base64.b64encode(data).decode() for data in PNGS)
Opening = Callable[[], Engine]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("workers")
    write_siglip(made / "siglip", TOKENS)
    write_clip(made / "clip")
    return made


def engine_of(root: Path, *names: str) -> Engine:
    folders = {"bge-m3": BGE, "siglip": root / "siglip", "clip": root / "clip"}
    settings = read_settings({"runtime": "numpy", "cache_dir": root / "cache"}, environ={})
    return open_engine(settings, [f"{name}={folders[name]}" for name in names], say=lambda line: None)


@pytest.fixture
def opening(root: Path) -> Opening:
    return lambda: engine_of(root, "siglip", "bge-m3")


@pytest.fixture(scope="module")
def bge(root: Path) -> Iterator[Model]:
    with Model(engine_of(root, "bge-m3")) as model:
        yield model


@pytest.fixture(scope="module")
def siglip(root: Path) -> Iterator[Model]:
    with Model(engine_of(root, "siglip")) as model:
        yield model


async def done(client, worker: str, **given: object) -> dict[str, object]:
    """The output of a job."""
    reply = await client.post(f"/kriptik-worker/{worker}/runsync", json={"input": given})
    assert reply.status_code == 200, reply.text
    return reply.json()["output"]


def near(made: object, wanted: np.ndarray) -> bool:
    """Whether all numbers are those, of unit vectors or probabilities."""
    rows = np.array(made)
    return rows.shape == wanted.shape and bool(np.abs(rows - wanted).max() <= NEAR)


async def rows_of(model: Model, *items: str | Image) -> np.ndarray:
    """(items, dim)."""
    return (await model.encode_async(list(items))).dense


# ------------------------------------------------------------------------------------------------ bge-m3


async def test_texts_get_the_dense_sparse_and_token_vectors_of_the_model(serve, opening, bge):
    wanted = await bge.encode_async(TEXTS, outputs=("dense", "sparse", "multi"))
    async with serve(opening) as client:
        output = await done(client, "bge-m3", texts=TEXTS, options={"return_sparse": True, "return_colbert": True})

    assert (output["model"], output["dimensions"]) == ("bge-m3", bge.spec.dim)
    assert near(output["embeddings"], wanted.dense)
    for terms, one in zip(output["sparse_embeddings"], wanted.sparse, strict=True):
        assert list(map(int, terms)) == one.ids.tolist()
        assert near(list(terms.values()), one.weights)
    assert all(near(*pair) for pair in zip(output["colbert_embeddings"], wanted.multi, strict=True))


async def test_a_text_of_a_job_is_cut_where_the_job_says(serve, opening, bge):
    short = await bge.encode_async(TEXTS[:2], max_tokens=5)
    async with serve(opening) as client:
        output = await done(client, "bge-m3", texts=TEXTS[:2], options={"max_length": 5})

    assert near(output["embeddings"], short.dense)
    assert not near(output["embeddings"], await rows_of(bge, *TEXTS[:2]))
    assert (output["tokens_used"], output["texts_processed"]) == (short.usage.tokens, 2)


async def test_the_other_client_gets_the_same_rows_as_openai_has_them(serve, opening, bge):
    wanted = await bge.encode_async(TEXTS)
    async with serve(opening) as client:
        output = await done(client, "bge-m3", input=TEXTS)

    assert near([row["embedding"] for row in output["data"]], wanted.dense)
    assert output["usage"] == {"prompt_tokens": wanted.usage.tokens, "total_tokens": wanted.usage.tokens}


# ------------------------------------------------------------------------------------------------ siglip


@pytest.mark.parametrize("before", ["", "data:image/png;base64,"])
async def test_a_picture_gets_the_vector_of_the_model(serve, opening, siglip, before):
    async with serve(opening) as client:
        output = await done(client, "siglip", type="image", image=before + FIRST)

    assert near(output["embeddings"], await rows_of(siglip, Image(PNGS[0])))


async def test_texts_get_the_vectors_of_the_tower_of_texts(serve, opening, siglip):
    async with serve(opening) as client:
        output = await done(client, "siglip", type="text", texts=SEEN)

    assert near(output["embeddings"], await rows_of(siglip, *SEEN))
    assert (output["model"], output["space"]) == ("siglip", siglip.spec.space)


async def test_a_text_is_lower_case_without_marks_and_filled_up_to_64_tokens(serve, opening, root):
    """Against the graph itself, over ids that are counted out here."""
    folder = root / "siglip"
    spec = find(str(folder), cache_dir=root / "cache").spec
    ids = filled(Tokenizer.from_file(str(folder / "tokenizer.json")), "a photo of a cat", TOKENS)
    runtime = NumpyRuntime(spec, open_weights(folder))
    end = ids.tolist().index(ids[-1]) + 1
    whole, bare = (runtime.run(batch_of([given]), DENSE)["dense"] for given in (ids, ids[:end]))

    async with serve(opening) as client:
        output = await done(client, "siglip", type="text", texts=["A PHOTO, of a   cat!"])

    assert end < len(ids) == TOKENS
    assert near(output["embeddings"], unit(whole))
    assert not near(output["embeddings"], unit(bare))


async def test_likeness_is_the_sigmoid_of_the_cosine_with_scale_and_bias(serve, opening, siglip):
    async with serve(opening) as client:
        output = await done(client, "siglip", type="similarity", image=FIRST, texts=SEEN)
        alone = await done(client, "siglip", type="similarity", image=FIRST, texts=SEEN[1:2])

    image, texts = await rows_of(siglip, Image(PNGS[0])), await rows_of(siglip, *SEEN)
    cosines = (texts @ image[0]).astype(np.float64)
    assert near(output["image_embedding"], image[0])
    assert near(output["text_embeddings"], texts)
    assert near(output["cosines"], cosines)
    assert output["similarity_scores"] == pytest.approx(1 / (1 + np.exp(-(np.exp(SCALE) * cosines + BIAS))), rel=1e-4)
    assert output["similarity_scores"] == pytest.approx(probabilities(siglip.spec, image, texts)[0], rel=1e-4)
    assert alone["similarity_scores"] == pytest.approx(output["similarity_scores"][1:2], rel=1e-4)


async def test_likeness_by_clip_is_shared_among_the_texts(serve, root):
    with Model(engine_of(root, "clip")) as clip:
        image, texts = await rows_of(clip, Image(PNGS[0])), await rows_of(clip, *SEEN)
        wanted = probabilities(clip.spec, image, texts)[0]

    async with serve(lambda: engine_of(root, "clip", "bge-m3")) as client:
        output = await done(client, "siglip", type="similarity", image=FIRST, texts=SEEN)

    shares = np.exp(clip.spec.logit_scale * (texts @ image[0]))
    assert output["similarity_scores"] == pytest.approx(shares / shares.sum(), rel=1e-4)
    assert output["similarity_scores"] == pytest.approx(wanted, rel=1e-4)


# ------------------------------------------------------------------------------------------------ vl-jepa's requests


async def test_an_intent_is_read_by_the_text_model_after_its_context(serve, opening, bge):
    async with serve(opening) as client:
        plain = await done(client, "vl-jepa", type="intent", text=TEXTS[0])
        told = await done(client, "vl-jepa", type="intent", text=TEXTS[0], context=TEXTS[1])

    assert (plain["model"], plain["engine"], plain["dimensions"]) == ("bge-m3", "text-encoder", bge.spec.dim)
    wanted = await rows_of(bge, TEXTS[0], f"{TEXTS[1]}\n{TEXTS[0]}")
    assert near([plain["embedding"], told["embedding"]], wanted)
    assert not near(plain["embedding"], wanted[1])


async def test_a_picture_with_a_text_gets_both_vectors_and_their_mean(serve, opening, siglip):
    async with serve(opening) as client:
        output = await done(client, "vl-jepa", type="visual_text", image=SECOND, text=SEEN[0])

    image, text = await rows_of(siglip, Image(PNGS[1]), SEEN[0])
    assert (output["model"], output["engine"]) == ("siglip", "dual-encoder")
    assert near([output["image_embedding"], output["text_embedding"]], np.stack([image, text]))
    assert near([output["embedding"]], unit((image + text)[None] / 2))
    likely = probabilities(siglip.spec, image[None], text[None])[0]
    assert output["similarity_scores"] == pytest.approx(likely, rel=1e-4)


@pytest.mark.parametrize("field", ["frames", "video"])
async def test_a_video_gets_the_vectors_of_its_frames_their_mean_and_its_text(serve, opening, siglip, field):
    async with serve(opening) as client:
        given = {field: [FIRST, FIRST, SECOND, THIRD], "text": SEEN[2]}
        output = await done(client, "vl-jepa", type="video", segment_growth=1e-6, **given)

    frames = await rows_of(siglip, *map(Image, (PNGS[0], PNGS[0], PNGS[1], PNGS[2])))
    (text,) = await rows_of(siglip, SEEN[2])
    assert near(output["frame_embeddings"], frames)
    assert near([output["embedding"]], unit(frames.mean(axis=0, keepdims=True)))
    assert near(output["text_embedding"], text)
    assert near(output["cosines"], frames @ text)
    assert [(one["start"], one["stop"]) for one in output["segments"]] == [(0, 2), (2, 3), (3, 4)]
