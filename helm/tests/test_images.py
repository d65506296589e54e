"""The image and the fleet on one machine: Dockerfile and compose.yaml."""

import os
import re
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

from chart import ROOT, pods, profile, render

DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "compose.yaml"
ALERTS = ROOT / "k8s/compose/alerts.yaml"
# From the script that runs the tests.
PROMTOOL = os.environ.get("PROMTOOL", "")


def settings():
    """Every setting that docs/configuration.md knows, and whether it may come from a file."""
    rows = re.findall(r"^\| `(\w+)`( \*file\*)? \|", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE)
    return {name: bool(file) for name, file in rows}


class Image(unittest.TestCase):
    def test_hadolint_finds_nothing(self):
        found = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True)
        self.assertEqual((found.returncode, found.stdout + found.stderr), (0, ""))

    def test_it_is_built_with_the_pinned_toolchain(self):
        channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        self.assertIn(f"FROM rust:{channel}-", DOCKERFILE.read_text())
        # Its file would have components fetched that nobody needs there.
        self.assertNotIn("!rust-toolchain.toml", (ROOT / ".dockerignore").read_text().splitlines())

    def test_the_context_has_the_whole_workspace(self):
        members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
        let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        self.assertLessEqual({member.split("/")[0] for member in members}, let_in)
        # What is compiled in, the lock and the script that builds.
        self.assertLessEqual({"Cargo.toml", "Cargo.lock", "migrations", ".ci/image-programs"}, let_in)
        self.assertEqual([path for path in let_in if not (ROOT / path).exists()], [])

    def test_it_runs_as_the_user_of_the_chart(self):
        (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text(), re.MULTILINE)
        for name, pod in pods(render(profile("minimal"))):
            with self.subTest(name):
                context = pod["spec"]["securityContext"]
                self.assertEqual((str(context["runAsUser"]), str(context["runAsGroup"])), user)


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = yaml.safe_load(COMPOSE.read_text())

    def test_it_is_what_compose_takes(self):
        command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE]
        found = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)

    def test_what_is_named_is_there(self):
        for kind in ("secrets", "configs", "networks", "volumes"):
            used = set()
            for service in self.file["services"].values():
                for entry in service.get(kind, []):
                    name = entry["source"] if isinstance(entry, dict) else entry.split(":")[0]
                    if name.startswith("."):
                        self.assertTrue((ROOT / name).is_dir(), name)
                    else:
                        used.add(name)
            self.assertEqual(used, set(self.file[kind]), kind)
        for service in self.file["services"].values():
            self.assertLessEqual(set(service.get("depends_on", {})), set(self.file["services"]))

    def test_programs_are_told_nothing_that_they_do_not_know(self):
        known = settings()
        for name in ("gateway", "worker", "migrate"):
            service = self.file["services"][name]
            for variable, value in service["environment"].items():
                with self.subTest(f"{name}: {variable}"):
                    setting = variable.removesuffix("_FILE")
                    self.assertIn(setting, known)
                    if variable != setting:
                        self.assertTrue(known[setting])
                        self.assertIn(value.removeprefix("/run/secrets/"), service["secrets"])

    def test_what_waits_for_postgresql_does_not_meet_the_server_that_only_makes_the_database(self):
        # The image starts one for that, which listens on a socket alone.
        asked = self.file["services"]["postgres"]["healthcheck"]["test"]
        self.assertEqual(asked[asked.index("--host") + 1], "127.0.0.1")
        waiting = {name for name, service in self.file["services"].items() if "postgres" in service.get("depends_on", {})}
        for name in waiting:
            self.assertEqual(self.file["services"][name]["depends_on"]["postgres"], {"condition": "service_healthy"})
        self.assertIn("migrate", waiting)
        self.assertIn("docker compose up --detach --wait postgres\n", (ROOT / "docs/compose.md").read_text())

    def test_telegram_is_told_when_to_come_again_where_there_is_no_gateway(self):
        content = self.file["configs"]["caddy"]["content"]
        self.assertRegex(content, r"dynamic a gateway 8443 {\s+refresh 1s\s+}")
        # A gateway starts within seconds, and Telegram waits for longer.
        waits = int(re.search(r"lb_try_duration (\d+)s", content)[1])
        self.assertTrue(2 < waits < 15)
        (handled,) = re.findall(r"handle_errors {(.*?)}", content, re.DOTALL)
        self.assertEqual([line.split() for line in handled.strip().splitlines()], [["header", "Retry-After", "2"], ["respond", "503"]])
        self.assertIn("503 with `Retry-After` without a gateway", (ROOT / "docs/compose.md").read_text().replace("\n", " "))

    @unittest.skipUnless(PROMTOOL or os.environ.get("CI") == "true", "SKIPPED: no promtool")
    def test_prometheus_takes_its_configuration_with_the_alerts_of_the_chart(self):
        content = self.file["configs"]["prometheus"]["content"]
        (pattern,) = yaml.safe_load(content)["rule_files"]
        mounted = f"./{ALERTS.parent.relative_to(ROOT)}:{Path(pattern).parent}:ro"
        self.assertIn(mounted, self.file["services"]["prometheus"]["volumes"])
        with tempfile.TemporaryDirectory() as directory:
            here = Path(directory, "prometheus.yml")
            here.write_text(content.replace(str(Path(pattern).parent), str(ALERTS.parent)))
            checked = subprocess.run([PROMTOOL or "promtool", "check", "config", here], capture_output=True, text=True)
        said = checked.stdout + checked.stderr
        self.assertEqual(checked.returncode, 0, said)
        self.assertIn(str(ALERTS), said, "the alerts were not looked at")

    def test_what_it_scrapes_has_the_labels_that_alerts_go_by(self):
        for job in yaml.safe_load(self.file["configs"]["prometheus"]["content"])["scrape_configs"]:
            given = {each["target_label"]: each["replacement"] for each in job["relabel_configs"]}
            service = next(each for each in job["dns_sd_configs"])["names"][0]
            self.assertEqual(given, {"namespace": "nezuko", "service": "nezuko-metrics", "app_kubernetes_io_component": service})
            self.assertIn(service, self.file["services"])
        for rule in (rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]):
            self.assertIn('namespace="nezuko",service="nezuko-metrics"', rule["expr"])

    def test_alerts_name_no_namespace_and_their_section_of_the_runbook(self):
        alerts = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"] if "alert" in rule]
        self.assertTrue(alerts)
        for alert in alerts:
            self.assertEqual(set(alert["labels"]), {"severity"})
            self.assertEqual(alert["annotations"]["runbook"], f"docs/runbook.md#{alert['alert'].lower()}")

    def test_no_secret_stands_in_it(self):
        for name, service in self.file["services"].items():
            for variable, value in service.get("environment", {}).items():
                if re.search("TOKEN|PASSWORD|SECRET|DATABASE_URL", variable):
                    with self.subTest(f"{name}: {variable}"):
                        self.assertRegex(value, "^/run/secrets/")

    def test_nothing_but_the_webhook_is_open_to_the_world(self):
        ports = {name: service["ports"] for name, service in self.file["services"].items() if "ports" in service}
        self.assertEqual(ports, {"caddy": ["80:80", "443:443"], "grafana": ["127.0.0.1:3000:3000"]})
        for name in ("redis", "postgres"):
            self.assertEqual(self.file["services"][name]["networks"], ["inside"])
        self.assertTrue(self.file["networks"]["inside"]["internal"])

    def test_a_program_is_given_longer_than_it_takes_to_stop(self):
        default = re.search(r"`SHUTDOWN_GRACE_SECONDS` \| `(\d+)`", (ROOT / "docs/configuration.md").read_text())
        for name in ("gateway", "worker"):
            given = self.file["services"][name]["stop_grace_period"]
            self.assertGreaterEqual(int(given.removesuffix("s")), int(default[1]) + 10)
