//! Hosts that take the snapshot themselves: everything that they may do with the two calls.

use nix::sys::signal::Signal;

use crate::calls::{HOSTS, each, of_nothing};
use crate::common::{start, until};
use crate::host::{Call, Host};

#[test]
fn before_and_after() {
    each(|host, pre, post| {
        let frozen = host.call(pre);
        assert_eq!((frozen.code(), frozen.stdout.as_str()), (0, ""), "{}: {frozen:?}", host.hook);
        assert!(host.is_closed());
        assert_eq!(host.place.status()["holder"]["label"], host.hook);
        let thawed = host.call(post);
        assert_eq!((thawed.code(), thawed.stderr.as_str()), (0, ""), "{}: {thawed:?}", host.hook);
        host.place.assert_writers_go_on();
        // Nothing of it is left.
        let folder = host.place.barrier();
        let names: Vec<_> = std::fs::read_dir(folder.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    });
}

#[test]
fn after_never_comes() {
    each(|host, pre, _| {
        assert_eq!(host.call_held(pre, "0.2").code(), 0);
        host.wait_for_limit();
        host.place.assert_writers_go_on();
    });
}

#[test]
fn after_comes_too_late() {
    each(|host, pre, post| {
        assert_eq!(host.call_held(pre, "0.2").code(), 0);
        host.wait_for_limit();
        let late = host.call(post);
        assert_eq!(late.code(), 124, "{}: {late:?}", host.hook);
        assert!(late.stderr.contains("throw away what was made in it"), "{late:?}");
        // It is said once, and the next one is a new one.
        assert_eq!(host.call(post).code(), of_nothing(host));
        assert_eq!(host.call(pre).code(), 0);
        assert_eq!(host.call(post).code(), 0);
    });
}

#[test]
fn after_without_before() {
    each(|host, _, post| {
        let thawed = host.call(post);
        assert_eq!(thawed.code(), of_nothing(host), "{}: {thawed:?}", host.hook);
        host.place.assert_writers_go_on();
    });
}

#[test]
fn after_twice() {
    each(|host, pre, post| {
        assert_eq!(host.call(pre).code(), 0);
        assert_eq!(host.call(post).code(), 0);
        assert_eq!(host.call(post).code(), of_nothing(host), "{}", host.hook);
    });
}

/// The host has given its first snapshot up.
#[test]
fn before_twice() {
    each(|host, pre, post| {
        assert_eq!(host.call(pre).code(), 0);
        let first = host.place.status()["generation"].clone();
        assert_eq!(host.call(pre).code(), 0, "{}", host.hook);
        assert!(host.is_closed() && host.place.status()["generation"] != first);
        assert_eq!(host.call(post).code(), 0);
        host.place.assert_writers_go_on();
    });
}

#[test]
fn before_failed_and_after_comes_all_the_same() {
    each(|host, pre, post| {
        // An earlier one went well: it must not be taken for this one.
        assert_eq!((host.call(pre).code(), host.call(post).code()), (0, 0));
        let writer = host.place.hold(&["-s", "--label", "lmtp"]);
        let refused = host.call(pre);
        assert_eq!(refused.code(), 75, "{}: {refused:?}", host.hook);
        assert!(refused.stderr.contains("(lmtp)"), "{refused:?}");
        assert!(!host.is_closed());
        assert_eq!(host.call(post).code(), of_nothing(host));
        drop(writer);
    });
}

#[test]
fn somebody_else_has_frozen_it() {
    each(|host, pre, post| {
        let token = host.place.run(["freeze", "--label", "other", "mail"]).stdout;
        let refused = host.call(pre);
        assert_eq!(refused.code(), 75, "{}: {refused:?}", host.hook);
        assert!(refused.stderr.contains("(other)"), "{refused:?}");
        host.call(post);
        assert!(host.is_closed(), "that was not ours to thaw");
        let thawed = host.place.run(["thaw", "--token", token.trim(), "mail"]);
        assert_eq!(thawed.code(), 0, "{}: the other one's pause held", host.hook);
    });
}

/// As Go does at a time-out: only the hook itself is killed, not what it has started.
#[test]
fn a_hook_that_is_killed_while_it_waits_freezes_nothing_later() {
    each(|host, pre, post| {
        let writer = host.place.hold(&["-s"]);
        host.freezes("'mail'", "drain = 60");
        let mut command = host.command(pre);
        command.env("STILLPOINT_WAIT", "60").env("ZREPL_TIMEOUT", "62");
        let mut hook = start(command);
        until("the gate closes", || host.place.status()["wanted"] == true);
        hook.signal(Signal::SIGKILL);
        assert_eq!(hook.end(), 128 + 9);
        drop(writer);
        // Whether it was about to freeze or not: it does not stay so.
        until("nobody wants it any more", || {
            let status = host.place.status();
            status["wanted"] == false && status["gate"] == "open"
        });
        host.place.assert_writers_go_on();
        assert_eq!(host.call(post).code(), of_nothing(host), "{}", host.hook);
    });
}

#[test]
fn a_barrier_that_is_missing() {
    each(|host, pre, _| {
        host.freezes("'mail', 'nothing'", "");
        let refused = host.call(pre);
        assert_eq!(refused.code(), 66, "{}: {refused:?}", host.hook);
        assert!(refused.stderr.contains("nothing.barrier"), "{refused:?}");
        assert!(!host.is_closed());
    });
}

#[test]
fn a_call_that_no_host_makes() {
    for (hook, ..) in HOSTS {
        let host = Host::new(hook);
        let refused = host.call(Call::with_arguments(&["what"]));
        let expected = match hook {
            "snapper" => 0,
            "zrepl" => 255,
            _ => 64,
        };
        assert_eq!(refused.code(), expected, "{hook}: {refused:?}");
        assert!(!host.is_closed());
    }
}
