"""Small folders of CLIP and SigLIP, with a tokeniser of each kind, and transformers as their judge."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from embedstack.models.folder import read_fields
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes.numpy import NumpyOps
from support.families import GOLDEN, Item, Tiny
from support.mutations import Changed, Mutation, architecture
from support.shapes import linear, norm

WORDS = "a the photo of cat cats dog dogs two red car in snow quoted words running fast café".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789éςσοδα"
MARKS = "!?.,'-\""
POSITIONS = 40
TEXTS = (
    "a photo of a cat",
    "A Photo of two DOGS, running fast!",
    "two  red \n cars",
    "'quoted' words -- \"in\" the snow...",
    "Café İstanbul 漢字",
    "ΟΔΟΣ of ΣΑΣ",
    "???",
    "the cat in the snow " * 12,
)


# ------------------------------------------------------------------------------------------------ folders


def layers(at: str, count: int, wide: int, inner: int) -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {}
    for number in range(count):
        here = f"{at}.encoder.layers.{number}"
        made |= norm(f"{here}.layer_norm1", wide) | norm(f"{here}.layer_norm2", wide)
        for part in ("q", "k", "v", "out"):
            made |= linear(f"{here}.self_attn.{part}_proj", wide, wide)
        made |= linear(f"{here}.mlp.fc1", wide, inner) | linear(f"{here}.mlp.fc2", inner, wide)
    return made


def text_shapes(config: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Of the tower of texts, without what projects."""
    wide, at = config["hidden_size"], "text_model"
    return {
        f"{at}.embeddings.token_embedding.weight": (config["vocab_size"], wide),
        f"{at}.embeddings.position_embedding.weight": (config["max_position_embeddings"], wide),
        **layers(at, config["num_hidden_layers"], wide, config["intermediate_size"]),
        **norm(f"{at}.final_layer_norm", wide),
    }


def image_shapes(config: Mapping[str, int], *, has_class: bool) -> dict[str, tuple[int, ...]]:
    """Of the tower of images up to its last norm."""
    wide, patch, at = config["hidden_size"], config["patch_size"], "vision_model"
    tokens = (config["image_size"] // patch) ** 2 + has_class
    return {
        f"{at}.embeddings.patch_embedding.weight": (wide, 3, patch, patch),
        f"{at}.embeddings.position_embedding.weight": (tokens, wide),
        **layers(at, config["num_hidden_layers"], wide, config["intermediate_size"]),
        **norm(f"{at}.post_layernorm", wide),
    }


def clip_shapes(text: Mapping[str, int], vision: Mapping[str, int], width: int) -> dict[str, tuple[int, ...]]:
    """Of the whole model, whose vectors are of so many numbers."""
    wide, at = vision["hidden_size"], "vision_model"
    projections = {"text_projection.weight": text["hidden_size"], "visual_projection.weight": wide}
    return {
        **text_shapes(text),
        **image_shapes(vision, has_class=True),
        f"{at}.embeddings.class_embedding": (wide,),
        "logit_scale": (),
        **norm(f"{at}.pre_layrnorm", wide),
        **{name: (width, hidden) for name, hidden in projections.items()},
    }


def siglip_shapes(text: Mapping[str, int], vision: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Of the whole model; its vectors are as wide as the tower of images."""
    wide, inner, head = vision["hidden_size"], vision["intermediate_size"], "vision_model.head"
    return {
        **text_shapes(text),
        **linear("text_model.head", text["hidden_size"], wide),
        **image_shapes(vision, has_class=False),
        "vision_model.embeddings.patch_embedding.bias": (wide,),
        f"{head}.probe": (1, 1, wide),
        f"{head}.attention.in_proj_weight": (3 * wide, wide),
        f"{head}.attention.in_proj_bias": (3 * wide,),
        **linear(f"{head}.attention.out_proj", wide, wide),
        **norm(f"{head}.layernorm", wide),
        **linear(f"{head}.mlp.fc1", wide, inner),
        **linear(f"{head}.mlp.fc2", inner, wide),
        **{f"logit_{what}": (1,) for what in ("scale", "bias")},
    }


@dataclass(frozen=True)
class Seen(Tiny):
    """Items as these towers get them: texts end where the model's own do, and no pixels stand for the class."""

    pooling: str | None = None

    def items(self, spec: ModelSpec) -> list[Item]:
        items = super().items(spec)
        for item in items:
            if self.image and spec.architecture.vision.has_class:
                item[0] = 0
            elif not self.image and spec.stop_id is not None:
                item[item == spec.stop_id] = self.least_id
                item[-1] = spec.stop_id
        return items


# ------------------------------------------------------------------------------------------------ the judge


def judge(kind: str) -> Callable[[Path, Sequence[Item]], np.ndarray]:
    """What `CLIPModel` or `SiglipModel` makes of texts or of images, each alone."""

    def judged(folder: Path, items: Sequence[Item]) -> np.ndarray:
        import torch
        import transformers

        model = getattr(transformers, kind).from_pretrained(folder, attn_implementation="eager").eval().float()
        with torch.no_grad():
            if items[0].ndim == 2:
                side = model.config.vision_config.image_size, model.config.vision_config.patch_size
                made = [model.get_image_features(torch.tensor(pixels(item, *side)[None])) for item in items]
            else:
                made = [model.get_text_features(torch.tensor(item[None].astype(np.int64))) for item in items]
        return np.concatenate([one.pooler_output.numpy() for one in made])

    return judged


def pixels(item: Item, side: int, patch: int) -> np.ndarray:
    """(3, side, side) whose patches these are; what is right of and below the last whole one decides nothing."""
    across = side // patch
    rows = item[len(item) - across**2 :].reshape(across, across, 3, patch, patch)
    whole = rows.transpose(2, 0, 3, 1, 4).reshape(3, across * patch, across * patch)
    image = np.random.default_rng(9).normal(0, 1, (3, side, side)).astype(np.float32)
    image[:, : across * patch, : across * patch] = whole
    return image


def golden_of(case: Tiny) -> np.ndarray:
    """What the judge has said."""
    with np.load(GOLDEN / f"{case.name}.npz") as recorded:
        return recorded["judged"]


def texts_of(folder: Path, tokenizer: str) -> tuple[list[list[int]], np.ndarray, np.ndarray]:
    """Ids and vectors of `TEXTS` by the model's own tokeniser and model; the last with what fills up masked."""
    import torch
    import transformers

    config = read_fields(folder / "config.json")
    kind = {"clip": "CLIPModel", "siglip": "SiglipModel"}[config.text("model_type")]
    model = getattr(transformers, kind).from_pretrained(folder, attn_implementation="eager").eval().float()
    read = getattr(transformers, tokenizer).from_pretrained(folder)
    made = read(list(TEXTS), padding="max_length", truncation=True, max_length=POSITIONS, return_tensors="pt")
    counts = torch.tensor(
        [len(read(text, truncation=True, max_length=POSITIONS)["input_ids"]) for text in TEXTS]
    )  # some tokenisers give no mask
    places = torch.arange(POSITIONS)[None]
    mask = places >= POSITIONS - counts[:, None] if read.padding_side == "left" else places < counts[:, None]
    with torch.no_grad():
        plain = model.get_text_features(made["input_ids"]).pooler_output.numpy()
        masked = model.get_text_features(made["input_ids"], attention_mask=mask.long()).pooler_output.numpy()
    return made["input_ids"].tolist(), plain, masked


# ------------------------------------------------------------------------------------------------ tokenisers


def _merges(words: Sequence[str], end: str) -> list[tuple[str, str]]:
    """That make each word one token, from its first letter on."""
    made: list[tuple[str, str]] = []
    for word in words:
        first, *others = [*word[:-1], word[-1] + end]
        for other in others:
            made.append((first, other))
            first += other
    return list(dict.fromkeys(made))


def clip_tokenizer() -> Tokenizer:
    """As openai/clip-vit-base-patch32 has it: pairs of bytes, words ended by a mark, all in lower case."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = _merges([word for word in WORDS if word.isascii()], "</w>")
    pairs = [a + b for a, b in merges]
    names = [*letters, *(f"{letter}</w>" for letter in letters), *pairs, "<|startoftext|>", "<|endoftext|>"]
    vocab = {name: number for number, name in enumerate(dict.fromkeys(names))}
    made = Tokenizer(models.BPE(vocab, merges, unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    made.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", vocab["<|endoftext|>"]),
        ("<|startoftext|>", vocab["<|startoftext|>"]),
        trim_offsets=False,
        add_prefix_space=False,
    )
    return made


def clip_settings() -> dict[str, object]:
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    names |= {"pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    return {"tokenizer_class": "CLIPTokenizer", "model_max_length": POSITIONS, **names}


def siglip_pieces() -> list[tuple[str, float]]:
    """Of its SentencePiece model, with their scores."""
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words = [(f"▁{word}", -3.0 - n / 50) for n, word in enumerate(WORDS)]
    letters = [(letter, -6.0 - n / 50) for n, letter in enumerate(LETTERS + MARKS)]
    return [*specials, ("▁", -5.0), *words, *letters]


def write_pieces(path: Path) -> None:
    """The same pieces as a SentencePiece model."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto()
    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}  # control, control, unknown
    for piece, score in siglip_pieces():
        model.pieces.add(piece=piece, score=score, type=kinds.get(piece, 1))
    model.trainer_spec.model_type = 1
    model.trainer_spec.unk_id, model.trainer_spec.pad_id, model.trainer_spec.eos_id = 2, 0, 1
    model.trainer_spec.bos_id = -1
    model.normalizer_spec.name = "identity"
    path.write_bytes(model.SerializeToString())


def siglip_tokenizer() -> Tokenizer:
    """Of SigLIP: the most likely pieces, and one closing token, which fills up as well."""
    made = Tokenizer(models.Unigram(siglip_pieces(), unk_id=2, byte_fallback=False))
    made.normalizer = normalizers.Sequence([normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), "▁")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.add_special_tokens([AddedToken(name, normalized=False) for name in ("</s>", "<unk>")])
    made.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    return made


def siglip_settings() -> dict[str, object]:
    names = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    return {
        "tokenizer_class": "SiglipTokenizer",
        "model_max_length": POSITIONS,
        "model_input_names": ["input_ids"],
        "do_lower_case": True,
        **names,
    }


def gemma_tokenizer() -> Tokenizer:
    """Of SigLIP 2: pairs of letters, bytes for what it does not know, and one closing token."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    words = [*WORDS, *(f"▁{word}" for word in WORDS)]
    merges = _merges(words, "")
    pairs = [a + b for a, b in merges]
    names = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS, *MARKS, "C", "A", "P", *pairs]
    vocab = {name: number for number, name in enumerate(dict.fromkeys(names))}
    made = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens([AddedToken(name, normalized=False) for name in specials])
    made.post_processor = processors.TemplateProcessing("$A <eos>", "$A <eos> $B <eos>", [("<eos>", 1)])
    return made


def gemma_settings(**more: object) -> dict[str, object]:
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return {
        "tokenizer_class": "GemmaTokenizer",
        "add_bos_token": False,
        "add_eos_token": True,
        "model_max_length": POSITIONS,
        "padding_side": "right",
        **names,
        **more,
    }


# ------------------------------------------------------------------------------------------------ mutations


def vision(**change: object) -> Mutation:
    """Another tower of images."""

    def mutation(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
        seen = dataclasses.replace(spec.architecture.vision, **change)
        return architecture(vision=seen)(spec, weights)

    return mutation


def kernel(order: tuple[int, ...]) -> Mutation:
    """The numbers of a patch in another order than red, green and blue, each row by row."""

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if not name.endswith("patch_embedding.weight"):
            return values
        return _square(values).transpose(0, *order).reshape(values.shape)

    return lambda spec, weights: (spec, Changed(weights, change))


def _square(values: np.ndarray) -> np.ndarray:
    """(hidden, 3, patch, patch)."""
    patch = int(np.sqrt(values.shape[1] // 3))
    return values.reshape(len(values), 3, patch, patch)


def reversed_colours(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
    def change(name: str, values: np.ndarray) -> np.ndarray:
        if not name.endswith("patch_embedding.weight"):
            return values
        return _square(values)[:, ::-1].reshape(values.shape)

    return spec, Changed(weights, change)


def moved_places(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
    def change(name: str, values: np.ndarray) -> np.ndarray:
        return np.roll(values, 1, axis=0) if name.endswith("position_embedding.weight") else values

    return spec, Changed(weights, change)


class BothWays(NumpyOps):
    """A token sees those behind it, too."""

    def attention(self, *args: np.ndarray, causal: bool = False, **more: object) -> np.ndarray:
        return super().attention(*args, causal=False, **more)


def without_norm(place: str) -> type[NumpyOps]:
    """A layer norm that does nothing."""

    class Without(NumpyOps):
        def layer_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, bias: bool = True) -> np.ndarray:
            return x if at.endswith(place) else super().layer_norm(x, at, width, eps, bias=bias)

    return Without
