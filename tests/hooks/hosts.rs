//! What is particular to one host.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::run;
use crate::host::{Call, Host, folder};

fn script(host: &Host, folder: &str, name: &str, text: &str) {
    let folder = host.place.path(folder);
    fs::create_dir_all(&folder).unwrap();
    // By a process of its own: a program that is open for writing cannot be started.
    let mut write = std::process::Command::new("sh");
    write.args(["-c", r#"printf '%s' "$1" >"$2" && chmod 755 "$2""#, "sh", text]);
    assert!(write.arg(folder.join(name)).status().unwrap().success());
}

/// The agent's own hook ignores what those in the folder say. Here they can veto, and what was frozen
/// is thawed, since the agent calls nothing after a failure.
#[test]
fn qemu_others_are_called_inside_and_may_veto() {
    let host = Host::new("qemu-ga");
    let log = host.place.path("log");
    let say = format!(
        "#!/bin/sh\necho \"$1 $(stillpoint status mail | grep -c closed)\" >>{}\n",
        log.display()
    );
    script(&host, "hook.d", "10-good", &say);
    script(&host, "hook.d", "20-old~", "#!/bin/sh\nexit 1\n");
    script(&host, "hook.d", "20-old.dpkg-dist", "#!/bin/sh\nexit 1\n");
    fs::write(host.place.path("hook.d/30-not-executable"), "").unwrap();
    let (freeze, thaw) = (Call::with_arguments(&["freeze"]), Call::with_arguments(&["thaw"]));
    assert_eq!((host.call(freeze).code(), host.call(thaw).code()), (0, 0));
    assert_eq!(fs::read_to_string(&log).unwrap(), "freeze 1\nthaw 1\n");

    script(&host, "hook.d", "15-bad", "#!/bin/sh\nexit 9\n");
    let vetoed = host.call(freeze);
    assert_eq!(vetoed.code(), 1, "{vetoed:?}");
    assert!(vetoed.stderr.contains("15-bad freeze failed"), "{vetoed:?}");
    host.place.assert_writers_go_on();
    assert_eq!(host.call(thaw).code(), 0);
}

#[test]
fn vmware_freeze_fail_gives_up() {
    let host = Host::new("vmware");
    assert_eq!(host.call(Call::with_arguments(&["freeze", "argument"])).code(), 0);
    assert!(host.is_closed());
    for _ in 0..2 {
        assert_eq!(host.call(Call::with_arguments(&["freezeFail"])).code(), 0);
        host.place.assert_writers_go_on();
    }
}

/// snapper makes the snapshot whatever this says, so there is a record of which are consistent.
#[test]
fn snapper_keeps_a_record() {
    let host = Host::new("snapper");
    let call =
        |arguments: &'static [&'static str]| host.call(Call::with_arguments(arguments)).code();
    let pre: &[&str] = &["create-snapshot-pre", "/", "btrfs", "1"];
    assert_eq!(call(pre), 0);
    // The old name of the same event, and what else there is.
    for other in ["create-snapshot", "delete-snapshot-pre", "set-read-only-post", "a-new-one"] {
        let mut command = host.command(Call::with_arguments(&[]));
        command.args([other, "/", "btrfs", "1"]);
        assert_eq!(run(command).code(), 0, "{other}");
        assert!(host.is_closed(), "{other}");
    }
    assert_eq!(call(&["create-snapshot-post", "/", "btrfs", "1"]), 0);
    let writer = host.place.hold(&["-s"]);
    assert_eq!(call(&["create-snapshot-pre", "/", "btrfs", "2"]), 75);
    assert_eq!(call(&["create-snapshot-post", "/", "btrfs", "2"]), 124);
    drop(writer);
    assert_eq!(call(&["create-snapshot-post", "/my mail\t1\tyes\n/", "btrfs", "3"]), 124);
    let file = host.place.path("record");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let record = fs::read_to_string(file).unwrap();
    let record: Vec<Vec<&str>> =
        record.lines().map(|line| line.split('\t').skip(1).collect()).collect();
    assert_eq!(record, [["/", "1", "yes"], ["/", "2", "no"], ["/my mail?1?yes?/", "3", "no"]]);
}

#[test]
fn sanoid_prunes_without_us() {
    let host = Host::new("sanoid");
    assert_eq!(host.call(Call::with_variables(&[("SANOID_SCRIPT", "prune")])).code(), 0);
    assert_eq!(host.place.status()["generation"], 0);
}

#[test]
fn zrepl_dry_runs_touch_nothing_and_the_timeout_bounds_the_wait() {
    let host = Host::new("zrepl");
    let dry = &[("ZREPL_HOOKTYPE", "pre_snapshot"), ("ZREPL_DRYRUN", "true")];
    assert_eq!(host.call(Call::with_variables(dry)).code(), 0);
    assert_eq!(host.place.status()["generation"], 0);

    // Whatever the settings say, it is over before zrepl would end it.
    let call = Call::with_variables(&[("ZREPL_HOOKTYPE", "pre_snapshot"), ("ZREPL_TIMEOUT", "9")]);
    let log = host.record_commands("");
    for (wait, most) in [("", 7.0), ("20", 7.0), ("1.5", 1.5)] {
        let mut command = host.command(call);
        command.env("STILLPOINT_WAIT", wait).env("PATH", host.path(&["bin"]));
        assert_eq!(run(command).code(), 0);
        let given = *crate::host::values_of(&log, "-w").last().unwrap();
        assert!(given > most - 1.0 && given <= most, "{wait:?}: {given}");
    }
}

/// The exact commands of the example, run without a shell, as Velero does in the container.
#[test]
fn velero_runs_the_commands_of_the_example() {
    let host = Host::new("hook.sh");
    let text = fs::read_to_string(folder().join("velero.yaml")).unwrap();
    let command = |which: &str| {
        let line = text.lines().find(|line| line.trim().starts_with(which)).unwrap();
        let array = line.split('\'').nth(1).unwrap();
        let words: Vec<String> = serde_json::from_str(array).unwrap();
        assert_eq!(words[0], "stillpoint");
        host.place.run(&words[1..])
    };
    let frozen = command("pre.hook.backup.velero.io/command");
    assert_eq!(frozen.code(), 0, "{frozen:?}");
    assert!(host.is_closed());
    let thawed = command("post.hook.backup.velero.io/command");
    assert_eq!(thawed.code(), 0, "{thawed:?}");
    host.place.assert_writers_go_on();
}

/// What the extension checks before it runs anything.
#[test]
fn azure_has_the_configuration_that_its_extension_wants() {
    let text = fs::read_to_string(folder().join("azure.json")).unwrap();
    let configuration: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(configuration["pluginName"], "ScriptRunner");
    assert_eq!(configuration["continueBackupOnFailure"], false);
    for (call, word) in [("preScript", "pre"), ("postScript", "post")] {
        assert_eq!(configuration[format!("{call}Params")], serde_json::json!([word]));
        assert_eq!(configuration[format!("{call}Location")], "/etc/azure/stillpoint");
        assert!(configuration[format!("{call}NoOfRetries")].is_number());
    }
}

#[test]
fn hooks_are_programs_and_the_rest_is_not() {
    for entry in fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let expected = if name.contains('.') { 0o644 } else { 0o755 };
        assert_eq!(mode, expected, "{name}");
    }
}
