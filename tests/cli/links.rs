//! A state that is reached by a symbolic link: what the link leads to is written, and the link stays.

use std::fs;
use std::os::unix::fs::{lchown, symlink};

use crate::common::command::Place;
use crate::common::is_root;

#[test]
fn the_state_is_written_where_its_link_leads() {
    let place = Place::new();
    let kept = place.path("kept");
    fs::create_dir(&kept).unwrap();
    // From one to the next, and from where it lies; nothing is there at first.
    symlink("../tmp/next", place.state()).unwrap();
    symlink("kept/mail", place.path("next")).unwrap();
    let condition = |done: crate::common::Done, expected: &str| {
        assert_eq!(done.code(), 0, "{done:?}");
        assert_eq!(place.saved()["state"], expected);
        assert_eq!(fs::read_link(place.state()).unwrap().to_str(), Some("../tmp/next"));
        assert_eq!(fs::read_link(place.path("next")).unwrap().to_str(), Some("kept/mail"));
        let files = fs::read_dir(&kept).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(files.collect::<Vec<_>>(), ["mail"], "nothing is left beside it");
    };
    condition(place.run(["create", "mail"]), "open");
    place.lose("lmtp");
    assert_eq!(place.saved()["epoch"], 1);
    condition(place.run(["recover", "mail", "--acknowledge"]), "open");
    assert_eq!(place.saved()["acknowledged"], 1);
    condition(place.run(["retire", "mail"]), "retired");
    condition(place.run(["create", "mail"]), "open");
}

/// What was written for a barrier that could not be made is taken away again, and no more than that.
#[test]
fn the_link_stays_where_nothing_was_made() {
    let place = Place::new();
    symlink(place.path("mail"), place.state()).unwrap();
    fs::write(place.barrier(), "something else").unwrap();
    place.run(["create", "mail"]).assert_complaint(66, &["not a barrier"]);
    assert!(place.state().is_symlink());
    assert!(!place.path("mail").exists());
}

#[test]
fn a_link_that_leads_nowhere_or_is_somebody_elses_is_not_followed() {
    let place = Place::new();
    symlink("mail.state", place.state()).unwrap();
    place.run(["create", "mail"]).assert_complaint(71, &["symbolic links"]);
    fs::remove_file(place.state()).unwrap();
    if !is_root() {
        return;
    }
    symlink(place.path("mail"), place.state()).unwrap();
    lchown(place.state(), Some(1234), Some(1234)).unwrap();
    place.run(["create", "mail"]).assert_complaint(73, &["is a link of another user", "--state"]);
    assert!(place.state().is_symlink());
    assert!(!place.path("mail").exists() && !place.barrier().exists());
}
