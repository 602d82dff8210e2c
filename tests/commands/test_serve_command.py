import http.client
import threading

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
    "//etc/passwd", "/missing",
])  # fmt: skip
def test_nothing_else_is_served(get, path):
    status, _, text = get(path)
    assert status == 404
    assert "secret" not in text


def test_a_run_or_its_page_is_served_and_nothing_else(folder, tmp_path):
    assert web_folder(folder.parents[1]) == folder
    assert web_folder(folder) == folder
    with pytest.raises(UserError, match=r"export\.py --run-folder .* --formats web"):
        web_folder(tmp_path)
    with pytest.raises(UserError, match="has none"):
        main(["serve", str(tmp_path)])


def test_an_address_that_cannot_be_had(folder):
    taken = open_server(folder, "127.0.0.1", 0)
    with taken, pytest.raises(UserError, match=r"listened at: .*choose another --port"):
        open_server(folder, "127.0.0.1", taken.server_port)
    with pytest.raises(UserError, match="from 0 to 65535; received 65536"):
        open_server(folder, "127.0.0.1", 65536)
    with pytest.raises(UserError, match="choose another --port or --host"):
        open_server(folder, "256.0.0.1", 0)


def test_it_says_how_a_phone_comes_to_it():
    told = instructions("127.0.0.1", 8123)
    assert "http://127.0.0.1:8123/" in told
    assert "adb reverse tcp:8123 tcp:8123" in told
    assert "everybody" not in told
    assert "everybody who reaches this machine" in instructions("0.0.0.0", 80)
