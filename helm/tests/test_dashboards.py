"""The dashboards: what Grafana takes, and what Prometheus can answer. `make dashboards-check` asks a real one."""

import itertools
import json
import re
import unittest

import yaml

from chart import ROOT, find, merged, profile, render
from dashboards import DASHBOARDS, made
from promql import unknown

VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$namespace": ".*", "$bot": ".*"}


def every():
    """Each dashboard by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.iterdir())}


def queries(dashboard, values):
    """Title and expression of every query, with values for Grafana's variables."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in values.items():
                expression = expression.replace(name, value)
            yield f"{dashboard['title']}: {panel['title']}", expression


def overlap(one, other):
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h")))


class Dashboards(unittest.TestCase):
    def test_they_are_what_is_made(self):
        wanted = made()
        self.assertEqual({path.name for path in DASHBOARDS.iterdir()}, set(wanted))
        for path, text in wanted.items():
            self.assertTrue((DASHBOARDS / path).read_text() == text, f"{path} is out of date: run `make dashboards`")

    def test_prometheus_can_answer_every_query(self):
        for dashboard in every().values():
            for title, expression in queries(dashboard, VARIABLES):
                with self.subTest(title):
                    self.assertNotIn("$", expression)
                    self.assertEqual(list(unknown(expression)), [])

    def test_every_panel_says_what_it_shows_in_which_unit(self):
        for name, dashboard in every().items():
            titles = [panel["title"] for panel in dashboard["panels"]]
            self.assertEqual(len(titles), len(set(titles)), name)
            for panel in dashboard["panels"]:
                with self.subTest(f"{name}: {panel['title']}"):
                    self.assertTrue(panel["title"] and panel["description"].endswith((".", ")")))
                    self.assertIn(panel["type"], ("stat", "timeseries"))
                    self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
                    references = [target["refId"] for target in panel["targets"]]
                    self.assertTrue(references and len(references) == len(set(references)))

    def test_legends_name_labels_that_the_query_leaves(self):
        for dashboard in every().values():
            for panel in dashboard["panels"]:
                for target in panel["targets"]:
                    for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                        with self.subTest(panel["title"]):
                            # What is not summed up has the labels of its target.
                            grouped = re.search(r"\b(?:by) \(([^)]*)\)", target["expr"])
                            self.assertIn(label, re.split(r",\s*", grouped[1]) if grouped else ("instance",))

    def test_panels_have_numbers_and_places_of_their_own(self):
        for name, dashboard in every().items():
            ids = [panel["id"] for panel in dashboard["panels"]]
            self.assertEqual(len(ids), len(set(ids)), name)
            for panel in dashboard["panels"]:
                self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], 24)
            for one, other in itertools.combinations(dashboard["panels"], 2):
                self.assertFalse(overlap(one["gridPos"], other["gridPos"]), f"{name}: {one['title']} lies on {other['title']}")

    def test_the_datasource_is_a_variable_everywhere(self):
        for name, dashboard in every().items():
            variables = {each["name"]: each for each in dashboard["templating"]["list"]}
            self.assertEqual(set(variables), {"datasource", "namespace", "bot"})
            asking = [*dashboard["panels"], *(target for panel in dashboard["panels"] for target in panel["targets"])]
            asking += [each for each in variables.values() if each["type"] == "query"]
            self.assertEqual({each["datasource"]["uid"] for each in asking}, {"$datasource"}, name)
        self.assertEqual(len({dashboard["uid"] for dashboard in every().values()}), 3)

    def test_the_chart_brings_them_as_they_are(self):
        values = {"dashboards": {"enabled": True, "labels": {"grafana": "yes"}, "annotations": {"grafana_folder": "Bots"}}}
        objects = render(merged(profile("minimal"), values))
        for name, dashboard in every().items():
            found = find(objects, "ConfigMap", f"nezuko-dashboard-{name}")
            self.assertEqual(json.loads(found["data"][f"nezuko-{name}.json"]), dashboard)
            self.assertEqual(found["metadata"]["labels"]["grafana"], "yes")
            self.assertEqual(found["metadata"]["annotations"], {"grafana_folder": "Bots"})
        self.assertFalse([each for each in render(profile("minimal")) if each["kind"] == "ConfigMap"])

    def test_compose_has_grafana_read_them(self):
        compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
        provider = yaml.safe_load(compose["configs"]["grafana-dashboards"]["content"])["providers"][0]
        mounted = f"./{DASHBOARDS.relative_to(ROOT)}:{provider['options']['path']}:ro"
        self.assertIn(mounted, compose["services"]["grafana"]["volumes"])


if __name__ == "__main__":
    unittest.main()
