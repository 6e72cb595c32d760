//! Stylesheet, icon and script.

use crate::each_database;
use crate::support::{Answer, TestApp};

each_database!(a_file_that_the_browser_has_is_not_sent_again);

async fn a_file_that_the_browser_has_is_not_sent_again(app: TestApp) {
    let fetch = async |path: &str, known: &str| {
        let request = app.http.get(format!("{}{path}", app.url)).header("if-none-match", known);
        Answer::of(request.send().await.unwrap()).await
    };
    for (path, media_type) in [
        ("/static/app.css", "text/css"),
        ("/static/icon.svg", "image/svg+xml"),
        ("/static/form-post.js", "text/javascript"),
    ] {
        let first = app.get(path).await.expect_status(200);
        assert_eq!(first.header("content-type"), Some(media_type));
        let etag = first.header("etag").unwrap();
        // RFC 9110 §13.1.2
        for known in [etag, "*", &format!("W/{etag}"), &format!("\"other\", {etag}")] {
            let again = fetch(path, known).await.expect_status(304);
            assert_eq!((again.body.as_str(), again.header("etag")), ("", Some(etag)), "{known}");
            assert_eq!(again.header("cache-control"), first.header("cache-control"));
        }
        for known in ["\"other\"", "", etag.trim_matches('"'), &format!("{etag}x")] {
            assert_eq!(fetch(path, known).await.expect_status(200).body, first.body, "{known}");
        }
    }
    assert_ne!(app.get("/static/app.css").await.header("etag"), app.get("/static/icon.svg").await.header("etag"));
    fetch("/static/nothing.css", "*").await.expect_status(404);
}
