"""What is named becomes systems, and what several of them need is opened once."""

import pytest

from embedstack.errors import BadRequest, UnknownModel, Unsupported
from embedstack.evals.contenders import contenders
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.testing.fake import HashEncoder, labels_spec, overlap_spec
from support.systems import DOCUMENTS, Opened, quiet, ranking

HOW = SystemHow()


def test_systems_come_in_the_order_in_which_they_are_named():
    systems = open_systems(["hash:multi", " bm25 + hash", "bm25"], Opened(), HOW)

    assert [system.name for system in systems] == ["hash:multi", "bm25+hash", "bm25"]


def test_a_leg_that_is_also_named_is_one_system():
    fused, lexical, again = open_systems(["bm25+hash", "bm25", "bm25+hash~overlap"], Opened(), HOW)

    assert fused.legs[0] is lexical
    assert again.legs[0] is fused
    assert [one.system.name for one in contenders([fused, again])] == ["bm25+hash", "bm25", "hash", "bm25+hash~overlap"]


def test_each_model_is_opened_once():
    openers = Opened()

    open_systems(["hash", "hash:sparse+hash:multi", "hash~overlap"], openers, HOW)

    assert openers.asked == ["hash", "overlap"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("overlap", "model 'overlap' gives the scores of a reranker, and vectors are wanted; write bm25~MODEL"),
        ("bm25~labels", "model 'labels' gives labels, and the scores of a reranker are wanted"),
        ("only:sparse", "model 'only' gives no sparse vectors; it gives: dense"),
    ],
)
def test_a_model_that_cannot_do_it_is_refused_before_any_work(name, says):
    models = {
        "overlap": HashEncoder([overlap_spec()]),
        "labels": HashEncoder([labels_spec()]),
        "only": HashEncoder(),
    }

    with pytest.raises(Unsupported) as caught:
        open_systems([name], Opened(models), HOW)
    assert says in str(caught.value)


def test_a_model_that_is_not_there_is_refused_as_its_opener_says():
    with pytest.raises(UnknownModel, match="'nobody' is not in the catalog"):
        open_systems(["bm25", "bm25+nobody"], Opened(), HOW)


def test_the_same_system_twice_is_refused():
    with pytest.raises(BadRequest, match="'bm25' is named twice"):
        open_systems(["bm25", "bm25:en"], Opened(), HOW)


@pytest.mark.parametrize("how", [{"depth": 0}, {"rerank_top": 0}])
def test_less_than_one_document_is_refused(how):
    with pytest.raises(BadRequest, match="=0 is below 1"):
        SystemHow(**how)


def test_everything_that_was_closed_can_be_closed_again():
    systems = open_systems(["bm25+hash~overlap", "hash", "hash:multi"], Opened(), HOW)
    for system in systems:
        system.prepare(DOCUMENTS, quiet)

    for system in [*systems, *systems]:
        system.close()
    systems[0].prepare(DOCUMENTS, quiet)

    assert all(ranking(systems[0]))
