use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::peers::{Listener, Peer};
use crate::{Agent, Error, Result};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);
const TOKEN: u32 = 0x5b0e_17aa;

/// An agent that is connected to, and its other end, which has answered the synchronisation.
async fn connected(listener: &Listener, patience: Duration) -> (Peer, Agent) {
    let socket = listener.socket();
    let peer = async {
        let mut peer = listener.accept().await;
        answer_sync(&mut peer, TOKEN).await;
        peer
    };
    let (peer, agent) = tokio::join!(peer, Agent::connect(&socket, TOKEN, patience));
    (peer, agent.unwrap())
}

async fn answer_sync(peer: &mut Peer, token: u32) {
    let asked = peer.hear().await;
    assert!(asked.contains("guest-sync-delimited"), "{asked}");
    assert!(asked.contains(&token.to_string()), "{asked}");
    peer.write(&[0xff]).await;
    peer.say(&format!("{{\"return\": {token}}}")).await;
}

#[tokio::test]
async fn answers_to_those_who_asked_before_us_are_not_ours() {
    let listener = Listener::bind();
    let socket = listener.socket();
    let peer = async {
        let mut peer = listener.accept().await;
        peer.say(r#"{"return": {"version": "stale"}}"#).await;
        peer.write(b"{\"return\": half an answer").await;
        peer.write(b"\xff{\"return\": 12345}\n").await;
        answer_sync(&mut peer, TOKEN).await;
        peer.hear().await;
        peer.say(r#"{"return": {"version": "10.0.2", "supported_commands": []}}"#)
            .await;
    };
    let client = async {
        let mut agent = Agent::connect(&socket, TOKEN, LONG).await?;
        agent.info().await
    };
    let ((), info) = tokio::join!(peer, client);
    assert_eq!(info.unwrap().version, "10.0.2");
}

#[tokio::test]
async fn a_late_answer_is_skipped() {
    let listener = Listener::bind();
    let (mut peer, mut agent) = connected(&listener, SHORT).await;
    let slow = agent.freeze().await;
    assert!(matches!(slow, Err(Error::Silent { .. })), "{slow:?}");
    peer.hear().await;
    let peer = async {
        peer.say(r#"{"return": 7}"#).await;
        answer_sync(&mut peer, TOKEN + 1).await;
        peer.hear().await;
        peer.say(r#"{"return": 2}"#).await;
    };
    let ((), thawed) = tokio::join!(peer, agent.thaw());
    assert_eq!(thawed.unwrap(), 2);
}

#[tokio::test]
async fn a_port_without_an_agent_is_silent() {
    let listener = Listener::bind();
    let agent = Agent::connect(&listener.socket(), TOKEN, SHORT).await;
    assert!(matches!(agent, Err(Error::Silent { .. })), "{agent:?}");
    let nowhere = Agent::connect(&PathBuf::from("/nowhere"), TOKEN, SHORT).await;
    assert!(
        matches!(nowhere, Err(Error::Unreachable { .. })),
        "{nowhere:?}"
    );
}

#[tokio::test]
async fn a_guest_that_forbids_freezing_says_so() {
    let listener = Listener::bind();
    let (mut peer, mut agent) = connected(&listener, LONG).await;
    let peer = async {
        peer.hear().await;
        peer.say(r#"{"error": {"class": "CommandNotFound", "desc": "disabled"}}"#)
            .await;
        peer.hear().await;
        peer.say(r#"{"return": "thawed"}"#).await;
    };
    let client = async { (agent.freeze().await, agent.is_frozen().await) };
    let ((), (frozen, status)) = tokio::join!(peer, client);
    assert!(matches!(frozen, Err(Error::Refused { .. })), "{frozen:?}");
    assert!(!status.unwrap());
}

/// Asks it nothing that would touch the file systems of this host.
#[tokio::test]
async fn the_real_agent_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let mut command = Command::new("qemu-ga");
    command
        .args(["--method", "unix-listen", "--path"])
        .arg(&socket);
    command
        .arg("--statedir")
        .arg(&state)
        .arg("--pidfile")
        .arg(state.join("pid"));
    command.stderr(Stdio::null());
    let Ok(mut process) = command.spawn() else {
        let sentence = "qemu-ga is missing: install qemu-guest-agent to test against the real one";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{sentence}");
        eprintln!("{sentence}");
        return;
    };
    let asked = ask_real(&socket).await;
    process.kill().unwrap();
    process.wait().unwrap();
    let (version, is_frozen) = asked.unwrap();
    assert!(
        version.starts_with(|first: char| first.is_ascii_digit()),
        "{version}"
    );
    assert!(!is_frozen);
}

async fn ask_real(socket: &std::path::Path) -> Result<(String, bool)> {
    let mut tries = 0;
    let mut agent = loop {
        tries += 1;
        match Agent::connect(socket, TOKEN, LONG).await {
            Err(Error::Unreachable { .. }) if tries < 500 => tokio::time::sleep(SHORT).await,
            other => break other?,
        }
    };
    Ok((agent.info().await?.version, agent.is_frozen().await?))
}
