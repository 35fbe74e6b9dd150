//! What is said of those who were lost: who it was, when, and whether somebody has acknowledged it. The
//! durable state knows that longer than the barrier does.

use crate::common::command::Place;
use serde_json::{Value, json};
use stillpoint::Barrier;

/// A place whose barrier lost `label`.
fn with_lost(label: &str) -> Place {
    let place = Place::with_barrier();
    place.lose(label);
    place
}

/// Loses a share of this program, in a thread that ends inside. Gives the line, as it is shown.
fn lose_here(place: &Place) -> String {
    let barrier = Barrier::options().label("lmtpd").open(place.barrier()).unwrap();
    let share = || std::mem::forget(barrier.shared().unwrap());
    let line = line!() - 1;
    std::thread::scope(|scope| scope.spawn(share).join().unwrap());
    format!("tests/cli/losses.rs:{line}")
}

fn made_again(place: &Place) {
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
}

/// The lines of `status` about losses.
fn lines(place: &Place) -> Vec<String> {
    let text = place.run(["status", "mail"]).stdout;
    text.lines().filter(|line| line.starts_with("  lost")).map(str::to_string).collect()
}

/// What the manifest of a snapshot says that is taken now.
fn manifest_of_a_snapshot(place: &Place) -> Value {
    assert_eq!(place.snapshot(&["mail", "--name", "n"]).code(), 0);
    let catalog = place.path("catalog");
    let list = place.run(["list", "--catalog", catalog.to_str().unwrap()]);
    assert_eq!(list.code(), 0, "it can be read");
    let manifest = std::fs::read(place.path("catalog/n.json")).unwrap();
    serde_json::from_slice(&manifest).unwrap()
}

fn lost(place: &Place) -> Value {
    place.status()["dirty"]["lost"].clone()
}

#[test]
fn what_was_acknowledged_does_not_look_open() {
    let place = with_lost("first");
    assert!(lines(&place)[0].ends_with(", not acknowledged"), "{:?}", lines(&place));
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    place.lose("second");
    let said = lines(&place);
    assert!(
        said[0].contains("(second), 20") && said[0].ends_with(", not acknowledged"),
        "{said:?}"
    );
    assert!(said[1].contains("(first), 20") && said[1].ends_with("Z, acknowledged"), "{said:?}");
    let told = lost(&place);
    let of = |index: usize| (told[index]["epoch"].clone(), told[index]["acknowledged"].clone());
    assert_eq!((of(0), of(1)), ((json!(2), json!(false)), (json!(1), json!(true))));
}

#[test]
fn nothing_is_said_of_losses_that_nobody_remembers_and_somebody_acknowledged() {
    let place = with_lost("lmtp");
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!(place.saved()["lost"], json!([]));
    made_again(&place);
    assert_eq!(
        place.status()["dirty"],
        json!({"epoch": 1, "acknowledged": 1, "uncounted": 0, "lost": []})
    );
    assert_eq!(lines(&place), [""; 0]);
}

#[test]
fn a_loss_is_named_until_it_is_acknowledged() {
    let place = with_lost("lmtp");
    let before = lost(&place);
    made_again(&place);
    assert_eq!(lost(&place), before, "of the barrier before");
    // A power cut.
    std::fs::remove_file(place.barrier()).unwrap();
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    made_again(&place);
    let said = lines(&place);
    assert!(said[0].contains("crash or power cut: not retired, 20"), "{said:?}");
    assert!(said[1].contains("(lmtp), 20"), "{said:?}");
    let recovered = place.run(["recover", "mail", "--acknowledge"]);
    recovered.assert_complaint(0, &["crash or power cut: not retired, stillpoint[", "(lmtp)"]);
    made_again(&place);
    assert_eq!(lines(&place), [""; 0]);
}

#[test]
fn a_loss_that_nobody_knows_has_no_time() {
    let place = with_lost("lmtp");
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    // As one that was written before states had names in them.
    let mut state = place.saved();
    state.as_object_mut().unwrap().remove("lost").unwrap();
    std::fs::write(place.state(), state.to_string()).unwrap();
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(lines(&place), ["  lost     unknown, at an unknown time, not acknowledged"]);
    let told = lost(&place);
    assert_eq!((&told[0]["when"], &told[0]["epoch"]), (&Value::Null, &json!(1)));
    let manifest = manifest_of_a_snapshot(&place);
    assert_eq!(manifest["barriers"][0]["lost"][0]["when"], Value::Null);
}

#[test]
fn a_barrier_in_the_place_of_a_dirty_one_says_why_it_is_dirty() {
    for (retired, why) in [(true, "in the barrier before this one"), (false, "not retired")] {
        let place = with_lost("lmtp");
        match retired {
            true => assert_eq!(place.run(["retire", "mail"]).code(), 0),
            false => std::fs::remove_file(place.barrier()).unwrap(),
        }
        // A program with --create was faster than the service.
        assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
        assert_eq!(place.run(["create", "mail"]).code(), 0);
        let said = lines(&place);
        assert!(said.len() == 1 && said[0].contains(why), "{said:?}");
        assert!(!said[0].contains("stillpoint["), "nobody knows which process: {said:?}");
    }
}

#[test]
fn names_from_before_do_not_outlive_the_bytes() {
    let place = with_lost("lmtp");
    let file = std::fs::File::options().write(true).open(place.barrier()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 8192], 0).unwrap();
    drop(file);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert!(!lines(&place).concat().contains("xxx"), "{:?}", lines(&place));
}

/// All that is kept of a loss keeps where the share was taken.
#[test]
fn a_loss_says_where_its_share_was_taken() {
    let place = with_lost("lmtp");
    assert_eq!(lost(&place)[0]["place"], "", "a command's");
    let line = lose_here(&place);
    let told = lost(&place);
    assert_eq!(told[0]["place"], *line);
    let said = lines(&place);
    assert!(said[0].contains(&format!("] (lmtpd) inside from {line}, 20")), "{said:?}");
    assert!(said[1].contains("] (lmtp), 20"), "{said:?}");
    let manifest = manifest_of_a_snapshot(&place);
    assert_eq!(manifest["barriers"][0]["lost"][0]["place"], *line);
    assert_eq!(place.saved()["lost"][0]["place"], *line);

    made_again(&place);
    assert_eq!(lost(&place), told, "of the barrier before");
    let recovered = place.run(["recover", "mail", "--acknowledge"]);
    recovered.assert_complaint(0, &["; lost inside: ", &format!("] (lmtpd) inside from {line}, ")]);
}

/// As one that was written before states and manifests had lines in them.
#[test]
fn a_state_without_lines_is_read() {
    let place = Place::with_barrier();
    lose_here(&place);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    let mut state = place.saved();
    state["lost"][0].as_object_mut().unwrap().remove("place").unwrap();
    std::fs::write(place.state(), state.to_string()).unwrap();
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    let said = lines(&place);
    assert!(said[0].contains("(lmtpd), 20"), "{said:?}");
}
