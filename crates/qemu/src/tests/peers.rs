//! Peers that say what a test wants: monitors and agents from a script.

use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

pub(super) const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 9}, "package": ""}}}"#;
/// For clients of [`Listener::serve_as_agent`].
pub(super) const AGENT_TOKEN: u32 = 17;
pub(super) const DONE: &str = r#"{"return": {}, "id": 1}"#;

/// A socket on which one client is served. The folder goes with it.
pub(super) struct Listener {
    folder: tempfile::TempDir,
    listener: UnixListener,
}

/// The other end of a client's connection.
pub(super) struct Peer(BufReader<UnixStream>);

impl Listener {
    pub(super) fn bind() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        Self { folder, listener }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(super) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        Peer(BufReader::new(stream))
    }

    /// A monitor that has just taken the client's `qmp_capabilities`.
    pub(super) async fn accept_as_monitor(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.say(GREETING).await;
        peer.hear().await;
        peer.say(DONE).await;
        peer
    }

    /// An agent that has just synchronised with the client.
    pub(super) async fn accept_as_agent(&self, token: u32) -> Peer {
        let mut peer = self.accept().await;
        peer.hear().await;
        peer.write(&[0xff]).await;
        peer.say(&format!("{{\"return\": {token}}}")).await;
        peer
    }

    /// An agent that answers so to one command after the other; returns the commands.
    pub(super) async fn serve_as_agent(&self, answers: &[&str]) -> Vec<String> {
        let mut peer = self.accept_as_agent(AGENT_TOKEN).await;
        let mut heard = Vec::new();
        for answer in answers {
            let asked: Value = serde_json::from_str(&peer.hear().await).unwrap();
            heard.push(asked["execute"].as_str().unwrap().to_owned());
            peer.say(answer).await;
        }
        heard
    }
}

impl Peer {
    pub(super) async fn say(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes()).await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Says one line without an end, until the client has enough.
    pub(super) async fn babble(&mut self) {
        let spaces = vec![b' '; 1 << 16];
        while self.0.write_all(&spaces).await.is_ok() {}
    }

    /// What the client sent, up to the end of a line; empty when it hung up.
    pub(super) async fn hear(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await.unwrap();
        String::from_utf8_lossy(&line).into_owned()
    }
}
