"""Makes the dashboards in helm/nezuko/dashboards, so that what they ask stands in one readable place: `make dashboards` writes
them, a test compares."""

import json
import sys

from chart import CHART

DASHBOARDS = CHART / "dashboards"
WIDTH = 24
# Of the chosen namespaces, and of the chosen bots; what all bots share has the bot_id 0.
ALL = 'namespace=~"$namespace"'
BOTS = f'{ALL},bot_id=~"$bot"'
RATE = "$__rate_interval"


def rate(series, by="", window=RATE, selector=BOTS, function="rate"):
    return f"sum{f' by ({by})' if by else ''} ({function}({series}{{{selector}}}[{window}]))"


def quantiles(histogram, by=""):
    """Median and the slowest of twenty."""
    grouped = f"{by}, le" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    buckets = rate(f"{histogram}_bucket", by=grouped)
    return [(f"histogram_quantile({share}, {buckets})", f"{legend}{name}") for share, name in ((0.5, "p50"), (0.95, "p95"))]


def in_time(histogram, bound):
    within = rate(f"{histogram}_bucket", window="$__range", selector=f'{BOTS},le="{bound}"', function="increase")
    return [(f"{within} / {rate(f'{histogram}_count', window='$__range', function='increase')}", "")]


def rise(series):
    """How many there were in the chosen time, also of a series that begins with the first one."""
    chosen = f"{series}{{{BOTS}}}"
    return f"(sum(({chosen} unless max_over_time({chosen}[$__range] offset $__range)) or increase({chosen}[$__range])) or vector(0))"


def backlog(by):
    """Every process shows the backlog of every bot, so that the most that any has seen counts."""
    return {name: f"max by ({by}) (nezuko_queue_{name}{{{BOTS}}})" for name in ("unread", "pending")}


def panel(title, description, unit, queries, kind="timeseries", width=8, above=None, **defaults):
    """`above` is the value from which on it is red."""
    if above is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": above}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 10,
            "showPoints": "never",
            **({"thresholdsStyle": {"mode": "line"}} if above is not None else {}),
        }
    source = {"type": "prometheus", "uid": "$datasource"}
    targets = [
        {"refId": chr(ord("A") + index), "datasource": source, "expr": expression, "legendFormat": legend or "__auto"}
        for index, (expression, legend) in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, **defaults}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}}
        if kind == "stat"
        else {"legend": {"displayMode": "list", "placement": "bottom"}},
        "gridPos": {"w": width, "h": 4 if kind == "stat" else 8},
        "targets": targets,
    }


FLEET_STATE = backlog("bot_id")
FLEET = [
    panel(
        "Gateways",
        "Gateways that Prometheus sees.",
        "none",
        [(f'count(nezuko_build_info{{{ALL},app_kubernetes_io_component="gateway"}})', "")],
        "stat",
        4,
    ),
    panel(
        "Workers",
        "Workers that Prometheus sees.",
        "none",
        [(f'count(nezuko_build_info{{{ALL},app_kubernetes_io_component="worker"}})', "")],
        "stat",
        4,
    ),
    panel(
        "Backlog",
        "Updates of all bots that wait or are in work.",
        "short",
        [(f"sum({FLEET_STATE['unread']} + {FLEET_STATE['pending']})", "")],
        "stat",
        4,
    ),
    panel(
        "Given up",
        "Dead letters in the chosen time. `nezuko-worker dlq list` shows them.",
        "none",
        [(rise("nezuko_dead_letters_total"), "")],
        "stat",
        4,
        above=1,
    ),
    panel(
        "Silences",
        "Silences in the chosen time so long that Telegram has dropped updates.",
        "none",
        [(rise("nezuko_outages_total"), "")],
        "stat",
        4,
        above=1,
    ),
    panel(
        "Queues lost",
        "Times in the chosen time that a queue had vanished from Redis.",
        "none",
        [(rise("nezuko_queue_groups_lost_total"), "")],
        "stat",
        4,
        above=1,
    ),
    panel(
        "Webhook requests",
        "By answer. `unavailable` is a 503, after which Telegram comes again.",
        "reqps",
        [(rate("nezuko_webhook_requests_total", "outcome"), "{{outcome}}")],
    ),
    panel(
        "Reasons for 503", "docs/failure.md explains each.", "reqps", [(rate("nezuko_webhook_unavailable_total", "reason"), "{{reason}}")]
    ),
    panel("Webhook answers", "From the head of a request to its answer.", "s", quantiles("nezuko_webhook_duration_seconds")),
    panel(
        "Backlog by bot",
        "Unread: no worker has it. Pending: a worker has it in hand.",
        "short",
        [(query, f"{{{{bot_id}}}} {name}") for name, query in FLEET_STATE.items()],
    ),
    panel(
        "Oldest update",
        "For how long the oldest update has been in Redis that no worker has ended.",
        "s",
        [(f"max by (bot_id) (nezuko_stream_oldest_age_seconds{{{BOTS}}})", "{{bot_id}}")],
        above=60,
    ),
    panel(
        "Waiting at Telegram",
        "Updates that Telegram could not deliver yet.",
        "short",
        [(f"max by (bot_id) (nezuko_webhook_pending_updates{{{BOTS}}})", "{{bot_id}}")],
    ),
    panel(
        "Failed deliveries",
        "1: Telegram has failed to deliver an update within 20 minutes. NezukoWebhookErrors fires where that lasts and some wait at Telegram.",
        "none",
        [(f"time() - max by (bot_id) (nezuko_webhook_last_error_timestamp_seconds{{{BOTS}}}) < bool 1200", "{{bot_id}}")],
        above=1,
    ),
    panel(
        "Updates ended",
        "By outcome. `acquitted` are messages of people whom the cache knows to be free.",
        "ops",
        [(rate("nezuko_updates_total", "outcome"), "{{outcome}}")],
    ),
    panel("Updates read at once", "How many a worker got by one read, where it got any.", "short", quantiles("nezuko_batch_entries")),
    panel(
        "Delivered again",
        "Entries taken over from silent workers, and updates that were seen before.",
        "ops",
        [(rate("nezuko_updates_reclaimed_total"), "taken over"), (rate("bot_duplicate_updates_total"), "seen before")],
    ),
    panel(
        "Senders known by the cache",
        "Share of senders whom the database need not decide.",
        "percentunit",
        [(f"{rate('bot_cache_hits_total')} / ({rate('bot_cache_hits_total')} + {rate('bot_cache_misses_total')})", "known")],
        max=1,
    ),
    panel(
        "Statements of the database",
        "The slowest of twenty and the median, by what they are for.",
        "s",
        quantiles("db_query_duration_seconds", "query_type"),
    ),
    panel(
        "Connections to the database",
        "Of all workers, by state. In use beyond max is none: what needs another one waits.",
        "none",
        [(f"sum by (state) (nezuko_db_connections{{{ALL}}})", "{{state}}")],
    ),
    panel(
        "Breakers",
        "0: calls are made. 1: they are refused. 2: one at a time goes as a probe.",
        "none",
        [
            (
                f"max by (dependency, app_kubernetes_io_component) (nezuko_breaker_state{{{ALL}}})",
                "{{dependency}} for a {{app_kubernetes_io_component}}",
            )
        ],
        above=1,
    ),
    panel(
        "Calls refused by breakers",
        "Calls not made because the server is away.",
        "ops",
        [(rate("nezuko_breaker_refusals_total", "dependency", selector=ALL), "{{dependency}}")],
    ),
    panel(
        "Clocks",
        "By how much at least a machine's clock is ahead of Telegram's; 2 s are tolerated.",
        "s",
        [(f"nezuko_clock_skew_seconds{{{ALL}}}", "{{instance}}")],
        min=None,
    ),
    panel(
        "Intents by state",
        "Due: for a sender to take. Claimed: a sender has them in hand. Later: they wait for their time, or for that of another try.",
        "short",
        [(f"sum by (state) (max by (bot_id, state) (nezuko_intents_open{{{BOTS}}}))", "{{state}}")],
    ),
    panel(
        "Programs by version",
        "During a rollout there are two.",
        "none",
        [(f"count by (version, revision) (nezuko_build_info{{{ALL}}})", "{{version}} {{revision}}")],
    ),
    panel(
        "Running since",
        "Programs that end again and again stay low.",
        "s",
        [(f"time() - min by (instance) (bot_start_time_seconds{{{ALL}}})", "{{instance}}")],
    ),
    panel(
        "Telemetry dropped",
        "Spans (traces) and reports (errors) that nobody took. Empty where there is neither a collector nor Sentry.",
        "ops",
        [(rate("nezuko_telemetry_dropped_total", "exporter", selector=ALL), "{{exporter}}")],
    ),
]

SENDING = [
    panel(
        "Messages",
        "Let go by the limiter; Telegram allows a bot 30 a second.",
        "ops",
        [(rate("nezuko_limiter_grants_total", "bot_id", selector=f'{BOTS},budget="message"'), "{{bot_id}}")],
        above=30,
    ),
    panel(
        "Calls let go",
        "By budget and urgency.",
        "ops",
        [(rate("nezuko_limiter_grants_total", "budget, urgency"), "{{budget}} {{urgency}}")],
    ),
    panel(
        "Calls told to wait",
        "By budget and urgency. Under a backlog each waiting worker asks again for each grant.",
        "ops",
        [(rate("nezuko_limiter_denials_total", "budget, urgency"), "{{budget}} {{urgency}}")],
    ),
    panel("Waiting for the limiter", "How long calls waited until they were let go.", "s", quantiles("bot_rate_limit_delay_seconds")),
    panel("Pauses asked for by Telegram", "429s, of a chat or of the bot.", "ops", [(rate("nezuko_limiter_pauses_total", "of"), "{{of}}")]),
    panel(
        "Grants that came too late",
        "Thrown away: Redis is far or slow.",
        "ops",
        [(rate("nezuko_limiter_late_grants_total", "budget"), "{{budget}}")],
    ),
    panel("Calls of the Bot API", "By method.", "ops", [(rate("bot_api_calls_total", "method"), "{{method}}")]),
    panel(
        "How long calls take",
        "The slowest of twenty, by method, from the call to Telegram's answer or to where it was given up.",
        "s",
        quantiles("nezuko_api_call_duration_seconds", "method")[1:],
    ),
    panel(
        "Failed calls",
        "By method and kind of error.",
        "ops",
        [(rate("bot_api_errors_total", "method, error_type"), "{{method}} {{error_type}}")],
    ),
    panel(
        "Intents that are due",
        "What is wanted and not done yet, by kind.",
        "short",
        [(f"sum by (kind) (max by (bot_id, kind) (nezuko_intents_waiting{{{BOTS}}}))", "{{kind}}")],
        width=12,
    ),
    panel(
        "Oldest intents",
        "For how long the oldest has been due, by kind. For redecide, recheck, release, log and link nobody waits.",
        "s",
        [(f"max by (kind) (nezuko_intents_oldest_age_seconds{{{BOTS}}})", "{{kind}}")],
        width=12,
        above=300,
    ),
    panel(
        "Intents tried again",
        "What failed and is tried later, by kind. It is due only when it is time.",
        "ops",
        [(rate("nezuko_intent_retries_total", "kind"), "{{kind}}")],
        width=12,
    ),
    panel(
        "Telegram's breaker",
        "0: calls are made. 1: they are refused. 2: one at a time goes as a probe.",
        "none",
        [(f'max by (bot_id) (nezuko_breaker_state{{{BOTS},dependency="telegram"}})', "{{bot_id}}")],
        width=12,
        above=1,
    ),
]

PRODUCT = [
    panel(
        "Muted in time",
        "Share of joins in the chosen time after which the mute came within 2 s as it is seen, which is surely within 2 s; 95 % are promised (docs/slo.md).",
        "percentunit",
        in_time("nezuko_join_to_mute_seconds", "2.0"),
        "stat",
        4,
        max=1,
    ),
    panel(
        "Freed in time",
        "Share of those freed by their press in the chosen time for whom it took 2 s at most; 95 % are promised (docs/slo.md).",
        "percentunit",
        in_time("nezuko_press_to_free_seconds", "2.0"),
        "stat",
        4,
        max=1,
    ),
    panel(
        "Muted",
        "People muted in the chosen time.",
        "short",
        [(rate("nezuko_mutes_total", window="$__range", function="increase"), "")],
        "stat",
        4,
    ),
    panel(
        "Freed",
        "People freed in the chosen time.",
        "short",
        [(rate("nezuko_releases_total", window="$__range", function="increase"), "")],
        "stat",
        4,
    ),
    panel(
        "Groups",
        "Groups with a rule, those whose rule is suspended among them.",
        "none",
        [(f"sum(max by (bot_id) (bot_active_groups{{{BOTS}}}))", "")],
        "stat",
        4,
    ),
    panel(
        "Groups suspended",
        "Groups whose rule is suspended, since the bot lacks a right there. It has told their administrators, who alone can give it.",
        "none",
        [(f"sum(max by (bot_id) (nezuko_suspended_groups{{{BOTS}}}))", "")],
        "stat",
        4,
    ),
    panel(
        "Join to mute",
        "Telegram dates joins in whole seconds, so that they are seen to be half a second too long on average.",
        "s",
        quantiles("nezuko_join_to_mute_seconds"),
    ),
    panel(
        "Press to free",
        "From a press that frees reaching the gateway, to Telegram freeing whoever pressed.",
        "s",
        quantiles("nezuko_press_to_free_seconds"),
    ),
    panel("Press to answer", "From the press reaching the gateway, whatever the answer.", "s", quantiles("nezuko_press_to_answer_seconds")),
    panel(
        "Mutes and releases",
        "By bot.",
        "ops",
        [(rate("nezuko_mutes_total", "bot_id"), "{{bot_id}} muted"), (rate("nezuko_releases_total", "bot_id"), "{{bot_id}} freed")],
    ),
    panel("Presses", "By what was answered.", "ops", [(rate("nezuko_presses_total", "outcome"), "{{outcome}}")]),
    panel("Decisions", "About people, by status.", "ops", [(rate("bot_verifications_total", "status"), "{{status}}")]),
    panel(
        "Prompts",
        "New ones, changed ones, and those that nobody needs any longer.",
        "ops",
        [(rate("nezuko_prompts_total", "action"), "{{action}}")],
    ),
    panel(
        "Deletions and replies",
        "Messages deleted, and commands answered.",
        "ops",
        [(rate("nezuko_messages_deleted_total"), "deleted"), (rate("nezuko_replies_total"), "replies")],
    ),
    panel("Updates", "By kind.", "ops", [(rate("nezuko_updates_total", "kind"), "{{kind}}")]),
]


def placed(panels):
    """Beside each other, and below where there is no room; those of a line are equally high."""
    x = y = height = 0
    for number, each in enumerate(panels, start=1):
        grid = each["gridPos"]
        if x + grid["w"] > WIDTH:
            x, y = 0, y + height
        height = grid["h"]
        yield {"id": number, **each, "gridPos": {"x": x, "y": y, **grid}}
        x += grid["w"]


def variable(name, label, series):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "query": {"query": f"label_values({series})", "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        # Also where nothing has such a label, as on a single machine.
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def dashboard(name, title, panels):
    return {
        "uid": f"nezuko-{name}",
        "title": f"Nezuko: {title}",
        "tags": ["nezuko"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "links": [
            {"type": "dashboards", "title": "Nezuko", "tags": ["nezuko"], "asDropdown": False, "keepTime": True, "includeVars": True}
        ],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                variable("namespace", "Namespace", "nezuko_build_info, namespace"),
                variable("bot", "Bot", f"nezuko_mutes_total{{{ALL}}}, bot_id"),
            ]
        },
        "panels": list(placed(panels)),
    }


def made():
    """The text of each dashboard, by its path."""
    every = {
        "fleet": dashboard("fleet", "fleet", FLEET),
        "sending": dashboard("sending", "sending", SENDING),
        "product": dashboard("product", "what people see", PRODUCT),
    }
    return {f"{name}.json": json.dumps(content, indent=1) + "\n" for name, content in every.items()}


def main():
    for path, text in made().items():
        (DASHBOARDS / path).write_text(text)
        print(f"helm/nezuko/dashboards/{path}", file=sys.stderr)


if __name__ == "__main__":
    main()
