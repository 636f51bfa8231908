//! Any text as a link for payments: what is read is written so that it is read alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_eip::{
    eip681::{
        LinkError, PaymentLink,
        client::{self, ClientLink},
    },
    icap::Icap,
};

fuzz_target!(|text: &str| {
    if let Ok(link) = text.parse::<PaymentLink>() {
        // Escapes can make it too long.
        let again = match link.to_string().parse::<PaymentLink>() {
            Err(LinkError::TooLong { .. }) => return,
            again => again.unwrap(),
        };
        assert_eq!(again, link);
        let call = link.call(|_| None);
        assert_eq!(again.call(|_| None), call);
        let _ = link.warnings();
        if let Ok(client) = ClientLink::parse(text) {
            let _ = client.differences(&link);
        }
    }
    if let Ok(client) = ClientLink::parse(text) {
        let _ = client::write(&client);
    }
    if let Ok(icap) = text.parse::<Icap>() {
        assert_eq!(icap.to_string().parse(), Ok(icap));
    }
});
