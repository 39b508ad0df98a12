"""An HTTP/3 client that shares no code with Apollo, for tests/tests/interop.rs.

    aioquic_client.py HOST PORT CA [CERT KEY] < steps.json > answers.json

Reads a JSON array of steps and performs them in order on one connection. Each step is an object:

    method, path   the request
    headers        {name: value}
    body           text, or
    body_bytes     a count of 'x' bytes, sent in pieces until the peer stops us
    content_length announce this length, whatever the body is
    end            "fin" (default), "reset" (reset the stream after the body), "open" (send neither)

Writes a JSON array with, for each step, {"status", "headers", "body", "reset"}: status is null when the stream ended
without an answer. A connection that is lost gives {"connection_lost": REASON} for this step and all after it.
"""
import asyncio
import json
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StopSendingReceived, StreamReset

# How long one answer may take; a passing test never waits for it.
ANSWER_SECONDS = 20
# Long bodies go out in pieces of this size, so that STOP_SENDING is noticed.
PIECE_BYTES = 16 * 1024
H3_REQUEST_CANCELLED = 0x10C


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic)
        self.answers = {}
        self.done = {}
        self.stopped = set()
        self.lost = None

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.lost = event.reason_phrase or f"error {event.error_code}"
            for future in self.done.values():
                if not future.done():
                    future.set_result(None)
        if isinstance(event, StopSendingReceived):
            self.stopped.add(event.stream_id)
        if isinstance(event, StreamReset):
            self.answers.setdefault(event.stream_id, {})["reset"] = event.error_code
            self.finish(event.stream_id)
        for http in self.h3.handle_event(event):
            answer = self.answers.setdefault(http.stream_id, {})
            if isinstance(http, HeadersReceived):
                fields = {name.decode(): value.decode() for name, value in http.headers}
                answer["status"] = int(fields.pop(":status"))
                answer["headers"] = fields
            elif isinstance(http, DataReceived):
                answer["body"] = answer.get("body", "") + http.data.decode("utf-8", "replace")
            if http.stream_ended:
                self.finish(http.stream_id)

    def finish(self, stream_id):
        future = self.done.get(stream_id)
        if future and not future.done():
            future.set_result(None)

    async def perform(self, step):
        if self.lost is not None:
            return {"connection_lost": self.lost}
        stream = self._quic.get_next_available_stream_id()
        self.done[stream] = asyncio.get_running_loop().create_future()
        headers = [(":method", step["method"]), (":scheme", "https"), (":authority", "localhost"), (":path", step["path"])]
        headers += list(step.get("headers", {}).items())
        if "content_length" in step:
            headers.append(("content-length", str(step["content_length"])))
        end = step.get("end", "fin")
        body = step.get("body", "").encode() or None
        bare = body is None and "body_bytes" not in step
        self.h3.send_headers(stream, [(n.encode(), v.encode()) for n, v in headers], end_stream=bare and end == "fin")
        if body is not None:
            self.h3.send_data(stream, body, end_stream=end == "fin")
        elif "body_bytes" in step:
            await self.send_long(stream, step["body_bytes"], end)
        if end == "reset":
            self.transmit()
            self._quic.reset_stream(stream, H3_REQUEST_CANCELLED)
        self.transmit()
        if end == "reset":
            return {"sent": True}
        try:
            await asyncio.wait_for(self.done[stream], ANSWER_SECONDS)
        except asyncio.TimeoutError:
            return {"timed_out": True, **self.answers.get(stream, {})}
        if self.lost is not None and stream not in self.answers:
            return {"connection_lost": self.lost}
        return {"status": None, **self.answers.get(stream, {})}

    async def send_long(self, stream, count, end):
        sent = 0
        while sent < count and stream not in self.stopped and self.lost is None and not self.done[stream].done():
            piece = min(PIECE_BYTES, count - sent)
            try:
                self.h3.send_data(stream, b"x" * piece, end_stream=False)
            except Exception:  # the stream is closed for sending: STOP_SENDING was answered with a reset
                return
            sent += piece
            self.transmit()
            await asyncio.sleep(0)
        if end == "fin" and stream not in self.stopped and not self.done[stream].done():
            try:
                self.h3.send_data(stream, b"", end_stream=True)
            except Exception:
                pass


async def main():
    host, port, ca, *identity = sys.argv[1:]
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="localhost")
    configuration.load_verify_locations(ca)
    if identity:
        configuration.load_cert_chain(*identity)
    steps = json.load(sys.stdin)
    answers = []
    try:
        async with connect(host, int(port), configuration=configuration, create_protocol=Client) as client:
            for step in steps:
                answers.append(await client.perform(step))
    except ConnectionError as error:
        answers.append({"connection_lost": str(error) or "refused"})
    json.dump(answers, sys.stdout, indent=1)


asyncio.run(main())
