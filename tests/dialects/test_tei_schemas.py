"""What is sent fits the original's own OpenAPI document."""

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator
from tei_run import TEI, replied

from embedstack.dialects.dialect import Memory, Status
from embedstack.testing.check_dialect import ERRORS, MODELS
from embedstack.testing.fake import hash_spec, labels_spec, overlap_spec

PUBLISHED = json.loads((Path(__file__).parent.parent / "wire" / "schemas" / "tei_openapi.json").read_text())
EMBED = hash_spec(outputs=("dense", "sparse"))
MODEL_OF = {"/predict": labels_spec(), "/rerank": overlap_spec()}
POSTS = [path for path, about in PUBLISHED["paths"].items() if about["method"] == "post"]
OURS = {route.path: route for route in reversed(TEI.routes)}
VARIANTS = {
    "/rerank": [{"query": "a", "texts": ["b", "a"], "return_text": True, "raw_scores": True}],
    "/predict": [{"inputs": "a"}, {"inputs": ["a", "b"]}, {"inputs": [["a"], ["b", "c"]]}],
    "/v1/embeddings": [{"input": "a", "encoding_format": "base64"}],
    "/tokenize": [{"inputs": "a", "add_special_tokens": True}],
    "/decode": [{"ids": [7]}],
}


def modern(schema):
    """OpenAPI 3.0 in the words of JSON Schema: what may be null has a type more."""
    if isinstance(schema, list):
        return [modern(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: modern(one) for name, one in schema.items() if name != "nullable"}
    return {"anyOf": [changed, {"type": "null"}]} if schema.get("nullable") is True else changed


def fits(value, schema):
    whole = {**modern(schema), "components": modern(PUBLISHED["components"])}
    return sorted(error.message for error in Draft202012Validator(whole).iter_errors(value))


def example(route):
    return msgspec.to_builtins(route.example)


def test_every_published_path_is_served():
    served = {route.path for route in TEI.routes} | {page.path for page in TEI.pages} | {"/metrics"}

    assert set(PUBLISHED["paths"]) <= served


@pytest.mark.parametrize("path", POSTS)
def test_examples_are_bodies_of_the_original(path):
    assert fits(example(OURS[path]), PUBLISHED["paths"][path]["body"]) == []


@pytest.mark.parametrize("path", POSTS)
def test_good_replies_fit_the_published_schema(path):
    for body in [example(OURS[path]), *VARIANTS.get(path, [])]:
        wire = replied(path, (MODEL_OF.get(path, EMBED),), **body)

        assert wire.status == 200
        assert fits(json.loads(wire.body), PUBLISHED["paths"][path]["replies"]["200"]) == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_fit_the_published_schema(error):
    assert fits(json.loads(TEI.fail(error).body), {"$ref": "#/components/schemas/ErrorResponse"}) == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_for_openais_clients_fit_but_for_a_key_that_the_document_misnames(error):
    """`OpenAICompatErrorResponse` in router/src/http/types.rs renames `error_type` to `type` when it is sent."""
    body = json.loads(OURS["/v1/embeddings"].fail(error).body)
    body["error_type"] = body.pop("type")

    assert fits(body, {"$ref": "#/components/schemas/OpenAICompatErrorResponse"}) == []


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_the_description_of_each_kind_of_model_fits(spec):
    status = Status(
        state="ready",
        reason="",
        models=(spec,),
        find={}.get,
        started=0.0,
        uptime_s=1.0,
        memory=Memory(1, 0),
        version="1",
    )
    page = next(page for page in TEI.pages if page.path == "/info")

    assert fits(json.loads(page.show(status, "").body), PUBLISHED["paths"]["/info"]["replies"]["200"]) == []


def test_the_published_schemas_refuse_what_does_not_fit():
    assert fits([{"index": "0"}], {"$ref": "#/components/schemas/RerankResponse"})
