"""SPLADE: the heads of masked language models over their vocabulary, against sentence-transformers."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from support.families import FamilyTests
from support.lexical import OWN, ROBUST, SMALL, TIED
from support.mutations import Mutation, architecture, halves_swapped, recipe, swapped


class TestSplade(FamilyTests):
    family = "bert"
    cases = (TIED, OWN, SMALL, ROBUST)
    mutations: ClassVar[Mapping[str, Mutation]] = {
        "logarithm once more": recipe(log_twice=True),
        "logarithm once": recipe(log_twice=False),
        "tied to the words though it has its own": swapped(
            "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
        ),
        "another epsilon": architecture(norm_eps=1e-5),
        "another activation": architecture(activation="silu"),
        "shift moved": halves_swapped("bias"),
    }
    not_for: ClassVar[Mapping[str, Sequence[str]]] = {
        "logarithm once more": [OWN.name],
        "logarithm once": [TIED.name, SMALL.name, ROBUST.name],
        "tied to the words though it has its own": [TIED.name, SMALL.name, ROBUST.name],
        "another epsilon": [SMALL.name],  # it has 1e-12, and 1e-5 is as nothing beside a variance of order 1
    }
    unseen: ClassVar[Sequence[str]] = ("self.key.bias", "k_lin.bias")  # they shift all logits of a query alike
