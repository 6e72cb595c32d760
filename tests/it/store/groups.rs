//! Who is in a group: each transition raced.

use grantor::store::Stored;
use grantor::types::{Clock as _, Group, GroupName};

use super::transitions::{raced, within};
use crate::each_database;
use crate::support::TestApp;

each_database!(
    a_group_is_made_once_and_of_two_changes_the_second_is_told,
    somebody_joins_once_and_leaves_once,
    nobody_joins_a_group_that_is_being_removed,
    who_is_deleted_leaves_no_trace_in_groups,
);

fn staff() -> GroupName {
    "staff".parse().expect("a name")
}

fn group(app: &TestApp) -> Group {
    let now = app.clock.now();
    Group { name: staff(), description: None, roles: vec!["reader".to_owned()], created_at: now, updated_at: now }
}

fn made(outcomes: &[Stored]) -> usize {
    outcomes.iter().filter(|outcome| **outcome == Stored::Stored).count()
}

async fn a_group_is_made_once_and_of_two_changes_the_second_is_told(app: TestApp) {
    let new = group(&app);
    let outcomes = raced(&app, async |store| within(store, async |tx| tx.insert_group(&new).await).await).await;
    assert_eq!(made(&outcomes), 1);
    let read = app.store.group(&staff()).await.unwrap().expect("it is there");
    assert_eq!(read, new);
    app.advance(1);
    let changed = Group { description: Some("Everybody".to_owned()), roles: Vec::new(), ..read };
    let now = app.clock.now();
    let outcomes =
        raced(&app, async |store| within(store, async |tx| tx.update_group(&changed, now).await).await).await;
    assert_eq!(made(&outcomes), 1);
    assert_eq!(app.store.groups().await.unwrap(), [Group { updated_at: now, ..changed }]);
}

async fn somebody_joins_once_and_leaves_once(app: TestApp) {
    let (ada, now) = (app.user("ada").await, app.clock.now());
    let join =
        async |store: &grantor::store::Store| within(store, async |tx| tx.join_group(&staff(), ada, now).await).await;
    assert_eq!(made(&raced(&app, join).await), 0, "there is no such group");
    within(&app.store, async |tx| tx.insert_group(&group(&app)).await).await;
    assert_eq!(made(&raced(&app, join).await), 1);
    let user = app.store.user(ada).await.unwrap().expect("she is there");
    assert_eq!(
        (user.memberships.groups, user.memberships.roles),
        (vec!["staff".to_owned()], vec!["reader".to_owned()])
    );
    assert_eq!(app.store.members(&staff()).await.unwrap(), ["ada"]);
    let outcomes =
        raced(&app, async |store| within(store, async |tx| tx.leave_group(&staff(), ada, now).await).await).await;
    assert_eq!(made(&outcomes), 1);
    assert_eq!(app.count("memberships").await, 0);
}

async fn nobody_joins_a_group_that_is_being_removed(app: TestApp) {
    let now = app.clock.now();
    for round in 0..8 {
        let user = app.user(&format!("user{round}")).await;
        within(&app.store, async |tx| tx.insert_group(&group(&app)).await).await;
        let other = app.other_store().await;
        let join = within(&other, async |tx| tx.join_group(&staff(), user, now).await);
        let delete = within(&app.store, async |tx| tx.delete_group(&staff(), now).await);
        let (joined, gone) = tokio::join!(join, delete);
        let expected = if joined == Stored::Stored { vec![user] } else { Vec::new() };
        assert_eq!(gone, Some(expected));
        assert_eq!(app.count("memberships").await, 0);
        other.close().await;
    }
}

async fn who_is_deleted_leaves_no_trace_in_groups(app: TestApp) {
    let (ada, now) = (app.user("ada").await, app.clock.now());
    within(&app.store, async |tx| tx.insert_group(&group(&app)).await).await;
    within(&app.store, async |tx| tx.join_group(&staff(), ada, now).await).await;
    within(&app.store, async |tx| tx.delete_user(ada, now).await).await;
    assert_eq!(app.count("memberships").await, 0);
    assert_eq!(within(&app.store, async |tx| tx.join_group(&staff(), ada, now).await).await, Stored::Conflict);
}
