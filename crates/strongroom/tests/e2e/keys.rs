//! Key files and passphrases of `strongroom repo`, and a reader that this program shares nothing with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clients::python;
use crate::disks;
use crate::server::BINARY;

struct Repo {
    folder: tempfile::TempDir,
}

impl Repo {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    fn text(&self, name: &str) -> String {
        disks::text(&self.path(name)).to_owned()
    }

    /// Runs `strongroom repo VERB… REPO ARGUMENTS…`, without a terminal.
    fn run(&self, verb: &[&str], arguments: &[&str], passphrase: Option<&str>) -> Output {
        let mut command = Command::new("setsid");
        command
            .args(["--wait", BINARY, "repo"])
            .args(verb)
            .args(["-o", "json"])
            .arg(self.path("repo"))
            .args(arguments);
        if let Some(passphrase) = passphrase {
            command.env("STRONGROOM_PASSPHRASE", passphrase);
        }
        command.output().unwrap()
    }

    fn done(&self, verb: &[&str], arguments: &[&str]) -> serde_json::Value {
        let output = self.run(verb, arguments, None);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn back_up(&self, secret: &[&str], source: &Path) -> String {
        let arguments = [secret, &[disks::text(source)]].concat();
        let answer = self.done(&["backup"], &arguments);
        answer["point"].as_str().unwrap().to_owned()
    }

    /// What the independent reader restores.
    fn read(&self, secret: &[&str], point: &str) -> Vec<u8> {
        let reader =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/reader/reader.py");
        let target = self.path("read.raw");
        let output = Command::new(python())
            .arg(reader)
            .arg(self.path("repo"))
            .args(secret)
            .args(["restore", point])
            .arg(&target)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        std::fs::read(target).unwrap()
    }
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn the_reader_of_the_format_pages_restores_what_was_backed_up_before_and_after_rotations() {
    let repo = Repo::new();
    let source = repo.path("disk.raw");
    disks::ext4(&source, 64 << 20, 24 << 20);
    let key = repo.text("key");
    let old = ["--key-file", key.as_str()];
    repo.done(&["init"], &old);
    let first = repo.back_up(&old, &source);
    let image = std::fs::read(&source).unwrap();
    assert!(repo.read(&old, &first) == image);

    let rotated = repo.done(&["key", "rotate"], &old);
    assert_eq!(rotated["generation"], 1);
    let mut changed = image.clone();
    changed[8 << 20..9 << 20].fill(0x5a);
    std::fs::write(&source, &changed).unwrap();
    let second = repo.back_up(&old, &source);
    let words = repo.file("words", "correct horse battery staple\n");
    let new = ["--passphrase-file", words.as_str()];
    let arguments = [&old[..], &["--new-passphrase-file", &words]].concat();
    assert_eq!(repo.done(&["key", "rotate"], &arguments)["generation"], 2);
    std::fs::write(&source, &image).unwrap();
    let third = repo.back_up(&new, &source);
    for (point, content) in [(&first, &image), (&second, &changed), (&third, &image)] {
        assert!(repo.read(&new, point) == *content, "{point}");
    }

    // Most of the disk is emptied, the older points go, and their packs are rewritten.
    let mut emptied = image;
    emptied[10 << 20..].fill(0);
    std::fs::write(&source, &emptied).unwrap();
    let last = repo.back_up(&new, &source);
    repo.done(
        &["forget"],
        &[&new[..], &[&first, &second, &third]].concat(),
    );
    let collected = repo.done(&["gc"], &new);
    assert!(
        collected["bytes_copied"].as_u64().unwrap() > 0,
        "{collected}"
    );
    assert!(
        collected["packs_deleted"].as_u64().unwrap() > 0,
        "{collected}"
    );
    assert!(repo.read(&new, &last) == emptied);
}

/// Runs a command on a terminal of its own and answers its prompts in turn; prints how many there were, and ends as
/// the command does.
const TERMINAL: &str = r#"
import os, pty, re, sys, termios
answers = sys.argv[1].split(",")
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, asked = b"", 0
while True:
    try:
        seen += os.read(terminal, 4096)
    except OSError:
        break
    if len(re.findall(rb"(?:passphrase|repository|again): ", seen)) > asked:
        # What was typed before the echo is off is thrown away.
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            os.sched_yield()
        os.write(terminal, answers[asked].encode() + b"\n")
        asked += 1
print(asked)
sys.stderr.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

impl Repo {
    /// How often a passphrase was asked for.
    fn on_terminal(&self, verb: &[&str], flags: &[&str], answers: &[&str]) -> Result<u32, String> {
        let output = Command::new(python())
            .args(["-c", TERMINAL, &answers.join(","), BINARY, "repo"])
            .args(verb)
            .arg(self.path("repo"))
            .args(flags)
            .env_remove("STRONGROOM_PASSPHRASE")
            .output()
            .unwrap();
        if output.status.success() {
            let asked = String::from_utf8_lossy(&output.stdout);
            return Ok(asked.trim().parse().unwrap());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn on_a_terminal_a_rotation_asks_once_for_the_old_passphrase_and_twice_for_a_new_one() {
    let repo = Repo::new();
    let old = "correct horse";
    assert_eq!(repo.on_terminal(&["init"], &[], &[old, old]), Ok(2));
    // A second question would be answered with a slip of the finger.
    let rotate = ["key", "rotate"];
    assert_eq!(repo.on_terminal(&rotate, &[], &[old, "typo"]), Ok(1));
    assert!(repo.run(&["list"], &[], Some(old)).status.success());

    let flags = ["--new-passphrase"];
    let said = repo.on_terminal(&rotate, &flags, &[old, "battery", "batery"]);
    let said = said.unwrap_err();
    assert!(said.contains("not the same"), "{said}");
    assert!(repo.run(&["list"], &[], Some(old)).status.success());
    let answers = [old, "battery", "battery"];
    assert_eq!(repo.on_terminal(&rotate, &flags, &answers), Ok(3));
    assert!(repo.run(&["list"], &[], Some("battery")).status.success());
}

#[test]
fn a_key_file_is_no_passphrase_and_no_new_one_is_made_for_a_repository_that_is_there() {
    let repo = Repo::new();
    let (key, other) = (repo.text("key"), repo.text("other"));
    repo.done(&["init"], &["--key-file", &key]);
    for flag in ["--passphrase-file", "--new-passphrase-file"] {
        let arguments = match flag {
            "--passphrase-file" => vec![flag, &key],
            _ => vec!["--key-file", &key, flag, &key],
        };
        let said = refusal(&repo.run(&["key", "rotate"], &arguments, None));
        assert!(said.contains("is a key file"), "{said}");
    }
    let said = refusal(&repo.run(&["list"], &[], Some("correct horse")));
    assert!(said.contains("is opened by a key file"), "{said}");
    let said = refusal(&repo.run(&["init"], &["--key-file", &other], None));
    assert!(said.contains("already is a repository"), "{said}");
    assert!(!repo.path("other").exists());
    repo.done(&["list"], &["--key-file", &key]);
}

#[test]
fn a_secret_comes_from_a_file_or_the_environment_and_a_wrong_one_is_one_sentence() {
    let repo = Repo::new();
    let made = repo.run(&["init"], &[], Some("correct horse"));
    assert!(made.status.success());
    let listed = repo.run(&["list"], &[], Some("correct horse"));
    assert!(listed.status.success());
    let said = refusal(&repo.run(&["list"], &[], Some("battery staple")));
    assert!(said.contains("wrong key"), "{said}");
    let said = refusal(&repo.run(&["list"], &[], None));
    assert!(said.contains("no key was given"), "{said}");

    let key = repo.text("key");
    let changed = repo.run(
        &["key", "change"],
        &["--new-key-file", &key],
        Some("correct horse"),
    );
    let said = String::from_utf8_lossy(&changed.stderr);
    assert!(changed.status.success(), "{said}");
    repo.done(&["list"], &["--key-file", &key]);
    let said = refusal(&repo.run(&["list"], &[], Some("correct horse")));
    assert!(said.contains("wrong key"), "{said}");
    let said = refusal(&repo.run(&["key", "change"], &["--key-file", &key], None));
    assert!(said.contains("new key file or a new passphrase"), "{said}");
}
