//! `docs/capabilities.md` answers each capability in exactly one row.

use std::collections::BTreeMap;
use std::path::Path;

use super::Finding;

/// Reads and checks the file.
pub(super) fn check_file(path: &Path) -> Vec<Finding> {
    match std::fs::read_to_string(path) {
        Ok(text) => check(&text),
        Err(error) => vec![format!("docs/capabilities.md: {error}")],
    }
}

fn check(text: &str) -> Vec<Finding> {
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(id) = row_id(line) {
            rows.entry(id).or_default().push(index + 1);
        }
    }
    if rows.is_empty() {
        return vec!["docs/capabilities.md: no row begins with an id such as | A01 |".to_owned()];
    }
    let repeated = rows.iter().filter(|(_, lines)| lines.len() > 1);
    repeated
        .map(|(id, lines)| format!("docs/capabilities.md: {id} in lines {lines:?}"))
        .collect()
}

/// The first cell of a table row when it is an id: one to three letters, two digits, perhaps a
/// letter, perhaps in code marks.
fn row_id(line: &str) -> Option<&str> {
    let cell = line
        .strip_prefix('|')?
        .split('|')
        .next()?
        .trim()
        .trim_matches('`');
    let digits = cell.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = cell.len() - digits.len();
    let number = digits.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let numbered = number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit());
    ((1..=3).contains(&letters) && numbered).then_some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_twice_is_a_finding() {
        let text = "| id | capability |\n|---|---|\n| A01 | x |\n| `DEC14` | y |\n| A01 | z |\n";
        assert_eq!(check(text), ["docs/capabilities.md: A01 in lines [3, 5]"]);
        assert!(check(&text.replace("| A01 | z |\n", "| A02 | A01 |\n")).is_empty());
    }

    #[test]
    fn an_empty_or_missing_file_is_a_finding() {
        assert_eq!(check("# Capabilities\n").len(), 1);
        assert_eq!(check_file(Path::new("/no/such/file")).len(), 1);
    }
}
