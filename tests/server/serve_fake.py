"""A server around the fake encoder, run as a process by the tests."""

import argparse
import importlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `support`

from embedstack.databases.opening import open_database
from embedstack.errors import ConfigError, EmbedstackError
from embedstack.server import run
from embedstack.settings import read_settings
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from support.served_collections import fill

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--run-s", type=float, default=0.0)
parser.add_argument("--drain-s", type=int)
parser.add_argument("--linger-s", type=float, help="for machines that are too busy to ask again within a second")
parser.add_argument("--max-body-mb", type=int)
parser.add_argument("--several", action="store_true", help="a twin in one space, a model of another, a reranker")
parser.add_argument(
    "--every-kind",
    action="store_true",
    help="a model for every path: of texts, images, terms, labels; and a collection",
)
parser.add_argument("--fail", action="store_true")
given = parser.parse_args()
if given.linger_s is not None:
    importlib.import_module("embedstack.server.run").LINGER_S = given.linger_s


def open_encoder() -> HashEncoder:
    if given.fail:
        raise ConfigError("the model folder is broken; pull it again")
    several = (hash_spec(), replace(hash_spec(), name="twin"), hash_spec("other", dim=16), overlap_spec())
    every = (hash_spec(inputs=("text", "image"), outputs=("dense", "sparse", "multi")), overlap_spec(), labels_spec())
    return HashEncoder(several if given.several else every if given.every_kind else (), run_s=given.run_s)


def collection(folder: str) -> str:
    """As the setting has it."""
    database = open_database(folder)
    fill(database, "docs", hash_spec(), bm25=True)
    database.close()
    return f"{folder}#docs"


flags = {"port": given.port, "drain_s": given.drain_s, "max_body_mb": given.max_body_mb}
try:
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings({**flags, "collections": collection(folder) if given.every_kind else None})
        sys.exit(run(settings, open_encoder))
except EmbedstackError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
