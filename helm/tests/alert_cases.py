"""When each alert fires and when it must not: what Prometheus sees, when it is looked at, and for whom the alert then fires.

Series are in promtool's notation, a sample a minute: `1+2x30` rises by 2 thirty times, `_x10` is nothing ten times.
"""

FLEET = {"namespace": "nezuko", "service": "nezuko-metrics"}
BOT = {"bot_id": "42"}


def series(name, values, **labels):
    every = {**FLEET, "instance": "one", **({} if name == "nezuko_build_info" else BOT), **labels}
    return {"series": "%s{%s}" % (name, ",".join(f'{key}="{value}"' for key, value in every.items())), "values": values}


def program(component, values="1x60", **labels):
    return series("nezuko_build_info", values, app_kubernetes_io_component=component, **labels)


def requests(outcome, values):
    return series("nezuko_webhook_requests_total", values, outcome=outcome)


def breaker(dependency, values, **labels):
    return series("nezuko_breaker_state", values, dependency=dependency, app_kubernetes_io_component="worker", **labels)


def dropped(exporter, values):
    return series("nezuko_telemetry_dropped_total", values, exporter=exporter, app_kubernetes_io_component="worker", bot_id="0")


def failing(last, pending):
    """What gateways see of Telegram's deliveries: the last error's date, and how much waits."""
    return [series("nezuko_webhook_last_error_timestamp_seconds", last), series("nezuko_webhook_pending_updates", pending)]


def backlog(unread, pending="0x60", **labels):
    return [series("nezuko_queue_unread", unread, **labels), series("nezuko_queue_pending", pending, **labels)]


def intents(kind, values, **labels):
    return series("nezuko_intents_oldest_age_seconds", values, kind=kind, **labels)


def connections(in_use, **labels):
    every = {"in_use": in_use, "idle": "0x60", "max": "20x60"}
    return [series("nezuko_db_connections", values, state=state, bot_id="0", **labels) for state, values in every.items()]


def waits(name, late, total):
    """A histogram of which so many a minute are over each bound, out of `total`."""
    per_minute = {**{bound: total - over for bound, over in late.items()}, "+Inf": total}
    return [series(f"{name}_bucket", f"0+{rate}x60", le=bound) for bound, rate in per_minute.items()]


def burning(name):
    """What both objectives are tried with: alerts at 30 % in 1 h and at 10 % in 6 h, and the same that has ended."""
    good, count = f"{name}_bucket", f"{name}_count"

    def share(late, total):
        return [series(good, f"0+{total - late}x400", le="2.0"), series(count, f"0+{total}x400")]

    def suddenly(well):
        """All is well for so many minutes, and then everything is late."""
        return [series(good, f"0+10x{well} {10 * well}x100", le="2.0"), series(count, f"0+10x{well + 100}")]

    # It was bad for 50 minutes and has been well for ten.
    ended = [series(good, "0x50 1+10x10", le="2.0"), series(count, "0+10x60")]
    fired = [{**FLEET, **BOT}]
    fast = [
        ("two in five are late", share(4, 10), 70, fired),
        ("everything has been late for 20 minutes", suddenly(100), 120, fired),
        ("everything has been late for 16 minutes", suddenly(100), 116, []),
        ("one in four is late", share(10, 40), 70, []),
        ("nearly nobody comes", [series(good, "0x400", le="2.0"), series(count, "0x20 1x20 2x20 3x300")], 70, []),
        ("it is over", ended, 60, []),
        ("nobody comes at all", share(0, 0), 70, []),
    ]
    slow = [
        ("one in eight is late", share(5, 40), 370, fired),
        ("everything has been late for 38 minutes", suddenly(400), 438, fired),
        ("everything has been late for 34 minutes", suddenly(400), 434, []),
        ("one in twenty is late, which is the budget", share(2, 40), 370, []),
        ("it is over", [series(good, "0x300 1+10x60", le="2.0"), series(count, "0+10x360")], 360, []),
    ]
    return fast, slow


MUTES, RELEASES = burning("nezuko_join_to_mute_seconds"), burning("nezuko_press_to_free_seconds")
# Alert: what happens, what is seen of it, after how many minutes it is looked at, and the labels of what then fires.
CASES = {
    "NezukoNoGateway": [
        ("there are workers alone", [program("worker")], 10, [{**FLEET, "app_kubernetes_io_component": "gateway"}]),
        (
            "there is one of another fleet",
            [program("gateway", namespace="other")],
            10,
            [{**FLEET, "app_kubernetes_io_component": "gateway"}],
        ),
        ("there is one", [program("gateway")], 10, []),
        ("one is replaced within three minutes", [program("gateway", "1x5 stale _ 1x10")], 8, []),
    ],
    "NezukoNoWorker": [
        ("there are gateways alone", [program("gateway")], 10, [{**FLEET, "app_kubernetes_io_component": "worker"}]),
        ("there is one", [program("worker")], 10, []),
    ],
    "NezukoUpdatesRefused": [
        ("one in ten is refused", [requests("stored", "0+90x30"), requests("unavailable", "0+10x30")], 20, [{}]),
        ("one in fifty is refused", [requests("stored", "0+98x30"), requests("unavailable", "0+2x30")], 20, []),
        ("all are refused for a moment", [requests("stored", "0+90x30"), requests("unavailable", "0x10 0+50x2 100x20")], 14, []),
    ],
    "NezukoSecretRefused": [
        ("one in five seconds", [requests("unauthorized", "0+12x60")], 40, [BOT]),
        ("one in a minute", [requests("unauthorized", "0+1x60")], 40, []),
        ("a rotation", [requests("unauthorized", "0x10 0+60x2 120x60")], 25, []),
    ],
    "NezukoWebhookNotRegistered": [
        ("the first two attempts fail", [series("nezuko_webhook_registrations_total", "_x10 1x10 2x30", outcome="failed")], 35, [BOT]),
        ("one attempt fails", [series("nezuko_webhook_registrations_total", "_x10 1x60", outcome="failed")], 35, []),
        ("it was long ago", [series("nezuko_webhook_registrations_total", "_x10 5x150", outcome="failed")], 120, []),
        ("it succeeds often", [series("nezuko_webhook_registrations_total", "_x10 1+1x60", outcome="registered")], 35, []),
    ],
    "NezukoWebhookErrors": [
        ("a single update cannot be delivered", failing("_x5 240x9 840x9 1440x9", "_x5 1x30"), 26, [BOT]),
        ("gateways look at different times", [
            *failing("_x5 240x9 840x9 1440x9", "_x5 1x30"),
            *({**each, "series": each["series"].replace("one", "two")} for each in failing("_x8 420x9 1020x9 1620x9", "_x8 1x30")),
        ], 26, [BOT]),
        ("it has not been long", failing("_x5 240x9 840x9 1440x9", "_x5 1x30"), 24, []),
        ("one failed where always some are under way", failing("_x5 240x60", "_x5 3x60"), 26, []),
        ("gateways were replaced, twice", failing("_x5 240x9 240x9 1440x9 1440x20", "_x5 5x9 0x9 5x9 0x20"), 36, []),
        ("what failed was delivered after", failing("_x5 240x9 840x9 1440x9 2040x9", "_x5 0x40"), 40, []),
        ("many wait and none has failed", failing("0x90", "500x90"), 60, []),
    ],
    "NezukoWebhookFails": [
        ("more and more wait", [series("nezuko_webhook_pending_updates", "2000x60")], 30, [BOT]),
        ("few wait", [series("nezuko_webhook_pending_updates", "900x60")], 30, []),
        ("many waited for a while", [series("nezuko_webhook_pending_updates", "2000x10 0x60")], 30, []),
    ],
    "NezukoBacklog": [
        ("a tenth of the limit and one", backlog("10001x60"), 20, [BOT]),
        ("what is in work counts as well", backlog("6000x60", "4001x60"), 20, [BOT]),
        ("every process shows the same", [*backlog("6000x60"), *backlog("6000x60", instance="two")], 20, []),
        ("a raid of some minutes", backlog("20000x8 0x50"), 20, []),
    ],
    "NezukoBacklogAlmostFull": [
        ("four fifths of the limit and one", backlog("80001x60"), 5, [BOT]),
        ("four fifths of the limit", backlog("80000x60"), 5, []),
    ],
    "NezukoUpdatesLate": [
        ("one is not ended", [series("nezuko_stream_oldest_age_seconds", "0+60x30")], 10, [BOT]),
        (
            "every worker shows the same, and gateways nothing",
            [
                *(series("nezuko_stream_oldest_age_seconds", "90x30", instance=name) for name in ("one", "two")),
                series("nezuko_stream_oldest_age_seconds", "0x30", instance="three"),
            ],
            10,
            [BOT],
        ),
        ("a minute", [series("nezuko_stream_oldest_age_seconds", "60x30")], 20, []),
        ("a worker died, and another took over", [series("nezuko_stream_oldest_age_seconds", "0x5 60+60x3 0x30")], 12, []),
    ],
    "NezukoDeadLetters": [
        (
            "the first one of a process",
            [series("nezuko_dead_letters_total", "_x100 1x100", reason="handler_failed")],
            110,
            [{**BOT, "reason": "handler_failed"}],
        ),
        (
            "another one",
            [series("nezuko_dead_letters_total", "3x100 4x100", reason="undecodable")],
            110,
            [{**BOT, "reason": "undecodable"}],
        ),
        ("the last one was two hours ago", [series("nezuko_dead_letters_total", "_x10 1x200", reason="handler_failed")], 180, []),
        ("Prometheus was away", [series("nezuko_dead_letters_total", "3x60 _x30 3x100", reason="handler_failed")], 150, []),
    ],
    "NezukoServerAway": [
        (
            "Redis is refused",
            [breaker("redis", "0x5 1x30", bot_id="0")],
            10,
            [{"dependency": "redis", "app_kubernetes_io_component": "worker"}],
        ),
        (
            "PostgreSQL is probed",
            [breaker("postgresql", "0x5 2x30", bot_id="0")],
            10,
            [{"dependency": "postgresql", "app_kubernetes_io_component": "worker"}],
        ),
        ("it was back within a minute", [breaker("redis", "0x5 1 0x30", bot_id="0")], 10, []),
        ("Telegram is away", [breaker("telegram", "1x30")], 20, []),
    ],
    "NezukoPoolExhausted": [
        ("all are in use by one of two", [*connections("20x60"), *connections("3x60", instance="two")], 15, [{"instance": "one"}]),
        ("one is left", connections("19x60"), 15, []),
        ("all were in use for eight minutes", connections("3x5 20x8 3x40"), 25, []),
    ],
    "NezukoTelegramAway": [
        ("it does not answer", [breaker("telegram", "1x30")], 10, [BOT]),
        ("it did not answer for three minutes", [breaker("telegram", "1x3 0x30")], 10, []),
        ("Redis is away", [breaker("redis", "1x30", bot_id="0")], 10, []),
    ],
    "NezukoIntentsLate": [
        ("somebody is not muted", [intents("member", "0+60x60")], 20, [{**BOT, "kind": "member"}]),
        (
            "two workers show the same of two kinds",
            [intents(kind, "400x60", instance=name) for kind in ("check", "prompt") for name in ("one", "two")],
            15,
            [{**BOT, "kind": "check"}, {**BOT, "kind": "prompt"}],
        ),
        ("five minutes", [intents("member", "300x60")], 30, []),
        ("it was so for eight minutes", [intents("reply", "0x5 400x8 0x40")], 25, []),
        ("nobody waits for it", [intents(kind, "0+60x60") for kind in ("redecide", "recheck", "release", "log", "link")], 50, []),
    ],
    "NezukoMutesLate": [
        ("one in ten waits a minute", waits("nezuko_join_to_mute_seconds", {"30.0": 1, "60.0": 0}, 10), 30, [BOT]),
        ("all wait 20 s", waits("nezuko_join_to_mute_seconds", {"10.0": 10, "30.0": 0}, 10), 30, []),
        ("one in fifty waits a minute", waits("nezuko_join_to_mute_seconds", {"30.0": 1, "60.0": 0}, 50), 30, []),
    ],
    "NezukoAnswersLate": [
        ("one in ten waits 10 s", waits("nezuko_press_to_answer_seconds", {"5.0": 1, "10.0": 0}, 10), 30, [BOT]),
        ("all wait 3 s", waits("nezuko_press_to_answer_seconds", {"3.0": 0}, 10), 30, []),
    ],
    "NezukoReleasesLate": [
        ("one in ten waits 10 s", waits("nezuko_press_to_free_seconds", {"5.0": 1, "10.0": 0}, 10), 30, [BOT]),
        ("all wait 3 s", waits("nezuko_press_to_free_seconds", {"3.0": 0}, 10), 30, []),
        ("nobody presses", waits("nezuko_press_to_free_seconds", {"5.0": 0}, 0), 30, []),
    ],
    "NezukoOutage": [
        ("it is seen at the start", [series("nezuko_outages_total", "_x70 1x60")], 80, [BOT]),
        ("it is seen later", [series("nezuko_outages_total", "0x70 1x60")], 80, [BOT]),
        ("there was none", [series("nezuko_outages_total", "0x100")], 80, []),
    ],
    "NezukoQueueLost": [
        ("Redis was emptied", [series("nezuko_queue_groups_lost_total", "0x70 1x60")], 80, [BOT]),
        ("a worker starts", [series("nezuko_queue_groups_lost_total", "_x70 0x60")], 80, []),
    ],
    "NezukoClockOff": [
        ("it is ahead", [series("nezuko_clock_skew_seconds", "2.5x30", bot_id="0")], 15, [{"instance": "one"}]),
        ("it is behind", [series("nezuko_clock_skew_seconds", "-2.5x30", bot_id="0")], 15, [{"instance": "one"}]),
        ("it is off as much as is tolerated", [series("nezuko_clock_skew_seconds", "-2x30", bot_id="0")], 15, []),
    ],
    "NezukoTelemetryDropped": [
        (
            "the collector has been away for an hour",
            [dropped("traces", "0x10 5+5x80")],
            70,
            [{"exporter": "traces", "app_kubernetes_io_component": "worker"}],
        ),
        (
            "three errors in an hour were not told",
            [dropped("errors", "0x10 1x20 2x20 3x40")],
            70,
            [{"exporter": "errors", "app_kubernetes_io_component": "worker"}],
        ),
        ("the collector was replaced", [dropped("traces", "0x10 500x80")], 50, []),
        ("it was away yesterday", [dropped("traces", "500x90")], 80, []),
        ("everything is taken", [dropped("traces", "0x90"), dropped("errors", "0x90")], 80, []),
    ],
    "NezukoMutesBurnFast": MUTES[0],
    "NezukoMutesBurnSlow": MUTES[1],
    "NezukoReleasesBurnFast": RELEASES[0],
    "NezukoReleasesBurnSlow": RELEASES[1],
}
