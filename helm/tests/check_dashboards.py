"""Asks everything that dashboards and alerts ask of a real Prometheus that scrapes a real fleet, until each query is answered.

Expects REDIS_URL and DATABASE_URL (.ci/with-servers), PROMETHEUS (.ci/helm-tools), and the programs in NEZUKO_PROGRAMS. A gateway and
two workers guard the groups of a simulated day. What a day does not bring is triggered: a request with a wrong secret, one that is
no update, one that no worker can read (a dead letter), and in the end a Telegram that is away (failed calls).
"""

import json
import os
import re
import socket
import subprocess
import tempfile
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
# The day is broken off when all but the last queries have been answered.
DAY_SECONDS = 60
PATIENCE_SECONDS = 150
# Failed calls: only Telegram's going away brings them.
LAST = "bot_api_errors_total"
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


class Programs:
    """What was started, to be ended together; each writes what it says into the directory."""

    def __init__(self, directory):
        self.directory, self.running = directory, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.running.values():
            program.terminate()
        for program in self.running.values():
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()

    def start(self, name, *command, **environment):
        with open(Path(self.directory, f"{name}.log"), "wb") as log:
            self.running[name] = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

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
                "targets": [f"127.0.0.1:{port}"],
                "labels": {"namespace": "nezuko", "service": "nezuko-metrics", "app_kubernetes_io_component": component},
            }
            for component, port in scraped
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
        """Whether there is an answer that is a number."""
        # A zero of its own would hide that nothing else answers.
        found = self.ask("query", query=query.replace(" or vector(0)", ""))["result"]
        return any(each["value"][1] != "NaN" for each in found)


def start_fleet(programs, telegram):
    directory = Path(os.environ["NEZUKO_PROGRAMS"]).resolve()
    common = {
        "BOT_TOKEN": TOKEN,
        "WEBHOOK_SECRET": SECRET,
        "BIND": "127.0.0.1",
        "TELEGRAM_API_URL": f"http://{telegram}",
        "REDIS_URL": os.environ["REDIS_URL"],
        "DATABASE_URL": os.environ["DATABASE_URL"],
    }
    webhook, scraped = free_port(), []
    for name, program, settings in (
        ("gateway", "nezuko-gateway", {"PORT": str(webhook), "WEBHOOK_URL": f"http://127.0.0.1:{webhook}"}),
        ("worker-1", "nezuko-worker", {"PORT": "0", "WORKER_NAME": "worker-1"}),
        ("worker-2", "nezuko-worker", {"PORT": "0", "WORKER_NAME": "worker-2"}),
    ):
        ops = free_port()
        programs.start(name, str(directory / program), **common, **settings, OPS_PORT=str(ops))
        programs.until_ready(name, f"http://127.0.0.1:{ops}/ready")
        scraped.append((program.removeprefix("nezuko-"), ops))
    return f"http://127.0.0.1:{webhook}/webhook/{BOT}", scraped


def main():
    asked = dict(pair for dashboard in every().values() for pair in numbered(dashboard))
    with tempfile.TemporaryDirectory(prefix="nezuko-dashboards-") as directory, Programs(directory) as programs:
        telegram = f"127.0.0.1:{free_port()}"
        simulator = [str(Path(os.environ["NEZUKO_PROGRAMS"], "nezuko-loadtest").resolve()), "verify", "--token", TOKEN, "--secret", SECRET]
        programs.start("telegram", *simulator, "--listen", telegram, "--seconds", str(DAY_SECONDS))
        until(lambda: "the simulated Telegram does not listen", lambda: fetch(f"http://{telegram}/")[0] != 0)
        webhook, scraped = start_fleet(programs, telegram)
        prometheus = Prometheus(programs, scraped, groups())

        header = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
        triggers = [
            ("a wrong secret", 401, fetch(webhook, b"{}", **{**header, "X-Telegram-Bot-Api-Secret-Token": "wrong"})),
            ("no update", 200, fetch(webhook, b"no update", **header)),
            ("an update that no worker can read", 200, fetch(webhook, b'{"update_id":1,"message":7}', **header)),
        ]
        for what, wanted, (status, body) in triggers:
            if status != wanted:
                raise SystemExit(f"{what} was answered {status} instead of {wanted}: {body.decode()}")

        silent = dict(asked)

        def all_but_the_last():
            for title in [title for title, query in silent.items() if prometheus.answers(query)]:
                del silent[title]
            return all(LAST in query for query in silent.values())

        until(lambda: "\n".join(f"{title}: {query}" for title, query in silent.items()), all_but_the_last)
        if not silent:
            raise SystemExit(f"{LAST} was there before Telegram had gone: what is this trigger for?")
        programs.running["telegram"].kill()
        until(lambda: "\n".join(silent), lambda: all_but_the_last() and not silent)

        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        wrong = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
        firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
        if wrong or "NezukoDeadLetters" not in firing:
            raise SystemExit("\n".join(wrong) or f"a dead letter was made, and these alerts fire: {firing}")
        named = set(re.findall(r"(\w+){", " ".join(asked.values())))
        print(f"{len(asked)} queries over {len(named)} series answered; {len(rules)} rules evaluated, firing: {', '.join(sorted(firing))}")


def numbered(dashboard):
    """Queries by titles of which none comes twice."""
    for index, (title, query) in enumerate(queries(dashboard, VALUES)):
        yield f"{title} ({index})", query


if __name__ == "__main__":
    main()
