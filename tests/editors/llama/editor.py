"""A small editor: an LSP client with one open buffer, which applies the edits that it is sent."""

import json
import queue
import subprocess
import threading
import time


class Editor:
    def __init__(self, server, folder, settings, environment):
        self.server = subprocess.Popen(
            [server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=folder
        )
        self.messages = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.folder, self.last, self.events, self.messages_shown = folder, 0, [], []
        self.uri, self.text, self.version = None, "", 0
        self.request(
            "initialize",
            {
                "processId": None,
                "workspaceFolders": [{"uri": folder.as_uri(), "name": "work"}],
                "initializationOptions": settings,
                "capabilities": {
                    "general": {"positionEncodings": ["utf-32"]},
                    "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
                    "experimental": {"cowrite": {"events": True}},
                },
            },
        )
        self.notify("initialized", {})

    def open(self, name, text):
        self.uri, self.text, self.version = (self.folder / name).as_uri(), text, 1
        document = {"uri": self.uri, "languageId": "plaintext", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def run(self, command, argument, seconds):
        """The events of a run, to its end."""
        started = self.request("workspace/executeCommand", {"command": command, "arguments": [argument]})
        end = time.monotonic() + seconds
        while True:
            events = [e["event"] for e in self.events if e.get("runId") == started["runId"]]
            if events and events[-1]["type"] == "runFinished":
                return events
            self._handle(self._next(end))

    def close(self):
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.server.wait(5)

    def request(self, method, params):
        self.last += 1
        self._send({"id": self.last, "method": method, "params": params})
        end = time.monotonic() + 20
        while True:
            message = self._next(end)
            if message.get("id") == self.last and "method" not in message:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._handle(message)

    def notify(self, method, params):
        self._send({"method": method, "params": params})

    def _handle(self, message):
        method, params = message.get("method"), message.get("params")
        if method == "cowrite/event":
            self.events.append(params)
        elif method == "window/showMessage":
            self.messages_shown.append(params["message"])
        elif "id" in message and method:
            result = {"applied": self._apply(params["edit"])} if method == "workspace/applyEdit" else None
            self._send({"id": message["id"], "result": result})

    def _apply(self, edit):
        for change in edit["documentChanges"]:
            if change["textDocument"] != {"uri": self.uri, "version": self.version}:
                return False
            lines = self.text.splitlines(keepends=True)

            def offset(position):
                return sum(map(len, lines[: position["line"]])) + position["character"]

            for one in sorted(change["edits"], key=lambda one: offset(one["range"]["start"]), reverse=True):
                start, end = offset(one["range"]["start"]), offset(one["range"]["end"])
                self.text = self.text[:start] + one["newText"] + self.text[end:]
            self.version += 1
            document = {"uri": self.uri, "version": self.version}
            self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": self.text}]})
        return True

    def _send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.server.stdin.flush()

    def _next(self, end):
        message = self.messages.get(timeout=max(0, end - time.monotonic()))
        if message is None:
            raise RuntimeError("the server closed its output")
        return message

    def _read(self):
        out = self.server.stdout
        while header := out.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                header = out.readline()
            self.messages.put(json.loads(out.read(length)))
        self.messages.put(None)
