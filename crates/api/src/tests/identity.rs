//! Signing in and looking around, as the clients do it.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use strongroom_types::Role;

use super::installation::{HOST, Installation, PASSWORD, on_each_installation};

const TOKENS: &str = "/v3/auth/tokens";

fn sign_in(user: &Value, scope: &Value) -> Value {
    let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
    if !scope.is_null() {
        auth["scope"] = scope.clone();
    }
    json!({ "auth": auth })
}

fn admin(it: &Installation) -> Value {
    json!({"name": "admin", "password": it.first.password.expose(), "domain": {"name": "default"}})
}

#[tokio::test]
async fn the_version_document_needs_no_credentials() {
    on_each_installation(async |it| {
        for target in ["/v3", "/v3/"] {
            let answer = it.request("GET", target, &[], &Value::Null).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.body["version"]["id"], "v3.14");
            let link = &answer.body["version"]["links"][0];
            assert_eq!(link["href"], format!("http://{HOST}/v3/"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_says_whose_it_is_and_where_the_services_are() {
    on_each_installation(async |it| {
        let scope = json!({"project": {"name": "region-1", "domain": {"name": "default"}}});
        let body = sign_in(&admin(&it), &scope);
        let answer = it.request("POST", TOKENS, &[], &body).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let issued = answer.header("X-Subject-Token").to_owned();
        assert_eq!(issued.len(), 64);
        let project = it.first.project_id.as_str();
        let expected = json!({
            "methods": ["password"],
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2026-01-02T00:00:00.000000Z",
            "user": {"id": it.first.user_id, "name": "admin", "password_expires_at": "",
                "domain": {"id": it.first.domain_id, "name": "default"}},
            "project": {"id": project, "name": "region-1",
                "domain": {"id": it.first.domain_id, "name": "default"}},
            "roles": [{"id": "admin", "name": "admin"}],
        });
        let mut token = answer.body["token"].clone();
        let catalog = token.as_object_mut().unwrap().remove("catalog").unwrap();
        assert_eq!(token, expected);
        let endpoint = |kind: &str| {
            let services = catalog.as_array().unwrap();
            let service = services.iter().find(|service| service["type"] == kind);
            service.unwrap()["endpoints"][0].clone()
        };
        assert_eq!(
            endpoint("cbr")["url"],
            format!("http://{HOST}/v3/{project}")
        );
        assert_eq!(endpoint("cbr")["region"], "region-1");
        assert_eq!(endpoint("cbr")["interface"], "public");
        assert_eq!(endpoint("identity")["url"], format!("http://{HOST}/v3"));

        let headers = [
            ("X-Auth-Token", issued.as_str()),
            ("X-Subject-Token", issued.as_str()),
        ];
        let shown = it.request("GET", TOKENS, &headers, &Value::Null).await;
        assert_eq!(shown.body, answer.body);
        assert_eq!(shown.header("X-Subject-Token"), issued);
        for target in [
            "/v3/auth/tokens?nocatalog",
            "/v3/auth/tokens?nocatalog=true",
        ] {
            let shown = it.request("GET", target, &headers, &Value::Null).await;
            assert_eq!(shown.body["token"], expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_can_be_exchanged_for_another_scope() {
    on_each_installation(async |it| {
        let scope = json!({"domain": {"name": "default"}});
        let body = sign_in(&admin(&it), &scope);
        let answer = it.request("POST", TOKENS, &[], &body).await;
        let token = answer.header("X-Subject-Token").to_owned();
        let parts = &answer.body["token"];
        assert_eq!(parts["domain"]["name"], "default");
        assert_eq!(parts.get("project"), None);
        let types: Vec<_> = parts["catalog"].as_array().unwrap().iter().collect();
        assert_eq!(types.len(), 1);
        // One client sends the old token in the header as well.
        let body = json!({"auth": {"identity": {"methods": ["token"], "token": {"id": token}},
            "scope": {"project": {"id": it.first.project_id}}}});
        let answer = it.with_token(&token, "POST", TOKENS, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(
            answer.body["token"]["methods"],
            json!(["password", "token"])
        );
        assert_eq!(answer.body["token"]["project"]["name"], "region-1");
    })
    .await;
}

#[tokio::test]
async fn every_failed_sign_in_looks_the_same() {
    on_each_installation(async |it| {
        let right = it.first.password.expose();
        let domain = json!({"name": "default"});
        let wrong = [
            (
                json!({"name": "admin", "password": "x", "domain": domain}),
                Value::Null,
            ),
            (
                json!({"name": "nobody", "password": right, "domain": domain}),
                Value::Null,
            ),
            (
                json!({"name": "admin", "password": right, "domain": {"id": "x"}}),
                Value::Null,
            ),
            (json!({"id": "x", "password": right}), Value::Null),
            (admin(&it), json!({"project": {"name": "elsewhere"}})),
            (admin(&it), json!({"domain": {"name": "elsewhere"}})),
        ];
        for (user, scope) in wrong {
            let body = sign_in(&user, &scope);
            let answer = it.request("POST", TOKENS, &[], &body).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            let expected = json!({"error": {"code": 401, "title": "Unauthorized",
                "message": "The credentials are missing, wrong or expired."}});
            assert_eq!(answer.body, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn sign_ins_that_make_no_sense_are_refused_by_field() {
    on_each_installation(async |it| {
        let identity = |identity: Value| json!({"auth": {"identity": identity}});
        let user = admin(&it);
        for body in [
            Value::Null,
            json!({}),
            json!({"auth": 1}),
            identity(json!({"methods": []})),
            identity(json!({"methods": ["password"]})),
            identity(json!({"methods": ["token"], "token": {}})),
            identity(json!({"methods": ["hw_assume_role"]})),
            identity(json!({"methods": ["password", "token"], "password": {"user": user}})),
            identity(json!({"methods": ["password"], "password": {"user": {"password": "x"}}})),
            sign_in(&json!({"name": "admin", "password": "x"}), &Value::Null),
            sign_in(&user, &json!("everything")),
            sign_in(&user, &json!({"project": {}})),
            sign_in(&user, &json!({"domain": {}})),
        ] {
            let answer = it.request("POST", TOKENS, &[], &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(answer.body["error"]["code"], 400);
            assert_eq!(answer.body["error"]["title"], "Bad Request");
            let secret = it.first.password.expose();
            assert!(!answer.body.to_string().contains(secret));
        }
    })
    .await;
}

#[tokio::test]
async fn clients_find_their_project_by_the_regions_name() {
    on_each_installation(async |it| {
        for (target, list, count) in [
            ("/v3/projects?name=region-1", "projects", 1),
            ("/v3/projects?name=elsewhere", "projects", 0),
            ("/v3/auth/projects", "projects", 1),
            ("/v3/auth/domains", "domains", 1),
            ("/v3/auth/domains?name=default", "domains", 1),
            ("/v3/auth/domains?name=dom", "domains", 0),
            ("/v3/auth/catalog", "catalog", 2),
        ] {
            let by_token = it.as_admin("GET", target, &Value::Null).await;
            let key = it.first_key();
            let by_key = it.get_signed(key, target, &[]).await;
            assert_eq!(by_token.status, StatusCode::OK, "{target}");
            assert_eq!(by_token.body[list].as_array().unwrap().len(), count);
            assert_eq!(by_token.body, by_key.body, "{target}");
        }
        let answer = it
            .as_admin("GET", "/v3/projects?name=region-1", &Value::Null)
            .await;
        let project = &answer.body["projects"][0];
        assert_eq!(project["id"], json!(it.first.project_id));
        assert_eq!(project["enabled"], true);
    })
    .await;
}

#[tokio::test]
async fn a_temporary_key_works_with_its_security_token_until_it_ends() {
    on_each_installation(async |it| {
        let target = "/v3.0/OS-CREDENTIAL/securitytokens";
        let body = json!({"auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": 1200}}}});
        let answer = it.as_admin("POST", target, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let credential = &answer.body["credential"];
        assert_eq!(credential["expires_at"], "2026-01-01T00:20:00.000000Z");
        let text = |name: &str| credential[name].as_str().unwrap().to_owned();
        let (access, secret, security) = (text("access"), text("secret"), text("securitytoken"));
        let list = async |headers: &[(&str, &str)]| {
            let target = "/v3/auth/domains";
            let key = (access.as_str(), secret.as_str());
            it.get_signed(key, target, headers).await.status
        };
        let with = [("X-Security-Token", security.as_str())];
        assert_eq!(list(&with).await, StatusCode::OK);
        assert_eq!(list(&[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(list(&[("X-Security-Token", "x")]).await, StatusCode::UNAUTHORIZED);
        it.clock.advance(Duration::from_mins(20));
        assert_eq!(list(&with).await, StatusCode::UNAUTHORIZED);

        let none = it.request("POST", target, &[], &body).await;
        assert_eq!(none.status, StatusCode::UNAUTHORIZED);
        let body = json!({"auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": 1}}}});
        let short = it.as_admin("POST", target, &body).await;
        assert_eq!(short.status, StatusCode::BAD_REQUEST);
        let body = json!({"auth": {"identity": {"methods": ["password"]}}});
        let other = it.as_admin("POST", target, &body).await;
        assert_eq!(other.status, StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test]
async fn administrators_manage_projects_users_and_keys() {
    on_each_installation(async |it| {
        let project = json!({"name": "other"});
        let answer = it
            .as_admin("POST", "/strongroom/v1/projects", &project)
            .await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let other = answer.body["project"]["id"].clone();
        let again = it
            .as_admin("POST", "/strongroom/v1/projects", &project)
            .await;
        assert_eq!(again.refusal(), "409 Strongroom.1008");
        let (rita, token) = it.user("rita", Role::Reader).await;

        let target = format!("/strongroom/v1/users/{rita}/memberships");
        let body = json!({"project_id": other, "role": "operator"});
        let answer = it.as_admin("POST", &target, &body).await;
        let memberships = answer.body["user"]["memberships"].as_array().unwrap();
        assert_eq!(memberships.len(), 2);
        let answer = it
            .as_admin("GET", "/strongroom/v1/users", &Value::Null)
            .await;
        assert_eq!(answer.body["users"].as_array().unwrap().len(), 2);
        let target_of_part = "/strongroom/v1/projects?limit=1&offset=1";
        let answer = it.as_admin("GET", target_of_part, &Value::Null).await;
        assert_eq!(answer.body["projects"].as_array().unwrap().len(), 1);

        let keys = format!("/strongroom/v1/users/{rita}/access-keys");
        let answer = it.as_admin("POST", &keys, &Value::Null).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let access = answer.body["access_key"]["access_key"]
            .as_str()
            .unwrap()
            .to_owned();
        let secret = answer.body["access_key"]["secret_key"]
            .as_str()
            .unwrap()
            .to_owned();
        let listed = it.as_admin("GET", &keys, &Value::Null).await;
        assert!(!listed.body.to_string().contains(&secret));
        assert_eq!(listed.body["access_keys"][0]["access_key"], json!(access));
        let use_key = async || {
            let key = (access.as_str(), secret.as_str());
            it.get_signed(key, "/v3/auth/domains", &[]).await.status
        };
        assert_eq!(use_key().await, StatusCode::OK);
        let target = format!("/strongroom/v1/access-keys/{access}");
        let deleted = it.as_admin("DELETE", &target, &Value::Null).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT);
        assert_eq!(use_key().await, StatusCode::UNAUTHORIZED);
        let again = it.as_admin("DELETE", &target, &Value::Null).await;
        assert_eq!(again.refusal(), "404 Strongroom.1007");

        let target = format!("/strongroom/v1/users/{rita}/password");
        let body = json!({"password": format!("{PASSWORD}!")});
        let set = it.as_admin("PUT", &target, &body).await;
        assert_eq!(set.status, StatusCode::NO_CONTENT);
        let answer = it
            .with_token(&token, "GET", "/v3/auth/domains", &Value::Null)
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn administration_refuses_others_and_unknown_users() {
    on_each_installation(async |it| {
        let (_, token) = it.user("olaf", Role::Operator).await;
        let nobody = "0".repeat(32);
        let user = json!({"name": "x", "password": PASSWORD, "role": "reader",
            "project_id": it.first.project_id});
        let password = json!({"password": PASSWORD});
        let membership = json!({"project_id": it.first.project_id, "role": "reader"});
        let of_user = |rest: &str| format!("/strongroom/v1/users/{nobody}/{rest}");
        for (method, target, body, unknown) in [
            (
                "POST",
                "/strongroom/v1/projects".to_owned(),
                json!({"name": "x"}),
                false,
            ),
            (
                "GET",
                "/strongroom/v1/projects".to_owned(),
                Value::Null,
                false,
            ),
            ("POST", "/strongroom/v1/users".to_owned(), user, false),
            ("GET", "/strongroom/v1/users".to_owned(), Value::Null, false),
            ("PUT", of_user("password"), password, true),
            ("POST", of_user("memberships"), membership, true),
            ("POST", of_user("access-keys"), Value::Null, true),
            ("GET", of_user("access-keys"), Value::Null, true),
        ] {
            let refused = it.with_token(&token, method, &target, &body).await;
            assert_eq!(refused.refusal(), "403 APIGW.0302", "{method} {target}");
            let anonymous = it.request(method, &target, &[], &body).await;
            assert_eq!(anonymous.refusal(), "401 APIGW.0301", "{method} {target}");
            if unknown {
                let answer = it.as_admin(method, &target, &body).await;
                assert_eq!(answer.refusal(), "404 Strongroom.1006", "{method} {target}");
            }
        }
    })
    .await;
}
