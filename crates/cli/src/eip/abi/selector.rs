//! `status-eip abi selector`.

use clap::Args;
use statuskit_eip::abi::Function;

use crate::{
    context::Context,
    eip::abi::abi_error,
    error::{Exit, Result},
    output::{Record, hex0x},
};

/// Show the selectors of functions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi selector 'transfer(address,uint256)' 'function ownerOf(uint id) view returns (address)'")]
pub struct SelectorCommand {
    /// Signatures of functions, such as 'transfer(address,uint256)'
    #[arg(value_name = "SIGNATURE", required = true)]
    signatures: Vec<String>,
}

impl SelectorCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        for text in &self.signatures {
            let function: Function =
                text.parse().map_err(|error| abi_error(&error, Exit::Usage).field("SIGNATURE"))?;
            let selector = function.selector();
            let record = Record::new("abi_selector")
                .with("signature", function.to_string())
                .with("selector", hex0x(selector))
                .with_raw(&selector);
            cx.emit(&record, |_| format!("{} {function}", hex0x(selector)))?;
        }
        Ok(())
    }
}
