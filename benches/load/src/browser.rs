//! What a person's browser does, as far as signing in needs it: cookies, redirects, and the forms on the way.

use anyhow::{Context as _, bail};
use url::Url;

use crate::http::{Answer, Connection};
use crate::target::User;

/// More pages than any sign-in has.
const MAX_STEPS: usize = 20;

#[derive(Default)]
pub struct Browser {
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl Browser {
    /// Keeps the cookies that an answer sets, and drops those that it takes away; `false` if it did neither.
    pub fn remember(&mut self, answer: &Answer<'_>) -> bool {
        let mut changed = false;
        for header in answer.headers("set-cookie") {
            changed = true;
            self.set(header);
        }
        changed
    }

    pub fn set(&mut self, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (mut path, mut gone) = ("/", false);
        for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
            match attribute.to_ascii_lowercase().as_str() {
                "path" => path = value,
                "max-age" => gone |= value == "0" || value.starts_with('-'),
                "expires" => gone |= value.contains(" 1970 ") || value.contains("-1970 "),
                _ => {}
            }
        }
        self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
        if !gone {
            self.cookies.push(Cookie { name: name.into(), value: value.into(), path: path.into() });
        }
    }

    /// The header's value for a path.
    pub fn cookies(&self, path: &str) -> String {
        let matching = self.cookies.iter().filter(|cookie| {
            let rest = path.strip_prefix(cookie.path.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        });
        matching.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    pub async fn get<'c>(&mut self, connection: &'c mut Connection, url: &Url) -> anyhow::Result<Answer<'c>> {
        let request = format!("GET {} HTTP/1.1\r\n{}\r\n", target(url), self.headers(url));
        let answer = connection.send(request.as_bytes()).await?;
        self.remember(&answer);
        Ok(answer)
    }

    pub async fn post<'c>(&mut self, connection: &'c mut Connection, form: &Filled) -> anyhow::Result<Answer<'c>> {
        let Filled { action, body } = form;
        let origin = action.origin().ascii_serialization();
        let request = format!(
            "POST {} HTTP/1.1\r\n{}origin: {origin}\r\nreferer: {action}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            target(action),
            self.headers(action),
            body.len()
        );
        let answer = connection.send(request.as_bytes()).await?;
        self.remember(&answer);
        Ok(answer)
    }

    fn headers(&self, url: &Url) -> String {
        let (host, cookies) = (host(url), self.cookies(url.path()));
        let cookies = if cookies.is_empty() { cookies } else { format!("cookie: {cookies}\r\n") };
        format!("host: {host}\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\naccept: text/html\r\n{cookies}")
    }

    /// Goes from page to page, filling in what is asked, until it is sent to an address that begins with `end`.
    pub async fn go(
        &mut self,
        connection: &mut Connection,
        start: Url,
        end: &str,
        user: &User,
    ) -> anyhow::Result<String> {
        let mut url = start;
        let mut form: Option<Filled> = None;
        for _ in 0..MAX_STEPS {
            let answer = match form.take() {
                Some(form) => {
                    let answer = self.post(connection, &form).await?;
                    url = form.action;
                    answer
                }
                None => self.get(connection, &url).await?,
            };
            if let Some(location) = answer.header("location") {
                if location.starts_with(end) {
                    return Ok(location.to_owned());
                }
                url = url.join(location)?;
                continue;
            }
            if answer.status != 200 {
                bail!("{} answered {}: {}", url.path(), answer.status, answer.excerpt());
            }
            form = Some(fill(answer.text(), &url, user).with_context(|| format!("no form at {}", url.path()))?);
        }
        bail!("no end after {MAX_STEPS} pages; the last was {}", url.path())
    }
}

/// What stands in the request line.
pub fn target(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

pub fn host(url: &Url) -> &str {
    &url[url::Position::BeforeHost..url::Position::AfterPort]
}

/// A form, ready to be sent.
#[derive(Debug)]
pub struct Filled {
    pub action: Url,
    pub body: String,
}

/// Fills in the first form that is posted. Of its buttons the last is the one that goes on: "allow" stands after "deny".
pub fn fill(page: &str, at: &Url, user: &User) -> Option<Filled> {
    let mut tags = Tags(page);
    let form = tags.find(|tag| tag.name == "form" && tag.attribute("method").eq_ignore_ascii_case("post"))?;
    let action = match form.attribute("action") {
        action if action.is_empty() => at.clone(),
        action => at.join(&action).ok()?,
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut button = None;
    for tag in tags.take_while(|tag| tag.name != "/form") {
        if !["input", "button"].contains(&tag.name) || !tag.attribute("form").is_empty() {
            continue;
        }
        let (name, value) = (tag.attribute("name"), tag.attribute("value"));
        match tag.attribute("type").as_str() {
            "submit" => button = Some((name, value)),
            "" if tag.name == "button" => button = Some((name, value)),
            "checkbox" | "radio" | "button" | "reset" | "file" => {}
            "hidden" => fields.push((name, value)),
            "password" => fields.push((name, user.password.clone())),
            _ => fields.push((name, user.name.clone())),
        }
    }
    fields.extend(button);
    fields.retain(|(name, _)| !name.is_empty());
    Some(Filled { action, body: form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish() })
}

/// The tags of a page, one after the other.
struct Tags<'a>(&'a str);

struct Tag<'a> {
    name: &'a str,
    rest: &'a str,
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let (_, after) = self.0.split_once('<')?;
        // A '>' may stand within quotes.
        let mut quote = None;
        let end = after.find(|c| match (quote, c) {
            (None, '>') => true,
            (None, '"' | '\'') => {
                quote = Some(c);
                false
            }
            (Some(open), c) => {
                if open == c {
                    quote = None;
                }
                false
            }
            _ => false,
        })?;
        self.0 = &after[end + 1..];
        let tag = after[..end].trim_end_matches('/');
        let (name, rest) = tag.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((tag, ""));
        Some(Tag { name, rest })
    }
}

impl Tag<'_> {
    /// Its value; empty if it is not there.
    fn attribute(&self, name: &str) -> String {
        let mut rest = self.rest.trim_start();
        while !rest.is_empty() {
            let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
            let found = &rest[..end];
            rest = rest[end..].trim_start();
            let mut value = "";
            if let Some(after) = rest.strip_prefix('=') {
                let after = after.trim_start();
                let (read, left) = match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                    _ => after.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((after, "")),
                };
                (value, rest) = (read, left.trim_start());
            }
            if found.eq_ignore_ascii_case(name) {
                return unescape(value);
            }
        }
        String::new()
    }
}

fn unescape(text: &str) -> String {
    text.replace("&#38;", "&").replace("&#34;", "\"").replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(page: &str) -> (String, String) {
        let at = Url::parse("http://localhost:1/a/sign-in?x=1").unwrap();
        let form = fill(page, &at, &User { name: "ada".into(), password: "a b".into() }).unwrap();
        (form.action.to_string(), form.body)
    }

    #[test]
    fn a_form_is_filled_in_and_its_last_button_pressed() {
        let sign_in = r#"<form method="post" action="/sign-in"><input type="hidden" name="csrf" value="t&#38;k">
            <input name="username" type="text" value="" required> <input name="password" type="password">
            <button form="cancel" name="decision" value="cancel">Cancel</button><button type="submit">Go</button></form>
            <form id="cancel" method="post"><input type="hidden" name="other" value="1"></form>"#;
        assert_eq!(
            filled(sign_in),
            ("http://localhost:1/sign-in".into(), "csrf=t%26k&username=ada&password=a+b".into())
        );

        let consent = r#"<form method=get><input name=q></form><form method='POST'><input type='checkbox' name='c'/>
            <button name="decision" value="deny">No > never</button><button name="decision" value="allow">Yes</button>
            </form>"#;
        assert_eq!(filled(consent), ("http://localhost:1/a/sign-in?x=1".into(), "decision=allow".into()));
    }

    #[test]
    fn a_page_without_a_form_has_none() {
        let at = Url::parse("http://localhost:1/").unwrap();
        assert!(fill("<p>hello</p><form method=get></form>", &at, &User::default()).is_none());
    }

    #[test]
    fn a_cookie_goes_where_its_path_says_until_it_is_taken_away() {
        let mut browser = Browser::default();
        browser.set("a=1; Path=/; HttpOnly");
        browser.set("b=2; path=/interaction/x; Max-Age=60");
        assert_eq!(browser.cookies("/interaction/x/login"), "a=1; b=2");
        assert_eq!(browser.cookies("/interaction/xy"), "a=1");
        browser.set("a=3; Path=/");
        browser.set("b=; path=/interaction/x; expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(browser.cookies("/interaction/x"), "a=3");
    }
}
