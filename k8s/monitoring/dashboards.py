"""Tandem's Grafana dashboards, as code: writes dashboards/*.json beside itself.

Each dashboard is a list of panels, below the few helpers that make them. Every query names its metrics in full, so that
tests/k8s can take it to a real Prometheus. The panels' descriptions say what to do about what they show.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.units import BytesIEC, PercentUnit, RequestsPerSecond, RowsPerSecond, Seconds, Short

FOLDER = Path(__file__).resolve().parent / "dashboards"
DOCS = "docs/operations.md"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = timeseries.Panel | stat.Panel | table.Panel
Query = tuple[str, str]
"""A legend and an expression."""


# Expressions


def pick(metric: str, *matchers: str) -> str:
    """The series of a metric that the variables at the top select."""
    return metric + "{" + ",".join(('namespace=~"$namespace"', 'pod=~"$pod"', *matchers)) + "}"


def over(how: str, metric: str, *matchers: str) -> str:
    return f"{how} ({pick(metric, *matchers)})"


def rate(metric: str, *matchers: str) -> str:
    return f"rate({pick(metric, *matchers)}[$__rate_interval])"


def rate_by(label: str, metric: str, *matchers: str) -> str:
    return f"sum by ({label}) ({rate(metric, *matchers)})"


def quantiles(label: str, metric: str, *matchers: str) -> list[Query]:
    """The median and the slowest hundredth of a histogram."""
    buckets = rate_by(f"le, {label}", f"{metric}_bucket", *matchers)
    return [
        (f"{{{{{label}}}}} {name}", f"histogram_quantile({q}, {buckets})")
        for q, name in ((0.5, "median"), (0.99, "p99"))
    ]


def mean(label: str, metric: str, *matchers: str) -> str:
    """The mean of a histogram."""
    return f"{rate_by(label, metric + '_sum', *matchers)} / {rate_by(label, metric + '_count', *matchers)}"


SERVED = 'runtime!="remote"'
"""Relayed requests are counted twice: where they are relayed, as remote, and where they are answered."""
OK = 'code="ok"'
READY = 'state="ready"'
MISSING = 'state="missing"'
FAILED = 'state="failed"'


# Panels


def lines(title: str, unit: str, about: str, *queries: Query) -> timeseries.Panel:
    """A line for each series, over time."""
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = timeseries.Panel().title(title).description(about).unit(unit).min(0).datasource(SOURCE)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = panel.legend(legend.show_legend(True)).tooltip(tooltip).span(8).height(8).fill_opacity(5)
    for ref, (name, expr) in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(prometheus.Dataquery().expr(expr).legend_format(name).ref_id(ref).range())
    return panel


def stacked(title: str, unit: str, about: str, *queries: Query) -> timeseries.Panel:
    """Lines on top of each other: their sum is meant."""
    return lines(title, unit, about, *queries).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def warn_above(panel: timeseries.Panel, *limits: float) -> timeseries.Panel:
    """Dashed lines where an alert would be."""
    style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(_steps(*limits)).thresholds_style(style)


def number(title: str, unit: str, about: str, expr: str, name: str = "now", *limits: float) -> stat.Panel:
    """The last value, large; orange above the first limit, red above the second."""
    panel = stat.Panel().title(title).description(about).unit(unit).datasource(SOURCE).thresholds(_steps(*limits))
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).graph_mode(BigValueGraphMode.AREA)
    target = prometheus.Dataquery().expr(expr).legend_format(name).ref_id("A").range()
    return panel.span(6).height(4).with_target(target)


def rows(title: str, about: str, expr: str) -> table.Panel:
    """A table: a row for each series, a column for each label."""
    target = prometheus.Dataquery().expr(expr).legend_format("").ref_id("A").instant().format(PromQueryFormat.TABLE)
    only_labels = DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True, "Value": True}})
    panel = table.Panel().title(title).description(about).datasource(SOURCE).unit(Short).span(8).height(8)
    return panel.with_target(target).with_transformation(only_labels)


def _steps(*limits: float) -> dashboard.ThresholdsConfig:
    colors = ("orange", "red")
    steps = [Threshold(color="green"), *(Threshold(value=v, color=c) for v, c in zip(limits, colors, strict=False))]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


# Dashboards


def variable(name: str, values: str) -> dashboard.QueryVariable:
    """What can be chosen at the top; everything, at first. `.*` also selects what lacks the label."""
    chosen = dashboard.QueryVariable(name).query(values).datasource(SOURCE).include_all(True).multi(True)
    chosen = chosen.all_value(".*").current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    return chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


NAMESPACE = variable("namespace", "label_values(tandem_build_info, namespace)")
POD = variable("pod", 'label_values(tandem_build_info{namespace=~"$namespace"}, pod)')
RUNTIME = variable("runtime", f"label_values({pick('tandem_requests_total')}, runtime)")
MODEL = variable("model", f"label_values({pick('tandem_model_state')}, model)")
POOLED = variable("runtime", f"label_values({pick('tandem_workers')}, runtime)")
ENDPOINT = variable("endpoint", f"label_values({pick('tandem_endpoint_traffic_ratio')}, endpoint)")
GPU = variable("gpu", f"label_values({pick('tandem_gpu_utilization_ratio')}, gpu)")


def page(name: str, about: str, variables: list[dashboard.QueryVariable], panels: list[Panel]) -> Dashboard:
    """One dashboard; the others are in a menu at its top."""
    menu = dashboard.DashboardLink("Tandem").type(DashboardLinkType.DASHBOARDS).tags(["tandem"]).as_dropdown(True)
    made = dashboard.Dashboard(f"Tandem: {name}").uid(f"tandem-{name.lower()}").description(about).tags(["tandem"])
    made = made.link(menu.keep_time(True).include_vars(True)).tooltip(DashboardCursorSync.CROSSHAIR)
    made = made.time("now-3h", "now").refresh("30s").timezone("browser")
    made = made.with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
    for one in (NAMESPACE, POD, *variables):
        made = made.with_variable(one)
    for place, panel in enumerate(panels, start=1):
        made = made.with_panel(panel.id(place))
    return made.build()


def service(docs: str) -> Dashboard:
    runtime = 'runtime=~"$runtime"'
    code = "{{code}}"
    name = "{{runtime}}"
    namespace = 'namespace=~"$namespace"'
    objective = f"The share of requests that failed by our fault. What counts: {docs}#alerts."
    return page(
        "Service",
        "Is Tandem well, and if not, where to look.",
        [RUNTIME],
        [
            number(
                "Answered requests",
                RequestsPerSecond,
                "Goodput: requests that got their predictions.",
                f"sum({rate('tandem_requests_total', SERVED, runtime, OK)})",
            ),
            number("Rows predicted", RowsPerSecond, "Goodput in rows.", f"sum({rate('tandem_rows_total')})"),
            number(
                "Failed, last hour",
                PercentUnit,
                objective,
                f"max(namespace:tandem_requests_failed:ratio1h{{{namespace}}})",
                "worst",
                0.001,
                0.0144,
            ),
            number(
                "Longest wait for a worker",
                Seconds,
                f"Above 2 s for minutes: more workers or more pods, see {docs}#tandemqueuewaiting.",
                over("max", "tandem_queue_wait_seconds"),
                "now",
                0.5,
                2,
            ),
            stacked(
                "Requests, by outcome",
                RequestsPerSecond,
                f"Everything but ok has a line in {docs}#errors that says what to do.",
                (code, rate_by("code", "tandem_requests_total", SERVED, runtime)),
            ),
            warn_above(
                lines(
                    "Pace of failures",
                    Short,
                    "1 uses up the budget of 99.9 % just in time. A page comes above 14.4 in 1 hour and 5 minutes, "
                    f"a ticket above 6 in 6 hours and 30 minutes: {docs}#tandemerrorsfast.",
                    *(
                        (
                            f"{{{{namespace}}}} {window}",
                            f"namespace:tandem_requests_failed:ratio{window}{{{namespace}}} / 0.001",
                        )
                        for window in ("5m", "1h", "6h")
                    ),
                ),
                6,
                14.4,
            ),
            lines(
                "Time to the answer, by runtime",
                Seconds,
                "From the head of a request to its answer. Slow without waiting: look at Models. remote: as the pod "
                "that relays sees it.",
                *quantiles("runtime", "tandem_request_seconds", runtime),
            ),
            lines(
                "Slowest models, p99",
                Seconds,
                "The ten whose slowest hundredth is slowest. Models splits it into waiting, decoding and so on.",
                (
                    "{{model}}",
                    "topk(10, histogram_quantile(0.99, "
                    + rate_by("le, model", "tandem_request_seconds_bucket", SERVED, runtime)
                    + "))",
                ),
            ),
            lines(
                "Requests, by runtime",
                RequestsPerSecond,
                "remote: relayed to another Tandem, which counts them once more under its own runtime.",
                ("{{runtime}}", rate_by("runtime", "tandem_requests_total", runtime)),
            ),
            lines(
                "Busy: requests in flight for each place",
                PercentUnit,
                "In flight over what can be predicted at once. Above 100 % requests wait or share a call; for long and "
                f"with waiting: more workers or pods, see {docs}#overload.",
                (
                    name,
                    f"sum by (runtime) ({pick('tandem_inflight')}) / sum by (runtime) ({pick('tandem_capacity')})",
                ),
            ),
            lines(
                "Requests that wait",
                Short,
                "Of all models; one for which TANDEM_QUEUE_MAX wait answers 429 queue_full.",
                (name, over("sum by (runtime)", "tandem_queue_depth")),
            ),
            warn_above(
                lines(
                    "Waiting for a worker",
                    Seconds,
                    "How long those waited that were answered, and how long the one that waits longest has waited. "
                    f"KEDA scales by the latter; see {docs}#tandemqueuewaiting.",
                    *quantiles("runtime", "tandem_queue_seconds"),
                    ("{{runtime}} longest", over("max by (runtime)", "tandem_queue_wait_seconds")),
                ),
                2,
            ),
            lines(
                "Refused at the edge, by code",
                RequestsPerSecond,
                f"Before any route saw them: {docs}#the-http-edge. too_many_connections: more pods, or a higher limit.",
                (code, rate_by("code", "tandem_edge_refusals_total")),
            ),
            lines(
                "Refused for who is asking, by reason",
                RequestsPerSecond,
                f"expired is daily life; many bad_password or throttled: somebody guesses. {docs}#refused-tokens.",
                ("{{reason}}", rate_by("reason", "tandem_auth_failures_total")),
            ),
            lines(
                "Other Tandems, reached or not",
                Short,
                f"0: its models answer 503 remote_unavailable, see {docs}#tandemremotedown.",
                ("{{remote}} from {{pod}}", over("min by (remote, pod)", "tandem_remote_up")),
            ),
            lines(
                "Database of accounts, out of reach for",
                Seconds,
                f"0: it is there. Who is known stays known for five minutes, see {docs}#tandemaccountsaway.",
                ("{{pod}}", over("max by (pod)", "tandem_accounts_away_seconds")),
            ),
            lines(
                "Keys of identity providers, age",
                Seconds,
                f"New ones are fetched each hour, and serve for a day, see {docs}#tandemproviderkeysold.",
                ("{{provider}}", over("max by (provider)", "tandem_jwks_age_seconds")),
            ),
            lines(
                "API keys that end soon",
                Short,
                f"Within 14 days, and not replaced, see {docs}#tandemkeysending.",
                ("keys", over("max", "tandem_keys_ending")),
            ),
            lines(
                "Servers, by version",
                Short,
                "Two versions for longer than a rollout takes: it is stuck.",
                ("{{version}}", over("count by (version)", "tandem_build_info")),
            ),
        ],
    )


def models(docs: str) -> Dashboard:
    model = 'model=~"$model"'
    name = "{{model}}"
    answered = rate("tandem_requests_total", SERVED, model, 'code=~"ok|invalid_input|model_failed"')
    return page(
        "Models",
        "What each model does, and where its time goes.",
        [MODEL],
        [
            stacked(
                "Requests, by outcome",
                RequestsPerSecond,
                f"model_failed: predict() said no, {docs}#tandemmodelfails. invalid_input: callers miss the schema.",
                ("{{model}} {{code}}", rate_by("model, code", "tandem_requests_total", SERVED, model)),
            ),
            lines(
                "Rows predicted", RowsPerSecond, "", (name, rate_by("model", "tandem_rows_total", model))
            ).description("Many rows in few requests is the cheapest way to ask."),
            lines(
                "Time to the answer",
                Seconds,
                "From the head of a request to its answer; its parts are in the next panel.",
                *quantiles("model", "tandem_request_seconds", SERVED, model),
            ),
            stacked(
                "Where the time of a request goes",
                Seconds,
                "The mean over the chosen models. queue: more workers. decode or encode: send Arrow instead of JSON. "
                "predict: a smaller model, or more rows per request.",
                (
                    "{{stage}}",
                    f"{rate_by('stage', 'tandem_stage_seconds_total', model)} / on () group_left () sum({answered})",
                ),
            ),
            lines(
                "Predicting one batch",
                Seconds,
                "What one call of predict() takes, however many requests share it.",
                *quantiles("model", "tandem_predict_seconds", model),
            ),
            lines(
                "Requests answered by one call",
                Short,
                "Always 1 under load: batch_reason at /v1/models/{model} says why.",
                (name, mean("model", "tandem_batch_requests", model)),
            ),
            rows(
                "Versions and their states",
                f"failed: the reason is at /v1/models/{{model}}, the cure in {docs}#a-model-was-refused.",
                f"max by (model, version, state) ({pick('tandem_model_state', model)} == 1)",
            ),
            lines(
                "Refused files",
                Short,
                f"Versions that cannot be served; what served before goes on. See {docs}#a-model-was-refused.",
                (
                    name,
                    "sum by (model) (max by (model, version) (" + pick("tandem_model_state", model, FAILED) + "))",
                ),
            ),
            lines(
                "Reading and proving the file",
                Seconds,
                "Near TANDEM_LOAD_TIMEOUT_S a file is refused.",
                (name, over("max by (model)", "tandem_model_load_seconds", model)),
            ),
            lines(
                "Signatures looked at, in the last hour",
                Short,
                f"Empty while signatures are off. Anything but verified: see {docs}#models-are-code.",
                ("{{outcome}}", f"sum by (outcome) (increase({pick('tandem_model_signatures_total')}[1h]))"),
            ),
        ],
    )


def endpoints(docs: str) -> Dashboard:
    endpoint = 'endpoint=~"$endpoint"'
    name = "{{endpoint}} {{deployment}}"
    return page(
        "Endpoints",
        "Which deployment answers how much of an endpoint, whether that is what was asked for, and what is recorded.",
        [ENDPOINT],
        [
            stacked(
                "Requests, by deployment",
                RequestsPerSecond,
                "Who answered. Compare it with the share that was asked for.",
                (name, rate_by("endpoint, deployment", "tandem_endpoint_requests_total", endpoint)),
            ),
            stacked(
                "Requests, by outcome",
                RequestsPerSecond,
                f"One deployment alone with another outcome than ok: take its traffic away. Codes: {docs}#errors.",
                (
                    "{{endpoint}} {{deployment}} {{code}}",
                    rate_by("endpoint, deployment, code", "tandem_endpoint_requests_total", endpoint),
                ),
            ),
            lines(
                "Traffic that was asked for",
                PercentUnit,
                "The share of each deployment, as the endpoint's definition has it.",
                (name, over("max by (endpoint, deployment)", "tandem_endpoint_traffic_ratio", endpoint)),
            ),
            lines(
                "Deployments that can answer",
                Short,
                "0: a model version that is not served. Others answer its requests; GET /v1/endpoints says why.",
                (name, over("min by (endpoint, deployment)", "tandem_endpoint_ready", endpoint)),
            ),
            lines(
                "Requests that another deployment answered",
                RequestsPerSecond,
                "Above 0: a deployment with traffic has no worker.",
                (name, rate_by("endpoint, deployment", "tandem_endpoint_rerouted_total", endpoint)),
            ),
            lines(
                "Definitions of endpoints refused",
                Short,
                "1: what defines them is wrong, and that of before stays in force. The log says what and where.",
                ("{{pod}}", over("max by (pod)", "tandem_endpoints_refused")),
            ),
            stacked(
                "Mirror: copies, by outcome",
                RequestsPerSecond,
                "busy: no worker was idle. worker_crashed, deadline_exceeded, failed: not fit for traffic.",
                (
                    "{{endpoint}} {{deployment}} {{outcome}}",
                    rate_by("endpoint, deployment, outcome", "tandem_mirror_requests_total", endpoint),
                ),
            ),
            stacked(
                "Mirror: answers compared",
                RequestsPerSecond,
                "differ: GET /v1/endpoints/{endpoint}/comparison says by how much, and in which rows most.",
                (
                    "{{endpoint}} {{deployment}} {{outcome}}",
                    rate_by("endpoint, deployment, outcome", "tandem_mirror_compared_total", endpoint),
                ),
            ),
            stacked(
                "Recording, by outcome",
                RequestsPerSecond,
                f"Neither sent nor not_sampled: copies are lost, see {docs}#tandemrecordingslost.",
                ("{{model}} {{outcome}}", rate_by("model, outcome", "tandem_collect_requests_total")),
            ),
            stacked(
                "Recorded, by outcome",
                RequestsPerSecond,
                f"kept follows received by a minute. What else there is is lost: {docs}#tandemrecordingslost.",
                ("{{model}} {{outcome}}", rate_by("model, outcome", "tandem_recorder_requests_total")),
            ),
            lines(
                "Recordings that wait",
                BytesIEC,
                f"Growing: the store is away or slow, see {docs}#tandemstoreaway.",
                ("{{pod}}", over("max by (pod)", "tandem_recorder_spool_bytes")),
            ),
            lines(
                "Age of the oldest that waits",
                Seconds,
                "More than a minute or two: as above.",
                ("{{pod}}", over("max by (pod)", "tandem_recorder_oldest_seconds")),
            ),
            lines(
                "Recorder runs, and store is away",
                Short,
                "The first below 1: the log says why the recorder ends. The second above 0: recordings wait.",
                ("{{pod}} runs", over("min by (pod)", "tandem_recorder_up")),
                ("{{pod}} away", over("max by (pod)", "tandem_recorder_store_away")),
            ),
        ],
    )


def workers(docs: str) -> Dashboard:
    runtime = 'runtime=~"$runtime"'
    name = "{{runtime}}"
    return page(
        "Workers",
        "The processes that predict.",
        [POOLED],
        [
            number(
                "Workers ready",
                Short,
                f"0 with models: see {docs}#tandemnoworker.",
                over("sum", "tandem_workers", runtime, READY),
            ),
            number(
                "Workers missing",
                Short,
                f"More than 0 for minutes: see {docs}#tandemworkersmissing.",
                over("sum", "tandem_workers", runtime, MISSING),
                "now",
                1,
            ),
            number(
                "Memory used of granted, fullest pod",
                PercentUnit,
                f"Above 90 % the kernel is near to killing the container: {docs}#tandemmemory.",
                f"max({pick('tandem_memory_used_bytes')} / {pick('tandem_memory_granted_bytes')})",
                "now",
                0.8,
                0.9,
            ),
            number(
                "Servers whose R can be attacked by a file",
                Short,
                f"R older than 4.4 runs code from a crafted .rds (CVE-2024-27322): {docs}#models-are-code.",
                over("sum", "tandem_r_vulnerable"),
                "now",
                1,
            ),
            lines(
                "Workers, by state",
                Short,
                f"missing for more than seconds: see {docs}#tandemworkersmissing.",
                ("{{runtime}} {{state}}", over("sum by (runtime, state)", "tandem_workers", runtime)),
            ),
            lines(
                "Busy: requests in flight, and places",
                Short,
                "More in flight than places for long: requests share calls or wait.",
                ("{{runtime}} in flight", over("sum by (runtime)", "tandem_inflight", runtime)),
                ("{{runtime}} places", over("sum by (runtime)", "tandem_capacity", runtime)),
            ),
            stacked(
                "Ends of workers in five minutes, by reason",
                Short,
                f"recycled is good order. crashed: the model's package. deadline: a slow model. memory: {docs}#memory.",
                (
                    "{{runtime}} {{reason}}",
                    f"sum by (runtime, reason) (increase({pick('tandem_worker_restarts_total', runtime)}[5m]))",
                ),
            ),
            lines(
                "From a worker's end to its replacement",
                Seconds,
                "Milliseconds where workers are forked; PyTorch loads its models anew. "
                "Seconds elsewhere: no core is free.",
                *quantiles("runtime", "tandem_refill_seconds", runtime),
            ),
            stacked(
                "Memory of the workers",
                BytesIEC,
                "PSS, so shared models count once. Growing without end: a model's package leaks.",
                (name, over("sum by (runtime)", "tandem_worker_memory_bytes", runtime)),
            ),
            lines(
                "Memory of the container",
                BytesIEC,
                f"At the limit the kernel kills the whole container, not one worker: {docs}#tandemmemory.",
                ("{{pod}} used", over("sum by (pod)", "tandem_memory_used_bytes")),
                ("{{pod}} granted", over("sum by (pod)", "tandem_memory_granted_bytes")),
            ),
            lines(
                "Sandbox",
                Short,
                f"2 locked up, 1 in part, 0 not. Not 2: an old kernel, or no libseccomp. See {docs}#models-are-code.",
                (name, over("min by (runtime)", "tandem_sandbox_level", runtime)),
            ).max(2),
        ],
    )


def gpu(docs: str) -> Dashboard:
    card = 'gpu=~"$gpu"'
    name = "{{pod}} GPU {{gpu}}"
    torch = 'runtime="torch"'
    runtime = 'runtime="torch"'
    of_torch = f" and on (model) {pick('tandem_requests_total', torch)}"
    return page(
        "GPU",
        "PyTorch models and the cards under them. On the CPU everything but the cards is here too.",
        [GPU],
        [
            lines(
                "Card: share of time in which it computed",
                PercentUnit,
                "Low while requests wait: bodies are decoded too slowly, give the pod more cores.",
                (name, over("max by (pod, gpu)", "tandem_gpu_utilization_ratio", card)),
            ).max(1),
            lines(
                "Card: memory in use",
                BytesIEC,
                "Near the card's size: a smaller torch.max_batch, or fewer models on one card.",
                (name, over("max by (pod, gpu)", "tandem_gpu_memory_bytes", card)),
            ),
            lines(
                "Busy: requests in flight, and places",
                Short,
                "There is one place for each card. Far more in flight for long: more pods.",
                ("in flight", over("sum", "tandem_inflight", runtime)),
                ("places", over("sum", "tandem_capacity", runtime)),
            ),
            stacked(
                "Requests, by outcome",
                RequestsPerSecond,
                f"Everything but ok has a line in {docs}#errors.",
                ("{{model}} {{code}}", rate_by("model, code", "tandem_requests_total", torch)),
            ),
            lines(
                "Time to the answer",
                Seconds,
                "Much longer than predicting: requests wait, or bodies are large.",
                *quantiles("model", "tandem_request_seconds", torch),
            ),
            lines(
                "Waiting for the card",
                Seconds,
                f"Above 2 s for minutes: more pods with a card, see {docs}#tandemqueuewaiting.",
                *quantiles("runtime", "tandem_queue_seconds", runtime),
                ("longest", over("max", "tandem_queue_wait_seconds", runtime)),
            ),
            lines(
                "Predicting one batch",
                Seconds,
                "What one call takes, however many requests share it.",
                *((legend, expr + of_torch) for legend, expr in quantiles("model", "tandem_predict_seconds")),
            ),
            lines(
                "Requests answered by one call",
                Short,
                "Always 1 under load: batch_reason at /v1/models/{model} says why.",
                ("{{model}}", mean("model", "tandem_batch_requests") + of_torch),
            ),
            lines(
                "Rows predicted",
                RowsPerSecond,
                "An image is a row.",
                ("{{model}}", rate_by("model", "tandem_rows_total") + of_torch),
            ),
        ],
    )


def made(docs: str = DOCS) -> Iterator[tuple[str, str]]:
    """Every dashboard's file name and text."""
    for build in (service, models, endpoints, workers, gpu):
        yield f"{build.__name__}.json", JSONEncoder(sort_keys=True, indent=2).encode(build(docs)) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--docs", default=DOCS, help="address of docs/operations.md where readers find it")
    for name, text in made(options.parse_args().docs):
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
