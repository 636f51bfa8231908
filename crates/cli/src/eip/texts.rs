//! Texts of the commands: arguments, lines, or members of records.

use crate::{
    account::stream::{each_text, record},
    context::Context,
    error::{CliError, Exit, Result},
};

/// A text, and where it came from.
pub struct Text {
    pub text: String,
    /// The argument, or the member of the record.
    field: Option<String>,
    is_argument: bool,
}

impl Text {
    /// Converts an error about the text: wrong usage in an argument, malformed in a stream.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> CliError {
        let exit = if self.is_argument { Exit::Usage } else { Exit::Malformed };
        let error = CliError::new(code, exit, message);
        match &self.field {
            Some(field) => error.field(field.as_str()),
            None => error,
        }
    }
}

/// Calls `work` for each argument, or for each line of standard input if there are none. Of a record,
/// the first of `members` is taken.
pub fn each(
    cx: &mut Context,
    arguments: &[String],
    name: &str,
    members: &[&str],
    expected: &str,
    mut work: impl FnMut(&mut Context, &Text) -> Result<()>,
) -> Result<()> {
    each_text(cx, arguments, expected, |cx, text, is_argument| {
        let line = text.trim();
        if is_argument || !line.starts_with('{') {
            let text = if is_argument { text } else { line }.to_owned();
            let field = is_argument.then(|| name.to_owned());
            return work(cx, &Text { text, field, is_argument });
        }
        let record = record(line)?;
        let found =
            members.iter().find_map(|member| Some((member, record.get(*member)?.as_str()?)));
        let (member, text) = found.ok_or_else(|| {
            let message = format!("the record has none of the members {}", members.join(", "));
            CliError::new("record.member", Exit::Malformed, message)
        })?;
        let field = Some((*member).to_owned());
        work(cx, &Text { text: text.to_owned(), field, is_argument: false })
    })
}

/// Reads hex, with or without `0x`.
pub fn bytes(text: &Text) -> std::result::Result<Vec<u8>, CliError> {
    let digits = text.text.trim();
    let digits = digits.strip_prefix("0x").or(digits.strip_prefix("0X")).unwrap_or(digits);
    hex::decode(digits)
        .map_err(|error| text.error("input.hex", format!("not hexadecimal: {error}")))
}
