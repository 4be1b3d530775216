"""Models at full size as the published folders look, every number drawn: weights do not decide how fast they are.

The vocabulary is smaller than theirs, and the towers of texts in CLIP and SigLIP have one layer: what is measured does
not run through them. The tests draw the same folders small; what both need is theirs (`tests/support`).
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support import towers
from support.shapes import Shapes, linear, norm

WORDS = [f"word{n}" for n in range(200)]
VOCAB = 30_000
MOST = 2048  # tokens of a text
BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
ROBERTA = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
QWEN = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>", "unk_token": "<unk>"}


@dataclass(frozen=True)
class Folder:
    """What is written, and what its products are.

    Args:
        part: how the names of the tensors begin that are measured.
        attended: numbers of one token that a layer's attention multiplies, over all heads.
    """

    config: Mapping[str, object]
    shapes: Shapes
    tokenizer: Tokenizer
    files: Mapping[str, object]
    layers: int
    attended: int
    part: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """A folder as the published one looks; what was there is kept."""
        for name, content in {"config.json": self.config, **self.files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(content, indent=2))
        self.tokenizer.save(str(folder / "tokenizer.json"))
        weights = _drawn(self.shapes) | {name: np.full(self.shapes[name], one, np.float32)
                                         for name, one in self.numbers.items()}  # fmt: skip
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        return folder

    def products(self) -> int:
        """Numbers in the layers' matrices: each is multiplied once for a token."""
        return sum(math.prod(s) for name, s in self.shapes.items()
                   if name.startswith(self.part) and "layer" in name and len(s) > 1)  # fmt: skip

    def flop(self, lengths: Sequence[int]) -> float:
        """Of items of so many tokens; attention multiplies 4 x length x width of each in every layer."""
        per_token, pairs = 2 * self.products(), 4 * self.layers * self.attended
        return float(sum(n * per_token + pairs * n * n for n in lengths))


def _drawn(shapes: Shapes) -> dict[str, np.ndarray]:
    """So that activations stay of order 1, whatever the depth."""
    draw = np.random.default_rng(0)

    def made(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) < 2:
            return np.full(shape, 0.0 if name.endswith("bias") else 1.0, np.float32)
        return draw.standard_normal(shape, np.float32) * np.float32(math.prod(shape[1:]) ** -0.5)

    return {name: made(name, shape) for name, shape in shapes.items()}


# ------------------------------------------------------------------------------------------------ texts


def words(special: Mapping[str, str]) -> Tokenizer:
    """One token a word, so that a text has the length that it should have; what frames it is for the caller."""
    vocab = {word: n for n, word in enumerate([*special.values(), *WORDS])}
    made = Tokenizer(models.WordLevel(vocab, unk_token=special["unk_token"]))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(list(special.values()))
    return made


def tokenizer_config(special: Mapping[str, str], most: int = MOST) -> dict[str, object]:
    inputs = ["input_ids", "attention_mask"]
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": most, "model_input_names": inputs}
    return {**special, **kind}


def sentence_transformer(width: int, pooling: str, prompts: Mapping[str, str] | None = None, default: str | None = None,
                         most: int = MOST) -> dict[str, object]:  # fmt: skip
    """The files that say how a vector is made of hidden states."""
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modes = {"cls": "cls_token", "mean": "mean_tokens", "last": "lasttoken"}
    return {
        "modules.json": [
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, (kind, path) in enumerate(kinds.items())
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": width,
            **{f"pooling_mode_{name}": how == pooling for how, name in modes.items()},
        },
        "config_sentence_transformers.json": {"prompts": prompts or {}, "default_prompt_name": default},
        "sentence_bert_config.json": {"max_seq_length": most, "do_lower_case": False},
    }


def _encoder(kind: str, shapes: Shapes, layers: int, pooling: str, **more: object) -> Folder:
    """An encoder of the size of BERT-base, with turned positions."""
    tokenizer = words(BERT)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    prompts = {"query": "search_query: ", "document": "search_document: "} if kind == "nomic_bert" else {}
    return Folder(
        {
            "model_type": kind, "num_hidden_layers": layers, "hidden_size": 768, "num_attention_heads": 12,
            "vocab_size": VOCAB, "pad_token_id": 0, "intermediate_size": 3072, **more,
        },
        shapes,
        tokenizer,
        {
            "tokenizer_config.json": tokenizer_config(BERT),
            **sentence_transformer(768, pooling, prompts, "document" if prompts else None),
        },
        layers,
        attended=768,
    )  # fmt: skip


def nomic(layers: int) -> Folder:
    """Source: nomic-ai/nomic-embed-text-v1.5, in the names of transformers 5."""
    shapes = _tables(kinds=2) | _gated(layers, biased=())
    rope = {"rope_type": "default", "rope_theta": 1000.0}
    return _encoder(
        "nomic_bert",
        shapes,
        layers,
        "mean",
        architectures=["NomicBertModel"],
        hidden_act="silu",
        layer_norm_eps=1e-12,
        max_position_embeddings=2048,
        type_vocab_size=2,
        rope_parameters=rope,
    )


def gte(layers: int) -> Folder:
    """Source: Alibaba-NLP/gte-multilingual-base, in the names of transformers 5."""
    shapes = _tables(kinds=1) | _gated(layers, biased=("q", "k", "v", "o", "down"))
    rope = {"rope_type": "default", "rope_theta": 20000.0}
    return _encoder(
        "gte",
        shapes,
        layers,
        "cls",
        architectures=["GteModel"],
        hidden_act="gelu",
        layer_norm_eps=1e-12,
        max_position_embeddings=8192,
        type_vocab_size=1,
        rope_parameters=rope,
    )


def modernbert(layers: int, hidden: int = 768, wide: int = 1152) -> Folder:
    """Source: answerdotai/ModernBERT-base."""
    shapes: Shapes = {"embeddings.tok_embeddings.weight": (VOCAB, hidden)}
    norms = ["embeddings.norm", "final_norm", *(f"layers.{n}.attn_norm" for n in range(1, layers))]
    for n in range(layers):
        norms.append(f"layers.{n}.mlp_norm")
        products = {"attn.Wqkv": (3 * hidden, hidden), "attn.Wo": (hidden, hidden), "mlp.Wi": (2 * wide, hidden)}
        for name, shape in (products | {"mlp.Wo": (hidden, wide)}).items():
            shapes[f"layers.{n}.{name}.weight"] = shape
    shapes |= {f"{name}.weight": (hidden,) for name in norms}
    named = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    return _encoder(
        "modernbert",
        shapes,
        layers,
        "cls",
        architectures=["ModernBertModel"],
        intermediate_size=wide,
        hidden_activation="gelu",
        norm_eps=1e-5,
        max_position_embeddings=8192,
        local_attention=128,
        global_attn_every_n_layers=3,
        global_rope_theta=160000.0,
        local_rope_theta=10000.0,
        **named,
    )


def _tables(kinds: int, hidden: int = 768) -> Shapes:
    rows = {"word": VOCAB, "token_type": kinds}
    made = {f"embeddings.{name}_embeddings.weight": (many, hidden) for name, many in rows.items()}
    return made | norm("embeddings.LayerNorm", hidden)


def _gated(layers: int, biased: tuple[str, ...], hidden: int = 768, wide: int = 3072) -> Shapes:
    made: Shapes = {}
    for n in range(layers):
        products = {f"self_attn.{part}_proj": (hidden, hidden) for part in "qkvo"}
        products |= {"mlp.up_proj": (wide, hidden), "mlp.gate_proj": (wide, hidden), "mlp.down_proj": (hidden, wide)}
        for name, shape in products.items():
            made[f"layers.{n}.{name}.weight"] = shape
            if name.rpartition(".")[2].removesuffix("_proj") in biased:
                made[f"layers.{n}.{name}.bias"] = shape[:1]
        for name in ("post_attention_layernorm", "post_mlp_layernorm"):
            made |= norm(f"layers.{n}.{name}", hidden)
    return made


def qwen3(layers: int, hidden: int = 1024, wide: int = 3072, heads: int = 16, kv: int = 8, size: int = 128) -> Folder:
    """Source: Qwen/Qwen3-Embedding-0.6B; one token closes a text."""
    shapes: Shapes = {"embed_tokens.weight": (VOCAB, hidden), "norm.weight": (hidden,)}
    for n in range(layers):
        products = {"self_attn.q_proj": (heads * size, hidden), "self_attn.o_proj": (hidden, heads * size)}
        products |= {f"self_attn.{part}_proj": (kv * size, hidden) for part in "kv"}
        products |= {"mlp.gate_proj": (wide, hidden), "mlp.up_proj": (wide, hidden), "mlp.down_proj": (hidden, wide)}
        norms = {"input_layernorm": hidden, "post_attention_layernorm": hidden}
        norms |= {"self_attn.q_norm": size, "self_attn.k_norm": size}
        shapes |= {f"layers.{n}.{name}.weight": shape for name, shape in products.items()}
        shapes |= {f"layers.{n}.{name}.weight": (one,) for name, one in norms.items()}
    tokenizer = words(QWEN)
    tokenizer.post_processor = processors.TemplateProcessing("$A <|endoftext|>", None, [("<|endoftext|>", 0)])
    config = {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": layers,
        "hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": size,
        "intermediate_size": wide, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1_000_000,
        "rope_scaling": None, "max_position_embeddings": 32768, "vocab_size": VOCAB, "use_sliding_window": False,
        "max_window_layers": layers, "attention_bias": False, "tie_word_embeddings": True, "eos_token_id": 0,
    }  # fmt: skip
    files = {"tokenizer_config.json": {**tokenizer_config(QWEN), "padding_side": "left"}}
    prompts = {"query": "Instruct: word1\nQuery:", "document": ""}
    files |= sentence_transformer(hidden, "last", prompts)
    return Folder(config, shapes, tokenizer, files, layers, attended=heads * size)


def xlm_roberta(layers: int, *, is_reranker: bool) -> Folder:
    """Source: config.json of BAAI/bge-m3 at 5617a9f61b028005a4858fdac845db406aefb181."""
    vocab, positions, hidden, wide = 250_002, 8194, 1024, 4096
    prefix = "roberta." if is_reranker else ""
    tables = {"word": vocab, "position": positions, "token_type": 1}
    shapes = {f"{prefix}embeddings.{name}_embeddings.weight": (rows, hidden) for name, rows in tables.items()}
    shapes |= norm(f"{prefix}embeddings.LayerNorm", hidden)
    for n in range(layers):
        at = f"{prefix}encoder.layer.{n}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= linear(f"{at}.{part}", hidden, hidden)
        shapes |= linear(f"{at}.intermediate.dense", hidden, wide) | linear(f"{at}.output.dense", wide, hidden)
        shapes |= norm(f"{at}.attention.output.LayerNorm", hidden) | norm(f"{at}.output.LayerNorm", hidden)
    heads = {"classifier.dense": hidden, "classifier.out_proj": 1} if is_reranker else {"pooler.dense": hidden}
    for name, out in heads.items():
        shapes |= linear(name, hidden, out)
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}} if is_reranker else {}
    config = {
        "architectures": [f"XLMRoberta{'ForSequenceClassification' if is_reranker else 'Model'}"],
        "model_type": "xlm-roberta", "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": 16,
        "intermediate_size": wide, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "max_position_embeddings": positions,
        "type_vocab_size": 1, "vocab_size": vocab, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
        "position_embedding_type": "absolute", **labels,
    }  # fmt: skip
    tokenizer, most = words(ROBERTA), positions - 2
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=False, add_prefix_space=False
    )
    files = {} if is_reranker else sentence_transformer(hidden, "cls", most=most)
    named = {**ROBERTA, "cls_token": "<s>", "sep_token": "</s>"}
    files |= {"tokenizer_config.json": tokenizer_config(named, most)}
    return Folder(config, shapes, tokenizer, files, layers, attended=hidden)


# ------------------------------------------------------------------------------------------------ pictures


def clip(layers: int) -> Folder:
    """Source: openai/clip-vit-base-patch32."""
    text = _text_tower(towers.clip_tokenizer(), 512, 2048, 8)
    vision = _image_tower(layers, 768, 3072, 12, side=224, patch=32)
    config = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 512}
    files = {
        "tokenizer_config.json": towers.clip_settings(),
        "preprocessor_config.json": {"image_processor_type": "CLIPImageProcessor"},
    }
    return Folder(
        {**config, "text_config": {**text, "eos_token_id": 2}, "vision_config": vision},
        towers.clip_shapes(text, vision, 512),
        towers.clip_tokenizer(),
        files,
        layers,
        attended=768,
        part="vision_model.",
        numbers={"logit_scale": 4.6052},
    )


def siglip(layers: int) -> Folder:
    """Source: google/siglip-so400m-patch14-384."""
    text = _text_tower(towers.siglip_tokenizer(), 1152, 4304, 16)
    vision = _image_tower(layers, 1152, 4304, 16, side=384, patch=14)
    size = {"height": 384, "width": 384}
    files = {
        "tokenizer_config.json": towers.siglip_settings(),
        "preprocessor_config.json": {"image_processor_type": "SiglipImageProcessor", "size": size},
    }
    return Folder(
        {"architectures": ["SiglipModel"], "model_type": "siglip", "text_config": text, "vision_config": vision},
        towers.siglip_shapes(text, vision),
        towers.siglip_tokenizer(),
        files,
        layers,
        attended=1152,
        part="vision_model.",
        numbers={"logit_scale": 4.7, "logit_bias": -12.9},
    )


def _text_tower(tokenizer: Tokenizer, hidden: int, wide: int, heads: int) -> dict[str, int]:
    return {"hidden_size": hidden, "intermediate_size": wide, "num_attention_heads": heads, "num_hidden_layers": 1,
            "vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": towers.POSITIONS}  # fmt: skip


def _image_tower(layers: int, hidden: int, wide: int, heads: int, *, side: int, patch: int) -> dict[str, int]:
    return {"hidden_size": hidden, "intermediate_size": wide, "num_attention_heads": heads,
            "num_hidden_layers": layers, "image_size": side, "patch_size": patch}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """One family at the size of its best-known model.

    Args:
        make: its folder, with so many layers.
        aim: how many times as fast as the fastest of the others.
        share: of so many items of a set it gets one: the large ones take seconds for each.
        also: other precisions in which transformers is measured.
    """

    name: str
    make: Callable[[int], Folder]
    layers: int
    aim: float
    share: int = 1
    has_pictures: bool = False
    also: tuple[str, ...] = ()


MODELS = (
    Model("nomic-embed-text-v1.5", nomic, 12, aim=4),
    Model("ModernBERT-base", modernbert, 22, aim=4),
    Model("gte-multilingual-base", gte, 12, aim=4),
    Model("Qwen3-Embedding-0.6B", qwen3, 28, aim=3, share=4),
    Model("CLIP ViT-B/32", clip, 12, aim=3, has_pictures=True, also=("bfloat16",)),
    Model("SigLIP so400m", siglip, 27, aim=3, share=8, has_pictures=True),
)
