use std::time::Duration;

use strongroom_types::{ProjectId, Role};

use super::super::{
    KeyClaim, ScopeWish, Secret, authenticate_access_key, create_access_key, create_project,
    create_temporary_key, delete_access_key, set_password,
};
use super::{Installation, is_unauthenticated, on_each_installation};
use crate::{Caller, Error};

fn claim(access_key: &str) -> KeyClaim {
    KeyClaim {
        access_key: access_key.to_owned(),
        security_token: None,
        project_id: None,
        request_id: String::new(),
    }
}

/// The caller and the secret behind a claim.
async fn enter(it: &Installation, claim: KeyClaim) -> Result<(Caller, String), Error> {
    let unverified = authenticate_access_key(&it.app, claim).await?;
    let mut seen = String::new();
    let caller = unverified.verify(|secret| {
        seen.push_str(secret);
        Ok::<(), Error>(())
    })?;
    Ok((caller, seen))
}

#[tokio::test]
async fn the_first_key_opens_the_first_project() {
    on_each_installation(|it| async move {
        let (caller, secret) = enter(&it, claim(&it.first.access_key)).await.unwrap();
        assert_eq!(secret, it.first.secret_key.expose());
        assert_eq!(caller.project_id.as_ref(), Some(&it.first.project_id));
        assert!(caller.is_admin());
        is_unauthenticated(&enter(&it, claim("UNKNOWN")).await);
    })
    .await;
}

#[tokio::test]
async fn a_caller_comes_out_only_when_the_signature_is_right() {
    on_each_installation(|it| async move {
        let unverified = authenticate_access_key(&it.app, claim(&it.first.access_key))
            .await
            .unwrap();
        assert!(!format!("{unverified:?}").contains(it.first.secret_key.expose()));
        assert_eq!(unverified.verify(|_| Err("wrong")), Err("wrong"));
    })
    .await;
}

#[tokio::test]
async fn a_permanent_key_is_for_the_project_that_the_request_names() {
    on_each_installation(|it| async move {
        let user = it.user("olaf", Role::Operator).await;
        let key = create_access_key(&it.app, &it.admin, &user.account.id)
            .await
            .unwrap();
        let other = create_project(&it.app, &it.admin, "other".to_owned())
            .await
            .unwrap();
        let of = async |project: Option<&ProjectId>| {
            let claim = KeyClaim {
                project_id: project.cloned(),
                ..claim(&key.view.access_key)
            };
            let (caller, _) = enter(&it, claim).await.unwrap();
            (caller.project_id, caller.role)
        };
        let own = it.first.project_id.clone();
        assert_eq!(of(None).await, (Some(own.clone()), Some(Role::Operator)));
        assert_eq!(of(Some(&other.id)).await, (Some(other.id.clone()), None));
        it.join(&user, &other.id, Role::Reader).await.unwrap();
        assert_eq!(
            of(Some(&other.id)).await,
            (Some(other.id), Some(Role::Reader))
        );
        // Two projects, and the request names none.
        assert_eq!(of(None).await, (None, None));
        delete_access_key(&it.app, &it.admin, &key.view.access_key)
            .await
            .unwrap();
        is_unauthenticated(&enter(&it, claim(&key.view.access_key)).await);
    })
    .await;
}

#[tokio::test]
async fn a_temporary_key_needs_its_token_keeps_its_scope_and_ends() {
    on_each_installation(|it| async move {
        it.user("olaf", Role::Operator).await;
        let token = it.token("olaf", ScopeWish::Unsaid).await.unwrap();
        for seconds in [899, 86_401] {
            let lifetime = Some(Duration::from_secs(seconds));
            let refused = create_temporary_key(&it.app, &token, lifetime).await;
            assert!(matches!(refused, Err(Error::Invalid { .. })));
        }
        let key = create_temporary_key(&it.app, &token, None).await.unwrap();
        let with = |security_token: Option<Secret>| KeyClaim {
            security_token,
            project_id: Some("0".repeat(32).parse().unwrap()),
            ..claim(&key.access_key)
        };
        is_unauthenticated(&enter(&it, with(None)).await);
        is_unauthenticated(&enter(&it, with(Some(Secret::new("wrong".to_owned())))).await);
        let right = with(Some(key.security_token.clone()));
        let (caller, secret) = enter(&it, right.clone()).await.unwrap();
        assert_eq!(secret, key.secret.expose());
        assert_eq!(caller.project_id.as_ref(), Some(&it.first.project_id));
        assert_eq!(caller.role, Some(Role::Operator));
        it.clock.advance(Duration::from_mins(15));
        is_unauthenticated(&enter(&it, right).await);
    })
    .await;
}

#[tokio::test]
async fn a_temporary_key_ends_with_its_token_and_with_the_password() {
    on_each_installation(|it| async move {
        let user = it.user("olaf", Role::Operator).await;
        let token = it.token("olaf", ScopeWish::Unsaid).await.unwrap();
        it.clock.advance(Duration::from_hours(23));
        let key = create_temporary_key(&it.app, &token, Some(Duration::from_hours(24)))
            .await
            .unwrap();
        assert_eq!(key.expires_at, it.app.now().plus(Duration::from_hours(1)));
        let new = Secret::new("another one".to_owned());
        set_password(&it.app, &it.admin, &user.account.id, &new)
            .await
            .unwrap();
        let claim = KeyClaim {
            security_token: Some(key.security_token),
            ..claim(&key.access_key)
        };
        is_unauthenticated(&enter(&it, claim).await);
        is_unauthenticated(&create_temporary_key(&it.app, &token, None).await);
    })
    .await;
}
