//! An inspection as a page: the tree beside the bytes.
//!
//! The page is one file. Its policy allows the script and the style in it and nothing else, so that a
//! text that gets past the escaping still does nothing.

use std::fmt::Write as _;

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use statuskit_core::text::escape;

use crate::{
    layer::Field,
    peel::{Inspection, Layer},
    show::leaves,
};

/// The style of inspections and of the page around them.
pub const STYLE: &str = include_str!("view.css");

/// The script that links a tree with its bytes: `linkInspection(article)`.
pub const SCRIPT: &str = include_str!("view.js");

/// Links all inspections of a page that is a file.
const START: &str = "addEventListener(\"DOMContentLoaded\", () => \
                     document.querySelectorAll(\"article\").forEach(linkInspection));\n";

/// Bytes per line.
const ROW: usize = 16;

/// Lines that are laid out together, when they come into view.
const CHUNK: usize = 64;

/// The most bytes of an inspection that are shown as hex. The rest is counted.
const MAX_HEX: usize = 256 << 10;

/// The longest value that is shown, in characters.
const MAX_VALUE: usize = 2000;

/// Colours of layers in the style.
const COLOURS: usize = 6;

/// Returns the start of a page, which any number of [`Inspection::to_html`] and [`PAGE_END`] complete.
pub fn page_start() -> String {
    let script = format!("{SCRIPT}{START}");
    let (script_hash, style_hash) = (hash(&script), hash(STYLE));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; base-uri 'none'; \
         form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>status-inspect</title>\n<style>{STYLE}</style>\n<script>{script}</script>\n\
         <body>\n<main>\n<h1>status-inspect</h1>\n"
    )
}

/// The end of a page.
pub const PAGE_END: &str = "</main>\n</body>\n</html>\n";

fn hash(text: &str) -> String {
    BASE64.encode(&Sha256::digest(text))
}

/// Returns a text for HTML, as content or in quotes. What is invisible or changes the direction of
/// the text around it is shown as an escape.
pub fn escape_html(text: &str) -> String {
    escape(text).chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
        out
    })
}

impl Inspection {
    /// Returns an `<article>`: the layers as a tree, and each buffer as hex. All text is escaped;
    /// there is no script in it.
    pub fn to_html(&self) -> String {
        let mut out = String::new();
        let name = format!("{}, {}", self.kind(), self.certainty().name());
        let name = escape_html(&name);
        let _ = writeln!(
            out,
            "<article aria-label=\"{name}\">\n<h2>{}</h2>\n<p class=\"status\" role=\"status\"></p>\n\
             <div class=\"panes\">\n<div class=\"tree\" role=\"tree\" aria-label=\"Layers and fields\">",
            escape_html(self.kind())
        );
        let mut depths: Vec<usize> = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let depth = layer.parent.map_or(1, |parent| depths[parent] + 1);
            depths.push(depth);
            self.write_layer(&mut out, index, layer, depth);
        }
        for other in &self.candidates {
            let (kind, why) = (escape_html(&other.kind), escape_html(&other.why));
            let certainty = other.certainty.name();
            let _ = writeln!(
                out,
                "<div role=\"treeitem\" aria-level=\"1\" class=\"other\">or <b>{kind}</b> \
                 ({certainty}: {why})</div>"
            );
        }
        out.push_str("</div>\n<div class=\"hexes\">\n");
        let mut left = MAX_HEX;
        for index in 0..self.buffers.len() {
            self.write_buffer(&mut out, index, &mut left);
        }
        out.push_str("</div>\n</div>\n</article>\n");
        out
    }

    fn write_layer(&self, out: &mut String, index: usize, layer: &Layer, depth: usize) {
        let Layer { buffer, offset, length, .. } = layer;
        let opened = layer
            .opened_with
            .as_ref()
            .map_or(String::new(), |key| format!(", opened with {}", escape_html(key)));
        let _ = writeln!(
            out,
            "<div role=\"treeitem\" aria-level=\"{depth}\" class=\"layer c{}\" data-b=\"{buffer}\" \
             data-o=\"{offset}\" data-l=\"{length}\"><b>{}</b> <span class=\"note\">{}: \
             {}{opened}; {length} bytes at {offset}</span></div>",
            index % COLOURS,
            escape_html(&layer.kind),
            layer.certainty.name(),
            escape_html(&layer.why),
        );
        for field in &layer.fields {
            write_field(out, field, *buffer, depth + 1);
        }
        for check in &layer.checks {
            let (class, mark) = if check.pass { ("ok", "holds") } else { ("fail", "fails") };
            let code = match check.code.is_empty() || check.pass {
                true => String::new(),
                false => format!(" ({})", escape_html(&check.code)),
            };
            let _ = writeln!(
                out,
                "<div role=\"treeitem\" aria-level=\"{}\" class=\"check {class}\"><b>{mark}</b> \
                 {}: {}{code}</div>",
                depth + 1,
                escape_html(&check.rule),
                escape_html(&check.found),
            );
        }
        if let Some(stop) = &layer.stopped {
            let hint = match stop.hint.is_empty() {
                true => String::new(),
                false => format!("; {}", escape_html(&stop.hint)),
            };
            let _ = writeln!(
                out,
                "<div role=\"treeitem\" aria-level=\"{}\" class=\"stop\"><b>ends here</b> {} \
                 ({}){hint}</div>",
                depth + 1,
                escape_html(&stop.message),
                escape_html(stop.code),
            );
        }
    }

    fn write_buffer(&self, out: &mut String, index: usize, left: &mut usize) {
        let buffer = &self.buffers[index];
        let shown = buffer.bytes.len().min(*left);
        *left -= shown;
        let title = format!("Buffer {index}: {}, {} bytes", buffer.method, buffer.bytes.len());
        let title = escape_html(&title);
        let _ = writeln!(
            out,
            "<section>\n<h3>{title}</h3>\n<div class=\"dump\" tabindex=\"0\" role=\"group\" \
             aria-label=\"{title}. Arrow keys go from field to field\" data-b=\"{index}\">"
        );
        let owners = self.owners(index, shown);
        for (chunk, bytes) in buffer.bytes[..shown].chunks(ROW * CHUNK).enumerate() {
            out.push_str("<div class=\"k\">");
            for (row, bytes) in bytes.chunks(ROW).enumerate() {
                let at = chunk * ROW * CHUNK + row * ROW;
                write_row(out, at, bytes, &owners[at..at + bytes.len()]);
            }
            out.push_str("</div>\n");
        }
        out.push_str("</div>\n");
        if shown < buffer.bytes.len() {
            let _ = writeln!(
                out,
                "<p class=\"note\">{} more bytes are not shown</p>",
                buffer.bytes.len() - shown
            );
        }
        out.push_str("</section>\n");
    }

    /// Returns of each byte which field it is in, and the layer of that field. Where layers are
    /// nested, the innermost counts.
    fn owners(&self, buffer: usize, shown: usize) -> Vec<Owner> {
        let mut owners = vec![Owner { field: 0, layer: 0 }; shown];
        let mut field = 0;
        for (layer, it) in self.layers.iter().enumerate().filter(|(_, it)| it.buffer == buffer) {
            for leaf in leaves(&it.fields) {
                field += 1;
                let end = (leaf.offset + leaf.length).min(shown);
                owners[leaf.offset.min(end)..end].fill(Owner { field, layer });
            }
        }
        owners
    }
}

/// What a byte belongs to.
#[derive(Clone, Copy, PartialEq)]
struct Owner {
    field: u32,
    layer: usize,
}

fn write_field(out: &mut String, field: &Field, buffer: usize, depth: usize) {
    let value = match &field.value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let length = value.chars().count();
    let value = match length > MAX_VALUE {
        true => {
            let start: String = value.chars().take(MAX_VALUE).collect();
            format!("{}… ({length} characters)", escape_html(&start))
        }
        false => escape_html(&value),
    };
    let Field { offset, length, .. } = field;
    let _ = writeln!(
        out,
        "<div role=\"treeitem\" aria-level=\"{depth}\" data-b=\"{buffer}\" data-o=\"{offset}\" \
         data-l=\"{length}\"><span class=\"at\">{offset} +{length}</span> <b>{}</b> {value}</div>",
        escape_html(&field.name),
    );
    for inner in &field.fields {
        write_field(out, inner, buffer, depth + 1);
    }
}

/// One line: its offset, the bytes as hex, and as ASCII. `<i>` are the parts of fields.
fn write_row(out: &mut String, at: usize, bytes: &[u8], owners: &[Owner]) {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let same = owners[start..].iter().take_while(|it| **it == owners[start]).count();
        parts.push((start, &bytes[start..start + same], owners[start].layer % COLOURS));
        start += same;
    }
    let _ = write!(out, "<div><span class=\"a\">{at:06x}</span> <span class=\"h\">");
    for (start, part, colour) in &parts {
        let digits: Vec<_> = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let (at, length) = (at + start, part.len());
        let space = if *start == 0 { "" } else { " " };
        let _ = write!(
            out,
            "{space}<i class=\"c{colour}\" data-o=\"{at}\" data-l=\"{length}\">{}</i>",
            digits.join(" ")
        );
    }
    let width = (ROW - bytes.len()) * 3;
    let _ = write!(out, "{:width$}</span> <span class=\"t\" aria-hidden=\"true\">", "");
    for (_, part, colour) in &parts {
        let ascii: String = part
            .iter()
            .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' })
            .collect();
        let _ = write!(out, "<i class=\"c{colour}\">{}</i>", escape_html(&ascii));
    }
    out.push_str("</span></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, inspect};

    /// What a stranger may write: tags, quotes, NUL, controls of direction, a byte order mark.
    const HOSTILE: &str =
        "</script><img src=x onerror=alert(1)>\"'&amp;<!--\0\u{202e}txt\u{2066}\u{feff}\u{2028}]]>";

    #[test]
    fn text_can_do_nothing() {
        let shown = escape_html(HOSTILE);
        assert!(!shown.contains(['<', '>', '"', '\'', '\0', '\u{202e}', '\u{2066}', '\u{2028}']));
        assert!(shown.contains("&lt;/script&gt;") && shown.contains("\\u{202e}txt"), "{shown}");
        assert!(shown.contains("&amp;amp;"), "not taken for an entity: {shown}");
    }

    #[test]
    fn every_text_of_an_inspection_is_escaped() {
        let mut it = inspect(b"status-im://chat/public/status", &Options::default()).unwrap();
        let layer = &mut it.layers[0];
        let text = || HOSTILE.to_owned();
        layer.kind = text().into();
        layer.why = text().into();
        layer.opened_with = Some(text());
        let mut field = Field::new(text(), 0, 30, text());
        field.fields = vec![Field::new(text(), 0, 1, serde_json::json!({ HOSTILE: [HOSTILE] }))];
        layer.fields = vec![field];
        layer.checks =
            vec![crate::Check { rule: text(), code: text(), pass: false, found: text() }];
        layer.stopped = Some(crate::Stop { code: "inspect.x", message: text(), hint: text() });
        it.buffers[0].method = text();
        it.buffers[0].bytes = HOSTILE.as_bytes().to_vec();
        it.candidates = vec![crate::Candidate {
            kind: text().into(),
            certainty: crate::Certainty::Possible,
            why: text().into(),
        }];
        let html = it.to_html();
        assert!(!html.contains("<img") && !html.contains("</script") && !html.contains("<!--"));
        assert!(html.chars().all(|c| c == '\n' || !c.is_control()));
        assert!(html.chars().all(|c| !matches!(c, '\u{202e}' | '\u{2066}' | '\u{feff}')));
        // Each quote is one that this module wrote.
        let tags = html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap());
        for tag in tags {
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!tag.contains("onerror=alert(1)\""), "{tag}");
        }
    }

    #[test]
    fn a_page_allows_its_own_script_only() {
        let page = page_start();
        let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        assert!(page.contains(&format!("'sha256-{}'", hash(script))));
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(page.contains(&format!("'sha256-{}'", hash(style))));
        assert!(page.contains("default-src 'none'"));
        for outside in ["http:", "https:", "src=", "@import", "url(", "eval", "innerHTML"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_byte_is_shown_once_and_long_buffers_are_bounded() {
        let mut it = inspect(b"status-im://chat/public/status", &Options::default()).unwrap();
        let digits = |html: &str| -> String {
            let hex = html.split("<span class=\"h\">").skip(1);
            let hex = hex.map(|rest| rest.split("</span>").next().unwrap());
            let parts = hex.flat_map(|row| row.split("\">").skip(1));
            parts.flat_map(|part| part.split("</i>").next()).collect::<String>().replace(' ', "")
        };
        assert_eq!(digits(&it.to_html()), hex::encode(b"status-im://chat/public/status"));
        it.buffers[0].bytes = vec![7; MAX_HEX + 3];
        let html = it.to_html();
        assert_eq!(digits(&html).len(), MAX_HEX * 2);
        assert!(html.contains("3 more bytes are not shown"));
    }
}
