//! Request parameters, each at most once (RFC 6749 §3.1, §3.2: "MUST NOT be included more than once").

use std::fmt;

/// Decoded request parameters in the order in which they came. Parameters without a value are as
/// good as absent (RFC 6749 §3.1), and only `resource` and `audience` may repeat (RFC 8707 §2, RFC 8693 §2.1).
#[derive(Clone, Default)]
pub struct Params(Vec<(String, String)>);

/// More than any request has. Each name is compared with those before it, so a body of nothing but names would
/// otherwise take the square of their number.
const MOST: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    #[error("there are more than {MOST} parameters")]
    TooMany,
    #[error("the parameter {0:?} is repeated")]
    Repeated(String),
    #[error("the parameters are not valid UTF-8")]
    NotUtf8,
    #[error("the parameters hold a NUL character")]
    Nul,
    #[error("the parameters are badly percent-encoded")]
    BadEncoding,
}

impl Params {
    /// Reads `application/x-www-form-urlencoded` bytes strictly: what cannot be decoded is refused, not replaced.
    ///
    /// # Errors
    /// When a parameter repeats, is not UTF-8, holds a NUL, or has a stray `%`; or when there are too many.
    pub fn parse(encoded: &[u8]) -> Result<Self, ParamsError> {
        if !encoded.is_ascii() {
            return Err(ParamsError::BadEncoding);
        }
        let mut params: Vec<(String, String)> = Vec::new();
        for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = (decode(&pair[..equals])?, decode(pair.get(equals + 1..).unwrap_or_default())?);
            let may_repeat = matches!(&*name, "resource" | "audience");
            if !may_repeat && params.iter().any(|(seen, _)| *seen == name) {
                return Err(ParamsError::Repeated(name.chars().take(64).collect()));
            }
            if params.len() == MOST {
                return Err(ParamsError::TooMany);
            }
            params.push((name, value));
        }
        Ok(Self(params))
    }

    pub fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The value of a parameter; `None` when it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// A name or a value, its plus signs and percent signs resolved.
///
/// # Errors
/// When it is not UTF-8, holds a NUL, or has a stray `%`.
pub fn decode(encoded: &[u8]) -> Result<String, ParamsError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    // Most have neither.
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'+' | b'%')) {
        bytes.extend_from_slice(&rest[..at]);
        if rest[at] == b'+' {
            bytes.push(b' ');
            rest = &rest[at + 1..];
        } else {
            let digit = |place: usize| rest.get(at + place).and_then(|digit| char::from(*digit).to_digit(16));
            let (Some(high), Some(low)) = (digit(1), digit(2)) else { return Err(ParamsError::BadEncoding) };
            bytes.push((high << 4 | low) as u8);
            rest = &rest[at + 3..];
        }
    }
    bytes.extend_from_slice(rest);
    if bytes.contains(&b'\0') {
        return Err(ParamsError::Nul);
    }
    String::from_utf8(bytes).map_err(|_| ParamsError::NotUtf8)
}

/// Values may be secrets: only the names are shown.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_strictly() {
        let params = Params::parse(b"a=1&b=&c=x+y%20z").unwrap();
        assert_eq!(params.get("a"), Some("1"));
        assert_eq!(params.get("b"), None);
        assert_eq!(params.get("c"), Some("x y z"));

        for (body, error) in [
            (&b"a=1&a=2"[..], ParamsError::Repeated("a".into())),
            (b"a=&a=2", ParamsError::Repeated("a".into())),
            (b"a=%ff", ParamsError::NotUtf8),
            (b"%c3=a", ParamsError::NotUtf8),
            // Cut off in the middle, overlong, and a surrogate.
            (b"a=%e2%82", ParamsError::NotUtf8),
            (b"a=%c0%80", ParamsError::NotUtf8),
            (b"a=%ed%a0%80", ParamsError::NotUtf8),
            (b"a=%00", ParamsError::Nul),
            (b"a=%4", ParamsError::BadEncoding),
            (b"a=%", ParamsError::BadEncoding),
            (b"a=%zz", ParamsError::BadEncoding),
            (b"a=%+1", ParamsError::BadEncoding),
            (b"a%4&b=1", ParamsError::BadEncoding),
            ("a=ü".as_bytes(), ParamsError::BadEncoding),
        ] {
            assert_eq!(Params::parse(body).unwrap_err(), error, "{body:?}");
        }
        assert!(Params::parse(b"resource=https://a.example&resource=https://b.example").is_ok());
    }

    #[test]
    fn every_form_of_the_grammar_is_read() {
        for (encoded, pairs) in [
            (&b""[..], &[][..]),
            (b"&&", &[]),
            (b"a", &[("a", "")]),
            (b"=a", &[("", "a")]),
            (b"&a=1&&b=2&", &[("a", "1"), ("b", "2")]),
            (b"a=b=c", &[("a", "b=c")]),
            (b"%61+%3d=%26%2B%25+", &[("a =", "&+% ")]),
            (b"a=%c3%bC%F0%9f%94%91", &[("a", "\u{fc}\u{1f511}")]),
            // What others write in the place of broken text is a character like any other when it is sent.
            (b"a=%EF%BF%BD", &[("a", "\u{fffd}")]),
        ] {
            let params = Params::parse(encoded).unwrap();
            let read: Vec<_> = params.pairs().iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(read, pairs, "{encoded:?}");
        }
    }

    #[test]
    fn there_are_no_more_parameters_than_anybody_needs() {
        let named = |count: usize| (0..count).map(|n| format!("p{n}=")).collect::<Vec<_>>().join("&");
        assert!(Params::parse(named(64).as_bytes()).is_ok());
        for many in [named(65), named(12_500), "resource=https://a.example&".repeat(65)] {
            assert_eq!(Params::parse(many.as_bytes()).unwrap_err(), ParamsError::TooMany);
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let params = Params::parse(b"client_secret=hush").unwrap();
        assert!(!format!("{params:?}").contains("hush"));
    }
}
