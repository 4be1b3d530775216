"""A folder of labelled sets, or nothing -> the named sets of texts that all contenders encode."""

import json
from pathlib import Path
from random import Random

from embedstack.evals import sentences

RUSSIAN = (
    "Гавань замерзает в январе, и паромы ждут за волноломом, пока лёд не станет тоньше.",
    "Пекарь, который встаёт в три часа ночи, продаёт первый хлеб раньше, чем пойдут автобусы.",
    "Медь хорошо проводит тепло, поэтому старые чайники делали из неё.",
    "Никто в деревне не помнит, кто посадил липы вдоль дороги к станции.",
    "Второе издание исправляет сорок ошибок, большинство из них в таблицах в конце книги.",
    "Когда река поднялась выше нижнего моста, школа отпустила учеников домой по склону холма.",
    "Пчёлы находят дорогу по солнцу, а в пасмурный день по рисунку поляризованного света.",
    "Договор действует два года и заканчивается без уведомления, если стороны не подпишут его снова.",
    "Она настроила виолончель, взглянула на часы и решила начать с медленной части.",
    "Гранит, базальт и сланец спускали в долину на санях.",
    "Музей хранит самые старые карты в тёмной комнате при восемнадцати градусах.",
    "В горах вода кипит при более низкой температуре, и фасоль варится дольше.",
    "Индекс ускоряет запрос и немного замедляет каждую вставку.",
    "Для заправки достаточно лимона, соли и щепотки сахара.",
    "Железная дорога продала тем летом 12 480 билетов, втрое больше, чем годом раньше.",
    "Дед чинил радиоприёмники, и на чердаке до сих пор пахнет паяльником и тёплой пылью.",
    "Маяк строили дважды, потому что первая башня стояла на песке.",
    "Хороший перевод сохраняет ритм предложения даже там, где приходится менять каждое слово.",
    "Железо у моря ржавеет быстрее, потому что соль проводит ток.",
    "Сушите грибы медленно, в тёплой комнате, где движется воздух.",
)
MIXED, OTHERS = 512, 48


def text_sets(data: Path | None, *, quick: bool) -> dict[str, list[str]]:
    """Name -> texts, always the same ones.

    Args:
        data: holds xquad/xquad.en.json and xquad.ru.json; our own words in its place if None.
    """
    mixed = xquad(data, "en", 240, 272) if data else sentences.mixed(MIXED)
    russian = xquad(data, "ru", 24, 24) if data else sentences.mixed(OTHERS, 1, RUSSIAN)
    sets = {
        "mixed": mixed,
        "short": sentences.questions(MIXED),
        "long": sentences.long(OTHERS, 450),
        "russian": russian,
        "shuffled": shuffled(mixed)[: MIXED // 4],
    }
    return {name: thin(texts, 48) for name, texts in sets.items() if name in ("mixed", "short")} if quick else sets


def sources(data: Path | None) -> dict[str, str]:
    """What each set is, for the result."""
    of = "XQuAD-{} paragraphs, then questions" if data else "our own words ({}), questions and paragraphs"
    return {
        "mixed": of.format("en"),
        "short": "our own words, questions",
        "long": "our own words, over 512 tokens; all-MiniLM-L6-v2 reads the first 256",
        "russian": of.format("ru"),
        "shuffled": "a quarter of mixed, in random order",
    }


def xquad(data: Path, language: str, paragraphs: int, questions: int) -> list[str]:
    """Paragraphs, evenly from all, and the first questions after them."""
    articles = json.loads((data / f"xquad/xquad.{language}.json").read_text())["data"]
    given = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [qa["question"] for paragraph in given for qa in paragraph["qas"]]
    return [paragraph["context"] for paragraph in thin(given, paragraphs)] + asked[:questions]


def shuffled(texts: list[str]) -> list[str]:
    order = list(texts)
    Random(0).shuffle(order)
    return order


def thin(things: list, count: int) -> list:
    """So many, spread evenly over all."""
    return [things[place] for place in places(len(things), count)]


def places(total: int, count: int) -> list[int]:
    """So many places, spread evenly from the first on."""
    count = min(count, total)
    return [n * total // count for n in range(count)]
