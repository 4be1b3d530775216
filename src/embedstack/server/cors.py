"""The web pages that the settings allow become the middleware that tells browsers so."""

import re

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from embedstack.errors import ConfigError
from embedstack.settings import Settings

ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")
PREFLIGHT_S = 600  # that a browser may remember the answer; Chromium takes 7200 at most


def cors(settings: Settings) -> list[Middleware]:
    """None where no origin is set, else one, which must stand outside of all that can refuse a request.

    Any header may be sent, because clients add their own (OpenAI's has a dozen `x-stainless-*`), and any may be
    read: a reply depends on no cookie, so `*` gives a page nothing that it could not fetch elsewhere.

    Raises:
        ConfigError: an origin that no browser sends.
    """
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"EMBEDSTACK_CORS_ORIGINS names {origin!r}, and a browser sends scheme, host in lower case and port; "
                "example: https://app.example, or * for all pages"
            )
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["DELETE", "GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=["*"],
            max_age=PREFLIGHT_S,
        )
    ]
