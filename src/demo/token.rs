//! A JWT taken apart for reading. Nothing here is verified: that was done before, by those whom it concerns.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::explain;
use crate::types::Timestamp;

pub struct Decoded {
    pub header: Vec<Claim>,
    pub claims: Vec<Claim>,
    /// The three parts as they travel.
    pub raw: [String; 3],
    pub expires: Option<i64>,
}

pub struct Claim {
    pub name: String,
    pub value: String,
    /// What a number means: an instant, and how far it is.
    pub reading: Option<String>,
    pub words: &'static str,
}

/// `None` for a token that is no JWT, which is its issuer's right (RFC 6749 §1.4).
pub fn decode(token: &str, now: Timestamp) -> Option<Decoded> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = object(payload)?;
    Some(Decoded {
        header: rows(object(header)?, explain::header, now),
        expires: claims.get("exp").and_then(Value::as_i64),
        claims: rows(claims, explain::claim, now),
        raw: [header, payload, signature].map(str::to_owned),
    })
}

/// A JSON object's members in words, in the order of the table that explains them.
pub fn rows(members: Map<String, Value>, explain: fn(&str) -> (usize, &'static str), now: Timestamp) -> Vec<Claim> {
    let mut rows: Vec<(usize, Claim)> = members
        .into_iter()
        .map(|(name, value)| {
            let (place, words) = explain(&name);
            let reading = instant(&name, &value, now);
            (place, Claim { value: plain(&value), name, reading, words })
        })
        .collect();
    rows.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.name.cmp(&right.name)));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn instant(name: &str, value: &Value, now: Timestamp) -> Option<String> {
    if !matches!(name, "exp" | "iat" | "nbf" | "auth_time" | "updated_at") {
        return None;
    }
    let at = value.as_i64()?;
    Some(format!("{}, {}", clock(at)?, distance(at - now.secs())))
}

/// `22 Nov 2026, 14:51:07 UTC`
fn clock(secs: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(secs).ok()?;
    let month = at.month().to_string();
    Some(format!("{} {} {}, {} UTC", at.day(), &month[..3], at.year(), time_of_day(at)))
}

/// `14:51:07`
pub fn time_of_day(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// How far an instant is, in its largest unit, rounded: a moment after its start a month is still 30 days.
pub fn distance(secs: i64) -> String {
    let far = secs.unsigned_abs();
    let (count, unit) = match far {
        0..60 => (far, "second"),
        60..3_600 => ((far + 30) / 60, "minute"),
        3_600..86_400 => ((far + 1_800) / 3_600, "hour"),
        _ => ((far + 43_200) / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    match secs {
        0 => "now".to_owned(),
        1.. => format!("in {count} {unit}{plural}"),
        _ => format!("{count} {unit}{plural} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(header: &str, payload: &str) -> String {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", encode(header), encode(payload))
    }

    #[test]
    fn a_jwt_is_shown_in_the_order_in_which_it_is_read() {
        let token = jwt(
            r#"{"kid":"k1","alg":"ES256","typ":"at+jwt"}"#,
            r#"{"scope":"openid notes:read","exp":1600,"zebra":1,"iss":"https://as.example","aud":["a","b"]}"#,
        );
        let decoded = decode(&token, Timestamp::from_secs(1_000)).unwrap();
        let names = |rows: &[Claim]| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&decoded.header), ["typ", "alg", "kid"]);
        assert_eq!(names(&decoded.claims), ["iss", "aud", "exp", "scope", "zebra"]);
        assert_eq!(decoded.claims[1].value, "a, b");
        assert_eq!(decoded.claims[2].reading.as_deref(), Some("1 Jan 1970, 00:26:40 UTC, in 10 minutes"));
        assert_eq!(decoded.expires, Some(1_600));
        assert_eq!(decoded.raw.join("."), token);
    }

    #[test]
    fn what_is_no_jwt_is_not_taken_apart() {
        let now = Timestamp::from_secs(0);
        for token in ["", "opaque", "a.b", "a.b.c", "e30.e30", "e30.e30.x.y", "e30.W10.x"] {
            assert!(decode(token, now).is_none(), "{token:?}");
        }
        assert!(decode("e30.e30.x", now).is_some());
    }

    #[test]
    fn distances_are_told_in_one_unit() {
        let told: Vec<_> = [0, 1, 59, 60, 7_200, -1, -172_800].map(distance).into();
        assert_eq!(
            told,
            ["now", "in 1 second", "in 59 seconds", "in 1 minute", "in 2 hours", "1 second ago", "2 days ago"]
        );
    }
}
