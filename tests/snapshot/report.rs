//! `stillpoint report`, and what a browser makes of it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{has, must, run};
use crate::scene::Scene;

/// As many manifests as that, of one series, made from a real one.
fn fill(scene: &Scene, count: usize) {
    scene.snapshot(["mail", "--name", "s0", "--min-open", "0", "--", "true"]).assert_code(0);
    let file = |name: &str| scene.path("catalog").join(format!("{name}.json"));
    let first: Value = serde_json::from_str(&fs::read_to_string(file("s0")).unwrap()).unwrap();
    for number in 1..count {
        let mut manifest = first.clone();
        let name = format!("s{number}");
        let minute = number % 60;
        manifest["name"] = json!(name);
        manifest["sequence"] = json!(number + 1);
        manifest["quiet"] = json!(format!(
            "2026-11-{:02}T{:02}:{minute:02}:00.000Z",
            1 + number / 240 % 28,
            number / 10 % 24
        ));
        manifest["pause"]["pause_ms"] = json!(number % 97);
        fs::write(file(&name), manifest.to_string()).unwrap();
    }
}

fn page(scene: &Scene) -> String {
    let file = scene.path("page.html");
    scene.verb(["report", "--html", file.to_str().unwrap()]).assert_code(0);
    fs::read_to_string(file).unwrap()
}

#[test]
fn whatever_manifests_say_is_text_and_the_page_needs_nothing_else() {
    let scene = Scene::new();
    let evil = "<script>document.title='x'</script><img src=http://h/ onerror=x>";
    let whole = ["mail", "--name", "whole", "--label", evil, "--min-open", "0", "--", "true"];
    scene.snapshot(whole).assert_code(0);
    let failed = ["mail", "--name", "failed", "--label", evil, "--min-open", "0", "--", "false"];
    assert_ne!(scene.snapshot(failed).code(), 0);
    let waited = json!([{"pid": 7, "tid": 7, "comm": "\"><b>", "label": evil, "held_ms": 12.5, "wait_channel": null}]);
    scene.edit("whole", |manifest| manifest["pause"]["waited_for"] = waited);
    scene.edit("failed", |manifest| manifest["reason"] = json!(format!("</style>{evil}\u{1b}[2J")));
    let page = page(&scene);
    for never in ["<script", "<img", "<b>", "\u{1b}", "url(", "@import", "<link", "href="] {
        assert!(!page.contains(never), "{never}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.contains("default-src 'none'"), "{page}");
    for said in ["1 clean", "1 failed", "0 not clean", "&lt;script&gt;", "12.5 ms", "Newest clean"]
    {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
}

#[test]
fn the_page_is_exchanged_whole_and_whatever_is_no_file_stays() {
    let scene = Scene::new();
    fill(&scene, 2);
    let first = page(&scene);
    let file = scene.path("page.html");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let mut reading = File::open(&file).unwrap();
    scene.snapshot(["mail", "--name", "later", "--min-open", "0", "--", "true"]).assert_code(0);
    assert_ne!(page(&scene), first);
    let mut read = String::new();
    reading.read_to_string(&mut read).unwrap();
    assert_eq!(read, first, "who has it open reads the old one");

    let folder = scene.path("folder");
    fs::create_dir(&folder).unwrap();
    let link = scene.path("link");
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    for wrong in [folder, link, scene.path("missing/page.html"), "/dev/null".into()] {
        let done = scene.verb(["report", "--html", wrong.to_str().unwrap()]);
        done.assert_refused(73, wrong.to_str().unwrap());
    }
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    scene.verb(["report"]).assert_refused(64, "--html");
    fs::write(scene.path("catalog/cut.json"), "{").unwrap();
    scene.verb(["report", "--html", file.to_str().unwrap()]).assert_code(65);
    assert!(fs::read_to_string(&file).unwrap().contains("no manifests, and not shown: 1;"));
}

#[test]
fn it_shows_every_catalogue_that_is_asked_for_or_a_jobs() {
    let scene = Scene::new();
    let (first, second) = (scene.path("catalog"), scene.path("second"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let take = |label: &str, options: &[&str]| {
        let words = ["mail", "--label", label, "--min-open", "0"];
        scene.snapshot([&words, options, &["--", "true"]].concat()).assert_code(0);
    };
    let file = scene.path("page.html");
    let jobs = scene.path("jobs");
    fs::create_dir(&jobs).unwrap();
    let report = |options: &[&str]| {
        let mut command = scene.stillpoint();
        command.env("STILLPOINT_JOBS", &jobs).args(["report", "--html"]).arg(&file);
        run(command.args(options))
    };
    let shown = || {
        let page = fs::read_to_string(&file).unwrap();
        ["a", "b"].map(|label| page.contains(&format!("<h2>{label}</h2>")))
    };
    take("a", &[]);
    take("b", &["--catalog", second]);
    report(&[]).assert_code(0);
    assert_eq!(shown(), [true, false]);
    report(&["--catalog", first, "--catalog", second]).assert_code(0);
    assert_eq!(shown(), [true, true]);
    report(&["--catalog", first, "--catalog", second, "--label", "b", "mail"]).assert_code(0);
    assert_eq!(shown(), [false, true]);
    let job = format!(
        "barriers = 'mail'\ncatalog = {second:?}\n[snapshot]\ncopy = {:?}\nto = {:?}\n\
         [limits]\nhold = 9\n",
        scene.path("store"),
        scene.path("snapshots")
    );
    fs::write(jobs.join("b.toml"), job).unwrap();
    report(&[]).assert_code(0);
    assert_eq!(shown(), [true, true]);

    fs::write(jobs.join("broken.toml"), "barrier = 1").unwrap();
    let done = report(&[]);
    done.assert_code(65);
    assert!(done.stderr.contains("broken.toml"), "{done:?}");
    assert_eq!(shown(), [true, true]);
    report(&["--catalog", first]).assert_code(0);
    fs::remove_file(jobs.join("broken.toml")).unwrap();

    // A job that has never run has no catalogue yet; one that was named must be there.
    fs::remove_dir_all(second).unwrap();
    report(&[]).assert_code(0);
    assert_eq!(shown(), [true, false]);
    report(&["--catalog", first, "--catalog", second]).assert_refused(66, second);
    report(&["other"]).assert_refused(66, "no snapshot was ever taken under");
}

/// Ten times as many take about ten times as long, and not a hundred.
#[test]
fn the_time_that_it_takes_grows_with_the_number_of_manifests() {
    let took = |count| {
        let scene = Scene::new();
        fill(&scene, count);
        let since = Instant::now();
        let page = page(&scene);
        assert_eq!(page.matches("V92").count(), count);
        since.elapsed()
    };
    let (few, many) = (took(200), took(2000));
    assert!(many < few * 30 + Duration::from_secs(1), "{few:?} for 200, {many:?} for 2000");
}

#[test]
fn a_browser_shows_it_light_and_dark_narrow_and_wide() {
    if !has(&["chromium"]) {
        return;
    }
    let scene = Scene::new();
    fill(&scene, 40);
    page(&scene);
    let file = format!("file://{}", scene.path("page.html").display());
    let chromium = |options: &[&str]| {
        let mut command = Command::new("timeout");
        command.args([
            "60",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", scene.path("profile").display()));
        must(command.args(options).arg(&file)).stdout
    };
    let text = String::from_utf8(chromium(&["--dump-dom"])).unwrap();
    assert!(text.contains("<svg class=\"timeline\"") && text.contains("40 clean"), "{text}");
    let shot = |name: &str, width: u32, scheme: &[&str]| {
        let image = scene.path(name);
        let to = format!("--screenshot={}", image.display());
        let size = format!("--window-size={width},900");
        chromium(&[scheme, &[to.as_str(), size.as_str()]].concat());
        fs::read(image).unwrap()
    };
    let light = shot("light.png", 1200, &[]);
    let dark = shot("dark.png", 400, &["--blink-settings=preferredColorScheme=0"]);
    // An empty page of that size takes less than 10 kB.
    for (image, width) in [(&light, 1200_u32), (&dark, 400)] {
        assert!(image.len() > 15_000, "{} bytes", image.len());
        assert_eq!(image[16..20], width.to_be_bytes());
    }
}
