//! Who is let in, and into which project.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use strongroom_types::Role;

use super::installation::{Installation, on_each_installation};

async fn new_project(it: &Installation, name: &str) -> String {
    let body = json!({ "name": name });
    let answer = it.as_admin("POST", "/strongroom/v1/projects", &body).await;
    answer.body["project"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_valid_credentials_nothing_is_told() {
    on_each_installation(async |it| {
        let date = it.app.now().to_compact();
        let garbage = format!(
            "SDK-HMAC-SHA256 Access=x, SignedHeaders=x-sdk-date, Signature={}",
            "0".repeat(64)
        );
        let reasons: [(&[(&str, &str)], &str); 6] = [
            (&[], "neither X-Auth-Token nor a signature is present"),
            (
                &[("Authorization", "Bearer x")],
                "neither X-Auth-Token nor a signature is present",
            ),
            (&[("X-Auth-Token", "x")], "decrypt token fail"),
            (
                &[("Authorization", "SDK-HMAC-SM3 x")],
                "the signing algorithm is not SDK-HMAC-SHA256",
            ),
            (
                &[("Authorization", &garbage)],
                "the signed header `x-sdk-date` is missing",
            ),
            (
                &[("Authorization", &garbage), ("X-Sdk-Date", &date)],
                "verify aksk signature fail",
            ),
        ];
        let existing = it.cbr("vaults");
        let unknown = format!("/v3/{}/vaults", "0".repeat(32));
        for (headers, reason) in reasons {
            for target in [&existing, &unknown, "/v3/x/vaults"] {
                let answer = it.request("GET", target, headers, &Value::Null).await;
                assert_eq!(answer.refusal(), "401 APIGW.0301");
                let message = format!("Incorrect IAM authentication information: {reason}");
                assert_eq!(answer.body["error_msg"], message);
                assert_eq!(answer.body["request_id"], answer.header("X-Request-Id"));
            }
            let answer = it
                .request("GET", "/v3/auth/catalog", headers, &Value::Null)
                .await;
            assert_eq!(answer.body["error"]["code"], 401);
            assert_eq!(answer.body["error"]["title"], "Unauthorized");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_key_look_the_same() {
    on_each_installation(async |it| {
        let target = it.cbr("vaults");
        let refused = async |key: (&str, &str)| {
            let answer = it.get_signed(key, &target, &[]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            answer.body["error_msg"].clone()
        };
        let (access, secret) = it.first_key();
        let expected = refused((access, "wrong")).await;
        assert_eq!(refused(("UNKNOWN", secret)).await, expected);
        // The secret that stands in for that of an unknown key opens nothing.
        assert_eq!(refused(("UNKNOWN", "")).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_signature_covers_the_body_and_the_time() {
    on_each_installation(async |it| {
        let target = "/strongroom/v1/projects";
        let signed = it.sign(it.first_key(), "POST", target, &[], r#"{"name":"other"}"#);
        let send = async |extra: &[(&str, &str)], name: &str| {
            let mut headers = vec![
                ("X-Sdk-Date", signed.date.as_str()),
                ("Authorization", signed.authorization.as_str()),
            ];
            headers.extend_from_slice(extra);
            it.request("POST", target, &headers, &json!({ "name": name }))
                .await
                .status
        };
        assert_eq!(send(&[], "other").await, StatusCode::CREATED);
        assert_eq!(send(&[], "forged").await, StatusCode::UNAUTHORIZED);
        for hash in ["0", "UNSIGNED-PAYLOAD"] {
            let extra = [("X-Sdk-Content-Sha256", hash)];
            assert_eq!(send(&extra, "other").await, StatusCode::UNAUTHORIZED);
        }
        it.clock.advance(Duration::from_mins(16));
        assert_eq!(send(&[], "other").await, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read_to_its_end() {
    on_each_installation(async |it| {
        let signature = format!(
            "SDK-HMAC-SHA256 Access=x, SignedHeaders=x-sdk-date, Signature={}",
            "0".repeat(64)
        );
        for (header, value) in [
            ("Authorization", signature.as_str()),
            ("X-Auth-Token", it.admin.as_str()),
        ] {
            let request = Request::post(it.cbr("vaults"))
                .header("X-Sdk-Date", "20260101T000000Z")
                .header(header, value)
                .body(Body::from(vec![b' '; (1 << 20) + 1]));
            let answer = it.send(request.unwrap()).await;
            assert_eq!(answer.refusal(), "413 BackupService.9900");
        }
    })
    .await;
}

#[tokio::test]
async fn callers_stay_in_their_project_and_administrators_go_everywhere() {
    on_each_installation(async |it| {
        let other = new_project(&it, "other").await;
        let (_, rita) = it.user("rita", Role::Reader).await;
        let own = it.first.project_id.to_string();
        let nowhere = "0".repeat(32);
        for (token, project, status) in [
            (&rita, &own, 200),
            (&rita, &other, 403),
            (&rita, &nowhere, 403),
            (&it.admin, &other, 200),
            (&it.admin, &nowhere, 403),
            (&it.admin, &"x".to_owned(), 400),
        ] {
            let target = format!("/v3/{project}/operation-logs");
            let answer = it.with_token(token, "GET", &target, &Value::Null).await;
            assert_eq!(answer.status.as_u16(), status, "{target}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_project_that_a_header_names_must_be_that_of_the_path() {
    on_each_installation(async |it| {
        let other = new_project(&it, "other").await;
        let own = it.first.project_id.to_string();
        let target = it.cbr("operation-logs");
        for (header, status) in [(own.as_str(), 200), (other.as_str(), 403), ("x", 400)] {
            let headers = [("X-Project-Id", header)];
            let by_key = it.get_signed(it.first_key(), &target, &headers).await;
            assert_eq!(by_key.status.as_u16(), status, "{header}");
            let headers = [
                ("X-Auth-Token", it.admin.as_str()),
                ("X-Project-Id", header),
            ];
            let by_token = it.request("GET", &target, &headers, &Value::Null).await;
            assert_eq!(by_token.status.as_u16(), status, "{header}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_knows_no_project_gets_its_only_one() {
    on_each_installation(async |it| {
        let target = "/v3/%7Bproject_id%7D/operation-logs";
        let list = async || it.get_signed(it.first_key(), target, &[]).await;
        assert_eq!(list().await.status, StatusCode::OK);
        let other = new_project(&it, "other").await;
        let target_of_admin = format!("/strongroom/v1/users/{}/memberships", it.first.user_id);
        let body = json!({"project_id": other, "role": "admin"});
        let joined = it.as_admin("POST", &target_of_admin, &body).await;
        assert_eq!(joined.status, StatusCode::OK);
        let answer = list().await;
        assert_eq!(answer.refusal(), "400 BackupService.9900");
        let message = answer.body["error_msg"].as_str().unwrap();
        assert!(
            message.starts_with("Invalid project_id provided"),
            "{message}"
        );
        let headers = [("X-Project-Id", other.as_str())];
        let named = it.get_signed(it.first_key(), target, &headers).await;
        assert_eq!(named.status, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn a_token_wins_over_a_signature() {
    on_each_installation(async |it| {
        let target = it.cbr("operation-logs");
        for (token, key, status) in [
            (it.admin.as_str(), ("x", "y"), StatusCode::OK),
            ("x", it.first_key(), StatusCode::UNAUTHORIZED),
        ] {
            let headers = [("X-Auth-Token", token)];
            let answer = it.get_signed(key, &target, &headers).await;
            assert_eq!(answer.status, status);
        }
    })
    .await;
}
