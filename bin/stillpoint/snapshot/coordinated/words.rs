//! What is said on the line, a word each. stillpoint-coordinated(7) has them too.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::catalogue::group::{GroupRecord, Mode, Sentence, Whole};
use crate::catalogue::manifest::Manifest;
use crate::process::dialogue::shown;
use crate::snapshot::arguments::Arguments;
use crate::words::exit::{Exit, Failure};
use crate::words::seconds::Limit;

/// What we are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    Prepare(Box<Order>),
    Freeze,
    Release,
    Sentence(Sentence),
}

impl Word {
    /// Or why it is none.
    pub fn parse(line: &[u8]) -> Result<Word, Failure> {
        let text = std::str::from_utf8(line).map_err(|_| strange(line, "is no text"))?;
        match text {
            "freeze" => return Ok(Word::Freeze),
            "release" => return Ok(Word::Release),
            _ => {}
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let whole = || Whole::parse(rest).map_err(|what| strange(line, &what));
        match (word, rest) {
            ("prepare", order) => Order::parse(order).map_err(|what| strange(line, &what)),
            ("complete", _) => Ok(Word::Sentence(Sentence::Complete(whole()?))),
            ("partial", _) => Ok(Word::Sentence(Sentence::Partial(whole()?))),
            ("aborted", why) => {
                let why = if why.is_empty() { "nobody says why" } else { why };
                Ok(Word::Sentence(Sentence::Aborted(shown(why.as_bytes()))))
            }
            _ => Err(strange(line, "is no word")),
        }
    }
}

fn strange(line: &[u8], what: &str) -> Failure {
    Failure::usage(format!("was told \"{}\", which {what}", shown(line)))
}

/// What ends a snapshot while the line is taut: what is no word, and that there will be none.
pub fn judge(line: &[u8]) -> Result<(), Failure> {
    match Word::parse(line)? {
        Word::Sentence(Sentence::Aborted(why)) => Err(aborted(&why)),
        _ => Ok(()),
    }
}

fn aborted(why: &str) -> Failure {
    Failure::new(Exit::CONFLICT, format!("aborted by its group: {why}"))
}

/// Whose part is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Order {
    group: String,
    host: String,
    epoch: u64,
    nonce: Option<String>,
    mode: Mode,
    name: Option<String>,
    prepare_ms: Option<u64>,
    drain_ms: Option<u64>,
    hold_ms: Option<u64>,
}

impl Order {
    fn parse(text: &str) -> Result<Word, String> {
        let order: Order = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let is_named = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
        match is_named(&order.group) && is_named(&order.host) {
            true => Ok(Word::Prepare(Box::new(order))),
            false => Err("names no group or no host".to_owned()),
        }
    }

    /// The group may be content with less than this host allows, and never gets more.
    pub fn restrict(&self, arguments: &mut Arguments) {
        let milliseconds = |limit: Option<u64>| limit.map(Duration::from_millis);
        if let Some(drain) = milliseconds(self.drain_ms) {
            arguments.drain = arguments.drain.min(drain);
        }
        if let Some(hold) = milliseconds(self.hold_ms) {
            arguments.hold = Some(Limit::After(arguments.hold().map_or(hold, |own| own.min(hold))));
        }
        if let Some(name) = &self.name {
            arguments.name = Some(name.clone());
        }
    }

    /// How long others wait until this host is prepared; not at all, if they do not say so.
    pub fn prepare(&self) -> Duration {
        Duration::from_millis(self.prepare_ms.unwrap_or(0))
    }

    /// As the manifest has it.
    pub fn record(&self) -> GroupRecord {
        GroupRecord {
            name: self.group.clone(),
            epoch: self.epoch,
            nonce: self.nonce.clone(),
            host: self.host.clone(),
            mode: self.mode,
            verdict: None,
            members: serde_json::Value::Null,
            revision: None,
        }
    }
}

/// The proof of one part.
pub fn certificate(manifest: &Manifest) -> String {
    let pause = manifest.pause.as_ref();
    let barriers = manifest.barriers.iter().map(|one| {
        json!({ "barrier": one.barrier, "uuid": one.uuid, "generation": one.generation,
                "dirty": one.at_release.as_ref().map(|dirty| dirty.epoch != dirty.acknowledged) })
    });
    json!({
        "snapshot": manifest.name,
        "sequence": manifest.sequence,
        "places": manifest.places(),
        "clean": manifest.reason.is_none(),
        "reason": manifest.reason,
        "covered": manifest.covered,
        "quiet": manifest.quiet,
        "drain_ms": pause.map(|pause| pause.drain_ms),
        "hold_ms": pause.and_then(|pause| pause.hold_ms),
        "pause_ms": pause.and_then(|pause| pause.pause_ms),
        "barriers": barriers.collect::<Vec<_>>(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_that_word_alone() {
        assert_eq!(Word::parse(b"freeze").unwrap(), Word::Freeze);
        let aborted = Word::parse("aborted host b:\u{1b}[2J gone".as_bytes()).unwrap();
        assert_eq!(aborted, Word::Sentence(Sentence::Aborted("host b:\\u{1b}[2J gone".to_owned())));
        let members = r#"complete {"members":{"a":"x"}}"#;
        assert!(matches!(
            Word::parse(members.as_bytes()),
            Ok(Word::Sentence(Sentence::Complete(_)))
        ));
        for garbage in [
            &b""[..],
            b"freeze ",
            b"freeze 1",
            b" freeze",
            b"Freeze",
            b"freeze\r",
            b"freeze\0",
            b"complete",
            b"complete {}",
            b"partial {\"members\":[]}",
            b"prepare",
            b"prepare {}",
            b"\xff",
        ] {
            assert!(Word::parse(garbage).is_err(), "{:?}", String::from_utf8_lossy(garbage));
            assert!(judge(garbage).is_err());
        }
    }

    #[test]
    fn an_order_names_a_part() {
        let order = |more: &str| {
            Word::parse(
                format!(r#"prepare {{"host":"a","epoch":7,"mode":"early"{more}}}"#).as_bytes(),
            )
        };
        assert!(
            order(r#","group":"mail","later":[1]"#).is_ok(),
            "what is not known yet is left alone"
        );
        for wrong in ["", r#","group":"""#, r#","group":"a\nb""#, r#","group":7"#] {
            assert!(order(wrong).is_err(), "{wrong}");
        }
    }
}
