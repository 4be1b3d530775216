"""A number and a seed -> English texts of that many, always the same: short questions, or as long as real collections.

They measure speed, so only their lengths and their spread of words matter; what they say is our own.
"""

from collections.abc import Sequence
from random import Random

SENTENCES = (
    "The harbour freezes in January, and the ferries wait behind the breakwater until the ice is thin again.",
    "A baker who starts at three in the morning sells the first loaves before the buses run.",
    "Copper conducts heat well, which is why old kettles were made of it.",
    "Nobody in the village remembers who planted the lime trees along the road to the station.",
    "The second edition corrects forty errors, most of them in the tables at the end.",
    "When the river rose above the lower bridge, the school sent its pupils home along the hill.",
    "Bees find their way by the sun, and on a grey day by the pattern of polarised light.",
    "The contract runs for two years and ends without notice unless both sides sign again.",
    "She tuned the cello, looked at the clock, and decided to play the slow movement first.",
    "Granite, basalt and slate were carried down the valley on sledges.",
    "To reset the device, hold both buttons for ten seconds until the lamp turns green.",
    "The museum keeps its oldest maps in a dark room at eighteen degrees.",
    "Water boils at a lower temperature on a mountain, so beans need more time there.",
    "An index makes a query faster and every insertion a little slower.",
    "The orchestra rehearsed in an empty warehouse because the hall was being repaired.",
    "Lemon, salt and a little sugar are enough for the dressing.",
    "The committee met on the fourth of March 1897 and again, with fewer members, in the autumn.",
    "Penguins share the work: one parent warms the egg while the other fishes for weeks.",
    "If the patient has a fever above 39 degrees for more than two days, a doctor should be asked.",
    "The railway company sold 12,480 tickets that summer, three times as many as the year before.",
    "His grandfather repaired radios, and the attic still smells of solder and warm dust.",
    "Plants close the pores of their leaves at noon to keep their water.",
    "The lighthouse was built twice, since the first tower stood on sand.",
    "Please send the invoice to the address above and name the order number.",
    "In chess an advantage in space is worth little if the pieces cannot reach it.",
    "The northern lights were seen as far south as the lakes that night.",
    "A good translation keeps the rhythm of a sentence even where it must change every word.",
    "The factory made bicycles until 1962, then sewing machines, and closed ten years later.",
    "Sheep know the faces of fifty others, and remember them for years.",
    "The new law allows shops to open on four Sundays a year.",
    "Iron rusts faster near the sea because salt carries the current.",
    "The archive holds letters, receipts, two diaries and a box of unlabelled photographs.",
    "Each volunteer waters the seedlings twice a week and writes down the temperature.",
    "An eclipse of the moon can be watched with the naked eye, unlike one of the sun.",
    "The goalkeeper saved two penalties, and the match still ended one to nil.",
    "Dry the mushrooms slowly, in a warm room with moving air.",
    "The bridge carries trams above and a water main below.",
    "Most of the vocabulary of the dialect comes from fishing and from the weather.",
    "Without friction a belt would slip, and with too much of it the engine wastes its strength.",
    "The opera was a failure in Vienna and a triumph in Prague within the same winter.",
)
OPENINGS = (
    "how do I", "where can I", "when should you", "what is the best way to", "is it safe to", "why would anyone",
    "how much does it cost to", "who is allowed to", "how long does it take to", "can a beginner",
)  # fmt: skip
DEEDS = (
    "repair", "store", "translate", "measure", "clean", "sell", "restore", "paint", "carry", "register", "replace",
    "insure",
)  # fmt: skip
THINGS = (
    "an old cello", "a wooden boat", "a rental contract", "dried mushrooms", "a copper kettle", "a letter from 1897",
    "two bicycles", "a school building", "an unlabelled photograph", "a water main", "sheep", "a lighthouse",
)  # fmt: skip
ENDINGS = ("", "", "in winter", "without special tools", "after a flood", "near the sea", "for the first time")


def questions(count: int, seed: int = 0) -> list[str]:
    """Five to fifteen words each."""
    draw = Random(seed)  # noqa: S311  # texts, not secrets
    return [
        f"{draw.choice(OPENINGS)} {draw.choice(DEEDS)} {draw.choice(THINGS)} {draw.choice(ENDINGS)}".strip() + "?"
        for _ in range(count)
    ]


def mixed(count: int, seed: int = 0, sentences: Sequence[str] = SENTENCES) -> list[str]:
    """As collections are: about half questions of a line, half paragraphs; with a BERT tokeniser 81 tokens on average.

    The shares and lengths are those of XQuAD's 240 English paragraphs with 272 of their questions.
    """
    draw = Random(seed)  # noqa: S311
    lengths = [draw.randint(4, 20) if draw.random() < 0.53 else draw.randint(60, 220) for _ in range(count)]
    return [_text(words, draw, sentences) for words in lengths]


def long(count: int, words: int, seed: int = 0, sentences: Sequence[str] = SENTENCES) -> list[str]:
    """Texts of about so many words each."""
    draw = Random(seed)  # noqa: S311
    return [_text(words, draw, sentences) for _ in range(count)]


def _text(words: int, draw: Random, sentences: Sequence[str]) -> str:
    made: list[str] = []
    while len(made) < words:
        made += draw.choice(sentences).split()
    return " ".join(made[:words])
