"""What a user named as input -> one source of files, each under a key that no other has."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias
from urllib.parse import unquote

from embedstack.documents.document import Form, Reading
from embedstack.documents.forms import ending_of, form_of
from embedstack.documents.given import File, Folder, Given, input_of
from embedstack.documents.handed import Files, Handed
from embedstack.errors import ConfigError
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Entry, Missing

Inputs: TypeAlias = str | Path | Sequence[str | Path] | Files
HIDDEN = "(hidden)"  # files, and folders that were not looked into
NO_FILE = "(no file)"  # links to nothing, pipes
BY_ENDING = Reading()


class Source:
    """Files of all inputs, ordered by the bytes of their keys.

    Of one input a key is the path below it. Of several, each has a name of its own in front: its last part, with ~2,
    ~3, ... where another has that already, in the order of their URLs.
    """

    def __init__(self, inputs: Mapping[str, Given], form: Form | None) -> None:
        """
        Args:
            inputs: by what stands in front of their keys: a name and a / for each folder, the whole key for each file.
                One that is alone may have nothing there.
        """
        self.form = form
        self._inputs = dict(sorted(inputs.items()))
        self._skipped: Counter[str] = Counter()

    @property
    def skipped(self) -> Mapping[str, int]:
        """What the last listing left out, by ending: files that we cannot read, hidden ones, what is no file."""
        return dict(self._skipped)

    def entries(self) -> Iterator[Entry]:
        """All files, without holding them in memory.

        Raises:
            ConfigError: there is nothing to read in an input.
        """
        self._skipped.clear()
        for front, given in self._inputs.items():
            is_empty = True
            for entry in given.listed(partial(self._is_read, given), self._no_file):
                is_empty = False
                yield Entry(front + entry.key, entry.size, entry.version, entry.modified_s)
            if is_empty:
                raise ConfigError(f"in {given.url} is nothing that can be read{self._left_out()}; name another input")

    def open(self, key: str) -> BinaryIO:
        """To read and seek; the caller closes it. Raises `Missing`, or what the input's storage raises."""
        given, below = self._given(key)
        return given.open(below)

    def is_still(self, key: str, version: str) -> bool:
        """Whether a file of this machine is the one that was listed; of other files yes."""
        given, below = self._given(key)
        return given.is_still(below, version)

    def url_of(self, key: str) -> str:
        """Of the input that a file is of. Raises `Missing`: of none."""
        return self._given(key)[0].url

    def holds(self, url: str) -> bool:
        """Whether what is written there would be read: a job's output must lie elsewhere."""
        return any(_is_below(url, given.url) for given in self._inputs.values() if not given.is_file)

    def _given(self, key: str) -> tuple[Given, str]:
        front = "" if "" in self._inputs else _front(key)
        if front not in self._inputs:
            raise Missing(f"{key!r} is in none of the inputs; look at how they are named")
        return self._inputs[front], key.removeprefix(front)

    def _is_read(self, given: Given, key: str) -> bool:
        """Whether a file is, or a folder looked into."""
        is_folder = given.may_hide and key.endswith("/")
        if given.may_hide and (key.startswith(".") or "/." in key):
            self._skipped[HIDDEN] += 1
        elif not is_folder and form_of(key, self.form) is None:
            self._skipped[ending_of(key)] += 1
        else:
            return True
        return False

    def _no_file(self, key: str) -> None:
        self._skipped[NO_FILE] += 1

    def _left_out(self) -> str:
        shown = ", ".join(f"{ending} {number} times" for ending, number in self._skipped.most_common(5))
        hint = "; say what they are with --form" if self._skipped.keys() - {HIDDEN, NO_FILE} else ""
        return f" (left out: {shown}{hint})" if shown else ""


def open_source(inputs: Inputs, reading: Reading = BY_ENDING) -> Source:
    """Look at what was named, without listing it.

    Args:
        inputs: paths and URLs of folders and files, or an object with `list_files` and `download`.
        reading: how the files will be read; its form decides which files there are.
    Raises:
        ConfigError: an input is not there, lies in another, or is a file whose form nobody knows.
    """
    if isinstance(inputs, Files):
        return Source({"": Handed(inputs)}, reading.form)
    named = [str(inputs)] if isinstance(inputs, (str, Path)) else [str(one) for one in inputs]
    if not named:
        raise ConfigError("no input; name folders, files, or URLs of buckets")
    found = [input_of(one, reading.form, open_storage) for one in named]
    _refuse_overlap([given.url for given in found])
    found.sort(key=lambda given: given.url)  # so that keys do not depend on the order of what was named
    return Source(dict(zip(_fronts(found), found, strict=True)), reading.form)


def _fronts(found: Sequence[Folder | File]) -> list[str]:
    if len(found) == 1 and isinstance(found[0], Folder):
        return [""]
    return [
        name if isinstance(given, File) else f"{name}/"
        for name, given in zip(_unique([_name(given) for given in found]), found, strict=True)
    ]


def _name(given: Folder | File) -> str:
    return given.name if isinstance(given, File) else unquote(given.url.rpartition("/")[2])


def _unique(names: Sequence[str]) -> list[str]:
    """The first of each keeps its name, those behind get a number in front of their endings, which tell their forms."""
    taken, found = set(names), []
    for place, name in enumerate(names):
        if name in names[:place]:
            stem, dot, endings = name.partition(".")
            number = 2
            while f"{stem}~{number}{dot}{endings}" in taken:
                number += 1
            name = f"{stem}~{number}{dot}{endings}"
        taken.add(name)
        found.append(name)
    return found


def _refuse_overlap(urls: Sequence[str]) -> None:
    for place, url in enumerate(urls):
        for other in (*urls[:place], *urls[place + 1 :]):
            if _is_below(url, other):
                raise ConfigError(
                    f"input {url} lies in input {other}, so its documents would be done twice; leave one out"
                )


def _is_below(url: str, above: str) -> bool:
    """Whether it is the same place or one in it."""
    return f"{url.rstrip('/')}/".startswith(f"{above.rstrip('/')}/")


def _front(key: str) -> str:
    """A key's first part, with the / behind it if there is one."""
    folder, slash, _ = key.partition("/")
    return folder + slash
