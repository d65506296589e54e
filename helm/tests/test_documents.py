"""Documents against what they speak of."""

import re
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from chart import CHART, REQUIRED, ROOT, find, merged, pods, render
from promql import documented
from test_dashboards import every
from test_images import COMPOSE, DOCKERFILE

# What the migration may take, in minutes, as long as nobody gives it more, and what waits for it.
DEADLINE = find(render(REQUIRED), "Job", "nezuko-migrate")["spec"]["activeDeadlineSeconds"] // 60
PATIENCE = DEADLINE + 1
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def anchors(document):
    """The ends of the addresses of its headings, as they are made where it is shown."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(document, language="sh"):
    """Its code, by the heading above."""
    found = {}
    for section in re.split(r"^#+ ", document.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        found[heading] = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return found


def without_namespace(text):
    """Commands to a cluster that do not say in which namespace."""
    return [command for command in re.findall(r"\bkubectl [^`\n]*", text) if not command.startswith("kubectl --namespace $NS ")]


def impatient(text):
    """Commands of Helm that change a release and end before it runs, or before the migration may."""
    wanted = f"--wait --timeout {PATIENCE}m"
    return [command for command in re.findall(r"\bhelm (?:install|upgrade|rollback) [^`\n]*", text) if wanted not in command]


class Links(unittest.TestCase):
    def test_links_lead_to_files_and_headings(self):
        for document in DOCUMENTS:
            for target in re.findall(r"\]\((?!https?://)([^)]+)\)", document.read_text()):
                with self.subTest(f"{document.name}: {target}"):
                    path, _, heading = target.partition("#")
                    there = (document.parent / path).resolve() if path else document
                    self.assertTrue(there.exists())
                    if heading:
                        self.assertIn(heading, anchors(there))

    def test_the_readme_names_every_document(self):
        readme = (ROOT / "README.md").read_text()
        self.assertEqual([path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name}" not in readme], [])


class Runbook(unittest.TestCase):
    text = (ROOT / "docs/runbook.md").read_text()

    def test_it_knows_every_reason_for_a_dead_letter(self):
        reasons = set(re.findall(r'give_up\(delivery, "(\w+)"', (ROOT / "worker/src/consume.rs").read_text()))
        self.assertTrue(reasons)
        self.assertEqual([reason for reason in reasons if f"| `{reason}` |" not in self.text], [])

    def test_it_knows_every_reason_for_a_503(self):
        (doubts,) = re.findall(r"Doubt {(.*?)\n    }", (ROOT / "shared/src/telemetry/metrics/labels.rs").read_text(), re.DOTALL)
        reasons = set(re.findall(r'= "(\w+)"', doubts))
        self.assertTrue(reasons)
        self.assertEqual([reason for reason in reasons if f"| `{reason}` |" not in self.text], [])

    def test_it_speaks_of_no_fault_that_has_to_be_planted(self):
        # Why an update is given up that was never tried, which only a planted bug does.
        self.assertNotIn("unseen", self.text)

    def test_it_knows_how_to_tell_a_silence_from_a_loss(self):
        (section,) = re.findall(r"^### NezukoOutage\n(.*?)^### ", self.text, re.MULTILINE | re.DOTALL)
        for sign in ("*Waiting at Telegram*", "`nezuko_webhook_last_error_timestamp_seconds`", "`nezuko_webhook_registrations_total`"):
            self.assertIn(sign, section)

    def test_its_commands_say_in_which_namespace(self):
        self.assertEqual(without_namespace(self.text), [])
        self.assertIn("kubectl --namespace $NS", self.text)
        self.assertEqual(without_namespace("`kubectl get pods`, `kubectl --namespace $NS get pods`"), ["kubectl get pods"])

    def test_it_and_the_objectives_name_metrics_that_exist(self):
        names = {re.sub("_(bucket|count|sum)$", "", name) for name in documented()}
        for name in ("runbook.md", "slo.md"):
            named = set(re.findall(r"\b(?:nezuko|bot|db)_\w+(?:_total|_seconds|_info)\b", (ROOT / "docs" / name).read_text()))
            self.assertTrue(named)
            self.assertEqual(named - names, set(), name)

    def test_it_knows_what_a_button_of_an_old_token_says(self):
        (section,) = re.findall(r"^### Buttons after a new token\n(.*?)^## ", self.text, re.MULTILINE | re.DOTALL)
        said = re.findall(r'"([^"]+)"', section.replace("\n", " "))
        texts = (ROOT / "worker/texts/en.ftl").read_text()
        self.assertEqual(len(said), 2)
        self.assertEqual([each for each in said if each not in texts], [])

    def test_it_names_dashboards_and_panels_that_exist(self):
        known = {panel["title"] for dashboard in every().values() for panel in dashboard["panels"]}
        known |= {dashboard["title"].removeprefix("Nezuko: ") for dashboard in every().values()}
        named = set(re.findall(r"(?<!\*)\*(\w[^*]*\w)\*(?!\*)", self.text.replace("\n", " ")))
        self.assertIn("Telemetry dropped", named)
        self.assertEqual(named - known, set())


class Deploying(unittest.TestCase):
    def test_helm_waits_for_the_migration_and_for_the_pods(self):
        for document in DOCUMENTS:
            self.assertEqual(impatient(document.read_text()), [], document.name)
        deploy = (ROOT / "docs/deploy.md").read_text()
        self.assertIn("helm upgrade", deploy)
        self.assertEqual(re.findall(r"--timeout=(\w+) job/nezuko-migrate", deploy), [f"{PATIENCE}m"])
        self.assertIn(f"It may take {DEADLINE} minutes", deploy)
        self.assertIn(f"`migrate.activeDeadlineSeconds`, {DEADLINE} minutes", (ROOT / "docs/database.md").read_text())
        for short in ("helm upgrade nezuko helm/nezuko", "helm rollback nezuko --wait --timeout 15m", "helm install nezuko . --timeout 16m"):
            self.assertEqual(impatient(f"`{short}`"), [short])

    def test_what_its_example_names_is_made_before(self):
        before, _, after = (ROOT / "docs/deploy.md").read_text().partition("## With Helm")
        values = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```", after, re.MULTILINE | re.DOTALL)[1])
        self.assertTrue(render(values))
        named = set(re.findall(r"(?:existingSecret|tlsSecret): ([\w-]+)", yaml.safe_dump(values)))
        made = set(re.findall(r"^(?:secret|kubectl .* create secret tls) ([\w-]+) --", before, re.MULTILINE))
        self.assertEqual(named, made)
        # The plain manifests go by the same names.
        plain = "".join((ROOT / "k8s" / name).read_text() for name in ("values.yaml", "values-prod.yaml"))
        self.assertEqual(set(re.findall(r"(?:existingSecret|tlsSecret): ([\w-]+)", plain)), made)
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        self.assertIn(f"docker push {values['image']['repository']}:{version}\n", before)

    def examples(self):
        """What may be added to the values."""
        return [yaml.safe_load(block) for block in blocks(ROOT / "docs/deploy.md", "yaml")["How it behaves"]]

    def test_its_example_gives_the_labels_by_which_prometheus_finds_all(self):
        (labels,) = [example for example in self.examples() if "serviceMonitor" in example]
        objects = render(merged(REQUIRED, {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}, labels))
        found = {entry["kind"] for entry in objects if entry["metadata"]["labels"].get("release") == "monitoring"}
        self.assertEqual(found, {"ServiceMonitor", "PrometheusRule"})

    def test_its_example_for_openshift_leaves_ids_and_dns_to_it(self):
        (values,) = [example for example in self.examples() if "podSecurity" in example]
        objects = render(merged(REQUIRED, values))
        for name, pod in pods(objects):
            self.assertFalse({"runAsUser", "runAsGroup", "fsGroup"} & set(pod["spec"]["securityContext"]), name)
        dns = find(objects, "NetworkPolicy", "nezuko-migrate")["spec"]["egress"][0]
        self.assertEqual({port["port"] for port in dns["ports"]}, {5353})
        self.assertEqual(dns["to"], values["networkPolicy"]["dnsTo"])

    def test_removing_it_leaves_nothing_of_its_hooks(self):
        (command,) = re.findall(r"^kubectl .* delete .*$", blocks(ROOT / "docs/deploy.md")["Removing it"][0], re.MULTILINE)
        kinds = re.search(r" delete (\S+) ", command)[1].split(",")
        hooks = [entry for entry in render(REQUIRED) if "helm.sh/hook" in entry["metadata"].get("annotations", {})]
        self.assertEqual(sorted(kinds), sorted({entry["kind"].lower() for entry in hooks}))
        components = re.search(r"component in \(([\w,]+)\)", command)[1].split(",")
        self.assertEqual(set(components), {entry["metadata"]["labels"]["app.kubernetes.io/component"] for entry in hooks})
        self.assertIn("app.kubernetes.io/instance=nezuko,", command)

    def test_documents_know_how_long_the_end_takes_at_worst(self):
        farewells = 0
        for path in ("worker/src/run.rs", "shared/src/telemetry/mod.rs"):
            code = (ROOT / path).read_text()
            (seconds,) = re.findall(r"const FAREWELL: Duration = Duration::from_secs\((\d+)\)", code)
            farewells += int(seconds) * len(re.findall(r"timeout\(FAREWELL|\+ FAREWELL", code))
        failure = re.sub(r"\s+", " ", (ROOT / "docs/failure.md").read_text())
        told, worst = re.search(r"must be (\d+) s longer than the grace period: it takes (\d+) s more at worst", failure).groups()
        self.assertEqual(farewells, int(worst))
        pod = find(render(REQUIRED), "Deployment", "nezuko-worker")["spec"]["template"]["spec"]
        default = re.search(r"`SHUTDOWN_GRACE_SECONDS` \| `(\d+)`", (ROOT / "docs/configuration.md").read_text())[1]
        self.assertEqual(pod["terminationGracePeriodSeconds"], int(default) + int(told))
        self.assertGreater(int(told), farewells)

    def test_documents_know_the_workers_connections_and_how_long_a_statement_may_take(self):
        code = (ROOT / "shared/src/database.rs").read_text()
        each = int(re.findall(r"\.max_connections\((\d+)\)", code)[0])
        usual, long = (re.search(rf'const {name}: &str = ".*?statement_timeout = \'(\d+)s\'', code)[1] for name in ("POSTGRES_SESSION", "LONG_STATEMENTS"))
        database, deploy = (re.sub(r"\s+", " ", (ROOT / "docs" / name).read_text()) for name in ("database.md", "deploy.md"))
        self.assertIn(f"Each worker has at most {each} connections", database)
        self.assertIn(f"after {usual} s, the few that are known to take long after {long} s", database)
        most = yaml.safe_load((CHART / "values.yaml").read_text())["worker"]["autoscaling"]["maxReplicas"]
        # One more while they are replaced, and 10 for others.
        self.assertIn(f"must be {each} for each worker, {each} for one more", deploy)
        self.assertIn(f"{each * 3 + 10} for two workers, {each * (most + 1) + 10} for the ten", deploy)


class OnOneMachine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = ROOT / "docs/compose.md"
        cls.compose = yaml.safe_load(COMPOSE.read_text())

    def test_its_secrets_are_those_that_compose_mounts_each_for_its_reader_alone(self):
        (script,) = blocks(self.path)["Secrets"]
        # Whoever runs this test may not give files away.
        stub = 'sudo() { if [ "$1" = chown ]; then echo "$*" >> ../given; else "$@"; fi; }\n'
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["bash", "-euo", "pipefail", "-c", stub + script], cwd=directory, input="42:token\n", text=True, check=True)
            made = {path.name: path for path in Path(directory, "secrets").iterdir()}
            self.assertEqual({f"./secrets/{name}" for name in made}, {entry["file"] for entry in self.compose["secrets"].values()})
            self.assertEqual({stat.S_IMODE(path.stat().st_mode) for path in made.values()}, {0o400})
            self.assertEqual(stat.S_IMODE(Path(directory, "secrets").stat().st_mode), 0o700)
            content = {name: path.read_text() for name, path in made.items()}
            given = [line.split() for line in Path(directory, "given").read_text().splitlines()]
        self.assertEqual(content["bot-token"], "42:token")
        self.assertEqual(content["database-url"], f"postgres://nezuko:{content['database-password']}@postgres/nezuko")
        for name in ("webhook-secret", "database-password", "grafana-password"):
            self.assertRegex(content[name], r"^[A-Za-z0-9_-]{43}$")
        owners = {name: user for _, user, *names in given for name in names}
        (user,) = re.findall(r"^USER (\d+):", DOCKERFILE.read_text(), re.MULTILINE)
        for service in ("gateway", "worker", "migrate"):
            for name in self.compose["services"][service]["secrets"]:
                self.assertEqual(owners[name], user)
        # Of the image grafana/grafana; PostgreSQL reads its own as root, before it becomes another user.
        self.assertEqual(owners["grafana-password"], "472")
        self.assertNotIn("database-password", owners)

    def test_secrets_and_dumps_are_kept_out_of_the_repository(self):
        for name in ("secrets/bot-token", "nezuko-2026-01-31.dump", ".env"):
            self.assertEqual(subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT).returncode, 0, name)

    def test_it_speaks_of_services_that_there_are(self):
        for name in ("compose.md", "runbook.md"):
            text = (ROOT / "docs" / name).read_text()
            commands = re.findall(r"docker compose (?:exec|logs|restart)((?: [\w./-]+)+)", text)
            self.assertTrue(commands or name != "compose.md")
            for command in commands:
                words = [word for word in command.split() if not word.startswith("-")]
                if words:
                    self.assertIn(words[0], self.compose["services"], command)
        settings = set(re.findall(r"\b(NEZUKO_\w+)=", self.path.read_text()))
        self.assertEqual(settings, {name for name in re.findall(r"\${(NEZUKO_\w+)", COMPOSE.read_text())} - {"NEZUKO_VERSION"})


if __name__ == "__main__":
    unittest.main()
