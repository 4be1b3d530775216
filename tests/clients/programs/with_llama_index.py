"""LlamaIndex: its embeddings for Text Embeddings Inference and for OpenAI's likes."""

from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from seen import EMBEDDER, KEY, LONG, MANY, QUERY, TEXTS, URL, report, see, see_async


def tei(key=KEY, base=f"{URL}/tei"):
    return TextEmbeddingsInference(model_name=EMBEDDER, base_url=base, auth_token=key)


def openai_like(key=KEY, model=EMBEDDER, **more):
    return OpenAILikeEmbedding(model_name=model, api_base=f"{URL}/v1", api_key=key, max_retries=0, **more)


see("tei texts", lambda: tei().get_text_embedding_batch(TEXTS))
see("tei many", lambda: tei().get_text_embedding_batch(MANY))
see("tei one text", lambda: [tei().get_query_embedding(LONG)])
see_async("tei async", lambda: tei().aget_text_embedding_batch(TEXTS))
see("tei at the root", lambda: tei(base=URL).get_text_embedding_batch(TEXTS))
see("tei wrong key", lambda: tei("wrong").get_query_embedding(QUERY))
see("openai texts", lambda: openai_like().get_text_embedding_batch(TEXTS))
see("openai many", lambda: openai_like().get_text_embedding_batch(MANY))
see("openai one text", lambda: [openai_like().get_query_embedding(LONG)])
see_async("openai async", lambda: openai_like().aget_text_embedding_batch(TEXTS))
see("openai dimensions", lambda: openai_like(dimensions=64).get_query_embedding(QUERY))
see("openai wrong key", lambda: openai_like("wrong").get_query_embedding(QUERY))
see("openai wrong model", lambda: openai_like(model="nothing").get_query_embedding(QUERY))
report()
