"""Files, URLs, names and the variables of today's applications become the plan of a router."""

import re
from pathlib import Path

import pytest

from embedstack.client.environment import plan_of_environment, plan_upstream, plan_via
from embedstack.client.plan import Plan, Target, Way, plan_of_file, plan_of_url
from embedstack.client.providers import PROVIDERS, base_url
from embedstack.dialects import DIALECTS
from embedstack.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs/router.md"
RUNPOD = {"RUNPOD_API_KEY": "rp-secret"}
JINA = {"JINA_API_KEY": "jina-secret"}
WHOLE = """
hedge_after_s = 0.5
health_ttl_s = 5
warm_up = false

[embed]
model = "bge-m3"
probes = "bge-m3.json"
allow_int8 = true
prompts = { query = "ask: " }

[[embed.endpoints]]
provider = "runpod"
url = "https://api.runpod.ai/v2/abc/runsync"
for = ["query"]
timeout_s = 20
retries = 2

[[embed.endpoints]]
provider = "huggingface"
name = "hub"
model = "BAAI/bge-m3"
key_env = "MY_TOKEN"

[rerank]
fallback = false
look_first = false

[[rerank.endpoints]]
provider = "embedstack"
url = "http://gpu:8080"
"""


def file_of(folder: Path, text: str) -> Path:
    path = folder / "router.toml"
    path.write_text(text)
    return path


def names(way: Way) -> list[str]:
    return [target.name for target in way.targets]


def urls(way: Way) -> list[str]:
    return [target.url for target in way.targets]


# ------------------------------------------------------------------------------------------------ router.toml


def test_a_file_says_everything(tmp_path):
    plan = plan_of_file(file_of(tmp_path, WHOLE), {**RUNPOD, "MY_TOKEN": "hf-secret"})

    first, second = plan.embed.targets
    assert (first.name, first.url, first.key, first.model) == (
        "runpod", "https://api.runpod.ai/v2/abc", "rp-secret", "bge-m3",
    )  # fmt: skip
    assert (first.functions, first.timeout_s, first.retries) == (frozenset({"query"}), 20, 2)
    assert (second.name, second.key) == ("hub", "hf-secret")
    assert second.url == "https://router.huggingface.co/hf-inference/models/BAAI/bge-m3"
    assert (plan.hedge_after_s, plan.health_ttl_s, plan.warm_up) == (0.5, 5, False)
    assert (plan.probes, plan.allow_int8, plan.prompts) == (tmp_path / "bge-m3.json", True, {"query": "ask: "})
    assert (plan.rerank.falls_back, plan.rerank.looks_first, urls(plan.rerank)) == (
        False, False, ["http://gpu:8080/tei"],
    )  # fmt: skip


def test_a_short_file_has_the_usual_times(tmp_path):
    text = '[[embed.endpoints]]\nprovider = "tei"\n[[embed.endpoints]]\nprovider = "runpod"\nurl = "http://h/v2/e"\n'

    plan = plan_of_file(file_of(tmp_path, text), {})

    assert [target.timeout_s for target in plan.embed.targets] == [30, 60]
    assert (plan.health_ttl_s, plan.hedge_after_s, plan.embed.falls_back, plan.allow_int8) == (60, None, True, False)


def test_two_endpoints_of_one_provider_get_names_of_their_own(tmp_path):
    text = '[[embed.endpoints]]\nprovider = "tei"\n' * 2

    assert names(plan_of_file(file_of(tmp_path, text), {}).embed) == ["tei", "tei#2"]


def test_the_file_that_the_docs_show_is_one(tmp_path):
    shown = re.search(r"```toml\n(# router.toml.*?)```", DOCS.read_text(), re.DOTALL)[1]

    plan = plan_of_file(file_of(tmp_path, shown), {**RUNPOD, **JINA, "HF_TOKEN": "hf"})

    assert (names(plan.embed), names(plan.rerank)) == (["runpod", "huggingface"], ["embedstack", "jina"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense = 1\n", "unknown field `nonsense`"),
        ("[embed]\nallow_int4 = true\n", "unknown field `allow_int4`"),
        ('[[embed.endpoints]]\nprovider = "tei"\nkey = "plain"\n', "unknown field `key`"),
        ('[[embed.endpoints]]\nprovider = "tie"\n', "provider 'tie' is unknown; choose one of: embedstack, local"),
        ('[[embed.endpoints]]\nprovider = "tei"\nfor = ["search"]\n', "Invalid enum value 'search'"),
        ('[[embed.endpoints]]\nprovider = "tei"\nfor = []\n', "leaves 'tei' nothing to do"),
        ('[[embed.endpoints]]\nprovider = "tei"\nurl = "nowhere"\n', "is not of the form http://host:port"),
        ('[[embed.endpoints]]\nprovider = "runpod"\n', "provider 'runpod' needs a url"),
        ('[[embed.endpoints]]\nprovider = "huggingface"\n', "provider 'huggingface' needs a model"),
        ('[[embed.endpoints]]\nprovider = "jina"\n', "needs a key, and JINA_API_KEY is not set"),
        ('[[embed.endpoints]]\nprovider = "tei"\nkey_env = "ABSENT"\n', "key_env='ABSENT' is not set"),
        ('[[embed.endpoints]]\nprovider = "tei"\ntimeout_s = 0\n', "timeout_s=0.0 is not above 0"),
        ('[[embed.endpoints]]\nprovider = "tei"\nretries = -1\n', "retries=-1 is below 0"),
        ('hedge_after_s = 0\n[[embed.endpoints]]\nprovider = "tei"\n', "hedge_after_s=0.0 is not above 0"),
        ('health_ttl_s = 0\n[[embed.endpoints]]\nprovider = "tei"\n', "health_ttl_s=0.0 is not above 0"),
        ("[embed]\n", "the plan names no endpoint"),
        ("a = [", "does not fit"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_name(tmp_path, text, message):
    path = file_of(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        plan_of_file(path, {})

    assert str(caught.value).startswith(repr(str(path)))
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.toml' cannot be read \(No such file or directory\)"):
        plan_of_file(tmp_path / "absent.toml", {})


def test_a_key_is_never_shown(tmp_path):
    plan = plan_of_file(file_of(tmp_path, WHOLE), {**RUNPOD, "MY_TOKEN": "hf-secret"})

    assert "secret" not in repr(plan)
    assert "secret" not in plan.embed.targets[0].shown


@pytest.mark.parametrize("url", ["https://user:sekret@host/x", "https://user:se=kret@host/x"])
def test_a_password_in_a_url_is_never_shown(url):
    plan = plan_of_url(f"tei={url}", "embed", {})

    assert plan.embed.targets[0].url == url
    assert "kret" not in repr(plan)


def test_two_endpoints_of_one_name_are_refused():
    target = Target(name="a", provider="tei", url="http://h")

    with pytest.raises(ConfigError, match="two endpoints for embeddings are called 'a'"):
        Plan(embed=Way(targets=(target, target)))


# ------------------------------------------------------------------------------------------------ --via


@pytest.mark.parametrize(
    ("given", "provider", "url"),
    [
        ("http://host:8080", "embedstack", "http://host:8080/tei"),
        ("http://host:8080/v1/", "embedstack", "http://host:8080/tei"),
        ("http://host:8080/tei", "embedstack", "http://host:8080/tei"),
        ("http://host:8001/v2/local/runsync", "runpod", "http://host:8001/v2/local"),
        ("http://host:8001/v2/local/run", "runpod", "http://host:8001/v2/local"),
        ("tei=http://host:8080", "tei", "http://host:8080"),
        ("runpod=http://host:8001/v2/local", "runpod", "http://host:8001/v2/local"),
    ],
)
def test_a_url_says_whose_it_is(given, provider, url):
    (target,) = plan_of_url(given, "embed", {}).embed.targets

    assert (target.provider, target.url) == (provider, url)


def test_a_provider_of_an_unknown_url_is_refused():
    with pytest.raises(ConfigError, match="provider 'tie' is unknown"):
        plan_of_url("tie=http://host", "embed", {})


def test_runpods_hosted_api_needs_its_key():
    with pytest.raises(ConfigError, match="needs a key, and RUNPOD_API_KEY is not set"):
        plan_of_url("https://api.runpod.ai/v2/abc/runsync", "embed", {})


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"RUNPOD_ENDPOINT_ID": "abc"}, "https://api.runpod.ai/v2/abc"),
        ({"RUNPOD_EMBEDDINGS_ENDPOINT": "https://api.runpod.ai/v2/d/runsync"}, "https://api.runpod.ai/v2/d"),
        ({"BGE_EMBEDDINGS_ENDPOINT": "https://api.runpod.ai/v2/e/runsync"}, "https://api.runpod.ai/v2/e"),
        ({"RUNPOD_QUERY_ENDPOINT_ID": "q"}, "https://api.runpod.ai/v2/q"),
        ({"RUNPOD_ENDPOINT_BGE_M3": "a"}, "https://api.runpod.ai/v2/a"),
        ({"RUNPOD_URL_BGE_M3": "https://api.runpod.ai/v2/a/runsync"}, "https://api.runpod.ai/v2/a"),
        (
            {"RUNPOD_ENDPOINT_ID": "x", "RUNPOD_ENDPOINT_BASE_URL": "http://127.0.0.1:8001/v2"},
            "http://127.0.0.1:8001/v2/x",
        ),
    ],
)
def test_runpod_is_where_the_variables_say(environ, url):
    (target,) = plan_via("runpod", "embed", {**RUNPOD, **environ}).embed.targets

    assert (target.provider, target.url, target.key) == ("runpod", url, "rp-secret")


def test_runpod_without_an_endpoint_is_refused():
    with pytest.raises(ConfigError, match="nothing says which endpoint of RunPod is meant; set RUNPOD_ENDPOINT_ID"):
        plan_via("runpod", "embed", RUNPOD)


def test_a_reranker_at_runpod_has_a_variable_of_its_own():
    environ = {
        **RUNPOD,
        "RUNPOD_RERANKER_ENDPOINT": "https://api.runpod.ai/v2/r/runsync",
        "RUNPOD_QUERY_ENDPOINT_ID": "q",
    }

    assert urls(plan_via("runpod", "rerank", environ).rerank) == ["https://api.runpod.ai/v2/r"]


def test_a_file_or_the_environment_names_the_models_itself(tmp_path):
    for where in (str(file_of(tmp_path, WHOLE)), "env"):
        with pytest.raises(ConfigError, match="names the models itself; leave it out"):
            plan_via(where, "embed", {}, model="bge-m3")


def test_a_file_without_the_task_is_refused(tmp_path):
    path = file_of(tmp_path, '[[embed.endpoints]]\nprovider = "tei"\n')

    with pytest.raises(ConfigError, match=r"names no endpoint for rerank; add one under \[rerank\]"):
        plan_via(str(path), "rerank", {})


def test_a_server_takes_a_file_for_both_tasks(tmp_path):
    plan = plan_upstream(str(file_of(tmp_path, WHOLE)), {**RUNPOD, "MY_TOKEN": "t"})

    assert (len(plan.embed.targets), len(plan.rerank.targets)) == (2, 1)


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_speaks_a_dialect_that_there_is(name):
    assert PROVIDERS[name].dialect in {*DIALECTS, ""}


def test_the_url_of_hugging_face_holds_the_model():
    assert base_url("huggingface", "", "BAAI/bge m3").endswith("/hf-inference/models/BAAI/bge%20m3")


# ------------------------------------------------------------------------------------------------ the RAG stack


def test_without_any_variable_both_are_where_the_rag_stack_has_them():
    plan = plan_of_environment({})

    assert (names(plan.embed), urls(plan.embed)) == (["bge"], ["http://localhost:8080"])
    assert (names(plan.rerank), urls(plan.rerank)) == (["bge"], ["http://localhost:8081"])
    assert [target.timeout_s for target in (*plan.embed.targets, *plan.rerank.targets)] == [30, 30]
    assert (plan.embed.looks_first, plan.embed.falls_back) == (False, False)


def test_a_url_of_runsync_selects_runpods_protocol():
    environ = {
        **RUNPOD,
        "BGE_EMBEDDINGS_ENDPOINT": "https://api.runpod.ai/v2/e/runsync",
        "BGE_RERANKER_ENDPOINT": "https://api.runpod.ai/v2/r/runsync",
    }

    plan = plan_of_environment(environ)

    assert [(t.provider, t.url, t.timeout_s) for t in (*plan.embed.targets, *plan.rerank.targets)] == [
        ("runpod", "https://api.runpod.ai/v2/e", 60),
        ("runpod", "https://api.runpod.ai/v2/r", 60),
    ]


def test_runpods_own_variables_take_the_place_of_the_default():
    environ = {
        **RUNPOD,
        "RUNPOD_EMBEDDINGS_ENDPOINT": "https://api.runpod.ai/v2/e/runsync",
        "RUNPOD_RERANKER_ENDPOINT": "https://api.runpod.ai/v2/r/runsync",
    }

    plan = plan_of_environment(environ)

    assert (urls(plan.embed), urls(plan.rerank)) == (["https://api.runpod.ai/v2/e"], ["https://api.runpod.ai/v2/r"])


def test_both_places_of_bge_stand_in_for_each_other():
    environ = {**RUNPOD, "BGE_EMBEDDINGS_ENDPOINT": "http://gpu:8080", "RUNPOD_EMBEDDINGS_ENDPOINT": "e"}

    plan = plan_of_environment(environ)

    assert (urls(plan.embed), plan.embed.falls_back) == (["http://gpu:8080", "https://api.runpod.ai/v2/e"], True)


def test_the_fallback_to_jina_is_added_where_it_is_asked_for():
    environ = {**JINA, "RERANKER_FALLBACK_TO_JINA": "true", "EMBEDDINGS_FALLBACK_TO_JINA": "false"}

    plan = plan_of_environment(environ)

    assert (names(plan.embed), plan.embed.falls_back) == (["bge"], False)
    assert (names(plan.rerank), plan.rerank.falls_back) == (["bge", "jina"], True)
    assert plan.rerank.targets[1].model == "jina-reranker-v2-base-multilingual"


def test_auto_looks_at_the_health_first_and_knows_jina():
    plan = plan_of_environment({**JINA, "RERANKER_PROVIDER": "auto"})

    assert (names(plan.rerank), plan.rerank.looks_first, plan.rerank.falls_back) == (["bge", "jina"], True, False)
    assert plan.health_ttl_s == 60


def test_jina_alone_is_jina():
    plan = plan_of_environment({**JINA, "EMBEDDINGS_PROVIDER": "jina", "RERANKER_PROVIDER": "jina"})

    assert (names(plan.embed), names(plan.rerank)) == (["jina"], ["jina"])
    assert plan.embed.targets[0].key == "jina-secret"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"EMBEDDINGS_PROVIDER": "openai"}, "EMBEDDINGS_PROVIDER='openai' is not one of: bge, jina, auto"),
        ({"RERANKER_FALLBACK_TO_JINA": "perhaps"}, "RERANKER_FALLBACK_TO_JINA='perhaps' is not true or false"),
        ({"RERANKER_PROVIDER": "jina"}, "provider 'jina' needs a key, and JINA_API_KEY is not set"),
        ({"BACKEND_EMBED_QUERY": "cloud"}, "BACKEND_EMBED_QUERY='cloud' is not one of: local, runpod"),
        ({"BACKEND_EMBED_QUERY": "runpod"}, "no endpoint of RunPod is named; set RUNPOD_QUERY_ENDPOINT_ID"),
    ],
)
def test_what_a_variable_does_not_take_is_refused(environ, message):
    with pytest.raises(ConfigError, match=message):
        plan_of_environment(environ)


# ------------------------------------------------------------------------------------------------ the two others


def test_each_function_has_a_backend_of_its_own():
    environ = {
        **RUNPOD,
        "BACKEND_EMBED_QUERY": "runpod",
        "RUNPOD_QUERY_ENDPOINT_ID": "cpu",
        "BACKEND_EMBED_INGEST": "runpod",
        "BACKEND_LATE_EMBED": "runpod",
        "RUNPOD_INGEST_ENDPOINT_ID": "gpu",
    }

    plan = plan_of_environment(environ)

    assert [(t.url.rpartition("/")[2], t.functions) for t in plan.embed.targets] == [
        ("gpu", {"ingest", "late"}),
        ("cpu", {"query"}),
    ]
    assert not plan.rerank.targets


def test_a_backend_may_be_here():
    environ = {**RUNPOD, "BACKEND_EMBED_QUERY": "runpod", "RUNPOD_ENDPOINT_ID": "one", "BACKEND_EMBED_INGEST": "local"}

    plan = plan_of_environment(environ)

    assert [(t.provider, t.functions) for t in plan.embed.targets] == [
        ("local", {"ingest", "late"}),
        ("runpod", {"query"}),
    ]


def test_the_older_switch_is_for_all_functions():
    environ = {**RUNPOD, "INFERENCE_BACKEND": "runpod", "RUNPOD_ENDPOINT_ID": "one"}

    (target,) = plan_of_environment(environ).embed.targets

    assert (target.url, target.functions) == ("https://api.runpod.ai/v2/one", {"ingest", "late", "query"})


@pytest.mark.parametrize("switch", ["BACKEND_EMBED_QUERY", "BACKEND_EMBED_INGEST"])
def test_one_backend_alone_is_for_all_functions(switch):
    environ = {**RUNPOD, switch: "runpod", "RUNPOD_QUERY_ENDPOINT_ID": "q", "RUNPOD_INGEST_ENDPOINT_ID": "q"}

    (target,) = plan_of_environment(environ).embed.targets

    assert (target.url, target.functions) == ("https://api.runpod.ai/v2/q", {"ingest", "late", "query"})


@pytest.mark.parametrize(
    "vectors",
    [
        {"BACKEND_EMBED_QUERY": "runpod", "RUNPOD_QUERY_ENDPOINT_ID": "q"},
        {"RUNPOD_ENDPOINT_BGE_M3": "q"},
    ],
)
def test_each_task_is_as_its_own_variables_say(vectors):
    environ = {**RUNPOD, **vectors, "BGE_RERANKER_ENDPOINT": "http://r:1"}

    plan = plan_of_environment(environ)

    assert (urls(plan.embed), urls(plan.rerank)) == (["https://api.runpod.ai/v2/q"], ["http://r:1"])
    assert not plan_of_environment({**RUNPOD, **vectors}).rerank.targets


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        (
            {"BGE_EMBEDDINGS_ENDPOINT": "http://a:1", "RUNPOD_ENDPOINT_BGE_M3": "q"},
            "BGE_EMBEDDINGS_ENDPOINT and RUNPOD_ENDPOINT_BGE_M3",
        ),
        (
            {"EMBEDDINGS_PROVIDER": "bge", "BACKEND_EMBED_QUERY": "local"},
            "EMBEDDINGS_PROVIDER and BACKEND_EMBED_QUERY",
        ),
        (
            {"INFERENCE_BACKEND": "local", "RUNPOD_ENDPOINT_BGE_M3": "q"},
            "INFERENCE_BACKEND and RUNPOD_ENDPOINT_BGE_M3",
        ),
    ],
)
def test_two_applications_that_contradict_each_other_are_refused(environ, names):
    with pytest.raises(ConfigError, match=f"{names} name other endpoints for vectors; unset one of them"):
        plan_of_environment({**RUNPOD, **environ})


def test_two_applications_that_name_one_endpoint_agree():
    environ = {**RUNPOD, "RUNPOD_EMBEDDINGS_ENDPOINT": "q", "RUNPOD_ENDPOINT_BGE_M3": "q"}

    assert urls(plan_of_environment(environ).embed) == ["https://api.runpod.ai/v2/q"]


def test_runpod_is_followed_by_hugging_face_where_there_is_a_key():
    environ = {**RUNPOD, "RUNPOD_ENDPOINT_BGE_M3": "abc", "HUGGINGFACE_API_KEY": "hf"}

    plan = plan_of_environment(environ)

    assert names(plan.embed) == ["runpod", "huggingface"]
    assert plan.embed.targets[1].url.endswith("/BAAI/bge-m3")
    assert names(plan_of_environment({**RUNPOD, "RUNPOD_ENDPOINT_BGE_M3": "abc"}).embed) == ["runpod"]


def test_another_model_of_the_same_application_is_another_plan():
    environ = {**RUNPOD, "RUNPOD_ENDPOINT_SIGLIP": "sig", "HF_TOKEN": "hf"}

    assert [target.url.rpartition("/")[2] for target in plan_of_environment(environ).embed.targets] == [
        "sig", "siglip-so400m-patch14-384",
    ]  # fmt: skip
