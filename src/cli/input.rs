//! What people type: the values of flags, and secrets on standard input.

use std::io::{self, Read as _};
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::Usage;
use crate::oauth::engine;
use crate::types::user::{RIGHTS, is_settable_claim};
use crate::types::{Scope, claim_value};

/// More than any secret has; what is longer was piped in by mistake.
const MAX_SECRET: u64 = 64 * 1024;

/// Reads a secret from standard input, all of it but for one newline at its end.
pub fn secret() -> anyhow::Result<SecretString> {
    let mut bytes = Zeroizing::new(Vec::new());
    io::stdin().lock().take(MAX_SECRET + 1).read_to_end(&mut bytes).context("standard input cannot be read")?;
    Ok(secret_of(&bytes)?)
}

fn secret_of(bytes: &[u8]) -> Result<SecretString, Usage> {
    let bytes = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if bytes.is_empty() {
        return Err(Usage("there is nothing on standard input".into()));
    }
    if bytes.len() as u64 > MAX_SECRET {
        return Err(Usage("there is too much on standard input".into()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Usage("what is on standard input is not UTF-8".into())),
    }
}

/// A secret that somebody chose for a client. It is kept as a plain SHA-256, which only protects what cannot be
/// guessed (RFC 6749 §10.10), so it must be long, and not one character over and over.
pub fn client_secret() -> anyhow::Result<SecretString> {
    let secret = secret()?;
    check_client_secret(secret.expose_secret())?;
    Ok(secret)
}

fn check_client_secret(secret: &str) -> Result<(), Usage> {
    const ADVICE: &str = "leave --secret-stdin out and one of 256 bits is made";
    if secret.len() < 32 {
        return Err(Usage(format!("a client secret must have at least 32 characters; {ADVICE}")));
    }
    // RFC 6749 §A.2
    if secret.len() > 512 || !secret.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        return Err(Usage(format!("a client secret must have at most 512 characters, all of them ASCII; {ADVICE}")));
    }
    let mut seen: Vec<u8> = secret.bytes().collect();
    seen.sort_unstable();
    seen.dedup();
    let distinct = seen.len();
    seen.zeroize();
    if distinct < 10 {
        return Err(Usage(format!("a client secret must have at least 10 different characters; {ADVICE}")));
    }
    Ok(())
}

/// Scope tokens between spaces (RFC 6749 §3.3); here, unlike in a request, it can be none.
pub fn scope(text: &str) -> Result<Scope, String> {
    if text.is_empty() {
        return Ok(Scope::default());
    }
    engine::scope(text).map_err(|error| error.description.into_owned())
}

/// A lifetime such as `10m`; registration documents have whole seconds.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(lifetime) if lifetime.subsec_nanos() == 0 && !lifetime.is_zero() => Ok(lifetime),
        Ok(_) => Err("a lifetime has whole seconds, and at least one".into()),
        Err(why) => Err(format!("not a duration such as \"10m\" or \"30d\": {why}")),
    }
}

/// `name=value`: a claim that can be set, its value as JSON, or as it stands where that is a text.
/// `null` takes it away.
pub fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, text) = text.split_once('=').ok_or("not of the form name=value")?;
    match name {
        "email" | "email_verified" => return Err(format!("{name} has a flag of its own: --email, --email-verified")),
        "preferred_username" => return Err(format!("{name} is the username: --username")),
        "updated_at" => return Err(format!("{name} is when the user was changed last")),
        _ if !is_settable_claim(name) => return Err(format!("{name:?} is not a standard claim that can be set")),
        _ => {}
    }
    let json = || serde_json::from_str(text);
    let value: Value = match name {
        _ if RIGHTS.contains(&name) => json().unwrap_or_else(|_| text.into()),
        "address" | "phone_number_verified" => json().unwrap_or_else(|_| text.into()),
        _ if text.starts_with('"') => json().map_err(|why| format!("{name} is not a JSON text: {why}"))?,
        _ if text == "null" => Value::Null,
        _ => text.into(),
    };
    if !value.is_null() {
        claim_value::check(name, &value)?;
    }
    Ok((name.to_owned(), value))
}

/// `name=value`, where the value is JSON: a member of a registration document.
pub fn member(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form name=json")?;
    let value = serde_json::from_str(value)
        .map_err(|why| format!("the value of {name} is not JSON (a text stands between double quotes): {why}"))?;
    Ok((name.to_owned(), value))
}

/// A text that pages show.
pub fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > 256 || text.chars().any(char::is_control) {
        return Err("a text has 1 to 256 characters, and no control characters".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_all_of_standard_input_but_one_newline() {
        for (bytes, secret) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), (" a \n\n", " a \n"), ("a\nb\n", "a\nb")] {
            assert_eq!(secret_of(bytes.as_bytes()).unwrap().expose_secret(), secret);
        }
        let long = "x".repeat(65_537);
        for bytes in [&b""[..], b"\n", b"\r\n", b"\xff\xfe", long.as_bytes()] {
            assert!(secret_of(bytes).is_err());
        }
    }

    #[test]
    fn a_client_secret_is_long_and_varied() {
        assert!(check_client_secret("v3ry-l0ng and varied, 32 or more").is_ok());
        let long = "0123456789".repeat(52);
        for secret in
            ["short", "0123456789012345678901234567890", &"ab".repeat(20), &long, "ünicode-ünicode-ünicode-0123456789"]
        {
            assert!(check_client_secret(secret).is_err(), "{secret}");
        }
    }

    #[test]
    fn a_scope_has_the_characters_of_its_grammar() {
        assert_eq!(scope("openid  profile").unwrap(), Scope::from("openid profile"));
        assert_eq!(scope("").unwrap(), Scope::default());
        for bad in ["a\"b", "a\\b", "ü", "a\tb", "a\nb"] {
            assert!(scope(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_lifetime_has_whole_seconds() {
        assert_eq!(lifetime("10m"), Ok(Duration::from_mins(10)));
        for bad in ["", "10", "0s", "500ms", "1s 1ms", "ten", "-1s"] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claim_has_the_type_that_openid_gives_it() {
        for (text, name, value) in [
            ("given_name=Ada", "given_name", Value::from("Ada")),
            ("given_name=\"A = d\\u0061\"", "given_name", Value::from("A = da")),
            ("phone_number=+4411", "phone_number", Value::from("+4411")),
            ("zoneinfo=Europe/Paris", "zoneinfo", Value::from("Europe/Paris")),
            ("birthdate=1815", "birthdate", Value::from("1815")),
            ("nickname=null", "nickname", Value::Null),
            ("nickname=\"null\"", "nickname", Value::from("null")),
            ("address=null", "address", Value::Null),
            ("phone_number_verified=true", "phone_number_verified", Value::from(true)),
            (r#"address={"locality":"London"}"#, "address", serde_json::json!({ "locality": "London" })),
        ] {
            assert_eq!(claim(text), Ok((name.to_owned(), value)), "{text}");
        }
        for bad in [
            "given_name",
            "=x",
            "sub=1",
            "email=a@b",
            "email_verified=true",
            "preferred_username=ada",
            "updated_at=1",
            "birthdate=yesterday",
            "picture=me.png",
            "phone_number_verified=1",
            "address=London",
            "address={\"a\":1}",
            "name=\"open",
            "name=",
            "name=a\nb",
            r#"name="\u0000""#,
        ] {
            assert!(claim(bad).is_err(), "{bad}");
        }
    }
}
