"""Who is notified of what, and which schedules there cannot be."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipelines import webhook
from pipelines.recipe import RecipeError
from pipelines.scheduling.definition import Definition, ScheduleError
from tests.pipelines.scheduled import FAILED, KEPT, at


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    server.posted, server.answers = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestAlerts:
    def test_a_model_that_does_not_replace_the_served_one_is_told(
        self, make, clock, hook, tmp_path
    ):
        posted = tmp_path / "told.json"
        address = f"http://127.0.0.1:{hook.server_port}/secret"
        scheduler = make(KEPT, webhook=address, command=f"cat > {posted}; echo $CONVNETS_EVENT")
        hook.answers = [503]
        at(clock, 15)
        with scheduler.alerts:
            scheduler.tick()
        assert len(hook.posted) == 2
        assert hook.posted[1]["event"] == "kept"
        assert hook.posted[1]["text"] == "accuracy 0.1, less than the wanted 0.9"
        assert json.loads(posted.read_text()) == hook.posted[1]
        assert scheduler.store.history()[0].notes is None

    def test_a_failure_is_told_after_the_last_try(self, make, clock, hook):
        address = f"http://127.0.0.1:{hook.server_port}"
        scheduler = make(FAILED, webhook=address, retries=1)
        at(clock, 15)
        scheduler.tick()
        assert hook.posted == []
        clock.wait(60)
        with scheduler.alerts:
            scheduler.tick()
        (message,) = hook.posted
        assert (message["event"], message["attempts"]) == ("failed", 2)
        assert message["text"] == "the disk is full"

    def test_success_is_told_to_those_who_ask(self, make, clock, hook):
        address = f"http://127.0.0.1:{hook.server_port}"
        at(clock, 0)
        for alert_on, number in ((("failed",), 0), (("replaced",), 1)):
            make(webhook=address, alert_on=alert_on).once("daily")
            assert len(hook.posted) == number

    def test_an_alert_that_fails_is_noted_without_its_secret(self, make, clock, monkeypatch):
        monkeypatch.setattr("pipelines.scheduling.alerts._COMMAND_SECONDS", 0.1)
        for command, words in (
            ("echo no http://a/secret; exit 3", "exit code 3 no http://a/..."),
            ("sleep 60 | cat", "not done"),
        ):
            scheduler = make(KEPT, webhook="http://127.0.0.1:1/secret", command=command)
            scheduler.once("daily")
            (line, *_) = scheduler.store.history()
            assert line.state == "kept"
            assert words in line.notes
            assert "127.0.0.1" in line.notes and "secret" not in line.notes


class _Dripping:
    """A server that answers with one header after the other, until it is ended."""

    def __init__(self):
        self._ended = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._drip, daemon=True)
        self._thread.start()

    def _drip(self):
        with contextlib.suppress(OSError):
            while not self._ended.is_set():
                connection, _ = self._server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"HTTP/1.1 200 OK\r\n")
                    while not self._ended.wait(0.01):
                        connection.sendall(b"X-More: 1\r\n")

    def end(self):
        self._ended.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def dripping():
    server = _Dripping()
    yield server
    server.end()


class TestWebhooks:
    def test_a_try_ends_in_time_however_slowly_it_is_answered(self, dripping):
        problem = webhook.post(f"http://127.0.0.1:{dripping.port}/secret", b"{}", 0.1, tries=2)
        assert problem == f"http://127.0.0.1:{dripping.port}/...: no answer in 0.1 seconds"

    def test_the_scheduler_does_not_wait_for_a_webhook(self, make, clock, dripping):
        scheduler = make(KEPT, webhook=f"http://127.0.0.1:{dripping.port}/secret")
        at(clock, 15)
        with scheduler.alerts:
            scheduler.tick()
            (line,) = scheduler.store.history()
            assert (line.state, line.notes) == ("kept", None)
            dripping.end()
        (line,) = scheduler.store.history()
        assert "127.0.0.1" in line.notes and "secret" not in line.notes

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("http://a.org/T/secret?k=1 and more", "http://a.org/... and more"),
            ("curl 'https://me:secret@a.org:8080/x'", "curl 'https://a.org:8080/...'"),
            ("HTTPS://a.org?secret", "HTTPS://a.org/..."),
            ("gs://a/b", "gs://a/b"),
            ("https://a.org", "https://a.org"),
        ],
    )
    def test_of_an_address_the_host_is_shown(self, text, shown):
        assert webhook.masked(text) == shown

    @pytest.mark.parametrize("address", ["http://", "http://[x/secret", "http://a:b/secret"])
    def test_what_is_no_address_is_no_error(self, address):
        problem = webhook.post(address, b"{}", 1.0)
        assert problem
        assert "secret" not in problem


class TestDefinitions:
    @pytest.mark.parametrize(
        ("values", "error", "message"),
        [
            ({"cron": None}, ScheduleError, "say when"),
            ({"every": 60.0}, ScheduleError, "say when"),
            ({"name": "../x"}, ScheduleError, "no name"),
            ({"recipe": "lenett"}, RecipeError, "lenet"),
            ({"settings": ("epoch=1",)}, RecipeError, "epochs"),
            ({"drift": 2.0}, ScheduleError, "between 0 and 1"),
            ({"webhook": "file:///etc"}, ScheduleError, "http"),
            ({"webhook": "https:///services/T0"}, ScheduleError, "http"),
            ({"webhook": "https://host:port/"}, ScheduleError, "http"),
            ({"webhook": "http://[::1/"}, ScheduleError, "http"),
            ({"cron": None, "every": 60.0, "timezone": "UTC"}, ScheduleError, "is for --cron"),
            ({"alert_on": ("sometimes",)}, ScheduleError, "failed, kept, replaced"),
            ({"new_span": True}, ScheduleError, "spans"),
            ({"data": "photos/{SPAM}"}, ValueError, "SPAM"),
            ({"retries": -1}, ScheduleError, "0 or more"),
        ],
    )
    def test_what_cannot_be_is_refused(self, values, error, message):
        made = Definition(**{"name": "a", "recipe": "lenet", "cron": "0 3 * * *", **values})
        with pytest.raises(error, match=message):
            made.check()

    def test_a_network_of_ones_own_is_its_schedules_alone(self, make, tmp_path, monkeypatch):
        (tmp_path / "mynets.py").write_text("def Net(input_shape, classes): ...")
        monkeypatch.syspath_prepend(tmp_path)
        own = {"settings": ("model=mynets:Net", "model_args={}")}
        with pytest.raises(RecipeError, match="--allow-package mynets"):
            Definition("a", "lenet", cron="0 3 * * *", **own).check()
        shows = 'summary(blessed=False, why=[os.environ.get("CONVNETS_ALLOW_PACKAGES", "none")])'
        scheduler = make(shows, allow_packages=("mynets",), **own)
        assert scheduler.once("daily").text == "mynets"
        assert make(shows).once("daily").text == "none"

    def test_to_json_and_back(self):
        made = Definition(
            "a", "lenet", settings=("epochs=1",), every=60.0, drift=0.1, alert_on=("kept",)
        )
        assert Definition.from_json(made.to_json()) == made

    def test_drift_that_is_looked_for_does_not_stop_the_run(self):
        recipe = Definition("a", "lenet", every=60.0, drift=0.1).build()
        assert recipe.data_checks["drift"] == recipe.data_checks["image_drift"] == 1.0
