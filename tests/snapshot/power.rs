//! Power cuts: what the durable state remembers of a boot that did not end well, told from outside; and
//! death and a full disk at every step of the verbs that write it.
//!
//! A boot is told from the next by the kernel's boot id, which is another one here in a mount namespace
//! of its own, and by the folder of barriers, which is empty then.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::common::{Done, is_root, run, until};
use crate::every_step::{Play, ensure, strike_all};
use crate::scene::Scene;

fn state_path(scene: &Scene) -> PathBuf {
    scene.path("states/kept.state")
}

fn state(scene: &Scene) -> Result<Value, String> {
    let text = fs::read_to_string(state_path(scene)).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text:?}"))
}

/// A verb on the barrier `kept`, with its state.
fn verb(scene: &Scene, words: &[&str]) -> Command {
    let mut command = scene.stillpoint();
    command.args(words).arg("--state").arg(state_path(scene));
    command
}

fn kept() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("states")).unwrap();
    run(&mut verb(&scene, &["create", "kept"])).assert_code(0);
    scene
}

/// What is on tmpfs is gone.
fn power_cut(scene: &Scene) {
    let _ = fs::remove_file(scene.barrier_file("kept"));
}

/// Makes the barrier of the next boot; whether it is dirty.
fn next_boot(scene: &Scene) -> bool {
    power_cut(scene);
    run(&mut verb(scene, &["create", "kept"])).assert_code(0);
    let dirty = scene.status("kept")["dirty"].clone();
    dirty["epoch"] != dirty["acknowledged"]
}

#[test]
fn from_one_boot_to_the_next() {
    if !is_root() {
        return;
    }
    let scene = kept();
    fs::write(scene.path("boot-id"), "11111111-2222-4333-8444-555555555555\n").unwrap();
    let take = |name: &str, more: &[&str]| {
        let mut words = vec!["snapshot", "kept", "--min-open", "0", "--name", name];
        words.extend(more);
        verb(&scene, &words)
    };
    let mut first = take("before", &[]);
    run(first.args(["--", "true"])).assert_code(0);
    let script = r#"
        mount --bind "$1" /proc/sys/kernel/random/boot_id
        shift
        exec "$@""#;
    let in_next_boot = |command: Command| {
        let mut unshare = scene.environment(Command::new("unshare"));
        unshare.args(["--mount", "sh", "-euc", script, "sh"]).arg(scene.path("boot-id"));
        run(unshare.arg(command.get_program()).args(command.get_args()))
    };
    power_cut(&scene);
    let created = in_next_boot(verb(&scene, &["create", "kept"]));
    created.assert_code(0);
    assert!(created.stderr.contains("starts dirty") && created.stderr.contains("was not retired"));
    let status = in_next_boot({
        let mut command = scene.stillpoint();
        command.args(["status", "--json", "kept"]);
        command
    });
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["dirty"]["lost"][0]["label"], "crash or power cut: not retired");
    let with_command = |mut command: Command| {
        command.args(["--", "true"]);
        in_next_boot(command)
    };
    with_command(take("refused", &["--on-dirty", "fail"])).assert_refused(65, "stillpoint recover");
    let after = with_command(take("after", &[]));
    after.assert_code(0);
    assert!(after.stderr.contains("after is not clean"), "{after:?}");
    let text = in_next_boot({
        let mut command = scene.stillpoint();
        command.args(["status", "kept"]);
        command
    });
    assert!(text.stdout.contains("lost     crash or power cut: not retired"), "{text:?}");

    in_next_boot(verb(&scene, &["recover", "kept", "--acknowledge"])).assert_code(0);
    with_command(take("recovered", &[])).assert_code(0);
    let manifest = |name: &str| {
        let text = fs::read_to_string(scene.path("catalog").join(format!("{name}.json"))).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let clean = |name| manifest(name)["clean"].clone();
    assert_eq!(
        (clean("before"), clean("after"), clean("recovered")),
        (true.into(), false.into(), true.into())
    );
    let barrier = &manifest("after")["barriers"][0];
    assert_eq!(barrier["lost"][0]["label"], "crash or power cut: not retired");
    assert_eq!(barrier["at_grant"]["epoch"], 1);
    assert_eq!(barrier["boot_id"], "11111111222243338444555555555555");
    assert_ne!(manifest("before")["barriers"][0]["boot_id"], barrier["boot_id"]);
    assert_eq!(manifest("recovered")["barriers"][0]["lost"], Value::Array(Vec::new()));
    let latest = in_next_boot({
        let mut command = scene.stillpoint();
        command.args(["latest", "--provider", "command"]);
        command
    });
    assert_eq!(latest.stdout, "recovered\n");
}

/// `create`, when the last boot was cut off: the next one is dirty, whatever happens here.
struct Creating;

impl Play for Creating {
    fn begins_at(&self, scene: &Scene) -> PathBuf {
        state_path(scene)
    }

    fn scene(&self, _number: usize) -> Scene {
        let scene = kept();
        power_cut(&scene);
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        verb(scene, &["create", "kept"])
    }

    fn judge(&self, scene: &Scene, _number: usize, done: &Done) -> Result<(), String> {
        let state = state(scene)?;
        ensure(state["state"] == "open", || format!("{state}"))?;
        if done.code() == 0 {
            let dirty = &scene.status("kept")["dirty"];
            ensure(dirty["epoch"] != dirty["acknowledged"], || format!("forgiven: {dirty}"))?;
        }
        // Again, as a service does that failed to start.
        run(&mut verb(scene, &["create", "kept"])).assert_code(0);
        let dirty = &scene.status("kept")["dirty"];
        ensure(dirty["epoch"] != dirty["acknowledged"], || format!("forgiven: {dirty}"))?;
        ensure(next_boot(scene), || "forgiven in the next boot".into())
    }
}

#[test]
fn creating_at_every_step() {
    strike_all("create", &Creating);
}

/// `retire`: only one that says so was retired, and then the barrier is gone.
struct Retiring;

impl Play for Retiring {
    fn begins_at(&self, scene: &Scene) -> PathBuf {
        state_path(scene)
    }

    fn scene(&self, _number: usize) -> Scene {
        kept()
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        verb(scene, &["retire", "kept"])
    }

    fn judge(&self, scene: &Scene, _number: usize, done: &Done) -> Result<(), String> {
        let state = state(scene)?;
        let retired = state["state"] == "retired";
        ensure(retired || done.code() != 0, || "it succeeded and did not say so".into())?;
        ensure(!retired || !scene.barrier_file("kept").exists(), || {
            "retired before its end".into()
        })?;
        ensure(next_boot(scene) != retired, || {
            format!("retired: {retired}, and the next boot is wrong")
        })
    }
}

#[test]
fn retiring_at_every_step() {
    strike_all("retire", &Retiring);
}

/// `recover`: what the barrier takes for acknowledged is on disk.
struct Recovering;

impl Play for Recovering {
    fn begins_at(&self, scene: &Scene) -> PathBuf {
        state_path(scene)
    }

    fn scene(&self, _number: usize) -> Scene {
        let scene = kept();
        assert!(next_boot(&scene));
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        verb(scene, &["recover", "kept", "--acknowledge"])
    }

    fn judge(&self, scene: &Scene, _number: usize, done: &Done) -> Result<(), String> {
        let (state, dirty) = (state(scene)?, scene.status("kept")["dirty"].clone());
        let acknowledged = dirty["acknowledged"] == dirty["epoch"];
        ensure(acknowledged || done.code() != 0, || "it succeeded and is dirty".into())?;
        ensure(!acknowledged || state["acknowledged"] == dirty["epoch"], || {
            format!("acknowledged {dirty}, and on disk {state}")
        })?;
        run(scene.stillpoint().args(["run", "-s", "-w", "20", "kept", "true"])).assert_code(0);
        ensure(next_boot(scene), || "a boot that was not retired is forgiven".into())
    }
}

#[test]
fn recovering_at_every_step() {
    strike_all("recover", &Recovering);
}

/// Every tool that meets a loss writes it down.
#[test]
fn each_tool_that_sees_a_loss_writes_it_down() {
    let scene = Scene::new();
    fs::create_dir(scene.path("states")).unwrap();
    let stillpoint = |words: &[&str]| {
        let mut command = scene.stillpoint();
        command.args(words).env("STILLPOINT_STATE_DIR", scene.path("states"));
        run(&mut command)
    };
    stillpoint(&["create", "kept"]).assert_code(0);
    let epoch = || state(&scene).unwrap()["epoch"].as_u64().unwrap();
    // A writer and its wrapper are killed: nobody is left to say so.
    let lose = || {
        let mut shell = scene.environment(Command::new("sh"));
        let script =
            r#""$STILLPOINT" run -s kept sh -c 'kill -9 $PPID $$' 9>&1 >/dev/null 2>&1 | cat"#;
        run(shell.args(["-c", script]));
    };
    stillpoint(&["run", "-s", "kept", "sh", "-c", "kill -9 $$"]).assert_code(128 + 9);
    assert_eq!(epoch(), 1, "run -s");
    lose();
    stillpoint(&["run", "-x", "kept", "true"]).assert_code(0);
    assert_eq!(epoch(), 2, "run -x");
    lose();
    stillpoint(&["freeze", "kept"]).assert_code(0);
    stillpoint(&["thaw", "kept"]).assert_code(0);
    until("the keeper's word", || epoch() == 3);
    lose();
    stillpoint(&["status", "kept"]).assert_code(0);
    assert_eq!(epoch(), 3, "status changes nothing");
    stillpoint(&["recover", "kept", "--", "false"]).assert_code(1);
    assert_eq!(epoch(), 4, "recover");
}
