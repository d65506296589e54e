"""Makes the plain manifests in k8s/ and the alerts of compose.yaml from the chart, so that there is one place to change: `make k8s`
writes them, tests compare."""

import copy
import sys

import yaml

from chart import ROOT, find, merged, render

K8S = ROOT / "k8s"
HEADER = "# Made from helm/nezuko by `make k8s`; a test compares the two.\n"
# What only overlays/prod has: it needs operators, a metrics server, an ingress controller and a Grafana.
PROD = ("ConfigMap", "HorizontalPodAutoscaler", "Ingress", "PrometheusRule", "ScaledObject", "ServiceMonitor")


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines, the dashboards, line by line."""


Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None))


def values(*names):
    return merged(*(yaml.safe_load((K8S / name).read_text()) for name in names))


def made():
    """The text of each file below k8s/ that is made, by its path."""
    # `helm test` is Helm's; here one runs `kubectl exec deploy/nezuko-worker -- nezuko-worker doctor`.
    base = [entry for entry in render(values("values.yaml")) if entry["metadata"]["name"] != "nezuko-doctor"]
    prod = [entry for entry in render(values("values.yaml", "values-prod.yaml")) if entry["kind"] in PROD]
    files = {}
    for entry in base:
        files.setdefault(f"base/{entry['metadata']['labels']['app.kubernetes.io/component']}.yaml", []).append(entry)
    for entry in prod:
        files.setdefault(f"overlays/prod/{entry['kind'].lower()}.yaml", []).append(entry)
    # The same rules for a Prometheus without operator, which takes a file; there is one fleet, and no namespace to route by.
    rules = copy.deepcopy(find(prod, "PrometheusRule", "nezuko-metrics")["spec"])
    for alert in (rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule):
        del alert["labels"]["namespace"], alert["labels"]["service"]
    files["compose/alerts.yaml"] = [rules]
    return {path: HEADER + yaml.dump_all(entries, Dumper=Dumper, sort_keys=False, width=1000) for path, entries in files.items()}


def main():
    for path, text in made().items():
        (K8S / path).write_text(text)
        print(f"k8s/{path}", file=sys.stderr)


if __name__ == "__main__":
    main()
