//! Every operation that the cloud has published, kept to its published description: requests at each limit and just
//! outside, every answer against its schema, and who may ask. Where we follow clients instead is in `departures`.

mod departures;
mod published;
mod requests;
mod run;
mod scenarios;
mod table;

use std::collections::BTreeSet;

use published::published;
use run::Run;
use scenarios::scenarios;

use super::schemas::operations;
use super::server::on_each_server;

#[tokio::test(flavor = "multi_thread")]
async fn every_published_operation_keeps_its_description() {
    let published = published();
    on_each_server(|server| {
        let published = &published;
        async move {
            let mut run = Run::new(published);
            for scenario in scenarios(&server).await {
                run.judge(&server, &scenario).await;
            }
            run.finish();
        }
    })
    .await;
}

#[test]
fn every_published_operation_has_a_route() {
    let published = published();
    assert_eq!(published.len(), 74);
    let offered: BTreeSet<(String, String)> = operations()
        .into_iter()
        .map(|operation| (operation.method, without_names(&operation.path)))
        .collect();
    for operation in &published {
        let route = (operation.method.clone(), without_names(&operation.path));
        assert!(offered.contains(&route), "{} has no route", operation.id);
    }
}

/// `/v3/{}/vaults/{}`: names in a path do not reach clients.
fn without_names(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
