//! Processes that take part: this program again, told what to do by its arguments.
//!
//! A worker answers and is told by lines on its standard output and input, and ends when its input
//! does, so none outlives the bench, however that ends.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stillpoint::{Barrier, ExclusiveOptions};

use crate::contenders::{self, Contender};
use crate::measure::{jitter, now, processor_time};

/// Nothing that a worker is asked takes longer, but where a cap is given.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A worker, seen from outside.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts one and waits until it is ready.
    pub fn start(
        role: &str,
        contender: &str,
        folder: &Path,
        numbers: &[u64],
    ) -> anyhow::Result<Worker> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--worker", role, contender])
            .arg(folder)
            .args(numbers.iter().map(u64::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut worker = Worker { input: child.stdin.take(), child, output };
        worker.numbers()?;
        Ok(worker)
    }

    /// Tells it to go on.
    pub fn tell(&mut self) -> anyhow::Result<()> {
        if let Some(input) = &mut self.input {
            writeln!(input)?;
        }
        Ok(())
    }

    /// Its next answer.
    pub fn numbers(&mut self) -> anyhow::Result<Vec<f64>> {
        self.numbers_within(PATIENCE)?.ok_or_else(|| anyhow::anyhow!("a worker does not answer"))
    }

    /// The same; `None` if it takes longer than that.
    pub fn numbers_within(&mut self, limit: Duration) -> anyhow::Result<Option<Vec<f64>>> {
        let deadline = Instant::now() + limit;
        while self.output.buffer().is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut readable = [PollFd::new(self.output.get_ref().as_fd(), PollFlags::POLLIN)];
            if poll(&mut readable, PollTimeout::try_from(left)?)? > 0 {
                break;
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
        let mut line = String::new();
        anyhow::ensure!(
            self.output.read_line(&mut line)? > 0,
            "a worker has ended before its time"
        );
        Ok(Some(line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?))
    }

    /// Tells it to finish.
    pub fn let_go(&mut self) {
        drop(self.input.take());
    }

    /// The same, and takes its last answer.
    pub fn finish(mut self) -> anyhow::Result<Vec<f64>> {
        self.let_go();
        self.numbers()
    }

    /// Sends it a signal. Returns when.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<u64> {
        let at = now();
        kill(Pid::from_raw(self.child.id().try_into()?), signal)?;
        Ok(at)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A worker's own end of the lines.
struct Orders(Receiver<()>);

impl Orders {
    fn new() -> Orders {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for _ in std::io::stdin().lines().map_while(Result::ok) {
                let _ = sender.send(());
            }
            drop(sender);
            // Time to finish in good order; a worker that is stuck in a lock cannot.
            std::thread::sleep(Duration::from_secs(3));
            std::process::exit(0);
        });
        Orders(receiver)
    }

    /// Waits to be told; false: it is over.
    fn wait(&self) -> bool {
        self.0.recv().is_ok()
    }

    fn say(&self, numbers: &[f64]) {
        let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
        println!("{}", words.join(" "));
    }
}

/// Does what the arguments say: a role, a contender, its folder, and numbers.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [role, contender, folder, numbers @ ..] = arguments else {
        anyhow::bail!("a worker needs a role, a contender and a folder");
    };
    let numbers = numbers.iter().map(|number| number.parse()).collect::<Result<Vec<u64>, _>>()?;
    let folder = Path::new(folder);
    let open = || contenders::open(contender, folder);
    match (role.as_str(), numbers.as_slice()) {
        ("cost", [threads]) => {
            let each = contenders::is_opened_by_each_thread(contender);
            let handles = if each { *threads } else { 1 };
            let contenders = (0..handles).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
            cost(&contenders, *threads as usize);
        }
        ("write", [hold, rest]) => {
            write(&*open()?, Duration::from_micros(*hold), Duration::from_micros(*rest))
        }
        ("idle", [threads]) => idle(&*open()?, *threads as usize),
        ("enter", [threads]) => enter(open, *threads as usize)?,
        ("hold", [limit]) => hold(&*open()?, folder, contender, *limit)?,
        ("inside", []) => inside(&*open()?),
        ("exclusive", []) => exclusive(&*open()?),
        _ => anyhow::bail!("no worker does {arguments:?}"),
    }
    Ok(())
}

/// `cost THREADS`: each time it is told, all its threads enter and leave for 20 ms; answers what a
/// pair costs of a core's time, in nanoseconds, and for how much of the 20 ms each had a core.
fn cost(contenders: &[Box<dyn Contender>], threads: usize) {
    const STRETCH: u64 = 20_000_000;
    let orders = Orders::new();
    let start = std::sync::Barrier::new(threads + 1);
    let results = Mutex::new(Vec::new());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for contender in contenders.iter().cycle().take(threads) {
            scope.spawn(|| {
                contender.pairs(1000);
                loop {
                    start.wait();
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let (began, ran, mut pairs) = (now(), processor_time(), 0);
                    while now() < began + STRETCH {
                        contender.pairs(2000);
                        pairs += 2000;
                    }
                    let (ran, took) = ((processor_time() - ran) as f64, (now() - began) as f64);
                    results.lock().expect("not poisoned").push((ran / pairs as f64, ran / took));
                    start.wait();
                }
            });
        }
        orders.say(&[]);
        while orders.wait() {
            start.wait();
            start.wait();
            let results = std::mem::take(&mut *results.lock().expect("not poisoned"));
            let cost = results.iter().map(|(cost, _)| cost).sum::<f64>() / threads as f64;
            let share = results.iter().map(|(_, share)| *share).fold(1.0, f64::min);
            orders.say(&[cost, share]);
        }
        over.store(true, Ordering::Relaxed);
        start.wait();
    });
}

/// `write HOLD REST`: shares of that length and rests between, in microseconds, give or take a fifth.
/// Answers the longest share at the end, in nanoseconds, and how many there were.
fn write(contender: &dyn Contender, hold: Duration, rest: Duration) {
    let orders = Orders::new();
    let over = Arc::new(AtomicBool::new(false));
    let about = |length: Duration| length.mul_f64(0.8 + 0.4 * jitter());
    let (mut longest, mut shares) = (0, 0.0);
    contender.share(&mut || {});
    orders.say(&[]);
    let watched = Arc::clone(&over);
    std::thread::spawn(move || {
        while orders.wait() {}
        watched.store(true, Ordering::Relaxed);
    });
    while !over.load(Ordering::Relaxed) {
        contender.share(&mut || {
            let entered = now();
            std::thread::sleep(about(hold));
            longest = longest.max(now() - entered);
        });
        shares += 1.0;
        std::thread::sleep(about(rest));
    }
    println!("{longest} {shares}");
}

/// `idle THREADS`: threads that have been inside once, and have their slots for it.
fn idle(contender: &dyn Contender, threads: usize) {
    let orders = Orders::new();
    let (there, over) =
        (std::sync::Barrier::new(threads + 1), std::sync::Barrier::new(threads + 1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            let body = || {
                contender.pairs(1);
                there.wait();
                over.wait();
            };
            thread.spawn_scoped(scope, body).expect("a thread");
        }
        there.wait();
        orders.say(&[]);
        while orders.wait() {}
        over.wait();
    });
}

/// `enter THREADS`: each time it is told, all its threads enter once; answers when the last one was
/// inside, on the clock that all processes share.
fn enter(
    open: impl Fn() -> anyhow::Result<Box<dyn Contender>>,
    threads: usize,
) -> anyhow::Result<()> {
    let orders = Orders::new();
    // One open file for each thread, where there are any.
    let contenders = (0..threads).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
    let start = std::sync::Barrier::new(threads + 1);
    let last = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for contender in &contenders {
            let (start, last) = (&start, &last);
            let body = move || {
                contender.pairs(1);
                loop {
                    start.wait();
                    contender.share(&mut || {
                        last.fetch_max(now(), Ordering::Relaxed);
                    });
                    start.wait();
                }
            };
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, body)
                .expect("a thread");
        }
        orders.say(&[]);
        while orders.wait() {
            start.wait();
            start.wait();
            orders.say(&[last.load(Ordering::Relaxed) as f64]);
        }
        std::process::exit(0);
    })
}

/// `hold LIMIT`: takes the exclusive side, may keep it for so many milliseconds at most, and keeps it
/// until it is over.
fn hold(contender: &dyn Contender, folder: &Path, name: &str, limit: u64) -> anyhow::Result<()> {
    let orders = Orders::new();
    let keep = || {
        orders.say(&[]);
        while orders.wait() {}
    };
    if name == "stillpoint" {
        let half = Duration::from_millis(limit / 2);
        let mut options = ExclusiveOptions::default().drain(half).hold(half);
        let pause = Barrier::open(contenders::barrier(folder))?.exclusive(&mut options)?;
        keep();
        drop(pause);
    } else {
        contender.exclusive(&mut || keep());
    }
    Ok(())
}

/// `inside`: takes a share and stays there.
fn inside(contender: &dyn Contender) {
    let orders = Orders::new();
    contender.share(&mut || {
        orders.say(&[]);
        while orders.wait() {}
    });
}

/// `exclusive`: each time it is told, takes the exclusive side; answers how long that took.
fn exclusive(contender: &dyn Contender) {
    let orders = Orders::new();
    orders.say(&[]);
    while orders.wait() {
        let (asked, mut granted) = (now(), 0);
        contender.exclusive(&mut || granted = now());
        orders.say(&[(granted - asked) as f64]);
    }
}
