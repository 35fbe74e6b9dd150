//! Writers of every kind that keep two numbers equal, for whoever looks in a pause.

use crate::actor::Answer;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use stillpoint::{Barrier, CommandShareOptions, Error, ErrorKind};

/// One update of both numbers, under whatever share is held.
fn update(file: &File, number: u64) {
    let write = |at| file.write_all_at(&number.to_ne_bytes(), at);
    let _ = write(0);
    std::thread::yield_now();
    let _ = write(8);
}

type Share = fn(&Barrier, &File, u64) -> Result<(), Error>;

fn by_thread(barrier: &Barrier, file: &File, number: u64) -> Result<(), Error> {
    let _share = barrier.shared()?;
    let _nested = barrier.shared()?;
    update(file, number);
    Ok(())
}

fn by_process(barrier: &Barrier, file: &File, number: u64) -> Result<(), Error> {
    let _share = barrier.shared_owned()?;
    update(file, number);
    Ok(())
}

fn by_new_thread(barrier: &Barrier, file: &File, number: u64) -> Result<(), Error> {
    let by_thread = || by_thread(barrier, file, number);
    std::thread::scope(|scope| scope.spawn(by_thread).join().expect("no panic"))
}

fn for_command(barrier: &Barrier, file: &File, number: u64) -> Result<(), Error> {
    match barrier.shared_for_command(&mut CommandShareOptions::default()) {
        // Between its removal and the next one: a command is not begun then.
        Err(error) if error.kind() == ErrorKind::Missing => Ok(()),
        share => {
            let share = share?;
            update(file, number);
            share.end();
            Ok(())
        }
    }
}

/// Updates files of this process in the folder until there is more to read. Answers how often, each kind.
pub fn until_told(barrier: &Barrier, folder: &str) -> Answer {
    let kinds: [(&str, Share); 4] = [
        ("thread", by_thread),
        ("process", by_process),
        ("new-thread", by_new_thread),
        ("command", for_command),
    ];
    let over = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| -> Result<Vec<String>, Error> {
        let running: Vec<_> = kinds
            .iter()
            .map(|(name, share)| {
                let path = format!("{folder}/{}-{name}", std::process::id());
                let file = File::create(path).expect("a file of our own");
                let over = &over;
                scope.spawn(move || -> Result<u64, Error> {
                    update(&file, 0);
                    let mut number = 0;
                    while !over.load(Ordering::Relaxed) {
                        number += 1;
                        share(barrier, &file, number)?;
                    }
                    Ok(number)
                })
            })
            .collect();
        let input = std::io::stdin();
        let mut watched = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut watched, PollTimeout::NONE);
        over.store(true, Ordering::Relaxed);
        let counts = running.into_iter().map(|thread| thread.join().expect("no panic"));
        kinds
            .iter()
            .zip(counts)
            .map(|((name, _), count)| Ok(format!("{name}={}", count?)))
            .collect()
    });
    Ok(format!("{} depth={}", counts?.join(" "), barrier.depth()))
}
