"""Keys of a job's files."""

import pytest

from embedstack.errors import ConfigError
from embedstack.jobs.layout import MOST_SHARDS, checkpoint_key, commit_key, dead_key, number_of, part_key


def test_keys_are_in_the_order_of_their_numbers() -> None:
    keys = [commit_key(number) for number in (0, 9, 10, 99_999, 100_000, MOST_SHARDS)]

    assert keys == sorted(keys)


def test_an_attempt_is_in_the_names_of_its_files() -> None:
    assert part_key(7, "abcdef01") == "data/part-000007-abcdef01.parquet"
    assert dead_key(7, "abcdef01") == "dead/part-000007-abcdef01.jsonl"


def test_a_number_comes_back_from_its_key() -> None:
    assert number_of(commit_key(123)) == 123
    assert number_of(checkpoint_key(4)) == 4


def test_other_keys_have_no_number() -> None:
    assert number_of("_commits/readme.txt") is None
    assert number_of("data/000001.json") is None
    assert number_of("_commits/1.json") is None


def test_a_number_past_the_last_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="--shard-docs"):
        commit_key(MOST_SHARDS + 1)
