//! `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantor::crypto::SigningKey;
use grantor::types::{Algorithm, AuthMethod, ClientMetadata};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::each_engine;
use crate::support::app::Folder;
use crate::support::party::{SECRET, basic, decode};
use crate::support::website::{certificate, openssl};
use crate::support::{Answer, Engine, TestApp};

each_engine!(
    a_certificate_of_an_authority_is_that_of_the_client_it_names,
    a_self_signed_certificate_is_known_by_its_key,
    a_header_is_believed_when_a_proxy_sends_it,
    a_token_is_bound_to_the_certificate_of_its_connection,
);

const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";

/// A server's certificate, an authority, two certificates that it gave out, and some that nobody vouches for.
pub fn certificates() -> Folder {
    let folder = Folder::new();
    certificate(&folder);
    let make = |name: &str, rest: &str| {
        openssl(&folder, &format!("req -x509 -nodes -days 1 -keyout {name}.key -out {name}.crt {rest}"));
    };
    let authority = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign";
    make("ca", &format!("{EC} -subj /CN=Authority {authority}"));
    make("other-ca", &format!("{EC} -subj /CN=Authority {authority}"));
    let leaf = "-addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth";
    let names = "subjectAltName=DNS:web.example,URI:https://web.example/id,IP:192.0.2.7,email:web@app.example";
    let subject = "-subj /C=NL/O=Example,Inc/CN=web";
    make("web", &format!("{EC} {subject} {leaf} -addext {names} -CA ca.crt -CAkey ca.key"));
    make("forged", &format!("{EC} {subject} {leaf} -addext {names} -CA other-ca.crt -CAkey other-ca.key"));
    make("self", &format!("{EC} {subject} {leaf} -addext {names}"));
    make("rsa", &format!("-newkey rsa:2048 {subject} {leaf}"));
    folder
}

/// A server that speaks https and asks for certificates.
pub async fn secure(engine: Engine, folder: &Folder) -> TestApp {
    let path = |name: &str| folder.path(name).display().to_string();
    let toml = format!(
        "[tls]\ncert = {:?}\nkey = {:?}\nclient_certificates = \"optional\"\nclient_ca = {:?}",
        path("tls.crt"),
        path("tls.key"),
        path("ca.crt")
    );
    let mut app = TestApp::with(engine, &toml).await;
    app.url = app.url.replace("http:", "https:");
    app
}

/// A program that shows this certificate, or none.
pub fn showing(folder: &Folder, name: Option<&str>) -> reqwest::Client {
    let read = |file: String| std::fs::read(folder.path(&file)).unwrap();
    let root = reqwest::Certificate::from_pem(&read("tls.crt".into())).unwrap();
    let mut client = reqwest::Client::builder().tls_certs_only([root]).redirect(reqwest::redirect::Policy::none());
    if let Some(name) = name {
        let both = [read(format!("{name}.crt")), read(format!("{name}.key"))].concat();
        client = client.identity(reqwest::Identity::from_pem(&both).unwrap());
    }
    client.build().unwrap()
}

async fn token(app: &TestApp, http: &reqwest::Client, id: &str) -> Answer {
    let fields = [("grant_type", "client_credentials"), ("client_id", id)];
    Answer::of(http.post(format!("{}/oauth/token", app.url)).form(&fields).send().await.unwrap()).await
}

pub async fn register(app: &TestApp, id: &str, method: AuthMethod, change: impl FnOnce(&mut ClientMetadata)) {
    let builder = app.client(id).with(|client| {
        client.token_endpoint_auth_method = method;
        change(client);
    });
    builder.create().await;
}

/// The key of a certificate, as its client registers it.
fn jwks(folder: &Folder, name: &str, algorithm: Algorithm) -> Value {
    let key = PrivateKeyDer::from_pem_file(folder.path(&format!("{name}.key"))).unwrap();
    let key = SigningKey::parse("k1".into(), algorithm, key.secret_der()).unwrap();
    json!({"keys": [key.public_jwk()]})
}

async fn a_certificate_of_an_authority_is_that_of_the_client_it_names(engine: Engine) {
    let folder = certificates();
    let app = secure(engine, &folder).await;
    let web = showing(&folder, Some("web"));
    for (right, name, value) in [
        // RFC 8705 §2.1.2
        (true, "tls_client_auth_subject_dn", "CN=web,O=Example\\,Inc,C=NL"),
        (true, "tls_client_auth_san_dns", "web.example"),
        (true, "tls_client_auth_san_dns", "WEB.example"),
        (true, "tls_client_auth_san_uri", "https://web.example/id"),
        (true, "tls_client_auth_san_ip", "192.0.2.7"),
        (true, "tls_client_auth_san_email", "web@app.example"),
        (false, "tls_client_auth_subject_dn", "CN=web"),
        (false, "tls_client_auth_subject_dn", "C=NL,O=Example\\,Inc,CN=web"),
        (false, "tls_client_auth_subject_dn", "CN=web,O=Example,O=Inc,C=NL"),
        (false, "tls_client_auth_subject_dn", "CN=Web,O=Example\\,Inc,C=NL"),
        (false, "tls_client_auth_subject_dn", "O=web,O=Example\\,Inc,C=NL"),
        (false, "tls_client_auth_san_dns", "example"),
        (false, "tls_client_auth_san_dns", "*.example"),
        (false, "tls_client_auth_san_uri", "https://web.example/"),
        (false, "tls_client_auth_san_ip", "192.0.2.8"),
        (false, "tls_client_auth_san_ip", "::1"),
        (false, "tls_client_auth_san_email", "web.example"),
    ] {
        let id = format!("{name}={value}");
        register(&app, &id, AuthMethod::TlsClientAuth, |client| client.set(name, json!(value)).unwrap()).await;
        let answer = token(&app, &web, &id).await;
        assert_eq!(answer.status.as_u16(), if right { 200 } else { 401 }, "{id}: {}", answer.body);
    }

    let dns = |client: &mut ClientMetadata| client.tls_client_auth_san_dns = Some("web.example".into());
    register(&app, "web", AuthMethod::TlsClientAuth, dns).await;
    token(&app, &web, "web").await.expect_tokens();
    // Another authority of the same name, none at all, no certificate.
    for other in [Some("forged"), Some("self"), None] {
        let answer = token(&app, &showing(&folder, other), "web").await;
        answer.expect_error("invalid_client").expect_status(401);
    }
    // A certificate is no secret, and a secret beside it is one method too many.
    let fields = [("grant_type", "client_credentials"), ("client_id", "web"), ("client_secret", SECRET)];
    let both = web.post(format!("{}/oauth/token", app.url)).form(&fields).send().await.unwrap();
    Answer::of(both).await.expect_error("invalid_client");
    app.client("basic").create().await;
    token(&app, &web, "basic").await.expect_error("invalid_client");

    let document: Value =
        web.get(format!("{}/.well-known/openid-configuration", app.url)).send().await.unwrap().json().await.unwrap();
    let methods = document["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("tls_client_auth")) && methods.contains(&json!("self_signed_tls_client_auth")));
    // It has expired.
    app.advance(2 * 86_400);
    token(&app, &web, "web").await.expect_error("invalid_client").expect_status(401);
}

async fn a_self_signed_certificate_is_known_by_its_key(engine: Engine) {
    let folder = certificates();
    let app = secure(engine, &folder).await;
    for (name, algorithm) in [("self", Algorithm::Es256), ("rsa", Algorithm::Rs256)] {
        let keys = jwks(&folder, name, algorithm);
        register(&app, name, AuthMethod::SelfSignedTlsClientAuth, |client| client.jwks = Some(keys)).await;
        token(&app, &showing(&folder, Some(name)), name).await.expect_tokens();
        // Whoever vouches for others, it is the key that counts.
        for other in [Some("web"), Some("forged"), None] {
            let answer = token(&app, &showing(&folder, other), name).await;
            answer.expect_error("invalid_client").expect_status(401);
        }
    }
    token(&app, &showing(&folder, Some("self")), "rsa").await.expect_error("invalid_client");
    // A key that is for something else.
    let mut keys = jwks(&folder, "self", Algorithm::Es256);
    keys["keys"][0]["use"] = json!("enc");
    register(&app, "enc", AuthMethod::SelfSignedTlsClientAuth, |client| client.jwks = Some(keys)).await;
    token(&app, &showing(&folder, Some("self")), "enc").await.expect_error("invalid_client");
}

async fn a_header_is_believed_when_a_proxy_sends_it(engine: Engine) {
    let folder = certificates();
    let ca = folder.path("ca.crt").display().to_string();
    let pem = std::fs::read_to_string(folder.path("web.crt")).unwrap();
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    // RFC 9440 §2.1, and `$ssl_client_escaped_cert` of nginx.
    let rfc = format!(":{}:", STANDARD.encode(&der));
    let rfc = rfc.as_str();
    let nginx: String = pem.replace('\n', "%0A").replace(' ', "%20").replace('/', "%2F").replace('+', "%2B");
    let half_escaped: String = pem.replace('\n', "%0A");
    let post = async |app: &TestApp, headers: &[(&str, &str)]| {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let headers = [headers, &[form]].concat();
        app.post_raw("/oauth/token", &headers, "grant_type=client_credentials&client_id=web").await
    };
    for (proxy, believed) in [("127.0.0.1", true), ("10.0.0.0/8", false)] {
        let toml = format!(
            "[server]\ntrusted_proxies = [{proxy:?}]\nclient_certificate_header = \"Client-Cert\"\n[tls]\nclient_ca = {ca:?}"
        );
        let app = TestApp::with(engine, &toml).await;
        let dns = |client: &mut ClientMetadata| client.tls_client_auth_san_dns = Some("web.example".into());
        register(&app, "web", AuthMethod::TlsClientAuth, dns).await;
        for value in [rfc, &nginx, &half_escaped] {
            let answer = post(&app, &[("client-cert", value)]).await;
            assert_eq!(answer.status.as_u16(), if believed { 200 } else { 401 }, "{value}: {}", answer.body);
        }
        for headers in [
            &[][..],
            &[("client-cert", "")],
            &[("client-cert", ":")],
            &[("client-cert", "::")],
            &[("client-cert", ":AAAA:")],
            &[("client-cert", "-----BEGIN CERTIFICATE-----")],
            &[("client-cert", rfc), ("client-cert", rfc)],
            &[("x-client-cert", rfc)],
        ] {
            post(&app, headers).await.expect_error("invalid_client").expect_status(401);
        }
    }
}

async fn a_token_is_bound_to_the_certificate_of_its_connection(engine: Engine) {
    let folder = certificates();
    let app = secure(engine, &folder).await;
    let bound = |client: &mut ClientMetadata| client.tls_client_certificate_bound_access_tokens = true;
    register(&app, "web", AuthMethod::TlsClientAuth, |client| {
        client.tls_client_auth_san_dns = Some("web.example".into());
        bound(client);
    })
    .await;
    // RFC 8705 §4: whoever cannot authenticate may be told from others all the same.
    app.client("app").with(bound).create().await;
    app.resource_server().await;
    let [web, other, none] = ["web", "self", ""].map(|name| showing(&folder, (!name.is_empty()).then_some(name)));
    let token = token(&app, &web, "web").await.expect_tokens();
    let thumbprint = {
        let der = CertificateDer::from_pem_file(folder.path("web.crt")).unwrap();
        grantor::crypto::sha256_base64url(&der)
    };
    // RFC 8705 §3.1, §3.2
    assert_eq!(decode(token.access_token()).1["cnf"], json!({ "x5t#S256": thumbprint }));
    assert_eq!(token.0["token_type"], "Bearer");
    let post = async |http: &reqwest::Client, path: &str, id: &str, fields: &[(&str, &str)]| {
        let request = http.post(format!("{}{path}", app.url)).header("authorization", basic(id, SECRET));
        Answer::of(request.form(fields).send().await.unwrap()).await
    };
    let seen = post(&none, "/oauth/introspect", "api", &[("token", token.access_token())]).await;
    assert_eq!(seen.json()["cnf"], json!({ "x5t#S256": thumbprint }));

    // RFC 8705 §3: "MUST reject"; with the right one the scope is looked at.
    let userinfo = async |http: &reqwest::Client| {
        let request = http.get(format!("{}/oauth/userinfo", app.url)).bearer_auth(token.access_token());
        Answer::of(request.send().await.unwrap()).await
    };
    userinfo(&web).await.expect_status(403);
    for http in [&other, &none] {
        let refused = userinfo(http).await.expect_status(401);
        assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
    }

    // Whoever is registered so gets no other tokens.
    let fields = [("grant_type", "client_credentials")];
    post(&none, "/oauth/token", "app", &fields).await.expect_error("invalid_request");
    post(&other, "/oauth/token", "app", &fields).await.expect_tokens();
}
