"""One library under measurement, in an environment of its own: commands on stdin, one JSON line for each on stdout.

    python contender.py KIND FOLDER '{"threads": 2, ...}'

This file imports nothing of embedstack but where embedstack is what is measured: each peer's environment runs it.
A KIND opens a folder and gives `encode(texts, batch) -> (texts, dim)`; the first vector is made (of options["first"],
or any text) before it says that it is ready.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.error import URLError

import numpy as np

PACKAGES = ("embedstack", "openvino", "onnxruntime", "torch", "transformers", "sentence-transformers", "optimum",
            "optimum-intel", "fastembed", "infinity_emb", "tokenizers", "pillow", "numpy")  # fmt: skip
QUERY = " ".join(f"word{n}" for n in range(14))  # 16 tokens with those of large.py
LIMIT = 256  # where sentence-transformers cuts for all-MiniLM-L6-v2; every contender is told the same


def embedstack(folder, options):
    """Ours: it packs and sorts by itself, so the batch size is not used."""
    import embedstack

    model = embedstack.load(
        folder, runtime=options["runtime"], precision=options["precision"], threads=options["threads"]
    )
    return lambda texts, batch: model.encode(texts).dense


def sentence_transformers(folder, options):
    from sentence_transformers import SentenceTransformer

    backend, threads = options["backend"], options["threads"]
    if backend == "onnx":
        from onnxruntime import SessionOptions

        given = SessionOptions()
        given.intra_op_num_threads = threads
        named = {"provider": "CPUExecutionProvider", "session_options": given}
    elif backend == "openvino":
        named = {"ov_config": {"INFERENCE_NUM_THREADS": threads}}
    else:
        import torch

        torch.set_num_threads(threads)
        named = {"torch_dtype": options["dtype"]} if "dtype" in options else {}
    model = SentenceTransformer(folder, device="cpu", backend=backend, model_kwargs=named)
    return lambda texts, batch: np.asarray(model.encode(texts, batch_size=batch, convert_to_numpy=True), np.float32)


def fastembed(folder, options):
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="custom/same-weights",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="custom/same-weights"),
        dim=384,
        model_file="onnx/model.onnx",
    )
    model = TextEmbedding("custom/same-weights", specific_model_path=folder, threads=options["threads"])
    return lambda texts, batch: np.stack(list(model.embed(texts, batch_size=batch)))


def infinity(folder, options):
    """The batch size belongs to its engine, so another one means another engine."""
    import torch
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    torch.set_num_threads(options["threads"])
    loop, held = asyncio.new_event_loop(), {}

    async def opened(batch):
        for old in list(held):
            await held.pop(old).astop()
        held[batch] = AsyncEmbeddingEngine.from_args(
            EngineArgs(
                model_name_or_path=folder,
                engine=options["engine"],
                device="cpu",
                batch_size=batch,
                model_warmup=False,
                pooling_method="mean",  # its ONNX engine would take the first token
            )
        )
        await held[batch].astart()

    def encode(texts, batch):
        if batch not in held:
            loop.run_until_complete(opened(batch))
        vectors, _ = loop.run_until_complete(held[batch].embed(texts))
        return np.stack(vectors)

    return encode


def onnxruntime(folder, options):
    """The loop that one writes by hand: tokenise, pad, run, mean, length 1."""
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer

    given = SessionOptions()
    given.intra_op_num_threads = options["threads"]
    session = InferenceSession(f"{folder}/onnx/model.onnx", given, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.enable_truncation(LIMIT)
    tokenizer.enable_padding()

    def encode(texts, batch):
        made = []
        for start in range(0, len(texts), batch):
            rows = tokenizer.encode_batch(texts[start : start + batch])
            columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
            feed = {name: np.array([getattr(row, columns[name]) for row in rows], np.int64) for name in names}
            hidden, mask = session.run(None, feed)[0], feed["attention_mask"][..., None].astype(np.float32)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            made.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
        return np.concatenate(made)

    return encode


def tei(folder, options):
    """Over HTTP, as it has no other door: its answers carry the cost of JSON."""
    port = "18437"
    command = ["text-embeddings-router", "--model-id", folder, "--port", port, "--dtype", "float32", "--auto-truncate"]
    command += ["--max-client-batch-size", "512"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    import atexit

    atexit.register(server.kill)

    def encode(texts, batch):
        made = []
        for start in range(0, len(texts), batch):
            body = json.dumps({"inputs": texts[start : start + batch]}).encode()
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/embed", body, {"Content-Type": "application/json"})
            made += json.loads(urllib.request.urlopen(asked, timeout=120).read())
        return np.array(made, np.float32)

    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(URLError):
            encode(["one text"], 1)
            return encode
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError("text-embeddings-router did not answer")
        time.sleep(0.05)


def embedstack_reranker(folder, options):
    """The texts are documents, scored against one query; so are those of `cross_encoder`."""
    import embedstack

    model = embedstack.load(
        folder, runtime=options["runtime"], precision=options["precision"], threads=options["threads"]
    )
    return lambda texts, batch: model.score(QUERY, texts).scores


def cross_encoder(folder, options):
    import torch
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(options["threads"])
    model = CrossEncoder(folder, device="cpu")
    return lambda texts, batch: np.asarray(model.predict([(QUERY, text) for text in texts], batch_size=batch))


def embedstack_images(folder, options):
    """The texts are the paths of pictures; so are those of `transformers_images`."""
    import embedstack
    from embedstack.types import Image

    model = embedstack.load(
        folder, runtime=options["runtime"], precision=options["precision"], threads=options["threads"]
    )
    return lambda paths, batch: model.encode([Image(Path(path).read_bytes()) for path in paths]).dense


def transformers_images(folder, options):
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    torch.set_num_threads(options["threads"])
    dtype = getattr(torch, options["dtype"])
    model = AutoModel.from_pretrained(folder, dtype=dtype).eval()
    processor = AutoImageProcessor.from_pretrained(folder)

    def encode(paths, batch):
        made = []
        for start in range(0, len(paths), batch):
            pictures = [Image.open(path) for path in paths[start : start + batch]]
            pixels = processor(pictures, return_tensors="pt")["pixel_values"].to(dtype)
            with torch.inference_mode():
                vectors = model.get_image_features(pixels).pooler_output
            made.append(torch.nn.functional.normalize(vectors.float()).numpy())
        return np.concatenate(made)

    return encode


OURS = (embedstack, embedstack_images, embedstack_reranker)
PEERS = (sentence_transformers, fastembed, infinity, onnxruntime, tei, cross_encoder, transformers_images)
KINDS = {kind.__name__: kind for kind in (*OURS, *PEERS)}


# ------------------------------------------------------------------------------------------------ the loop


class Served:
    """The commands: each is a method that takes what the command says and gives what the line answers."""

    def __init__(self, encode):
        self.encode = encode
        self.sets = {}

    def texts(self, path):
        self.sets = json.loads(Path(path).read_text())
        return {"sets": len(self.sets)}

    def run(self, name, places, batch, is_sorted, save=None):
        """Seconds for these texts of a set; sorting is part of it."""
        texts = [self.sets[name][place] for place in places]
        began = time.perf_counter()
        order = sorted(range(len(texts)), key=lambda n: len(texts[n])) if is_sorted else range(len(texts))
        vectors = self.encode([texts[n] for n in order], batch)
        back = np.empty_like(vectors)
        back[list(order)] = vectors
        took = time.perf_counter() - began
        if save:
            np.save(save, back)
        return {"s": took, "rows": len(back)}

    def each(self, name, places, batch, save=None):
        """Seconds of each of these texts sent alone."""
        took, vectors = [], []
        for place in places:
            began = time.perf_counter()
            vectors.append(self.encode([self.sets[name][place]], batch))
            took.append(time.perf_counter() - began)
        if save:
            np.save(save, np.concatenate(vectors))
        return {"s": took}

    def memory(self):
        """MB of this process and its children: anonymous pages now, and the most resident so far."""
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        anonymous = peak = 0.0
        for process in [str(os.getpid()), *children]:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            anonymous += next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            peak += next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        return {"anonymous_mb": round(anonymous * 1024 / 1e6, 1), "peak_mb": round(peak * 1024 / 1e6, 1)}


def versions():
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def main():
    kind, folder, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not stand between the answers

    def say(content):
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    encode = KINDS[kind](folder, options)
    encode([options.get("first", "one text")], options.get("batch", 32))
    say({"ready": True, "versions": versions()})
    served = Served(encode)
    for line in sys.stdin:
        asked = json.loads(line)
        say(getattr(served, asked.pop("do"))(**asked))


if __name__ == "__main__":
    main()
