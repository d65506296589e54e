"""The plain manifests: made from the chart, and built by a real kustomize."""

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from chart import ROOT, find
from manifests import ACCEPTED, IDS, dangling, invalid, policy_findings
from plain_manifests import K8S, made
from test_dashboards import every

OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
# `kustomize build` or `kubectl kustomize`, from the script that runs the tests.
KUSTOMIZE = shlex.split(os.environ.get("KUSTOMIZE", ""))


def built(overlay, root=ROOT):
    answer = subprocess.run([*KUSTOMIZE, f"k8s/overlays/{overlay}"], cwd=root, capture_output=True, text=True)
    if answer.returncode != 0:
        raise AssertionError(f"{overlay}: {answer.stderr}")
    return [entry for entry in yaml.safe_load_all(answer.stdout) if entry]


class MadeFromTheChart(unittest.TestCase):
    def test_plain_manifests_are_what_the_chart_renders(self):
        wanted = made()
        for path, text in wanted.items():
            found = (K8S / path).read_text() if (K8S / path).exists() else ""
            self.assertTrue(found == text, f"k8s/{path} is out of date: run `make k8s`")
        by_hand = {"base/kustomization.yaml", "base/namespace.yaml", "values.yaml", "values-prod.yaml"}
        by_hand |= {f"overlays/{overlay}/kustomization.yaml" for overlay in OVERLAYS}
        self.assertEqual({str(path.relative_to(K8S)) for path in K8S.rglob("*.yaml")}, set(wanted) | by_hand)


@unittest.skipUnless(KUSTOMIZE or os.environ.get("CI") == "true", "SKIPPED: no kustomize")
class Overlays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not KUSTOMIZE:
            raise AssertionError("no kustomize, and nothing may be skipped where CI=true")
        cls.built = {overlay: built(overlay) for overlay in OVERLAYS}

    def test_kubernetes_and_the_operators_take_every_manifest(self):
        self.assertEqual(OVERLAYS, ["dev", "prod"])
        for overlay, objects in self.built.items():
            with self.subTest(overlay):
                self.assertEqual(list(invalid(objects)), [])

    def test_no_reference_leads_nowhere(self):
        for overlay, objects in self.built.items():
            with self.subTest(overlay):
                self.assertEqual(list(dangling(objects)), [])

    def test_the_policy_check_finds_only_what_is_accepted(self):
        wrong = copy.deepcopy(find(self.built["prod"], "Deployment", "nezuko-gateway"))
        wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
        passed, findings = policy_findings({**self.built, "wrong": [wrong]})
        self.assertGreater(passed, 500, "the policy check did not check")
        # The ids are fixed here.
        unmeant = [line for found, line in findings if ACCEPTED.get(found, IDS) == IDS]
        self.assertEqual(unmeant, ["wrong: Deployment.nezuko.nezuko-gateway: CKV_K8S_16 Container should not be privileged"])

    def test_everything_is_in_one_namespace(self):
        for overlay, namespace in (("dev", "nezuko-dev"), ("prod", "nezuko")):
            objects = self.built[overlay]
            self.assertEqual({entry["metadata"]["namespace"] for entry in objects if entry["kind"] != "Namespace"}, {namespace})
            self.assertEqual([entry["metadata"]["name"] for entry in objects if entry["kind"] == "Namespace"], [namespace])

    def test_overlays_say_how_many_there_are(self):
        for name in ("nezuko-gateway", "nezuko-worker"):
            self.assertEqual(find(self.built["dev"], "Deployment", name)["spec"]["replicas"], 1)
            self.assertNotIn("replicas", find(self.built["prod"], "Deployment", name)["spec"])

    def test_pods_of_prod_are_spread_over_the_nodes_that_take_them(self):
        for name in ("nezuko-gateway", "nezuko-worker"):
            spread = find(self.built["prod"], "Deployment", name)["spec"]["template"]["spec"]["topologySpreadConstraints"]
            (node,) = [each for each in spread if each["topologyKey"] == "kubernetes.io/hostname"]
            self.assertEqual((node["whenUnsatisfiable"], node["nodeTaintsPolicy"]), ("DoNotSchedule", "Honor"))

    def test_a_gateway_that_nothing_scales_asks_for_little(self):
        for overlay, wanted in (("dev", "100m"), ("prod", "500m")):
            (container,) = find(self.built[overlay], "Deployment", "nezuko-gateway")["spec"]["template"]["spec"]["containers"]
            self.assertEqual(container["resources"]["requests"], {"cpu": wanted, "memory": "32Mi"})

    def test_alerts_of_prod_name_namespace_and_section(self):
        groups = find(self.built["prod"], "PrometheusRule", "nezuko-metrics")["spec"]["groups"]
        for alert in (rule for group in groups for rule in group["rules"] if "alert" in rule):
            self.assertEqual((alert["labels"]["namespace"], alert["labels"]["service"]), ("nezuko", "nezuko-metrics"))
            self.assertEqual(alert["annotations"]["runbook"], f"docs/runbook.md#{alert['alert'].lower()}")

    def test_the_step_that_is_left_out_has_a_prometheus_find_what_it_scrapes_and_its_rules(self):
        with tempfile.TemporaryDirectory() as directory:
            shutil.copytree(K8S, Path(directory, "k8s"))
            file = Path(directory, "k8s/overlays/prod/kustomization.yaml")
            before, patches, after = file.read_text().partition("\npatches:\n")
            file.write_text(before + patches + re.sub(r"^  # ", "  ", after, flags=re.MULTILINE))
            objects = built("prod", directory)
        labelled = {entry["kind"] for entry in objects if entry["metadata"].get("labels", {}).get("release") == "monitoring"}
        self.assertEqual(labelled, {"ServiceMonitor", "PrometheusRule"})
        self.assertNotIn("release", find(self.built["prod"], "ServiceMonitor", "nezuko-metrics")["metadata"]["labels"])

    def test_a_sidecar_of_grafana_finds_the_dashboards_of_the_chart_in_prod(self):
        found = [entry for entry in self.built["prod"] if entry["kind"] == "ConfigMap"]
        content = {path: json.loads(text) for entry in found for path, text in entry["data"].items()}
        self.assertEqual(content, {f"nezuko-{name}.json": dashboard for name, dashboard in every().items()})
        self.assertEqual({entry["metadata"]["labels"]["grafana_dashboard"] for entry in found}, {"1"})

    def test_every_pod_has_the_overlay_s_image_and_settings(self):
        for overlay, setting in (("dev", "LOG_LEVEL"), ("prod", "WEBHOOK_URL")):
            for name in ("nezuko-gateway", "nezuko-worker"):
                (container,) = find(self.built[overlay], "Deployment", name)["spec"]["template"]["spec"]["containers"]
                self.assertIn(setting, [each["name"] for each in container["env"]])
                self.assertTrue(container["image"].startswith("registry.example.org/nezuko:"), container["image"])
            (container,) = find(self.built[overlay], "Job", "nezuko-migrate")["spec"]["template"]["spec"]["containers"]
            self.assertTrue(container["image"].startswith("registry.example.org/nezuko:"), container["image"])


if __name__ == "__main__":
    unittest.main()
