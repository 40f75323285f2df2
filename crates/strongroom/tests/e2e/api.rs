//! Calls with a token, answers as status and JSON, and waiting for what the server does in the background.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

/// No background work of these tests takes longer.
const DEADLINE: Duration = Duration::from_mins(3);
const INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    endpoint: String,
    pub(crate) project: String,
    pub(crate) token: String,
}

impl Api {
    /// Signs in with the password of the credentials file.
    pub(crate) async fn sign_in(server: &Server) -> Self {
        Self::sign_in_as(&server.credentials()).await
    }

    /// Signs in with the password of these, for their project.
    pub(crate) async fn sign_in_as(credentials: &Value) -> Self {
        let endpoint = credentials["endpoint"].as_str().unwrap();
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": {
                "name": credentials["user_name"], "password": credentials["password"], "domain": { "name": credentials["domain_name"] } } } },
            "scope": { "project": { "id": credentials["project_id"] } } } });
        let http = reqwest::Client::new();
        let answer = http
            .post(format!("{endpoint}/v3/auth/tokens"))
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        let token = answer.headers()["x-subject-token"]
            .to_str()
            .unwrap()
            .to_owned();
        let project = credentials["project_id"].as_str().unwrap().to_owned();
        Self {
            http,
            endpoint: endpoint.to_owned(),
            project,
            token,
        }
    }

    /// The same caller after a restart, whose port is another.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self {
            endpoint: server.endpoint.clone(),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(Method::DELETE, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.try_call(method, path, body).await.unwrap()
    }

    /// As the others; an error when the server is not there.
    pub(crate) async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(u16, Value)> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// A request of this caller, to be sent as it is.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(root) => format!("{}/{root}", self.endpoint),
            None => format!("{}/v3/{}{path}", self.endpoint, self.project),
        };
        let request = self.http.request(method, url);
        request.header("x-auth-token", &self.token)
    }

    /// A vault for servers or disks with the given resources in it.
    pub(crate) async fn make_vault(&self, object_type: &str, resources: &[&str]) -> String {
        let kind = if object_type == "server" {
            "OS::Nova::Server"
        } else {
            "OS::Cinder::Volume"
        };
        let resources: Vec<Value> = resources
            .iter()
            .map(|id| json!({ "id": id, "type": kind }))
            .collect();
        let billing = json!({ "consistent_level": "crash_consistent", "object_type": object_type, "protect_type": "backup", "size": 100 });
        let (status, answer) = self
            .post(
                "/vaults",
                json!({ "vault": { "name": "v", "billing": billing, "resources": resources } }),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
        answer["vault"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts a checkpoint of the whole vault.
    pub(crate) async fn start_checkpoint(&self, vault: &str) -> String {
        self.start(json!({ "vault_id": vault })).await
    }

    /// Starts what the vault's policy would start by itself.
    pub(crate) async fn start_automatic_checkpoint(&self, vault: &str) -> String {
        self.start(json!({ "vault_id": vault, "parameters": { "auto_trigger": true } }))
            .await
    }

    async fn start(&self, checkpoint: Value) -> String {
        let body = json!({ "checkpoint": checkpoint });
        let (status, answer) = self.post("/checkpoints", body).await;
        assert_eq!(status, 200, "{answer}");
        answer["checkpoint"]["id"].as_str().unwrap().to_owned()
    }

    /// Makes a checkpoint and returns the id of its only backup.
    pub(crate) async fn back_up(&self, vault: &str) -> String {
        let checkpoint = self.start_checkpoint(vault).await;
        let status = self.wait_for_checkpoint(&checkpoint).await;
        assert_eq!(status, "available");
        self.only_backup_of(&checkpoint).await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) async fn only_backup_of(&self, checkpoint: &str) -> Value {
        let (_, answer) = self
            .get(&format!("/backups?checkpoint_id={checkpoint}"))
            .await;
        assert_eq!(answer["count"], 1, "{answer}");
        answer["backups"][0].clone()
    }

    pub(crate) async fn wait_for_checkpoint(&self, id: &str) -> String {
        self.wait_for(&format!("/checkpoints/{id}"), |status, answer| {
            assert_eq!(status, 200, "{answer}");
            answer["checkpoint"]["status"]
                .as_str()
                .filter(|status| *status != "protecting")
                .map(str::to_owned)
        })
        .await
    }

    /// Waits for a task's end and returns the task.
    pub(crate) async fn wait_for_task(&self, id: &str) -> Value {
        self.wait_for(&format!("/operation-logs/{id}"), |status, answer| {
            assert_eq!(status, 200, "{answer}");
            let log = &answer["operation_log"];
            (log["status"] != "waiting" && log["status"] != "running").then(|| log.clone())
        })
        .await
    }

    pub(crate) async fn wait_until_gone(&self, path: &str) {
        self.wait_for(path, |status, _| (status == 404).then_some(()))
            .await;
    }

    /// Asks until `ended` has something to say; fails at the deadline.
    pub(crate) async fn wait_for<T>(
        &self,
        path: &str,
        ended: impl Fn(u16, &Value) -> Option<T>,
    ) -> T {
        let asking = async {
            loop {
                let (status, answer) = self.get(path).await;
                if let Some(end) = ended(status, &answer) {
                    return end;
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::time::timeout(DEADLINE, asking)
            .await
            .unwrap_or_else(|_| panic!("{path} has not ended in {DEADLINE:?}"))
    }
}

/// An error answer's status and code.
pub(crate) fn refusal(answer: &(u16, Value)) -> (u16, &str) {
    (
        answer.0,
        answer.1["error_code"].as_str().unwrap_or_default(),
    )
}
