//! Every metric that there is: its name, its kind, and what it means. The manual page stillpoint-metrics(7) has the same
//! list, with examples.
//!
//! A collector that meets a metric in two files with two texts of HELP drops one of them, and a sample that stands in two
//! files as well, without an error that anybody sees. So each has one text, here, and one writer: those of a run
//! are written by the run, all others by `status`. Times are those of the clock, in seconds, and 0 for never: an age would
//! stand still as soon as nobody writes.

/// How a scraper is to take the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        }
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help }
}

/// Of the report.
pub static REPORT_TIME: Metric =
    gauge("stillpoint_report_timestamp_seconds", "When this report was made.");
pub static REPORT_COMPLETE: Metric =
    gauge("stillpoint_report_complete", "1 if all that this report is about could be read.");

/// Of a barrier.
pub static PRESENT: Metric = gauge(
    "stillpoint_barrier_present",
    "1 if the barrier is there; 0 if it was asked for, its state says that it is open, or a job names it, and it is not.",
);
pub static WRITERS: Metric = gauge("stillpoint_writers", "Writers that have joined.");
pub static INSIDE: Metric = gauge("stillpoint_writers_inside", "Writers inside a share.");
pub static WAITING: Metric =
    gauge("stillpoint_writers_waiting", "Writers that wait at the closed gate.");
pub static FLOCK: Metric =
    gauge("stillpoint_flock_users", "Users of flock(1) on the barrier, for whom every tool waits.");
pub static STRAGGLERS: Metric = gauge(
    "stillpoint_stragglers",
    "Processes that still use a file which stood in the place of the barrier before.",
);
pub static CLOSED: Metric = gauge("stillpoint_gate_closed", "1 while the gate is closed.");
pub static GENERATION: Metric =
    gauge("stillpoint_gate_generation", "Grows whenever the gate is closed or opened.");
pub static WANTED: Metric = gauge("stillpoint_wanted", "1 while a tool wants the exclusive side.");
pub static DIRTY_EPOCH: Metric =
    gauge("stillpoint_dirty_epoch", "Grows with each writer lost inside a share.");
pub static ACKNOWLEDGED: Metric =
    gauge("stillpoint_dirty_acknowledged_epoch", "The dirty epoch that was last acknowledged.");
pub static DIRTY: Metric = gauge("stillpoint_dirty", "1 while a loss is not acknowledged.");
pub static PAUSES: Metric = counter("stillpoint_pauses_total", "Pauses that were granted.");
pub static REVOCATIONS: Metric =
    counter("stillpoint_revocations_total", "Pauses that were ended before their time.");
pub static DRAIN_TIMEOUTS: Metric =
    counter("stillpoint_drain_timeouts_total", "Attempts that did not get quiet in time.");
pub static PAUSE: Metric = Metric {
    name: "stillpoint_pause_seconds",
    kind: Kind::Histogram,
    help: "How long the gate was closed for a pause.",
};
pub static LAST_PAUSE: Metric =
    gauge("stillpoint_last_pause_seconds", "How long the gate was closed for the last pause.");

/// Of a series of snapshots.
pub static SNAPSHOTS: Metric =
    gauge("stillpoint_snapshots", "Complete snapshots of the series whose data is not gone.");
pub static NEWEST: Metric = gauge(
    "stillpoint_newest_snapshot_timestamp_seconds",
    "When the newest complete snapshot was taken, clean or not; 0: there is none.",
);
pub static NEWEST_CLEAN: Metric = gauge(
    "stillpoint_newest_clean_snapshot_timestamp_seconds",
    "When the newest clean snapshot was taken; 0: there is none.",
);
pub static NEWEST_COVERED: Metric = gauge(
    "stillpoint_newest_covered_snapshot_timestamp_seconds",
    "When the newest clean snapshot was taken of which every writer was stilled; 0: there is none.",
);
pub static NEWEST_VERIFIED: Metric = gauge(
    "stillpoint_newest_verified_snapshot_timestamp_seconds",
    "When the newest clean snapshot was taken that was verified; 0: there is none.",
);
pub static DAMAGED: Metric = gauge(
    "stillpoint_catalogue_damaged_files",
    "Files in the catalogue that should be manifests and are not.",
);

/// Of a job.
pub static JOB_READABLE: Metric =
    gauge("stillpoint_job_readable", "1 if the file of the job is understood.");
pub static JOB_START: Metric = gauge(
    "stillpoint_job_last_start_timestamp_seconds",
    "When the last run of the job began; 0: never.",
);
pub static JOB_END: Metric = gauge(
    "stillpoint_job_last_run_timestamp_seconds",
    "When the last run of the job ended; 0: never, or it is under way or was cut short.",
);
pub static JOB_RUNNING: Metric =
    gauge("stillpoint_job_running", "1 while the job is run; no sample if that cannot be told.");
pub static JOB_SUCCESS: Metric = gauge(
    "stillpoint_job_last_success_timestamp_seconds",
    "When a run of the job last went well; 0: never.",
);
pub static JOB_EXIT: Metric = gauge(
    "stillpoint_job_last_exit_status",
    "The exit status of the last run of the job that ended; no sample if there was none.",
);

/// Of a run.
pub static RUN_TIME: Metric =
    gauge("stillpoint_snapshot_last_run_timestamp_seconds", "When the last run ended.");
pub static RUN_SUCCESS: Metric = gauge(
    "stillpoint_snapshot_last_success_timestamp_seconds",
    "When the last run that made a clean snapshot had its moment; 0: there was none.",
);
pub static RUN_EXIT: Metric =
    gauge("stillpoint_snapshot_last_exit_status", "The exit status of the last run.");
pub static RUN_CLEAN: Metric =
    gauge("stillpoint_snapshot_last_clean", "1 if the last run made a clean snapshot.");
pub static RUN_COVERED: Metric = gauge(
    "stillpoint_snapshot_last_covered",
    "1 if every writer was stilled in the last run, 0 if not; no sample if nobody could tell.",
);
pub static RUN_ATTEMPTS: Metric =
    gauge("stillpoint_snapshot_last_attempts", "Attempts of the last run to get quiet.");
pub static RUN_PRESYNC: Metric = gauge(
    "stillpoint_snapshot_last_presync_seconds",
    "How long the last run synced before it closed the gate.",
);
pub static RUN_DRAIN: Metric = gauge(
    "stillpoint_snapshot_last_drain_seconds",
    "How long the last run's gate was closed until it was quiet.",
);
pub static RUN_PAUSE: Metric =
    gauge("stillpoint_snapshot_last_pause_seconds", "How long the last run's gate was closed.");
