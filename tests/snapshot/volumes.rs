//! `--zfs` and `--lvm`. Neither can run on every kernel, so they meet stand-ins for their tools, which
//! check every argument, keep a list of what there is, and fail as the real ones do.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Done, Image, Running, is_root, run, start, subvolume, until};
use crate::scene::Scene;

const ZFS: &str = include_str!("standins/zfs");
const LVM: &str = include_str!("standins/lvm");

/// A system of volumes with its stand-ins.
struct System {
    scene: Scene,
    option: &'static str,
    list: &'static str,
    /// The subcommand or tool that takes a snapshot.
    taking: &'static str,
    renaming: &'static str,
}

impl System {
    fn zfs() -> System {
        System::new("--zfs", &["zfs", "zpool"], ZFS, ["zfs-snapshots", "snapshot", "rename"])
    }

    fn lvm() -> Option<System> {
        let tools = ["lvs", "lvcreate", "lvchange", "lvrename", "lvremove"];
        let files = ["lvm-volumes", "lvcreate", "lvrename"];
        is_root().then(|| System::new("--lvm", &tools, LVM, files))
    }

    fn each() -> Vec<System> {
        [Some(System::zfs()), System::lvm()].into_iter().flatten().collect()
    }

    fn new(option: &'static str, tools: &[&str], script: &str, files: [&'static str; 3]) -> System {
        let scene = Scene::new();
        for tool in tools {
            scene.stand_in(tool, script);
        }
        let [list, taking, renaming] = files;
        System { scene, option, list, taking, renaming }
    }

    fn is_zfs(&self) -> bool {
        self.option == "--zfs"
    }

    /// The origins of one, of two, and of a thin pool or another pool.
    fn origins(&self) -> [&'static str; 3] {
        if self.is_zfs() {
            ["tank/mail", "tank/home", "dozer/mail"]
        } else {
            ["vg/mail", "vg/home", "vg/thin"]
        }
    }

    fn made(&self, origin: &str, name: &str) -> String {
        let separator = if self.is_zfs() { '@' } else { '-' };
        format!("{origin}{separator}{name}")
    }

    fn command(&self, name: &str, options: &[&str]) -> std::process::Command {
        let mut command = self.scene.stillpoint();
        command.args(["snapshot", "--min-open", "0", "--name", name]).args(options);
        if !self.is_zfs() && !options.contains(&"--size") {
            command.args(["--size", "64M"]);
        }
        command.args(["mail", self.option, self.origins()[0]]);
        command
    }

    fn take(&self, name: &str, options: &[&str]) -> Done {
        run(&mut self.command(name, options))
    }

    /// The snapshots that there are.
    fn there(&self) -> Vec<String> {
        let list = fs::read_to_string(self.state(self.list)).unwrap_or_default();
        let origins = ["vg/mail", "vg/home", "vg/thin"];
        let mut made: Vec<String> =
            list.lines().filter(|name| !origins.contains(name)).map(str::to_owned).collect();
        made.sort();
        made
    }

    fn state(&self, file: &str) -> std::path::PathBuf {
        self.scene.path("bin").join(file)
    }

    /// What shall go wrong with a tool, in shell; trouble of that kind is over with `None`.
    fn trouble(&self, with: &str, script: Option<&str>) {
        // A tool that is called so is a program: its trouble has a file of another name.
        let file = self.state(&format!("trouble-{with}"));
        match script {
            Some(script) => fs::write(file, script).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
    }

    fn manifest(&self) -> Value {
        self.scene.manifest()
    }

    /// A snapshot in its pause, whose tool does not come to an end.
    fn hanging(&self, options: &[&str]) -> Running {
        self.trouble(self.taking, Some(r#"echo $$ >"$STATE/hangs"; exec sleep 600"#));
        let running = start(&mut self.command("x", options));
        until("hanging tool", || self.state("hangs").exists());
        running
    }

    /// A snapshot x whose run was killed in its pause, while the tool went on and took it.
    fn killed_in_the_pause(&self) {
        let script = r#"echo $$ >"$STATE/hangs"; while [ ! -e "$STATE/go" ]; do sleep 0.01; done"#;
        self.trouble(self.taking, Some(script));
        let running = start(&mut self.command("x", &[]));
        until("hanging tool", || self.state("hangs").exists());
        running.signal(Signal::SIGKILL);
        fs::write(self.state("go"), "").unwrap();
        running.wait();
        until("late snapshot", || self.there().len() == 1);
        assert!(self.there()[0].ends_with(".partial"));
        // The tool has the manifest's lock until it ends.
        until("end of the tool", || {
            let rows = self.scene.verb(["list", "--json"]).stdout;
            !rows.contains("\"under_way\": true")
        });
        self.trouble(self.taking, None);
    }

    /// A snapshot x of two, whose run was killed when one of them had its name.
    fn killed_between_renamings(&self) {
        let script =
            r#"[ -e "$STATE/renamed" ] && kill -KILL "$PPID" && exit 1; touch "$STATE/renamed""#;
        self.trouble(self.renaming, Some(script));
        let done = run(self.command("x", &[]).arg(self.origins()[1]));
        assert_eq!(done.signal(), Some(Signal::SIGKILL as i32), "{done:?}");
        self.trouble(self.renaming, None);
    }
}

#[test]
fn it_is_made_under_another_name_and_gets_its_own_with_the_certificate() {
    for system in System::each() {
        let [origin, ..] = system.origins();
        let done = system.take("daily", &[]);
        done.assert_code(0);
        let name = system.made(origin, "daily");
        let shown = if system.is_zfs() { name.clone() } else { format!("/dev/{name}") };
        assert_eq!(done.stdout, format!("{shown}\n"));
        assert_eq!(system.there(), [name.as_str()]);
        let calls = fs::read_to_string(system.state("calls")).unwrap();
        assert!(
            calls.contains(system.manifest()["volumes"][0]["partial"].as_str().unwrap())
                || calls.contains("-n mail-daily."),
            "{calls}"
        );
        let manifest = system.manifest();
        assert_eq!(manifest["status"], "complete");
        assert_eq!(manifest["clean"], true);
        assert_eq!(manifest["volumes"][0]["name"], name);
        assert_eq!(manifest["path"], Value::Null);
        system.take("daily", &[]).assert_refused(73, "daily");
    }
}

#[test]
fn several_are_of_one_moment() {
    for system in System::each() {
        let [one, two, three] = system.origins();
        let mut command = system.command("daily", &[]);
        let done = run(command.args([two, three, one]));
        done.assert_code(0);
        let mut made = [one, two, three].map(|origin| system.made(origin, "daily"));
        made.sort();
        assert_eq!(system.there(), made);
        assert_eq!(done.stdout.lines().count(), 3);
        assert_eq!(system.scene.status("mail")["stats"]["pauses"], 1);
        let manifest = system.manifest();
        let token = manifest["volumes"][0]["partial"].as_str().unwrap().rsplit('.').nth(1).unwrap();
        let calls = fs::read_to_string(system.state("calls")).unwrap();
        let calls = calls.replace(&format!("daily.{token}.partial"), "daily.partial");
        if system.is_zfs() {
            // One call for each pool.
            assert!(
                calls.contains("zfs snapshot tank/mail@daily.partial tank/home@daily.partial\n"),
                "{calls}"
            );
            assert!(calls.contains("zfs snapshot dozer/mail@daily.partial\n"), "{calls}");
        } else {
            assert!(calls.contains("-n mail-daily.partial -L 67108864b vg/mail\n"), "{calls}");
            assert!(calls.contains("-n thin-daily.partial -kn vg/thin\n"), "{calls}");
        }
    }
}

#[test]
fn the_list_and_its_verbs_know_them() {
    for system in System::each() {
        let [origin, ..] = system.origins();
        for name in ["one", "two", "three"] {
            system.take(name, &[]).assert_code(0);
        }
        let verb = |words: &[&str]| run(system.scene.stillpoint().args(words));
        if system.is_zfs() {
            assert_eq!(verb(&["latest"]).stdout, "tank/mail@three\n");
            let script = r#"echo "$STILLPOINT_SNAPSHOT_PATH""#;
            let used = verb(&["use", "--latest", "--", "sh", "-c", script]);
            assert_eq!(used.stdout, "tank/mail@three\n");
            let pruned = verb(&["prune", "--keep", "1"]);
            pruned.assert_code(0);
            assert_eq!(pruned.stdout.lines().next(), Some("removed tank/mail@one"));
            assert_eq!(system.there(), [system.made(origin, "three")]);
        } else {
            // There is no device: to us they look like volumes that somebody has removed.
            verb(&["latest"]).assert_code(66);
        }
        let list = verb(&["list"]);
        assert!(list.stdout.contains(&system.made(origin, "three")), "{list:?}");
    }
}

#[test]
fn what_cannot_succeed_is_refused_before_the_gate_closes() {
    for system in System::each() {
        let before = system.scene.generation();
        let kind = &system.option[2..];
        let refused = |origin: &str, more: &[&str], code, said: &str| {
            let mut command = system.scene.stillpoint();
            command.args(["snapshot", "mail", "--name", "x", system.option, origin]).args(more);
            run(&mut command).assert_refused(code, said);
        };
        refused("-r", &[], 64, "'-r'");
        refused("a b", &[], 64, "a b");
        if system.is_zfs() {
            refused("tank/other", &[], 66, "cannot open 'tank/other': dataset does not exist");
            refused("tank/mail@x", &[], 64, "no name of a dataset");
            fs::write(system.state("health"), "SUSPENDED\toff\n").unwrap();
            refused("tank/mail", &[], 69, "the pool is SUSPENDED");
            fs::write(system.state("health"), "ONLINE\ton\n").unwrap();
            refused("tank/mail", &[], 69, "the pool is read-only");
            fs::remove_file(system.state("health")).unwrap();
            fs::write(system.state("children"), "tank/mail/archive\n").unwrap();
            refused("tank/mail", &[], 69, "missing from its snapshot: tank/mail/archive;");
            fs::remove_file(system.state("children")).unwrap();
            fs::write(system.state("zfs-snapshots"), "tank/mail@x\n").unwrap();
            refused("tank/mail", &[], 73, "tank/mail@x: exists already");
        } else {
            refused("vg/other", &[], 66, "Failed to find logical volume");
            refused("other/mail", &[], 66, "\"other\" not found");
            refused("vg", &[], 64, "no logical volume");
            refused("vg/mail", &[], 64, "say with --size");
            refused("vg/thin", &["--size", "1G"], 64, "thin pools");
            refused("vg/mail", &["--size", "2G"], 73, "2147483648 are needed");
            let mut reserved = system.command("a_tdata", &[]);
            run(&mut reserved).assert_refused(73, "Names including \"_tdata\" are reserved");
            fs::write(system.state("lvm-volumes"), "vg/mail\nvg/mail-x\n").unwrap();
            refused("vg/mail", &["--size", "1M"], 73, "vg/mail-x: exists already");
        }
        for name in ["a b", "a@b", &"x".repeat(199)] {
            let mut command = system.command(name, &[]);
            if system.is_zfs() && name.len() > 100 {
                continue;
            }
            run(&mut command).assert_refused(64, "give another one");
        }
        assert_eq!(system.scene.generation(), before, "{kind}");
        assert_eq!(system.scene.manifests().len(), 0);
    }
}

#[test]
fn a_tool_that_is_missing_is_refused() {
    for system in System::each() {
        for tool in if system.is_zfs() { vec!["zfs", "zpool"] } else { vec!["lvs", "lvremove"] } {
            let folder = system.scene.path("empty");
            fs::create_dir_all(&folder).unwrap();
            let others = [
                "zfs", "zpool", "lvs", "lvcreate", "lvchange", "lvrename", "lvremove", "findmnt",
                "sh",
            ];
            for other in others.iter().filter(|other| **other != tool) {
                let found = [system.scene.path("bin"), "/usr/bin".into(), "/bin".into()];
                if let Some(found) = found.iter().map(|at| at.join(other)).find(|at| at.exists()) {
                    let _ = std::os::unix::fs::symlink(found, folder.join(other));
                }
            }
            let mut command = system.command("x", &[]);
            run(command.env("PATH", &folder)).assert_refused(69, &format!("{tool} was not found"));
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

#[test]
fn a_tool_that_fails_leaves_nothing() {
    for system in System::each() {
        let script = r#"fail "cannot create snapshot 'x': out of space""#;
        system.trouble(system.taking, Some(script));
        system.take("x", &[]).assert_refused(73, "out of space");
        system.scene.assert_writers_go_on();
        assert_eq!(system.manifest()["status"], "failed");
        assert_eq!(system.there(), [""; 0]);
        system.trouble(system.taking, None);
        system.take("x", &[]).assert_code(0);
    }
}

#[test]
fn one_of_several_that_fails_takes_the_others_with_it() {
    for system in System::each() {
        let [_, _, three] = system.origins();
        let script = r#"case "$*" in *dozer* | *thin*) fail "I/O error" ;; esac"#;
        system.trouble(system.taking, Some(script));
        let mut command = system.command("x", &[]);
        run(command.arg(three)).assert_refused(73, "I/O error");
        assert_eq!(system.there(), [""; 0]);
        assert_eq!(system.manifest()["status"], "failed");
    }
}

#[test]
fn what_failed_may_be_kept_and_does_not_look_complete() {
    for system in System::each() {
        let [origin, _, three] = system.origins();
        let script = r#"case "$*" in *dozer* | *thin*) fail "I/O error" ;; esac"#;
        system.trouble(system.taking, Some(script));
        let mut command = system.command("x", &["--keep-failed"]);
        let done = run(command.arg(three));
        let kept = system.made(origin, "x.failed");
        done.assert_refused(73, &format!("kept what there is of it as {kept}"));
        assert_eq!(system.there(), [kept.as_str()]);
        assert_eq!(system.manifest()["volumes"][0]["kept"], kept);
        run(system.scene.stillpoint().args(["latest", "--any"])).assert_code(66);
    }
}

#[test]
fn a_tool_that_hangs_is_ended_at_the_hold_limit() {
    for system in System::each() {
        let done = system.hanging(&["--hold", "0.3"]).wait();
        done.assert_refused(124, "hold limit of 300.0 ms");
        system.scene.assert_writers_go_on();
        assert_eq!(system.manifest()["status"], "revoked");
        assert_eq!(system.there(), [""; 0]);
    }
}

#[test]
fn a_tool_that_comes_too_late_does_not_make_a_snapshot() {
    for system in System::each() {
        // Ends well, in spite of TERM, after the limit.
        let script = r#"trap "" TERM; touch "$STATE/hangs"; sleep 1"#;
        system.trouble(system.taking, Some(script));
        system.take("x", &["--hold", "0.2"]).assert_refused(124, "hold limit");
        assert_eq!(system.manifest()["status"], "revoked");
        assert_eq!(system.there(), [""; 0]);
    }
}

#[test]
fn a_run_that_was_killed_in_the_pause_is_cleaned_up_by_the_next() {
    for system in System::each() {
        system.killed_in_the_pause();
        system.scene.assert_writers_go_on();
        let next = system.take("y", &[]);
        next.assert_code(0);
        assert!(next.stderr.contains("x: was interrupted; its data is removed"), "{next:?}");
        assert_eq!(system.there(), [system.made(system.origins()[0], "y")]);
    }
}

#[test]
fn a_run_that_was_killed_before_the_last_renaming_is_completed_by_the_next() {
    for system in System::each() {
        let [origin, two, _] = system.origins();
        system.killed_between_renamings();
        assert_eq!(system.manifest()["status"], "certified");
        let next = system.take("y", &[]);
        assert!(next.stderr.contains("x: was whole when its run was interrupted"), "{next:?}");
        let mut expected = vec![system.made(origin, "y")];
        expected.extend([origin, two].map(|origin| system.made(origin, "x")));
        expected.sort();
        assert_eq!(system.there(), expected);
        assert_eq!(system.scene.manifests()[0]["status"], "complete");
    }
}

/// All that belong together, or none.
#[test]
fn a_certified_snapshot_of_which_a_part_is_gone_is_removed() {
    for system in System::each() {
        let [_, two, _] = system.origins();
        system.killed_between_renamings();
        let list = fs::read_to_string(system.state(system.list)).unwrap();
        let lost = system.made(two, "x");
        let left: Vec<&str> = list.lines().filter(|name| !name.starts_with(&lost)).collect();
        assert!(left.len() + 1 == list.lines().count(), "{list}");
        fs::write(system.state(system.list), left.join("\n") + "\n").unwrap();
        system.take("y", &[]).assert_code(0);
        assert_eq!(system.there(), [system.made(system.origins()[0], "y")]);
        assert_eq!(system.scene.manifests()[0]["status"], "failed");
    }
}

/// ZFS says of a pool that is not imported what it says of a snapshot that is gone.
#[test]
fn a_pool_that_is_away_is_not_the_end_of_its_snapshots() {
    let system = System::zfs();
    system.killed_in_the_pause();
    let list = fs::read(system.state(system.list)).unwrap();
    fs::write(system.state(system.list), "").unwrap();
    fs::write(system.state("no-pool"), "").unwrap();
    let next =
        |name| system.scene.snapshot(["mail", "--min-open", "0", "--name", name, "--", "true"]);
    let away = next("away");
    away.assert_code(0);
    assert!(away.stderr.contains("cannot clean up"), "{away:?}");
    fs::write(system.state(system.list), list).unwrap();
    fs::remove_file(system.state("no-pool")).unwrap();
    next("back").assert_code(0);
    assert_eq!(system.there(), [""; 0]);
}

/// The real LVM, without the device mapper: it knows names, room and what is there from the metadata
/// of the group. Only a snapshot takes the kernel, so a plain volume takes its place.
#[test]
fn the_real_lvm_takes_these_arguments_and_names() {
    let Some(group) = Group::new() else {
        return;
    };
    let scene = Scene::new();
    let flags = group.flags().join(" ");
    for tool in ["lvchange", "lvrename", "lvremove"] {
        scene.stand_in(tool, &format!(r#"exec "$REAL" {flags} "$@""#));
    }
    // What stands for its activation is left out; what it says of names and sizes is not.
    let create = format!(
        r#"test=; if [ "$1" = --test ]; then test=$1; shift; fi
        [ "$1 $2 $3 $4 $6" = "-y -s -pr -n -L" ] || exit 9
        exec "$REAL" {flags} $test -y -an -Zn -n "$5" -L "$7" "${{8%/*}}""#
    );
    scene.stand_in("lvcreate", &create);
    // Without the kernel nothing is ever active.
    let list = format!(
        r#"out=$("$REAL" {flags} "$@") || exit; echo "$out" | sed 's/"-wi-XX----"/"-wi-a-----"/'"#
    );
    scene.stand_in("lvs", &list);
    let origin = format!("{}/mail", group.name);
    let take = |name: &str, size: &str| {
        scene.snapshot([
            "mail",
            "--min-open",
            "0",
            "--name",
            name,
            "--size",
            size,
            "--lvm",
            &origin,
        ])
    };
    let done = take("x", "8m");
    done.assert_code(0);
    assert_eq!(done.stdout, format!("/dev/{origin}-x\n"));
    group.lvm(&["lvs", &format!("{origin}-x")]);
    let before = scene.generation();
    take("x", "8m").assert_refused(73, "another --name");
    take("y", "24m").assert_refused(73, "bytes free");
    take("a_tdata", "4m").assert_refused(73, "reserved");
    assert_eq!(scene.generation(), before);
    // A run that died: the names are those that the tools know.
    let mut manifest = scene.manifest();
    manifest["status"] = "begun".into();
    fs::write(scene.path("catalog/x.json"), manifest.to_string()).unwrap();
    let partial = manifest["volumes"][0]["partial"].as_str().unwrap();
    group.lvm(&["lvrename", &format!("{origin}-x"), partial]);
    let next = scene.snapshot(["mail", "--min-open", "0", "--name", "next", "--", "true"]);
    assert!(next.stderr.contains("its data is removed"), "{next:?}");
    let left =
        std::process::Command::new("lvs").args(group.flags()).arg(&group.name).output().unwrap();
    assert!(!String::from_utf8(left.stdout).unwrap().contains("mail-x"));
}

/// A volume group on a loop device, known to this test alone.
struct Group {
    _folder: tempfile::TempDir,
    device: String,
    name: String,
}

impl Group {
    fn new() -> Option<Group> {
        if !is_root() {
            return None;
        }
        if !Path::new("/usr/sbin/lvs").exists() && !Path::new("/sbin/lvs").exists() {
            crate::common::skip("lvm2 is missing");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
        let device = must_say("losetup", &["--find", "--show"], &file);
        let name = format!("stillpoint{}", std::process::id());
        let group = Group { _folder: folder, device, name };
        group.lvm(&["pvcreate", "-q", &group.device]);
        group.lvm(&["vgcreate", "-q", &group.name, &group.device]);
        group.lvm(&["lvcreate", "-an", "-Zn", "-n", "mail", "-L", "32m", &group.name]);
        Some(group)
    }

    /// Without the kernel's part, and on this device alone.
    fn flags(&self) -> [String; 4] {
        ["--devices", &self.device, "--driverloaded", "n"].map(str::to_owned)
    }

    fn lvm(&self, words: &[&str]) {
        crate::common::must(
            std::process::Command::new(words[0]).args(self.flags()).args(&words[1..]),
        );
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

#[test]
fn a_manifest_cannot_have_others_destroyed() {
    for system in System::each() {
        system.take("x", &[]).assert_code(0);
        let precious = system.made(system.origins()[0], "precious");
        let list = fs::read_to_string(system.state(system.list)).unwrap();
        fs::write(system.state(system.list), format!("{list}{precious}\n")).unwrap();
        let mut manifest = system.manifest();
        manifest["status"] = "begun".into();
        manifest["volumes"][0]["partial"] = precious.as_str().into();
        fs::write(system.scene.path("catalog/x.json"), manifest.to_string()).unwrap();
        system.take("y", &[]).assert_code(0);
        assert!(system.there().contains(&precious));
    }
}

/// As an earlier version began it: anybody could give that name.
#[test]
fn what_need_not_be_what_the_run_made_is_left_and_named() {
    for system in System::each() {
        let made = system.made(system.origins()[0], "x");
        system.take("x", &[]).assert_code(0);
        let stranger = format!("{made}.partial");
        system.scene.edit("x", |manifest| {
            manifest["status"] = "begun".into();
            manifest["volumes"][0]["partial"] = stranger.as_str().into();
            manifest["volumes"][0]["identity"] = Value::Null;
        });
        let list = fs::read_to_string(system.state(system.list)).unwrap();
        fs::write(system.state(system.list), list.replace(&made, &stranger)).unwrap();
        let done = system.take("y", &[]);
        done.assert_code(0);
        assert!(done.stderr.contains(&format!("{stranger} is left, as nothing tells")), "{done:?}");
        assert!(system.there().contains(&stranger), "{:?}", system.there());
        assert_eq!(system.scene.manifests()[0]["status"], "failed");
    }
}

/// Somebody destroyed it and made another one of that name.
#[test]
fn what_has_the_name_of_a_snapshot_by_now_is_neither_renamed_nor_destroyed() {
    for system in System::each() {
        let made = system.made(system.origins()[0], "x");
        for status in ["complete", "certified"] {
            system.take("x", &[]).assert_code(0);
            let mut name = made.clone();
            system.scene.edit("x", |manifest| {
                manifest["status"] = status.into();
                if status == "certified" {
                    name = manifest["volumes"][0]["partial"].as_str().unwrap().to_owned();
                }
            });
            let list = fs::read_to_string(system.state(system.list)).unwrap();
            fs::write(system.state(system.list), list.replace(&made, &name)).unwrap();
            let kind = if system.is_zfs() { "guid" } else { "uuid" };
            fs::write(system.state(&format!("{kind}-{}", name.replace('/', ":"))), "2").unwrap();
            system.take("y", &[]).assert_code(0);
            run(system.scene.stillpoint().args(["prune", "--keep", "1"])).assert_code(0);
            assert!(system.there().contains(&name), "{:?}", system.there());
            // Nothing else is left of it.
            fs::write(system.state(system.list), list.replace(&format!("{made}\n"), "")).unwrap();
            let _ = fs::remove_file(system.scene.path("catalog/x.json"));
            fs::remove_file(system.scene.path("catalog/y.json")).unwrap();
        }
    }
}

/// The name of one that failed may be anybody's by now.
#[test]
fn pruning_the_record_of_a_failure_destroys_nothing_but_what_was_kept() {
    for system in System::each() {
        let [origin, _, three] = system.origins();
        let script = r#"case "$*" in *dozer* | *thin*) fail "I/O error" ;; esac"#;
        system.trouble(system.taking, Some(script));
        let fail = |name: &str, options: &[&str]| {
            run(system.command(name, options).arg(three)).assert_code(73);
        };
        fail("gone", &[]);
        fail("kept", &["--keep-failed"]);
        // The last failure stays.
        fail("last", &[]);
        system.trouble(system.taking, None);
        let theirs = system.made(origin, "gone");
        let list = fs::read_to_string(system.state(system.list)).unwrap();
        fs::write(system.state(system.list), format!("{list}{theirs}\n")).unwrap();
        system.take("good", &[]).assert_code(0);
        let pruned = run(system.scene.stillpoint().args(["prune", "--keep", "1"]));
        pruned.assert_code(0);
        let mut expected = vec![theirs, system.made(origin, "good")];
        expected.sort();
        assert_eq!(system.there(), expected, "{pruned:?}");
    }
}

#[test]
fn a_dry_run_and_json() {
    for system in System::each() {
        let dry = system.take("x", &["--dry-run", "--json"]);
        dry.assert_code(0);
        let report: Value = serde_json::from_str(&dry.stdout).unwrap();
        assert_eq!(report["status"], "planned");
        assert_eq!(report["volumes"][0]["name"], system.made(system.origins()[0], "x"));
        assert_eq!(system.there(), [""; 0]);
        assert_eq!(system.scene.generation(), 0);
    }
}

/// lvcreate freezes the file system: a barrier on it would never open again.
#[test]
fn a_barrier_on_a_volume_that_is_frozen_is_refused() {
    let images = [(Image::xfs(), false), (Image::btrfs(), true)];
    for (image, has_subvolumes) in images {
        let Some(image) = image else {
            return;
        };
        let folder = image.path().join("folder");
        // Of another device by stat(2), and frozen all the same.
        match has_subvolumes {
            true => subvolume(&folder),
            false => fs::create_dir(&folder).unwrap(),
        }
        refuses_a_barrier_on(&image, &folder);
    }
}

fn refuses_a_barrier_on(image: &Image, folder: &Path) {
    let system = System::lvm().unwrap();
    let barrier = folder.join("x.barrier");
    run(system.scene.stillpoint().arg("create").arg(&barrier)).assert_code(0);
    // The stand-in says that the volume is the loop device of the image.
    let device = must_say("findmnt", &["-n", "-o", "SOURCE"], &image.path());
    let script =
        LVM.replace("\"lv_path\":\"/dev/%s\"", &format!("\"lv_path\":\"{device}\", \"x\":\"%s\""));
    system.scene.stand_in("lvs", &script);
    let mut command = system.scene.stillpoint();
    command.arg("snapshot").arg(&barrier).args(["--lvm", "vg/mail", "--size", "1M"]);
    run(&mut command).assert_refused(69, "which is frozen for it");
    assert_eq!(system.there(), [""; 0]);
    // The file system of the volume is known, and synced.
    let done = system.take("x", &[]);
    done.assert_code(0);
}

fn must_say(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = std::process::Command::new(program).args(arguments).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}
