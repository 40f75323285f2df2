use strongroom_types::{ObjectType, OrderId, OrderStatus, PeriodType, Role};

use super::world::protect_server;
use super::{World, on_each_database, refused};
use crate::orders::{self, OrderRequest, OrderView};
use crate::vaults::{self, Charging, NewVault, VaultChange, VaultCreation};
use crate::{Caller, Error};

fn prepaid(auto_pay: bool) -> NewVault {
    NewVault {
        charging: Charging::PrePaid {
            period_type: PeriodType::Month,
            period_num: 1,
            auto_pay,
        },
        ..World::new_vault("vault", ObjectType::Server)
    }
}

async fn order(world: &World, new: NewVault) -> Result<OrderView, Error> {
    match world.create(new).await? {
        VaultCreation::Ordered(order) => Ok(order),
        VaultCreation::Created(view) => panic!("{view:?}"),
    }
}

#[tokio::test]
async fn an_order_that_pays_itself_makes_the_vault_at_once() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let resources = vec![protect_server(&web.server.id)];
        let made = order(
            &world,
            NewVault {
                resources,
                ..prepaid(true)
            },
        )
        .await
        .unwrap();
        assert_eq!(made.order.status, OrderStatus::Completed);
        let view = world.get_vault(&made.order.vault_id).await.unwrap();
        assert_eq!(view.vault.order_id, Some(made.order.id));
        assert_eq!(
            view.vault.term_ends_at.unwrap().to_cbr(),
            "2026-02-01T00:00:01.000000"
        );
        assert_eq!(view.resources.len(), 1);

        let resize = VaultChange {
            size_gb: Some(300),
            ..VaultChange::default()
        };
        let id = &view.vault.id;
        let resized = vaults::update(&world.app, &world.caller, &world.project, id, resize).await;
        refused!(resized, Error::VaultNotChangeable { .. });
        let expand = VaultChange {
            auto_expand: Some(true),
            ..VaultChange::default()
        };
        let changed = vaults::update(&world.app, &world.caller, &world.project, id, expand).await;
        refused!(changed, Error::Invalid { .. });
        let delete = || vaults::delete(&world.app, &world.caller, &world.project, id);
        refused!(delete().await, Error::VaultPrePaid);
        world
            .clock
            .advance(std::time::Duration::from_hours(31 * 24));
        delete().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_waiting_order_is_decided_once_by_an_administrator() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let resources = vec![protect_server(&web.server.id)];
        let new = NewVault {
            resources,
            ..prepaid(false)
        };
        let waiting = order(&world, new).await.unwrap().order;
        assert_eq!(waiting.status, OrderStatus::Waiting);
        refused!(
            world.get_vault(&waiting.vault_id).await,
            Error::VaultNotFound { .. }
        );

        let operator = Caller {
            role: Some(Role::Operator),
            ..world.caller.clone()
        };
        refused!(
            orders::approve(&world.app, &operator, &waiting.id).await,
            Error::Forbidden
        );
        let page = World::everything();
        refused!(
            orders::list(&world.app, &operator, None, None, &page).await,
            Error::Forbidden
        );
        let list = |status| {
            orders::list(
                &world.app,
                &world.caller,
                Some(&world.project),
                status,
                &page,
            )
        };
        assert_eq!(list(Some(OrderStatus::Waiting)).await.unwrap().1, 1);

        let id = waiting.id.clone();
        let done = orders::approve(&world.app, &world.caller, &id)
            .await
            .unwrap();
        assert_eq!(done.order.status, OrderStatus::Completed);
        assert!(matches!(done.request, OrderRequest::Create(new) if new.name == "vault"));
        let view = world.get_vault(&waiting.vault_id).await.unwrap();
        assert_eq!(view.resources[0].name, "web");
        refused!(
            orders::approve(&world.app, &world.caller, &id).await,
            Error::OrderDecided { .. }
        );
        refused!(
            orders::reject(&world.app, &world.caller, &id).await,
            Error::OrderDecided { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn the_rules_are_checked_again_when_an_order_is_approved() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let new = NewVault {
            resources: vec![protect_server(&web.server.id)],
            ..prepaid(false)
        };
        let waiting = order(&world, new).await.unwrap().order;
        world.server_vault("faster", &[&web]).await;
        let late = orders::approve(&world.app, &world.caller, &waiting.id).await;
        refused!(late, Error::ResourceInOtherVault { .. });
        let rejected = orders::reject(&world.app, &world.caller, &waiting.id).await;
        assert_eq!(rejected.unwrap().order.status, OrderStatus::Rejected);
        let found = world.get_vault(&waiting.vault_id).await;
        refused!(found, Error::VaultNotFound { .. });
        let unknown = OrderId::random(&*world.app.ids);
        let rejected = orders::reject(&world.app, &world.caller, &unknown).await;
        refused!(rejected, Error::OrderNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn an_order_that_cannot_be_fulfilled_is_refused() {
    on_each_database(|world| async move {
        let unknown = strongroom_types::ServerId::random(&*world.app.ids);
        let new = NewVault {
            resources: vec![protect_server(&unknown)],
            ..prepaid(false)
        };
        refused!(order(&world, new).await, Error::ResourceNotFound { .. });
        for period_num in [0, 10] {
            let charging = Charging::PrePaid {
                period_type: PeriodType::Year,
                period_num,
                auto_pay: true,
            };
            refused!(
                order(
                    &world,
                    NewVault {
                        charging,
                        ..prepaid(true)
                    }
                )
                .await,
                Error::Invalid { .. }
            );
        }
        let new = NewVault {
            auto_expand: true,
            ..prepaid(true)
        };
        refused!(order(&world, new).await, Error::Invalid { .. });
        let page = World::everything();
        let (_, total) = orders::list(&world.app, &world.caller, None, None, &page)
            .await
            .unwrap();
        assert_eq!(total, 0);
    })
    .await;
}

#[tokio::test]
async fn demand_billing_allows_use_beyond_the_size() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let resources = vec![protect_server(&web.server.id)];
        let new = NewVault {
            resources,
            demand_billing: true,
            ..prepaid(true)
        };
        let id = order(&world, new).await.unwrap().order.vault_id;
        let mut tx = world.app.db.begin().await.unwrap();
        let mut row = tx.lock_vault(&id).await.unwrap().unwrap();
        row.used_bytes = u64::MAX >> 2;
        tx.update_vault(&row).await.unwrap();
        tx.commit().await.unwrap();
        world.back_up(World::new_checkpoint(&id)).await.unwrap();
        assert_eq!(world.get_vault(&id).await.unwrap().vault.size_gb, 200);
    })
    .await;
}
