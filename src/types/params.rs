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
        check_percents(encoded)?;
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            // form_urlencoded puts U+FFFD where the bytes were not UTF-8.
            if name.contains('\u{FFFD}') || value.contains('\u{FFFD}') {
                return Err(ParamsError::NotUtf8);
            }
            if name.contains('\0') || value.contains('\0') {
                return Err(ParamsError::Nul);
            }
            let may_repeat = matches!(&*name, "resource" | "audience");
            if !may_repeat && params.iter().any(|(seen, _)| *seen == name) {
                return Err(ParamsError::Repeated(name.chars().take(64).collect()));
            }
            if params.len() == MOST {
                return Err(ParamsError::TooMany);
            }
            params.push((name.into_owned(), value.into_owned()));
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

    /// Takes the pairs out, for the store.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }
}

fn check_percents(encoded: &[u8]) -> Result<(), ParamsError> {
    let mut rest = encoded;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return Err(ParamsError::BadEncoding),
        }
    }
    Ok(())
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
            (b"a=%00", ParamsError::Nul),
            (b"a=%4", ParamsError::BadEncoding),
            (b"a=%zz", ParamsError::BadEncoding),
            ("a=ü".as_bytes(), ParamsError::BadEncoding),
        ] {
            assert_eq!(Params::parse(body).unwrap_err(), error, "{body:?}");
        }
        assert!(Params::parse(b"resource=https://a.example&resource=https://b.example").is_ok());
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
