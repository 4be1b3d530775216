"""The check itself: a database that breaks one promise is told so."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.databases.database import (
    Collection,
    Field,
    Point,
    PointId,
    Points,
)
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import Mismatch
from embedstack.testing import (
    check_collections,
    check_conditions,
    check_fusing,
    check_marks,
    check_points,
    check_queries,
)
from embedstack.testing.check_database import check_database
from embedstack.testing.promises import Part, Trial, broken_promises
from support import wrong_databases as wrong

pytestmark = pytest.mark.slow

COLLECTIONS, MARKS, POINTS = check_collections.PARTS, check_marks.PARTS, check_points.PARTS
QUERIES, CONDITIONS, FUSING = check_queries.PARTS, check_conditions.PARTS, check_fusing.PARTS

WRONG: Mapping[type[EmbeddedDatabase], tuple[Sequence[Part], str]] = {
    wrong.SaysMade: (COLLECTIONS, "create of one that is there gives True, it must be False"),
    wrong.TakesAnyField: (COLLECTIONS, "create with another width is taken, it must be refused with Mismatch"),
    wrong.LosesOrigins: (COLLECTIONS, "the fields of what was made gives"),
    wrong.SignsLater: (check_collections.TOGETHER, "the origins of a collection that one of many made gives"),
    wrong.FoldsCapitals: (COLLECTIONS, "takes_names ended with UnknownCollection"),
    wrong.ListsAliases: (MARKS, "names() has an alias in it"),
    wrong.KeepsDroppedMarks: (COLLECTIONS, "points, mark, origin and indexes of one made again gives"),
    wrong.SignsAnyway: (MARKS, "sign over none, where there is one, gives"),
    wrong.LooksFirst: (check_marks.TOGETHER, "a signer of many is told that"),
    wrong.MarksInMemory: (MARKS, "what another handle describes gives"),
    wrong.MarksOverOrigins: (MARKS, "the origin after a mark was set gives"),
    wrong.SwitchesAnyway: (MARKS, "is taken, it must be refused with Mismatch"),
    wrong.ReadsNoAlias: (MARKS, "get by an alias gives []"),
    wrong.OrdersAsTexts: (POINTS, "read of all gives"),
    wrong.EndsLate: (POINTS, "says that the next begins at"),
    wrong.EndsNever: (POINTS, "the pages of a walk over all by 1 gives"),
    wrong.ForgetsDeletes: (POINTS, "the ids after a delete of some gives"),
    wrong.TakesNaN: (POINTS, "a write with the number nan is taken"),
    wrong.WritesOneByOne: (POINTS, "the ids after a write with the number nan gives [1]"),
    wrong.OverwritesOld: (POINTS, "payloads after only_new gives"),
    wrong.MergesPayloads: (POINTS, "payloads after others were written gives"),
    wrong.DropsOtherFields: (POINTS, "points that were partly replaced: the vectors of 1 gives ['text']"),
    wrong.HalvesAll: (POINTS, "what was written: 1 has"),
    wrong.GetsInOrder: (POINTS, "get of ["),
    wrong.RemembersAnswers: (POINTS, "a query after another handle wrote gives"),
    wrong.BreaksTiesBackwards: (QUERIES, "cosine, all equal, limit 3: the query gives"),
    wrong.SquaresDistances: (QUERIES, "l2, least None, exact True: the score of"),
    wrong.WantsMore: (QUERIES, "dot, all equal, limit 3: the query gives []"),
    wrong.ForgetsNames: (QUERIES, "5 named points, vector 'one', exact True, limit 2: the query gives"),
    wrong.FiltersLast: (QUERIES, "the farthest five alone, limit 2: the query gives []"),
    wrong.CutsWide: (QUERIES, "a query of another width is taken"),
    wrong.KnowsNoRarity: (QUERIES, "idf True: the score of"),
    wrong.CountsTermless: (QUERIES, "idf True: the score of"),
    wrong.FindsAll: (QUERIES, "terms {999: 1.0}, idf False, limit 1: the query gives"),
    wrong.AsksWithOne: (QUERIES, "3 vectors, dot: the score of"),
    wrong.CountsRanksFromOne: (FUSING, "two by rank, limit 1: the fused score of"),
    wrong.WeighsNothing: (FUSING, "two by rank that weigh 3 and 1, limit 10: what was fused gives"),
    wrong.CutsFused: (FUSING, "those of 'text' with a score of at least"),
    wrong.LeavesFusedTies: (FUSING, "two by rank that weigh nothing, limit 3: what was fused gives"),
    wrong.FusesAllTenants: (FUSING, "two by rank, the red ones, limit 10: what was fused gives"),
    wrong.TakesTextsForNumbers: (CONDITIONS, "read with 0 indexes where Condition(key='count', values=(1,)"),
    wrong.TakesNothingForAnything: (
        CONDITIONS,
        "where Condition(key='colour', values=(), least=None, most=None) gives",
    ),
    wrong.ForgetsNone: (CONDITIONS, "where not Condition(key='colour', values=('red',)"),
    wrong.LeavesOutEnds: (CONDITIONS, "where Condition(key='count', values=None, least=2.5, most=2.5) gives []"),
}
"""Which parts of the check tell it, and how."""


@pytest.mark.parametrize("kind", WRONG)
def test_a_broken_promise_is_found(kind: type[EmbeddedDatabase], tmp_path: Path) -> None:
    parts, broken = WRONG[kind]
    with closing(kind(tmp_path)) as database:
        found = broken_promises(Trial(database, "check", lambda: EmbeddedDatabase(tmp_path)), parts)

    assert any(broken in line for line in found), found


def test_who_fuses_as_is_promised_is_told_nothing(tmp_path: Path) -> None:
    with closing(wrong.Fuses(tmp_path)) as database:
        assert broken_promises(Trial(database, "check"), FUSING) == []


def test_what_was_there_stays(tmp_path: Path) -> None:
    with closing(EmbeddedDatabase(tmp_path)) as database:
        database.create(Collection(name="mine", fields={"": Field(dim=2)}))
        database.switch("alias-of-mine", "mine", old=None)
        database.write("mine", Points(ids=[1], vectors={"": np.eye(1, 2, dtype=np.float32)}, payloads=[{"a": 1}]))
        before = (database.describe("mine"), str(database.read("mine", vectors=[""])))

        assert check_database(database) == []
        assert (database.names(), database.aliases()) == (["mine"], {"alias-of-mine": "mine"})
        assert (database.describe("mine"), str(database.read("mine", vectors=[""]))) == before


def test_a_part_that_ends_with_an_error_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    class MissesAll(EmbeddedDatabase):
        def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
            raise Mismatch("no such thing")

    with closing(MissesAll(tmp_path)) as database:
        found = broken_promises(Trial(database, "check"), POINTS)

        assert "gets ended with Mismatch: no such thing" in found
        assert "deletes ended with Mismatch: no such thing" in found
        assert database.names() == []
