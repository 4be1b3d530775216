"""Texts -> the lexical weights of BM25, as systems have vectors of a model."""

from collections.abc import Mapping, Sequence

from embedstack.databases.database import Kind
from embedstack.errors import BadRequest
from embedstack.evals.systems.encoded import Read
from embedstack.evals.systems.system import Progress
from embedstack.search.analysis import Language, terms
from embedstack.search.bm25 import Bm25

STEP = 1000  # documents between two signs of life


class Words:
    """BM25 of one language.

    Args:
        place: it, for people.
        bm25: of what is there already; made for the documents if None, with their mean length.
    """

    def __init__(self, place: str, language: Language, bm25: Bm25 | None = None) -> None:
        self.place = place
        self._language: Language = language
        self._bm25 = bm25

    def documents(self, documents: Mapping[str, str], kind: Kind, progress: Progress) -> Read:
        """Their weights, with the mean length of these documents.

        Raises:
            BadRequest: no document has a term.
        """
        bm25 = Bm25.of(self._language, (len(terms(text, self._language)) for text in documents.values()))
        weights = []
        for number, text in enumerate(documents.values(), 1):
            weights.append(bm25.document(text))
            if number % STEP == 0 or number == len(documents):
                progress(f"documents by {self.place}", number, len(documents))
        self._bm25 = bm25
        return Read({"sparse": weights}, bm25.identity, len(weights), 0)

    def let_go(self, kind: Kind) -> None:
        """It keeps none."""

    def queries(self, texts: Sequence[str], kinds: frozenset[Kind], dim: int | None) -> Read:
        """Their terms.

        Raises:
            BadRequest: nobody knows the documents' mean length yet.
        """
        if self._bm25 is None:
            raise BadRequest("bm25 has taken no documents yet; prepare its system before it is asked")
        return Read({"sparse": [self._bm25.query(text) for text in texts]}, self._bm25.identity, len(texts), 0)
