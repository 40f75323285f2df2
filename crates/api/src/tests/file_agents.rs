//! Agents outside the inventory: what they say of themselves, and whether they are still heard of.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom_service::file_agents::SILENCE;

use super::server::{TestServer, on_each_server, vault_body};

const AGENT: &str = "0f1e2d3c-4b5a-4978-8697-a8b9cadbecfd";

fn registration(id: &str, host: &str) -> Value {
    json!({"agent": {"agent_id": id, "host_ip": "192.0.2.7", "host_name": host, "host_os": "linux",
        "agent_version": "1.2.3"}})
}

async fn register(server: &TestServer) -> Value {
    let path = "/v3/{project_id}/agents";
    let answer = server.post(path, registration(AGENT, "mail")).await;
    answer.expect(200)["agent"].clone()
}

fn path(rest: &str) -> String {
    format!("/v3/{{project_id}}/agents/{AGENT}{rest}")
}

#[tokio::test]
async fn an_agent_is_normal_while_it_is_heard_of() {
    on_each_server(async |server| {
        let agent = register(&server).await;
        assert_eq!(
            (&agent["status"], &agent["agent_type"]),
            (&json!("normal"), &json!(""))
        );
        let begun = agent["last_active_time"].clone();
        server.clock.advance(SILENCE);
        let shown = server.get(&path("")).await.expect(200);
        assert_eq!(shown["agent"]["status"], "normal");
        assert_eq!(
            shown["agent"]["last_active_time"], begun,
            "looking at it is not hearing of it"
        );
        server.clock.advance(Duration::from_secs(1));
        let shown = server.get(&path("")).await.expect(200);
        assert_eq!(shown["agent"]["status"], "abnormal");
        for (status, count) in [("abnormal", 1), ("normal", 0), ("uninstall", 0)] {
            let listed = server
                .get(&format!("/v3/{{project_id}}/agents?status={status}"))
                .await;
            assert_eq!(listed.expect(200)["count"], count, "{status}");
        }

        let again = register(&server).await;
        assert_eq!(again["status"], "normal");
        assert_eq!(again["created_at"], agent["created_at"]);
        assert_ne!(again["last_active_time"], begun);
        let body = json!({"agent": {"status": "uninstall"}});
        let told = server.put(&path(""), body).await.expect(200);
        assert_eq!(told["agent"]["status"], "uninstall");
        let other = server
            .put(&path(""), json!({"agent": {"status": "normal"}}))
            .await;
        assert_eq!(other.refusal(), "9900 400");
        let gone = server.delete(&path("")).await;
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (200, ""));
        assert_eq!(server.get(&path("")).await.refusal(), "7410 404");
        assert_eq!(server.delete(&path("")).await.refusal(), "7410 404");
    })
    .await;
}

#[tokio::test]
async fn agents_are_listed_by_page_and_by_id() {
    on_each_server(async |server| {
        register(&server).await;
        let second = "11111111-2222-4333-8444-555555555555";
        server.clock.advance(Duration::from_secs(1));
        let body = registration(second, "web");
        server
            .post("/v3/{project_id}/agents", body)
            .await
            .expect(200);
        let list = async |query: &str| {
            let listed = server
                .get(&format!("/v3/{{project_id}}/agents?{query}"))
                .await
                .expect(200);
            let agents = listed["agents"].as_array().unwrap().clone();
            agents
                .iter()
                .map(|agent| agent["host_name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(list("").await, ["web", "mail"]);
        assert_eq!(list("limit=1").await, ["web"]);
        assert_eq!(list("limit=1&offset=1").await, ["mail"]);
        assert_eq!(list(&format!("marker={second}")).await, ["mail"]);
        assert_eq!(list(&format!("agent_id={AGENT}")).await, ["mail"]);
        assert_eq!(
            list(&format!("agent_id={AGENT}&agent_id={second}")).await,
            ["web", "mail"]
        );
    })
    .await;
}

#[tokio::test]
async fn paths_are_added_once_and_removed_by_name() {
    on_each_server(async |server| {
        register(&server).await;
        let add = async |body: Value| server.post(&path("/add-path"), body).await;
        let body = json!({"add_path": ["/srv", "C:\\data"],
            "exclude_path": [{"path_name": "/srv", "exclude_path_name": ["/srv/tmp", "/srv/cache"]}]});
        let answer = add(body).await.expect(200);
        assert_eq!(answer, json!({"added": ["/srv", "C:\\data"], "existed": []}));
        let answer = add(json!({"add_path": ["/srv", "\\\\host\\share"]})).await.expect(200);
        assert_eq!(answer, json!({"added": ["\\\\host\\share"], "existed": ["/srv"]}));
        let shown = server.get(&path("")).await.expect(200);
        let paths = shown["agent"]["paths"].as_array().unwrap().clone();
        assert_eq!(paths.len(), 3);
        let srv = paths.iter().find(|path| path["dir_path"] == "/srv").unwrap();
        assert_eq!(srv["exclude_paths"], "/srv/tmp,/srv/cache");
        assert_eq!((&srv["status"], &srv["agent_id"]), (&json!("available"), &json!(AGENT)));

        for body in [
            json!({"add_path": ["relative"]}),
            json!({"add_path": ["/a", "/a"]}),
            json!({"add_path": [""]}),
            json!({"add_path": [], "exclude_path": [{"path_name": "/b", "exclude_path_name": []}]}),
            json!({"add_path": [], "exclude_path": [{"path_name": "/srv", "exclude_path_name": ["a,b"]}]}),
        ] {
            assert_eq!(add(body.clone()).await.refusal(), "9900 400", "{body}");
        }
        let many: Vec<_> = (0..62).map(|n| format!("/many/{n}")).collect();
        assert_eq!(add(json!({"add_path": many})).await.refusal(), "7407 400");
        let body = json!({"remove_path": ["/srv", "/nothing"]});
        let answer = server.post(&path("/remove-path"), body).await.expect(200);
        assert_eq!(answer, json!({"removed": ["/srv"], "not_existed": ["/nothing"]}));
    })
    .await;
}

#[tokio::test]
async fn ids_that_are_none_or_another_projects_are_refused() {
    on_each_server(async |server| {
        let agents = "/v3/{project_id}/agents";
        let named = server.post(agents, registration("my-laptop", "mail")).await;
        assert_eq!(named.refusal(), "7403 400");
        let path_of_name = format!("{agents}/my-laptop");
        assert_eq!(server.get(&path_of_name).await.refusal(), "7403 400");
        register(&server).await;
        let body = json!({"name": "other"});
        let other = server
            .post("/strongroom/v1/projects", body)
            .await
            .expect(201);
        let there = server.in_project(other["project"]["id"].as_str().unwrap());
        let taken = there.post(agents, registration(AGENT, "thief")).await;
        assert_eq!(taken.refusal(), "7403 400");
        assert_eq!(there.get(&path("")).await.refusal(), "7410 404");
        let shown = server.get(&path("")).await.expect(200);
        assert_eq!(shown["agent"]["host_name"], "mail");
    })
    .await;
}

#[tokio::test]
async fn nothing_pretends_to_back_up_files() {
    on_each_server(async |server| {
        register(&server).await;
        let mut body = vault_body("files");
        body["vault"]["billing"]["object_type"] = json!("file");
        let vault = server.post("/v3/{project_id}/vaults", body).await;
        assert_eq!(vault.refusal(), "6116 400");
        let vault = server.add_vault("servers").await;
        let body = json!({"resources": [{"id": AGENT, "type": "OS::Native::Server"}]});
        let path = format!("/v3/{{project_id}}/vaults/{vault}/addresources");
        assert_eq!(server.post(&path, body).await.refusal(), "6102 400");
    })
    .await;
}
