use super::*;
use crate::types::{Algorithm, PkcePolicy, Scope};
use std::time::Duration;

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn problems(toml: &str) -> String {
    Config::parse(toml).expect_err(toml).to_string()
}

fn load(toml: &str, variables: &[(&str, &str)], flags: Overrides) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.file("grantor.toml", toml);
    layers.environment(variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    flags.read_flags(&mut layers);
    Config::read(layers)
}

fn variable(name: &str, value: &str) -> Result<Config, ConfigError> {
    load("", &[(name, value)], Overrides::default())
}

/// All that the example says by default; what it only shows stands behind `#` without a space.
fn uncommented() -> String {
    let shown = |line: &'static str| line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c != ' '));
    EXAMPLE.lines().map(|line| shown(line).unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_the_defaults() {
    let config = Config::parse(EXAMPLE).unwrap();
    // No secret is set, so what `Debug` shows is everything.
    assert_eq!(format!("{config:#?}"), format!("{:#?}", Config::default()));
    assert_eq!(format!("{:#?}", Config::parse("").unwrap()), format!("{:#?}", Config::default()));
}

#[test]
fn the_example_shows_every_key_and_each_can_be_set() {
    // `seal` takes one or the other, and so does `mail`.
    let shown = uncommented().replace("keys = \"2026", "# ").replace("password_file", "# password_file");
    Config::parse(&shown).unwrap();

    let table: toml::Table = uncommented().parse().unwrap();
    let check = |section: &str, keys: Option<&[&str]>| {
        let written = table[section].as_table().unwrap();
        for key in keys.unwrap_or_default() {
            assert!(written.contains_key(*key), "{section}.{key} is not in config.example.toml");
        }
    };
    check("server", section::keys_of::<Server>());
    check("about", section::keys_of::<About>());
    check("tls", section::keys_of::<Tls>());
    check("database", section::keys_of::<Database>());
    check("seal", section::keys_of::<Seal>());
    check("tokens", section::keys_of::<Tokens>());
    check("refresh", section::keys_of::<Refresh>());
    check("authorization", section::keys_of::<Authorization>());
    check("device", section::keys_of::<Device>());
    check("scopes", section::keys_of::<Scopes>());
    check("groups", section::keys_of::<Groups>());
    check("session", section::keys_of::<Session>());
    check("second_factor", section::keys_of::<SecondFactor>());
    check("throttle", section::keys_of::<Throttle>());
    check("password", section::keys_of::<Password>());
    check("keys", section::keys_of::<Keys>());
    check("feed", section::keys_of::<Feed>());
    check("client_authentication", section::keys_of::<ClientAuthentication>());
    check("outgoing", section::keys_of::<Outgoing>());
    check("signed_urls", section::keys_of::<SignedUrls>());
    check("brand", section::keys_of::<Brand>());
    check("account", section::keys_of::<Account>());
    check("personal_tokens", section::keys_of::<PersonalTokens>());
    check("sign_up", section::keys_of::<SignUp>());
    check("mail", section::keys_of::<Mail>());
    check("upstream", section::keys_of::<Upstream>());
    check("log", section::keys_of::<Log>());
    assert_eq!(section::keys_of::<Feed>(), Some(["poll_interval", "max_staleness"].as_slice()));
    assert_eq!(section::keys_of::<Scopes>(), None);
}

#[test]
fn later_layers_win_key_by_key() {
    let toml = "[server]\nname = \"File\"\nlisten = \"127.0.0.1:1\"\ndata_dir = \"file\"\nmax_body_bytes = 2048";
    let variables = [
        ("GRANTOR__SERVER__NAME", "Env"),
        ("GRANTOR__SERVER__LISTEN", "127.0.0.1:2"),
        ("GRANTOR_LOG", "not ours"),
        ("PATH", "/bin"),
    ];
    let flags = Overrides { listen: Some("[::1]:3".parse().unwrap()), ..Overrides::default() };
    let server = load(toml, &variables, flags).unwrap().server;
    assert_eq!(
        (server.max_body_bytes, server.data_dir.to_str(), server.name.as_str(), server.listen.to_string().as_str()),
        (2048, Some("file"), "Env", "[::1]:3"),
    );
    assert_eq!(server.issuer.as_str(), "http://localhost:3");
}

#[test]
fn every_flag_reaches_its_key() {
    let flags = Overrides {
        config_file: None,
        listen: Some("0.0.0.0:9".parse().unwrap()),
        issuer: Some("https://auth.example/".into()),
        database: Some("postgres://ada:s3cret@db/g".into()),
        data_dir: Some("/d".into()),
        tls_cert: Some("/c".into()),
        tls_key: Some("/k".into()),
    };
    let config = Config::load(&flags, std::iter::empty()).unwrap();
    assert_eq!(config.server.listen.port(), 9);
    assert_eq!(config.server.issuer.as_str(), "https://auth.example");
    assert_eq!(config.database_url().to_string(), "postgres://ada:***@db/g");
    assert_eq!(config.seal_file(), PathBuf::from("/d/seal.key"));
    assert_eq!(config.tls.files(), Some((&"/c".into(), &"/k".into())));
    assert!(!format!("{config:?}").contains("s3cret"));

    let config = Config::load(&Overrides::default(), std::iter::empty()).unwrap();
    assert_eq!(config.database_url().to_string(), "sqlite:./data/grantor.db");

    for (flags, line) in [
        (Overrides { issuer: Some("x".into()), ..Overrides::default() }, "config error in --issuer: server.issuer: "),
        (
            Overrides { database: Some("x".into()), ..Overrides::default() },
            "config error in --database: database.url: ",
        ),
        (Overrides { tls_key: Some("x".into()), ..Overrides::default() }, "config error: tls.cert: must be set when"),
        (
            Overrides { config_file: Some("no/such.toml".into()), ..Overrides::default() },
            "config error in no/such.toml: cannot be read: ",
        ),
    ] {
        let error = Config::load(&flags, std::iter::empty()).unwrap_err().to_string();
        assert!(error.starts_with(line), "{error}");
    }
}

#[test]
fn a_variable_is_read_as_its_key_needs_it() {
    assert_eq!(variable("GRANTOR__SERVER__MAX_BODY_BYTES", "2048").unwrap().server.max_body_bytes, 2048);
    assert!(variable("GRANTOR__SERVER__ALLOW_INSECURE_ISSUER", "true").unwrap().server.allow_insecure_issuer);
    for name in ["42", "true", "1.5", "[a]", "[1]", "1979-05-27", "{ a = 1 }", "O'Hara \"x\""] {
        assert_eq!(variable("GRANTOR__SERVER__NAME", name).unwrap().server.name, name);
    }
    assert_eq!(variable("GRANTOR__KEYS__ALGORITHMS", "[\"RS256\", 'ES256']").unwrap().keys.algorithms.len(), 2);
    assert_eq!(variable("GRANTOR__SERVER__LISTEN", "[::1]:80").unwrap().server.issuer.as_str(), "http://localhost");
    let words = variable("GRANTOR__PASSWORD__CONTEXT_WORDS", "[\"acme\", \"7\"]").unwrap().password.context_words;
    assert_eq!(words, ["acme", "7"]);
    let session = variable("GRANTOR__SESSION__IDLE_LIFETIME", "1h 30m").unwrap().session;
    assert_eq!(session.idle_lifetime, Duration::from_mins(90));
    let ring = variable("GRANTOR__SEAL__KEYS", "a:c2VjcmV0\nb:c2VjcmV0").unwrap();
    assert!(ring.seal.keys.is_some() && !format!("{ring:?}").contains("c2Vj"));
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, words) in [
        ("GRANTOR__SERVER__LISTN", "x", "server.listn: unknown key; did you mean \"listen\"?"),
        ("GRANTOR__SERVER__X", "x", "server.x: unknown key; known are listen, issuer"),
        ("GRANTOR__SERVR__LISTEN", "x", "servr: unknown section; did you mean \"server\"?"),
        ("GRANTOR__SERVER__LISTEN__PORT", "1", "server.listen__port: unknown key"),
        ("GRANTOR__LISTEN", "x", "names no setting"),
        ("GRANTOR__", "x", "names no setting"),
        ("GRANTOR__SCOPES__NOTES", "x", "read from the file alone"),
        ("GRANTOR__DATABASE__MAX_CONNECTIONS", "-1", "integer `-1`"),
        ("GRANTOR__DATABASE__MAX_CONNECTIONS", "many", "expected u32"),
        ("GRANTOR__DATABASE__MAX_CONNECTIONS", "0", "between 1 and 1000; it is 0"),
        ("GRANTOR__TOKENS__ID_TOKEN_LIFETIME", "600", "a duration with its unit"),
        ("GRANTOR__KEYS__ALGORITHMS", "RS256", "expected a sequence"),
        ("GRANTOR__SERVER__ISSUER", "", "must be an https URL"),
    ] {
        let error = variable(name, value).expect_err(name).to_string();
        let place = format!("config error in the environment variable {name}: ");
        assert!(error.starts_with(&place) && error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn every_problem_is_told_with_its_line() {
    let error = load(
        "listen = \"x\"\nkeys = 1\nwhat = 1\n[refresh]\nretry_window = \"2m\"\nretry_windw = \"1s\"\n\n\
         [tokens]\naccess_token_lifetime = \"1 fortnight\"\n[serverr]\n[log]\nformat = \"xml\"\n",
        &[("GRANTOR__FEED__POLL", "1s"), ("GRANTOR__NOPE__X", "1")],
        Overrides::default(),
    )
    .unwrap_err()
    .to_string();
    let lines: Vec<&str> = error.lines().collect();
    let expected = [
        "config error in grantor.toml:9: tokens.access_token_lifetime: is not a duration such as \"10m\": ",
        "config error in grantor.toml:6: refresh.retry_windw: unknown key; did you mean \"retry_window\"?",
        "config error in the environment variable GRANTOR__FEED__POLL: feed.poll: unknown key; known are poll_interval",
        "config error in grantor.toml:12: log.format: unknown variant `xml`, expected `text` or `json`",
        "config error in grantor.toml:2: keys: is a section: write it as [keys]",
        "config error in grantor.toml:1: listen: stands in no section; put it under [server]",
        "config error in grantor.toml:3: what: is no known section or key",
        "config error in the environment variable GRANTOR__NOPE__X: nope: unknown section; known are server, ",
        "config error in grantor.toml:10: serverr: unknown section; did you mean \"server\"?",
    ];
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{error}");
    }
    assert_eq!(lines.len(), expected.len(), "{error}");
}

#[test]
fn what_is_not_toml_is_refused_without_repeating_it() {
    let error = problems("[seal]\nkeys = \"a:c2VjcmV0\n[log]\n");
    assert!(error.starts_with("config error in config:2: is not TOML: ") && !error.contains("c2Vj"), "{error}");
    assert!(problems("[log]\nfilter = \"info\"\nfilter = \"warn\"").contains(":3: is not TOML: duplicate key"));
}

#[test]
fn a_secret_is_in_no_error() {
    for toml in [
        "[database]\nurl = \"mysql://ada:s3cret@db/g\"",
        "[database]\nurl = \"postgres://ada:s3/cret@db/g\"",
        "[database]\nurl = [\"s3cret\"]",
        "[seal]\nkeys = [\"s3cret\"]",
        "[seal]\nkeys = \"s3cret\"\nfile = \"x\"",
        "[mail]\npassword = [\"s3cret\"]",
        "[mail]\npassword = \"s3cret\"",
    ] {
        let error = problems(toml);
        assert!(!error.contains("s3"), "{error}");
    }
}

#[test]
fn values_at_the_edge_are_accepted() {
    for toml in [
        "[server]\nissuer = \"http://auth.example\"\nallow_insecure_issuer = true",
        "[server]\nissuer = \"http://127.0.0.1:8080/auth\"",
        "[server]\nlisten = \"0.0.0.0:8080\"\nissuer = \"https://auth.example\"",
        "[server]\nlisten = \"127.0.0.1:0\"\nissuer = \"http://localhost:9\"",
        "[server]\nshutdown_timeout = \"0s\"",
        "[tokens]\naccess_token_lifetime = \"1h\"",
        "[refresh]\nretry_window = \"0s\"",
        "[refresh]\nretry_window = \"60s\"\nidle_lifetime = \"90d\"",
        "[authorization]\ncode_lifetime = \"10m\"\npkce = \"optional\"\ndefault_scope = \"openid profile\"",
        "[session]\nidle_lifetime = \"14d\"",
        "[password]\nmin_length = 8\nmemory_kib = 7168\niterations = 5",
        "[password]\nmin_length = 64\nmemory_kib = 65536\niterations = 1",
        "[keys]\nalgorithms = [\"RS256\", \"ES384\"]\n[tokens]\naccess_token_algorithm = \"ES384\"",
        "[keys]\nalgorithms = [\"RS256\", \"ES256\", \"EdDSA\", \"PS256\", \"ES384\"]",
        "[keys]\nrotate_every = \"1h\"\npublish_before = \"10m\"",
        "[keys]\nrotate_every = \"off\"\npublish_before = \"30d\"",
        "[scopes.\"https://api.example/read\"]\ntitle = \"Read\"\n[scopes.x]\ntitle = \"X\"\ndetail = \"More.\"",
        "[log]\nformat = \"json\"\nfilter = \"warn,grantor=debug\"",
        "[seal]\nfile = \"/run/seal\"",
        "",
    ] {
        Config::parse(toml).expect(toml);
    }
    let config = Config::parse("[authorization]\npkce = \"optional\"\ndefault_scope = \"b a\"").unwrap();
    assert_eq!(config.authorization.pkce, PkcePolicy::Optional);
    assert_eq!(config.authorization.default_scope, Some(Scope::from("a b")));
    let config = Config::parse("[scopes.\"notes.read\"]\ntitle = \"Read your notes\"").unwrap();
    assert_eq!(config.scopes.words("notes.read").unwrap().title, "Read your notes");
    assert_eq!(config.scopes.words("notes.write"), None);
    let config = Config::parse("[tls]\ncert = \"c\"\nkey = \"k\"").unwrap();
    assert_eq!(config.server.issuer.as_str(), "https://localhost:8080");
    assert_eq!(Config::default().keys.algorithms, [Algorithm::Es256, Algorithm::Rs256]);
    assert_eq!(Config::parse("[keys]\nrotate_every = \"off\"").unwrap().keys.rotate_every, None);
}

#[test]
fn values_beyond_the_edge_are_refused_by_key() {
    for (toml, start) in [
        ("[server]\nissuer = \"http://auth.example\"", ":2: server.issuer: a public http issuer is refused unless"),
        ("[server]\nissuer = \"https://a.example?x\"", ":2: server.issuer: must have no query"),
        ("[server]\nlisten = \"0.0.0.0:8080\"", ": server.issuer: must be set when server.listen is 0.0.0.0:8080"),
        ("[server]\nlisten = \"127.0.0.1:0\"", ": server.issuer: must be set when server.listen is 127.0.0.1:0"),
        ("[server]\nlisten = \"localhost:8080\"", ":2: server.listen: \"localhost:8080\" is not an IP address"),
        ("[server]\nlisten = 8080", ":2: server.listen: invalid type: integer `8080`"),
        ("[server]\ndata_dir = \"\"", ":2: server.data_dir: must name"),
        ("[server]\nname = \" \"", ":2: server.name: must have 1 to 64"),
        ("[server]\nname = \"a\\nb\"", ":2: server.name: must have 1 to 64"),
        ("[server]\nmax_body_bytes = 10", ":2: server.max_body_bytes: must be between 1024 and"),
        ("[server]\nrequest_timeout = \"0s\"", ":2: server.request_timeout: must be between \"1s\" and \"10m\""),
        (
            "[registration]\nauthorization_details_types = [\"a b\"]",
            ":2: registration.authorization_details_types: \"a b\" is not a name",
        ),
        ("[about]\nterms = \"terms.html\"", ":2: about.terms: must be the URL of a page"),
        ("[about]\npolicy = \"javascript:alert(1)\"", ":2: about.policy: must be the URL of a page"),
        ("[tls]\ncert = \"c\"", ": tls.key: must be set"),
        ("[signed_urls]\nmax_lifetime = \"1s\"", ":2: signed_urls.max_lifetime: must be between"),
        (
            "[brand]\ncolour = \"#999999\"\ncolour_dark = \"#8aa9ff\"",
            ":2: brand.colour: #999999 cannot be read: its contrast is 2.6",
        ),
        ("[brand]\ncolour = \"#2f5bd7\"", ":2: brand.colour: and brand.colour_dark belong together"),
        ("[brand]\ncolour = \"red\"", ":2: brand.colour: \"red\" is not a colour"),
        (
            "[brand]\nlinks = [{ label = \"a\", uri = \"javascript:b\" }]",
            ":2: brand.links: \"javascript:b\" is not the address",
        ),
        ("[account]\neditable = [\"email\"]", ":2: account.editable: \"email\" is none of name, given_name"),
        ("[account]\nevents_kept = \"1h\"", ":2: account.events_kept: must be between"),
        ("[personal_tokens]\nscope = \"a openid\"", ":2: personal_tokens.scope: must not have openid"),
        ("[personal_tokens]\nmax_lifetime = \"1m\"", ":2: personal_tokens.max_lifetime: must be between"),
        ("[personal_tokens]\nmost = 0", ":2: personal_tokens.most: must be between"),
        ("[sign_up]\nmode = \"open\"", ":2: sign_up.mode: needs mail.transport"),
        ("[mail]\ntransport = \"smtp\"\nfrom = \"a@example.org\"", ": mail.host: must name"),
        ("[mail]\ntransport = \"console\"", ": mail.from: must be set where"),
        ("[mail]\nfrom = \"Acme\"", ":2: mail.from: is not an address"),
        ("[mail]\nfrom = \"a@example.org\\r\\nBcc: b@example.org\"", ":2: mail.from: is not an address"),
        ("[mail]\nusername = \"a\"", ":2: mail.username: and mail.password"),
        ("[mail]\npassword = \"a\"\npassword_file = \"b\"\nusername = \"c\"", ":3: mail.password_file: cannot be set"),
        ("[mail]\ntls = \"none\"\nusername = \"a\"\npassword = \"b\"", ":2: mail.tls: must be"),
        ("[mail]\ntls = \"opportunistic\"", ":2: mail.tls: unknown variant"),
        ("[mail]\ntimeout = \"2m\"", ":2: mail.timeout: must be between"),
        (
            "[server]\nissuer = \"http://localhost\"\n[tls]\ncert = \"c\"\nkey = \"k\"",
            ":2: server.issuer: must be https when",
        ),
        ("[database]\nurl = \"mysql://db\"", ":2: database.url: must begin with"),
        ("[database]\nmax_connections = 0", ":2: database.max_connections: must be between"),
        ("[database]\nacquire_timeout = \"1d\"", ":2: database.acquire_timeout: must be between"),
        ("[seal]\nkeys = \" \"", ":2: seal.keys: is empty"),
        ("[seal]\nkeys = \"a:b\"\nfile = \"f\"", ":3: seal.file: cannot be set beside"),
        (
            "[tokens]\naccess_token_lifetime = \"61m\"",
            ":2: tokens.access_token_lifetime: must be between \"1s\" and \"1h\"",
        ),
        ("[tokens]\nid_token_lifetime = \"10\"", ":2: tokens.id_token_lifetime: is not a duration"),
        ("[tokens]\naccess_token_algorithm = \"HS256\"", ":2: tokens.access_token_algorithm: must be asymmetric"),
        ("[tokens]\naccess_token_algorithm = \"none\"", ":2: tokens.access_token_algorithm: unknown variant `none`"),
        ("[tokens]\naccess_token_algorithm = \"EdDSA\"", ": keys.algorithms: must have EdDSA"),
        ("[refresh]\nretry_window = \"61s\"", ":2: refresh.retry_window: must be between \"0s\" and \"1m\""),
        ("[refresh]\nidle_lifetime = \"91d\"", ":2: refresh.idle_lifetime: must not be longer than"),
        ("[refresh]\nrotate = false", ":2: refresh.rotate: unknown key"),
        (
            "[authorization]\ncode_lifetime = \"11m\"",
            ":2: authorization.code_lifetime: must be between \"1s\" and \"10m\"",
        ),
        ("[authorization]\npkce = \"plain\"", ":2: authorization.pkce: unknown variant `plain`"),
        (
            "[authorization]\ndefault_scope = \"openid offline_access\"",
            ":2: authorization.default_scope: must not have",
        ),
        ("[authorization]\ndefault_scope = \"a\\\\b\"", ":2: authorization.default_scope: \"a\\\\b\" is not a scope"),
        ("[authorization]\ndefault_scope = \" \"", ":2: authorization.default_scope: must name at least one"),
        ("[authorization]\nrequest_lifetime = \"1s\"", ":2: authorization.request_lifetime: must be between"),
        ("[scopes.\"a b\"]\ntitle = \"x\"", ":1: scopes.\"a b\": is not a scope"),
        ("[scopes.\"a.b\"]\ntitel = \"x\"", ":1: scopes.\"a.b\": unknown field `titel`"),
        ("[scopes.a]\ndetail = \"x\"", ":1: scopes.a: missing field `title`"),
        ("[scopes.a]\ntitle = \"\"", ":1: scopes.a: title must have"),
        ("[scopes.profile]\ntitle = \"x\"\ngroups = [\"staff\"]", ":1: scopes.profile: groups cannot stand here"),
        ("[scopes.a]\ntitle = \"x\"\ngroups = [\"a,b\"]", ":1: scopes.a: the name of a group has 1 to 128"),
        ("[groups.web]\nprefixes = [\"\"]", ":1: groups.web: prefixes has an empty one"),
        ("[scopes]\na = \"x\"", ":2: scopes.a: invalid type: string \"x\""),
        ("[session]\nremembered_lifetime = \"1d\"", ":2: session.remembered_lifetime: must be between \"14days\""),
        ("[session]\nidle_lifetime = \"15d\"", ":2: session.idle_lifetime: must not be longer than"),
        ("[session]\nabsolute_lifetime = \"9999y\"", ":2: session.absolute_lifetime: must be between"),
        (
            "[session]\nabsolute_lifetime = \"99999999999999999999y\"",
            ":2: session.absolute_lifetime: is not a duration",
        ),
        ("[password]\nmin_length = 7", ":2: password.min_length: must be between 8 and 64"),
        ("[password]\nmin_length = 65", ":2: password.min_length: must be between 8 and 64"),
        ("[password]\nmemory_kib = 64", ":2: password.memory_kib: too weak"),
        ("[password]\niterations = 1", ": password.memory_kib: too weak"),
        ("[password]\nparallelism = 0", ":2: password.parallelism: must be between"),
        ("[password]\nworkers = 0", ":2: password.workers: must be between"),
        ("[password]\nqueue = 0", ":2: password.queue: must be between"),
        ("[password]\ncontext_words = [\"\"]", ":2: password.context_words: each must"),
        ("[keys]\nalgorithms = [\"ES256\"]", ":2: keys.algorithms: must have \"RS256\""),
        ("[keys]\nalgorithms = [\"ES256\", \"RS256\", \"HS256\"]", ":2: keys.algorithms: must not have \"HS256\""),
        ("[keys]\nalgorithms = [\"ES256\", \"RS256\", \"RS256\"]", ":2: keys.algorithms: names one twice"),
        (
            "[keys]\nrotate_every = \"59m\"\npublish_before = \"10m\"",
            ":2: keys.rotate_every: must be between \"1h\" and",
        ),
        ("[keys]\nrotate_every = \"never\"", ":2: keys.rotate_every: is not a duration"),
        ("[keys]\nrotate_every = 90", ":2: keys.rotate_every: invalid type: integer `90`, expected a duration"),
        ("[keys]\nrotate_every = \"1d\"", ":2: keys.rotate_every: must be longer than keys.publish_before"),
        ("[keys]\npublish_before = \"9m\"", ":2: keys.publish_before: must be between \"10m\" and \"30days\""),
        ("[keys]\npublish_before = \"off\"", ":2: keys.publish_before: is not a duration"),
        ("[feed]\npoll_interval = \"3s\"", ":2: feed.poll_interval: must be shorter than"),
        ("[feed]\npoll_interval = \"1ms\"", ":2: feed.poll_interval: must be between"),
        ("[tls]\nclient_certificates = \"optional\"", ":2: tls.client_certificates: needs tls.cert and tls.key"),
        ("[tls]\nclient_certificates = \"required\"", ":2: tls.client_certificates: unknown variant `required`"),
        (
            "[server]\nclient_certificate_header = \"client-cert\"",
            ":2: server.client_certificate_header: needs server.trusted_proxies",
        ),
        (
            "[server]\ntrusted_proxies = [\"::1\"]\nclient_certificate_header = \"a b\"",
            ":3: server.client_certificate_header: must be the name of a header",
        ),
        (
            "[outgoing]\nallow = [\"10.0.0.0/33\"]",
            ":2: outgoing.allow: \"10.0.0.0/33\" is not a range of IP addresses, such as",
        ),
        ("[outgoing]\ntimeout = \"0s\"", ":2: outgoing.timeout: must be between"),
        ("[outgoing]\nmax_bytes = 10", ":2: outgoing.max_bytes: must be between"),
        ("[outgoing]\ncache_lifetime = \"1s\"", ":2: outgoing.cache_lifetime: must be between"),
        (
            "[client_authentication]\nmax_assertion_lifetime = \"2h\"",
            ":2: client_authentication.max_assertion_lifetime: must be between",
        ),
        ("[log]\nfilter = \"grantor=loud\"", ":2: log.filter: is not a filter"),
        ("[[server]]\nname = \"x\"", ":1: server: is a section: write it as [server]"),
    ] {
        let error = problems(toml);
        let error = error.strip_prefix("config error").unwrap();
        let error = error.strip_prefix(" in config").unwrap_or(error);
        assert!(error.starts_with(start) && error.lines().count() == 1, "{toml}\n{error}");
    }
}

#[test]
fn an_upstream_provider_is_openid_or_plain_and_whole() {
    let openid = "title = \"Google\"\nissuer = \"https://accounts.google.com\"\nclient_id = \"a\"\n";
    let plain = "title = \"GitHub\"\nclient_id = \"a\"\nauthorization_endpoint = \"https://a.example/a\"\n\
        token_endpoint = \"https://a.example/t\"\nuserinfo_endpoint = \"https://a.example/u\"\n";
    let of = |name: &str, rest: &str| format!("[upstream.{name:?}]\n{rest}");
    let config = Config::parse(&format!("{}{}", of("google", openid), of("github", plain))).unwrap();
    let [github, google] = ["github", "google"].map(|name| &config.upstream.0[name]);
    assert_eq!((google.scope(), google.can_ask_again()), ("openid email profile", true));
    assert_eq!((github.scope(), github.can_ask_again()), ("", false));
    assert_eq!((google.create, google.trust_amr), (upstream::Create::Off, false));

    for (name, rest, why) in [
        ("Google", openid.to_owned(), "upstream.Google: must have 1 to 40 small letters"),
        ("a/b", openid.to_owned(), "must have 1 to 40 small letters"),
        ("a", openid.replace("Google", ""), "title must have 1 to 60 characters"),
        ("a", openid.replace("\"a\"", "\"\""), "client_id must be"),
        ("a", openid.replace("https", "ftp"), "issuer must be an https URL"),
        ("a", openid.replace("google.com", "google.com?a=b"), "issuer must be an https URL"),
        (
            "a",
            format!("{openid}token_endpoint = \"https://a.example/t\""),
            "token_endpoint cannot be set beside issuer",
        ),
        ("a", format!("{openid}scope = \"email\""), "scope must have openid"),
        ("a", format!("{openid}scope = \"openid  email\""), "scope must be scopes"),
        ("a", format!("{openid}create = \"domain\""), "domains and create"),
        ("a", format!("{openid}domains = [\"a.example\"]"), "domains and create"),
        ("a", format!("{openid}create = \"domain\"\ndomains = [\"@A.example\"]"), "domains must be hosts"),
        ("a", format!("{openid}create = \"all\""), "unknown variant"),
        ("a", format!("{openid}create = \"invited\""), "create needs sign_up.mode"),
        ("a", format!("{openid}two_factor_acr = [\"2\"]"), "two_factor_acr needs trust_amr"),
        ("a", format!("{openid}secret = \"s3cret\""), "unknown field"),
        ("a", format!("{openid}client_secret = \"s3cret\"\nclient_secret_file = \"/f\""), "client_secret_file cannot"),
        ("a", plain.replace("token_endpoint", "#"), "token_endpoint must be set where there is no issuer"),
        ("a", plain.replace("userinfo_endpoint", "#"), "userinfo_endpoint must be set"),
        ("a", plain.replace("https://a.example/t", "ftp://a.example/t"), "token_endpoint must be an https URL"),
        ("a", format!("{plain}trust_amr = true"), "issuer must be set for trust_amr"),
        ("a", format!("{plain}claims = {{ sub = \"id\" }}"), "unknown field"),
    ] {
        let told = problems(&of(name, &rest));
        assert!(told.contains(why), "{rest}\n{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    let secret = Config::parse(&of("a", &format!("{openid}client_secret = \"s3cret\""))).unwrap();
    assert!(!format!("{secret:?}").contains("s3cret"));
}
