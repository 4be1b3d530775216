"""`embedstack models prove --url ... --against ...`: an endpoint whose weights nobody sees, and stored vectors."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from embedstack.api import open_engine
from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Identity, Origin
from embedstack.settings import read_settings
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Text
from support.commands import good, run
from support.kept_vectors import collection, lines
from support.serving import serving
from support.tables import job
from support.tiny import HIDDEN

pytestmark = [pytest.mark.usefixtures("machine"), pytest.mark.slow]
SPEC = hash_spec()
TEXTS = [f"bird {number} of the river" for number in range(8)]


def vectors_of(texts: list[str]) -> np.ndarray:
    request = Encode(model=SPEC.name, items=tuple(map(Text, texts)))
    return asyncio.run(HashEncoder([SPEC]).encode(request)).dense


def test_an_endpoint_that_gives_the_stored_vectors_ends_with_0(tmp_path: Path) -> None:
    place = collection(f"{tmp_path}/store", TEXTS, vectors_of(TEXTS))

    with serving() as url:
        said = good("models", "prove", "--url", f"{url}/v1", "--served-as", "hash", "--against", place.named).stdout

    assert "8 texts (rows), 32 numbers stored as float32, held to bfloat16" in said
    assert "8 of 8 fit\n\nproven: its vectors may lie beside these" in said


def test_for_machines_it_is_json(tmp_path: Path) -> None:
    place = lines(tmp_path, TEXTS, vectors_of(TEXTS))

    with serving() as url:
        arguments = ("--url", f"{url}/v1", "--served-as", "hash", "--against", place.named, "--precision", "float32")
        said = json.loads(good("models", "prove", *arguments, "--json").stdout)

    assert (said["proven"], said["basis"], said["texts"], said["fits"], said["precision"]) == (
        True, "rows", 8, 8, "float32",
    )  # fmt: skip


def test_the_probes_of_a_jobs_table_decide(tmp_path: Path) -> None:
    """Its rows are of another fake, and so is its probe: by that one text the endpoint is refused."""
    made = job(tmp_path / "job", [{"a.md": ["one"]}])

    with serving() as url:
        done = run("models", "prove", "--url", f"{url}/v1", "--served-as", "hash", "--against", str(made.root))

    assert isinstance(done.exception, Mismatch)
    assert "1 texts (probes), 8 numbers stored as float32" in done.stdout


def test_another_endpoint_ends_with_3(tmp_path: Path) -> None:
    place = lines(tmp_path, TEXTS, vectors_of([f"other {text}" for text in TEXTS]))

    with serving() as url:
        done = run("models", "prove", "--url", f"{url}/v1", "--served-as", "hash", "--against", place.named)

    assert isinstance(done.exception, Mismatch)
    assert done.exception.exit_code == 3
    assert "not proven: not of their space" in done.stdout
    assert "is not proven against file://" in str(done.exception)


def test_a_missing_prompt_is_said(tmp_path: Path) -> None:
    place = lines(tmp_path, TEXTS, vectors_of([f"passage: {text}" for text in TEXTS]))

    with serving() as url:
        asked = ("models", "prove", "--url", f"{url}/v1", "--served-as", "hash", "--against", place.named)
        without, with_it = run(*asked), run(*asked, "--prompt", "passage: ")

    assert "with 'passage: ' in front of texts it would fit" in without.stderr
    assert (isinstance(without.exception, Mismatch), with_it.exit_code) == (True, 0)


def test_what_a_server_says_of_itself_is_held_against_the_signature(tmp_path: Path) -> None:
    identity = Identity(model="hash", revision="1", space="5" * 32, fingerprint="f", dim=32, max_tokens=256)
    place = collection(f"{tmp_path}/store", TEXTS, vectors_of(TEXTS), Origin(identity=identity))

    with serving() as url:
        done = run("models", "prove", "--url", f"{url}/v1", "--served-as", "hash", "--against", place.named)

    assert f"it says that it is of the space {SPEC.space}" in str(done.exception)


# ------------------------------------------------------------------------------------------------ what is only stated


def random_rows(key: str) -> str:
    """A file of 40 vectors that no model made, with texts under this key."""
    vectors = np.random.default_rng(0).normal(size=(40, HIDDEN)).tolist()
    rows = [{"id": number, key: "sun of the moon", "vector": row} for number, row in enumerate(vectors)]
    Path("random.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return "random.jsonl"


def prove(embedder: str, *more: str) -> Result:
    """By a server of the model that the vectors are said to be of."""
    with serving(lambda: open_engine(read_settings(env_file=None), [embedder])) as url:
        return run("models", "prove", "--url", f"{url}/v1", "--against", "store#docs", *more)


def test_vectors_that_are_only_said_to_be_of_the_endpoints_model_prove_nothing(embedder: str) -> None:
    loaded = good("load", random_rows("blurb"), "store", "-c", "docs", "--model", embedder)

    done = prove(embedder)

    assert "that the vectors are of 'bert-mean' is only what you say" in loaded.stderr
    assert isinstance(done.exception, Mismatch), done.output
    assert "), which is only stated)\n32 texts (rows)" in done.stdout
    assert "0 of 32 fit\n\nnot proven: not of their space" in done.stdout


def test_rows_that_were_there_before_a_claim_are_looked_at(embedder: str) -> None:
    good("embed", "one sun", "-m", embedder, "--output", "fresh.jsonl")
    collection("store", TEXTS, np.random.default_rng(0).normal(size=(len(TEXTS), HIDDEN)).astype(np.float32))
    good("load", "fresh.jsonl", "store", "-c", "docs", "--model", embedder, "--claim")

    said = prove(embedder, "--json")

    assert isinstance(said.exception, Mismatch), said.output
    made = json.loads(said.stdout)
    assert (made["signature"], made["basis"], made["fits"], made["proven"]) == ("stated", "rows", 0, False)


def test_texts_under_another_usual_key_are_compared_before_anything_is_loaded(embedder: str) -> None:
    done = run("load", random_rows("content"), "store", "-c", "docs", "--model", embedder)

    assert isinstance(done.exception, Mismatch), done.output
    assert "makes of its text under 'content'" in str(done.exception)


# ------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--against", "rows.jsonl"], "--against proves an endpoint; name it with --url"),
        (["m", "--url", "http://h", "--against", "rows.jsonl"], "NAME would change nothing for --against"),
        (["--url", "http://h", "--against", "rows.jsonl", "--quick"], "--quick would change nothing for --against"),
        (["m", "--text-key", "body"], "--text-key would change nothing for a runtime here"),
        (["m", "--url", "http://h", "--prompt", "x"], "--prompt would change nothing for --url"),
        ([], "no model is named"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], why: str) -> None:
    done = run("models", "prove", *arguments)

    assert isinstance(done.exception, BadRequest), done.exception
    assert why in str(done.exception)
