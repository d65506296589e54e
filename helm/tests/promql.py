"""PromQL expressions against the metrics that the programs have."""

import re

import promql_parser

from chart import ROOT

# What the ServiceMonitor, Kubernetes and Prometheus add to every series.
ADDED = {"namespace", "service", "app_kubernetes_io_component", "instance"}


def documented():
    """Every series that docs/metrics.md promises, with its labels."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    shown = {}
    for name, kind, labels in rows:
        labels = set(re.findall(r"`(\w+)`", labels)) | {"bot_id"}
        if kind == "histogram":
            shown.update({name + "_bucket": labels | {"le"}, name + "_sum": labels, name + "_count": labels})
        else:
            shown[name] = labels
    return shown


def selectors(expression):
    """Name and labels asked for of every series in a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression.name, {matcher.name for matcher in expression.matchers.matchers}
    for attribute in ("expr", "lhs", "rhs", "vector_selector", "args", "param"):
        below = getattr(expression, attribute, None)
        for each in below if isinstance(below, list) else [below]:
            if each is not None:
                yield from selectors(each)


def unknown(text, recorded=()):
    """One line for each metric and label of an expression that does not exist; ValueError where it is none."""
    shown = {**documented(), **{name: {"bot_id"} for name in recorded}}
    asked = list(selectors(promql_parser.parse(text)))
    if not asked:
        yield f"{text}: asks for nothing"
    for name, labels in asked:
        if name not in shown:
            yield f"{text}: there is no {name}"
        else:
            yield from (f"{text}: {name} has no label {label}" for label in labels - shown[name] - ADDED)
    known = set().union(ADDED, *(shown.get(name, ()) for name, _ in asked))
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", text):
        yield from (f"{text}: no label {label} to group by" for label in set(re.split(r",\s*", grouped)) - known)
