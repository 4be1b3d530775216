"""Collections as they are searched: whose vectors are asked for, which documents the points are of."""

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from embedstack.databases.bound import origin_of
from embedstack.databases.database import Collection, Database, Field, Points, Query
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import BadRequest, Mismatch, UnknownModel
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked
from embedstack.origin import Origin
from embedstack.search.bm25 import Bm25
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encoder
from support.systems import ALL, DOCUMENTS, QUERIES, Heard, Opened, encoded, filled, one_by_one, quiet, ranking

CHUNKS = [(name, f"{text} {part}") for name, text in DOCUMENTS.items() for part in ("alpha", "omega", "sigma")]


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    made = EmbeddedDatabase(tmp_path / "store")
    yield made
    made.close()


def opened(
    database: Database,
    name: str = "#docs",
    models: dict[str, Encoder] | None = None,
    *others: str,
    dim: int | None = None,
):
    openers = Opened(models, {"./store": database})
    (system, *_) = open_systems([f"./store{name}", *others], openers, SystemHow(dim=dim))
    system.prepare(DOCUMENTS, quiet)
    return system


# ------------------------------------------------------------------------------------------------ what is found


def test_the_best_piece_of_each_document_counts(database):
    filled(database, CHUNKS)
    system = opened(database)
    vectors = encoded([query.text for query in QUERIES], "query").dense

    for vector, hits in zip(vectors, ranking(system), strict=True):
        best = {}
        for hit in database.query("docs", Query(vector=vector, limit=len(CHUNKS))):
            best.setdefault(hit.payload["doc_id"], hit.score)
        assert hits == list(best.items())[:10]


def test_a_query_alone_gets_the_ranking_that_it_gets_among_others(database):
    filled(database, CHUNKS)
    system = opened(database)

    assert ranking(system) == one_by_one(system)


@pytest.mark.parametrize("kind", ["sparse", "multi"])
def test_other_kinds_of_vectors_are_asked_for_by_their_field(database, kind):
    filled(database, list(DOCUMENTS.items()), field="other", kind=kind)
    openers = Opened(None, {"./store": database})
    stored, beside = open_systems(["./store#docs/other", f"hash:{kind}"], openers, SystemHow())
    for system in (stored, beside):
        system.prepare(DOCUMENTS, quiet)

    assert [[document for document, _ in hits] for hits in ranking(stored)] == [
        [document for document, _ in hits] for hits in ranking(beside)
    ]


def test_the_only_field_needs_no_name(database):
    filled(database, CHUNKS, field="title")

    assert ranking(opened(database)) == ranking(opened(database, "#docs/title"))


def test_lexical_vectors_of_ours_are_asked_for_by_words(database):
    bm25 = Bm25("en", average=4)
    signed = Origin(identity=bm25.identity)
    rows = [bm25.document(text) for text in DOCUMENTS.values()]
    filled(database, list(DOCUMENTS.items()), field="words", kind="sparse", idf=True, origin=signed, column=rows)

    system = opened(database, "#docs/words", {})

    expected = database.query("docs", Query(vector=bm25.query(QUERIES[0].text), field="words", limit=10))
    assert ranking(system, 10, QUERIES[:1]) == [[(hit.payload["doc_id"], hit.score) for hit in expected]]
    assert ranking(system, 10, [Asked("q", "the of and")]) == [[]]
    assert system.identities == (bm25.identity,)


def test_as_many_points_are_asked_for_as_give_enough_documents(database):
    text = QUERIES[0].text
    near = [("near", f"{text} {number}") for number in range(60)]  # most points are of one document
    filled(database, [*near, *DOCUMENTS.items()])
    system = opened(database)

    found = ranking(system, 10, QUERIES[:1])[0]

    assert len({document for document, _ in found}) == 10
    assert system.notes[0].startswith("1 documents that it found are not in the labelled set, such as 'near'")


def test_too_few_documents_are_told_where_more_points_would_not_be_looked_at(database, monkeypatch):
    monkeypatch.setattr("embedstack.evals.systems.pieces.MOST_POINTS", 20)
    filled(database, [(f"d{1 + number // 40}", f"word{number}") for number in range(80)])
    system = opened(database)

    found = ranking(system, 10)
    ranking(system, 10)

    assert max(map(len, found)) == 2
    assert system.notes == (
        "12 queries, such as 'q1', got fewer documents than were wanted: the first 20 points are of no more",
    )


def test_a_collection_of_few_documents_gives_what_it_has(database):
    filled(database, CHUNKS[:6])
    system = opened(database)

    assert {len(hits) for hits in ranking(system, 10)} == {2}
    assert not any("points are of no more" in note for note in system.notes)


@pytest.mark.parametrize(("key", "expected"), [("doc_id", "a"), ("id", "a"), ("", "1")])
def test_a_point_is_of_the_document_that_its_payload_or_its_id_names(database, key, expected):
    filled(database, [("a", "amber")], key=key)

    assert ranking(opened(database), 5, QUERIES[:1])[0][0][0] == expected


def test_documents_that_nobody_judged_are_told_once(database):
    filled(database, [*DOCUMENTS.items(), ("x1", "heath"), ("x2", "fjord")])
    system = opened(database)

    for _ in range(2):
        found = ranking(system, 100)

    first = next(name for hits in found for name, _ in hits if name.startswith("x"))
    assert system.notes == (
        f"2 documents that it found are not in the labelled set, such as {first!r}: nobody judged them",
    )


def test_a_collection_of_fewer_points_than_documents_lacks_some_which_is_told(database):
    filled(database, list(DOCUMENTS.items())[:37])

    assert opened(database).notes == (
        "it has 37 points and the labelled set 40 documents: 3 or more are not there and cannot be found",
    )


def test_without_texts_in_the_set_it_answers_all_the_same(database):
    filled(database, CHUNKS)
    (system,) = open_systems(["./store#docs"], Opened(None, {"./store": database}), SystemHow())

    system.prepare({}, quiet)

    assert all(ranking(system))
    assert system.notes == ()


def test_a_closed_collection_is_still_its_openers(database):
    filled(database, CHUNKS)
    system = opened(database)
    before = ranking(system)

    system.close()
    system.close()
    system.prepare(DOCUMENTS, quiet)

    assert ranking(system) == before


def test_an_index_that_is_still_being_made_is_told(tmp_path):
    class Indexing(EmbeddedDatabase):
        def describe(self, name):
            found = super().describe(name)
            return found and replace(found, status="indexing")

    database = Indexing(tmp_path / "store")
    filled(database, CHUNKS)

    assert opened(database).notes == ("its index was still being made when it was prepared",)
    database.close()


# ------------------------------------------------------------------------------------------------ what is asked


def test_where_every_point_is_compared_anyway_there_is_no_exact_leg(database):
    filled(database, CHUNKS)

    assert opened(database).legs == ()


def test_the_model_is_the_one_that_is_signed_and_reads_queries_alone(database):
    filled(database, CHUNKS)
    encoder = Heard()
    system = opened(database, "#docs", {"hash": encoder})

    ranking(system)

    assert {item.role for request in encoder.encodes for item in request.items} == {"query"}
    assert [identity.fingerprint for identity in system.identities] == [ALL.fingerprint("float32")]


def test_queries_are_as_wide_as_what_is_stored(database):
    made = encoded([text for _, text in CHUNKS], "document", dim=8)
    filled(database, CHUNKS, origin=origin_of(made, "document"), column=made.dense)

    system = opened(database, dim=16)

    assert all(ranking(system))
    assert {identity.dim for identity in system.identities} == {8}


def test_one_model_reads_queries_once_for_a_collection_and_for_memory(database):
    filled(database, list(DOCUMENTS.items()))
    encoder = Heard()
    (system,) = open_systems(
        ["hash:sparse+./store#docs"], Opened({"hash": encoder}, {"./store": database}), SystemHow()
    )
    system.prepare(DOCUMENTS, quiet)
    encoder.encodes.clear()

    system.search(QUERIES, 5)

    (request,) = encoder.encodes
    assert request.outputs == {"dense", "sparse"}


def test_a_model_of_the_same_space_that_a_system_names_reads_for_a_folder_that_nobody_knows(database):
    filled(database, CHUNKS, origin=Origin(identity=msgspec.structs.replace(_identity(), model="mine")))

    system = opened(database, "#docs", {"./models/mine": Heard()}, "./models/mine")

    assert all(ranking(system))


# ------------------------------------------------------------------------------------------------ what is refused


def _identity():
    return origin_of(encoded(["pine"], "document")).identity


def test_a_model_that_is_of_another_space_now_is_refused_naming_both(database):
    filled(database, CHUNKS)
    other = HashEncoder([replace(hash_spec("hash"), weights="other")])

    with pytest.raises(
        Mismatch, match=r"collection './store#docs' holds vectors of 'hash' .*, and these are of 'hash'"
    ):
        opened(database, "#docs", {"hash": other})


def test_a_collection_that_becomes_another_models_is_refused_naming_both(database):
    filled(database, CHUNKS)
    system = opened(database)
    other = msgspec.structs.replace(_identity(), model="other", space="another space")
    signed = database.describe("docs").fields[""].origin
    database.sign("docs", "", Origin(identity=other), over=signed)
    system.prepare(DOCUMENTS, quiet)  # looks again

    with pytest.raises(Mismatch, match=r"collection 'docs' holds vectors of 'other' .*, and these are of 'hash'"):
        system.search(QUERIES, 5)


def test_a_model_that_is_not_found_is_refused_with_what_can_be_done(database):
    filled(database, CHUNKS)

    with pytest.raises(UnknownModel, match=r"holds vectors of 'hash' .* name its folder or its endpoint as a system"):
        opened(database, "#docs", {})


def test_vectors_that_nobody_signed_are_refused(database):
    database.create(Collection(name="docs", fields={"": Field(dim=4)}))
    database.write("docs", Points(ids=[1], vectors={"": np.ones((1, 4), np.float32)}, payloads=[{}]))

    with pytest.raises(Mismatch, match=r"nobody has signed the vectors of collection './store#docs'"):
        opened(database)


def test_a_collection_that_is_not_there_is_refused_with_those_that_are(database):
    filled(database, CHUNKS)

    with pytest.raises(BadRequest, match="collection 'dogs' is not there; it has: docs"):
        opened(database, "#dogs")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("#docs", "has several vectors; it has: 'title', 'body'"),
        ("#docs/text", "has no vector 'text'"),
    ],
)
def test_a_vector_that_is_not_clear_is_refused_with_those_that_are_there(database, name, says):
    database.create(Collection(name="docs", fields={"title": Field(dim=4), "body": Field(dim=4)}))

    with pytest.raises(BadRequest, match=says):
        opened(database, name)


def test_an_empty_collection_is_refused(database):
    filled(database, CHUNKS)
    database.delete("docs", range(1, len(CHUNKS) + 1))

    with pytest.raises(BadRequest, match="collection 'docs' has no points"):
        opened(database)
