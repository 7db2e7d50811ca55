"""The versions of one model: which directories to load, when they are whole, and the swap."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping

import grpc
import numpy as np

from serving.errors import ServingError, invalid, not_found, status_code
from serving.model_config import ModelConfig
from serving.protos import get_model_status_pb2
from serving.runtime import tf
from serving.saved_model import SavedModel
from serving.version_files import Listing, find_versions, listing, missing

START, LOADING, AVAILABLE, UNLOADING, END = (
    get_model_status_pb2.ModelVersionStatus.State.Value(name)
    for name in ("START", "LOADING", "AVAILABLE", "UNLOADING", "END")
)
# A version is not loaded before nothing in it has changed for this long. Longer than the second to
# which some file systems round their times.
SETTLE_SECONDS = 1.5

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """The state of one version as ModelService reports it: gRPC status `code`, its `message`."""

    version: int
    state: int
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""


class LoadedVersion:
    """A version in memory. It stays there while it is held: a `with` block ends one `hold`."""

    def __init__(
        self,
        name: str,
        version: int,
        model: SavedModel,
        on_release: Callable[[LoadedVersion], None],
    ) -> None:
        self.name = name
        self.version = version
        self.model = model
        self._on_release = on_release
        self._holders = 0
        self._lock = threading.Lock()

    def __enter__(self) -> LoadedVersion:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    @property
    def in_flight(self) -> int:
        """How many hold it."""
        return self._holders

    def hold(self) -> None:
        """Keeps it in memory until `release`."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Ends one `hold`."""
        with self._lock:
            self._holders -= 1
            idle = not self._holders
        if idle:
            self._on_release(self)

    def call(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`SavedModel.call`."""
        return self.model.call(signature, inputs)

    def batches(self, signature: str) -> bool:
        """Whether requests of the signature can share a call."""
        return self.model.signature(signature).batches


class ModelVersions:
    """Keeps the versions of a model that its policy wants loaded, and lends them to requests.

    `poll` is called by one thread, everything else by any. `wake` is set when there is a reason to
    poll at once. A version is whole when every file that its saved_model.pb needs is there, nothing
    has changed for a while, and nothing changed while it was loaded. A version that could not be
    loaded, or whose answers are NaN, is tried again only when its files change; the next older one
    takes its place.
    """

    def __init__(
        self,
        config: ModelConfig,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.name = config.name
        self.config = config
        self.problem = ""
        self._polls = 0
        self._has_served = False
        self._cancelled: ServingError | None = None
        self.wake = threading.Event()
        self._settle_seconds = settle_seconds
        self._changed = threading.Condition()
        self._statuses: dict[int, VersionStatus] = {}
        self._serving: dict[int, LoadedVersion] = {}
        self._retired: list[LoadedVersion] = []
        self._seen: dict[int, tuple[Listing, float]] = {}
        self._failed: dict[int, Listing] = {}

    def lend(self, version: int | None) -> LoadedVersion:
        """The version asked for, or the newest, held: `with` it.

        Raises ServingError(NOT_FOUND) where `version`, or any version, is not being served.
        """
        with self._changed:
            if version is None and self._serving:
                loaded = self._serving[max(self._serving)]
            elif version in self._serving:
                loaded = self._serving[version]
            else:
                raise not_found(self.name, version)
            loaded.hold()
        return loaded

    def labelled(self, label: str) -> int:
        """The version that has the label. Raises ServingError(INVALID_ARGUMENT) for none."""
        if label not in self.config.labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return self.config.labels[label]

    def statuses(self) -> list[VersionStatus]:
        """The state of every version seen, newest first."""
        with self._changed:
            return [self._statuses[version] for version in sorted(self._statuses, reverse=True)]

    def wait_until_available(self, timeout: float, must_be_there: bool = False) -> int:
        """Waits until a version is served and returns the newest such.

        Args:
          timeout: in seconds.
          must_be_there: whether not to wait for a first version to appear.

        Raises ServingError: FAILED_PRECONDITION with the reason at once when every version has
        failed, NOT_FOUND where there must be one and is none, DEADLINE_EXCEEDED after `timeout`
        seconds, and what `cancel` was given.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            enough = self._polls + 2  # the first may be under way
            while not self._serving:
                self._check_waiting()
                failed = [s for s in self._statuses.values() if s.state == END]
                if failed and len(failed) == len(self._statuses):
                    raise ServingError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"model {self.name} cannot be served. {_reasons(failed)}",
                    )
                if must_be_there and self._looked(enough) and not self._statuses:
                    raise ServingError(grpc.StatusCode.NOT_FOUND, self.problem)
                left = deadline - time.monotonic()
                if left <= 0:
                    known = _reasons(self._statuses.values()) or self.problem
                    raise ServingError(
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                        f"no version of model {self.name} after {timeout:g} s. {known}",
                    )
                self._changed.wait(left)
            return max(self._serving)

    def wait_for(self, version: int, timeout: float) -> bool:
        """Waits until it is decided whether `version` serves; whether it does.

        It is decided, too, where a whole look at the base path has not found it.
        """
        with self._changed:
            enough = self._polls + 2  # the first may be under way

            def decided() -> bool:
                if version in self._statuses:
                    return self._statuses[version].state in (AVAILABLE, UNLOADING, END)
                return self._looked(enough)

            self._changed.wait_for(lambda: self._cancelled is not None or decided(), timeout)
            self._check_waiting()
            return version in self._serving

    def _looked(self, polls: int) -> bool:
        """Whether there have been so many polls; asks for one where there have not."""
        if self._polls < polls:
            self.wake.set()
        return self._polls >= polls

    def configure(self, config: ModelConfig, labels: Mapping[str, int]) -> None:
        """From the next poll on, another policy; from now on, these labels."""
        self.config = dataclasses.replace(config, labels=labels)
        self.wake.set()

    @property
    def available(self) -> bool:
        """Whether a version is being served."""
        return bool(self._serving)

    @property
    def has_served(self) -> bool:
        """Whether a version is, or has been, served."""
        return self._has_served

    @property
    def pending(self) -> bool:
        """Whether a version is there that is not whole yet."""
        with self._changed:
            return any(status.state == START for status in self._statuses.values())

    def poll(self) -> None:
        """Looks at the base path once: loads and swaps where the policy wants others."""
        try:
            self._poll()
        finally:
            with self._changed:
                self._polls += 1
                self._changed.notify_all()

    def _poll(self) -> None:
        self._unload_idle()
        base_path = self.config.base_path
        try:
            found = find_versions(base_path)
        except (OSError, tf.OpError) as error:
            # A base path that is away for a moment is no reason to stop serving.
            self._tell(f"Could not read base path {base_path}: {_first_line(error)}")
            return
        self._tell("" if found else f"No versions under base path {base_path}")
        wanted: set[int] = set()
        tried: set[int] = set()
        for version, path in found:
            if self.config.specific and version not in self.config.specific:
                continue
            if self.cancelled or len(wanted) == self.config.latest:
                break
            tried.add(version)
            if version in self._serving or self._take(version, path):
                wanted.add(version)
        if wanted:  # otherwise the last ones go on
            self._retire(set(self._serving) - wanted)
        self._forget({version for version, _ in found}, tried)
        self._unload_idle()

    def _tell(self, problem: str) -> None:
        """Keeps what is wrong with the base path, and logs it where it was not so before."""
        if problem and problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem

    def cancel(self, reason: ServingError) -> None:
        """Ends all waiting, and all loading at its next request, now and from now on."""
        with self._changed:
            self._cancelled = reason
            self._changed.notify_all()
        self.wake.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` has been called."""
        return self._cancelled is not None

    def _check_waiting(self) -> None:
        if self._cancelled:
            raise self._cancelled

    def public(self, message: str) -> str:
        """The message without where on this machine the model lies."""
        return message.replace(self.config.base_path, self.name)

    def close(self) -> None:
        """Unloads everything. Waits for the requests still running."""
        self._retire(set(self._serving))
        while self._retired:
            self._unload_idle()
            with self._changed:
                self._changed.wait(0.05)

    def _take(self, version: int, path: str) -> bool:
        """Loads and switches to `version` where it is whole; False where nothing changed."""
        try:
            files = listing(path)
            if self._failed.get(version) == files:
                return False
            reason = missing(path, files)
        except (OSError, tf.OpError) as error:
            files, reason = (), _first_line(error)  # removed or changed under our eyes
        if not self._settled(version, files) and not reason:
            reason = "its files have changed a moment ago"
        if reason:
            self._set(VersionStatus(version, START, message=f"waiting: {reason}"))
            return False
        self._set(VersionStatus(version, LOADING))
        model = self._load(version, path, files)
        if model is None:
            return False
        self._serve(LoadedVersion(self.name, version, model, self._released))
        return True

    def _settled(self, version: int, files: Listing) -> bool:
        """Whether the files are old by their own dates or have long looked the same from here.

        The second for file systems whose clock is ahead of ours.
        """
        before, since = self._seen.get(version, (None, 0.0))
        if before != files:
            since = time.monotonic()
            self._seen[version] = files, since
        youngest = max((modified for _, _, modified in files), default=0) / 1e9
        age = max(time.time() - youngest, time.monotonic() - since)
        return age >= self._settle_seconds

    def _load(self, version: int, path: str, files: Listing) -> SavedModel | None:
        model = None
        try:
            model = SavedModel(path)
            model.warm_up(self._check_waiting)
            self._check_waiting()
            if listing(path) == files:
                return model
            self._set(VersionStatus(version, START, message="waiting: changed while it was loaded"))
        except Exception as error:  # whatever is wrong with it, the version served now goes on
            code, message = _explain(error)
            if error is not self._cancelled:
                _log.error("version %d of %s cannot be loaded: %s", version, self.name, message)
            self._failed[version] = files
            self._set(VersionStatus(version, END, code, message))
        if model is not None:
            model.close()
        return None

    def _serve(self, new: LoadedVersion) -> None:
        """From now on; the versions that it takes the place of go on for a moment."""
        with self._changed:
            self._serving[new.version] = new
            self._has_served = True
            self._statuses[new.version] = VersionStatus(new.version, AVAILABLE)
            self._changed.notify_all()
        _log.info("model %s: serving version %d", self.name, new.version)

    def _retire(self, versions: set[int]) -> None:
        """Lends these versions no more."""
        with self._changed:
            for version in versions & self._serving.keys():
                self._retired.append(self._serving.pop(version))
                self._statuses[version] = VersionStatus(version, UNLOADING)
            self._changed.notify_all()

    def _released(self, loaded: LoadedVersion) -> None:
        if loaded in self._retired:
            self.wake.set()

    def _unload_idle(self) -> None:
        with self._changed:
            idle = [loaded for loaded in self._retired if not loaded.in_flight]
            self._retired = [loaded for loaded in self._retired if loaded.in_flight]
        for loaded in idle:
            loaded.model.close()
            if loaded.version not in self._serving:  # it may have been loaded again
                self._set(VersionStatus(loaded.version, END))

    def _set(self, status: VersionStatus) -> None:
        with self._changed:
            self._statuses[status.version] = status
            self._changed.notify_all()

    def _forget(self, found: set[int], tried: set[int]) -> None:
        """Drops what never served and is gone, or waits and is wanted no longer.

        The served and the unloaded stay in the statuses.
        """
        for version in set(self._seen) - found:
            del self._seen[version]
            self._failed.pop(version, None)
        with self._changed:
            for version, status in list(self._statuses.items()):
                gone = version not in found and (status.state == START or status.message)
                if gone or (status.state == START and version not in tried):
                    del self._statuses[version]


def _explain(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, ServingError):
        return error.code, _one_line(error.message)
    if isinstance(error, tf.OpError):
        return status_code(error.error_code), _one_line(error.message)
    return grpc.StatusCode.UNKNOWN, _one_line(f"{type(error).__name__}: {error}")


def _one_line(message: str) -> str:
    return " ".join(message.removeprefix("Graph execution error:").split())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _reasons(statuses: object) -> str:
    return "; ".join(f"version {s.version}: {s.message or 'loading'}" for s in statuses)
