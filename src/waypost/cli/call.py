"""`waypost call`: one call through the running gateway, or, where none runs, through one started for this call."""

import argparse
import asyncio
import http.client
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from waypost.config.errors import ConfigError
from waypost.config.model import Address, Config, Tls
from waypost.config.reader import find_config, load_config
from waypost.conversation.faults import WaypostError

if TYPE_CHECKING:
    import ssl

NAME = "call"
HELP = "make one call"
FAILED = 1
USAGE = 2
LONGEST_S = 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", nargs="?", help="what to ask; from standard input where left out")
    parser.add_argument("--model", default="auto", help="a route, provider/model, or auto (the default task's route)")
    parser.add_argument("--system", help="a system prompt")
    parser.add_argument("--task", help="task type, for the tasks table")
    parser.add_argument("--max-tokens", type=int, help="the most tokens to write")
    parser.add_argument("--stream", action="store_true", help="print the answer as it comes")
    parser.add_argument("--dry-run", action="store_true", help="print the decision; call nobody")
    parser.add_argument("--key", default=os.environ.get("WAYPOST_KEY"), help="a Waypost key; else $WAYPOST_KEY")
    parser.add_argument("--address", metavar="HOST:PORT", help="a running gateway, in place of the configured one")


def run(arguments: argparse.Namespace) -> int:
    prompt = arguments.prompt if arguments.prompt is not None else sys.stdin.read()
    if not prompt.strip():
        print("waypost call: there is nothing to ask", file=sys.stderr)
        return USAGE
    try:
        path = find_config(arguments.config, os.environ)
        config = None if path is None else load_config(path, os.environ, with_secrets=False)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    if arguments.key and not (arguments.key.isascii() and arguments.key.isprintable()):
        print("waypost call: the key holds a character that no header can carry, a line break perhaps", file=sys.stderr)
        return USAGE
    server = (config or Config(revision="")).server
    address = arguments.address or str(server.listen.reachable)
    trusted = None if arguments.address or server.tls is None else trust(server.tls)
    body = request_body(arguments, prompt)
    try:
        return send(address, body, arguments, trusted)
    except ConnectionRefusedError:
        if arguments.address is not None or config is None:
            print(f"waypost call: no gateway listens on {address}; start one with 'waypost serve'", file=sys.stderr)
            return FAILED
        return own_gateway(str(path), body, arguments)
    except (OSError, http.client.HTTPException) as error:
        print(f"waypost call: {address}: {error}", file=sys.stderr)
        return FAILED


def own_gateway(path: str, body: bytes, arguments: argparse.Namespace) -> int:
    try:
        config = load_config(path, os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    return asyncio.run(through_own(config, body, arguments))


def request_body(arguments: argparse.Namespace, prompt: str) -> bytes:
    messages = [{"role": "system", "content": arguments.system}] if arguments.system else []
    body: dict[str, object] = {
        "model": arguments.model,
        "messages": [*messages, {"role": "user", "content": prompt}],
        "stream": arguments.stream,
    }
    if arguments.max_tokens is not None:
        body["max_tokens"] = arguments.max_tokens
    options = {"task": arguments.task, "dry_run": arguments.dry_run or None}
    told = {name: value for name, value in options.items() if value is not None}
    return msgspec.json.encode({**body, "waypost": told} if told else body)


async def through_own(config: Config, body: bytes, arguments: argparse.Namespace) -> int:
    """No gateway runs: one is started on a free port for this call, with the configured ledger and budgets."""
    from msgspec.structs import replace

    from waypost.app import Waypost
    from waypost.telemetry.log import Log

    anywhere = replace(config.server, listen=Address("127.0.0.1", 0), admin=Address("127.0.0.1", 0), tls=None)
    try:
        waypost = Waypost(replace(config, server=anywhere), os.environ, Log())
    except (WaypostError, OSError) as error:
        print(f"waypost call: {error}", file=sys.stderr)
        return FAILED
    try:
        address, _ = await waypost.start()
        return await asyncio.to_thread(send, address, body, arguments)
    finally:
        await waypost.stop()


def trust(tls: Tls) -> "ssl.SSLContext":
    """Exactly the certificate that the configured gateway shows, whatever name it was made out to."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(tls.certificate)
    return context


def send(address: str, body: bytes, arguments: argparse.Namespace, trusted: "ssl.SSLContext | None" = None) -> int:
    """Sends, prints, returns the exit code. OSError and HTTPException where there is no answer."""
    connection = (
        http.client.HTTPConnection(address, timeout=LONGEST_S)
        if trusted is None
        else http.client.HTTPSConnection(address, timeout=LONGEST_S, context=trusted)
    )
    headers = {"content-type": "application/json"}
    if arguments.key:
        headers["authorization"] = f"Bearer {arguments.key}"
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        if answer.status == 200 and arguments.stream and not arguments.dry_run:
            return print_stream(answer, as_json=arguments.json)
        return print_whole(answer, answer.read(), arguments)
    finally:
        connection.close()


def print_whole(answer: http.client.HTTPResponse, body: bytes, arguments: argparse.Namespace) -> int:
    if answer.status != 200:
        text = body.decode("utf-8", "replace")
        if not arguments.json:
            with suppress(msgspec.DecodeError, KeyError, TypeError):
                text = str(msgspec.json.decode(body)["error"]["message"])
        print(f"waypost call: {answer.status} {answer.headers.get('x-waypost-error', '')}: {text}", file=sys.stderr)
        if answer.status == 401:  # the message speaks to programs, of headers
            print("waypost call: the key to send is $WAYPOST_KEY, or that of --key", file=sys.stderr)
        return FAILED
    if arguments.json or arguments.dry_run:
        print(body.decode())
        return 0
    message = msgspec.json.decode(body)["choices"][0]["message"]
    print(message.get("content") or msgspec.json.encode(message).decode())
    if sys.stderr.isatty():
        print(told_of(answer), file=sys.stderr)
    return 0


def told_of(answer: http.client.HTTPResponse) -> str:
    told = {
        name: answer.headers.get(f"x-waypost-{name}") or "-" for name in ("call-id", "provider", "model", "cost-usd")
    }
    return f"[{told['call-id']} served by {told['provider']}/{told['model']}, ${told['cost-usd']}]"


def print_stream(answer: http.client.HTTPResponse, *, as_json: bool) -> int:
    """Each chunk as it comes; an error event, or an end without a word of it, ends it with exit code 1."""
    whole = False
    while line := answer.readline():
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            whole = True
            break
        if as_json:
            print(data.decode(), flush=True)
        chunk = msgspec.json.decode(data)
        whole = whole or any(choice.get("finish_reason") for choice in chunk.get("choices") or ())
        if "error" in chunk:
            print(f"\nwaypost call: {chunk['error'].get('message')}", file=sys.stderr)
            return FAILED
        if not as_json:
            text = "".join((choice.get("delta") or {}).get("content") or "" for choice in chunk.get("choices") or ())
            print(text, end="", flush=True)
    if not as_json:
        print()
    if not whole:
        print("waypost call: the answer broke off", file=sys.stderr)
        return FAILED
    return 0
