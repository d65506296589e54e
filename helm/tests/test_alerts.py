"""Alerts and the scaling query: that they ask for what there is, and that each fires when it must and not when it must not."""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from alert_cases import CASES
from chart import PROMETHEUS, REQUIRED, ROOT, find, merged, profile, render
from promql import unknown

# From the script that runs the tests.
PROMTOOL = os.environ.get("PROMTOOL", "")
RUNBOOK_URL = "https://git.example.org/nezuko/docs/runbook.md"


def groups(values=None):
    values = merged(profile("ha"), {"prometheusRule": {"runbookUrl": RUNBOOK_URL}}, values or {})
    return find(render(values), "PrometheusRule", "nezuko-metrics")["spec"]["groups"]


def rules(values=None):
    """Recordings and alerts by their names."""
    every = [rule for group in groups(values) for rule in group["rules"]]
    return {rule["record"]: rule for rule in every if "record" in rule}, {rule["alert"]: rule for rule in every if "alert" in rule}


def filled(text, labels):
    """What Prometheus makes of an annotation."""
    return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.recordings, cls.alerts = rules()

    def test_only_metrics_and_labels_that_exist_are_asked_for(self):
        (trigger,) = find(render(merged(REQUIRED, PROMETHEUS)), "ScaledObject", "nezuko-worker")["spec"]["triggers"]
        every = [rule["expr"] for rule in (*self.recordings.values(), *self.alerts.values())]
        for expression in (*every, trigger["metadata"]["query"]):
            self.assertEqual(list(unknown(expression, self.recordings)), [])

    def test_what_does_not_exist_is_noticed(self):
        for wrong in ("sum(nezuko_mute_total)", 'nezuko_mutes_total{chat="1"}', "sum by (chat) (nezuko_mutes_total)", "time()"):
            self.assertEqual(len(list(unknown(wrong))), 1, wrong)
        with self.assertRaises(ValueError):
            list(unknown("nezuko_mutes_total)"))

    def test_each_alert_has_a_weight_and_says_what_to_look_at(self):
        self.assertEqual(len(self.alerts) + len(self.recordings), sum(len(group["rules"]) for group in groups()), "a name is used twice")
        for name, rule in self.alerts.items():
            with self.subTest(name):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"])

    def test_each_alert_leads_to_its_section_of_the_runbook(self):
        headings = re.findall(r"^### (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
        self.assertEqual([heading for heading in headings if heading.startswith("Nezuko")], list(self.alerts))
        for name, rule in self.alerts.items():
            self.assertEqual(rule["annotations"]["runbook_url"], f"{RUNBOOK_URL}#{name.lower()}")
            self.assertNotIn("runbook", rule["annotations"])
        _, without = rules({"prometheusRule": {"runbookUrl": ""}})
        for name, rule in without.items():
            self.assertEqual(rule["annotations"]["runbook"], f"docs/runbook.md#{name.lower()}")
            self.assertNotIn("runbook_url", rule["annotations"])

    def test_each_rule_names_its_release_whatever_its_expression_keeps(self):
        objects = render(profile("ha"), namespace="bots", release="main")
        for group in find(objects, "PrometheusRule", "main-nezuko-metrics")["spec"]["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    told = {key: rule["labels"][key] for key in ("namespace", "service")}
                    self.assertEqual(told, {"namespace": "bots", "service": "main-nezuko-metrics"}, rule["alert"])
                else:
                    self.assertEqual(rule["expr"].count("sum by (namespace, service, bot_id)"), 2, rule["record"])

    def test_the_backlog_s_alerts_follow_its_limit(self):
        _, alerts = rules({"settings": {"MAX_BACKLOG": 2000000}})
        self.assertTrue(alerts["NezukoBacklog"]["expr"].endswith("> 200000"))
        self.assertTrue(alerts["NezukoBacklogAlmostFull"]["expr"].endswith("> 1600000"))

    def test_what_nobody_waits_for_is_of_kinds_that_there_are(self):
        (kinds,) = re.findall(r"pub const KINDS: .*?\[\n(.*?)\];", (ROOT / "worker/src/intent.rs").read_text(), re.DOTALL)
        (left_out,) = re.findall(r'kind!~"([\w|]+)"', self.alerts["NezukoIntentsLate"]["expr"])
        self.assertEqual(set(left_out.split("|")) - set(re.findall(r'"(\w+)"', kinds)), set())

    def test_every_alert_is_tried_in_both_directions(self):
        self.assertEqual(set(CASES), set(self.alerts))
        for name, cases in CASES.items():
            self.assertEqual({bool(fired) for _, _, _, fired in cases}, {True, False}, name)


@unittest.skipUnless(PROMTOOL or os.environ.get("CI") == "true", "SKIPPED: no promtool")
class Firing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not PROMTOOL:
            raise AssertionError("no promtool, and nothing may be skipped where CI=true")
        cls.recordings, cls.alerts = rules()

    def promtool(self, command, **files):
        with tempfile.TemporaryDirectory() as directory:
            for name, content in files.items():
                Path(directory, f"{name}.yaml").write_text(yaml.safe_dump(content))
            done = subprocess.run([PROMTOOL, *command], cwd=directory, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def tried(self, alert, cases):
        """What promtool says of these cases, by the alert and what it is made from alone, which is faster than by all rules."""
        rule = self.alerts[alert]
        needed = [recording for name, recording in self.recordings.items() if name in rule["expr"]] + [rule]
        tests = []
        for note, series, minute, fired in cases:
            expected = [
                {
                    "exp_labels": {**labels, **rule["labels"]},
                    "exp_annotations": {key: filled(text, labels) for key, text in rule["annotations"].items()},
                }
                for labels in fired
            ]
            asked = {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected}
            tests.append({"name": note, "interval": "1m", "input_series": series, "alert_rule_test": [asked]})
        tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
        return self.promtool(["test", "rules", "tests.yaml"], rules={"groups": [{"name": "tried", "rules": needed}]}, tests=tests)

    def test_prometheus_takes_the_rules(self):
        status, said = self.promtool(["check", "rules", "rules.yaml"], rules={"groups": groups()})
        self.assertEqual(status, 0, said)

    def test_alerts_fire_when_they_must_and_only_then(self):
        for name, cases in CASES.items():
            with self.subTest(name):
                status, said = self.tried(name, cases)
                self.assertEqual(status, 0, said)

    def test_an_alert_that_does_not_do_so_is_noticed(self):
        note, series, minute, _ = CASES["NezukoBacklog"][0]
        for fired in ([], [{"bot_id": "43"}]):
            status, said = self.tried("NezukoBacklog", [(note, series, minute, fired)])
            self.assertEqual(status, 1, said)


if __name__ == "__main__":
    unittest.main()
