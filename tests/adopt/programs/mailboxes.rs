//! Delivery agents, each run for one message.

use super::pause::{finishes_after_the_pause, goes_on};
use super::{MESSAGE, Unpacked, is_missing};
use crate::common::must;
use crate::harness::Scene;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// Gives the message to a program, and says so when that has taken it.
fn delivery(scene: &Scene, program: impl AsRef<Path>, arguments: &[&Path]) -> Command {
    let message = scene.elsewhere("message");
    fs::write(&message, MESSAGE).unwrap();
    let mut command = scene.adopted("sh");
    command.args(["-c", "message=$0; \"$@\" < \"$message\" && echo delivered"]).arg(message);
    command.arg(program.as_ref()).args(arguments);
    command
}

/// How many there are in a mailbox.
fn messages(mailbox: &Path) -> usize {
    fs::read_to_string(mailbox).unwrap().matches("Subject: s\n").count()
}

#[test]
fn procmail_to_a_mailbox_and_to_a_maildir() {
    if is_missing("procmail") {
        return;
    }
    let scene = Scene::new();
    let rules = scene.elsewhere("rules");
    // Without its set-group-ID, for which it would drop what it is to preload.
    let program = scene.elsewhere("procmail");
    fs::copy("/usr/bin/procmail", &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let deliver = |mailbox: &str| {
        fs::write(&rules, format!("DEFAULT={mailbox}\n")).unwrap();
        delivery(&scene, &program, &["-m".as_ref(), &rules])
    };
    let mailbox = scene.file("mailbox");
    let to_mailbox = || deliver(mailbox.to_str().unwrap());
    must(to_mailbox());
    let said = finishes_after_the_pause(&scene, &mut to_mailbox(), "procmail", &mailbox);
    assert_eq!((said.as_str(), messages(&mailbox)), ("delivered", 2));
    // No lock is taken for a Maildir: each message is there or is not.
    let folder = scene.file("maildir");
    let to_maildir = || deliver(&format!("{}/", folder.display()));
    must(to_maildir());
    goes_on(&scene, &mut to_maildir(), &folder);
}

#[test]
fn maildrop_to_a_mailbox() {
    let Some(unpacked) = Unpacked::with("maildrop", "usr/bin/maildrop") else { return };
    let scene = Scene::new();
    let (filter, mailbox) = (scene.elsewhere("filter"), scene.file("mailbox"));
    fs::write(&filter, format!("to \"{}\"\n", mailbox.display())).unwrap();
    fs::set_permissions(&filter, Permissions::from_mode(0o600)).unwrap();
    let deliver = || {
        let mut command = delivery(&scene, unpacked.path("usr/bin/maildrop"), &[&filter]);
        command.env("LD_LIBRARY_PATH", unpacked.libraries());
        command
    };
    must(deliver());
    let said = finishes_after_the_pause(&scene, &mut deliver(), "maildrop", &mailbox);
    assert_eq!((said.as_str(), messages(&mailbox)), ("delivered", 2));
}

/// Each format that Dovecot has, by its delivery agent.
#[test]
fn dovecots_delivery_agent() {
    let agent = "/usr/lib/dovecot/dovecot-lda";
    if is_missing(agent) || is_missing("doveadm") {
        return;
    }
    let scene = Scene::new();
    let settings = scene.elsewhere("dovecot.conf");
    const NOBODY: u32 = 65534;
    fs::set_permissions(scene.barrier.path(), Permissions::from_mode(0o666)).unwrap();
    for format in ["mbox", "maildir", "sdbox", "mdbox"] {
        let home = scene.file(format);
        let data = home.join("mail");
        for folder in [&home, &data] {
            fs::create_dir(folder).unwrap();
            chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let place = home.display();
        let text = format!(
            "mail_location = {format}:{place}/mail\nlog_path = {place}/log\nbase_dir = {place}/run\n\
             mail_uid = {NOBODY}\nmail_gid = {NOBODY}\nfirst_valid_uid = 1\nhostname = example.org\n\
             postmaster_address = p@example.org\nprotocols =\nssl = no\n"
        );
        fs::write(&settings, text).unwrap();
        let deliver = || {
            let words = ["--reuid=65534", "--regid=65534", "--clear-groups", agent, "-c"];
            let mut words: Vec<&Path> = words.map(Path::new).into();
            words.extend([&settings, Path::new("-e"), Path::new("-m"), Path::new("INBOX")]);
            let mut command = delivery(&scene, "setpriv", &words);
            command.env("USER", "nobody").env("HOME", &home);
            // It becomes doveconf and comes back, and keeps what it is told to.
            command.env("DOVECOT_PRESERVE_ENVS", "LD_PRELOAD STILLPOINT_ADOPT_CONFIG");
            command
        };
        let first = deliver().output().unwrap();
        let log = fs::read_to_string(home.join("log")).unwrap_or_default();
        assert!(first.status.success(), "{format}: {first:?} {log}");
        let said = finishes_after_the_pause(&scene, &mut deliver(), "dovecot-lda", &data);
        assert_eq!(said, "delivered", "{format}");
        let mut fetch = Command::new("setpriv");
        fetch.args(["--reuid=65534", "--regid=65534", "--clear-groups", "doveadm", "-c"]);
        fetch.arg(&settings).args(["fetch", "hdr.subject", "all"]);
        fetch.env("HOME", &home).env("USER", "nobody");
        let found = String::from_utf8(must(fetch).stdout).unwrap();
        assert_eq!(found.matches("hdr.subject: s\n").count(), 2, "{format}: {found}");
    }
}
