//! `docs/how-to/conformance.md`, done as it says: its certificates, its configuration, its commands, and then what the
//! test bed sends.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use grantor::crypto::{SigningKey, SystemRandom, random};
use grantor::types::user::CLAIMS_OF_SCOPE;
use grantor::types::{Algorithm, Clock as _, SystemClock};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::support::app::{Folder, PASSWORD, eventually};
use crate::support::behind::signed;
use crate::support::party::{basic, encode};
use crate::support::process::{Process, free_port};
use crate::support::{Answer, Page, Person, Pkce};

const PAGE: &str = include_str!("../../../docs/how-to/conformance.md");
const SERVE: &str = "grantor --config grantor.toml serve\n";
const SCOPE: &str = "openid profile email address phone";

/// The blocks of the page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).map(str::to_owned).collect()
}

/// The server of the page, and what its commands printed.
struct Bed {
    _process: Process,
    folder: Folder,
    url: String,
    /// Where the page says that the test bed is reached.
    base: String,
    printed: String,
    /// That of the page's folder, in which `folder` is.
    _outer: Folder,
}

fn run(folder: &Path, script: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_grantor"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let shell =
        Command::new("sh").args(["-e", "-c", script]).env_clear().env("PATH", path).current_dir(folder).output();
    let done = shell.unwrap();
    assert!(done.status.success(), "{script}\n{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

impl Bed {
    async fn make() -> Self {
        let port = free_port();
        let page = PAGE.replace("8443", &port.to_string());
        let commands = blocks(&page, "sh");
        let serve = commands.iter().position(|block| block.ends_with(SERVE)).expect("the page starts the server");
        let outer = Folder::new();
        run(&outer.0, &commands[..serve].concat());
        let folder = Folder(outer.path("bed"));
        std::fs::write(folder.path("grantor.toml"), &blocks(&page, "toml")[0]).unwrap();
        run(&folder.0, commands[serve].strip_suffix(SERVE).unwrap());
        let process = Process::start(&folder, &["--config", "grantor.toml", "serve"], &[]);
        process.says("ready").await;
        let (tls, clients): (Vec<_>, Vec<_>) =
            commands[serve + 1..].iter().partition(|block| block.starts_with("openssl s_client"));
        for line in tls.iter().flat_map(|block| block.lines()) {
            let done = Command::new("sh").args(["-c", line]).output().unwrap();
            assert_eq!(done.status.success(), !line.ends_with("# refused"), "{line}");
        }
        let clients: String = clients.into_iter().map(String::as_str).collect();
        let printed = run(&folder.0, &clients);
        let base = clients.lines().find_map(|line| line.strip_prefix("BASE=")).expect("the page says where");
        let (url, base) = (format!("https://localhost:{port}"), base.to_owned());
        Self { _process: process, folder, url, base, printed, _outer: outer }
    }

    /// Whoever trusts the bed's authority, and shows this certificate.
    fn http(&self, name: Option<&str>) -> reqwest::Client {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let read = |file: String| std::fs::read(self.folder.path(&file)).unwrap();
        let root = reqwest::Certificate::from_pem(&read("ca.crt".into())).unwrap();
        let mut client = reqwest::Client::builder().tls_certs_only([root]).redirect(reqwest::redirect::Policy::none());
        if let Some(name) = name {
            let both = [read(format!("{name}.crt")), read(format!("{name}.key"))].concat();
            client = client.identity(reqwest::Identity::from_pem(&both).unwrap());
        }
        client.build().unwrap()
    }

    /// The secret that a command printed.
    fn secret(&self, id: &str) -> String {
        let mut lines = self.printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.by_ref().find(|words| *words == ["client", "id", id]).expect("the client was created");
        let secret = lines.next().filter(|words| words[..2] == ["client", "secret"]).expect("it has a secret");
        secret[2].to_owned()
    }

    /// A key of the page, and that it is the one that it hands to the plan.
    fn key(&self, name: &str) -> SigningKey {
        let der = PrivateKeyDer::from_pem_file(self.folder.path(&format!("{name}.key"))).unwrap();
        let key = SigningKey::parse(name.into(), Algorithm::Es256, der.secret_der()).unwrap();
        let set: Value =
            serde_json::from_slice(&std::fs::read(self.folder.path(&format!("{name}.jwks"))).unwrap()).unwrap();
        let told = &set["keys"][0];
        let public = key.public_jwk().expect("an asymmetric key");
        for member in ["kty", "crv", "x", "y"] {
            assert_eq!(told[member], public[member], "{member}");
        }
        assert_eq!((&told["kid"], &told["alg"]), (&json!(name), &json!("ES256")));
        let private =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, told["d"].as_str().unwrap());
        let private = private.unwrap();
        assert!(
            private.len() == 32 && der.secret_der().windows(32).any(|part| part == private),
            "d is the private half"
        );
        key
    }

    /// An authorization request as the plans for OpenID Connect send it: without PKCE.
    async fn authorize(&self, person: &Person, id: &str, scope: &str) -> Page {
        let redirect_uri = format!("{}/callback", self.base);
        let fields = [
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", &redirect_uri),
            ("scope", scope),
            ("state", "x"),
            ("nonce", "y"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        person.get(&format!("/oauth/authorize?{}", encode(&fields))).await
    }

    async fn post(&self, http: &reqwest::Client, path: &str, fields: &[(&str, &str)]) -> Answer {
        Answer::of(http.post(format!("{}{path}", self.url)).form(fields).send().await.unwrap()).await
    }
}

/// `client_id`, `client_assertion_type` and `client_assertion` of a client that signs.
fn assertion(key: &SigningKey, id: &str, audience: &str) -> [(&'static str, String); 2] {
    let now = SystemClock.now().secs();
    let jti = random::token(&SystemRandom::new(), 16);
    let claims = json!({"iss": id, "sub": id, "aud": audience, "jti": jti, "iat": now, "exp": now + 60});
    let jwt = signed(key, &json!({"alg": "ES256", "kid": key.kid()}), &claims);
    [
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
        ("client_assertion", jwt),
    ]
}

fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_sets_up_takes_what_the_test_bed_sends() {
    let bed = Bed::make().await;
    let http = bed.http(None);
    let person = Person::over(&bed.url, bed.http(None));
    let redirect_uri = format!("{}/callback", bed.base);
    // Nobody is signed in yet, so each of these requests is a good one if it leads to the sign-in page.
    for id in ["basic2", "basic3", "logout"] {
        let page = bed.authorize(&person, id, "openid").await;
        assert!(page.asks_to_sign_in(), "{id}: {page:?}");
    }
    let page = bed.authorize(&person, "basic1", SCOPE).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let code = person.decide(&page, "allow").await.code();
    let redeem = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", &redirect_uri)];
    let request = http.post(format!("{}/oauth/token", bed.url)).form(&redeem);
    let request = request.header("authorization", basic("basic1", &bed.secret("basic1")));
    let tokens = Answer::of(request.send().await.unwrap()).await.expect_tokens();
    let userinfo = http.get(format!("{}/oauth/userinfo", bed.url)).bearer_auth(tokens.access_token());
    let userinfo = Answer::of(userinfo.send().await.unwrap()).await.expect_status(200).json();
    let told: BTreeSet<&str> = userinfo.as_object().unwrap().keys().map(String::as_str).collect();
    let asked = CLAIMS_OF_SCOPE.iter().filter(|(scope, _)| SCOPE.split(' ').any(|asked| asked == *scope));
    let asked: BTreeSet<&str> = asked.flat_map(|(_, claims)| *claims).copied().chain(["sub"]).collect();
    assert_eq!(told, asked, "the user of the page has every standard claim");
    assert_eq!(userinfo["email_verified"], true);

    a_client_registers_itself(&bed, &person).await;
    clients_of_fapi_are_held_to_it(&bed).await;
    the_keys_change_when_the_page_says_so(&bed).await;
}

async fn a_client_registers_itself(bed: &Bed, person: &Person) {
    let http = bed.http(None);
    let material = SigningKey::generate(Algorithm::Es256, &SystemRandom::new()).unwrap();
    let key = SigningKey::parse("own".into(), Algorithm::Es256, &material).unwrap();
    let redirect_uri = format!("{}/callback", bed.base);
    let document = json!({
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.public_jwk()]},
    });
    let request = http.post(format!("{}/oauth/register", bed.url)).json(&document);
    let client = Answer::of(request.send().await.unwrap()).await.expect_status(201).json();
    assert_eq!(client["scope"], "address email offline_access openid phone profile");
    let id = client["client_id"].as_str().unwrap();
    let page = bed.authorize(person, id, SCOPE).await;
    let code = person.decide(&page, "allow").await.code();
    // OpenID Connect Core §9: the plan names the token endpoint as the audience.
    let proof = assertion(&key, id, &format!("{}/oauth/token", bed.url));
    let redeem = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", &*redirect_uri)];
    bed.post(&http, "/oauth/token", &[&redeem[..], &borrowed(&proof)].concat()).await.expect_tokens();

    // With the page's token it is a verified one, whose logo is shown.
    let document = json!({"redirect_uris": [redirect_uri], "logo_uri": "https://bed.example/logo.png"});
    let token = bed.printed.lines().find_map(|line| line.trim().strip_prefix("token ")).expect("a token was made");
    for token in [None, Some(token.trim())] {
        let request = http.post(format!("{}/oauth/register", bed.url)).json(&document);
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let client = Answer::of(request.send().await.unwrap()).await.expect_status(201).json();
        let page = bed.authorize(person, client["client_id"].as_str().unwrap(), "openid").await;
        assert_eq!(page.body.contains("https://bed.example/logo.png"), token.is_some(), "{page:?}");
    }
}

/// `oidcc-server-rotate-keys` looks for a key that was not there before.
async fn the_keys_change_when_the_page_says_so(bed: &Bed) {
    let command = "grantor --config grantor.toml keys rotate --now";
    assert!(PAGE.contains(&format!("`{command}`")));
    let http = bed.http(None);
    let published = async || {
        let set = Answer::of(http.get(format!("{}/oauth/jwks", bed.url)).send().await.unwrap()).await.json();
        let keys = set["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let before = published().await;
    run(&bed.folder.0, command);
    eventually("there are new keys", async || !published().await.is_subset(&before)).await;
}

async fn clients_of_fapi_are_held_to_it(bed: &Bed) {
    let (http, one) = (bed.http(None), bed.key("one.example"));
    for name in ["one", "two"] {
        let (key, number) = (bed.key(&format!("{name}.example")), if name == "one" { 1 } else { 2 });
        // A request object, as the page's last commands ask of all of them.
        let (jwt, tls) = (format!("jwt{number}"), format!("tls{number}"));
        let (now, pkce) = (SystemClock.now().secs(), Pkce::new());
        let object = |id: &str| {
            let claims = json!({
                "iss": id, "aud": bed.url, "nbf": now, "exp": now + 60, "client_id": id, "response_type": "code",
                "redirect_uri": format!("{}/callback?dummy1=lorem&dummy2=ipsum", bed.base), "scope": SCOPE,
                "code_challenge": pkce.challenge, "code_challenge_method": "S256", "state": "x", "nonce": "y",
            });
            signed(&key, &json!({"alg": "ES256", "kid": key.kid(), "typ": "oauth-authz-req+jwt"}), &claims)
        };
        let push = async |object: &str, audience: &str| {
            let proof = assertion(&key, &jwt, audience);
            bed.post(&http, "/oauth/par", &[&[("request", object)], &borrowed(&proof)[..]].concat()).await
        };
        push(&object(&jwt), &bed.url).await.expect_status(201);
        // FAPI 2.0 §5.3.2.1: whatever [client_authentication] says.
        push(&object(&jwt), &format!("{}/oauth/token", bed.url)).await.expect_error("invalid_client");

        let certificate = format!("{name}.example");
        let object = object(&tls);
        let pushed = [("client_id", tls.as_str()), ("request", &object)];
        bed.post(&bed.http(Some(&certificate)), "/oauth/par", &pushed).await.expect_status(201);
        let other = if name == "one" { "two.example" } else { "one.example" };
        bed.post(&bed.http(Some(other)), "/oauth/par", &pushed).await.expect_error("invalid_client");
    }
    // FAPI 2.0 Message Signing §5.3.1, RFC 9126: a request that is neither signed nor pushed.
    let proof = assertion(&one, "jwt1", &bed.url);
    bed.post(&http, "/oauth/par", &[&[("response_type", "code")], &borrowed(&proof)[..]].concat())
        .await
        .expect_error("invalid_request");
}
