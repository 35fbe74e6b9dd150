//! Several pauses at once: of one host, of two, and of several barriers.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::calls::{SIDE_BY_SIDE, each, of_nothing};
use crate::harness::finish;
use crate::host::{Call, Host};

/// The end of one snapshot is not that of another, and neither hears of a pause that was not its own.
#[test]
fn two_snapshots_side_by_side() {
    for ((hook, pre, post), other_pre, other_post) in SIDE_BY_SIDE {
        let host = Host::new(hook);
        assert_eq!(host.call(pre).code(), 0);
        let generation = host.place.status()["generation"].clone();
        assert_eq!(host.call(other_pre).code(), 75, "{hook}: the first one is under way");
        assert_eq!(host.call(other_post).code(), of_nothing(&host));
        assert_eq!(host.place.status()["generation"], generation, "{hook}: was never opened");
        assert_eq!(host.call(post).code(), 0, "{hook}: it held");

        // The first is given up on, and the other one begins: the first comes back too late.
        assert_eq!(host.call_with(pre, "HOLD", "0.2").code(), 0);
        host.wait_for_limit();
        assert_eq!(host.call(other_pre).code(), 0);
        let late = host.call(post);
        assert_eq!(late.code(), 124, "{hook}: {late:?}");
        assert!(host.is_closed(), "{hook}: that was not its own to thaw");
        assert_eq!(host.call(other_post).code(), 0);
    }
}

/// A barrier known by its path is no different.
#[test]
fn two_hosts_side_by_side() {
    each(|host, pre, post| {
        if host.hook == "vmware" {
            return;
        }
        let path = host.place.barrier();
        let path = path.to_str().unwrap();
        let other = |arguments| {
            let mut command = host.command_of("vmware", Call::with_arguments(arguments));
            command.env("BARRIERS", path);
            finish(command).code()
        };
        assert_eq!(other(&["freeze"]), 0);
        assert_eq!(host.call_with(pre, "BARRIERS", path).code(), 75, "{}", host.hook);
        host.call_with(post, "BARRIERS", path);
        assert!(host.is_closed(), "{}: that was not its own to thaw", host.hook);
        assert_eq!(other(&["thaw"]), 0, "{}: it held", host.hook);
        assert_eq!(host.call_with(pre, "BARRIERS", path).code(), 0);
        assert_eq!(host.call_with(post, "BARRIERS", path).code(), 0);
    });
}

#[test]
fn of_two_barriers_both_or_none() {
    each(|host, pre, post| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        let gate = |name: &str| {
            let done = host.place.run(["status", "--json", name]).stdout;
            serde_json::from_str::<serde_json::Value>(&done).unwrap()["gate"].clone()
        };
        assert_eq!(host.call_with(pre, "BARRIERS", "mail news").code(), 0);
        assert_eq!((gate("mail"), gate("news")), ("closed".into(), "closed".into()));
        assert_eq!(host.call_with(post, "BARRIERS", "mail news").code(), 0, "{}", host.hook);
        assert_eq!((gate("mail"), gate("news")), ("open".into(), "open".into()));

        assert_eq!(host.call_with(pre, "BARRIERS", "mail nothing").code(), 66);
        assert_eq!(gate("mail"), "open");
    });
}

/// The host's limit is one for all barriers: what one of them takes is missing to the next.
#[test]
fn all_barriers_share_one_wait() {
    each(|host, pre, post| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        let log = host.record_commands(r#"[ "$1" != freeze ] || sleep 1"#);
        let mut command = host.command(pre);
        command.env("BARRIERS", "mail news").env("WAIT", "8").env("PATH", host.place.path("bin"));
        assert_eq!(finish(command).code(), 0, "{}", host.hook);
        assert_eq!(host.call_with(post, "BARRIERS", "mail news").code(), 0);
        let waits = crate::host::values_of(&log, "-w");
        assert!(waits.len() == 2 && waits[0] <= 8.0, "{}: {waits:?}", host.hook);
        assert!(waits[1] <= waits[0] - 1.0, "{}: {waits:?}", host.hook);
    });
}

/// Hosts that never come back leave a token each.
#[test]
fn tokens_of_yesterday_are_cleared_away() {
    each(|host, pre, post| {
        let folder = host.place.barrier();
        let folder = folder.parent().unwrap();
        let token = |age: u64| {
            let path = folder.join(format!(".{}.{age}.token", host.hook));
            fs::write(&path, "").unwrap();
            let then = SystemTime::now() - Duration::from_secs(age);
            fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
            path
        };
        let (old, young) = (token(3 * 24 * 60 * 60), token(60 * 60));
        assert_eq!(host.call(pre).code(), 0);
        assert!(!old.exists() && young.exists(), "{}", host.hook);
        assert_eq!(host.call(post).code(), 0);
    });
}
