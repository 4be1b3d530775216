"""A zip file written by torch.save -> its tensors by name, each a window into the memory map; no code in it is run.

Its pickle is not given to Python's unpickler but to a machine with the few steps that a saved state dict needs: it can
make texts, numbers, tuples, lists, dicts, storages and tensors, and has no way to call anything. The same idea as
https://github.com/pytorch/pytorch/blob/v2.6.0/torch/_weights_only_unpickler.py
"""

import pickletools
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from embedstack.errors import ConfigError
from embedstack.models.stored import LAYOUTS, Stored, open_map, window

MAX_PICKLE_BYTES = 16 << 20  # 100,000 tensors; their numbers lie outside the pickle
LOCAL_HEADER_BYTES = 30  # then the name and an extra field, which torch fills so that numbers are aligned
STORAGES = {
    "torch DoubleStorage": "float64",
    "torch FloatStorage": "float32",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
}
CALLS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}


def read(path: Path) -> dict[str, Stored]:
    """The tensors of one file that was saved as `torch.save(model.state_dict(), path)`.

    Raises:
        ConfigError: the file is damaged, of the format before PyTorch 1.6, or holds more than named tensors.
    """
    members = _members(path, open_map(path))
    if bytes(members.get("byteorder", b"little")) != b"little":
        raise ConfigError(f"{str(path)!r} was written on a big-endian machine; re-save it on a little-endian one")
    saved = _Machine(path).run(bytes(members["data.pkl"]))
    if type(saved) is not dict:
        raise ConfigError(f"{str(path)!r} holds no state dict; save it as: torch.save(model.state_dict(), ...)")
    return {name: _stored(path, members, name, value) for name, value in saved.items()}


def _stored(path: Path, members: Mapping[str, memoryview], name: object, value: object) -> Stored:
    if not isinstance(name, str) or not isinstance(value, _Tensor):
        raise ConfigError(
            f"{str(path)!r}: {name!r} is not a named tensor; save it as: torch.save(model.state_dict(), ...)"
        )
    kind, key, numbers = value.storage
    size_bytes = numbers * LAYOUTS[kind].itemsize
    member = members.get(f"data/{key}")
    if member is None or not 0 <= size_bytes <= len(member):
        there = "is not in the file" if member is None else f"has {len(member)} bytes"
        raise ConfigError(
            f"{str(path)!r}: {name!r} lies in storage {key!r}, which should have {size_bytes} bytes and {there}"
        )
    try:
        return Stored(kind, window(member[:size_bytes], kind, value.shape, value.offset, value.strides))
    except ValueError as error:
        raise ConfigError(f"{str(path)!r}: {name!r} does not fit its storage: {error}; download it again") from error


# ------------------------------------------------------------------------------------------------ the zip


def _members(path: Path, data: memoryview) -> dict[str, memoryview]:
    """The archive's members by the name under its one root folder, as windows into the map."""
    infos = _directory(path, data)
    roots = [info.filename.removesuffix("data.pkl") for info in infos if info.filename.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ConfigError(f"{str(path)!r} has {len(roots)} members named data.pkl, torch.save writes one; re-save it")
    members: dict[str, memoryview] = {}
    for info in infos:
        name = info.filename.removeprefix(roots[0])
        if name in members:
            raise ConfigError(f"{str(path)!r} has two members named {info.filename!r}; download it again")
        members[name] = _member(path, data, info)
        if name == "data.pkl":
            _check_pickle(path, members[name], info)
    return members


def _directory(path: Path, data: memoryview) -> list[zipfile.ZipInfo]:
    if bytes(data[:1]) == b"\x80":
        raise ConfigError(f"{str(path)!r} is in the format before PyTorch 1.6; re-save it with a current PyTorch")
    if bytes(data[:4]) != b"PK\x03\x04":
        raise ConfigError(f"{str(path)!r} is not a file that torch.save wrote; download it again")
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ConfigError(
            f"{str(path)!r} is damaged or cut short at {len(data)} bytes ({error}); download it again"
        ) from error


def _member(path: Path, data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
        raise ConfigError(f"{str(path)!r}: {info.filename!r} is compressed or encrypted; re-save it with torch.save")
    head = data[info.header_offset : info.header_offset + LOCAL_HEADER_BYTES]
    name_bytes, extra_bytes = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
    begin = info.header_offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes
    if bytes(head[:4]) != b"PK\x03\x04" or begin + info.file_size > len(data):
        raise ConfigError(
            f"{str(path)!r}: {info.filename!r} lies outside the file of {len(data)} bytes; download it again"
        )
    return data[begin : begin + info.file_size]


def _check_pickle(path: Path, member: memoryview, info: zipfile.ZipInfo) -> None:
    if len(member) > MAX_PICKLE_BYTES:
        raise ConfigError(f"{str(path)!r}: data.pkl has {len(member)} bytes, the limit is {MAX_PICKLE_BYTES}")
    if zlib.crc32(member) != info.CRC:
        raise ConfigError(f"{str(path)!r}: data.pkl does not match its checksum; download it again")


# ------------------------------------------------------------------------------------------------ the pickle


class _Global(NamedTuple):
    name: str  # "module name", one of CALLS or STORAGES


class _Storage(NamedTuple):
    kind: str
    key: str
    numbers: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


FRESH: Mapping[str, Callable[[], object]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
IDLE = {"PROTO", "FRAME"}


class _Machine:
    """A stack machine over the steps that torch.save writes for a dict of tensors; any other step is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[object, object] = {}

    def run(self, pickle: bytes) -> object:
        try:
            for step, argument, _ in pickletools.genops(pickle):
                if step.name == "STOP":
                    return self._stack.pop()
                self._step(step.name, argument)
        except (ValueError, LookupError, TypeError, MemoryError) as error:
            raise ConfigError(f"{str(self._path)!r}: data.pkl is damaged ({error}); download it again") from error
        raise AssertionError("pickletools ends at STOP or raises")

    def _step(self, name: str, argument: object) -> None:
        stack = self._stack
        if name in FRESH:
            stack.append(FRESH[name]())
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in LITERALS:
            stack.append(argument)
        elif name not in IDLE:
            self._work(name, argument)

    def _work(self, name: str, argument: object) -> None:
        stack = self._stack
        match name:
            case "MARK":
                self._marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._last(int(name[-1]))))
            case "SETITEM":
                self._set_items(self._last(2))
            case "SETITEMS":
                self._set_items(self._since_mark())
            case "APPEND":
                self._append(self._last(1))
            case "APPENDS":
                self._append(self._since_mark())
            case "GLOBAL":
                stack.append(self._known(argument))
            case "STACK_GLOBAL":
                stack.append(self._known(_joined(self._last(2))))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE":
                stack.append(self._made(*self._last(2)))
            case "BUILD":
                self._ignore_attributes(stack.pop())
            case _:
                if name == "INST":
                    self._known(argument)  # its message names what would have been made
                raise ConfigError(
                    f"{str(self._path)!r}: data.pkl has the step {name}, which a saved state dict has not; not run"
                )

    def _since_mark(self) -> list[object]:
        begin = self._marks.pop()
        taken = self._stack[begin:]
        del self._stack[begin:]
        return taken

    def _last(self, count: int) -> list[object]:
        return [self._stack.pop() for _ in range(count)][::-1]

    def _set_items(self, flat: list[object]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise ValueError("items are set on what is no dict")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if not isinstance(key, str | int):  # hashing a tuple of great depth would overflow the C stack
                raise ValueError("a key is neither text nor number")
            if key in target:
                raise ValueError(f"{key!r} stands twice")
            target[key] = value

    def _ignore_attributes(self, state: object) -> None:
        """The dict that state_dict() returns carries a dict named `_metadata`, which decides no number."""
        if type(state) is not dict or type(self._stack[-1]) is not dict:
            raise ValueError("attributes are set on what is no dict")

    def _append(self, values: list[object]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise ValueError("values are appended to what is no list")
        target.extend(values)

    def _known(self, name: object) -> _Global:
        if not isinstance(name, str) or name not in CALLS | STORAGES.keys():
            asked = str(name).replace(" ", ".")
            raise ConfigError(
                f"{str(self._path)!r} asks for {asked!r}, which a file of tensors does not need; "
                "nothing in it was run; use a .safetensors file, or save only model.state_dict()"
            )
        return _Global(name)

    def _storage(self, key: object) -> _Storage:
        match key:
            case ("storage", _Global(name), str(member), _, int(numbers)) if name in STORAGES:
                return _Storage(STORAGES[name], member, numbers)
        raise ValueError("a storage is not described as torch.save does it")

    def _made(self, function: object, arguments: object) -> object:
        match function, arguments:
            case _Global("collections OrderedDict"), ():
                return {}
            case _Global("torch._utils _rebuild_tensor_v2"), (_Storage() as storage, int(offset), shape, strides, *_):
                return _Tensor(storage, offset, _whole_numbers(shape), _whole_numbers(strides))
            case _Global("torch._utils _rebuild_parameter"), (_Tensor() as tensor, *_):
                return tensor
        raise ValueError("a call has other arguments than torch.save writes")


def _joined(module_and_name: list[object]) -> str:
    match module_and_name:
        case [str(module), str(name)]:
            return f"{module} {name}"
    raise ValueError("a global is not named by two texts")


def _whole_numbers(values: object) -> tuple[int, ...]:
    if type(values) is not tuple or any(type(value) is not int for value in values):
        raise ValueError("a shape or strides are not a tuple of whole numbers")
    return values
