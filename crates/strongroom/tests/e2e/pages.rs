//! Every example in the documentation does what its page says.
//!
//! Fenced blocks of a page are run in their order, against an installation of the page's own: `sh` in one shell,
//! whose commands have to succeed unless the remark behind one says `# refused: CODE`; `http` as a request of
//! whoever is signed in; `toml` as the configuration that the installation is started with again; `json` is the
//! answer of what was run last, in which `"…"` stands for anything. What only a real installation has is put in:
//! `BACKUP` and `{backup_id}` are the id in the newest answer that told one, `VAULT_DAILY` is that of the vault called `daily`.

mod answers;
mod before;
mod blocks;
mod hook;
mod names;
mod session;
mod stage;

use std::process::Command;
use std::sync::Mutex;

use blocks::Block;

use crate::server::BINARY;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");

/// Blocks that are not run here: how each begins, and why.
const ELSEWHERE: [(&str, &str, &str); 13] = [
    (
        "../README.md",
        "cargo run --release --bin strongroom -- demo",
        "`verbs.rs` runs the demonstration, and this is one of all tests",
    ),
    (
        "../README.md",
        "cargo build --release",
        "builds the program that is tested here",
    ),
    (
        "benchmarks.md",
        "strongroom  repo init",
        "what `cargo xtask bench` measures",
    ),
    (
        "block-images.md",
        "qemu-nbd --read-only",
        "`exports.rs` adds what such a server serves",
    ),
    (
        "compatibility.md",
        "target/clients-venv/",
        "`clients.rs` runs this script, among the others",
    ),
    (
        "database-hooks.md",
        "install -m 755",
        "`hooks.rs` runs the scripts; the agent's folder is in guests",
    ),
    (
        "instant-recovery.md",
        "-blockdev driver=nbd",
        "`instant.rs` runs such a machine",
    ),
    (
        "instant-recovery.md",
        "-object tls-creds-x509",
        "`over_tls.rs` runs such a machine",
    ),
    (
        "instant-recovery.md",
        "{\"execute\": \"blockdev-add\"",
        "`instant.rs` moves a machine home so",
    ),
    (
        "live-servers.md",
        "qemu-system-x86_64 -m 2048",
        "`live.rs` runs such machines",
    ),
    (
        "new-servers.md",
        "strongroom backup machine",
        "`new_server.rs` asks what a machine was that runs",
    ),
    (
        "policies.md",
        "FREQ=DAILY;INTERVAL=<1 to 30>",
        "a grammar; the examples below it are run",
    ),
    (
        "storage.md",
        "aws s3api",
        "needs an account and a program of AWS",
    ),
];

/// They mostly wait.
const PAGES_AT_ONCE: usize = 4;

/// Kinds of blocks that the API's own tests read (`policy_page.rs`).
const KINDS_OF_POLICIES: [&str; 2] = ["retention", "schedule"];

/// All pages but decisions, which have no examples; by their paths from `docs`.
fn pages() -> Vec<(String, String)> {
    let readme = "../README.md";
    let text = std::fs::read_to_string(format!("{DOCS}{readme}")).unwrap();
    let mut pages = vec![(readme.to_owned(), text)];
    for folder in ["", "formats/"] {
        for entry in std::fs::read_dir(format!("{DOCS}{folder}")).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|end| end == "md") {
                let name = file.file_name().unwrap().to_str().unwrap();
                let text = std::fs::read_to_string(&file).unwrap();
                pages.push((format!("{folder}{name}"), text));
            }
        }
    }
    pages
}

/// The blocks that are run here; those that are not leave the list of `elsewhere`.
fn runnable(page: &str, text: &str, elsewhere: &mut Vec<(&str, &str, &str)>) -> Vec<Block> {
    let mut found = blocks::blocks(page, text);
    found.retain(|block| {
        let known =
            |entry: &(&str, &str, &str)| entry.0 == page && block.first_line().starts_with(entry.1);
        let here = elsewhere.len();
        elsewhere.retain(|entry| !known(entry));
        let of_policies = page == "policies.md" && KINDS_OF_POLICIES.contains(&&*block.kind);
        here == elsewhere.len() && !of_policies
    });
    found
}

async fn run(page: &str, blocks: &[Block]) {
    let mut stage = before::page(page).await;
    for (n, block) in blocks.iter().enumerate() {
        before::block(&mut stage, block).await;
        stage.run(block).await;
        let next = blocks.get(n + 1).map(|next| next.kind.as_str());
        let told = block.kind != "http" || next == Some("json") || !stage.was_refused;
        assert!(told, "{}: was refused: {}", block.place, stage.answer);
    }
    // In order: what a proof has mounted would stay otherwise.
    stage.stop();
}

/// On this thread, since waiting for a shell blocks it.
fn is_right(page: &str, blocks: &[Block]) -> bool {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let run = || runtime.block_on(run(page, blocks));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_ok()
}

#[test]
fn every_example_on_every_page_does_what_the_page_says() {
    let mut elsewhere = ELSEWHERE.to_vec();
    let pages = pages().into_iter().map(|(page, text)| {
        let blocks = runnable(&page, &text, &mut elsewhere);
        (page, blocks)
    });
    let pages: Vec<_> = pages.filter(|(_, blocks)| !blocks.is_empty()).collect();
    assert_eq!(elsewhere, [], "blocks that are gone need no reason");
    let queue = Mutex::new(pages.iter());
    let (queue, wrong) = (&queue, &Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..PAGES_AT_ONCE {
            scope.spawn(|| {
                let next = || queue.lock().unwrap().next();
                while let Some((page, blocks)) = next() {
                    if !is_right(page, blocks) {
                        wrong.lock().unwrap().push(page);
                    }
                }
            });
        }
    });
    assert_eq!(
        *wrong.lock().unwrap(),
        [""; 0],
        "what is wrong stands above"
    );
}

/// Commands that stand in sentences are not run, but they exist, and so do their flags.
#[test]
fn commands_in_sentences_exist() {
    let pages = pages();
    for (page, text) in pages
        .iter()
        .filter(|(page, _)| !page.starts_with("formats/"))
    {
        let outside = text.split("```").step_by(2);
        let spans = outside.flat_map(|text| text.split('`').skip(1).step_by(2));
        for span in spans.filter_map(|span| span.strip_prefix("strongroom ")) {
            let is_verb = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let words = span.split(' ');
            let verbs: Vec<_> = words.clone().take_while(is_verb).collect();
            let output = Command::new(BINARY).args(&verbs).arg("--help").output();
            let output = output.unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{page}: {span}");
            let flags = words.map(|word| word.trim_matches(['[', ']']));
            for flag in flags.filter(|word| word.starts_with("--")) {
                assert!(help.contains(flag), "{page}: {span}: {flag}");
            }
        }
    }
}
