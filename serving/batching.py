"""Requests become batches, and batches wait for a thread.

One scheduler serves all models, as TensorFlow Serving's SharedBatchScheduler does. It lives in the
event loop; only the models are called in threads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent import futures
from typing import Protocol

import grpc
import numpy as np

from serving.errors import ServingError, invalid
from serving.settings import BatchingParameters

Arrays = Mapping[str, np.ndarray]
# Without batching: requests that may wait, for each signature.
_WAITING_REQUESTS = 1000
# What a lone request is computed in the event loop for: a thread takes a third of a millisecond to
# wake up and to be woken by, and nobody should be held up for much longer than that.
_QUICK_SECONDS = 0.001


class Callee(Protocol):
    """A loaded version of a model. `hold` and `release` enclose each call, from any thread."""

    def call(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]: ...

    def batches(self, signature: str) -> bool: ...

    def hold(self) -> None: ...

    def release(self) -> None: ...


@dataclasses.dataclass(eq=False)
class _Task:
    inputs: Arrays
    rows: int
    answer: asyncio.Future[dict[str, np.ndarray]]


@dataclasses.dataclass(eq=False)
class _Batch:
    callee: Callee
    signature: str
    key: Hashable
    tasks: list[_Task] = dataclasses.field(default_factory=list)
    rows: int = 0
    ready: bool = False
    timer: asyncio.TimerHandle | None = None


class Scheduler:
    """Runs requests on models, alone or (with `parameters`) together in batches.

    A request that finds the queue of its signature full fails at once; one whose caller has given
    up before its batch has begun is dropped. Where a batch fails, its halves are tried, so that a
    request does not fail for its neighbour's fault. One with more rows than a batch goes into
    several where the parameters allow it. A batch waits for as many requests as the last
    of its signature had: callers that ask one at a time do not wait for others that never come, and
    those of many at once are back together. `on_call` is told of each call of a model, from
    the thread it ran in: model, signature, seconds and rows.
    """

    def __init__(
        self,
        parameters: BatchingParameters | None,
        max_batch_bytes: int,
        on_call: Callable[[Callee, str, float, int], None] = lambda *_: None,
    ) -> None:
        self._parameters = parameters
        self._max_batch_bytes = max_batch_bytes
        self._on_call = on_call
        threads = parameters.num_batch_threads if parameters else os.cpu_count() or 1
        self._waiting = parameters.max_enqueued_batches if parameters else _WAITING_REQUESTS
        self._threads = self._free = threads
        self._pool = futures.ThreadPoolExecutor(threads, thread_name_prefix="batch")
        self._line: deque[_Batch] = deque()
        self._open: dict[Hashable, _Batch] = {}
        self._enqueued: Counter[tuple[Callee, str]] = Counter()
        # Requests in the last batch of each signature.
        self._together: weakref.WeakKeyDictionary[Callee, dict[str, int]] = (
            weakref.WeakKeyDictionary()
        )
        # Seconds and values of the last call of each signature.
        self._costs: weakref.WeakKeyDictionary[Callee, dict[str, tuple[float, int]]] = (
            weakref.WeakKeyDictionary()
        )

    async def run(self, callee: Callee, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """What `callee` answers; called in the event loop.

        Raises ServingError: UNAVAILABLE where too many requests wait, INVALID_ARGUMENT for more
        rows than a request may have, or what the model reports.
        """
        together = self._parameters is not None and callee.batches(signature)
        rows = _rows(inputs) if together else 1
        if together and rows > self._parameters.max_batch_size:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size "
                f"{self._parameters.max_batch_size}"
            )
        if together and rows > self._parameters.rows:
            return await self._run_in_parts(callee, signature, inputs, rows)
        task = _Task(inputs, rows, asyncio.get_running_loop().create_future())
        key = self._key(callee, signature, inputs) if together else task
        batch = self._batch_for(callee, signature, key, rows)
        batch.tasks.append(task)
        batch.rows += rows
        if not together or batch.rows == self._parameters.rows:
            self._close(batch)
        elif len(batch.tasks) >= self._together.get(callee, {}).get(signature, math.inf):
            batch.ready = True
        try:
            await asyncio.sleep(0)  # what has arrived together comes into the same batch
            self._start_ready()
            return await task.answer
        except asyncio.CancelledError:
            self._drop(batch, task)
            raise

    def shut_down(self) -> None:
        """Ends the threads, once what they compute has ended."""
        self._pool.shutdown()

    async def _run_in_parts(
        self, callee: Callee, signature: str, inputs: Arrays, rows: int
    ) -> dict[str, np.ndarray]:
        """A request that is larger than a batch; where a part fails, the others are dropped."""
        size = self._parameters.rows
        parts = [
            {name: array[start : start + size] for name, array in inputs.items()}
            for start in range(0, rows, size)
        ]
        tasks = [asyncio.ensure_future(self.run(callee, signature, part)) for part in parts]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        for part, answer in zip(parts, answers, strict=True):
            _check_rows(answer, _rows(part))
        return {name: _joined([each[name] for each in answers]) for name in answers[0]}

    def _key(self, callee: Callee, signature: str, inputs: Arrays) -> Hashable:
        """Requests with the same key can share a batch."""
        padded = self._parameters.pad_variable_length_inputs
        shapes = (a.ndim if padded else a.shape[1:] for a in inputs.values())
        return callee, signature, *zip(inputs, shapes, strict=True)

    def _batch_for(self, callee: Callee, signature: str, key: Hashable, rows: int) -> _Batch:
        batch = self._open.get(key)
        if batch and batch.rows + rows <= self._parameters.rows:
            return batch
        if self._enqueued[callee, signature] >= self._waiting:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full",
            )
        if batch:
            self._close(batch)
        batch = self._open[key] = _Batch(callee, signature, key)
        self._enqueued[callee, signature] += 1
        self._line.append(batch)
        timeout = self._parameters.batch_timeout_micros if self._parameters else 0
        if timeout:
            batch.timer = asyncio.get_running_loop().call_later(
                timeout / 1e6, self._time_out, batch
            )
        else:
            batch.ready = True
        return batch

    def _time_out(self, batch: _Batch) -> None:
        batch.ready = True
        self._start_ready()

    def _close(self, batch: _Batch) -> None:
        """Nothing more comes into this batch."""
        batch.ready = True
        if self._open.get(batch.key) is batch:
            del self._open[batch.key]

    def _leave(self, batch: _Batch) -> None:
        """This batch waits no longer."""
        self._close(batch)
        self._line.remove(batch)
        if batch.timer:
            batch.timer.cancel()
        self._enqueued[batch.callee, batch.signature] -= 1
        if not self._enqueued[batch.callee, batch.signature]:
            del self._enqueued[batch.callee, batch.signature]

    def _drop(self, batch: _Batch, task: _Task) -> None:
        if batch not in self._line:
            return  # it is being computed already
        batch.tasks.remove(task)
        batch.rows -= task.rows
        if not batch.tasks:
            self._leave(batch)

    def _start_ready(self) -> None:
        while self._free:
            batch = next((batch for batch in self._line if batch.ready), None)
            if batch is None:
                return
            self._leave(batch)
            self._together.setdefault(batch.callee, {})[batch.signature] = len(batch.tasks)
            self._free -= 1
            if self._quick(batch):
                answers: list[tuple[_Task, dict[str, np.ndarray] | Exception]] = []
                self._answer(batch, batch.tasks, answers)
                batch.tasks = []  # as in `_compute`
                self._deliver(answers)
                continue
            batch.callee.hold()
            self._pool.submit(self._compute, batch, asyncio.get_running_loop())

    def _quick(self, batch: _Batch) -> bool:
        """Whether to compute in the event loop: a thread would take longer to wake up.

        Only a lone request, which nobody waits behind, and only of numbers, whose cost grows with
        how many they are, whatever the shape; an encoded image may be of any size.
        """
        alone = self._free == self._threads - 1 and not self._line and len(batch.tasks) == 1
        if not alone or any(array.dtype.hasobject for array in batch.tasks[0].inputs.values()):
            return False
        seconds, values = self._costs.get(batch.callee, {}).get(batch.signature, (math.inf, 1))
        more = _values(batch.tasks[0].inputs) / max(values, 1)
        return seconds * max(1.0, more) < _QUICK_SECONDS

    def _compute(self, batch: _Batch, loop: asyncio.AbstractEventLoop) -> None:
        answers: list[tuple[_Task, dict[str, np.ndarray] | Exception]] = []
        try:
            self._answer(batch, batch.tasks, answers)
        finally:
            batch.callee.release()
            # An error keeps this frame, by way of the one it was caught in: neither the tasks nor
            # the answers may lead back to it.
            batch.tasks = []
            loop.call_soon_threadsafe(self._deliver, answers)

    def _deliver(self, answers: list[tuple[_Task, dict[str, np.ndarray] | Exception]]) -> None:
        self._free += 1
        self._start_ready()
        while answers:
            task, answer = answers.pop(0)
            if task.answer.done():
                continue
            if isinstance(answer, Exception):
                task.answer.set_exception(answer)
            else:
                task.answer.set_result(answer)

    def _answer(self, batch: _Batch, tasks: Sequence[_Task], answers: list) -> None:
        """Appends the answer to each task, or the error it caused."""
        tasks = [task for task in tasks if not task.answer.done()]
        if not tasks:
            return
        begun = time.perf_counter()
        rows = sum(task.rows for task in tasks)
        try:
            merged = self._merge(tasks, rows) if batch.callee.batches(batch.signature) else None
            outputs = batch.callee.call(batch.signature, merged or tasks[0].inputs)
            parts = _split(outputs, tasks, _rows(merged)) if merged else [outputs]
        except Exception as error:
            if len(tasks) == 1:
                answers.append((tasks[0], error))
            else:
                middle = len(tasks) // 2
                self._answer(batch, tasks[:middle], answers)
                self._answer(batch, tasks[middle:], answers)
        else:
            seconds = time.perf_counter() - begun
            values = sum(_values(task.inputs) for task in tasks)
            self._costs.setdefault(batch.callee, {})[batch.signature] = seconds, values
            self._on_call(batch.callee, batch.signature, seconds, rows)
            answers += zip(tasks, parts, strict=True)

    def _merge(self, tasks: Sequence[_Task], rows: int) -> dict[str, np.ndarray] | None:
        """The inputs of a batch, filled up to an allowed size; None where there is nothing to do.

        As in TensorFlow Serving the first row is what fills up.
        """
        if self._parameters is None:
            return None
        sizes = self._parameters.allowed_batch_sizes
        size = next((size for size in sizes if size >= rows), rows)
        if len(tasks) == 1 and size == rows:
            return None
        merged = {}
        for name in tasks[0].inputs:
            arrays = [task.inputs[name] for task in tasks]
            if self._parameters.pad_variable_length_inputs:
                arrays = self._padded(arrays, size)
            if size > rows:
                arrays.append(np.repeat(arrays[0][:1], size - rows, axis=0))
            merged[name] = np.concatenate(arrays)
        return merged

    def _padded(self, arrays: Sequence[np.ndarray], rows: int) -> list[np.ndarray]:
        """All with the largest of the shapes, filled up with the first value of each."""
        shape = tuple(np.max([array.shape[1:] for array in arrays], axis=0, initial=0).astype(int))
        if rows * int(np.prod(shape, dtype=object)) * arrays[0].itemsize > self._max_batch_bytes:
            raise invalid("the inputs filled up to the same shape are larger than a request may be")
        padded = []
        for array in arrays:
            if array.shape[1:] != shape:
                if not array.size:
                    raise invalid("an empty input cannot be filled up to the shape of others")
                filled = np.full((len(array), *shape), array.flat[0], array.dtype)
                filled[tuple(map(slice, array.shape))] = array
                array = filled
            padded.append(array)
        return padded


def _split(outputs: Arrays, tasks: Sequence[_Task], rows: int) -> list[dict[str, np.ndarray]]:
    _check_rows(outputs, rows)
    ends = np.cumsum([task.rows for task in tasks])
    return [
        {name: array[end - task.rows : end] for name, array in outputs.items()}
        for task, end in zip(tasks, ends, strict=True)
    ]


def _check_rows(outputs: Arrays, rows: int) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != rows:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
                f"sizes of the input tensors: {name}",
            )


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    if len({part.shape[1:] for part in parts}) > 1:
        raise ServingError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "the parts of a request were filled up to different shapes: those of other requests in "
            "their batches",
        )
    return np.concatenate(parts)


def _values(inputs: Arrays) -> int:
    return sum(array.size for array in inputs.values())


def _rows(inputs: Arrays) -> int:
    if not all(array.ndim for array in inputs.values()):
        raise invalid("Batching session Run() input tensors must have at least one dimension.")
    sizes = {len(array) for array in inputs.values()}
    if len(sizes) > 1:
        raise invalid("Batching session Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()
