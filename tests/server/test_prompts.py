"""A model that needs a prompt, through every dialect: it never runs without one, and never with two."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.runtimes.numpy import NumpyRuntime
from support import tiny

pytestmark = pytest.mark.anyio
PROMPTS = {"query": "what is ", "document": "paper ", "clustering": "the moon "}
BARE, ASKED, WRITTEN = "a panda", "what is a panda", "paper a panda"

Body = dict[str, object]


@pytest.fixture(scope="module")
def open_needy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Engine]:
    root = tmp_path_factory.mktemp("needy")
    folder: Path = tiny.write(tiny.CASES["bert-mean"], root / "needy")
    spec = replace(find(str(folder), cache_dir=root / "cache").spec, name="needy", prompts=PROMPTS, needs_prompt=True)
    return lambda: Engine([Loaded(spec, TextInput(folder, spec), NumpyRuntime(spec, open_weights(folder)))])


SAYS_NONE: Mapping[str, tuple[Callable[[str], Body], Body, int]] = {  # a body, how it says a role, the refusal's status
    "/tei/embed": (lambda text: {"inputs": text}, {"prompt_name": "query"}, 422),
    "/tei/v1/embeddings": (lambda text: {"input": text}, {}, 422),
    "/tei/similarity": (
        lambda text: {"inputs": {"source_sentence": text, "sentences": [text]}},
        {"parameters": {"prompt_name": "query"}},
        422,
    ),
    "/infinity/embeddings": (lambda text: {"input": text, "model": "needy"}, {"input_type": "query"}, 400),
}
SAYS_DOCUMENT: Mapping[str, Callable[[str], Body]] = {
    "/openai/v1/embeddings": lambda text: {"input": text},
    "/jina/v1/embeddings": lambda text: {"input": [text], "model": "needy"},
    "/cohere/v2/embed": lambda text: {
        "texts": [text], "model": "needy", "input_type": "search_document", "embedding_types": ["float"]
    },
    "/cohere/v1/embed": lambda text: {"texts": [text], "model": "needy"},
    "/rag-stack/embeddings": lambda text: {"input": [text]},
    "/model-worker/embed/text": lambda text: {"texts": [text]},
    "/ml-service/embeddings/single/text": lambda text: {"text": text},
    "/kriptik/api/embeddings/generate": lambda text: {"content": text, "type": "intent"},
}  # fmt: skip


@pytest.mark.parametrize("path", SAYS_NONE)
async def test_a_dialect_that_puts_no_prompt_in_front_refuses_and_names_them(serve, open_needy, path):
    body, _, status = SAYS_NONE[path]
    async with serve(open_needy) as client:
        reply = await client.post(path, json=body(BARE))

    assert reply.status_code == status
    assert "text 0 has no prompt, and 'needy' needs one" in reply.text
    for role, prompt in PROMPTS.items():
        assert f"{role} ('{prompt}')" in reply.text


@pytest.mark.parametrize("path", [path for path, (_, role, _) in SAYS_NONE.items() if role])
async def test_a_role_puts_the_prompt_in_front(serve, open_needy, path):
    body, role, _ = SAYS_NONE[path]
    async with serve(open_needy) as client:
        by_role, written = [await client.post(path, json=sent) for sent in ({**body(BARE), **role}, body(ASKED))]

    assert by_role.status_code == written.status_code == 200
    assert numbers(by_role.json())
    assert numbers(by_role.json()) == pytest.approx(numbers(written.json()))


@pytest.mark.parametrize("path", SAYS_DOCUMENT)
async def test_a_prompt_that_the_caller_wrote_is_not_put_there_again(serve, open_needy, path):
    body = SAYS_DOCUMENT[path]
    async with serve(open_needy) as client:
        bare, written, asked = [await client.post(path, json=body(text)) for text in (BARE, WRITTEN, ASKED)]

    assert [reply.status_code for reply in (bare, written, asked)] == [200, 200, 200], bare.text
    assert numbers(bare.json())
    assert numbers(bare.json()) == pytest.approx(numbers(written.json()))
    assert numbers(asked.json()) != pytest.approx(numbers(written.json()), abs=1e-3)


async def test_any_prompt_of_the_model_can_be_asked_for_by_its_name(serve, open_needy):
    async with serve(open_needy) as client:
        by_name = await client.post("/v1/embeddings", json={"input": BARE, "input_type": "clustering"})
        written = await client.post("/v1/embeddings", json={"input": f"the moon {BARE}"})

    assert numbers(by_name.json()) == pytest.approx(numbers(written.json()))


TASKS = {  # a body for a task, words that mean the prompt for clustering, one without a prompt here, its status
    "/jina/v1/embeddings": (
        lambda word: {"input": [BARE], "model": "needy", "task": word},
        ("clustering", "separation"), "text-matching", 422,
    ),
    "/cohere/v2/embed": (
        lambda word: {"texts": [BARE], "model": "needy", "input_type": word},
        ("clustering",), "classification", 400,
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", TASKS)
async def test_a_task_has_its_own_prompt_in_front_and_never_a_documents(serve, open_needy, path):
    body, words, foreign, status = TASKS[path]
    async with serve(open_needy) as client:
        written = await client.post("/v1/embeddings", json={"input": f"the moon {BARE}"})
        made = [await client.post(path, json=body(word)) for word in words]
        refused, misspelt = [await client.post(path, json=body(word)) for word in (foreign, "clustring")]

    assert all(numbers(one.json()) == pytest.approx(numbers(written.json())) for one in made)
    assert (refused.status_code, misspelt.status_code) == (status, status)
    assert f"{foreign!r} has no prompt in 'needy', which needs one; send one of: " in refused.text
    assert "'clustring' is unknown to 'needy'" in misspelt.text


async def test_tokens_of_a_text_are_shown_without_a_prompt(serve, open_needy):
    async with serve(open_needy) as client:
        reply = await client.post("/tei/tokenize", json={"inputs": BARE})

    assert reply.status_code == 200


def numbers(reply: object) -> list[float]:
    """The longest list of numbers in a reply."""
    inner = reply.values() if isinstance(reply, dict) else reply if isinstance(reply, list) else ()
    own = [one for one in inner if isinstance(one, float)]
    return max((own, *(numbers(one) for one in inner if isinstance(one, dict | list))), key=len)
