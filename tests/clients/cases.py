"""The texts that every client sends."""

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Ein Bär trank süßen Tee am Fluss — über Nacht.",
    "кошка сидит на окне 猫が窓辺に座っている القطة على النافذة",
    "a cat 🐈‍⬛, a flag 🇺🇦 and a heart ❤️ in one line 👩🏽‍🚀",
    'quotes " and \\ backslashes, a tab\tand a\nnew line',
    "x",
)
MANY = tuple(
    f"Line {number}: {'the river near the old stone city was quiet ' * (number % 7)}at {number * 37 % 101} o'clock."
    for number in range(130)
)
LONG = " ".join(f"word{number} and the tree by the water" for number in range(120))  # over MiniLM's 256 tokens
QUERY = "what is the panda"
DOCUMENTS = (
    "the king and the queen are in the city",
    "the panda is a bear of china",
    "music of the night",
    "a stone in the river",
    "why do they read paper by the light of the moon?",
)
SENTENCE = "the queen of the day is a child of war"
