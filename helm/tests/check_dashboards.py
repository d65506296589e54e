"""Asks everything that dashboards and alerts ask of a real Prometheus that scrapes a real fleet, until each query has had an answer
that is not zero; and has promtool look at the metrics of all three programs.

Expects REDIS_URL and DATABASE_URL (.ci/with-servers), PROMETHEUS and PROMTOOL (.ci/helm-tools), and the programs in NEZUKO_PROGRAMS.
A gateway and two workers guard the groups of a simulated day, without a collector for their traces. What a day does not bring is
triggered: a gateway that is away, a silence of a day, a request with a wrong secret, one that is no update, one that no worker can read (a dead letter), updates that come twice,
a Redis that stutters, hangs and is emptied, workers that hang, a database that makes them wait, and in the end a Telegram with
another clock that asks for pauses, where the bot loses a right, that is ill and goes away.
"""

import http.server
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from test_alerts import groups
from test_dashboards import every, queries

BOT = "7000000001"
TOKEN = f"{BOT}:a-token-that-opens-nothing-anywhere"
SECRET = "secret-of-a-simulated-telegram"
WORKERS = ("worker-1", "worker-2")
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
# It goes on while the first misfortunes happen.
DAY_SECONDS = 120
PATIENCE_SECONDS = 150
# For so long Telegram finds no gateway: it has something to deliver then, and an error to tell of.
AWAY_SECONDS = 4
# Of what there may be none here, so that shares and quantiles of it are no numbers, and why that is well.
RARE = {
    "nezuko_press_to_free_seconds": "whoever joins the channels is mostly freed by that, before they press",
}
# What a day alone does not show.
MISFORTUNES = (
    "nezuko_webhook_pending_updates",
    "nezuko_webhook_last_error_timestamp_seconds",
    "nezuko_outages_total",
    "nezuko_intents_oldest_age_seconds",
    "nezuko_intent_retries_total",
    "nezuko_stream_oldest_age_seconds",
    "nezuko_clock_skew_seconds",
    "nezuko_suspended_groups",
    "nezuko_limiter_late_grants_total",
    "nezuko_webhook_unavailable_total",
    "nezuko_queue_unread",
    "nezuko_updates_reclaimed_total",
    "nezuko_queue_groups_lost_total",
    "nezuko_limiter_pauses_total",
    "nezuko_breaker_state",
    "nezuko_breaker_refusals_total",
    "bot_api_errors_total",
)
# One scrape a second, so that short windows hold enough of them.
VALUES = {"$__rate_interval": "20s", "$__range": "1m", "$namespace": "nezuko", "$bot": BOT}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url, body=None, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()
    except OSError:
        return 0, b""


def until(what, holds):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE_SECONDS} s in vain: {what()}")
        time.sleep(0.2)


def tell_redis(command, answer=b"+OK"):
    address = urllib.parse.urlparse(os.environ["REDIS_URL"])
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"{command}\r\n".encode())
        answered = connection.recv(64)
    if answered != answer + b"\r\n":
        raise SystemExit(f"Redis answered {command} by {answered}, not by {answer}")


def ask_postgres(*statements):
    """A psql that carries them out, one transaction, and tells what the last one answers."""
    command = [shutil.which("psql"), os.environ["DATABASE_URL"], "-qAt", "-v", "ON_ERROR_STOP=1", "-c", "; ".join(statements)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class Overloaded(http.server.BaseHTTPRequestHandler):
    """A Telegram that asks every caller for a pause, or is ill every other time. Its clock is a minute ahead."""

    ill = False
    calls = itertools.count()

    def date_time_string(self, timestamp=None):
        return super().date_time_string((timestamp or time.time()) + 60)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not Overloaded.ill:
            answer = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 1}}
        elif next(Overloaded.calls) % 2:
            answer = {"ok": False, "error_code": 500, "description": "Internal Server Error"}
        else:
            answer = {"ok": True, "result": True}
        body = json.dumps(answer)
        self.send_response(answer.get("error_code", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST

    def log_message(self, *_):
        pass


class Programs:
    """What was started, to be ended together; each writes what it says into the directory."""

    def __init__(self, directory):
        self.directory, self.running, self.begun = directory, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.running.values():
            program.terminate()
            program.send_signal(signal.SIGCONT)
        for program in self.running.values():
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()

    def start(self, name, *command, **environment):
        with open(Path(self.directory, f"{name}.log"), "wb") as log:
            self.running[name] = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.begun[name] = command, environment

    def stop(self, *names):
        for name in names:
            self.running[name].terminate()
        for name in names:
            self.running[name].wait(30)

    def start_again(self, name, address):
        command, environment = self.begun[name]
        self.start(name, *command, **environment)
        self.until_ready(name, f"http://{address}/ready")

    def until_ready(self, name, url):
        def ready():
            if self.running[name].poll() is not None:
                raise SystemExit(f"{name} ended: {Path(self.directory, f'{name}.log').read_text()[-2000:]}")
            return fetch(url)[0] == 200

        until(lambda: f"{name} is not ready", ready)


class Prometheus:
    def __init__(self, programs, scraped, rules):
        directory = Path(programs.directory)
        static = [
            {
                "targets": [address],
                "labels": {"namespace": "nezuko", "service": "nezuko-metrics", "app_kubernetes_io_component": name.split("-")[0]},
            }
            for name, address in scraped.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [{"job_name": "nezuko", "static_configs": static}],
            "rule_files": ["rules.yaml"],
        }
        (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
        (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": rules}))
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        programs.start(
            "prometheus",
            os.environ["PROMETHEUS"],
            f"--config.file={directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={directory / 'prometheus'}",
            f"--web.listen-address={address}",
        )
        programs.until_ready("prometheus", f"{self.url}/-/ready")

    def ask(self, path, **parameters):
        status, body = fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(body)
        if status != 200:
            raise SystemExit(f"{parameters}: {answer}")
        return answer["data"]

    def answers(self, query):
        """Whether there is an answer that is a number, where that can be had, and not zero."""
        # A zero of its own would hide that nothing else answers.
        found = self.ask("query", query=query.replace(" or vector(0)", ""))["result"]
        if found and any(name in query for name in RARE):
            return True
        return any(value != "NaN" and float(value) != 0 for value in (each["value"][1] for each in found))


def program(name):
    return str(Path(os.environ["NEZUKO_PROGRAMS"], name).resolve())


def started(programs, name, path, **settings):
    """Starts one of ours and returns the address of its operations port, when that answers."""
    address = f"127.0.0.1:{free_port()}"
    programs.start(name, program(path), BIND="127.0.0.1", OPS_PORT=address.split(":")[1], **settings)
    programs.until_ready(name, f"http://{address}/ready")
    return address


def start_fleet(programs, telegram):
    """The address of the webhook, and that of each program's operations port."""
    webhook = free_port()
    nobody = f"127.0.0.1:{free_port()}"
    common = {
        "BOT_TOKEN": TOKEN,
        "WEBHOOK_SECRET": SECRET,
        "TELEGRAM_API_URL": f"http://{telegram}",
        "REDIS_URL": os.environ["REDIS_URL"],
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "RECLAIM_IDLE_MS": "2000",
        # What cannot be sent is counted.
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{nobody}",
        "OTEL_TRACES_SAMPLER_ARG": "1",
        "SENTRY_DSN": f"http://key@{nobody}/1",
    }
    gateway = {"PORT": str(webhook), "WEBHOOK_URL": f"http://127.0.0.1:{webhook}"}
    scraped = {"gateway": started(programs, "gateway", "nezuko-gateway", **common, **gateway)}
    for name in WORKERS:
        scraped[name] = started(programs, name, "nezuko-worker", **common, PORT="0", WORKER_NAME=name)
    return f"http://127.0.0.1:{webhook}/webhook/{BOT}", scraped


def start_alone(programs):
    """The address of the operations port of the one-process program, which has nobody to talk to."""
    nobody = f"http://127.0.0.1:{free_port()}"
    database = f"sqlite://{programs.directory}/alone.sqlite"
    return {"nezuko": started(programs, "nezuko", "nezuko", BOT_TOKEN=TOKEN, TELEGRAM_API_URL=nobody, DATABASE_URL=database)}


class Questions:
    """Every query of the dashboards, and those that have had no answer yet."""

    def __init__(self, prometheus):
        self.prometheus = prometheus
        self.asked = dict(pair for dashboard in every().values() for pair in numbered(dashboard))
        self.silent = dict(self.asked)

    def until_answered(self, *parts, but=(), meanwhile=lambda: None):
        """Those that have one of these parts, or all but those that have one."""
        has = {title: any(part in query for part in parts or but) for title, query in self.silent.items()}
        awaited = {title: query for title, query in self.silent.items() if has[title] == bool(parts)}

        def answered():
            meanwhile()
            for title in [title for title, query in awaited.items() if self.prometheus.answers(query)]:
                del awaited[title], self.silent[title]
            return not awaited

        until(lambda: "\n".join(f"{title}: {query}" for title, query in awaited.items()), answered)


def ask_for_pauses(address):
    """Takes the place of Telegram there, until it is shut down."""
    host, port = address.split(":")
    telegram = http.server.ThreadingHTTPServer((host, int(port)), Overloaded)
    threading.Thread(target=telegram.serve_forever, daemon=True).start()
    return telegram


def command(person):
    """An update with a command of somebody in their private chat."""
    about = {"id": person, "first_name": "Ann"}
    message = {
        "message_id": 1,
        "date": int(time.time()),
        "chat": {**about, "type": "private"},
        "from": {**about, "is_bot": False},
        "text": "/help",
        "entities": [{"type": "bot_command", "offset": 0, "length": 5}],
    }
    return json.dumps({"update_id": 1_000_000_000 + person, "message": message}).encode()


def loss_of_rights(group):
    """An update by which the bot is an administrator of the group no more."""
    bot = {"id": int(BOT), "is_bot": True, "first_name": "Nezuko"}
    event = {
        "chat": {"id": group, "type": "supergroup", "title": "A group"},
        "from": {"id": 1, "is_bot": False, "first_name": "Ann"},
        "date": int(time.time()),
        "old_chat_member": {"user": bot, "status": "member"},
        "new_chat_member": {"user": bot, "status": "member"},
    }
    return json.dumps({"update_id": 2_000_000_000, "my_chat_member": event}).encode()


def complaints(addresses):
    """What promtool finds in the metrics of programs: names, units, what is not described."""
    for name, address in addresses.items():
        status, page = fetch(f"http://{address}/metrics")
        found = subprocess.run([os.environ["PROMTOOL"], "check", "metrics"], input=page, capture_output=True)
        if status != 200 or found.returncode != 0:
            yield f"{name}: {status} {(found.stdout + found.stderr).decode()}"


def main():
    # It is emptied later on.
    tell_redis("DBSIZE", b":0")
    with tempfile.TemporaryDirectory(prefix="nezuko-dashboards-") as directory, Programs(directory) as programs:
        telegram = f"127.0.0.1:{free_port()}"
        simulator = [program("nezuko-loadtest"), "verify", "--token", TOKEN, "--secret", SECRET, "--duplicate-one-in", "20"]
        programs.start("telegram", *simulator, "--listen", telegram, "--seconds", str(DAY_SECONDS))
        until(lambda: "the simulated Telegram does not listen", lambda: fetch(f"http://{telegram}/")[0] != 0)
        webhook, scraped = start_fleet(programs, telegram)
        prometheus = Prometheus(programs, scraped, groups())
        questions = Questions(prometheus)

        def post(what, wanted, body, secret=SECRET):
            status, answer = fetch(webhook, body, **{SECRET_HEADER: secret})
            if status != wanted:
                raise SystemExit(f"{what} was answered {status} instead of {wanted}: {answer.decode()}")

        post("a wrong secret", 401, b"{}", "wrong")
        post("no update", 200, b"no update")
        post("an update that no worker can read", 200, b'{"update_id":1,"message":7}')

        questions.until_answered(but=MISFORTUNES)

        # A gateway looks how its webhook does when it begins, and every ten minutes.
        programs.stop("gateway")
        time.sleep(AWAY_SECONDS)
        programs.start_again("gateway", scraped["gateway"])
        questions.until_answered("nezuko_webhook_pending_updates", "nezuko_webhook_last_error_timestamp_seconds")
        programs.stop(*WORKERS)
        ask_postgres("UPDATE bots SET received_ms = received_ms - 26 * 3600000").wait()
        for worker in WORKERS:
            programs.start_again(worker, scraped[worker])
        questions.until_answered("nezuko_outages_total")
        # These workers have counted none, and the alert is looked for in the end.
        post("another one", 200, b'{"update_id":2,"message":7}')

        people = itertools.count(1000)

        def ask():
            # Not always taken: some of what happens is that it is not.
            fetch(webhook, command(next(people)), **{SECRET_HEADER: SECRET})

        def ask_while_redis_stutters():
            tell_redis("CLIENT PAUSE 300")
            ask()

        questions.until_answered("nezuko_limiter_late_grants_total", meanwhile=ask_while_redis_stutters)
        tell_redis("CLIENT PAUSE 4000")
        questions.until_answered("nezuko_webhook_unavailable_total", meanwhile=ask)
        for worker in WORKERS:
            programs.running[worker].send_signal(signal.SIGSTOP)
        questions.until_answered("nezuko_queue_unread", meanwhile=ask)
        # The entries of the other one are taken over.
        programs.running[WORKERS[0]].send_signal(signal.SIGCONT)
        questions.until_answered("nezuko_updates_reclaimed_total", meanwhile=ask)
        programs.running[WORKERS[1]].send_signal(signal.SIGCONT)
        # What is in hand is ended when the database is free again.
        locked = ask_postgres("LOCK TABLE chats, people, intents", "SELECT pg_sleep(600)")
        questions.until_answered("nezuko_stream_oldest_age_seconds", meanwhile=ask)
        locked.send_signal(signal.SIGINT)
        locked.wait()
        tell_redis("FLUSHALL")
        questions.until_answered("nezuko_queue_groups_lost_total")
        programs.running["telegram"].kill()
        programs.running["telegram"].wait()
        overloaded = ask_for_pauses(telegram)
        questions.until_answered("nezuko_limiter_pauses_total", meanwhile=ask)
        questions.until_answered("nezuko_clock_skew_seconds", meanwhile=ask)
        # Nobody gives the right back: such a Telegram does not say which ones the bot has.
        group = ask_postgres("SELECT group_id FROM links WHERE enabled = 1 LIMIT 1").communicate()[0]
        post("the loss of a right", 200, loss_of_rights(int(group)))
        Overloaded.ill = True
        questions.until_answered("nezuko_intent_retries_total", "nezuko_suspended_groups", meanwhile=ask)
        overloaded.shutdown()
        overloaded.server_close()
        questions.until_answered(meanwhile=ask)

        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        wrong = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
        firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
        if wrong or not {"NezukoDeadLetters", "NezukoQueueLost"} <= firing:
            raise SystemExit("\n".join(wrong) or f"a dead letter was made and a queue lost, and these alerts fire: {firing}")
        if found := list(complaints(scraped | start_alone(programs))):
            raise SystemExit("\n".join(found))
        named = set(re.findall(r"(\w+){", " ".join(questions.asked.values())))
        print(f"{len(questions.asked)} queries over {len(named)} series answered; {len(rules)} rules evaluated, firing: {', '.join(sorted(firing))}")


def numbered(dashboard):
    """Queries by titles of which none comes twice."""
    for index, (title, query) in enumerate(queries(dashboard, VALUES)):
        yield f"{title} ({index})", query


if __name__ == "__main__":
    main()
