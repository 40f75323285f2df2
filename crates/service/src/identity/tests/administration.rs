use strongroom_db::Page;
use strongroom_types::Role;

use super::super::{
    NewUser, Secret, create_access_key, create_project, create_user, delete_access_key, domains_of,
    enter_project, list_access_keys, list_all_projects, list_users, projects_of, set_password,
};
use super::{PASSWORD, on_each_installation};
use crate::Error;

const ALL: Page = Page::first(1000);

#[tokio::test]
async fn administration_is_for_administrators() {
    on_each_installation(|it| async move {
        let user = it.user("olaf", Role::Operator).await;
        let olaf = it.sign_in("olaf").await;
        let id = &user.account.id;
        let app = &it.app;
        let new = NewUser {
            name: "more".to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
            project_id: it.first.project_id.clone(),
            role: Role::Admin,
        };
        for refused in [
            create_project(app, &olaf, "x".to_owned()).await.err(),
            create_user(app, &olaf, new).await.err(),
            list_users(app, &olaf, &ALL).await.err(),
            list_all_projects(app, &olaf, &ALL).await.err(),
            set_password(app, &olaf, id, &Secret::new(PASSWORD.to_owned()))
                .await
                .err(),
            create_access_key(app, &olaf, id).await.err(),
            list_access_keys(app, &olaf, id).await.err(),
            delete_access_key(app, &olaf, "x").await.err(),
        ] {
            assert!(matches!(refused, Some(Error::Forbidden)), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn users_and_projects_are_listed_with_their_roles() {
    on_each_installation(|it| async move {
        let app = &it.app;
        let user = it.user("rita", Role::Reader).await;
        let other = create_project(app, &it.admin, "other".to_owned())
            .await
            .unwrap();
        let joined = it.join(&user, &other.id, Role::Operator).await.unwrap();
        assert_eq!(joined.memberships.len(), 2);
        let users = list_users(app, &it.admin, &ALL).await.unwrap();
        let mut listed: Vec<_> = users
            .iter()
            .map(|user| (user.account.name.as_str(), user.memberships.len()))
            .collect();
        listed.sort_unstable();
        assert_eq!(listed, [("admin", 1), ("rita", 2)]);
        let all = list_all_projects(app, &it.admin, &ALL).await.unwrap();
        assert_eq!(all.len(), 2);
        let rita = it.sign_in("rita").await;
        for (caller, name, count) in [
            (&rita, None, 2),
            (&rita, Some("region-1"), 1),
            (&it.admin, None, 2),
            (&it.admin, Some("unknown"), 0),
        ] {
            let name = name.map(str::to_owned);
            let found = projects_of(app, caller, name, &ALL).await.unwrap();
            assert_eq!(found.len(), count);
        }
        for (name, count) in [(None, 1), (Some("default"), 1), (Some("x"), 0)] {
            let found = domains_of(app, &rita, name).await.unwrap();
            assert_eq!(found.len(), count);
        }
    })
    .await;
}

#[tokio::test]
async fn names_are_unique_and_plain() {
    on_each_installation(|it| async move {
        let app = &it.app;
        for name in ["", " a", "a\n", &"x".repeat(65)] {
            let refused = create_project(app, &it.admin, name.to_owned()).await;
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{name:?}");
        }
        let refused = create_project(app, &it.admin, "region-1".to_owned()).await;
        assert!(matches!(refused, Err(Error::NameTaken { .. })));
        let new = |name: &str, project: &str| NewUser {
            name: name.to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
            project_id: project.parse().unwrap(),
            role: Role::Reader,
        };
        let refused = create_user(app, &it.admin, new("admin", it.first.project_id.as_str())).await;
        assert!(matches!(refused, Err(Error::NameTaken { .. })));
        let refused = create_user(app, &it.admin, new("new", &"0".repeat(32))).await;
        assert!(matches!(refused, Err(Error::ProjectNotFound { .. })));
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    on_each_installation(|it| async move {
        let admin = list_users(&it.app, &it.admin, &ALL)
            .await
            .unwrap()
            .remove(0);
        let project = &it.first.project_id;
        let refused = it.join(&admin, project, Role::Reader).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
        it.user("second", Role::Admin).await;
        it.join(&admin, project, Role::Reader).await.unwrap();
        assert!(!it.sign_in("admin").await.is_admin());
    })
    .await;
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_keys() {
    on_each_installation(|it| async move {
        let user = it.user("rita", Role::Reader).await.account.id;
        for _ in 0..100 {
            create_access_key(&it.app, &it.admin, &user).await.unwrap();
        }
        let refused = create_access_key(&it.app, &it.admin, &user).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
        let keys = list_access_keys(&it.app, &it.admin, &user).await.unwrap();
        assert_eq!(keys.len(), 100);
    })
    .await;
}

#[tokio::test]
async fn callers_enter_their_project_and_administrators_every_one_that_exists() {
    on_each_installation(|it| async move {
        it.user("rita", Role::Reader).await;
        let rita = it.sign_in("rita").await;
        let other = create_project(&it.app, &it.admin, "other".to_owned())
            .await
            .unwrap();
        let nowhere = "0".repeat(32).parse().unwrap();
        for (caller, project, allowed) in [
            (&rita, &it.first.project_id, true),
            (&rita, &other.id, false),
            (&it.admin, &other.id, true),
            (&it.admin, &nowhere, false),
        ] {
            let entered = enter_project(&it.app, caller, project).await;
            assert_eq!(entered.is_ok(), allowed);
        }
    })
    .await;
}
