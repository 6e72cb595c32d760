//! What is left in memory when the work is done, as Linux tells it.
#![cfg(target_os = "linux")]

use tokio::task::JoinSet;

use crate::support::Person;
use crate::support::app::{Folder, eventually};
use crate::support::process::Process;

/// A hash takes 19 MiB, and whoever is not signed in can ask for one: not a thread may keep that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_leave_no_memory_behind() {
    let folder = Folder::new();
    let (process, url) = Process::serve(&folder, &[], &[("GRANTOR__THROTTLE__ENABLED", "false")]).await;
    let attempt = async |url: String| {
        let person = Person::new(&url);
        let page = person.get("/sign-in").await;
        person.sign_in(&page, "nobody", "whatever it is").await
    };
    // The first one fills what is meant to stay.
    assert_eq!(attempt(url.clone()).await.status, 422);

    let before = process.resident_kib();
    let mut attempts = JoinSet::new();
    for _ in 0..24 {
        attempts.spawn(attempt(url.clone()));
    }
    while let Some(page) = attempts.join_next().await {
        assert_eq!(page.unwrap().status, 422);
    }
    eventually("the memory is given back", || async { process.resident_kib() < before + 15 * 1024 }).await;
    process.terminate();
    assert_eq!(process.ended().await.0, 0);
}
