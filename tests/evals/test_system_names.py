"""How systems are written: what is understood, the one name that each has, and what is refused in which words."""

import pytest

from embedstack.errors import BadRequest, ConfigError
from embedstack.evals.systems.naming import (
    CollectionName,
    FusedName,
    LexicalName,
    ModelName,
    RankingName,
    RerankedName,
    SearchedName,
    models_of,
    parse_system,
    parse_systems,
)

BM25, M3 = LexicalName("en"), ModelName("bge-m3")
COMMIT = "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"

READ = [
    ("all-MiniLM-L6-v2", ModelName("all-MiniLM-L6-v2")),
    ("BAAI/bge-m3", ModelName("BAAI/bge-m3")),
    (f"BAAI/bge-m3@{COMMIT}", ModelName(f"BAAI/bge-m3@{COMMIT}")),
    ("bge-m3@int8", ModelName("bge-m3@int8")),
    ("bge-m3@onnx:int8", ModelName("bge-m3@onnx:int8")),
    ("bge-m3@onnx:int8:sparse", ModelName("bge-m3@onnx:int8", "sparse")),
    ("bge-m3:sparse", ModelName("bge-m3", "sparse")),
    ("bge-m3:multi", ModelName("bge-m3", "multi")),
    ("./models/mine", ModelName("./models/mine")),
    ("./a:b", ModelName("./a:b")),
    ("/data/models/mine:sparse", ModelName("/data/models/mine", "sparse")),
    ("~/models/mine", ModelName("~/models/mine")),
    (r"C:\models\mine", ModelName(r"C:\models\mine")),
    (r"C:\models\mine:sparse", ModelName(r"C:\models\mine", "sparse")),
    ("{./c++/mine}", ModelName("./c++/mine")),
    (r"{C:\PROGRA~1\mine}", ModelName(r"C:\PROGRA~1\mine")),
    ("./run.run/", ModelName("./run.run/")),
    ("bm25-like", ModelName("bm25-like")),
    ("./bm25", ModelName("./bm25")),
    ("bge-m3@http://host:8080", ModelName("bge-m3", "dense", "http://host:8080")),
    ("bge-m3:sparse@http://host:8080", ModelName("bge-m3", "sparse", "http://host:8080")),
    ("bge-m3@tei=https://host/base", ModelName("bge-m3", "dense", "tei=https://host/base")),
    ("jina-embeddings-v3@jina", ModelName("jina-embeddings-v3", "dense", "jina")),
    ("BAAI/bge-m3@main@http://[::1]:8080", ModelName("BAAI/bge-m3@main", "dense", "http://[::1]:8080")),
    ("bm25", BM25),
    ("bm25:ru", LexicalName("ru")),
    ("bm25:none", LexicalName("none")),
    ("./store#docs", CollectionName("./store", "docs")),
    ("~/store#docs/title", CollectionName("~/store", "docs", "title")),
    (r"D:\store#docs", CollectionName(r"D:\store", "docs")),
    ("http://host:6333#docs", CollectionName("http://host:6333", "docs")),
    ("./store#docs/*", SearchedName("./store", "docs")),
    ("{./a+b#docs/*}", SearchedName("./a+b", "docs")),
    ("bm25+./store#docs/*", FusedName((BM25, SearchedName("./store", "docs")))),
    ("./store#docs/*~rank", RerankedName(SearchedName("./store", "docs"), ModelName("rank"))),
    ("postgresql://me@host/shop#search.docs", CollectionName("postgresql://me@host/shop", "search.docs")),
    ("postgresql://me@host/shop?beside=a#docs", CollectionName("postgresql://me@host/shop?beside=a", "docs")),
    ("./old.run", RankingName("./old.run")),
    ("old.trec", RankingName("old.trec")),
    ("old.run.gz", RankingName("old.run.gz")),
    ("old.run.zst", RankingName("old.run.zst")),
    ("{old+new.run}", RankingName("old+new.run")),
    ("bm25+bge-m3", FusedName((BM25, M3))),
    ("bm25+bge-m3+old.run", FusedName((BM25, M3, RankingName("old.run")))),
    ("bge-m3+bge-m3:sparse", FusedName((M3, ModelName("bge-m3", "sparse")))),
    ("bm25+~/models/mine", FusedName((BM25, ModelName("~/models/mine")))),
    ("bm25~rank", RerankedName(BM25, ModelName("rank"))),
    ("bm25~~/models/rank", RerankedName(BM25, ModelName("~/models/rank"))),
    ("bm25~rank@tei", RerankedName(BM25, ModelName("rank", "dense", "tei"))),
    ("bm25+bge-m3~rank", RerankedName(FusedName((BM25, M3)), ModelName("rank"))),
    ("bm25~small~large", RerankedName(RerankedName(BM25, ModelName("small")), ModelName("large"))),
]


@pytest.mark.parametrize(("text", "name"), READ)
def test_what_is_written_is_understood(text, name):
    assert parse_system(text) == name


@pytest.mark.parametrize(("text", "name"), READ)
def test_what_is_understood_is_printed_as_it_was_written(text, name):
    assert name.name == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bge-m3:dense", "bge-m3"),
        ("BM25:EN", "bm25"),
        ("bm25:en", "bm25"),
        (" bm25 + bge-m3 ~ rank ", "bm25+bge-m3~rank"),
        ("{bge-m3}", "bge-m3"),
        ("bge-m3@HTTP://host:8080/base/", "bge-m3@http://host:8080/base"),
        ("file:///data/a@b#docs", "file:///data/a@b#docs"),
        ("bge-m3@https://me:word@host", "bge-m3@https://***@host"),
        ("postgresql://me:word@host/shop#docs", "postgresql://me@host/shop#docs"),
        (
            "postgresql://me@host/shop?password=word&beside=a#docs",
            "postgresql://me@host/shop?password=***&beside=a#docs",
        ),
        ("postgresql://host/shop?%70assword=word&a=b#docs", "postgresql://host/shop?%70assword=***&a=b#docs"),
        ("postgresql://host/shop?user=me&pwd=word#docs", "postgresql://host/shop?user=me&pwd=***#docs"),
        ("{postgresql://me:a+b@c@host/shop#docs}", "postgresql://me@host/shop#docs"),
    ],
)
def test_each_system_has_one_name_which_holds_no_secret(text, name):
    found = parse_system(text)

    assert found.name == name
    assert parse_system(found.name).name == name
    assert "word" not in repr(found).replace("assword=***", "")


WRONG = [
    ("", "nothing stands at its beginning"),
    ("   ", "nothing stands at its beginning"),
    ("bm25+", "nothing stands behind '+'"),
    ("+bm25", "nothing stands at its beginning"),
    ("bm25~", "nothing stands behind '~'"),
    ("~rank", "nothing stands at its beginning"),
    ("bm25++bge-m3", "nothing stands behind '+'"),
    ("{}", "nothing stands at its beginning"),
    ("{bm25", "'{' stands where"),
    ("bm25}", "'}' stands where"),
    ("{bm25}bge-m3", "'b' stands where"),
    ("bm25+bm25:en", "'bm25' is named twice"),
    ("bm25~rank+rank2", "one model reorders"),
    ("bm25~rank:sparse", "no reranker's name"),
    ("rank~bm25", "no reranker's name"),
    ("bm25~old.run", "no reranker's name"),
    ("bm25~./store#docs", "no reranker's name"),
    ("bm25:", "bm25 reads no ''"),
    ("bm25:de", "bm25 reads no 'de', it reads: en, ru, none"),
    ("bge-m3:colbert", "'colbert' is none of a model's vectors"),
    ("bge-m3:", "'' is none of a model's vectors"),
    ("#docs", "DATABASE#COLLECTION"),
    ("./store#", "DATABASE#COLLECTION"),
    ("./store#docs/", "DATABASE#COLLECTION"),
    ("./store#docs/a/b", "DATABASE#COLLECTION"),
    ("http://host:6333", "it is a URL alone"),
    ("postgresql://me:word@host/shop", "it is a URL alone"),
    ("postgresql://me:word+word@host/shop#docs", "it is a URL alone"),
    ("bge-m3@", "nothing stands behind the '@'"),
    ("@http://host:8080", "no model stands before the '@'"),
    ("bge-m3@router.toml", "such a file names its models itself"),
    ("bge-m3@tie=http://host", "'tie' is no provider"),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_what_is_not_understood_is_named(text, says):
    with pytest.raises(BadRequest) as caught:
        parse_system(text)

    assert says in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("text", ["bge-m3@ftp://host", "bge-m3@http://", "bge-m3@https://me:word@host?key=word"])
def test_an_endpoint_that_is_no_url_is_refused_without_showing_a_secret(text):
    with pytest.raises(ConfigError) as caught:
        parse_system(text)

    assert "is not of the form http" in str(caught.value)
    assert "word" not in str(caught.value)


def test_a_bm25_without_a_language_is_of_the_one_that_is_set():
    assert parse_system("bm25", language="ru").name == "bm25:ru"
    assert parse_system("bm25:en", language="ru").name == "bm25"


def test_systems_that_are_the_same_in_two_spellings_are_refused():
    with pytest.raises(BadRequest, match="system 'bge-m3' is named twice; leave one out"):
        parse_systems(["bge-m3", "bm25", "bge-m3:dense"])


def test_no_system_at_all_is_refused():
    with pytest.raises(BadRequest, match="no system is named"):
        parse_systems([])


def test_models_are_those_whose_vectors_are_asked_for():
    name = parse_system("bm25+bge-m3:sparse+./store#docs+hash~rank")

    assert list(models_of(name)) == [ModelName("bge-m3", "sparse"), ModelName("hash")]
