"""Whether manifests are what Kubernetes and the operators take, and fit each other."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from chart import pods

# The oldest that the chart admits and the newest that there are schemas of.
KUBERNETES = ("1.30", "1.37")
SCHEMAS = Path(__file__).parent / "schemas"

# Findings of the policy check that are meant, by check and kind, with the reason. What no longer turns up must go from here.
NO_LIMIT = "no limit of processor time: throttling makes people wait and saves nothing; requests share it out"
ENDS = "it ends by itself, under a deadline"
PULL = "pullPolicy is the user's: an image that is named by version or digest need not be pulled each time"
DIGEST = "whether the image is named by its digest is the user's choice"
IDS = "where the cluster gives the ids it is asked for none; by default they are fixed, which has a test of its own"
ACCEPTED = {
    ("CKV_K8S_8", "Pod"): ENDS,
    ("CKV_K8S_9", "Pod"): ENDS,
    **{("CKV_K8S_11", kind): NO_LIMIT for kind in ("Deployment", "Job", "Pod")},
    **{("CKV_K8S_15", kind): PULL for kind in ("Deployment", "Job", "Pod")},
    **{("CKV_K8S_40", kind): IDS for kind in ("Deployment", "Job", "Pod")},
    **{("CKV_K8S_43", kind): DIGEST for kind in ("Deployment", "Job", "Pod")},
}


def invalid(objects):
    """One line for each manifest that Kubernetes or an operator would refuse."""
    for entry in objects:
        name = f"{entry['kind']}/{entry['metadata']['name']}"
        vendored = SCHEMAS / f"{entry['kind']}.json"
        try:
            if vendored.exists():
                jsonschema.validate(entry, json.loads(vendored.read_text()))
            else:
                for version in KUBERNETES:
                    kubernetes_validate.validate(entry, version, strict=True)
        except jsonschema.ValidationError as error:
            yield f"{name}: {error.message} at {list(error.absolute_path)}"
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {error.message} at {list(error.path)}"


def matches(selector, labels):
    """Whether a label selector selects; of expressions, those that occur here."""
    expressions = [labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []) if each["operator"] == "In"]
    return selector.get("matchLabels", {}).items() <= labels.items() and all(expressions)


def dangling(objects):
    """One line for each reference that leads nowhere."""
    labels = [pod["metadata"]["labels"] for name, pod in pods(objects)]
    names = {(entry["kind"], entry["metadata"]["name"]) for entry in objects}
    ports = {port["name"] for _, pod in pods(objects) for container in pod["spec"]["containers"] for port in container.get("ports", [])}
    for entry in objects:
        kind, name, spec = entry["kind"], entry["metadata"]["name"], entry.get("spec", {})
        selector = {
            "Service": lambda: {"matchLabels": spec["selector"]},
            "NetworkPolicy": lambda: spec["podSelector"],
            "PodDisruptionBudget": lambda: spec["selector"],
            "Deployment": lambda: spec["selector"],
        }.get(kind)
        if selector and not any(matches(selector(), each) for each in labels):
            yield f"{kind}/{name} selects no pod"
        if kind == "Service" and not {port["targetPort"] for port in spec["ports"]} <= ports:
            yield f"{kind}/{name} leads to a port that no pod has"
        if kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            if ("Deployment", spec["scaleTargetRef"]["name"]) not in names:
                yield f"{kind}/{name} scales nothing"
            deployment = next(each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", spec["scaleTargetRef"]["name"]))
            if "replicas" in deployment["spec"]:
                yield f"{kind}/{name} and its Deployment both say how many replicas there are"
        if kind == "Ingress":
            for path in spec["rules"][0]["http"]["paths"]:
                if ("Service", path["backend"]["service"]["name"]) not in names:
                    yield f"{kind}/{name} leads to no Service"
        if kind == "ServiceMonitor":
            services = [each["metadata"]["labels"] for each in objects if each["kind"] == "Service"]
            if sum(matches(spec["selector"], each) for each in services) != 1:
                yield f"{kind}/{name} does not select exactly one Service"
    for name, pod in pods(objects):
        if ("ServiceAccount", pod["spec"]["serviceAccountName"]) not in names:
            yield f"{name} has a ServiceAccount that does not exist"


def policy_findings(sets):
    """How many checks passed, and the findings of checkov in sets of objects: (check, kind) with a line that tells it."""
    with tempfile.TemporaryDirectory() as directory:
        for index, objects in enumerate(sets.values()):
            Path(directory, f"{index}.yaml").write_text(yaml.safe_dump_all(objects))
        checkov = Path(sys.executable).with_name("checkov")
        answer = subprocess.run(
            [sys.executable, checkov, "--directory", directory, "--framework", "kubernetes", "--skip-download", "--quiet", "--output", "json"],
            env={"LOG_LEVEL": "CRITICAL", "BC_SKIP_MAPPING": "TRUE", "HOME": directory, "PATH": ""},
            capture_output=True,
            text=True,
        )
    report = json.loads(answer.stdout)
    names = list(sets)
    findings = [
        (
            (check["check_id"], check["resource"].split(".")[0]),
            f"{names[int(Path(check['file_path']).stem)]}: {check['resource']}: {check['check_id']} {check['check_name']}",
        )
        for check in report["results"]["failed_checks"]
    ]
    return report["summary"]["passed"], findings
