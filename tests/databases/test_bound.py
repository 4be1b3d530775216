import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from embedstack.databases.bound import RECHECK_S, Bound
from embedstack.databases.database import Collection, Database, Field, Hit, Points, Query, UnknownCollection
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import Mismatch
from embedstack.origin import Basis, Identity, Origin, Probe, as_stated, packed
from support.kinds import GIVEN, Opener

DIM = 4
QUESTION = Query(vector=np.eye(DIM, dtype=np.float32)[0])
NAMED = Query(vector=np.eye(DIM, dtype=np.float32)[0], field="image")
SIGNERS, ROUNDS = 8, 4


class Clock:
    """Seconds, moved by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=["embedded", *GIVEN])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database(opener: Opener) -> Iterator[Database]:
    with closing(opener()) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def origin(model: str, dim: int = DIM) -> Origin:
    """Every model has a space of its own."""
    return Origin(
        identity=Identity(model=model, revision="1", space=f"{model}-" * 8, fingerprint="f", dim=dim, max_tokens=64)
    )


SMALL, LARGE = origin("small"), origin("large")
PROBED = replace(SMALL, probes=(Probe("word", "document", "word", packed(np.ones(DIM, np.float32))),))


def wanted(*fields: str) -> Collection:
    return Collection(name="", fields={name: Field(dim=DIM) for name in fields or ("",)})


def points(first: int = 1, fields: tuple[str, ...] = ("",)) -> Points:
    """Three of them."""
    some = np.eye(DIM, dtype=np.float32)[:3]
    return Points(ids=range(first, first + 3), vectors=dict.fromkeys(fields, some), payloads=[{}] * 3)


def unsigned(database: Database, *fields: str, filled: tuple[str, ...] = ()) -> None:
    """As another program leaves one."""
    made = wanted(*fields)
    database.create(Collection(name="docs", fields=made.fields))
    if filled:
        database.write("docs", points(fields=filled))


def signed(database: Database) -> Mapping[str, Origin | None]:
    there = database.describe("docs")
    assert there is not None
    return {name: field.origin for name, field in there.fields.items()}


def loaded(database: Database, name: str = "docs") -> None:
    bound = Bound(database, name, {"": SMALL})
    bound.prepare(wanted())
    bound.write(points())


# ------------------------------------------------------------------------------------------------ prepare


def test_a_collection_that_is_made_is_signed(database: Database) -> None:
    made = Bound(database, "docs", {"text": SMALL, "image": LARGE}).prepare(wanted("text", "image"))

    assert signed(database) == {"text": SMALL, "image": LARGE}
    assert (made.name, made.points) == ("docs", 0)


def test_the_same_space_comes_twice(database: Database) -> None:
    loaded(database)
    bound = Bound(database, "docs", {"": SMALL})

    assert bound.prepare(wanted()).points == 3
    bound.write(points(4))
    assert bound.check().points == 6


def test_another_space_is_refused_with_both_named(database: Database) -> None:
    loaded(database)
    message = r"collection 'docs' holds vectors of 'small' .*, and these are of 'large' .*another collection"
    with pytest.raises(Mismatch, match=message):
        Bound(database, "docs", {"": LARGE}).prepare(wanted())

    assert signed(database) == {"": SMALL}


def test_of_two_fields_the_one_of_another_space_is_named(database: Database) -> None:
    Bound(database, "docs", {"text": SMALL, "image": LARGE}).prepare(wanted("text", "image"))

    with pytest.raises(Mismatch, match="vector 'image' of collection 'docs' holds vectors of 'large'"):
        Bound(database, "docs", {"text": SMALL, "image": SMALL}).prepare(wanted("text", "image"))


@pytest.mark.parametrize("is_signed", [True, False])
def test_what_is_refused_is_left_as_it_was(is_signed: bool, database: Database) -> None:
    loaded(database) if is_signed else unsigned(database, filled=("",))
    before = database.describe("docs")
    with pytest.raises(Mismatch):
        Bound(database, "docs", {"": LARGE, "image": LARGE}).prepare(wanted("", "image"))

    assert database.describe("docs") == before


def test_another_width_of_one_space_is_refused(database: Database) -> None:
    loaded(database)

    with pytest.raises(Mismatch, match=f"holds {DIM} numbers of each vector of 'small' .*, and these have 2"):
        Bound(database, "docs", {"": origin("small", dim=2)}).prepare(wanted())


def test_what_nobody_has_signed_and_nobody_has_filled_is_signed(database: Database) -> None:
    unsigned(database)
    Bound(database, "docs", {"": SMALL}).prepare(wanted())

    assert signed(database) == {"": SMALL}


def test_points_that_nobody_has_signed_are_refused_and_counted(database: Database) -> None:
    unsigned(database, filled=("",))
    message = r"collection 'docs' holds 3 points whose vectors nobody has signed.*'small' .*--claim"
    with pytest.raises(Mismatch, match=message):
        Bound(database, "docs", {"": SMALL}).prepare(wanted())

    assert signed(database) == {"": None}


def test_points_without_a_vector_leave_its_field_free(database: Database) -> None:
    unsigned(database, "text", "image", filled=("image",))
    Bound(database, "docs", {"text": SMALL}).prepare(wanted("text"))

    assert signed(database) == {"text": SMALL, "image": None}
    with pytest.raises(Mismatch, match="vector 'image'"):
        Bound(database, "docs", {"image": LARGE}).prepare(wanted("image"))


def test_a_claim_is_written_down_as_one(database: Database) -> None:
    unsigned(database, filled=("",))
    Bound(database, "docs", {"": SMALL}).prepare(wanted(), claim=True)

    there = signed(database)[""]
    assert there is not None
    assert (there.identity, there.basis) == (SMALL.identity, "stated")


def test_a_claim_writes_no_probes(database: Database) -> None:
    """They would be of the model that is named, whoever made the vectors."""
    unsigned(database, filled=("",))
    Bound(database, "docs", {"": PROBED}).prepare(wanted(), claim=True)

    there = signed(database)[""]
    assert there is not None
    assert there.probes == ()


def test_a_signature_is_as_strong_as_the_weakest_load(database: Database) -> None:
    Bound(database, "docs", {"": PROBED}).prepare(wanted())
    Bound(database, "docs", {"": as_stated(SMALL)}).prepare(wanted())

    assert signed(database) == {"": as_stated(PROBED)}


@pytest.mark.parametrize("basis", ["made", "proven"])
def test_what_is_known_of_new_vectors_changes_nothing_of_a_signature(database: Database, basis: Basis) -> None:
    Bound(database, "docs", {"": PROBED}).prepare(wanted())
    Bound(database, "docs", {"": replace(SMALL, basis=basis)}).prepare(wanted())

    assert signed(database) == {"": PROBED}


def test_what_was_only_stated_stays_so(database: Database) -> None:
    Bound(database, "docs", {"": as_stated(SMALL)}).prepare(wanted())
    Bound(database, "docs", {"": PROBED}).prepare(wanted())

    assert signed(database) == {"": as_stated(SMALL)}


def test_who_only_states_another_space_changes_nothing(database: Database) -> None:
    Bound(database, "docs", {"": PROBED}).prepare(wanted())
    with pytest.raises(Mismatch, match="holds vectors of 'small'"):
        Bound(database, "docs", {"": as_stated(LARGE)}).prepare(wanted())

    assert signed(database) == {"": PROBED}


def test_a_claim_changes_nothing_that_is_known(database: Database) -> None:
    loaded(database)
    Bound(database, "docs", {"": SMALL}).prepare(wanted(), claim=True)

    assert signed(database) == {"": SMALL}
    with pytest.raises(Mismatch, match="holds vectors of 'small'"):
        Bound(database, "docs", {"": LARGE}).prepare(wanted(), claim=True)


@pytest.mark.parametrize("kind", ["embedded"])  # of Qdrant several may win: see the table in docs/databases.md
def test_of_many_signers_one_wins_and_the_others_hear_who(database: Database) -> None:
    for turn in range(ROUNDS):
        name, start = f"docs-{turn}", threading.Barrier(SIGNERS)
        database.create(Collection(name=name, fields=wanted().fields))
        with ThreadPoolExecutor(SIGNERS) as signers:
            asked = partial(_prepared, database, name, start)
            answers = dict(zip("abcdefgh", signers.map(asked, "abcdefgh"), strict=True))
        (winner,) = (model for model, answer in answers.items() if answer == "signed")

        losers = [answer for answer in answers.values() if answer != "signed"]
        assert all(answer.startswith(f"collection '{name}' holds vectors of '{winner}'") for answer in losers)


def _prepared(database: Database, name: str, start: threading.Barrier, model: str) -> str:
    start.wait()
    try:
        Bound(database, name, {"": origin(model)}).prepare(wanted())
    except Mismatch as error:
        return error.message
    return "signed"


def test_many_signers_of_one_space_agree(database: Database) -> None:
    start = threading.Barrier(SIGNERS)
    with ThreadPoolExecutor(SIGNERS) as signers:
        answers = set(signers.map(partial(_prepared, database, "docs", start), ["small"] * SIGNERS))

    assert answers == {"signed"}
    assert signed(database) == {"": SMALL}


# ------------------------------------------------------------------------------------------------ write


def test_an_origin_that_changes_stops_the_next_write_but_those_of_a_moment(database: Database, clock: Clock) -> None:
    bound = Bound(database, "docs", {"": SMALL}, clock=clock)
    bound.prepare(wanted())
    database.sign("docs", "", LARGE, over=SMALL)

    clock.now_s += RECHECK_S - 0.1
    bound.write(points())  # nobody has looked yet
    clock.now_s += 0.1
    for _ in range(2):  # and it stays so
        with pytest.raises(Mismatch, match=r"holds vectors of 'large' .* these are of 'small'"):
            bound.write(points(4))
    there = database.describe("docs")
    assert there is not None
    assert there.points == 3


def test_a_collection_that_was_made_anew_by_nobody_stops_the_next_write(database: Database, clock: Clock) -> None:
    bound = Bound(database, "docs", {"": SMALL}, clock=clock)
    bound.prepare(wanted())
    database.drop("docs")
    unsigned(database)
    clock.now_s += RECHECK_S

    with pytest.raises(Mismatch, match="nobody has signed"):
        bound.write(points())


def test_who_writes_without_preparing_is_checked_first(database: Database) -> None:
    loaded(database)

    with pytest.raises(Mismatch, match="holds vectors of 'small'"):
        Bound(database, "docs", {"": LARGE}).write(points())


def test_vectors_of_a_field_of_which_nobody_said_whose_they_are_are_refused(database: Database) -> None:
    unsigned(database, "text", "image")
    bound = Bound(database, "docs", {"text": SMALL})
    bound.prepare(wanted("text"))

    with pytest.raises(Mismatch, match="whose vectors go to vector 'image'"):
        bound.write(points(fields=("text", "image")))


def test_points_that_are_there_already_can_be_left_alone(database: Database) -> None:
    loaded(database)
    bound = Bound(database, "docs", {"": SMALL})
    bound.write(
        Points(ids=[3, 4], vectors={"": np.eye(DIM, dtype=np.float32)[2:]}, payloads=[{"a": 1}] * 2), only_new=True
    )

    assert [point.payload for point in database.get("docs", [3, 4])] == [{}, {"a": 1}]


def test_an_alias_that_is_switched_divides_no_load(database: Database) -> None:
    loaded(database)
    loaded(database, "other")
    database.switch("now", "docs", old=None)
    bound = Bound(database, "now", {"": SMALL})
    bound.prepare(wanted())
    database.switch("now", "other", old="docs")
    bound.write(points(4))

    counts = [there.points for there in map(database.describe, ("docs", "other")) if there is not None]
    assert (bound.name, counts) == ("docs", [6, 3])


def test_who_writes_by_an_alias_without_preparing_writes_to_what_was_looked_at(database: Database) -> None:
    two_spaces(database)
    bound = Bound(database, "now", {"": SMALL})
    bound.check()
    database.switch("now", "large", old="small")
    bound.write(points(4))

    assert [len(database.get(name, [4, 5, 6])) for name in ("small", "large")] == [3, 0]


def two_spaces(database: Database) -> None:
    """Two collections, and an alias for the first: points 1 to 3 of one model, 11 to 13 of another."""
    for name, whose, first in (("small", SMALL, 1), ("large", LARGE, 11)):
        bound = Bound(database, name, {"": whose})
        bound.prepare(wanted())
        bound.write(points(first))
    database.switch("now", "small", old=None)


# ------------------------------------------------------------------------------------------------ query


def test_a_question_of_the_same_space_is_answered(database: Database) -> None:
    loaded(database)

    assert [hit.id for hit in Bound(database, "docs", {}).query(QUESTION, SMALL)] == [1, 2, 3]


def test_a_question_of_another_space_is_refused_with_both_named(database: Database) -> None:
    loaded(database)

    with pytest.raises(Mismatch, match=r"holds vectors of 'small' .* these are of 'large'"):
        Bound(database, "docs", {}).query(QUESTION, LARGE)


def test_a_question_to_what_nobody_has_signed_is_refused(database: Database) -> None:
    unsigned(database, filled=("",))

    with pytest.raises(Mismatch, match=r"nobody has signed the vectors of collection 'docs'.*--claim"):
        Bound(database, "docs", {}).query(QUESTION, SMALL)


def test_a_question_to_a_field_that_is_not_there_is_refused(database: Database) -> None:
    loaded(database)

    with pytest.raises(Mismatch, match="vector 'image' of collection 'docs' is not there; it has ''"):
        Bound(database, "docs", {}).query(NAMED, SMALL)


def test_a_question_to_a_collection_that_is_not_there_hears_which_are(database: Database) -> None:
    loaded(database)

    with pytest.raises(UnknownCollection, match="collection 'dogs' is not there; it has: docs"):
        Bound(database, "dogs", {}).query(QUESTION, SMALL)


def test_who_asks_looks_again_after_a_moment(database: Database, clock: Clock) -> None:
    loaded(database)
    bound = Bound(database, "docs", {}, clock=clock)
    bound.query(QUESTION, SMALL)
    database.sign("docs", "", LARGE, over=SMALL)
    clock.now_s += RECHECK_S

    with pytest.raises(Mismatch, match="holds vectors of 'large'"):
        bound.query(QUESTION, SMALL)
    assert len(bound.query(QUESTION, LARGE)) == 3


def test_an_alias_that_is_switched_gives_no_question_to_another_space(database: Database, clock: Clock) -> None:
    two_spaces(database)
    bound = Bound(database, "now", {}, clock=clock)
    assert [hit.id for hit in bound.query(QUESTION, SMALL)] == [1, 2, 3]
    database.switch("now", "large", old="small")

    assert [hit.id for hit in bound.query(QUESTION, SMALL)] == [1, 2, 3]  # for a moment
    clock.now_s += RECHECK_S
    with pytest.raises(Mismatch, match=r"'now' holds vectors of 'large' .* these are of 'small'"):
        bound.query(QUESTION, SMALL)


def test_what_an_alias_stands_for_now_is_asked_at_once(database: Database) -> None:
    two_spaces(database)
    bound = Bound(database, "now", {})
    bound.query(QUESTION, SMALL)
    database.switch("now", "large", old="small")

    assert [hit.id for hit in bound.query(QUESTION, LARGE)] == [11, 12, 13]


def test_a_collection_that_an_alias_left_and_that_was_dropped_is_missed_by_no_question(database: Database) -> None:
    two_spaces(database)
    bound = Bound(database, "now", {})
    bound.query(QUESTION, SMALL)
    Bound(database, "next", {"": SMALL}).prepare(wanted())
    database.switch("now", "next", old="small")
    database.drop("small")

    assert bound.query(QUESTION, SMALL) == []


def test_a_vector_that_was_added_a_moment_ago_can_be_asked(database: Database) -> None:
    loaded(database)
    bound = Bound(database, "docs", {})
    bound.query(QUESTION, SMALL)
    Bound(database, "docs", {"image": LARGE}).prepare(wanted("image"))

    assert bound.query(NAMED, LARGE) == []


def test_one_collection_answers_all_of_several_questions(tmp_path: Path, clock: Clock) -> None:
    class Switched(EmbeddedDatabase):
        """The alias is switched as soon as the first question is answered."""

        def query(self, name: str, query: Query) -> list[Hit]:
            hits = super().query(name, query)
            if self.aliases()["now"] == "small":
                self.switch("now", "small-2", old="small")
                clock.now_s += RECHECK_S
            return hits

    with closing(Switched(tmp_path)) as database:
        two_spaces(database)
        again = Bound(database, "small-2", {"": SMALL})
        again.prepare(wanted())
        again.write(points(21))

        answers = Bound(database, "now", {}, clock=clock).queries([QUESTION, QUESTION], {"": SMALL})

    assert [[hit.id for hit in hits] for hits in answers] == [[1, 2, 3], [1, 2, 3]]
