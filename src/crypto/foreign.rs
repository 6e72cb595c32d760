//! Hashes of passwords that other programs made, in the formats of Django, so that its users can come along: each is
//! verified once, and then made anew (`account/sign_in`).
//!
//! They come out of a file, so their costs are bounded: nobody must be able to keep a thread busy for minutes.

use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::hash;

/// A second or two of work on today's machines.
const MOST_ITERATIONS: u32 = 5_000_000;
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 16;
const MOST_BCRYPT_COST: u32 = 14;

/// A hash that is no argon2id of ours.
pub enum Foreign {
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// Of the password itself, or of the SHA-256 of it in hexadecimal.
    Bcrypt {
        text: String,
        of_digest: bool,
    },
}

/// What can be kept of a hash that another program made: as it is, or as one of ours.
///
/// # Errors
/// In words, when it cannot be verified here.
pub fn import(text: &str) -> Result<String, String> {
    if let Some(phc) = text.strip_prefix("argon2$") {
        let phc = format!("${phc}");
        return argon2(&phc).map(|()| phc);
    }
    if text.starts_with("$argon2") {
        return argon2(text).map(|()| text.to_owned());
    }
    Foreign::read(text).map(|_| text.to_owned())
}

fn argon2(phc: &str) -> Result<(), String> {
    let unreadable = || "its argon2 hash cannot be read".to_owned();
    let hash = PasswordHash::new(phc).map_err(|_| unreadable())?;
    argon2::Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| unreadable())?;
    let params = argon2::Params::try_from(&hash).map_err(|_| "its argon2 costs cannot be read".to_owned())?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("its argon2 hash has no salt, or is none".to_owned());
    }
    let bounds = [
        (params.m_cost(), MOST_MEMORY_KIB, "KiB of memory"),
        (params.t_cost(), MOST_PASSES, "passes"),
        (params.p_cost(), MOST_LANES, "lanes"),
    ];
    for (cost, most, what) in bounds {
        bounded(cost, most, what)?;
    }
    Ok(())
}

impl Foreign {
    /// # Errors
    /// In words, when it is of no kind that is known here, is not whole, or costs too much.
    pub fn read(text: &str) -> Result<Self, String> {
        let broken = || "its hash is not whole".to_owned();
        let (name, rest) =
            text.split_once('$').ok_or_else(|| "its hash is of no kind that is known here".to_owned())?;
        let parts: Vec<&str> = rest.split('$').collect();
        match (name, &parts[..]) {
            ("pbkdf2_sha256", [iterations, salt, output]) => {
                Self::pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, (iterations, salt, output))
            }
            ("pbkdf2_sha1", [iterations, salt, output]) => {
                Self::pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, (iterations, salt, output))
            }
            ("scrypt", [n, salt, r, p, output]) => {
                let number = |text: &str| text.parse::<u32>().map_err(|_| broken());
                let (n, r, p) = (number(n)?, number(r)?, number(p)?);
                if !n.is_power_of_two() {
                    return Err(broken());
                }
                let kib = u64::from(n) * u64::from(r) / 8;
                bounded(u32::try_from(kib).unwrap_or(u32::MAX), MOST_MEMORY_KIB, "KiB of memory")?;
                bounded(p, MOST_LANES, "lanes")?;
                let log_n = u8::try_from(n.ilog2()).map_err(|_| broken())?;
                let params = scrypt::Params::new(log_n, r, p).map_err(|_| broken())?;
                let output = STANDARD.decode(output).map_err(|_| broken())?;
                if !(32..=64).contains(&output.len()) {
                    return Err(broken());
                }
                Ok(Self::Scrypt { params, salt: salt.as_bytes().to_vec(), output })
            }
            ("bcrypt" | "bcrypt_sha256", _) => {
                let parts: bcrypt::HashParts = rest.parse().map_err(|_| broken())?;
                bounded(parts.get_cost(), MOST_BCRYPT_COST, "as its cost")?;
                Ok(Self::Bcrypt { text: rest.to_owned(), of_digest: name == "bcrypt_sha256" })
            }
            ("pbkdf2_sha256" | "pbkdf2_sha1" | "scrypt", _) => Err(broken()),
            (other, _) => Err(format!("hashes of the kind {other:?} are not known here, or too weak")),
        }
    }

    fn pbkdf2(algorithm: pbkdf2::Algorithm, (iterations, salt, output): (&str, &str, &str)) -> Result<Self, String> {
        let broken = || "its hash is not whole".to_owned();
        let iterations: NonZeroU32 = iterations.parse().map_err(|_| broken())?;
        bounded(iterations.get(), MOST_ITERATIONS, "iterations")?;
        let output = STANDARD.decode(output).map_err(|_| broken())?;
        if !(20..=64).contains(&output.len()) {
            return Err(broken());
        }
        Ok(Self::Pbkdf2 { algorithm, iterations, salt: salt.as_bytes().to_vec(), output })
    }

    /// Whether it is the hash of this password: in a time that depends on its costs alone.
    pub fn matches(&self, password: &SecretString) -> bool {
        let password = password.expose_secret().as_bytes();
        match self {
            Self::Pbkdf2 { algorithm, iterations, salt, output } => {
                pbkdf2::verify(*algorithm, *iterations, salt, password, output).is_ok()
            }
            Self::Scrypt { params, salt, output } => {
                let mut own = Zeroizing::new(vec![0; output.len()]);
                scrypt::scrypt(password, salt, params, &mut own).is_ok() && hash::equal(&own, output)
            }
            Self::Bcrypt { text, of_digest: false } => bcrypt::verify(password, text).unwrap_or(false),
            Self::Bcrypt { text, of_digest: true } => {
                let digest = hash::sha256(password);
                let digest: Zeroizing<String> =
                    Zeroizing::new(digest.iter().map(|byte| format!("{byte:02x}")).collect());
                bcrypt::verify(digest.as_bytes(), text).unwrap_or(false)
            }
        }
    }
}

fn bounded(cost: u32, most: u32, what: &str) -> Result<(), String> {
    if cost <= most {
        Ok(())
    } else {
        Err(format!("its hash takes {cost} {what}: more than {most} are not computed here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "engines that weave algebra, ü";

    /// As Django 5.2 made them of `PASSWORD`; argon2 is in `crypto/password.rs`.
    const MADE: [&str; 5] = [
        "pbkdf2_sha256$1000000$NaClNaClNaClNaCl$D63zWuDS62ByuTq9jQr2STEJEqtYzFS1SvHSmhCkMdQ=",
        "pbkdf2_sha1$1000000$NaClNaClNaClNaCl$SbLAvf8roo8XC8Z4abPp/vj1nYE=",
        "scrypt$16384$NaClNaClNaClNaCl$8$5$E0tXbSdY+CKYsYjU50ibwAbDX8H4LzLiFdbP24zn0jX28V18cgQQpFUE+6VD5dxl7bKyV69FwA906xKVLl/Cjw==",
        "bcrypt_sha256$$2b$12$bpIHxDffn871h.RQy6KnKumphqv9kL2ushAGNWPV7qvoiljuirgtO",
        "bcrypt$$2b$12$7fb5eWNilWVLDJysCKna.eazDdb8arxAzW0odjNYs4DYuA05r36u.",
    ];

    #[test]
    fn what_django_made_is_verified() {
        for text in MADE {
            let hash = Foreign::read(text).unwrap();
            assert!(hash.matches(&PASSWORD.into()), "{text}");
            assert!(!hash.matches(&"engines that weave algebra, u".into()), "{text}");
            assert_eq!(import(text).unwrap(), text);
        }
        let argon2 =
            "argon2$argon2id$v=19$m=102400,t=2,p=8$TmFDbE5hQ2xOYUNsTmFDbA$3zEbqJ2ARK5oMT4Px5/56ajrAI6jGmiVioxO69ZmbBk";
        assert_eq!(import(argon2).unwrap(), argon2.strip_prefix("argon2").unwrap());
    }

    #[test]
    fn what_cannot_be_verified_or_takes_too_long_is_refused() {
        for (text, words) in [
            ("", "no kind that is known"),
            ("plain text", "no kind that is known"),
            ("md5$NaCl$d50b9ce14d81455c769d8d8988c01380", "\"md5\""),
            ("unsalted_sha1$$aaaa", "\"unsalted_sha1\""),
            ("pbkdf2_sha256$1000$NaCl", "not whole"),
            ("pbkdf2_sha256$0$NaCl$D63zWuDS62ByuTq9jQr2STEJEqtYzFS1SvHSmhCkMdQ=", "not whole"),
            ("pbkdf2_sha256$x$NaCl$D63zWuDS62ByuTq9jQr2STEJEqtYzFS1SvHSmhCkMdQ=", "not whole"),
            ("pbkdf2_sha256$1000$NaCl$!", "not whole"),
            ("pbkdf2_sha256$1000$NaCl$AAAA", "not whole"),
            ("pbkdf2_sha256$999999999$NaCl$D63zWuDS62ByuTq9jQr2STEJEqtYzFS1SvHSmhCkMdQ=", "iterations"),
            ("scrypt$16383$NaCl$8$5$E0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdY", "not whole"),
            ("scrypt$1073741824$NaCl$8$5$E0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdY", "memory"),
            ("scrypt$16384$NaCl$8$99$E0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdYE0tXbSdY", "lanes"),
            ("bcrypt$$2b$20$7fb5eWNilWVLDJysCKna.eazDdb8arxAzW0odjNYs4DYuA05r36u.", "as its cost"),
            ("bcrypt$$2b$12$short", "not whole"),
            (
                "argon2$argon2id$v=19$m=99999999,t=2,p=8$TmFDbE5hQ2xOYUNsTmFDbA$3zEbqJ2ARK5oMT4Px5/56ajrAI6jGmiVioxO69ZmbBk",
                "memory",
            ),
            ("argon2$argon2id$v=19$m=1024,t=2,p=1$TmFDbE5hQ2xOYUNsTmFDbA", "no salt"),
            ("argon2$nonsense", "cannot be read"),
        ] {
            let refused = import(text).expect_err(text);
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
