//! Participants and frozen groups, wherever and from whatever the command is started.

use std::fs;
use std::process::Command;

use crate::common::{comma, has, is_root, run};
use crate::groups::{STANDS, Ticking};

/// What is done first, by a shell or by a program.
const SURROUNDINGS: [&[&str]; 14] = [
    &["sh", "-c", "exec \"$@\"", "sh"],
    &["sh", "-c", "trap '' CHLD PIPE TERM HUP INT USR1; exec \"$@\"", "sh"],
    &["env", "--block-signal", "--"],
    &["sh", "-c", "exec <&-; exec \"$@\"", "sh"],
    &["sh", "-c", "exec 2>&-; exec \"$@\"", "sh"],
    &["sh", "-c", "exec <&- >&- 2>&-; exec \"$@\"", "sh"],
    &["sh", "-c", "umask 077; cd /; ulimit -n 32; ulimit -v 200000; exec \"$@\"", "sh"],
    // Without a shell that stays for the last command, and as the first process.
    &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
    &["unshare", "--pid", "--fork", "--kill-child"],
    &["unshare", "--time", "--fork", "--boottime", "1000000", "--monotonic", "1000000"],
    &["unshare", "--user", "--map-root-user", "--mount", "--uts", "--ipc", "--net"],
    &["faketime", "-f", "+20y"],
    &["faketime", "-f", "-20y"],
    &["setsid", "--wait"],
];

const GOOD: &str = r#"
grep -E '^Sig(Blk|Ign)' /proc/self/status >>"$0"
echo ready
while read -r word limit; do
    echo "$word" >>"$0"
    case $word in freeze) echo frozen;; thaw) echo thawed;; esac
done
echo end >>"$0""#;

#[test]
fn participants_and_groups_stand_still_whatever_surrounds_the_command() {
    if !is_root() {
        return;
    }
    if let Some(ticking) = Ticking::any() {
        let log = ticking.scene.path("log");
        let script = ticking.scene.path("good");
        fs::write(&script, GOOD).unwrap();
        let with = format!("/bin/sh -c '. {}' {}", script.display(), log.display());
        for surroundings in SURROUNDINGS {
            if !has(&surroundings[..1]) {
                continue;
            }
            let options = ["--hold", "20", "--with", &with];
            let inner = ticking.command(&options, STANDS);
            let mut command = Command::new(surroundings[0]);
            command.args(&surroundings[1..]).arg(inner.get_program()).args(inner.get_args());
            for (name, value) in inner.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            comma::surround(&mut command);
            let done = run(command);
            assert_eq!(done.code(), 0, "{surroundings:?}: {done:?}");
            let said = fs::read_to_string(&log).unwrap();
            let said: Vec<&str> = said.lines().collect();
            // But for two that the C library keeps for itself.
            let signals = |line: &str| {
                let mask = line.split('\t').nth(1).map(|mask| u64::from_str_radix(mask, 16));
                mask.unwrap().unwrap() & !(3 << 31) == 0
            };
            assert!(signals(said[0]) && signals(said[1]), "{surroundings:?}: {said:?}");
            assert_eq!(said[2..], ["freeze", "thaw", "end"], "{surroundings:?}");
            fs::remove_file(&log).unwrap();
            ticking.assert_nothing_left();
        }
    }
}
