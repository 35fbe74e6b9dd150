//! The two calls of each host that takes the snapshot itself, with all that it passes.

use crate::host::{Call, Host};

/// A hook, its call before and its call after.
pub type Calls = (&'static str, Call, Call);

const SNAPPER: Calls = (
    "snapper",
    Call::with_arguments(&["create-snapshot-pre", "/srv", "btrfs", "7"]),
    Call::with_arguments(&["create-snapshot-post", "/srv", "btrfs", "7"]),
);

/// What sanoid says of the snapshot `$name` of `$target`.
macro_rules! sanoid {
    ($script:literal, $target:literal, $name:literal, $($more:expr),*) => {
        Call::with_variables(&[
            ("SANOID_SCRIPT", $script),
            ("SANOID_TARGET", $target),
            ("SANOID_TARGETS", $target),
            ("SANOID_SNAPNAMES", $name),
            ("SANOID_TYPES", "hourly"),
            $($more),*
        ])
    };
}

/// The same of zrepl.
macro_rules! zrepl {
    ($hook:literal, $filesystem:literal) => {
        Call::with_variables(&[
            ("ZREPL_HOOKTYPE", $hook),
            ("ZREPL_FS", $filesystem),
            ("ZREPL_SNAPNAME", "zrepl_1"),
            ("ZREPL_DRYRUN", ""),
            ("ZREPL_TIMEOUT", "30"),
        ])
    };
}

const SANOID: Calls = (
    "sanoid",
    sanoid!("pre", "tank/mail", "autosnap_1_hourly", ("SANOID_SNAPNAME", "autosnap_1_hourly")),
    sanoid!(
        "post",
        "tank/mail",
        "autosnap_1_hourly",
        ("SANOID_SNAPNAME", "tank/mail@autosnap_1_hourly"),
        ("SANOID_PRE_FAILURE", "0")
    ),
);

const ZREPL: Calls =
    ("zrepl", zrepl!("pre_snapshot", "tank/mail"), zrepl!("post_snapshot", "tank/mail"));

const GCE: Calls =
    ("gce", Call::named("pre.sh", &["1/2,3/4"]), Call::named("post.sh", &["1/2,3/4"]));

pub const HOSTS: [Calls; 7] = [
    ("qemu-ga", Call::with_arguments(&["freeze"]), Call::with_arguments(&["thaw"])),
    ("vmware", Call::with_arguments(&["freeze"]), Call::with_arguments(&["thaw"])),
    SNAPPER,
    SANOID,
    ZREPL,
    GCE,
    ("azure", Call::with_arguments(&["pre"]), Call::with_arguments(&["post"])),
];

/// Hosts that may have several snapshots under way, and the calls for another one.
pub const SIDE_BY_SIDE: [(Calls, Call, Call); 4] = [
    (
        SNAPPER,
        Call::with_arguments(&["create-snapshot-pre", "/", "btrfs", "7"]),
        Call::with_arguments(&["create-snapshot-post", "/", "btrfs", "7"]),
    ),
    (
        SANOID,
        sanoid!("pre", "tank/news", "autosnap_1_hourly", ("SANOID_SNAPNAME", "autosnap_1_hourly")),
        sanoid!("post", "tank/news", "autosnap_1_hourly", ("SANOID_PRE_FAILURE", "0")),
    ),
    (ZREPL, zrepl!("pre_snapshot", "tank/news"), zrepl!("post_snapshot", "tank/news")),
    (GCE, Call::named("pre.sh", &["5/6"]), Call::named("post.sh", &["5/6"])),
];

pub fn each(test: impl Fn(&Host, Call, Call)) {
    for (hook, pre, post) in HOSTS {
        test(&Host::new(hook), pre, post);
    }
}

/// snapper wants to hear of a snapshot that is not consistent, also if nothing was frozen for it.
pub fn of_nothing(host: &Host) -> i32 {
    if host.hook == "snapper" { 124 } else { 0 }
}
