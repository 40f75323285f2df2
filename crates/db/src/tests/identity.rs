use std::time::Duration;

use strongroom_types::{DomainId, ProjectId, Role, Timestamp, UserId};

use super::on_each_database;
use crate::{
    AccessKey, Account, Domain, Error, JsonText, Membership, Page, Project, ProjectFilter, Token,
    Tx,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn domain_id() -> DomainId {
    "d".repeat(32).parse().unwrap()
}

fn project_id(number: u8) -> ProjectId {
    format!("{number:032x}").parse().unwrap()
}

fn user_id(number: u8) -> UserId {
    format!("{number:032x}").parse().unwrap()
}

fn project(number: u8) -> Project {
    Project {
        id: project_id(number),
        domain_id: domain_id(),
        name: format!("project-{number}"),
        created_at: NOW.plus(Duration::from_secs(number.into())),
    }
}

fn account(number: u8) -> Account {
    Account {
        id: user_id(number),
        domain_id: domain_id(),
        name: format!("user-{number}"),
        password_hash: "hash".into(),
        created_at: NOW.plus(Duration::from_secs(number.into())),
    }
}

fn token(hash: &[u8], ends_in: Duration) -> Token {
    Token {
        token_hash: hash.to_vec(),
        user_id: user_id(1),
        project_id: Some(project_id(1)),
        domain_id: None,
        methods: JsonText(vec!["password".into()]),
        issued_at: NOW,
        expires_at: NOW.plus(ends_in),
    }
}

fn key(name: &str, ends_in: Option<Duration>) -> AccessKey {
    AccessKey {
        access_key: name.into(),
        user_id: user_id(1),
        secret_sealed: vec![1, 2, 3],
        security_token_hash: ends_in.map(|_| vec![9]),
        project_id: ends_in.map(|_| project_id(1)),
        created_at: NOW,
        expires_at: ends_in.map(|ends_in| NOW.plus(ends_in)),
    }
}

fn page(offset: u64, limit: u64) -> Page {
    Page {
        offset,
        ..Page::first(limit)
    }
}

/// A domain, projects 1 to 3 and users 1 and 2.
async fn fill(tx: &mut Tx) {
    let domain = Domain {
        id: domain_id(),
        name: "default".into(),
        created_at: NOW,
    };
    tx.insert_domain(&domain).await.unwrap();
    for number in 1..=3 {
        tx.insert_project(&project(number)).await.unwrap();
    }
    for number in 1..=2 {
        tx.insert_account(&account(number)).await.unwrap();
    }
}

#[tokio::test]
async fn rows_come_back_as_they_went_in() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        assert!(!tx.any_domain().await.unwrap());
        fill(&mut tx).await;
        assert!(tx.any_domain().await.unwrap());
        let domain = tx.find_domain_by_name("default").await.unwrap();
        assert_eq!(domain, tx.find_domain(&domain_id()).await.unwrap());
        assert_eq!(
            tx.find_project(&project_id(2)).await.unwrap(),
            Some(project(2))
        );
        assert_eq!(
            tx.find_project_by_name(&domain_id(), "project-2")
                .await
                .unwrap(),
            Some(project(2))
        );
        assert_eq!(
            tx.find_account(&user_id(1)).await.unwrap(),
            Some(account(1))
        );
        assert_eq!(
            tx.lock_account(&user_id(1)).await.unwrap(),
            Some(account(1))
        );
        assert_eq!(
            tx.find_account_by_name(&domain_id(), "user-1")
                .await
                .unwrap(),
            Some(account(1))
        );
        for key in [
            key("PERMANENT", None),
            key("TEMPORARY", Some(Duration::from_secs(1))),
        ] {
            tx.insert_access_key(&key).await.unwrap();
            let found = tx.find_access_key(&key.access_key).await.unwrap();
            assert_eq!(found, Some(key));
        }
        let listed = tx.list_access_keys(&user_id(1)).await.unwrap();
        assert_eq!(listed, [key("PERMANENT", None)]);
        assert!(tx.delete_access_key("PERMANENT").await.unwrap());
        assert!(!tx.delete_access_key("PERMANENT").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn names_are_unique_within_a_domain() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        fill(&mut tx).await;
        tx.commit().await.unwrap();
        let again = Project {
            id: project_id(9),
            ..project(1)
        };
        let mut tx = db.begin().await.unwrap();
        assert!(matches!(
            tx.insert_project(&again).await,
            Err(Error::Conflict(_))
        ));
        drop(tx);
        let again = Account {
            id: user_id(9),
            ..account(1)
        };
        let mut tx = db.begin().await.unwrap();
        assert!(matches!(
            tx.insert_account(&again).await,
            Err(Error::Conflict(_))
        ));
    })
    .await;
}

#[tokio::test]
async fn an_administrator_of_one_project_is_one_in_each() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        fill(&mut tx).await;
        let mut give = async |user: u8, project: u8, role: Role| {
            let membership = Membership {
                user_id: user_id(user),
                project_id: project_id(project),
                role,
            };
            tx.upsert_membership(&membership).await.unwrap();
        };
        give(1, 1, Role::Reader).await;
        give(1, 1, Role::Operator).await;
        give(2, 1, Role::Reader).await;
        give(2, 2, Role::Admin).await;
        let one = project_id(1);
        let three = project_id(3);
        for (user, project, role) in [
            (1, Some(&one), Some(Role::Operator)),
            (1, Some(&three), None),
            (1, None, None),
            (2, Some(&one), Some(Role::Admin)),
            (2, Some(&three), Some(Role::Admin)),
            (2, None, Some(Role::Admin)),
        ] {
            let found = tx.find_role(&user_id(user), project).await.unwrap();
            assert_eq!(found, role, "user {user}, project {project:?}");
        }
        assert_eq!(tx.list_memberships(&user_id(2)).await.unwrap().len(), 2);
        assert!(tx.any_admin().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged_in_order_of_creation() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        fill(&mut tx).await;
        let membership = Membership {
            user_id: user_id(2),
            project_id: project_id(3),
            role: Role::Reader,
        };
        tx.upsert_membership(&membership).await.unwrap();
        let all = ProjectFilter::default();
        let listed = tx.list_projects(&all, &page(1, 10)).await.unwrap();
        assert_eq!(listed, [project(2), project(3)]);
        let after = page(1, 1);
        assert_eq!(tx.list_projects(&all, &after).await.unwrap(), [project(2)]);
        let named = ProjectFilter {
            name: Some("project-2".into()),
            member: None,
        };
        let first = page(0, 10);
        assert_eq!(
            tx.list_projects(&named, &first).await.unwrap(),
            [project(2)]
        );
        let own = ProjectFilter {
            name: None,
            member: Some(user_id(2)),
        };
        assert_eq!(tx.list_projects(&own, &first).await.unwrap(), [project(3)]);
        assert_eq!(tx.list_accounts(&page(1, 10)).await.unwrap(), [account(2)]);
        for (offset, count) in [(0, 0), (1, 1)] {
            let found = tx
                .list_memberships_of_accounts(&page(offset, 1))
                .await
                .unwrap();
            assert_eq!(found.len(), count);
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_end_by_time_and_by_a_new_password() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        fill(&mut tx).await;
        let minute = Duration::from_mins(1);
        for (hash, minutes) in [(b"a", 1), (b"b", 2), (b"c", 3)] {
            tx.insert_token(&token(hash, minute * minutes))
                .await
                .unwrap();
        }
        tx.insert_access_key(&key("TEMPORARY", Some(minute)))
            .await
            .unwrap();
        tx.insert_access_key(&key("PERMANENT", None)).await.unwrap();
        assert_eq!(
            tx.find_token(b"a", NOW).await.unwrap(),
            Some(token(b"a", minute))
        );
        let later = NOW.plus(minute * 2);
        assert_eq!(tx.find_token(b"b", later).await.unwrap(), None);
        assert_eq!(tx.delete_expired_sessions(later, 1).await.unwrap(), 2);
        assert_eq!(tx.delete_expired_sessions(later, 10).await.unwrap(), 1);
        assert!(tx.update_password(&user_id(1), "other").await.unwrap());
        assert!(!tx.update_password(&user_id(9), "other").await.unwrap());
        tx.delete_sessions(&user_id(1)).await.unwrap();
        assert_eq!(tx.find_token(b"c", NOW).await.unwrap(), None);
        assert!(tx.find_access_key("PERMANENT").await.unwrap().is_some());
    })
    .await;
}
