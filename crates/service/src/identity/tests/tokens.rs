use std::time::Duration;

use strongroom_types::Role;

use super::super::{
    DomainRef, ProjectRef, Proof, ScopeWish, Secret, UserRef, create_project, describe_token,
    issue_token, set_password,
};
use super::{is_unauthenticated, on_each_installation};
use crate::{Action, Error};

fn project_named(name: &str) -> ScopeWish {
    ScopeWish::Project(ProjectRef::Name {
        name: name.to_owned(),
        domain: None,
    })
}

#[tokio::test]
async fn every_wrong_proof_gets_the_same_answer() {
    on_each_installation(|it| async move {
        let named = |name: &str, domain: &str, password: &str| Proof::Password {
            user: UserRef::Name {
                name: name.to_owned(),
                domain: DomainRef::Name(domain.to_owned()),
            },
            password: Secret::new(password.to_owned()),
        };
        let by_id = |id: &str| Proof::Password {
            user: UserRef::Id(id.to_owned()),
            password: it.first.password.clone(),
        };
        let right = it.first.password.expose();
        for proof in [
            named("admin", "default", "wrong"),
            named("nobody", "default", right),
            named("admin", "elsewhere", right),
            by_id("no id at all"),
            by_id(&"0".repeat(32)),
            Proof::Token(Secret::new("unknown".to_owned())),
        ] {
            is_unauthenticated(&issue_token(&it.app, proof, ScopeWish::Unsaid).await);
        }
        let proof = by_id(it.first.user_id.as_str());
        issue_token(&it.app, proof, ScopeWish::Unsaid)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_token_carries_the_scope_that_was_wished_for() {
    on_each_installation(|it| async move {
        it.user("rita", Role::Reader).await;
        let own = &it.first.project_id;
        for (wish, project) in [
            (ScopeWish::Unsaid, Some(own)),
            (ScopeWish::Unscoped, None),
            (project_named("region-1"), Some(own)),
            (
                ScopeWish::Project(ProjectRef::Id(own.to_string())),
                Some(own),
            ),
            (
                ScopeWish::Domain(DomainRef::Id(it.first.domain_id.to_string())),
                None,
            ),
        ] {
            let token = it.token("rita", wish).await.unwrap();
            let caller = it.caller(&token).await.unwrap();
            assert_eq!(caller.project_id.as_ref(), project);
            assert_eq!(caller.role, project.map(|_| Role::Reader));
        }
        let other = create_project(&it.app, &it.admin, "other".to_owned())
            .await
            .unwrap();
        for wish in [
            project_named("other"),
            project_named("unknown"),
            ScopeWish::Project(ProjectRef::Id(other.id.to_string())),
            ScopeWish::Domain(DomainRef::Name("elsewhere".to_owned())),
        ] {
            is_unauthenticated(&it.token("rita", wish).await);
        }
        // An administrator may act in every project.
        let token = it.token("admin", project_named("other")).await.unwrap();
        assert_eq!(it.caller(&token).await.unwrap().project_id, Some(other.id));
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_after_its_lifetime_and_so_does_what_was_made_from_it() {
    on_each_installation(|it| async move {
        let first = it.token("admin", ScopeWish::Unscoped).await.unwrap();
        it.clock.advance(Duration::from_hours(23));
        let proof = Proof::Token(first.clone());
        let second = issue_token(&it.app, proof, project_named("region-1"))
            .await
            .unwrap();
        assert_eq!(second.view.methods, ["password", "token"]);
        assert_eq!(second.view.project.unwrap().project.name, "region-1");
        it.clock.advance(Duration::from_mins(59));
        it.caller(&first).await.unwrap();
        it.caller(&second.token).await.unwrap();
        it.clock.advance(Duration::from_mins(1));
        is_unauthenticated(&it.caller(&first).await);
        is_unauthenticated(&it.caller(&second.token).await);
        is_unauthenticated(
            &issue_token(&it.app, Proof::Token(second.token), ScopeWish::Unsaid).await,
        );
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_the_old_password() {
    on_each_installation(|it| async move {
        let user = it.user("olaf", Role::Operator).await;
        let token = it.token("olaf", ScopeWish::Unsaid).await.unwrap();
        let stays = it.token("admin", ScopeWish::Unsaid).await.unwrap();
        let short = Secret::new("short".to_owned());
        let refused = set_password(&it.app, &it.admin, &user.account.id, &short).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
        let new = Secret::new("another one".to_owned());
        set_password(&it.app, &it.admin, &user.account.id, &new)
            .await
            .unwrap();
        is_unauthenticated(&it.caller(&token).await);
        is_unauthenticated(&it.token("olaf", ScopeWish::Unsaid).await);
        it.caller(&stays).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn others_tokens_do_not_exist_for_a_user() {
    on_each_installation(|it| async move {
        it.user("rita", Role::Reader).await;
        let admins = it.token("admin", ScopeWish::Unsaid).await.unwrap();
        let ritas = it.token("rita", ScopeWish::Unsaid).await.unwrap();
        let rita = it.caller(&ritas).await.unwrap();
        for (caller, token, known) in [
            (&rita, &ritas, true),
            (&rita, &admins, false),
            (&it.admin, &ritas, true),
            (&it.admin, &Secret::new("unknown".to_owned()), false),
        ] {
            let view = describe_token(&it.app, caller, token.expose())
                .await
                .unwrap();
            assert_eq!(view.is_some(), known);
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_role_counts_at_once() {
    on_each_installation(|it| async move {
        let user = it.user("rita", Role::Reader).await;
        let token = it.token("rita", ScopeWish::Unsaid).await.unwrap();
        let project = it.first.project_id.clone();
        let may_create = async || {
            let caller = it.caller(&token).await.unwrap();
            caller.authorise(Action::VaultsCreate, &project).is_ok()
        };
        assert!(!may_create().await);
        it.join(&user, &project, Role::BackupUser).await.unwrap();
        assert!(may_create().await);
    })
    .await;
}
