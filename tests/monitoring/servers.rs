//! Debian's Prometheus and its node exporter, each with a folder of its own and a port of the loopback device.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Running, folder_in_memory, root, start, until};
use crate::rules::RULES;
use crate::unpacked;

/// How long a gate must have been closed by one tool, here.
pub const STUCK: Duration = Duration::from_secs(2);

/// Where both are.
pub struct Programs {
    prometheus: PathBuf,
    exporter: PathBuf,
}

impl Programs {
    /// If they are installed; if not, that has been said.
    #[track_caller]
    pub fn find() -> Option<Programs> {
        let (prometheus, exporter) = ("prometheus", "prometheus-node-exporter");
        let prometheus = unpacked(prometheus, prometheus)?;
        Some(Programs { prometheus, exporter: unpacked(exporter, exporter)? })
    }
}

/// Both, as long as they are kept.
pub struct Servers {
    port: u16,
    _processes: [Running; 2],
    _folder: TempDir,
}

/// It ends with this test, however that ends.
fn server(program: &Path, log: PathBuf) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(fs::File::create(log).unwrap());
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Servers {
    /// With the alerts as they are shipped, but that nobody waits until they have been true for some minutes.
    pub fn start(programs: &Programs, collected: &Path) -> Servers {
        let own = folder_in_memory();
        let folder = own.path();
        let rules = fs::read_to_string(root().join(RULES)).unwrap();
        let at_once = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
        let rules = at_once.collect::<Vec<_>>().join("\n");
        let (minutes, seconds) = ("[5m]", format!("[{}s]", STUCK.as_secs()));
        assert_eq!(rules.matches(minutes).count(), 1);
        fs::write(folder.join("rules.yml"), rules.replace(minutes, &seconds)).unwrap();
        let (told, port) = (free_port(), free_port());
        let settings = format!(
            "global:\n  scrape_interval: 250ms\n  evaluation_interval: 250ms\nrule_files: [rules.yml]\n\
             scrape_configs:\n  - job_name: node\n    static_configs:\n      - targets: ['127.0.0.1:{told}']\n"
        );
        fs::write(folder.join("prometheus.yml"), settings).unwrap();
        let mut node = server(&programs.exporter, folder.join("node.log"));
        node.arg(format!("--web.listen-address=127.0.0.1:{told}"));
        node.args(["--collector.disable-defaults", "--collector.textfile"]);
        node.arg(format!("--collector.textfile.directory={}", collected.display()));
        let mut server = server(&programs.prometheus, folder.join("prometheus.log"));
        server.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        server.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        server.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let _processes = [start(node), start(server)];
        let servers = Servers { port, _processes, _folder: own };
        until("Prometheus answers", || servers.ask("/api/v1/rules").is_some());
        servers
    }

    /// What the API says; `None`: nothing yet.
    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// What an expression has now: nothing, if nobody answers. That it is understood is a promise.
    #[track_caller]
    pub fn series(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let Some(answer) = self.ask(&format!("/api/v1/query?query={encoded}")) else {
            return Vec::new();
        };
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// The one value of an expression.
    fn value(&self, expression: &str) -> Option<f64> {
        self.series(expression).first()?["value"][1].as_str()?.parse().ok()
    }

    /// The alerts that fire, if all rules have been asked since.
    fn firing(&self, since: f64) -> Option<BTreeSet<String>> {
        let answer = self.ask("/api/v1/rules")?;
        let rules = answer["data"]["groups"][0]["rules"].as_array()?;
        let mut firing = BTreeSet::new();
        for rule in rules {
            assert_eq!(rule["health"].as_str().filter(|health| *health == "err"), None, "{rule}");
            let asked: jiff::Timestamp = rule["lastEvaluation"].as_str()?.parse().ok()?;
            if (asked.as_millisecond() as f64) < since * 1e3 {
                return None;
            }
            if rule["state"] == "firing" {
                firing.insert(rule["name"].as_str()?.trim_start_matches("Stillpoint").to_owned());
            }
        }
        Some(firing)
    }

    /// Waits until what was written just now, at that time, has been scraped and all rules were asked after it: these
    /// fire then, and no others.
    #[track_caller]
    pub fn assert_fire(&self, written: f64, expected: &[&str]) {
        until("the report is scraped", || {
            self.value("stillpoint_report_timestamp_seconds").is_some_and(|time| time >= written)
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let mut firing = BTreeSet::new();
        until("the rules are asked", || self.firing(now).map(|found| firing = found).is_some());
        assert_eq!(Vec::from_iter(firing), expected);
    }
}
