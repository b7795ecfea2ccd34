"""Runs of the agent against a real model over three wires. It is about the plumbing: the model is far too small to be right."""

import os
import pathlib
import queue
import sys
import tempfile
import time

from editor import Editor
from relay import Relay

WIRES = {"anthropic": "/v1/messages", "openai-chat": "/v1/chat/completions", "openai": "/v1/responses"}
PROMPTS = ["Read the file notes.txt.", "Read notes.txt", "Show me the file notes.txt with the tool read."]
NOTES = "milk\nbread\n"
SECONDS = 60


def check(holds, what, events=()):
    if holds:
        return
    print(f"FAILED: {what}", file=sys.stderr)
    for event in events:
        print(f"  {event}"[:400], file=sys.stderr)
    sys.exit(1)


def settings(wire, port, **model):
    base = f"http://127.0.0.1:{port}"
    return {
        "model": "small/smollm2",
        "providers": {"small": {"kind": wire, "base_url": base if wire == "anthropic" else f"{base}/v1"}},
        "models": {"small/smollm2": {"context": 8192, "temperature": 0.0, **model}},
        "limits": {"max_turns": 3},
        "commands": {"small": {"prompt": "{{ prompt }}", "tools": ["read", "edit"]}},
    }


def run(server, port, wire, prompt, **model):
    """A run in a server of its own: its events, and what the model's server answered to its requests."""
    relay = Relay(port)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        (folder := place / "work").mkdir()
        (folder / "notes.txt").write_text(NOTES)
        (place / "config.toml").touch()
        own = {"COWRITE_CONFIG": str(place / "config.toml"), "COWRITE_STATE_DIR": str(place / "state")}
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        editor = Editor(server, folder, settings(wire, relay.port, **model), {**kept, **own})
        try:
            editor.open("notes.txt", NOTES)
            events = editor.run("cowrite.small", {"prompt": prompt}, SECONDS)
            check(not editor.messages_shown, f"{wire}: messages were shown: {editor.messages_shown}", events)
            check(editor.close() == 0, f"{wire}: the server ended with an error", events)
        except queue.Empty:
            check(False, f"{wire}: the run did not end within {SECONDS} s", [e["event"] for e in editor.events[-20:]])
        finally:
            editor.server.kill()
            editor.server.wait()
            relay.server.shutdown()
    for exchange in relay.exchanges:
        check(exchange.path == WIRES[wire], f"{wire}: a request went to {exchange.path}")
        check(exchange.status == 200, f"{wire}: refused with {exchange.status}: {exchange.refusal}", events)
    check(len(relay.exchanges) == len(of(events, "turnStarted")), f"{wire}: {relay.exchanges} for these turns:", events)
    return events, relay.exchanges


def of(events, kind):
    return [event for event in events if event["type"] == kind]


def agent(server, port, wire):
    """The model calls a tool, is given its result, and goes on."""
    started = time.monotonic()
    for prompt in PROMPTS:
        events, exchanges = run(server, port, wire, prompt, max_output=96)
        calls = of(events, "toolFinished")
        if calls and len(exchanges) > 1:
            break
    check(calls and len(exchanges) > 1, f"{wire}: no call of a tool was answered in {len(PROMPTS)} runs", events)
    check(len(of(events, "toolStarted")) == len(calls), f"{wire}: a call without its end", events)
    check(all(exchange.pieces > 2 for exchange in exchanges), f"{wire}: an answer came in one piece: {exchanges}", events)
    usage = of(events, "usage")
    check(len(usage) >= len(exchanges), f"{wire}: {len(exchanges)} requests and {len(usage)} usage figures", events)
    check(all(one["output"] and one["input"] is not None for one in usage), f"{wire}: usage without figures: {usage}")
    end = events[-1]
    check(end["status"] in ("completed", "limitReached"), f"{wire}: ended with {end}", events)
    tokens = sum(one["input"] + (one["cacheRead"] or 0) for one in usage), sum(one["output"] for one in usage)
    good = sum(call["ok"] for call in calls)
    print(
        f"ok  {wire}: {len(exchanges)} requests accepted, {len(calls)} calls answered ({good} good), {tokens[0]} tokens in,"
        f" {tokens[1]} out, {end['status']}, {time.monotonic() - started:.1f} s"
    )


def cut(server, port, wire):
    """A call that the output limit cuts off. Sent back as it is, it would get HTTP 500 from this server."""
    started = time.monotonic()
    events, exchanges = run(server, port, wire, PROMPTS[0], max_output=18)
    check(len(exchanges) > 1, f"{wire}: the run ended before the cut call was in the history", events)
    check(not of(events, "toolStarted"), f"{wire}: the call was not cut off", events)
    end = events[-1]
    told = end["status"] in ("completed", "limitReached") or "cut off in a tool call" in end.get("error", "")
    check(told, f"{wire}: ended with {end}", events)
    print(
        f"ok  {wire}, a call cut off at the output limit: {len(exchanges)} requests accepted, {end['status']},"
        f" {time.monotonic() - started:.1f} s"
    )


server, port = sys.argv[1], int(sys.argv[2])
for wire in WIRES:
    agent(server, port, wire)
    cut(server, port, wire)
