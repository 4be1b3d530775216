"""What is said where a package of the extra `jobs` is not installed."""

from embedstack.errors import ConfigError


def not_installed(what: str, error: ImportError) -> ConfigError:
    """The error to raise from `error`.

    Args:
        what: that cannot be done without it, as in "reading HTML".
    """
    return ConfigError(f"{what} needs packages that are not installed ({error}); run: pip install 'embedstack[jobs]'")
