"""An OpenAI-compatible server on this machine that delays, drops, refuses and babbles, as often as a test wants."""

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

FAULTS = ("drop", "500", "429", "garbage", "half", "short", "hang", "empty-choices")
Answerer = Callable[[Sequence[Mapping[str, str]]], str]


def teach(messages: Sequence[Mapping[str, str]]) -> str:
    """What a good model says: it advises the command it was told, without saying that it was told."""
    told = re.search(r"best next command is: (.+)", messages[-1]["content"])
    words = f"Looking at this, I should take {told[1]}." if told else "I look around and then go on towards the goal."
    return f"<think>hm</think>{words}\n# Action:\n3"


class FaultyServer:
    """Serves ``/v1/chat/completions`` and ``/v1/completions``; every request seen is counted by its content.

    Args:
        answer: What the model says to a conversation; a bare prompt is one of a single message.
        fault_rate: Share of requests that meet a fault, drawn by ``seed`` from the order of arrival.
        faults: Which faults, each as likely.
        delay: Seconds that every answer takes.
        usage: False leaves the tokens out of answers.
        script: Status codes and headers of the first requests, instead of anything drawn.
    """

    def __init__(
        self,
        answer: Answerer = teach,
        *,
        fault_rate: float = 0.0,
        faults: Sequence[str] = FAULTS,
        delay: float = 0.0,
        usage: bool = True,
        seed: int = 0,
        script: Sequence[tuple[int, Mapping[str, str]]] = (),
    ) -> None:
        self.answer, self.fault_rate, self.faults, self.delay, self.usage = answer, fault_rate, tuple(faults), delay, usage
        self.script = list(script)
        self.answered: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.seen: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.times: list[float] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.dice = np.random.default_rng(seed)
        self.down = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server.handle(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request, or not."""
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self.lock:
            self.seen.append(body)
            self.times.append(time.monotonic())
            self.keys.add(request.headers.get("Authorization", ""))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            scripted = self.script.pop(0) if self.script else None
            fault = str(self.dice.choice(self.faults)) if self.dice.random() < self.fault_rate else ""
        try:
            time.sleep(self.delay)
            if self.down:
                fault = "500"
            if scripted is not None:
                self.met[str(scripted[0])] += 1
                _send(request, scripted[0], b'{"error": {"message": "scripted"}}', scripted[1])
            elif fault:
                with self.lock:
                    self.met[fault] += 1
                self._break(request, fault)
            else:
                data = self._completion(body)
                with self.lock:
                    self.answered[json.dumps(_conversation(body))] += 1
                _send(request, 200, data)
        except (BrokenPipeError, ConnectionResetError):  # the client was killed
            request.close_connection = True
        finally:
            with self.lock:
                self.under_way -= 1

    def _completion(self, body: Mapping[str, Any]) -> bytes:
        said = self.answer(_conversation(body))
        kind = {"text": said} if "prompt" in body else {"message": {"role": "assistant", "content": said}}
        choice = {"index": 0, **kind, "finish_reason": "stop"}
        value: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
        if self.usage:
            value["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return json.dumps(value).encode()

    def _break(self, request: BaseHTTPRequestHandler, fault: str) -> None:
        if fault in ("drop", "hang"):
            time.sleep(1.5 if fault == "hang" else 0)
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
        elif fault == "500":
            _send(request, 500, b"<html>oh no</html>")
        elif fault == "429":
            _send(request, 429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0.05"})
        elif fault == "garbage":
            _send(request, 200, b"\x00\xff<html>welcome to the captive portal</html>")
        elif fault == "half":
            _send(request, 200, b'{"choices": [{"message": {"content": "I should g')
        elif fault == "empty-choices":
            _send(request, 200, b'{"choices": []}')
        elif fault == "short":  # promises more bytes than come
            request.send_response(200)
            request.send_header("Content-Length", "1000")
            request.end_headers()
            request.wfile.write(b'{"choices": [')
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True


def _conversation(body: Mapping[str, Any]) -> list[Mapping[str, str]]:
    return body["messages"] if "messages" in body else [{"role": "user", "content": body["prompt"]}]


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def serving(server: FaultyServer) -> Iterator[FaultyServer]:
    """The server at work while the ``with`` block lasts."""
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
