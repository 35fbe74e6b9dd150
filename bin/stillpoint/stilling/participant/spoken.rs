//! The words that participants and we say to each other, a line each. stillpoint-participants(7) has them too.

/// What a participant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It stills this process.
    Covers(u32),
    Ready,
    Frozen,
    /// Not now.
    Failed,
    /// It goes on by itself, now.
    Expired,
    Thawed,
}

/// `None` for anything else.
pub fn parse(line: &[u8]) -> Option<Word> {
    match line {
        b"ready" => Some(Word::Ready),
        b"frozen" => Some(Word::Frozen),
        b"failed" => Some(Word::Failed),
        b"expired" => Some(Word::Expired),
        b"thawed" => Some(Word::Thawed),
        line => {
            let number = line.strip_prefix(b"covers ")?;
            let number = number.iter().all(u8::is_ascii_digit).then_some(number)?;
            let number = std::str::from_utf8(number).ok()?.parse().ok()?;
            (number > 0).then_some(Word::Covers(number))
        }
    }
}

/// What it is told to stand still.
pub fn freeze(limit: std::time::Duration) -> String {
    // Upwards: it must not go on before our own limit is over.
    format!("freeze {}", limit.as_micros().div_ceil(1000).max(1))
}

/// What it is told to go on.
pub const THAW: &str = "thaw";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_word_is_that_word_alone() {
        assert_eq!(parse(b"frozen"), Some(Word::Frozen));
        assert_eq!(parse(b"covers 4711"), Some(Word::Covers(4711)));
        for garbage in [
            &b""[..],
            b"frozen ",
            b" frozen",
            b"Frozen",
            b"frozen\r",
            b"frozen\0",
            b"covers",
            b"covers ",
            b"covers 0",
            b"covers -1",
            b"covers +1",
            b"covers 1 2",
            b"covers 4294967296",
            b"\xff",
        ] {
            assert_eq!(parse(garbage), None, "{:?}", String::from_utf8_lossy(garbage));
        }
    }

    #[test]
    fn a_limit_is_never_shorter_than_ours() {
        assert_eq!(freeze(Duration::from_secs(10)), "freeze 10000");
        assert_eq!(freeze(Duration::from_micros(9_000_001)), "freeze 9001");
        assert_eq!(freeze(Duration::ZERO), "freeze 1");
    }
}
