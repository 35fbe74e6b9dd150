//! Part of a whole: what the verdict on a group's snapshot is to the manifest of one host's part.

use super::{Manifest, Status};
use crate::catalogue::group::{Sentence, Standing, Verdict};

impl Manifest {
    /// Has it a certificate, and nobody said what became of the whole?
    pub fn awaits_verdict(&self) -> bool {
        let verdict = self.group.as_ref().map(|group| group.verdict);
        self.status == Status::Certified && verdict == Some(None)
    }

    /// Is it no part of a whole, though it was certified?
    pub fn is_aborted(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.verdict == Some(Verdict::Aborted))
    }

    /// It is of no group, or the group is complete.
    pub(super) fn is_of_a_whole(&self) -> bool {
        self.group.as_ref().is_none_or(|group| group.verdict == Some(Verdict::Complete))
    }

    pub fn stands_to(&self, verdict: Verdict) -> Standing {
        let Some(group) = &self.group else { return Standing::Contradicted };
        match (group.verdict, self.status) {
            (Some(known), _) if known == verdict => Standing::Known,
            (Some(_), _) => Standing::Contradicted,
            (None, Status::Certified) => Standing::Awaited,
            // Nobody was told of a certificate.
            (None, Status::Complete) => Standing::Contradicted,
            (None, _) if verdict != Verdict::Complete => Standing::Known,
            (None, _) => Standing::Contradicted,
        }
    }

    /// Notes the verdict that it waits for.
    pub fn hear(&mut self, sentence: &Sentence) {
        let is_clean = self.reason.is_none();
        let Some(group) = &mut self.group else { return };
        group.verdict = Some(sentence.verdict());
        match sentence {
            Sentence::Complete(whole) | Sentence::Partial(whole) => {
                group.members = whole.members.clone();
                group.revision = whole.revision;
            }
            Sentence::Aborted(why) => self.reason = Some(format!("aborted by its group: {why}")),
        }
        match sentence {
            Sentence::Complete(_) => self.clean = is_clean,
            Sentence::Partial(_) if is_clean => {
                self.reason = Some("not all hosts of the group have taken part".to_owned());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::catalogue::group::{GroupRecord, Mode, Whole};

    fn waiting() -> Manifest {
        let mut manifest = Manifest::begun("a".into(), "command", &[]);
        manifest.status = Status::Certified;
        manifest.group = Some(GroupRecord {
            name: "mail".into(),
            epoch: 7,
            nonce: None,
            host: "a".into(),
            mode: Mode::HoldAll,
            verdict: None,
            members: Value::Null,
            revision: None,
        });
        manifest
    }

    fn whole() -> Whole {
        Whole::parse(r#"{"members":{"a":"a-7","b":{"snapshot":"b-7"}},"revision":12,"more":1}"#)
            .unwrap()
    }

    #[test]
    fn a_verdict_is_heard_once() {
        for sentence in [
            Sentence::Complete(whole()),
            Sentence::Partial(whole()),
            Sentence::Aborted("a host was gone".into()),
        ] {
            let mut manifest = waiting();
            assert!(manifest.awaits_verdict() && !manifest.clean);
            for verdict in [Verdict::Complete, Verdict::Partial, Verdict::Aborted] {
                assert_eq!(manifest.stands_to(verdict), Standing::Awaited);
            }
            manifest.hear(&sentence);
            assert!(!manifest.awaits_verdict());
            assert_eq!(manifest.clean, sentence.verdict() == Verdict::Complete);
            for verdict in [Verdict::Complete, Verdict::Partial, Verdict::Aborted] {
                let known = verdict == sentence.verdict();
                let standing = if known { Standing::Known } else { Standing::Contradicted };
                assert_eq!(manifest.stands_to(verdict), standing);
            }
        }
    }

    #[test]
    fn what_is_dirty_here_is_not_clean_because_all_are_there() {
        let mut manifest = waiting();
        manifest.reason = Some("dirty".into());
        manifest.hear(&Sentence::Complete(whole()));
        assert_eq!((manifest.clean, manifest.reason.as_deref()), (false, Some("dirty")));
    }

    #[test]
    fn what_failed_is_no_part_of_a_complete_one() {
        let mut manifest = waiting();
        manifest.end(Status::Failed, None);
        assert_eq!(manifest.stands_to(Verdict::Aborted), Standing::Known);
        assert_eq!(manifest.stands_to(Verdict::Complete), Standing::Contradicted);
    }

    #[test]
    fn who_says_clean_without_a_verdict_is_not_believed() {
        let mut manifest = waiting();
        (manifest.status, manifest.clean) = (Status::Complete, true);
        assert!(!Manifest::parse(&manifest.to_json()).unwrap().clean);
        manifest.group.as_mut().unwrap().verdict = Some(Verdict::Complete);
        assert!(Manifest::parse(&manifest.to_json()).unwrap().clean);
    }

    #[test]
    fn members_are_hosts() {
        for text in ["", "{}", "[]", r#"{"members":[]}"#, r#"{"members":{}}"#, r#"{"members":1}"#] {
            assert!(Whole::parse(text).is_err(), "{text}");
        }
    }
}
