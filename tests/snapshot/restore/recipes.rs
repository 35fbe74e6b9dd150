//! The recipes of stillpoint-restore(7): each of its commands, in the order of the page.
//!
//! But for those on ZFS and LVM, which a machine of its own runs (`tests/lab`). With a stand-in for another machine, which has a disk of its own, and for systemd.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Image, has, run};
use crate::subvolumes::Subvolumes;

const PAGE: &str = include_str!("../../../man/stillpoint-restore.7");

/// What the page supposes to be there, and what has happened since its newest snapshot.
const STORE: &str = r#"
mount --bind "$here" /srv
mount -t tmpfs none /mnt
cd /srv/mail
mkdir -p jo/Maildir/cur jo/Maildir/.Letters/cur
sqlite3 jo/settings.db 'CREATE TABLE t (x); INSERT INTO t VALUES (1);'
take() { "$STILLPOINT" snapshot mail --min-open 0 --name "$1" --btrfs /srv/mail --to /srv/snapshots; }
printf 'Subject: offer\n\ntext\n' >jo/Maildir/cur/1764.M1.host:2,S
echo then >jo/Maildir/.Letters/cur/1
cd /
"#;

#[test]
fn every_command_of_the_recipes_does_what_it_says() {
    let tools = ["sqlite3", "rsync"];
    let Some(disk) = Subvolumes::named(&["mail"]).filter(|_| has(&tools)) else { return };
    let Some(other) = Image::btrfs() else { return };
    fs::create_dir(other.path().join("snapshots")).unwrap();
    let scene = &disk.scene;
    scene.stand_in("systemctl", "exit 0");
    let remote = r#"shift; export REMOTE="$*"; exec unshare --mount sh -c 'mount --bind "$other" /srv; eval "$REMOTE"'"#;
    scene.stand_in("ssh", remote);
    scene.stand_in("stillpoint", r#"exec "$STILLPOINT" "$@""#);

    let mut script = STORE.to_owned();
    let page = PAGE.split(".Sh ON ZFS").next().unwrap();
    for line in page.lines() {
        if let Some(command) = line.strip_prefix(".Dl ") {
            script += &format!("{}\n", command.replace(r"\(dq", "\""));
        }
        script += match line {
            // What it is to be got back from, and that it is.
            ".Sh LOOK FIRST" => "take 2026-11-21T07-45-12.345Z\n",
            ".Sh ONE FILE" => "rm /srv/mail/jo/Maildir/cur/*\n",
            ".Sh ONE MAILBOX" => {
                "grep -q text /srv/mail/jo/Maildir/cur/*\nrm -r /srv/mail/jo/Maildir/.Letters/cur/1\n"
            }
            ".Sh THE WHOLE STORE" => {
                "grep -q then /srv/mail/jo/Maildir/.Letters/cur/1\nrm -r /srv/mail/jo\n"
            }
            ".Sh AFTER A CRASH IN THE NIGHT" => "grep -q text /srv/mail/jo/Maildir/cur/*\n",
            "Later only what has changed since a snapshot that both still have:" => {
                "take 2026-11-22T07-45-12.345Z\n"
            }
            _ => "",
        };
    }
    let mut command = scene.environment(Command::new("unshare"));
    command.args(["--mount", "sh", "-exc", &script]);
    command.env("here", disk.image.path()).env("other", other.path());
    let done = run(&mut command);
    done.assert_code(0);
    let letter = |machine: PathBuf| {
        fs::read_to_string(machine.join("mail/jo/Maildir/cur/1764.M1.host:2,S")).unwrap()
    };
    assert_eq!(letter(disk.image.path()), letter(other.path()));
}
