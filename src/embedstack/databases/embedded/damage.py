"""What was found in the file and never written so becomes the error that says it."""

from embedstack.errors import ConfigError

RESTORE = "restore it, or load it again into another folder"


def damaged(what: str) -> ConfigError:
    """Args:
    what: "the payload of point 5 is not JSON".
    """
    return ConfigError(f"the database is damaged: {what}; {RESTORE}")
