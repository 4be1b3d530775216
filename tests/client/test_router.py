"""Several servers through one door: who is asked, who may stand in, and what is told when nobody could."""

import asyncio
import logging
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from platform_stub import Platform
from replicas import PLAIN, Failing, Held, Plain
from routers import OTHER, TEXTS, Time, ask, at, fallen, of, of_scores, pairs, settled, wish

from embedstack.client.breaker import FAILURES, OPEN_S
from embedstack.client.plan import Plan, Target, Way
from embedstack.client.router import Router
from embedstack.client.seat import SILENT
from embedstack.client.space import Known
from embedstack.errors import BadRequest, ConfigError, DeadlineExceeded, NoEndpoint, UnknownModel, Unsupported
from embedstack.testing.fake import HashEncoder
from embedstack.types import Classify, Decode, Encode, Encoded, Score, Text, Tokenize

# ------------------------------------------------------------------------------------------------ vectors


def test_the_first_endpoint_answers(up):
    first, second = Plain(), Plain()
    urls = up(first, second)

    (answer,) = ask(of(at(urls[0], "a"), at(urls[1], "b")), wish())

    assert np.array_equal(answer.dense, asyncio.run(Plain().encode(replace(wish(), model="hash"))).dense)
    assert (first.texts, second.texts) == (list(TEXTS), [])


def test_a_replica_of_the_space_stands_in_and_the_identity_stays(up):
    first, second = Failing(), Plain()
    urls = up(first, second)
    plan = of(at(urls[0], "a"), at(urls[1], "b"))

    async def run():
        async with Router(plan) as router:
            before = await router.encode(wish())
            await settled(router)
            first.is_broken = True
            return before, await router.encode(wish())

    before, after = asyncio.run(run())

    assert np.array_equal(before.dense, after.dense)
    assert before.spec.space == after.spec.space
    assert second.texts == list(TEXTS)


@pytest.mark.parametrize(
    ("off", "precision", "allow_int8", "stands_in"),
    [
        (6e-5, "bfloat16", False, True),
        (7e-4, "int8", False, False),
        (7e-4, "int8", True, True),
        (0.2, "float32", True, False),
    ],
)
def test_how_near_a_replica_must_be(up, off, precision, allow_int8, stands_in):
    first, second = Failing(), Plain(off, precision)
    urls = up(first, second)

    answer = fallen(of(at(urls[0], "a"), at(urls[1], "b"), allow_int8=allow_int8), first)

    assert isinstance(answer, Encoded) is stands_in
    assert bool(second.texts) is stands_in


def test_another_model_is_refused_with_the_reason_and_every_attempt_is_told(up):
    first = Failing()
    urls = up(first, Plain(specs=OTHER))

    error = fallen(of(at(urls[0], "a"), at(urls[1], "b")), first)

    assert isinstance(error, NoEndpoint)
    assert error.message.startswith("no endpoint could give vectors: a (http://127.0.0.1:")
    assert f"b: it is of the space {OTHER[0].space}, a (http://127.0.0.1:" in error.message
    assert "secret inside" not in error.message


def test_nobody_stands_in_for_an_endpoint_that_was_never_heard(up, dead):
    (url,) = up(Plain())

    (error,) = ask(of(at(dead, "a"), at(url, "b")), wish())

    assert isinstance(error, NoEndpoint)
    assert "b: it cannot be proven to be of the space of 'a', which gave nothing to compare with" in error.message
    assert 'with probes = "FILE" in the plan' in error.message


def test_probes_that_were_kept_let_a_replica_stand_in_for_one_that_was_never_heard(up, dead, tmp_path):
    urls = up(Plain(), Plain())
    probes = tmp_path / "probes.json"
    ask(of(at(urls[0], "a"), probes=probes), wish())

    kept, other = (
        ask(of(at(dead, "a"), at(url, "b"), probes=probes), wish())[0] for url in (urls[1], up(Plain(off=0.3))[0])
    )

    assert isinstance(kept, Encoded)
    assert isinstance(other, NoEndpoint)


def test_the_first_endpoint_itself_must_be_as_it_was_when_probes_were_kept(up, tmp_path):
    urls = up(Plain(), Plain(specs=OTHER))
    probes = tmp_path / "probes.json"
    ask(of(at(urls[0], "a"), probes=probes), wish())

    (error,) = ask(of(at(urls[1], "a"), probes=probes), wish())

    assert "it is of the space" in error.message


def test_an_endpoint_that_changes_its_model_is_refused_from_then_on(up):
    class Changing(Plain):
        def change(self):
            self._specs = OTHER

    first = Changing()
    (url,) = up(first)
    plan = of(at(url, "a"), way={"model": "m"})

    async def run():
        async with Router(replace(plan, probes=None)) as router:
            await router._proofs.first()
            await router.encode(wish())
            first.change()
            with pytest.raises(NoEndpoint) as caught:
                await router.encode(wish())
            return caught.value

    assert f"it is of the space {OTHER[0].space}, a (http://" in asyncio.run(run()).message


def test_the_model_on_this_machine_refuses_a_server_of_another(up):
    (url,) = up(Plain(specs=OTHER))

    (error,) = ask(of(at(url, "a")), wish(), known=Known(PLAIN[0]))

    assert "and 'hash' of" in error.message
    assert "it serves another model" in error.message


def test_answers_of_the_model_on_this_machine_carry_its_identity(up):
    (url,) = up(Plain())

    (answer,) = ask(of(at(url, "a")), wish(), known=Known(PLAIN[0]))

    assert answer.spec == PLAIN[0]
    assert answer.fingerprint == PLAIN[0].fingerprint("float32")


# ------------------------------------------------------------------------------------------------ other servers


def test_runpod_then_hugging_face_proven_by_probes_then_one_error(up, strangers):
    """The chain of a platform that runs its model at RunPod, with Hugging Face Inference behind it."""
    runpod, hub = Failing(), Failing()
    (ours,), (theirs,) = up(runpod), strangers(hub)
    plan = of(
        at(f"{ours}/runpod", "runpod", "runpod"), at(f"{theirs}/huggingface", "huggingface", "huggingface"), prompts={}
    )

    async def run():
        async with Router(plan) as router:
            answers = [await router.encode(wish())]
            await settled(router)
            runpod.is_broken = True
            answers.append(await router.encode(wish()))
            hub.is_broken = True
            with pytest.raises(NoEndpoint) as caught:
                await router.encode(wish())
            return answers, caught.value

    (first, second), error = asyncio.run(run())

    assert np.allclose(first.dense, second.dense, atol=1e-6)
    assert first.spec.space == second.spec.space
    assert (hub.texts, error.exit_code) == (list(TEXTS), 5)
    assert "runpod (http://" in error.message
    assert "huggingface (http://" in error.message
    assert "secret" not in error.message


def test_jina_is_refused_for_vectors_and_named_for_scores(dead, strangers, up):
    """The fallback that mixed two models' vectors in one collection, and the one that is sound."""
    first = Failing()
    (ours,), (jina,) = up(first), strangers(Plain(off=0.9, specs=OTHER))
    vectors = of(at(ours, "bge"), at(f"{jina}/jina", "jina", "jina", model="other"))
    scores = of_scores(
        at(dead, "bge", task="rerank"), at(f"{jina}/jina", "jina", "jina", "rerank", model="jina-reranker")
    )

    refused, (scored,) = fallen(vectors, first), ask(scores, pairs())

    assert isinstance(refused, NoEndpoint)
    assert "jina: it is of another space than bge" in refused.message
    assert scored.spec.name == "jina-reranker"
    assert scored.order[0] == 2


def test_a_role_goes_in_front_as_its_prompt_where_the_endpoint_would_overlook_it(strangers):
    seen = Plain()
    (url,) = strangers(seen)
    plan = of(at(f"{url}/openai/v1", "o", "openai", model="hash"), prompts={"query": "ask: "})

    ask(plan, wish("a cat", role="query"), wish("a cat"))

    assert seen.texts == ["ask: a cat", "a cat"]


def test_without_known_prompts_such_a_role_is_refused(strangers):
    (url,) = strangers(Plain())

    (error,) = ask(of(at(f"{url}/openai/v1", "o", "openai", model="hash")), wish("a cat", role="query"))

    assert "may overlook the role 'query'" in error.message


@pytest.mark.parametrize(("prompts", "is_taken"), [({}, True), ({"query": "ask: "}, False), (None, False)])
def test_at_a_foreign_worker_of_runpod_roles_go_with_a_model_that_has_no_prompts(prompts, is_taken):
    async def run():
        async with Platform().running() as url, Router(of(at(url, "r", "runpod"), prompts=prompts)) as router:
            return await asyncio.gather(router.encode(wish("a cat", role="query")), return_exceptions=True)

    (answer,) = asyncio.run(run())

    assert isinstance(answer, Encoded) is is_taken


def test_a_role_that_the_model_does_not_have_is_the_callers_fault(strangers):
    (url,) = strangers(Plain())

    (error,) = ask(of(at(f"{url}/openai/v1", "o", "openai", model="hash"), prompts={}), wish("a", role="code"))

    assert type(error) is BadRequest
    assert error.message == "the model has no role 'code'; use one of: document, none, query"


def test_what_a_dialect_cannot_say_and_can_be_done_here_is_done_here(strangers):
    (url,) = strangers(Plain())
    openai = of(at(f"{url}/openai/v1", "o", "openai", model="hash"))
    jina = of_scores(at(f"{url}/jina", "j", "jina", "rerank", model="overlap"))

    (unit,), (shares, raw) = ask(openai, wish(normalize=True)), ask(jina, pairs(), pairs(raw_scores=True))

    assert np.allclose(np.linalg.norm(unit.dense, axis=1), 1)
    assert np.allclose(1 / (1 + np.exp(-raw.scores)), shares.scores, atol=1e-6)


# ------------------------------------------------------------------------------------------------ what ends it


@pytest.mark.parametrize("request_", [wish(""), wish("a " * 300, truncate="refuse")])
def test_a_wrong_request_is_refused_at_once(up, request_):
    first, second = Plain(), Plain()
    urls = up(first, second)

    (error,) = ask(of(at(urls[0], "a"), at(urls[1], "b")), request_)

    assert type(error) is BadRequest
    assert second.texts == []


def test_the_deadline_ends_everything(up):
    first = Held()
    first.is_held = True
    urls = up(first, Plain())
    plan = of(at(urls[0], "a"), at(urls[1], "b"))

    async def run():
        async with Router(plan) as router:
            with pytest.raises(DeadlineExceeded):
                await router.encode(wish(deadline=time.monotonic() + 0.2))
            first.is_held = False

    asyncio.run(run())


def test_a_wrong_key_lets_the_next_one_be_asked(up, serve):
    with serve(Plain, api_keys="me:right-key") as locked:
        urls = up(Plain())
        plan = of_scores(at(locked, "a", task="rerank"), at(urls[0], "b", task="rerank"))
        (answer,) = ask(plan, pairs())

    assert answer.order[0] == 2


def test_without_fallback_the_next_one_is_not_asked(up, dead):
    second = Plain()
    (url,) = up(second)
    plan = of_scores(at(dead, "a", task="rerank"), at(url, "b", task="rerank"), way={"falls_back": False})

    (error,) = ask(plan, pairs())

    assert "a (http://127.0.0.1:9/tei)" in error.message
    assert second.texts == []


def test_each_function_goes_to_its_own_endpoints(up):
    ingest, query = Plain(), Plain()
    urls = up(ingest, query)
    plan = of(
        at(urls[0], "ingest", functions=("ingest", "late")), at(urls[1], "query", functions=("query",)), prompts={}
    )

    ask(plan, wish("stored"), wish("asked", role="query"))

    assert (ingest.texts, query.texts) == (["stored"], ["asked"])


def test_a_query_endpoint_of_another_space_than_the_stored_vectors_is_refused(up):
    urls = up(Plain(), Plain(off=0.22))
    plan = of(at(urls[0], "ingest", functions=("ingest",)), at(urls[1], "query", functions=("query",)))

    _, error = ask(plan, wish("stored"), wish("asked", role="query"))

    assert "query: it is of another space than ingest" in error.message


def test_a_function_without_an_endpoint_is_told(up):
    (url,) = up(Plain())

    (error,) = ask(of(at(url, "a", functions=("query",))), wish())

    assert error.message == "no endpoint of the plan is for the function 'ingest'; name one for it"


# ------------------------------------------------------------------------------------------------ hedging


def test_a_silent_endpoint_is_overtaken_and_its_call_is_cancelled(up):
    first, second = Held(), Plain()
    urls = up(first, second)
    plan = of(at(urls[0], "a"), at(urls[1], "b"), hedge_after_s=0.05)

    async def run():
        async with Router(plan) as router:
            await router.encode(wish())
            await settled(router)
            first.is_held = True
            return await router.encode(wish())

    answer = asyncio.run(run())

    assert np.array_equal(answer.dense, asyncio.run(Plain().encode(replace(wish(), model="hash"))).dense)
    assert first.left.wait(20)
    assert second.texts == list(TEXTS)


def test_without_hedging_nobody_is_overtaken(up):
    first, second = Held(), Plain()
    first.is_held = True
    urls = up(first, second)
    plan = of_scores(at(urls[0], "a", task="rerank"), at(urls[1], "b", task="rerank"))

    ask(plan, pairs(deadline=time.monotonic() + 0.3))

    assert second.texts == []


def test_an_endpoint_that_is_overtaken_again_and_again_is_left_alone(up):
    first, second = Held(), Plain()
    first.is_held = True
    urls = up(first, second)
    plan = of_scores(at(urls[0], "a", task="rerank"), at(urls[1], "b", task="rerank"), hedge_after_s=0.02)

    async def run():
        async with Router(plan) as router:
            seat = router._seats["rerank"][0]
            for _ in range(SILENT + FAILURES):
                await router.score(pairs())
                await settled(router)
            return seat.down

    down = asyncio.run(run())
    first.is_held = False

    assert down.startswith("not asked for another")
    assert "overtaken" in down


@pytest.mark.parametrize("how", ["the first one answers", "the caller leaves"])
def test_who_is_cancelled_and_was_not_overtaken_has_not_failed(up, how):
    first, second, clock = Held(), Held(), Time()
    urls = up(first, second)
    plan = of_scores(at(urls[0], "a", task="rerank"), at(urls[1], "b", task="rerank"), hedge_after_s=0.02)

    async def run():
        async with Router(plan, clock=clock) as router:
            for _ in range(SILENT):
                first.is_held = second.is_held = True
                second.entered.clear()
                asking = asyncio.ensure_future(router.score(pairs()))
                await asyncio.to_thread(second.entered.wait, 20)
                clock.now += 1
                if how == "the caller leaves":
                    asking.cancel()
                else:
                    first.is_held = False
                await asyncio.gather(asking, return_exceptions=True)
                await settled(router)
            first.is_held = second.is_held = False
            return [seat.down for seat in router._seats["rerank"]]

    assert asyncio.run(run()) == ["", ""]


# ------------------------------------------------------------------------------------------------ breaker


def test_an_endpoint_that_fails_again_and_again_is_left_alone_and_comes_back(up):
    first, second, clock = Failing(), Plain(), Time()
    first.is_broken = True
    urls = up(first, second)
    plan = of_scores(at(urls[0], "a", task="rerank"), at(urls[1], "b", task="rerank"))

    async def run():
        async with Router(plan, clock=clock) as router:
            for _ in range(FAILURES):
                await router.score(pairs())
            first.is_broken = False
            await router.score(pairs())
            asked_while_open = len(first.asked)
            clock.now += OPEN_S
            await router.score(pairs())
            return asked_while_open, len(first.asked)

    assert asyncio.run(run()) == (0, 1)


def test_half_open_lets_one_of_many_calls_through(up):
    first, second, clock = Held(), Plain(), Time()
    urls = up(first, second)
    plan = of_scores(at(urls[0], "a", task="rerank"), at(urls[1], "b", task="rerank"))

    async def run():
        async with Router(plan, clock=clock) as router:
            (seat, _) = router._seats["rerank"]
            for _ in range(FAILURES):
                seat.breaker.failed(clock.now)
            clock.now += OPEN_S
            first.is_held = True
            trial = asyncio.ensure_future(router.score(pairs()))
            await asyncio.to_thread(first.entered.wait, 20)
            await asyncio.gather(*(router.score(pairs()) for _ in range(5)))
            trial.cancel()
            await asyncio.gather(trial, return_exceptions=True)
            await settled(router)
            return seat.breaker.may_ask(clock.now)

    assert asyncio.run(run())
    assert len(second.asked) == 5


def test_the_error_says_who_is_left_alone_and_why(dead):
    plan = of_scores(at(dead, "a", task="rerank"))

    *_, last = ask(plan, *[pairs()] * (FAILURES + 1), clock=Time())

    assert f"a: not asked for another {OPEN_S:.0f} s, since it failed before: a (http://127.0.0.1:9" in last.message
    assert last.retry


# ------------------------------------------------------------------------------------------------ health


def test_a_look_at_the_health_is_shared_and_counts_for_a_minute(tell, up):
    sick, clock = tell((503, {"status": "unavailable"})), Time()
    (url,) = up(Plain())
    plan = of_scores(at(sick.url, "a", "rag-stack", "rerank"), at(url, "b", task="rerank"), way={"looks_first": True})

    async def run():
        async with Router(plan, clock=clock) as router:
            await asyncio.gather(*(router.score(pairs()) for _ in range(20)))
            clock.now += 59
            await router.score(pairs())
            looks = len(sick.seen)
            clock.now += 2
            await router.score(pairs())
            await settled(router)
            return looks, len(sick.seen)

    assert asyncio.run(run()) == (1, 2)
    assert {one.method for one in sick.seen} == {"GET"}


def test_an_endpoint_that_says_it_is_sick_is_still_the_last_resort(tell, dead):
    sick = tell((503, {"status": "unavailable"}), [{"index": i, "score": 0.5} for i in range(3)])
    plan = of_scores(at(sick.url, "a", "rag-stack", "rerank"), at(dead, "b", task="rerank"), way={"looks_first": True})

    (answer,) = ask(plan, pairs())

    assert answer.scores.tolist() == [0.5, 0.5, 0.5]


def test_who_failed_is_looked_at_again(tell, up):
    flaky = tell({"status": "ok"}, (500, {"error": "broken"}), (503, {"status": "unavailable"}))
    (url,) = up(Plain())
    plan = of_scores(at(flaky.url, "a", "rag-stack", "rerank"), at(url, "b", task="rerank"), way={"looks_first": True})

    ask(plan, pairs(), pairs(), pairs())

    assert [one.method for one in flaky.seen] == ["GET", "POST", "GET"]


def test_a_first_endpoint_that_is_down_leaves_nobody_and_that_is_told(up, dead):
    urls = up(Plain())
    router = Router(of(at(dead, "a"), at(urls[0], "b")))

    async def run():
        await router.look()
        return router.down(), await asyncio.gather(router.encode(wish()), return_exceptions=True), await router.close()

    down, (error,), _ = asyncio.run(run())

    assert isinstance(error, NoEndpoint)
    assert "b: it cannot be proven to be of the space of 'a'" in next(iter(down.values()))


def test_a_look_at_who_has_no_page_forgets_nothing_and_asks_for_something_small(serve):
    clock = Time()
    with serve(Plain, api_keys="me:right-key") as locked:
        router = Router(of_scores(at(f"{locked}/jina", "j", "jina", "rerank", model="overlap")), clock=clock)

        async def run():
            await router.look()
            before = router.down()
            clock.now += 61
            router.down()
            await settled(router)
            after = router.down()
            await router.close()
            return before, after

        before, after = asyncio.run(run())

    assert list(before) == list(after) == ["overlap"]


def test_who_has_no_page_is_up_again_as_soon_as_it_answers(serve):
    clock, scorer = Time(), Failing()
    scorer.is_broken = True
    with serve(lambda: scorer) as url:
        router = Router(of_scores(at(f"{url}/jina", "j", "jina", "rerank", model="overlap")), clock=clock)

        async def run():
            await router.look()
            before = router.down()
            scorer.is_broken = False
            clock.now += 61
            router.down()
            await settled(router)
            after = router.down()
            await router.close()
            return before, after

        before, after = asyncio.run(run())

    assert (list(before), after) == (["overlap"], {})


def test_a_look_asks_nobody_twice(up):
    (url,) = up(sound := Plain())

    asyncio.run(Router(of_scores(at(f"{url}/runpod", "r", "runpod", "rerank"), warm_up=True)).look())

    assert len(sound.asked) == 1


def test_a_look_does_not_wait_for_who_is_silent(up, monkeypatch):
    held = Held()
    held.is_held = True
    (url,) = up(held)
    monkeypatch.setattr("embedstack.client.router.LOOK_S", 0.1)

    asyncio.run(asyncio.wait_for(Router(of(at(url, "a"))).look(), 20))
    held.is_held = False


# ------------------------------------------------------------------------------------------------ warm-up


def test_a_sleeping_endpoint_is_called_before_anybody_asks_it(up):
    first, second = Plain(), Plain()
    urls = up(first, second)
    plan = of_scores(at(urls[0], "a", task="rerank"), at(f"{urls[1]}/runpod", "b", "runpod", "rerank"), warm_up=True)

    ask(plan, pairs())

    assert [request.items[0].query for request in second.asked] == ["ping"]


def test_the_first_request_does_not_wait_for_the_warm_up(up):
    first, second = Plain(), Held()
    second.is_held = True
    urls = up(first, second)
    plan = of_scores(at(urls[0], "a", task="rerank"), at(f"{urls[1]}/runpod", "b", "runpod", "rerank"), warm_up=True)

    async def run():
        async with Router(plan) as router:
            answer = await router.score(pairs())
            second.is_held = False
            return answer

    assert asyncio.run(run()).order[0] == 2


def test_replicas_are_proven_before_anybody_falls_back_to_them(up):
    urls = up(Plain(), replica := Plain())

    ask(of(at(urls[0], "a"), at(urls[1], "b"), warm_up=True), wish())

    assert replica.asked
    assert not replica.texts


# ------------------------------------------------------------------------------------------------ here


def test_a_model_in_this_process_is_opened_once_when_it_is_asked(up):
    opened = []

    def local(model):
        opened.append(model)
        return Plain()

    plan = of(Target(name="here", provider="local", model="hash"))

    async def run():
        async with Router(plan, local=local) as router:
            before = list(opened)
            await asyncio.gather(*(router.encode(wish()) for _ in range(5)))
            return before

    assert asyncio.run(run()) == []
    assert opened == ["hash"]


def test_a_model_whose_opening_ended_with_its_event_loop_is_opened_anew():
    opened, begun, may_end = [], threading.Event(), threading.Event()

    def local(model):
        opened.append(model)
        begun.set()
        may_end.wait(20)
        return Plain()

    router = Router(of(Target(name="here", provider="local")), local=local)

    async def leave():
        asking = asyncio.ensure_future(router.encode(wish()))
        await asyncio.to_thread(begun.wait, 20)
        router._seats["embed"][0]._opening.add_done_callback(lambda _: may_end.set())
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(leave())

    assert asyncio.run(last(router, wish())).dense.shape == (3, 256)
    assert len(opened) == 2


def test_a_look_opens_no_model_here_that_is_not_the_first(dead):
    opened = []

    def local(model):
        opened.append(model)
        return Plain()

    plan = of_scores(at(dead, "a", task="rerank"), Target(name="here", provider="local"))
    asyncio.run(Router(plan, local=local).look())

    assert opened == []


def test_a_model_in_this_process_stands_in_for_a_server_of_its_space(up):
    first = Failing()
    (url,) = up(first)
    plan = of(at(url, "there"), Target(name="here", provider="local"))

    answer = fallen(plan, first, local=lambda model: Plain())

    assert answer.spec.space != ""
    assert answer.dense.shape == (3, 256)


def test_no_model_is_opened_here_only_to_compare(up):
    plan = of(
        Target(name="here", provider="local", functions=frozenset({"ingest", "late"})),
        at(up(Plain())[0], "there", functions=("query",)),
        warm_up=True,
        prompts={},
    )

    def local(model):
        raise AssertionError("opened")

    (error,) = ask(plan, wish("a", role="query"), local=local)

    assert isinstance(error, NoEndpoint)
    assert "is not on this machine, and none is fetched only to compare" in error.message


def test_a_model_that_is_on_this_machine_is_opened_to_compare(up):
    plan = of(
        Target(name="here", provider="local", functions=frozenset({"ingest", "late"})),
        at(up(Plain())[0], "there", functions=("query",)),
        prompts={},
    )

    (answer,) = ask(plan, wish("a", role="query"), local=lambda model: Plain(), known=Known(PLAIN[0]))

    assert isinstance(answer, Encoded)


def test_a_local_provider_needs_somebody_who_opens_it():
    with pytest.raises(ConfigError, match="names the provider 'local', and nothing opens a model"):
        Router(of(Target(name="here", provider="local")))


# ------------------------------------------------------------------------------------------------ the rest of the door


def test_nothing_is_asked_for_nothing(dead):
    encoded, scored = ask(
        Plan(embed=Way(targets=(at(dead, "a"),)), rerank=Way(targets=(at(dead, "a", task="rerank"),)), warm_up=False),
        Encode(model="", items=()),
        Score(model="", items=()),
    )

    assert (len(encoded.dense), len(scored.scores)) == (0, 0)


def test_nothing_is_asked_for_nothing_whatever_the_endpoints_are_for(dead):
    (encoded,) = ask(of(at(dead, "a", functions=("query",))), Encode(model="", items=()))

    assert len(encoded.dense) == 0


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("classify", Classify(model="", items=(Text("a"),))),
        ("tokens", Tokenize(model="", items=(Text("a"),))),
        ("decode", Decode(model="", items=())),
    ],
)
def test_what_no_endpoint_can_be_asked_for_is_refused(dead, method, request_):
    async def run():
        async with Router(of(at(dead, "a"))) as router:
            await getattr(router, method)(request_)

    with pytest.raises(Unsupported, match="a router cannot ask an endpoint to"):
        asyncio.run(run())


def test_what_no_endpoint_has_words_for_is_unsupported_and_not_a_failure(up):
    urls = up(Plain(), Plain())

    (error,) = ask(of(at(urls[0], "a"), at(urls[1], "b")), wish(outputs=frozenset({"sparse"})))

    assert type(error) is Unsupported
    assert error.message.startswith("no endpoint can do that: a: the dialect 'tei' cannot carry outputs=['sparse']")


def test_a_task_without_an_endpoint_is_refused(dead):
    (error,) = ask(of(at(dead, "a")), pairs())

    assert isinstance(error, Unsupported)
    assert error.message == "the plan has no endpoint for scores; name one under [rerank]"


def test_a_model_answers_to_the_names_of_the_plan(up):
    (url,) = up(Plain())
    plan = of(replace(at(url, "a"), model="hash"), way={"model": "mine"})

    good, also, wrong = ask(plan, *(replace(wish(), model=name) for name in ("mine", "hash", "other")))

    assert (good.spec.name, also.spec.name) == ("mine", "mine")
    assert isinstance(wrong, UnknownModel)
    assert wrong.message == "model 'other' is not what this router is for; ask for one of: hash, mine"


def test_before_anybody_answered_the_models_are_known_by_name():
    plan = Plan(
        embed=Way(targets=(Target(name="a", provider="local"),), model="m"),
        rerank=Way(targets=(Target(name="b", provider="local", model="r"),)),
    )

    router = Router(plan, local=lambda model: HashEncoder())

    assert [(spec.name, spec.task) for spec in router.models()] == [("m", "embed"), ("r", "rerank")]
    assert router.spec_of("r").task == "rerank"
    assert router.spec_of("x") is None


def test_a_fallback_is_told_in_the_log(up, dead, caplog):
    (url,) = up(Plain())
    with caplog.at_level(logging.WARNING, "embedstack.client"):
        ask(of_scores(at(dead, "a", task="rerank"), at(url, "b", task="rerank")), pairs())

    assert "event=fell_back task=rerank from=a to=b" in caplog.text


def test_many_callers_share_one_proof(up):
    first, replica = Failing(), Plain()
    urls = up(first, replica)
    plan = of(at(urls[0], "a"), at(urls[1], "b"))

    async def run():
        async with Router(plan) as router:
            await router.encode(wish())
            await settled(router)
            first.is_broken = True
            await asyncio.gather(*(router.encode(wish(f"text {n}")) for n in range(10)))

    asyncio.run(run())

    probing = [request for request in replica.asked if request.caller == "router"]
    assert len(replica.texts) == 10
    assert len(probing) <= 4  # documents, queries, the long one, and in how many parts a server takes them


def test_one_router_serves_one_loop_after_another(up):
    (url,) = up(Plain())
    router = Router(of(at(url, "a")))

    asyncio.run(router.look())
    answer = asyncio.run(last(router, wish()))

    assert answer.dense.shape == (3, 256)


async def last(router: Router, request: Encode) -> Encoded:
    async with router:
        return await router.encode(request)


def test_after_a_look_the_models_are_known_by_their_own_names(up):
    (url,) = up(Plain())
    one, other = at(url, "a"), at(url, "a", task="rerank")
    router = Router(Plan(embed=Way(targets=(one,)), rerank=Way(targets=(other,))))

    asyncio.run(router.look())

    assert [(spec.name, spec.dim) for spec in router.models()] == [("hash", 256), ("overlap", 0)]


def test_what_is_down_is_told_by_model_and_looked_at_again(tell):
    sick, clock = tell(*[(503, {"error": "no worker"})] * 2, {"status": "ok"}), Time()
    router = Router(of_scores(at(sick.url, "a", "rag-stack", "rerank"), way={"model": "r"}), clock=clock)

    async def run():
        await router.look()
        told = router.down()
        clock.now += 61
        router.down()
        await settled(router)
        clock.now += 61
        router.down()
        await settled(router)
        again = router.down()
        await router.close()
        return told, again

    told, again = asyncio.run(run())

    assert list(told) == ["r"]
    assert told["r"].startswith("no endpoint for scores can be had: a (http://127.0.0.1:")
    assert told["r"].endswith("503 Service Unavailable: no worker")
    assert again == {}


def test_nothing_runs_on_when_a_router_is_closed(up):
    first = Held()
    first.is_held = True
    urls = up(first, Plain())

    async def run():
        router = Router(of(at(urls[0], "a"), at(urls[1], "b"), warm_up=True, hedge_after_s=0.05))
        asking = asyncio.ensure_future(router.encode(wish()))
        await asyncio.to_thread(first.entered.wait, 20)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await router.close()
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(run()) == []
