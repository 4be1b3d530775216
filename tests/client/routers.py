"""Plans of a few servers for one task, what they are asked, and routers that ask them."""

import asyncio
from dataclasses import replace

from replicas import Failing

from embedstack.client.plan import Plan, Target, Way, target_of
from embedstack.client.router import Router
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, Pair, Score, Scored, Text

TEXTS = ("rain falls", "a cat is a small animal", "what is a cat?")
PAIRS = tuple(Pair("what is a cat?", text) for text in TEXTS)
OTHER = (hash_spec("other", dim=256), overlap_spec("jina-reranker"))


class Time:
    """A clock that only tests move."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wish(*texts: str, role: str = "document", **terms: object) -> Encode:
    return Encode(model="", items=tuple(Text(text, role) for text in texts or TEXTS), **terms)


def pairs(**terms: object) -> Score:
    return Score(model="", items=PAIRS, **terms)


def at(url: str, name: str = "", provider: str = "embedstack", task: str = "embed", **more: object) -> Target:
    """An endpoint, asked once."""
    keys = {"JINA_API_KEY": "jina-secret-key", "RUNPOD_API_KEY": "rp-secret-key", "HF_TOKEN": "hf-secret-key"}
    target = target_of(provider, task, keys, url=url, called=name, **more)
    return replace(target, retries=0)


def of(*targets: Target, way: dict | None = None, **rules: object) -> Plan:
    """For vectors, not warmed, asked without a look before."""
    terms = {"looks_first": False, **(way or {})}
    return Plan(embed=Way(targets=targets, **terms), **{"warm_up": False, **rules})


def of_scores(*targets: Target, way: dict | None = None, **rules: object) -> Plan:
    terms = {"looks_first": False, **(way or {})}
    return Plan(rerank=Way(targets=targets, **terms), **{"warm_up": False, **rules})


def ask(plan: Plan, *requests: Encode | Score, **options: object) -> list[Encoded | Scored | Exception]:
    """Each answer or error, in turn, of one router."""

    async def run() -> list[Encoded | Scored | Exception]:
        made = []
        async with Router(plan, **options) as router:
            for request in requests:
                try:
                    made.append(await answered(router, request))
                except Exception as error:
                    made.append(error)
                await settled(router)
        return made

    return asyncio.run(run())


async def answered(router: Router, request: Encode | Score) -> Encoded | Scored:
    return await (router.encode(request) if isinstance(request, Encode) else router.score(request))


async def settled(router: Router) -> None:
    """What runs beside the requests has ended, such as the first endpoint's probes."""
    beside = (*router._proofs._anchors._running.values(), *router._health._running.values(), *router._aside)
    await asyncio.gather(*beside, return_exceptions=True)


def fallen(plan: Plan, first: Failing, request: Encode | None = None, **options: object) -> Encoded | Exception:
    """What comes after the first endpoint answered once and then broke."""

    async def run():
        async with Router(plan, **options) as router:
            await router.encode(wish())
            await settled(router)
            first.is_broken = True
            try:
                return await router.encode(request or wish())
            except Exception as error:
                return error

    return asyncio.run(run())
