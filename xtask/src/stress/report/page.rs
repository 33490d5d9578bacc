//! The parts of a page that every HTML report has: head, facts, tables.

use std::fmt::Write;

use super::svg::escape;
use crate::machine::Fact;

/// Title, explanation and facts.
pub(in crate::stress) fn begin(title: &str, explanation: &str, facts: &[Fact]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{1}</style>\
         <h1>{0}</h1><p>{2}</p>",
        escape(title),
        include_str!("report.css"),
        escape(explanation)
    );
    let lines: Vec<_> = facts
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    list(&mut page, &lines);
    page
}

/// A table that scrolls where the screen is narrow.
pub(in crate::stress) fn table(page: &mut String, head: &[&str], rows: &[Vec<String>]) {
    page.push_str("<div class=\"wide\"><table><thead><tr>");
    for name in head {
        write!(page, "<th scope=\"col\">{}</th>", escape(name)).ok();
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            write!(page, "<td>{}</td>", escape(cell)).ok();
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
}

pub(in crate::stress) fn list(page: &mut String, lines: &[String]) {
    page.push_str("<ul>");
    for line in lines {
        write!(page, "<li>{}</li>", escape(line)).ok();
    }
    page.push_str("</ul>");
}

pub(in crate::stress) fn end(page: &mut String) {
    page.push_str("</html>\n");
}
