//! The user that the report is written as: who may read everything and write nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::common::command::Place;
use crate::common::{NOBODY, STILLPOINT, is_root, root, run};

/// As the unit has it, by setpriv(1).
#[test]
fn one_capability_is_enough() {
    let unit = fs::read_to_string(root().join("scripts/systemd/stillpoint-metrics.service"));
    let unit = unit.unwrap();
    assert!(unit.contains("\nAmbientCapabilities=CAP_DAC_READ_SEARCH\n"), "{unit}");
    assert!(unit.contains("\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\n"), "{unit}");
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (catalog, store, to, out) = (path("catalog"), path("store"), path("to"), path("out"));
    for folder in [&store, &to, &out] {
        fs::create_dir(folder).unwrap();
    }
    let words = ["snapshot", "mail", "--catalog", &catalog, "--hold", "9"];
    let copied = place.run([&words[..], &["--copy", &store, "--to", &to]].concat());
    assert_eq!(copied.code(), 0, "{copied:?}");
    // Nobody else looks into the snapshots, nor at the manifests.
    for folder in [&catalog, &to] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let file = format!("{out}/stillpoint.prom");
    // Whoever runs this test may have put the program where nobody else gets.
    let program = path("stillpoint");
    fs::copy(STILLPOINT, &program).unwrap();
    chown(&out, Some(NOBODY), Some(NOBODY)).unwrap();
    let write = |capability: &str| {
        let mut setpriv = place.program("setpriv");
        let user = format!("--reuid={NOBODY}");
        setpriv.args([&user, "--clear-groups", &format!("--regid={NOBODY}"), "--no-new-privs"]);
        for set in ["inh-caps", "ambient-caps", "bounding-set"] {
            setpriv.arg(format!("--{set}=-all{capability}"));
        }
        setpriv.args([&program, "status", "--catalog", &catalog, "--metrics-textfile", &file]);
        run(setpriv)
    };
    let done = write(",+dac_read_search");
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:?}");
    let text = fs::read_to_string(&file).unwrap();
    let sample = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    assert_eq!(sample("stillpoint_report_complete"), 1.0);
    assert_eq!(sample("stillpoint_barrier_present{"), 1.0);
    assert!(sample("stillpoint_newest_clean_snapshot_timestamp_seconds{") > 1e9);

    // Without it, the report says that it is none.
    let done = write("");
    assert_ne!(done.code(), 0);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nstillpoint_report_complete 0\n"), "{text}");
    assert!(!text.contains("stillpoint_barrier_present{"), "{text}");
}
