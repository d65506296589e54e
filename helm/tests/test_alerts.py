"""Alerts and the scaling query against the metrics that the programs have."""

import re
import unittest

import promql_parser

from chart import ROOT, find, merged, profile, render

SERIES = re.compile(r"\b([a-z_]+)\{([^}]*)\}")


def documented():
    """Every series that docs/metrics.md promises, with its labels."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    shown = {}
    for name, kind, labels in rows:
        labels = set(re.findall(r"`(\w+)`", labels)) | {"bot_id"}
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        shown.update({name + suffix: labels for suffix in suffixes})
    return shown


class Alerts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        objects = render(profile("ha"))
        (group,) = find(objects, "PrometheusRule", "nezuko-metrics")["spec"]["groups"]
        cls.rules = group["rules"]
        (trigger,) = find(objects, "ScaledObject", "nezuko-worker")["spec"]["triggers"]
        cls.expressions = [rule["expr"] for rule in cls.rules] + [trigger["metadata"]["query"]]

    def test_prometheus_understands_every_expression(self):
        for expression in self.expressions:
            with self.subTest(expression):
                promql_parser.parse(expression)
        with self.assertRaises(ValueError):
            promql_parser.parse(self.expressions[0] + ")")

    def test_only_metrics_and_labels_that_exist_are_asked_for(self):
        shown = documented()
        # What the ServiceMonitor and Kubernetes add.
        added = {"namespace", "service", "app_kubernetes_io_component"}
        for expression in self.expressions:
            series = SERIES.findall(expression)
            self.assertTrue(series, expression)
            for name, selector in series:
                with self.subTest(name):
                    self.assertIn(name, shown)
                    self.assertLessEqual(set(re.findall(r"(\w+)=", selector)), shown[name] | added)
            for grouped in re.findall(r"by \(([^)]*)\)", expression):
                known = set().union(*(shown[name] for name, _ in series)) | added | {"le"}
                self.assertLessEqual(set(re.split(r",\s*", grouped)), known)

    def test_each_alert_has_a_weight_and_says_what_to_look_at(self):
        self.assertEqual(len({rule["alert"] for rule in self.rules}), len(self.rules))
        for rule in self.rules:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"])
                # A label in the text must be left by the expression.
                for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
                    self.assertRegex(rule["expr"], rf"by \([^)]*\b{label}\b")

    def test_the_backlog_s_alerts_follow_its_limit(self):
        values = merged(profile("ha"), {"settings": {"MAX_BACKLOG": 2000000}})
        (group,) = find(render(values), "PrometheusRule", "nezuko-metrics")["spec"]["groups"]
        by_name = {rule["alert"]: rule["expr"] for rule in group["rules"]}
        self.assertTrue(by_name["NezukoBacklog"].endswith("> 200000"))
        self.assertTrue(by_name["NezukoBacklogAlmostFull"].endswith("> 1600000"))


if __name__ == "__main__":
    unittest.main()
