use std::time::Duration;

use serde_json::{Value, json};

use super::peers::Listener;
use super::world::{Kind, Lab};
use crate::{Error, Qmp};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_command_that_qemu_does_not_do_is_an_error_with_its_words() {
    let Some(lab) = Lab::open() else { return };
    let (_daemon, mut qmp) = lab.start(Kind::Daemon).await;
    let unknown = qmp.command("make-coffee", json!({})).await.unwrap_err();
    assert!(unknown.is_unknown(), "{unknown:?}");
    let missing = qmp.command("blockdev-del", json!({"node-name": "nowhere"}));
    let Err(Error::Refused { class, desc, .. }) = missing.await else {
        panic!("deleted what is not there");
    };
    assert_eq!(class, "GenericError");
    assert!(desc.contains("nowhere"), "{desc}");
    let answer: Vec<Value> = qmp.execute("query-jobs", json!({})).await.unwrap();
    assert_eq!(answer, Vec::<Value>::new());
}

#[tokio::test]
async fn an_event_is_found_whether_it_came_before_or_comes_later() {
    let Some(lab) = Lab::open() else { return };
    let (_daemon, mut qmp) = lab.start(Kind::Daemon).await;
    for export in ["live0", "live1"] {
        let arguments = json!({"id": export, "mode": "hard"});
        qmp.command("block-export-del", arguments).await.unwrap();
    }
    for export in ["live1", "live0"] {
        let deleted = qmp.event(LONG, |event| {
            event.name == "BLOCK_EXPORT_DELETED" && event.data["id"] == export
        });
        deleted.await.unwrap();
    }
    let nothing = qmp.event(SHORT, |event| event.name == "BLOCK_EXPORT_DELETED");
    assert!(matches!(nothing.await, Err(Error::Silent { .. })));
}

#[tokio::test]
async fn a_killed_qemu_is_noticed() {
    let Some(lab) = Lab::open() else { return };
    let (mut daemon, mut qmp) = lab.start(Kind::Daemon).await;
    daemon.kill().await;
    let answer = qmp.command("query-jobs", json!({})).await;
    assert!(matches!(answer, Err(Error::Gone)), "{answer:?}");
    let again = qmp.reconnect().await;
    assert!(matches!(again, Err(Error::Unreachable { .. })), "{again:?}");
}

#[tokio::test]
async fn a_monitor_that_another_client_holds_is_silent() {
    let Some(lab) = Lab::open() else { return };
    let (_daemon, first) = lab.start(Kind::Daemon).await;
    let second = Qmp::connect(&lab.path("qmp.sock"), SHORT).await;
    assert!(matches!(second, Err(Error::Silent { .. })), "{second:?}");
    drop(first);
    Qmp::connect(&lab.path("qmp.sock"), LONG).await.unwrap();
}

#[tokio::test]
async fn the_late_answer_to_a_command_is_not_taken_for_the_next() {
    let listener = Listener::bind();
    let socket = listener.socket();
    let (peer, qmp) = tokio::join!(listener.accept_as_monitor(), Qmp::connect(&socket, SHORT));
    let (mut peer, mut qmp) = (peer, qmp.unwrap());
    let slow = qmp.command("slow", json!({})).await;
    assert!(matches!(slow, Err(Error::Silent { .. })), "{slow:?}");
    peer.hear().await;
    peer.say(r#"{"return": "late", "id": 2}"#).await;
    let answer = async {
        peer.hear().await;
        peer.say(r#"{"event": "RESUME", "timestamp": {}}"#).await;
        peer.say(r#"{"return": "in time", "id": 3}"#).await;
    };
    let ((), answered) = tokio::join!(answer, qmp.execute::<String>("quick", json!({})));
    assert_eq!(answered.unwrap(), "in time");
    qmp.event(SHORT, |event| event.name == "RESUME")
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_monitor_is_told() {
    for said in ["SSH-2.0-OpenSSH_9.2", "{\"return\": {}}"] {
        let listener = Listener::bind();
        let socket = listener.socket();
        let peer = async {
            listener.accept().await.say(said).await;
        };
        let ((), connected) = tokio::join!(peer, Qmp::connect(&socket, LONG));
        assert!(
            matches!(connected, Err(Error::Strange { .. })),
            "{connected:?}"
        );
    }
}

#[tokio::test]
async fn a_line_without_end_does_not_fill_memory() {
    let listener = Listener::bind();
    let socket = listener.socket();
    let peer = async {
        listener.accept().await.babble().await;
    };
    let client = async { Qmp::connect(&socket, LONG).await };
    let ((), connected) = tokio::join!(peer, client);
    assert!(
        matches!(connected, Err(Error::Strange { .. })),
        "{connected:?}"
    );
}
