"""nginx as upstream and as reference, and wrk as load: their configurations and how they are started.

The reference proxies the same bytes over kept connections with one worker and does nothing else: the least that a hop
can cost with a well-made server.
"""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import msgspec

from waypost.bench.load import Load, Order
from waypost.bench.processes import BenchError, complaints, finish, running
from waypost.bench.workload import ANSWERS

GRACE_S = 10.0
START_S = 5.0
_POLL_S = 0.01
_WHOLE = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  tcp_nodelay on;
{http}}}
"""
_PROXY = """\
  upstream answers {{
    server {upstream};
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://answers;
      proxy_http_version 1.1;
      proxy_set_header connection "";
    }}
  }}
"""
_SCRIPT = """\
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer {key}"
wrk.body = [=[{body}]=]
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local told = '{{"good":%d,"failed":%d,"seconds":%f,"p50_us":%f,"p99_us":%f}}'
  print("result " .. told:format(summary.requests - errors.status, failed, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
"""


def upstream_configuration(folder: Path, port: int) -> str:
    """Answers by path, at once."""
    places = [f"    location = {path} {{ return 200 '{body}'; }}\n" for path, body in ANSWERS.items()]
    server = f"  default_type application/json;\n  server {{\n    listen 127.0.0.1:{port};\n{''.join(places)}  }}\n"
    return _WHOLE.format(folder=folder, http=server)


def proxy_configuration(folder: Path, port: int, upstream: str) -> str:
    """`upstream` is HOST:PORT."""
    return _WHOLE.format(folder=folder, http=_PROXY.format(port=port, upstream=upstream))


@contextmanager
def serving(program: str, configuration: str, core: int | None, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """nginx with this configuration."""
    file = folder / "nginx.conf"
    file.write_text(configuration, "utf-8")
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(file)]
    with running(command, core, folder) as process:
        yield process


def until_listening(process: "subprocess.Popen[str]", port: int, folder: Path) -> None:
    """BenchError if it ended, or took too long."""
    until = time.perf_counter() + START_S
    while process.poll() is None and time.perf_counter() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(_POLL_S)
        else:
            return
    raise BenchError(f"nginx did not start: {complaints(folder)}")


def run_wrk(program: str, order: Order, core: int | None, folder: Path) -> Load:
    """As `load.load` does, by wrk, which takes whole seconds. BenchError."""
    script = folder / "wrk.lua"
    script.write_text(_SCRIPT.format(key=order.key, body=order.body), "utf-8")
    seconds = max(1, ceil(order.seconds))
    command = [program, "-t1", f"-c{order.connections}", f"-d{seconds}s", "-s", str(script), order.url]
    with running(command, core, folder) as process:
        told = finish(process, folder, seconds + GRACE_S)
    result = next(line for line in told.splitlines() if line.startswith("result "))
    return msgspec.json.decode(result.removeprefix("result "), type=Load)
