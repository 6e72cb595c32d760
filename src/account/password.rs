//! Which passwords are accepted (ASVS 5.0 V6.2, NIST SP 800-63B §3.1.1.2). How they are hashed is `crypto::password`.
//!
//! Length, and that nobody would guess it; no rules of composition, no expiry (ASVS 6.2.5, 6.2.10). A password is
//! judged exactly as it was typed; only to compare it with what attackers try first, its case is left out.

use std::path::Path;

use anyhow::Context as _;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;

/// More bytes than anybody types, and few enough that hashing them cannot be abused (ASVS 6.2.9).
const MAX_BYTES: usize = 1_024;

/// The passwords that are tried first. Their source and licences are told in `common_passwords.md`.
const COMMON: &str = include_str!("common_passwords.txt");

/// What a new password must be.
pub struct PasswordRules {
    min_length: usize,
    common: SortedLines<&'static str>,
    /// `password.blocklist`.
    blocklist: SortedLines<Box<str>>,
    /// Product and organisation.
    words: Vec<String>,
}

/// Why a password is not accepted, in words for the one who chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    #[error("the password must have at least {least} characters")]
    TooShort { least: usize },
    #[error("the password must have at most {MAX_BYTES} bytes")]
    TooLong,
    #[error("the password is one of those that are tried first: choose one that nobody else uses")]
    Common,
    #[error("the password must not be made of your own name, your address or the name of this service")]
    Context,
}

impl PasswordRules {
    /// # Errors
    /// When `password.blocklist` cannot be read.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let blocklist = match &config.password.blocklist {
            Some(path) => SortedLines::read(path)?,
            None => SortedLines(String::new().into()),
        };
        let own = ["grantor".to_owned(), config.server.name.clone()];
        Ok(Self {
            min_length: config.password.min_length,
            common: SortedLines(COMMON),
            blocklist,
            words: config.password.context_words.iter().cloned().chain(own).collect(),
        })
    }

    /// Judges a new password; `context` is what is known of its user: username, local part of the address, name.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, password: &SecretString, context: &[&str]) -> Result<(), PasswordProblem> {
        let password = password.expose_secret();
        if password.len() > MAX_BYTES {
            return Err(PasswordProblem::TooLong);
        }
        if password.chars().count() < self.min_length {
            return Err(PasswordProblem::TooShort { least: self.min_length });
        }
        let lower = password.to_lowercase();
        if self.common.contains(&lower) || self.blocklist.contains(&lower) {
            return Err(PasswordProblem::Common);
        }
        let mut words = self.words.iter().map(String::as_str).chain(context.iter().copied());
        if words.any(|word| is_made_of(&lower, word)) { Err(PasswordProblem::Context) } else { Ok(()) }
    }
}

/// Whether a password is nothing but a word, or one of the parts of a word like `ada.lovelace`, with digits and
/// punctuation strewn in: both have the same letters in the same order. A word without letters is compared as it is.
fn is_made_of(password: &str, word: &str) -> bool {
    let word = word.to_lowercase();
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let own = letters(password);
    // Of a single letter it cannot be said that anything is made of it.
    let spells = |part: &str| part.chars().nth(1).is_some() && own == part;
    password == word || spells(&letters(&word)) || word.split(|c: char| !c.is_alphabetic()).any(spells)
}

/// Words in lower case, one a line, sorted by their bytes: searched where they lie, so that a list costs no more
/// memory than its text, and the built-in one none that the system cannot take back.
struct SortedLines<T>(T);

impl SortedLines<Box<str>> {
    /// A file of passwords, one a line, in any order. What is not UTF-8 in it cannot be typed either.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("password.blocklist: the file {} cannot be read", path.display()))?;
        let text = String::from_utf8_lossy(&text).to_lowercase();
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        lines.sort_unstable();
        lines.dedup();
        Ok(Self(lines.join("\n").into()))
    }
}

impl<T: AsRef<str>> SortedLines<T> {
    fn contains(&self, word: &str) -> bool {
        let lines = self.0.as_ref().as_bytes();
        let is_end = |byte: &u8| *byte == b'\n';
        let (mut low, mut high) = (0, lines.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start = lines[low..middle].iter().rposition(is_end).map_or(low, |at| low + at + 1);
            let end = lines[middle..high].iter().position(is_end).map_or(high, |at| middle + at);
            match lines[start..end].cmp(word.as_bytes()) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = end + 1,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str) -> PasswordRules {
        PasswordRules::new(&Config::parse(toml).unwrap()).unwrap()
    }

    fn check(rules: &PasswordRules, password: &str) -> Result<(), PasswordProblem> {
        rules.check(&password.into(), &["ada.lovelace", "Countess Ada", "x", "1815121019"])
    }

    const ACME: &str = "[server]\nname = \"Acme Sign-in\"\n[password]\ncontext_words = [\"Rocket Skates\"]\n";

    #[test]
    fn a_password_that_nobody_would_guess_is_accepted_whatever_it_is_made_of() {
        let rules = rules(ACME);
        let longest = "ab ".repeat(341);
        for password in [
            "correct horse battery staple",
            "            ",
            " leading and trailing ",
            "пароль из слов",
            "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀",
            "ada lovelace likes engines",
            "83947x2093847",
            "a\0b\nc\td e f g h",
            &longest,
        ] {
            assert_eq!(check(&rules, password), Ok(()), "{password:?}");
        }
    }

    #[test]
    fn a_password_that_is_tried_first_is_refused() {
        use PasswordProblem::{Common, Context, TooLong, TooShort};
        let rules = rules(ACME);
        let long = "x".repeat(1_025);
        for (password, problem) in [
            ("", TooShort { least: 12 }),
            ("elevenchars", TooShort { least: 12 }),
            // Characters count, not bytes.
            ("üüüüüüüüüüü", TooShort { least: 12 }),
            (&long, TooLong),
            ("123456789012", Common),
            ("1Q2w3E4r5T6y", Common),
            ("Administrator", Common),
            ("PASSWORDPASSWORD", Common),
            ("ada.lovelace", Context),
            ("Lovelace1815", Context),
            ("!!!ADA!!!1815", Context),
            ("countess-ada", Context),
            ("Countess#2026", Context),
            ("grantor12345", Context),
            ("G.r.a.n.t.o.r", Context),
            ("Acme-Sign-in", Context),
            ("acme20262026", Context),
            ("rocketskates", Context),
        ] {
            assert_eq!(check(&rules, password), Err(problem), "{password:?}");
        }
        assert_eq!(rules.check(&"1815-12-10-19".into(), &["1815-12-10-19"]), Err(Context));
    }

    #[test]
    fn the_shortest_password_is_a_setting() {
        let rules = rules("[password]\nmin_length = 8\n");
        assert_eq!(check(&rules, "jL5-kwz2"), Ok(()));
        assert_eq!(check(&rules, "jL5-kwz"), Err(PasswordProblem::TooShort { least: 8 }));
        assert_eq!(check(&rules, "iloveyou"), Err(PasswordProblem::Common));
    }

    #[test]
    fn a_file_of_refused_passwords_is_read_beside_the_built_in_list() {
        let file = std::env::temp_dir().join(format!("grantor-blocklist-{}", std::process::id()));
        std::fs::write(&file, b"Zephyr of Tuesdays\r\n\n#leaked in 2025\n\xffnot utf-8 at all\nabsinthe on rye\n")
            .unwrap();
        let config = format!("[password]\nblocklist = {:?}\n", file.to_str().unwrap());
        let rules = rules(&config);
        std::fs::remove_file(&file).unwrap();
        for password in ["zephyr OF tuesdays", "#leaked in 2025", "Absinthe on rye", "123456789012"] {
            assert_eq!(check(&rules, password), Err(PasswordProblem::Common), "{password}");
        }
        assert_eq!(check(&rules, "zephyr of mondays"), Ok(()));

        let why = PasswordRules::new(&Config::parse(&config).unwrap()).err().unwrap();
        assert!(format!("{why:#}").contains(file.to_str().unwrap()), "{why:#}");
    }

    #[test]
    fn the_built_in_list_is_long_enough_sorted_and_found_whole() {
        let lines: Vec<&str> = COMMON.lines().collect();
        let sorted = |pair: &[&str]| pair[0] < pair[1];
        assert!(lines.windows(2).all(sorted));
        assert!(lines.iter().all(|line| line.len() >= 8 && *line == line.to_lowercase()));
        // ASVS 6.2.4: at least 3,000 that pass the rule of length, the default one too.
        assert!(lines.iter().filter(|line| line.len() >= 12).count() >= 3_000);

        let list = SortedLines(COMMON);
        for line in &lines {
            assert!(list.contains(line), "{line}");
            assert!(!list.contains(&line[..line.len() - 1]) || lines.contains(&&line[..line.len() - 1]), "{line}");
        }
        for other in ["", "\n", "!", "~~~~~~~~~~~~", "password\n", "not in the list"] {
            assert!(!list.contains(other), "{other:?}");
        }
        assert!(!SortedLines("").contains(""));
        assert!(SortedLines("a\nb").contains("b") && SortedLines("a").contains("a"));
    }
}
