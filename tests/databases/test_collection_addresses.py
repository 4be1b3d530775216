"""A collection is written in one word, and its vectors are called as a user calls them."""

import pytest

from embedstack.databases.addresses import CollectionAddress, parse_address
from embedstack.databases.database import Collection, Field, Page, Point, pages
from embedstack.databases.fields import one_field, own_name, shown_name
from embedstack.errors import BadRequest

WORDS = Field(kind="sparse", distance="dot")


def collection(**fields: Field) -> Collection:
    return Collection(name="docs", fields={"" if name == "nameless" else name: field for name, field in fields.items()})


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("./store#docs", ("./store", "docs", "")),
        ("./store#docs/title", ("./store", "docs", "title")),
        ("./c#/store#docs", ("./c#/store", "docs", "")),
        ("http://localhost:6333#docs", ("http://localhost:6333", "docs", "")),
        ("postgresql://me:p%23w@host/app#docs/dense", ("postgresql://me:p%23w@host/app", "docs", "dense")),
        (" ./store # docs / title ", ("./store", "docs", "title")),
    ],
)
def test_a_collection_in_one_word_has_its_parts(written: str, parts: tuple[str, str, str]) -> None:
    assert parse_address(written) == CollectionAddress(*parts)


@pytest.mark.parametrize("written", ["", "./store", "#docs", "./store#", "./store#/title", "./store#a/b/c"])
def test_what_is_no_collection_in_one_word_is_none(written: str) -> None:
    assert parse_address(written) is None


def test_a_password_is_not_in_what_is_printed() -> None:
    assert "secret" not in repr(parse_address("postgresql://me:secret@host/app#docs"))


def test_the_field_without_a_name_is_called_dense() -> None:
    there = collection(nameless=Field(dim=4), bm25=WORDS)

    assert [shown_name(there, own) for own in there.fields] == ["dense", "bm25"]
    assert (own_name(there, "dense"), own_name(there, ""), own_name(there, "bm25")) == ("", "", "bm25")
    assert own_name(there, "title") is None
    assert one_field(there, "dense") == one_field(there, "") == ""


def test_where_another_field_is_named_dense_that_is_meant() -> None:
    there = collection(nameless=Field(dim=4), dense=Field(dim=8))

    assert [shown_name(there, own) for own in there.fields] == ["", "dense"]
    assert (one_field(there, "dense"), one_field(there, "")) == ("dense", "")


def test_the_only_one_of_a_kind_need_not_be_named() -> None:
    there = collection(title=Field(dim=4), bm25=WORDS)

    assert one_field(there, "", "dense") == "title"
    with pytest.raises(BadRequest, match="'docs' has several vectors; it has: 'title', 'bm25'; name one as DATABASE#"):
        one_field(there, "")
    with pytest.raises(BadRequest, match="'docs' has no dense vector 'bm25'; it has: 'title'"):
        one_field(there, "bm25", "dense")


def test_where_there_is_none_of_a_kind_it_is_said() -> None:
    with pytest.raises(BadRequest, match="'docs' has no dense vector; it has: none"):
        one_field(collection(bm25=WORDS), "", "dense")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_pages_are_read_to_the_last_one(count: int) -> None:
    points = [Point(id=number, payload={}, vectors={}) for number in range(count)]

    def read(after: int | str | None) -> Page:
        begin = 0 if after is None else int(after) + 1
        taken = points[begin : begin + 2]
        return Page(taken, taken[-1].id if begin + 2 < count else None)

    assert [point.id for page in pages(read) for point in page.points] == list(range(count))
