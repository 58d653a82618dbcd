"""A weight file from a server on loopback: whole and verified, or one error and nothing under its name."""

import contextlib
import dataclasses
import hashlib
import io
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from file_server import (
    CONTENT,
    HALF,
    Server,
    chunked,
    cut,
    no_http,
    reset,
    silent,
    stall,
    status,
    too_long,
    whole,
    without_length,
)

from keras_vision.errors import WeightsError
from keras_vision.registry import WeightsFile
from keras_vision.runtime import Preprocessing
from keras_vision.weights import download, home, resolve

GREY = Preprocessing(size=(8, 8), resize_shorter=None)


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 5)
    monkeypatch.setattr(download, "PAUSES", (0.01, 0.02))


@pytest.fixture
def once(monkeypatch):
    """No second try."""
    monkeypatch.setattr(download, "PAUSES", ())


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VISION_HOME", str(tmp_path / "store"))
    return home()


def published(url, content=CONTENT, kind="sha256"):
    digest = f"{kind}:{hashlib.new(kind, content).hexdigest()}"
    return WeightsFile("mine", "w.npz", url, digest, 10, GREY, "test", "none")


def get(server, **kwargs):
    file = published(server.url, **kwargs)
    path, found = resolve("mine", [file])
    assert found == file
    return path.read_bytes()


def fail(server, says, **kwargs):
    with pytest.raises(WeightsError, match=says):
        get(server, **kwargs)
    assert not (home() / "w.npz").exists()


def ranges(server):
    return [headers.get("Range") for headers in server.seen]


def leftovers(store):
    return {path.name for path in store.iterdir()} - {"w.npz", "w.npz.lock"}


# ---------------------------------------------------------------------------------------------- what succeeds


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_is_fetched_once(kind, server, store):
    assert get(server, kind=kind) == CONTENT
    assert get(server, kind=kind) == CONTENT
    assert ranges(server) == [None]
    assert leftovers(store) == set()


def test_the_first_digits_of_a_hash_will_do(server, store):
    file = published(server.url)
    for digits, right in [(8, True), (7, False), (0, False)]:
        (store / "w.npz").unlink(missing_ok=True)
        short = dataclasses.replace(file, hash=file.hash[: len("sha256:") + digits])
        with contextlib.nullcontext() if right else pytest.raises(WeightsError, match="what came has the hash"):
            assert [resolve("mine", [short]) for _ in range(2)] == [(store / "w.npz", short)] * 2


def test_an_empty_home_is_no_home(monkeypatch):
    monkeypatch.setenv("KERAS_VISION_HOME", "")
    assert home().name == ".keras_vision"


@pytest.mark.parametrize(
    "answer", [without_length(len(CONTENT)), chunked(len(CONTENT) + 7), too_long], ids=["length", "chunks", "surplus"]
)
def test_other_ways_to_send_it(answer, server, store):
    server.answers = [answer]
    assert get(server) == CONTENT
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [status(503), status(500), cut(HALF), cut(0), reset, no_http, chunked(HALF)],
    ids=["503", "500", "cut", "empty", "reset", "no_http", "chunks"],
)
def test_a_failure_that_passes_is_tried_again(answer, server, store):
    server.answers = [answer]
    assert get(server) == CONTENT
    assert len(server.seen) == 2
    assert leftovers(store) == set()


def test_one_call_continues_after_a_cut(server, store):
    server.answers = [cut(1000), cut(2000)]
    assert get(server) == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=3000-"]


def test_redirects_are_followed(server, store):
    server.answers = [status(302, Location=f"{server.url}?again")]
    assert get(server) == CONTENT


# --------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("answer", [cut(HALF), stall(HALF)], ids=["cut", "stall"])
def test_the_next_call_asks_for_the_rest(answer, server, store, once, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.answers = [answer, status(302, Location=server.url)]
    fail(server, "bytes early|timed out")
    assert (store / "w.npz.part").read_bytes() == CONTENT[:HALF]
    assert get(server) == CONTENT
    assert ranges(server) == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert [headers.get("If-Range") for headers in server.seen] == [None, '"1"', '"1"']
    assert leftovers(store) == set()


def interrupted(server, **changes):
    """Leave half a file, then change the server."""
    server.answers = [cut(HALF)]
    fail(server, "bytes early")
    vars(server).update(changes)


def test_a_server_without_ranges_sends_it_again(server, store, once):
    interrupted(server, ranges=False)
    assert get(server) == CONTENT
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_a_changed_file_is_sent_again(server, store, once):
    interrupted(server, content=CONTENT[::-1], etag='"2"')
    assert get(server, content=CONTENT[::-1]) == CONTENT[::-1]
    assert ranges(server) == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_a_part_of_another_file_is_noticed_by_the_hash(etag, server, store, once):
    server.etag = etag
    interrupted(server, content=CONTENT[::-1])
    assert get(server, content=CONTENT[::-1]) == CONTENT[::-1]
    assert ranges(server) == [None, f"bytes={HALF}-", None]
    assert all("If-Range" not in headers for headers in server.seen)


def test_the_date_stands_for_a_weak_tag(server, store, once):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.etag = 'W/"1"'
    server.answers = [lambda handler: handler.start(Content_Length=5, Last_Modified=date) or handler.wfile.write(b"a")]
    fail(server, "4 bytes early")
    assert get(server) == CONTENT
    assert server.seen[1]["If-Range"] == date


def test_a_part_longer_than_the_file_starts_again(server, store):
    store.mkdir()
    (store / "w.npz.part").write_bytes(CONTENT + b"more")
    assert get(server) == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_whole_part_is_only_renamed(server, store):
    store.mkdir()
    (store / "w.npz.part").write_bytes(CONTENT)
    assert get(server) == CONTENT
    assert server.seen == []
    assert leftovers(store) == set()


def test_a_full_disk_keeps_what_came(server, store):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, unlimited[1]))
    try:
        fail(server, r"could not be fetched \(.*File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert get(server) == CONTENT
    assert ranges(server) == [None, f"bytes={HALF}-"]


# ------------------------------------------------------------------------------------------------ what fails


FAILURES = {
    "wrong hash": ([], "what came has the hash sha256:"),
    "truncated without a length": ([without_length(HALF)], "what came has the hash sha256:"),
    "not found": ([status(404)], r"\(HTTP Error 404"),
    "server error": ([status(503)] * 3, r"\(HTTP Error 503"),
    "cut every time": ([cut(9)] * 3, r"\(the answer ended \d+ bytes early"),
    "reset every time": ([reset] * 3, r"\(\[Errno \d+\] Connection reset"),
    "no HTTP": ([no_http] * 3, r"\(no answer in HTTP: BadStatusLine"),
    "broken chunks": ([chunked(HALF)] * 3, r"\(the answer broke off: IncompleteRead"),
    "no answer": ([silent], r"\(timed out"),
    "redirect to a file": ([status(302, Location="file:///etc/hostname")], "not allowed"),
    "redirect to ftp": ([status(302, Location="ftp://127.0.0.1/w.npz")], "ftp://127.0.0.1/w.npz is not an http or"),
    "redirect to nonsense": ([status(302, Location="http://[")], "not an address"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_one_error_that_says_what_to_do(failure, server, store, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.answers, says = list(FAILURES[failure][0]), FAILURES[failure][1]
    tries = len(server.answers)
    server.content = CONTENT[::-1]
    with pytest.raises(WeightsError, match=says) as caught:
        get(server)
    digest = hashlib.sha256(CONTENT).hexdigest()
    by_hand = (
        f"Pass weights=None for random weights. Or put the file there yourself: {store / 'w.npz'} (sha256:{digest})"
    )
    assert f"{by_hand}, from {server.url}." in str(caught.value)
    assert not (store / "w.npz").exists()
    assert len(server.seen) == (tries or 1)


def test_a_wrong_file_does_not_stay(server, store):
    server.content = b"something else"
    fail(server, "what came has the hash")
    assert leftovers(store) == set()
    server.content = CONTENT
    assert get(server) == CONTENT


def unreachable(url, says):
    with pytest.raises(WeightsError, match=rf"could not be fetched \(.*{says}") as caught:
        resolve("mine", [published(url)])
    assert all(part in str(caught.value) for part in (url, str(home() / "w.npz"), "weights=None"))


def test_a_closed_port(store):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    unreachable(f"http://127.0.0.1:{port}/w.npz", "Connection refused")


@pytest.mark.parametrize(
    "error", [socket.gaierror(-3, "No name resolution"), OSError(101, "No route"), TimeoutError("timed out")], ids=str
)
def test_no_connection(error, store, monkeypatch):
    def connect(*args, **kwargs):
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    unreachable("http://weights.invalid/w.npz", error.strerror or error)


@pytest.mark.parametrize("scheme", ["file://", "ftp://127.0.0.1", "data:,", ""])
def test_only_web_addresses(scheme, store, tmp_path):
    (tmp_path / "w.npz").write_bytes(CONTENT)
    unreachable(f"{scheme}{tmp_path / 'w.npz'}", "is not an http or https address")


def test_a_store_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("KERAS_VISION_HOME", str(tmp_path / "file" / "store"))
    unreachable(server.url, "Not a directory")
    assert server.seen == []


# -------------------------------------------------------------------------------------- several processes, Ctrl-C


FETCH = """
import pathlib, runpy, sys
fetch = runpy.run_path(sys.argv[1])["fetch"]  # without Keras, which takes seconds to import
print("ready", flush=True)
fetch(sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4])
"""


def start(server, store):
    """A process that says "ready" and fetches the file."""
    file = published(server.url)
    command = [sys.executable, "-c", FETCH, download.__file__, file.url, str(store / file.file), file.hash]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_processes_one_downloads(server, store):
    server.answers = [stall(HALF)]
    processes = [start(server, store) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    server.go_on.set()
    for process in processes:
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0
    assert (store / "w.npz").read_bytes() == CONTENT
    assert ranges(server) == [None]
    assert leftovers(store) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_process_leaves_a_part(number, server, store):
    server.answers = [stall(HALF)]
    process = start(server, store)
    part, patience = store / "w.npz.part", time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < patience:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.communicate(timeout=20)[1].endswith("KeyboardInterrupt\n" if number == signal.SIGINT else "")
    assert process.returncode == -number
    assert not (store / "w.npz").exists()
    size = part.stat().st_size
    assert get(server) == CONTENT
    assert ranges(server) == [None, f"bytes={size}-"]


@pytest.fixture(params=["no fcntl", "no locks"])
def without_locks(request, monkeypatch):
    """A system without `flock`, or a network disk that refuses it."""

    class NoLocks:
        LOCK_EX = 2

        def flock(stream, operation):
            raise OSError(37, "No locks available")

    monkeypatch.setitem(sys.modules, "fcntl", None if request.param == "no fcntl" else NoLocks)


def test_without_locks_both_download(without_locks, server, store):
    both = threading.Barrier(2)
    server.answers = [lambda handler: (both.wait(10), whole(handler))] * 2
    results = []
    threads = [threading.Thread(target=lambda: results.append(get(server))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [CONTENT, CONTENT]
    assert [path.name for path in store.iterdir() if "lock" not in path.name] == ["w.npz"]


# --------------------------------------------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal(server, store, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert get(server) == CONTENT
    assert "w.npz " in terminal.getvalue()
    assert "300.0/300.0 kB" in terminal.getvalue()


def test_nothing_is_shown_elsewhere(server, store, capfd, monkeypatch):
    assert get(server) == CONTENT
    assert capfd.readouterr() == ("", "")


def test_no_standard_error_is_no_problem(server, store):
    with contextlib.redirect_stderr(None):
        assert get(server) == CONTENT
