"""Things of one type, as they are read -> their contents, each once, with a vector; and what was left out."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from embedstack.deduping.encoding import Encoder, Vector
from embedstack.deduping.thing import LeftOut, Thing
from embedstack.errors import Mismatch
from embedstack.search.keeping import Cluster, Item
from embedstack.search.near import Clusters
from embedstack.types import Floats, Image

AT_ONCE = 64  # contents that wait for the model
WAITING = 32 << 20  # bytes of pictures, characters of texts: with so many of them it waits no longer


class Pile:
    """What is compared with each other.

    Args:
        encoder: gives what makes vectors; called where the first is needed.
    """

    def __init__(self, encoder: Callable[[], Encoder]) -> None:
        self.items: list[Item] = []
        self._encoder = encoder
        self._names: dict[str, int] = {}  # the last number behind each
        self._plain: dict[str, int] = {}  # the item of each that stood once so far
        self._contents: list[int] = []  # of each item
        self._vectors: list[Vector] = []  # of each content
        self._known: dict[str, int] = {}  # contents by key
        self._waiting: dict[int, str | Image] = {}
        self._waiting_size = 0
        self._without: list[LeftOut] = []

    def add(self, thing: Thing) -> None:
        """Equal contents are given to the model once. Things of one name get ~1, ~2, ... behind it: who deletes by
        name shall not delete all of them.

        Raises:
            Mismatch: a vector of another width than those before.
        """
        if thing.content is None and not thing.key:
            self._without.append(LeftOut(thing.item.name, thing.problem))
            return
        number = self._known.setdefault(thing.key, len(self._vectors)) if thing.key else len(self._vectors)
        self.items.append(replace(thing.item, name=self._unique(thing.item.name)))
        self._contents.append(number)
        if number == len(self._vectors):
            self._take(number, thing)

    def left_out(self) -> list[LeftOut]:
        """Items without a vector, and why."""
        vectors = (self._vectors[number] for number in self._contents)
        found = zip(self.items, vectors, strict=True)
        return [*self._without, *(LeftOut(item.name, why) for item, why in found if isinstance(why, str))]

    def matrix(self) -> Floats:
        """(contents, dim); of one without a vector zeros, which are like nothing."""
        self._encode()
        rows = [vector for vector in self._vectors if not isinstance(vector, str)]
        matrix = np.zeros((len(self._vectors), len(rows[0]) if rows else 1), np.float32)
        for row, vector in zip(matrix, self._vectors, strict=True):
            if not isinstance(vector, str):
                row[:] = vector
        return matrix

    def clusters(self, found: Clusters, vectors: Floats) -> list[Cluster]:
        """Items that belong together, by what belongs together of their contents, in the order of the first of each."""
        of_label: dict[int, list[int]] = defaultdict(list)
        of_content: dict[int, list[int]] = defaultdict(list)
        for item, content in enumerate(self._contents):
            of_label[int(found.labels[content])].append(item)
            of_content[content].append(item)
        return [self._cluster(members, of_content, found, vectors) for members in of_label.values() if len(members) > 1]

    def _cluster(
        self, members: Sequence[int], of_content: dict[int, list[int]], found: Clusters, vectors: Floats
    ) -> Cluster:
        contents = [self._contents[member] for member in members]
        nearest = []
        for member, content in zip(members, contents, strict=True):
            copy = next((other for other in of_content[content][:2] if other != member), None)
            other = of_content[int(found.nearest[content])][0] if copy is None else copy
            nearest.append((other, float(found.cosines[content]) if copy is None else 1.0))
        return Cluster(
            members=members,
            contents=contents,
            nearest=[other for other, _ in nearest],
            nearest_similarity=[similarity for _, similarity in nearest],
            vectors=vectors,
        )

    def _unique(self, name: str) -> str:
        if name in self._plain:  # by its plain name all of them would go
            first = self._plain.pop(name)
            self.items[first] = replace(self.items[first], name=self._numbered(name))
        if name in self._names:
            return self._numbered(name)
        self._names[name], self._plain[name] = 0, len(self.items)
        return name

    def _numbered(self, name: str) -> str:
        number, found = self._names[name], name
        while found in self._names:
            number += 1
            found = f"{name}~{number}"
        self._names[name], self._names[found] = number, 0
        return found

    def _take(self, number: int, thing: Thing) -> None:
        match thing.content:
            case None:
                self._vectors.append(thing.problem)
            case str() | Image() as content:
                self._vectors.append("it waits for its vector")
                self._waiting[number] = content
                self._waiting_size += len(content.data if isinstance(content, Image) else content)
                if len(self._waiting) >= AT_ONCE or self._waiting_size >= WAITING:
                    self._encode()
            case vector:
                self._check_width(thing, vector)
                self._vectors.append(vector)

    def _check_width(self, thing: Thing, vector: Floats) -> None:
        first = next((one for one in self._vectors if not isinstance(one, str)), vector)
        if len(first) != len(vector):
            raise Mismatch(
                f"the vector of {thing.item.name!r} has {len(vector)} numbers, and those before have {len(first)}; "
                "vectors of two models cannot be compared: look at them one after the other"
            )

    def _encode(self) -> None:
        if self._waiting:
            made = self._encoder().encode(list(self._waiting.values()))
            for number, vector in zip(self._waiting, made, strict=True):
                self._vectors[number] = vector
            self._waiting, self._waiting_size = {}, 0
