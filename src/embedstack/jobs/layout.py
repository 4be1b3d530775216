"""A shard's or a group's number -> where its files lie below a job's URL, and back."""

import re

from embedstack.errors import ConfigError

PLAN = "plan.json"
TABLES = "_plan/"
PARTS = "data/"
DEAD = "dead/"
COMMITS = "_commits/"
CHECKPOINTS = "_checkpoints/"
MANIFEST = "_manifest.json"
SUCCESS = "_SUCCESS"
LEASE = "_lease.json"
NUMBERED = re.compile(f"(?:{COMMITS}|{CHECKPOINTS})([0-9]{{6}})[.]json")
MOST_SHARDS = 999_999  # six digits, so that listings are in the order of the numbers


def name_of(number: int) -> str:
    """Six digits.

    Raises:
        ConfigError: there are none left.
    """
    if not 0 <= number <= MOST_SHARDS:
        raise ConfigError(
            f"shard {number} is past the limit of {MOST_SHARDS}; make fewer and larger ones with --shard-docs"
        )
    return f"{number:06d}"


def table_key(sha256: str) -> str:
    """The file of shards."""
    return f"{TABLES}shards-{sha256[:12]}.jsonl"


def part_key(number: int, attempt: str) -> str:
    """The rows of one attempt at a shard."""
    return f"{PARTS}part-{name_of(number)}-{attempt}.parquet"


def dead_key(number: int, attempt: str) -> str:
    """Its dead letters."""
    return f"{DEAD}part-{name_of(number)}-{attempt}.jsonl"


def commit_key(number: int) -> str:
    """Whoever creates it first has done the shard."""
    return f"{COMMITS}{name_of(number)}.json"


def checkpoint_key(group: int) -> str:
    """The commits of one group of shards."""
    return f"{CHECKPOINTS}{name_of(group)}.json"


def number_of(key: str) -> int | None:
    """Of a commit or a checkpoint; None where a key is neither."""
    found = NUMBERED.fullmatch(key)
    return int(found[1]) if found else None
