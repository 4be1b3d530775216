"""`huggingface_hub.InferenceClient`: an address of TEI is what it takes for a model."""

from huggingface_hub import AsyncInferenceClient, InferenceClient
from seen import KEY, LONG, MANY, QUERY, SENTENCE, TEXTS, URL, report, see, see_async

BASE = f"{URL}/tei"
client = InferenceClient(base_url=BASE, api_key=KEY)
labeller = InferenceClient(base_url=f"{BASE}/predict", api_key=KEY)
stranger = InferenceClient(base_url=BASE, api_key="wrong")


async def asynchronously():
    client = AsyncInferenceClient(base_url=BASE, api_key=KEY)
    return (await client.feature_extraction(TEXTS)).tolist()


def label():
    best = labeller.text_classification(SENTENCE)
    return [(best.label, best.score)]


def labels():
    return [(one.label, one.score) for one in labeller.text_classification([[SENTENCE]])]


see("texts", lambda: client.feature_extraction(TEXTS).tolist())
see("many", lambda: client.feature_extraction(MANY).tolist())
see("one text", lambda: client.feature_extraction(LONG, truncate=True).tolist())
see("cut at the left", lambda: len(client.feature_extraction(LONG, truncate=True, truncation_direction="left")[0]))
see("not normalised", lambda: client.feature_extraction(TEXTS, normalize=False).tolist())
see("at /embed", lambda: client.feature_extraction(TEXTS, model=f"{BASE}/embed").tolist())
see("at the root", lambda: client.feature_extraction(TEXTS, model=URL).tolist())
see("similarity", lambda: client.sentence_similarity(TEXTS[0], TEXTS[1:]))
see("label", label)
see("labels", labels)
see_async("async", asynchronously)
see("too long", lambda: client.feature_extraction(LONG, truncate=False))
see("dimensions", lambda: client.feature_extraction(TEXTS, dimensions=64))
see("wrong key", lambda: stranger.feature_extraction(QUERY))
see("wrong prompt", lambda: client.feature_extraction(QUERY, prompt_name="nothing"))
report()
