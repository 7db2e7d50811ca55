"""Posts JSON to a webhook, and keeps what may be secret in its address out of texts."""

from __future__ import annotations

import asyncio
import re

_HEADERS = {"Content-Type": "application/json"}
_ADDRESS = re.compile(r"https?://[^\s'\"<>\\]+", re.IGNORECASE)


def post(address: str, content: bytes, seconds: float, tries: int = 1) -> str | None:
    """Posts to a webhook.

    Args:
      address: http://... or https://...
      content: JSON.
      seconds: that a try may take, from the name's look-up to the answer's last header.
      tries: at most.

    Returns:
      What went wrong at the last try; None where one was answered well.
    """
    try:
        problem = asyncio.run(_post(address, content, seconds, tries))
    # What is raised for an address that is none is no OSError.
    except (OSError, ValueError) as error:
        problem = type(error).__name__
    return problem and f"{masked(address)}: {masked(problem)}"


async def _post(address: str, content: bytes, seconds: float, tries: int) -> str | None:
    import aiohttp

    problem = None
    # A limit of a whole try, which urllib's are not: each part of an answer begins those anew.
    limit = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=limit, trust_env=True, headers=_HEADERS) as session:
        for _ in range(tries):
            try:
                async with session.post(address, data=content) as answer:
                    if answer.ok:
                        return None
                    problem = f"{answer.status} {answer.reason}"
            except asyncio.TimeoutError:
                problem = f"no answer in {seconds:g} seconds"
            except aiohttp.InvalidURL:
                return "no address"
            except aiohttp.ClientError as error:
                problem = str(error) or type(error).__name__
    return problem


def masked(text: str) -> str:
    """A text with the host alone of http:// and https:// addresses: the rest may be secret."""
    return _ADDRESS.sub(_host, text)


def _host(match: re.Match[str]) -> str:
    whole = match[0]
    scheme, _, rest = whole.partition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    host = place.rpartition("@")[2]
    return whole if rest.rstrip("/") == host else f"{scheme}://{host}/..."
