//! Permissions of what others must read: set, and not left to the umask.

use crate::common::command::Place;
use crate::common::{is_root, run};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn the_folder_of_names_lets_the_group_in() {
    for umask in ["077", "027", "002", "000"] {
        let place = Place::new();
        let folder = place.path("deep/barriers");
        let script = format!("umask {umask}; $S create mail && $S run -s mail sh -c 'kill -9 $$'");
        let mut shell = place.program("/bin/sh");
        shell.args(["-c", &script]).env("STILLPOINT_DIR", &folder);
        let outcome = run(shell);
        assert_eq!(outcome.code(), 128 + 9, "{umask}: {outcome:?}");
        for folder in [&folder, folder.parent().unwrap()] {
            assert_eq!(mode(folder), 0o755, "{umask}: {}", folder.display());
        }
        assert_eq!(mode(&folder.join("mail.barrier")), 0o660, "{umask}");
        assert_eq!(mode(&place.state()), 0o644, "{umask}, written twice");
    }
}

/// The real folders, in a mount namespace of their own.
#[test]
fn a_member_of_the_group_takes_part_whatever_roots_umask() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let script = r#"
        mount -t tmpfs stillpoint-test /run
        mount -t tmpfs stillpoint-test /var/lib
        umask 077
        $S create mail --group 65534
        stat -c '%a %n' /run/stillpoint /var/lib/stillpoint /var/lib/stillpoint/mail.state
        as="setpriv --reuid=65533 --regid=65534 --clear-groups"
        $as $S run -s mail echo in
        token=$($S freeze mail)
        $as $S thaw --token "$token" mail
        $as $S status mail | head -n 1
        test -r /var/lib/stillpoint/mail.state && $as test -r /var/lib/stillpoint/mail.state
        "#;
    let mut unshare = place.program("unshare");
    unshare.args(["--mount", "sh", "-euc", script]);
    unshare.env_remove("STILLPOINT_DIR").env_remove("STILLPOINT_STATE_DIR");
    let outcome = run(unshare);
    let expected = "755 /run/stillpoint\n755 /var/lib/stillpoint\n\
        644 /var/lib/stillpoint/mail.state\nin\n/run/stillpoint/mail.barrier\n";
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, expected), "{outcome:?}");
}

/// One user's runtime folder is made by the system, with permissions that are its affair.
#[test]
fn a_runtime_folder_is_not_made() {
    let place = Place::new();
    let runtime = place.path("run/user/7");
    let mut create = place.command(["create", "--user", "mine"]);
    create.env("XDG_RUNTIME_DIR", &runtime);
    run(create).assert_complaint(73, &["there is no folder", "run/user/7"]);
    assert!(!place.path("run").exists());
}

#[test]
fn a_barrier_that_everybody_may_read_is_warned_of() {
    let place = Place::new();
    let created = place.run(["create", "mail", "--mode", "0664"]);
    created.assert_complaint(0, &["warning: ", "everybody may read it, and so lock it"]);
    let created = place.run(["create", "news", "--mode", "0640"]);
    assert_eq!((created.code(), created.stderr.as_str()), (0, ""));
}
