"""Qwen3: heads that share keys, norms of each head, a causal mask, the last token, and yes or no, as transformers."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.api import open_engine
from embedstack.catalog import find
from embedstack.catalog.answers import INSTRUCTION, QWEN3
from embedstack.errors import ConfigError, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models import outputs
from embedstack.models.folder import Fields
from embedstack.models.qwen3 import FAMILY
from embedstack.models.weights import open_weights
from embedstack.modelspec import Architecture, ModelSpec, Pooling
from embedstack.runtimes.numpy import NumpyOps
from embedstack.settings import Settings
from embedstack.types import Pair, Score, Text
from support.byte_level import byte_level
from support.families import GOLDEN, SEEN, TOLERANCE, FamilyTests, Tiny, batch_of, by_transformers, differs, write
from support.mutations import Mutation, architecture, interleaved, recipe, swapped
from support.proofs import RECORDS, note
from support.runtimes import runtimes

HIDDEN, HEADS, KV, SIZE, WIDE, LAYERS = 32, 4, 2, 16, 48, 3
TOKENIZER = byte_level()
VOCAB = TOKENIZER.get_vocab_size() + 3  # a model may have more rows than there are tokens
YES, NO, END = (TOKENIZER.token_to_id(name) for name in ("yes", "no", "<|endoftext|>"))
TEMPLATE = (
    '{%- set instruction = messages | selectattr("role", "eq", "system") | map(attribute="content") | first | '
    'default("Given a web search query, retrieve relevant passages that answer the query") -%}\n'
    '{%- set query_text = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}\n'
    '{%- set document_text = messages | selectattr("role", "eq", "document") | map(attribute="content") | first -%}\n'
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: {{ instruction }}\n<Query>: {{ query_text }}\n<Document>: {{ document_text }}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n\n"
)
"""The chat template of Qwen3-Reranker, byte for byte; which pair it writes is known by its digest."""


def config(kind: str = "Qwen3Model", **more: object) -> dict[str, object]:
    return {
        "architectures": [kind],
        "model_type": "qwen3",
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV,
        "head_dim": SIZE,
        "intermediate_size": WIDE,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-2,
        "rope_theta": 50.0,
        "rope_scaling": None,
        "max_position_embeddings": 400,
        "vocab_size": VOCAB,
        "use_sliding_window": False,
        "max_window_layers": LAYERS,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "pad_token_id": END,
        "bos_token_id": END,
        "eos_token_id": END,
        **more,
    }


def shapes(prefix: str = "", kv: int = KV, **more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {
        f"{prefix}embed_tokens.weight": (VOCAB, HIDDEN),
        f"{prefix}norm.weight": (HIDDEN,),
    }
    for number in range(LAYERS):
        at = f"{prefix}layers.{number}"
        made |= {f"{at}.{norm}_layernorm.weight": (HIDDEN,) for norm in ("input", "post_attention")}
        made |= {f"{at}.self_attn.{norm}_norm.weight": (SIZE,) for norm in ("q", "k")}
        made |= {f"{at}.self_attn.{part}_proj.weight": (kv * SIZE, HIDDEN) for part in ("k", "v")}
        made |= {f"{at}.self_attn.q_proj.weight": (HEADS * SIZE, HIDDEN)}
        made |= {f"{at}.self_attn.o_proj.weight": (HIDDEN, HEADS * SIZE)}
        made |= {f"{at}.mlp.{part}_proj.weight": (WIDE, HIDDEN) for part in ("gate", "up")}
        made |= {f"{at}.mlp.down_proj.weight": (HIDDEN, WIDE)}
    return made | {f"{name}.weight": shape for name, shape in more.items()}


def answers(*ids: int) -> Callable[[Path, Sequence[np.ndarray]], np.ndarray]:
    """The logit of the first word, less that of the second, behind the last token."""

    def judge(folder: Path, items: Sequence[np.ndarray]) -> np.ndarray:
        import torch
        import transformers

        model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval().float()
        with torch.no_grad():
            last = [model(input_ids=torch.tensor(item[None].astype(np.int64))).logits[0, -1] for item in items]
        said = torch.stack([row[ids[0]] - (row[ids[1]] if len(ids) > 1 else 0) for row in last])
        return said[:, None].numpy()

    return judge


def ranker(*ids: int, **more: object) -> dict[str, object]:
    """The files of a decoder that reranks, as sentence-transformers saves them."""
    kinds = {"": "base.modules.transformer.Transformer", "1_LogitScore": "cross_encoder.modules.logit_score.LogitScore"}
    rows = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.{kind}"}
        for n, (path, kind) in enumerate(kinds.items())
    ]
    flat = {"method": "forward", "method_output_name": "logits"}
    return {
        "modules.json": rows,
        "1_LogitScore/config.json": dict(zip(("true_token_id", "false_token_id"), ids, strict=False)),
        "sentence_bert_config.json": {
            "transformer_task": "text-generation",
            "modality_config": {"text": flat, "message": {**flat, "format": "flat"}},
            "module_output_name": "causal_logits",
        },
        "tokenizer_config.json": {**TOKENIZER_CONFIG, "chat_template": TEMPLATE},
        **more,
    }


TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": 400,
    "pad_token": "<|endoftext|>",
    "eos_token": "<|endoftext|>",
}
GIVEN = {"tokenizer": byte_level, "tokenizer_config": TOKENIZER_CONFIG, "least_id": 0}
CAUSAL, LABELS = "Qwen3ForCausalLM", {str(number): f"LABEL_{number}" for number in range(3)}
NEW_STYLE = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 50.0},
    "layer_types": ["full_attention"] * LAYERS,
}
CASES = (
    Tiny("qwen3-last", config(), shapes(), by_transformers("last"), pooling="last", **GIVEN),
    Tiny(
        "qwen3-mean",
        config(CAUSAL, tie_word_embeddings=False, rope_theta=None, **NEW_STYLE),
        shapes("model.", lm_head=(VOCAB, HIDDEN)),
        by_transformers("mean"),
        seed=32,
        **GIVEN,
    ),
    Tiny(
        "qwen3-long",
        config(num_key_value_heads=1),
        shapes(kv=1),
        by_transformers("last"),
        pooling="last",
        lengths=(390, 1, 131, 12, 257),
        max_seq_length=400,
        seed=33,
        **GIVEN,
    ),
    Tiny(
        "qwen3-reranker",
        config(CAUSAL),
        shapes("model."),
        answers(YES, NO),
        pooling=None,
        files=ranker(YES, NO),
        output="score",
        seed=34,
        **GIVEN,
    ),
    Tiny(
        "qwen3-lm-head",
        config(CAUSAL, tie_word_embeddings=False),
        shapes("model.", lm_head=(VOCAB, HIDDEN)),
        answers(YES),
        pooling=None,
        files=ranker(YES),
        output="score",
        seed=35,
        **GIVEN,
    ),
    Tiny(
        "qwen3-labels",
        config(
            "Qwen3ForSequenceClassification", id2label=LABELS, label2id={name: int(n) for n, name in LABELS.items()}
        ),
        shapes("model.", score=(3, HIDDEN)),
        by_transformers("logits", "AutoModelForSequenceClassification"),
        pooling=None,
        output="score",
        seed=36,
        **GIVEN,
    ),
)
EMBEDDERS = ("qwen3-last", "qwen3-mean", "qwen3-long")


class Uncausal(NumpyOps):
    def attention(self, q, k, v, heads, *, one_query=False, causal=False, window=0, bias=None):
        return super().attention(q, k, v, heads, one_query=one_query, window=window, bias=bias)


class Tiled(NumpyOps):
    """Heads 0 1 0 1 share keys and values, where it should be 0 0 1 1."""

    def repeat(self, x: np.ndarray, size: int, times: int) -> np.ndarray:
        return np.tile(x, (1, times))


class WithoutNorm(NumpyOps):
    name: str

    def rms_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, heads: int = 1) -> np.ndarray:
        return x if at.endswith(self.name) else super().rms_norm(x, at, width, eps, heads=heads)


class WithoutQueryNorm(WithoutNorm):
    name = "self_attn.q_norm"


class WithoutKeyNorm(WithoutNorm):
    name = "self_attn.k_norm"


class WithoutLastNorm(WithoutNorm):
    name = "norm"

    def rms_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, heads: int = 1) -> np.ndarray:
        return x if at in ("norm", "model.norm") else NumpyOps.rms_norm(self, x, at, width, eps, heads=heads)


class NormOfWhole(NumpyOps):
    """Over all heads at once, where each has its own."""

    def rms_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, heads: int = 1) -> np.ndarray:
        if heads == 1:
            return super().rms_norm(x, at, width, eps)
        unit = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + eps)
        return unit * np.tile(self.weight(f"{at}.weight", width), heads)


class TurnedFirst(NumpyOps):
    """Rotation before the norm of each head."""

    def rope(self, x: np.ndarray, cos: np.ndarray, sin: np.ndarray, size: int) -> np.ndarray:
        return x

    def rms_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, heads: int = 1) -> np.ndarray:
        if at.endswith(("q_norm", "k_norm")):
            x = super().rope(x, *self.angles(50.0, SIZE, 400), SIZE)
        return super().rms_norm(x, at, width, eps, heads=heads)


MUTANTS = {
    "every token sees all": Uncausal,
    "keys in the wrong order": Tiled,
    "no norm of queries": WithoutQueryNorm,
    "no norm of keys": WithoutKeyNorm,
    "no last norm": WithoutLastNorm,
    "one norm for all heads": NormOfWhole,
    "turned before the norm": TurnedFirst,
}
ONE_KEY = {"keys in the wrong order": ("qwen3-long",)}  # where all heads share one, there is no order


class TestQwen3(FamilyTests):
    family = "qwen3"
    cases = CASES
    mutations: Mapping[str, Mutation] = {
        "neighbours turned": interleaved("q_proj", "k_proj", "q_norm", "k_norm", size=SIZE),
        "another speed": architecture(rope_theta=60.0),
        "another epsilon": architecture(norm_eps=1e-6),
        "an approximate gate": architecture(activation="gelu"),
        "gate and input swapped": swapped("gate_proj", "up_proj"),
        "norms of queries and keys swapped": swapped("q_norm", "k_norm"),
        "keys and values swapped": swapped("k_proj", "v_proj"),
        "norms of a layer swapped": swapped("input_layernorm", "post_attention_layernorm"),
        "the first token's row": recipe(pooling="cls"),
        "yes and no swapped": recipe(score_ids=(NO, YES)),
        "another word": recipe(score_ids=(YES + 1, NO)),
    }
    not_for: Mapping[str, Sequence[str]] = {
        "yes and no swapped": (*EMBEDDERS, "qwen3-labels"),
        "another word": (*EMBEDDERS, "qwen3-labels"),
    }
    unseen = ("lm_head",)  # of which two rows are read, and not the table

    @pytest.mark.parametrize(
        ("mutant", "mutated"),
        [(m, c) for m in MUTANTS for c in CASES if c.name not in ONE_KEY.get(m, ())],
        ids=lambda given: given if isinstance(given, str) else given.name,
    )
    def test_another_graph_is_seen(self, mutant: str, mutated: Tiny, folders: dict[str, Path], tmp_path: Path) -> None:
        case = mutated
        spec, weights = self.opened(case, folders, tmp_path)
        ops = MUTANTS[mutant](weights, batch_of(case.items(spec)))

        made = outputs(ops, spec, frozenset({case.output}), prune=False)[case.output]

        assert differs(made, self.golden(case)) > SEEN * TOLERANCE
        note(self.family, case.name, f"mutation: {mutant}", 0.0)


# ------------------------------------------------------------------------------------------------ from text to score

PAIRS = [
    Pair("what is a panda?", "the panda is a bear"),
    Pair("who was the queen", "light and water"),
    Pair("<Document>: is it cut?", "no {query} and {document} are not"),
    Pair("ein Fluß, 漢字", "\n e\u0301 line that begins with a break"),
    Pair("sun", "the sun and the moon and a star " * 20),
]


OTHER = tuple(TOKENIZER.token_to_id(name) for name in ("panda", "moon"))
OWN = "Find what answers the question"
SAVED = {
    "model_type": "CrossEncoder",
    "prompts": {"query": OWN, "other": "is not taken"},
    "default_prompt_name": "query",
}
IDENTITY = {"activation_fn": "torch.nn.modules.linear.Identity"}
FILES: Mapping[str, Mapping[str, object]] = {
    "plain": {"config_sentence_transformers.json": {"model_type": "CrossEncoder"}},
    "other words": {
        "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
        "1_LogitScore/config.json": {"true_token_id": OTHER[0], "false_token_id": OTHER[1]},
    },
    "instructed": {"config_sentence_transformers.json": {**SAVED, **IDENTITY}},
}


def a_ranker(folder: Path, files: Mapping[str, object] | None = None) -> Path:
    case = next(case for case in CASES if case.name == "qwen3-reranker")
    return write(replace(case, files=ranker(YES, NO, **(files or {}))), folder)


def scored(folder: Path, runtime: str, tmp: Path, pairs: Sequence[Pair] = PAIRS, **how: object) -> np.ndarray:
    precision = "auto" if runtime == "numpy" else "float32"
    settings = Settings(cache_dir=tmp / "cache", runtime=runtime, precision=precision, threads=1)
    engine = open_engine(settings, [str(folder)], say=lambda line: None)
    try:
        request = Score(model=engine.models()[0].name, items=tuple(pairs), **how)  # type: ignore[arg-type]
        return asyncio.run(engine.score(request)).scores
    finally:
        engine.close()


def by_sentence_transformers(folder: Path) -> np.ndarray:
    from sentence_transformers import CrossEncoder

    judge = CrossEncoder(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
    return np.array([judge.predict([(pair.query, pair.document)])[0] for pair in PAIRS])


def golden_scores(name: str) -> np.ndarray:
    with np.load(GOLDEN / "qwen3-pairs.npz") as recorded:
        return recorded[name]


@pytest.mark.reference
def test_the_golden_scores_are_what_sentence_transformers_says_now(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

    said = {name: by_sentence_transformers(a_ranker(tmp_path / name, files)) for name, files in FILES.items()}

    if RECORDS:
        origin = "recorded: CrossEncoder.predict; EMBEDSTACK_RECORD=1 python -m pytest tests/models/test_qwen3.py"
        np.savez(GOLDEN / "qwen3-pairs.npz", origin=origin, **said)
    assert all(np.abs(scores - golden_scores(name)).max() <= 1e-6 for name, scores in said.items())


@pytest.mark.parametrize("runtime", runtimes("reference"))
@pytest.mark.parametrize("name", FILES)
def test_pairs_get_the_scores_of_sentence_transformers(name: str, runtime: str, tmp_path: Path) -> None:
    """Among them one that is cut, one that names the parts of the template, and one whose first token is half its."""
    folder = a_ranker(tmp_path / name, FILES[name])

    made = scored(folder, runtime, tmp_path)

    assert np.abs(made - golden_scores(name)).max() <= 1e-5


@pytest.mark.parametrize(
    "wrong",
    [
        recipe(pair_template=QWEN3.replace("{instruction}", "")),
        recipe(pair_template="{query} {document}"),
        recipe(pair_template=QWEN3.replace("{instruction}", INSTRUCTION).replace("<think>\n\n</think>\n\n", "")),
        recipe(pair_template=QWEN3.replace("{instruction}", INSTRUCTION + ".")),
        recipe(score_ids=(NO, YES)),
    ],
    ids=["no instruction", "no template", "no empty thought", "another instruction", "yes and no swapped"],
)
def test_another_text_around_a_pair_is_seen(wrong: Mutation, tmp_path: Path) -> None:
    folder = a_ranker(tmp_path / "plain")
    spec, weights = wrong(find(str(folder), cache_dir=tmp_path).spec, open_weights(folder))
    read = [np.array(encoding.ids) for encoding in TextInput(folder, spec).encode(PAIRS)]

    logits = outputs(NumpyOps(weights, batch_of(read)), spec, frozenset({"score"}))["score"][:, 0]

    assert np.abs(1 / (1 + np.exp(-logits)) - golden_scores("plain")).max() > 1e-3


def test_a_text_ends_with_the_token_that_the_tokeniser_appends(tmp_path: Path) -> None:
    """Without it the last token is another one, and so is the vector."""
    case = replace(CASES[0], tokenizer=lambda: byte_level(["<|endoftext|>"]))
    folder = write(case, tmp_path / "embedder")
    spec = find(str(folder), cache_dir=tmp_path).spec
    (with_end,) = TextInput(folder, spec).encode([Text("a river")])
    (without_end,) = TextInput(folder, replace(spec, special_tokens=False)).encode([Text("a river")])

    assert list(with_end.ids) == [*without_end.ids, END]


# ------------------------------------------------------------------------------------------------ what a folder states


def spec_of(folder: Path, tmp: Path) -> ModelSpec:
    return find(str(folder), cache_dir=tmp).spec


def test_a_decoder_that_reranks_is_read_from_its_modules(tmp_path: Path) -> None:
    spec = spec_of(a_ranker(tmp_path / "ranker", FILES["instructed"]), tmp_path)

    assert (spec.task, spec.head, spec.score_ids, spec.labels) == ("rerank", "lm_head", (YES, NO), 1)
    assert spec.pair_template == QWEN3.replace("{instruction}", OWN)
    assert (spec.score_activation, spec.pooling, spec.special_tokens) == ("identity", "last", False)


def test_a_template_in_a_file_comes_before_that_of_the_settings(tmp_path: Path) -> None:
    files = {"tokenizer_config.json": {**TOKENIZER_CONFIG, "chat_template": "{{ messages }}"}}
    folder = a_ranker(tmp_path / "ranker", files)
    (folder / "chat_template.jinja").write_text(TEMPLATE)

    assert spec_of(folder, tmp_path).pair_template == QWEN3.replace("{instruction}", INSTRUCTION)


def test_a_template_that_is_not_known_is_refused(tmp_path: Path) -> None:
    files = {"tokenizer_config.json": {**TOKENIZER_CONFIG, "chat_template": TEMPLATE.replace("Judge", "Say")}}

    with pytest.raises(Unsupported, match="chat template"):
        spec_of(a_ranker(tmp_path / "ranker", files), tmp_path)


def bare(folder: Path, card: str) -> Path:
    """A decoder as the first revisions of Qwen3-Reranker have it: no modules, and the template of a chat."""
    case = next(case for case in CASES if case.name == "qwen3-reranker")
    settings = {**TOKENIZER_CONFIG, "chat_template": "{{ messages }}"}
    write(replace(case, files={"tokenizer_config.json": settings}), folder)
    (folder / "README.md").write_text(card)
    return folder


CARD = "---\nlicense: mit\npipeline_tag: text-ranking\n---\nJudge whether the Document meets the requirements\n"


def test_a_decoder_without_modules_reranks_if_its_card_says_so(tmp_path: Path) -> None:
    spec = spec_of(bare(tmp_path / "bare", CARD), tmp_path)

    assert (spec.score_ids, spec.score_activation) == ((YES, NO), "sigmoid")
    assert spec.pair_template == QWEN3.replace("{instruction}", INSTRUCTION)


def test_a_decoder_that_reranks_by_another_text_is_not_asked_in_this_one(tmp_path: Path) -> None:
    """Others are of the same architecture and task, and say how they ask in code or prose of their own."""
    with pytest.raises(ConfigError, match=r"no modules\.json"):
        spec_of(bare(tmp_path / "bare", CARD.replace("Judge whether", "Say if")), tmp_path)


def test_a_decoder_with_code_of_its_own_is_not_asked_in_this_text(tmp_path: Path) -> None:
    folder = bare(tmp_path / "bare", CARD)
    (folder / "config.json").write_text(json.dumps(config(CAUSAL, auto_map={"AutoModel": "modeling.Own"})))

    with pytest.raises(Unsupported, match="auto_map"):
        spec_of(folder, tmp_path)


def labelled(folder: Path, **files: object) -> Path:
    """A classifier of the family, with these files beside its own."""
    case = next(case for case in CASES if case.name == "qwen3-labels")
    return write(replace(case, files=files), folder)


CHAT = {"tokenizer_config.json": {**TOKENIZER_CONFIG, "chat_template": "{{ messages }}"}}
FIRST = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
TEXT = {"method": "forward", "method_output_name": "logits"}


def stated(**kinds: object) -> dict[str, object]:
    """modules.json, and what its first module takes."""
    settings = {"transformer_task": "sequence-classification", "modality_config": {"text": TEXT, **kinds}}
    return {"modules.json": FIRST, "sentence_bert_config.json": settings}


def test_a_classifier_of_a_chat_template_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="chat template"):
        spec_of(labelled(tmp_path / "labels", **CHAT), tmp_path)


def test_a_classifier_that_states_texts_alone_joins_its_pairs(tmp_path: Path) -> None:
    known = {"tokenizer_config.json": {**TOKENIZER_CONFIG, "chat_template": TEMPLATE}}

    specs = [
        spec_of(labelled(tmp_path / str(n), **files, **stated()), tmp_path) for n, files in enumerate((CHAT, known))
    ]

    assert [spec.pair_template for spec in specs] == ["", ""]


def test_a_classifier_of_a_known_template_follows_it(tmp_path: Path) -> None:
    known = {"tokenizer_config.json": {**TOKENIZER_CONFIG, "chat_template": TEMPLATE}}
    message = {**TEXT, "format": "flat"}

    made = [labelled(tmp_path / "a", **known), labelled(tmp_path / "b", **known, **stated(message=message))]

    assert {spec_of(folder, tmp_path).pair_template for folder in made} == {QWEN3.replace("{instruction}", INSTRUCTION)}


def test_messages_of_parts_are_refused(tmp_path: Path) -> None:
    known = {"tokenizer_config.json": {**TOKENIZER_CONFIG, "chat_template": TEMPLATE}}

    with pytest.raises(Unsupported, match="'structured'"):
        spec_of(labelled(tmp_path / "m", **known, **stated(message={**TEXT, "format": "structured"})), tmp_path)


@pytest.mark.parametrize("modality", [None, {"text": TEXT}], ids=["nothing", "text"])
def test_a_decoder_with_modules_that_writes_no_messages_is_refused(modality: object, tmp_path: Path) -> None:
    settings = {"transformer_task": "text-generation", "modality_config": modality}

    with pytest.raises(Unsupported, match="without a chat template"):
        spec_of(a_ranker(tmp_path / "ranker", {"sentence_bert_config.json": settings}), tmp_path)


def test_a_classifier_whose_texts_end_with_padding_is_refused(tmp_path: Path) -> None:
    """transformers reads the token before it, as the judge shows."""
    case = next(case for case in CASES if case.name == "qwen3-labels")
    end = ["<|endoftext|>"]

    with pytest.raises(Unsupported, match="pad_token_id"):
        spec_of(write(replace(case, tokenizer=lambda: byte_level(end)), tmp_path / "ended"), tmp_path)
    other = config("Qwen3ForSequenceClassification", id2label=LABELS, pad_token_id=0)
    assert spec_of(write(replace(case, tokenizer=lambda: byte_level(end), config=other), tmp_path / "m"), tmp_path)


def test_a_table_of_its_own_answers_whatever_the_config_says_of_ties(tmp_path: Path) -> None:
    """As transformers, which ties two tables only where they are equal."""
    case = next(case for case in CASES if case.name == "qwen3-lm-head")
    folder = write(replace(case, config=config(CAUSAL, tie_word_embeddings=True)), tmp_path / "tied")
    spec, weights = spec_of(folder, tmp_path), open_weights(folder)

    made = outputs(NumpyOps(weights, batch_of(case.items(spec))), spec, frozenset({"score"}))["score"]

    with np.load(GOLDEN / "qwen3-lm-head.npz") as recorded:
        assert differs(made, recorded["judged"]) <= TOLERANCE


def test_a_decoder_that_lacks_the_table_that_it_states_is_refused(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "qwen3-reranker")

    with pytest.raises(ConfigError, match="tie_word_embeddings"):
        spec_of(write(replace(case, config=config(CAUSAL, tie_word_embeddings=False)), tmp_path / "m"), tmp_path)


def test_a_decoder_that_states_nothing_is_not_taken_for_one_that_reranks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no modules\.json"):
        spec_of(bare(tmp_path / "bare", "---\npipeline_tag: text-generation\n---\n"), tmp_path)


@pytest.mark.parametrize("ids", [(VOCAB, NO), (YES, VOCAB)], ids=["yes", "no"])
def test_an_answer_outside_the_vocabulary_is_refused(ids: tuple[int, int], tmp_path: Path) -> None:
    stated = dict(zip(("true_token_id", "false_token_id"), ids, strict=True))

    with pytest.raises(ConfigError, match="_token_id"):
        spec_of(a_ranker(tmp_path / "ranker", {"1_LogitScore/config.json": stated}), tmp_path)


def test_an_embedder_that_writes_messages_is_refused(tmp_path: Path) -> None:
    settings = {"modality_config": {"message": {"method": "forward"}}}

    with pytest.raises(Unsupported, match="chat template"):
        spec_of(write(replace(CASES[0], files={"sentence_bert_config.json": settings}), tmp_path / "chat"), tmp_path)


def test_vectors_are_cut_to_any_width_that_the_card_names(tmp_path: Path) -> None:
    folder = write(CASES[0], tmp_path / "embedder")
    (folder / "README.md").write_text("supports user-defined output dimensions ranging from 8 to 32\n")

    cuts = spec_of(folder, tmp_path).cuts

    assert (cuts[0], cuts[-1], len(cuts)) == (8, 31, 24)


def test_a_card_of_another_model_names_no_widths(tmp_path: Path) -> None:
    folder = write(CASES[0], tmp_path / "embedder")
    (folder / "README.md").write_text("supports user-defined output dimensions ranging from 32 to 1024\n")

    assert spec_of(folder, tmp_path).cuts == ()


def read(given: Mapping[str, object]) -> Architecture:
    return FAMILY.architecture(Fields(Path("config.json"), given), "some/model")


@pytest.mark.parametrize(
    "switch",
    [
        {"attention_bias": True},
        {"use_bidirectional_attention": True},
        {"is_causal": False},
        {"quantization_config": {"bits": 4}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
        {"rope_scaling": {"type": "yarn", "factor": 4.0}},
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6}},
        {"use_sliding_window": True, "max_window_layers": LAYERS - 1},
        {"layer_types": ["full_attention", "sliding_attention", "full_attention"]},
    ],
    ids=str,
)
def test_a_switch_that_would_change_the_graph_is_refused(switch: dict[str, object]) -> None:
    with pytest.raises(Unsupported, match="some/model"):
        read(config(**switch))


@pytest.mark.parametrize("field", ["head_dim", "rope_theta", "num_key_value_heads"])
def test_a_number_that_means_nothing_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        read(config(**{field: 0}))


def test_a_window_that_no_layer_uses_is_no_switch() -> None:
    assert read(config(use_sliding_window=True, sliding_window=8)).window == 0


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_only_the_last_token_stands_for_its_item_in_a_pruned_layer(pooling: Pooling, tmp_path: Path) -> None:
    """The first one sees itself alone, which a query that sees the whole item would not."""
    folder = write(CASES[0], tmp_path / "embedder")
    spec, batch = (
        replace(spec_of(folder, tmp_path), pooling=pooling),
        batch_of(CASES[0].items(spec_of(folder, tmp_path))),
    )

    pruned, whole = (
        outputs(NumpyOps(open_weights(folder), batch), spec, frozenset({"dense"}), prune=prune)["dense"]
        for prune in (True, False)
    )

    assert np.abs(pruned - whole).max() <= 1e-12
