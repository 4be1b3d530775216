"""Names of models -> what makes vectors of texts and of pictures, opened when the first of them is met."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType

from embedstack.api import locate, model_names, open_engine
from embedstack.deduping.encoding import Encoding
from embedstack.errors import BadRequest, ConfigError, Unsupported, Upstream
from embedstack.inputs.measure import TextRuler
from embedstack.model import Model
from embedstack.modelspec import Input, ModelSpec
from embedstack.settings import Settings

IMAGE_MODEL = "clip-vit-base-patch32"  # the smallest of the catalog that reads pictures
NOUNS: dict[Input, str] = {"text": "texts", "image": "pictures"}
Say = Callable[[str], None]


class Models:
    """Of each type the first that was named and reads it; where none was named, the settings' first, or the one above.

    Closing it closes the models.
    """

    def __init__(self, named: Sequence[str], settings: Settings, say: Say) -> None:
        """
        Args:
            say: takes a line for the person who waits.
        """
        self._named = named
        self._settings = settings
        self._say = say
        self._open: dict[str, Encoding] = {}
        self._closing = ExitStack()

    def of(self, kind: Input) -> Encoding:
        """Opened now if it is not.

        Raises:
            Unsupported: none of those that were named makes vectors of this type. What `open_engine` raises.
        """
        try:
            return self._opened(kind)
        except (BadRequest, ConfigError, Upstream) as error:
            raise type(error)(f"{error.message}; without a model --exact finds {NOUNS[kind]} that are equal") from error

    def _opened(self, kind: Input) -> Encoding:
        name = self._name_for(kind)
        if name not in self._open:
            engine = open_engine(self._settings, [name], self._say)
            model = self._closing.enter_context(Model(engine))
            self._open[name] = Encoding(model, TextRuler(engine.find("", "embed").text, model.spec))
        return self._open[name]

    def unused(self) -> list[str]:
        """Those that were named for nothing."""
        return [name for name in self._named if name not in self._open]

    def _name_for(self, kind: Input) -> str:
        if not self._named:
            return IMAGE_MODEL if kind == "image" else model_names(self._settings)[0]
        for name in self._named:
            if _reads(locate(name, self._settings, self._say).spec, kind):
                return name
        wanted = f", such as {IMAGE_MODEL!r}" if kind == "image" else ""
        raise Unsupported(
            f"{' and '.join(map(repr, self._named))} cannot make vectors of {NOUNS[kind]}; add --model with one that "
            f"can{wanted}"
        )

    def __enter__(self) -> "Models":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()


def _reads(spec: ModelSpec, kind: Input) -> bool:
    return spec.task == "embed" and kind in spec.inputs and "dense" in spec.outputs
