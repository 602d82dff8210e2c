import http.client
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from googlenet_keras.cli import main
from googlenet_keras.errors import UserError
from googlenet_keras.webpage.server import instructions, open_server, web_folder


@pytest.fixture
def folder(tmp_path):
    web = tmp_path / "run" / "export" / "web"
    (web / "litert").mkdir(parents=True)
    (web / "index.html").write_text("the page")
    (web / "litert" / "a.wasm").write_text("code")
    (tmp_path / "run" / "config.json").write_text("secret")
    return web


@pytest.fixture
def get(folder):
    """Asks a server of `folder` for a path; gives status, headers and text."""
    with open_server(folder, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(path):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

        yield ask
        server.shutdown()


def test_the_page_with_what_threads_and_workers_need(get):
    status, headers, text = get("/")
    assert (status, text) == (200, "the page")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cache-Control"] == "no-cache"
    assert get("/litert/a.wasm")[1]["Content-Type"] == "application/wasm"


@pytest.mark.parametrize("path", [
    "/litert/", "/../config.json", "/../../config.json", "/%2e%2e/%2e%2e/config.json",
    "//etc/passwd", "/missing", "/..%2f..%2fconfig.json", "/index.html/", "/a%00b",
    "/" + 300 * "a", "/%ff",
])  # fmt: skip
def test_nothing_else_is_served(get, path):
    status, _, text = get(path)
    assert status == 404
    assert "secret" not in text


@pytest.mark.parametrize("path", ["/link", "/folder/config.json", "/own/", "/pipe"])
def test_links_out_of_the_folder_and_pipes_are_not_served(get, folder, path):
    secret = folder.parents[1] / "config.json"
    (folder / "link").symlink_to(secret)
    (folder / "folder").symlink_to(secret.parent)
    (folder / "own").mkdir()
    (folder / "own" / "index.html").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    status, _, text = get(path)
    assert status == 404
    assert "secret" not in text


def test_links_within_the_folder_are_served(get, folder):
    (folder / "link").symlink_to("litert")
    assert get("/link/a.wasm")[::2] == (200, "code")


def test_a_browser_that_leaves_is_no_error(folder, capfd):
    with open_server(folder, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for sent in (b"", b"GET / HT", b"GET / HTTP/1.1\r\n\r\n"):
            client = socket.create_connection(server.server_address)
            client.sendall(sent)
            reset = struct.pack("ii", 1, 0)  # closing it resets the connection
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.close()
        server.shutdown()
        thread.join()
    assert capfd.readouterr().err == ""


def test_a_run_or_its_page_is_served_and_nothing_else(folder, tmp_path):
    assert web_folder(folder.parents[1]) == folder
    assert web_folder(folder) == folder
    with pytest.raises(UserError, match=r"export --run-folder .* --formats web"):
        web_folder(tmp_path)
    with pytest.raises(UserError, match="has none"):
        main(["serve", str(tmp_path)])


def test_an_address_that_cannot_be_had(folder):
    taken = open_server(folder, "127.0.0.1", 0)
    with taken, pytest.raises(UserError, match=r"listened at: .*choose another --port"):
        open_server(folder, "127.0.0.1", taken.server_port)
    with pytest.raises(UserError, match="from 0 to 65535; received 65536"):
        open_server(folder, "127.0.0.1", 65536)
    with pytest.raises(UserError, match="from 0 to 65535; received -1"):
        open_server(folder, "127.0.0.1", -1)


@pytest.mark.parametrize("host", [
    "256.0.0.1", "a" * 70, "ä" * 70, ".", "a..b", " ", "\udcff",
])  # fmt: skip
def test_a_host_that_there_is_not(folder, host):
    with pytest.raises(UserError, match="choose another --port or --host"):
        open_server(folder, host, 0)


def test_an_empty_host_does_not_stand_for_all(folder):
    with pytest.raises(UserError, match=r"received ''\. 0\.0\.0\.0 stands for all"):
        open_server(folder, "", 0)


@pytest.mark.parametrize(
    ("host", "is_public"), [("0", True), ("0.0.0.0", True), ("localhost", False)]
)
def test_it_says_who_can_open_the_page(folder, host, is_public):
    command = [sys.executable, "-m", "googlenet_keras", "serve", folder, "--port", "0"]
    with subprocess.Popen(
        [*command, "--host", host],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        first, second = server.stdout.readline(), server.stdout.readline()
        server.terminate()
    assert re.match(r"the page is at http://[^0:][^:]*:\d+/ ", first)
    assert second.startswith("everybody who reaches") is is_public


def test_it_says_how_a_phone_comes_to_it():
    told = instructions("127.0.0.1", 8123)
    assert "http://127.0.0.1:8123/" in told
    assert "adb reverse tcp:8123 tcp:8123" in told
    assert "everybody" not in told
    assert "everybody who reaches this machine" in instructions("0.0.0.0", 80)
