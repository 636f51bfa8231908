//! Requests of JSON-RPC: read as the server reads them, and in pieces as over a socket.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    statuskit_rpc::read_request(text);
});
