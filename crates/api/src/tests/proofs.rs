//! Proofs as they are asked for and looked up; what a machine shows is played.

use serde_json::{Value, json};
use strongroom_service::progress::{ProofOutcome, finish_proof, start_proof};
use strongroom_types::{Accelerator, ProofVerdict};

use super::golden::{assert_shape, backed_up};
use super::server::{TestServer, on_each_server};

const UNKNOWN: &str = "11111111-2222-4333-8444-555555555555";
/// Handed on as it is.
const PICTURE: &str = "a PNG";

/// The one job of all proofs is done, and its machine has booted.
async fn boot(server: &TestServer) {
    let mut tx = server.app.db.begin().await.unwrap();
    let minute = std::time::Duration::from_mins(1);
    let job = tx
        .claim_job("worker", server.app.now(), minute)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let lease = job.unwrap().lease("worker");
    let work = start_proof(&server.app, &lease).await.unwrap();
    let outcome = ProofOutcome {
        verdict: ProofVerdict::Boots,
        reason: "its guest agent answered".to_owned(),
        accelerator: Some(Accelerator::Tcg),
        file_systems: Vec::new(),
        console: "lab login: ".to_owned(),
        screen: Some(PICTURE.as_bytes().to_vec()),
    };
    finish_proof(&server.app, &lease, &work.proof, outcome)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_backup_is_proven_once_at_a_time_and_its_proof_looked_up() {
    on_each_server(async |server| {
        backed_up(&server).await;
        let listed = server.get("/v3/{project_id}/backups").await.expect(200);
        let backup = listed["backups"][0]["id"].as_str().unwrap();
        let proofs = format!("/strongroom/v1/{{project_id}}/backups/{backup}/proofs");
        let asked = server.post(&proofs, json!({})).await.expect(202);
        assert_shape(&asked, include_str!("golden/proof_asked.json"));
        let again = server.post(&proofs, json!({})).await;
        assert_eq!(again.refusal(), "Strongroom.1021 409");
        let proof = format!("{proofs}/{}", asked["proof"]["id"].as_str().unwrap());
        let screen = server.get(&format!("{proof}/screen")).await;
        assert_eq!(screen.refusal(), "Strongroom.1020 404");

        boot(&server).await;
        let shown = server.get(&proof).await.expect(200);
        assert_shape(&shown, include_str!("golden/proof_shown.json"));
        let screen = server.get(&format!("{proof}/screen")).await;
        assert_eq!((screen.status.as_u16(), &*screen.text), (200, PICTURE));
        assert_eq!(screen.headers["content-type"], "image/png");
        let listed = server.get(&proofs).await.expect(200);
        assert_eq!(
            (&listed["count"], &listed["proofs"][0]["verdict"]),
            (&json!(1), &json!("boots"))
        );
        assert_eq!(listed["proofs"][0].get("console"), None::<&Value>);

        let unknown = server.get(&format!("{proofs}/{UNKNOWN}")).await;
        assert_eq!(unknown.refusal(), "Strongroom.1020 404");
        let elsewhere = proof.replace(backup, UNKNOWN);
        assert_eq!(server.get(&elsewhere).await.refusal(), "6200 404");
        server
            .delete(&format!("/v3/{{project_id}}/backups/{backup}"))
            .await;
        let deleting = server.post(&proofs, json!({})).await;
        assert_eq!(deleting.refusal(), "Strongroom.1022 400");
    })
    .await;
}
