"""Endpoints that change what they are: nothing of another space, and nothing rounded, comes out unasked."""

import asyncio

import numpy as np
import pytest
from replicas import Failing, Plain, nameless
from routers import OTHER, Time, ask, at, fallen, of, settled, wish

from embedstack.client.plan import Plan
from embedstack.client.proofs import PROOF_TTL_S
from embedstack.client.router import Router
from embedstack.client.space import Known
from embedstack.errors import BadRequest, NoEndpoint, TooLong
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Encoded
from support.serving import serving


class Changing(Plain):
    """Becomes another model, or another precision."""

    def change(self) -> None:
        self._specs = OTHER

    def round(self, off: float = 7e-4, precision: str = "int8") -> None:
        self.off, self.precision = off, precision


class Curtain:
    """Stands before a server; while it is drawn, nobody hears which model answers."""

    is_drawn = False

    def __call__(self, app):
        bare = nameless(app)

        async def wrapped(scope, receive, send):
            await (bare if self.is_drawn and scope["type"] == "http" else app)(scope, receive, send)

        return wrapped


def around(plan: Plan, change, request: Encode | None = None, **options: object) -> tuple[Encoded, object]:
    """What comes before and after a change of the first endpoint, which has proven itself."""

    async def run():
        async with Router(plan, **options) as router:
            before = await router.encode(request or wish())
            await settled(router)
            change()
            after = await asyncio.gather(router.encode(request or wish()), return_exceptions=True)
            return before, after[0]

    return asyncio.run(run())


# ------------------------------------------------------------------------------------------------ claims


def test_who_says_nothing_of_itself_any_more_is_judged_again_before_its_answer_goes_out(up):
    first, curtain = Changing(), Curtain()

    def change():
        first.off = 0.3
        curtain.is_drawn = True

    with serving(lambda: first, curtain) as url:
        before, after = around(of(at(url, "a"), at(up(second := Plain())[0], "b")), change)

    assert np.allclose(before.dense, after.dense)
    assert len(second.texts) == 3


def test_who_says_nothing_of_itself_any_more_and_is_the_same_goes_on(up):
    curtain, second = Curtain(), Plain()
    with serving(Plain, curtain) as url:
        plan = of(at(url, "a"), at(up(second)[0], "b"))
        before, after = around(plan, lambda: setattr(curtain, "is_drawn", True))

    assert np.array_equal(before.dense, after.dense)
    assert second.texts == []


def test_a_model_that_becomes_another_is_not_heard_by_many_who_ask_at_once(up):
    first = Changing()
    (url,) = up(first)

    async def run():
        async with Router(of(at(url, "a"), at(url, "b"))) as router:
            await router.encode(wish())
            await settled(router)
            first.change()
            return await asyncio.gather(*(router.encode(wish()) for _ in range(8)), return_exceptions=True)

    assert {type(one) for one in asyncio.run(run())} == {NoEndpoint}


@pytest.mark.parametrize(("allow_int8", "is_taken"), [(False, False), (True, True)])
@pytest.mark.parametrize("with_probes", [True, False])
def test_a_first_endpoint_that_comes_back_in_int8_is_taken_only_where_that_is_allowed(
    up, tmp_path, with_probes, allow_int8, is_taken
):
    first = Changing()
    (url,) = up(first)
    plan = of(at(url, "a"), probes=tmp_path / "p.json" if with_probes else None, allow_int8=allow_int8)

    _, after = around(plan, first.round)

    assert isinstance(after, Encoded) is is_taken


@pytest.mark.parametrize("request_", [wish(dim=16), wish(truncate="left")], ids=["dim", "truncate"])
@pytest.mark.parametrize("with_probes", [True, False])
def test_int8_is_seen_in_terms_that_were_never_asked_for_before(up, tmp_path, with_probes, request_):
    first = Changing()
    (url,) = up(first)
    plan = of(at(url, "a"), probes=tmp_path / "p.json" if with_probes else None)

    async def run():
        async with Router(plan) as router:
            await router.encode(wish())
            await settled(router)
            first.round()
            return await asyncio.gather(router.encode(request_), return_exceptions=True)

    assert "with allow_int8 = true" in asyncio.run(run())[0].message


def test_another_precision_that_is_near_enough_goes_on(up, tmp_path):
    first = Changing()
    (url,) = up(first)

    before, after = around(of(at(url, "a"), probes=tmp_path / "p.json"), lambda: first.round(6e-5, "bfloat16"))

    assert before.fingerprint != after.fingerprint
    assert after.spec.space == before.spec.space


def test_requests_of_other_terms_have_other_fingerprints_and_are_no_change(up, tmp_path):
    (url,) = up(first := Plain())
    requests = [wish(), wish(dim=16), wish(normalize=False), wish(dim=16)]

    answers = ask(of(at(url, "a"), probes=tmp_path / "p.json"), *requests)

    assert all(isinstance(answer, Encoded) for answer in answers)
    assert sum(request.caller == "router" for request in first.asked) == 4


# ------------------------------------------------------------------------------------------------ one endpoint


def test_one_endpoint_alone_must_go_on_being_the_same_model(up):
    first = Changing()
    (url,) = up(first)

    _, error = around(of(at(url, "a")), first.change)

    assert isinstance(error, NoEndpoint)
    assert f"it was of the space {hash_spec(dim=256).space} and says now that it is of the space" in error.message


def test_one_endpoint_alone_must_go_on_saying_what_it_is():
    curtain = Curtain()
    with serving(Plain, curtain) as url:
        _, error = around(of(at(url, "a")), lambda: setattr(curtain, "is_drawn", True))

    assert "says now that it is of no space" in error.message


def test_one_stranger_alone_must_keep_its_width(strangers):
    first = Changing()
    (url,) = strangers(first)

    _, error = around(of(at(url, "a")), lambda: setattr(first, "_specs", (hash_spec(dim=64),)))

    assert "its vectors are 64 numbers wide now, and 256 are wanted" in error.message


def test_the_model_on_this_machine_says_how_wide_vectors_are(strangers):
    (url,) = strangers(Plain())

    (error,) = ask(of(at(url, "a")), wish(), known=Known(hash_spec(dim=32)))

    assert "its vectors are 256 numbers wide, and 32 are wanted" in error.message


# ------------------------------------------------------------------------------------------------ what is proven


@pytest.mark.parametrize("is_kept", [False, True])
def test_who_gave_what_the_space_is_known_by_may_be_asked_for_the_same_after_an_hour(strangers, tmp_path, is_kept):
    clock, (url,) = Time(), strangers(Plain())
    plan = of(at(url, "a"), at(url, "b"), probes=tmp_path / "p.json" if is_kept else None)

    async def run():
        async with Router(plan, clock=clock) as router:
            await router.encode(wish())
            await settled(router)
            clock.now += PROOF_TTL_S + 1
            return await router.encode(wish(dim=16))

    assert asyncio.run(run()).dense.shape == (3, 16)


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (wish(normalize=False), "normalize=False"),
        (wish("a " * 2000), "texts of more than 2951 bytes"),
        (wish(dim=16), "dim=16"),
    ],
)
def test_a_stranger_is_not_asked_for_what_the_probes_do_not_show(strangers, up, request_, what):
    first, second = Failing(), Plain()
    plan = of(at(up(first)[0], "a"), at(strangers(second)[0], "b"))

    error = fallen(plan, first, request_)

    assert f"b: it is not proven for {what}" in error.message
    assert second.texts == []


@pytest.mark.parametrize("kind", [TooLong, BadRequest])
def test_a_refused_probe_is_not_the_callers_fault(up, kind):
    class Picky(Plain):
        async def encode(self, request):
            if request.caller == "router" or len(request.items) > 3:
                raise kind("a text is over 100 characters")
            return await super().encode(request)

    first, third = Failing(), Plain()
    urls = up(first, Picky(), third)

    answer = fallen(of(*(at(url, name) for url, name in zip(urls, "abc", strict=True))), first)

    assert isinstance(answer, Encoded)
    assert len(third.texts) == 3


def test_a_refusal_is_looked_into_again_after_a_minute(up):
    first, second, clock = Failing(), Changing(), Time()
    second.change()
    plan = of(*(at(url, name) for url, name in zip(up(first, second), "ab", strict=True)))

    async def run():
        async with Router(plan, clock=clock) as router:
            await router.encode(wish())
            await settled(router)
            first.is_broken = True
            refused = await asyncio.gather(router.encode(wish()), return_exceptions=True)
            second._specs = Plain()._specs
            clock.now += plan.health_ttl_s
            return refused[0], await router.encode(wish())

    refused, taken = asyncio.run(run())

    assert "b: it is of the space" in refused.message
    assert isinstance(taken, Encoded)


def refusals(up, second: Plain, times: int, every_s: float) -> None:
    """So many requests in turn, which neither the first endpoint nor this one answers."""
    first, clock = Failing(), Time()
    plan = of(*(at(url, name) for url, name in zip(up(first, second), "ab", strict=True)))

    async def run():
        async with Router(plan, clock=clock) as router:
            await router.encode(wish())
            await settled(router)
            first.is_broken = True
            for _ in range(times):
                with pytest.raises(NoEndpoint):
                    await router.encode(wish())
                clock.now += every_s

    asyncio.run(run())


def test_the_pause_after_a_refusal_doubles(up, caplog):
    refusals(up, Plain(specs=OTHER), 9, 60)

    assert caplog.text.count("event=refused") == 4  # at 0, 1, 3 and 7 minutes


def test_the_pause_after_a_refusal_is_an_hour_at_most(up, caplog):
    refusals(up, Plain(specs=OTHER), 10, PROOF_TTL_S)

    assert caplog.text.count("event=refused") == 10


def test_probes_that_are_refused_are_not_sent_with_every_request(up, caplog):
    class Picky(Plain):
        async def encode(self, request):
            raise BadRequest("a text is over 100 characters")

    refusals(up, Picky(), 3, 1)

    assert caplog.text.count("event=refused") == 1
    assert "it refused the probes" in caplog.text


def test_a_stranger_that_becomes_of_another_width_is_refused_from_then_on(up, strangers):
    first, second = Failing(), Changing()
    plan = of(at(up(first)[0], "a"), at(strangers(second)[0], "b"))

    async def run():
        async with Router(plan) as router:
            await router.encode(wish())
            await settled(router)
            first.is_broken = True
            await router.encode(wish())
            second._specs = (hash_spec(dim=64),)
            error = await asyncio.gather(router.encode(wish()), return_exceptions=True)
            return error[0], router._proofs.refusal(router._seats["embed"][1])

    error, refusal = asyncio.run(run())

    assert isinstance(error, NoEndpoint)
    assert refusal.startswith("its vectors are 64 numbers wide, those of a")


def test_what_was_found_out_before_an_endpoint_failed_for_long_is_dropped(up):
    first, second = Failing(), Plain()
    plan = of(*(at(url, name) for url, name in zip(up(first, second), "ab", strict=True)))

    async def run():
        async with Router(plan) as router:
            await router.encode(wish())
            await settled(router)
            (_, seat) = router._seats["embed"]
            for _ in range(3):
                await router._proofs.verdict(seat)
                seat.openings += 1
            await router._proofs.verdict(seat)
            return [key for key in router._proofs._verdicts._kept if key[0] is seat]

    assert len(asyncio.run(run())) == 1


# ------------------------------------------------------------------------------------------------ what is counted


def test_a_proof_that_fails_counts_once_however_many_wait_for_it(up):
    class Once(Plain):
        async def encode(self, request):
            self.asked.append(request)
            if len(self.asked) == 1:
                await asyncio.sleep(0.05)  # so that all wait for it
                raise RuntimeError("hiccup")
            return await super().encode(request)

    first = Failing()
    urls = up(first, Once())

    async def run():
        async with Router(of(at(urls[0], "a"), at(urls[1], "b"))) as router:
            await router.encode(wish())
            await settled(router)
            first.is_broken = True
            await asyncio.gather(*(router.encode(wish()) for _ in range(10)), return_exceptions=True)
            return router._seats["embed"][1].breaker.failures, await router.encode(wish())

    failures, answer = asyncio.run(run())

    assert failures <= 1
    assert isinstance(answer, Encoded)


def test_a_request_that_fails_at_the_first_endpoint_counts_once_there(up):
    first = Failing()
    first.is_broken = True
    urls = up(first, Plain())

    async def run():
        async with Router(of(at(urls[0], "a"), at(urls[1], "b"))) as router:
            await asyncio.gather(router.encode(wish()), return_exceptions=True)
            await settled(router)
            return router._seats["embed"][0].breaker.failures

    assert asyncio.run(run()) == 1
