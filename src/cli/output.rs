//! How things are printed: tables for people, JSON for programs.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::types::Timestamp;

/// Rows under their headings, each column as wide as its widest cell.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = line(&headings, &widths);
    for row in rows {
        text += &line(&row.each_ref().map(String::as_str), &widths);
    }
    text
}

/// Named values, one a line and aligned; those without a value are left out.
pub fn fields(fields: &[(&str, String)]) -> String {
    let shown = || fields.iter().filter(|(_, value)| !value.is_empty());
    let width = shown().map(|(name, _)| name.len()).max().unwrap_or(0);
    shown()
        .map(|(name, value)| line(&[name, &value.replace('\n', &format!("\n{:width$}  ", ""))], &[width, 0]))
        .collect()
}

fn line(cells: &[&str], widths: &[usize]) -> String {
    let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

pub fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// As people and programs read it: `2026-01-31T12:00:00Z`.
pub fn instant(at: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at.secs()).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

pub fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["ü".into(), "b".into()], ["long".into(), String::new()]];
        assert_eq!(table(["ID", "NAME"], &rows), "ID    NAME\nü     b\nlong\n");
    }

    #[test]
    fn values_of_several_lines_stay_in_their_column() {
        let text = fields(&[("id", "web".into()), ("client name", String::new()), ("uris", "a\nb".into())]);
        assert_eq!(text, "id    web\nuris  a\n      b\n");
    }

    #[test]
    fn an_instant_is_told_in_utc() {
        assert_eq!(instant(Timestamp::from_secs(951_782_400)), "2000-02-29T00:00:00Z");
    }
}
