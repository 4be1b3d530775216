"""A small tokeniser of the kind that decoders have: bytes, pieces made of them, and special tokens in the text."""

from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = (
    "yes no the and of is what which who a an to in water river city king queen bear panda sun moon star system user "
    "assistant Judge whether Document meets requirements based on Query Instruct provided Note that answer can only be "
    "or Given web search query retrieve relevant passages"
).split()
SPACE = "Ġ"  # what a byte-level tokeniser writes for a space
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
# of Qwen's tokenizer.json
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(end: Sequence[str] = ()) -> Tokenizer:
    """A tokeniser whose ids are: bytes, pieces of the words above, special tokens.

    Args:
        end: special tokens that it puts behind each text.
    """
    vocab = {byte: n for n, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        parts = [(word[:n], word[n]) for n in range(1, len(word))] + [(SPACE, word)]
        merges += [pair for pair in parts if pair not in merges]
        for pair in parts:
            vocab.setdefault("".join(pair), len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in SPECIAL])
    if end:
        template = " ".join(["$A", *end])
        known = [(name, tokenizer.token_to_id(name)) for name in end]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=known)
    return tokenizer
