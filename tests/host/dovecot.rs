//! Dovecot: deliveries without a pause, and what a fresh Dovecot reads from a copy.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::NOBODY;

/// What all messages end with.
pub const END: &str = "the end of it";

fn settings(mail: &str, log: &str) -> String {
    format!(
        "mail_location = {mail}\nlog_path = {log}\nbase_dir = /nonexistent\nmail_uid = {NOBODY}\n\
         mail_gid = {NOBODY}\nfirst_valid_uid = 1\nhostname = example.org\n\
         postmaster_address = p@example.org\nprotocols =\nssl = no\n"
    )
}

/// Delivers messages of 200 KB one after the other, for ever; each score of them is taken away again.
pub fn writer(mut program: Command, folder: &Path, mail: &str) -> Command {
    let (configuration, message) = (folder.join("dovecot.conf"), folder.join("message"));
    // Nobody reads it: what it has delivered is read.
    fs::write(&configuration, settings(mail, "/dev/null")).unwrap();
    let line = "0123456789".repeat(7) + "\n";
    let text = format!("From: a@example.org\nSubject: s\n\n{}{END}\n", line.repeat(2800));
    fs::write(&message, text).unwrap();
    let script = "
        while :; do
            for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                /usr/lib/dovecot/dovecot-lda -c \"$0\" -e -m INBOX < \"$1\" || exit
            done
            doveadm -c \"$0\" expunge mailbox INBOX all
            doveadm -c \"$0\" purge
        done";
    program.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig", "KILL"]);
    program.args(["sh", "-c", script]);
    program.arg(configuration).arg(message);
    program.env("USER", "nobody").env("HOME", "/nonexistent");
    program.env("DOVECOT_PRESERVE_ENVS", "LD_PRELOAD STILLPOINT_ADOPT_CONFIG");
    program
}

/// How many whole messages a fresh Dovecot finds there; or what is wrong.
pub fn messages(folder: &Path, mail: &str) -> Result<usize, String> {
    let configuration = folder.join("fresh.conf");
    fs::write(&configuration, settings(mail, "/dev/stderr")).unwrap();
    let mut doveadm = Command::new("timeout");
    doveadm.args([
        "20",
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "doveadm",
        "-c",
    ]);
    doveadm.arg(&configuration).args(["fetch", "body", "mailbox", "INBOX", "all"]);
    doveadm.env("USER", "nobody").env("HOME", "/nonexistent");
    let output = doveadm.output().unwrap();
    let (text, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (found, whole) = (text.matches("body:\n").count(), text.matches(END).count());
    if !output.status.success() || !said.is_empty() {
        Err(said.chars().take(300).collect())
    } else if found != whole {
        Err(format!("{whole} of {found} messages are whole"))
    } else {
        Ok(whole)
    }
}
