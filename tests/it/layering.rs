//! Imports go downwards only, and each strong dependency stays in its room (docs/architecture.md).
//!
//! Reads the sources as tokens: whole `use` statements however rustfmt spreads them, `super` that climbs out of
//! a module, and paths in the middle of code. What stands under `#[cfg(test)]` is free.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each top module, and what of ours it may import. A module that is not listed fails the test.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("config", &["types"]),
    ("crypto", &["types"]),
    ("store", &["types"]),
    ("outgoing", &["types"]),
    ("telemetry", &["types", "config"]),
    ("oauth", &["types", "config", "crypto", "store", "outgoing"]),
    ("account", &["types", "config", "crypto", "store", "outgoing"]),
    ("web", &["types", "config", "crypto", "store", "outgoing", "telemetry", "oauth", "account"]),
    ("jobs", &["types", "config", "crypto", "store", "outgoing", "telemetry", "oauth", "account"]),
    ("app", &["types", "config", "crypto", "store", "outgoing", "telemetry", "oauth", "account", "web", "jobs"]),
    // The example relying party: a stranger to the server that it talks to.
    ("demo", &["types", "crypto"]),
    (
        "cli",
        &[
            "types",
            "config",
            "crypto",
            "store",
            "outgoing",
            "telemetry",
            "oauth",
            "account",
            "web",
            "jobs",
            "app",
            "demo",
        ],
    ),
];

/// The crates that have a room of their own, and the modules that are it.
const ROOMS: &[(&str, &[&str])] = &[
    ("axum", &["web", "app", "demo"]),
    ("tower_sessions", &["web", "app", "demo"]),
    ("axum_server", &["app", "cli", "web::peer"]),
    ("sqlx", &["store"]),
    ("oxide_auth", &["oauth::engine"]),
    ("aws_lc_rs", &["crypto"]),
    ("jsonwebtoken", &["crypto"]),
    ("openidconnect", &["demo", "account::upstream"]),
    ("x509_cert", &["crypto"]),
    ("reqwest", &["outgoing", "demo"]),
    ("lettre", &["outgoing::mail", "config::mail"]),
    ("webauthn_rs", &["account"]),
    ("jsonschema", &["types::authorization_type"]),
];

const LONGEST_FILE: usize = 400;
const LONGEST_GRANT: usize = 220;

#[test]
fn imports_go_downwards_and_crates_stay_in_their_rooms() {
    let sources = sources();
    let grants = grants(&sources);
    let found: Vec<String> = sources.iter().flat_map(|source| source.imports_out_of_place(&grants)).collect();
    assert!(found.is_empty(), "docs/architecture.md, the layer rule:\n{}", found.join("\n"));
}

#[test]
fn files_stay_short_and_finished() {
    let found: Vec<String> =
        sources().iter().flat_map(|source| source.too_long().into_iter().chain(source.unfinished())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// One file of `src`, read.
struct Source {
    /// `oauth::grants::refresh_token`; empty for `lib.rs` and `main.rs`.
    module: Vec<String>,
    file: String,
    text: String,
    /// What is not under `#[cfg(test)]`.
    tokens: Vec<Token>,
    lines_of_tests: usize,
    /// Modules that are declared under `#[cfg(test)]` and live in files of their own.
    test_modules: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// A path in the source, from the root of the crate that it names: `["crate", "store", "Tx"]` or `["sqlx"]`.
struct Import {
    path: Vec<String>,
    line: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).expect("a source file is text");
            Source::new(&file.strip_prefix(&root).expect("it is under src").to_string_lossy(), &text)
        })
        .collect();
    assert!(sources.iter().any(|source| source.module == ["types"]), "the sources are read from the wrong place");
    let tests: BTreeSet<Vec<String>> = sources.iter().flat_map(|source| source.test_modules.clone()).collect();
    sources.into_iter().filter(|source| !tests.iter().any(|test| source.module.starts_with(test))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// The names of the grants, each a file or folder in `oauth/grants`.
fn grants(sources: &[Source]) -> BTreeSet<String> {
    let grant = |source: &Source| source.grant().map(str::to_owned);
    sources.iter().filter_map(grant).collect()
}

impl Source {
    fn new(file: &str, text: &str) -> Self {
        let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod")) || matches!(file, "lib.rs" | "main.rs") {
            module.pop();
        }
        let mut source = Self {
            module,
            file: file.to_owned(),
            text: text.to_owned(),
            tokens: Vec::new(),
            lines_of_tests: 0,
            test_modules: Vec::new(),
        };
        source.set_tests_aside(tokens(text));
        source
    }

    fn set_tests_aside(&mut self, tokens: Vec<Token>) {
        let mut at = 0;
        while at < tokens.len() {
            if !is_test_attribute(&tokens[at..]) {
                self.tokens.push(tokens[at].clone());
                at += 1;
                continue;
            }
            let end = item_end(&tokens, at);
            self.lines_of_tests += tokens[end - 1].line - tokens[at].line + 1;
            let item = &tokens[at..end];
            if let [.., word, name, semicolon] = item
                && word.text == "mod"
                && semicolon.text == ";"
            {
                self.test_modules.push([self.module.clone(), vec![name.text.clone()]].concat());
            }
            at = end;
        }
    }

    fn grant(&self) -> Option<&str> {
        match self.module.as_slice() {
            [oauth, grants, grant, ..] if oauth == "oauth" && grants == "grants" => Some(grant),
            _ => None,
        }
    }

    fn imports_out_of_place(&self, grants: &BTreeSet<String>) -> Vec<String> {
        let complaint = |import: &Import| {
            let why = self.refuse(&import.path, grants)?;
            Some(format!("src/{}:{}: {}: {why}", self.file, import.line, import.path.join("::")))
        };
        imports(&self.tokens, &self.module).iter().filter_map(complaint).collect()
    }

    /// Why this file must not import `path`.
    fn refuse(&self, path: &[String], grants: &BTreeSet<String>) -> Option<String> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some(why) = self.refuse_grant(&path, grants) {
            return Some(why);
        }
        let (head, rest) = path.split_first()?;
        if *head != "crate" {
            let (_, rooms) = ROOMS.iter().find(|(name, _)| name == head)?;
            let here = self.module.join("::");
            let inside = |room: &&str| here == **room || here.starts_with(&format!("{room}::"));
            return (!rooms.iter().any(inside)).then(|| format!("only in {}", rooms.join(", ")));
        }
        let from = self.module.first()?;
        let to = match rest.first() {
            None | Some(&"*" | &"self") => {
                return Some("names the whole crate, which hides what is imported".to_owned());
            }
            Some(to) => *to,
        };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == from) else {
            return Some(format!(
                "`{from}` has no layer: give it one in tests/it/layering.rs and docs/architecture.md"
            ));
        };
        let ours = LAYERS.iter().any(|(name, _)| *name == to);
        // An exported macro or another item of lib.rs: of no layer, so of none below.
        (to != from && !(ours && allowed.contains(&to))).then(|| format!("`{from}` may not import `{to}`"))
    }

    /// Grants share by `issue/`, not by each other.
    fn refuse_grant(&self, path: &[&str], grants: &BTreeSet<String>) -> Option<String> {
        let here = self.grant()?;
        let at = path.iter().position(|segment| *segment == "grants")?;
        match path.get(at + 1) {
            None | Some(&"*" | &"self") => Some("names every grant".to_owned()),
            Some(other) if *other != here && grants.contains(*other) => Some("a grant imports a grant".to_owned()),
            Some(_) => None,
        }
    }

    fn too_long(&self) -> Option<String> {
        let lines = self.text.lines().count() - self.lines_of_tests;
        let limit = if self.grant().is_some() { LONGEST_GRANT } else { LONGEST_FILE };
        (lines > limit).then(|| format!("src/{}: {lines} lines without its tests, of at most {limit}", self.file))
    }

    fn unfinished(&self) -> Vec<String> {
        const MARKS: [&str; 5] = ["todo!", "unimplemented!", "TODO", "FIXME", "XXX"];
        let marked = |line: &str| {
            MARKS.iter().any(|mark| {
                let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                line.match_indices(mark).any(|(at, _)| {
                    let ends_open = !mark.ends_with('!') && word(line[at + mark.len()..].chars().next());
                    !word(line[..at].chars().next_back()) && !ends_open
                })
            })
        };
        let complaint = |(at, line): (usize, &str)| format!("src/{}:{}: left open: {}", self.file, at + 1, line.trim());
        self.text.lines().enumerate().filter(|(_, line)| marked(line)).map(complaint).collect()
    }
}

/// `#[cfg(test)]`, or a `cfg` that needs `test` among others.
fn is_test_attribute(tokens: &[Token]) -> bool {
    let starts =
        |with: &[&str]| tokens.len() >= with.len() && tokens.iter().zip(with).all(|(token, text)| token.text == *text);
    starts(&["#", "[", "cfg", "(", "test", ")", "]"]) || starts(&["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// One past the item that begins at `start`, its attributes included.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    // Attributes first: their brackets close no item.
    while tokens[at].text == "#" {
        at += 1;
        loop {
            match tokens[at].text.as_str() {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
    }
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                // A `use` list and a `const` block are followed by the semicolon that ends the item.
                if depth == 0 && tokens[at].text == "}" && tokens.get(at + 1).is_none_or(|next| next.text != ";") {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Every path that may name something of another module or crate.
fn imports(tokens: &[Token], module: &[String]) -> Vec<Import> {
    let mut found = Vec::new();
    // The modules written inside this file, each with the depth of braces at which it ends.
    let mut inner: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    while at < tokens.len() {
        let line = tokens[at].line;
        match text(at) {
            "mod" if text(at + 2) == "{" => {
                inner.push((text(at + 1).to_owned(), depth));
                depth += 1;
                at += 3;
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inner.pop_if(|(_, outside)| *outside == depth);
            }
            _ => {}
        }
        let here: Vec<String> = module.iter().cloned().chain(inner.iter().map(|(name, _)| name.clone())).collect();
        // `impl Trait + use<'a>` is a bound, not an import.
        if text(at) == "use" && text(at + 1) != "<" {
            let end = (at..tokens.len()).find(|at| text(*at) == ";").unwrap_or(tokens.len());
            let mut paths = Vec::new();
            flatten(&tokens[at + 1..end], &[], &mut paths);
            found.extend(paths.into_iter().map(|path| Import { path: resolve(&path, &here), line }));
            at = end;
        } else if text(at) == "extern" && text(at + 1) == "crate" {
            found.push(Import { path: vec![text(at + 2).to_owned()], line });
            at += 3;
        } else if is_word(text(at)) && text(at + 1) == "::" && !matches!(text(at.wrapping_sub(1)), "." | "::")
            || global(tokens, at)
        {
            let mut path = Vec::new();
            at += usize::from(text(at) == "::");
            while is_word(text(at)) {
                path.push(text(at).to_owned());
                at += 1;
                if text(at) != "::" {
                    break;
                }
                at += 1;
            }
            found.push(Import { path: resolve(&path, &here), line });
            continue;
        }
        at += 1;
    }
    found
}

/// `::sqlx::query`: begins at the `::`, which no path stands before.
fn global(tokens: &[Token], at: usize) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let before = text(at.wrapping_sub(1));
    text(at) == "::" && is_word(text(at + 1)) && !is_word(before) && before != ">"
}

/// `a::{b, c::{self, d as e}}` becomes `a::b`, `a::c::self`, `a::c::d`.
fn flatten(tree: &[Token], prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    for (at, token) in tree.iter().enumerate() {
        match token.text.as_str() {
            "::" | "$" => {}
            "as" => break,
            "{" => {
                for branch in branches(&tree[at + 1..]) {
                    flatten(branch, &path, paths);
                }
                return;
            }
            segment => path.push(segment.to_owned()),
        }
    }
    if path.len() > prefix.len() {
        paths.push(path);
    }
}

/// What stands between the commas of a brace that is already open.
fn branches(tokens: &[Token]) -> Vec<&[Token]> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => {
                found.push(&tokens[start..at]);
                break;
            }
            "}" => depth -= 1,
            "," if depth == 0 => {
                found.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// The path from the root of its crate; `module` is where it was written.
fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    let mut from: Vec<String> = ["crate".to_owned()].into_iter().chain(module.iter().cloned()).collect();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("self") => rest = &path[1..],
        Some("super") => {}
        _ => return path.to_vec(),
    }
    while let [first, others @ ..] = rest
        && first == "super"
    {
        from.pop();
        rest = others;
    }
    from.extend(rest.iter().cloned());
    from
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::`, `..` and single signs; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let begin = at;
        let rest = &text[at..];
        let skipped = comment(rest).or_else(|| string(rest)).or_else(|| quote(rest));
        if let Some(length) = skipped {
            at += length;
        } else if rest[0].is_alphanumeric() || rest[0] == '_' {
            let raw = if rest.starts_with(&['r', '#']) { 2 } else { 0 };
            at += raw + rest[raw..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            found.push(Token { text: text[begin + raw..at].iter().collect(), line });
        } else if rest.starts_with(&[':', ':']) || rest.starts_with(&['.', '.']) {
            at += 2;
            found.push(Token { text: text[begin..at].iter().collect(), line });
        } else {
            at += 1;
            if !rest[0].is_whitespace() {
                found.push(Token { text: rest[0].to_string(), line });
            }
        }
        line += text[begin..at.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// The length of the comment that `text` begins with; block comments nest.
fn comment(text: &[char]) -> Option<usize> {
    if text.starts_with(&['/', '/']) {
        return Some(text.iter().take_while(|c| **c != '\n').count());
    }
    if !text.starts_with(&['/', '*']) {
        return None;
    }
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        if text[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    Some(at)
}

/// The length of the string that `text` begins with: plain, byte, C or raw.
fn string(text: &[char]) -> Option<usize> {
    let prefix = text.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let raw = text[..prefix].contains(&'r');
    let hashes = if raw { text[prefix..].iter().take_while(|c| **c == '#').count() } else { 0 };
    let mut at = prefix + hashes;
    if prefix > 2 || text.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < text.len() {
        if text[at] == '\\' && !raw {
            at += 2;
        } else if text[at] == '"' && text[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(at + 1 + hashes);
        } else {
            at += 1;
        }
    }
    Some(text.len())
}

/// The length of the character or lifetime that `text` begins with.
fn quote(text: &[char]) -> Option<usize> {
    match text {
        ['\'', '\\', _, rest @ ..] => Some(3 + rest.iter().position(|c| *c == '\'')? + 1),
        ['\'', _, '\'', ..] => Some(3),
        ['\'', ..] => Some(1 + text[1..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count()),
        _ => None,
    }
}

mod the_scanner {
    use super::*;

    fn grants() -> BTreeSet<String> {
        ["refresh_token", "client_credentials"].map(str::to_owned).into()
    }

    /// What is wrong with `text` as the file `file`, as the paths that were refused.
    fn refused(file: &str, text: &str) -> Vec<String> {
        let source = Source::new(file, text);
        let refused = |import: &Import| source.refuse(&import.path, &grants()).is_some();
        imports(&source.tokens, &source.module).iter().filter(|i| refused(i)).map(|i| i.path.join("::")).collect()
    }

    #[test]
    fn finds_each_import_that_goes_up_or_sideways_or_leaves_its_room() {
        let cases: &[(&str, &str, &str)] = &[
            // Up and sideways, by every form that an import can take.
            ("types/scope.rs", "use crate::store::Tx;", "crate::store::Tx"),
            ("store/grants.rs", "use crate::config::Config;", "crate::config::Config"),
            ("oauth/token.rs", "use crate::account::Session;", "crate::account::Session"),
            ("web/mod.rs", "pub(crate) use crate::jobs::Jobs;", "crate::jobs::Jobs"),
            ("app.rs", "use crate::cli;", "crate::cli"),
            ("app.rs", "use crate::demo::run;", "crate::demo::run"),
            ("demo/mod.rs", "use crate::oauth::Error;", "crate::oauth::Error"),
            ("store/mod.rs", "use crate::telemetry::count;", "crate::telemetry::count"),
            ("telemetry.rs", "use crate::store::Store;", "crate::store::Store"),
            (
                "types/scope.rs",
                "use crate::{\n    types::Id,\n    store::{\n        Tx,\n    },\n};",
                "crate::store::Tx",
            ),
            ("types/scope.rs", "use {crate::{store::{self as s}}, std::fmt};", "crate::store::self"),
            ("types/scope.rs", "use crate::store::*;", "crate::store::*"),
            ("types/scope.rs", "use crate::r#store::Tx;", "crate::store::Tx"),
            ("types/mod.rs", "use super::store::Tx;", "crate::store::Tx"),
            ("types/scope.rs", "use super::super::{types::Id, store};", "crate::store"),
            ("types/scope.rs", "use super::{super::store::Tx};", "crate::store::Tx"),
            ("types/scope.rs", "use self::super::super::store::Tx;", "crate::store::Tx"),
            ("types/scope.rs", "fn f() -> crate::store::Tx { g() }", "crate::store::Tx"),
            ("types/scope.rs", "fn f() { super::super::store::open() }", "crate::store::open"),
            ("types/scope.rs", "fn f<'a>(x: &'a u8) -> Vec<crate::web::P<'a>> { g('\\'', '\"') }", "crate::web::P"),
            ("types/scope.rs", "fn f() { let x = [0..crate::web::N]; }", "crate::web::N"),
            ("types/scope.rs", "macro_rules! m { () => { $crate::store::open() } }", "crate::store::open"),
            ("types/scope.rs", "macro_rules! m { () => { use $crate::store::open; } }", "crate::store::open"),
            ("types/scope.rs", "mod inner { use super::super::super::store::Tx; }", "crate::store::Tx"),
            ("types/scope.rs", "mod inner { } use super::super::store::Tx;", "crate::store::Tx"),
            ("types/scope.rs", "#[cfg(test)] mod tests { } fn f() { crate::store::open() }", "crate::store::open"),
            ("types/scope.rs", "#[cfg(test)] use a::{b, c}; use crate::store::Tx;", "crate::store::Tx"),
            ("types/scope.rs", "#[cfg(not(test))] use crate::store::Tx;", "crate::store::Tx"),
            ("types/scope.rs", "/* a /* b */ \" */ use crate::store::Tx; // \"", "crate::store::Tx"),
            ("types/scope.rs", "const A: &str = r#\"a\"b\"#; use crate::store::Tx;", "crate::store::Tx"),
            ("newcomer/mod.rs", "use crate::types::Id;", "crate::types::Id"),
            // Names for the whole crate, behind which anything could be imported.
            ("types/scope.rs", "use crate as all;", "crate"),
            ("types/scope.rs", "use crate::*;", "crate::*"),
            ("types/scope.rs", "use crate::{self as all};", "crate::self"),
            ("types/mod.rs", "use super::*;", "crate::*"),
            // Crates outside their rooms.
            ("oauth/token.rs", "use axum::http::Request;", "axum::http::Request"),
            ("oauth/token.rs", "use tower_sessions::Session;", "tower_sessions::Session"),
            ("web/mod.rs", "use axum_server::Handle;", "axum_server::Handle"),
            ("types/fault.rs", "impl From<sqlx::Error> for Fault {}", "sqlx::Error"),
            ("types/fault.rs", "impl From<::sqlx::Error> for Fault {}", "sqlx::Error"),
            ("types/fault.rs", "use sqlx as database;", "sqlx"),
            ("types/fault.rs", "extern crate sqlx;", "sqlx"),
            ("oauth/scope.rs", "use oxide_auth::primitives::scope::Scope;", "oxide_auth::primitives::scope::Scope"),
            ("oauth/engine_room.rs", "use oxide_auth::x;", "oxide_auth::x"),
            ("oauth/keys.rs", "use aws_lc_rs::digest;", "aws_lc_rs::digest"),
            ("oauth/keys.rs", "fn f() { jsonwebtoken::decode(t) }", "jsonwebtoken::decode"),
            ("cli/demo.rs", "use openidconnect::core;", "openidconnect::core"),
            ("jobs/feed.rs", "use reqwest::Client;", "reqwest::Client"),
            // Grants among themselves.
            (
                "oauth/grants/refresh_token.rs",
                "use super::client_credentials::x;",
                "crate::oauth::grants::client_credentials::x",
            ),
            ("oauth/grants/refresh_token.rs", "use super::*;", "crate::oauth::grants::*"),
            ("oauth/grants/refresh_token.rs", "use crate::oauth::grants as g;", "crate::oauth::grants"),
            (
                "oauth/grants/refresh_token.rs",
                "fn f() { grants::client_credentials::x() }",
                "grants::client_credentials::x",
            ),
            (
                "oauth/grants/refresh_token/rules.rs",
                "use super::super::client_credentials;",
                "crate::oauth::grants::client_credentials",
            ),
        ];
        for (file, text, path) in cases {
            assert_eq!(refused(file, text), [*path], "{file}: {text}");
        }
    }

    #[test]
    fn lets_pass_what_goes_downwards_or_is_at_home_or_only_looks_like_an_import() {
        let cases: &[(&str, &str)] = &[
            ("oauth/token.rs", "use crate::{config::Config, crypto, store::{Store, Tx}, types::*};"),
            (
                "oauth/grants/refresh_token.rs",
                "use super::Request; use crate::oauth::{grants::refresh_token::x, issue};",
            ),
            ("oauth/grants/mod.rs", "use self::refresh_token::x; mod client_credentials;"),
            ("oauth/token.rs", "use super::{error::Error, grants::refresh_token}; fn f() { super::metadata::g() }"),
            ("oauth/engine.rs", "use oxide_auth::primitives::scope::Scope;"),
            ("oauth/engine/pkce.rs", "use oxide_auth::x;"),
            ("web/oauth/token.rs", "use axum::Router; use crate::oauth; use super::super::extract;"),
            ("web/mod.rs", "use oauth::token; use crate::telemetry;"),
            ("store/mod.rs", "use sqlx::{PgPool, SqlitePool};"),
            ("cli/mod.rs", "use crate::{app::App, demo}; fn f() { axum_server::bind(a) }"),
            ("lib.rs", "pub use crate::cli::run; pub mod types;"),
            ("main.rs", "use grantor::cli;"),
            ("types/scope.rs", "#[cfg(test)] mod tests { use super::*; use crate::store::Tx; }"),
            ("types/scope.rs", "#[cfg(test)] #[allow(dead_code)] fn f() { crate::store::open() }"),
            ("types/scope.rs", "#[cfg(all(test, unix))] use crate::store::{Tx, Store};"),
            ("types/scope.rs", "mod inner { use super::super::Id; mod more { } use super::x; }"),
            ("types/scope.rs", "// use crate::store::Tx;\n/// [`crate::store`]\n/* use sqlx::x; */ fn f() {}"),
            (
                "types/scope.rs",
                "const A: &str = \"use \\\" crate::store::Tx;\"; const B: &[u8] = br##\"aws_lc_rs::x \"# sqlx::y\"##;",
            ),
            (
                "types/scope.rs",
                "pub(crate) fn f() -> impl Iterator + use<'_> { mysqlx::open(); a.sqlx::<u8>(); sqlx_x::x() }",
            ),
            ("types/scope.rs", "fn f(c: char) -> bool { matches!(c, '\"' | '\\'' | '\\u{7f}' | 'a') && sqlx(c) }"),
        ];
        for (file, text) in cases {
            assert_eq!(refused(file, text), [""; 0], "{file}: {text}");
        }
    }

    #[test]
    fn finds_modules_of_tests_in_files_of_their_own() {
        let source = Source::new("store/mod.rs", "mod grants; #[cfg(test)] mod tests; mod users;");
        assert_eq!(source.test_modules, [["store", "tests"]]);
    }

    #[test]
    fn counts_the_lines_that_are_not_tests() {
        let code = |lines: usize| "fn f() {}\n".repeat(lines);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", code(500));
        let too_long = |file: &str, text: String| Source::new(file, &text).too_long().is_some();

        assert!(!too_long("store/mod.rs", code(400) + &tests));
        assert!(too_long("store/mod.rs", code(401) + &tests));
        assert!(!too_long("oauth/grants/refresh_token.rs", code(220) + &tests));
        assert!(too_long("oauth/grants/refresh_token.rs", code(221)));
    }

    #[test]
    fn finds_what_was_left_open_and_no_word_that_only_contains_it() {
        let open = |text: &str| !Source::new("app.rs", text).unfinished().is_empty();
        for text in ["// TODO: later", "fn f() { todo!() }", "unimplemented!()", "//FIXME", "let x = 1; // XXX"] {
            assert!(open(text), "{text}");
        }
        for text in ["let autodo = todo;", "// MASTODON", "const XXXL: u8 = 1;", "const TODOS: u8 = 2;"] {
            assert!(!open(text), "{text}");
        }
    }
}
