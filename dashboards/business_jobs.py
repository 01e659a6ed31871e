"""Rows of the business board: the steps of workflows, what a clock starts, and what waits in queues."""

from dashboards.colours import rising
from dashboards.layout import row
from dashboards.panels import timeseries
from dashboards.queries import RANGE, age, increase, limit, quantile, rate, ratio, value
from dashboards.selectors import like, metric, unlike
from dashboards.tables import table
from exporter.instrument import scheduler, workflows

_workflow = like("$workflow")
_runs = increase(scheduler.RUNS, "job", over=RANGE)
_bad = increase(scheduler.RUNS, "job", over=RANGE, result=unlike("success"))

STEPS = row(
    "Steps of workflows",
    timeseries(
        "Oldest run",
        value(workflows.OLDEST, "workflow", agg="max", workflow=_workflow),
        limit("threshold:workflow_oldest_running_age:seconds", "WorkflowStuck"),
        note="Far beyond the usual duration, the run is stuck.",
    ),
    timeseries(
        "Duration of steps",
        quantile(0.95, workflows.STEP_DURATION, "workflow", "step", workflow=_workflow),
        note="The step that got slower explains the workflow that did.",
    ),
    timeseries(
        "Steps that failed",
        increase(
            workflows.STEPS, "workflow", "step", over="5m", workflow=_workflow, status=like("failure|timeout")
        ),
        bars=True,
        interval="5m",
        note="In five minutes. No data means that no step ever failed.",
    ),
    timeseries(
        "Time since the last success",
        age(workflows.LAST_SUCCESS, "workflow", agg="min", workflow=_workflow),
        note="A line that only rises is a workflow that no longer runs, or no longer succeeds.",
    ),
    collapsed=True,
)

SCHEDULER_AND_QUEUES = row(
    "Scheduler and queues",
    table(
        "Scheduled jobs",
        _runs.named("Runs"),
        ratio(_bad, _runs).named("Failed or missed"),
        quantile(0.95, scheduler.DURATION, "job", over=RANGE).named("95th percentile"),
        quantile(0.95, scheduler.LAG, "job", over=RANGE).named("Late by"),
        age(scheduler.LAST_RUN, "job", agg="min").named("Last run"),
        note="In the shown time. A job that is late or missed waits for a worker, or for its own last run.",
        colours={"Failed or missed": rising(0.01, 0.05), "Late by": rising(10, 60)},
        width=12,
    ),
    timeseries(
        "Runs that failed or were missed",
        increase(scheduler.RUNS, "job", "result", over="5m", result=unlike("success")),
        bars=True,
        interval="5m",
        note="In five minutes. No data means that none ever was.",
    ),
    timeseries(
        "Jobs planned",
        value(scheduler.PENDING, "scheduler", agg="max"),
        note="Jobs with a next run. A fall to 0 means that the scheduler lost its jobs.",
    ),
    timeseries(
        "Jobs in queues",
        value(metric("queue_depth"), "queue", "state", agg="max"),
        note="'ready' that only grows: too few workers, or none. 'dead' jobs ask for a person.",
    ),
    timeseries(
        "Oldest job in the queue",
        value(metric("queue_oldest_job_age_seconds"), "queue", agg="max"),
        limit("threshold:queue_oldest_job_age:seconds", "QueueSlow"),
        limit("threshold:queue_oldest_job_age:seconds", "QueueStalled"),
        note="How long users wait already. The length of a queue says less than its age.",
    ),
    timeseries(
        "Waiting in the queue",
        quantile(0.5, metric("queue_job_wait_seconds"), "queue"),
        quantile(0.95, metric("queue_job_wait_seconds"), "queue"),
        note="Of the jobs that a worker took.",
    ),
    timeseries(
        "Jobs taken",
        rate(metric("queue_job_wait_seconds"), "queue"),
        note="Jobs a second that workers took from each queue.",
    ),
    collapsed=True,
)
