"""The `models` commands: stdout is data, stderr is for people, and errors keep their class."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from embedstack.catalog.answers import INSTRUCTION
from embedstack.catalog.catalog import Wanted, entry_of, parse
from embedstack.catalog.store import Manifest, Store
from embedstack.cli.models import models
from embedstack.errors import BadRequest, ConfigError, UnknownModel

pytestmark = pytest.mark.usefixtures("drawn_weights")
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "vocab_size": 10,
    "max_position_embeddings": 32,
}
MODULES = [
    {"type": "sentence_transformers.models.Transformer", "path": ""},
    {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
]
FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "modules.json": json.dumps(MODULES).encode(),
    "1_Pooling/config.json": b'{"pooling_mode": "cls"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights" * 1000,
}

RANKER = {  # as Qwen3-Reranker is published: its card says how a pair is written
    "config.json": json.dumps(
        {
            **CONFIG,
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "num_key_value_heads": 1,
            "head_dim": 4,
            "tie_word_embeddings": True,
        }
    ).encode(),
    "tokenizer.json": b'{"model": {"vocab": {"yes": 1, "no": 2}}}',
    "tokenizer_config.json": b'{"model_max_length": 32}',
    "README.md": b"---\n\npipeline_tag: text-ranking\n---\nJudge whether the Document meets the requirements",
    "model.safetensors": b"\x02" + bytes(7) + b"{}",
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def here(cache: Path) -> Path:
    """bge-small-en-v1.5 in the cache, as if it had been pulled."""
    wanted = parse("bge-small-en-v1.5")
    assert isinstance(wanted, Wanted)
    store = Store(cache)
    partial = store.partial(wanted.repo, wanted.revision)
    for name, data in FILES.items():
        (partial / name).parent.mkdir(exist_ok=True)
        (partial / name).write_bytes(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    store.accept(partial, Manifest(repo=wanted.repo, revision=wanted.revision, source="test", files=digests), wanted)
    return store.folder(wanted.repo, wanted.revision)


def run(cache: Path, *arguments: str) -> Result:
    return CliRunner().invoke(models, [*arguments, "--cache-dir", str(cache)])


def test_help_teaches_by_example() -> None:
    text = CliRunner().invoke(models, ["--help"]).output

    assert "models pull --from bge-m3.tar" in text
    assert all(command in text for command in ("list", "show", "pull", "path", "rm", "bundle"))


def test_list_names_the_catalog_and_what_is_here(cache: Path, here: Path) -> None:
    lines = run(cache, "list").stdout.splitlines()

    assert any(line.startswith("all-MiniLM-L6-v2") and "no (92 MB)" in line for line in lines)
    assert any(line.startswith("bge-small-en-v1.5") and "0.0 MB" in line for line in lines)
    assert str(cache) in lines[-1]


def test_list_for_machines_is_json(cache: Path, here: Path) -> None:
    listed = json.loads(run(cache, "list", "--json").stdout)

    present = [row["name"] for row in listed["models"] if row["here"]]
    assert present == ["bge-small-en-v1.5"]
    assert listed["size_bytes"] > len(FILES["model.safetensors"])


def test_list_of_an_empty_cache_is_the_catalog(cache: Path) -> None:
    listed = json.loads(run(cache, "list", "--json").stdout)

    assert (listed["size_bytes"], any(row["here"] for row in listed["models"])) == (0, False)


def test_show_of_a_model_that_is_here_has_its_space(cache: Path, here: Path) -> None:
    shown = json.loads(run(cache, "show", "Xenova/bge-small-en-v1.5", "--json").stdout)

    assert shown["here"] is True
    assert (shown["name"], shown["dim"], shown["pooling"], shown["max_tokens"]) == ("bge-small-en-v1.5", 8, "cls", 32)
    assert len(shown["space"]) == 32
    assert shown["prompts"]["query"].startswith("Represent this sentence")


def test_show_tells_what_stands_before_a_text_of_each_role(cache: Path, here: Path) -> None:
    profile = json.loads(run(cache, "show", "bge-small-en-v1.5", "--json").stdout)["prompt_profile"]

    assert (profile["required"], profile["unsaid_role"]) == (False, "document")
    assert profile["roles"] == {"query": "Represent this sentence for searching relevant passages: ", "document": ""}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bge-small-en-v1.5", "document: nothing (a text without a role is a document; a text may go without"),
        (
            "nomic-embed-text-v1.5",
            "clustering: 'clustering: ' (a text without a role is a document; a text without one",
        ),
        ("multilingual-e5-small", "document: 'passage: ' (a text without a role is a document; a text without one is"),
    ],
)
def test_show_says_whether_a_prompt_is_required(cache: Path, name: str, told: str) -> None:
    assert told in run(cache, "show", name).stdout


@pytest.mark.parametrize("name", ["Qwen3-Embedding-0.6B", "snowflake-arctic-embed-m-v2.0", "all-MiniLM-L6-v2"])
def test_show_claims_no_prompts_that_only_the_files_of_a_model_state(cache: Path, name: str) -> None:
    lines = {line.split()[0]: line for line in run(cache, "show", name).stdout.splitlines()}

    assert lines["prompts"].endswith("in its files; seen once it is pulled")
    assert lines["prompt_profile"].endswith("in its files; seen once it is pulled")


def test_show_for_machines_has_null_where_the_prompts_are_not_known(cache: Path) -> None:
    shown = json.loads(run(cache, "show", "Qwen3-Embedding-0.6B", "--json").stdout)

    assert (shown["prompts"], shown["prompt_profile"]) == (None, None)


def test_show_of_a_decoder_that_reranks_has_its_instruction(tmp_path: Path, cache: Path) -> None:
    for name, data in RANKER.items():
        (tmp_path / name).write_bytes(data)

    shown = json.loads(run(cache, "show", str(tmp_path), "--json").stdout)

    assert shown["instruction"] == INSTRUCTION


def test_show_names_the_files_that_have_no_digest(cache: Path) -> None:
    assert json.loads(run(cache, "show", "gte-modernbert-base", "--json").stdout)["unpinned"] == ["model.safetensors"]


def test_show_of_a_reranker_has_no_roles(cache: Path) -> None:
    assert "prompt_profile" not in json.loads(run(cache, "show", "bge-reranker-v2-m3", "--json").stdout)


def test_show_of_a_model_that_is_not_here_says_how_to_get_it(cache: Path) -> None:
    result = run(cache, "show", "bge-m3")

    assert "5617a9f61b028005a4858fdac845db406aefb181" in result.stdout
    assert "embedstack models pull bge-m3" in result.stderr


def test_path_prints_only_the_folder(cache: Path, here: Path) -> None:
    assert run(cache, "path", "bge-small-en-v1.5").stdout == f"{here}\n"


@pytest.mark.parametrize("command", [("path",), ("rm",), ("bundle", "out.tar")])
def test_a_model_that_is_not_here_is_an_error(cache: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *rest = command

    result = run(cache, name, "bge-m3", *rest)

    assert isinstance(result.exception, ConfigError)
    assert "'bge-m3' is not here" in str(result.exception)


@pytest.mark.parametrize("command", ["show", "path", "pull", "rm"])
def test_an_unknown_model_names_the_nearest(cache: Path, command: str) -> None:
    result = run(cache, command, "bge-m4")

    assert isinstance(result.exception, UnknownModel)
    assert "did you mean 'bge-m3'" in str(result.exception)


def test_pull_of_a_model_that_is_here_prints_its_folder(cache: Path, here: Path) -> None:
    assert run(cache, "pull", "bge-small-en-v1.5", "--no-truth").stdout == f"{here}\n"


def test_pull_for_machines_is_json(cache: Path, here: Path) -> None:
    pulled = json.loads(run(cache, "pull", "bge-small-en-v1.5", "--json", "--no-truth").stdout)

    assert (pulled["folder"], pulled["source"]) == (str(here), "test")


def test_pull_offline_says_how_to_bring_it(cache: Path) -> None:
    result = run(cache, "pull", "org/model", "--offline")

    assert isinstance(result.exception, ConfigError)
    assert "embedstack models bundle org/model model.tar" in str(result.exception)


@pytest.mark.parametrize("arguments", [(), ("bge-m3", "--from", "x.tar")])
def test_pull_takes_a_name_or_a_bundle(cache: Path, arguments: tuple[str, ...]) -> None:
    assert isinstance(run(cache, "pull", *arguments).exception, BadRequest)


def test_a_bundle_is_pulled_on_another_machine(cache: Path, here: Path, tmp_path: Path) -> None:
    run(cache, "bundle", "bge-small-en-v1.5", str(tmp_path / "m.tar"))

    pulled = run(tmp_path / "there", "pull", "--from", str(tmp_path / "m.tar"), "--no-truth")

    folder = Path(pulled.stdout.strip())
    assert folder.is_relative_to(tmp_path / "there")
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_rm_removes_and_says_how_much(cache: Path, here: Path) -> None:
    result = run(cache, "rm", "bge-small-en-v1.5")

    assert not here.exists()
    assert result.stderr.startswith("removed bge-small-en-v1.5")
    assert result.stdout == ""


def test_rm_of_one_revision_keeps_the_others(cache: Path, here: Path) -> None:
    entry = entry_of("bge-small-en-v1.5")
    assert entry is not None
    other = Store(cache).partial(entry.repo, "2" * 40)

    run(cache, "rm", f"{entry.repo}@{entry.revision}")

    assert not here.exists()
    assert other.exists()


@pytest.mark.parametrize("revision", ["refs", "refs/main", "nothing", "1234567"])
def test_rm_takes_a_commit_or_a_branch_that_is_known(cache: Path, here: Path, revision: str) -> None:
    ref = here.parent / "refs" / "main"
    ref.parent.mkdir()
    ref.write_text(here.name)

    result = run(cache, "rm", f"BAAI/bge-small-en-v1.5@{revision}")

    assert isinstance(result.exception, ConfigError)
    assert ref.exists()
    assert here.exists()


def test_rm_of_a_branch_removes_the_commit_that_it_means(cache: Path, here: Path) -> None:
    ref = here.parent / "refs" / "main"
    ref.parent.mkdir()
    ref.write_text(here.name)

    run(cache, "rm", "BAAI/bge-small-en-v1.5@main")

    assert not here.exists()


def test_rm_leaves_a_folder_of_the_users_own_alone(cache: Path, tmp_path: Path) -> None:
    result = run(cache, "rm", str(tmp_path))

    assert isinstance(result.exception, BadRequest)
    assert tmp_path.exists()


def test_a_folder_can_be_shown(cache: Path, here: Path) -> None:
    assert json.loads(run(cache, "show", str(here), "--json").stdout)["name"] == "bge-small-en-v1.5"
