//! Parsing, goals, and what is written into the page.

use std::path::Path;

use super::goals::{Against, Figure, GOALS};
use super::measure::{self, Sample};
use super::options::{parse, parse_size};
use super::results::{Measured, Results};
use super::tools::{OURS, RESTIC, Step, TOOLS, ZSTD};
use super::{corpus, interrupt, page, report, requests, scratch};

fn measured(tool: &'static str, step: Step, seconds: f64, repository_mib: f64) -> Measured {
    let sample = Sample {
        wall_seconds: seconds,
        cpu_seconds: seconds * 2.0,
        peak_mib: 100.0,
    };
    Measured {
        tool,
        step,
        sample,
        repository_mib,
    }
}

fn results(measured: impl IntoIterator<Item = Measured>) -> Results {
    Results {
        measured: measured.into_iter().collect(),
    }
}

fn goal(row: &str) -> super::goals::Goal {
    *GOALS.iter().find(|goal| goal.row == row).unwrap()
}

#[test]
fn sizes_have_a_unit() {
    assert_eq!(parse_size("512M").unwrap(), 512 << 20);
    assert_eq!(parse_size("4G").unwrap(), 4 << 30);
    for wrong in ["4", "", "xM", "G", "99999999999G"] {
        assert!(parse_size(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn options_override_the_defaults() {
    let options = parse(&["--runs", "1", "--folder", "/tmp/x", "--tools", "borg,zstd"]).unwrap();
    assert_eq!((options.size_bytes, options.runs), (4 << 30, 1));
    assert_eq!(options.folder.as_deref(), Some(Path::new("/tmp/x")));
    let names: Vec<&str> = options.tools.iter().map(|tool| tool.name).collect();
    assert_eq!(
        names,
        [OURS, "borg lz4", "borg zstd,1", "borg fixed 4 MiB", ZSTD]
    );
    assert!(!options.are_for_the_page());
    for wrong in [
        &["--runs"][..],
        &["--runs", "0"],
        &["--size", "1M"],
        &["--tools", "tar"],
        &["--what", "1"],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn only_a_whole_run_is_for_the_page() {
    assert!(parse(&[]).unwrap().are_for_the_page());
    let quick = parse(&["--quick"]).unwrap();
    assert_eq!((quick.size_bytes, quick.runs), (512 << 20, 1));
    assert!(!quick.are_for_the_page());
}

#[test]
fn what_time_writes_is_understood() {
    let sample = measure::parse("1.50 2.00 0.25 2048\n").unwrap();
    assert!((sample.cpu_seconds - 2.25).abs() < 1e-9);
    assert!((sample.peak_mib - 2.0).abs() < 1e-9);
    assert!(measure::parse("Command terminated by signal 9\n").is_err());
}

#[test]
fn a_restored_copy_must_be_equal() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
    assert!(corpus::compare(&own, &own).is_ok());
    assert!(corpus::compare(&own, &other).is_err());
}

#[test]
fn a_goal_is_judged_against_the_best_peer_and_not_against_a_floor() {
    let results = results([
        measured(OURS, Step::Full, 5.0, 1.0),
        measured(RESTIC, Step::Full, 20.0, 1.0),
        measured("rustic", Step::Full, 10.0, 1.0),
        measured(ZSTD, Step::Full, 4.0, 1.0),
    ]);
    let judged = goal("first full").judge(&results).unwrap();
    assert_eq!(judged.other, Some(("rustic", 10.0)));
    assert!(judged.is_met() && (judged.reached - 0.5).abs() < 1e-9);
    let judged = goal("first full, against restic").judge(&results).unwrap();
    assert!(judged.is_met() && (judged.reached - 0.25).abs() < 1e-9);
    let judged = goal("first full, against bare compression").judge(&results);
    assert!(!judged.unwrap().is_met());
}

#[test]
fn sizes_are_judged_by_what_each_step_added() {
    let sizes = |tool, sizes: [f64; 5]| {
        let steps = [
            Step::Full,
            Step::Unchanged,
            Step::Day2,
            Step::Day3,
            Step::Second,
        ];
        steps
            .into_iter()
            .zip(sizes)
            .map(move |(step, mib)| measured(tool, step, 1.0, mib))
    };
    let ours = sizes(OURS, [1000.0, 1000.0, 1100.0, 1200.0, 1300.0]);
    let results = results(ours.chain(sizes(RESTIC, [1000.0, 1010.0, 1400.0, 1810.0, 2800.0])));
    let growth = goal("growth on a changed day").judge(&results).unwrap();
    assert!((growth.ours - 100.0).abs() < 1e-9);
    assert!((growth.reached - 0.25).abs() < 1e-9);
    let second = goal("second disk, of the first").judge(&results).unwrap();
    assert!((second.reached - 10.0).abs() < 1e-9 && second.is_met());
    let row = report::goal_row(&second, &results);
    assert_eq!(
        row,
        "| second disk, of the first | ≤ 25 % | 10.0 % | restic: 99.0 % | 10.0 % | met |"
    );
}

#[test]
fn a_goal_without_figures_is_not_judged() {
    let results = results([measured(OURS, Step::Full, 5.0, 1.0)]);
    assert!(goal("first full").judge(&results).is_none());
    let memory = goal("peak memory").judge(&results).unwrap();
    assert!(memory.is_met() && memory.other.is_none());
}

#[test]
fn every_goal_names_a_tool_that_is_measured() {
    for goal in GOALS {
        if let Against::Tool(name) = goal.against {
            assert!(TOOLS.iter().any(|tool| tool.name == name), "{name}");
        }
        assert!(goal.most > 0.0);
    }
    let memory = goal("peak memory").figure;
    assert_eq!((memory, memory.unit()), (Figure::PeakMemory, "MiB"));
}

#[test]
fn medians_are_of_the_runs() {
    let seconds = [3.0, 1.0, 2.0].map(|seconds| measured(OURS, Step::Full, seconds, 1.0));
    assert_eq!(results(seconds).wall(OURS, Step::Full), Some(2.0));
    assert_eq!(results([]).wall(OURS, Step::Full), None);
}

#[test]
fn a_part_of_the_page_is_replaced_and_the_rest_stays() {
    let page = "# Head\n<!-- begin a -->\nold\n<!-- end a -->\ntail\n";
    let new = page::replaced(page, "a", "new\n").unwrap();
    assert_eq!(
        new,
        "# Head\n<!-- begin a -->\n\nnew\n\n<!-- end a -->\ntail\n"
    );
    assert_eq!(page::replaced(page, "b", "new"), None);
}

#[test]
fn the_page_has_a_place_for_every_part() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let page = std::fs::read_to_string(page).unwrap();
    let sections = super::sections::SECTIONS.map(|section| section.name);
    for name in ["comparison", "requests"].into_iter().chain(sections) {
        assert!(page::replaced(&page, name, "").is_some(), "{name}");
    }
    assert_eq!(
        page::unexplained_in(&page, &["no such goal"]),
        ["no such goal"]
    );
}

#[test]
fn missed_goals_are_looked_for_under_their_heading() {
    let page = "**a**\n\n## Missed goals\n\n**b**: since …\n\n## Other\n\n**c**\n";
    assert_eq!(page::unexplained_in(page, &["a", "b", "c"]), ["a", "c"]);
}

#[test]
fn requests_are_counted_for_each_tib() {
    let printed = "{\n  \"point\": \"p\",\n  \"requests\": {\"get\": 3, \"put\": 5}\n}\n";
    let cost = requests::Cost {
        step: Step::Full,
        seconds: 1.5,
        requests: requests::counts(printed).unwrap(),
    };
    let table = requests::table(&[cost], 1024).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    let expected = [
        "| step | s | get | put |",
        "|---|---|---|---|",
        "| full | 1.5 | 3 | 5 |",
        "",
        "| for each TiB of image | get | put |",
        "|---|---|---|",
        "| full | 3072 | 5120 |",
    ];
    assert_eq!(lines, expected);
    assert!(requests::counts("{\"requests\": {}}\n").is_ok());
    assert!(requests::counts("x\n{\"requests\": {\"get\": 1}}\n").is_ok());
    assert!(requests::counts("{\"point\": 1}\n").is_err());
}

#[test]
fn figures_have_three_digits() {
    let shown = [0.123, 9.999, 12.34, 1234.5].map(report::digits);
    assert_eq!(shown, ["0.12", "10.0", "12.3", "1234"]);
}

#[test]
fn a_process_knows_its_parent() {
    let stat = "42 (a name) with ) S 7 42 1 0 -1";
    assert_eq!(interrupt::parent(stat, 42), Some((42, 7)));
    assert_eq!(interrupt::parent("42 (name) Z 7 42", 42), None);
    assert_eq!(interrupt::parent("", 42), None);
}

#[test]
fn available_memory_is_read() {
    let text = "MemTotal: 2048 kB\nMemAvailable:    1024 kB\n";
    assert_eq!(scratch::available_memory(text), 1 << 20);
    assert_eq!(scratch::available_memory(""), 0);
}

#[test]
fn a_folder_goes_when_it_is_dropped_and_so_do_those_of_dead_runs() {
    let parent = std::env::temp_dir().join(format!("strongroom-scratch-{}", std::process::id()));
    // No process has this number.
    let abandoned = parent.join("strongroom-bench-4294967295");
    std::fs::create_dir_all(abandoned.join("corpus")).unwrap();
    std::fs::create_dir_all(parent.join("somebody-elses")).unwrap();
    let scratch = scratch::Scratch::new(&parent).unwrap();
    let folder = scratch.folder().to_owned();
    std::fs::write(folder.join("file"), "x").unwrap();
    assert!(!abandoned.exists());
    drop(scratch);
    assert!(!folder.exists());
    assert!(parent.join("somebody-elses").exists());
    std::fs::remove_dir_all(&parent).unwrap();
}
