"""Batches: what comes together, what is refused, what is dropped."""

import asyncio
import os
import threading

import grpc
import numpy as np
import pytest

from serving.batching import Scheduler
from serving.errors import ServingError, invalid
from serving.settings import BatchingParameters

LIMIT = 1 << 20


class Doubling:
    """Answers with twice the input, once `go` is set; -1 in a batch fails all of it."""

    def __init__(self):
        self.go = threading.Event()
        self.begun = threading.Event()
        self.called = []
        self.held = 0

    def batches(self, signature):
        return signature != "alone"

    def hold(self):
        self.held += 1

    def release(self):
        self.held -= 1

    def call(self, signature, inputs):
        self.called.append(inputs["x"].tolist())
        self.begun.set()
        assert self.go.wait(60)
        if signature == "scalar":
            return {"y": np.float32(1)}
        if (inputs["x"] == -1).any():
            raise invalid("-1")
        return {"y": 2 * inputs["x"]}


def rows(*values):
    return {"x": np.array(values)}


async def behind(scheduler, model, *requests, signature=""):
    """Tasks of requests that wait behind one that is being computed."""
    tasks = [asyncio.create_task(scheduler.run(model, signature, rows(0)))]
    await asyncio.get_running_loop().run_in_executor(None, model.begun.wait)
    for request in requests:
        tasks.append(asyncio.create_task(scheduler.run(model, signature, request)))
        await asyncio.sleep(0)
    return tasks


def run(parameters, *requests, signature=""):
    """(answers or errors, batches) of requests behind a first one of the row 0, one thread."""
    model = Doubling()

    async def all_of_them():
        scheduler = Scheduler(parameters, LIMIT)
        tasks = await behind(scheduler, model, *requests, signature=signature)
        model.go.set()
        try:
            return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        finally:
            scheduler.shut_down()

    answers = asyncio.run(all_of_them())
    assert model.held == 0
    return [a["y"].tolist() if isinstance(a, dict) else a for a in answers], model.called


def one_thread(**values):
    return BatchingParameters(num_batch_threads=1, **values)


def test_what_waits_together_is_computed_together():
    answers, batches = run(one_thread(), rows(1), rows(2, 3), rows(4))

    assert answers == [[0], [2], [4, 6], [8]]
    assert batches == [[0], [1, 2, 3, 4]]


def test_a_batch_has_no_more_rows_than_it_may():
    answers, batches = run(one_thread(max_batch_size=3), rows(1), rows(2), rows(3, 4), rows(5))

    assert answers == [[0], [2], [4], [6, 8], [10]]
    assert batches == [[0], [1, 2], [3, 4, 5]]


def test_a_request_with_too_many_rows_is_refused():
    answers, batches = run(one_thread(max_batch_size=3), rows(1, 2, 3, 4))

    assert batches == [[0]]
    assert answers[1].code is grpc.StatusCode.INVALID_ARGUMENT
    assert answers[1].message == "Task size 4 is larger than maximum input batch size 3"


def splitting(**values):
    return one_thread(
        max_batch_size=8, max_execution_batch_size=3, enable_large_batch_splitting=True, **values
    )


def test_a_request_that_is_larger_than_a_batch_goes_into_several():
    answers, batches = run(splitting(), rows(1), rows(2, 3, 4, 5, 6, 7, 8), rows(9))

    assert answers == [[0], [2], [4, 6, 8, 10, 12, 14, 16], [18]]
    assert batches == [[0], [1], [2, 3, 4], [5, 6, 7], [8, 9]]


def test_splitting_has_a_limit_too():
    answers, batches = run(splitting(), rows(*range(9)))

    assert answers[1].message == "Task size 9 is larger than maximum input batch size 8"
    assert batches == [[0]]


class StopsAtFailure(Doubling):
    """What comes after a failure waits for `go` again."""

    def call(self, signature, inputs):
        try:
            return super().call(signature, inputs)
        except ServingError:
            self.go.clear()
            raise


def test_of_a_split_request_that_fails_the_rest_is_dropped():
    model = StopsAtFailure()

    async def failed():
        scheduler = Scheduler(splitting(), LIMIT)
        request = rows(1, 2, -1, 4, 5, 6, 7, 8)
        first, split, last = await behind(scheduler, model, request, rows(9))
        model.go.set()
        await first
        with pytest.raises(ServingError, match="-1"):
            await split
        model.go.set()
        answer = await last
        scheduler.shut_down()
        return answer

    assert asyncio.run(failed())["y"].tolist() == [18]
    # The thread may have begun with the second part already.
    assert [batch for batch in model.called if batch != [4, 5, 6]] == [[0], [1, 2, -1], [9]]


def test_a_split_request_that_does_not_fit_into_the_queue_leaves_nothing_in_it():
    model = Doubling()

    async def refused():
        scheduler = Scheduler(splitting(max_enqueued_batches=2), LIMIT)
        tasks = await behind(scheduler, model)
        with pytest.raises(ServingError, match="UNAVAILABLE"):
            await scheduler.run(model, "", rows(*range(1, 9)))
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(scheduler.run(model, "", rows(n, n, n))) for n in (5, 6)]
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(*tasks)
        scheduler.shut_down()

    asyncio.run(refused())

    assert model.called == [[0], [5, 5, 5], [6, 6, 6]]


def test_parts_that_were_filled_up_to_other_shapes_cannot_be_joined():
    parameters = splitting(pad_variable_length_inputs=True)
    answers, _ = run(parameters, rows(*[[1]] * 4), rows([2, 3]), signature="")

    assert answers[1].code is grpc.StatusCode.FAILED_PRECONDITION
    assert answers[2] == [[4, 6]]


def test_answers_without_rows_cannot_be_joined():
    answers, _ = run(splitting(), rows(1, 2, 3, 4), signature="scalar")

    assert answers[1].code is grpc.StatusCode.FAILED_PRECONDITION


def test_overload_is_refused_at_once():
    parameters = one_thread(max_batch_size=1, max_enqueued_batches=2)
    answers, batches = run(parameters, rows(1), rows(2), rows(3))

    assert answers[:3] == [[0], [2], [4]]
    assert answers[3].code is grpc.StatusCode.UNAVAILABLE
    assert answers[3].message == (
        "The batch scheduling queue to which this task was submitted is full"
    )
    assert batches == [[0], [1], [2]]


def test_cancelled_work_is_dropped_and_makes_room():
    model = Doubling()

    async def cancelled():
        scheduler = Scheduler(one_thread(max_batch_size=2, max_enqueued_batches=1), LIMIT)
        tasks = await behind(scheduler, model, rows(1), rows(2))
        with pytest.raises(ServingError, match="UNAVAILABLE"):
            await scheduler.run(model, "", rows(3))
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(scheduler.run(model, "", rows(4))))
        await asyncio.sleep(0)
        model.go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        scheduler.shut_down()
        return answers

    answers = asyncio.run(cancelled())

    assert isinstance(answers[1], asyncio.CancelledError)
    assert answers[3]["y"] == [8]
    assert model.called == [[0], [4]]


def test_without_batching_a_thousand_wait():
    answers, batches = run(None, *[rows(number) for number in range(1, 1100)])

    refused = [each for each in answers if isinstance(each, ServingError)]
    assert len(answers) - len(refused) == 1000 + (os.cpu_count() or 1) == len(batches)
    assert {each.code for each in refused} == {grpc.StatusCode.UNAVAILABLE}


def test_a_batch_waits_for_more_until_it_is_full():
    model = Doubling()
    model.go.set()

    async def two():
        parameters = one_thread(max_batch_size=2, batch_timeout_micros=3600 * 1_000_000)
        scheduler = Scheduler(parameters, LIMIT)
        answers = await asyncio.gather(*(scheduler.run(model, "", rows(n)) for n in (1, 2)))
        scheduler.shut_down()
        return answers

    assert [answer["y"].tolist() for answer in asyncio.run(two())] == [[2], [4]]
    assert model.called == [[1, 2]]


def test_a_batch_waits_for_no_more_requests_than_the_last_had():
    model = Doubling()
    model.go.set()

    async def one_after_the_other():
        parameters = one_thread(max_batch_size=4, batch_timeout_micros=3600 * 1_000_000)
        scheduler = Scheduler(parameters, LIMIT)
        for requests in ([rows(1, 2), rows(3, 4)], [rows(5), rows(6)]):
            await asyncio.wait_for(
                asyncio.gather(*(scheduler.run(model, "", each) for each in requests)), 60
            )
        scheduler.shut_down()

    asyncio.run(one_after_the_other())

    assert model.called == [[1, 2, 3, 4], [5, 6]]


def test_a_batch_that_does_not_fill_goes_when_its_time_is_up():
    model = Doubling()
    model.go.set()

    async def one():
        scheduler = Scheduler(one_thread(batch_timeout_micros=1000), LIMIT)
        answer = await scheduler.run(model, "", rows(1))
        scheduler.shut_down()
        return answer["y"].tolist()

    assert asyncio.run(one()) == [2]


def test_batches_are_filled_up_to_an_allowed_size_with_the_first_row():
    parameters = one_thread(max_batch_size=6, allowed_batch_sizes=(2, 6))

    answers, batches = run(parameters, rows(5, 6), rows(7))

    assert answers == [[0], [10, 12], [14]]
    assert batches == [[0, 0], [5, 6, 7, 5, 5, 5]]


def test_inputs_of_other_shapes_do_not_share_a_batch():
    answers, batches = run(one_thread(), rows([1, 2]), rows([3]), rows([4, 5]))

    assert answers == [[0], [[2, 4]], [[6]], [[8, 10]]]
    assert batches == [[0], [[1, 2], [4, 5]], [[3]]]


def test_inputs_of_other_shapes_are_filled_up_with_their_first_value():
    parameters = one_thread(pad_variable_length_inputs=True)

    answers, batches = run(parameters, rows([1, 2]), rows([3]))

    assert batches == [[0], [[1, 2], [3, 3]]]
    assert answers == [[0], [[2, 4]], [[6, 6]]]


def test_texts_are_filled_up_too():
    requests = [{"x": np.array(v, object)} for v in ([[b"a", b"b"]], [[b"c"]])]
    scheduler = Scheduler(one_thread(pad_variable_length_inputs=True), LIMIT)

    padded = scheduler._padded([each["x"] for each in requests], 2)

    assert padded[1].tolist() == [[b"c", b"c"]]
    scheduler.shut_down()


def test_filling_up_has_a_limit():
    parameters = one_thread(pad_variable_length_inputs=True)
    long, high = np.zeros((1, 1, 40_000)), np.zeros((1, 40_000, 1))

    answers, batches = run(parameters, {"x": long}, {"x": high})

    assert [np.shape(answer) for answer in answers[1:]] == [long.shape, high.shape]
    assert len(batches) == 3


def test_a_request_does_not_fail_for_its_neighbours_fault():
    answers, _ = run(one_thread(), rows(1), rows(2), rows(-1), rows(3))

    assert [answers[n] for n in (1, 2, 4)] == [[2], [4], [6]]
    assert answers[3].message == "-1"


def test_a_lone_quick_request_of_numbers_is_computed_in_the_event_loop():
    model, threads = Doubling(), []
    model.go.set()
    doubling, model.call = model.call, lambda *arguments: (
        threads.append(threading.current_thread()), doubling(*arguments)
    )[1]  # fmt: skip

    async def some():
        scheduler = Scheduler(one_thread(), LIMIT)
        # However long they took: as if the first call had been quick.
        await scheduler.run(model, "", rows(1))
        scheduler._costs[model][""] = 1e-6, 1
        await scheduler.run(model, "", rows(2))
        scheduler._costs[model][""] = 1e-6, 1
        await scheduler.run(model, "", {"x": np.array(["a"], object)})
        scheduler._costs[model][""] = 1e-6, 1
        await scheduler.run(model, "", {"x": np.zeros(1000)})
        scheduler._costs[model][""] = 1e-6, 1
        await asyncio.gather(*(scheduler.run(model, "", rows(n)) for n in (3, 4)))
        scheduler.shut_down()

    asyncio.run(some())

    here = [thread is threading.main_thread() for thread in threads]
    assert here == [False, True, False, False, False]


def test_a_large_request_after_a_small_one_is_computed_in_a_thread():
    model, threads = Doubling(), []
    model.go.set()
    doubling, model.call = model.call, lambda *arguments: (
        threads.append(threading.current_thread()), doubling(*arguments)
    )[1]  # fmt: skip

    async def some():
        scheduler = Scheduler(None, LIMIT)
        await scheduler.run(model, "", rows(1))
        for values in (2, 10_000):
            scheduler._costs[model][""] = 1e-6, 1
            await scheduler.run(model, "", {"x": np.zeros((1, values))})
        scheduler.shut_down()

    asyncio.run(some())

    here = [thread is threading.main_thread() for thread in threads]
    assert here == [False, True, False]


def test_without_batching_each_is_computed_alone():
    answers, batches = run(None, rows(1), rows(2))

    assert answers[1:] == [[2], [4]]
    assert sorted(batches) == [[0], [1], [2]]


def test_a_signature_without_rows_is_computed_alone():
    _, batches = run(one_thread(), rows(1), rows(2), signature="alone")

    assert batches == [[0], [1], [2]]


def test_outputs_without_rows_cannot_be_taken_apart():
    answers, _ = run(one_thread(), rows(1, 2), rows(3), signature="scalar")

    assert answers[1] == answers[2] == 1.0  # one by one they need not be


def test_inputs_with_different_numbers_of_rows():
    answers, _ = run(one_thread(), {"x": np.zeros(2), "z": np.zeros(3)})

    assert answers[1].code is grpc.StatusCode.INVALID_ARGUMENT
    assert "equal 0th-dimension size" in answers[1].message
