use std::fmt::Write as _;

use super::*;

/// Bytes of every kind: a list that says its length, so that it is known when it is whole.
fn value(length: usize) -> Vec<u8> {
    let mut bytes = vec![0xf9, (length >> 8) as u8, length as u8];
    bytes.extend((0..length).map(|at| match at % 7 {
        0 => b' ',
        1 => b'a' + (at % 26) as u8,
        2 => b'"',
        3 => b'\\',
        _ => (at * 37 + at / 256) as u8,
    }));
    bytes
}

fn is_value(bytes: &[u8]) -> bool {
    matches!(bytes, [0xf9, high, low, rest @ ..]
        if rest.len() == usize::from(*high) << 8 | usize::from(*low))
}

fn wants() -> Wants {
    Wants::whole(is_value)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn join(bytes: &[u8], between: &str, each: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|byte| each(*byte)).collect::<Vec<_>>().join(between)
}

fn shown(byte: u8) -> char {
    if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }
}

/// A dump as its program writes it: offset, bytes, characters.
fn dump(
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

/// Every spelling of a value.
fn spellings(bytes: &[u8]) -> Vec<(&'static str, String)> {
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

#[test]
fn every_spelling_is_read() {
    let mut failed = Vec::new();
    let mut count = 0;
    for length in [256, 300, 317, 4098] {
        let bytes = value(length);
        for (name, text) in spellings(&bytes) {
            count += 1;
            let found = read_all(text.as_bytes(), wants());
            let ok = match &found[..] {
                [Ok(Item { content: Content::Bytes(reading), .. })] => reading.bytes == bytes,
                _ => false,
            };
            if !ok {
                let shown: Vec<_> = found
                    .iter()
                    .map(|item| match item {
                        Ok(Item { content: Content::Bytes(it), .. }) => it.describe(),
                        Ok(_) => "a record".to_owned(),
                        Err(error) => error.to_string(),
                    })
                    .take(3)
                    .collect();
                failed.push(format!("{name} ({length}): {} {shown:?}", found.len()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count >= 200, "{count}");
}

/// What comes out, in short: `Ok(bytes)`, a record as its members, an error as its code.
#[derive(Debug, PartialEq)]
enum Short {
    Bytes(u64, Vec<u8>),
    Record(u64, String),
    Error(u64, &'static str),
}

fn short(input: &[u8], wants: Wants) -> Vec<Short> {
    let items = read_all(input, wants).into_iter();
    items
        .map(|item| match item {
            Ok(Item { line, content: Content::Bytes(reading), .. }) => {
                Short::Bytes(line, reading.bytes)
            }
            Ok(Item { line, content: Content::Record(members), .. }) => {
                Short::Record(line, Value::Object(members).to_string())
            }
            Err(error) => Short::Error(error.line, error.problem.code()),
        })
        .collect()
}

/// The one reading of a text.
fn one(text: &str) -> Item {
    let mut items = read_all(text.as_bytes(), Wants::any_bytes());
    assert_eq!(items.len(), 1, "{text}: {items:?}");
    items.remove(0).unwrap()
}

fn bytes_of(item: &Item) -> &Reading {
    match &item.content {
        Content::Bytes(reading) => reading,
        Content::Record(members) => panic!("a record: {members:?}"),
    }
}

#[test]
fn whole_lines_are_records_and_wrapped_lines_are_one() {
    let (a, b) = (value(45), value(256));
    let lines = format!("{}\n{}\n0x{}\n", hex(&a), hex(&a), hex(&b));
    let expected =
        [Short::Bytes(1, a.clone()), Short::Bytes(2, a.clone()), Short::Bytes(3, b.clone())];
    assert_eq!(short(lines.as_bytes(), wants()), expected);
    // Wrapped ones follow each other behind a blank line, or where a prefix begins the next.
    let wrap = |text: &str| {
        text.as_bytes()
            .chunks(60)
            .map(|it| String::from_utf8_lossy(it).into_owned() + "\n")
            .collect::<String>()
    };
    for between in ["\n", ""] {
        let text = format!(
            "{}{between}{}",
            wrap(&format!("0x{}", hex(&b))),
            wrap(&format!("0x{}", hex(&a)))
        );
        let found = short(text.as_bytes(), wants());
        assert!(
            matches!(&found[..], [Short::Bytes(1, x), Short::Bytes(_, y)] if (x, y) == (&b, &a)),
            "{found:?}"
        );
    }
    // Neither the lines nor the whole are what is looked for: still one value, with one error.
    let cut = wrap(&hex(&b[..100]));
    assert_eq!(short(cut.as_bytes(), wants()), [Short::Bytes(1, b[..100].to_vec())]);
    // Lines of many widths are values of their own.
    let odd = "00112233445566778899\n00112233445566778899aabb\n";
    assert_eq!(short(odd.as_bytes(), wants()).len(), 2);
}

#[test]
fn a_line_is_ready_when_it_is_whole() {
    let (whole, mut reader) = (value(64), Reader::new(wants()));
    reader.line(format!("{}\n", hex(&whole)).as_bytes());
    assert!(reader.pop().is_some() && reader.pop().is_none());
    reader.line(b"{\"type\":\"x\"}\n");
    assert!(reader.pop().is_some());
    // Half a document is ready with its end.
    reader.line(b"{\"type\":\n");
    assert!(reader.pop().is_none());
    reader.line(b"\"x\"}\n");
    assert_eq!(reader.pop().unwrap().unwrap().line, 3);
    // A bad line does not hold up those behind it.
    reader.line(b"{\"type\":\"x\n");
    assert_eq!(reader.pop().unwrap().unwrap_err().problem.code(), "input.json");
    reader.line(b"{\"a\":1,\n");
    reader.line(b"{\"type\":\"y\"}\n");
    assert_eq!(reader.pop().unwrap().unwrap_err().line, 6);
    assert_eq!(reader.pop().unwrap().unwrap().line, 7);
    assert_eq!(reader.number(), 7);
}

#[test]
fn documents_give_what_is_looked_for() {
    let (a, b) = (value(40), value(41));
    let (hex_a, hex_b) = (hex(&a), hex(&b));
    // Each element of an array, in its order; records stay records.
    let text =
        format!("{{\"result\":[{{\"payload\":\"0x{hex_a}\"}},{{\"payload\":\"0x{hex_b}\"}}]}}");
    let items = read_all(text.as_bytes(), wants());
    let paths = |item: &Result<Item, ReadError>| bytes_of(item.as_ref().unwrap()).describe();
    assert_eq!(
        items.iter().map(paths).collect::<Vec<_>>(),
        ["result[0].payload: hex, 43 bytes", "result[1].payload: hex, 44 bytes"]
    );
    let json = bytes_of(items[0].as_ref().unwrap()).to_json();
    assert_eq!(
        json,
        serde_json::json!({ "encoding": "hex", "length": 43, "path": "result[0].payload" })
    );
    let records = "[{\"type\":\"envelope\",\"raw\":\"0x00\"},{\"type\":\"x\"}]";
    assert_eq!(short(records.as_bytes(), wants()).len(), 2);
    assert!(
        matches!(&short(records.as_bytes(), wants())[0], Short::Record(1, it) if it.contains("envelope"))
    );
    // Two members with what is looked for: told, not guessed.
    let two = format!("{{\"a\":\"0x{hex_a}\",\"b\":\"0x{hex_b}\"}}");
    let error = read_all(two.as_bytes(), wants()).remove(0).unwrap_err();
    assert_eq!(error.problem.code(), "input.ambiguous");
    assert!(error.to_string().contains("a: hex, 43 bytes; b: hex, 44 bytes"), "{error}");
    // The same bytes twice are no question.
    let same = format!("{{\"a\":\"0x{hex_a}\",\"b\":\"0x{hex_a}\"}}");
    assert_eq!(short(same.as_bytes(), wants()), [Short::Bytes(1, a)]);
    // Without bytes, an object is a record of somebody.
    assert_eq!(short(b"{\"a\":1}", wants()), [Short::Record(1, "{\"a\":1}".to_owned())]);
    // Names of strangers are not shown.
    let name = format!("{{\"a b\":\"0x{hex_b}\"}}");
    assert!(
        bytes_of(&read_all(name.as_bytes(), wants()).remove(0).unwrap())
            .describe()
            .starts_with("[…]: ")
    );
}

#[test]
fn two_readings_are_told() {
    let item = one("c0ffee00");
    assert_eq!(bytes_of(&item).bytes, [0xc0, 0xff, 0xee, 0]);
    assert_eq!(item.alternatives.len(), 1);
    assert_eq!(item.alternatives[0].encoding, Encoding::Base64);
    assert_eq!(one("0xc0ffee00").alternatives, []);
    assert_eq!(one("c0ffee00c0ffee00c0ff").alternatives, []);
    // Decimal or hex.
    let item = one("10 20 30");
    assert_eq!(
        (bytes_of(&item).encoding, item.alternatives[0].bytes.as_slice()),
        (Encoding::Hex, &[10, 20, 30][..])
    );
    let item = one("vec![10, 20, 30]");
    assert_eq!(
        (bytes_of(&item).bytes.as_slice(), item.alternatives[0].encoding),
        (&[10, 20, 30][..], Encoding::Hex)
    );
    // Only one of them is what is looked for.
    let base64 = |it: &[u8]| it.len() == 6;
    let found = read_all(b"c0ffee00", Wants::whole(base64)).remove(0).unwrap();
    assert_eq!(bytes_of(&found).encoding, Encoding::Base64);
    // Both are.
    assert_eq!(short(b"c0ffee00", Wants::whole(|_| true)), [Short::Error(1, "input.ambiguous")]);
    // Words of which the order of bytes is not known.
    let item = one("0000000 0102 0304\n0000004\n");
    assert_eq!(bytes_of(&item).bytes, [2, 1, 4, 3]);
    assert_eq!(item.alternatives[0].bytes, [1, 2, 3, 4]);
}

#[test]
fn cut_values_say_so() {
    for (text, bytes, left_out) in [
        ("0xc0ffee0", &[0xc0, 0xff, 0xee][..], 0),
        ("0xc0ffee…", &[0xc0, 0xff, 0xee], 0),
        ("0xc0ffee...", &[0xc0, 0xff, 0xee], 0),
        ("0xc0ffee… (631 characters)", &[0xc0, 0xff, 0xee], 0),
        ("<Buffer c0 ff ee ... 265 more bytes>", &[0xc0, 0xff, 0xee], 265),
        ("Uint8Array(315) [ 192, 255, 238, ... 215 more items ]", &[0xc0, 0xff, 0xee], 215),
    ] {
        let item = one(text);
        let reading = bytes_of(&item);
        assert_eq!((&*reading.bytes, reading.left_out), (bytes, Some(left_out)), "{text}");
        assert!(!reading.is_plain());
    }
    assert_eq!(
        bytes_of(&one("<Buffer c0 ff ee ... 265 more bytes>")).describe(),
        "hex, 3 bytes, 265 more bytes were left out"
    );
}

#[test]
fn dumps_are_checked() {
    let bytes = value(300);
    let dump = spellings(&bytes).into_iter().find(|it| it.0 == "xxd").unwrap().1;
    let lines: Vec<_> = dump.lines().collect();
    let without = |at: usize| {
        let mut lines = lines.clone();
        lines.remove(at);
        lines.join("\n")
    };
    assert_eq!(short(without(3).as_bytes(), wants()), [Short::Error(1, "input.dump")]);
    let error = read_all(without(3).as_bytes(), wants()).remove(0).unwrap_err();
    assert_eq!(error.problem, Problem::Dump { at: 4 });
    // Two dumps follow each other.
    let twice = format!("{dump}{dump}");
    assert_eq!(short(twice.as_bytes(), wants()).len(), 2);
    // A star stands for lines like the one before.
    let star = "00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41  |AAAAAAAAAAAAAAAA|\n*\n\
                00000040  42                                                |B|\n00000041\n";
    let expected = [vec![0x41; 64], vec![0x42]].concat();
    assert_eq!(bytes_of(&one(star)).bytes, expected);
    // It may not stand for more than fits.
    let huge = "00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41\n*\nfffffff0  42\n";
    assert!(matches!(
        &short(huge.as_bytes(), Wants::any_bytes())[..],
        [Short::Error(1, "input.dump")]
    ));
    // Characters that look like digits are no bytes.
    let digits = "00000000: 6162 2063 6420 6566 2030 3120 3233       ab cd ef 01 23\n";
    assert_eq!(bytes_of(&one(digits)).bytes, b"ab cd ef 01 23");
}

#[test]
fn binary_and_text_are_told_apart() {
    let bytes = value(70);
    assert_eq!(short(&bytes, wants()), [Short::Bytes(1, bytes.clone())]);
    for end in ["\n", "\r\n"] {
        let with_end = [&bytes, end.as_bytes()].concat();
        let item = read_all(&with_end, wants()).remove(0).unwrap();
        assert_eq!(bytes_of(&item).bytes, bytes);
        assert!(bytes_of(&item).describe().ends_with("without the line feed at its end"));
        // It belongs to bytes that may be anything.
        assert_eq!(short(&with_end, Wants::any_bytes()), [Short::Bytes(1, with_end.clone())]);
    }
    let text = format!("0x{}\r\n", hex(&bytes));
    for (mark, unit) in
        [([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xfe, 0xff], u16::to_be_bytes)]
    {
        let utf16: Vec<_> = mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect();
        assert_eq!(short(&utf16, wants()), [Short::Bytes(1, bytes.clone())]);
    }
}

#[test]
fn what_is_no_bytes_is_not_quoted() {
    let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    for text in [phrase, "hello there, this is text", "password: hunter 2 !", "{\"a\": secret}"] {
        let error = read_all(text.as_bytes(), wants()).remove(0).unwrap_err();
        for word in ["legal", "sausage", "hunter", "secret"] {
            assert!(!error.to_string().contains(word), "{error}");
        }
    }
    assert_eq!(short(b"0xzz", wants()), [Short::Error(1, "input.hex")]);
    assert_eq!(short(b"hello there", wants()), [Short::Error(1, "input.unrecognised")]);
    assert_eq!(short(b"[]\n{}\n", wants()), [Short::Record(2, "{}".to_owned())]);
}

#[test]
fn hostile_input_costs_no_more_than_its_length() {
    let inputs = [
        "[".repeat(200_000),
        "{\"a\":".repeat(50_000),
        "(".repeat(200_000),
        "a=".repeat(100_000),
        "\"\\".repeat(100_000),
        "0000 00 ".repeat(50_000),
        "00000000: 00\n*\n".repeat(20_000),
        "0123456789abcdef0123456789abcdef\n".repeat(20_000),
        "[1,2\n".repeat(50_000),
        "x[1 2".repeat(50_000),
        "{ [ ( = : , ".repeat(20_000),
        "%".repeat(100_000),
        "https://x/?a=%zz&".repeat(10_000),
    ];
    for input in inputs {
        // Ends, and has no more values than lines.
        let count = read_all(input.as_bytes(), wants()).len();
        assert!(count <= input.lines().count().max(1), "{count}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(input: Vec<u8>, text in "[0-9a-fA-F xX\\\\\"'\\[\\]{}(),:;.=|<>\n-]{0,300}") {
        for input in [&input[..], text.as_bytes()] {
            let _ = read_all(input, Wants::any_bytes());
            let _ = read_all(input, wants());
        }
    }

    #[test]
    fn any_bytes_are_read_from_any_spelling(length in 0x100usize..0x200, spelling in 0usize..100) {
        let bytes = value(length);
        let spellings = spellings(&bytes);
        let (name, text) = &spellings[spelling % spellings.len()];
        let found = short(text.as_bytes(), wants());
        proptest::prop_assert!(found == [Short::Bytes(1, bytes)], "{}", name);
    }
}
