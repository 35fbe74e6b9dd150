//! What is not here, played: a guest's agent by a program that says what virsh(1) does, and a container's
//! barrier by one in another folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::command::Place;
use crate::common::{ms, until};
use crate::driven::{SHELLS, tools};
use crate::store::Store;

/// A guest is a file, which is there while it is frozen; one of the name `dead` has no agent.
const VIRSH: &str = r#"#!/bin/sh
[ "$1 $2" = '--connect test:///a b' ] || { echo "error: failed to connect to the hypervisor" >&2; exit 1; }
file=$TMPDIR/$4
case "$4" in
dead) sleep 30 ;;
none) echo "error: failed to get domain 'none'" >&2; echo >&2; exit 1 ;;
esac
case $3 in
domfsinfo) echo ' Mountpoint   Name' ;;
domfsfreeze)
    [ ! -e "$file" ] || { echo 'error: Unable to freeze filesystems' >&2
        echo "error: internal error: the guest is already frozen" >&2; exit 1; }
    : >"$file"; echo 'Froze 2 filesystem(s)' ;;
domfsthaw) if rm "$file" 2>/dev/null; then echo 'Thawed 2 filesystem(s)'; else echo 'Thawed 0 filesystem(s)'; fi ;;
esac
"#;

#[test]
fn a_guest_stands_still_and_goes_on() {
    let place = Place::new();
    for shell in SHELLS {
        let virsh = tools(&place, shell).join("virsh");
        fs::write(&virsh, VIRSH).unwrap();
        fs::set_permissions(virsh, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let guest = place.path("my guest");
    let store = Store {
        place: &place,
        participant: "libvirt",
        arguments: ["my guest", "--connect", "test:///a b"].map(str::to_owned).to_vec(),
        written: None,
        write: &|| until("the guest goes on", || !guest.exists()),
    };
    store.must_behave();

    store.cannot(&["my guest"], ms(3000), &["failed to connect"]);
    store.cannot(&["none", "--connect", "test:///a b"], ms(3000), &["failed to get domain 'none'"]);
    // Somebody else has frozen it, and will thaw it.
    fs::write(&guest, "").unwrap();
    store.cannot(&["my guest", "--connect", "test:///a b"], ms(3000), &["Unable to freeze"]);
    assert!(guest.exists());
    fs::remove_file(&guest).unwrap();
    // Somebody else has thawed it.
    let mut driven = store.ready("dash");
    driven.ask("freeze 10000", "frozen");
    fs::remove_file(&guest).unwrap();
    driven.say("thaw");
    assert_eq!(driven.hear(), None);
    assert_eq!(driven.end().0, 1);
}

#[test]
fn a_barrier_of_elsewhere_is_held_and_given_back() {
    let (place, there) = (Place::new(), Place::with_barrier());
    let folder = there.barrier().parent().unwrap().display().to_string();
    let prefix = ["mail", "env", &format!("STILLPOINT_DIR={folder}")].map(str::to_owned);
    let store = Store {
        place: &place,
        participant: "stillpoint",
        arguments: prefix.to_vec(),
        written: None,
        write: &|| there.run(["run", "-s", "-w", "20", "mail", "true"]).assert_code(0),
    };
    store.must_behave();

    store.cannot(&["other", "env"], ms(3000), &["no barrier at"]);
    store.cannot(&["mail", "/no/such/program"], ms(3000), &["/no/such/program"]);
    // A writer there that does not leave: it says so before anybody here has waited for long.
    let _writer = there.hold(&["-s"]);
    let words: Vec<&str> = prefix.iter().map(String::as_str).collect();
    store.cannot(&words, ms(6000), &["was not quiet"]);
}
