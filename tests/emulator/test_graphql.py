"""GraphQL: its text is read as far as the SDK writes it, and all functions of the real SDK work with the emulator."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack.emulator.billing import Ledger
from embedstack.emulator.clock import ManualClock
from embedstack.emulator.control import control_app
from embedstack.emulator.control_account import Account
from embedstack.emulator.graphql import Graph
from embedstack.emulator.graphql_text import Field, SyntaxFault, parsed
from embedstack.emulator.platform import Platform
from embedstack.emulator.serve import listen, served, url_of

PATIENCE_S = 100


# ------------------------------------------------------------------------------------------------ the text


def test_fields_have_names_arguments_and_fields_of_their_own() -> None:
    asked = parsed('query Q { pod(input: {podId: "a", n: [1, -2.5, true, null, FAST]}) { id } }')

    pod = Field(
        "pod", "pod", {"input": {"podId": "a", "n": [1, -2.5, True, None, "FAST"]}}, (Field("id", "id", {}, ()),)
    )
    assert (asked.kind, asked.fields) == ("query", (pod,))


def test_the_word_query_may_be_left_out() -> None:
    assert parsed("{ myself { id } }").kind == "query"


def test_a_field_may_get_another_name() -> None:
    assert parsed("{ mine: myself { id } }").fields[0].key == "mine"


def test_commas_comments_and_lines_do_not_matter() -> None:
    assert parsed("{ a(x: 1 y: 2),, # c\n }") == parsed("{a(x:1,y:2)}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [(r"a\"b\\c\n", 'a"b\\c\n'), (r"\u00e9", "é"), (r"\ud83d\ude00", "😀"), ("}", "}"), ("é", "é")],
)
def test_strings_mean_what_their_escapes_say(written: str, meant: str) -> None:
    assert parsed(f'{{ a(x: "{written}") }}').fields[0].arguments == {"x": meant}


def test_variables_stand_for_their_values_and_have_defaults() -> None:
    asked = parsed("query ($a: String!, $b: [Int!] = [1]) { f(a: $a, b: $b) }", {"a": "x"})

    assert asked.fields[0].arguments == {"a": "x", "b": [1]}


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "{}",
        "{ a } b",
        '{ a(x: "b"c") }',
        '{ a(x: "line\nbreak") }',
        "{ a(x: 1, x: 2) }",
        "{ a(x: $b) }",
        "{ a(x: 01) }",
        r'{ a(x: "\q") }',
        r'{ a(x: "\ud800") }',
        "subscription { a }",
        "{ ...f }",
        "{ a(x: " + "[" * 5000,
    ],
)
def test_what_is_no_graphql_is_refused(broken: str) -> None:
    with pytest.raises(SyntaxFault):
        parsed(broken)


# ------------------------------------------------------------------------------------------------ replies


@pytest.fixture
def graph() -> Graph:
    return Graph(Account(platform=Platform(ManualClock()), ledger=Ledger(), data_url="http://127.0.0.1:8001"))


def ask(graph: Graph, query: str) -> dict[str, object]:
    return graph.answer(json.dumps({"query": query}).encode())


def test_only_what_was_asked_for_is_answered(graph: Graph) -> None:
    assert ask(graph, "{ mine: myself { id endpoints { id } } }") == {
        "data": {"mine": {"id": "user_local", "endpoints": []}}
    }


@pytest.mark.parametrize(
    "query",
    ["{ nothing }", "{ myself { nothing } }", "{ myself }", "{ myself { id { x } } }", "mutation { myself { id } }"],
)
def test_a_field_that_is_none_is_an_error_beside_the_data(graph: Graph, query: str) -> None:
    answer = ask(graph, query)

    assert ([error["extensions"] for error in answer["errors"]], set(answer["data"].values())) == (
        [{"code": "RUNPOD"}],
        {None},
    )


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"query": 3}', b'{"query": "{"}'])
def test_a_body_that_is_no_request_is_an_error(graph: Graph, body: bytes) -> None:
    assert list(graph.answer(body)) == ["errors"]


def test_an_endpoint_goes_only_when_it_may_have_no_workers(graph: Graph) -> None:
    made = ask(graph, 'mutation { saveTemplate(input: {name: "t", imageName: "i", isServerless: true}) { id } }')
    template = made["data"]["saveTemplate"]["id"]
    wanted = f'name: "e", templateId: "{template}", gpuIds: "ADA_24", workersMin: 0'
    saved = ask(graph, f"mutation {{ saveEndpoint(input: {{ {wanted}, workersMax: 2 }}) {{ id }} }}")
    endpoint = saved["data"]["saveEndpoint"]["id"]
    delete = f'mutation {{ deleteEndpoint(id: "{endpoint}") }}'
    refused = ask(graph, delete)
    ask(graph, f'mutation {{ saveEndpoint(input: {{ id: "{endpoint}", {wanted}, workersMax: 0 }}) {{ id }} }}')

    assert "workersMax" in refused["errors"][0]["message"]
    assert ask(graph, delete) == {"data": {"deleteEndpoint": None}}
    assert ask(graph, "{ myself { endpoints { id } } }") == {"data": {"myself": {"endpoints": []}}}


def test_what_the_rules_refuse_is_told_with_their_reasons(graph: Graph) -> None:
    answer = ask(graph, 'mutation { saveEndpoint(input: {name: "", templateId: "x"}) { id } }')

    assert "$.name" in answer["errors"][0]["message"]


# ------------------------------------------------------------------------------------------------ the real SDK

PROGRAM = """
import json, runpod

def refused(call, *arguments, **named):
    try:
        return call(*arguments, **named)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

runpod.api_key = "key"
said = {"gpus": runpod.get_gpus(), "no_gpu": refused(runpod.get_gpu, "T4")}
said["gpu"] = runpod.get_gpu("NVIDIA GeForce RTX 4090")
said["template"] = runpod.create_template(
    "t", "img:1", docker_start_cmd='run "a b"', env={"A": "b=c"}, ports="8888/http, 666/tcp", is_serverless=True
)
other = runpod.create_template("u", "img:2", is_serverless=True)
said["endpoint"] = runpod.create_endpoint(
    "e", said["template"]["id"], gpu_ids="ADA_24,AMPERE_24",
    idle_timeout=7, scaler_value=9, workers_max=2, flashboot=True,
)
said["endpoints"] = runpod.get_endpoints()
said["retemplated"] = runpod.update_endpoint_template(said["endpoint"]["id"], other["id"])
said["pod"] = runpod.create_pod(
    "p", "img:3", "NVIDIA GeForce RTX 4090", env={"X": "1"}, volume_in_gb=20, ports="22/tcp", cloud_type="COMMUNITY"
)
said["cpu_pod"] = runpod.create_pod("c", "img:4", instance_id="cpu3c-2-4")
said["pods"] = runpod.get_pods()
said["stopped"] = runpod.stop_pod(said["pod"]["id"])
said["resumed"] = runpod.resume_pod(said["pod"]["id"], 1)
said["seen"] = runpod.get_pod(said["pod"]["id"])
runpod.terminate_pod(said["pod"]["id"])
said["gone"] = runpod.get_pod(said["pod"]["id"])
said["stop_again"] = refused(runpod.stop_pod, said["pod"]["id"])
said["registry"] = runpod.create_container_registry_auth("r", "u", "p")
said["updated"] = runpod.update_container_registry_auth(said["registry"]["id"], "v", "q")
said["deleted"] = runpod.delete_container_registry_auth(said["registry"]["id"])
runpod.update_user_settings("ssh-ed25519 AAAA me")
said["user"] = runpod.get_user()
said["quotes"] = refused(runpod.create_endpoint, 'a "quoted" name', "t")
runpod.api_key = "wrong"
said["wrong_key"] = refused(runpod.get_user)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What the SDK's functions gave, one after another."""

    async def run() -> str:
        platform = Platform()
        listener = listen("127.0.0.1", 0)
        account = Account(platform=platform, ledger=Ledger(), data_url="http://127.0.0.1:8001")
        async with served(platform, {control_app(account, ["key"]): listener}):
            return await asyncio.to_thread(sdk, url_of(listener), tmp_path_factory.mktemp("home"))

    return json.loads(asyncio.run(run()))


def sdk(url: str, home: Path) -> str:
    here = {"RUNPOD_API_BASE_URL": url, "HOME": str(home), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **here},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def of(tree: object, *keys: str) -> dict[str, object]:
    assert isinstance(tree, dict)
    return {key: tree[key] for key in keys}


@pytest.mark.slow
@pytest.mark.timeout(150)
class TestSdk:
    """Each function of SDK 1.12 that speaks GraphQL."""

    def test_it_finds_gpus(self, said: dict[str, object]) -> None:
        assert of(said["gpu"], "id", "memoryInGb") == {"id": "NVIDIA GeForce RTX 4090", "memoryInGb": 24}
        assert said["no_gpu"].startswith("ValueError")
        assert len(said["gpus"]) > 10

    def test_it_makes_templates(self, said: dict[str, object]) -> None:
        assert of(said["template"], "name", "imageName", "dockerArgs", "ports", "env", "isServerless") == {
            "name": "t",
            "imageName": "img:1",
            "dockerArgs": 'run "a b"',
            "ports": "8888/http,666/tcp",
            "env": [{"key": "A", "value": "b=c"}],
            "isServerless": True,
        }

    def test_it_makes_endpoints(self, said: dict[str, object]) -> None:
        assert {key: value for key, value in said["endpoint"].items() if key != "id"} == {
            "name": "e",
            "templateId": said["template"]["id"],
            "gpuIds": "ADA_24,AMPERE_24",
            "networkVolumeId": "",
            "locations": "",
            "idleTimeout": 7,
            "scalerType": "QUEUE_DELAY",
            "scalerValue": 9,
            "workersMin": 0,
            "workersMax": 2,
            "allowedCudaVersions": "",
            "gpuCount": 1,
            "flashBootType": "FLASHBOOT",
        }

    def test_it_lists_endpoints(self, said: dict[str, object]) -> None:
        assert [of(one, "id", "env") for one in said["endpoints"]] == [
            {"id": said["endpoint"]["id"], "env": [{"key": "A", "value": "b=c"}]}
        ]

    def test_it_gives_an_endpoint_another_template(self, said: dict[str, object]) -> None:
        assert said["retemplated"]["id"] == said["endpoint"]["id"]
        assert said["retemplated"]["templateId"] != said["template"]["id"]

    def test_it_rents_pods(self, said: dict[str, object]) -> None:
        assert of(said["pod"], "imageName", "env") == {"imageName": "img:3", "env": ["X=1"]}
        assert said["pod"]["machine"]["podHostId"].startswith(said["pod"]["id"])

    def test_it_rents_pods_without_gpu(self, said: dict[str, object]) -> None:
        both = {pod["id"]: of(pod, "gpuCount", "vcpuCount", "volumeInGb") for pod in said["pods"]}

        assert both == {
            said["pod"]["id"]: {"gpuCount": 1, "vcpuCount": 0, "volumeInGb": 20},
            said["cpu_pod"]["id"]: {"gpuCount": 0, "vcpuCount": 2, "volumeInGb": 0},
        }

    def test_it_stops_and_resumes_them(self, said: dict[str, object]) -> None:
        statuses = [said[key]["desiredStatus"] for key in ("stopped", "resumed", "seen")]

        assert statuses == ["EXITED", "RUNNING", "RUNNING"]

    def test_it_ends_them(self, said: dict[str, object]) -> None:
        assert said["gone"] is None
        assert said["stop_again"].startswith("QueryError")

    def test_it_keeps_credentials(self, said: dict[str, object]) -> None:
        assert said["registry"]["name"] == "r"
        assert (said["updated"], said["deleted"]) == (said["registry"], None)

    def test_it_keeps_the_users_key(self, said: dict[str, object]) -> None:
        assert said["user"] == {"id": "user_local", "pubKey": "ssh-ed25519 AAAA me", "networkVolumes": []}

    def test_it_hears_of_a_wrong_key(self, said: dict[str, object]) -> None:
        assert said["wrong_key"].startswith("AuthenticationError")

    def test_its_quotes_that_nobody_escaped_break_the_query_here_too(self, said: dict[str, object]) -> None:
        assert said["quotes"].startswith("QueryError: Syntax Error")
