//! `status-envelope open`.

use clap::Args;

use crate::{
    context::Context,
    envelope::each_envelope,
    error::{CliError, Exit, Result, Stop},
    keys::OpenArgs,
    records::{message_record, message_text, opened_message},
};

#[derive(Debug, Args)]
pub struct OpenCommand {
    #[command(flatten)]
    keys: OpenArgs,
}

impl OpenCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let ring = self.keys.key_ring()?;
        if ring.is_empty() {
            return Err(CliError::usage("no key to open with")
                .hint("--chat NAME, --password TEXT, --sym-key HEX or --identity FILE")
                .into());
        }
        let mut opened_any = false;
        each_envelope(cx, |cx, envelope, line| match ring.open(&envelope) {
            Ok(opened) => {
                opened_any = true;
                let message = opened_message(&envelope, opened);
                cx.emit(&message_record(&message, true), |_| message_text(&message))
            }
            Err(error) => {
                // An envelope for someone else is not an error of the stream.
                let message = format!("envelope {}: {error}", envelope.hash());
                cx.show(&CliError::new(error.code(), Exit::Negative, message).line(line));
                Ok(())
            }
        })?;
        if opened_any { Ok(()) } else { Err(Stop::Exit(Exit::Negative)) }
    }
}
