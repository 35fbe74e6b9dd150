//! Completions in the real shells: somebody types, presses the tabulator, and has the shell say what stands there.

use std::fs;
use std::process::Command;

use crate::common::command::Place;
use crate::common::{has, must, programs};

/// Types a line and the tabulator in a terminal of the shell, and has the words printed that have become of it.
const TYPIST: &str = r#"
import os, pty, select, sys
line, *shell = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(shell[0], shell)
seen = b""
def until(wanted, typed):
    global seen
    os.write(terminal, typed)
    while wanted not in seen:
        if not select.select([terminal], [], [], 20)[0]:
            sys.exit("no %r in %r" % (wanted, seen))
        seen += os.read(terminal, 4096)
    before, seen = seen.split(wanted, 1)
    return before
until(b"READY>", b"")
# Control-A goes to the start of the line, control-E to its end.
until(b"<stillpoint>", line.encode() + b"\t\x01printf '<%s>' \x05\n")
print(until(b"READY>", b"\n").decode().strip())
os.write(terminal, b"exit\n")
os.close(terminal)
os.waitpid(pid, 0)
"#;

/// A place with two barriers and a snapshot.
fn place() -> Place {
    let place = Place::with_barrier();
    assert_eq!(place.run(["create", "my news"]).code(), 0);
    for folder in ["store", "snapshots", "jobs"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    fs::write(place.path("jobs/nightly.toml"), "").unwrap();
    let (store, to) = (place.path("store"), place.path("snapshots"));
    let (store, to) = (store.to_str().unwrap(), to.to_str().unwrap());
    let catalog = place.path("catalog");
    let made = ["snapshot", "--name", "one", "mail", "--copy", store, "--to", to, "--hold", "9"];
    let made = place.run([&made[..], &["--catalog", catalog.to_str().unwrap()]].concat());
    assert_eq!(made.code(), 0, "{made:?}");
    place
}

/// `program`, which finds the command of this build.
fn with_command(place: &Place, program: &str) -> Command {
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
    let mut command = place.program(program);
    command.env("PATH", path).env("STILLPOINT_CATALOG", place.path("catalog"));
    command.env("STILLPOINT_JOBS", place.path("jobs"));
    command.env("HOME", place.path("")).env("ZDOTDIR", place.path("")).env("TERM", "dumb");
    command
}

fn typed(place: &Place, shell: &[&str], line: &str) -> String {
    let mut typist = with_command(place, "python3");
    let output = must(typist.args(["-c", TYPIST, line]).args(shell));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What is typed, and the words after the command that become of it.
const LINES: [(&str, &str); 9] = [
    ("stillpoint retire ma", "<retire><mail>"),
    ("stillpoint run -s -w 5 my", "<run><-s><-w><5><my news>"),
    ("stillpoint use o", "<use><one>"),
    (
        "stillpoint snapshot mail --freeze-unit systemd-journald",
        "<snapshot><mail><--freeze-unit><systemd-journald.service>",
    ),
    (
        "stillpoint snapshot mail --freeze-unit=systemd-journald",
        "<snapshot><mail><--freeze-unit=systemd-journald.service>",
    ),
    ("stillpoint adopt enable systemd-journald", "<adopt><enable><systemd-journald.service>"),
    ("stillpoint snaps", "<snapshot>"),
    ("stillpoint snapshot --pat", "<snapshot><--patience>"),
    ("stillpoint adopt dis", "<adopt><disable>"),
];

fn completes(place: &Place, shell: &[&str], lines: &[(&str, &str)]) {
    for (line, becomes) in lines {
        assert_eq!(typed(place, shell, line), *becomes, "{shell:?} {line}");
    }
}

#[test]
fn bash() {
    let place = place();
    let settings = place.path("settings");
    fs::write(&settings, "PS1='READY>'\nsource <(stillpoint completions bash)\n").unwrap();
    let shell = ["bash", "--noprofile", "--rcfile", settings.to_str().unwrap(), "-i"];
    completes(&place, &shell, &LINES);
}

#[test]
fn zsh() {
    if !has(&["zsh"]) {
        return;
    }
    let place = place();
    let functions = place.path("functions");
    fs::create_dir(&functions).unwrap();
    let script = must(with_command(&place, "stillpoint").args(["completions", "zsh"])).stdout;
    fs::write(functions.join("_stillpoint"), script).unwrap();
    let settings = "PS1='READY>'\nunsetopt zle_bracketed_paste prompt_sp\nfpath=($TMPDIR/functions $fpath)\nbindkey -e\n\
                    autoload -Uz compinit && compinit -u -C -d $TMPDIR/dump\n";
    fs::write(place.path(".zshrc"), settings).unwrap();
    completes(&place, &["zsh", "-d", "-i"], &LINES);
}

/// It says by itself what a line could become.
#[test]
fn fish() {
    if !has(&["fish"]) {
        return;
    }
    let place = place();
    for (line, becomes) in LINES {
        let script =
            format!("stillpoint completions fish | source; complete --do-complete '{line}'");
        let said = must(with_command(&place, "fish").args(["-c", &script])).stdout;
        let said = String::from_utf8(said).unwrap();
        let word = becomes.rsplit_once('<').unwrap().1.trim_end_matches('>');
        let first = said.lines().next().unwrap_or_default().split('\t').next().unwrap();
        // Whether it quotes is its own affair.
        assert_eq!(first.replace('\\', ""), word, "{line}: {said}");
    }
}

/// Nothing is offered where nothing is known, nor said about what cannot be read.
#[test]
fn names_are_those_that_belong_there() {
    let place = place();
    // A line is a name.
    fs::write(place.barrier().with_file_name("two\nlines.barrier"), "").unwrap();
    let names = |words: &[&str]| {
        let mut command = with_command(&place, "stillpoint");
        let output = must(command.args(["completions", "--names"]).args(words));
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for words in [
        &["status", ""][..],
        &["status", "mail", ""],
        &["retire", ""],
        &["run", "-nx", ""],
        &["run", "-w5", ""],
    ] {
        assert_eq!(names(words), "mail\nmy news\n", "{words:?}");
    }
    assert_eq!(names(&["use", ""]), "one\nmail\nmy news\n");
    assert_eq!(names(&["job", "run", ""]), "nightly\n");
    assert_eq!(names(&["adopt", "run", "--barrier=m"]), "--barrier=mail\n--barrier=my news\n");
    for words in [
        &[][..],
        &[""],
        &["none", ""],
        &["retire", "mail", ""],
        &["retire", "-"],
        &["run", "-w", ""],
        &["run", "mail", ""],
        &["snapshot", "--name", ""],
        &["snapshot", "--btrfs", "/srv", ""],
        &["snapshot", "mail", "--", ""],
        &["use", "--catalog", "/nowhere", "o"],
        &["status", "--user", ""],
        &["snapshot", "--bogus=m"],
    ] {
        assert_eq!(names(words), "", "{words:?}");
    }
}
