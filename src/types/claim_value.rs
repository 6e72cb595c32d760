//! What each standard claim can be (OpenID Connect Core §5.1, RFC 9068 §2.2.3.1), where somebody sets it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::user::RIGHTS;

/// The members of `address` (OpenID Connect Core §5.1.1).
const ADDRESS: [&str; 6] = ["formatted", "street_address", "locality", "region", "postal_code", "country"];

/// The longest text of one, in characters.
const LONGEST: usize = 256;

/// The longest address of a page.
const LONGEST_URL: usize = 2048;

/// The longest list, as JSON in bytes: it travels in every access token, and those in a header.
const LONGEST_LIST: usize = 2048;

/// Whether a value is one of this claim.
///
/// # Errors
/// In words, with an example.
pub fn check(name: &str, value: &Value) -> Result<(), String> {
    let refused = |what: &str| Err(format!("{name} is {what}"));
    match (name, value) {
        ("address", value) => check_address(value),
        ("phone_number_verified", Value::Bool(_)) => Ok(()),
        ("phone_number_verified", _) => refused("true or false"),
        ("profile" | "picture" | "website", Value::String(text)) if is_url(text) => Ok(()),
        ("profile" | "picture" | "website", _) => refused("a URL, as in https://example.com/ada"),
        ("birthdate", Value::String(text)) if is_birthdate(text) => Ok(()),
        ("birthdate", _) => refused("a date, as in 1815-12-10, 0000-12-10 without the year, or 1815"),
        ("zoneinfo", Value::String(text)) if is_zone(text) => Ok(()),
        ("zoneinfo", _) => refused("a time zone, as in Europe/Paris"),
        ("locale", Value::String(text)) if is_locale(text) => Ok(()),
        ("locale", _) => refused("a language tag, as in en-GB"),
        ("phone_number", Value::String(text)) if is_phone_number(text) => Ok(()),
        (name, value) if RIGHTS.contains(&name) => check_list(name, value),
        ("phone_number", _) => refused("a telephone number, as in +1 (604) 555-1234;ext=5678"),
        (_, Value::String(text)) if is_text(text, false) => Ok(()),
        _ => Err(format!("{name} is a text of 1 to {LONGEST} characters, without control characters")),
    }
}

fn check_address(value: &Value) -> Result<(), String> {
    let is_part =
        |(name, value): (&String, &Value)| ADDRESS.contains(&name.as_str()) && value.as_str().is_some_and(is_lines);
    match value.as_object() {
        Some(parts) if !parts.is_empty() && parts.iter().all(is_part) => Ok(()),
        _ => Err(format!(
            "address is a JSON object of texts, such as {{\"locality\": \"London\", \"country\": \"UK\"}}; its members are {}",
            ADDRESS.join(", ")
        )),
    }
}

/// RFC 7643 §2.4 has objects, whose `value` alone is required: we have that, as a text.
fn check_list(name: &str, value: &Value) -> Result<(), String> {
    let texts = value.as_array().filter(|texts| texts.iter().all(|text| text.as_str().is_some_and(is_word)));
    let distinct = |texts: &&Vec<Value>| texts.iter().collect::<HashSet<_>>().len() == texts.len();
    match texts.filter(|texts| !texts.is_empty()).filter(distinct) {
        None => Err(format!("{name} is a JSON list of different texts, such as [\"staff\", \"editors\"]")),
        Some(_) if value.to_string().len() > LONGEST_LIST => {
            Err(format!("{name} is too long for a token: as JSON it may have {LONGEST_LIST} bytes"))
        }
        Some(_) => Ok(()),
    }
}

/// What belongs together: that a number was verified is said of this number.
///
/// # Errors
/// In words.
pub fn check_together(claims: &Map<String, Value>) -> Result<(), String> {
    if claims.contains_key("phone_number_verified") && !claims.contains_key("phone_number") {
        return Err("phone_number_verified is said of a phone_number, and there is none".into());
    }
    Ok(())
}

/// §5.1.1: `formatted` and `street_address` "MAY contain multiple lines".
fn is_lines(text: &str) -> bool {
    is_text(text, true)
}

fn is_word(text: &str) -> bool {
    is_text(text, false)
}

fn is_text(text: &str, lines: bool) -> bool {
    let fits = |c: char| !c.is_control() || (lines && matches!(c, '\n' | '\r'));
    !text.trim().is_empty() && text.chars().count() <= LONGEST && text.chars().all(fits)
}

fn is_url(text: &str) -> bool {
    let is_web = |url: url::Url| matches!(url.scheme(), "https" | "http") && url.has_host();
    text.len() <= LONGEST_URL && url::Url::parse(text).is_ok_and(is_web)
}

/// ISO 8601-1 `YYYY-MM-DD`, where the year "MAY be 0000", or `YYYY`.
fn is_birthdate(text: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str| part.parse::<u16>().unwrap_or_default();
    match parts[..] {
        [year] => digits(year, 4) && number(year) != 0,
        [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2) => {
            let leap = |year: u16| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            let days = match number(month) {
                1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
                4 | 6 | 9 | 11 => 30,
                // Of a year that is not told, it may have been one.
                2 if leap(number(year)) => 29,
                2 => 28,
                _ => 0,
            };
            (1..=days).contains(&number(day))
        }
        _ => false,
    }
}

fn is_zone(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= 64 && text.chars().all(fits)
}

/// A tag of BCP 47; §5.1: some have an underscore where the dash should be.
fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let language = |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let further = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 64 && parts.next().is_some_and(language) && parts.all(further)
}

/// §5.1: "E.164 is RECOMMENDED as the format", with an extension as RFC 3966 has it; how people group the digits is theirs.
fn is_phone_number(text: &str) -> bool {
    let (number, extension) = text.split_once(";ext=").map_or((text, None), |(number, ext)| (number, Some(ext)));
    let fits = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '(' | ')' | '-' | '.' | '/');
    let is_extension = |ext: &str| !ext.is_empty() && ext.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = number.strip_prefix('+').unwrap_or(number);
    text.len() <= 64
        && grouped.chars().all(fits)
        && grouped.bytes().any(|byte| byte.is_ascii_digit())
        && extension.is_none_or(is_extension)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_claim_has_values_of_its_own() {
        let long = "x".repeat(LONGEST + 1);
        for (name, good, bad) in [
            ("name", vec![json!("Ada"), json!("Зоя 🦉")], vec![json!(""), json!("a\nb"), json!(1), json!(long)]),
            ("gender", vec![json!("female"), json!("other words")], vec![json!(null), json!(["female"])]),
            (
                "website",
                vec![json!("https://ada.example/"), json!("http://a.example")],
                vec![
                    json!("ada.example"),
                    json!("javascript:alert(1)"),
                    json!("data:text/html,x"),
                    json!("https://"),
                    json!(format!("https://a.example/{}", "x".repeat(LONGEST_URL))),
                ],
            ),
            (
                "birthdate",
                vec![json!("1815-12-10"), json!("0000-02-29"), json!("1815"), json!("2000-02-29")],
                vec![
                    json!("10.12.1815"),
                    json!("1815-13-01"),
                    json!("1815-12-32"),
                    json!("1900-02-29"),
                    json!("1815-12"),
                    json!("0000"),
                    json!("815-12-10"),
                    json!("1815-12-00"),
                    json!(1815),
                ],
            ),
            ("zoneinfo", vec![json!("Europe/Paris"), json!("Etc/GMT+3")], vec![json!("../etc"), json!("1"), json!("")]),
            (
                "locale",
                vec![json!("en"), json!("en-GB"), json!("de_CH"), json!("zh-Hant-TW")],
                vec![json!("e"), json!("en-"), json!("english!"), json!("")],
            ),
            (
                "phone_number",
                vec![json!("+1 (604) 555-1234;ext=5678"), json!("+4411"), json!("044 668 18 00")],
                vec![json!("+"), json!("call me"), json!("+44;ext="), json!("+44;ext=x"), json!("44+11"), json!(4411)],
            ),
            ("phone_number_verified", vec![json!(true), json!(false)], vec![json!("true"), json!(1)]),
            (
                "address",
                vec![json!({"locality": "London"}), json!({"formatted": "1 Road\r\nLondon"})],
                vec![
                    json!("London"),
                    json!({}),
                    json!({"city": "London"}),
                    json!({"locality": 1}),
                    json!({"locality": ""}),
                    json!({"locality": "a\u{0}"}),
                    json!(["London"]),
                ],
            ),
            (
                "groups",
                vec![json!(["staff"]), json!(["staff", "Лодки & Co"])],
                vec![
                    json!("staff"),
                    json!([]),
                    json!([""]),
                    json!(["a", "a"]),
                    json!(["a", 1]),
                    json!(["a\nb"]),
                    json!({"value": "staff"}),
                    json!((0..300).map(|n| format!("group-{n}")).collect::<Vec<_>>()),
                ],
            ),
            ("roles", vec![json!(["editor"])], vec![json!("editor"), json!([["editor"]])]),
            ("entitlements", vec![json!(["print"])], vec![json!(true), json!([null])]),
        ] {
            for value in good {
                assert_eq!(check(name, &value), Ok(()), "{value}");
            }
            for value in bad {
                let refused = check(name, &value).expect_err(&value.to_string());
                assert!(refused.starts_with(name), "{refused}");
            }
        }
    }
}
