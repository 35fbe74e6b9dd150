//! Hooks in their hosts: what is there works. One that is not there is missed by nobody but its administrator.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::finding::{Findings, Level};
use crate::job::Job;

/// Where hosts have their hooks: a file, or a folder of them.
const PLACES: [&str; 7] = [
    "etc/qemu/fsfreeze-hook",
    "etc/qemu/fsfreeze-hook.d",
    "usr/lib/snapper/plugins",
    "etc/vmware-tools/backupScripts.d",
    "etc/google/snapshots",
    "etc/azure",
    "etc/kopia",
];
/// Files of settings that name them.
const SETTINGS: [&str; 7] = [
    "etc/sanoid/sanoid.conf",
    "etc/zrepl/zrepl.yml",
    "etc/borgmatic/config.yaml",
    "etc/borgmatic.d",
    "etc/rsnapshot.conf",
    "etc/qemu/qemu-ga.conf",
    "etc/azure/VMSnapshotScriptPluginConfig.json",
];
/// What their settings must not say.
const OF_JOB: [&str; 5] = ["BARRIERS", "HOLD", "DRAIN", "TAKE", "KEEP"];
/// How paths to them end in their folder.
const FOLDER: &str = "/stillpoint/hooks/";

pub fn check(root: &Path, findings: &mut Findings) {
    settings(&root.join("etc/stillpoint/hooks.conf"), findings);
    for file in files(root, &PLACES) {
        let link = fs::read_link(&file).unwrap_or_default();
        let is_ours = |path: &Path| path.to_string_lossy().contains("stillpoint");
        let is_copy = || fs::read_to_string(&file).is_ok_and(|text| text.contains(FOLDER));
        if is_ours(&file) || is_ours(&link) || is_copy() {
            judge(&file, "", findings);
        }
    }
    for file in files(root, &SETTINGS) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words =
            lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'=,;".contains(c)));
        for word in words.filter(|word| word.starts_with('/') && word.contains(FOLDER)) {
            judge(Path::new(word), &format!(", which {} names", file.display()), findings);
        }
    }
}

/// Those of all hooks. They are the shell's, so that only what is said plainly is understood here.
fn settings(file: &Path, findings: &mut Findings) {
    let Ok(text) = fs::read_to_string(file) else { return };
    let mut warn = |what: String| {
        findings.add(Level::Warning, "hooks", &file.display().to_string(), what);
    };
    if fs::metadata(file).is_ok_and(|found| found.mode() & 0o022 != 0) {
        warn("others could write it, and no hook reads it; chmod go-w".to_owned());
    }
    if let Some(name) = value(&text, "JOB") {
        if let Err(failure) = Job::read(&name) {
            warn(format!("JOB={name}, and every hook fails: {failure}"));
        }
    }
    for name in OF_JOB.into_iter().filter(|name| value(&text, name).is_some()) {
        warn(format!(
            "{name} is what a job says, and every hook fails: leave it out, see stillpoint-job(5)"
        ));
    }
}

/// The last plain assignment of a word, or of words in quotes.
fn value(text: &str, name: &str) -> Option<String> {
    let of_line = |line: &str| {
        let value = line.trim().strip_prefix(name)?.strip_prefix('=')?.trim_end();
        let quoted =
            ['\'', '"'].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let value = quoted.unwrap_or(value);
        let is_plain =
            !value.contains(['$', '`', ';']) && (quoted.is_some() || !value.contains(' '));
        (is_plain && !value.is_empty()).then(|| value.to_owned())
    };
    text.lines().rev().find_map(of_line)
}

fn files(root: &Path, places: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for place in places.iter().map(|place| root.join(place)) {
        match fs::read_dir(&place) {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => files.push(place),
        }
    }
    files.retain(|file| fs::symlink_metadata(file).is_ok_and(|found| !found.is_dir()));
    files.sort();
    files
}

fn judge(file: &Path, named: &str, findings: &mut Findings) {
    let shown = file.display().to_string();
    let (level, what) = match (file.exists(), access(file, AccessFlags::X_OK)) {
        (false, _) => (Level::Warning, format!("leads nowhere{named}: its host calls nothing")),
        // Settings of its host lie beside it.
        (true, Err(_)) if file.extension().is_some_and(|end| end == "json") => return,
        (true, Err(_)) => (Level::Warning, format!("cannot be executed{named}; chmod 755 {shown}")),
        (true, Ok(())) => (Level::Ok, format!("is a hook{named}")),
    };
    findings.add(level, "hooks", &shown, what);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_is_said_plainly_in_the_settings_is_understood() {
        for (text, expected) in [
            ("JOB=mail\r\n", Some("mail")),
            ("#JOB=x\n JOB='mail'\n", Some("mail")),
            ("JOB=x\nJOB=\"mail\"", Some("mail")),
            ("JOB=$x", None),
            ("JOB=mail rm -rf", None),
            ("JOB=", None),
            ("MYJOB=mail", None),
        ] {
            assert_eq!(value(text, "JOB").as_deref(), expected, "{text:?}");
        }
        assert_eq!(value("TAKE='--copy /x'", "TAKE").as_deref(), Some("--copy /x"));
    }

    #[test]
    fn settings_by_which_every_hook_fails_are_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hooks.conf");
        let found = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let mut findings = Findings::default();
            settings(&file, &mut findings);
            findings.findings.iter().map(|one| one.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found("WAIT=5\n", 0o644), [""; 0]);
        assert!(found("WAIT=5\n", 0o664)[0].contains("others could write it"));
        let said = found("BARRIERS='mail news'\n#HOLD=7\nKEEP=3\n", 0o644);
        assert!(said.len() == 2 && said[0].contains("BARRIERS is what a job says"), "{said:?}");
        assert!(found("JOB=there-is-no-such-job\n", 0o644)[0].contains("every hook fails"));
    }

    #[test]
    fn a_hook_that_its_host_cannot_call_is_a_warning() {
        let root = tempfile::tempdir().unwrap();
        let found = || {
            let mut findings = Findings::default();
            check(root.path(), &mut findings);
            let all = findings.findings.into_iter();
            all.map(|one| (one.level, one.message)).collect::<Vec<_>>()
        };
        let plugins = root.path().join("usr/lib/snapper/plugins");
        fs::create_dir_all(&plugins).unwrap();
        fs::write(plugins.join("10-other"), "#!/bin/sh\n").unwrap();
        assert_eq!(found(), []);

        let hook = root.path().join("share/stillpoint/hooks/snapper");
        let plugin = plugins.join("50-stillpoint");
        symlink(&hook, &plugin).unwrap();
        assert!(found()[0].0 == Level::Warning && found()[0].1.contains("leads nowhere"));
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(found()[0].0 == Level::Warning && found()[0].1.contains("chmod 755"));
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found()[0].0, Level::Ok);

        fs::create_dir_all(root.path().join("etc/sanoid")).unwrap();
        let settings = root.path().join("etc/sanoid/sanoid.conf");
        let gone = "/nowhere/stillpoint/hooks/sanoid";
        fs::write(&settings, format!("# x = {gone}\npre_snapshot_script = {gone}\n")).unwrap();
        let said = found();
        assert!(said.len() == 2 && said[1].1.contains("sanoid.conf names"), "{said:?}");
    }
}
