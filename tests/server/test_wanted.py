"""The setting `collections`: what is read, and what is refused without a word that may be a password."""

import pytest

from embedstack.errors import ConfigError
from embedstack.server.wanted import Wanted, parse_collections

SECRET = "s3cret"

READ = {
    "": [],
    " , ": [],
    "./db#docs": [("docs", "./db", "docs")],
    "live=./db#docs-v1": [("live", "./db", "docs-v1")],
    " live = ./db # docs , ./db#other ,": [("live", "./db", "docs"), ("other", "./db", "other")],
    "http://host:6333#docs": [("docs", "http://host:6333", "docs")],
    "qdrant-local:/tmp/x#docs": [("docs", "qdrant-local:/tmp/x", "docs")],
    "C:\\data#docs": [("docs", "C:\\data", "docs")],
    "live=./a=b#docs": [("live", "./a=b", "docs")],
    "./a=b#docs": [("docs", "./a=b", "docs")],
    "postgresql://h/db?sslmode=require#docs": [("docs", "postgresql://h/db?sslmode=require", "docs")],
    "a=postgresql://me:p,w@h1:5432,h2/db#docs,./db#b": [
        ("a", "postgresql://me:p,w@h1:5432,h2/db", "docs"),
        ("b", "./db", "b"),
    ],
}

REFUSED = {
    "a database alone": ("./db", "entry 1 of .* names no collection behind a '#'"),
    "no database": ("live=#docs", "entry 1 .* has no database before its '#'"),
    "no collection": ("./db#", "entry 1 .* has a name or a collection that cannot be one"),
    "an empty name": ("=./db#docs", "entry 1 .* has a name or a collection that cannot be one"),
    "a name of other letters": ("a b=./db#docs", "has a name or a collection that cannot be one"),
    "two of one name": ("./a#docs,./b#docs", "entry 2 .* is named 'docs' like one before it; .*NAME="),
    "the second is wrong": ("./a#docs,./b", "entry 2 .* names no collection"),
    "a comma between two databases": ("./a,b=./c#d", "entry 1 .* names no collection"),
    "a password with a '#'": (f"postgresql://me:x#{SECRET}@h/db#docs", "entry 1 .* names no collection"),
    "such a password and no collection": (f"postgresql://me:x#{SECRET}@h", "a collection that cannot be one"),
    "a password and no collection": (f"postgresql://me:{SECRET}@h/db", "entry 1 .* names no collection"),
}


@pytest.mark.parametrize("text", READ)
def test_entries_are_read(text: str) -> None:
    assert [(one.name, one.database, one.collection) for one in parse_collections(text)] == READ[text]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_entry_is_refused_by_its_number(name: str) -> None:
    text, said = REFUSED[name]
    with pytest.raises(ConfigError, match=said) as caught:
        parse_collections(text)

    assert SECRET not in str(caught.value)


def test_a_password_is_not_in_the_repr() -> None:
    assert SECRET not in repr(Wanted("docs", f"postgresql://me:{SECRET}@h/db", "docs"))
