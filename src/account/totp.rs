//! Codes of authenticator apps (RFC 6238): SHA-1, six digits, 30 seconds (ASVS 6.5.5), which is what every app can do.

use secrecy::SecretString;
use totp_rs::{Builder, Secret, Totp, TotpError};
use zeroize::Zeroizing;

use crate::crypto::{Random, random};
use crate::types::{Fault, Timestamp};

/// What app and server share: 160 bits, as RFC 4226 §4 recommends.
pub struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    pub fn new(rng: &dyn Random) -> Self {
        Self(Zeroizing::new(random::bytes::<20>(rng).to_vec()))
    }

    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What is typed into an app that cannot take a picture, in groups of four.
    pub fn text(&self) -> SecretString {
        grouped(&base32(&self.0), 4, ' ').into()
    }

    /// What a picture of it says (the de facto Key URI Format).
    ///
    /// # Errors
    /// When the engine refuses, which it does not.
    pub fn uri(&self, site: &str, username: &str) -> Result<SecretString, Fault> {
        // A colon parts the two.
        let plain = |text: &str| text.replace(':', " ");
        let totp = Builder::new().with_issuer(Some(plain(site))).with_account_name(plain(username));
        let totp = self.with(totp).map_err(Fault::internal)?;
        Ok(totp.to_url().map_err(Fault::internal)?.into())
    }

    /// The time step of a code, if it is that of now, of the one before or of the next (RFC 6238 §5.2).
    ///
    /// # Errors
    /// When the engine refuses, which it does not.
    pub fn step_of(&self, code: &str, now: Timestamp) -> Result<Option<i64>, Fault> {
        let totp = self.with(Builder::new()).map_err(Fault::internal)?;
        let step = totp.check(code, u64::try_from(now.secs()).unwrap_or(0));
        Ok(step.and_then(|step| i64::try_from(step).ok()))
    }

    fn with(&self, builder: Builder) -> Result<Totp, TotpError> {
        builder.with_secret(Secret::from(self.0.to_vec())).build()
    }
}

/// RFC 4648 §6, without padding: letters and digits that nobody takes for one another.
pub fn base32(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(Secret::from(bytes.to_vec()).to_base32().to_lowercase())
}

/// In groups of so many, for people.
pub fn grouped(text: &str, size: usize, between: char) -> String {
    let mut grouped = String::with_capacity(text.len() * 2);
    for (at, letter) in text.chars().enumerate() {
        if at > 0 && at % size == 0 {
            grouped.push(between);
        }
        grouped.push(letter);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// RFC 6238 appendix B: the ASCII digits, twice.
    fn seed() -> Seed {
        Seed::from_bytes(Zeroizing::new(b"12345678901234567890".to_vec()))
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        // Appendix B has eight digits of each; six are the last six of them.
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(seed().step_of(code, Timestamp::from_secs(at)).unwrap(), Some(at / 30), "{at}");
        }
    }

    #[test]
    fn the_clock_of_the_app_may_be_one_step_off_and_no_more() {
        let at = |secs| seed().step_of("081804", Timestamp::from_secs(secs)).unwrap();
        let step = 1_111_111_109 / 30;
        for secs in [step * 30 - 30, step * 30, step * 30 + 59] {
            assert_eq!(at(secs), Some(step), "{secs}");
        }
        for secs in [step * 30 - 31, step * 30 + 60] {
            assert_eq!(at(secs), None, "{secs}");
        }
        for code in ["", "81804", "0081804", "08180a", "０８１８０４", "081804\0"] {
            assert_eq!(seed().step_of(code, Timestamp::from_secs(step * 30)).unwrap(), None, "{code:?}");
        }
    }

    #[test]
    fn an_app_is_told_whose_code_it_is() {
        let uri = seed().uri("Acme: Sign-in", "zoë:1").unwrap();
        assert_eq!(
            uri.expose_secret(),
            "otpauth://totp/Acme%20%20Sign-in:zo%C3%AB%201?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%20Sign-in"
        );
        assert_eq!(seed().text().expose_secret(), "gezd gnbv gy3t qojq gezd gnbv gy3t qojq");
    }
}
