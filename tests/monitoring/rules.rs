//! The alerts, in time that is not waited for.

use std::process::Command;

use crate::common::{must, root};
use crate::unpacked;

pub const RULES: &str = "scripts/monitoring/stillpoint.rules.yml";

#[test]
fn each_alert_fires_when_it_should_and_not_else() {
    let Some(promtool) = unpacked("prometheus", "promtool") else { return };
    must(Command::new(&promtool).args(["check", "rules", RULES]).current_dir(root()));
    let tests = "tests/monitoring/rules.test.yml";
    must(Command::new(&promtool).args(["test", "rules", tests]).current_dir(root()));
}

#[test]
fn each_alert_is_tested() {
    let text = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (rules, tests) = (text(RULES), text("tests/monitoring/rules.test.yml"));
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untested: Vec<&str> =
        alerts.filter(|alert| !tests.contains(&format!("alertname=\"{alert}\""))).collect();
    assert_eq!(untested, [""; 0]);
}
