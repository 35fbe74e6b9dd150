//! The file as it is found: any bytes of any length where a barrier should be.
//!
//! Most inputs would die at the magic number, so an input begins with a good barrier, or with one of
//! another boot, and edits it; raw bytes are there as well, and every length. The environment's claims
//! (`STILLPOINT_HELD`) are part of the input: they come from outside, too.
//!
//! What must hold is computed here from the bytes alone, before the library sees them: whether the
//! file may be opened at all, whether the gate is closed, how many writers were lost in it.

#![no_main]

use arbitrary::Arbitrary;
use hostile::{
    DIRTY, Edit, FILE_SIZE, GATE, PACING, SLOT_SIZE, SLOTS, SLOTS_AT, folder, read_word,
};
use libfuzzer_sys::fuzz_target;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;
use stillpoint::{
    Barrier, CommandShareOptions, Cover, Dirty, Error, ErrorKind, ExclusiveOptions, Founding, HELD,
    Status,
};

#[derive(Arbitrary, Debug)]
enum Beginning<'a> {
    /// A barrier of this boot.
    Good,
    /// A barrier that another boot left.
    OtherBoot,
    /// These bytes, and then zeros.
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum Length {
    Right,
    Nearly(i8),
    Any(u32),
}

#[derive(Arbitrary, Debug)]
struct Claim {
    /// Of this barrier, or of none.
    own: bool,
    exclusive: bool,
    slot: u16,
    /// From what the gate, or the slot of this process, is going to hold.
    step: i8,
}

#[derive(Arbitrary, Debug)]
enum Held<'a> {
    Nothing,
    Text(&'a str),
    Claims(Vec<Claim>),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    beginning: Beginning<'a>,
    length: Length,
    retire: bool,
    epoch: u32,
    edits: Vec<Edit>,
    held: Held<'a>,
}

/// What stays from run to run.
struct Scene {
    path: PathBuf,
    file: File,
    length: u64,
    image: Vec<u8>,
    runs: u64,
}

/// Nothing takes anywhere near as long, but the machine does other things.
const LIMIT: Duration = Duration::from_secs(50);
/// How often a run may go to sleep. Nobody is there to be waited for, but the kernel's own locks are
/// shared with all the machine. A wait of some seconds that polls sleeps more often than this, and,
/// unlike the time that it takes, that does not depend on what else the machine does.
const SLEEPS: i64 = 300;

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

fuzz_target!(|input: Input| {
    SCENE.with_borrow_mut(|scene| scene.get_or_insert_with(Scene::new).run(&input));
});

/// What the bytes say, read without the library.
struct Sight {
    /// It is a barrier that this version may open.
    valid: bool,
    /// There is nothing in it, as flock(1) leaves a file.
    empty: bool,
    /// It is none at all, but has the size of one.
    garbage: bool,
    closed: bool,
    /// Pacing may ask for patience.
    paced: bool,
    epoch: u32,
    /// Words that are odd, and of which the owner said nothing to the contrary.
    lost: u32,
    /// Its boot id, and every other one that it remembers, is another one's.
    other_boot: bool,
    /// Somebody is said to have joined who could not tell.
    unsure: bool,
}

impl Scene {
    fn new() -> Scene {
        let path = folder("open").join("hostile.barrier");
        let _ = std::fs::remove_file(&path);
        drop(Barrier::create(&path).expect("a barrier"));
        let image = std::fs::read(&path).expect("its bytes");
        let file = File::options().read(true).write(true).open(&path).expect("its file");
        Scene { path, file, length: FILE_SIZE.into(), image, runs: 0 }
    }

    /// Makes the file what the input says.
    fn lay(&mut self, input: &Input) -> std::io::Result<()> {
        if self.length != u64::from(FILE_SIZE) {
            self.file.set_len(FILE_SIZE.into())?;
        }
        self.file.write_all_at(&self.image, 0)?;
        match input.beginning {
            Beginning::Good => {}
            Beginning::OtherBoot => {
                self.file.write_all_at(b"another boot's i", 56)?;
                self.file.write_all_at(b"another boot's i", 76)?;
            }
            Beginning::Raw(bytes) => {
                let bytes = &bytes[..bytes.len().min(FILE_SIZE as usize)];
                self.file.write_all_at(&[0; 4096], 0)?;
                self.file.write_all_at(bytes, 0)?;
            }
        }
        for edit in &input.edits {
            edit.apply(&self.file)?;
        }
        self.length = match input.length {
            Length::Right => FILE_SIZE.into(),
            Length::Nearly(step) => u64::from(FILE_SIZE).saturating_add_signed(step.into()),
            Length::Any(length) => u64::from(length % (2 * FILE_SIZE)),
        };
        if self.length != u64::from(FILE_SIZE) {
            self.file.set_len(self.length)?;
        }
        Ok(())
    }

    fn look(&self) -> Sight {
        let word = |at| read_word(&self.file, at);
        let right_size = self.length == u64::from(FILE_SIZE);
        let mut magic = [0; 8];
        let _ = self.file.read_at(&mut magic, 0);
        let of_a_version = magic[..7] == *b"STILLPT" && self.length >= 76;
        // One feature is known: that writers may have no fence of their own.
        let known = magic[7] == b'1' && word(8) == 1 && word(16) & !1 == 0;
        let geometry = [word(24), word(28), word(32), word(36)];
        let geometry = geometry == [SLOTS, SLOT_SIZE, SLOTS_AT, FILE_SIZE];
        let mut slots = vec![0; (SLOTS * SLOT_SIZE) as usize];
        let _ = self.file.read_at(&mut slots, SLOTS_AT.into());
        let id = |at: u32| [0, 4, 8, 12].map(|more| word(at + more));
        let own = |at: usize| {
            let four = self.image[at..at + 16].chunks_exact(4);
            four.map(|four| u32::from_ne_bytes(four.try_into().expect("4"))).collect::<Vec<_>>()
        };
        // In memory the file itself says that it is of this boot, unless the kernel says otherwise.
        let kind = fstatfs(&self.file).expect("its file system").filesystem_type();
        let says_otherwise = own(56) == own(76) && id(76) != [0; 4];
        let knows = [56, 76].into_iter().chain((100..356).step_by(16)).any(|at| own(56) == id(at));
        let lost = |slot: &&[u8]| slot[0] & 1 == 1 && slot[8] & 1 == 0;
        Sight {
            valid: of_a_version && known && geometry && right_size,
            empty: self.length == 0,
            garbage: right_size && (!of_a_version || known && !geometry),
            closed: word(GATE) & 1 == 1,
            paced: word(PACING) != 0,
            epoch: word(DIRTY),
            lost: slots.chunks_exact(SLOT_SIZE as usize).filter(lost).count() as u32,
            other_boot: !knows && (kind != TMPFS_MAGIC || says_otherwise),
            unsure: !knows && word(92) != 0,
        }
    }

    fn claim(&self, input: &Input) {
        let words: Vec<u32> = (0..4).map(|at| read_word(&self.file, 40 + at * 4)).collect();
        let uuid: String = words.iter().map(|word| format!("{word:08x}")).collect();
        let generation = read_word(&self.file, GATE);
        let text = match &input.held {
            Held::Nothing => String::new(),
            Held::Text(text) => text.replace('\0', &uuid),
            Held::Claims(claims) => {
                let claim = |claim: &Claim| {
                    let of = if claim.own { &uuid } else { "0123456789abcdef0123456789abcdef" };
                    let (slot, step) = (claim.slot, i32::from(claim.step));
                    match claim.exclusive {
                        true => format!("{of}:x:{}", generation.wrapping_add_signed(step)),
                        false => format!("{of}:s:{slot}:{}", 1u32.wrapping_add_signed(step)),
                    }
                };
                claims.iter().map(claim).collect::<Vec<String>>().join(",")
            }
        };
        // SAFETY: this thread is the only one here that knows of an environment.
        unsafe { std::env::set_var(HELD, text) };
    }

    fn run(&mut self, input: &Input) {
        self.runs += 1;
        self.lay(input).expect("the file is written");
        let sight = self.look();
        self.claim(input);
        let status = Status::read(&self.path);
        assert_eq!(status.is_ok(), sight.valid, "status: {status:?}");
        status.iter().for_each(judge_status);
        status.err().iter().for_each(judge_refusal);
        let options = Barrier::options().create(false).label("fuzz");
        let opened = options.open(&self.path);
        assert_eq!(opened.is_ok(), sight.valid, "open: {opened:?}");
        let barrier = match opened {
            Ok(barrier) => {
                if input.retire {
                    let error = options.found(&self.path).expect_err("it exists");
                    assert_eq!(error.kind(), ErrorKind::Exists, "{error}");
                }
                let restart = u32::from(sight.other_boot || sight.unsure);
                assert!(barrier.dirty().epoch.wrapping_sub(sight.epoch) >= restart);
                self.judge(&barrier, &sight);
                barrier
            }
            Err(error) => {
                judge_refusal(&error);
                let founding = Founding::new(None, Dirty { epoch: input.epoch, acknowledged: 0 });
                let made = options.founding(founding).found(&self.path);
                assert_eq!(made.is_ok(), sight.garbage || sight.empty, "found: {made:?}");
                let Ok(barrier) = made else { return };
                self.length = FILE_SIZE.into();
                // Nobody can have been lost in an empty file.
                let lost = u32::from(sight.garbage);
                assert_eq!(barrier.dirty().epoch, input.epoch.wrapping_add(lost));
                let made = self.look();
                assert!(made.valid && !made.closed && made.lost == 0 && !made.other_boot);
                self.judge(&barrier, &made);
                barrier
            }
        };
        if input.retire && self.runs.is_multiple_of(16) {
            barrier.retire().expect("nobody else has it open");
            assert!(!self.path.exists());
            let runs = self.runs;
            *self = Scene { runs, ..Scene::new() };
        }
    }

    /// What a barrier must do for its users, whatever stood in it when it was opened.
    fn judge(&self, barrier: &Barrier, sight: &Sight) {
        let closed = sight.closed && !sight.other_boot;
        // Nobody holds anything: a claim is true only of what is taken here.
        assert_eq!(barrier.is_covered(), None);
        if closed && self.runs % 2048 == 1 {
            // Nobody holds the gate that is closed: whoever waits there opens it.
            drop(barrier.shared_timeout(LIMIT).expect("the gate is opened"));
        }
        let slept = sleeps();
        let mut pause = ExclusiveOptions::default()
            .patience(Duration::ZERO)
            .drain(LIMIT)
            .wait(Duration::ZERO)
            .hold(None);
        match barrier.exclusive(&mut pause) {
            Ok(pause) => {
                if !sight.other_boot {
                    let unsure = u32::from(sight.unsure);
                    let epoch = sight.epoch.wrapping_add(sight.lost).wrapping_add(unsure);
                    assert_eq!(barrier.dirty().epoch, epoch, "{} were lost", sight.lost);
                }
                let share = barrier.try_shared();
                let refused = share.as_ref().is_err_and(|error| {
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Deadlock)
                });
                assert!(refused || barrier.is_covered() == Some(Cover::Exclusive), "{share:?}");
                drop(share);
                let report = pause.release().expect("the pause lasted");
                assert_eq!(report.writers, report.writers.min(SLOTS as usize));
            }
            Err(error) => {
                let paced = sight.paced && !sight.other_boot;
                assert!(error.kind() == ErrorKind::WouldBlock && paced, "{error}");
                // Pacing believes the record for 10 s; then the same must come out.
                self.file.write_all_at(&[0; 8], PACING.into()).expect("it is written");
                barrier.exclusive(&mut pause).expect("quiet").release().expect("it lasted");
            }
        }
        let outer = barrier.try_shared().expect("the gate is open");
        let inner = barrier.shared().expect("nested");
        assert_eq!(barrier.depth(), 2);
        let error = barrier.exclusive(&mut pause).expect_err("inside a share");
        assert_eq!(error.kind(), ErrorKind::Deadlock);
        drop((outer, inner));
        drop(barrier.shared_owned_timeout(LIMIT).expect("the gate is open"));
        let share = barrier.shared_for_command(&mut CommandShareOptions::default());
        let share = share.expect("the gate is open");
        assert!(!share.cover().is_empty());
        let status = barrier.status().expect("it is a barrier");
        judge_status(&status);
        assert_eq!(status.writers.iter().filter(|writer| writer.alive && writer.inside).count(), 1);
        share.end();
        barrier.raise_dirty(0, "fuzz");
        barrier.acknowledge(barrier.dirty().epoch);
        let status = barrier.status().expect("it is a barrier");
        assert!(!status.closed && !status.dirty.is_dirty() && status.holder.is_none());
        assert!(status.writers.iter().all(|writer| writer.alive && !writer.inside));
        let slept = sleeps() - slept;
        assert!(slept <= SLEEPS, "slept {slept} times");
    }
}

/// How often this thread has gone to sleep.
fn sleeps() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a thread's own figures");
    usage.voluntary_context_switches()
}

/// Whatever stands in the file, a report is bounded and disturbs no terminal.
fn judge_status(status: &Status) {
    let far = Duration::from_millis(1 << 45);
    let soon = |time: Option<std::time::SystemTime>| {
        let since = time.map(|time| time.duration_since(std::time::UNIX_EPOCH));
        since.is_none_or(|since| since.is_ok_and(|since| since < far))
    };
    let plain = |text: &str| !text.chars().any(char::is_control);
    let line = |text: &str| plain(text) && text.chars().count() <= 36;
    assert!(status.lost.len() <= 32 && status.writers.len() <= SLOTS as usize);
    assert!(status.lost.iter().all(|lost| soon(lost.when)));
    assert!(status.lost.iter().all(|lost| plain(&lost.comm) && plain(&lost.label)));
    assert!(status.lost.iter().all(|lost| line(&lost.place)));
    assert!(status.writers.iter().all(|writer| plain(&writer.comm) && plain(&writer.label)));
    assert!(status.writers.iter().all(|writer| line(&writer.place)));
    assert!(status.holder.iter().all(|holder| plain(&holder.comm) && soon(holder.since)));
}

/// A file that is no barrier is refused as one, in one line.
fn judge_refusal(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::NotABarrier | ErrorKind::Version), "{error:?}");
    assert!(!error.to_string().contains('\n'), "{error}");
}
