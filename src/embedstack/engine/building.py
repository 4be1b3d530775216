"""A model on disk and how to run it -> the model ready to run; and what it will need, before it is loaded."""

import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from embedstack.catalog import Located, weight_files
from embedstack.catalog.catalog import entry_of
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.engine.memory import RememberedNeed
from embedstack.engine.naming import Asked
from embedstack.engine.need import Need, Sizes, estimate
from embedstack.engine.tuning import Remembered, choose_lanes, note_path, run_all_sizes, warm_up
from embedstack.errors import ConfigError
from embedstack.inputs.text import TextInput
from embedstack.models import FAMILIES, family_of
from embedstack.models.folder import chosen, root_of
from embedstack.models.weights import open_weights, unread_weights
from embedstack.modelspec import ModelSpec, Precision
from embedstack.proof.noted import ROUNDED, RUNTIME, Note, prove_once, require_truth
from embedstack.proof.proving import Proving
from embedstack.runtimes import Options, Runtime, open_runtime
from embedstack.runtimes.processor import choose_precision, flags, usable_threads

if TYPE_CHECKING:
    from embedstack.inputs.image import ImageInput

Say = Callable[[str], None]
Find = Callable[[str, str], Located]
"""A model's name and its runtime -> where it is."""
WARM_UP_S = 1.0  # enough for every length up to 64 of a small model
WEIGHED_TOKENS = 8192  # a text of 32,768 tokens would take minutes on two cores, in each lane
LIKELY_LANES = 2  # where nobody has measured yet
MEASURING_S = 4.0  # what measuring them takes with MiniLM: each count for 0.6 s, and a load for each
AUTO: dict[str, Precision] = {"numpy": "float64"}  # of runtimes that do not ask the processor; float32 for the others


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """The settings that decide how a model runs."""

    runtime: str
    precision: str
    device: str
    threads: int
    lanes: int
    batch_tokens: int
    max_text_chars: int
    cache_dir: Path
    version: str  # of this package: another one may need other lanes and another memory
    max_image_bytes: int = 10 * 2**20
    max_image_pixels: int = 50_000_000
    is_serving: bool = False  # it will run for long: lanes are measured if nobody has yet, and graphs are warmed
    is_weighed: bool = False  # its memory is measured, so batches of all sizes are run before
    allow_unproven: bool = False  # int8 may run where it has not passed its proof


@dataclass(frozen=True)
class Recipe:
    """A model that can be loaded, again and again.

    Args:
        origin: its spec under its own name, as the catalog knows it.
        spec: the same under the name that it is served by.
        aliases: the other names that requests may use for it.
        is_variant: see `naming.Named`.
    """

    folder: Path
    origin: ModelSpec
    spec: ModelSpec
    aliases: tuple[str, ...]
    is_variant: bool
    how: How
    say: Say
    again: "Callable[[], Recipe]"  # reads the files' identity anew: they may have changed
    asked: str = ""  # the model as the user named it: a folder, say

    def open(self, batches: Callable[[], int] = lambda: 0) -> Loaded:
        """Read the weights.

        Args:
            batches: that other models here have run so far; where they run meanwhile, no speed is remembered.
        Raises:
            ConfigError, Mismatch, Unsupported, RuntimeFailed: the message says what to do.
        """
        began, how = time.monotonic(), self.how
        if self._is_unnoted and not how.allow_unproven:
            require_truth(self._note, self.asked or self.spec.name)
        with ThreadPoolExecutor(1) as beside:  # the tokeniser is read while the graph is compiled
            text = beside.submit(self._text)
            runtime = self._runtime(batches)
        try:
            if how.is_serving:
                warm_up(runtime, self.spec, budget_s=WARM_UP_S)
            if how.is_weighed:
                run_all_sizes(runtime, self.spec, budget=self._weighed_tokens)
            self.say(f"{self.spec.name}: {how.runtime}, {runtime.reason}; ready in {time.monotonic() - began:.2f} s")
            return Loaded(self.spec, text.result(), runtime, self.aliases, self._image())
        except BaseException:
            runtime.close()
            raise

    def prove(self, loaded: Loaded, proving: Proving) -> bool:
        """Whether what was opened may be called proven, as far as it depends on its precision.

        int8 whose note is not here is compared with the truth in full, once.

        Args:
            proving: says when that is to be left.
        Raises:
            Mismatch: it is not near enough. NotReady: it was left.
        """
        if not self._is_unnoted:
            return True
        if self.how.allow_unproven:
            return False
        alone = Engine([replace(loaded, spec=self.origin, aliases=())])  # truth is kept under the model's own name
        try:
            prove_once(alone, self._note, self.folder, self.say, proving)
        finally:
            alone.stop()
        return True

    def opened(self) -> Loaded:
        """Opened and proven, for those who do not weigh it in between."""
        loaded = self.open()
        try:
            self.prove(loaded, Proving())
        except BaseException:
            loaded.runtime.close()
            raise
        return loaded

    def need(self) -> Need:
        """As it was measured on this machine, else estimated; no weight is read."""
        if remembered := self._remembered_need.read():
            return remembered
        how, lanes = self.how, self.how.lanes or self._remembered_lanes.read(most=self._threads)
        need = estimate(
            _sizes(self.folder, self.spec, how.runtime),
            how.runtime,
            self._likely_precision,
            lanes=lanes or min(LIKELY_LANES, self._threads),
            batch_tokens=self._largest_tokens,
            weighed_tokens=self._weighed_tokens if how.is_weighed else 0,
        )
        return need if lanes or self._threads == 1 else replace(need, load_s=need.load_s + MEASURING_S)

    def note(self, need: Need) -> None:
        """Remember what was measured."""
        self._remembered_need.write(need)

    def stamp(self) -> Hashable:
        """Changes when somebody changes the files; None where they cannot be read."""
        try:
            below = [path.relative_to(self.folder).as_posix() for path in self.folder.glob("*/*")]
            names = chosen([*(path.name for path in self.folder.iterdir()), *below])
            stats = [(name, (self.folder / name).stat()) for name in names]
        except OSError:
            return None
        return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)

    def called_also(self, names: Sequence[str]) -> "Recipe":
        """The same, under more names."""
        aliases = tuple(name for name in dict.fromkeys((*self.aliases, *names)) if name != self.spec.name)
        return replace(self, aliases=aliases, again=lambda: self.again().called_also(names))

    @property
    def precision(self) -> str:
        """As it was asked for."""
        return self.how.precision

    @property
    def key(self) -> Hashable:
        """Equal for two ways to ask for the same thing."""
        return self.folder, self.how.runtime, self.how.precision

    # ------------------------------------------------------------------

    def _text(self) -> TextInput:
        return TextInput(self.folder, self.spec, max_text_chars=self.how.max_text_chars)

    def _image(self) -> "ImageInput | None":
        vision = self.spec.architecture.vision
        if vision is None or "image" not in self.spec.inputs:
            return None
        from embedstack.inputs.image import ImageInput  # imports Pillow, which a process without pictures does without

        return ImageInput(vision, max_bytes=self.how.max_image_bytes, max_pixels=self.how.max_image_pixels)

    def _runtime(self, batches: Callable[[], int]) -> Runtime:
        """With the lanes that were asked for, else those that were measured, else one."""
        how, threads, name = self.how, self._threads, self.spec.name

        def build(lanes: int) -> Runtime:
            options = Options(precision=how.precision, device=how.device, threads=threads, lanes=lanes)
            read = unread_weights if how.runtime == "reference" else open_weights
            return open_runtime(how.runtime)(self.spec, read(self.folder), options)

        lanes = how.lanes or self._remembered_lanes.read(most=threads)
        if lanes or not how.is_serving or threads == 1:
            return build(lanes or 1)
        self.say(f"{name}: measuring how many batches at once pay here; remembered for the next start")
        before = batches()
        measured = choose_lanes(build, self.spec, most=threads, budget=how.batch_tokens)
        failure = measured.failure or ("requests for other models ran meanwhile" if batches() > before else "")
        if failure:  # it may pass, so the next start measures again
            self.say(f"{name}: lanes={measured.lanes}, not remembered, because {failure}")
        else:
            self._remembered_lanes.write(measured.lanes)
        return measured.runtime

    @property
    def _note(self) -> Note:
        return Note(self.origin, self.how.cache_dir, self.how.version)

    @property
    def _is_unnoted(self) -> bool:
        """int8 that has not passed its proof here; what another runtime says to int8 is its own refusal."""
        return (self.how.runtime, self.how.precision) == (RUNTIME, ROUNDED) and not self._note.is_there()

    @property
    def _largest_tokens(self) -> int:
        """Of a batch: an item that is longer than a batch may be runs alone, however long it is."""
        vision = self.spec.architecture.vision
        return max(self.how.batch_tokens, self.spec.max_tokens, vision.tokens if vision else 0)

    @property
    def _weighed_tokens(self) -> int:
        """Of the largest batch that is run only to weigh the model; what longer items add is reckoned."""
        return min(self._largest_tokens, max(self.how.batch_tokens, WEIGHED_TOKENS))

    @property
    def _threads(self) -> int:
        return self.how.threads or usable_threads()

    @property
    def _likely_precision(self) -> Precision:
        if self.how.precision != "auto":
            return self.how.precision  # type: ignore[return-value]  # another word is refused when it is opened
        return choose_precision("auto")[0] if self.how.runtime == "openvino" else AUTO.get(self.how.runtime, "float32")

    @cached_property
    def _circumstances(self) -> tuple[object, ...]:
        how = self.how
        return (
            how.version, self.spec.space, how.runtime, how.precision, how.device, self._threads, how.batch_tokens,
            *sorted(flags()),
        )  # fmt: skip

    @property
    def _remembered_lanes(self) -> Remembered:
        return Remembered(self.how.cache_dir, self._circumstances)

    @property
    def _remembered_need(self) -> RememberedNeed:
        how = self.how  # what was measured before batches of all sizes had run is less than what it will hold
        return RememberedNeed(note_path(how.cache_dir, "needs", (*self._circumstances, how.lanes, how.is_weighed)))


def open_all(recipes: Sequence[Recipe], into: Callable[[list[Loaded]], Engine]) -> Engine:
    """All of them in one engine; where one fails, nothing stays open of the others."""
    with ExitStack() as opening:
        models: list[Loaded] = []
        for recipe in recipes:
            models.append(recipe.opened())
            opening.callback(models[-1].runtime.close)
        engine = into(models)
        opening.pop_all()
    return engine


def recipe_of(asked: Asked, find: Find, how: How, say: Say) -> Recipe:
    """How the model that a user asked for is loaded and called.

    Args:
        find: brings the files of a model by its name, and reads what they are.
        how: what holds where the user asked for nothing else.
    Raises:
        As `catalog.find`.
    """
    how = replace(how, runtime=asked.runtime or how.runtime, precision=asked.precision or how.precision)
    located = find(asked.model, how.runtime)
    spec = located.spec
    public = asked.public(spec.name)
    written = asked.text if public != spec.name else asked.model
    return Recipe(
        located.folder,
        spec,
        spec if public == spec.name else replace(spec, name=public),
        tuple(name for name in dict.fromkeys((written, *_spellings(spec))) if name != public),
        public != spec.name,
        how,
        say,
        lambda: recipe_of(asked, find, how, say),
        asked.model,
    )


def _spellings(spec: ModelSpec) -> tuple[str, ...]:
    """The catalog's names for this very revision; a user's own folder has none, whatever it is called."""
    entry = entry_of(spec.name)
    return entry.spellings if entry and entry.revision == spec.revision else ()


def _sizes(folder: Path, spec: ModelSpec, runtime: str) -> Sizes:
    """From the headers of the files."""
    tokenizer = root_of(folder) / "tokenizer.json"
    tokenizer_bytes = tokenizer.stat().st_size if tokenizer.is_file() else 0
    size_bytes = sum(path.stat().st_size for path in weight_files(folder))
    vision = spec.architecture.vision
    seen = (vision.intermediate, vision.hidden, vision.patch_width) if vision else ()
    widest = max(spec.architecture.intermediate, spec.architecture.hidden, *seen)
    try:
        weights = (unread_weights if runtime == "reference" else open_weights)(folder)
    except ConfigError:  # what is wrong with them is said when they are loaded
        weights = unread_weights(folder)
    shapes = {name: weights.shape(name) for name in weights.names()}
    if not shapes:
        return Sizes(size_bytes // 4, 0, True, tokenizer_bytes, widest)
    numbers = sum(prod(shape) for shape in shapes.values())
    # a vocabulary that logits are products with is packed as other weights are, also where ids are looked up in it
    tables = [shape for name, shape in shapes.items() if len(shape) == 2 and "embed" in name and not spec.is_lexical]
    looked_up = sum(map(prod, tables))
    kind = spec.architecture.family  # of the reference runtime's it is none of ours
    causal_tokens = spec.max_tokens if kind in FAMILIES and family_of(kind, spec.name).causal else 0
    return Sizes(numbers - looked_up, looked_up, size_bytes >= 4 * numbers, tokenizer_bytes, widest, causal_tokens)
