//! What others sign, encrypt and forge: vectors in the format of Wycheproof (`json_web_signature_test.json`,
//! `json_web_encryption_test.json`).
//!
//! Those in `tests/vectors` always run; a folder that `GRANTOR_TEST_VECTORS` names does too, such as Wycheproof's own.

use std::fs;
use std::path::{Path, PathBuf};

use grantor::crypto::JwkSet;
use grantor::crypto::jws::Unverified;
use grantor::types::Algorithm;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::jwe;

#[derive(Deserialize)]
struct File {
    algorithm: String,
    #[serde(rename = "testGroups")]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    public: Value,
    #[serde(default)]
    private: Value,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "tcId")]
    id: u64,
    comment: String,
    #[serde(default)]
    jws: Value,
    #[serde(default)]
    jwe: Value,
    #[serde(default)]
    pt: String,
    result: String,
}

/// What clients may sign with; the rest of what the format knows is nobody's here.
const TAKEN: [Algorithm; 5] =
    [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa];

#[test]
fn signatures_are_believed_as_the_vectors_say() {
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for (path, file) in vectors("JsonWebSignature") {
        for group in &file.groups {
            // A key that is not taken at all, as one for a secret, verifies nothing.
            let keys = JwkSet::from_value(&json!({ "keys": [group.public] })).unwrap_or_default();
            for case in &group.tests {
                let believed = case.jws.as_str().is_some_and(|token| is_believed(token, &keys));
                if believed {
                    accepted += 1
                } else {
                    refused += 1
                }
                // `acceptable` may be either; what is valid by an algorithm that is not taken is refused.
                let is_right = match case.result.as_str() {
                    "valid" => believed || !is_for_us(&group.public),
                    "invalid" => !believed,
                    _ => true,
                };
                if !is_right {
                    wrong.push(format!("{}: {} ({}) is {}", path.display(), case.id, case.comment, case.result));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted >= 15 && refused >= 60, "{accepted} accepted, {refused} refused");
}

/// We encrypt and never decrypt, so this is about the reader that the other tests have. Wycheproof's own are of
/// algorithms, too, that are not offered here: what it cannot read at all is passed over.
#[test]
fn what_is_encrypted_is_read_as_the_vectors_say() {
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for (path, file) in vectors("JsonWebEncryption") {
        for (group, case) in file.groups.iter().flat_map(|group| group.tests.iter().map(move |case| (group, case))) {
            let Some(token) = case.jwe.as_str() else { continue };
            let plain = jwe::decrypt(&group.private, token);
            let is_right = match (&plain, case.result.as_str()) {
                (Some(plain), "valid") => hex(plain) == case.pt,
                (Some(_), _) => case.result != "invalid",
                (None, "valid") => !path.starts_with(env!("CARGO_MANIFEST_DIR")),
                (None, _) => true,
            };
            if plain.is_some() {
                accepted += 1
            } else {
                refused += 1
            }
            if !is_right {
                wrong.push(format!("{}: {} ({}) is {}", path.display(), case.id, case.comment, case.result));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted >= 15 && refused >= 60, "{accepted} accepted, {refused} refused");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_believed(token: &str, keys: &JwkSet) -> bool {
    Unverified::parse(token, &TAKEN).is_ok_and(|token| token.verify_signature(keys.keys()).is_ok())
}

/// Whether signatures by this key are taken: by its `alg`, and by its size.
fn is_for_us(key: &Value) -> bool {
    let taken = key["alg"].as_str().is_none_or(|alg| TAKEN.iter().any(|known| known.as_str() == alg));
    taken && JwkSet::from_value(&json!({ "keys": [key] })).is_ok_and(|set| !set.keys().is_empty())
}

/// The files that are about this.
fn vectors(algorithm: &str) -> Vec<(PathBuf, File)> {
    let mut files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"));
    if let Some(more) = std::env::var_os("GRANTOR_TEST_VECTORS") {
        files.extend(self::files(Path::new(&more)));
    }
    let read = |path: PathBuf| {
        let file = serde_json::from_slice::<File>(&fs::read(&path).unwrap()).ok()?;
        (file.algorithm == algorithm).then_some((path, file))
    };
    files.into_iter().filter_map(read).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}
