//! A value as other programs write it.

use std::fmt::Write as _;

/// Every spelling of a value.
pub(super) fn spellings(bytes: &[u8]) -> Vec<(&'static str, String)> {
    use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
    let plain = hex(bytes);
    let pair = |byte: u8| format!("{byte:02x}");
    let spaced = join(bytes, " ", pair);
    let wrap = |text: &str, width: usize| {
        text.as_bytes()
            .chunks(width)
            .map(|it| String::from_utf8_lossy(it).into_owned() + "\n")
            .collect::<String>()
    };
    let decimal = |byte: u8| byte.to_string();
    let escape = |byte: u8| format!("\\x{byte:02x}");
    let mixed: String = bytes
        .iter()
        .map(|byte| match byte {
            b'\\' => "\\\\".to_owned(),
            b'"' => "\\\"".to_owned(),
            0x20..=0x7e => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect();
    let octal = join(bytes, "", |byte| format!("\\{byte:03o}"));
    let words = |line: &[u8]| join_words(line, 2, |word| word.iter().rev().copied().collect());
    let last = |radix: u32| match radix {
        8 => format!("{:07o}\n", bytes.len()),
        _ => format!("{:07x}\n", bytes.len()),
    };
    let none = |_: &str| String::new();
    let bare_hex = |line: &[u8]| join(line, "", |byte| format!(" {byte:02x}"));
    let xxd = |line: &[u8]| format!("{:<41}", format!(": {}", join_words(line, 2, <[u8]>::to_vec)));
    let canonical = |line: &[u8]| {
        let (a, b) = line.split_at(line.len().min(8));
        format!("{:<52}", format!("  {}  {}", join(a, " ", pair), join(b, " ", pair)))
    };
    let javascript = join(bytes, ",", decimal);
    vec![
        ("0x", format!("0x{plain}")),
        ("0X", format!("0X{}", plain.to_uppercase())),
        ("digits", plain.clone()),
        ("capitals", plain.to_uppercase()),
        ("a BOM", format!("\u{feff}0x{plain}")),
        ("an invisible blank", format!("\u{200b}0x{plain}\u{200b}")),
        ("CRLF", format!("0x{plain}\r\n")),
        ("quotes", format!("\"0x{plain}\"")),
        ("quotes and a comma", format!("  \"0x{plain}\",")),
        ("single quotes", format!("'{plain}'")),
        ("backquotes", format!("`0x{plain}`")),
        ("a semicolon", format!("0x{plain};")),
        ("bytea", format!("\\x{plain}")),
        ("SQL", format!("X'{plain}'")),
        ("hex:", format!("hex:{plain}")),
        ("colons", join(bytes, ":", pair)),
        ("capital colons", join(bytes, ":", |byte| format!("{byte:02X}"))),
        ("dashes", join(bytes, "-", |byte| format!("{byte:02X}"))),
        ("blanks", spaced.clone()),
        ("words", join_words(bytes, 2, <[u8]>::to_vec)),
        ("commas", join(bytes, ", ", |byte| format!("0x{byte:02x}"))),
        ("0x blanks", join(bytes, " ", |byte| format!("0x{byte:02x}"))),
        ("escapes", join(bytes, "", escape)),
        ("quoted escapes", format!("\"{}\"", join(bytes, "", escape))),
        ("Python bytes", format!("b'{mixed}'")),
        ("Python bytearray", format!("bytearray(b'{mixed}')")),
        ("Rust bytes", format!("b\"{mixed}\"")),
        ("Go string", format!("[]byte(\"{mixed}\")")),
        ("octal", format!("\"{octal}\"")),
        ("base64", BASE64.encode(bytes)),
        ("base64 without padding", BASE64_NOPAD.encode(bytes)),
        ("base64url", BASE64URL.encode(bytes)),
        ("base64url without padding", BASE64URL_NOPAD.encode(bytes)),
        ("base64:", format!("base64:{}", BASE64.encode(bytes))),
        ("a data URL", format!("data:application/octet-stream;base64,{}", BASE64.encode(bytes))),
        ("base64 over lines", wrap(&BASE64.encode(bytes), 76)),
        ("base64 over short lines", wrap(&BASE64.encode(bytes), 64)),
        ("xxd -p", wrap(&plain, 60)),
        ("0x over lines", wrap(&format!("0x{plain}"), 80)),
        ("od -An -tx1", wrap(&format!("{spaced} "), 48)),
        ("Go", format!("[{}]", join(bytes, " ", decimal))),
        ("Go %#v", format!("[]byte{{{}}}", join(bytes, ", ", |byte| format!("{byte:#x}")))),
        ("Go array", format!("[{}]uint8{{{javascript}}}", bytes.len())),
        ("Go % x", format!("[{spaced}]")),
        ("Rust", format!("[{}]", join(bytes, ", ", decimal))),
        ("Rust vec", format!("vec![{}]", join(bytes, ", ", |byte| format!("{byte:#04x}")))),
        ("Rust u8", format!("&[{}]", join(bytes, ", ", |byte| format!("{byte}u8")))),
        ("Rust pretty", format!("[\n{}]", join(bytes, "", |byte| format!("    {byte},\n")))),
        ("Java", format!("[{}]", join(bytes, ", ", |byte| byte.cast_signed().to_string()))),
        ("JavaScript", format!("[{javascript}]")),
        ("numbers", javascript.clone()),
        ("Uint8Array", format!("new Uint8Array([{javascript}])")),
        (
            "console.log",
            format!("Uint8Array({}) [\n  {}\n]", bytes.len(), join(bytes, ",\n  ", decimal)),
        ),
        ("Buffer.from", format!("Buffer.from([{javascript}])")),
        ("Buffer", format!("<Buffer {spaced}>")),
        ("Buffer JSON", format!("{{\"type\":\"Buffer\",\"data\":[{javascript}]}}")),
        ("typed array JSON", {
            let members = bytes.iter().enumerate().map(|(at, byte)| format!("\"{at}\":{byte}"));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }),
        ("Python list", format!("bytes([{}])", join(bytes, ", ", decimal))),
        ("C", {
            let lines: Vec<_> = bytes
                .chunks(12)
                .map(|line| join(line, ", ", |byte| format!("0x{byte:02x}")))
                .collect();
            format!("unsigned char v[] = {{\n  {}\n}};", lines.join(",\n  "))
        }),
        ("Wireshark string", {
            let lines: Vec<_> =
                bytes.chunks(16).map(|line| format!("\"{}\"", join(line, "", escape))).collect();
            lines.join(" \\\n")
        }),
        ("xxd", dump(bytes, 16, |at| format!("{at:08x}"), xxd, |it| format!("  {it}"))),
        (
            "xxd -g1",
            dump(
                bytes,
                16,
                |at| format!("{at:08x}:"),
                |line| format!("{:<50}", bare_hex(line)),
                |it| it.to_owned(),
            ),
        ),
        (
            "xxd -e",
            dump(
                bytes,
                16,
                |at| format!("{at:08x}: "),
                |line| {
                    format!(
                        "{:<38}",
                        join_words(line, 4, |word| word.iter().rev().copied().collect())
                    )
                },
                |it| it.to_owned(),
            ),
        ),
        (
            "xxd -b",
            dump(
                bytes,
                6,
                |at| format!("{at:08x}:"),
                |line| format!("{:<56}", join(line, "", |byte| format!(" {byte:08b}"))),
                |it| it.to_owned(),
            ),
        ),
        (
            "hexdump -C",
            dump(bytes, 16, |at| format!("{at:08x}"), canonical, |it| format!("|{it}|"))
                + &format!("{:08x}\n", bytes.len()),
        ),
        (
            "Go hex.Dump",
            dump(bytes, 16, |at| format!("{at:08x}"), canonical, |it| format!("|{it}|")),
        ),
        ("hexdump", dump(bytes, 16, |at| format!("{at:07x} "), words, none) + &last(16)),
        ("od -x", dump(bytes, 16, |at| format!("{at:07o} "), words, none) + &last(8)),
        (
            "od",
            dump(
                bytes,
                16,
                |at| format!("{at:07o}"),
                |line| {
                    line.chunks(2)
                        .map(|pair| {
                            let high = pair.get(1).copied().unwrap_or(0);
                            format!(" {:06o}", u16::from_le_bytes([pair[0], high]))
                        })
                        .collect()
                },
                none,
            ) + &last(8),
        ),
        ("od -tx1", dump(bytes, 16, |at| format!("{at:07o}"), bare_hex, none) + &last(8)),
        (
            "od -tx1z",
            dump(
                bytes,
                16,
                |at| format!("{at:07o}"),
                |line| format!("{:<48}", bare_hex(line)),
                |it| format!("  >{it}<"),
            ) + &last(8),
        ),
        (
            "od -Ad -tx1",
            dump(bytes, 16, |at| format!("{at:07}"), bare_hex, none)
                + &format!("{:07}\n", bytes.len()),
        ),
        (
            "od -b",
            dump(
                bytes,
                16,
                |at| format!("{at:07o}"),
                |line| join(line, "", |byte| format!(" {byte:03o}")),
                none,
            ) + &last(8),
        ),
        (
            "od -tu1",
            dump(
                bytes,
                16,
                |at| format!("{at:07o}"),
                |line| join(line, "", |byte| format!(" {byte:3}")),
                none,
            ) + &last(8),
        ),
        (
            "Wireshark",
            dump(
                bytes,
                16,
                |at| format!("{at:04x}  "),
                |line| format!("{:<47}", join(line, " ", pair)),
                |it| format!("   {it}"),
            ),
        ),
        (
            "tcpdump",
            dump(
                bytes,
                16,
                |at| format!("\t0x{at:04x}:  "),
                |line| format!("{:<39}", join_words(line, 2, <[u8]>::to_vec)),
                |it| format!("  {it}"),
            ),
        ),
        (
            "Rust pretty_hex",
            dump(
                bytes,
                16,
                |at| format!("{at:04x}:   "),
                |line| {
                    let groups: Vec<_> =
                        line.chunks(4).map(|group| join(group, " ", pair)).collect();
                    format!("{:<50}", groups.join("  "))
                },
                |it| format!("   {it}"),
            ),
        ),
        ("a JSON string", format!("\"{plain}\"")),
        ("an object", format!("{{\"raw\":\"0x{plain}\",\"hash\":\"0x{}\"}}", hex(&[7; 32]))),
        (
            "an object over lines",
            format!("{{\n  \"hash\": \"0x00\",\n  \"raw\": \"0x{plain}\"\n}}"),
        ),
        ("an array of objects", format!("[{{\"payload\":\"{}\"}}]", BASE64.encode(bytes))),
        (
            "JSON-RPC",
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[{{\"sig\":null,\"topic\":\"0xcd423760\",\"payload\":\"0x{plain}\",\"padding\":\"0x\",\"hash\":\"0x{}\"}}]}}",
                hex(&[9; 32])
            ),
        ),
        (
            "shhext",
            format!(
                "[{{\"chat\":{{\"chatId\":\"status\"}},\"messages\":[{{\"metadata\":{{}},\"message\":{{\"payload\":\"{}\"}}}}]}}]",
                BASE64.encode(bytes)
            ),
        ),
        ("JSON in JSON", format!("{{\"result\":\"{{\\\"payload\\\":\\\"0x{plain}\\\"}}\"}}")),
        ("a member with numbers", format!("{{\"data\":[{javascript}]}}")),
        (
            "a member with a Buffer",
            format!("{{\"msg\":{{\"type\":\"Buffer\",\"data\":[{javascript}]}}}}"),
        ),
        (
            "a log",
            format!(
                "INFO [03-29|16:40:00.000] received envelope  hash=0x{} data=0x{plain} peer=abc",
                hex(&[5; 32])
            ),
        ),
        ("a log with a colon", format!("2020-03-29T16:40:00Z DEBUG whisper: payload: {plain}")),
        ("a log with quotes", format!("level=debug msg=\"got one\" raw=\"0x{plain}\"")),
        (
            "a log with base64",
            format!("time=1585500000 level=info payload={}", BASE64.encode(bytes)),
        ),
        ("a log with an array", format!("got payload=[{}] of 3", join(bytes, " ", decimal))),
        ("a log with JSON", format!("DEBUG sent {{\"payload\":\"0x{plain}\"}} ok")),
        (
            "a log with a type",
            format!("payload: []byte{{{}}}", join(bytes, ", ", |byte| format!("{byte:#x}"))),
        ),
        ("a link", format!("https://example.org/decode?x=1&data=0x{plain}&y=2")),
        ("a fragment", format!("https://example.org/#payload={}", BASE64URL_NOPAD.encode(bytes))),
        ("a link with escapes", {
            let encoded =
                BASE64.encode(bytes).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            format!("https://example.org/?payload={encoded}")
        }),
        ("YAML", format!("payload: \"0x{plain}\"")),
        ("an assignment", format!("const raw = '0x{plain}';")),
        ("brackets", format!("(0x{plain})")),
    ]
}

fn join_words(line: &[u8], size: usize, order: impl Fn(&[u8]) -> Vec<u8>) -> String {
    line.chunks(size).map(|word| hex(&order(word))).collect::<Vec<_>>().join(" ")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub(super) fn join(bytes: &[u8], between: &str, each: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|byte| each(*byte)).collect::<Vec<_>>().join(between)
}

pub(super) fn shown(byte: u8) -> char {
    if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }
}

/// A dump as its program writes it: offset, bytes, characters.
pub(super) fn dump(
    bytes: &[u8],
    width: usize,
    offset: impl Fn(usize) -> String,
    group: impl Fn(&[u8]) -> String,
    column: impl Fn(&str) -> String,
) -> String {
    let mut out = String::new();
    for (index, line) in bytes.chunks(width).enumerate() {
        let characters: String = line.iter().map(|byte| shown(*byte)).collect();
        let _ = writeln!(out, "{}{}{}", offset(index * width), group(line), column(&characters));
    }
    out
}
