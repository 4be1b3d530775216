"""A name -> the model's folder on disk, its files proven, and what it is as data."""

from embedstack.catalog.catalog import Entry, entries
from embedstack.catalog.digests import Digests
from embedstack.catalog.locate import Located, find
from embedstack.catalog.spec import read_spec
from embedstack.models.folder import weight_files

__all__ = ["Digests", "Entry", "Located", "entries", "find", "read_spec", "weight_files"]
