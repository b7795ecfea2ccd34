"""A relay between Cowrite and the model's server, which notes every answer: path, status, and in how many pieces it came."""

import http.client
import http.server
import threading
from dataclasses import dataclass


@dataclass
class Exchange:
    path: str
    status: int = 0
    pieces: int = 0
    # What a refusal said.
    refusal: str = ""


class Relay:
    def __init__(self, upstream):
        self.exchanges = exchanges = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                exchange = Exchange(self.path)
                exchanges.append(exchange)
                body = self.rfile.read(int(self.headers["content-length"]))
                connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=120)
                try:
                    connection.request("POST", self.path, body, {"content-type": "application/json"})
                    answer = connection.getresponse()
                    exchange.status = answer.status
                    self.send_response(answer.status)
                    self.send_header("content-type", answer.headers["content-type"])
                    self.end_headers()
                    while piece := answer.read1(65536):
                        exchange.pieces += 1
                        if answer.status != 200:
                            exchange.refusal += piece.decode(errors="replace")
                        self.wfile.write(piece)
                except BrokenPipeError:
                    pass  # Cowrite gave up the request, which it may.
                finally:
                    connection.close()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
