"""`langchain-huggingface`: HuggingFaceEndpointEmbeddings over a client of huggingface_hub that knows the address."""

from huggingface_hub import AsyncInferenceClient, InferenceClient
from langchain_huggingface import HuggingFaceEndpointEmbeddings
from seen import KEY, LONG, MANY, QUERY, TEXTS, URL, report, see, see_async

BASE = f"{URL}/tei"


def embeddings(key=KEY, **more):
    made = HuggingFaceEndpointEmbeddings(**more)
    made.client = InferenceClient(base_url=BASE, api_key=key)
    made.async_client = AsyncInferenceClient(base_url=BASE, api_key=key)
    return made


see("texts", lambda: embeddings().embed_documents(TEXTS))
see("many", lambda: embeddings().embed_documents(MANY))
see("one text", lambda: [embeddings(model_kwargs={"truncate": True}).embed_query(LONG)])
see_async("async", lambda: embeddings().aembed_documents(TEXTS))
see("address as model", lambda: HuggingFaceEndpointEmbeddings(model=BASE, huggingfacehub_api_token=KEY))
see("too long", lambda: embeddings(model_kwargs={"truncate": False}).embed_query(LONG))
see("wrong key", lambda: embeddings("wrong").embed_query(QUERY))
report()
