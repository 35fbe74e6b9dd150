//! Several pauses at once: of one host, of two, and of several barriers.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use crate::calls::{SIDE_BY_SIDE, each, of_nothing};
use crate::common::run;
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
        assert_eq!(host.call_held(pre, "0.2").code(), 0);
        host.wait_for_limit();
        assert_eq!(host.call(other_pre).code(), 0);
        let late = host.call(post);
        assert_eq!(late.code(), 124, "{hook}: {late:?}");
        assert!(host.is_closed(), "{hook}: that was not its own to thaw");
        assert_eq!(host.call(other_post).code(), 0);
    }
}

/// A barrier known by its path, and of another job, is no different.
#[test]
fn two_hosts_side_by_side() {
    each(|host, pre, post| {
        if host.hook == "vmware" {
            return;
        }
        let path = host.place.barrier();
        host.freezes(&format!("'{}'", path.display()), "");
        host.write_job("other", &format!("barriers = '{}'\n", path.display()));
        let other = |arguments| {
            let mut command = host.command_of("vmware", Call::with_arguments(arguments));
            command.env("STILLPOINT_JOB", "other");
            run(command).code()
        };
        assert_eq!(other(&["freeze"]), 0);
        assert_eq!(host.call(pre).code(), 75, "{}", host.hook);
        host.call(post);
        assert!(host.is_closed(), "{}: that was not its own to thaw", host.hook);
        assert_eq!(other(&["thaw"]), 0, "{}: it held", host.hook);
        assert_eq!((host.call(pre).code(), host.call(post).code()), (0, 0));
    });
}

/// The host's limit is one for all barriers: what one of them takes is missing to the next.
#[test]
fn all_barriers_share_one_wait() {
    each(|host, pre, _| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        host.freezes("'mail', 'news'", "drain = 60");
        let mut inside = host.place.command(["run", "-s", "news", "sh", "-c"]);
        let inside = crate::common::start({
            inside.arg("echo in; exec sleep 60");
            inside
        });
        let began = Instant::now();
        let mut command = host.command(pre);
        command.env("STILLPOINT_WAIT", "1.5").env("ZREPL_TIMEOUT", "60");
        let refused = run(command);
        assert_eq!(refused.code(), 75, "{}: {refused:?}", host.hook);
        assert!(began.elapsed() >= Duration::from_millis(1400), "{}", host.hook);
        host.place.assert_writers_go_on();
        drop(inside);
    });
}

/// Hosts that never come back leave a token each. Their age is told by a clock that nobody sets.
#[test]
fn tokens_of_yesterday_are_cleared_away() {
    each(|host, pre, post| {
        let folder = host.place.barrier();
        let folder = folder.parent().unwrap();
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let token = |name: &str, text: String| {
            let path = folder.join(format!(".{}.{name}.token", host.hook));
            fs::write(&path, text).unwrap();
            path
        };
        let of_age = |name: &str, age: u64| token(name, format!("x {:.2}\n", uptime - age as f64));
        let (old, young) = (of_age("1", 3 * DAY), of_age("2", DAY / 2));
        let being_written = token("3", String::new());
        assert_eq!(host.call(pre).code(), 0);
        assert!(!old.exists() && young.exists() && being_written.exists(), "{}", host.hook);
        assert_eq!(host.call(post).code(), 0);
    });
}

const DAY: u64 = 24 * 60 * 60;

/// A clock that is set while a snapshot is under way makes its token look as old as it likes.
#[test]
fn a_clock_that_jumps_loses_no_pause() {
    for ((hook, pre, post), other_pre, other_post) in SIDE_BY_SIDE {
        let (now, jump) = (SystemTime::now(), Duration::from_secs(2 * DAY));
        for then in [now - jump, now + jump] {
            let host = Host::new(hook);
            assert_eq!(host.call_held(pre, "0.2").code(), 0);
            let folder = host.place.barrier();
            let folder = fs::read_dir(folder.parent().unwrap()).unwrap();
            for file in folder {
                let file = fs::File::options().write(true).open(file.unwrap().path()).unwrap();
                file.set_modified(then).unwrap();
            }
            host.wait_for_limit();
            assert_eq!(host.call(other_pre).code(), 0);
            assert_eq!(host.call(post).code(), 124, "{hook}: it did not hold");
            assert_eq!(host.call(other_post).code(), 0);
        }
    }
}
