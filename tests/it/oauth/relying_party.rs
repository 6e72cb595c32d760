//! A real relying party: the `openidconnect` crate, unmodified, from discovery to revocation.

use std::future::Future;
use std::pin::Pin;

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientRegistrationRequest, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::registration::EmptyAdditionalClientMetadata;
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, RevocationUrl, Scope, TokenResponse,
};

use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::party::{REDIRECT_URI, SECRET};
use crate::support::{Page, Person, TestApp};

each_database!(
    an_unmodified_relying_party_finds_everything_as_it_expects,
    a_public_relying_party_needs_no_secret,
    a_relying_party_registers_itself
);

type Fetched = Pin<Box<dyn Future<Output = Result<HttpResponse, reqwest::Error>> + Send>>;

/// The HTTP client that the crate is given. The crate revokes over https alone, so what it sends there goes
/// to our http, as by a proxy that ends TLS.
fn fetcher(http: &reqwest::Client) -> impl Fn(HttpRequest) -> Fetched + use<> {
    let http = http.clone();
    move |request| {
        let http = http.clone();
        Box::pin(async move {
            let mut request: reqwest::Request = request.try_into()?;
            request.url_mut().set_scheme("http").expect("https becomes http");
            let response = http.execute(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
            (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
            Ok(answer)
        })
    }
}

async fn signs_in_and_allows(person: &Person, url: &str) -> Page {
    let page = person.get(url).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    person.decide(&page, "allow").await
}

async fn an_unmodified_relying_party_finds_everything_as_it_expects(app: TestApp) {
    let ada = app.user("ada").await;
    app.client("web").create().await;
    let http = fetcher(&app.http);

    let issuer = IssuerUrl::new(app.issuer().to_owned()).expect("a URL");
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.expect("discovery");
    let revocation = format!("{}/oauth/revoke", app.issuer().replacen("http:", "https:", 1));
    let secret = Some(ClientSecret::new(SECRET.to_owned()));
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new("web".to_owned()), secret)
        .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).expect("a URL"))
        .set_revocation_url(RevocationUrl::new(revocation).expect("a URL"));

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["profile", "email", "offline_access"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let page = signs_in_and_allows(&app.person(), url.as_str()).await;
    assert_eq!(page.param("state").as_deref(), Some(state.secret().as_str()));
    assert_eq!(page.param("iss").as_deref(), Some(app.issuer()));

    let code = AuthorizationCode::new(page.code());
    let exchange = client.exchange_code(code).expect("a token endpoint").set_pkce_verifier(verifier);
    let tokens = exchange.request_async(&http).await.expect("tokens");

    // OpenID Connect Core §3.1.3.7, §3.1.3.8
    let id_token = tokens.id_token().expect("an ID token");
    let id_verifier = client.id_token_verifier();
    id_token.claims(&id_verifier, &Nonce::new("another".to_owned())).expect_err("the nonce is checked");
    let claims = id_token.claims(&id_verifier, &nonce).expect("it verifies");
    assert_eq!(claims.subject().as_str(), ada.to_string());
    let algorithm = id_token.signing_alg().expect("an algorithm");
    let key = id_token.signing_key(&id_verifier).expect("a key");
    let at_hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key).expect("a hash");
    assert_eq!(claims.access_token_hash(), Some(&at_hash));

    let userinfo = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone()));
    let userinfo: CoreUserInfoClaims =
        userinfo.expect("a UserInfo endpoint").request_async(&http).await.expect("claims");
    assert_eq!(userinfo.email().map(|email| email.as_str()), Some("ada@example.org"));
    assert_eq!(userinfo.preferred_username().map(|name| name.as_str()), Some("ada"));

    let refresh_token = tokens.refresh_token().expect("a refresh token");
    let refresh = client.exchange_refresh_token(refresh_token).expect("a token endpoint");
    let second = refresh.request_async(&http).await.expect("tokens");
    let next = second.refresh_token().expect("a refresh token").clone();
    assert_ne!(next.secret(), refresh_token.secret());
    // §12.2: no nonce any more, and nothing else to complain of.
    let refreshed = second.id_token().expect("an ID token");
    let any_nonce = |found: Option<&Nonce>| found.is_none().then_some(()).ok_or_else(|| "a nonce".to_owned());
    assert_eq!(refreshed.claims(&id_verifier, any_nonce).expect("it verifies").subject(), claims.subject());

    let revoke = client.revoke_token(next.clone().into()).expect("a revocation endpoint");
    revoke.request_async(&http).await.expect("it is revoked");
    let refresh = client.exchange_refresh_token(&next).expect("a token endpoint");
    refresh.request_async(&http).await.expect_err("the grant has ended");
    let userinfo = client.user_info(second.access_token().clone(), None).expect("a UserInfo endpoint");
    let told: Result<CoreUserInfoClaims, _> = userinfo.request_async(&http).await;
    told.expect_err("its access token too");
}

async fn a_public_relying_party_needs_no_secret(app: TestApp) {
    app.user("ada").await;
    app.client("spa").public().create().await;
    let http = fetcher(&app.http);

    let issuer = IssuerUrl::new(app.issuer().to_owned()).expect("a URL");
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.expect("discovery");
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new("spa".to_owned()), None)
        .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).expect("a URL"));

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, _, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .set_pkce_challenge(challenge)
        .url();
    let code = signs_in_and_allows(&app.person(), url.as_str()).await.code();
    let exchange = client.exchange_code(AuthorizationCode::new(code.clone())).expect("a token endpoint");
    exchange.request_async(&http).await.expect_err("RFC 7636: not without the verifier");
    let exchange = client.exchange_code(AuthorizationCode::new(code)).expect("a token endpoint");
    let tokens = exchange.set_pkce_verifier(verifier).request_async(&http).await.expect("tokens");
    let id_token = tokens.id_token().expect("an ID token");
    id_token.claims(&client.id_token_verifier(), &nonce).expect("it verifies");
    assert!(tokens.refresh_token().is_none(), "offline_access was not asked");
}

async fn a_relying_party_registers_itself(app: TestApp) {
    let app = app.another(super::registration::OPEN).await;
    app.user("ada").await;
    let http = fetcher(&app.http);
    let issuer = IssuerUrl::new(app.issuer().to_owned()).expect("a URL");
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.expect("discovery");

    let redirect = RedirectUrl::new(REDIRECT_URI.to_owned()).expect("a URL");
    let request = CoreClientRegistrationRequest::new(vec![redirect.clone()], EmptyAdditionalClientMetadata {});
    let endpoint = metadata.registration_endpoint().expect("registration is open").clone();
    let registered = request.register_async(&endpoint, &http).await.expect("a registration");
    assert_eq!(*registered.redirect_uris(), vec![redirect.clone()]);
    assert!(registered.registration_access_token().is_some() && registered.registration_client_uri().is_some());

    let (id, secret) = (registered.client_id().clone(), registered.client_secret().cloned());
    let client = CoreClient::from_provider_metadata(metadata, id, secret).set_redirect_uri(redirect);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, _, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .set_pkce_challenge(challenge)
        .url();
    let code = signs_in_and_allows(&app.person(), url.as_str()).await.code();
    let exchange = client.exchange_code(AuthorizationCode::new(code)).expect("a token endpoint");
    let tokens = exchange.set_pkce_verifier(verifier).request_async(&http).await.expect("tokens");
    tokens.id_token().expect("an ID token").claims(&client.id_token_verifier(), &nonce).expect("it verifies");
}
