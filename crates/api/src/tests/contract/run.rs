//! One pass over all operations on one server: asks, compares, and remembers what it saw for the table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use strongroom_service::Action;
use strongroom_types::Role;

use super::departures::{DEPARTURES, Departure, Way};
use super::published::Published;
use super::requests::{Request, Variation, broken_by, variations, variations_of_present};
use super::scenarios::{OPEN, Scenario};
use super::table;
use super::table::Row;
use crate::tests::server::{Answer, TestServer, Who};

/// Problems to show at once: enough to see what is common to them.
const SHOWN: usize = 100;

pub(super) struct Run<'a> {
    published: BTreeMap<&'a str, &'a Published>,
    rows: BTreeMap<String, Row>,
    /// Departures, by index, and their places that something needed.
    needed: BTreeSet<(usize, &'static str)>,
    /// Rules that answers broke, to tell each once.
    answered: BTreeSet<String>,
    problems: Vec<String>,
    requests: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(published: &'a [Published]) -> Self {
        let by_name = published
            .iter()
            .map(|operation| (operation.id.as_str(), operation));
        Self {
            published: by_name.collect(),
            rows: BTreeMap::new(),
            needed: BTreeSet::new(),
            answered: BTreeSet::new(),
            problems: Vec::new(),
            requests: 0,
        }
    }

    /// Refusals come first: whatever is refused changes nothing, or the case of success would show it.
    pub(super) async fn judge(&mut self, server: &TestServer, scenario: &Scenario) {
        let operation = self.published[scenario.operation];
        self.check_permission(server, operation, scenario).await;
        let mut refusals = BTreeSet::new();
        for (request, expected) in &scenario.refused {
            let answer = self.ask(server, Who::Admin, operation, request).await;
            let got = refusal(&answer);
            if got.as_deref() != Some(expected) {
                self.problem(
                    operation,
                    &format!(
                        "{expected} expected: {} {} {request:?}",
                        answer.status, answer.text
                    ),
                );
            }
            refusals.insert((*expected).to_owned());
        }
        let (first, after): (Vec<_>, Vec<_>) = variations(operation, &scenario.request)
            .into_iter()
            .partition(|variation| is_refused(operation, variation));
        for variation in &first {
            self.try_variation(server, operation, variation).await;
        }
        self.succeed(server, operation, &scenario.request).await;
        for variation in &after {
            self.try_variation(server, operation, variation).await;
        }
        for request in &scenario.again {
            self.succeed(server, operation, request).await;
            for variation in variations_of_present(operation, request) {
                if !is_refused(operation, &variation) {
                    self.try_variation(server, operation, &variation).await;
                }
            }
        }
        if first.iter().any(|variation| variation.breaks.is_some()) {
            refusals.insert("9900 400".to_owned());
        }
        if refusals.is_empty() {
            // There is nothing to get wrong but the credentials.
            refusals.insert("APIGW.0301 401".to_owned());
        }
        self.rows.insert(
            operation.id.clone(),
            Row {
                method: operation.method.clone(),
                path: operation.path.clone(),
                permission: scenario.permission,
                success: operation.success,
                refusals,
            },
        );
    }

    async fn succeed(&mut self, server: &TestServer, operation: &Published, request: &Request) {
        let answer = self.ask(server, Who::Admin, operation, request).await;
        for (place, rule) in broken_by(operation, request) {
            if !self.departs(Way::Takes, operation, &place, &rule) {
                self.problem(
                    operation,
                    &format!("is shown a request that breaks {rule} at {place}"),
                );
            }
        }
        if answer.status.as_u16() == operation.success {
            self.check_answer(operation, &answer);
        } else {
            self.problem(
                operation,
                &format!("does not succeed: {} {}", answer.status, answer.text),
            );
        }
    }

    /// Strangers are refused; readers are too unless the permission is theirs.
    async fn check_permission(
        &mut self,
        server: &TestServer,
        operation: &Published,
        scenario: &Scenario,
    ) {
        let mut actions = Action::ALL.iter();
        let action = actions.find(|action| action.name() == scenario.permission);
        if action.is_none() && scenario.permission != OPEN {
            let told = format!("{} is no permission", scenario.permission);
            return self.problem(operation, &told);
        }
        let stranger = self
            .ask(server, Who::Nobody, operation, &scenario.request)
            .await;
        if stranger.status != 401 {
            self.problem(
                operation,
                &format!("a stranger hears {} {}", stranger.status, stranger.text),
            );
        }
        let reader_may = action.is_none_or(|action| action.permits(Role::Reader));
        if reader_may && operation.method != "GET" {
            // It would be carried out before its time.
            return;
        }
        let reader = self
            .ask(server, Who::Reader, operation, &scenario.request)
            .await;
        let got = refusal(&reader);
        let fits = if reader_may {
            reader.status.as_u16() == operation.success
        } else {
            got.as_deref() == Some("APIGW.0302 403")
        };
        if !fits {
            self.problem(
                operation,
                &format!("a reader hears {} {}", reader.status, reader.text),
            );
        }
    }

    async fn try_variation(
        &mut self,
        server: &TestServer,
        operation: &Published,
        variation: &Variation,
    ) {
        let answer = self
            .ask(server, Who::Admin, operation, &variation.request)
            .await;
        let Variation {
            at, value, breaks, ..
        } = variation;
        let told = format!("{at} = {value}: {} {}", answer.status, answer.text);
        if answer.status.is_success() {
            self.check_answer(operation, &answer);
            if let Some(rule) = breaks
                && !self.departs(Way::Takes, operation, at, rule)
            {
                self.problem(operation, &format!("takes what breaks {rule}: {told}"));
            }
            return;
        }
        let Some(code) = refusal(&answer) else {
            return self.problem(operation, &format!("no refusal: {told}"));
        };
        let is_invalid = code == "9900 400";
        match breaks {
            // State may forbid it by now, but the request itself was understood.
            None if is_invalid && !self.departs(Way::Refuses, operation, at, "*") => {
                self.problem(operation, &format!("refuses what is valid: {told}"));
            }
            // What is refused for its state was taken for valid.
            Some(rule) if !is_invalid => {
                let departs = self.departs(Way::Takes, operation, at, rule);
                if !departs && !code.ends_with(" 400") {
                    self.problem(
                        operation,
                        &format!("breaks {rule} and hears something else: {told}"),
                    );
                }
            }
            _ => {}
        }
    }

    async fn ask(
        &mut self,
        server: &TestServer,
        who: Who,
        operation: &Published,
        request: &Request,
    ) -> Answer {
        self.requests += 1;
        server
            .call(
                who,
                &operation.method,
                &target(&operation.path, request),
                &request.body,
            )
            .await
    }

    fn check_answer(&mut self, operation: &Published, answer: &Answer) {
        let Some(rules) = &operation.answer else {
            let departs = answer.text.is_empty()
                || self.departs(Way::Answers, operation, "the body", "empty");
            if !departs {
                self.problem(
                    operation,
                    &format!("the answer is not empty: {}", answer.text),
                );
            }
            return;
        };
        let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        for error in rules.iter_errors(&body) {
            let place = defined_place(error.schema_path().as_str());
            let rule = error.kind().keyword();
            let is_new = self
                .answered
                .insert(format!("{} {place} {rule}", operation.id));
            if is_new && !self.departs(Way::Answers, operation, &place, rule) {
                let at = error.instance_path();
                self.problem(
                    operation,
                    &format!("answers {place} against {rule}: {error} at {at}"),
                );
            }
        }
    }

    fn departs(&mut self, from: Way, operation: &Published, place: &str, rule: &str) -> bool {
        let mut departures = DEPARTURES.iter().enumerate();
        let found = departures.find_map(|(number, departure)| {
            let covering = departure.covering(from, &operation.id, place, rule)?;
            Some((number, covering))
        });
        self.needed.extend(found);
        found.is_some()
    }

    fn problem(&mut self, operation: &Published, what: &str) {
        self.problems.push(format!("{} {what}", operation.id));
    }

    /// Fails when anything was not as described, or when the lists name what nothing needs.
    pub(super) fn finish(mut self) {
        for name in self.published.keys() {
            if !self.rows.contains_key(*name) {
                self.problems.push(format!("{name} has no scenario"));
            }
        }
        for (number, departure) in DEPARTURES.iter().enumerate() {
            for place in departure.places {
                if !self.needed.contains(&(number, *place)) {
                    let told = format!("nothing needs {place}: {}", departure.reason);
                    self.problems.push(told);
                }
            }
        }
        self.problems.dedup();
        let shown = &self.problems[..self.problems.len().min(SHOWN)];
        assert!(
            shown.is_empty(),
            "{} of {} requests:\n{}",
            self.problems.len(),
            self.requests,
            shown.join("\n")
        );
        table::check(&self.rows);
    }
}

/// What breaks a rule and is not known to be taken.
fn is_refused(operation: &Published, variation: &Variation) -> bool {
    variation.breaks.as_ref().is_some_and(|rule| {
        let takes = |departure: &Departure| {
            let found = departure.covering(Way::Takes, &operation.id, &variation.at, rule);
            found.is_some()
        };
        !DEPARTURES.iter().any(takes)
    })
}

fn target(path: &str, request: &Request) -> String {
    let mut path = path.to_owned();
    for (name, value) in &request.path {
        let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(&request.query);
    format!("{path}?{}", query.finish())
}

/// `6105 404`, when it is an error as published.
fn refusal(answer: &Answer) -> Option<String> {
    let body: Value = serde_json::from_str(&answer.text).ok()?;
    let code = body["error_code"].as_str()?;
    body["error_msg"].as_str()?;
    let number = code.strip_prefix("BackupService.").unwrap_or(code);
    Some(format!("{number} {}", answer.status.as_u16()))
}

/// `Vault.description` of `/definitions/Vault/properties/description/type`.
fn defined_place(schema_path: &str) -> String {
    let parts: Vec<&str> = schema_path.split('/').skip(1).collect();
    let names = parts.iter().enumerate().filter_map(|(at, part)| {
        let before = at.checked_sub(1).map(|before| parts[before]);
        let is_name = matches!(before, Some("definitions" | "properties"));
        let is_item = *part == "items" && before != Some("properties");
        (is_name || is_item).then_some(if is_item { "[]" } else { part })
    });
    names.collect::<Vec<_>>().join(".").replace(".[]", "[]")
}
