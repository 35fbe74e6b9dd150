//! Those who speak for a store are processes of their own: what they inherit, what is left of them, and what becomes of the
//! store when the tool dies or is stopped.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::common::{STILLPOINT, is_alive, run, start, until};
use crate::participants::{good, said, take};
use crate::scene::Scene;

/// It is somebody else's process: of what the tool holds, and of what its caller did to it, it has nothing.
#[test]
fn it_begins_anew() {
    let scene = Scene::new();
    scene.create("other");
    let look = format!(
        "ls -l /proc/self/fd >{0}; grep Sig[BI] /proc/self/status >>{0}; env | grep STILLPOINT >>{0}; \
         cat /proc/$$/stat >>{0}; echo $$ >>{0}; pwd >>{0}",
        scene.path("seen").display()
    );
    let with = good(&scene, "log", &look);
    let mut outer = scene.stillpoint();
    outer.args([
        "run",
        "-x",
        "other",
        "sh",
        "-c",
        "trap '' HUP INT USR1; exec 7</dev/null; exec \"$@\"",
        "sh",
    ]);
    outer.arg("setsid").arg("-w").arg(STILLPOINT);
    outer.args(["snapshot", "mail", "--with", &with, "--min-open", "0", "--", "true"]);
    let done = run(outer.current_dir(scene.path("store")));
    done.assert_code(0);
    let seen = said(&scene, "seen");
    let open = seen
        .iter()
        .filter(|line| line.contains(" -> "))
        .map(|line| line.rsplit(' ').nth(2).unwrap());
    // That of the look itself is the last.
    assert_eq!(open.collect::<Vec<_>>(), ["0", "1", "2", "3"], "{seen:#?}");
    for set in ["SigBlk", "SigIgn"] {
        let line = seen.iter().find(|line| line.starts_with(set)).unwrap();
        let set = u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap();
        // Behind them are those of the C library's own.
        assert_eq!(set & 0x7fff_ffff, 0, "{seen:#?}");
    }
    assert!(!seen.iter().any(|line| line.starts_with("STILLPOINT_HELD")), "{seen:#?}");
    assert!(seen.contains(&"STILLPOINT_ADOPT=off".to_owned()), "{seen:#?}");
    let [.., stat, pid, folder] = &seen[..] else { panic!("{seen:#?}") };
    // proc_pid_stat(5): state, parent, group, session, terminal.
    let stat: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!(stat[2..5], [pid.as_str(), pid, "0"], "a session of its own, without a terminal");
    assert_eq!(*folder, scene.path("store").canonicalize().unwrap().display().to_string());
}

/// It hangs, ignores what it is told, forks away; whatever it does, nothing of it is left.
#[test]
fn nothing_of_it_is_left() {
    let pid_file = "echo $$ >>$0";
    for script in [
        "trap \"\" TERM HUP; echo ready; read x; echo frozen; read x; echo thawed; while :; do sleep 1; done",
        "(trap \"\" TERM; echo ready; sleep 600) & echo $! >>$0; read x; echo frozen; read x; echo thawed",
        "echo ready; read x; echo frozen; kill -STOP $$",
        "sleep 600 & echo $! >>$0; echo ready; read x; echo frozen; read x; echo thawed; yes",
    ] {
        let scene = Scene::new();
        let with = format!("/bin/sh -c '{pid_file}; {script}' {}", scene.path("pids").display());
        take(&scene, &["--with", &with]).assert_code(0);
        let pids = said(&scene, "pids");
        assert!(!pids.is_empty());
        for pid in pids {
            let pid = Pid::from_raw(pid.parse().unwrap());
            until("it is gone", || !is_alive(pid));
        }
    }
}

/// A tool that dies in its pause takes nobody with it.
#[test]
fn the_death_of_the_tool_frees_the_store() {
    let scene = Scene::new();
    let with = good(&scene, "log", "echo $$ >>$log");
    let mut command = scene.stillpoint();
    command.args([
        "snapshot",
        "mail",
        "--with",
        &with,
        "--",
        "sh",
        "-c",
        "echo in >>\"$0\"; until grep -q end \"$0\"; do sleep 0.01; done",
    ]);
    let snapshot = start(command.arg(scene.path("log")));
    until("the pause", || said(&scene, "log").len() == 3);
    snapshot.signal(Signal::SIGKILL);
    until("it has thawed", || said(&scene, "log").last().unwrap() == "end");
    let pid = Pid::from_raw(said(&scene, "log")[0].parse().unwrap());
    until("it is gone", || !is_alive(pid));
    scene.assert_writers_go_on();
}

/// A tool that is stopped keeps the store no longer than it said, and cannot say afterwards that it held.
#[test]
fn a_stopped_tool_frees_the_store_at_its_limit() {
    let scene = Scene::new();
    let script = r#"echo ready; read word limit; echo "$word $limit" >>"$0"; echo frozen; sleep 1; echo expired; echo expired >>"$0"; read x; echo thawed; read x"#;
    let with = format!("/bin/sh -c '{script}' {}", scene.path("log").display());
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "600", "--with", &with, "--", "sh", "-c"]);
    let command = command.arg("echo in >>\"$0\"; until grep -q go \"$0\"; do sleep 0.01; done");
    let snapshot = start(command.arg(scene.path("log")));
    until("the pause", || said(&scene, "log").len() == 2);
    snapshot.signal(Signal::SIGSTOP);
    until("it goes on", || said(&scene, "log").last().unwrap() == "expired");
    fs::write(scene.path("log"), format!("{}\ngo\n", said(&scene, "log").join("\n"))).unwrap();
    snapshot.signal(Signal::SIGCONT);
    let done = snapshot.wait();
    assert_eq!(done.code(), 124, "{done:#?}");
    assert!(done.stderr.contains("went on by itself"), "{done:#?}");
    let told = said(&scene, "log")[0].clone();
    let limit: u32 = told.strip_prefix("freeze ").unwrap().parse().unwrap();
    assert!((590_000..=600_000).contains(&limit), "{told}: what is left of the limit of the pause");
}

#[test]
fn fifty_at_once_and_one_of_the_same_words() {
    let scene = Scene::new();
    let withs: Vec<String> =
        (0..50).map(|number| good(&scene, &format!("log{number}"), "")).collect();
    let options: Vec<&str> = withs.iter().chain(&withs).flat_map(|with| ["--with", with]).collect();
    let done = take(&scene, &options);
    done.assert_code(0);
    for number in 0..50 {
        let log = said(&scene, &format!("log{number}"));
        assert_eq!(log, ["freeze closed", "thaw open", "end"], "{number}");
    }
}

#[test]
fn without_standard_descriptors() {
    let scene = Scene::new();
    let with = good(&scene, "log", "");
    let mut command = scene.environment(Command::new("sh"));
    command.args(["-c", "exec \"$@\" <&- 2>&-", "sh", STILLPOINT]);
    command.args(["snapshot", "mail", "--with", &with, "--", "true"]);
    run(&mut command).assert_code(0);
    assert_eq!(said(&scene, "log"), ["freeze closed", "thaw open", "end"]);
}
