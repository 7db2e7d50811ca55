"""Who looks after the models: for each a thread that polls, loads and warms up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from serving.versions import ModelVersions

# A version that is being copied is looked at this often, however rare the polls are.
_PENDING_SECONDS = 0.25
# What is being loaded at the stop has this long to end; a call of TensorFlow cannot be broken off.
_LOADING_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Watchers:
    """A thread for each model, so that one that takes long to load holds up no other."""

    def __init__(self, poll_seconds: float, on_poll: Callable[[], None]) -> None:
        """Takes the settings.

        poll_seconds: between two looks for newer versions, 0 for none but the first; on_poll: is
        called after each.
        """
        self._poll_seconds = poll_seconds
        self._on_poll = on_poll
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def start(self, versions: ModelVersions) -> None:
        """Looks after a model until it is cancelled, and then closes it."""
        thread = threading.Thread(
            target=self._watch, args=[versions], name=f"versions-of-{versions.name}", daemon=True
        )
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def stop(self, cancel: Callable[[], None]) -> None:
        """Has `cancel` cancel all models, and leaves them to be closed by others."""
        self._stopping = True
        cancel()
        deadline = time.monotonic() + _LOADING_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _watch(self, versions: ModelVersions) -> None:
        while not versions.cancelled:
            versions.wake.clear()
            try:
                versions.poll()
            except Exception:  # nothing on a disk may end the watching
                _log.exception("looking for versions of %s failed", versions.name)
            self._on_poll()
            seconds = self._poll_seconds if self._poll_seconds > 0 else None
            if versions.pending:
                seconds = min(seconds or _PENDING_SECONDS, _PENDING_SECONDS)
            if not versions.cancelled:
                versions.wake.wait(seconds)
        if not self._stopping:
            versions.close()
