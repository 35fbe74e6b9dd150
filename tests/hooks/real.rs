//! Real tools, as Debian has them, on a real btrfs, while a writer writes. What they keep is checked:
//! two files that agree whenever no set of writes is under way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::command::Place;
use crate::common::{Image, Running, comma, has, must, programs, run, start, subvolume, until};
use crate::host::folder;

/// restic with a repository.
const RESTIC: &str = "export RESTIC_REPOSITORY=$PWD/repository RESTIC_PASSWORD=x;";

/// A subvolume `store` with a writer, and a barrier.
struct Store {
    // In this order: the writer goes before what it writes to.
    _writer: Running,
    image: Image,
    place: Place,
}

impl Store {
    fn new(tool: &str) -> Option<Store> {
        if !has(&[tool]) {
            return None;
        }
        let (image, place) = (Image::btrfs()?, Place::with_barrier());
        subvolume(&image.path().join("store"));
        fs::create_dir(image.path().join("snapshots")).unwrap();
        let script = r#"
            while :; do
                i=$((i + 1))
                "$S" run -s mail -- sh -c 'echo "$1" >"$2/a"; sleep 0.003; echo "$1" >"$2/b"' sh $i "$1"
            done"#;
        let mut writer = place.program("sh");
        writer.args(["-c", script, "sh"]).arg(image.path().join("store"));
        let writer = start(writer);
        until("the writer writes", || image.path().join("store/b").exists());
        fs::create_dir(place.path("jobs.d")).unwrap();
        let store = Store { _writer: writer, image, place };
        store.write_job("nightly", "");
        store.write_job("impatient", "attempts = 1\npatience = 0\ndrain = 0.1\n");
        Some(store)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.image.path().join(name)
    }

    /// For the hooks; it keeps what is newest.
    fn write_job(&self, name: &str, limits: &str) {
        let text = format!(
            "barriers = 'mail'\n[snapshot]\nbtrfs = '{}'\nto = '{}'\n[limits]\nmin-open = 0\n{limits}[retention]\nkeep = 1\n",
            self.path("store").display(),
            self.path("snapshots").display()
        );
        fs::write(self.place.path(&format!("jobs.d/{name}.toml")), text).unwrap();
    }

    fn snapshot_options(&self) -> String {
        let (store, to) = (self.path("store"), self.path("snapshots"));
        format!("--btrfs {} --to {} --min-open 0", store.display(), to.display())
    }

    /// A command in this place, as its user would type it; it must succeed.
    #[track_caller]
    fn must(&self, script: &str) -> String {
        let done = run(self.shell(script));
        assert_eq!(done.code(), 0, "{script}: {done:#?}");
        done.stdout
    }

    fn restic(&self, words: &str) -> String {
        self.must(&format!("{RESTIC} restic {words}"))
    }

    /// What the newest backup has of the store, where it was.
    fn restored(&self, round: u32) -> PathBuf {
        let target = self.place.path(&format!("restored-{round}"));
        self.restic(&format!("restore -q latest --target {}", target.display()));
        target.join(self.path("store").strip_prefix("/").unwrap())
    }

    fn backups(&self) -> Vec<Value> {
        serde_json::from_str(&self.restic("snapshots --json")).unwrap()
    }

    /// Two of them, of which the second knows the first and stays alone.
    fn assert_one_line_of_backups(&self) {
        let backups = self.backups();
        assert!(backups.len() == 2 && backups[1]["parent"] == backups[0]["id"], "{backups:#?}");
        self.restic("forget -q --keep-last 1");
        assert_eq!(self.backups(), backups[1..]);
    }

    fn shell(&self, script: &str) -> Command {
        let programs = programs().display().to_string();
        let mut command = self.place.program("sh");
        comma::surround(&mut command);
        command
            .args(["-euc", script])
            .env("PATH", format!("{programs}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
            .env("HOME", self.place.path(""))
            .env("HOOKS", folder())
            .env("STILLPOINT_HOOKS_CONF", self.place.path("hooks.conf"))
            .env("STILLPOINT_CATALOG", self.place.path("catalog"))
            .env("STILLPOINT_JOBS", self.place.path("jobs.d"))
            .env("STILLPOINT_STATE_DIR", self.place.path("state"))
            .env("STILLPOINT_JOB", "nightly")
            .env("OPTIONS", self.snapshot_options())
            .env("M", self.image.path());
        command
    }
}

#[track_caller]
fn assert_whole(folder: &Path) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("a"), read("b"), "{}", folder.display());
}

#[test]
fn btrbk_in_the_barrier() {
    let Some(store) = Store::new("btrbk") else {
        return;
    };
    let configuration = format!(
        "timestamp_format long-iso\nvolume {}\n  snapshot_dir snapshots\n  subvolume store\n",
        store.image.path().display()
    );
    fs::write(store.place.path("btrbk.conf"), configuration).unwrap();
    for _ in 0..3 {
        store.must("stillpoint run -x mail -- btrbk -q -c btrbk.conf snapshot");
        std::thread::sleep(std::time::Duration::from_millis(1001));
    }
    let made: Vec<PathBuf> =
        fs::read_dir(store.path("snapshots")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(made.len(), 3);
    made.iter().for_each(|made| assert_whole(made));
}

/// Debian 12's snapper calls its plugins after the snapshot only, so the barrier goes around it; the
/// plugin, which waits for events of later versions, does no harm there.
#[test]
fn snapper_in_the_barrier() {
    let Some(store) = Store::new("snapper") else {
        return;
    };
    // Its folders are fixed, so they are others in a mount namespace of its own.
    let script = r#"
        plugins=/usr/lib/snapper/plugins
        mkdir -p $plugins plugins etc/configs
        ln -s "$HOOKS/snapper" plugins/50-stillpoint
        mount --bind plugins $plugins
        mount --bind etc /etc/snapper
        : >etc/snapper
        mount --bind etc/snapper /etc/default/snapper
        export STILLPOINT_RECORD=$PWD/record
        snapper --no-dbus -c store create-config "$M/store"
        for i in 1 2 3; do
            stillpoint run -x mail -- snapper --no-dbus -c store create
        done"#;
    let mut command = store.place.program("unshare");
    let shell = store.shell(script);
    command.args(["--mount", "--"]).arg(shell.get_program()).args(shell.get_args());
    for (name, value) in shell.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let done = run(command);
    assert_eq!(done.code(), 0, "{done:#?}");
    for number in 1..=3 {
        assert_whole(&store.path(&format!("store/.snapshots/{number}/snapshot")));
    }
    assert!(!store.place.path("record").exists(), "there was nothing to record");
    must(
        Command::new("sh")
            .args(["-c", r#"btrfs -q subvolume delete "$1"/*/snapshot >/dev/null"#, "sh"])
            .arg(store.path("store/.snapshots")),
    );
}

#[test]
fn restic_by_its_hook() {
    let Some(store) = Store::new("restic") else {
        return;
    };
    store.restic("init -q");
    for round in 0..2 {
        store.must(&format!("{RESTIC} \"$HOOKS/restic\" -q --tag mail"));
        assert_whole(&store.restored(round));
    }
    assert_eq!(fs::read_dir(store.path("snapshots")).unwrap().count(), 1);
    store.assert_one_line_of_backups();
}

/// restic looks for what it has by the path that it reads: with each snapshot at another one it reads all of
/// it each time, and never forgets any.
#[test]
fn restic_knows_what_it_has_at_a_fixed_place() {
    let Some(store) = Store::new("restic") else {
        return;
    };
    store.restic("init -q");
    let source = store.path("store").display().to_string();
    for round in 0..2 {
        store.must("stillpoint snapshot mail $OPTIONS >/dev/null");
        store.must(&format!(
            "{RESTIC} stillpoint use --latest --at {source} mail -- restic backup -q {source}"
        ));
        assert_whole(&store.restored(round));
    }
    store.assert_one_line_of_backups();

    // By their own paths they have nothing to do with each other.
    for _ in 0..2 {
        store.must("stillpoint snapshot mail $OPTIONS >/dev/null");
        let backup = r#"restic backup -q "$STILLPOINT_SNAPSHOT_PATH""#;
        store.must(&format!("{RESTIC} stillpoint use --latest mail -- sh -c '{backup}'"));
    }
    store.restic("forget -q --keep-last 1");
    assert_eq!(store.backups().len(), 3);
}

/// borg remembers files by their path too.
#[test]
fn borg_knows_what_it_has_at_a_fixed_place() {
    let Some(store) = Store::new("borg") else {
        return;
    };
    store.must("borg init -e none repository 2>&1");
    fs::write(store.path("store/still"), "unchanged").unwrap();
    let source = store.path("store").display().to_string();
    let mut listed = Vec::new();
    for round in 0..2 {
        // A file as old as the newest one may still change unseen, and is read again.
        std::thread::sleep(std::time::Duration::from_millis(10));
        store.must("stillpoint snapshot mail $OPTIONS >/dev/null");
        let create = format!("borg create --list repository::{round} {source} 2>&1");
        let use_it = format!("stillpoint use --latest --at {source} mail --");
        listed.push(store.must(&format!("{use_it} sh -c '{create}'")));
    }
    let still = source + "/still";
    let state = |listed: &str| {
        let line = listed.lines().find(|line| still.ends_with(line.split_at(2).1)).unwrap();
        line.chars().next().unwrap()
    };
    assert_eq!(listed.iter().map(|listed| state(listed)).collect::<String>(), "AU", "{listed:#?}");
}

#[test]
fn borg_reads_what_is_pinned() {
    let Some(store) = Store::new("borg") else {
        return;
    };
    store.must("borg init -e none repository 2>&1");
    for round in 0..2 {
        store.must("stillpoint snapshot mail $OPTIONS >/dev/null");
        store.must(&format!(
            r#"stillpoint use --latest mail -- sh -c 'cd "$STILLPOINT_SNAPSHOT_PATH" && borg create "$1::{round}" .' sh "$PWD/repository""#
        ));
        store.must("stillpoint prune --keep 1 mail >/dev/null");
        store.must(&format!("mkdir {round} && cd {round} && borg extract ../repository::{round}"));
        assert_whole(&store.place.path(&round.to_string()));
    }
    assert_eq!(fs::read_dir(store.path("snapshots")).unwrap().count(), 1);
}

/// As of 1.7, which Debian 12 has; a repository that was not reached is an error, and one that was asked
/// for with 75 is skipped.
#[test]
fn borgmatic_by_its_hook() {
    let Some(store) = Store::new("borgmatic") else {
        return;
    };
    let (repository, current) = (store.place.path("repository"), store.place.path("current"));
    let hook = folder().join("borgmatic");
    let configuration = format!(
        "location:
    working_directory: {current}
    source_directories:
        - .
    repositories:
        - {repository}
    borgmatic_source_directory: {current}/none
retention:
    keep_daily: 7
hooks:
    before_backup:
        - {hook} before {current}
    after_backup:
        - {hook} after
",
        current = current.display(),
        repository = repository.display(),
        hook = hook.display()
    );
    fs::write(store.place.path("borgmatic.yaml"), configuration).unwrap();
    store.must("borgmatic -c borgmatic.yaml init -e none");
    let archives = || store.must("borg list --short repository").lines().count();
    for round in 1..=2 {
        store.must("borgmatic -c borgmatic.yaml create");
        assert_eq!(archives(), round);
        let last = r#"borg list --short repository | tail -1"#;
        let extract = r#"borg extract "../repository::$archive""#;
        store.must(&format!("archive=$({last}); mkdir {round}; cd {round}; {extract}"));
        assert_whole(&store.place.path(&round.to_string()));
    }
    assert_eq!(fs::read_dir(store.path("snapshots")).unwrap().count(), 1);

    // Nothing of a store that is never quiet, and not silently.
    let _inside = store.place.hold(&["-s"]);
    let job = "STILLPOINT_JOB=impatient";
    let create = "borgmatic -c borgmatic.yaml create";
    let refused = run(store.shell(&format!("{job} {create}")));
    assert_eq!(refused.code(), 1, "{refused:#?}");
    assert!(format!("{refused:?}").contains("returned non-zero exit status 1"), "{refused:#?}");
    let skipped = run(store.shell(&format!("STILLPOINT_ON_CONFLICT=75 {job} {create}")));
    assert_eq!(skipped.code(), 0, "{skipped:#?}");
    assert_eq!(archives(), 2);
}

#[test]
fn rsnapshot_by_its_hook() {
    let Some(store) = Store::new("rsnapshot") else {
        return;
    };
    let (place, link) = (store.place.path(""), store.place.path("current"));
    let hook = folder().join("rsnapshot");
    let configuration = [
        "config_version 1.2".to_string(),
        format!("snapshot_root {}root/", place.display()),
        "no_create_root 0".into(),
        "cmd_cp /bin/cp".into(),
        "cmd_rm /bin/rm".into(),
        "cmd_rsync /usr/bin/rsync".into(),
        "retain alpha 3".into(),
        format!("lockfile {}rsnapshot.pid", place.display()),
        format!("cmd_preexec {} pre {}", hook.display(), link.display()),
        format!("cmd_postexec {} post", hook.display()),
        format!("backup {}/ localhost/", link.display()),
    ];
    // The first two words of each line have a tab between them, and the third of a backup.
    let tabbed = |line: &String| {
        let words = if line.starts_with("backup ") || line.starts_with("retain ") { 2 } else { 1 };
        line.replacen(' ', "\t", words)
    };
    let text: Vec<String> = configuration.iter().map(tabbed).collect();
    fs::write(store.place.path("rsnapshot.conf"), text.join("\n") + "\n").unwrap();
    let by_hand = format!(r#""$HOOKS/rsnapshot" pre {}; "$HOOKS/rsnapshot" post"#, link.display());
    store.must(&by_hand);
    for _ in 0..2 {
        store.must("rsnapshot -c rsnapshot.conf alpha");
    }
    for number in 0..2 {
        let made = store.place.path(&format!("root/alpha.{number}/localhost"));
        let found = Command::new("find").arg(&made).args(["-name", "a"]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        assert_whole(Path::new(found.trim()).parent().unwrap());
    }
    assert_eq!(fs::read_dir(store.path("snapshots")).unwrap().count(), 1);
    let mode = fs::metadata(hook).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
}

/// The same store without the barrier around the tool: this is what it is worth.
#[test]
fn without_the_barrier_the_same_store_is_torn() {
    let Some(store) = Store::new("btrfs") else {
        return;
    };
    let torn = (0..20).filter(|round| {
        let to = store.path(&format!("snapshots/{round}"));
        must(
            Command::new("btrfs")
                .args(["-q", "subvolume", "snapshot", "-r"])
                .arg(store.path("store"))
                .arg(&to),
        );
        fs::read(to.join("a")).unwrap() != fs::read(to.join("b")).unwrap()
    });
    assert!(torn.count() > 0);
}
