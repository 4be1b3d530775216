"""The runtime of GPUs: the graph runs operation by operation in PyTorch, over packed tokens.

The tests check it on the processor in every precision, and the kernel that `_varlen` calls by its shapes, on the meta
device, and by a twin. What only a GPU can show (the kernel itself, transfers, TF32, full memory) is checked where there
is one; see `unproven`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from embedstack.models import family, outputs
from embedstack.models.ops import Expression, Ops, turning_speeds
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Output, Pooling
from embedstack.runtimes import Options
from embedstack.runtimes.accelerator import (
    DTYPES,
    FAILED,
    choose_device,
    choose_precision,
    device_name,
    failed,
    give_back,
    prepare,
    refused,
    unproven,
)
from embedstack.runtimes.failures import closed, require_known
from embedstack.runtimes.layout import PEAK_ROWS, given_for, lay_out, patches_of, smallest
from embedstack.runtimes.varlen import Seen, takes_varlen, varlen_attn, words_for
from embedstack.types import Batch, Floats, Vectors

F = torch.nn.functional
FEW = 8  # numbers: scores and lexical weights are made in float32, which costs nothing; bfloat16 logits near 10 tie
COPY_ROWS = 16384  # of a table, converted at once: 64 MB where a row has 1024 numbers


class Kept:
    """The weights on the device, in the precision of the products; each is there once."""

    def __init__(self, weights: Weights, device: torch.device, dtype: torch.dtype) -> None:
        self.weights, self.device, self.dtype = weights, device, dtype
        self._tensors: dict[tuple[str, ...], torch.Tensor] = {}

    def take(
        self,
        names: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: torch.dtype | None = None,
        stored_as: tuple[int, ...] | None = None,
    ) -> torch.Tensor:
        """Tensors of one shape, one below the other; what was joined once is not kept in parts as well."""
        if names not in self._tensors:
            joined = self._joined(names, shape, dtype or self.dtype, stored_as)
            for first, end in combinations(range(len(names) + 1), 2):
                self._tensors[names[first:end]] = joined[first * shape[0] : end * shape[0]]
        return self._tensors[names]

    def _joined(
        self, names: tuple[str, ...], shape: tuple[int, ...], dtype: torch.dtype, stored_as: tuple[int, ...] | None
    ) -> torch.Tensor:
        if len(names) == 1 and self.device.type == "cpu" and dtype == torch.float32:
            return _shared(self.weights.take(names[0], shape, stored_as))
        joined = torch.empty((len(names) * shape[0], *shape[1:]), dtype=dtype, device=self.device)
        for place, name in enumerate(names):
            source = _shared(self.weights.take(name, shape, stored_as))
            for begin in range(0, shape[0], COPY_ROWS):  # in pieces, so that no second whole copy is made on the way
                piece = source[begin : begin + COPY_ROWS]
                joined[place * shape[0] + begin :][: len(piece)].copy_(piece)
        return joined


def _shared(values: Floats) -> torch.Tensor:
    """A tensor over the memory map itself; PyTorch warns of a read-only array, though it only reads."""
    values.flags.writeable = True
    return torch.from_numpy(values)


class TorchOps(Ops[torch.Tensor]):
    """Operations that are done at once, on the device."""

    def __init__(self, kept: Kept, batch: Batch, pad: int | None = None) -> None:
        """`pad` is the id that `positions` does not count."""
        super().__init__(kept.weights)
        self._kept, self._batch, self._pad = kept, batch, pad
        lengths = np.diff(batch.offsets)
        self._longest = int(lengths.max())
        self._is_even = bool((lengths == self._longest).all())
        laid = {**lay_out(batch, pad), "offsets": batch.offsets, "counts": np.arange(len(batch) + 1, dtype=np.int32)}
        whole = {name: values for name, values in laid.items() if name not in ("mask", "patches")}
        self._at = _moved(whole, kept.device)

    def weight(self, name: str, *shape: int, stored_as: tuple[int, ...] | None = None) -> torch.Tensor:
        return self._kept.take((name,), shape, stored_as=stored_as)

    def constant(self, values: NDArray[np.float64]) -> torch.Tensor:
        """In float32 also where the products are not: angles and biases would lose what matters."""
        return torch.from_numpy(values).to(self._kept.device, self._least())

    def _least(self) -> torch.dtype:
        return torch.float64 if self._kept.dtype == torch.float64 else torch.float32

    def patches(self, width: int) -> torch.Tensor:
        pixels = torch.from_numpy(patches_of(self._batch, width))
        return pixels.to(self._kept.device, self._kept.dtype)

    def ids(self) -> torch.Tensor:
        return self._at["ids"]

    def segments(self) -> torch.Tensor:
        return self._at["segments"]

    def positions(self, offset: int) -> torch.Tensor:
        pad = offset - 1 if offset else None
        if pad == self._pad:
            return self._at["places"] + offset
        return _moved({"places": lay_out(self._batch, pad)["places"]}, self._kept.device)["places"] + offset

    def number(self, value: float) -> torch.Tensor:
        return torch.tensor(value, dtype=torch.float64)  # without a dimension: it takes the precision of its partner

    def matmul(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.linear(x, weight)

    def rows(self, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return F.embedding(index, table)

    def mean(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(-1, keepdim=True)

    def sqrt(self, x: torch.Tensor) -> torch.Tensor:
        return x.sqrt()

    def erf(self, x: torch.Tensor) -> torch.Tensor:
        return x.erf()

    def tanh(self, x: torch.Tensor) -> torch.Tensor:
        return x.tanh()

    def relu(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu()

    def log1p(self, x: torch.Tensor) -> torch.Tensor:
        return _wide(x).log1p()

    def split(self, x: torch.Tensor, parts: int) -> list[torch.Tensor]:
        return list(x.chunk(parts, dim=1))

    def reshape(self, x: torch.Tensor, width: int) -> torch.Tensor:
        return x.reshape(-1, width)

    def repeat(self, x: torch.Tensor, size: int, times: int) -> torch.Tensor:
        return x.unflatten(1, (-1, size)).repeat_interleave(times, dim=1).flatten(1)

    def rope(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, size: int) -> torch.Tensor:
        a, b = x.unflatten(1, (-1, size)).to(cos.dtype).chunk(2, dim=2)
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=2).flatten(1).to(x.dtype)

    def attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, *, one_query: bool = False,
        causal: bool = False, window: int = 0, bias: torch.Tensor | None = None,
    ) -> torch.Tensor:  # fmt: skip
        q, k, v = (x.unflatten(1, (heads, -1)) for x in (q, k, v))
        causal = causal and not one_query
        how = words_for(varlen_attn, causal, 0 if one_query else window)
        if takes_varlen(q) and how is not None and bias is None and not (one_query and window):
            return self._varlen(q, k, v, one_query, how).flatten(1)
        return self._padded(q, k, v, one_query, self._seen(causal, window, bias)).flatten(1)

    def _varlen(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, one_query: bool, how: Seen) -> torch.Tensor:
        """(rows, heads, size) each, without padding: the kernel is told where items begin (its `cu_seq`)."""
        begins, longest = (self._at["counts"], 1) if one_query else (self._at["offsets"], self._longest)
        return varlen_attn(q, k, v, begins, self._at["offsets"], longest, self._longest, **how)

    def _padded(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, one_query: bool, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """The same by items of one length: a reshape where they are, else gathered, masked and scattered back."""
        spread = [q.unsqueeze(1) if one_query else self._spread(q), self._spread(k), self._spread(v)]
        q, k, v = (x.transpose(1, 2) for x in spread)  # (items, heads, length, size)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask if mask is None else _mask_for(mask, q))
        rows = mixed.transpose(1, 2).flatten(0, 1)
        return rows if one_query or self._is_even else rows.index_select(0, self._at["slots"])

    def _seen(self, causal: bool, window: int, bias: torch.Tensor | None) -> torch.Tensor | None:
        """True where a token is seen, or what is added to the logits; (items or 1, heads or 1, length or 1, length)."""
        seen = None if self._is_even else self._mask
        if not (causal or window or bias is not None):
            return seen
        ladder = self._at["ladder"]
        apart = ladder - ladder[:, None]  # j - i
        if causal or window:
            near = torch.ones_like(apart, dtype=torch.bool)
            near = near & (apart <= 0) if causal else near
            near = near & (apart.abs() <= window) if window else near
            # a place that holds no token sees itself, so that softmax has something to share
            seen = near if seen is None else (near & seen) | (apart == 0)
        if bias is None:
            return seen
        added = bias[apart + len(bias) // 2].permute(2, 0, 1)
        return added if seen is None else added.masked_fill(~seen, float("-inf"))

    def _spread(self, x: torch.Tensor) -> torch.Tensor:
        """(tokens, heads, size) -> (items, length, heads, size)."""
        rows = x if self._is_even else x.index_select(0, self._at["grid"].flatten())
        return rows.unflatten(0, (-1, self._longest))

    @cached_property
    def _mask(self) -> torch.Tensor:
        """(items, 1, 1, length), true where there is a token."""
        lengths = self._at["lasts"] - self._at["firsts"] + 1
        return (torch.arange(self._longest, device=lengths.device) < lengths[:, None])[:, None, None]

    def each(self, row: torch.Tensor) -> torch.Tensor:
        return row.expand(len(self._batch), -1)

    def pool(self, x: torch.Tensor, how: Pooling) -> torch.Tensor:
        match how:
            case "cls":
                return x.index_select(0, self._at["firsts"])
            case "last":
                return x.index_select(0, self._at["lasts"])
            case "mean" | "max":
                return F.embedding_bag(self._at["every"], _wide(x), self._at["firsts"], mode=how)

    # ------------------------------------------------------------------ fused forms

    def linear(self, x: torch.Tensor, at: str, wide: int, out: int, *, bias: bool = True) -> torch.Tensor:
        return self.linears(x, [at], wide, out, bias=bias)[0]

    def linears(
        self, x: torch.Tensor, ats: Sequence[str], wide: int, out: int, *, bias: bool = True
    ) -> list[torch.Tensor]:
        """One product for all, split afterwards."""
        x = _wide(x) if out <= FEW else x
        weight = self._kept.take(tuple(f"{at}.weight" for at in ats), (out, wide), x.dtype)
        shift = self._kept.take(tuple(f"{at}.bias" for at in ats), (out,), x.dtype) if bias else None
        return list(F.linear(x, weight, shift).split(out, dim=1))

    def peaks(self, x: torch.Tensor, name: str, wide: int, out: int) -> torch.Tensor:
        parts = self.weight(name, out, wide).split(PEAK_ROWS)
        return torch.cat([self.pool(self.matmul(x, rows), "max") for rows in parts], dim=1)

    def layer_norm(self, x: torch.Tensor, at: str, width: int, eps: float, *, bias: bool = True) -> torch.Tensor:
        """What comes in float32, as sums with constants do, is normed in it; what products read is in theirs."""
        scale, shift = self.weight(f"{at}.weight", width), self.weight(f"{at}.bias", width) if bias else None
        made = F.layer_norm(x, (width,), scale.to(x.dtype), shift if shift is None else shift.to(x.dtype), eps)
        return made.to(self._kept.dtype)

    def rms_norm(self, x: torch.Tensor, at: str, width: int, eps: float, *, heads: int = 1) -> torch.Tensor:
        rows = x.unflatten(1, (heads, width))
        scale = self.weight(f"{at}.weight", width).to(x.dtype)
        return F.rms_norm(rows, (width,), scale, eps).flatten(1).to(self._kept.dtype)

    def angles(
        self, base: float, size: int, positions: int, *, factor: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """On the device, and only of the places that there are."""
        speeds = torch.from_numpy(turning_speeds(base, size, factor)).to(self._kept.device)
        turns = (self.positions(0).float()[:, None] * speeds).to(self._least())
        return turns.cos(), turns.sin()

    def gelu(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(x)

    def gelu_tanh(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(x, approximate="tanh")

    def silu(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(x)


def _mask_for(mask: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return mask if mask.dtype == torch.bool else mask.to(q.dtype)


def _wide(x: torch.Tensor) -> torch.Tensor:
    """In float32 at least, where half precision would lose what matters: sums over many tokens, and logits."""
    return x if x.dtype == torch.float64 else x.float()


def _moved(arrays: Mapping[str, NDArray[np.generic]], device: torch.device) -> dict[str, torch.Tensor]:
    """Arrays of int32 on the device, in one transfer for all of them."""
    whole = torch.from_numpy(np.concatenate([values.reshape(-1) for values in arrays.values()]))
    if device.type == "cuda":
        whole = whole.pin_memory()
    parts = whole.to(device, non_blocking=True).split([values.size for values in arrays.values()])
    return {name: part.view(values.shape) for (name, values), part in zip(arrays.items(), parts, strict=True)}


class TorchRuntime:
    """A model on a GPU, or on the processor."""

    calibration = ""

    def __init__(self, spec: ModelSpec, weights: Weights, options: Options) -> None:
        self._device = choose_device(options.device)
        self.precision, why = choose_precision(options.precision, self._device)
        self.device = device_name(self._device)
        self.lanes = options.lanes
        said = [why, prepare(self._device, self.precision, options), f"lanes: {self.lanes}", unproven(self._device)]
        self.reason = "; ".join(clause for clause in said if clause)
        self._spec, kept = spec, Kept(weights, self._device, DTYPES[self.precision])
        self._pad = spec.architecture.position_offset - 1 if spec.architecture.position_offset else None
        try:  # reads every tensor: what is left over shows now
            for one in smallest(spec):
                self._made(kept, one, given_for(spec, one), prune=False)
        except FAILED as error:
            raise refused(error, self._device) from error
        weights.refuse_leftovers(family(spec).unread)
        self._kept: Kept | None = kept  # None once it is closed

    def ready(self, outputs: frozenset[Output]) -> None:
        """See Runtime; the start made everything."""

    def run(self, batch: Batch, wanted: frozenset[Output]) -> Vectors:
        """See Runtime."""
        kept = self._kept
        if kept is None:
            raise closed()
        require_known(batch, self._spec)
        try:
            return self._made(kept, batch, wanted, prune=True)
        except FAILED as error:
            raise failed(error, batch, self._device) from error

    def _made(self, kept: Kept, batch: Batch, wanted: frozenset[Output], *, prune: bool) -> dict[Output, Floats]:
        with torch.inference_mode():
            ops = TorchOps(kept, batch, self._pad)
            made = outputs(ops, self._spec, wanted, prune=prune, image=batch.patches is not None)
            return {name: values.float().cpu().numpy() for name, values in made.items()}

    def close(self) -> None:
        """See Runtime."""
        self._kept = None
        give_back(self._device)

    @staticmethod
    def evaluate(expression: Expression, weights: Weights, batch: Batch) -> Floats:
        """See OpenRuntime."""
        device = choose_device("auto")
        prepare(device, "float32", Options(threads=1))
        with torch.inference_mode():
            made: torch.Tensor = expression(TorchOps(Kept(weights, device, torch.float32), batch))
            return np.asarray(made.cpu().numpy(), np.float32)
