use axum::{body::Body, http::Request};
use openidconnect::HttpRequest;
use tower::ServiceExt;

use super::*;
use crate::demo::exchange::{Answer, REDACTED};

fn demo() -> Demo {
    Demo {
        issuer: "http://127.0.0.1:9".to_owned(),
        app_url: "http://localhost:8081".to_owned(),
        client_id: "notes".to_owned(),
        client_secret: "s3cret-of-notes".to_owned().into(),
        api_client_id: "notes-api".to_owned(),
        api_client_secret: "s3cret-of-the-api".to_owned().into(),
        username: "ada".to_owned(),
    }
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn cookie(response: &Response) -> String {
    let set = response.headers()[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_page_sets_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let response = router(demo()).oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("grantor_demo=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("form-action 'self' http://127.0.0.1:9") && !policy.contains("unsafe"), "{policy}");
    let page = text(response).await;
    assert!(page.contains("Sign in with Grantor") && page.contains("ada"));
    assert!(!page.contains("<script") && !page.contains(" style="));
}

#[tokio::test]
async fn a_form_without_this_sessions_secret_does_nothing() {
    let app = router(demo());
    let first = app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let cookie = cookie(&first);
    let foreign = text(app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap()).await;
    let foreign = foreign.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    for path in ["/sign-in", "/call-api", "/userinfo", "/refresh", "/revoke", "/sign-out"] {
        for body in [String::new(), "csrf=".to_owned(), format!("csrf={foreign}"), "csrf=a&csrf=b".to_owned()] {
            let request = Request::post(path).header("cookie", &cookie).body(Body::from(body.clone())).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path} {body:?}");
        }
        let bare = Request::post(path).body(Body::from(format!("csrf={foreign}"))).unwrap();
        assert_eq!(app.clone().oneshot(bare).await.unwrap().status(), StatusCode::FORBIDDEN, "{path} without a cookie");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_ignored_and_told() {
    let app = router(demo());
    let cookie = cookie(&app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
    let with = |path: &str| Request::get(path).header("cookie", &cookie).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(with("/callback?code=stolen&state=guessed")).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );
    let page = text(app.clone().oneshot(with("/")).await.unwrap()).await;
    assert!(page.contains("That answer did not belong to a sign-in from here"), "{page}");
    assert!(!text(app.oneshot(with("/")).await.unwrap()).await.contains("did not belong"), "told once");
}

#[tokio::test]
async fn the_browser_is_brought_to_the_name_that_the_callback_comes_back_to() {
    let request = Request::get("/").header("host", "127.0.0.1:8081").body(Body::empty()).unwrap();
    let response = router(demo()).oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::LOCATION], "http://localhost:8081/");
    let request = Request::get("/").header("host", "localhost:8081").body(Body::empty()).unwrap();
    assert_eq!(router(demo()).oneshot(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_api_asks_for_a_token_and_says_when_it_cannot_check_one() {
    let app = router(demo());
    for authorization in [None, Some("Basic bm90ZXM6eA=="), Some("Bearer "), Some("Bearer")] {
        let mut request = Request::get("/api/notes");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
    let request = Request::get("/api/notes").header("authorization", "bearer x").body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn neither_client_secret_is_ever_written_down() {
    let redactor = Redactor::new(&demo());
    // bm90ZXM6czNjcmV0LW9mLW5vdGVz is notes:s3cret-of-notes.
    let request: HttpRequest = Request::post("http://as.example/oauth/token?echo=s3cret-of-the-api")
        .header("authorization", "Basic bm90ZXM6czNjcmV0LW9mLW5vdGVz")
        .header("cookie", "session=1")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(b"client_secret=another&code_verifier=v&state=s3cret-of-notes".to_vec())
        .unwrap();
    let sent = redactor.request(&request);
    let headers = [
        ("Authorization".to_owned(), format!("Basic base64(notes:{REDACTED})")),
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    assert_eq!(sent.headers, headers);
    assert_eq!(sent.url, "http://as.example/oauth/token");
    assert_eq!(sent.query[0].value, REDACTED);
    let form: Vec<_> = sent.form.iter().map(|param| (param.name.as_str(), param.value.as_str())).collect();
    assert_eq!(form, [("client_secret", REDACTED), ("code_verifier", "v"), ("state", REDACTED)]);

    let body = br#"{"deep":[{"echo":"it is s3cret-of-notes"}],"access_token":"short"}"#;
    let Answer::Came { body: exchange::Body::Json(pieces), .. } =
        redactor.answer(StatusCode::OK, &HeaderMap::new(), body)
    else {
        panic!("JSON is shown as JSON")
    };
    let text: String = pieces.into_iter().map(|piece| piece.text).collect();
    assert!(text.contains("it is [redacted]") && text.contains("short") && !text.contains("s3cret"), "{text}");
}

#[test]
fn long_tokens_are_shown_by_their_ends() {
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{}.{}", "a".repeat(80), "b".repeat(40));
    assert_eq!(exchange::shorten(&token), "eyJhbGciOiJFUzI1NiJ9…bbbbbbbb");
    assert_eq!(exchange::shorten("eyJ.short.one"), "eyJ.short.one");
    let prose = "No token. ".repeat(20);
    assert_eq!(exchange::shorten(&prose), prose);
}
