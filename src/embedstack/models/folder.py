"""A model folder -> its JSON files with every field's type and range checked, and which of its files are the model."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedstack.errors import ConfigError

HEADS = {"sparse": "sparse_linear.pt", "multi": "colbert_linear.pt"}
_CONTAINERS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_PLAIN_NAME = re.compile(r"[\w][\w.-]*", re.ASCII)
SETTINGS_NAMES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""In the order in which sentence-transformers 6.2 looks for them, `base/modules/transformer.py`."""
_FIRST = r"(0_\w+/)?"  # where an encoder's own files lie: in the folder itself, or in that of its first module
_SMALL = re.compile(
    r"modules\.json|config_sentence_transformers\.json|README\.md|LICEN[CS]E(\.\w+)?"
    r"|\d+_\w+/config\.json"  # the modules of sentence-transformers
    rf"|{_FIRST}("
    r"config\.json|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|(pre)?processor_config\.json|"
    r"chat_template\.jinja|" + "|".join(re.escape(name) for name in SETTINGS_NAMES) + ")"
)
_WEIGHTS = (  # the first form that a repository has is taken
    re.compile(_FIRST + r"model\.safetensors"),
    re.compile(_FIRST + r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?"),
    re.compile(_FIRST + r"pytorch_model\.bin"),
    re.compile(_FIRST + r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?"),
)
_MODULE_WEIGHTS = (
    re.compile(r"[1-9]\d*_\w+/model\.safetensors"),
    re.compile(r"[1-9]\d*_\w+/pytorch_model\.bin"),
)
"""Of modules beside the encoder, such as 2_Dense; only the reference runtime reads them."""
_MOST = 2**31 - 1  # no size, count or id of a model is larger
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object and where it is from. A field that is null counts as absent."""

    path: Path
    values: Mapping[str, object]

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.values.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
            raise self.wrong(name, f"a whole number from 0 to {_MOST}")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.values.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "a number")
        try:
            number = float(value)
        except OverflowError as error:
            raise self.wrong(name, "a number of a usual size") from error
        if not math.isfinite(number):
            raise self.wrong(name, "a finite number")
        return number

    def limit(self, name: str) -> int | None:
        """A number of tokens, None where none is stated; 1e30 is customary for one that limits nothing."""
        if name not in self:
            return None
        number = self.number(name, 0)
        if number < 0 or not number.is_integer():
            raise self.wrong(name, "a whole number from 0 on")
        return int(number)

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        value = default if value is None else value
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.values.get(name)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.values.get(name)
        value = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, "a list of strings")
        return value

    def table(self, name: str) -> "Fields":
        value = self.values.get(name)
        value = {} if value is None else value
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Fields(self.path, value)

    def wrong(self, name: str, wanted: str) -> ConfigError:
        value = repr(self.values.get(name))
        shown = value if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]}..."
        found = f"is {shown}, not {wanted}" if name in self.values else f"is missing; it must be {wanted}"
        return ConfigError(f"{str(self.path)!r}: {name!r} {found}; pull the model again or mend the file")


def read_json(path: Path) -> object:
    """The value in a file.

    Raises:
        ConfigError: not there, or no JSON; the message names the place.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(
            f"{str(path)!r} is not there; the folder must hold a whole model, so pull it again"
        ) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{str(path)!r} is no JSON at {place} ({error.msg}); pull the model again") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} is no JSON ({error}); pull the model again") from error


def read_fields(path: Path) -> Fields:
    """The object in a file."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ConfigError(f"{str(path)!r} holds {type(value).__name__}, not an object; pull the model again")
    return Fields(path, value)


def read_fields_if_there(path: Path) -> Fields:
    """The object in a file, empty where there is no file."""
    return read_fields(path) if path.is_file() else Fields(path, {})


def module_rows(folder: Path) -> list[tuple[str, str]]:
    """Class path and place of each module, in order; none where there is no modules.json.

    Raises:
        ConfigError: it is no list of modules, or a place is outside the folder.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return []
    rows = read_json(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{str(path)!r} holds no list of modules; pull the model again")
    fields = [Fields(path, row) for row in rows]
    modules = [(row.text("type"), row.text("path")) for row in fields]
    for _, place in modules:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise ConfigError(f"{str(path)!r} names {place!r}, which is outside the folder; pull the model again")
    return modules


def root_of(folder: Path) -> Path:
    """Where the encoder's own files lie, its weights, config.json and tokeniser: where the first module is."""
    rows = module_rows(folder)
    return folder / rows[0][1] if rows else folder


def chosen(names: Iterable[str]) -> list[str]:
    """Of a repository's files those that a model here reads, weights last: one form of them, not all."""
    names = sorted(names)
    small = [name for name in names if _SMALL.fullmatch(name)]
    weights, modules = _first_form(_WEIGHTS, names), _first_form(_MODULE_WEIGHTS, names)
    return [*small, *(name for name in HEADS.values() if name in names), *modules, *weights]


def _first_form(forms: Iterable[re.Pattern[str]], names: Iterable[str]) -> list[str]:
    """All files of the first form that a repository has."""
    return next((found for form in forms if (found := [n for n in names if form.fullmatch(n)])), [])


def has_weights(names: Iterable[str]) -> bool:
    """Whether there is anything to make a model of; heads and modules alone are nothing."""
    return any(form.fullmatch(name) for name in names for form in _WEIGHTS)


def is_weight(name: str) -> bool:
    """Whether tensors are read from a file of this name, or it says where they are."""
    return name in HEADS.values() or any(form.fullmatch(name) for form in (*_WEIGHTS, *_MODULE_WEIGHTS))


def container_of(folder: Path) -> Path:
    """The file that holds the encoder's weights, or the index of its shards.

    Raises:
        ConfigError: there is none.
    """
    root = root_of(folder)
    for name in _CONTAINERS:
        if (root / name).is_file():
            return root / name
    raise ConfigError(f"{str(root)!r} holds no weights; it needs model.safetensors or pytorch_model.bin")


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Every file that tensors are read from: one container or its shards, then the heads beside it.

    safetensors is taken before torch's own format where a folder has both.

    Raises:
        ConfigError: no weights, or a shard is missing.
    """
    container = container_of(folder)
    main = _shards(container) if container.suffix == ".json" else (container,)
    root = container.parent
    return *main, *(root / head for head in HEADS.values() if (root / head).is_file())


def _shards(index: Path) -> tuple[Path, ...]:
    names = sorted({str(name) for name in read_fields(index).table("weight_map").values.values()})
    if not names:
        raise ConfigError(f"{str(index)!r} names no shards; pull the model again")
    for name in names:
        if not _PLAIN_NAME.fullmatch(name):
            raise ConfigError(f"{str(index)!r} names {name!r}, which is no file of the folder; pull the model again")
        if not (index.parent / name).is_file():
            raise ConfigError(
                f"{str(index.parent / name)!r} is not there, though the index names it; pull the model again"
            )
    return tuple(index.parent / name for name in names)
