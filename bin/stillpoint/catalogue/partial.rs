//! The name that data has while it is being made, or removed.
//!
//! A folder is made under it before the pause, which keeps the name from all others, and before anything is
//! in it the manifest says by what it is known. What a tool makes in the pause is not known before it is
//! there, so part of its name cannot be guessed, and the manifest holds that, durably, first. What is
//! found under it is what that run made: nobody else's can have it by accident, neither what was made after
//! the run died, nor that of a run with another catalogue and the same name.

use std::hash::{BuildHasher, RandomState};

const SUFFIX: &str = ".partial";

/// In hexadecimal.
const DIGITS: usize = 16;

/// What cannot be guessed.
pub fn token() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// The temporary name of what will have this one.
pub fn partial(name: &str, token: Option<&str>) -> String {
    match token {
        Some(token) => format!("{name}.{token}{SUFFIX}"),
        None => format!("{name}{SUFFIX}"),
    }
}

/// Can it be that of what has, or will have, this name?
pub fn is_partial(found: &str, name: &str) -> bool {
    found == partial(name, None) || is_unique(found, name)
}

/// Has it a part that only the run that made it could know?
pub fn is_unique(partial: &str, name: &str) -> bool {
    let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let token = partial.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
    token
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .is_some_and(|token| token.len() == DIGITS && token.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same_and_each_is_known_for_what_it_is() {
        let (one, other) = (partial("a", Some(&token())), partial("a", Some(&token())));
        assert_ne!(one, other);
        assert!(is_unique(&one, "a") && is_partial(&one, "a"));
        assert!(!is_unique("a.partial", "a") && is_partial("a.partial", "a"));
        for foreign in ["b.partial", "a", "a..partial", "a.x.partial", "a.0123456789abcdeF.partial"]
        {
            assert!(!is_partial(foreign, "a"), "{foreign}");
        }
    }
}
