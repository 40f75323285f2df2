//! An installation on which a page's blocks are run, one after the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::answers::{assert_shown, ids};
use super::blocks::{self, Block};
use super::hook::Hook;
use super::names::Names;
use super::session::Session;
use crate::api::Api;
use crate::disks;
use crate::server::{BINARY, Server};

/// Folders that pages name as if the host were theirs.
const FOLDERS: [&str; 7] = [
    "/backup/",
    "/etc/strongroom/",
    "/images/",
    "/mnt/",
    "/root/",
    "/srv/",
    "/var/lib/strongroom",
];

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) names: Names,
    /// Installations that the page speaks of without running them.
    pub(crate) others: Vec<Server>,
    /// Who is called when people are told.
    pub(crate) hook: Option<Hook>,
    session: Session,
    server: Option<Server>,
    /// Who signed in, by what the credentials file said then.
    apis: HashMap<String, Api>,
    credentials: PathBuf,
    /// What the last command or request of the page was answered.
    pub(crate) answer: Value,
    /// Whether that was a refusal of a request, which the page then has to show.
    pub(crate) was_refused: bool,
    /// Last, since what runs in it ends before it goes.
    pub(crate) folder: TempDir,
}

impl Stage {
    /// A running installation without disks.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut names = Names::default();
        for name in FOLDERS {
            let here = format!("{}{name}", folder.path().display());
            std::fs::create_dir_all(Path::new(&here).parent().unwrap()).unwrap();
            std::fs::create_dir_all(&here).unwrap();
            names.text(name, &here);
        }
        let credentials = folder.path().join("var/lib/strongroom/credentials.json");
        let mut stage = Self {
            session: Session::new(folder.path(), &credentials),
            folder,
            names,
            others: Vec::new(),
            hook: None,
            server: None,
            apis: HashMap::new(),
            credentials,
            answer: Value::Null,
            was_refused: false,
        };
        stage.serve(&[]);
        stage
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("var/lib/strongroom")
    }

    /// A disk image of random bytes at a path as pages write it.
    pub(crate) fn disk(&self, path: &str, size_bytes: usize) {
        let file = self.names.fill(path);
        disks::random(Path::new(&file), size_bytes, size_bytes as u64);
    }

    /// A file that its owner alone reads.
    pub(crate) fn secret(&self, path: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.names.fill(path);
        std::fs::write(&file, content).unwrap();
        let owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(file, owner).unwrap();
    }

    /// Starts the installation, again if it runs.
    fn serve(&mut self, flags: &[&str]) {
        self.stop();
        let server = Server::start_with(Command::new(BINARY), &self.data_dir(), flags);
        self.names.word("ENDPOINT", &server.endpoint);
        self.server = Some(server);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            assert!(server.stop().success());
        }
    }

    pub(crate) async fn run(&mut self, block: &Block) {
        match block.kind.as_str() {
            "sh" => self.shell(&block.place, &block.text).await,
            "http" => self.request(&block.place, &block.text).await,
            "json" => {
                let shown = serde_json::from_str(&self.names.fill(&block.text));
                let shown = shown.unwrap_or_else(|error| panic!("{}: {error}", block.place));
                assert_shown(&shown, &self.answer, &format!("{}: answer", block.place));
            }
            "toml" => {
                let file = self.folder.path().join("strongroom.toml");
                std::fs::write(&file, self.names.fill(&block.text)).unwrap();
                self.serve(&["--config", disks::text(&file)]);
            }
            kind => panic!("{}: nothing runs `{kind}`", block.place),
        }
    }

    /// Commands, each of which has to succeed or to be refused as the remark behind it says.
    pub(crate) async fn shell(&mut self, place: &str, text: &str) {
        for command in blocks::commands(text) {
            let filled = self.names.fill(&command.text);
            let ran = self.session.run(&filled);
            let said = format!("{place}: {filled}: {}{}", ran.out, ran.err);
            self.credentials = ran.credentials;
            if let Some(code) = command.refusal {
                assert!(ran.status == 1 && ran.err.contains(&code), "{said}");
                self.answer = Value::Null;
                continue;
            }
            assert_eq!(ran.status, 0, "{said}");
            self.take(serde_json::from_str(&ran.out).unwrap_or(Value::Null));
            if is_client_verb(&filled) {
                self.until_nothing_runs().await;
            }
        }
    }

    /// `METHOD PATH`, an empty line, and the body if there is one.
    pub(crate) async fn request(&mut self, place: &str, text: &str) {
        let api = self.api().await;
        let text = text.replace("{project_id}", &api.project);
        let text = self.names.fill(&text);
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let (method, path) = head.trim().split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let body = (!body.trim().is_empty()).then(|| {
            let body = serde_json::from_str(body);
            body.unwrap_or_else(|error| panic!("{place}: {error}"))
        });
        let answer = api.try_call(method, &format!("/{path}"), body).await;
        let (status, answer) = answer.unwrap();
        self.take(answer);
        self.was_refused = status >= 400;
        if !self.was_refused {
            self.until_nothing_runs().await;
        }
    }

    fn take(&mut self, answer: Value) {
        for (name, id) in ids(&answer) {
            self.names.word(&name, &id);
        }
        self.answer = answer;
    }

    /// What a page begins has ended when it goes on.
    async fn until_nothing_runs(&mut self) {
        let api = self.api().await;
        for status in ["waiting", "running"] {
            let path = format!("/operation-logs?status={status}&limit=1");
            let none = |_, answer: &Value| (answer["count"] == 0).then_some(());
            api.wait_for(&path, none).await;
        }
    }

    /// Whoever the page is signed in as.
    pub(crate) async fn api(&mut self) -> Api {
        let text = std::fs::read_to_string(&self.credentials).unwrap();
        if !self.apis.contains_key(&text) {
            let mut credentials: Value = serde_json::from_str(&text).unwrap();
            if credentials.get("password").is_none() {
                // Such a file serves verbs alone; what they begin is watched by the administrator.
                credentials = self.administrator_of(&credentials["project_id"]);
            }
            let api = Api::sign_in_as(&credentials).await;
            self.apis.insert(text.clone(), api);
        }
        self.apis[&text].clone()
    }

    /// The credentials file of the administrator, for another project.
    pub(crate) fn credentials_for(&self, file: &str, project: &str) {
        let credentials = self.administrator_of(&json!(project));
        std::fs::write(self.folder.path().join(file), credentials.to_string()).unwrap();
    }

    fn administrator_of(&self, project: &Value) -> Value {
        let text = std::fs::read_to_string(self.data_dir().join("credentials.json")).unwrap();
        let mut credentials: Value = serde_json::from_str(&text).unwrap();
        credentials["project_id"] = project.clone();
        credentials
    }
}

fn is_client_verb(command: &str) -> bool {
    let mut words = command.split_whitespace();
    words.next() == Some("strongroom")
        && !words.any(|word| ["repo", "recover", "serve", "demo"].contains(&word))
}
