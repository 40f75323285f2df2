//! What the Linux guest has written: it checks itself, since each complete file is called NUMBER-SHA256, and a file is durable
//! before the next is begun on the other disk.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// What e2fsck ends with when it has corrected something: counters, after a power cut.
pub const CORRECTED: i32 = 1;
/// No tool takes anywhere near as many.
const SECONDS_MAX: &str = "120";

/// Checks raw images of the guest's two disks, each by itself, and that they are of one instant. Returns the highest number of a file.
pub fn check_guest_disks<P: AsRef<Path>>(folder: &Path, images: &[P; 2], repair: &[i32]) -> u32 {
    let images = images.each_ref();
    let highest = images.map(|image| check_guest_disk(folder, image.as_ref(), repair));
    assert!(highest[0].abs_diff(highest[1]) == 1, "{highest:?}");
    highest[0].max(highest[1])
}

/// Checks the file system in a raw image, which may need a repair that ends so, and is repaired, and each of its files. Returns the
/// highest number of one. `folder` has room for them.
pub fn check_guest_disk(folder: &Path, image: &Path, repair: &[i32]) -> u32 {
    if repair.contains(&CORRECTED) {
        let ended = run("/usr/sbin/e2fsck", &["-fy".as_ref(), image]);
        let code = ended.status.code();
        assert!(code.is_some_and(|code| repair.contains(&code)), "{ended:?}");
    }
    said("/usr/sbin/e2fsck", &["-fn".as_ref(), image]);
    let files = folder.join("files");
    fs::remove_dir_all(&files).ok();
    fs::create_dir(&files).expect("a folder of our own");
    let dump = format!("rdump / {}", files.display());
    said("/usr/sbin/debugfs", &["-R".as_ref(), dump.as_ref(), image]);
    let mut highest = 0;
    for entry in fs::read_dir(&files).expect("it was just made") {
        let file = entry.expect("it was just made").path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Some((number, sum)) = name.split_once('-') else {
            continue;
        };
        assert!(said("sha256sum", &[&file]).starts_with(sum), "{name}");
        highest = highest.max(number.parse().expect("a number comes first"));
    }
    highest
}

/// What a tool prints that succeeds.
fn said(program: &str, arguments: &[&Path]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(program: &str, arguments: &[&Path]) -> Output {
    let mut command = Command::new("timeout");
    let output = command
        .args([SECONDS_MAX, program])
        .args(arguments)
        .output();
    output.expect("timeout is part of every Linux")
}
