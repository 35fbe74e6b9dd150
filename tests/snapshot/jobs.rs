//! Jobs: what their file says is done, in its order, once at a time, and whatever goes wrong is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Done, Image, names, run, start, until};
use crate::scene::Scene;

/// A scene with jobs.
pub struct Jobs(pub Scene);

impl Jobs {
    pub fn new() -> Jobs {
        let scene = Scene::new();
        fs::create_dir(scene.path("jobs")).unwrap();
        fs::write(scene.path("store").join("a"), "good").unwrap();
        Jobs(scene)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// Writes a job that copies, with more in its file.
    pub fn write(&self, name: &str, more: &str) {
        let text = format!(
            "barriers = 'mail'\n[snapshot]\ncopy = '{}'\nto = '{}'\n[limits]\nhold = 9\nmin-open = 0\nattempts = 1\n\
             patience = 0\ndrain = 0.2\n{more}",
            self.path("store").display(),
            self.path("snapshots").display()
        );
        fs::write(self.path("jobs").join(format!("{name}.toml")), text).unwrap();
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.0.stillpoint();
        command.arg("job").args(words);
        command.env("STILLPOINT_JOBS", self.path("jobs"));
        command.env("STILLPOINT_STATE_DIR", self.path("state"));
        command
    }

    pub fn job(&self, words: &[&str]) -> Done {
        run(&mut self.command(words))
    }

    pub fn record(&self, name: &str) -> Value {
        let text = fs::read(self.path("state/jobs").join(format!("{name}.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub fn snapshots(&self) -> usize {
        names(&self.path("snapshots")).len()
    }

    pub fn latest(&self, more: &[&str]) -> i32 {
        run(self.0.stillpoint().arg("latest").args(more)).code()
    }

    /// A command for a hook, that writes down its word.
    pub fn note(&self, word: &str) -> String {
        format!(
            "\"echo {word} $STILLPOINT_JOB_FAILED $STILLPOINT_JOB_STATUS >>{}\"",
            self.path("notes").display()
        )
    }

    /// A hook that says that it has begun, and does not end.
    pub fn begin(&self) -> String {
        format!("\"touch {}; exec sleep 60\"", self.path("begun").display())
    }

    pub fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("notes")).unwrap_or_default();
        let _ = fs::remove_file(self.path("notes"));
        text.lines().map(str::to_owned).collect()
    }

    pub fn hooks(&self, before: &str, verify: &str) -> String {
        let note = |word| self.note(word);
        format!(
            "[hooks]\nbefore = {before}\nafter = {}\non-failure = {}\n[verify]\ncommand = {verify}\n[retention]\nkeep = 2\n",
            note("after"),
            note("failed")
        )
    }
}

#[test]
fn a_job_does_all_steps_in_their_order() {
    let jobs = Jobs::new();
    let verify = format!(
        "\"echo verify >>{}; grep -q good $STILLPOINT_SNAPSHOT_PATH/a\"",
        jobs.path("notes").display()
    );
    jobs.write("mail", &jobs.hooks(&jobs.note("before"), &verify));
    for _ in 0..3 {
        let done = jobs.job(&["run", "mail"]);
        assert_eq!((done.code(), done.stdout.lines().count()), (0, 1), "{done:?}");
        assert!(PathBuf::from(done.stdout.trim_end()).is_dir());
        assert_eq!(jobs.notes(), ["before 0", "after 0", "verify"]);
    }
    assert_eq!(jobs.snapshots(), 2, "the oldest is removed");
    assert_eq!(jobs.latest(&["--verified"]), 0);
    let record = jobs.record("mail");
    assert_eq!((&record["exit"], &record["failed"]), (&Value::from(0), &Value::Null), "{record}");
    assert_eq!(record["succeeded"], record["ended"]);
    let manifest = run(jobs.0.stillpoint().args(["latest", "--json"])).stdout;
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["label"], &manifest["verified"]["ok"]), (&"mail".into(), &true.into()));
    assert_eq!(manifest["verified"]["by"], "job mail");
}

#[test]
fn the_status_is_that_of_what_went_wrong_first_and_the_rest_is_done_all_the_same() {
    let jobs = Jobs::new();
    let good = "'true'";
    for (before, verify, exit, step, notes) in [
        ("'exit 3'", good, 3, "before", ["after before 3", "failed before 3"]),
        (good, "'exit 4'", 4, "verify", ["after 0", "failed verify 4"]),
        ("['/no/such']", good, 127, "before", ["after before 127", "failed before 127"]),
    ] {
        jobs.write("mail", &jobs.hooks(before, verify));
        let done = jobs.job(&["run", "mail"]);
        assert_eq!(done.code(), exit, "{done:?}");
        assert!(done.stderr.contains(&format!("job mail: {step}: ")), "{done:?}");
        assert_eq!(jobs.notes(), notes);
        assert_eq!(jobs.record("mail")["failed"], step);
    }
    assert_eq!(
        (jobs.latest(&[]), jobs.latest(&["--verified"])),
        (0, 66),
        "one, which was found bad"
    );
    // A barrier that does not get quiet: what is old goes nevertheless.
    jobs.write("mail", &jobs.hooks(good, good));
    (0..3).for_each(|_| assert_eq!(jobs.job(&["run", "mail"]).code(), 0));
    jobs.notes();
    jobs.write("mail", &jobs.hooks(good, good).replace("keep = 2", "keep = 1"));
    let mut inside = jobs.0.stillpoint();
    let writer = start(inside.args(["run", "-s", "mail", "sleep", "60"]));
    until("the writer is inside", || {
        let writers = jobs.0.status("mail")["writers"].clone();
        writers.as_array().is_some_and(|writers| writers.iter().any(|one| one["inside"] == true))
    });
    assert_eq!(jobs.job(&["run", "mail"]).code(), 75);
    assert_eq!(jobs.notes(), ["after snapshot 75", "failed snapshot 75"]);
    // The one that was found bad counts for less, and is pushed out by any that is newer.
    assert_eq!(jobs.snapshots(), 1);
    drop(writer);
}

#[test]
fn a_job_runs_once_at_a_time_and_one_that_was_killed_is_told_of() {
    let jobs = Jobs::new();
    jobs.write("mail", &format!("[hooks]\nbefore = {}\n", jobs.begin()));
    let mut running = start(&mut jobs.command(&["run", "mail"]));
    until("it has begun", || jobs.path("begun").exists());
    let second = jobs.job(&["run", "mail"]);
    assert_eq!((second.code(), second.stderr.lines().count()), (75, 1), "{second:?}");
    let listed: Value = serde_json::from_str(&jobs.job(&["list", "--json"]).stdout).unwrap();
    assert_eq!(listed[0]["running"], true, "{listed}");
    running.signal(Signal::SIGKILL);
    running.end();
    let listed: Value = serde_json::from_str(&jobs.job(&["list", "--json"]).stdout).unwrap();
    assert_eq!(listed[0]["wrong"], "the last run was cut short", "{listed}");
    jobs.write("mail", "");
    let third = jobs.job(&["run", "mail"]);
    assert_eq!(third.code(), 0, "{third:?}");
    assert!(third.stderr.contains("was cut short"), "{third:?}");
}

#[test]
fn a_signal_ends_a_job_and_what_was_stopped_goes_on() {
    let jobs = Jobs::new();
    jobs.write("mail", &jobs.hooks(&jobs.begin(), "'true'"));
    let mut running = start(&mut jobs.command(&["run", "mail"]));
    until("it has begun", || jobs.path("begun").exists());
    running.signal(Signal::SIGTERM);
    running.end();
    assert_eq!(jobs.notes(), ["after before 143", "failed before 143"]);
    assert_eq!((jobs.record("mail")["exit"].clone(), jobs.snapshots()), (143.into(), 0));
}

#[test]
fn a_job_that_others_could_have_written_is_not_run() {
    let jobs = Jobs::new();
    let refused = |what: &str| {
        for verb in ["run", "check"] {
            let done = jobs.job(&[verb, "mail"]);
            assert_eq!((done.code(), done.stderr.lines().count()), (77, 1), "{what} {done:?}");
        }
    };
    jobs.write("mail", "");
    let file = jobs.path("jobs/mail.toml");
    for mode in [0o666, 0o620, 0o602] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        refused(&format!("{mode:o}"));
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(jobs.path("jobs"), fs::Permissions::from_mode(0o777)).unwrap();
    refused("its folder");
    fs::set_permissions(jobs.path("jobs"), fs::Permissions::from_mode(0o755)).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
        refused("its owner");
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
    }
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
}

#[test]
fn a_check_finds_what_a_run_would_and_does_nothing() {
    let jobs = Jobs::new();
    jobs.write("mail", "[hooks]\nbefore = ['/no/such/program']\n[metrics]\ntextfile = '/no/such/folder/x.prom'\n[verify]\ncommand = 'true'\n");
    jobs.write("other", "[retention]\nkeep = 1\n");
    let done = jobs.job(&["check", "mail"]);
    assert_eq!(done.code(), 127, "{done:?}");
    for wrong in ["before: /no/such/program was not found", "/no/such/folder/x.prom"] {
        assert!(done.stderr.contains(wrong), "{wrong} {done:?}");
    }
    assert_eq!(jobs.job(&["check", "other"]).code(), 0);
    jobs.write("other", "[snapshot2]\nx = 1\n[hooks]\nbefor = 'x'\n");
    let done = jobs.job(&["check", "--all", "--json"]);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report[1]["wrong"].as_array().map(Vec::len), Some(2), "{report}");
    let run = jobs.job(&["run", "other"]);
    assert_eq!((run.code(), run.stderr.lines().count()), (65, 1), "{run:?}");
    assert!(run.stderr.contains("other.toml:11: [snapshot2]: there is no such section; did you mean [snapshot]? (and 1 more;"), "{run:?}");
    // Two that would remove what the other has taken.
    jobs.write("other", "[retention]\nkeep = 1\n");
    let text = fs::read_to_string(jobs.path("jobs/other.toml")).unwrap();
    fs::write(jobs.path("jobs/third.toml"), text.replace("[limits]", "label = 'other'\n[limits]"))
        .unwrap();
    let done = jobs.job(&["check", "third"]);
    assert!(
        done.code() == 65 && done.stderr.contains("label: job other has the same one"),
        "{done:?}"
    );
    let missing = jobs.job(&["run", "mial"]);
    assert!(missing.code() == 66 && missing.stderr.contains("did you mean mail?"), "{missing:?}");
    assert_eq!((jobs.snapshots(), jobs.path("state").exists()), (0, false));
}

#[test]
fn a_job_runs_in_whatever_surrounds_it() {
    let jobs = Jobs::new();
    jobs.write("my -mail", "[verify]\ncommand = 'test -d \"$STILLPOINT_SNAPSHOT_PATH\"'\n");
    let mut command = jobs.command(&["run", "--", "my\\x20-mail"]);
    let variables: Vec<_> = command
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    let program = command.get_program().to_owned();
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(program).args(words).env_clear();
    command.envs(variables.into_iter().filter_map(|(name, value)| Some((name, value?))));
    command.env("LC_ALL", "de_DE.UTF-8").env("PATH", "/usr/bin:/bin").env_remove("HOME");
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let done = run(&mut command);
    assert_eq!(done.code(), 0, "{done:?}");
    let record = fs::metadata(jobs.path("state/jobs/my -mail.json")).unwrap();
    assert_eq!(record.permissions().mode() & 0o777, 0o644);
    // Its file goes while it runs: what was read is done.
    let gone =
        format!("[hooks]\nbefore = \"rm '{}'\"\n", jobs.path("jobs/my -mail.toml").display());
    jobs.write("my -mail", &gone);
    assert_eq!(jobs.job(&["run", "my -mail"]).code(), 0);
    assert_eq!((jobs.snapshots(), jobs.job(&["run", "my -mail"]).code()), (2, 66));
}

#[test]
fn a_new_job_is_written_as_it_can_be_run_and_never_over_another() {
    let jobs = Jobs::new();
    let (store, to) = (jobs.path("store"), jobs.path("snapshots"));
    let words = [
        "init",
        "--barrier",
        "mail",
        "--source",
        store.to_str().unwrap(),
        "--to",
        to.to_str().unwrap(),
        "mail",
    ];
    assert_eq!(jobs.job(&["init", "mail"]).code(), 64, "nobody can be asked");
    let done = jobs.job(&words);
    assert_eq!(done.code(), 0, "{done:?}");
    let file = jobs.path("jobs/mail.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(jobs.job(&words).code(), 73);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // What runs on this machine is none of this test's business.
    let quiet: Vec<&str> = text
        .lines()
        .filter(|line| !["adopted", "cyrus", "with"].iter().any(|key| line.starts_with(key)))
        .collect();
    fs::write(&file, quiet.join("\n")).unwrap();
    let done = jobs.job(&["check", "mail"]);
    assert_eq!(done.code(), 0, "{done:?}");
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
}

/// The times are those of the file, the barriers come first, and nothing in it becomes another line.
#[test]
fn systemd_is_told_when_a_job_runs() {
    let jobs = Jobs::new();
    jobs.write("my mail", "[schedule]\non-calendar = ['*:0/%30', 'daily']\npersistent = false\n");
    fs::write(jobs.path("jobs/wrong.toml"), "x").unwrap();
    let folder = jobs.path("units");
    assert_eq!(jobs.job(&["units", folder.to_str().unwrap()]).code(), 65);
    let read = |unit: &str| fs::read_to_string(folder.join(unit).join("50-job.conf")).unwrap();
    assert_eq!(
        read("stillpoint-job@my\\x20mail.timer.d"),
        "[Timer]\nOnCalendar=\nOnCalendar=*:0/%%30\nOnCalendar=daily\nPersistent=false\n"
    );
    assert_eq!(
        read("stillpoint-job@my\\x20mail.service.d"),
        "[Unit]\nRequires=stillpoint@mail.service\nAfter=stillpoint@mail.service\n"
    );
    assert_eq!(names(&folder).len(), 2);
}

/// Whoever reads the snapshot keeps its manifest as it is. What was found of it is not forgotten.
#[test]
fn a_verdict_waits_for_who_reads_the_snapshot() {
    let jobs = Jobs::new();
    let mut reader = start(Command::new("sleep").arg("60"));
    let pin = format!(
        "\"$STILLPOINT use --any $STILLPOINT_SNAPSHOT_NAME --while {} >/dev/null &\\n until $STILLPOINT list --json | grep -q '\\\"pinned\\\": true'; do :; done\"",
        reader.pid
    );
    let pinned = format!("[hooks]\nafter = {pin}\n[verify]\ncommand = 'exit 1'\n");
    jobs.write("mail", &pinned);
    let done = jobs.job(&["run", "mail"]);
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.stderr.contains("the next run tells its manifest"), "{done:?}");
    let name = jobs.record("mail")["snapshot"].as_str().unwrap().to_owned();
    assert_eq!(jobs.record("mail")["undelivered"][0]["snapshot"], name);
    let verdict = || {
        let text = fs::read(jobs.path("catalog").join(format!("{name}.json"))).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["verified"]["ok"].clone()
    };
    assert_eq!(verdict(), Value::Null);
    // It is read still, and nobody waits for that again.
    jobs.write("mail", "[verify]\ncommand = 'true'\n");
    let began = std::time::Instant::now();
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    assert!(began.elapsed() < std::time::Duration::from_secs(9));
    assert_eq!(jobs.record("mail")["undelivered"].as_array().unwrap().len(), 1);
    assert_eq!(jobs.latest(&["--verified"]), 0);
    assert_eq!((verdict(), jobs.record("mail")["undelivered"].is_array()), (Value::Null, true));
    reader.signal(Signal::SIGKILL);
    reader.end();
    until("nobody reads it", || jobs.latest(&["--any"]) == 0 && !is_pinned(&jobs, &name));
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    assert_eq!(
        (verdict(), jobs.record("mail")["undelivered"].clone()),
        (false.into(), Value::Null)
    );
}

fn is_pinned(jobs: &Jobs, name: &str) -> bool {
    let rows = run(jobs.0.stillpoint().args(["list", "--json"])).stdout;
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    rows.iter().any(|row| row["name"] == name && row["pinned"] == true)
}

/// The snapshot is what there is no room for, and what was old makes some.
#[test]
fn on_a_full_target_what_is_old_goes_all_the_same() {
    let Some(image) = Image::tmpfs(4096) else { return };
    let jobs = Jobs::new();
    fs::write(jobs.path("store/a"), vec![b'x'; 1_500_000]).unwrap();
    let write = |keep: u32| {
        let more = format!(
            "[hooks]\nafter = {}\non-failure = {}\n[retention]\nkeep = {keep}\n",
            jobs.note("after"),
            jobs.note("failed")
        );
        jobs.write("mail", &more);
        let file = jobs.path("jobs/mail.toml");
        let text = fs::read_to_string(&file).unwrap();
        let to = jobs.path("snapshots").display().to_string();
        fs::write(file, text.replace(&to, &image.path().display().to_string())).unwrap();
    };
    write(5);
    for _ in 0..2 {
        assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    }
    jobs.notes();
    write(1);
    let done = jobs.job(&["run", "mail"]);
    assert_eq!((done.code(), done.stdout.as_str()), (73, ""), "{done:?}");
    assert!(done.stderr.contains("removed "), "{done:?}");
    assert_eq!(jobs.notes(), ["after snapshot 73", "failed snapshot 73"]);
    assert_eq!((jobs.latest(&[]), names(&image.path()).len()), (0, 1));
    jobs.0.assert_writers_go_on();
    // There is room now.
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    assert_eq!(names(&image.path()).len(), 1);
}

/// Each removes its own, and none is in the way of the other.
#[test]
fn two_jobs_run_at_once_into_one_folder() {
    let jobs = Jobs::new();
    for name in ["mail", "other"] {
        jobs.write(name, "[verify]\ncommand = 'sleep 0.2'\n[retention]\nkeep = 2\n");
        let file = jobs.path("jobs").join(format!("{name}.toml"));
        let text = fs::read_to_string(&file).unwrap().replace("patience = 0", "patience = 9");
        fs::write(file, text.replace("attempts = 1", "attempts = 20")).unwrap();
    }
    for _ in 0..3 {
        let mut running = ["mail", "other"].map(|name| start(&mut jobs.command(&["run", name])));
        assert_eq!(running.each_mut().map(|one| one.end()), [0, 0]);
    }
    let rows = run(jobs.0.stillpoint().args(["list", "--json"])).stdout;
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    for name in ["mail", "other"] {
        let own = rows.iter().filter(|row| row["label"] == name && row["verified"]["ok"] == true);
        assert_eq!(own.count(), 2, "{rows:#?}");
        assert_eq!(jobs.record(name)["exit"], 0);
    }
    assert_eq!((rows.len(), jobs.snapshots()), (4, 4));
}

/// As cron starts it: without the folders that root's tools are in. They find the PATH that we were given.
#[test]
fn tools_are_found_with_the_path_that_cron_gives() {
    let jobs = Jobs::new();
    // Where Debian has it.
    if !std::path::Path::new("/usr/sbin/lvcreate").exists() {
        return crate::common::skip("lvcreate is missing");
    }
    let text = "barriers = 'mail'\n[snapshot]\nlvm = 'no-such-group/mail'\nsize = '1G'\n";
    fs::write(jobs.path("jobs/mail.toml"), text).unwrap();
    for path in ["/usr/bin:/bin", "", "/nowhere:/usr/bin"] {
        let done = run(jobs.command(&["run", "mail"]).env("PATH", path));
        assert!(!done.stderr.contains("was not found in PATH"), "{done:?}");
        assert!(done.stderr.contains("no-such-group"), "{done:?}");
        // By the name that people know it by.
        assert!(!done.stderr.contains("/usr/sbin"), "{done:?}");
    }
}

/// What a job has taken is read by where it is, in the catalogue that the job has.
#[test]
fn what_a_job_has_printed_is_found_by_use() {
    let jobs = Jobs::new();
    jobs.write("mail", "");
    let file = jobs.path("jobs/mail.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("catalog = '{}'\n{text}", jobs.path("own").display())).unwrap();
    let path = jobs.job(&["run", "mail"]).stdout.trim_end().to_owned();
    let read = |words: &[&str]| {
        let mut command = jobs.0.stillpoint();
        command.arg("use").args(words).args([&path, "--", "sh", "-c"]);
        command.arg("cat $STILLPOINT_SNAPSHOT_PATH/a").env("STILLPOINT_JOBS", jobs.path("jobs"));
        run(&mut command)
    };
    assert_eq!(read(&["--job", "mail"]).stdout, "good");
    assert_eq!(read(&["--job", "mail", "--catalog", "/x"]).code(), 64);
    assert_eq!(read(&[]).code(), 66);
    assert_eq!(read(&["--job", "other"]).code(), 66);
}

#[test]
fn the_first_failure_is_told_and_metrics_are_written_all_the_same() {
    let jobs = Jobs::new();
    let metrics = jobs.path("mail.prom");
    let text = format!(
        "[hooks]\nbefore = 'exit 3'\nafter = 'exit 5'\n[metrics]\ntextfile = '{}'\n",
        metrics.display()
    );
    jobs.write("mail", &text);
    assert_eq!(jobs.job(&["run", "mail"]).code(), 3);
    assert_eq!((jobs.record("mail")["failed"].clone(), metrics.exists()), ("before".into(), true));
}

#[test]
fn a_job_removes_nothing_but_its_own() {
    let jobs = Jobs::new();
    jobs.write("mail", "[retention]\nkeep = 1\n");
    let theirs = ["one", "two"].map(|name| jobs.0.take(name));
    for _ in 0..3 {
        assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    }
    assert!(theirs.iter().all(|path| path.exists()));
    assert_eq!(jobs.snapshots(), 3);
}

/// The good one stays, though the bad one is newer.
#[test]
fn what_was_found_bad_is_known_before_anything_is_removed() {
    let jobs = Jobs::new();
    jobs.write("mail", "[verify]\ncommand = 'true'\n[retention]\nkeep = 1\n");
    let good = jobs.job(&["run", "mail"]).stdout;
    jobs.write("mail", "[verify]\ncommand = 'false'\n[retention]\nkeep = 1\n");
    assert_eq!(jobs.job(&["run", "mail"]).code(), 1);
    assert!(PathBuf::from(good.trim_end()).exists());
}

#[test]
fn a_signal_after_the_snapshot_leaves_what_is_old() {
    let jobs = Jobs::new();
    jobs.write("mail", "");
    (0..2).for_each(|_| assert_eq!(jobs.job(&["run", "mail"]).code(), 0));
    let text = format!(
        "[hooks]\nafter = {}\n[verify]\ncommand = {}\n[retention]\nkeep = 1\n",
        jobs.begin(),
        jobs.note("verify")
    );
    jobs.write("mail", &text);
    let mut running = start(&mut jobs.command(&["run", "mail"]));
    until("the snapshot is there", || jobs.path("begun").exists());
    running.signal(Signal::SIGTERM);
    running.end();
    assert_eq!((jobs.notes().len(), jobs.snapshots()), (0, 3));
}

/// It was meant for the snapshot, and nobody waited for it there but the gate.
#[test]
fn a_signal_that_ended_a_step_does_not_end_the_hooks_after_it() {
    let jobs = Jobs::new();
    let slow = format!("\"sleep 0.2; echo after >>{}\"", jobs.path("notes").display());
    jobs.write("mail", &format!("[hooks]\nbefore = 'true'\nafter = {slow}\n"));
    let file = jobs.path("jobs").join("mail.toml");
    let text = fs::read_to_string(&file).unwrap().replace("patience = 0", "patience = 60");
    fs::write(&file, text).unwrap();
    let writer = jobs.0.holder();
    let mut job = start(&mut jobs.command(&["run", "mail"]));
    until("it waits", || jobs.0.status("mail")["holder"].is_object());
    job.signal(Signal::SIGTERM);
    assert_eq!(job.end(), 128 + Signal::SIGTERM as i32);
    assert_eq!(jobs.notes(), ["after"]);
    drop(writer);
}
